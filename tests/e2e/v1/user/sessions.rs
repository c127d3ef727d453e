//! `DELETE /v1/user/sessions`.

use keyledger_tests::NOT_PROVIDED;

use crate::pages::login::{is_signed_in, signed_in};
use crate::world::world;

const PATH: &str = "/v1/user/sessions";

#[test]
fn n98_logging_out_everywhere_ends_every_session_and_no_key() {
    let person = world().person("member");
    let (first, _) = signed_in(&person);
    let (second, _) = signed_in(&person);
    let (other, _) = signed_in(&world().person("member"));
    let themselves = world().anonymous().basic(&person.email, &person.password);
    themselves.delete(PATH).expect(204);
    assert!(!is_signed_in(&first));
    assert!(!is_signed_in(&second));
    assert!(is_signed_in(&other), "somebody else was signed out too");
    world().with_key(&person.key).get("/v1/me").expect(200);
    themselves.delete(PATH).expect(204);
    let (again, _) = signed_in(&person);
    assert!(is_signed_in(&again));
}

#[test]
fn n103_neither_a_key_nor_a_stranger_signs_somebody_out() {
    let person = world().person("member");
    let (browser, _) = signed_in(&person);
    world().with_key(&person.key).delete(PATH).expect(403);
    world().anonymous().delete(PATH).expect_401(NOT_PROVIDED);
    // The cookie of the pages is no credential of the API.
    browser.delete(PATH).expect_401(NOT_PROVIDED);
    assert!(is_signed_in(&browser));
}
