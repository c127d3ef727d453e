//! Refresh tokens: each good once, all of a family ended by one that comes again.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use keyledger_tests::Reply;
use serde_json::json;

use super::token::{CALLBACK, is_error, register, status_of};

#[test]
fn n46_n48_n49_n51_a_used_one_ends_its_family_and_no_other() {
    let (app, other) = (register(&json!({})), register(&json!({})));
    let (_, first) = app.tokens("files:read files:write");
    is_error(&other.refresh(&first), 400, "invalid_grant");
    let narrow = [
        ("grant_type", "refresh_token"),
        ("refresh_token", first.as_str()),
        ("scope", "files:read"),
    ];
    let given = app.post("/oauth/token", &narrow).expect(200);
    assert_eq!(given.string("scope"), "files:read");
    let second = given.string("refresh_token");
    let wide = [
        ("grant_type", "refresh_token"),
        ("refresh_token", second.as_str()),
        ("scope", "files:read offline_access"),
    ];
    is_error(&app.post("/oauth/token", &wide), 400, "invalid_scope");
    let given = app.refresh(&second).expect(200);
    assert_eq!(given.string("scope"), "files:read files:write");
    let (token, third) = (given.string("access_token"), given.string("refresh_token"));
    assert_eq!(status_of(&token), 200);
    assert_eq!(status_of(&third), 401);
    is_error(&app.refresh(&token), 400, "invalid_grant");
    is_error(&app.refresh(&first), 400, "invalid_grant");
    assert_eq!(status_of(&token), 401);
    is_error(&app.refresh(&third), 400, "invalid_grant");
}

#[test]
fn n47_twenty_at_once_have_one_winner_and_no_successor_that_is_good() {
    let app = register(&json!({}));
    let (_, first) = app.tokens("files:read");
    let replies: Vec<Reply> = thread::scope(|scope| {
        let all: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| app.refresh(&first)))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("an answer"))
            .collect()
    });
    let good: Vec<_> = replies
        .iter()
        .filter(|reply| reply.status() == 200)
        .collect();
    assert_eq!(good.len(), 1);
    is_error(
        &app.refresh(&good[0].string("refresh_token")),
        400,
        "invalid_grant",
    );
    assert_eq!(status_of(&good[0].string("access_token")), 401);
}

#[test]
fn n52_a_kill_between_the_exchange_and_its_answer_leaves_one_successor_at_the_most() {
    let mut server = keyledger_tests::Launch::new().start();
    let owner = server.client().basic(
        keyledger_tests::OWNER_EMAIL,
        keyledger_tests::OWNER_PASSWORD,
    );
    let body = json!({ "name": "Fragile", "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [CALLBACK], "scopes": ["files:read"] });
    let client = owner.post("/v1/orgs/acme/clients", &body).expect(201);
    let (id, secret) = (client.string("client_id"), client.string("client_secret"));
    let post = |server: &keyledger_tests::Server, fields: &[(&str, &str)]| {
        let mut all = vec![
            ("client_id", id.as_str()),
            ("client_secret", secret.as_str()),
        ];
        all.extend_from_slice(fields);
        let all: Vec<_> = all
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        server.client().post_form("/oauth/token", &all)
    };
    let path = format!(
        "/oauth/authorize?client_id={id}&redirect_uri={CALLBACK}&response_type=code&scope=files:read"
    );
    let who = (
        keyledger_tests::OWNER_EMAIL,
        keyledger_tests::OWNER_PASSWORD,
    );
    let (mut kept, mut lost) = (0, 0);
    for round in 0..16 {
        let back = keyledger_tests::person::answer(&server.client(), who, &path, "allow");
        let code = keyledger_tests::person::parameter(&back, "code");
        let redeem = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", CALLBACK),
        ];
        let first = post(&server, &redeem).expect(200).string("refresh_token");
        let form = format!(
            "grant_type=refresh_token&client_id={id}&client_secret={secret}&refresh_token={first}"
        );
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        let head = format!(
            "POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        // From before it is read to after it is answered; nobody reads the answer.
        thread::sleep(Duration::from_micros(150 * round));
        server.kill();
        drop(stream);
        server.start_again();
        // Whoever was not told tries again with what they have.
        let again = post(
            &server,
            &[("grant_type", "refresh_token"), ("refresh_token", &*first)],
        );
        if again.status() == 200 {
            // It never happened: the one successor is this one.
            kept += 1;
            let next = again.string("refresh_token");
            let once = [("grant_type", "refresh_token"), ("refresh_token", &*next)];
            post(&server, &once).expect(200);
        } else {
            // It happened, nobody knows its successor, and the family has ended.
            lost += 1;
            is_error(&again, 400, "invalid_grant");
        }
    }
    assert_eq!(kept + lost, 16);
    keyledger_tests::say(&format!(
        "of 16 cut off, {kept} had not happened, {lost} had"
    ));
    server.stop();
    server.assert_ledger_verifies();
}
