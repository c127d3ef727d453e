//! `/v1/orgs/{org}/members`.

use keyledger_tests::{NOT_PROVIDED, OWNER_EMAIL};
use serde_json::json;

use crate::world::{unique, world};

const MEMBERS: &str = "/v1/orgs/acme/members";

fn newcomer(role: &str) -> serde_json::Value {
    json!({ "email": format!("{}@example.com", unique("newcomer")), "password": "a long passphrase 1234", "role": role })
}

#[test]
fn each_role_can_be_given_by_an_owner() {
    for role in ["member", "manager", "owner"] {
        let body = newcomer(role);
        world().owner().post(MEMBERS, &body).expect(201);
        let email = body["email"].as_str().expect("an email");
        assert!(world().owner().get(MEMBERS).expect(200).contains(email));
        let them = world()
            .anonymous()
            .basic(email, "a long passphrase 1234")
            .get("/user")
            .expect(200);
        assert_eq!(
            them.member("organizations"),
            json!([{ "slug": "acme", "role": role }])
        );
    }
}

#[test]
fn without_a_password_it_is_an_invitation() {
    let email = format!("{}@example.com", unique("invited"));
    world()
        .owner()
        .post(MEMBERS, &json!({ "email": email, "role": "member" }))
        .expect(201);
}

#[test]
fn n95_an_address_in_another_spelling_is_the_same_account() {
    let body = newcomer("member");
    world().owner().post(MEMBERS, &body).expect(201);
    world().owner().post(MEMBERS, &body).expect(409);
    let mut shouting = body.clone();
    shouting["email"] = json!(body["email"].as_str().expect("an email").to_uppercase());
    world().owner().post(MEMBERS, &shouting).expect(409);
}

#[test]
fn what_cannot_be_is_422_and_names_the_field() {
    world()
        .owner()
        .post(
            MEMBERS,
            &json!({ "role": "member", "password": "a long passphrase 1234" }),
        )
        .expect_field("email");
    let mut body = newcomer("member");
    body["email"] = json!("not an address");
    world().owner().post(MEMBERS, &body).expect_field("email");
    world()
        .owner()
        .post(MEMBERS, &newcomer("emperor"))
        .expect_field("role");
    let mut short = newcomer("member");
    short["password"] = json!("short");
    world()
        .owner()
        .post(MEMBERS, &short)
        .expect_field("password");
}

#[test]
fn n109_a_manager_makes_no_owner() {
    let manager = world().with_key(&world().person("manager").key);
    let body = newcomer("owner");
    manager.post(MEMBERS, &body).expect(403);
    assert!(
        !world()
            .owner()
            .get(MEMBERS)
            .expect(200)
            .contains(body["email"].as_str().expect("an email"))
    );
    manager.post(MEMBERS, &newcomer("manager")).expect(201);
}

#[test]
fn n109_a_member_makes_nobody() {
    let member = world().with_key(&world().person("member").key);
    for role in ["member", "manager", "owner"] {
        member.post(MEMBERS, &newcomer(role)).expect(403);
    }
}

#[test]
fn n109_a_manager_does_not_take_over_an_owners_account() {
    let manager = world().with_key(&world().person("manager").key);
    let body =
        json!({ "email": OWNER_EMAIL, "password": "chosen by the manager", "role": "member" });
    manager.post(MEMBERS, &body).expect_one_of(&[403, 409]);
    world()
        .anonymous()
        .basic(OWNER_EMAIL, "chosen by the manager")
        .get("/v1/me")
        .expect(401);
    world().owner_by_password().get("/v1/me").expect(200);
}

#[test]
fn a_list_holds_no_password() {
    let list = world().owner().get(MEMBERS).expect(200);
    assert!(
        !list.contains("argon2") && !list.contains("\"password"),
        "{list:?}"
    );
}

#[test]
fn a_stranger_is_401_and_another_organisation_404() {
    world().anonymous().get(MEMBERS).expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .post(MEMBERS, &newcomer("owner"))
        .expect_401(NOT_PROVIDED);
    world().owner().get("/v1/orgs/nowhere/members").expect(404);
}
