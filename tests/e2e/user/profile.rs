//! `GET /user`.

use keyledger_tests::{NOT_PROVIDED, OWNER_EMAIL};

use crate::world::world;

#[test]
fn d2_4_it_tells_who_the_key_belongs_to() {
    let user = world().owner().get("/user").expect(200);
    assert_eq!(user.string("email"), OWNER_EMAIL);
    user.string("id");
    user.string("slug");
    assert!(user.json().get("name").is_some());
    let organizations = user.member("organizations");
    let acme = organizations
        .as_array()
        .expect("a list")
        .iter()
        .find(|org| org["slug"] == "acme");
    assert_eq!(acme.expect("acme")["role"], "owner");
}

#[test]
fn a_trailing_slash_never_matters_and_never_redirects() {
    for path in [
        "/user",
        "/user/",
        "/v1/me/",
        "/user/keys/",
        "/user/self",
        "/v1/orgs/acme/services/",
    ] {
        world().owner().get(path).expect(200);
    }
}

#[test]
fn d2_4_anonymous_is_401() {
    world().anonymous().get("/user").expect_401(NOT_PROVIDED);
}
