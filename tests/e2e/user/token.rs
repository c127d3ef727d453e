//! `POST /user/token/`: the user's own key for an email and a password.

use keyledger_tests::{INVALID_PASSWORD, INVALID_TOKEN};
use serde_json::json;

use crate::world::{status_as, world};

#[test]
fn d0_9_it_is_made_once_and_told_again() {
    let person = world().person("member");
    let body = json!({ "email": person.email, "password": person.password });
    let token = world()
        .anonymous()
        .post("/user/token/", &body)
        .expect(200)
        .string("token");
    assert!(
        keyledger_tests::credential::is_well_formed(&token, "sk", "live"),
        "not a live user key"
    );
    assert_eq!(status_as(&token), 200);
    assert_eq!(
        world()
            .anonymous()
            .post("/user/token", &body)
            .expect(200)
            .string("token"),
        token
    );
}

#[test]
fn d0_9_a_wrong_password_is_not_told_it() {
    let person = world().person("member");
    let right = json!({ "email": person.email, "password": person.password });
    let token = world()
        .anonymous()
        .post("/user/token/", &right)
        .expect(200)
        .string("token");
    let wrong = json!({ "email": person.email, "password": "wrongpassword" });
    let refusal = world()
        .anonymous()
        .post("/user/token/", &wrong)
        .expect_401(INVALID_PASSWORD);
    assert!(!refusal.contains(&token), "the refusal tells the key");
    let stranger = json!({ "email": "nobody@example.com", "password": "wrongpassword" });
    let unknown = world()
        .anonymous()
        .post("/user/token/", &stranger)
        .expect_401(INVALID_PASSWORD);
    assert_eq!(unknown.likeness(), refusal.likeness());
}

#[test]
fn d0_9_basic_beside_the_body_must_name_the_same_user() {
    let (one, other) = (world().person("member"), world().person("member"));
    let body = json!({ "email": one.email, "password": one.password });
    world()
        .anonymous()
        .basic(&one.email, &one.password)
        .post("/user/token/", &body)
        .expect(200);
    world()
        .anonymous()
        .basic(&other.email, &other.password)
        .post("/user/token/", &body)
        .expect(400);
}

#[test]
fn a_wrong_credential_beside_the_body_is_refused() {
    let person = world().person("member");
    let body = json!({ "email": person.email, "password": person.password });
    world()
        .anonymous()
        .x_api_key("foobar")
        .post("/user/token/", &body)
        .expect_401(INVALID_TOKEN);
}

#[test]
fn a_body_without_its_fields_is_422_and_an_unreadable_one_400() {
    let nobody = world().anonymous();
    nobody
        .post("/user/token/", &json!({ "email": "a@example.com" }))
        .expect(422);
    nobody
        .post("/user/token/", &json!({ "email": 7, "password": true }))
        .expect(422);
    let unreadable = nobody
        .send_bytes("POST", "/user/token/", "application/json", b"{\"email\":")
        .unwrap();
    unreadable.expect(400);
}

#[test]
fn n84_a_key_is_not_taken_for_the_password() {
    let person = world().person("member");
    let body = json!({ "email": person.email, "password": person.key });
    world()
        .anonymous()
        .post("/user/token/", &body)
        .expect_401(INVALID_PASSWORD);
}

#[test]
fn n93_a_password_of_a_megabyte_is_refused_before_it_is_hashed() {
    let body = json!({ "email": "owner@example.com", "password": "x".repeat(1_000_000) });
    world()
        .anonymous()
        .post("/user/token/", &body)
        .expect_one_of(&[400, 413, 422]);
}
