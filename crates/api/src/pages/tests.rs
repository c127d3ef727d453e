//! The pages as a browser meets them, over a real ledger in a folder of the test's own.

use core::sync::atomic::{AtomicI64, Ordering};
use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{COOKIE, HeaderMap, HeaderName};
use actix_web::test::{self, TestRequest};
use actix_web::{App as Application, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyledger_domain::Timestamp;
use keyledger_domain::session::SESSION_SECONDS;
use keyledger_ledger::credits_store::CreditsBook;
use keyledger_ledger::index::Index;
use keyledger_ledger::paths::Paths;
use keyledger_ledger::{Clock, CommitterThread, Ledger, OpenOptions, Started};
use ring::rand::SystemRandom;
use serde_json::json;

use super::cookie::{SESSION, VISIT};
use crate::edge::{Edge, RequestIds};
use crate::{App, Lookups, LookupsFeed, Parts, SetUpCode, Settings, Usage, pages, routes};

mod authorize;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const CODE: &str = "the-code-that-was-printed";
const ORIGIN: (&str, &str) = ("Origin", "http://127.0.0.1:8080");

/// A clock that stands still until a test moves it.
struct TestClock(AtomicI64);

impl TestClock {
    fn advance_seconds(&self, seconds: u64) {
        let micros = i64::try_from(seconds).unwrap() * 1_000_000;
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// A server without a socket.
struct World {
    app: web::Data<App>,
    clock: Arc<TestClock>,
    committer: Option<CommitterThread>,
    _folder: tempfile::TempDir,
}

impl World {
    /// A server that nobody has set up.
    fn new(issuer: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000_000)));
        let rng = SystemRandom::new();
        let options = OpenOptions {
            reserve_bytes: 0,
            snapshot_every: 0,
            ..OpenOptions::new(&folder.path().join("data"))
        };
        let opened = Ledger::open(
            &options,
            Arc::new(rng.clone()),
            Arc::<TestClock>::clone(&clock),
            &mut |_| {},
            &mut |_| {},
        )
        .unwrap();
        let paths = Paths::new(&folder.path().join("data"));
        let directory = opened.directory.clone();
        let index = Index::new(&paths, &opened.key_file, directory.position());
        let lookups = Arc::new(Lookups::new(directory, Arc::new(index)));
        let (reader, key_file) = (opened.reader.clone(), Arc::clone(&opened.key_file));
        let past = opened.past();
        let (credits, _) = CreditsBook::open(&paths, &key_file).unwrap();
        let Started {
            committer,
            thread,
            log,
            backups,
        } = opened.start(LookupsFeed(Arc::clone(&lookups))).unwrap();
        let app = App::new(Parts {
            committer,
            lookups,
            reader,
            past,
            log,
            backups,
            key_file,
            clock: Arc::<TestClock>::clone(&clock),
            rng,
            setup_code: SetUpCode::waiting(CODE.to_owned(), || ()),
            usage: Arc::new(Usage::in_memory(clock.now())),
            credits,
            settings: Settings {
                issuer: issuer.to_owned(),
                password_places: 2,
                is_on_loopback: true,
                throttles: crate::ThrottleSettings::DEFAULT,
                session_idle_seconds: 43_200,
            },
        });
        Self {
            app: web::Data::new(app.unwrap()),
            clock,
            committer: Some(thread),
            _folder: folder,
        }
    }

    /// A server with its first owner.
    async fn with_owner() -> Self {
        let world = Self::new("http://127.0.0.1:8080");
        let body =
            json!({ "code": CODE, "email": EMAIL, "password": PASSWORD, "organization": "acme" });
        let request = TestRequest::post().uri("/v1/setup").set_json(body);
        assert_eq!(world.ask(request).await.status, StatusCode::CREATED);
        world
    }

    async fn ask(&self, request: TestRequest) -> Answer {
        let service = test::init_service(
            Application::new()
                .app_data(self.app.clone())
                .wrap(Edge::new(Arc::new(RequestIds::new([7; 32]))))
                .configure(routes::configure)
                .configure(pages::configure),
        )
        .await;
        let response = test::call_service(&service, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = test::read_body(response).await;
        Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    fn browser(&self) -> Browser<'_> {
        Browser {
            world: self,
            jar: BTreeMap::new(),
        }
    }

    /// A browser in which the owner is signed in.
    async fn signed_in(&self) -> Browser<'_> {
        let mut browser = self.browser();
        let answer = browser.log_in(EMAIL, PASSWORD).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        browser
    }

    /// The owner's own key.
    async fn key(&self) -> String {
        let body = json!({ "email": EMAIL, "password": PASSWORD });
        let request = TestRequest::post().uri("/user/token").set_json(body);
        let answer = self.ask(request).await;
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        body["token"].as_str().unwrap().to_owned()
    }

    fn position(&self) -> u64 {
        self.app.directory().position().get()
    }

    fn session_count(&self) -> usize {
        let directory = self.app.directory();
        directory.user_by_email(EMAIL).unwrap().sessions.len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(thread) = self.committer.take() {
            // What a test left is thrown away with its folder.
            let _ = thread.stop();
        }
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let name: HeaderName = name.parse().unwrap();
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The value that a form's hidden field comes with.
    fn hidden(&self, name: &str) -> Option<String> {
        let after = self
            .body
            .split_once(&format!("name=\"{name}\" value=\""))?
            .1;
        Some(after.split('"').next()?.to_owned())
    }
}

/// A browser with a cookie jar. It follows no redirect.
struct Browser<'w> {
    world: &'w World,
    jar: BTreeMap<String, String>,
}

