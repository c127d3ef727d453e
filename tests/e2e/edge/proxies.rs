//! Whose word is taken for where a request came from.

use std::process::Command;

use keyledger_tests::{Client, INVALID_TOKEN, Launch, setting};
use serde_json::json;

use crate::world::{World, make_key, unique, world};

const OFFICE: &str = "203.0.113.7";

/// A key that is good from one network only.
fn office_key(world: &World) -> Client {
    let wish = json!({ "handle": unique("office"), "allowed_cidrs": ["203.0.113.0/24"] });
    world.with_key(&make_key(&world.owner(), &wish).string("token"))
}

#[test]
fn n139_what_a_stranger_says_of_their_address_is_ignored() {
    let key = office_key(world());
    for (name, value) in [
        ("X-Forwarded-For", OFFICE),
        ("Forwarded", "for=203.0.113.7"),
        ("X-Real-IP", OFFICE),
        ("X-Client-IP", OFFICE),
        ("CF-Connecting-IP", OFFICE),
        ("True-Client-IP", OFFICE),
    ] {
        key.header(name, value)
            .get("/v1/me")
            .expect_401(INVALID_TOKEN);
    }
}

#[test]
fn n139_a_listed_proxy_is_believed_and_refused_when_it_contradicts_itself() {
    let launch = Launch::new()
        .arg("--trusted-proxies")
        .arg("127.0.0.1,10.0.0.0/8");
    let world = World::on(launch.start());
    let key = office_key(&world);
    let through = |value: &str| key.header("X-Forwarded-For", value).get("/v1/me");
    through(OFFICE).expect(200);
    through("198.51.100.1, 203.0.113.7, 10.0.0.3").expect(200);
    key.header("Forwarded", "for=203.0.113.7;proto=https")
        .get("/v1/me")
        .expect(200);
    // What the client wrote stands to the left of what the proxy wrote.
    through("203.0.113.7, 198.51.100.1").expect_401(INVALID_TOKEN);
    key.get("/v1/me").expect_401(INVALID_TOKEN);
    through("unknown").expect(400);
    let twice = key.header("X-Forwarded-For", OFFICE);
    twice
        .header("X-Forwarded-For", OFFICE)
        .get("/v1/me")
        .expect(400);
    twice
        .header("Forwarded", "for=203.0.113.7")
        .get("/v1/me")
        .expect(400);
    // An open quote of the client's would swallow what the proxy appends.
    for written in [
        "for=203.0.113.7;x=\"",
        "for=203.0.113.7;x=\\\"",
        "host=\"a\\\"",
    ] {
        let value = format!("{written}, for=198.51.100.9");
        let refused = key.header("Forwarded", &value).get("/v1/me").expect(400);
        assert!(refused.contains("RFC 7239"), "n106: {refused:?}");
    }
    // Neither host nor scheme are taken from there.
    let other = world.anonymous().header("X-Forwarded-Host", "evil.example");
    let page = other
        .header("X-Forwarded-Proto", "https")
        .get("/login")
        .expect(200);
    assert!(!page.contains("evil.example"));
    assert_eq!(page.header("Strict-Transport-Security"), None);
}

#[test]
fn n106_proxies_are_listed_in_either_form_and_everybody_is_no_proxy_without_a_warning() {
    let everybody = "which is everybody";
    let mapped = Launch::new()
        .arg("--trusted-proxies")
        .arg("::ffff:127.0.0.1/128");
    let world = World::on(mapped.start());
    let key = office_key(&world);
    key.header("X-Forwarded-For", OFFICE)
        .get("/v1/me")
        .expect(200);
    assert!(!world.server().log().contains(everybody));
    drop(world);

    let all = "10.0.0.0/8,0.0.0.0/0";
    let server = Launch::new().arg("--trusted-proxies").arg(all).start();
    assert!(server.log().contains(everybody), "{}", server.log_tail());
    let room = tempfile::tempdir().unwrap();
    let doctor = |proxies: &str| {
        let output = Command::new(setting::binary())
            .args(["doctor", "--trusted-proxies", proxies, "--data-dir"])
            .arg(room.path().join("data"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let says = doctor(all);
    assert!(says.contains("note  trusted proxies: "), "{says}");
    assert!(says.contains(everybody), "{says}");
    assert!(!doctor("10.0.0.0/8").contains(everybody));
}
