//! What keys do: the last use in every view of a key, counts by hour and outcome.

use std::thread::sleep;
use std::time::Duration;

use keyledger_tests::{Launch, credential};
use serde_json::{Value, json};

use crate::world::{World, make_key, unique, world};

#[test]
fn the_last_use_is_in_the_views() {
    let handle = unique("used");
    let token = make_key(&world().owner(), &json!({ "handle": handle })).string("token");
    let path = format!("/user/keys/{handle}");
    let last_used_at = || {
        world()
            .owner()
            .get(&path)
            .expect(200)
            .member("last_used_at")
    };
    assert_eq!(last_used_at(), Value::Null);

    // A wrong secret is no use of the key, whoever asks.
    let forged = credential::forged("sk", "live", credential::id_of(&token));
    let body = json!({ "key": forged });
    world().owner().post("/v1/keys/verify", &body).expect(200);
    world().with_key(&forged).get("/v1/me").expect(401);
    assert_eq!(last_used_at(), Value::Null);

    let body = json!({ "key": token });
    world().owner().post("/v1/keys/verify", &body).expect(200);
    assert!(last_used_at().is_string());
}

#[test]
fn a_service_that_calls_us_is_used() {
    let made = world().service();
    assert_eq!(made.member("last_used_at"), Value::Null);
    let key = world().with_key(&made.string("key"));
    key.get("/v1/me").expect(200);
    let path = format!("/v1/orgs/acme/services/{}", made.string("slug"));
    let view = world().owner().get(&path).expect(200);
    assert!(view.member("last_used_at").is_string(), "{view:?}");
}

fn usage_of(id: &str) -> Value {
    let path = format!("/v1/keys/{id}/usage");
    world().owner().get(&path).expect(200).json()
}

#[test]
fn outcomes_are_counted_apart() {
    let body = json!({ "handle": unique("counted"), "scopes": ["files:read", "workspaces:read"] });
    let made = make_key(&world().owner(), &body);
    let (id, token) = (made.string("id"), made.string("token"));
    let ask = |body: &Value| world().owner().post("/v1/keys/verify", body).expect(200);
    assert_eq!(usage_of(&id)["last_used"], Value::Null);
    for _ in 0..3 {
        ask(&json!({ "key": token, "scopes": ["files:read"], "ip": "203.0.113.7" }));
    }
    ask(&json!({ "key": token, "scopes": ["files:write"], "ip": "203.0.113.7" }));
    let forged = credential::forged("sk", "live", credential::id_of(&token));
    ask(&json!({ "key": forged, "ip": "198.51.100.9" }));
    let usage = usage_of(&id);
    assert_eq!(usage["id"], id);
    assert_eq!(usage["totals"]["valid"], 3, "{usage}");
    assert_eq!(usage["totals"]["insufficient_scope"], 1);
    assert_eq!(usage["totals"]["wrong_secret"], 1);
    // Not the address of whoever guessed.
    assert_eq!(usage["last_used"]["source"], "203.0.113.7");
    let client = usage["last_used"]["client"].as_str().expect("who asked");
    assert!(client.starts_with("user:"), "{client}");

    // Our own API: in, and refused for want of a scope.
    let own = world().with_key(&token);
    own.get("/v1/workspaces").expect(200);
    own.get("/v1/user/keys").expect(403);
    let usage = usage_of(&id);
    assert_eq!(usage["totals"]["accepted"], 1, "{usage}");
    assert_eq!(usage["totals"]["forbidden"], 1);
    let series = usage["series"].as_array().expect("a series");
    let sum: u64 = series
        .iter()
        .map(|bucket| bucket["counts"]["valid"].as_u64().expect("a count"))
        .sum();
    assert_eq!(sum, 3);
    assert!(series.iter().all(|bucket| bucket["seconds"] == 3_600));
    // The public id in the key names it too.
    assert_eq!(usage_of(credential::id_of(&token))["id"], id);
}

