//! `GET /v1/orgs/{org}/usage`: what the keys of an organization do, page by page.

use keyledger_tests::{Client, OWNER_ORG};
use serde_json::Value;
use serde_json::json;

use crate::world::{make_key, unique, world};

fn all(query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/v1/orgs/{OWNER_ORG}/usage?limit=7{query}{after}");
        let page = world().owner().get(&path).expect(200).json();
        found.extend(page["items"].as_array().expect("a page").clone());
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        after = format!("&after={next}");
    }
}

#[test]
fn every_key_is_on_one_page_with_its_sums() {
    let service = world().service();
    let key = world().with_key(&service.string("key"));
    key.get("/v1/me").expect(200);
    let found = all("");
    let mut previews: Vec<&str> = found
        .iter()
        .map(|key| key["preview"].as_str().expect("a preview"))
        .collect();
    let count = previews.len();
    previews.sort_unstable();
    previews.dedup();
    assert_eq!(previews.len(), count, "a key is on two pages");
    let of = |keys: &[Value]| {
        let found = keys.iter().find(|key| key["id"] == service.member("id"));
        found.expect("the service is in the list").clone()
    };
    let plain = of(&found);
    assert_eq!(plain["totals"]["accepted"], 1, "{plain}");
    assert!(plain.get("series").is_none());
    let series = &of(&all("&granularity=day"))["series"];
    assert_eq!(series[0]["seconds"], 86_400);
    assert_eq!(series[0]["counts"]["accepted"], 1);
}

#[test]
fn n110_another_organizations_keys_are_not_in_it() {
    let (slug, person) = world().other_org();
    let theirs = world().with_key(&person.key);
    let ours = format!("/v1/orgs/{OWNER_ORG}/usage");
    theirs.get(&ours).expect(404);
    let service = world().service();
    let page = theirs.get(&format!("/v1/orgs/{slug}/usage?limit=1000"));
    let page = page.expect(200).json();
    let items = page["items"].as_array().expect("a page");
    assert!(items.iter().all(|key| key["id"] != service.member("id")));
    assert!(!items.is_empty());
}

#[test]
fn a_test_credential_sees_no_live_key() {
    let body = json!({ "handle": unique("tester"), "environment": "test" });
    let token = make_key(&world().owner(), &body).string("token");
    let path = format!("/v1/orgs/{OWNER_ORG}/usage?limit=1000");
    let page = world().with_key(&token).get(&path).expect(200).json();
    let items = page["items"].as_array().expect("a page");
    assert!(!items.is_empty());
    for key in items {
        let preview = key["preview"].as_str().expect("a preview");
        assert!(preview.contains("_test_"), "{preview}");
    }
}

#[test]
fn it_needs_the_right_and_says_what_is_wrong() {
    let path = format!("/v1/orgs/{OWNER_ORG}/usage");
    let member = world().person("member");
    world().with_key(&member.key).get(&path).expect(403);
    for query in ["since=yesterday", "granularity=year", "limit=0", "after=-"] {
        world().owner().get(&format!("{path}?{query}")).expect(422);
    }
    let long_ago = format!("{path}?until=2001-01-01T00:00:00Z");
    let page = world().owner().get(&long_ago).expect(200).json();
    for key in page["items"].as_array().expect("a page") {
        // Of somebody who is in other organizations too it is not told.
        let accepted = &key["totals"]["accepted"];
        assert!(accepted.is_null() || *accepted == 0, "{key}");
    }
}

