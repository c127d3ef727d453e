//! `/login` and `/dashboard`: a password opens a session, and nothing else does.

use keyledger_tests::{Client, OWNER_EMAIL, OWNER_PASSWORD, Reply};
use serde_json::json;

use super::form::{filled, login_fields};
use crate::world::{Person, World, world};

/// A browser that was shown the login form: with the cookies it was given, and the form's fields.
fn at_the_form() -> (Client, Vec<(String, String)>) {
    at_the_form_of(&world().anonymous())
}

/// The same, of another server than the shared one.
pub(crate) fn at_the_form_of(nobody: &Client) -> (Client, Vec<(String, String)>) {
    let page = nobody.get("/login").expect(200);
    let fields = login_fields(&page);
    (with_cookies(nobody, &page), fields)
}

/// What somebody without cookies is answered who fills in the form of a server.
pub(crate) fn log_in(world: &World, stranger: &Client, email: &str, password: &str) -> Reply {
    let (browser, fields) = at_the_form_of(stranger);
    let fields = filled(filled(fields, "email", email), "password", password);
    let origin = format!("http://127.0.0.1:{}", world.server().port());
    browser
        .header("Origin", &origin)
        .post_form("/login", &fields)
}

/// A browser that is signed in there.
pub(crate) fn browser_of(world: &World, email: &str, password: &str) -> Client {
    let stranger = world.anonymous();
    let reply = log_in(world, &stranger, email, password).expect(303);
    with_cookies(&stranger, &reply)
}

pub(crate) fn with_cookies(browser: &Client, reply: &Reply) -> Client {
    let cookies = reply.headers("Set-Cookie");
    let pairs: Vec<&str> = cookies
        .iter()
        .filter_map(|cookie| cookie.split(';').next())
        .collect();
    if pairs.is_empty() {
        browser.clone()
    } else {
        browser.header("Cookie", &pairs.join("; "))
    }
}

fn origin() -> String {
    format!("http://127.0.0.1:{}", world().server().port())
}

pub(crate) fn is_signed_in(browser: &Client) -> bool {
    let page = browser.get("/dashboard");
    page.status() == 200 && !page.contains("name=\"password\"")
}

/// Sends the form as it was shown, filled in.
fn submit(browser: &Client, fields: Vec<(String, String)>, email: &str, password: &str) -> Reply {
    let fields = filled(filled(fields, "email", email), "password", password);
    browser
        .header("Origin", &origin())
        .post_form("/login", &fields)
}

pub(crate) fn signed_in(person: &Person) -> (Client, Reply) {
    signed_in_at(&world().anonymous(), &origin(), person)
}

/// The same, on the server that has this origin.
pub(crate) fn signed_in_at(nobody: &Client, origin: &str, person: &Person) -> (Client, Reply) {
    let (browser, fields) = at_the_form_of(nobody);
    let fields = filled(
        filled(fields, "email", &person.email),
        "password",
        &person.password,
    );
    let browser = browser.header("Origin", origin);
    let reply = browser.post_form("/login", &fields).expect(303);
    (with_cookies(nobody, &reply), reply)
}

/// The owner of a server of one's own, signed in.
pub(crate) fn owner_on(world: &World) -> Client {
    let page = world.anonymous().get("/login").expect(200);
    let fields = filled(login_fields(&page), "email", OWNER_EMAIL);
    let fields = filled(fields, "password", OWNER_PASSWORD);
    let browser = with_cookies(&world.anonymous(), &page);
    let reply = browser.post_form("/login", &fields).expect(303);
    with_cookies(&world.anonymous(), &reply)
}

#[test]
fn the_form_has_email_password_and_one_hidden_field() {
    let (_, fields) = at_the_form();
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        names.contains(&"email") && names.contains(&"password"),
        "{names:?}"
    );
    assert!(
        fields.iter().any(|(_, value)| value.len() >= 16),
        "no hidden CSRF value in {names:?}"
    );
}

#[test]
fn a_password_opens_a_session() {
    let (browser, _) = signed_in(&world().person("member"));
    assert!(is_signed_in(&browser));
}

#[test]
fn n98_the_session_cookie_is_bound_to_the_host_and_hidden_from_scripts() {
    let (_, reply) = signed_in(&world().person("member"));
    let session = reply
        .headers("Set-Cookie")
        .into_iter()
        .find(|cookie| cookie.starts_with("__Host-"));
    let session = session.expect("a __Host- cookie");
    for word in ["secure", "httponly", "path=/", "samesite="] {
        assert!(
            session.to_ascii_lowercase().contains(word),
            "the session cookie lacks {word}"
        );
    }
    assert!(
        !session.to_ascii_lowercase().contains("domain="),
        "the session cookie names a domain"
    );
}

