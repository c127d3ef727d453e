//! `GET /v1/orgs/{org}/usage`: what the keys of an organisation do, page by page.

use keyledger_tests::OWNER_ORG;
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
fn n110_another_organisations_keys_are_not_in_it() {
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
        assert_eq!(key["totals"]["accepted"], 0, "{key}");
    }
}