impl Browser<'_> {
    async fn send(&mut self, request: TestRequest) -> Answer {
        let cookies: Vec<String> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let answer = self
            .world
            .ask(request.insert_header((COOKIE, cookies.join("; "))))
            .await;
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(TestRequest::get().uri(path)).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = TestRequest::post().uri(path).insert_header(ORIGIN);
        self.send(request.set_form(fields)).await
    }

    async fn log_in(&mut self, email: &str, password: &str) -> Answer {
        let page = self.get("/login").await;
        let csrf = page.hidden("csrf").unwrap();
        let fields = [("csrf", &*csrf), ("email", email), ("password", password)];
        self.post("/login", &fields).await
    }

    async fn is_signed_in(&mut self) -> bool {
        let page = self.get("/dashboard").await;
        match page.status {
            StatusCode::OK => true,
            StatusCode::SEE_OTHER => {
                assert_eq!(page.header("location"), "/login");
                false
            }
            other => panic!("the dashboard answers {other}"),
        }
    }
}

#[actix_web::test]
async fn n34_and_n98_a_password_opens_a_session() {
    let world = World::with_owner().await;
    let mut browser = world.browser();
    assert!(!browser.is_signed_in().await);
    let answer = browser.log_in(EMAIL, PASSWORD).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), "/dashboard");
    assert!(browser.jar.contains_key(SESSION));
    let page = browser.get("/dashboard").await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in [EMAIL, "acme", "owner", "/playground/", "/openapi.json"] {
        assert!(page.body.contains(shown), "no {shown} on the dashboard");
    }
    // Who is signed in is asked for no password again, and goes where they wanted.
    let answer = browser.get("/login?next=/dashboard%3Fa%3D1").await;
    assert_eq!(answer.header("location"), "/dashboard?a=1");
}

#[actix_web::test]
async fn d0_6_and_n103_a_key_opens_no_page() {
    let world = World::with_owner().await;
    let key = world.key().await;
    let mut browser = world.browser();
    let answer = browser.log_in(EMAIL, &key).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(!answer.body.contains(&key));
    assert!(!browser.jar.contains_key(SESSION));
    let basic = STANDARD.encode(format!("{EMAIL}:{PASSWORD}"));
    for (name, value) in [
        ("Authorization", format!("Bearer {key}")),
        ("Authorization", format!("token {key}")),
        ("Authorization", format!("Basic {basic}")),
        ("X-Api-Key", key.clone()),
    ] {
        let request = TestRequest::get()
            .uri("/dashboard")
            .insert_header((name, value.clone()));
        let answer = browser.send(request).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert!(!answer.headers.contains_key("set-cookie"));
        let post = TestRequest::post()
            .uri("/logout")
            .insert_header((name, value));
        assert_eq!(
            browser.send(post.set_form([("csrf", "")])).await.status,
            StatusCode::FORBIDDEN
        );
    }
    assert_eq!(world.session_count(), 0);
}

