//! `POST /oauth/token`: who is given a token, and who is not.

use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyledger_tests::person::{self, parameter};
use keyledger_tests::{Client, Reply};
use serde_json::{Value, json};

use crate::world::{World, unique, world};

pub(super) const CALLBACK: &str = "https://your-app.com/callback";
/// The verifier of all flows here, and its challenge (RFC 7636 App. B).
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A client, and what it needs to show.
#[derive(Clone)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) redirect_uri: String,
}

/// Registers one that may do everything, but for what `more` says.
pub(super) fn register(more: &Value) -> App {
    register_on(world(), more)
}

/// The same, on a server of one's own.
pub(super) fn register_on(world: &World, more: &Value) -> App {
    let mut body = json!({
        "name": unique("App"),
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "redirect_uris": [CALLBACK],
        "scopes": ["files:read", "files:write", "offline_access"],
    });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let reply = world
        .owner()
        .post("/v1/orgs/acme/clients", &body)
        .expect(201);
    App {
        id: reply.string("client_id"),
        secret: reply.json()["client_secret"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        redirect_uri: CALLBACK.to_owned(),
    }
}

/// Posts a form to an address of OAuth's.
#[track_caller]
pub(super) fn post(path: &str, fields: &[(&str, &str)]) -> Reply {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    world().anonymous().post_form(path, &fields)
}

#[track_caller]
pub(super) fn is_error(reply: &Reply, status: u16, error: &str) {
    assert_eq!(
        (reply.status(), reply.json()["error"].as_str()),
        (status, Some(error)),
        "{reply:?}"
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

impl App {
    /// Posts with its credentials in the body.
    #[track_caller]
    pub(super) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut all = vec![("client_id", self.id.as_str())];
        if !self.secret.is_empty() {
            all.push(("client_secret", self.secret.as_str()));
        }
        all.extend_from_slice(fields);
        post(path, &all)
    }

    /// Asks for a token for itself.
    #[track_caller]
    pub(super) fn own_token(&self) -> String {
        let form = [("grant_type", "client_credentials")];
        self.post("/oauth/token", &form)
            .expect(200)
            .string("access_token")
    }

    /// A code that the owner allowed, with a challenge or without.
    pub(super) fn code(&self, scope: &str, challenged: bool) -> String {
        let pkce = if challenged {
            format!("&code_challenge={CHALLENGE}&code_challenge_method=S256")
        } else {
            String::new()
        };
        let path = format!(
            "/oauth/authorize?client_id={}&redirect_uri={CALLBACK}&response_type=code&state=s&scope={}{pkce}",
            self.id,
            scope.replace(' ', "+"),
        );
        let who = (
            keyledger_tests::OWNER_EMAIL,
            keyledger_tests::OWNER_PASSWORD,
        );
        let back = person::answer(&world().anonymous(), who, &path, "allow");
        assert!(back.starts_with(CALLBACK), "{back}");
        parameter(&back, "code")
    }

    #[track_caller]
    pub(super) fn redeem(&self, code: &str, verifier: Option<&str>) -> Reply {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        self.post("/oauth/token", &form)
    }

    #[track_caller]
    pub(super) fn refresh(&self, token: &str) -> Reply {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post("/oauth/token", &form)
    }

    /// The tokens of a code with a challenge.
    #[track_caller]
    pub(super) fn tokens(&self, scope: &str) -> (String, String) {
        let code = self.code(scope, true);
        let given = self.redeem(&code, Some(VERIFIER)).expect(200);
        (given.string("access_token"), given.string("refresh_token"))
    }
}

pub(super) fn status_of(token: &str) -> u16 {
    world().anonymous().bearer(token).get("/v1/me").status()
}

#[test]
fn n1_n2_n3_n4_n5_the_request_is_a_post_of_parameters_each_once() {
    let app = register(&json!({}));
    let nobody = world().anonymous();
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let reply = nobody.any(method, "/oauth/token", None).expect(405);
        assert_eq!(reply.header("allow"), Some("POST"), "{method}");
    }
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        app.id, app.secret
    );
    let send = |path: &str, media_type: &str, body: &str| {
        let reply = nobody.send_bytes("POST", path, media_type, body.as_bytes());
        reply.expect("an answer")
    };
    let media_type = "application/x-www-form-urlencoded";
    send("/oauth/token", media_type, &form).expect(200);
    is_error(
        &send("/oauth/token?scope=files:read", media_type, &form),
        400,
        "invalid_request",
    );
    let twice = format!("{form}&scope=files:read&scope=files:write");
    is_error(
        &send("/oauth/token", media_type, &twice),
        400,
        "invalid_request",
    );
    for other in ["text/plain", "multipart/form-data; boundary=x", ""] {
        is_error(&send("/oauth/token", other, &form), 400, "invalid_request");
    }
    let json = json!({ "grant_type": "client_credentials", "client_id": app.id, "client_secret": app.secret });
    let text = json.to_string();
    send("/oauth/token", "application/json", &text).expect(200);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for bad in [
        format!("[{text}]"),
        text.replace('}', ",\"scope\":\"files:read\",\"scope\":\"files:read\"}"),
        text.replace('}', ",\"scope\":7}"),
        text.replace('}', &format!(",\"scope\":{deep}}}")),
        format!("{text}x"),
        text.replace('}', ",\"scope\":\"a\\u0000\"}"),
    ] {
        is_error(
            &send("/oauth/token", "application/json", &bad),
            400,
            "invalid_request",
        );
    }
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let reply = nobody.send_bytes("POST", "/oauth/token", "application/json", &utf16);
    is_error(&reply.expect("an answer"), 400, "invalid_request");
}

