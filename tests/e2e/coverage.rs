//! Every operation of the served definition against bad and missing credentials, so that no route is
//! forgotten; and none of those requests may have changed anything.

use keyledger_tests::{INVALID_PASSWORD, INVALID_TOKEN, Launch, NOT_PROVIDED};
use serde_json::{Value, json};

use crate::world::World;

/// What nobody needs credentials for. A wrong one is still refused where the route knows of
/// credentials at all.
const OPEN_TO_ALL: &[&str] = &[
    "/user/self",
    "/user/token",
    "/v1/user/self",
    "/v1/user/token",
    // Opened by the one-time code in its body.
    "/v1/setup",
    // Opened by the invitation's token in its body.
    "/v1/invitations/accept",
];

/// What has no caller: probes, pages (a session is no header), the definition. A route may leave
/// this list but not join it without a reason.
const WITHOUT_CALLER: &[&str] = &[
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/playground",
    "/login",
    "/logout",
    "/dashboard",
];

/// Method and path of every operation, with a name that fits nothing in place of each parameter.
fn operations(spec: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (template, item) in spec["paths"].as_object().expect("paths") {
        let path: Vec<&str> = template
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect();
        for method in ["get", "post", "put", "patch", "delete"] {
            if item.get(method).is_some() {
                found.push((method.to_uppercase(), path.join("/")));
            }
        }
    }
    found
}

fn is_listed(list: &[&str], path: &str) -> bool {
    list.contains(&path.trim_end_matches('/'))
}

#[test]
fn every_operation_refuses_bad_credentials_and_changes_nothing() {
    // A server of its own: nobody else may move its ledger.
    let world = World::on(Launch::new().patient().start());
    let spec = world.anonymous().get("/openapi.json").expect(200).json();
    let operations = operations(&spec);
    assert!(
        operations.len() >= 25,
        "only {} operations in the definition",
        operations.len()
    );
    let events = || {
        let page = world.owner().get("/v1/events?limit=500").expect(200).json();
        let mut events = page["items"].as_array().expect("a page").clone();
        // The server notes by itself that the key which asks here was used, a moment after.
        events.retain(|event| event["type"] != "ApiKeyFirstUsed");
        events
    };
    let before = events();

    let nobody = world.anonymous();
    let bad_keys = [
        nobody.x_api_key("foobar"),
        nobody.token("foobar"),
        nobody.bearer("foobar"),
    ];
    for (method, path) in operations
        .iter()
        .filter(|(_, path)| !is_listed(WITHOUT_CALLER, path))
    {
        let body = json!({});
        let body = (method != "GET").then_some(&body);
        for client in &bad_keys {
            client.any(method, path, body).expect_401(INVALID_TOKEN);
        }
        nobody
            .basic("example", "wrongpassword")
            .any(method, path, body)
            .expect_401(INVALID_PASSWORD);
        if !is_listed(OPEN_TO_ALL, path) {
            nobody.any(method, path, body).expect_401(NOT_PROVIDED);
        }
    }
    assert_eq!(events(), before, "a refused request left an event");
}
