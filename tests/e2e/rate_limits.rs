//! How often a key may be used: asked about by an API, and at our own addresses.

use keyledger_tests::{Client, INVALID_TOKEN, Reply, credential};
use serde_json::{Value, json};

use crate::world::{World, make_key, unique, world};

const ORG_SERVICES: &str = "/v1/orgs/acme/services";

/// So many an hour: none comes back while a test runs.
fn hourly(requests: u32) -> Value {
    json!({ "requests": requests, "per_seconds": 3_600 })
}

/// The body of a new key with this limit.
fn key_body(requests: u32) -> Value {
    json!({ "handle": unique("limited"), "rate_limit": hourly(requests) })
}

fn verify(key: &str) -> Reply {
    let body = json!({ "key": key });
    world().owner().post("/v1/keys/verify", &body).expect(200)
}

/// How many of so many verifications of a key are valid; the others say why not.
fn valid_of(key: &str, count: usize) -> usize {
    let code = |_| verify(key).string("code");
    let codes: Vec<String> = (0..count).map(code).collect();
    assert!(
        codes
            .iter()
            .all(|code| ["valid", "rate_limited"].contains(&code.as_str())),
        "{codes:?}"
    );
    codes.iter().filter(|code| *code == "valid").count()
}

/// How many of so many calls pass; the others are throttled.
fn passed_of(client: &Client, count: usize) -> usize {
    (0..count)
        .map(|_| client.get("/v1/me").expect_one_of(&[200, 429]))
        .filter(|reply| reply.status() == 200)
        .count()
}

fn number(reply: &Reply, header: &str) -> u64 {
    let value = reply.header(header);
    let value = value.unwrap_or_else(|| panic!("no {header} in {reply:?}"));
    value.parse().expect("a number")
}

/// A well-formed key with this one's id, and a secret that nobody was given.
fn with_wrong_secret(key: &str) -> String {
    credential::forged("sk", "live", credential::id_of(key))
}

#[test]
fn an_api_is_told_when_a_key_is_used_too_often() {
    let key = make_key(&world().owner(), &key_body(3)).string("token");
    for _ in 0..3 {
        let verdict = verify(&key);
        assert_eq!(verdict.member("valid"), true);
        assert_eq!(verdict.member("retry_after_seconds"), Value::Null);
        // It is the key that has a limit, not who asks about it.
        assert_eq!(verdict.header("X-RateLimit-Limit"), None);
    }
    let verdict = verify(&key);
    assert_eq!(verdict.member("valid"), false);
    assert_eq!(verdict.string("code"), "rate_limited");
    let wait = verdict.member("retry_after_seconds").as_u64();
    assert!(
        wait.is_some_and(|wait| (1_000..=1_200).contains(&wait)),
        "{wait:?}"
    );
    for member in ["id", "owner", "organization", "scopes"] {
        assert_eq!(verdict.member(member), Value::Null, "{member} is told");
    }
}

#[test]
fn what_is_not_granted_is_not_counted() {
    let made = make_key(
        &world().owner(),
        &json!({ "handle": unique("limited"), "rate_limit": hourly(2), "scopes": ["files:read"],
            "allowed_cidrs": ["192.0.2.0/24"] }),
    );
    let key = made.string("token");
    let ask = |key: &str, scope: &str, ip: &str| {
        let body = json!({ "key": key, "scopes": [scope], "ip": ip });
        let verdict = world().owner().post("/v1/keys/verify", &body).expect(200);
        verdict.string("code")
    };
    let wrong = with_wrong_secret(&key);
    for _ in 0..5 {
        assert_eq!(ask(&wrong, "files:read", "192.0.2.7"), "not_found");
        assert_eq!(ask(&key, "files:write", "192.0.2.7"), "insufficient_scope");
        assert_eq!(ask(&key, "files:read", "198.51.100.7"), "ip_not_allowed");
    }
    let codes: Vec<_> = (0..3)
        .map(|_| ask(&key, "files:read", "192.0.2.7"))
        .collect();
    assert_eq!(codes, ["valid", "valid", "rate_limited"]);
}

