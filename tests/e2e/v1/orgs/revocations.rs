//! `/v1/orgs/{org}/revocations`.

use keyledger_tests::{Client, INVALID_TOKEN};
use serde_json::{Value, json};

use crate::world::{make_key, unique, world};

const REVOCATIONS: &str = "/v1/orgs/acme/revocations";

/// The slug of an organization that somebody makes for themself.
fn org_of_their_own(client: &Client) -> String {
    let made = client.post("/v1/workspaces", &json!({ "name": unique("Second") }));
    made.expect(201).string("slug")
}

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

fn code_of(gateway: &str, key: &str) -> Value {
    let body = json!({ "key": key });
    let told = world().with_key(gateway).post("/v1/keys/verify", &body);
    told.expect(200).member("code")
}

#[test]
fn an_organization_of_its_own_is_no_shield_for_a_stolen_key() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let manager = world().person_in(&org, &as_owner, "manager");
    let members = format!("/v1/orgs/{org}/members");
    let services = format!("/v1/orgs/{org}/services");
    let gateway = as_owner
        .post(&services, &json!({ "name": "Gateway" }))
        .expect(201)
        .string("key");
    let thief = world().with_key(&manager.key);
    let lair = org_of_their_own(&thief);
    assert_eq!(code_of(&gateway, &manager.key), "valid");
    let path = format!("/v1/orgs/{org}/revocations");
    let meant = json!({ "filter": { "owner": manager.slug() }, "dry_run": true });
    let dry = as_owner.post(&path, &meant).expect(200);
    assert_eq!(
        (dry.member("count"), dry.member("barred_here_count")),
        (json!(1), json!(1))
    );
    let meant = json!({ "filter": { "owner": manager.slug() }, "expected_count": 1 });
    let done = as_owner.post(&path, &meant).expect(201);
    assert_eq!(done.member("left_alone_count"), json!(0));
    let told = &done.member("keys")[0];
    assert_eq!(told["outcome"], "barred_here");
    assert!(
        told["meaning"]
            .as_str()
            .is_some_and(|words| words.starts_with("it is dead in this organization"))
    );
    // Here it is as good as dead: to the gateway, and to this API.
    assert_eq!(code_of(&gateway, &manager.key), "revoked");
    let undo = format!("{path}/{}/undo", done.string("id"));
    thief.get(&members).expect(404);
    thief.post(&undo, &json!({})).expect(404);
    thief
        .post(&services, &json!({ "name": "Backdoor" }))
        .expect(404);
    thief
        .post(&format!("{services}/gateway/refresh"), &json!({}))
        .expect(404);
    thief
        .get(&format!("/v1/events?organization={org}"))
        .expect(404);
    let details = thief.get("/v1/user").expect(200);
    assert!(!details.contains(&org), "{details:?}");
    // It makes no key that would work here, and is told why.
    let refused = thief
        .post("/user/keys", &json!({ "handle": "fresh" }))
        .expect(403);
    let decision = as_owner
        .get(&format!("/v1/decisions/{}", refused.string("decision")))
        .expect(200)
        .json();
    assert_eq!(decision["check"], "beyond_own_organizations");
    assert_eq!(decision["event"]["type"], "ApiKeysRevoked");
    // Elsewhere it goes on, and its owner sees where it does not.
    thief.get(&format!("/v1/orgs/{lair}/members")).expect(200);
    let themselves = world().anonymous().basic(&manager.email, &manager.password);
    let seen = themselves.get("/user/keys/own").expect(200);
    assert_eq!(seen.member("barred_from"), json!([org]));
    as_owner.post(&undo, &json!({})).expect(200);
    assert_eq!(code_of(&gateway, &manager.key), "valid");
    thief.get(&members).expect(200);
    // Without the other organization it would have been revoked altogether.
    as_owner.post(&path, &meant).expect(201);
    themselves
        .post("/user/keys/own/rotate", &json!({}))
        .expect(200);
    thief.get("/v1/me").expect_401(INVALID_TOKEN);
    let seen = themselves.get("/user/keys/own").expect(200);
    assert_eq!(seen.member("barred_from"), json!([]));
    assert_eq!(code_of(&gateway, &seen.string("token")), "valid");
}

#[test]
fn an_organization_that_has_switched_the_owner_off_is_no_other() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let person = world().person_in(&org, &as_owner, "manager");
    let theirs = world().with_key(&person.key);
    let second = org_of_their_own(&theirs);
    let theirs_too = world().person_in(&second, &theirs, "owner");
    let off = json!({ "disabled": true });
    world()
        .with_key(&theirs_too.key)
        .patch(
            &format!("/v1/orgs/{second}/members/{}", person.slug()),
            &off,
        )
        .expect(200);
    let path = format!("/v1/orgs/{org}/revocations");
    let meant = json!({ "filter": { "owner": person.slug() } });
    let done = as_owner.post(&path, &meant).expect(201);
    assert_eq!(done.member("keys")[0]["outcome"], "revoked");
    theirs.get("/v1/me").expect_401(INVALID_TOKEN);
}

#[test]
fn what_barred_a_key_that_works_nowhere_any_more_is_told() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let person = world().person_in(&org, &as_owner, "manager");
    let theirs = world().with_key(&person.key);
    let second = org_of_their_own(&theirs);
    let heir = world().person_in(&second, &theirs, "owner");
    let meant = json!({ "filter": { "owner": person.slug() } });
    let done = as_owner
        .post(&format!("/v1/orgs/{org}/revocations"), &meant)
        .expect(201);
    assert_eq!(done.member("barred_here_count"), json!(1));
    theirs.get("/v1/me").expect(200);
    world()
        .with_key(&heir.key)
        .delete(&format!("/v1/orgs/{second}/members/{}", person.slug()))
        .expect(204);
    let refused = theirs.get("/v1/me").expect_401(INVALID_TOKEN);
    let decision = as_owner
        .get(&format!("/v1/decisions/{}", refused.string("decision")))
        .expect(200)
        .json();
    assert_eq!(decision["check"], "revoked");
    assert_eq!(decision["event"]["type"], "ApiKeysRevoked");
    let position = decision["event"]["position"].as_u64();
    let position = position.expect("a position").to_string();
    assert_eq!(done.header("Keyledger-Position"), Some(position.as_str()));
}
