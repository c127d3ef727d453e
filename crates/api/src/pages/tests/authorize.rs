//! `/oauth/authorize`: who is asked what, and where the answer goes.

use keyledger_domain::client::{
    AccessTokenFormat, ClientSettings, ClientType, GrantType, NewClientSecret, PkcePolicy,
    RefreshPolicy, RefreshRotation, RegisterClient, SwitchClient,
};
use keyledger_domain::id::ClientId;
use keyledger_domain::signing::SigningAlgorithm;
use keyledger_domain::{CredentialKind, Environment};

use super::*;
use crate::caller::{Caller, Origin};
use crate::passwords::Password;

const ISSUER: &str = "http://127.0.0.1:8080";
const APP: &str = "https://app.example/cb";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BOB: &str = "bob@example.com";

/// What a test says of a client; the rest is as most have it.
struct Wish {
    name: &'static str,
    client_type: ClientType,
    redirect_uri: &'static str,
    scopes: &'static [&'static str],
}

const PUBLIC: Wish = Wish {
    name: "CloudSync",
    client_type: ClientType::Public,
    redirect_uri: APP,
    scopes: &["audit:read", "files:read", "files:write", "offline_access"],
};

const CONFIDENTIAL: Wish = Wish {
    name: "CloudSync Server",
    client_type: ClientType::Confidential,
    ..PUBLIC
};

impl World {
    async fn owner(&self) -> Caller {
        let origin = Origin::of_the_server([9; 16]);
        let password = Password::new(PASSWORD.to_owned());
        let owner = self.app.caller_by_password(EMAIL, password, &origin).await;
        owner.unwrap()
    }

    async fn client(&self, wish: &Wish) -> ClientId {
        let org = self.app.directory().org_by_slug("acme").unwrap().id;
        let client = ClientId::from_random(self.app.random().unwrap());
        let secret = self
            .app
            .draw(CredentialKind::ClientSecret, Environment::Live, None)
            .unwrap();
        let command = RegisterClient {
            org,
            client,
            client_type: wish.client_type,
            environment: Environment::Live,
            secret: (wish.client_type == ClientType::Confidential).then(|| NewClientSecret {
                id: secret.id(),
                digest: self.app.digest(secret.as_bytes()).unwrap(),
            }),
            settings: ClientSettings {
                name: wish.name.parse().unwrap(),
                grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
                redirect_uris: vec![wish.redirect_uri.parse().unwrap()],
                scopes: wish
                    .scopes
                    .iter()
                    .map(|text| text.parse().unwrap())
                    .collect::<Vec<_>>()
                    .into(),
                resources: vec!["https://files.example".parse().unwrap()],
                pkce: PkcePolicy::Required,
                refresh_tokens: RefreshPolicy::Always,
                refresh_rotation: RefreshRotation::Rotate,
                access_token_format: AccessTokenFormat::Opaque,
                signing_algorithm: SigningAlgorithm::Es256,
                access_token_seconds: 3_600,
                refresh_idle_seconds: 2_592_000,
                refresh_seconds: 7_776_000,
            },
        };
        self.app
            .execute(&self.owner().await, command)
            .await
            .unwrap();
        client
    }

