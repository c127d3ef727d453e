//! Disabling a member, and what becomes of their keys.

use keyledger_tests::{INVALID_PASSWORD, INVALID_TOKEN};
use serde_json::{Value, json};

use crate::world::{make_key, unique, world};

fn member(slug: &str) -> String {
    format!("/v1/orgs/acme/members/{slug}")
}

fn verdict(key: &str) -> Value {
    let body = json!({ "key": key });
    world()
        .owner()
        .post("/v1/keys/verify", &body)
        .expect(200)
        .json()
}

/// The only thing in a list whose field says this.
#[track_caller]
fn only<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let list = list.as_array().expect("a list");
    let mut found = list.iter().filter(|one| one[field] == value);
    let one = found
        .next()
        .unwrap_or_else(|| panic!("no {value} in {list:?}"));
    assert!(found.next().is_none(), "several {value}");
    one
}

#[test]
fn n86_the_key_and_the_password_of_a_disabled_user_are_refused_at_once() {
    let person = world().person("member");
    let theirs = world().with_key(&person.key);
    theirs.get("/v1/me").expect(200);
    let owner = world().owner();
    let done = owner
        .patch(&member(person.slug()), &json!({ "disabled": true }))
        .expect(200);
    assert!(done.member("disabled_at").is_string());
    let offboarding = done.member("offboarding");
    assert_eq!(only(&offboarding["keys"], "name", "own")["outcome"], "kept");
    theirs.get("/v1/me").expect_401(INVALID_TOKEN);
    let by_password = world().anonymous().basic(&person.email, &person.password);
    by_password.get("/v1/me").expect_401(INVALID_PASSWORD);
    assert_eq!(verdict(&person.key)["code"], "disabled");
    owner
        .patch(&member(person.slug()), &json!({ "disabled": false }))
        .expect(200);
    theirs.get("/v1/me").expect(200);
    by_password.get("/v1/me").expect(200);
}

#[test]
fn what_is_no_wish_for_the_keys_is_told_what_would_be_one() {
    let person = world().person("member");
    for (keys, field) in [
        (json!(true), "keys"),
        (json!(7), "keys"),
        (json!("burn"), "keys"),
        (json!([]), "keys"),
        (json!(["x", null, null]), "keys"),
        (json!({}), "keys.hand_over_to"),
        (json!({ "hand_over_to": 7 }), "keys.hand_over_to"),
        (json!({ "hand_over_to": "x", "teams": "y" }), "keys.teams"),
        (json!({ "revoke": true }), "keys.revoke"),
    ] {
        let body = json!({ "disabled": true, "keys": keys });
        let refused = world().owner().patch(&member(person.slug()), &body);
        let refused = refused.expect(422);
        let reasons = &refused.member("fields")[field];
        let reason = reasons[0].as_str().unwrap_or_else(|| panic!("{refused:?}"));
        assert!(!refused.contains("enum") && !refused.contains("LeaversKeys"));
        if field == "keys" {
            assert!(reason.contains("keep, revoke, or {"), "{reason}");
        }
    }
    world().with_key(&person.key).get("/v1/me").expect(200);
}

#[test]
fn a_team_that_is_none_is_named_before_anything_is_done() {
    let owner = world().owner();
    let team = json!({ "name": unique("Takers") });
    let team = owner.post("/v1/orgs/acme/teams", &team).expect(201);
    let (with_key, without) = (world().person("member"), world().person("member"));
    world()
        .with_key(&without.key)
        .delete("/v1/user/keys/own")
        .expect(204);
    let wish = |teams: Value| {
        let to = json!({ "hand_over_to": unique("taker"), "teams": teams });
        json!({ "disabled": true, "keys": to })
    };
    for person in [&with_key, &without] {
        let path = member(person.slug());
        let teams = json!([team.string("slug"), "no-such-team"]);
        let refused = owner.patch(&path, &wish(teams));
        refused.expect_field("keys.teams[1]");
        let view = owner.get(&path).expect(200);
        assert_eq!(view.member("disabled_at"), Value::Null);
        let good = wish(json!([team.string("slug")]));
        owner.patch(&path, &good).expect(200);
    }
}

