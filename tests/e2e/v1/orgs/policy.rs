//! `/v1/orgs/{org}/policy`.

use serde_json::json;

use crate::world::{make_key, seconds_from_now, unique, world};

#[test]
fn a_policy_binds_new_keys_and_later_ends() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let path = format!("/v1/orgs/{org}/policy");
    let before = as_owner.get(&path).expect(200);
    assert_eq!(before.member("retrievable_keys"), json!(true));
    as_owner
        .patch(&path, &json!({ "max_life_seconds": 0 }))
        .expect_field("max_life_seconds");
    as_owner
        .patch(&path, &json!({ "idle_disable_seconds": 60 }))
        .expect_field("idle_disable_seconds");
    let policy = json!({ "max_life_seconds": 3600, "expiry_required": true });
    let after = as_owner.patch(&path, &policy).expect(200);
    assert_eq!(after.member("max_life_seconds"), json!(3600));
    as_owner
        .post("/user/keys", &json!({ "handle": "endless" }))
        .expect_field("expires_at");
    let late = json!({ "handle": "late", "expires_at": seconds_from_now(7_200) });
    as_owner
        .post("/user/keys", &late)
        .expect_field("expires_at");
    let services = format!("/v1/orgs/{org}/services");
    as_owner
        .post(&services, &json!({ "name": "Endless" }))
        .expect_field("expires_at");
    let good = json!({ "handle": "good", "expires_at": seconds_from_now(1_800) });
    as_owner.post("/user/keys", &good).expect(201);
    for end in [json!(null), json!(seconds_from_now(7_200))] {
        as_owner
            .patch("/user/keys/good", &json!({ "expires_at": end }))
            .expect_field("expires_at");
    }
    // A token without a name has no end to choose: it gets the latest that is allowed.
    let by_password = world().anonymous().basic(&owner.email, &owner.password);
    let body = json!({ "email": owner.email, "password": owner.password });
    let token = world()
        .anonymous()
        .post("/user/token", &body)
        .expect(200)
        .string("token");
    let told = as_owner
        .post("/v1/keys/verify", &json!({ "key": token }))
        .expect(200);
    assert!(told.member("expires_at").is_string(), "{told:?}");
    by_password.get("/v1/me").expect(200);
    as_owner
        .patch(
            &path,
            &json!({ "max_life_seconds": null, "expiry_required": false }),
        )
        .expect(200);
    as_owner
        .post("/user/keys", &json!({ "handle": "endless" }))
        .expect(201);
}

#[test]
fn keys_that_are_not_to_be_read_again_are_not_shown_again() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let by_password = world().anonymous().basic(&owner.email, &owner.password);
    let body = json!({ "email": owner.email, "password": owner.password });
    let old = world()
        .anonymous()
        .post("/user/token", &body)
        .expect(200)
        .string("token");
    by_password
        .get("/user/keys/own")
        .expect(200)
        .string("token");
    let path = format!("/v1/orgs/{org}/policy");
    as_owner
        .patch(&path, &json!({ "retrievable_keys": false }))
        .expect(200);
    let handle = unique("since");
    make_key(&as_owner, &json!({ "handle": handle }));
    for handle in ["own", &handle] {
        let told = by_password.get(&format!("/user/keys/{handle}")).expect(200);
        assert!(told.member("token").is_null(), "{handle}");
    }
    // Asking for the token is resetting it: another each time, and the one before is dead.
    let new = world()
        .anonymous()
        .post("/user/token", &body)
        .expect(200)
        .string("token");
    assert_ne!(old, new);
    world().with_key(&old).get("/v1/me").expect(401);
    world().with_key(&new).get("/v1/me").expect(200);
}
