//! `/v1/invitations/accept`.

use keyledger_tests::{Client, INVALID_PASSWORD, NOT_PROVIDED, Reply};
use serde_json::{Value, json};

use crate::world::{unique, world};

const ACCEPT: &str = "/v1/invitations/accept";
const PASSWORD: &str = "a long passphrase 1234";

/// The members of an organization; where they are invited.
fn members(org: &str) -> String {
    format!("/v1/orgs/{org}/members")
}

/// Invites an address into `org`; the invitation's id and token.
fn invite(inviter: &Client, org: &str, email: &str) -> (String, String) {
    let body = json!({ "email": email, "role": "member" });
    let answer = inviter.post(&members(org), &body).expect(201);
    let invitation = answer.member("invitation");
    let text = |name: &str| invitation[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

/// An address that nobody has an account at, invited into `acme`; the address and the token.
fn newcomer() -> (String, String) {
    let email = format!("{}@example.com", unique("invited"));
    let (_, token) = invite(&world().owner(), "acme", &email);
    (email, token)
}

fn with_password(token: &str) -> Value {
    json!({ "token": token, "password": PASSWORD })
}

/// Follows an invitation without showing who one is.
fn follow(body: &Value) -> Reply {
    world().anonymous().post(ACCEPT, body)
}

/// The slugs of the organizations that somebody is in.
fn organizations(client: &Client) -> Vec<String> {
    let them = client.get("/user").expect(200).member("organizations");
    let them = them.as_array().expect("a list");
    let slugs = them.iter().filter_map(|org| org["slug"].as_str());
    slugs.map(str::to_owned).collect()
}

#[test]
fn a_newcomer_chooses_a_password_and_can_log_in() {
    let (email, token) = newcomer();
    let themselves = world().anonymous().basic(&email, PASSWORD);
    themselves.get("/user").expect_401(INVALID_PASSWORD);
    let accepted = follow(&with_password(&token)).expect(201);
    assert_eq!(
        (accepted.string("organization"), accepted.string("email")),
        ("acme".to_owned(), email)
    );
    assert_eq!(accepted.string("role"), "member");
    assert!(!accepted.contains(PASSWORD), "the answer tells no password");
    assert_eq!(organizations(&themselves), ["acme"]);
}

#[test]
fn whoever_has_an_account_gets_in_as_themselves() {
    let person = world().person("member");
    let (org, owner) = world().other_org();
    let (_, token) = invite(&world().with_key(&owner.key), &org, &person.email);
    let themselves = world().with_key(&person.key);
    assert_eq!(organizations(&themselves), ["acme"]);
    themselves
        .post(ACCEPT, &json!({ "token": token }))
        .expect(201);
    let mut both = organizations(&themselves);
    both.sort();
    assert_eq!(both, ["acme".to_owned(), org]);
}

#[test]
fn n115_an_invitation_of_an_existing_account_is_nobody_elses() {
    let invited = world().person("member");
    let somebody_else = world().person("member");
    let (org, owner) = world().other_org();
    let (_, token) = invite(&world().with_key(&owner.key), &org, &invited.email);
    // With somebody else's credentials it is not found, whatever the body says.
    for body in [json!({ "token": token }), with_password(&token)] {
        world()
            .with_key(&somebody_else.key)
            .post(ACCEPT, &body)
            .expect(404);
    }
    // Nor does the token alone, as nobody, open the account or set its password.
    for body in [json!({ "token": token }), with_password(&token)] {
        follow(&body).expect_401(NOT_PROVIDED);
    }
    world()
        .anonymous()
        .basic(&invited.email, PASSWORD)
        .get("/user")
        .expect_401(INVALID_PASSWORD);
    assert_eq!(organizations(&world().with_key(&invited.key)), ["acme"]);
    assert_eq!(
        organizations(&world().with_key(&somebody_else.key)),
        ["acme"]
    );
}

#[test]
fn n115_it_is_good_once() {
    let (email, token) = newcomer();
    follow(&with_password(&token)).expect(201);
    let again = json!({ "token": token, "password": "quite another passphrase" });
    follow(&again).expect(404);
    let password = |password| world().anonymous().basic(&email, password).get("/user");
    password(PASSWORD).expect(200);
    password("quite another passphrase").expect_401(INVALID_PASSWORD);
}

#[test]
fn a_token_that_is_none_is_404() {
    let (_, token) = newcomer();
    let (_, of_another) = newcomer();
    // The head of one with the secret of the other: it fails the checksum, as any slip does.
    let mixed = format!("{}{}", &token[..20], &of_another[20..]);
    let forged = keyledger_tests::credential::forged(
        token.split('_').next().expect("a kind"),
        "live",
        keyledger_tests::credential::id_of(&token),
    );
    for wrong in ["", "nothing", mixed.as_str(), forged.as_str()] {
        follow(&with_password(wrong)).expect(404);
    }
    // None of that spent it.
    follow(&with_password(&token)).expect(201);
}

#[test]
fn a_field_that_is_not_right_is_422_and_does_not_spend_it() {
    let (_, token) = newcomer();
    follow(&json!({ "password": PASSWORD })).expect_field("token");
    follow(&json!({ "token": token })).expect_field("password");
    follow(&json!({ "token": token, "password": "7 chars" })).expect_field("password");
    follow(&with_password(&token)).expect(201);
}

#[test]
fn n115_one_that_was_revoked_is_404() {
    let email = format!("{}@example.com", unique("invited"));
    let (id, token) = invite(&world().owner(), "acme", &email);
    let path = format!("/v1/orgs/acme/invitations/{id}");
    world().owner().delete(&path).expect(204);
    follow(&with_password(&token)).expect(404);
    world()
        .anonymous()
        .basic(&email, PASSWORD)
        .get("/user")
        .expect_401(INVALID_PASSWORD);
}