    /// Bob, a member, signed in.
    async fn bob(&self) -> Browser<'_> {
        let body = json!({ "email": BOB, "password": PASSWORD, "role": "member" });
        let request = TestRequest::post().uri("/v1/orgs/acme/members");
        let answer = self.as_owner(request, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let mut browser = self.browser();
        let answer = browser.log_in(BOB, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        browser
    }

    /// Asks the API with the owner's password.
    async fn as_owner(&self, request: TestRequest, body: &serde_json::Value) -> Answer {
        let basic = STANDARD.encode(format!("{EMAIL}:{PASSWORD}"));
        let request = request.insert_header(("Authorization", format!("Basic {basic}")));
        self.ask(request.set_json(body)).await
    }

    /// What a code was issued for.
    fn scopes_of(&self, code: &str) -> Vec<String> {
        let id = keyledger_domain::credential::parse(code).unwrap().id;
        let directory = self.app.directory();
        let code = directory.authorization_code(id).unwrap();
        code.scopes.iter().map(ToString::to_string).collect()
    }

    fn codes(&self) -> u64 {
        // Each code is one record, and nothing else is written here between two looks.
        self.position()
    }
}

fn address(client: ClientId, more: &str) -> String {
    format!(
        "/oauth/authorize?response_type=code&client_id={client}&redirect_uri=https%3A%2F%2Fapp.example%2Fcb\
         &scope=files:read%20files:write&state=x%2By&code_challenge={CHALLENGE}&code_challenge_method=S256{more}"
    )
}

/// What a redirect brings the app.
fn brought(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let location = answer.header("location");
    let query = location.strip_prefix(&format!("{APP}?"));
    let query = query.unwrap_or_else(|| panic!("sent to {location}"));
    let pairs = web::Query::<BTreeMap<String, String>>::from_query(query);
    pairs.unwrap().into_inner()
}

#[track_caller]
fn check_error(answer: &Answer, error: &str) {
    let brought = brought(answer);
    assert_eq!(brought["error"], error);
    assert_eq!(brought["iss"], ISSUER);
    assert_eq!(brought["state"], "x+y");
    assert!(!brought.contains_key("code"));
}

#[track_caller]
fn check_code(answer: &Answer) -> String {
    let brought = brought(answer);
    assert_eq!(brought["iss"], ISSUER);
    assert_eq!(brought["state"], "x+y");
    assert!(brought["code"].starts_with("ac_live_"));
    brought["code"].clone()
}

/// Answers the page that asks.
async fn decide(browser: &mut Browser<'_>, page: &Answer, decision: &str) -> Answer {
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let (csrf, request) = (
        page.hidden("csrf").unwrap(),
        page.hidden("request").unwrap(),
    );
    let fields = [
        ("csrf", &*csrf),
        ("request", &request),
        ("decision", decision),
    ];
    browser.post("/oauth/authorize", &fields).await
}

#[actix_web::test]
async fn n034_and_n038_a_stranger_signs_in_is_asked_and_sent_back() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let mut browser = world.browser();
    let to_login = browser.get(&address(client, "")).await;
    assert_eq!(to_login.status, StatusCode::SEE_OTHER);
    let login = browser.get(to_login.header("location")).await;
    assert_eq!(login.status, StatusCode::OK);
    assert!(login.body.contains("to go on to <bdi>CloudSync</bdi>"));
    // The login may lead to the app in the end.
    let policy = login.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https://app.example;"),
        "{policy}"
    );
    let (csrf, next) = (login.hidden("csrf").unwrap(), login.hidden("next").unwrap());
    let next = next.replace("&#38;", "&").replace("&amp;", "&");
    let fields = [
        ("csrf", &*csrf),
        ("next", &next),
        ("email", EMAIL),
        ("password", PASSWORD),
    ];
    let back = browser.post("/login", &fields).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER);
    let page = browser.get(back.header("location")).await;
    for words in [
        "<bdi>CloudSync</bdi> asks to act for you",
        "<bdi>acme</bdi>",
        EMAIL,
        "Read file contents",
        "Create and modify files",
        "at most 90 days, and less if the app is not used for 30 days",
        "https://app.example",
    ] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-frame-options"), "DENY");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://app.example; frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"));
    let before = world.codes();
    check_code(&decide(&mut browser, &page, "allow").await);
    assert_eq!(world.codes(), before + 1);
}

#[actix_web::test]
async fn saying_no_is_told_and_nothing_is_issued() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let mut browser = world.signed_in().await;
    let page = browser.get(&address(client, "")).await;
    let before = world.codes();
    check_error(&decide(&mut browser, &page, "deny").await, "access_denied");
    assert_eq!(world.codes(), before);
}

#[actix_web::test]
async fn n031_without_the_right_hidden_field_nothing_is_allowed() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let (mut browser, mut other) = (world.signed_in().await, world.signed_in().await);
    let page = browser.get(&address(client, "")).await;
    let request = page.hidden("request").unwrap();
    let foreign = other
        .get(&address(client, ""))
        .await
        .hidden("csrf")
        .unwrap();
    let of_the_login = world.browser().get("/login").await.hidden("csrf").unwrap();
    let before = world.codes();
    for csrf in ["", "x", &foreign, &of_the_login] {
        let fields = [("csrf", csrf), ("request", &request), ("decision", "allow")];
        let answer = browser.post("/oauth/authorize", &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "with {csrf:?}");
        assert!(!answer.headers.contains_key("location"));
    }
    let fields = [("request", &*request), ("decision", "allow")];
    let answer = browser.post("/oauth/authorize", &fields).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = world.browser().post("/oauth/authorize", &fields).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "without a session");
    assert_eq!(world.codes(), before);
    // Nothing of it used the request up.
    check_code(&decide(&mut browser, &page, "allow").await);
}

