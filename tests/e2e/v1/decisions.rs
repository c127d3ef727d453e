//! `GET /v1/decisions/{id}`: why somebody was refused, and what took it away.

use keyledger_tests::{
    Client, INVALID_PASSWORD, INVALID_TOKEN, NOT_PROVIDED, OWNER_EMAIL, OWNER_ORG, Reply,
    credential,
};
use serde_json::{Value, json};

use crate::world::{NearEnd, make_key, unique, world};

const SERVICES: &str = "/v1/orgs/acme/services";

/// The id that a refusal carries, alike in its body and in its header.
#[track_caller]
fn decision_of(refusal: &Reply) -> String {
    let id = refusal.string("decision");
    assert_eq!(refusal.header("Keyledger-Decision"), Some(id.as_str()));
    assert_eq!(id.len(), 32, "128 bits: {id}");
    id
}

#[track_caller]
fn read(reader: &Client, refusal: &Reply) -> Value {
    let path = format!("/v1/decisions/{}", decision_of(refusal));
    reader.get(&path).expect(200).json()
}

/// What the owner of `acme` reads of a refusal.
#[track_caller]
fn explained(refusal: &Reply) -> Value {
    read(&world().owner(), refusal)
}

/// The newest event in the log of `acme` that was about this, of this type.
#[track_caller]
fn newest_event(kind: &str, target: &str) -> Value {
    let page = world().owner().get(&format!(
        "/v1/events?type={kind}&target={target}&limit=1000"
    ));
    let events = page.expect(200).json();
    let events = events["items"].as_array().expect("items");
    events.last().expect("an event").clone()
}

/// Asserts what a decision says of the event that took it away.
#[track_caller]
fn assert_taken_by(decision: &Value, event: &Value) {
    for member in ["position", "type", "actor", "time"] {
        assert_eq!(decision["event"][member], event[member], "{decision}");
    }
    assert_eq!(decision["search_complete"], true, "{decision}");
}

/// A key of the owner with this handle: its token and the target of its events.
fn key(body: Value) -> (String, String, String) {
    let handle = unique("decided");
    let mut body = body;
    body["handle"] = json!(handle);
    let made = make_key(&world().owner(), &body);
    let target = format!("key:{}", made.string("id"));
    (handle, made.string("token"), target)
}

fn me(token: &str) -> Reply {
    world()
        .with_key(token)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN)
}

#[test]
fn all_that_was_asked_of_it_is_told() {
    let (_, token, target) = key(json!({ "scopes": ["files:read"] }));
    let refusal = world().with_key(&token).get(SERVICES).expect(403);
    let told = explained(&refusal);
    assert_eq!(told["id"], refusal.member("decision"));
    assert_eq!(told["status"], 403);
    assert_eq!(told["check"], "insufficient_scope");
    assert_eq!(told["needed"]["right"], "services:read");
    assert_eq!(told["had"]["scopes"], json!(["files:read"]));
    assert_eq!(told["had"]["role"], "owner");
    assert_eq!(told["had"]["environment"], "live");
    assert_eq!(told["had"]["standing"], "good");
    assert_eq!(told["had"]["replaced_secret"], false);
    assert_eq!(told["caller"]["credential"], credential::id_of(&token));
    assert_eq!(told["caller"]["organization"], OWNER_ORG);
    assert_eq!(told["request"]["method"], "GET");
    assert_eq!(told["request"]["route"], "/v1/orgs/{org}/services");
    assert_eq!(told["request"]["source"], "127.0.0.1");
    assert_eq!(
        told["request"]["id"].as_str(),
        refusal.header("X-Request-Id")
    );
    let made = newest_event("UserKeyCreated", &target);
    assert_eq!(told["caller"]["actor"], made["actor"]);
    assert_taken_by(&told, &made);
    let secret = token.rsplit('_').next().expect("a secret");
    assert!(!told.to_string().contains(&secret[..20]));
}

#[test]
fn a_scope_that_was_taken_away_names_who_did_it() {
    let (handle, token, target) = key(json!({}));
    world().with_key(&token).get(SERVICES).expect(200);
    let narrower = json!({ "scopes": ["files:read"] });
    let path = format!("/user/keys/{handle}");
    world().owner().patch(&path, &narrower).expect(200);
    let refusal = world().with_key(&token).get(SERVICES).expect(403);
    let change = newest_event("ApiKeyRestricted", &target);
    assert_taken_by(&explained(&refusal), &change);
    // What happens afterwards changes nothing of what was.
    world()
        .owner()
        .patch(&path, &json!({ "scopes": ["files:write"] }))
        .expect(200);
    assert_taken_by(&explained(&refusal), &change);
}

