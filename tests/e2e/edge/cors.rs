//! Number 106: which pages of other origins may ask.

use keyledger_tests::{INVALID_TOKEN, Launch, NOT_PROVIDED, Reply};

use crate::world::{World, world};

const APP: &str = "https://app.example";
const NAMED: &str = "Access-Control-Allow-Origin";

fn preflight(world: &World, path: &str, origin: &str) -> Reply {
    let browser = world.anonymous().header("Origin", origin);
    let browser = browser.header("Access-Control-Request-Method", "POST");
    browser
        .header("Access-Control-Request-Headers", "authorization")
        .options(path)
}

fn says_nothing(reply: &Reply) {
    for header in [NAMED, "Access-Control-Allow-Credentials"] {
        assert_eq!(reply.header(header), None, "{reply:?}");
    }
}

#[test]
fn n106_nobody_is_listed_by_default() {
    let refused = preflight(world(), "/v1/me", APP).expect(403);
    says_nothing(&refused);
    assert_eq!(refused.header("WWW-Authenticate"), None);
    let answered = world()
        .owner()
        .header("Origin", APP)
        .get("/v1/me")
        .expect(200);
    says_nothing(&answered);
}

#[test]
fn n106_only_a_listed_origin_is_named() {
    let world = World::on(Launch::new().arg("--cors-origins").arg(APP).start());
    let allowed = preflight(&world, "/v1/keys/verify", APP).expect(204);
    assert_eq!(allowed.header(NAMED), Some(APP));
    assert!(
        allowed
            .header("Vary")
            .is_some_and(|vary| vary.contains("Origin"))
    );
    assert_eq!(allowed.header("Access-Control-Allow-Credentials"), None);
    let answered = world
        .owner()
        .header("Origin", APP)
        .get("/v1/me")
        .expect(200);
    assert_eq!(answered.header(NAMED), Some(APP));
    assert_eq!(answered.header("Vary"), Some("Origin"));
    // A refusal can be read by the page too.
    let refused = world.anonymous().header("Origin", APP).get("/v1/me");
    let refused = refused.expect_401(NOT_PROVIDED);
    assert_eq!(refused.header(NAMED), Some(APP));
    for reply in [&answered, &refused] {
        let exposed = reply.header("Access-Control-Expose-Headers");
        let exposed: Vec<&str> = exposed.expect("a list").split(", ").collect();
        for readable in [
            "keyledger-decision",
            "keyledger-position",
            "x-request-id",
            "retry-after",
            "www-authenticate",
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "x-ratelimit-interval",
        ] {
            assert!(exposed.contains(&readable), "{readable}: {exposed:?}");
        }
    }
    assert!(refused.header("Keyledger-Decision").is_some());
    for origin in [
        "null",
        "https://app.example.",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "http://app.example",
        "https://app.example:8443",
    ] {
        says_nothing(&preflight(&world, "/v1/me", origin).expect(403));
        let answered = world
            .owner()
            .header("Origin", origin)
            .get("/v1/me")
            .expect(200);
        says_nothing(&answered);
        assert_eq!(answered.header("Vary"), Some("Origin"));
    }
    // Pages never, whoever asks.
    for path in [
        "/",
        "/login",
        "/dashboard",
        "/oauth/authorize?prompt=none",
        "/openapi.json",
        "/playground/",
    ] {
        says_nothing(&preflight(&world, path, APP).expect(403));
        says_nothing(&world.anonymous().header("Origin", APP).get(path));
    }
}

#[test]
fn n106_an_options_with_a_credential_is_no_preflight() {
    let asking = world().anonymous().header("Origin", APP);
    let asking = asking.header("Access-Control-Request-Method", "GET");
    asking
        .x_api_key("foobar")
        .options("/user/self/")
        .expect_401(INVALID_TOKEN);
    asking
        .token("foobar")
        .options("/user/self/")
        .expect_401(INVALID_TOKEN);
    let plain = world().anonymous().header("Origin", APP);
    let plain = plain.options("/v1/me").expect(204);
    assert!(
        plain.header("Allow").is_some(),
        "it is no preflight: {plain:?}"
    );
    says_nothing(&plain);
}
