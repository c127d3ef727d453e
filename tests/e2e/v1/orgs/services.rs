//! `/v1/orgs/{org}/services`, which is also `/orgs/{org}/services/`.

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED, OWNER_EMAIL, credential};
use serde_json::json;

use crate::world::{status_as, unique, world};

const SERVICES: &str = "/v1/orgs/acme/services";

fn path_of(slug: &str) -> String {
    format!("{SERVICES}/{slug}")
}

#[test]
fn d1_1_it_is_made_with_its_key_shown_this_once() {
    let team = world()
        .owner()
        .post("/v1/orgs/acme/teams", &json!({ "name": unique("Team") }))
        .expect(201)
        .string("slug");
    let name = unique("CI Pipeline");
    let body = json!({ "name": name, "description": "pushes releases", "teams": [team] });
    let made = world().owner().post(SERVICES, &body).expect(201);
    assert_eq!(
        (made.string("name"), made.string("description")),
        (name, "pushes releases".to_owned())
    );
    assert!(made.member("teams").to_string().contains(&team));
    assert!(!made.string("role").is_empty() && !made.string("created_at").is_empty());
    assert!(!made.member("created_by").is_null());
    let key = made.string("key");
    assert!(
        credential::is_well_formed(&key, "sv", "live"),
        "not a live service key"
    );
    assert_eq!(status_as(&key), 200);

    let slug = made.string("slug");
    let again = world().owner_by_password().get(&path_of(&slug)).expect(200);
    assert_eq!(again.string("slug"), slug);
    for shown in [
        again,
        world().owner().get(SERVICES).expect(200),
        world().owner().get("/orgs/acme/services/").expect(200),
    ] {
        assert!(shown.contains(&slug), "{shown:?}");
        assert!(
            !shown.contains(&key) && !shown.contains(&key[18..61]),
            "the key is shown again"
        );
    }
}

#[test]
fn d1_2_members_services_and_entitlements_make_none() {
    let body = json!({ "name": unique("Sneaky") });
    let member = world().with_key(&world().person("member").key);
    member.post(SERVICES, &body).expect(403);
    world()
        .with_key(&world().service().string("key"))
        .post(SERVICES, &body)
        .expect(403);
    let entitlement = json!({ "name": unique("Reader"), "scopes": ["files:read"] });
    let token = world()
        .owner()
        .post("/v1/orgs/acme/entitlements", &entitlement)
        .expect(201)
        .string("token");
    world().with_key(&token).post(SERVICES, &body).expect(403);
    let manager = world().with_key(&world().person("manager").key);
    manager
        .post(SERVICES, &json!({ "name": unique("Managed") }))
        .expect(201);
}

#[test]
fn d1_2_a_member_neither_refreshes_nor_deletes_one() {
    let service = world().service();
    let member = world().with_key(&world().person("member").key);
    let path = path_of(&service.string("slug"));
    member
        .post(&format!("{path}/refresh"), &json!({}))
        .expect(403);
    member.delete(&path).expect(403);
    assert_eq!(status_as(&service.string("key")), 200);
}

#[test]
fn d1_3_a_name_is_required_and_teams_must_exist() {
    for body in [json!({}), json!({ "name": "" }), json!({ "name": "  " })] {
        world().owner().post(SERVICES, &body).expect_field("name");
    }
    world()
        .owner()
        .post(
            SERVICES,
            &json!({ "name": unique("Lost"), "teams": ["nowhere"] }),
        )
        .expect_field("teams");
}

#[test]
fn d1_7_refresh_ends_the_old_key_at_once() {
    let service = world().service();
    let slug = service.string("slug");
    let refreshed = world()
        .owner()
        .post(&format!("{}/refresh", path_of(&slug)), &json!({}))
        .expect(200);
    assert_eq!(refreshed.string("slug"), slug);
    let new = refreshed.string("key");
    world()
        .with_key(&service.string("key"))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    assert_eq!(status_as(&new), 200);
}

#[test]
fn d1_8_a_deleted_one_is_gone_with_its_key() {
    let service = world().service();
    let path = path_of(&service.string("slug"));
    world().owner().delete(&path).expect(204);
    world()
        .with_key(&service.string("key"))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    world().owner().get(&path).expect(404);
    world()
        .owner()
        .post(&format!("{path}/refresh"), &json!({}))
        .expect(404);
    world().owner().delete(&path).expect(404);
}

#[test]
fn d1_5_it_is_not_tied_to_who_made_it() {
    let service = world().service();
    let me = world()
        .with_key(&service.string("key"))
        .get("/v1/me")
        .expect(200);
    assert!(!me.contains(OWNER_EMAIL), "{me:?}");
}

#[test]
fn n111_a_body_chooses_neither_slug_key_nor_maker() {
    let extras = json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "key": credential::forged("sv", "live", "000000000"),
        "created_by": "somebody",
        "created_at": "2001-01-01T00:00:00Z",
        "org_id": "other",
        "is_admin": true,
    });
    for (name, value) in extras.as_object().expect("an object") {
        let body = json!({ "name": unique("Greedy"), name: value });
        let reply = world()
            .owner()
            .post(SERVICES, &body)
            .expect_one_of(&[201, 422]);
        assert!(
            reply.status() == 422 || reply.member(name) != *value,
            "{name} was taken from the body"
        );
    }
}

#[test]
fn a_stranger_is_401_and_another_organization_404() {
    world().anonymous().get(SERVICES).expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .post(SERVICES, &json!({ "name": "X" }))
        .expect_401(NOT_PROVIDED);
    world().owner().get("/v1/orgs/nowhere/services").expect(404);
    world().owner().get(&path_of("never-made")).expect(404);
}
