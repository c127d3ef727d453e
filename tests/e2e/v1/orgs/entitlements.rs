//! `/v1/orgs/{org}/entitlements`: read-only tokens for customers.

use keyledger_tests::{INVALID_TOKEN, NOT_PROVIDED, credential};
use serde_json::json;

use crate::world::{NearEnd, make_key, seconds_from_now, status_as, unique, world};

const ENTITLEMENTS: &str = "/v1/orgs/acme/entitlements";

#[test]
fn it_is_made_with_its_token_shown_this_once() {
    let body = json!({ "name": unique("Customer"), "scopes": ["files:read"] });
    let made = world().owner().post(ENTITLEMENTS, &body).expect(201);
    let (id, token) = (made.string("id"), made.string("token"));
    assert!(
        credential::is_well_formed(&token, "et", "live"),
        "not a live entitlement token"
    );
    assert_eq!(status_as(&token), 200);
    let again = world()
        .owner_by_password()
        .get(&format!("{ENTITLEMENTS}/{id}"))
        .expect(200);
    for shown in [again, world().owner().get(ENTITLEMENTS).expect(200)] {
        assert!(shown.contains(&id), "{shown:?}");
        assert!(
            !shown.contains(&token) && !shown.contains(&token[18..61]),
            "the token is shown again"
        );
    }
}

#[test]
fn d1_10_it_takes_only_scopes_that_read() {
    for scopes in [
        json!(["files:write"]),
        json!(["files:read", "files:write"]),
        json!(["nobody:knows"]),
    ] {
        world()
            .owner()
            .post(
                ENTITLEMENTS,
                &json!({ "name": unique("Bad"), "scopes": scopes }),
            )
            .expect(422);
    }
}

#[test]
fn a_deleted_one_is_refused() {
    let body = json!({ "name": unique("Ended"), "scopes": ["files:read"] });
    let made = world().owner().post(ENTITLEMENTS, &body).expect(201);
    let path = format!("{ENTITLEMENTS}/{}", made.string("id"));
    world().owner().delete(&path).expect(204);
    world()
        .with_key(&made.string("token"))
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    world().owner().get(&path).expect(404);
}

#[test]
fn it_ends_with_its_expiry() {
    let (end, expires_at) = NearEnd::begin();
    let body =
        json!({ "name": unique("Brief"), "scopes": ["files:read"], "expires_at": expires_at });
    let token = world()
        .owner()
        .post(ENTITLEMENTS, &body)
        .expect(201)
        .string("token");
    assert_eq!(status_as(&token), 200);
    end.wait();
    world()
        .with_key(&token)
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
}

#[test]
fn d1_10_it_reaches_no_management_route() {
    let body = json!({ "name": unique("Nosy"), "scopes": ["files:read"] });
    let token = world()
        .owner()
        .post(ENTITLEMENTS, &body)
        .expect(201)
        .string("token");
    let nosy = world().with_key(&token);
    for path in [
        "/v1/orgs/acme/services",
        "/v1/orgs/acme/members",
        "/v1/orgs/acme/entitlements",
        "/v1/events",
    ] {
        nosy.get(path).expect(403);
    }
}

#[test]
fn members_make_none_and_strangers_see_none() {
    let body = json!({ "name": unique("Sneaky"), "scopes": ["files:read"] });
    world()
        .with_key(&world().person("member").key)
        .post(ENTITLEMENTS, &body)
        .expect(403);
    world()
        .anonymous()
        .post(ENTITLEMENTS, &body)
        .expect_401(NOT_PROVIDED);
    world()
        .anonymous()
        .get(ENTITLEMENTS)
        .expect_401(NOT_PROVIDED);
    world()
        .owner()
        .get("/v1/orgs/nowhere/entitlements")
        .expect(404);
}

#[test]
fn it_is_granted_so_many_uses() {
    let uses = json!({ "remaining": 100, "refill": { "amount": 10, "per_seconds": 86_400 } });
    let limits = json!({ "credits": uses, "allowed_cidrs": ["192.0.2.0/24"] });
    let body = json!({ "name": unique("Counted"), "scopes": ["files:read"], "limits": limits });
    let owner = world().owner();
    let made = owner.post(ENTITLEMENTS, &body).expect(201);
    assert_eq!(made.member("limits"), limits);
    let path = format!("{ENTITLEMENTS}/{}", made.string("id"));
    let patched = |limits: serde_json::Value| {
        let body = json!({ "limits": limits });
        let changed = owner.patch(&path, &body).expect(200);
        let position = changed.header("Keyledger-Position").expect("a position");
        let event = owner.get(&format!("/v1/events/{position}")).expect(200);
        (changed.member("limits"), event.string("type"))
    };
    // What was granted stays where nothing is said of it.
    let (limits, _) = patched(json!({ "allowed_cidrs": [] }));
    assert_eq!(limits, json!({ "credits": uses, "allowed_cidrs": [] }));
    // The same once more is granted once more.
    let (limits, event) = patched(json!({ "credits": uses }));
    assert_eq!(limits["credits"], uses);
    assert_eq!(event, "EntitlementCreditsChanged");
    let few = json!({ "remaining": 3, "refill": null });
    let (limits, event) = patched(json!({ "credits": { "remaining": 3 } }));
    assert_eq!(limits["credits"], few);
    assert_eq!(event, "EntitlementCreditsChanged");
    let (limits, event) = patched(json!({ "credits": null }));
    assert_eq!(limits["credits"], serde_json::Value::Null);
    assert_eq!(event, "EntitlementCreditsChanged");
    patched(json!({ "credits": uses }));
    let (limits, _) = patched(serde_json::Value::Null);
    assert_eq!(limits, json!({ "credits": null, "allowed_cidrs": [] }));
}

