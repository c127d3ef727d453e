//! What is refused before it is read: too large, twice, packed, too many.

use std::time::{Duration, Instant};

use keyledger_tests::{Client, raw};
use serde_json::json;

use crate::world::world;

/// Sends a head of arbitrary lines.
fn status_with(lines: &str, path: &str) -> Option<u16> {
    let head = format!("GET {path} HTTP/1.1\r\n{lines}X-End: 1");
    raw::send(world().server().port(), head.as_bytes(), b"")
        .expect("a connection")
        .status()
}

#[test]
fn n79_a_large_head_is_refused() {
    for kilobytes in [33, 64, 200] {
        let value = "x".repeat(kilobytes * 1024);
        let status = status_with(&format!("X-Large: {value}\r\n"), "/v1/me");
        // What is far too large may be cut off in the middle, with the answer lost on the way.
        assert!(
            matches!(status, Some(431 | 400)) || (kilobytes > 128 && status.is_none()),
            "{status:?} for {kilobytes} KiB"
        );
        let status = status_with("", &format!("/v1/me?{value}"));
        assert!(
            matches!(status, Some(431 | 400 | 414)) || (kilobytes > 128 && status.is_none()),
            "{status:?} for a query of {kilobytes} KiB"
        );
    }
    let many = "X-Many: 1\r\n".repeat(200);
    assert!(matches!(status_with(&many, "/v1/me"), Some(400 | 431)));
}

#[test]
fn n80_a_header_that_may_stand_once_is_refused_twice() {
    for line in [
        "Host: 127.0.0.1\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Type: application/json\r\nContent-Type: application/json\r\n",
        "Origin: https://a.example\r\nOrigin: https://b.example\r\n",
        "X-Api-Key: a\r\nX-Api-Key: a\r\n",
        "Authorization: token a\r\nAuthorization: token b\r\n",
        "Content-Encoding: identity\r\nContent-Encoding: identity\r\n",
    ] {
        assert_eq!(status_with(line, "/v1/me"), Some(400), "{line}");
    }
}

#[test]
fn n124_ten_thousand_names_are_refused_at_once() {
    let service = world().with_key(&world().service().string("key"));
    let begun = Instant::now();
    let query: Vec<String> = (0..1_000).map(|i| format!("p{i}=1")).collect();
    for path in ["/v1/events", "/v1/orgs/acme/members", "/v1/me", "/login"] {
        world()
            .owner()
            .get(&format!("{path}?{}", query.join("&")))
            .expect(400);
    }
    // About as many as fit into a body: ten thousand with short names.
    let members: Vec<String> = (0..10_000).map(|i| format!("\"{i:x}\":1")).collect();
    let many = format!("{{{}}}", members.join(","));
    let many = many.as_bytes();
    assert!(many.len() > 64 * 1024, "cut to the limit below");
    let send = |client: &Client, bytes: &[u8]| {
        client
            .send_bytes("POST", "/v1/keys/verify", "application/json", bytes)
            .expect("an answer")
    };
    send(&service, many).expect(413);
    let fitting = format!("{{{}}}", members[..7_000].join(","));
    assert!(fitting.len() < 64 * 1024);
    send(&service, fitting.as_bytes()).expect(422);
    let nested = format!("{{\"key\":{}1{}}}", "[".repeat(30_000), "]".repeat(30_000));
    send(&service, nested.as_bytes()).expect_one_of(&[400, 422]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn n125_large_endless_and_packed_bodies_are_refused_early() {
    let service = world().service().string("key");
    let client = world().with_key(&service);
    let large = vec![b' '; 64 * 1024 + 1];
    for (client, path) in [
        (client.clone(), "/v1/keys/verify"),
        (world().anonymous(), "/user/token/"),
        (world().owner(), "/user/keys"),
        (world().owner(), "/v1/orgs/acme/services"),
    ] {
        client
            .send_bytes("POST", path, "application/json", &large)
            .expect("an answer")
            .expect(413);
    }
    // Said to be large, and never sent: refused by its length alone.
    let head = format!(
        "POST /v1/keys/verify HTTP/1.1\r\nHost: a\r\nX-Api-Key: {service}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
    );
    let begun = Instant::now();
    let answer = raw::exchange(world().server().port(), head.as_bytes());
    assert!(
        answer.starts_with(b"HTTP/1.1 413 "),
        "not refused by its length"
    );
    assert!(begun.elapsed() < Duration::from_secs(5));
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let packed = client.header("Content-Encoding", encoding);
        let reply = packed.post("/v1/keys/verify", &json!({ "key": "x" }));
        assert!(reply.expect(415).contains("Content-Encoding"));
    }
}

#[test]
fn n128_a_page_has_a_size_that_makes_sense() {
    let owner = world().owner();
    for path in [
        "/v1/events",
        "/v1/scopes",
        "/v1/workspaces",
        "/user/keys",
        "/user/tokens/",
        "/v1/orgs/acme/members",
        "/v1/orgs/acme/services",
        "/v1/orgs/acme/teams",
        "/v1/orgs/acme/invitations",
        "/v1/orgs/acme/entitlements",
    ] {
        for bad in [
            "-1",
            "0",
            "1000000000",
            "NaN",
            "1e3",
            "",
            "99999999999999999999",
        ] {
            owner
                .get(&format!("{path}?limit={bad}"))
                .expect_field("limit");
        }
        owner.get(&format!("{path}?limit=1")).expect(200);
    }
    owner
        .get("/user/tokens/?page_size=-1")
        .expect_field("page_size");
}
