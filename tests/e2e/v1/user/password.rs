//! `POST /v1/user/password`.

use keyledger_tests::{INVALID_PASSWORD, NOT_PROVIDED};
use serde_json::json;

use crate::pages::login::{is_signed_in, signed_in};
use crate::world::{status_as, world};

const PATH: &str = "/v1/user/password";
const NEW: &str = "quite another passphrase";

#[test]
fn the_old_password_sets_a_new_one() {
    let person = world().person("member");
    let old = world().anonymous().basic(&person.email, &person.password);
    let new = world().anonymous().basic(&person.email, NEW);
    new.get("/v1/me").expect_401(INVALID_PASSWORD);
    old.post(PATH, &json!({ "password": NEW })).expect(204);
    old.get("/v1/me").expect_401(INVALID_PASSWORD);
    new.get("/v1/me").expect(200);
    assert_eq!(status_as(&person.key), 200, "keys live on");
}

#[test]
fn sessions_end_with_the_old_password() {
    let person = world().person("member");
    let (browser, _) = signed_in(&person);
    assert!(is_signed_in(&browser));
    world()
        .anonymous()
        .basic(&person.email, &person.password)
        .post(PATH, &json!({ "password": NEW }))
        .expect(204);
    assert!(!is_signed_in(&browser));
}

#[test]
fn a_key_changes_no_password() {
    let person = world().person("owner");
    world()
        .with_key(&person.key)
        .post(PATH, &json!({ "password": NEW }))
        .expect(403);
    let with = |password| world().anonymous().basic(&person.email, password);
    with(NEW).get("/v1/me").expect_401(INVALID_PASSWORD);
    with(&person.password).get("/v1/me").expect(200);
}

#[test]
fn who_asks_is_told_before_what_is_wrong() {
    let person = world().person("member");
    let themselves = world().anonymous().basic(&person.email, &person.password);
    for short in [json!({}), json!({ "password": "7 chars" })] {
        world()
            .anonymous()
            .post(PATH, &short)
            .expect_401(NOT_PROVIDED);
        world().with_key(&person.key).post(PATH, &short).expect(403);
        themselves.post(PATH, &short).expect_field("password");
    }
    themselves.get("/v1/me").expect(200);
}