#[test]
fn every_way_in_which_a_key_ends_is_told_with_its_event() {
    let owner = world().owner();
    let path = |handle: &str| format!("/user/keys/{handle}");

    let (handle, token, target) = key(json!({}));
    owner
        .patch(&path(&handle), &json!({ "disabled": true }))
        .expect(200);
    let told = explained(&me(&token));
    assert_eq!(
        (&told["check"], &told["status"]),
        (&json!("disabled"), &json!(401))
    );
    assert_eq!(told["had"]["standing"], "disabled");
    assert_taken_by(&told, &newest_event("ApiKeyDisabled", &target));

    owner.delete(&path(&handle)).expect(204);
    let told = explained(&me(&token));
    assert_eq!(told["check"], "revoked");
    assert_taken_by(&told, &newest_event("UserKeyRevoked", &target));

    let (end, expires_at) = NearEnd::begin();
    let (_, token, target) = key(json!({ "expires_at": expires_at }));
    let (handle, rotated, of_rotated) = key(json!({}));
    owner
        .post(&format!("/user/keys/{handle}/rotate"), &json!({}))
        .expect(200);
    let told = explained(&me(&rotated));
    assert_eq!(told["check"], "wrong_secret");
    assert_taken_by(&told, &newest_event("ApiKeyRotated", &of_rotated));
    end.wait();
    let told = explained(&me(&token));
    assert_eq!(told["check"], "expired");
    assert_taken_by(&told, &newest_event("UserKeyCreated", &target));

    let (_, token, target) = key(json!({ "allowed_cidrs": ["203.0.113.0/24"] }));
    let told = explained(&me(&token));
    assert_eq!(told["check"], "ip_not_allowed");
    assert_taken_by(&told, &newest_event("UserKeyCreated", &target));

    let (_, token, _) = key(json!({}));
    let forged = credential::forged("sk", "live", credential::id_of(&token));
    let told = explained(&me(&forged));
    assert_eq!(told["check"], "wrong_secret");
    assert_eq!(told["event"], Value::Null, "its secret was never replaced");
}

#[test]
fn the_key_of_a_service_that_is_gone_is_told_to_its_organization() {
    let service = world().service();
    let (slug, token) = (service.string("slug"), service.string("key"));
    let basic = world().anonymous().basic("another-name", &token);
    let refusal = basic.get("/v1/me").expect_401(INVALID_PASSWORD);
    assert_eq!(explained(&refusal)["check"], "wrong_name");
    world()
        .owner()
        .delete(&format!("{SERVICES}/{slug}"))
        .expect(204);
    let target = format!("service:{}", service.string("id"));
    let gone = newest_event("ServiceDeleted", &target);
    let by_basic = world().anonymous().basic(&slug, &token);
    let by_basic = by_basic.get("/v1/me").expect_401(INVALID_PASSWORD);
    for refusal in [me(&token), by_basic] {
        let told = explained(&refusal);
        assert_eq!(told["check"], "revoked");
        assert_eq!(told["caller"]["actor"], target);
        assert_taken_by(&told, &gone);
    }
}

#[test]
fn a_role_that_was_taken_away_names_the_change() {
    let person = world().person("manager");
    let client = world().with_key(&person.key);
    client
        .post(SERVICES, &json!({ "name": unique("Made") }))
        .expect(201);
    let members = "/v1/orgs/acme/members";
    let user = client.get("/v1/me").expect(200).string("id");
    world()
        .owner()
        .patch(&format!("{members}/{user}"), &json!({ "role": "member" }))
        .expect(200);
    let refusal = client
        .post(SERVICES, &json!({ "name": unique("Never") }))
        .expect(403);
    let told = explained(&refusal);
    assert_eq!(told["check"], "role_too_low");
    assert_eq!(told["needed"]["right"], "services:write");
    assert_eq!(told["needed"]["minimum_role"], "manager");
    assert_eq!(told["had"]["role"], "member");
    assert_eq!(told["had"]["scopes"], Value::Null);
    let changed = newest_event("MemberRoleChanged", &format!("user:{user}"));
    assert_taken_by(&told, &changed);
    // The caller is told the same, by that key and by password.
    assert_eq!(read(&client, &refusal), told);
    let by_password = world().anonymous().basic(&person.email, &person.password);
    assert_eq!(read(&by_password, &refusal), told);
    // And where no organization was named: theirs, as there is but one.
    let refusal = by_password.get("/v1/events").expect(403);
    let told = read(&by_password, &refusal);
    assert_eq!(told["needed"]["right"], "audit:read");
    assert_eq!(told["caller"]["credential"], Value::Null);
    assert_taken_by(&told, &changed);
}

