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
        let path = format!("{MEMBERS}?limit=1000");
        assert!(world().owner().get(&path).expect(200).contains(email));
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
    let email = body["email"].as_str().expect("an email");
    for same in [
        email.to_uppercase(),
        format!("{email}."),
        format!(" {email} "),
    ] {
        shouting["email"] = json!(same);
        world()
            .owner()
            .post(MEMBERS, &shouting)
            .expect_one_of(&[409, 422]);
    }
    // Letters that look like others, in either normal form, make no second account.
    for look_alike in ["e\u{301}", "\u{e9}", "\u{435}", "\u{ff45}", "\u{200b}e"] {
        shouting["email"] = json!(email.replacen('e', look_alike, 1));
        world()
            .owner()
            .post(MEMBERS, &shouting)
            .expect_field("email");
    }
    let list = world()
        .owner()
        .get("/v1/orgs/acme/members?limit=1000")
        .expect(200);
    assert_eq!(list.text().matches(email).count(), 1, "one account");
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
            .get(&format!("{MEMBERS}?limit=1000"))
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
fn a_stranger_is_401_and_another_organization_404() {
    world().anonymous().get(MEMBERS).expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .post(MEMBERS, &newcomer("owner"))
        .expect_401(NOT_PROVIDED);
    world().owner().get("/v1/orgs/nowhere/members").expect(404);
}

#[test]
fn n109_a_manager_neither_edits_nor_removes_an_owner() {
    let manager = world().with_key(&world().person("manager").key);
    let page = world()
        .owner()
        .get("/v1/orgs/acme/members?limit=1000")
        .expect(200);
    let members = page.json()["items"].as_array().cloned().unwrap_or_default();
    let owner = members.iter().find(|member| member["email"] == OWNER_EMAIL);
    let id = owner
        .and_then(|owner| owner["id"].as_str())
        .expect("the owner");
    let path = format!("{MEMBERS}/{id}");
    for role in ["member", "manager", "owner"] {
        manager.patch(&path, &json!({ "role": role })).expect(403);
    }
    manager.delete(&path).expect(403);
    let kept = world().owner().get(&path).expect(200);
    assert_eq!(kept.string("role"), "owner");
}

#[test]
fn n109_an_organization_keeps_its_last_owner() {
    let (slug, owner) = world().owners_other_org();
    let them = world().with_key(&owner.key);
    let members = format!("/v1/orgs/{slug}/members");
    // Who made it is an owner too: with one of them gone, the other is the last.
    let page = them.get(&members).expect(200).json();
    let id = |email: &str| {
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let member = items.iter().find(|member| member["email"] == email);
        let id = member.and_then(|member| member["id"].as_str());
        id.expect("a member").to_owned()
    };
    let (maker, last) = (id(OWNER_EMAIL), id(&owner.email));
    them.delete(&format!("{members}/{maker}")).expect(204);
    them.patch(&format!("{members}/{last}"), &json!({ "role": "member" }))
        .expect(409);
    let by_password = world().anonymous().basic(&owner.email, &owner.password);
    by_password.delete(&format!("{members}/{last}")).expect(409);
    them.delete(&format!("{members}/{last}"))
        .expect_one_of(&[403, 409]);
    assert!(them.get(&members).expect(200).contains("\"owner\""));
}