#[actix_web::test]
async fn n032_a_form_is_answered_once_and_only_in_its_own_session() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let (mut browser, mut other) = (world.signed_in().await, world.signed_in().await);
    let page = browser.get(&address(client, "")).await;
    let before = world.codes();
    // Somebody else's request, with a hidden field of one's own.
    let csrf = other.get("/dashboard").await.hidden("csrf").unwrap();
    let request = page.hidden("request").unwrap();
    let fields = [
        ("csrf", &*csrf),
        ("request", &request),
        ("decision", "allow"),
    ];
    let answer = other.post("/oauth/authorize", &fields).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    check_error(&decide(&mut browser, &page, "deny").await, "access_denied");
    for decision in ["allow", "deny"] {
        let answer = decide(&mut browser, &page, decision).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{decision} after no"
        );
        assert!(!answer.headers.contains_key("location"));
    }
    for (request, decision) in [
        ("", "allow"),
        ("x", "allow"),
        (&*request, "maybe"),
        (&*request, ""),
    ] {
        let csrf = page.hidden("csrf").unwrap();
        let fields = [
            ("csrf", &*csrf),
            ("request", request),
            ("decision", decision),
        ];
        let answer = browser.post("/oauth/authorize", &fields).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{request:?} {decision:?}"
        );
    }
    assert_eq!(world.codes(), before);
}

#[actix_web::test]
async fn n021_to_n026_what_is_not_registered_is_a_page_of_ours() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let mut browser = world.signed_in().await;
    let other = "/oauth/authorize?response_type=code&redirect_uri=https%3A%2F%2Fevil.example%2Fcb";
    let capital = client.to_string().to_uppercase();
    for path in [
        other.to_owned(),
        format!("{other}&client_id=00000000-0000-4000-8000-000000000000"),
        format!("{other}&client_id={client}"),
        format!("/oauth/authorize?response_type=code&client_id={capital}"),
        format!(
            "{}&redirect_uri=https%3A%2F%2Fapp.example%2Fcb",
            address(client, "")
        ),
    ] {
        for browser in [&mut browser, &mut world.browser()] {
            let answer = browser.get(&path).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(!answer.headers.contains_key("location"));
            assert!(answer.header("content-type").starts_with("text/html"));
            assert!(!answer.body.contains("evil.example"));
        }
    }
}

#[actix_web::test]
async fn n028_n029_what_the_app_did_wrong_goes_back_to_it_before_anybody_is_asked() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let address = |from: &str, to: &str| address(client, "").replace(from, to);
    for (path, error) in [
        (
            address("response_type=code", "response_type=token"),
            "unsupported_response_type",
        ),
        (address("S256", "plain"), "invalid_request"),
        (address("files:write", "files:delete"), "invalid_scope"),
    ] {
        check_error(&world.browser().get(&path).await, error);
    }
}

#[actix_web::test]
async fn n036_nobody_is_asked_who_may_not_be() {
    let world = World::with_owner().await;
    let client = world.client(&CONFIDENTIAL).await;
    let path = address(client, "&prompt=none");
    check_error(&world.browser().get(&path).await, "login_required");
    let mut browser = world.signed_in().await;
    check_error(&browser.get(&path).await, "consent_required");
    let page = browser.get(&address(client, "")).await;
    check_code(&decide(&mut browser, &page, "allow").await);
    check_code(&browser.get(&path).await);
    let mut bob = world.bob().await;
    let path = path.replace("files:read%20files:write", "audit:read");
    check_error(&bob.get(&path).await, "access_denied");
}

