//! A disk without room: what cannot be recorded is not done, and what needs no record goes on.

use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD};
use serde_json::json;

/// More than any disk has free, so that whatever is free is less than the reserve.
const ALL_OF_IT: &str = "4611686018427387904";

#[test]
fn n119_without_room_nothing_is_done_that_is_not_recorded() {
    let room = tempfile::tempdir().expect("making a temporary folder");
    let folder = room.path().join("data");
    let mut server = Launch::new().data_dir(&folder).start();
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let made = owner
        .post("/user/keys", &json!({ "handle": "before" }))
        .expect(201);
    let token = made.string("token");
    server.stop();

    let full = Launch::new()
        .data_dir(&folder)
        .env("KEYLEDGER_RESERVE_BYTES", ALL_OF_IT);
    let mut server = full.start();
    let owner = server.client().x_api_key(&token);
    for (method, path, body) in [
        ("POST", "/user/keys", json!({ "handle": "refused" })),
        ("PATCH", "/user/keys/before", json!({ "alias": "refused" })),
        ("POST", "/user/keys/before/rotate", json!({})),
        ("DELETE", "/user/keys/before", json!({})),
        (
            "POST",
            "/v1/orgs/acme/services",
            json!({ "name": "Refused" }),
        ),
        ("POST", "/v1/workspaces", json!({ "name": "Refused" })),
    ] {
        let refused = owner.any(method, path, Some(&body)).expect(503);
        assert!(refused.header("Retry-After").is_some(), "{refused:?}");
    }
    // Who showed the password gets in; that they are shown the secret would have to be recorded.
    let by_password = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    by_password.get("/user/keys/before").expect(503);
    let verdict = owner
        .post("/v1/keys/verify", &json!({ "key": token }))
        .expect(200);
    assert_eq!(verdict.member("valid"), true);
    owner.get("/v1/events").expect(200);
    server.client().get("/health/live").expect(200);
    server.stop();
    server.assert_ledger_verifies();

    let server = Launch::new().data_dir(&folder).start();
    let owner = server.client().x_api_key(&token);
    let list = owner.get("/user/keys").expect(200);
    assert!(
        list.contains("before") && !list.contains("refused"),
        "{list:?}"
    );
    let events = owner.get("/v1/events?limit=1000").expect(200);
    assert!(!events.contains("refused"), "{events:?}");
    owner
        .post("/user/keys", &json!({ "handle": "afterwards" }))
        .expect(201);
}
