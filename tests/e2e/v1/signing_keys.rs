//! `/v1/signing-keys` and `/oauth/jwks`: the keys that sign tokens.

use std::process::Command;

use keyledger_tests::{Client, INVALID_TOKEN, Launch};
use serde_json::{Value, json};

use crate::world::{World, world};

/// A server of one's own: the keys are all that it has.
fn alone() -> World {
    World::on(Launch::new().start())
}

fn create(client: &Client, body: &Value) -> String {
    let made = client.post("/v1/signing-keys", body).expect(201);
    assert_eq!(made.string("state"), "active");
    made.string("kid")
}

/// The names of the keys that everybody sees, and how they sign.
fn published(world: &World) -> Vec<(String, String)> {
    let told = world.anonymous().get("/oauth/jwks").expect(200).json();
    let keys = told["keys"].as_array().expect("keys").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut names: Vec<_> = keys
        .map(|key| (text(&key["alg"]), text(&key["kid"])))
        .collect();
    names.sort();
    names
}

/// An RSA key, which the server does not make itself.
fn rsa_pem(bits: u32) -> String {
    let made = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt"])
        .arg(format!("rsa_keygen_bits:{bits}"))
        .output()
        .expect("openssl");
    String::from_utf8(made.stdout).expect("PEM")
}