#[test]
fn our_own_addresses_answer_429_and_say_when_to_come_again() {
    let key = make_key(&world().owner(), &key_body(3)).string("token");
    let carriers = [
        world().anonymous().bearer(&key),
        world().anonymous().token(&key),
        world().with_key(&key),
    ];
    for (client, remaining) in carriers.iter().zip([2, 1, 0]) {
        let reply = client.get("/v1/me").expect(200);
        assert_eq!(number(&reply, "X-RateLimit-Limit"), 3);
        assert_eq!(number(&reply, "X-RateLimit-Remaining"), remaining);
        assert_eq!(number(&reply, "X-RateLimit-Interval"), 0);
        assert!(number(&reply, "X-RateLimit-Reset") > 1_700_000_000);
    }
    let limited = world().with_key(&key);
    let refused = limited.get("/v1/me").expect(429);
    let wait = number(&refused, "Retry-After");
    assert!((1_000..=1_200).contains(&wait), "{wait}");
    assert_eq!(number(&refused, "X-RateLimit-Interval"), wait);
    assert_eq!(number(&refused, "X-RateLimit-Remaining"), 0);
    assert_eq!(
        refused.header("Content-Type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.member("status"), 429);
    // No method and no address is a way around it, nor is a body that is wrong.
    limited.options("/v1/me").expect(429);
    limited
        .post("/user/keys", &json!({ "no": "such" }))
        .expect(429);
    limited.get("/v1/scopes").expect(429);
    // A wrong secret stays a wrong secret.
    world()
        .with_key(&with_wrong_secret(&key))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    // An API that asks about it is told the same.
    assert_eq!(verify(&key).string("code"), "rate_limited");
}

#[test]
fn a_key_without_a_limit_hears_of_none() {
    let reply = world().owner().get("/v1/me").expect(200);
    for header in ["Limit", "Remaining", "Reset", "Interval"] {
        assert_eq!(reply.header(&format!("X-RateLimit-{header}")), None);
    }
}

#[test]
fn wrong_secrets_do_not_spend_a_keys_limit() {
    let key = make_key(&world().owner(), &key_body(2)).string("token");
    let wrong = with_wrong_secret(&key);
    for _ in 0..5 {
        let guesser = world().with_key(&wrong);
        let refused = guesser.get("/v1/me").expect_401(INVALID_TOKEN);
        assert_eq!(refused.header("X-RateLimit-Limit"), None);
    }
    assert_eq!(passed_of(&world().with_key(&key), 3), 2);
}

#[test]
fn a_changed_limit_holds_at_once() {
    let body = key_body(2);
    let path = format!("/user/keys/{}", body["handle"].as_str().expect("a handle"));
    let made = make_key(&world().owner(), &body);
    assert_eq!(made.member("rate_limit"), hourly(2));
    let key = made.string("token");
    assert_eq!(valid_of(&key, 3), 2);
    let change = |limit: Value| {
        let body = json!({ "rate_limit": limit });
        let changed = world().owner().patch(&path, &body).expect(200);
        assert_eq!(changed.member("rate_limit"), limit);
    };
    // What was spent stays spent.
    change(hourly(5));
    assert_eq!(valid_of(&key, 5), 3);
    change(hourly(4));
    assert_eq!(valid_of(&key, 2), 0);
    change(Value::Null);
    assert_eq!(valid_of(&key, 5), 5);
    // What is left out stays.
    change(hourly(9));
    let renamed = json!({ "alias": "renamed" });
    let renamed = world().owner().patch(&path, &renamed).expect(200);
    assert_eq!(renamed.member("rate_limit"), hourly(9));
}

#[test]
fn a_rotation_keeps_what_was_spent() {
    let body = key_body(3);
    let path = format!(
        "/user/keys/{}/rotate",
        body["handle"].as_str().expect("a handle")
    );
    let key = make_key(&world().owner(), &body).string("token");
    assert_eq!(valid_of(&key, 2), 2);
    let rotated = world().owner().post(&path, &json!({})).expect(200);
    assert_eq!(valid_of(&rotated.string("token"), 3), 1);
}

#[test]
fn services_and_entitlements_have_limits_too() {
    let owner = world().owner();
    let body = json!({ "name": unique("Limited"), "rate_limit": hourly(2) });
    let service = owner.post(ORG_SERVICES, &body).expect(201);
    assert_eq!(service.member("rate_limit"), hourly(2));
    // Its own calls are spent, and what it asks about is not its own.
    let asker = world().with_key(&service.string("key"));
    let other = make_key(&owner, &key_body(9)).string("token");
    let question = json!({ "key": other });
    for remaining in [1, 0] {
        let reply = asker.post("/v1/keys/verify", &question).expect(200);
        assert_eq!(number(&reply, "X-RateLimit-Remaining"), remaining);
    }
    asker.post("/v1/keys/verify", &question).expect(429);
    let path = format!("{ORG_SERVICES}/{}", service.string("slug"));
    let basic = world()
        .anonymous()
        .basic(&service.string("slug"), &service.string("key"));
    basic.get("/v1/me").expect(429);
    let widened = json!({ "rate_limit": hourly(4) });
    owner.patch(&path, &widened).expect(200);
    assert_eq!(passed_of(&basic, 3), 2);

    let body =
        json!({ "name": unique("Customer"), "scopes": ["files:read"], "rate_limit": hourly(1) });
    let token = owner.post("/v1/orgs/acme/entitlements", &body).expect(201);
    assert_eq!(token.member("rate_limit"), hourly(1));
    assert_eq!(valid_of(&token.string("token"), 2), 1);
    let path = format!("/v1/orgs/acme/entitlements/{}", token.string("id"));
    let off = owner
        .patch(&path, &json!({ "rate_limit": null }))
        .expect(200);
    assert_eq!(off.member("rate_limit"), Value::Null);
    assert_eq!(valid_of(&token.string("token"), 3), 3);
}

#[test]
fn the_default_of_an_organization_counts_where_a_key_has_none() {
    let (org, boss) = world().other_org();
    let by_password = world().anonymous().basic(&boss.email, &boss.password);
    let limits = format!("/v1/orgs/{org}/limits");
    let set = |limit: Value| {
        let body = json!({ "rate_limit": limit });
        by_password.put(&limits, &body).expect(200);
    };
    let service = |body: Value| {
        let path = format!("/v1/orgs/{org}/services");
        by_password.post(&path, &body).expect(201).string("key")
    };
    let plain = service(json!({ "name": "Plain" }));
    let own = service(json!({ "name": "Own", "rate_limit": hourly(4) }));
    set(hourly(2));
    // A password is no key.
    assert_eq!(passed_of(&by_password, 3), 3);
    assert_eq!(passed_of(&world().with_key(&plain), 4), 2);
    assert_eq!(passed_of(&world().with_key(&own), 6), 4);
    assert_eq!(passed_of(&world().with_key(&boss.key), 4), 2);
    // What was spent stays spent; and none is none.
    set(hourly(3));
    assert_eq!(passed_of(&world().with_key(&plain), 3), 1);
    set(Value::Null);
    let reply = world().with_key(&plain).get("/v1/me").expect(200);
    assert_eq!(reply.header("X-RateLimit-Limit"), None);
    assert_eq!(passed_of(&world().with_key(&own), 1), 0);
}

#[test]
fn of_several_organizations_the_one_that_is_meant_counts() {
    let world: &World = world();
    let person = world.person("manager");
    let both = world.with_key(&person.key);
    let body = json!({ "name": unique("Workspace") });
    let made = both.post("/v1/workspaces", &body).expect(201);
    let base = format!("/v1/orgs/{}", made.string("slug"));
    let limits = json!({ "rate_limit": hourly(2) });
    let by_password = world.anonymous().basic(&person.email, &person.password);
    by_password
        .put(&format!("{base}/limits"), &limits)
        .expect(200);
    let there = format!("{base}/services");
    let often = json!({ "name": "Gateway", "rate_limit": hourly(1_000) });
    let gateway = by_password.post(&there, &often);
    let gateway = world.with_key(&gateway.expect(201).string("key"));

    let statuses: Vec<u16> = (0..3).map(|_| both.get(&there).status()).collect();
    assert_eq!(statuses, [200, 200, 429]);
    both.get(ORG_SERVICES).expect(200);
    both.get("/v1/me").expect(200);

    // Asked about a key, whoever is in one of them means that one, and whoever is in both neither.
    let key = make_key(&both, &json!({ "handle": unique("both") })).string("token");
    let codes_told_to = |client: &Client| -> Vec<String> {
        let ask = || client.post("/v1/keys/verify", &json!({ "key": key }));
        (0..3).map(|_| ask().expect(200).string("code")).collect()
    };
    let never_limited = ["valid", "valid", "valid"];
    assert_eq!(codes_told_to(&both), never_limited);
    let own_limit = make_key(&both, &key_body(1)).string("token");
    let verdicts: Vec<Reply> = (0..2)
        .map(|_| both.post("/v1/keys/verify", &json!({ "key": own_limit })))
        .collect();
    assert_eq!(verdicts[0].string("code"), "valid");
    assert_eq!(verdicts[1].string("code"), "rate_limited");
    let of_acme = world.with_key(&world.service().string("key"));
    assert_eq!(codes_told_to(&of_acme), never_limited);
    let limited = gateway.post("/v1/keys/verify", &json!({ "key": key }));
    assert_eq!(limited.expect(200).string("code"), "valid");
    let codes = codes_told_to(&gateway);
    assert_eq!(codes, ["valid", "rate_limited", "rate_limited"]);
}

#[test]
fn n107_a_limited_key_makes_none_that_may_be_used_more_often() {
    let limited = make_key(&world().owner(), &key_body(50)).string("token");
    let limited = world().with_key(&limited);
    let handle = || unique("wider");
    for body in [
        json!({ "handle": handle() }),
        json!({ "handle": handle(), "rate_limit": hourly(51) }),
        json!({ "handle": handle(), "rate_limit": { "requests": 50, "per_seconds": 3_599 } }),
    ] {
        let refused = limited.post("/user/keys", &body).expect(403);
        assert!(refused.contains("rate_limit"), "{refused:?}");
    }
    limited
        .post(ORG_SERVICES, &json!({ "name": unique("Wider") }))
        .expect(403);
    let body = json!({ "handle": handle(), "rate_limit": hourly(50) });
    make_key(&limited, &body);
    let path = format!("/user/keys/{}", body["handle"].as_str().expect("a handle"));
    limited
        .patch(&path, &json!({ "rate_limit": null }))
        .expect(403);
    limited
        .patch(&path, &json!({ "rate_limit": hourly(10) }))
        .expect(200);
}

#[test]
fn numbers_that_are_no_limit_are_422() {
    for (requests, per_seconds) in [
        (json!(0), json!(60)),
        (json!(1_000_001), json!(60)),
        (json!(1), json!(0)),
        (json!(1), json!(86_401)),
        (json!(-1), json!(60)),
        (json!(1.5), json!(60)),
        (json!(u64::MAX), json!(60)),
        (json!("1"), json!(60)),
        (json!(null), json!(60)),
    ] {
        let limit = json!({ "requests": requests, "per_seconds": per_seconds });
        let body = json!({ "handle": unique("wrong"), "rate_limit": limit });
        world().owner().post("/user/keys", &body).expect(422);
    }
}
