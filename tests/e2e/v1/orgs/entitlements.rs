//! `/v1/orgs/{org}/entitlements`: read-only tokens for customers.

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED, credential};
use serde_json::json;

use crate::world::{seconds_from_now, status_as, unique, world};

const ENTITLEMENTS: &str = "/v1/orgs/acme/entitlements";

#[test]
fn it_is_made_with_its_token_shown_this_once() {
    let body = json!({ "name": unique("Customer"), "scopes": ["files:read"] });
    let made = world().owner().post(ENTITLEMENTS, &body).expect(201);
    let (id, token) = (made.string("id"), made.string("token"));
    assert!(
        credential::is_well_formed(&token, "et", "live"),
        "not a live entitlement token"
    );
    assert_eq!(status_as(&token), 200);
    let again = world()
        .owner_by_password()
        .get(&format!("{ENTITLEMENTS}/{id}"))
        .expect(200);
    for shown in [again, world().owner().get(ENTITLEMENTS).expect(200)] {
        assert!(shown.contains(&id), "{shown:?}");
        assert!(
            !shown.contains(&token) && !shown.contains(&token[18..61]),
            "the token is shown again"
        );
    }
}

#[test]
fn d1_10_it_takes_only_scopes_that_read() {
    for scopes in [
        json!(["files:write"]),
        json!(["files:read", "files:write"]),
        json!(["nobody:knows"]),
    ] {
        world()
            .owner()
            .post(
                ENTITLEMENTS,
                &json!({ "name": unique("Bad"), "scopes": scopes }),
            )
            .expect(422);
    }
}

#[test]
fn a_deleted_one_is_refused() {
    let body = json!({ "name": unique("Ended"), "scopes": ["files:read"] });
    let made = world().owner().post(ENTITLEMENTS, &body).expect(201);
    let path = format!("{ENTITLEMENTS}/{}", made.string("id"));
    world().owner().delete(&path).expect(204);
    world()
        .with_key(&made.string("token"))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    world().owner().get(&path).expect(404);
}

#[test]
fn it_ends_with_its_expiry() {
    let body = json!({ "name": unique("Brief"), "scopes": ["files:read"], "expires_at": seconds_from_now(1) });
    let token = world()
        .owner()
        .post(ENTITLEMENTS, &body)
        .expect(201)
        .string("token");
    assert_eq!(status_as(&token), 200);
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    world()
        .with_key(&token)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn d1_10_it_reaches_no_management_route() {
    let body = json!({ "name": unique("Nosy"), "scopes": ["files:read"] });
    let token = world()
        .owner()
        .post(ENTITLEMENTS, &body)
        .expect(201)
        .string("token");
    let nosy = world().with_key(&token);
    for path in [
        "/v1/orgs/acme/services",
        "/v1/orgs/acme/members",
        "/v1/orgs/acme/entitlements",
        "/v1/events",
    ] {
        nosy.get(path).expect(403);
    }
}

#[test]
fn members_make_none_and_strangers_see_none() {
    let body = json!({ "name": unique("Sneaky"), "scopes": ["files:read"] });
    world()
        .with_key(&world().person("member").key)
        .post(ENTITLEMENTS, &body)
        .expect(403);
    world()
        .anonymous()
        .post(ENTITLEMENTS, &body)
        .expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .get(ENTITLEMENTS)
        .expect_401(NOT_PROVIDED);
    world()
        .owner()
        .get("/v1/orgs/nowhere/entitlements")
        .expect(404);
}