#[actix_web::test]
async fn a_wrong_password_and_an_unknown_name_are_told_alike() {
    let world = World::with_owner().await;
    let before = world.position();
    let mut bodies = Vec::new();
    for (email, password) in [(EMAIL, "wrong"), ("bob@example.com", PASSWORD)] {
        let answer = world.browser().log_in(email, password).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        let csrf = answer.hidden("csrf").unwrap();
        bodies.push(answer.body.replace(email, "").replace(&csrf, ""));
    }
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(world.position(), before);
}

#[actix_web::test]
async fn n31_without_the_right_hidden_field_nothing_happens() {
    let world = World::with_owner().await;
    let before = world.position();
    let mut browser = world.browser();
    let mine = browser.get("/login").await.hidden("csrf").unwrap();
    let other = world.browser().get("/login").await.hidden("csrf").unwrap();
    assert_ne!(mine, other);
    let zeroes = "0".repeat(mine.len());
    for csrf in ["", "x", &other, &zeroes, &mine[1..]] {
        let fields = [("csrf", csrf), ("email", EMAIL), ("password", PASSWORD)];
        let answer = browser.post("/login", &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "with {csrf:?}");
        assert!(answer.header("content-type").starts_with("text/html"));
    }
    let fields = [("email", EMAIL), ("password", PASSWORD)];
    assert_eq!(
        browser.post("/login", &fields).await.status,
        StatusCode::FORBIDDEN
    );
    // The field without its cookie, and with somebody else's.
    browser.jar.clear();
    let fields = [("csrf", &*mine), ("email", EMAIL), ("password", PASSWORD)];
    assert_eq!(
        browser.post("/login", &fields).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(world.position(), before);
}

#[actix_web::test]
async fn n100_a_form_from_another_site_is_refused() {
    let world = World::with_owner().await;
    let before = world.position();
    let mut browser = world.browser();
    let csrf = browser.get("/login").await.hidden("csrf").unwrap();
    for header in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let fields = [("csrf", &*csrf), ("email", EMAIL), ("password", PASSWORD)];
        let request = TestRequest::post().uri("/login").insert_header(header);
        let answer = browser.send(request.set_form(fields)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "with {header:?}");
    }
    assert_eq!(world.position(), before);
}

