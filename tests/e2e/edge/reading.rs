//! Reading changes nothing, forms come from our own pages, and nothing is open that need not be.

use std::time::{Duration, Instant};

use keyledger_tests::{Client, Launch};
use serde_json::Value;

use crate::pages::login;
use crate::world::{World, make_key, world};

/// Longer than the server takes to tell what it noticed by itself.
const REST: Duration = Duration::from_secs(5);

fn position(world: &World) -> u64 {
    let ready = world.anonymous().get("/health/ready").expect(200);
    ready.member("position").as_u64().expect("a position")
}

/// Waits until nothing has moved the ledger for a while.
fn wait_for_rest(world: &World) {
    let (mut last, mut since) = (position(world), Instant::now());
    while since.elapsed() < REST {
        std::thread::sleep(Duration::from_millis(100));
        let now = position(world);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// What reads a secret again, or the audit log itself, which the audit log keeps.
const REVEALS: &[&str] = &[
    "/user/keys/{handle}",
    "/v1/user/keys/{handle}",
    "/v1/events",
    "/v1/events/stream",
    "/v1/events/{position}",
    "/v1/events/{position}/proof",
    "/v1/events/{position}/record",
    "/v1/backup",
    "/v1/credentials/{id}",
    "/v1/log/tile/entries/{index}",
    "/v1/orgs/{org}/differences",
];

/// Every GET of the definition with names of things that are there.
fn reads(world: &World) -> Vec<(String, String)> {
    let spec = world.anonymous().get("/openapi.json").expect(200).json();
    let service = world.service().string("slug");
    let me = world.owner().get("/user/self").expect(200).string("slug");
    let mut found = Vec::new();
    for (template, item) in spec["paths"].as_object().expect("paths") {
        if item.get("get").is_some() {
            let path = template
                .replace("{org}", "acme")
                .replace("{handle}", "world")
                .replace("{service}", &service)
                .replace("{user}", &me)
                .replace("{position}", "1");
            found.push((template.clone(), path));
        }
    }
    assert!(found.len() >= 20, "only {} reads", found.len());
    found
}

#[test]
fn n99_no_get_changes_anything() {
    let world = World::on(Launch::new().start());
    let reads = reads(&world);
    let browser = login::owner_on(&world);
    // A key's first use is worth an event, told by the server within a few seconds; it is waited for,
    // so that what moves afterwards was moved by a GET.
    let owner = world.owner();
    owner.get("/v1/me").expect(200);
    wait_for_rest(&world);
    for (template, path) in &reads {
        let path = path.replace(['{', '}'], "");
        for (client, method) in [(&owner, "GET"), (&owner, "HEAD"), (&browser, "GET")] {
            let before = position(&world);
            let reply = client.any(method, &path, None);
            assert!(reply.status() < 500, "{reply:?}");
            let moved = position(&world) - before;
            if REVEALS.contains(&template.as_str()) {
                assert!(moved <= 1, "{method} {path} made {moved} events");
            } else {
                assert_eq!(moved, 0, "{method} {path} made an event");
            }
        }
    }
    let before = position(&world);
    for path in [
        "/",
        "/login",
        "/login?next=/dashboard",
        "/dashboard",
        "/logout",
        "/oauth/authorize",
        "/oauth/authorize?client_id=x&response_type=code&decision=allow",
        "/dashboard/apps?client=x",
        "/setup",
        "/setup?code=x",
        "/playground/",
        "/openapi.json",
        "/user/keys/world/rotate",
        "/v1/orgs/acme/services?_method=POST&name=x",
    ] {
        for client in [&browser, &owner] {
            client.get(path);
            let overridden = client.header("X-HTTP-Method-Override", "DELETE");
            overridden.any("HEAD", path, None);
        }
    }
    assert_eq!(position(&world), before, "a page made an event");
    assert!(login::is_signed_in(&browser), "a GET signed somebody out");
}

#[test]
fn n100_no_form_is_taken_from_another_site() {
    let world = World::on(Launch::new().start());
    let browser = login::owner_on(&world);
    let before = position(&world);
    let foreign: [&[(&str, &str)]; 5] = [
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        // A name that was made to point at us.
        &[
            ("Host", "evil.example"),
            ("Origin", "http://evil.example"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
    ];
    for headers in foreign {
        for path in ["/login", "/logout", "/setup"] {
            let client = headers
                .iter()
                .fold(browser.clone(), |client: Client, (name, value)| {
                    client.header(name, value)
                });
            let reply = client.post_form(path, &[("csrf".to_owned(), "0".repeat(64))]);
            assert_eq!(reply.status(), 403, "{headers:?}: {reply:?}");
        }
    }
    assert_eq!(position(&world), before);
    assert!(login::is_signed_in(&browser));
}

/// Every text in a document.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|item| texts(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn n133_nothing_is_open_that_need_not_be() {
    let nobody = world().anonymous();
    for path in [
        "/debug",
        "/debug/pprof",
        "/debug/vars",
        "/metrics",
        "/status",
        "/server-status",
        "/actuator",
        "/actuator/env",
        "/.env",
        "/.git/config",
        "/config",
        "/admin",
        "/v1/debug",
        "/data/ledger/keys/master.key",
        "/playground/..%2f..%2fkeyledger.toml",
        "/playground/../keyledger.toml",
    ] {
        let reply = nobody.get(path);
        assert!(matches!(reply.status(), 401 | 404), "{path}: {reply:?}");
        assert_eq!(world().owner().get(path).status(), 404, "{path}");
    }
    for method in ["TRACE", "TRACK", "CONNECT", "PROPFIND"] {
        let status = nobody.any(method, "/v1/me", None).status();
        assert!(
            matches!(status, 400 | 401 | 405 | 404 | 501),
            "{method}: {status}"
        );
    }
    let key = make_key(
        &world().owner(),
        &serde_json::json!({ "handle": crate::world::unique("n133") }),
    );
    let definition = nobody.get("/openapi.json").expect(200);
    let document = definition.json();
    let mut found = Vec::new();
    texts(&document, &mut found);
    for text in found {
        // A whole key or token has 67 characters, a session's secret 43.
        let long = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        // The names of some members are as long, without a digit or a capital letter.
        let is_drawn =
            |word: &&str| word.contains(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase());
        let long = long.filter(|word| word.len() >= 40).filter(is_drawn);
        let long = long.collect::<Vec<_>>();
        assert!(
            long.is_empty(),
            "an example holds {} long words",
            long.len()
        );
    }
    assert!(!definition.contains(&key.string("token")));
    for page in [
        "/",
        "/login",
        "/playground/",
        "/health/live",
        "/health/ready",
    ] {
        let page = nobody.get(page);
        for header in ["Server", "X-Powered-By"] {
            assert_eq!(page.header(header), None, "{page:?}");
        }
        assert!(!page.contains(env!("CARGO_PKG_VERSION")), "{page:?}");
    }
}