#[test]
fn what_is_left_out_of_a_change_stays() {
    let owner = world().owner();
    let networks = json!(["192.0.2.0/24"]);
    let credits = json!({ "remaining": 5, "refill": null });
    let rate_limit = json!({ "requests": 7, "per_seconds": 60 });
    let body = json!({
        "name": unique("Topped up"), "scopes": ["files:read"], "rate_limit": rate_limit,
        "limits": { "allowed_cidrs": networks, "credits": credits },
    });
    let made = owner.post(ENTITLEMENTS, &body).expect(201);
    let path = format!("{ENTITLEMENTS}/{}", made.string("id"));
    let none = json!(null);
    for (change, networks, credits, rate_limit) in [
        (json!({}), &networks, &credits, &rate_limit),
        (json!({ "limits": {} }), &networks, &credits, &rate_limit),
        (
            json!({ "limits": { "credits": { "remaining": 5 } } }),
            &networks,
            &credits,
            &rate_limit,
        ),
        (json!({ "rate_limit": null }), &networks, &credits, &none),
        (
            json!({ "limits": { "credits": null } }),
            &networks,
            &none,
            &none,
        ),
        (json!({ "disabled": false }), &networks, &none, &none),
        (
            json!({ "limits": { "allowed_cidrs": [] } }),
            &json!([]),
            &none,
            &none,
        ),
        (
            json!({ "limits": { "allowed_cidrs": networks, "credits": credits } }),
            &networks,
            &credits,
            &none,
        ),
        (
            json!({ "limits": { "allowed_cidrs": null } }),
            &json!([]),
            &credits,
            &none,
        ),
        (json!({ "limits": null }), &json!([]), &none, &none),
    ] {
        let changed = owner.patch(&path, &change).expect(200);
        let limits = changed.member("limits");
        assert_eq!(&limits["allowed_cidrs"], networks, "{change}");
        assert_eq!(&limits["credits"], credits, "{change}");
        assert_eq!(&changed.member("rate_limit"), rate_limit, "{change}");
    }
}

#[test]
fn keys_and_services_keep_what_is_left_out_too() {
    let owner = world().owner();
    let limits = json!({
        "scopes": ["files:read"], "expires_at": seconds_from_now(3_600),
        "allowed_cidrs": ["192.0.2.0/24"], "rate_limit": { "requests": 7, "per_seconds": 60 },
    });
    let names = ["scopes", "expires_at", "allowed_cidrs", "rate_limit"];
    let with = |named: &str, name: String| {
        let mut body = limits.clone();
        body[named] = json!(name);
        body
    };
    let handle = unique("kept");
    make_key(&owner, &with("handle", handle.clone()));
    let service = owner
        .post("/v1/orgs/acme/services", &with("name", unique("Kept")))
        .expect(201)
        .string("slug");
    for path in [
        format!("/v1/user/keys/{handle}"),
        format!("/v1/orgs/acme/services/{service}"),
    ] {
        for taken in names {
            let mut kept = owner.patch(&path, &json!({})).expect(200).json();
            let changed = owner
                .patch(&path, &json!({ taken: null }))
                .expect(200)
                .json();
            // Networks are a list in answers, and empty for any.
            kept[taken] = match taken {
                "allowed_cidrs" => json!([]),
                _ => json!(null),
            };
            for name in names {
                assert_eq!(changed[name], kept[name], "{taken}: null changed {name}");
            }
        }
    }
}

#[test]
fn uses_that_are_no_number_of_uses_are_422() {
    for (credits, field) in [
        (
            json!({ "remaining": 1_000_000_000_001_u64 }),
            "limits.credits.remaining",
        ),
        (
            json!({ "remaining": 1, "refill": { "amount": 0, "per_seconds": 60 } }),
            "limits.credits.refill.amount",
        ),
        (
            json!({ "remaining": 1, "refill": { "amount": 1, "per_seconds": 0 } }),
            "limits.credits.refill.per_seconds",
        ),
    ] {
        let body = json!({ "name": unique("Bad"), "scopes": ["files:read"], "limits": { "credits": credits } });
        let refused = world().owner().post(ENTITLEMENTS, &body);
        refused.expect_field(field);
    }
    let body = json!({ "name": unique("Bad"), "scopes": ["files:read"], "limits": { "credits": { "remaining": -1 } } });
    world().owner().post(ENTITLEMENTS, &body).expect(422);
}
