//! `/oauth/introspect` and `/oauth/revoke`: what is told of a token, and to whom.

use keyledger_tests::Launch;
use serde_json::json;

use super::token::{is_error, post, register, status_of};
use crate::world::{make_key, unique, world};

#[test]
fn n53_n54_n55_n56_n57_a_token_is_told_to_its_client_and_to_who_verifies_keys() {
    let (app, other) = (register(&json!({})), register(&json!({})));
    let token = app.own_token();
    let (of_person, refresh) = app.tokens("files:read");
    let inactive = json!({ "active": false });
    is_error(
        &post("/oauth/introspect", &[("token", &token)]),
        401,
        "invalid_client",
    );
    let reply = world()
        .anonymous()
        .get(&format!("/oauth/introspect?token={token}"));
    assert_eq!(reply.expect(405).header("allow"), Some("POST"));
    for one in [&token, &of_person, &refresh] {
        let own = app.post("/oauth/introspect", &[("token", one)]).expect(200);
        assert_eq!(own.member("active"), json!(true));
        assert_eq!(own.string("client_id"), app.id);
        let others = other
            .post("/oauth/introspect", &[("token", one)])
            .expect(200);
        assert_eq!(others.json(), inactive);
    }
    // A resource server of the organisation, by its key; of another one; and without the right.
    let gateway = world().service().string("key");
    let (_, stranger) = world().other_org();
    let narrow = world().key_with_scopes(&["files:read"]);
    let ask = |key: &str, token: &str| {
        let form = [("token".to_owned(), token.to_owned())];
        world()
            .anonymous()
            .x_api_key(key)
            .post_form("/oauth/introspect", &form)
    };
    assert_eq!(
        ask(&gateway, &token).expect(200).member("active"),
        json!(true)
    );
    assert_eq!(ask(&stranger.key, &token).expect(200).json(), inactive);
    assert_eq!(ask(&gateway, &refresh).expect(200).json(), inactive);
    ask(&narrow, &token).expect(403);
    let key = make_key(&world().owner(), &json!({ "handle": unique("told") })).string("token");
    assert_eq!(
        app.post("/oauth/introspect", &[("token", &key)])
            .expect(200)
            .json(),
        inactive
    );
    for nonsense in ["x", "at_live_000000000_", "a.b.c"] {
        let told = app
            .post("/oauth/introspect", &[("token", nonsense)])
            .expect(200);
        assert_eq!(told.json(), inactive);
    }
}

#[test]
fn n58_a_client_revokes_its_own_tokens_and_no_others() {
    let (app, other) = (register(&json!({})), register(&json!({})));
    let token = app.own_token();
    let (of_person, refresh) = app.tokens("files:read");
    for one in [&token, &of_person, &refresh, &"x".to_owned()] {
        other.post("/oauth/revoke", &[("token", one)]).expect(200);
    }
    assert_eq!((status_of(&token), status_of(&of_person)), (200, 200));
    is_error(
        &post("/oauth/revoke", &[("token", &token)]),
        401,
        "invalid_client",
    );
    for _ in 0..2 {
        // JSON, which is all that some clients take.
        let answer = app.post("/oauth/revoke", &[("token", &token)]).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json(), json!({}));
    }
    assert_eq!((status_of(&token), status_of(&of_person)), (401, 200));
    app.post("/oauth/revoke", &[("token", &refresh)])
        .expect(200);
    assert_eq!(status_of(&of_person), 401);
    is_error(&app.refresh(&refresh), 400, "invalid_grant");
}

#[test]
fn n59_who_asks_about_made_up_tokens_is_throttled_and_nobody_else() {
    let server = Launch::new().start();
    let owner = server.client().basic(
        keyledger_tests::OWNER_EMAIL,
        keyledger_tests::OWNER_PASSWORD,
    );
    let made = |name: &str| {
        let body = json!({ "name": name, "grant_types": ["client_credentials"], "scopes": ["files:read"] });
        let client = owner.post("/v1/orgs/acme/clients", &body).expect(201);
        (client.string("client_id"), client.string("client_secret"))
    };
    let (scanner, honest) = (made("Scanner"), made("Honest"));
    let ask = |who: &(String, String)| {
        let form = [
            ("token", "x"),
            ("client_id", &*who.0),
            ("client_secret", &*who.1),
        ];
        let form = form.map(|(a, b)| (a.to_owned(), b.to_owned()));
        server.client().post_form("/oauth/introspect", &form)
    };
    let mut asked = 0;
    let throttled = loop {
        let reply = ask(&scanner);
        asked += 1;
        if reply.status() == 429 {
            break reply;
        }
        assert!(asked < 20_000, "nobody was throttled");
    };
    assert!(throttled.header("retry-after").is_some());
    ask(&honest).expect(200);
}