fn by_basic(user: &str, password: &str) -> Client {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    world()
        .anonymous()
        .header("Authorization", &format!("Basic {pair}"))
}

#[test]
fn n6_n7_n8_n9_n20_a_client_shows_itself_in_one_way_and_strangers_learn_nothing() {
    let app = register(&json!({}));
    let public = register(&json!({ "type": "public", "grant_types": ["authorization_code"] }));
    let off = register(&json!({}));
    let path = format!("/v1/orgs/acme/clients/{}", off.id);
    world()
        .owner()
        .patch(&path, &json!({ "disabled": true }))
        .expect(200);
    let grant = ("grant_type", "client_credentials");
    let never = "0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10";
    let wrong: Vec<Reply> = [
        vec![grant, ("client_id", never), ("client_secret", &app.secret)],
        vec![
            grant,
            ("client_id", &app.id),
            ("client_secret", &off.secret),
        ],
        vec![grant, ("client_id", &app.id), ("client_secret", "x")],
        vec![
            grant,
            ("client_id", &off.id),
            ("client_secret", &off.secret),
        ],
        vec![grant, ("client_id", &app.id)],
        vec![
            grant,
            ("client_id", &public.id),
            ("client_secret", &app.secret),
        ],
    ]
    .iter()
    .map(|fields| post("/oauth/token", fields))
    .collect();
    for reply in &wrong {
        is_error(reply, 401, "invalid_client");
        assert_eq!(reply.text(), wrong[0].text());
    }
    let both = by_basic(&app.id, &app.secret).post_form(
        "/oauth/token",
        &[grant, ("client_secret", &app.secret)].map(|(a, b)| (a.to_owned(), b.to_owned())),
    );
    is_error(&both, 400, "invalid_request");
    let form = [(grant.0.to_owned(), grant.1.to_owned())];
    // RFC 6749 §2.3.1: both parts are form-encoded first.
    let encoded = app.secret.bytes().map(|byte| format!("%{byte:02X}"));
    let encoded = encoded.collect::<Vec<_>>().concat();
    by_basic(&app.id, &encoded)
        .post_form("/oauth/token", &form)
        .expect(200);
    for header in ["Basic !", "Basic bm9jb2xvbg==", "Bearer x", "Basic"] {
        let reply = world()
            .anonymous()
            .header("Authorization", header)
            .post_form("/oauth/token", &form);
        is_error(&reply, 401, "invalid_client");
        assert!(
            reply
                .header("www-authenticate")
                .expect("a challenge")
                .starts_with("Basic")
        );
    }
}

#[test]
fn n6_n20_what_is_refused_before_it_is_read_is_told_as_oauth_tells_it() {
    let app = register(&json!({}));
    let form = [
        ("grant_type", "client_credentials"),
        ("token", "x"),
        ("client_id", &*app.id),
        ("client_secret", &*app.secret),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let shown = by_basic(&app.id, &app.secret);
    let pair = STANDARD.encode(format!("{}:{}", app.id, app.secret));
    let twice = shown.header("Authorization", &format!("Basic {pair}"));
    let packed = world().anonymous().header("Content-Encoding", "gzip");
    for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
        for client in [&twice, &packed] {
            let reply = client.post_form(path, &form);
            is_error(&reply, 400, "invalid_request");
            assert_eq!(reply.header("content-type"), Some("application/json"));
        }
    }
}

