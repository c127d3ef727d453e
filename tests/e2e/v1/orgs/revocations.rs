//! `/v1/orgs/{org}/revocations`.

use keyledger_tests::INVALID_TOKEN;
use serde_json::json;

use crate::world::{make_key, world};

const REVOCATIONS: &str = "/v1/orgs/acme/revocations";

#[test]
fn an_empty_body_revokes_nothing() {
    let owner = world().owner();
    owner.post(REVOCATIONS, &json!({})).expect_field("filter");
    let silent = json!({ "filter": { "include_self": true } });
    owner.post(REVOCATIONS, &silent).expect_field("filter");
    let nobody = json!({ "filter": { "owner": "no-such-person" } });
    owner
        .post(REVOCATIONS, &nobody)
        .expect_field("filter.owner");
}

#[test]
fn a_dry_run_shows_and_the_revocation_does_and_the_undo_gives_back() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let path = format!("/v1/orgs/{org}/revocations");
    let mut keys = Vec::new();
    for name in ["One", "Two", "Three"] {
        let body = json!({ "name": name });
        let made = as_owner
            .post(&format!("/v1/orgs/{org}/services"), &body)
            .expect(201);
        keys.push(made.string("key"));
    }
    world().with_key(&keys[0]).get("/v1/me").expect(200);
    let filter = json!({ "kind": "service" });
    let dry = as_owner
        .post(&path, &json!({ "filter": filter, "dry_run": true }))
        .expect(200);
    assert_eq!(dry.member("count"), json!(3));
    assert_eq!(dry.member("owners").as_array().map(Vec::len), Some(3));
    assert!(dry.member("last_used_at").is_string());
    assert_eq!(dry.member("used_in_last_day"), json!(1));
    for key in &keys {
        assert!(!dry.contains(key));
        world().with_key(key).get("/v1/me").expect(200);
    }
    as_owner
        .post(&path, &json!({ "filter": filter, "expected_count": 2 }))
        .expect(409);
    let done = as_owner
        .post(&path, &json!({ "filter": filter, "expected_count": 3 }))
        .expect(201);
    assert_eq!(done.member("count"), json!(3));
    for key in &keys {
        world()
            .with_key(key)
            .get("/v1/me")
            .expect_401(INVALID_TOKEN);
    }
    // One event for the lot.
    let position = done
        .header("Keyledger-Position")
        .expect("a position")
        .to_owned();
    let event = as_owner
        .get(&format!("/v1/events/{position}"))
        .expect(200)
        .json();
    assert_eq!(event["type"], "ApiKeysRevoked");
    assert_eq!(event["data"]["keys"].as_array().map(Vec::len), Some(3));
    // A service stays, and a refresh gives it a key that no undo takes away.
    let refresh = format!("/v1/orgs/{org}/services/one/refresh");
    let fresh = as_owner
        .post(&refresh, &json!({ "grace_seconds": 60 }))
        .expect(200);
    world()
        .with_key(&fresh.string("key"))
        .get("/v1/me")
        .expect(200);
    let undo = format!("{path}/{}/undo", done.string("id"));
    as_owner.post(&undo, &json!({})).expect(200);
    world()
        .with_key(&keys[0])
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    world().with_key(&keys[1]).get("/v1/me").expect(200);
    world().with_key(&keys[2]).get("/v1/me").expect(200);
    as_owner.post(&undo, &json!({})).expect(200);
    let listed = as_owner.get(&path).expect(200).member("items");
    assert!(listed[0]["undone_at"].is_string());
}

#[test]
fn the_credential_that_asks_is_left_out_unless_it_says_so() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let second = make_key(&as_owner, &json!({ "handle": "second" })).string("token");
    let path = format!("/v1/orgs/{org}/revocations");
    let done = as_owner
        .post(&path, &json!({ "filter": { "owner": owner.slug() } }))
        .expect(201);
    assert_eq!(done.member("left_alone")[0]["code"], "own_credential");
    world()
        .with_key(&second)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    as_owner.get("/v1/me").expect(200);
    // The person replaces a key that was revoked; its handle stays.
    let replaced = as_owner
        .post("/user/keys/second/rotate", &json!({}))
        .expect(200);
    world()
        .with_key(&replaced.string("token"))
        .get("/v1/me")
        .expect(200);
    let all = json!({ "filter": { "owner": owner.slug(), "include_self": true } });
    as_owner.post(&path, &all).expect(201);
    as_owner.get("/v1/me").expect_401(INVALID_TOKEN);
}

#[test]
fn a_manager_leaves_an_owners_keys_alone() {
    let manager = world().with_key(&world().person("manager").key);
    let body = json!({ "filter": { "kind": "user", "created_by": "root" }, "dry_run": true });
    manager
        .post(REVOCATIONS, &body)
        .expect_field("filter.created_by");
    let owner = world().person("owner");
    let body = json!({ "filter": { "owner": owner.slug() } });
    let done = manager.post(REVOCATIONS, &body).expect(200);
    assert_eq!(done.member("count"), json!(0));
    assert_eq!(done.member("left_alone")[0]["code"], "above_own_role");
    world().with_key(&owner.key).get("/v1/me").expect(200);
}