#[test]
fn a_wrong_password_is_told_to_the_accounts_auditors() {
    let person = world().person("member");
    let wrong = world()
        .anonymous()
        .basic(&person.email, "a wrong passphrase");
    let refusal = wrong.get("/v1/me").expect_401(INVALID_PASSWORD);
    let told = explained(&refusal);
    assert_eq!(told["check"], "wrong_password");
    let id = world().with_key(&person.key).get("/v1/me").string("id");
    assert_eq!(told["caller"]["actor"], format!("user:{id}"));
    assert_eq!(told["event"], Value::Null);
    // Not to the one who has the account, who may have no part in it.
    let path = format!("/v1/decisions/{}", decision_of(&refusal));
    world().with_key(&person.key).get(&path).expect(404);
}

#[test]
fn a_person_who_is_switched_off_is_told_to_the_organization_that_did_it() {
    let person = world().person("member");
    let client = world().with_key(&person.key);
    let id = client.get("/v1/me").expect(200).string("id");
    let (member, target) = (format!("/v1/orgs/acme/members/{id}"), format!("user:{id}"));
    let off = json!({ "disabled": true, "keys": "revoke" });
    world().owner().patch(&member, &off).expect(200);
    let revoked = explained(&me(&person.key));
    assert_eq!(revoked["check"], "revoked");
    assert_eq!(revoked["event"]["type"], "ApiKeysRevoked", "{revoked}");
    let by_password = world().anonymous().basic(&person.email, &person.password);
    let refusal = by_password.get("/v1/me").expect_401(INVALID_PASSWORD);
    let told = explained(&refusal);
    assert_eq!(told["check"], "disabled");
    assert_taken_by(&told, &newest_event("MemberDisabled", &target));

    let other = world().person("member");
    let client = world().with_key(&other.key);
    let id = client.get("/v1/me").expect(200).string("id");
    let off = json!({ "disabled": true });
    let member = format!("/v1/orgs/acme/members/{id}");
    world().owner().patch(&member, &off).expect(200);
    let told = explained(&me(&other.key));
    assert_eq!(told["check"], "disabled");
    assert_eq!(told["had"]["standing"], "disabled");
    assert_taken_by(
        &told,
        &newest_event("MemberDisabled", &format!("user:{id}")),
    );
}

#[test]
fn strangers_and_other_organizations_find_nothing() {
    let (_, theirs) = world().other_org();
    let stranger = world().with_key(&theirs.key);
    let (_, narrow, _) = key(json!({ "scopes": ["files:read"] }));
    // In `acme` and nowhere else, so that no other organization has to do with them.
    let member = world().person("member");
    let nowhere = stranger.get(&format!("/v1/decisions/{}", "0".repeat(32)));
    let nowhere = nowhere.expect(404).likeness();
    let refusals = [
        world().with_key(&narrow).get(SERVICES).expect(403),
        world()
            .with_key(&member.key)
            .post(SERVICES, &json!({ "name": "Never" }))
            .expect(403),
        me(&credential::forged(
            "sk",
            "live",
            credential::id_of(&member.key),
        )),
        world()
            .anonymous()
            .basic(&member.email, "a wrong passphrase")
            .get("/v1/me")
            .expect_401(INVALID_PASSWORD),
    ];
    let other_member = world().person("member");
    for refusal in &refusals {
        let path = format!("/v1/decisions/{}", decision_of(refusal));
        for reader in [&stranger, &world().with_key(&other_member.key)] {
            assert_eq!(reader.get(&path).expect(404).likeness(), nowhere);
        }
        world().anonymous().get(&path).expect_401(NOT_PROVIDED);
        world().owner().get(&path).expect(200);
    }
    // A key of the same person that may not look at their keys, or is for tests only.
    let path = format!("/v1/decisions/{}", decision_of(&refusals[1]));
    let own = world().with_key(&member.key);
    own.get(&path).expect(200);
    for limits in [
        json!({ "scopes": ["files:read"] }),
        json!({ "environment": "test" }),
    ] {
        let mut body = limits;
        body["handle"] = json!(unique("limited"));
        let limited = make_key(&own, &body).string("token");
        world().with_key(&limited).get(&path).expect(404);
    }
    let auditor = world().key_with_scopes(&["audit:read"]);
    world().with_key(&auditor).get(&path).expect(200);
}

