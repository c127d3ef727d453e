//! `GET /v1/events/stream`: what happens, as it happens.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD};
use serde_json::{Value, json};

use super::items;
use crate::world::{World, make_key, unique, world};

/// A stream as its reader has it.
struct Following {
    lines: BufReader<TcpStream>,
}

/// What came.
#[derive(Debug)]
enum Came {
    /// An event: its id, and what it tells.
    Event(u64, Value),
    /// The server ended the stream.
    End,
}

impl Following {
    /// Follows with a key; the stream has begun when this returns.
    #[track_caller]
    fn begin(world: &World, key: &str, query: &str, headers: &str) -> Self {
        Self::begin_as(world, query, &format!("X-Api-Key: {key}\r\n{headers}"))
    }

    /// Follows with what these headers show.
    #[track_caller]
    fn begin_as(world: &World, query: &str, headers: &str) -> Self {
        let port = world.server().port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("a time-out");
        let request = format!(
            "GET /v1/events/stream{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Accept: text/event-stream\r\nConnection: close\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut following = Self {
            lines: BufReader::new(stream),
        };
        let status = following.line().expect("an answer");
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        loop {
            let line = following.line().expect("a stream that begins");
            if line.starts_with(": here") {
                return following;
            }
        }
    }

    /// The next line that is not part of the chunking; `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// The next event, or the end. Heartbeats are passed over.
    fn next(&mut self) -> Came {
        let mut id = 0;
        loop {
            let Some(line) = self.line() else {
                return Came::End;
            };
            if let Some(told) = line.strip_prefix("id: ") {
                id = told.parse().expect("a position");
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Came::Event(id, serde_json::from_str(data).expect("one JSON object"));
            }
        }
    }

    /// The next event that is not a note of reading or of a key's first use.
    #[track_caller]
    fn event(&mut self) -> Value {
        loop {
            match self.next() {
                Came::Event(id, event) => {
                    assert_eq!(event["position"], id);
                    let kind = event["type"].as_str().expect("a type");
                    if !["AuditLogRead", "ApiKeyFirstUsed", "ApiKeyNetworkFirstSeen"]
                        .contains(&kind)
                    {
                        return event;
                    }
                }
                Came::End => panic!("the stream ended"),
            }
        }
    }

    /// Reads to the end, which must come before the third heartbeat.
    #[track_caller]
    fn end(mut self) {
        let mut beats = 0;
        while let Some(line) = self.line() {
            beats += usize::from(line.starts_with(": here"));
            assert!(beats < 3, "the stream goes on");
        }
    }
}

/// An organization of its own and its owner's key. The owner of acme is in it too, so that what other
/// tests do to their keys is told here.
fn own_org() -> (String, String) {
    let (org, boss) = world().other_org();
    (org, boss.key)
}

#[test]
fn what_happens_is_told_as_the_list_tells_it_and_in_order() {
    let (org, key) = own_org();
    let boss = world().with_key(&key);
    let mut following = Following::begin(
        world(),
        &key,
        &format!("?organization={org}&type=TeamCreated"),
        "",
    );
    let names: Vec<String> = (0..5).map(|_| unique("streamed")).collect();
    for name in &names {
        boss.post(&format!("/v1/orgs/{org}/teams"), &json!({ "name": name }))
            .expect(201);
    }
    let told: Vec<Value> = names.iter().map(|_| following.event()).collect();
    for (event, name) in told.iter().zip(&names) {
        assert_eq!(event["data"]["name"], **name);
        let at = &event["position"];
        assert_eq!(
            boss.get(&format!("/v1/events/{at}")).expect(200).json(),
            *event
        );
    }
}

#[test]
fn whoever_comes_again_misses_nothing_and_is_told_nothing_twice() {
    let (org, key) = own_org();
    let boss = world().with_key(&key);
    let mut following = Following::begin(world(), &key, "?type=TeamCreated", "");
    let team = |name: &str| {
        boss.post(&format!("/v1/orgs/{org}/teams"), &json!({ "name": name }))
            .expect(201);
    };
    team("first");
    let last = following.event()["position"].to_string();
    drop(following);
    team("second");
    team("third");
    let header = format!("Last-Event-ID: {last}\r\n");
    // The address is the one that the first stream began with: the header goes before it.
    let mut again = Following::begin(world(), &key, "?type=TeamCreated&after=0", &header);
    team("fourth");
    for name in ["second", "third", "fourth"] {
        assert_eq!(again.event()["data"]["name"], name);
    }
    let mut by_query = Following::begin(
        world(),
        &key,
        &format!("?type=TeamCreated&after={last}"),
        "",
    );
    assert_eq!(by_query.event()["data"]["name"], "second");
}

