//! `GET /v1/events` and `GET /v1/events/{position}`: what happened, by whom.

mod apart;
mod filters;
mod reading;
mod stream;

use keyledger_tests::{Client, NOT_PROVIDED, Reply, raw};
use serde_json::{Value, json};

use crate::world::{make_key, unique, world};

pub(crate) fn items(reply: &Reply) -> Vec<Value> {
    reply
        .member("items")
        .as_array()
        .unwrap_or_else(|| panic!("no list `items` in {reply:?}"))
        .clone()
}

fn position(event: &Value) -> u64 {
    event["position"].as_u64().expect("a position")
}

/// All events that the client may see, page by page.
fn all(client: &Client, page_len: usize) -> Vec<Value> {
    all_where(client, "", page_len)
}

/// The same of `acme` alone, of which the owner of it reads all, whatever becomes of them elsewhere.
fn all_of_acme(page_len: usize) -> Vec<Value> {
    all_where(&world().owner(), "organization=acme&", page_len)
}

fn all_where(client: &Client, filter: &str, page_len: usize) -> Vec<Value> {
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let after = seen
            .last()
            .map_or(String::new(), |last| format!("&after={}", position(last)));
        let page = client
            .get(&format!("/v1/events?{filter}limit={page_len}{after}"))
            .expect(200);
        let events = items(&page);
        assert!(events.len() <= page_len, "a page is longer than its limit");
        let is_last = page.member("next").is_null();
        assert!(is_last || !events.is_empty(), "an empty page promises more");
        seen.extend(events);
        if is_last {
            return seen;
        }
    }
}

#[test]
fn a_change_is_told_with_all_that_was_asked_of_it() {
    let made = make_key(&world().owner(), &json!({ "handle": unique("told") }));
    let all = all(&world().owner(), 500);
    let id = made.string("id");
    let event = all
        .iter()
        .find(|event| event.to_string().contains(&id))
        .expect("the event of the new key");
    let members = [
        "position",
        "type",
        "time",
        "actor",
        "target",
        "organization",
        "credential",
        "source",
        "request_id",
        "data",
    ];
    for member in members {
        assert!(event.get(member).is_some(), "an event has `{member}`");
    }
    assert!(event["type"].is_string() && event["time"].is_string());
    assert!(
        !event.to_string().contains(&made.string("token")),
        "an event tells a key"
    );
}

#[test]
fn newest_is_last_and_pages_neither_repeat_nor_miss() {
    for _ in 0..5 {
        make_key(&world().owner(), &json!({ "handle": unique("paged") }));
    }
    let by_small_pages = all_of_acme(7);
    let positions: Vec<u64> = by_small_pages.iter().map(position).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "positions rise");
    let last = *positions.last().expect("events");
    let at_once: Vec<u64> = all_of_acme(1_000)
        .iter()
        .map(position)
        .filter(|at| *at <= last)
        .collect();
    assert_eq!(at_once, positions);
}

#[test]
fn one_can_be_had_by_its_position() {
    let events = items(&world().owner().get("/v1/events?limit=3").expect(200));
    let at = position(&events[0]);
    assert_eq!(
        world()
            .owner()
            .get(&format!("/v1/events/{at}"))
            .expect(200)
            .json(),
        events[0]
    );
    world().owner().get("/v1/events/999999999999").expect(404);
}

#[test]
fn filters_narrow_and_add_up() {
    let owner = world().owner();
    make_key(&owner, &json!({ "handle": unique("filtered") }));
    let events = all(&owner, 500);
    let last = events.last().expect("events");
    let kind = last["type"].as_str().expect("a type");
    let same = items(
        &owner
            .get(&format!("/v1/events?type={kind}&limit=500"))
            .expect(200),
    );
    assert!(!same.is_empty() && same.iter().all(|event| event["type"] == kind));
    let none = items(
        &owner
            .get(&format!("/v1/events?type={kind}&after={}", u64::MAX >> 1))
            .expect(200),
    );
    assert!(none.is_empty());
    let since = items(
        &owner
            .get("/v1/events?since=2099-01-01T00:00:00Z")
            .expect(200),
    );
    assert!(since.is_empty(), "nothing happened yet in 2099");
    let until = items(
        &owner
            .get("/v1/events?until=2001-01-01T00:00:00Z")
            .expect(200),
    );
    assert!(until.is_empty(), "nothing had happened in 2001");
}

#[test]
fn n128_a_limit_or_position_that_cannot_be_is_422() {
    for query in [
        "limit=-1",
        "limit=many",
        "limit=NaN",
        "after=-1",
        "since=yesterday",
        "limit=1000000000",
    ] {
        world()
            .owner()
            .get(&format!("/v1/events?{query}"))
            .expect(422);
    }
}

#[test]
fn it_needs_its_scope_and_its_role() {
    world()
        .anonymous()
        .get("/v1/events")
        .expect_401(NOT_PROVIDED);
    let narrow = world().with_key(&world().key_with_scopes(&["files:read"]));
    narrow.get("/v1/events").expect_missing_scope("audit:read");
    narrow
        .get("/v1/events/1")
        .expect_missing_scope("audit:read");
    let auditor = world().with_key(&world().key_with_scopes(&["audit:read"]));
    auditor.get("/v1/events?limit=1").expect(200);
    world()
        .with_key(&world().person("member").key)
        .get("/v1/events")
        .expect(403);
}

