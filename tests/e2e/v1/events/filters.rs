//! Every filter of `GET /v1/events` alone and together, and both directions.

use keyledger_tests::Client;
use serde_json::{Value, json};

use super::{items, position};
use crate::world::{make_key, unique, world};

/// What is found, page by page, in the order in which it comes.
fn found(client: &Client, query: &str, page_len: usize) -> Vec<Value> {
    let cursor = if query.contains("order=desc") {
        "before"
    } else {
        "after"
    };
    let mut seen: Vec<Value> = Vec::new();
    let mut next = String::new();
    loop {
        let page = client
            .get(&format!("/v1/events?{query}&limit={page_len}{next}"))
            .expect(200);
        seen.extend(items(&page));
        match page.member("next").as_str() {
            None => return seen,
            Some(last) => next = format!("&{cursor}={last}"),
        }
    }
}

/// Whether an event is one of those that a filter should find.
type IsIt = Box<dyn Fn(&Value) -> bool>;

fn has(field: &'static str, value: &str) -> IsIt {
    let value = value.to_owned();
    Box::new(move |event| event[field] == *value)
}

fn is_of_team(event: &Value) -> bool {
    let name = event["type"].as_str();
    name.is_some_and(|name| name.starts_with("Team"))
}

fn positions(events: &[Value]) -> Vec<u64> {
    events.iter().map(position).collect()
}

/// An organization with a history of its own: its slug, and its owner.
fn history() -> (String, Client) {
    let (org, boss) = world().other_org();
    let boss = world().with_key(&boss.key);
    for number in 0..6 {
        let team = json!({ "name": format!("Team {number}") });
        let slug = boss
            .post(&format!("/v1/orgs/{org}/teams"), &team)
            .expect(201)
            .string("slug");
        let team = format!("/v1/orgs/{org}/teams/{slug}");
        boss.patch(&team, &json!({ "name": format!("Renamed {number}") }))
            .expect(200);
        if number % 2 == 0 {
            boss.delete(&team).expect(204);
        }
    }
    boss.post(
        &format!("/v1/orgs/{org}/services"),
        &json!({ "name": "CI" }),
    )
    .expect(201);
    (org, boss)
}

#[test]
fn each_filter_finds_what_a_look_at_all_events_finds() {
    let (org, boss) = history();
    let elsewhere = boss.at([127, 0, 0, 9]);
    let auditor = world().person_in(&org, &boss, "manager");
    let auditor = world().with_key(&auditor.key);
    elsewhere
        .post(
            &format!("/v1/orgs/{org}/teams"),
            &json!({ "name": "From afar" }),
        )
        .expect(201);
    auditor
        .post(
            &format!("/v1/orgs/{org}/teams"),
            &json!({ "name": "Not the boss's" }),
        )
        .expect(201);
    let all = found(&boss, &format!("organization={org}"), 1_000);
    let last = position(all.last().expect("events"));
    let of = |field: &str, event: &Value| event[field].as_str().unwrap_or_default().to_owned();
    let me = format!("user:{}", boss.get("/v1/me").expect(200).string("id"));
    let team = all
        .iter()
        .find(|event| event["type"] == "TeamChanged")
        .expect("a change");
    let (team, credential) = (of("target", team), of("credential", team));
    let rows: Vec<(String, IsIt)> = vec![
        (format!("actor={me}"), has("actor", &me)),
        (format!("target={team}"), has("target", &team)),
        (
            format!("credential={credential}"),
            has("credential", &credential),
        ),
        ("type=TeamDeleted".to_owned(), has("type", "TeamDeleted")),
        ("type=Team*".to_owned(), Box::new(is_of_team)),
        ("source=127.0.0.9".to_owned(), has("source", "127.0.0.9")),
        ("source=127.0.0.8/29".to_owned(), has("source", "127.0.0.9")),
        (
            "source=127.0.0.0/8&type=Team*".to_owned(),
            Box::new(is_of_team),
        ),
        ("source=2001:db8::/48".to_owned(), Box::new(|_| false)),
        (
            format!("type=Team*&actor={me}&target={team}"),
            has("target", &team),
        ),
        (
            format!("source=127.0.0.9&type=TeamCreated&credential={credential}"),
            Box::new(|event| event["source"] == "127.0.0.9" && event["type"] == "TeamCreated"),
        ),
        (
            "source=127.0.0.9&type=ServiceCreated".to_owned(),
            Box::new(|_| false),
        ),
        ("actor=nobody-here".to_owned(), Box::new(|_| false)),
    ];
    // Other tests write meanwhile.
    let by_then = |events: Vec<Value>| -> Vec<u64> {
        let positions = positions(&events).into_iter();
        positions.filter(|position| *position <= last).collect()
    };
    for (query, is_it) in rows {
        let expected: Vec<u64> = all
            .iter()
            .filter(|event| is_it(event))
            .map(position)
            .collect();
        let query = format!("organization={org}&{query}");
        for page_len in [1, 3, 1_000] {
            let rising = by_then(found(&boss, &query, page_len));
            assert_eq!(rising, expected, "{query}");
            let mut falling = by_then(found(&boss, &format!("{query}&order=desc"), page_len));
            falling.reverse();
            assert_eq!(falling, expected, "{query}");
        }
    }
    // Somebody who is not in it finds nothing by any of them.
    let (_, stranger) = world().other_org();
    let stranger = world().with_key(&stranger.key);
    for query in [
        format!("target={team}"),
        format!("credential={credential}"),
        format!("actor={me}"),
    ] {
        assert!(found(&stranger, &query, 1_000).is_empty(), "n121: {query}");
    }
}