#[test]
fn filters_are_those_of_the_list() {
    let (org, key) = own_org();
    let boss = world().with_key(&key);
    let query = "?type=TeamDeleted";
    let mut following = Following::begin(world(), &key, query, "");
    let teams = format!("/v1/orgs/{org}/teams");
    let slug = boss
        .post(&teams, &json!({ "name": "Short" }))
        .expect(201)
        .string("slug");
    boss.delete(&format!("{teams}/{slug}")).expect(204);
    assert_eq!(following.event()["type"], "TeamDeleted");
    let path = "/v1/events/stream";
    for (query, field) in [
        ("?type=Nothing", "type"),
        ("?after=x", "after"),
        ("?seconds=3601", "seconds"),
        ("?seconds=-1", "seconds"),
    ] {
        boss.get(&format!("{path}{query}")).expect_field(field);
    }
    let last = boss.header("Last-Event-ID", "yesterday");
    last.get(path).expect_field("Last-Event-ID");
    for unknown in ["?until=2027-01-01T00:00:00Z", "?limit=3", "?x=1"] {
        boss.get(&format!("{path}{unknown}")).expect(400);
    }
}

#[test]
fn a_client_that_does_not_wait_is_told_what_is_there() {
    let (org, key) = own_org();
    let boss = world().with_key(&key);
    boss.post(
        &format!("/v1/orgs/{org}/teams"),
        &json!({ "name": "There" }),
    )
    .expect(201);
    let told = boss
        .get("/v1/events/stream?after=0&type=TeamCreated")
        .expect(200);
    assert!(told.contains("There") && told.contains("id: "), "{told:?}");
    let waits = boss.header("Accept", "text/event-stream");
    let told = waits
        .get("/v1/events/stream?after=0&type=TeamCreated&seconds=1")
        .expect(200);
    assert!(told.contains("There"), "{told:?}");
    assert_eq!(told.header("Content-Type"), Some("text/event-stream"));
}

#[test]
fn n121_a_stream_tells_nothing_of_another_organization() {
    let (org, key) = own_org();
    let (rival, rival_key) = own_org();
    let mut following = Following::begin(world(), &key, "", "");
    let mut from_the_start = Following::begin(world(), &key, "?after=0", "");
    let theirs = unique("not-for-you");
    let rival_client = world().with_key(&rival_key);
    rival_client
        .post(
            &format!("/v1/orgs/{rival}/teams"),
            &json!({ "name": theirs }),
        )
        .expect(201);
    let ours = unique("for-you");
    let boss = world().with_key(&key);
    boss.post(&format!("/v1/orgs/{org}/teams"), &json!({ "name": ours }))
        .expect(201);
    for following in [&mut following, &mut from_the_start] {
        loop {
            let event = following.event();
            assert_eq!(event["organization"], *org, "{event}");
            assert!(!event.to_string().contains(&theirs));
            if event["data"]["name"] == *ours {
                break;
            }
        }
    }
    let path = format!("/v1/events/stream?organization={rival}");
    boss.get(&path).expect(404);
    boss.get("/v1/events/stream?organization=never-made")
        .expect(404);
    // The same in the list and one by one.
    let of_rival = items(&rival_client.get("/v1/events?limit=1000").expect(200));
    for event in &of_rival {
        boss.get(&format!("/v1/events/{}", event["position"]))
            .expect(404);
    }
    let ours = items(&boss.get("/v1/events?limit=1000").expect(200));
    assert!(ours.iter().all(|event| event["organization"] == *org));
}

#[test]
fn a_test_key_is_told_nothing_of_live_ones() {
    let (_, key) = own_org();
    let boss = world().with_key(&key);
    let body = json!({ "handle": unique("test"), "environment": "test" });
    let test = make_key(&boss, &body).string("token");
    let mut following = Following::begin(world(), &test, "", "");
    let live = make_key(&boss, &json!({ "handle": unique("live") })).string("id");
    let body = json!({ "handle": unique("seen"), "environment": "test" });
    let seen = make_key(&boss, &body).string("id");
    loop {
        let event = following.event().to_string();
        assert!(!event.contains(&live), "{event}");
        if event.contains(&seen) {
            break;
        }
    }
}

