//! `?at=` on what an organization has, `GET /v1/credentials/{id}`, `GET /v1/orgs/{org}/differences`.

use keyledger_tests::{Client, Reply};
use serde_json::{Value, json};

use crate::world::{make_key, seconds_from_now, unique, world};

/// The position that a change reached.
fn position(reply: &Reply) -> u64 {
    let position = reply.header("Keyledger-Position").expect("a position");
    position.parse().expect("a number")
}

fn then(client: &Client, path: &str, at: impl core::fmt::Display) -> Reply {
    client.get(&format!("{path}?at={at}"))
}

#[test]
fn everything_is_told_as_it_was() {
    let owner = world().owner();
    let service = owner.post("/v1/orgs/acme/services", &json!({ "name": unique("Then") }));
    let service = service.expect(201);
    let made = position(&service);
    let path = format!("/v1/orgs/acme/services/{}", service.string("slug"));
    then(&owner, &path, made - 1).expect(404);
    let changed = owner.patch(&path, &json!({ "role": "manager", "description": "new" }));
    let changed = position(&changed.expect(200));
    let gone = position(&owner.delete(&path).expect(204));
    owner.get(&path).expect(404);

    let was = then(&owner, &path, made).expect(200);
    assert_eq!(was.string("role"), "member");
    assert_eq!(was.member("description"), "");
    assert_eq!(position(&was), made);
    assert_eq!(was.member("last_used_at"), Value::Null);
    let was = then(&owner, &path, changed).expect(200);
    assert_eq!(was.string("role"), "manager");
    then(&owner, &path, gone).expect(404);
    let list = |at: u64| {
        let reply = owner.get(&format!("/v1/orgs/acme/services?limit=1000&at={at}"));
        let items = reply.expect(200).member("items");
        let items = items.as_array().expect("a list").clone();
        items.iter().any(|item| item["id"] == service.member("id"))
    };
    assert_eq!(
        [made - 1, made, gone - 1, gone].map(list),
        [false, true, true, false]
    );
}

#[test]
fn members_teams_entitlements_clients_and_ones_own_keys_are_told_too() {
    let owner = world().owner();
    let person = world().person("member");
    let member = format!("/v1/orgs/acme/members/{}", person.slug());
    let before = position(
        &owner
            .patch(&member, &json!({ "role": "manager" }))
            .expect(200),
    );
    let team = owner
        .post("/v1/orgs/acme/teams", &json!({ "name": unique("Then") }))
        .expect(201);
    let team = format!("/v1/orgs/acme/teams/{}", team.string("slug"));
    let body = json!({ "name": "Then", "scopes": ["files:read"] });
    let token = owner.post("/v1/orgs/acme/entitlements", &body).expect(201);
    let token = format!("/v1/orgs/acme/entitlements/{}", token.string("id"));
    let body =
        json!({ "name": "Then", "grant_types": ["client_credentials"], "scopes": ["files:read"] });
    let client = owner.post("/v1/orgs/acme/clients", &body).expect(201);
    let client = format!("/v1/orgs/acme/clients/{}", client.string("client_id"));
    let themselves = world().with_key(&person.key);
    let own = make_key(&themselves, &json!({ "handle": "then" }));
    let there = position(&own);
    let own = "/user/keys/then".to_owned();
    for path in [&team, &token, &client] {
        owner.delete(path).expect(204);
        then(&owner, path, there).expect(200);
        then(&owner, path, before).expect(404);
        owner.get(path).expect(404);
    }
    themselves.delete(&own).expect(204);
    assert!(
        then(&themselves, &own, there)
            .expect(200)
            .member("token")
            .is_null()
    );
    then(&themselves, &own, before).expect(404);
    let list = then(&themselves, "/user/keys", before)
        .expect(200)
        .member("items");
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    owner
        .patch(&member, &json!({ "role": "member" }))
        .expect(200);
    assert_eq!(
        then(&owner, &member, before).expect(200).string("role"),
        "manager"
    );
    assert_eq!(
        then(&owner, &member, before - 1).expect(200).string("role"),
        "member"
    );
    for path in ["teams", "entitlements", "clients", "members"] {
        let path = format!("/v1/orgs/acme/{path}");
        assert_eq!(position(&then(&owner, &path, before).expect(200)), before);
    }
}

#[test]
fn n128_a_moment_is_an_instant_or_a_position_and_not_to_come() {
    let owner = world().owner();
    let path = "/v1/orgs/acme/teams";
    for at in ["", "now", "-1", "2027-01-31", "999999999999", "1e3"] {
        then(&owner, path, at).expect_field("at");
    }
    then(&owner, path, seconds_from_now(3_600).replace('+', "%2B")).expect_field("at");
    then(&owner, path, seconds_from_now(0).replace('+', "%2B")).expect(200);
    then(&owner, path, 0).expect(404);
    then(&owner, path, "1970-01-01T00:00:00Z").expect(404);
    owner.get("/v1/orgs/acme/invitations?at=1").expect(400);
    owner
        .get("/v1/orgs/acme/differences?from=5&to=4")
        .expect_field("to");
}

