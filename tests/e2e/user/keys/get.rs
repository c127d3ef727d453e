//! `GET /user/keys/{handle}`.

use keyledger_tests::NOT_PROVIDED;
use serde_json::json;

use crate::world::{make_key, unique, world};

#[test]
fn d2_3_the_password_gives_the_token_again() {
    let handle = unique("retrieved");
    let made = make_key(&world().owner(), &json!({ "handle": handle }));
    let again = world()
        .owner_by_password()
        .get(&format!("/user/keys/{handle}"))
        .expect(200);
    assert_eq!(again.string("token"), made.string("token"));
    assert_eq!(again.string("id"), made.string("id"));
}

#[test]
fn the_very_key_gives_itself_and_another_key_does_not() {
    let handle = unique("revealed");
    let token = make_key(&world().owner(), &json!({ "handle": handle })).string("token");
    let path = format!("/user/keys/{handle}");
    assert_eq!(
        world()
            .with_key(&token)
            .get(&path)
            .expect(200)
            .string("token"),
        token
    );
    let by_another_key = world().owner().get(&path).expect(200);
    assert!(
        !by_another_key.contains(&token),
        "a key reveals another key"
    );
    assert_eq!(by_another_key.string("handle"), handle);
}

#[test]
fn d2_3_an_unknown_handle_and_another_users_are_both_404() {
    let unknown = world().owner().get("/user/keys/never-made").expect(404);
    let handle = unique("private");
    make_key(
        &world().with_key(&world().person("member").key),
        &json!({ "handle": handle }),
    );
    let foreign = world()
        .owner()
        .get(&format!("/user/keys/{handle}"))
        .expect(404);
    assert_eq!(foreign.likeness(), unknown.likeness());
}

#[test]
fn a_stranger_is_401() {
    world()
        .anonymous()
        .get("/user/keys/never-made")
        .expect_401(NOT_PROVIDED);
}

#[test]
fn it_needs_the_scope() {
    let handle = unique("scoped-away");
    make_key(&world().owner(), &json!({ "handle": handle }));
    let narrow = world().with_key(&world().key_with_scopes(&["files:read"]));
    narrow
        .get(&format!("/user/keys/{handle}"))
        .expect_missing_scope("keys:read");
}
