//! Number 82: whatever is put into the wrong place, no log line repeats it, at any level.

use keyledger_tests::{INVALID_TOKEN, Launch, NOT_PROVIDED, raw};
use serde_json::json;

use crate::world::{World, make_key};

#[test]
fn n82_a_key_in_the_wrong_place_is_in_no_log_line() {
    let launch = Launch::new()
        .env("KEYLEDGER_LOG", "trace")
        .env("RUST_LOG", "trace");
    let world = World::on(launch.start());
    let key = make_key(&world.owner(), &json!({ "handle": "canary" })).string("token");
    let nobody = world.anonymous();
    // In a query, a page's query, a path, and as what a page was reached from.
    for path in [
        format!("/v1/me?api_key={key}"),
        format!("/v1/me?{key}"),
        format!("/v1/me/?{key}&{key}"),
    ] {
        nobody.get(&path).expect_401(NOT_PROVIDED);
    }
    for path in [
        format!("/login?next={key}"),
        format!("/setup?code={key}"),
        format!("/{key}"),
        format!("/playground/{key}"),
        format!("/v1/{key}/x"),
    ] {
        nobody.get(&path);
    }
    let owner = world.owner();
    for path in [
        format!("/user/keys/{key}"),
        format!("/v1/orgs/{key}/members"),
        format!("/v1/events/{key}"),
        format!("/v1/events?limit={key}"),
        format!("/v1/events?{key}=1"),
        format!("/v1/events?after={key}"),
    ] {
        owner.get(&path).expect_one_of(&[400, 404, 422]);
    }
    for name in [
        "Referer",
        "User-Agent",
        "Cookie",
        "Origin",
        "X-Forwarded-For",
        "X-Anything",
    ] {
        let value = format!("https://example.com/?key={key}");
        nobody
            .header(name, &value)
            .get("/v1/me")
            .expect_401(NOT_PROVIDED);
    }
    // As a wrong key, in each carrier, and in heads that the framework itself refuses.
    let last = if key.ends_with('x') { 'y' } else { 'x' };
    let wrong = format!("{}{last}", &key[..key.len() - 1]);
    nobody
        .bearer(&wrong)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    nobody
        .header("Authorization", &key)
        .get("/v1/me")
        .expect(401);
    nobody
        .header("Authorization", &format!("Nonsense {key}"))
        .get("/v1/me")
        .expect(401);
    let port = world.server().port();
    for head in [
        format!("GET /v1/me?{key} HTTP/1.1\r\nHost: a\r\nContent-Length: {key}"),
        format!("GET /v1/me HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {key}"),
        format!("GET /v1/me HTTP/1.1\r\nHost: {key}\r\nHost: {key}"),
        format!("{key} /v1/me HTTP/1.1"),
        format!("GET {key} HTTP/9.9"),
    ] {
        let sent = raw::send(port, head.as_bytes(), b"").expect("a connection");
        assert!(matches!(sent.status(), Some(400..=499) | None));
    }
    // As what a body should not be.
    owner
        .post("/v1/keys/verify", &json!({ "key": 1, key.clone(): key }))
        .expect(422);
    owner
        .post("/v1/keys/verify", &json!([key]))
        .expect_one_of(&[400, 422]);
    let log = world.server().log();
    assert!(log.contains("request refused"), "nothing was logged");
    for part in [&key[18..61], &wrong[18..61], &key[..20]] {
        // What finds a key in a log is its public id; its secret must not be there, and of a wrong
        // place not even the id.
        let found = log.lines().filter(|line| line.contains(part)).count();
        assert_eq!(found, 0, "part of a key is in {found} lines");
    }
}