/// What another organization learns of a key of the owner of `acme`, who is in both, after the API of
/// `acme` asked about it.
#[test]
fn n110_n121_where_a_key_is_used_is_not_told_to_another_organization_of_its_holder() {
    let owner = world().owner();
    let me = owner.get("/user/self").expect(200).string("slug_perm");
    let (slug, other) = world().owners_other_org();
    let other = world().with_key(&other.key);
    let handle = unique("shared");
    let made = make_key(&owner, &json!({ "handle": handle }));
    let (id, token) = (made.string("id"), made.string("token"));
    let service = world().service();
    let gateway = world().with_key(&service.string("key"));
    let body = json!({ "key": token, "scopes": ["files:read"], "ip": "203.0.113.77" });
    let verdict = gateway.post("/v1/keys/verify", &body).expect(200);
    assert_eq!(verdict.string("code"), "valid");

    let path = format!("/v1/keys/{id}/usage");
    let in_list = |client: &Client| -> Option<Value> {
        let page = client.get(&format!("/v1/orgs/{slug}/usage?limit=1000&granularity=day"));
        let page = page.expect(200).json();
        let items = page["items"].as_array().expect("a page");
        items.iter().find(|key| key["id"] == id.as_str()).cloned()
    };
    for told in [
        other.get(&path).expect(200).json(),
        in_list(&other).expect("the key is in the list"),
    ] {
        assert!(told["last_used"]["at"].is_string(), "{told}");
        assert_eq!(told["last_used"]["source"], Value::Null, "{told}");
        assert_eq!(told["last_used"]["client"], Value::Null, "{told}");
        assert_eq!(told["totals"], Value::Null, "{told}");
        assert!(told.get("series").is_none(), "{told}");
        assert!(told["withheld"].is_string(), "{told}");
        let words = told.to_string();
        assert!(!words.contains("203.0.113.77") && !words.contains(&service.string("id")));
    }
    // Whoever reads the log of both is told, and so is an auditor where it is the only one.
    for told in [
        owner.get(&path).expect(200).json(),
        in_list(&owner).expect("the key is in the list"),
    ] {
        assert_eq!(told["last_used"]["source"], "203.0.113.77", "{told}");
        assert_eq!(told["totals"]["valid"], 1, "{told}");
        assert!(told.get("withheld").is_none(), "{told}");
    }
    // A new secret's first use is told by whoever asked about it.
    let rotate = json!({ "activate": "first_use" });
    let rotate = owner.post(&format!("/user/keys/{handle}/rotate"), &rotate);
    let body = json!({ "key": rotate.expect(200).string("token"), "ip": "203.0.113.77" });
    let verdict = gateway.post("/v1/keys/verify", &body).expect(200);
    assert_eq!(verdict.string("code"), "valid");
    // Both are events in both, with their source for those who read both.
    for (kind, source) in [
        ("ApiKeyFirstUsed", "203.0.113.77"),
        ("ApiKeyActivated", "127.0.0.1"),
    ] {
        let events = format!("/v1/events?type={kind}&target=key:{id}");
        let first = |client: &Client| {
            for _ in 0..400 {
                let page = client.get(&events).expect(200).json();
                if let Some(first) = page["items"].get(0) {
                    return first.clone();
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            panic!("no {kind} of {id}");
        };
        assert_eq!(first(&owner)["source"], source);
        let first = first(&other);
        assert_eq!(first["source"], Value::Null, "{first}");
        assert_eq!(first["client"], Value::Null, "{first}");
        let one = format!("/v1/events/{}", first["position"]);
        assert_eq!(other.get(&one).expect(200).member("source"), Value::Null);
    }

    // Switched off there, their keys are no concern of that organization any more.
    let member = format!("/v1/orgs/{slug}/members/{me}");
    other
        .patch(&member, &json!({ "disabled": true }))
        .expect(200);
    other.get(&path).expect(404);
    assert_eq!(in_list(&other), None);
    let left = other.get(&format!("{member}/keys?limit=1000")).expect(200);
    let left = left.json();
    let left = left["items"].as_array().expect("a page");
    let shared = left.iter().find(|key| key["id"] == id.as_str());
    assert_eq!(shared.expect("it is listed")["last_used_at"], Value::Null);
    let hygiene = other.get(&format!("/v1/orgs/{slug}/hygiene?limit=1000"));
    assert!(!hygiene.expect(200).contains(&me));
}