#[test]
fn n121_another_organizations_events_are_not_there() {
    let (slug, person) = world().other_org();
    let name = unique("Secret Plan");
    world()
        .owner()
        .post("/v1/orgs/acme/services", &json!({ "name": name }))
        .expect(201);
    let theirs = all(&world().with_key(&person.key), 500);
    assert!(
        !theirs.is_empty(),
        "an owner sees their own organization's events"
    );
    for event in &theirs {
        assert!(
            event["organization"] != "acme",
            "an event of acme is shown to {slug}"
        );
        assert!(!event.to_string().contains(&name));
    }
    let ours: Vec<u64> = all(&world().owner(), 500)
        .iter()
        .filter(|event| event.to_string().contains(&name))
        .map(position)
        .collect();
    for at in ours {
        world()
            .with_key(&person.key)
            .get(&format!("/v1/events/{at}"))
            .expect(404);
    }
}

/// The paths of the definition under which the log is, with what stands in their places.
fn paths_of_the_log(at: u64) -> Vec<String> {
    let spec = world().anonymous().get("/openapi.json").expect(200).json();
    let paths = spec["paths"].as_object().expect("paths");
    let of_log = paths.keys().filter(|path| {
        let mut parts = path.trim_start_matches("/v1/").split('/');
        matches!(parts.next(), Some("events" | "log"))
    });
    let filled = of_log.map(|path| {
        path.replace("{position}", &at.to_string())
            .replace("{level}", "0")
            .replace("{index}", "000.p/1")
    });
    filled.collect()
}

#[test]
fn n122_no_route_edits_or_deletes_one_not_even_for_an_owner() {
    let owner = world().owner();
    let at = position(&items(&owner.get("/v1/events?limit=1").expect(200))[0]);
    let event = format!("/v1/events/{at}");
    let before = owner.get(&event).expect(200).json();
    let record = owner.get(&format!("{event}/record")).expect(200);
    let paths = paths_of_the_log(at);
    assert!(paths.len() >= 9, "{paths:?}");
    for path in &paths {
        assert!(!path.contains('{'), "{path} has a place that is not filled");
        for method in ["DELETE", "PUT", "PATCH", "POST"] {
            let refused = owner.any(method, path, Some(&json!({}))).expect(405);
            let allowed = refused.header("allow").expect("what is allowed");
            assert!(
                allowed
                    .split(", ")
                    .all(|method| ["GET", "HEAD", "OPTIONS"].contains(&method)),
                "{path}: {allowed}"
            );
        }
    }
    assert_eq!(owner.get(&event).expect(200).json(), before);
    let after = owner.get(&format!("{event}/record")).expect(200);
    assert_eq!(after.bytes(), record.bytes());
}

#[test]
fn n118_what_a_client_calls_itself_stays_one_harmless_entry() {
    let server = world().server();
    let key = make_key(&world().owner(), &json!({ "handle": unique("odd") })).string("token");
    let agents: [&[u8]; 5] = [
        b"odd \"agent\" <script>alert(1)</script> \\n{\"level\":\"ERROR\"}",
        b"odd \x1b[31mred\x1b[0m\ttab",
        "odd \u{202e}gnp.exe \u{200b}\u{feff}".as_bytes(),
        b"odd \xff\xfe\x80",
        &[b'x'; 10_240],
    ];
    for agent in agents {
        let handle = unique("odd-agent");
        let before = all_of_acme(500).len();
        let head = format!(
            "POST /user/keys HTTP/1.1\r\nX-Api-Key: {key}\r\nContent-Type: application/json\r\nUser-Agent: "
        );
        let body = json!({ "handle": handle }).to_string();
        let sent = raw::send(
            server.port(),
            &[head.as_bytes(), agent].concat(),
            body.as_bytes(),
        );
        let status = sent.expect("a connection").status();
        // A field's value holds no control characters (RFC 9110 §5.5).
        if status == Some(400) {
            continue;
        }
        assert_eq!(status, Some(201));
        let after = all_of_acme(500);
        let ours: Vec<&Value> = after[before.min(after.len())..]
            .iter()
            .filter(|event| event.to_string().contains(&format!("\"{handle}\"")))
            .collect();
        assert_eq!(ours.len(), 1, "one change, one entry");
        let client = ours[0]["client"]
            .as_str()
            .expect("what the client is called");
        assert!(
            client.chars().count() <= 256,
            "{} characters",
            client.chars().count()
        );
        assert!(
            client
                .chars()
                .all(|c| c == '\u{fffd}' || c == ' ' || c.is_ascii_graphic()),
            "{client:?}"
        );
    }
    // CR and LF end a field, so what stands behind them is another field and never another entry.
    let split = client_with_agent("odd\r\nX-Api-Key: forged");
    assert!(matches!(split, Some(400 | 401)), "{split:?}");
    assert!(
        !server.log().contains('\u{1b}'),
        "the log holds an escape sequence"
    );
}

/// The status of a request with a key and this user agent.
fn client_with_agent(agent: &str) -> Option<u16> {
    let key = make_key(&world().owner(), &json!({ "handle": unique("split") })).string("token");
    let head = format!("GET /v1/me HTTP/1.1\r\nX-Api-Key: {key}\r\nUser-Agent: {agent}");
    let sent = raw::send(world().server().port(), head.as_bytes(), b"");
    sent.expect("a connection").status()
}
