//! `GET /user/tokens/` and `PUT /user/tokens/{slug_perm}/refresh/`: the user's own key, listed and reset.

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED};
use serde_json::{Value, json};

use crate::world::{Person, status_as, world};

/// The own key of a new person, and its permanent slug.
fn own_token() -> (Person, String, String) {
    let person = world().person("member");
    let body = json!({ "email": person.email, "password": person.password });
    let token = world()
        .anonymous()
        .post("/user/token/", &body)
        .expect(200)
        .string("token");
    let list = world().with_key(&token).get("/user/tokens/").expect(200);
    let slug = list.member("results")[0]["slug_perm"]
        .as_str()
        .expect("slug_perm")
        .to_owned();
    (person, token, slug)
}

#[test]
fn d0_10_the_list_masks_the_key() {
    let (_, token, _) = own_token();
    let list = world().with_key(&token).get("/user/tokens/").expect(200);
    assert_eq!(list.member("count"), 1);
    assert_eq!(
        (list.member("next"), list.member("previous")),
        (Value::Null, Value::Null)
    );
    let entry = &list.member("results")[0];
    assert!(
        entry["created"].is_string() && entry["key"].is_string(),
        "{list:?}"
    );
    assert!(
        !list.contains(&token) && !list.contains(&token[18..]),
        "the list tells the key"
    );
}

#[test]
fn d0_10_refresh_gives_a_new_key_and_ends_the_old_one_at_once() {
    let (_, token, slug) = own_token();
    let path = format!("/user/tokens/{slug}/refresh/");
    let new = world()
        .with_key(&token)
        .put(&path, &json!({}))
        .expect(200)
        .string("key");
    assert_ne!(new, token);
    world()
        .with_key(&token)
        .get("/user/self/")
        .expect_401(INVALID_TOKEN);
    assert_eq!(status_as(&new), 200);
}

#[test]
fn after_a_refresh_the_password_is_told_the_new_key() {
    let (person, token, slug) = own_token();
    let path = format!("/user/tokens/{slug}/refresh/");
    let new = world()
        .with_key(&token)
        .put(&path, &json!({}))
        .expect(200)
        .string("key");
    let body = json!({ "email": person.email, "password": person.password });
    assert_eq!(
        world()
            .anonymous()
            .post("/user/token/", &body)
            .expect(200)
            .string("token"),
        new
    );
}

#[test]
fn n110_another_users_token_is_not_there() {
    let (_, token, slug) = own_token();
    let stranger = world().person("member");
    let path = format!("/user/tokens/{slug}/refresh/");
    world()
        .with_key(&stranger.key)
        .put(&path, &json!({}))
        .expect(404);
    world().owner().put(&path, &json!({})).expect(404);
    assert_eq!(status_as(&token), 200);
}

#[test]
fn an_unknown_slug_is_404_and_a_stranger_401() {
    world()
        .owner()
        .put("/user/tokens/nothing-here/refresh/", &json!({}))
        .expect(404);
    world()
        .anonymous()
        .get("/user/tokens/")
        .expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .put("/user/tokens/nothing-here/refresh/", &json!({}))
        .expect_401(NOT_PROVIDED);
}
