//! `GET /user/keys`.

use keyledger_tests::NOT_PROVIDED;
use serde_json::json;

use crate::world::{make_key, unique, world};

#[test]
fn d2_3_it_names_every_key() {
    let person = world().person("member");
    let themselves = world().with_key(&person.key);
    let handle = unique("listed");
    make_key(
        &themselves,
        &json!({ "handle": handle, "alias": "The listed one" }),
    );
    let list = themselves.get("/user/keys").expect(200);
    assert!(
        list.contains(&handle) && list.contains("The listed one"),
        "{list:?}"
    );
}

#[test]
fn n87_a_list_holds_no_secret_in_any_form() {
    let person = world().person("member");
    let themselves = world().anonymous().basic(&person.email, &person.password);
    let token = make_key(&themselves, &json!({ "handle": unique("masked") })).string("token");
    let list = themselves.get("/user/keys").expect(200);
    assert!(
        !list.contains(&token) && !list.contains(&token[18..61]),
        "the list tells a key"
    );
    for word in ["digest", "sealed", "ciphertext", "hash", "mac"] {
        assert!(
            !list.contains(&format!("\"{word}\"")),
            "the list has a member {word}"
        );
    }
}

#[test]
fn n87_no_list_of_any_kind_holds_a_secret() {
    let owner = world().owner();
    let service = world().service();
    let body = json!({ "name": unique("Listed"), "scopes": ["files:read"] });
    let entitlement = owner.post("/v1/orgs/acme/entitlements", &body).expect(201);
    let body = json!({ "email": format!("{}@example.com", unique("listed")), "role": "member" });
    let invited = owner.post("/v1/orgs/acme/members", &body).expect(201);
    let invitation = invited.member("invitation")["token"].clone();
    let secrets = [
        service.string("key"),
        entitlement.string("token"),
        invitation.as_str().expect("a token").to_owned(),
    ];
    for path in [
        "/v1/orgs/acme/services".to_owned(),
        format!("/v1/orgs/acme/services/{}", service.string("slug")),
        "/v1/orgs/acme/entitlements".to_owned(),
        format!("/v1/orgs/acme/entitlements/{}", entitlement.string("id")),
        "/v1/orgs/acme/invitations".to_owned(),
        "/v1/orgs/acme/members".to_owned(),
        "/user/tokens".to_owned(),
        "/v1/events".to_owned(),
    ] {
        let pages = owner.get(&format!("{path}?limit=1000"));
        let list = if pages.status() == 200 {
            pages
        } else {
            owner.get(&path).expect(200)
        };
        for secret in &secrets {
            assert!(!list.contains(&secret[18..61]), "{path} tells a secret");
        }
        for word in [
            "digest",
            "sealed",
            "ciphertext",
            "hash",
            "mac",
            "pepper_version",
            "tag",
        ] {
            assert!(
                !list.contains(&format!("\"{word}\"")),
                "{path} has a member {word}"
            );
        }
    }
}

#[test]
fn another_users_keys_are_not_in_it() {
    let handle = unique("hidden");
    make_key(
        &world().with_key(&world().person("member").key),
        &json!({ "handle": handle }),
    );
    assert!(
        !world()
            .owner()
            .get("/user/keys")
            .expect(200)
            .contains(&handle)
    );
}

#[test]
fn a_stranger_is_401() {
    world()
        .anonymous()
        .get("/user/keys")
        .expect_401(NOT_PROVIDED);
}