#[test]
fn n98_disable_ends_the_session_at_once() {
    let person = world().person("member");
    let (browser, _) = signed_in(&person);
    assert!(is_signed_in(&browser));
    let member = format!("/v1/orgs/acme/members/{}", person.slug());
    let owner = world().owner();
    owner
        .patch(&member, &json!({ "disabled": true }))
        .expect(200);
    assert!(!is_signed_in(&browser));
    // Switched on again, they sign in again; the old cookie stays dead.
    owner
        .patch(&member, &json!({ "disabled": false }))
        .expect(200);
    assert!(!is_signed_in(&browser));
    assert!(is_signed_in(&signed_in(&person).0));
}

#[test]
fn a_stranger_does_not_see_the_dashboard() {
    let page = world().anonymous().get("/dashboard");
    assert!(!is_signed_in(&world().anonymous()), "{page:?}");
    assert!((200..500).contains(&page.status()), "{page:?}");
}

#[test]
fn d0_6_a_key_is_no_password_for_the_website() {
    let person = world().person("member");
    let (browser, fields) = at_the_form();
    let reply = submit(&browser, fields, &person.email, &person.key);
    assert!((200..500).contains(&reply.status()), "{reply:?}");
    assert!(!is_signed_in(&with_cookies(&browser, &reply)));
}

#[test]
fn d0_6_and_n103_a_key_in_a_header_is_no_session() {
    let person = world().person("member");
    let page = world().with_key(&person.key).get("/dashboard");
    assert!(
        page.headers("Set-Cookie")
            .iter()
            .all(|cookie| !cookie.starts_with("__Host-session")),
        "{page:?}"
    );
    assert!(!is_signed_in(&world().with_key(&person.key)));
    assert!(!is_signed_in(&world().anonymous().bearer(&person.key)));
}

#[test]
fn without_the_hidden_field_nothing_happens() {
    let person = world().person("member");
    let fields = [
        ("email".to_owned(), person.email.clone()),
        ("password".to_owned(), person.password.clone()),
    ];
    let reply = world()
        .anonymous()
        .header("Origin", &origin())
        .post_form("/login", &fields);
    assert!(
        !is_signed_in(&with_cookies(&world().anonymous(), &reply)),
        "{reply:?}"
    );
    let (browser, shown) = at_the_form();
    let spoilt: Vec<(String, String)> = shown
        .into_iter()
        .map(|(name, value)| {
            if value.len() >= 16 {
                (name, "0".repeat(value.len()))
            } else {
                (name, value)
            }
        })
        .collect();
    let reply = submit(&browser, spoilt, &person.email, &person.password);
    assert!(!is_signed_in(&with_cookies(&browser, &reply)), "{reply:?}");
}

#[test]
fn n100_a_form_sent_from_another_site_is_refused() {
    let person = world().person("member");
    let (browser, fields) = at_the_form();
    let fields = filled(
        filled(fields, "email", &person.email),
        "password",
        &person.password,
    );
    let foreign = browser
        .header("Origin", "https://evil.example")
        .post_form("/login", &fields)
        .expect(403);
    assert!(!is_signed_in(&with_cookies(&browser, &foreign)));
    let cross = browser
        .header("Sec-Fetch-Site", "cross-site")
        .post_form("/login", &fields)
        .expect(403);
    assert!(!is_signed_in(&with_cookies(&browser, &cross)));
}

#[test]
fn a_wrong_password_is_told_without_a_session() {
    let person = world().person("member");
    let (browser, fields) = at_the_form();
    let reply = submit(&browser, fields, &person.email, "not the passphrase");
    assert!(
        (200..500).contains(&reply.status()) && reply.status() != 303,
        "{reply:?}"
    );
    assert!(!is_signed_in(&with_cookies(&browser, &reply)));
}

#[test]
fn n103_a_key_posts_no_form_for_anybody() {
    let person = world().person("member");
    let (signed, _) = signed_in(&person);
    let (_, fields) = at_the_form();
    for client in [
        world().with_key(&person.key),
        world().anonymous().bearer(&person.key),
        world().anonymous().basic(&person.email, &person.password),
    ] {
        let reply = client
            .header("Origin", &origin())
            .post_form("/logout", &fields);
        reply.expect_one_of(&[303, 403]);
        let page = client.get("/dashboard");
        assert!(
            page.status() != 200 || !page.contains(&person.email),
            "{page:?}"
        );
    }
    assert!(is_signed_in(&signed), "somebody's key signed them out");
}