#[test]
fn n10_n11_n18_a_grant_is_one_of_three_and_one_of_the_clients_own() {
    let app = register(&json!({ "grant_types": ["client_credentials"] }));
    for grant in [
        "password",
        "implicit",
        "CLIENT_CREDENTIALS",
        "urn:ietf:params:oauth:grant-type:device_code",
    ] {
        is_error(
            &app.post("/oauth/token", &[("grant_type", grant)]),
            400,
            "unsupported_grant_type",
        );
    }
    is_error(
        &app.post("/oauth/token", &[("grant_type", "")]),
        400,
        "invalid_request",
    );
    let code = [("grant_type", "authorization_code"), ("code", "x")];
    is_error(&app.post("/oauth/token", &code), 400, "unauthorized_client");
    for scope in [
        "offline_access",
        "openid",
        "users:write",
        "files:read users:read",
    ] {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        is_error(&app.post("/oauth/token", &form), 400, "invalid_scope");
    }
    for resource in ["https://unknown.example", "https://a.example#x", "relative"] {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        is_error(&app.post("/oauth/token", &form), 400, "invalid_target");
    }
}

#[test]
fn n12_a_code_is_good_once_and_coming_again_ends_what_it_gave() {
    let app = register(&json!({}));
    let code = app.code("files:read", true);
    let given = app.redeem(&code, Some(VERIFIER)).expect(200);
    let (token, refresh) = (given.string("access_token"), given.string("refresh_token"));
    assert_eq!(status_of(&token), 200);
    is_error(&app.redeem(&code, Some(VERIFIER)), 400, "invalid_grant");
    assert_eq!(status_of(&token), 401);
    is_error(&app.refresh(&refresh), 400, "invalid_grant");
}

#[test]
fn n13_fifty_at_once_have_one_answer_and_then_none_of_its_tokens_is_good() {
    let app = register(&json!({}));
    let code = app.code("files:read", true);
    let replies: Vec<Reply> = thread::scope(|scope| {
        let all: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| app.redeem(&code, Some(VERIFIER))))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("an answer"))
            .collect()
    });
    let good: Vec<_> = replies
        .iter()
        .filter(|reply| reply.status() == 200)
        .collect();
    assert_eq!(good.len(), 1, "{} were answered", good.len());
    for reply in replies.iter().filter(|reply| reply.status() != 200) {
        is_error(reply, 400, "invalid_grant");
    }
    assert_eq!(status_of(&good[0].string("access_token")), 401);
    is_error(
        &app.refresh(&good[0].string("refresh_token")),
        400,
        "invalid_grant",
    );
}

#[test]
fn n14_n16_n41_n42_n45_only_its_own_client_redeems_a_code_and_only_as_it_asked() {
    let (app, other) = (register(&json!({})), register(&json!({})));
    let code = app.code("files:read", true);
    is_error(&other.redeem(&code, Some(VERIFIER)), 400, "invalid_grant");
    let stranger = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("client_id", &*app.id),
    ];
    is_error(&post("/oauth/token", &stranger), 401, "invalid_client");
    for verifier in [
        None,
        Some("x".repeat(43)),
        Some("x".repeat(42)),
        Some("x".repeat(129)),
        Some(format!("{} ", "x".repeat(43))),
        Some(CHALLENGE.to_owned()),
    ] {
        is_error(
            &app.redeem(&code, verifier.as_deref()),
            400,
            "invalid_grant",
        );
    }
    let slash = App {
        redirect_uri: format!("{CALLBACK}/"),
        ..register(&json!({}))
    };
    let near = App {
        id: app.id.clone(),
        secret: app.secret.clone(),
        ..slash
    };
    is_error(&near.redeem(&code, Some(VERIFIER)), 400, "invalid_grant");
    // None of them used it up.
    app.redeem(&code, Some(VERIFIER)).expect(200);
    let plain = app.code("files:read", false);
    is_error(&app.redeem(&plain, Some(VERIFIER)), 400, "invalid_grant");
    app.redeem(&plain, None).expect(200);
}