#[test]
fn n110_who_may_ask_is_judged_by_today() {
    let owner = world().owner();
    let (slug, stranger) = world().other_org();
    let stranger = world().with_key(&stranger.key);
    let last = position(
        &owner
            .post("/v1/orgs/acme/teams", &json!({ "name": unique("Now") }))
            .expect(201),
    );
    for path in ["services", "members", "teams", "entitlements", "clients"] {
        then(&stranger, &format!("/v1/orgs/acme/{path}"), last).expect(404);
        then(&stranger, &format!("/v1/orgs/acme/{path}"), "nothing").expect(404);
    }
    stranger.get("/v1/orgs/acme/differences").expect(404);
    // They were in it once, and are not now.
    let person = world().person("manager");
    let themselves = world().with_key(&person.key);
    let path = "/v1/orgs/acme/members";
    themselves.get(path).expect(200);
    owner
        .delete(&format!("{path}/{}", person.slug()))
        .expect(204);
    then(&themselves, path, last).expect(401);
    assert!(!slug.is_empty());
}

#[test]
fn a_credential_is_told_as_it_was_and_why_it_was_no_good() {
    let owner = world().owner();
    let body = json!({ "name": unique("Told"), "scopes": ["files:read"] });
    let service = owner.post("/v1/orgs/acme/services", &body).expect(201);
    let made = position(&service);
    let path = format!("/v1/orgs/acme/services/{}", service.string("slug"));
    let id = service.string("id");
    let named = format!("/v1/credentials/{id}");
    let told = owner.get(&named).expect(200);
    assert_eq!(told.string("standing"), "valid");
    assert_eq!(told.string("holder"), format!("service:{id}"));
    let reach = told.member("organizations")[0].clone();
    assert_eq!(reach["organization"], "acme");
    assert_eq!(
        (&reach["standing"], &reach["scopes"]),
        (&json!("open"), &json!(["files:read"]))
    );
    let by_credential = format!("/v1/credentials/{}", told.string("id"));
    assert_eq!(
        owner.get(&by_credential).expect(200).json()["holder"],
        told.member("holder")
    );

    owner.patch(&path, &json!({ "disabled": true })).expect(200);
    let told = owner.get(&named).expect(200);
    assert_eq!(told.string("standing"), "disabled");
    assert_eq!(told.member("organizations")[0]["standing"], "not_valid");
    owner.delete(&path).expect(204);
    let told = owner.get(&by_credential).expect(200);
    assert_eq!(told.string("standing"), "revoked");
    let was = then(&owner, &by_credential, made).expect(200);
    assert_eq!(
        (was.string("standing"), was.member("position")),
        ("valid".into(), json!(made))
    );
    then(&owner, &by_credential, made - 1).expect(404);

    let person = world().person("member");
    let themselves = world().with_key(&person.key);
    let key = make_key(&themselves, &json!({ "handle": "told" }));
    let key = format!("/v1/credentials/{}", key.string("id"));
    themselves.get(&key).expect(403);
    assert_eq!(owner.get(&key).expect(200).string("standing"), "valid");
    let member = format!("/v1/orgs/acme/members/{}", person.slug());
    owner
        .patch(&member, &json!({ "disabled": true }))
        .expect(200);
    assert_eq!(owner.get(&key).expect(200).string("standing"), "disabled");
    let (_, stranger) = world().other_org();
    world().with_key(&stranger.key).get(&key).expect(404);
}

#[test]
fn what_differs_is_told_before_and_after() {
    let (slug, boss) = world().other_org();
    let owner = world().with_key(&boss.key);
    let team = json!({ "name": "Before" });
    let from = position(
        &owner
            .post(&format!("/v1/orgs/{slug}/teams"), &team)
            .expect(201),
    );
    let services = format!("/v1/orgs/{slug}/services");
    let stays = owner
        .post(&services, &json!({ "name": "Stays" }))
        .expect(201);
    let to_be = position(&stays);
    owner
        .patch(&format!("{services}/stays"), &json!({ "role": "manager" }))
        .expect(200);
    let comes = owner
        .post(&services, &json!({ "name": "Comes" }))
        .expect(201);
    let gone = position(&owner.delete(&format!("{services}/stays")).expect(204));
    let differences = |from: u64, to: u64| {
        let path = format!("/v1/orgs/{slug}/differences?from={from}&to={to}");
        let reply = owner.get(&path).expect(200);
        let items = reply.member("items");
        let items = items.as_array().expect("a list").clone();
        let told = |item: &Value| {
            let word = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            (word("kind"), word("name"), word("change"))
        };
        (items.iter().map(told).collect::<Vec<_>>(), items)
    };
    let service =
        |name: &str, change: &str| ("service".to_owned(), name.to_owned(), change.to_owned());
    assert_eq!(differences(from, from).0, []);
    assert_eq!(differences(from, to_be).0, [service("stays", "added")]);
    let (told, items) = differences(to_be, gone - 1);
    let mut told = told;
    told.sort();
    assert_eq!(
        told,
        [service("comes", "added"), service("stays", "changed")]
    );
    let changed = items
        .iter()
        .find(|item| item["change"] == "changed")
        .expect("one");
    let role = json!([{ "field": "role", "before": "member", "after": "manager" }]);
    assert_eq!(changed["fields"], role);
    // What came and went in between is in no state.
    assert_eq!(differences(from, gone).0, [service("comes", "added")]);
    let all = owner
        .get(&format!("/v1/orgs/{slug}/differences"))
        .expect(200);
    for secret in [stays.string("key"), comes.string("key")] {
        assert!(!all.contains(&secret));
    }
    assert!(!all.contains("digest") && !all.contains("sealed"));
}
