//! `/v1/orgs/{org}/hygiene`.

use keyledger_tests::Client;
use serde_json::{Value, json};

use crate::world::{make_key, seconds_from_now, world};

/// Every page of the list: whoever made the organization is a member with keys from every other test.
fn every_page(client: &Client, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = String::new();
    loop {
        let page = client.get(&format!("{path}?limit=50{next}")).expect(200);
        items.extend(page.member("items").as_array().expect("items").clone());
        match page.member("next").as_str() {
            Some(after) => next = format!("&after={after}"),
            None => return items,
        }
    }
}

fn found(items: &[Value], name: &str) -> Value {
    let one = items.iter().find(|one| one["owner_name"] == name);
    one.cloned().unwrap_or_default()
}

#[test]
fn what_is_worth_a_look_is_told_with_the_reason() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let services = format!("/v1/orgs/{org}/services");
    let path = format!("/v1/orgs/{org}/hygiene");
    let mut body = json!({ "name": "Idle" });
    as_owner.post(&services, &body).expect(201);
    body = json!({ "name": "Ends", "expires_at": seconds_from_now(86_400),
        "scopes": ["keys:verify"] });
    let ends = as_owner.post(&services, &body).expect(201).string("key");
    body = json!({ "name": "Wide", "expires_at": seconds_from_now(86_400),
        "scopes": ["keys:verify", "scopes:read"] });
    let wide = as_owner.post(&services, &body).expect(201).string("key");
    for key in [&ends, &wide] {
        let question = json!({ "key": key });
        world()
            .with_key(key)
            .post("/v1/keys/verify", &question)
            .expect(200);
    }
    let items = every_page(&as_owner, &path);
    let idle = found(&items, "idle");
    assert_eq!(idle["findings"], json!(["never_used", "no_expiry"]));
    assert_eq!(
        (&idle["safe_to_remove"], &idle["code"]),
        (&json!(false), &json!("too_new"))
    );
    assert!(
        idle["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("made only"))
    );
    // The verification of its own key said not for what, so nobody knows what the wide one needs.
    assert_eq!(found(&items, "wide"), Value::Null, "{items:?}");
    let mine = found(&items, owner.slug());
    assert_eq!(mine["code"], "recently_used");
    assert_eq!(mine["safe_to_remove"], json!(false));
    let first = as_owner.get(&format!("{path}?limit=1")).expect(200);
    assert_eq!(first.member("items").as_array().map(Vec::len), Some(1));
    let next = first.string("next");
    as_owner.get(&format!("{path}?after={next}")).expect(200);
    as_owner
        .get(&format!("{path}?idle_days=0"))
        .expect_field("idle_days");
    as_owner
        .get(&format!("{path}?after=x"))
        .expect_field("after");
}

#[test]
fn scopes_that_were_never_needed_and_owners_who_left_are_told() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let manager = world().person_in(&org, &as_owner, "manager");
    let body = json!({ "name": "Wide", "scopes": ["services:read", "scopes:read"] });
    let services = format!("/v1/orgs/{org}/services");
    let wide = world()
        .with_key(&manager.key)
        .post(&services, &body)
        .expect(201)
        .string("key");
    world().with_key(&wide).get(&services).expect(200);
    let member = format!("/v1/orgs/{org}/members/{}", manager.slug());
    as_owner
        .patch(&member, &json!({ "disabled": true }))
        .expect(200);
    let path = format!("/v1/orgs/{org}/hygiene");
    let told = |name| found(&every_page(&as_owner, &path), name);
    let wide = told("wide");
    assert_eq!(
        wide["findings"],
        json!(["no_expiry", "wider_scopes_than_used", "owner_disabled"])
    );
    assert_eq!(wide["unused_scopes"], json!(["scopes:read"]));
    as_owner.delete(&member).expect(204);
    let findings = told("wide")["findings"].clone();
    assert!(
        findings
            .as_array()
            .is_some_and(|all| all.contains(&json!("owner_gone")))
    );
}

/// Goal: what our own API requires counts as used wherever it is required. Method: each key uses all
/// that it may do, `scopes:read` at an address that always noted it.
#[test]
fn rights_of_our_own_api_count_as_used_where_they_are_required() {
    let (org, owner) = world().other_org();
    let as_owner = world().with_key(&owner.key);
    let under = |path: &str| format!("/v1/orgs/{org}/{path}");
    let service = json!({ "name": "Build", "scopes": ["services:write"] });
    as_owner.post(&under("services"), &service).expect(201);
    let leaver = world().person_in(&org, &as_owner, "member");
    let scoped = |handle: &str, scopes: &[&str]| {
        let scopes = [scopes, &["scopes:read"]].concat();
        let made = make_key(&as_owner, &json!({ "handle": handle, "scopes": scopes }));
        let client = world().with_key(&made.string("token"));
        client.get("/v1/scopes").expect(200);
        (made.string("preview"), client)
    };
    let (revoking, client) = scoped("revoking", &["audit:read", "services:write"]);
    let filter = json!({ "filter": { "kind": "service" } });
    let revocation = client.post(&under("revocations"), &filter).expect(201);
    client.get(&under("hygiene")).expect(200);
    let (undoing, client) = scoped("undoing", &["services:write"]);
    let undo = format!("revocations/{}/undo", revocation.string("id"));
    client.post(&under(&undo), &json!({})).expect(200);
    let (managing, client) = scoped("managing", &["keys:read"]);
    client.get(&under("hygiene")).expect(200);
    let (handing, client) = scoped("handing", &["services:write", "users:write"]);
    let hand_over = json!({ "disabled": true, "keys": { "hand_over_to": "Nightly" } });
    let member = under(&format!("members/{}", leaver.slug()));
    client.patch(&member, &hand_over).expect(200);
    let items = every_page(&as_owner, &under("hygiene"));
    for preview in [revoking, undoing, managing, handing] {
        let one = items.iter().find(|one| one["preview"] == *preview);
        let one = one.unwrap_or_else(|| panic!("no {preview} in {items:?}"));
        assert_eq!(one["unused_scopes"], Value::Null, "{one}");
    }
}
