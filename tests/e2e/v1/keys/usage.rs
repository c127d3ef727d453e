//! What keys do: the last use in every view of a key, counts by hour and outcome.

use keyledger_tests::credential;
use serde_json::{Value, json};

use crate::world::{make_key, unique, world};

#[test]
fn the_last_use_is_in_the_views() {
    let handle = unique("used");
    let token = make_key(&world().owner(), &json!({ "handle": handle })).string("token");
    let path = format!("/user/keys/{handle}");
    let last_used_at = || {
        world()
            .owner()
            .get(&path)
            .expect(200)
            .member("last_used_at")
    };
    assert_eq!(last_used_at(), Value::Null);

    // A wrong secret is no use of the key, whoever asks.
    let forged = credential::forged("sk", "live", credential::id_of(&token));
    let body = json!({ "key": forged });
    world().owner().post("/v1/keys/verify", &body).expect(200);
    world().with_key(&forged).get("/v1/me").expect(401);
    assert_eq!(last_used_at(), Value::Null);

    let body = json!({ "key": token });
    world().owner().post("/v1/keys/verify", &body).expect(200);
    assert!(last_used_at().is_string());
}

#[test]
fn a_service_that_calls_us_is_used() {
    let made = world().service();
    assert_eq!(made.member("last_used_at"), Value::Null);
    let key = world().with_key(&made.string("key"));
    key.get("/v1/me").expect(200);
    let path = format!("/v1/orgs/acme/services/{}", made.string("slug"));
    let view = world().owner().get(&path).expect(200);
    assert!(view.member("last_used_at").is_string(), "{view:?}");
}
