//! Number 110: what belongs to another organization is not there.

use serde_json::{Value, json};

use crate::world::{status_as, unique, world};

#[test]
fn n110_another_organizations_things_are_404_like_what_never_was() {
    let (_, person) = world().other_org();
    let stranger = world().with_key(&person.key);
    let service = world().service();
    let slug = service.string("slug");
    let entitlement = json!({ "name": unique("Theirs"), "scopes": ["files:read"] });
    let entitlement = world()
        .owner()
        .post("/v1/orgs/acme/entitlements", &entitlement)
        .expect(201);
    let id = entitlement.string("id");
    let newcomer = json!({ "email": "intruder@example.com", "password": "a long passphrase 1234", "role": "owner" });
    let tries: [(&str, String, Value); 12] = [
        ("GET", "services".into(), Value::Null),
        ("POST", "services".into(), json!({ "name": "Intruder" })),
        ("GET", format!("services/{slug}"), Value::Null),
        ("POST", format!("services/{slug}/refresh"), json!({})),
        ("DELETE", format!("services/{slug}"), Value::Null),
        ("GET", "teams".into(), Value::Null),
        ("POST", "teams".into(), json!({ "name": "Intruder" })),
        ("GET", "members".into(), Value::Null),
        ("POST", "members".into(), newcomer),
        ("GET", "entitlements".into(), Value::Null),
        ("GET", format!("entitlements/{id}"), Value::Null),
        ("DELETE", format!("entitlements/{id}"), Value::Null),
    ];
    for (method, rest, body) in tries {
        let body = Some(&body).filter(|body| !body.is_null());
        let foreign = stranger
            .any(method, &format!("/v1/orgs/acme/{rest}"), body)
            .expect(404);
        let nowhere = stranger
            .any(method, &format!("/v1/orgs/never-made/{rest}"), body)
            .expect(404);
        assert_eq!(
            foreign.likeness(),
            nowhere.likeness(),
            "{method} {rest} tells that acme is there"
        );
    }
    stranger.get("/v1/workspaces/acme/members").expect(404);
    assert_eq!(status_as(&service.string("key")), 200);
    assert_eq!(status_as(&entitlement.string("token")), 200);
}

#[test]
fn n110_another_organizations_team_is_not_a_team() {
    let (slug, person) = world().other_org();
    let team = world()
        .owner()
        .post("/v1/orgs/acme/teams", &json!({ "name": unique("Ours") }))
        .expect(201);
    let body = json!({ "name": "Borrower", "teams": [team.string("slug")] });
    let stranger = world().with_key(&person.key);
    stranger
        .post(&format!("/v1/orgs/{slug}/services"), &body)
        .expect_one_of(&[404, 422]);
    assert!(
        !stranger
            .get(&format!("/v1/orgs/{slug}/services"))
            .expect(200)
            .contains("Borrower")
    );
}

#[test]
fn n110_a_service_of_one_organization_is_nobody_in_another() {
    let (slug, _) = world().other_org();
    let service = world().with_key(&world().service().string("key"));
    service
        .get(&format!("/v1/orgs/{slug}/services"))
        .expect(404);
    service.get(&format!("/v1/orgs/{slug}/teams")).expect(404);
}
