//! `/v1/orgs/{org}/limits`: the limit of keys that have none of their own.

use keyledger_tests::NOT_PROVIDED;
use serde_json::{Value, json};

use crate::world::{make_key, unique, world};

#[test]
fn it_is_set_read_and_taken_off() {
    let (org, boss) = world().other_org();
    let boss = world().with_key(&boss.key);
    let path = format!("/v1/orgs/{org}/limits");
    assert_eq!(
        boss.get(&path).expect(200).member("rate_limit"),
        Value::Null
    );
    let limit = json!({ "requests": 1_000, "per_seconds": 60 });
    let set = boss.put(&path, &json!({ "rate_limit": limit })).expect(200);
    assert_eq!(set.member("rate_limit"), limit);
    let position: u64 = set
        .header("Keyledger-Position")
        .expect("a position")
        .parse()
        .expect("a number");
    assert_eq!(boss.get(&path).expect(200).member("rate_limit"), limit);
    let event = boss.get(&format!("/v1/events/{position}")).expect(200);
    assert_eq!(event.string("type"), "OrgLimitsChanged");
    assert_eq!(event.member("data")["rate_limit"], limit);
    // The same once more is no change.
    boss.put(&path, &json!({ "rate_limit": limit })).expect(200);
    let since = format!("/v1/events?type=OrgLimitsChanged&after={position}");
    let since = boss.get(&since).expect(200).member("items");
    // The shared ledger moves on by itself: a key's first use is an event too.
    assert_eq!(since, json!([]));
    let off = boss.put(&path, &json!({ "rate_limit": null })).expect(200);
    assert_eq!(off.member("rate_limit"), Value::Null);
}

#[test]
fn its_body_is_said_in_full() {
    let (org, boss) = world().other_org();
    let boss = world().with_key(&boss.key);
    let path = format!("/v1/orgs/{org}/limits");
    boss.put(&path, &json!({})).expect_field("rate_limit");
    for (requests, per_seconds, field) in [
        (0, 60, "rate_limit.requests"),
        (1_000_001, 60, "rate_limit.requests"),
        (1, 0, "rate_limit.per_seconds"),
        (1, 86_401, "rate_limit.per_seconds"),
    ] {
        let limit = json!({ "requests": requests, "per_seconds": per_seconds });
        boss.put(&path, &json!({ "rate_limit": limit }))
            .expect_field(field);
    }
    for wrong in [json!({}), json!({ "requests": 1 }), json!(7), json!("7/s")] {
        boss.put(&path, &json!({ "rate_limit": wrong })).expect(422);
    }
}

#[test]
fn members_read_it_and_managers_set_it() {
    let path = "/v1/orgs/acme/limits";
    let body = json!({ "rate_limit": null });
    let member = world().with_key(&world().person("member").key);
    member.get(path).expect(200);
    member.put(path, &body).expect(403);
    let manager = world().with_key(&world().person("manager").key);
    manager.put(path, &body).expect(200);
    let narrow = world().with_key(&world().key_with_scopes(&["files:read"]));
    narrow.get(path).expect_missing_scope("workspaces:read");
    narrow
        .put(path, &body)
        .expect_missing_scope("workspaces:write");
    // Who may not is told so, and not which numbers would be right.
    let wrong = json!({ "rate_limit": { "requests": 0, "per_seconds": 0 } });
    member.put(path, &wrong).expect(403);
    member.put(path, &json!({ "no": "such" })).expect(403);
    world().anonymous().get(path).expect_401(NOT_PROVIDED);
    let (_, stranger) = world().other_org();
    let stranger = world().with_key(&stranger.key);
    stranger.get(path).expect(404);
    stranger.put(path, &body).expect(404);
}

#[test]
fn n107_a_limited_key_does_not_widen_it() {
    let (org, boss) = world().other_org();
    let boss = world().with_key(&boss.key);
    let path = format!("/v1/orgs/{org}/limits");
    let limit =
        |requests: u32| json!({ "rate_limit": { "requests": requests, "per_seconds": 60 } });
    boss.put(&path, &limit(1_000)).expect(200);
    let mut new = limit(100);
    new["handle"] = json!(unique("limited"));
    let limited = make_key(&boss, &new).string("token");
    let limited = world().with_key(&limited);
    limited
        .put(&path, &json!({ "rate_limit": null }))
        .expect(403);
    limited.put(&path, &limit(1_001)).expect(403);
    limited.put(&path, &limit(999)).expect(200);
}
