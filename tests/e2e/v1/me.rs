//! `GET /v1/me`, which is also `/api/v1/users/me`.

use keyledger_tests::{NOT_PROVIDED, OWNER_EMAIL};
use serde_json::json;

use crate::world::{make_key, unique, world};

#[test]
fn a_user_has_an_email() {
    let me = world().owner().get("/v1/me").expect(200);
    assert_eq!(
        (me.string("type").as_str(), me.string("email").as_str()),
        ("user", OWNER_EMAIL)
    );
    assert_eq!(me.string("environment"), "live");
    me.string("id");
    assert!(me.json().get("scopes").is_some());
}

#[test]
fn a_service_has_a_slug() {
    let service = world().service();
    let me = world()
        .with_key(&service.string("key"))
        .get("/v1/me")
        .expect(200);
    assert_eq!(
        (me.string("type"), me.string("slug")),
        ("service".to_owned(), service.string("slug"))
    );
}

#[test]
fn an_entitlement_is_itself_and_names_its_scopes() {
    let body = json!({ "name": unique("Customer"), "scopes": ["files:read"] });
    let token = world()
        .owner()
        .post("/v1/orgs/acme/entitlements", &body)
        .expect(201)
        .string("token");
    let me = world().with_key(&token).get("/v1/me").expect(200);
    assert_eq!(me.string("type"), "entitlement");
    assert_eq!(me.member("scopes"), json!(["files:read"]));
}

#[test]
fn scopes_and_environment_are_the_keys() {
    let body =
        json!({ "handle": unique("narrow"), "scopes": ["files:read"], "environment": "test" });
    let token = make_key(&world().owner(), &body).string("token");
    let me = world().with_key(&token).get("/v1/me").expect(200);
    assert_eq!(me.member("scopes"), json!(["files:read"]));
    assert_eq!(me.string("environment"), "test");
}

#[test]
fn d3_1_the_other_path_is_the_same_route() {
    let owner = world().owner();
    assert_eq!(
        owner.get("/api/v1/users/me").expect(200).json(),
        owner.get("/v1/me").expect(200).json()
    );
}

#[test]
fn a_stranger_is_401() {
    world().anonymous().get("/v1/me").expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .get("/api/v1/users/me")
        .expect_401(NOT_PROVIDED);
}