#[test]
fn n86_the_key_of_somebody_who_was_put_out_is_refused() {
    let person = world().person("member");
    world().owner().delete(&member(person.slug())).expect(204);
    world()
        .with_key(&person.key)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn the_keys_of_a_leaver_are_revoked_in_the_same_call() {
    let person = world().person("member");
    let owner = world().owner();
    let body = json!({ "disabled": true, "keys": "revoke" });
    let done = owner.patch(&member(person.slug()), &body).expect(200);
    let offboarding = done.member("offboarding");
    assert_eq!(
        only(&offboarding["keys"], "name", "own")["outcome"],
        "revoked"
    );
    let revocation = offboarding["revocation"].as_str().expect("a revocation");
    owner
        .patch(&member(person.slug()), &json!({ "disabled": false }))
        .expect(200);
    let theirs = world().with_key(&person.key);
    theirs.get("/v1/me").expect_401(INVALID_TOKEN);
    let undo = format!("/v1/orgs/acme/revocations/{revocation}/undo");
    owner.post(&undo, &json!({})).expect(200);
    theirs.get("/v1/me").expect(200);
}

#[test]
fn a_key_is_handed_over_and_goes_on_working() {
    let person = world().person("member");
    let owner = world().owner();
    let name = unique("nightly");
    let body = json!({ "disabled": true, "keys": { "hand_over_to": name } });
    let done = owner.patch(&member(person.slug()), &body).expect(200);
    let offboarding = done.member("offboarding");
    let key = only(&offboarding["keys"], "name", "own");
    assert_eq!(
        (&key["outcome"], &key["service"]),
        (&json!("handed_over"), &json!(name))
    );
    let told = verdict(&person.key);
    assert_eq!(
        (&told["valid"], &told["owner"]["type"]),
        (&json!(true), &json!("service"))
    );
    world().with_key(&person.key).get("/v1/me").expect(200);
    // It is a service's key by now: the service's refresh replaces it.
    let refresh = format!("/v1/orgs/acme/services/{name}/refresh");
    let new = owner.post(&refresh, &json!({})).expect(200).string("key");
    assert_eq!(verdict(&person.key)["valid"], json!(false));
    assert_eq!(verdict(&new)["valid"], json!(true));
}

#[test]
fn keys_that_work_elsewhere_end_here() {
    // In acme and in an organization of their own.
    let person = world().person("manager");
    let theirs = world().with_key(&person.key);
    let body = json!({ "name": unique("Elsewhere") });
    let elsewhere = theirs
        .post("/v1/workspaces", &body)
        .expect(201)
        .string("slug");
    let body = json!({ "disabled": true, "keys": "revoke" });
    let done = world()
        .owner()
        .patch(&member(person.slug()), &body)
        .expect(200);
    let offboarding = done.member("offboarding");
    let key = only(&offboarding["keys"], "name", "own");
    assert_eq!(
        (&key["outcome"], &key["works_elsewhere"]),
        (&json!("barred_here"), &json!(true))
    );
    theirs
        .get(&format!("/v1/orgs/{elsewhere}/members"))
        .expect(200);
    theirs.get("/v1/orgs/acme/members").expect(404);
    assert_eq!(verdict(&person.key)["code"], "revoked");
    // Switching them on again wakes none of what was stolen.
    world()
        .owner()
        .patch(&member(person.slug()), &json!({ "disabled": false }))
        .expect(200);
    theirs.get("/v1/orgs/acme/members").expect(404);
    assert_eq!(verdict(&person.key)["code"], "revoked");
}

#[test]
fn a_disabled_member_may_leave_and_is_bound_by_nothing_there() {
    let person = world().person("member");
    let themselves = world().anonymous().basic(&person.email, &person.password);
    let (org, eve) = world().other_org();
    let as_eve = world().with_key(&eve.key);
    let invited = as_eve
        .post(
            &format!("/v1/orgs/{org}/members"),
            &json!({ "email": person.email }),
        )
        .expect(201);
    let token = invited.member("invitation")["token"].clone();
    themselves
        .post("/v1/invitations/accept", &json!({ "token": token }))
        .expect_one_of(&[200, 201]);
    let harsh = json!({ "max_life_seconds": 1, "retrievable_keys": false,
        "idle_disable_seconds": 3600 });
    as_eve
        .patch(&format!("/v1/orgs/{org}/policy"), &harsh)
        .expect(200);
    let theirs = world().with_key(&person.key);
    theirs
        .post("/user/keys", &json!({ "handle": "bound" }))
        .expect_field("expires_at");
    let path = format!("/v1/orgs/{org}/members/{}", person.slug());
    as_eve
        .patch(&path, &json!({ "disabled": true }))
        .expect(200);
    let made = make_key(&theirs, &json!({ "handle": "free" }));
    assert!(made.member("expires_at").is_null());
    let shown = themselves.get("/user/keys/free").expect(200);
    assert_eq!(shown.string("token"), made.string("token"));
    theirs.delete(&path).expect(404);
    themselves.delete(&path).expect(204);
    themselves.delete(&path).expect(404);
}

/// So many keys of somebody, made by several hands.
fn make_many(key: &str, count: usize) {
    std::thread::scope(|scope| {
        for hand in 0..8 {
            scope.spawn(move || {
                let client = world().with_key(key);
                for number in 0..count / 8 {
                    make_key(&client, &json!({ "handle": format!("h{hand}-{number}") }));
                }
            });
        }
    });
}

#[test]
fn too_many_keys_to_hand_over_are_refused_before_anything_is_done() {
    let person = world().person("member");
    make_many(&person.key, 1_000);
    let path = member(person.slug());
    let owner = world().owner();
    let body = json!({ "disabled": true, "keys": { "hand_over_to": unique("heir") } });
    owner.patch(&path, &body).expect_field("keys.hand_over_to");
    assert!(owner.get(&path).expect(200).member("disabled_at").is_null());
    let body = json!({ "disabled": true, "keys": "revoke" });
    let done = owner.patch(&path, &body).expect(200);
    let keys = done.member("offboarding")["keys"].clone();
    let keys = keys.as_array().expect("keys");
    assert_eq!(keys.len(), 1_001);
    assert!(keys.iter().all(|key| key["outcome"] == "revoked"));
}

#[test]
fn what_somebody_owns_and_made_is_listed() {
    let person = world().person("manager");
    let theirs = world().with_key(&person.key);
    make_key(&theirs, &json!({ "handle": "second" }));
    let service = unique("made");
    theirs
        .post("/v1/orgs/acme/services", &json!({ "name": service }))
        .expect(201);
    let path = format!("{}/keys", member(person.slug()));
    let listed = world().owner().get(&path).expect(200);
    let items = listed.member("items");
    assert_eq!(items.as_array().map(Vec::len), Some(3));
    assert_eq!(only(&items, "name", "second")["relation"], "owns");
    assert_eq!(only(&items, "name", &service)["relation"], "made");
    assert!(!listed.contains(&person.key));
    let first = world().owner().get(&format!("{path}?limit=2")).expect(200);
    let next = first.string("next");
    let rest = world()
        .owner()
        .get(&format!("{path}?limit=2&after={next}"))
        .expect(200);
    assert_eq!(rest.member("items").as_array().map(Vec::len), Some(1));
    world()
        .with_key(&world().person("member").key)
        .get(&path)
        .expect(403);
}

#[test]
fn nobody_switches_off_the_last_owner_or_those_above() {
    let (org, owner) = world().owners_other_org();
    let as_owner = world().with_key(&owner.key);
    let manager = world().person_in(&org, &as_owner, "manager");
    let path = |slug: &str| format!("/v1/orgs/{org}/members/{slug}");
    let off = json!({ "disabled": true });
    world()
        .with_key(&manager.key)
        .patch(&path(owner.slug()), &off)
        .expect(403);
    // The one who made the organization is the other owner.
    let members = as_owner
        .get(&format!("/v1/orgs/{org}/members"))
        .expect(200)
        .json();
    let others: Vec<&Value> = members["items"]
        .as_array()
        .expect("members")
        .iter()
        .filter(|one| one["role"] == "owner" && one["email"] != owner.email.as_str())
        .collect();
    for other in others {
        let id = other["id"].as_str().expect("an id");
        as_owner.patch(&path(id), &off).expect(200);
    }
    as_owner.patch(&path(owner.slug()), &off).expect(409);
    as_owner
        .patch(&path(manager.slug()), &json!({ "keys": "keep" }))
        .expect_field("keys");
    as_owner
        .patch(
            &path(manager.slug()),
            &json!({ "disabled": true, "keys": "burn" }),
        )
        .expect_field("keys");
}