#[test]
fn n071_a_key_is_rotated_with_an_overlap_and_retired_at_once() {
    let world = alone();
    let owner = world.owner();
    assert_eq!(published(&world), []);
    let name = |alg: &str, kid: &str| (alg.to_owned(), kid.to_owned());
    let first = create(&owner, &json!({ "algorithm": "ES256" }));
    let second = create(&owner, &json!({ "algorithm": "ES256" }));
    let edwards = create(&owner, &json!({ "algorithm": "EdDSA" }));
    let mut both = [name("ES256", &first), name("ES256", &second)];
    both.sort();
    let [low, high] = both;
    assert_eq!(published(&world), [low, high, name("EdDSA", &edwards)]);

    let listed = owner.get("/v1/signing-keys").expect(200).json();
    let of = |kid: &str| {
        let mut items = listed["items"].as_array().expect("a list").iter();
        items
            .find(|item| item["kid"] == kid)
            .expect("listed")
            .clone()
    };
    assert_eq!(of(&first)["state"], "retiring");
    assert!(of(&first)["retires_at"].is_string());
    assert_eq!(of(&second)["state"], "active");
    assert_eq!(of(&second)["retires_at"], Value::Null);

    owner
        .post(&format!("/v1/signing-keys/{first}/retire"), &json!({}))
        .expect(204);
    assert_eq!(
        published(&world),
        [name("ES256", &second), name("EdDSA", &edwards)]
    );
    let third = create(
        &owner,
        &json!({ "algorithm": "ES256", "overlap_seconds": 0 }),
    );
    assert_eq!(
        published(&world),
        [name("ES256", &third), name("EdDSA", &edwards)]
    );
    for gone in [&first, &second, "../../dev/null", "x"] {
        let path = format!("/v1/signing-keys/{}/retire", gone.replace('/', "%2F"));
        owner.post(&path, &json!({})).expect(404);
    }

    // What happened is told, and nothing of a private half.
    let events = owner.get("/v1/events?type=SigningKeyCreated").expect(200);
    assert_eq!(events.json()["items"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        events.json()["items"][0]["target"],
        format!("signing_key:{first}")
    );
    assert_eq!(events.json()["items"][0]["data"]["algorithm"], "ES256");
    for word in ["sealed", "private", "pkcs8"] {
        assert!(!events.contains(word), "{word}");
    }
}

/// A client of acme whose tokens are signed, and a token for itself.
fn signed_token(world: &World, client: &Value) -> String {
    let body = json!({ "grant_type": "client_credentials",
        "client_id": client["client_id"], "client_secret": client["client_secret"] });
    let given = world.anonymous().post("/oauth/token", &body).expect(200);
    let token = given.string("access_token");
    assert_eq!(token.split('.').count(), 3, "a JWT");
    token
}

#[test]
fn n071_a_token_is_good_as_long_as_the_key_that_signed_it() {
    let world = alone();
    let owner = world.owner();
    let client = json!({ "name": "Signed", "grant_types": ["client_credentials"],
        "scopes": ["workspaces:read"], "access_token_format": "jwt" });
    let client = owner
        .post("/v1/orgs/acme/clients", &client)
        .expect(201)
        .json();
    let old = signed_token(&world, &client);
    let asked = |token: &str| world.anonymous().bearer(token).get("/v1/workspaces");
    asked(&old).expect(200);
    // The server made the key by itself; another one takes its place.
    let [(_, first)] = &published(&world)[..] else {
        panic!("one key for one token");
    };
    let too_short = json!({ "algorithm": "ES256", "overlap_seconds": 60 });
    let refused = owner.post("/v1/signing-keys", &too_short).expect(422);
    refused.expect_field("overlap_seconds");
    create(&owner, &json!({ "algorithm": "ES256" }));
    let young = signed_token(&world, &client);
    for token in [&old, &young] {
        asked(token).expect(200);
    }
    let path = format!("/v1/signing-keys/{first}/retire");
    owner.post(&path, &json!({})).expect(204);
    asked(&old).expect_401(INVALID_TOKEN);
    asked(&young).expect(200);
    // One bit of it, in any of its parts, and it is not what was issued.
    for part in 0..3 {
        let mut parts: Vec<String> = young.split('.').map(str::to_owned).collect();
        let other = if parts[part].starts_with('A') {
            "B"
        } else {
            "A"
        };
        parts[part].replace_range(..1, other);
        asked(&parts.join(".")).expect_401(INVALID_TOKEN);
    }
}

#[test]
fn keys_outlive_a_restart() {
    let mut world = alone();
    create(&world.owner(), &json!({ "algorithm": "EdDSA" }));
    let before = published(&world);
    world.server_mut().restart();
    assert_eq!(published(&world), before);
}

#[test]
fn rsa_keys_are_brought_along() {
    let world = alone();
    let owner = world.owner();
    let pem = rsa_pem(2_048);
    let body = json!({ "algorithm": "RS256", "private_key_pem": pem });
    let kid = create(&owner, &body);
    let told = world.anonymous().get("/oauth/jwks").expect(200).json();
    let key = &told["keys"][0];
    assert_eq!((&key["kty"], &key["alg"]), (&json!("RSA"), &json!("RS256")));
    assert_eq!((&key["kid"], &key["e"]), (&json!(kid), &json!("AQAB")));
    for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert_eq!(key.get(private), None, "{private}");
    }
    let again = owner.post("/v1/signing-keys", &body).expect(409);
    assert!(!again.contains("BEGIN"), "no part of the key");
    let small = rsa_pem(1_024);
    for bad in [
        json!({ "algorithm": "RS256" }),
        json!({ "algorithm": "RS256", "private_key_pem": small }),
        json!({ "algorithm": "RS256", "private_key_pem": "a secret that is none" }),
        json!({ "algorithm": "ES256", "private_key_pem": pem }),
    ] {
        let refused = owner.post("/v1/signing-keys", &bad).expect(422);
        let refused = refused.expect_field("private_key_pem");
        assert!(!refused.contains("a secret"), "{refused:?}");
    }
    for bad in ["none", "HS256", "es256", ""] {
        let refused = owner.post("/v1/signing-keys", &json!({ "algorithm": bad }));
        refused.expect(422).expect_field("algorithm");
    }
    let body = json!({ "algorithm": "ES256", "overlap_seconds": 2_592_001 });
    let refused = owner.post("/v1/signing-keys", &body).expect(422);
    refused.expect_field("overlap_seconds");
}

/// Goal: an owner is not an operator. What they make is theirs; the keys of the server are not.
#[test]
fn n110_only_owners_of_the_first_organization_rotate() {
    let manager = world().with_key(&world().person("manager").key);
    let body = json!({ "name": crate::world::unique("Other") });
    manager.post("/v1/workspaces", &body).expect(201);
    manager.get("/v1/signing-keys").expect(403);
    let body = json!({ "algorithm": "ES256" });
    manager.post("/v1/signing-keys", &body).expect(403);
}