#[test]
fn n110_strangers_find_no_key_and_members_need_the_right() {
    let made = world().service();
    let path = format!("/v1/keys/{}/usage", made.string("id"));
    let (_, stranger) = world().other_org();
    world().with_key(&stranger.key).get(&path).expect(404);
    let member = world().person("member");
    world().with_key(&member.key).get(&path).expect(403);
    let manager = world().person("manager");
    world().with_key(&manager.key).get(&path).expect(200);
    // A key of one's own needs no right in an organization.
    let own = world()
        .with_key(&member.key)
        .get("/user/keys/own")
        .expect(200);
    let own = format!("/v1/keys/{}/usage", own.string("id"));
    world().with_key(&member.key).get(&own).expect(200);
    world().with_key(&stranger.key).get(&own).expect(404);
    let body = json!({ "handle": unique("tester"), "environment": "test" });
    let tester = make_key(&world().owner(), &body).string("token");
    world().with_key(&tester).get(&path).expect(404);
    for unknown in [
        "000000000",
        "0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10",
        "foobar",
        "1",
    ] {
        let path = format!("/v1/keys/{unknown}/usage");
        world().owner().get(&path).expect(404);
    }
}

/// The events of a type about a thing, once there are so many; the server notes them behind the
/// request's back, within seconds.
fn events_about(kind: &str, target: &str, count: usize) -> Vec<Value> {
    let path = format!("/v1/events?type={kind}&target={target}");
    for _ in 0..400 {
        let page = world().owner().get(&path).expect(200).json();
        let items = page["items"].as_array().expect("a page").clone();
        if items.len() >= count {
            return items;
        }
        sleep(Duration::from_millis(50));
    }
    panic!("fewer than {count} {kind} about {target}");
}

#[test]
fn the_first_use_and_each_new_network_are_events_once() {
    let made = make_key(&world().owner(), &json!({ "handle": unique("first") }));
    let (id, token) = (made.string("id"), made.string("token"));
    let target = format!("key:{id}");
    let from = |ip: &str| {
        let body = json!({ "key": token, "ip": ip });
        let verdict = world().owner().post("/v1/keys/verify", &body).expect(200);
        assert_eq!(verdict.string("code"), "valid");
    };
    from("203.0.113.7");
    from("203.0.113.8");
    let first = events_about("ApiKeyFirstUsed", &target, 1);
    assert_eq!(first[0]["actor"], "system");
    assert_eq!(first[0]["source"], "203.0.113.7");
    from("203.0.114.1");
    from("203.0.114.2");
    let networks = events_about("ApiKeyNetworkFirstSeen", &target, 1);
    assert_eq!(networks[0]["source"], "203.0.114.1");
    // Neither network stands in the event in clear, and the two are not alike.
    let (one, other) = (
        &first[0]["data"]["network"],
        &networks[0]["data"]["network"],
    );
    assert_ne!(one, other);
    assert_eq!(one.as_str().map(str::len), Some(16));
    for ip in ["203.0.113.9", "203.0.114.3", "198.51.100.1"] {
        from(ip);
    }
    let networks = events_about("ApiKeyNetworkFirstSeen", &target, 2);
    assert_eq!(networks.len(), 2, "{networks:?}");
    assert_eq!(events_about("ApiKeyFirstUsed", &target, 1).len(), 1);
}

#[test]
fn counts_survive_a_kill_but_for_the_last_seconds_and_first_uses_stay_one() {
    let mut world = World::on(Launch::new().start());
    let made = make_key(&world.owner(), &json!({ "handle": "survivor" }));
    let (id, token) = (made.string("id"), made.string("token"));
    let body = json!({ "key": token, "ip": "203.0.113.7" });
    let path = format!("/v1/keys/{id}/usage");
    for _ in 0..5 {
        world.owner().post("/v1/keys/verify", &body).expect(200);
    }
    // What was counted is on its way to the disk for two to ten seconds and a moment.
    sleep(Duration::from_secs(12));
    world.owner().post("/v1/keys/verify", &body).expect(200);
    world.server_mut().restart();
    let usage = world.owner().get(&path).expect(200).json();
    let valid = usage["totals"]["valid"].as_u64().expect("a count");
    assert!((5..=6).contains(&valid), "{usage}");
    assert_eq!(usage["last_used"]["source"], "203.0.113.7");
    world.owner().post("/v1/keys/verify", &body).expect(200);
    sleep(Duration::from_secs(3));
    // A clean stop loses nothing.
    world.server_mut().stop();
    world.server_mut().start_again();
    let usage = world.owner().get(&path).expect(200).json();
    assert_eq!(usage["totals"]["valid"], valid + 1, "{usage}");
    for (kind, count) in [("ApiKeyFirstUsed", 1), ("ApiKeyNetworkFirstSeen", 0)] {
        let path = format!("/v1/events?type={kind}&target=key:{id}");
        let page = world.owner().get(&path).expect(200).json();
        assert_eq!(
            page["items"].as_array().map(Vec::len),
            Some(count),
            "{kind}"
        );
    }
}