#[test]
fn what_nobody_was_is_told_to_nobody() {
    let anonymous = world().anonymous();
    let refusals = [
        anonymous.get("/v1/me").expect_401(NOT_PROVIDED),
        anonymous.options(SERVICES),
        me(&credential::forged("sk", "live", "000000000")),
        me("foobar"),
        anonymous.bearer("foobar").options(SERVICES).expect(401),
        anonymous.bearer("foobar").get("/v1/nowhere").expect(401),
        anonymous
            .basic("nobody@example.com", "a passphrase")
            .get("/v1/me")
            .expect_401(INVALID_PASSWORD),
    ];
    for refusal in refusals.iter().filter(|refusal| refusal.status() == 401) {
        let path = format!("/v1/decisions/{}", decision_of(refusal));
        world().owner().get(&path).expect(404);
    }
    for id in ["x", "%2e%2e", "00000000-0000-0000-0000-000000000000"] {
        world()
            .owner()
            .get(&format!("/v1/decisions/{id}"))
            .expect(404);
    }
    let fine = world().owner().get("/v1/me").expect(200);
    assert_eq!(fine.header("Keyledger-Decision"), None);
    let missing = world()
        .owner()
        .get("/v1/orgs/never-made/services")
        .expect(404);
    assert_eq!(missing.header("Keyledger-Decision"), None);
    assert_eq!(missing.member("decision"), Value::Null);
}

/// The text of a refusal with what names this request taken out.
fn bare(refusal: &Reply) -> (String, Vec<String>) {
    let id = decision_of(refusal);
    (refusal.text().replace(&id, "-"), refusal.header_names())
}

#[test]
fn n74_refusals_of_strangers_are_alike_to_the_byte_apart_from_their_ids() {
    let owner = world().owner();
    let (end, expires_at) = NearEnd::begin();
    let (_, expired, _) = key(json!({ "expires_at": expires_at }));
    let (handle, revoked, _) = key(json!({}));
    owner.delete(&format!("/user/keys/{handle}")).expect(204);
    let (_, good, _) = key(json!({}));
    end.wait();
    let wrong = credential::forged("sk", "live", credential::id_of(&good));
    let unknown = credential::forged("sk", "live", "000000000");
    let metadata = format!(
        "http://127.0.0.1:{}/.well-known/oauth-protected-resource",
        world().server().port()
    );
    let challenge = format!(
        r#"Bearer realm="keyledger", resource_metadata="{metadata}", error="invalid_token""#
    );
    for carry in [Client::x_api_key, Client::bearer, Client::token] {
        let refusal = |key: &str| {
            let client = carry(&world().anonymous(), key);
            client.get("/v1/me").expect_401(INVALID_TOKEN)
        };
        let likeness = bare(&refusal(&unknown));
        for key in [&wrong, &revoked, &expired] {
            let refusal = refusal(key);
            assert_eq!(bare(&refusal), likeness);
            assert_eq!(refusal.header("WWW-Authenticate"), Some(challenge.as_str()));
        }
        assert!(
            likeness.0.starts_with(
                r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"Invalid token.","decision":"-"}"#
            ),
            "{}",
            likeness.0
        );
    }
    let by_password = |email: &str| {
        let client = world().anonymous().basic(email, "a wrong passphrase");
        bare(&client.get("/v1/me").expect_401(INVALID_PASSWORD))
    };
    assert_eq!(by_password(OWNER_EMAIL), by_password("nobody@example.com"));
}

#[test]
fn pages_carry_it_in_the_header() {
    let forged = world().anonymous().post_form("/login", &[]).expect(403);
    let id = forged.header("Keyledger-Decision").expect("an id");
    world()
        .owner()
        .get(&format!("/v1/decisions/{id}"))
        .expect(404);
}

#[test]
fn a_refusal_is_not_in_the_ledger_and_is_gone_with_the_server() {
    let mut world = crate::world::World::on(keyledger_tests::Launch::new().start());
    let last = |world: &crate::world::World| {
        let reply = world.owner().get("/v1/events?limit=1000").expect(200);
        let mut events = reply.member("items").as_array().expect("a page").clone();
        // That a key was used for the first time is noted behind the request's back.
        let own = ["ApiKeyFirstUsed", "ApiKeyNetworkFirstSeen"];
        events.retain(|event| {
            !event["type"]
                .as_str()
                .is_some_and(|kind| own.contains(&kind))
        });
        events
    };
    let key = world.key_with_scopes(&["files:read"]);
    let before = last(&world);
    let refusal = world.with_key(&key).get(SERVICES).expect(403);
    let told = read(&world.owner(), &refusal);
    assert_eq!(told["check"], "insufficient_scope");
    assert_eq!(
        last(&world),
        before,
        "a refusal or its reading left an event"
    );
    let id = decision_of(&refusal);
    assert!(world.server().log().contains(&id), "the log names it");
    world.server_mut().stop();
    world.server_mut().start_again();
    world
        .owner()
        .get(&format!("/v1/decisions/{id}"))
        .expect(404);
}
