//! `/v1/orgs/{org}/teams`.

use keyledger_tests::NOT_PROVIDED;
use serde_json::json;

use crate::world::{unique, world};

const TEAMS: &str = "/v1/orgs/acme/teams";

#[test]
fn a_name_makes_a_slug() {
    let name = unique("Build And Release");
    let team = world()
        .owner()
        .post(TEAMS, &json!({ "name": name }))
        .expect(201);
    assert_eq!(team.string("name"), name);
    assert_eq!(team.string("slug"), name.to_lowercase().replace(' ', "-"));
    assert!(
        world()
            .owner()
            .get(TEAMS)
            .expect(200)
            .contains(&team.string("slug"))
    );
}

#[test]
fn a_name_is_required() {
    for body in [json!({}), json!({ "name": "" }), json!({ "name": "   " })] {
        world().owner().post(TEAMS, &body).expect_field("name");
    }
}

#[test]
fn a_member_makes_none() {
    let member = world().with_key(&world().person("member").key);
    member
        .post(TEAMS, &json!({ "name": unique("Sneaky") }))
        .expect(403);
    let manager = world().with_key(&world().person("manager").key);
    manager
        .post(TEAMS, &json!({ "name": unique("Managed") }))
        .expect(201);
}

#[test]
fn a_stranger_is_401_and_another_organization_404() {
    world().anonymous().get(TEAMS).expect_401(NOT_PROVIDED);
    world().owner().get("/v1/orgs/nowhere/teams").expect(404);
    world()
        .owner()
        .post("/v1/orgs/nowhere/teams", &json!({ "name": "X" }))
        .expect(404);
}