#[actix_web::test]
async fn n101_what_is_no_form_or_too_long_is_not_read() {
    let world = World::with_owner().await;
    let mut browser = world.browser();
    browser.get("/login").await;
    let post = || TestRequest::post().uri("/login");
    let json = post().set_json(json!({ "csrf": "", "email": EMAIL, "password": PASSWORD }));
    let answer = browser.send(json).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let long = post().set_form([("password", "x".repeat(1_000_000))]);
    assert_eq!(
        browser.send(long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let twice = post().set_form([("csrf", "a"), ("csrf", "b")]);
    assert_eq!(browser.send(twice).await.status, StatusCode::BAD_REQUEST);
}

#[actix_web::test]
async fn n37_a_planted_cookie_is_worth_nothing_after_the_login() {
    let world = World::with_owner().await;
    let mut browser = world.signed_in().await;
    let planted = browser.jar[SESSION].clone();
    let mut again = world.browser();
    let csrf = again.get("/login").await.hidden("csrf").unwrap();
    again.jar.insert(SESSION.to_owned(), planted.clone());
    let fields = [("csrf", &*csrf), ("email", EMAIL), ("password", PASSWORD)];
    assert_eq!(
        again.post("/login", &fields).await.status,
        StatusCode::SEE_OTHER
    );
    assert_ne!(again.jar[SESSION], planted);
    assert!(again.is_signed_in().await);
    assert!(!browser.is_signed_in().await, "the session before lives on");
}

#[actix_web::test]
async fn a_session_is_its_id_and_its_secret() {
    let world = World::with_owner().await;
    let mut browser = world.signed_in().await;
    let good = browser.jar[SESSION].clone();
    let (id, secret) = good.split_once('.').unwrap();
    assert_eq!(secret.len(), 43);
    let other = world.signed_in().await.jar[SESSION].clone();
    let (_, others_secret) = other.split_once('.').unwrap();
    for bad in [
        String::new(),
        id.to_owned(),
        format!("{id}."),
        format!("{id}.{}", &secret[1..]),
        format!("{id}.{others_secret}"),
        format!("{id}.{secret}."),
        format!("{secret}.{id}"),
        format!("00000000-0000-4000-8000-000000000000.{secret}"),
    ] {
        browser.jar.insert(SESSION.to_owned(), bad.clone());
        assert!(!browser.is_signed_in().await, "with {} bytes", bad.len());
    }
    browser.jar.insert(SESSION.to_owned(), good);
    assert!(browser.is_signed_in().await);
}

#[actix_web::test]
async fn n98_and_n105_logout_ends_the_session_here_and_there() {
    let world = World::with_owner().await;
    let mut browser = world.signed_in().await;
    let page = browser.get("/dashboard").await;
    assert_eq!(page.header("cache-control"), "no-store");
    let before = browser.jar.clone();
    // Another form's field, no field, GET: none of them ends it.
    let fields = [("csrf", ""), ("csrf2", "")];
    assert_eq!(
        browser.post("/logout", &fields).await.status,
        StatusCode::FORBIDDEN
    );
    let answer = browser.get("/logout").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("allow"), "POST");
    let stranger = world.browser().get("/login").await.hidden("csrf").unwrap();
    let answer = browser.post("/logout", &[("csrf", &stranger)]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(browser.is_signed_in().await);

    let csrf = page.hidden("csrf").unwrap();
    let answer = browser.post("/logout", &[("csrf", &csrf)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), "/login?done=out");
    assert_eq!(answer.header("clear-site-data"), "\"cookies\"");
    assert!(!browser.jar.contains_key(SESSION));
    browser.jar = before;
    assert!(
        !browser.is_signed_in().await,
        "the cookie is good after the logout"
    );
    assert_eq!(world.session_count(), 0);
}

#[actix_web::test]
async fn n98_another_password_ends_all_sessions() {
    let world = World::with_owner().await;
    let (mut here, mut there) = (world.signed_in().await, world.signed_in().await);
    let basic = STANDARD.encode(format!("{EMAIL}:{PASSWORD}"));
    let request = TestRequest::post()
        .uri("/v1/user/password")
        .insert_header(("Authorization", format!("Basic {basic}")))
        .set_json(json!({ "password": "another good passphrase" }));
    assert_eq!(world.ask(request).await.status, StatusCode::NO_CONTENT);
    assert!(!here.is_signed_in().await);
    assert!(!there.is_signed_in().await);
}

#[actix_web::test]
async fn n98_the_button_signs_out_in_every_browser() {
    let world = World::with_owner().await;
    let (mut here, mut there) = (world.signed_in().await, world.signed_in().await);
    let page = here.get("/dashboard").await;
    assert!(page.body.contains("In 2 browsers"));
    let everywhere = [
        ("csrf", &*page.hidden("csrf").unwrap()),
        ("everywhere", "yes"),
    ];
    // The field of one session does not end those of another.
    let answer = there.post("/logout", &everywhere).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let answer = here.post("/logout", &everywhere).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), "/login?done=everywhere");
    assert!(!here.is_signed_in().await);
    assert!(!there.is_signed_in().await);
    assert_eq!(world.session_count(), 0);
    let page = here.get("/login?done=everywhere").await;
    assert!(page.body.contains("signed out everywhere"));
    for other in ["x", "%3Cscript%3E", "out%00"] {
        let page = here.get(&format!("/login?done={other}")).await;
        assert!(!page.body.contains("role=\"status\""), "{other}");
    }
}

#[actix_web::test]
async fn n40_who_signs_in_as_somebody_else_comes_back_and_nowhere_else() {
    let world = World::with_owner().await;
    for (next, location) in [
        (
            "/oauth/authorize?client_id=a&state=%2B",
            "/login?next=/oauth/authorize?client_id%3Da%26state%3D%252B",
        ),
        ("//evil.example", "/login?done=out"),
        ("https://evil.example/oauth/authorize", "/login?done=out"),
    ] {
        let mut browser = world.signed_in().await;
        let csrf = browser.get("/dashboard").await.hidden("csrf").unwrap();
        let fields = [("csrf", &*csrf), ("next", next)];
        let answer = browser.post("/logout", &fields).await;
        assert_eq!(answer.header("location"), location);
        assert!(!browser.is_signed_in().await);
        let form = browser.get(location).await;
        let kept = form
            .hidden("next")
            .map(|text| text.replace("&amp;", "&").replace("&#38;", "&"));
        assert_eq!(
            kept.as_deref(),
            (next.starts_with("/oauth")).then_some(next)
        );
    }
}

