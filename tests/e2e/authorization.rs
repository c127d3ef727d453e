//! What a credential may not do with a route that it may use; which it may use, the matrix says.

use keyledger_tests::NOT_PROVIDED;
use serde_json::json;

use crate::world::{make_key, seconds_from_now, unique, world};

#[test]
fn n107_a_key_makes_no_key_with_wider_scopes() {
    let narrow = world().with_key(&world().key_with_scopes(&["keys:write", "files:read"]));
    narrow
        .post(
            "/user/keys",
            &json!({ "handle": unique("wide"), "scopes": ["files:write"] }),
        )
        .expect(403);
    narrow
        .post("/user/keys", &json!({ "handle": unique("all") }))
        .expect(403);
    narrow
        .post(
            "/user/keys",
            &json!({ "handle": unique("same"), "scopes": ["files:read"] }),
        )
        .expect(201);
}

#[test]
fn n107_a_key_makes_no_key_that_outlives_it() {
    let body = json!({ "handle": unique("mortal"), "expires_at": seconds_from_now(600) });
    let mortal = world().with_key(&make_key(&world().owner(), &body).string("token"));
    let later = json!({ "handle": unique("later"), "expires_at": seconds_from_now(900) });
    mortal.post("/user/keys", &later).expect(403);
    mortal
        .post("/user/keys", &json!({ "handle": unique("for-ever") }))
        .expect(403);
    let sooner = json!({ "handle": unique("sooner"), "expires_at": seconds_from_now(300) });
    mortal.post("/user/keys", &sooner).expect(201);
}

#[test]
fn n107_a_test_key_makes_no_live_key() {
    let body = json!({ "handle": unique("sandbox"), "environment": "test" });
    let sandbox = world().with_key(&make_key(&world().owner(), &body).string("token"));
    sandbox
        .post(
            "/user/keys",
            &json!({ "handle": unique("escape"), "environment": "live" }),
        )
        .expect(403);
    let inside = json!({ "handle": unique("inside"), "environment": "test" });
    sandbox.post("/user/keys", &inside).expect(201);
}

#[test]
fn n107_a_key_makes_no_key_for_somebody_else() {
    let person = world().person("member");
    let handle = unique("for-another");
    let body =
        json!({ "handle": handle, "owner": "owner@example.com", "user": "owner@example.com" });
    let reply = world()
        .with_key(&person.key)
        .post("/user/keys", &body)
        .expect_one_of(&[201, 403, 422]);
    if reply.status() == 201 {
        let made = world()
            .with_key(&reply.string("token"))
            .get("/v1/me")
            .expect(200);
        assert_eq!(
            made.string("email"),
            person.email,
            "a key belongs to who made it"
        );
    }
    world()
        .owner()
        .get(&format!("/user/keys/{handle}"))
        .expect(404);
}

#[test]
fn n113_a_key_never_reaches_further_than_its_owner() {
    let person = world().person("member");
    let member = world().with_key(&person.key);
    member
        .post(
            "/v1/orgs/acme/services",
            &json!({ "name": unique("Sneaky") }),
        )
        .expect(403);
    let body = json!({ "handle": unique("grasping"), "scopes": ["services:write"] });
    // Either the wish is refused, or it is empty: the owner's rights bound the key's at each call.
    let wish = member.post("/user/keys", &body).expect_one_of(&[201, 403]);
    if wish.status() == 201 {
        let grasping = world().with_key(&wish.string("token"));
        grasping
            .post(
                "/v1/orgs/acme/services",
                &json!({ "name": unique("Sneaky") }),
            )
            .expect(403);
    }
}

#[test]
fn who_asks_is_told_before_what_is_wrong_with_the_body() {
    let person = world().person("member");
    let body = json!({ "name": "", "scopes": ["NOT A SCOPE"] });
    for path in ["/v1/orgs/acme/services", "/v1/orgs/acme/teams"] {
        world()
            .anonymous()
            .post(path, &body)
            .expect_401(NOT_PROVIDED);
        world().with_key(&person.key).post(path, &body).expect(403);
        world().owner().post(path, &body).expect(422);
    }
    let reader = world().with_key(&world().key_with_scopes(&["keys:read"]));
    let body = json!({ "handle": "NOT A HANDLE" });
    reader
        .post("/user/keys", &body)
        .expect_missing_scope("keys:write");
    world()
        .owner()
        .post("/user/keys", &body)
        .expect_field("handle");
}

