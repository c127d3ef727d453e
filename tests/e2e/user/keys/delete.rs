//! `DELETE /user/keys/{handle}`.

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED};
use serde_json::json;

use crate::world::{make_key, status_as, unique, world};

#[test]
fn d2_5_the_token_stops_at_once_and_the_key_is_gone() {
    let handle = unique("deleted");
    let path = format!("/user/keys/{handle}");
    let token = make_key(&world().owner(), &json!({ "handle": handle })).string("token");
    assert_eq!(status_as(&token), 200);
    world().owner().delete(&path).expect(204);
    world()
        .anonymous()
        .bearer(&token)
        .get("/user")
        .expect_401(INVALID_TOKEN);
    world().owner().get(&path).expect(404);
    world().owner().delete(&path).expect(404);
    assert!(
        !world()
            .owner()
            .get("/user/keys")
            .expect(200)
            .contains(&format!("\"{handle}\""))
    );
}

#[test]
fn d0_13_an_empty_object_as_body_is_tolerated() {
    let handle = unique("deleted-with-body");
    make_key(&world().owner(), &json!({ "handle": handle }));
    world()
        .owner()
        .any("DELETE", &format!("/user/keys/{handle}"), Some(&json!({})))
        .expect(204);
}

#[test]
fn a_key_can_delete_itself() {
    let handle = unique("suicidal");
    let token = make_key(&world().owner(), &json!({ "handle": handle })).string("token");
    world()
        .with_key(&token)
        .delete(&format!("/user/keys/{handle}"))
        .expect(204);
    world()
        .with_key(&token)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn another_users_key_is_404_and_stays() {
    let handle = unique("foreign");
    let token = make_key(&world().owner(), &json!({ "handle": handle })).string("token");
    let stranger = world().with_key(&world().person("manager").key);
    stranger.delete(&format!("/user/keys/{handle}")).expect(404);
    assert_eq!(status_as(&token), 200);
}

#[test]
fn unknown_is_404_and_a_stranger_401() {
    world().owner().delete("/user/keys/never-made").expect(404);
    world()
        .anonymous()
        .delete("/user/keys/never-made")
        .expect_401(NOT_PROVIDED);
}
