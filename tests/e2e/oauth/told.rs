//! `/oauth/introspect` and `/oauth/revoke`: what is told of a token, and to whom.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyledger_tests::Launch;
use ring::hmac;
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
    // A resource server of the organization, by its key; of another one; and without the right.
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

#[test]
fn n72_an_assertion_of_a_client_is_no_proof_however_often_it_comes() {
    let app = register(&json!({}));
    let never = "0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10";
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let issuer = world()
        .anonymous()
        .get("/.well-known/oauth-authorization-server")
        .expect(200);
    // Such a method is not offered at all.
    for name in ["token", "introspection", "revocation"] {
        let methods = issuer.json()[format!("{name}_endpoint_auth_methods_supported")].to_string();
        assert!(!methods.contains("jwt"), "{methods}");
    }
    // For us, for another server, and for both; signed with what the client has, or not at all.
    for aud in [
        json!(issuer.string("issuer")),
        json!(issuer.string("token_endpoint")),
        json!("https://other.example"),
        json!([issuer.string("issuer"), "https://other.example"]),
    ] {
        for alg in ["HS256", "none"] {
            let header = json!({ "alg": alg, "typ": "JWT" });
            let claims = json!({ "iss": app.id, "sub": app.id, "aud": aud, "jti": "once", "exp": 4_000_000_000_u64 });
            let signed = format!("{}.{}", part(&header), part(&claims));
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, app.secret.as_bytes()),
                signed.as_bytes(),
            );
            let signature = if alg == "none" {
                String::new()
            } else {
                URL_SAFE_NO_PAD.encode(tag)
            };
            let assertion = format!("{signed}.{signature}");
            let shown = [
                ("client_assertion_type", bearer),
                ("client_assertion", &*assertion),
            ];
            for (path, more) in [
                ("/oauth/token", ("grant_type", "client_credentials")),
                ("/oauth/introspect", ("token", "x")),
                ("/oauth/revoke", ("token", "x")),
            ] {
                for id in [&*app.id, never] {
                    let with_id = [shown[0], shown[1], ("client_id", id), more];
                    let replies = [
                        post(path, &with_id),
                        post(path, &with_id),
                        post(path, &[shown[0], shown[1], more]),
                    ];
                    for reply in &replies {
                        is_error(reply, 401, "invalid_client");
                        // The same for a client that there is and for one that there is not.
                        assert_eq!(reply.text(), replies[0].text());
                    }
                }
                // Beside the secret it is a second way, which is refused and not ignored.
                is_error(
                    &app.post(path, &[shown[0], shown[1], more]),
                    400,
                    "invalid_request",
                );
            }
        }
    }
    // As a grant it is none either (RFC 7523 §2.1).
    let grant = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", "x.y.z"),
    ];
    is_error(
        &app.post("/oauth/token", &grant),
        400,
        "unsupported_grant_type",
    );
    assert_eq!(status_of(&app.own_token()), 200);
}

#[test]
fn n73_a_token_of_one_environment_is_none_in_the_other() {
    for format in ["opaque", "jwt"] {
        let of = |environment: &str| {
            register(
                &json!({ "environment": environment, "access_token_format": format,
                "scopes": ["files:read", "keys:read", "keys:verify"] }),
            )
        };
        let gateway = |environment: &str| {
            let body = json!({ "handle": unique("gateway"), "environment": environment, "scopes": ["keys:verify"] });
            make_key(&world().owner(), &body).string("token")
        };
        let ask = |key: &str, token: &str| {
            let form = [("token".to_owned(), token.to_owned())];
            let asker = world().anonymous().x_api_key(key);
            asker.post_form("/oauth/introspect", &form).expect(200)
        };
        let sides = ["live", "test"].map(|environment| {
            let app = of(environment);
            let token = app.own_token();
            (environment, app, token, gateway(environment))
        });
        for (here, there) in [(&sides[0], &sides[1]), (&sides[1], &sides[0])] {
            let (environment, app, token, gateway) = here;
            let (_, other_app, other_token, other_gateway) = there;
            // To its own client and to a gateway of its own side it is good, and says which side that is.
            let own = app
                .post("/oauth/introspect", &[("token", token)])
                .expect(200);
            let told = ask(gateway, token);
            assert_eq!(
                (own.member("environment"), told.member("environment")),
                (json!(environment), json!(environment))
            );
            assert_eq!(told.member("active"), json!(true));
            // At the other side there is no such token.
            assert_eq!(ask(other_gateway, token).json(), json!({ "active": false }));
            let others = other_app
                .post("/oauth/introspect", &[("token", token)])
                .expect(200);
            assert_eq!(others.json(), json!({ "active": false }));
            other_app
                .post("/oauth/revoke", &[("token", token)])
                .expect(200);
            assert_eq!(status_of(token), 200);
            // Whoever asks for a verdict is told which side it belongs to.
            let me = world().anonymous().bearer(token).get("/v1/me").expect(200);
            assert_eq!(me.string("environment"), *environment);
            // Neither client is let in with the other's secret, and no text of one is made one of the other.
            let crossed = [
                ("grant_type", "client_credentials"),
                ("client_id", &*app.id),
                ("client_secret", &*other_app.secret),
            ];
            is_error(&post("/oauth/token", &crossed), 401, "invalid_client");
            if format == "opaque" {
                let (from, to) = if *environment == "live" {
                    ("_live_", "_test_")
                } else {
                    ("_test_", "_live_")
                };
                assert!(token.contains(from));
                assert_eq!(status_of(&token.replace(from, to)), 401);
            } else {
                // What a server that checks by itself has to go by.
                let claims = token.split('.').nth(1).expect("claims");
                let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
                let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
                assert_eq!(claims["environment"], *environment);
                let spliced: Vec<&str> = token
                    .split('.')
                    .take(2)
                    .chain(other_token.split('.').skip(2))
                    .collect();
                assert_eq!(status_of(&spliced.join(".")), 401);
            }
        }
        // A test token sees nothing live, by asking for a verdict either.
        let (_, live, live_token, _) = &sides[0];
        let (_, test, test_token, _) = &sides[1];
        let tester = world().anonymous().bearer(test_token);
        let verdict = tester
            .post("/v1/keys/verify", &json!({ "key": live_token }))
            .expect(200);
        assert_eq!(
            (verdict.member("valid"), verdict.string("code")),
            (json!(false), "not_found".to_owned())
        );
        // Codes and refresh tokens stay with the client, and so on their side.
        let (_, refresh) = test.tokens("files:read");
        assert!(refresh.starts_with("rt_test_"));
        is_error(&live.refresh(&refresh), 400, "invalid_grant");
        is_error(
            &live.refresh(&refresh.replace("_test_", "_live_")),
            400,
            "invalid_grant",
        );
        test.refresh(&refresh).expect(200);
    }
}

#[test]
fn n110_an_app_makes_no_organization_for_the_person_it_asks_for() {
    let app = register(&json!({ "scopes": ["files:read", "workspaces:write"] }));
    let (token, _) = app.tokens("workspaces:write");
    let app = world().anonymous().bearer(&token);
    let body = json!({ "name": unique("By an app") });
    app.post("/v1/workspaces", &body).expect(403);
    // What it may do in its own organization it does.
    app.patch("/v1/orgs/acme/policy", &json!({})).expect(200);
    world().owner().post("/v1/workspaces", &body).expect(201);
}