#[actix_web::test]
async fn the_password_can_be_asked_of_somebody_who_is_signed_in() {
    let world = World::with_owner().await;
    let mut browser = world.signed_in().await;
    let before = browser.jar[SESSION].clone();
    let page = browser.get("/login?again=yes&next=/dashboard").await;
    assert_eq!(page.status, StatusCode::OK);
    let csrf = page.hidden("csrf").unwrap();
    let fields = [("csrf", &*csrf), ("email", EMAIL), ("password", PASSWORD)];
    let answer = browser.post("/login", &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_ne!(browser.jar[SESSION], before);
    assert_eq!(world.session_count(), 1, "the session before lives on");
}

#[actix_web::test]
async fn n104_and_n134_a_session_is_good_while_now_is_before_its_end() {
    let world = World::with_owner().await;
    let mut browser = world.signed_in().await;
    world.clock.advance_seconds(SESSION_SECONDS - 1);
    assert!(browser.is_signed_in().await);
    world.clock.advance_seconds(1);
    assert!(!browser.is_signed_in().await);
}

#[actix_web::test]
async fn n40_the_login_sends_nobody_elsewhere() {
    let world = World::with_owner().await;
    for (next, expected) in [
        ("//evil.example", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("https://evil.example/dashboard", "/dashboard"),
        ("/\t/evil.example", "/dashboard"),
        (
            "/oauth/authorize?client_id=a&scope=files%3Aread",
            "/oauth/authorize?client_id=a&scope=files%3Aread",
        ),
    ] {
        let mut browser = world.browser();
        let csrf = browser.get("/login").await.hidden("csrf").unwrap();
        let fields = [
            ("csrf", &*csrf),
            ("email", EMAIL),
            ("password", PASSWORD),
            ("next", next),
        ];
        let answer = browser.post("/login", &fields).await;
        assert_eq!(answer.header("location"), expected, "for {next:?}");
    }
    let page = world.browser().get("/login?next=%2F%2Fevil.example").await;
    assert!(!page.body.contains("evil"));
    let page = world
        .browser()
        .get("/login?next=%2Foauth%2Fauthorize%3Fclient_id%3Da%26state%3Db")
        .await;
    let next = page.hidden("next").unwrap().replace("&#38;", "&");
    assert_eq!(next, "/oauth/authorize?client_id=a&state=b");
}

#[actix_web::test]
async fn n116_the_first_owner_comes_in_by_the_code_and_only_once() {
    let world = World::new("http://127.0.0.1:8080");
    let mut browser = world.browser();
    for path in ["/setup", "/setup?code=", "/setup?code=wrong"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND);
    }
    let page = browser.get(&format!("/setup?code={CODE}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.hidden("code").unwrap(), CODE);
    let csrf = page.hidden("csrf").unwrap();
    let form = |code, organization| {
        [
            ("csrf", csrf.clone()),
            ("code", String::from(code)),
            ("email", EMAIL.to_owned()),
            ("password", PASSWORD.to_owned()),
            ("organization", String::from(organization)),
        ]
    };
    let post = || TestRequest::post().uri("/setup").insert_header(ORIGIN);

    let wrong = browser.send(post().set_form(form(CODE, "No Slug"))).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong
            .body
            .contains("aria-describedby=\"organization-hint organization-wrong\"")
    );
    assert!(wrong.body.contains("id=\"organization-wrong\""));
    assert!(!wrong.body.contains(PASSWORD), "the password is sent back");
    let answer = browser.send(post().set_form(form("wrong", "acme"))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(world.position(), 0);

    let made = browser.send(post().set_form(form(CODE, "acme"))).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER);
    assert_eq!(made.header("location"), "/login");
    assert_eq!(
        browser.log_in(EMAIL, PASSWORD).await.status,
        StatusCode::SEE_OTHER
    );
    let page = browser.get(&format!("/setup?code={CODE}")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let again = browser.send(post().set_form(form(CODE, "other"))).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn n102_what_people_write_is_inert() {
    let world = World::with_owner().await;
    let basic = STANDARD.encode(format!("{EMAIL}:{PASSWORD}"));
    let hostile = "<script>alert(1)</script>\"'";
    let request = TestRequest::post()
        .uri("/v1/user/keys")
        .insert_header(("Authorization", format!("Basic {basic}")))
        .set_json(json!({ "handle": "laptop", "alias": hostile }));
    let made = world.ask(request).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    let mut browser = world.signed_in().await;
    let page = browser.get("/dashboard").await;
    assert!(page.body.contains("alert(1)"), "the alias is not shown");
    assert!(!page.body.contains("<script"));
    assert!(page.body.contains(made["preview"].as_str().unwrap()));
    assert!(!page.body.contains(made["token"].as_str().unwrap()));
    // What somebody types into the login form comes back to them, as text.
    let refused = world.browser().log_in(hostile, "wrong").await;
    assert!(refused.body.contains("alert(1)") && !refused.body.contains("<script"));
}

#[actix_web::test]
async fn n33_and_n35_every_page_has_its_headers_errors_too() {
    for (issuer, by_tls) in [
        ("http://127.0.0.1:8080", false),
        ("https://keys.example", true),
    ] {
        let world = World::new(issuer);
        let mut browser = world.browser();
        for path in [
            "/login",
            "/dashboard",
            "/",
            "/setup",
            "/logout",
            "/playground/",
            "/playground/none",
        ] {
            let page = browser.get(path).await;
            let csp = page.header("content-security-policy");
            for part in [
                "default-src 'none'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
            ] {
                assert!(csp.contains(part), "{path}: {csp}");
            }
            assert!(!csp.contains("unsafe"), "{path}: {csp}");
            assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
            assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
            assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(
                page.header("cross-origin-opener-policy"),
                "same-origin",
                "{path}"
            );
            assert_eq!(
                page.header("cross-origin-resource-policy"),
                "same-origin",
                "{path}"
            );
            let hsts = page.headers.contains_key("strict-transport-security");
            assert_eq!(hsts, by_tls, "{path} under {issuer}");
        }
    }
}

#[actix_web::test]
async fn the_visit_is_given_once() {
    let world = World::new("http://127.0.0.1:8080");
    let mut browser = world.browser();
    let first = browser.get("/login").await;
    let visit = browser.jar[VISIT].clone();
    let second = browser.get("/login").await;
    assert!(!second.headers.contains_key("set-cookie"));
    assert_eq!(first.hidden("csrf"), second.hidden("csrf"));
    browser.jar.insert(VISIT.to_owned(), "short".to_owned());
    browser.get("/login").await;
    assert_ne!(browser.jar[VISIT], visit);
    assert_eq!(browser.jar[VISIT].len(), 43);
}

#[actix_web::test]
async fn pages_load_nothing_from_elsewhere_and_all_that_they_load_is_there() {
    let world = World::with_owner().await;
    let mut browser = world.signed_in().await;
    let redirect = browser.get("/playground").await;
    assert_eq!(redirect.header("location"), "/playground/");
    let initializer = browser.get("/playground/swagger-initializer.js").await;
    assert!(initializer.body.contains("\"url\": \"/openapi.json\""));
    for path in ["/dashboard", "/playground/"] {
        let page = browser.get(path).await;
        assert!(
            page.header("content-type").starts_with("text/html"),
            "{path}"
        );
        assert!(
            !page.body.contains("style=\"") && !page.body.contains("<style"),
            "{path}"
        );
        for attribute in ["src=\"", "href=\""] {
            for link in page.body.split(attribute).skip(1) {
                let link = link.split('"').next().unwrap();
                assert!(!link.contains("//"), "{path} leads elsewhere: {link}");
                let link = link.trim_start_matches("./");
                let link = if link.starts_with('/') {
                    link.to_owned()
                } else {
                    format!("{path}{link}")
                };
                let found = browser.get(&link).await;
                assert_eq!(found.status, StatusCode::OK, "{path} leads to {link}");
            }
        }
    }
}
