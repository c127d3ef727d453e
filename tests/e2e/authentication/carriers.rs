//! The four carriers, and that a request has one or none.

use base64::Engine;
use keyledger_tests::{
    INVALID_PASSWORD, INVALID_TOKEN, NOT_PROVIDED, OWNER_EMAIL, OWNER_PASSWORD, raw,
};
use serde_json::json;

use crate::world::{make_key, unique, world};

fn key() -> String {
    make_key(&world().owner(), &json!({ "handle": unique("carried") })).string("token")
}

fn status_of(headers: &[u8]) -> Option<u16> {
    let head = [b"GET /v1/me HTTP/1.1\r\n", headers].concat();
    raw::send(world().server().port(), &head, b"")
        .expect("a connection")
        .status()
}

#[test]
fn d0_4_every_carrier_of_a_key_gives_the_same_answer() {
    let (nobody, key) = (world().anonymous(), key());
    let by_header = nobody.x_api_key(&key).get("/user/self/").expect(200).json();
    assert_eq!(by_header["email"], OWNER_EMAIL);
    assert_eq!(
        nobody.token(&key).get("/user/self/").expect(200).json(),
        by_header
    );
    assert_eq!(
        nobody.bearer(&key).get("/user/self/").expect(200).json(),
        by_header
    );
}

#[test]
fn d0_4_the_scheme_is_read_in_any_case() {
    let (nobody, key) = (world().anonymous(), key());
    for scheme in ["TOKEN", "Token", "bearer", "BEARER"] {
        nobody
            .header("Authorization", &format!("{scheme} {key}"))
            .get("/v1/me")
            .expect(200);
    }
}

#[test]
fn a_service_is_basic_with_its_slug_and_key() {
    let service = world().service();
    let (slug, key) = (service.string("slug"), service.string("key"));
    let me = world()
        .anonymous()
        .basic(&slug, &key)
        .get("/v1/me")
        .expect(200);
    assert_eq!(me.string("slug"), slug);
}

#[test]
fn nothing_sent_is_told_apart_from_something_wrong() {
    let nobody = world().anonymous();
    nobody.get("/v1/me").expect_401(NOT_PROVIDED);
    nobody
        .x_api_key("foobar")
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    nobody
        .token("foobar")
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    nobody
        .bearer("foobar")
        .get("/v1/me")
        .expect_401(INVALID_TOKEN);
    nobody
        .basic("example", "wrongpassword")
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
}

#[test]
fn n78_control_and_non_ascii_bytes_are_refused_and_never_a_fault_of_ours() {
    let port = world().server().port();
    let key = key();
    let spoilers: [&[u8]; 7] = [
        b"\x00",
        b"\x01",
        b"\x7f",
        b"\xff",
        "\u{a0}".as_bytes(),
        "\u{200b}".as_bytes(),
        "９".as_bytes(),
    ];
    for spoiler in spoilers {
        for name in ["X-Api-Key", "Authorization"] {
            let carried = if name == "X-Api-Key" {
                key.clone()
            } else {
                format!("Bearer {key}")
            };
            let value = [carried.as_bytes(), spoiler].concat();
            let status = raw::status_with_header(port, "/v1/me", name, &value);
            assert!(
                matches!(status, Some(400 | 401)),
                "{name} with {spoiler:x?} at its end: {status:?}"
            );
        }
    }
}

#[test]
fn n79_a_header_of_64_kilobytes_is_refused() {
    let port = world().server().port();
    let status =
        raw::status_with_header(port, "/v1/me", "X-Api-Key", "a".repeat(65_536).as_bytes());
    assert!(matches!(status, Some(400 | 431)), "{status:?}");
}

#[test]
fn n80_a_carrier_twice_is_refused_even_when_both_agree() {
    let (key, other) = (key(), key());
    for second in [&key, &other] {
        assert_eq!(
            status_of(format!("X-Api-Key: {key}\r\nX-Api-Key: {second}").as_bytes()),
            Some(400)
        );
        let twice = format!("Authorization: Bearer {key}\r\nAuthorization: Bearer {second}");
        assert_eq!(status_of(twice.as_bytes()), Some(400));
        let mixed = format!("Authorization: Bearer {key}\r\nAuthorization: token {second}");
        assert_eq!(status_of(mixed.as_bytes()), Some(400));
        assert_eq!(
            status_of(format!("X-Api-Key: {key}, {second}").as_bytes()),
            Some(400)
        );
        assert_eq!(
            status_of(format!("Authorization: Bearer {key}, Bearer {second}").as_bytes()),
            Some(400)
        );
    }
}