#[actix_web::test]
async fn a_yes_is_remembered_only_for_who_can_prove_who_it_is() {
    let world = World::with_owner().await;
    let app = world.client(&PUBLIC).await;
    let server = world.client(&CONFIDENTIAL).await;
    let local = world
        .client(&Wish {
            redirect_uri: "http://127.0.0.1/cb",
            ..CONFIDENTIAL
        })
        .await;
    let mut browser = world.signed_in().await;
    for client in [app, server] {
        let page = browser.get(&address(client, "")).await;
        check_code(&decide(&mut browser, &page, "allow").await);
    }
    let again = |client, more| address(client, more);
    let is_asked = |answer: &Answer| answer.hidden("request").is_some();
    assert!(
        is_asked(&browser.get(&again(app, "")).await),
        "a public app"
    );
    check_code(&browser.get(&again(server, "")).await);
    // Asked for, more than was allowed, and for another server: asked again.
    assert!(is_asked(
        &browser.get(&again(server, "&prompt=consent")).await
    ));
    let more = address(server, "").replace("files:write", "audit:read");
    assert!(is_asked(&browser.get(&more).await));
    let resource = "&resource=https%3A%2F%2Ffiles.example";
    assert!(is_asked(&browser.get(&again(server, resource)).await));
    // A program on somebody's machine can pretend to be another.
    let path =
        address(local, "").replace("https%3A%2F%2Fapp.example", "http%3A%2F%2F127.0.0.1%3A4711");
    let page = browser.get(&path).await;
    assert!(page.body.contains("A program on this computer"));
    assert!(page.body.contains("http://127.0.0.1:4711"));
    let answer = decide(&mut browser, &page, "allow").await;
    assert!(
        answer
            .header("location")
            .starts_with("http://127.0.0.1:4711/cb?code=")
    );
    assert!(is_asked(&browser.get(&path).await));
    // Another person is asked.
    assert!(is_asked(&world.bob().await.get(&again(server, "")).await));
}

#[actix_web::test]
async fn prompt_login_asks_for_the_password_once_more() {
    let world = World::with_owner().await;
    let client = world.client(&CONFIDENTIAL).await;
    let mut browser = world.signed_in().await;
    let page = browser.get(&address(client, "")).await;
    check_code(&decide(&mut browser, &page, "allow").await);
    for (prompt, is_asked) in [("login", false), ("login%20consent", true)] {
        let path = address(client, &format!("&prompt={prompt}"));
        let to_login = browser.get(&path).await;
        assert_eq!(to_login.status, StatusCode::SEE_OTHER);
        let login = browser.get(to_login.header("location")).await;
        assert_eq!(login.status, StatusCode::OK, "the session before is enough");
        let csrf = login.hidden("csrf").unwrap();
        let next = login
            .hidden("next")
            .unwrap()
            .replace("&#38;", "&")
            .replace("&amp;", "&");
        let fields = [
            ("csrf", &*csrf),
            ("next", &next),
            ("email", EMAIL),
            ("password", PASSWORD),
        ];
        let back = browser.post("/login", &fields).await;
        let answer = browser.get(back.header("location")).await;
        if is_asked {
            assert!(answer.hidden("request").is_some());
        } else {
            check_code(&answer);
        }
    }
}

#[actix_web::test]
async fn n112_what_somebody_may_not_do_is_not_offered_and_not_granted() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let mut bob = world.bob().await;
    let path = address(client, "").replace("files:write", "audit:read");
    let page = bob.get(&path).await;
    let offered = page.body.split("class=\"rights\"").nth(1).unwrap();
    let (offered, withheld) = offered.split_once("</ul>").unwrap();
    assert!(offered.contains("files:read") && !offered.contains("audit:read"));
    assert!(withheld.contains("<code>audit:read</code>"));
    let code = check_code(&decide(&mut bob, &page, "allow").await);
    assert_eq!(world.scopes_of(&code), ["files:read"]);
    // Nothing at all, and no way to say yes by hand.
    let before = world.codes();
    for scope in ["audit:read", "audit:read%20offline_access"] {
        let path = address(client, "").replace("files:read%20files:write", scope);
        let page = bob.get(&path).await;
        assert!(page.body.contains("You cannot allow this."));
        assert!(!page.body.contains("value=\"allow\""));
        check_error(&decide(&mut bob, &page, "allow").await, "access_denied");
    }
    assert_eq!(world.codes(), before);
    // A page that was shown before somebody lost a right grants it no more.
    for (role, offers) in [("manager", true), ("member", false)] {
        let before = bob.get(&path).await;
        assert_eq!(
            before.body.contains("more than you may do yourself"),
            offers
        );
        let request = TestRequest::patch().uri("/v1/orgs/acme/members/bob");
        let answer = world.as_owner(request, &json!({ "role": role })).await;
        assert_eq!(answer.status, StatusCode::OK);
        let code = check_code(&decide(&mut bob, &before, "allow").await);
        assert_eq!(world.scopes_of(&code), ["files:read"]);
    }
}