#[test]
fn pages_stay_as_they_are_while_more_is_written() {
    let (org, boss) = history();
    let query = format!("organization={org}&type=Team*");
    let before = positions(&found(&boss, &query, 1_000));
    let first = boss
        .get(&format!("/v1/events?{query}&order=desc&limit=4"))
        .expect(200);
    let mut falling = positions(&items(&first));
    let mut next = first.string("next");
    loop {
        boss.post(
            &format!("/v1/orgs/{org}/teams"),
            &json!({ "name": unique("Meanwhile") }),
        )
        .expect(201);
        let page = boss
            .get(&format!(
                "/v1/events?{query}&order=desc&limit=4&before={next}"
            ))
            .expect(200);
        falling.extend(positions(&items(&page)));
        match page.member("next").as_str() {
            Some(more) => more.clone_into(&mut next),
            None => break,
        }
    }
    falling.reverse();
    assert_eq!(falling, before);
    let newest = boss
        .get(&format!("/v1/events?{query}&order=desc&limit=1"))
        .expect(200);
    let newest = &items(&newest)[0];
    assert!(
        newest["data"]["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("Meanwhile"))
    );
    assert!(
        newest["position"].as_u64() > before.last().copied(),
        "found at once"
    );
    let indexed = boss.get("/v1/events?limit=1").expect(200);
    let indexed = indexed
        .header("Keyledger-Indexed")
        .expect("how far the index is");
    assert!(indexed.parse::<u64>().is_ok());
}

#[test]
fn n128_what_cannot_be_filtered_by_is_422() {
    let owner = world().owner();
    for (query, field) in [
        ("type=Nothing*", "type"),
        ("type=Nothing", "type"),
        ("credential=x", "credential"),
        ("source=everywhere", "source"),
        ("source=10.0.0.0/33", "source"),
        ("source=10.0.0.0/8/8", "source"),
        ("source=2001:db8::/129", "source"),
        ("order=newest", "order"),
        ("before=-1", "before"),
        ("before=x", "before"),
    ] {
        owner
            .get(&format!("/v1/events?{query}"))
            .expect_field(field);
    }
    owner.get("/v1/events?sort=asc").expect(400);
}

/// The newest event of an organization that a filter finds; the same by its position.
#[track_caller]
fn last_of(client: &Client, org: &str, query: &str) -> Value {
    let path = format!("/v1/events?organization={org}&{query}&order=desc&limit=1");
    let event = items(&client.get(&path).expect(200)).remove(0);
    let one = client.get(&format!("/v1/events/{}", event["position"]));
    assert_eq!(one.expect(200).json(), event);
    event
}

fn change(field: &str, before: Value, after: Value) -> Value {
    json!([{ "field": field, "before": before, "after": after }])
}

#[test]
fn changes_say_what_was_before_and_names_say_who() {
    let (org, boss) = world().other_org();
    let boss_key = world().with_key(&boss.key);
    let base = format!("/v1/orgs/{org}");
    let last = |query: &str| last_of(&boss_key, &org, query);
    let made = boss_key
        .post(&format!("{base}/services"), &json!({ "name": "Crawler" }))
        .expect(201);
    let service = format!("{base}/services/{}", made.string("slug"));
    boss_key
        .patch(&service, &json!({ "description": "Nightly" }))
        .expect(200);
    boss_key
        .patch(&service, &json!({ "description": "Hourly" }))
        .expect(200);
    let event = last("type=ServiceChanged");
    assert_eq!(
        event["changes"],
        change("description", json!("Nightly"), json!("Hourly"))
    );
    assert_eq!(event["target_name"], "Crawler");
    assert!(event["actor_name"].is_string());
    boss_key
        .post(&format!("{base}/teams"), &json!({ "name": "Night shift" }))
        .expect(201);
    assert_eq!(last("type=TeamCreated")["target_name"], "Night shift");

    let person = world().person_in(&org, &boss_key, "member");
    let member = format!("{base}/members/{}", person.slug());
    boss_key
        .patch(&member, &json!({ "role": "manager" }))
        .expect(200);
    let event = last("type=MemberRoleChanged");
    assert_eq!(
        event["changes"],
        change("role", json!("member"), json!("manager"))
    );

    // Whoever came by an invitation has the role that it said.
    let invited = world().person("member");
    let body = json!({ "email": invited.email, "role": "manager" });
    let reply = boss_key.post(&format!("{base}/members"), &body).expect(201);
    let token = reply.member("invitation")["token"].clone();
    let themselves = world().with_key(&invited.key);
    themselves
        .post("/v1/invitations/accept", &json!({ "token": token }))
        .expect(201);
    boss_key
        .patch(
            &format!("{base}/members/{}", invited.slug()),
            &json!({ "role": "member" }),
        )
        .expect(200);
    let event = last("type=MemberRoleChanged");
    assert_eq!(
        event["changes"],
        change("role", json!("manager"), json!("member"))
    );
}

#[test]
fn changes_of_keys_and_limits_are_told_and_none_that_another_organization_saw() {
    let (org, boss) = world().other_org();
    let boss_key = world().with_key(&boss.key);
    let last = |query: &str| last_of(&boss_key, &org, query);
    let handle = unique("limited");
    let key = make_key(&boss_key, &json!({ "handle": handle }));
    boss_key
        .patch(
            &format!("/user/keys/{handle}"),
            &json!({ "scopes": ["files:read"] }),
        )
        .expect(200);
    let event = last(&format!(
        "type=ApiKeyRestricted&target=key:{}",
        key.string("id")
    ));
    assert_eq!(
        event["changes"],
        change("scopes", Value::Null, json!(["files:read"]))
    );
    boss_key
        .patch(
            &format!("/user/keys/{handle}"),
            &json!({ "disabled": true }),
        )
        .expect(200);
    let event = last(&format!(
        "type=ApiKeyDisabled&target=key:{}",
        key.string("id")
    ));
    assert_eq!(
        event["changes"],
        change("disabled", json!(false), json!(true))
    );

    let base = format!("/v1/orgs/{org}");
    let limits = format!("{base}/limits");
    let ten = json!({ "requests": 1_000, "per_seconds": 60 });
    boss_key
        .put(&limits, &json!({ "rate_limit": ten }))
        .expect(200);
    assert_eq!(
        last("type=OrgLimitsChanged")["changes"],
        change("rate_limit", Value::Null, ten)
    );

    // What makes a thing anew changes nothing; what was before this organization is not told to it.
    let service = json!({ "name": "New" });
    boss_key
        .post(&format!("{base}/services"), &service)
        .expect(201);
    assert!(last("type=ServiceCreated").get("changes").is_none());
    let stranger = world().person("member");
    let body = json!({ "email": stranger.email, "role": "member" });
    let reply = boss_key.post(&format!("{base}/members"), &body).expect(201);
    let token = json!({ "token": reply.member("invitation")["token"] });
    let themselves = world().with_key(&stranger.key);
    themselves
        .post("/v1/invitations/accept", &token)
        .expect(201);
    let own = json!({ "scopes": ["files:read"] });
    themselves.patch("/user/keys/own", &own).expect(200);
    assert!(last("type=ApiKeyRestricted").get("changes").is_none());
}
