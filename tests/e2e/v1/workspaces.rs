//! `/v1/workspaces` and `/v1/workspaces/{slug}/members`: the organizations that the caller sees.

use keyledger_tests::{NOT_PROVIDED, OWNER_EMAIL};
use serde_json::json;

use crate::world::{unique, world};

#[test]
fn d4_2_the_scope_opens_the_list() {
    let reader = world().with_key(&world().key_with_scopes(&["workspaces:read"]));
    assert!(
        reader
            .get("/v1/workspaces")
            .expect(200)
            .contains("\"acme\"")
    );
}

#[test]
fn d4_2_without_it_403_names_the_scope_twice() {
    let narrow = world().with_key(&world().key_with_scopes(&["files:read"]));
    let refusal = narrow
        .get("/v1/workspaces")
        .expect_missing_scope("workspaces:read");
    let challenge = refusal
        .header("WWW-Authenticate")
        .expect("a challenge (RFC 6750 §3.1)");
    assert!(
        challenge.contains("insufficient_scope") && challenge.contains("workspaces:read"),
        "{challenge}"
    );
}

#[test]
fn making_one_needs_the_scope_for_it() {
    let reader = world().with_key(&world().key_with_scopes(&["workspaces:read"]));
    reader
        .post("/v1/workspaces", &json!({ "name": "Refused" }))
        .expect_missing_scope("workspaces:write");
}

#[test]
fn who_makes_one_owns_it() {
    let name = unique("Made");
    let slug = world()
        .owner()
        .post("/v1/workspaces", &json!({ "name": name }))
        .expect(201)
        .string("slug");
    assert!(
        world()
            .owner()
            .get("/v1/workspaces")
            .expect(200)
            .contains(&slug)
    );
    let organizations = world()
        .owner()
        .get("/user")
        .expect(200)
        .member("organizations");
    let made = organizations
        .as_array()
        .expect("a list")
        .iter()
        .find(|org| org["slug"] == slug.as_str());
    assert_eq!(made.expect("the new one")["role"], "owner");
}

#[test]
fn n110_only_those_that_the_caller_is_in_are_listed() {
    let (slug, person) = world().other_org();
    let list = world()
        .with_key(&person.key)
        .get("/v1/workspaces")
        .expect(200);
    assert!(
        list.contains(&slug) && !list.contains("\"acme\""),
        "{list:?}"
    );
}

#[test]
fn members_need_their_scope() {
    let reader = world().with_key(&world().key_with_scopes(&["users:read"]));
    // The tests have made more of them than a page has where nothing is said.
    assert!(
        reader
            .get("/v1/workspaces/acme/members?limit=1000")
            .expect(200)
            .contains(OWNER_EMAIL)
    );
    let narrow = world().with_key(&world().key_with_scopes(&["workspaces:read"]));
    narrow
        .get("/v1/workspaces/acme/members")
        .expect_missing_scope("users:read");
    let body = json!({ "email": "refused@example.com", "password": "a long passphrase 1234", "role": "member" });
    reader
        .post("/v1/workspaces/acme/members", &body)
        .expect_missing_scope("users:write");
}

#[test]
fn unknown_is_404_and_a_stranger_401() {
    world()
        .owner()
        .get("/v1/workspaces/nowhere/members")
        .expect(404);
    world()
        .anonymous()
        .get("/v1/workspaces")
        .expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .get("/v1/workspaces/acme/members")
        .expect_401(NOT_PROVIDED);
}