#[actix_web::test]
async fn n102_names_are_text_whatever_they_say() {
    let world = World::with_owner().await;
    let client = world
        .client(&Wish {
            name: "</bdi><script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
            ..CONFIDENTIAL
        })
        .await;
    let path = address(client, "");
    let mut stranger = world.browser();
    let login = stranger.get(&path).await;
    let mut browser = world.signed_in().await;
    let page = browser.get(&path).await;
    check_code(&decide(&mut browser, &page, "allow").await);
    for page in [
        stranger.get(login.header("location")).await,
        page,
        browser.get("/dashboard").await,
    ] {
        assert!(page.body.contains("alert(1)"), "the name is not shown");
        assert!(!page.body.contains("<script") && !page.body.contains("<img src=x"));
        assert!(!page.body.contains("</bdi></bdi>") && !page.body.contains("\"'>"));
    }
}

#[actix_web::test]
async fn a_client_that_was_switched_off_while_somebody_thought_about_it_gets_nothing() {
    let world = World::with_owner().await;
    let client = world.client(&PUBLIC).await;
    let mut browser = world.signed_in().await;
    let page = browser.get(&address(client, "")).await;
    let org = world.app.directory().org_by_slug("acme").unwrap().id;
    let switch = SwitchClient {
        org,
        client,
        disabled: true,
    };
    world
        .app
        .execute(&world.owner().await, switch)
        .await
        .unwrap();
    let before = world.codes();
    let answer = decide(&mut browser, &page, "allow").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        browser.get(&address(client, "")).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(world.codes(), before);
}

#[actix_web::test]
async fn n099_n106_other_methods_and_other_origins_get_nothing() {
    let world = World::with_owner().await;
    let client = world.client(&CONFIDENTIAL).await;
    let mut browser = world.signed_in().await;
    let page = browser.get(&address(client, "")).await;
    check_code(&decide(&mut browser, &page, "allow").await);
    let before = world.codes();
    let head = TestRequest::default()
        .method(actix_web::http::Method::HEAD)
        .uri(&address(client, ""));
    let answer = browser.send(head).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), "GET, POST");
    let from_app = TestRequest::get()
        .uri(&address(client, "&prompt=none"))
        .insert_header(("Origin", "https://app.example"));
    let answer = browser.send(from_app).await;
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    assert_eq!(
        world.codes(),
        before + 1,
        "the GET that a browser itself makes"
    );
}

#[actix_web::test]
async fn the_front_page_lists_the_apps_and_takes_their_rights_back() {
    let world = World::with_owner().await;
    let client = world.client(&CONFIDENTIAL).await;
    let mut browser = world.signed_in().await;
    assert!(
        browser
            .get("/dashboard")
            .await
            .body
            .contains("allowed no app")
    );
    let page = browser.get(&address(client, "")).await;
    check_code(&decide(&mut browser, &page, "allow").await);
    let page = browser.get("/dashboard").await;
    assert!(page.body.contains("<bdi>CloudSync Server</bdi>"));
    assert!(page.body.contains("<code>files:read files:write</code>"));
    let (csrf, id) = (page.hidden("csrf").unwrap(), client.to_string());
    let foreign = world
        .bob()
        .await
        .get("/dashboard")
        .await
        .hidden("csrf")
        .unwrap();
    for (csrf, id, status) in [
        (&foreign, &id, StatusCode::FORBIDDEN),
        (&csrf, &"x".to_owned(), StatusCode::NOT_FOUND),
        (&csrf, &id, StatusCode::SEE_OTHER),
        (&csrf, &id, StatusCode::NOT_FOUND),
    ] {
        let fields = [("csrf", &**csrf), ("client", id)];
        assert_eq!(
            browser.post("/dashboard/apps", &fields).await.status,
            status
        );
    }
    let page = browser.get("/dashboard?done=taken-back").await;
    assert!(page.body.contains("can no longer act for you"));
    assert!(!page.body.contains("CloudSync Server"));
    let page = browser.get(&address(client, "")).await;
    assert!(
        page.hidden("request").is_some(),
        "what was taken back is remembered"
    );
}
