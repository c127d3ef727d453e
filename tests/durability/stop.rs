//! SIGTERM, and a second server on the same folder.

use std::time::Duration;

use base64::Engine;
use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD, raw};
use serde_json::json;

/// How many passwords are checked, one behind the other on each core: so many that the last are not when
/// the first are.
const REQUESTS: u32 = 24;
/// Long enough for the requests to have been read, shorter than so many passwords take to check.
const UNTIL_THEY_ARE_READ: Duration = Duration::from_millis(100);

#[test]
fn sigterm_finishes_the_requests_that_run_and_exits_0() {
    let mut server = Launch::new().start();
    let pair =
        base64::engine::general_purpose::STANDARD.encode(format!("{OWNER_EMAIL}:{OWNER_PASSWORD}"));
    let body = |number: u32| json!({ "handle": format!("last-{number}") }).to_string();
    // Each checks a password first, which takes tens of milliseconds by design, and then writes.
    let running: Vec<_> = (0..REQUESTS)
        .map(|number| {
            let head =
                format!("POST /user/keys HTTP/1.1\r\nAuthorization: Basic {pair}\r\nContent-Type: application/json");
            raw::send(server.port(), head.as_bytes(), body(number).as_bytes()).unwrap()
        })
        .collect();
    std::thread::sleep(UNTIL_THEY_ARE_READ);
    server.terminate();
    for request in running {
        assert_eq!(
            request.status(),
            Some(201),
            "a request that ran was cut off by SIGTERM"
        );
    }
    let status = server.wait();
    assert_eq!(status.code(), Some(0));
    server.assert_ledger_verifies();

    server.start_again();
    let list = server
        .client()
        .basic(OWNER_EMAIL, OWNER_PASSWORD)
        .get("/user/keys")
        .expect(200);
    for number in 0..REQUESTS {
        assert!(
            list.contains(&format!("\"last-{number}\"")),
            "an answered change is gone after a stop"
        );
    }
}

#[test]
fn a_second_server_on_the_same_folder_stops_at_once_and_says_why() {
    let server = Launch::new().start();
    let second = Launch::new()
        .data_dir(server.data_dir())
        .run_to_its_end(Duration::from_secs(20));
    assert!(second.code.is_some_and(|code| code != 0), "{second:?}");
    let folder = server.data_dir().to_string_lossy().into_owned();
    assert!(
        second.output.contains(&folder),
        "it names the folder: {}",
        second.output
    );
    assert!(!second.output.contains("panicked"), "{}", second.output);
    server.client().get("/health/ready").expect(200);
}

#[test]
fn a_command_that_needs_the_folder_says_that_a_server_has_it() {
    let server = Launch::new().start();
    let verdict = server.command(&["audit", "verify"]);
    assert!(verdict.code.is_some_and(|code| code != 0), "{verdict:?}");
    assert!(
        verdict.output.contains("over HTTP, with GET /v1/events"),
        "it names the way over HTTP: {}",
        verdict.output
    );
    server.client().get("/health/ready").expect(200);
}