#[test]
fn n113_a_demotion_is_felt_by_the_very_next_request() {
    let person = world().person("manager");
    let them = world().with_key(&person.key);
    let by_password = world().anonymous().basic(&person.email, &person.password);
    let teams = "/v1/orgs/acme/teams";
    them.post(teams, &json!({ "name": unique("Before") }))
        .expect(201);
    let scoped = json!({ "handle": unique("held"), "scopes": ["teams:write"] });
    let held = world().with_key(&make_key(&them, &scoped).string("token"));
    held.post(teams, &json!({ "name": unique("Before") }))
        .expect(201);

    let page = world()
        .owner()
        .get("/v1/orgs/acme/members?limit=1000")
        .expect(200);
    let members = page.json()["items"].as_array().cloned().unwrap_or_default();
    let member = members
        .iter()
        .find(|member| member["email"] == person.email.as_str());
    let id = member
        .and_then(|member| member["id"].as_str())
        .expect("the member");
    let path = format!("/v1/orgs/acme/members/{id}");
    world()
        .owner()
        .patch(&path, &json!({ "role": "member" }))
        .expect(200);

    for client in [&them, &held, &by_password] {
        client
            .post(teams, &json!({ "name": unique("After") }))
            .expect(403);
    }
    world()
        .owner()
        .patch(&path, &json!({ "role": "manager" }))
        .expect(200);
    them.post(teams, &json!({ "name": unique("Again") }))
        .expect(201);
}

#[test]
fn n114_nobody_places_a_service_or_a_member_where_they_may_less() {
    let owner = world().owner();
    let body = json!({ "name": unique("Mighty"), "scopes": ["scopes:write"] });
    let team = owner
        .post("/v1/orgs/acme/teams", &body)
        .expect(201)
        .string("slug");
    let person = world().person("manager");
    let manager = world().with_key(&person.key);
    let services = "/v1/orgs/acme/services";
    manager
        .post(
            services,
            &json!({ "name": unique("Lever"), "teams": [team] }),
        )
        .expect(403);
    let made = manager
        .post(services, &json!({ "name": unique("Lever") }))
        .expect(201);
    let own = format!("{services}/{}", made.string("slug"));
    manager.patch(&own, &json!({ "teams": [team] })).expect(403);
    let me = manager.get("/v1/me").expect(200).string("id");
    manager
        .any(
            "PUT",
            &format!("/v1/orgs/acme/teams/{team}/members/{me}"),
            None,
        )
        .expect(403);
    // The key that they hold reaches no further than before.
    let service = world().with_key(&made.string("key"));
    let scope = json!({ "name": "levered:read", "organization": "acme" });
    service.post("/v1/scopes", &scope).expect(403);
    manager.post("/v1/scopes", &scope).expect(403);
    owner.patch(&own, &json!({ "teams": [team] })).expect(200);
}

/// Goal: nobody learns what a body is to look like where they may do nothing. Method: bodies that
/// are no JSON, have an unknown field or a wrong value, sent to every change by a key that may only
/// read files.
#[test]
fn who_may_not_is_told_so_whatever_the_body_looks_like() {
    let narrow = world().with_key(&world().key_with_scopes(&["files:read"]));
    let service = world().service().string("slug");
    let entitlement = json!({ "name": unique("Token"), "scopes": ["files:read"] });
    let entitlement = world()
        .owner()
        .post("/v1/orgs/acme/entitlements", &entitlement)
        .expect(201)
        .string("id");
    let team = world()
        .owner()
        .post("/v1/orgs/acme/teams", &json!({ "name": unique("Team") }))
        .expect(201)
        .string("slug");
    let (handle, user) = (unique("bodies"), world().person("member"));
    make_key(&world().owner(), &json!({ "handle": handle }));
    let user = world().with_key(&user.key).get("/v1/me").string("id");
    let acme = "/v1/orgs/acme";
    let changes = [
        ("POST", "/v1/keys/verify".to_owned()),
        ("POST", "/v1/user/password".to_owned()),
        ("POST", "/user/keys".to_owned()),
        ("PATCH", format!("/user/keys/{handle}")),
        ("POST", format!("/user/keys/{handle}/rotate")),
        ("POST", "/v1/workspaces".to_owned()),
        ("POST", "/v1/scopes".to_owned()),
        ("POST", format!("{acme}/members")),
        ("PATCH", format!("{acme}/members/{user}")),
        ("POST", format!("{acme}/teams")),
        ("PATCH", format!("{acme}/teams/{team}")),
        ("POST", format!("{acme}/services")),
        ("PATCH", format!("{acme}/services/{service}")),
        ("POST", format!("{acme}/services/{service}/refresh")),
        ("POST", format!("{acme}/entitlements")),
        ("PATCH", format!("{acme}/entitlements/{entitlement}")),
        ("POST", format!("{acme}/entitlements/{entitlement}/refresh")),
    ];
    let bodies = [
        json!({ "unknown_field": true }),
        json!({ "name": 7, "key": 7, "role": 7, "scopes": 7, "grace_seconds": "x" }),
        json!({ "key": "x", "ip": "nowhere" }),
        json!([]),
    ];
    for (method, path) in &changes {
        for body in &bodies {
            let refusal = narrow.any(method, path, Some(body));
            refusal.expect(403);
        }
        let plain = narrow.send_bytes(method, path, "text/plain", b"not JSON");
        plain.expect("an answer").expect(403);
    }
    // Whoever may is told what is wrong.
    let owner = world().owner();
    for (method, path) in changes
        .iter()
        .filter(|(_, path)| !path.ends_with("password"))
    {
        let refusal = owner.any(method, path, Some(&bodies[0]));
        refusal.expect(422);
    }
}
