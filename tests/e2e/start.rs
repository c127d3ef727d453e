//! How the binary starts, and what it refuses to start with.

use std::net::TcpListener;
use std::time::Duration;

use keyledger_tests::{INVALID_PASSWORD, Launch, OWNER_EMAIL, OWNER_PASSWORD};
use serde_json::json;

/// How long a start that cannot succeed may take to say so.
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn the_first_owner_is_there_from_the_first_ready_answer_on() {
    let server = Launch::new().start();
    let owner = server
        .client()
        .basic(OWNER_EMAIL, OWNER_PASSWORD)
        .get("/user")
        .expect(200);
    assert_eq!(
        owner.member("organizations"),
        json!([{ "slug": "acme", "role": "owner" }])
    );
}

#[test]
fn n116_the_bootstrap_settings_change_nothing_later() {
    let folder = tempfile::tempdir().unwrap();
    Launch::new().data_dir(folder.path()).start().stop();
    let other = Launch::new()
        .data_dir(folder.path())
        .env("KEYLEDGER_BOOTSTRAP_EMAIL", "intruder@example.com")
        .env("KEYLEDGER_BOOTSTRAP_PASSWORD", "chosen by the intruder")
        .start();
    other
        .client()
        .basic("intruder@example.com", "chosen by the intruder")
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
    other
        .client()
        .basic(OWNER_EMAIL, OWNER_PASSWORD)
        .get("/v1/me")
        .expect(200);
    drop(other);
    let changed = Launch::new()
        .data_dir(folder.path())
        .env("KEYLEDGER_BOOTSTRAP_PASSWORD", "another password for her")
        .start();
    changed
        .client()
        .basic(OWNER_EMAIL, "another password for her")
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
    changed
        .client()
        .basic(OWNER_EMAIL, OWNER_PASSWORD)
        .get("/v1/me")
        .expect(200);
}

#[test]
fn without_them_a_set_up_link_is_printed() {
    let server = Launch::new().without_bootstrap().start();
    let link = format!("http://127.0.0.1:{}/", server.port());
    assert!(
        server.log().contains(&link),
        "no set-up link in:\n{}",
        server.log_tail()
    );
}

#[test]
fn address_and_folder_may_come_from_the_environment() {
    let mut server = Launch::new().configured_by_env().start();
    server.client().get("/health/live").expect(200);
    assert!(server.data_dir().is_dir());
    server.stop();
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let finished = Launch::new().port(port).run_to_its_end(AT_ONCE);
    assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
    assert!(
        finished.output.contains(&port.to_string()),
        "{}",
        finished.output
    );
    assert!(!finished.output.contains("panicked"), "{}", finished.output);
}

#[test]
fn an_open_address_without_tls_is_refused_with_advice() {
    let launch = Launch::new().configured_by_env();
    let folder = tempfile::tempdir().unwrap();
    // A flag outranks the environment that the harness sets.
    let launch = launch
        .data_dir(folder.path())
        .arg("--listen")
        .arg("0.0.0.0:0");
    let finished = launch.run_to_its_end(AT_ONCE);
    assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
    assert!(
        finished.output.to_ascii_uppercase().contains("TLS"),
        "{}",
        finished.output
    );
    assert!(!finished.output.contains("panicked"), "{}", finished.output);
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("a-file");
    std::fs::write(&file, b"not a folder").unwrap();
    let finished = Launch::new().data_dir(&file).run_to_its_end(AT_ONCE);
    assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
    assert!(finished.output.contains("a-file"), "{}", finished.output);
    assert!(!finished.output.contains("panicked"), "{}", finished.output);
}

#[test]
fn a_start_after_a_stop_knows_everything() {
    let mut server = Launch::new().start();
    let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
    let token = owner
        .post("/user/keys", &json!({ "handle": "kept" }))
        .expect(201)
        .string("token");
    server.stop();
    server.assert_ledger_verifies();
    server.start_again();
    server.client().x_api_key(&token).get("/v1/me").expect(200);
}

#[test]
fn n116_the_set_up_code_is_good_once_and_there_is_no_default_account() {
    let mut server = Launch::new().without_bootstrap().start();
    let log = server.log();
    let code = log.split("/setup?code=").nth(1).expect("a set-up link");
    let code: String = code
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
        .collect();
    let with = |code: &str, email: &str| json!({ "code": code, "email": email, "password": OWNER_PASSWORD, "organization": "acme" });
    let nobody = server.client();
    for (name, password) in [
        ("admin", "admin"),
        ("admin", ""),
        ("root", "root"),
        (OWNER_EMAIL, ""),
    ] {
        nobody
            .basic(name, password)
            .get("/v1/me")
            .expect_401(INVALID_PASSWORD);
    }
    nobody.post("/v1/setup", &with("", OWNER_EMAIL)).expect(404);
    nobody
        .post("/v1/setup", &with(&"0".repeat(code.len()), OWNER_EMAIL))
        .expect(404);
    nobody
        .post("/v1/setup", &with(&code, OWNER_EMAIL))
        .expect(201);
    let again = with(&code, "second@example.com");
    nobody.post("/v1/setup", &again).expect_one_of(&[404, 409]);
    server.restart();
    nobody.post("/v1/setup", &again).expect_one_of(&[404, 409]);
    nobody
        .basic("second@example.com", OWNER_PASSWORD)
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
    nobody
        .basic(OWNER_EMAIL, OWNER_PASSWORD)
        .get("/v1/me")
        .expect(200);
}
