//! Numbers 82 and 131: what authenticates lies neither in the folder nor in the log, in clear.

mod canary;

use std::path::Path;

use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD};
use serde_json::json;

use crate::world::{World, make_key};

fn files_under(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_under(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn n131_no_secret_is_on_disk_or_in_the_log() {
    let mut world = World::on(
        Launch::new()
            .env("KEYLEDGER_LOG", "trace")
            .env("RUST_LOG", "trace")
            .start(),
    );
    let person = world.person("member");
    let owner = world.owner();
    let key = make_key(&owner, &json!({ "handle": "canary" })).string("token");
    let rotated = owner
        .post("/user/keys/canary/rotate", &json!({ "grace_seconds": 60 }))
        .expect(200)
        .string("token");
    let waiting = make_key(&owner, &json!({ "handle": "second" })).string("token");
    let first_use = json!({ "activate": "first_use" });
    let pending = owner
        .post("/user/keys/second/rotate", &first_use)
        .expect(200)
        .string("token");
    let service = world.service();
    let refresh = format!("/v1/orgs/acme/services/{}/refresh", service.string("slug"));
    let refreshed = owner.post(&refresh, &json!({})).expect(200).string("key");
    let entitlement = json!({ "name": "Canary", "scopes": ["files:read"] });
    let entitlement = owner
        .post("/v1/orgs/acme/entitlements", &entitlement)
        .expect(201)
        .string("token");
    let token = json!({ "email": OWNER_EMAIL, "password": OWNER_PASSWORD });
    let token = world
        .anonymous()
        .post("/user/token/", &token)
        .expect(200)
        .string("token");
    let nobody = world.anonymous();
    nobody.get(&format!("/v1/me?api_key={key}")).expect(401);
    nobody.basic(OWNER_EMAIL, &key).get("/v1/me").expect(401);
    nobody.basic(&key, "").get("/v1/me").expect(401);
    owner.get(&format!("/user/keys/{key}")).expect(404);
    owner
        .post("/v1/keys/verify", &json!({ "key": key }))
        .expect(200);
    owner
        .post("/v1/keys/verify", &json!({ "key": &key[..66] }))
        .expect(200);

    let secrets = [
        ("the owner's password", OWNER_PASSWORD.to_owned()),
        ("a member's password", person.password.clone()),
        ("a member's key", person.key.clone()),
        ("a user key", key),
        ("a rotated user key", rotated),
        ("a user key that is being replaced", waiting),
        ("a user key that waits for its use", pending),
        ("a service key", service.string("key")),
        ("a refreshed service key", refreshed),
        ("an entitlement token", entitlement),
        ("the user's own key", token),
    ];
    world.server_mut().stop();
    let mut files = files_under(world.server().data_dir());
    assert!(!files.is_empty(), "the data folder is empty");
    files.push(world.server().log_path());
    for file in files {
        let bytes = std::fs::read(&file).expect("a file that can be read");
        for (what, secret) in &secrets {
            // A key's secret part alone would do for an attacker who can compute a checksum.
            let needle = if secret.len() == 67 {
                &secret[18..61]
            } else {
                secret.as_str()
            };
            let found = bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes());
            assert!(!found, "{what} lies in clear in {}", file.display());
        }
    }
}