#[test]
fn n81_two_carriers_are_refused_before_either_is_looked_at() {
    let (nobody, key) = (world().anonymous(), key());
    nobody
        .x_api_key(&key)
        .bearer(&key)
        .get("/v1/me")
        .expect(400);
    nobody
        .x_api_key(&key)
        .basic(OWNER_EMAIL, OWNER_PASSWORD)
        .get("/user/self/")
        .expect(400);
    nobody
        .x_api_key("foobar")
        .token("foobar")
        .get("/v1/me")
        .expect(400);
}

#[test]
fn n82_a_key_in_the_query_is_no_credential_and_not_logged() {
    let key = key();
    for name in ["api_key", "access_token", "token", "key"] {
        world()
            .anonymous()
            .get(&format!("/v1/me?{name}={key}"))
            .expect_401(NOT_PROVIDED);
    }
    assert!(
        !world().server().log().contains(&key),
        "the log holds a key that was sent in a query"
    );
}

#[test]
fn n83_empty_and_unknown_schemes_are_refused() {
    let values = [
        "Bearer",
        "Bearer ",
        "token",
        "token ",
        "Basic",
        "Basic Og==",
        "Basic !",
        "Digest abc",
        "foobar",
    ];
    for value in values {
        let status = status_of(format!("Authorization: {value}").as_bytes());
        assert_eq!(status, Some(401), "Authorization: {value}");
    }
    assert_eq!(status_of(b"X-Api-Key: "), Some(401));
}

#[test]
fn d3_1_a_key_needs_its_scheme_and_a_space() {
    let key = key();
    assert_eq!(
        status_of(format!("Authorization: {key}").as_bytes()),
        Some(401)
    );
    assert_eq!(
        status_of(format!("Authorization: Bearer{key}").as_bytes()),
        Some(401)
    );
}

#[test]
fn n84_a_key_is_neither_half_of_a_basic_pair() {
    let (nobody, key) = (world().anonymous(), key());
    nobody
        .basic(OWNER_EMAIL, &key)
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
    nobody
        .basic(&key, "")
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
    nobody
        .basic(&key, &key)
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
    let (ours, theirs) = (world().service(), world().service());
    let crossed = nobody.basic(&ours.string("slug"), &theirs.string("key"));
    crossed.get("/v1/me").expect_401(INVALID_PASSWORD);
    nobody
        .basic(&ours.string("slug"), &key)
        .get("/v1/me")
        .expect_401(INVALID_PASSWORD);
}

#[test]
fn n94_odd_bytes_in_a_basic_pair_are_no_fault_of_ours() {
    for pair in [
        "AA==",
        "Ojo6",
        "//79",
        "w6TDtjrDvA==",
        "b3duZXJAZXhhbXBsZS5jb206AA==",
    ] {
        let status = status_of(format!("Authorization: Basic {pair}").as_bytes());
        assert!(matches!(status, Some(400 | 401)), "{pair}: {status:?}");
    }
}

#[test]
fn n94_a_password_may_have_colons_and_umlauts() {
    let email = format!("{}@example.com", unique("colons"));
    let password = "l\u{f6}ng: with colons: and more";
    let body = json!({ "email": email, "password": password, "role": "member" });
    world()
        .owner()
        .post("/v1/orgs/acme/members", &body)
        .expect(201);
    let with = |bytes: &[u8]| {
        let pair = [email.as_bytes(), b":", bytes].concat();
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        status_of(format!("Authorization: Basic {pair}").as_bytes())
    };
    assert_eq!(
        with(password.as_bytes()),
        Some(200),
        "UTF-8 (RFC 7617 §2.1)"
    );
    let latin_1: Vec<u8> = password
        .chars()
        .map(|letter| u8::try_from(u32::from(letter)).expect("Latin-1"))
        .collect();
    assert_eq!(with(&latin_1), Some(401), "Latin-1");
    // The same letters in another normal form are another password: nothing is guessed.
    let decomposed = password.replace('\u{f6}', "o\u{308}");
    assert_eq!(with(decomposed.as_bytes()), Some(401), "decomposed");
    assert_eq!(
        with(&[password.as_bytes(), b"\0"].concat()),
        Some(401),
        "NUL"
    );
}

#[test]
fn n93_a_long_password_counts_to_its_last_byte() {
    let email = format!("{}@example.com", unique("long"));
    let password = "p".repeat(100);
    let body = json!({ "email": email, "password": password, "role": "member" });
    world()
        .owner()
        .post("/v1/orgs/acme/members", &body)
        .expect(201);
    let nobody = world().anonymous();
    nobody.basic(&email, &password).get("/v1/me").expect(200);
    for other in [
        password[..72].to_owned(),
        format!("{}q{}", &password[..72], &password[73..]),
        format!("{password}p"),
    ] {
        nobody
            .basic(&email, &other)
            .get("/v1/me")
            .expect_401(INVALID_PASSWORD);
    }
}