#[test]
fn it_ends_when_its_key_is_revoked_switched_off_or_bound_elsewhere() {
    let (_, key) = own_org();
    let boss = world().with_key(&key);
    let follow = |handle: &str| {
        let key = make_key(&boss, &json!({ "handle": handle })).string("token");
        Following::begin(world(), &key, "", "")
    };
    let following = follow("to-revoke");
    boss.delete("/user/keys/to-revoke").expect(204);
    following.end();
    for (handle, change) in [
        ("to-move", json!({ "allowed_cidrs": ["203.0.113.0/24"] })),
        ("to-switch-off", json!({ "disabled": true })),
    ] {
        let following = follow(handle);
        boss.patch(&format!("/user/keys/{handle}"), &change)
            .expect(200);
        following.end();
    }
}

#[test]
fn it_ends_when_the_right_to_read_the_log_is_taken_away() {
    let (org, key) = own_org();
    let boss = world().with_key(&key);
    let auditor = world().person_in(&org, &boss, "manager");
    let member = format!("/v1/orgs/{org}/members/{}", auditor.slug());
    let becomes = |change: &Value| boss.patch(&member, change).expect(200);

    let following = Following::begin(world(), &auditor.key, "", "");
    becomes(&json!({ "role": "member" }));
    following.end();
    becomes(&json!({ "role": "manager" }));
    let following = Following::begin(world(), &auditor.key, "", "");
    boss.delete(&member).expect(204);
    following.end();

    // The same where it is the key that has it no more.
    let body = json!({ "handle": "narrower", "scopes": ["audit:read", "files:read"] });
    let narrow = make_key(&boss, &body).string("token");
    let following = Following::begin(world(), &narrow, "", "");
    boss.patch("/user/keys/narrower", &json!({ "scopes": ["files:read"] }))
        .expect(200);
    following.end();
}

#[test]
fn it_ends_with_the_password_that_it_was_opened_with() {
    let (org, key) = own_org();
    let boss = world().with_key(&key);
    let auditor = world().person_in(&org, &boss, "manager");
    let shows = |password: &str| {
        let pair = STANDARD.encode(format!("{}:{password}", auditor.email));
        format!("Authorization: Basic {pair}\r\n")
    };
    let by_password = Following::begin_as(world(), "", &shows(&auditor.password));
    let mut by_key = Following::begin(world(), &auditor.key, "?type=TeamCreated", "");
    let new = "quite another passphrase";
    let themselves = world().anonymous().basic(&auditor.email, &auditor.password);
    themselves
        .post("/v1/user/password", &json!({ "password": new }))
        .expect(204);
    by_password.end();
    // Keys live on, and so does what was opened with one.
    boss.post(
        &format!("/v1/orgs/{org}/teams"),
        &json!({ "name": "After" }),
    )
    .expect(201);
    assert_eq!(by_key.event()["data"]["name"], "After");
    let mut again = Following::begin_as(world(), "?type=TeamDeleted", &shows(new));
    boss.delete(&format!("/v1/orgs/{org}/teams/after"))
        .expect(204);
    assert_eq!(again.event()["type"], "TeamDeleted");
}

#[test]
fn a_reader_has_only_so_many_and_gets_them_back() {
    let (_, key) = own_org();
    let mut open: Vec<Following> = (0..8)
        .map(|_| Following::begin(world(), &key, "", ""))
        .collect();
    let boss = world().with_key(&key).header("Accept", "text/event-stream");
    let refused = boss.get("/v1/events/stream").expect(503);
    assert!(refused.header("Retry-After").is_some());
    // Who asks for the list is not in their way.
    boss.get("/v1/events").expect(200);
    open.pop();
    // A reader who left is noticed by what cannot be sent any more: at the latest the second heartbeat.
    for _ in 0..400 {
        if boss.get("/v1/events/stream?seconds=0").status() == 200 {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the seat of one who left is not given to another");
}

#[test]
fn it_ends_when_the_server_stops() {
    let mut world = World::on(Launch::new().start());
    let owner = world.anonymous().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let key = make_key(&owner, &json!({ "handle": "follows" })).string("token");
    let following = Following::begin(&world, &key, "", "");
    world.server_mut().stop();
    following.end();
}
