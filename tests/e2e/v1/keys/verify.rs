//! `POST /v1/keys/verify`: is this key good, and for what.

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED, Reply, credential};
use serde_json::{Value, json};

use crate::world::{NearEnd, make_key, unique, world};

fn verify(body: &Value) -> Reply {
    world().owner().post("/v1/keys/verify", body).expect(200)
}

#[track_caller]
fn assert_invalid(verdict: &Reply, code: &str) {
    assert_eq!(verdict.member("valid"), false, "{verdict:?}");
    assert_eq!(verdict.string("code"), code);
    for member in ["id", "owner", "scopes"] {
        assert_eq!(
            verdict.member(member),
            Value::Null,
            "an invalid key's {member} is told"
        );
    }
}

#[test]
fn a_good_key_is_described() {
    let body = json!({
        "handle": unique("described"),
        "scopes": ["files:read"],
        "environment": "test",
        "expires_at": "2099-01-01T00:00:00Z",
    });
    let made = make_key(&world().owner(), &body);
    let verdict = verify(&json!({ "key": made.string("token") }));
    assert_eq!(verdict.member("valid"), true);
    assert_eq!(verdict.string("code"), "valid");
    assert_eq!(verdict.member("id"), made.member("id"));
    assert!(!verdict.member("owner").is_null(), "{verdict:?}");
    assert!(verdict.json().get("organization").is_some(), "{verdict:?}");
    assert_eq!(verdict.member("scopes"), json!(["files:read"]));
    assert_eq!(verdict.string("environment"), "test");
    assert!(
        verdict
            .string("expires_at")
            .starts_with("2099-01-01T00:00:00")
    );
    assert!(
        !verdict.contains(&made.string("token")),
        "the verdict repeats the key"
    );
}

#[test]
fn services_and_entitlements_verify_with_their_organization() {
    let body = json!({ "name": unique("Customer"), "scopes": ["files:read"] });
    let entitlement = world()
        .owner()
        .post("/v1/orgs/acme/entitlements", &body)
        .expect(201)
        .string("token");
    for key in [world().service().string("key"), entitlement] {
        let verdict = verify(&json!({ "key": key }));
        assert_eq!(
            (verdict.member("valid"), verdict.string("organization")),
            (json!(true), "acme".to_owned())
        );
    }
}

#[test]
fn a_service_may_ask() {
    let service = world().service().string("key");
    let key = make_key(&world().owner(), &json!({ "handle": unique("asked") })).string("token");
    let verdict = world()
        .with_key(&service)
        .post("/v1/keys/verify", &json!({ "key": key }))
        .expect(200);
    assert_eq!(verdict.string("code"), "valid");
}

#[test]
fn what_nobody_made_is_not_found() {
    let key = make_key(&world().owner(), &json!({ "handle": unique("altered") })).string("token");
    let wrong_secret = credential::forged("sk", "live", credential::id_of(&key));
    let unknown = credential::forged("sk", "live", "000000000");
    for forged in [
        wrong_secret.as_str(),
        &unknown,
        &key[..66],
        "foobar",
        "",
        "sk_live_",
        &"a".repeat(5_000),
    ] {
        assert_invalid(&verify(&json!({ "key": forged })), "not_found");
    }
}

#[test]
fn a_revoked_key_is_revoked_or_not_found() {
    let handle = unique("revoked");
    let token = make_key(&world().owner(), &json!({ "handle": handle })).string("token");
    world()
        .owner()
        .delete(&format!("/user/keys/{handle}"))
        .expect(204);
    let verdict = verify(&json!({ "key": token }));
    assert_eq!(verdict.member("valid"), false);
    assert!(
        ["revoked", "not_found"].contains(&verdict.string("code").as_str()),
        "{verdict:?}"
    );
}

#[test]
fn n134_an_expired_key_is_expired() {
    let (end, expires_at) = NearEnd::begin();
    let body = json!({ "handle": unique("expired"), "expires_at": expires_at });
    let token = make_key(&world().owner(), &body).string("token");
    assert_eq!(verify(&json!({ "key": token })).string("code"), "valid");
    end.wait();
    assert_invalid(&verify(&json!({ "key": token })), "expired");
}

#[test]
fn scopes_are_asked_for_all_together() {
    let body = json!({ "handle": unique("reader"), "scopes": ["files:read", "workspaces:read"] });
    let token = make_key(&world().owner(), &body).string("token");
    let ask = |scopes: &[&str]| verify(&json!({ "key": token, "scopes": scopes })).string("code");
    assert_eq!(ask(&[]), "valid");
    assert_eq!(ask(&["files:read"]), "valid");
    assert_eq!(ask(&["files:read", "workspaces:read"]), "valid");
    assert_eq!(ask(&["files:write"]), "insufficient_scope");
    assert_eq!(ask(&["files:read", "files:write"]), "insufficient_scope");
}

#[test]
fn the_address_must_be_allowed() {
    let body =
        json!({ "handle": unique("bound"), "allowed_cidrs": ["10.0.0.0/8", "2001:db8::/32"] });
    let token = make_key(&world().owner(), &body).string("token");
    let ask = |ip: &str| verify(&json!({ "key": token, "ip": ip })).string("code");
    assert_eq!(ask("10.1.2.3"), "valid");
    assert_eq!(ask("2001:db8::1"), "valid");
    assert_eq!(ask("11.1.2.3"), "ip_not_allowed");
    assert_eq!(ask("2001:db9::1"), "ip_not_allowed");
}

#[test]
fn a_body_that_is_not_right_is_422_or_400() {
    world()
        .owner()
        .post("/v1/keys/verify", &json!({}))
        .expect(422);
    world()
        .owner()
        .post("/v1/keys/verify", &json!({ "key": 7 }))
        .expect(422);
    world()
        .owner()
        .post(
            "/v1/keys/verify",
            &json!({ "key": "foobar", "ip": "nowhere" }),
        )
        .expect(422);
    let unreadable = world()
        .owner()
        .send_bytes("POST", "/v1/keys/verify", "application/json", b"{")
        .unwrap();
    unreadable.expect(400);
}

#[test]
fn it_needs_a_credential_with_the_scope() {
    let body = json!({ "key": "foobar" });
    world()
        .anonymous()
        .post("/v1/keys/verify", &body)
        .expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .x_api_key("foobar")
        .post("/v1/keys/verify", &body)
        .expect_401(INVALID_TOKEN);
    let narrow = world().with_key(&world().key_with_scopes(&["files:read"]));
    narrow
        .post("/v1/keys/verify", &body)
        .expect_missing_scope("keys:verify");
    let asking = world().with_key(&world().key_with_scopes(&["keys:verify"]));
    asking.post("/v1/keys/verify", &body).expect(200);
}

#[test]
fn n110_another_organizations_key_is_not_found() {
    let (_, person) = world().other_org();
    let service = world().service().string("key");
    let verdict = world()
        .with_key(&person.key)
        .post("/v1/keys/verify", &json!({ "key": service }))
        .expect(200);
    assert_invalid(&verdict, "not_found");
}
