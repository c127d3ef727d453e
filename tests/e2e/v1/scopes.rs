//! `GET` and `POST /v1/scopes`: the catalogue.

use serde_json::json;

use crate::world::{make_key, unique, world};

#[test]
fn d4_1_the_documents_six_are_in_it() {
    let list = world().owner().get("/v1/scopes").expect(200);
    for scope in [
        "files:read",
        "files:write",
        "workspaces:read",
        "workspaces:write",
        "users:read",
        "users:write",
    ] {
        assert!(list.contains(&format!("\"{scope}\"")), "{scope}");
    }
}

#[test]
fn an_owner_adds_one_and_keys_can_have_it() {
    let scope = format!("{}:read", unique("reports"));
    let wish = json!({ "handle": unique("early"), "scopes": [scope] });
    world().owner().post("/user/keys", &wish).expect(422);
    let body = json!({ "name": scope, "description": "Read the reports", "access": "read" });
    world().owner().post("/v1/scopes", &body).expect(201);
    assert!(
        world()
            .owner()
            .get("/v1/scopes")
            .expect(200)
            .contains(&scope)
    );
    let token = make_key(&world().owner(), &wish).string("token");
    let question = json!({ "key": token, "scopes": [scope] });
    assert_eq!(
        world()
            .owner()
            .post("/v1/keys/verify", &question)
            .expect(200)
            .string("code"),
        "valid"
    );
    world().owner().post("/v1/scopes", &body).expect(409);
}

#[test]
fn nobody_else_adds_any() {
    for role in ["member", "manager"] {
        let person = world().person(role);
        let body = json!({ "name": "sneaky:write", "description": "Sneak", "access": "write" });
        world()
            .with_key(&person.key)
            .post("/v1/scopes", &body)
            .expect(403);
    }
    assert!(
        !world()
            .owner()
            .get("/v1/scopes")
            .expect(200)
            .contains("sneaky:write")
    );
}
