//! `/oauth/authorize`, as a browser without JavaScript meets it: by links, redirects, forms and cookies.

use keyledger_tests::browser::{Browser, filled_in, form};
use keyledger_tests::person::parameter;
use keyledger_tests::{Launch, OWNER_EMAIL, OWNER_PASSWORD, Reply};
use serde_json::{Value, json};

use super::token::{App, CALLBACK, VERIFIER, register, register_on};
use crate::world::{World, world};

const OWNER: (&str, &str) = (OWNER_EMAIL, OWNER_PASSWORD);
const SESSION: &str = "__Host-keyledger-session";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const PAGE: &str = "/oauth/authorize";

/// An app's link, with these parameters in place of the usual ones; an empty value leaves one out.
pub(super) fn link(app: &App, other: &[(&str, &str)]) -> String {
    let usual = [
        ("response_type", "code"),
        ("client_id", &*app.id),
        ("redirect_uri", CALLBACK),
        ("scope", "files:read"),
        ("state", "x y+z"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let fields = usual.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let fields = filled_in(fields.to_vec(), other);
    let pairs = fields.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<_> = pairs
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    format!("{PAGE}?{}", pairs.join("&"))
}

pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

pub(super) fn browser() -> Browser {
    Browser::new(&world().anonymous())
}

/// The owner, signed in.
pub(super) fn owner() -> Browser {
    owner_of(world())
}

fn owner_of(world: &World) -> Browser {
    let mut browser = Browser::new(&world.anonymous());
    let login = browser.get("/login");
    browser.sign_in(&login, OWNER);
    browser
}

#[track_caller]
pub(super) fn press(browser: &mut Browser, page: &Reply, decision: &str) -> Reply {
    browser.submit(page, PAGE, &[("decision", decision)])
}

pub(super) fn is_asked(reply: &Reply) -> bool {
    reply.status() == 200 && reply.contains("asks to act for you")
}

/// Nobody is sent anywhere: a page of ours says what is wrong.
#[track_caller]
pub(super) fn is_page(reply: &Reply, status: u16) {
    assert_eq!(reply.status(), status, "{reply:?}");
    assert_eq!(reply.header("location"), None, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(!reply.contains("evil.example"), "{reply:?}");
}

/// Where the app is called at, with its state and our name.
#[track_caller]
fn called_back(reply: &Reply) -> String {
    assert_eq!(reply.status(), 303, "{reply:?}");
    let location = reply.header("location").expect("a way back").to_owned();
    assert!(location.starts_with(&format!("{CALLBACK}?")), "{reply:?}");
    assert_eq!(parameter(&location, "state"), "x%20y%2Bz");
    let issuer = world()
        .anonymous()
        .get("/.well-known/oauth-authorization-server")
        .expect(200)
        .string("issuer");
    assert_eq!(parameter(&location, "iss"), encoded(&issuer));
    location
}

#[track_caller]
fn is_code(reply: &Reply) -> String {
    let code = parameter(&called_back(reply), "code");
    assert!(code.starts_with("ac_live_"));
    code
}

#[track_caller]
pub(super) fn is_told(reply: &Reply, error: &str) {
    let location = called_back(reply);
    assert_eq!(parameter(&location, "error"), error, "{reply:?}");
    assert!(!location.contains("code="), "{reply:?}");
}

#[test]
fn n28_n29_n38_n39_n43_n44_what_an_app_asks_wrongly_it_is_told_before_anybody_is_asked() {
    let (app, public) = (
        register(&json!({})),
        register(&json!({ "type": "public", "grant_types": ["authorization_code"] })),
    );
    let must = register(&json!({ "pkce": "required" }));
    let none = [("code_challenge", ""), ("code_challenge_method", "")];
    let mut told = Vec::new();
    for (app, other, error) in [
        (
            &app,
            &[("response_type", "token")][..],
            "unsupported_response_type",
        ),
        (
            &app,
            &[("response_type", "id_token")],
            "unsupported_response_type",
        ),
        (
            &app,
            &[("response_type", "code token")],
            "unsupported_response_type",
        ),
        (
            &app,
            &[("response_type", "CODE")],
            "unsupported_response_type",
        ),
        (&app, &[("response_type", "")], "invalid_request"),
        (&public, &none, "invalid_request"),
        (&must, &none, "invalid_request"),
        (&app, &[("code_challenge", "")], "invalid_request"),
        (
            &app,
            &[("code_challenge_method", "plain")],
            "invalid_request",
        ),
        (
            &app,
            &[("code_challenge_method", "s256")],
            "invalid_request",
        ),
        (&app, &[("code_challenge_method", "")], "invalid_request"),
        (
            &app,
            &[("code_challenge", &CHALLENGE[1..])],
            "invalid_request",
        ),
        (
            &app,
            &[(
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM",
            )],
            "invalid_request",
        ),
        (
            &app,
            &[(
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=",
            )],
            "invalid_request",
        ),
        (
            &app,
            &[("request", "eyJhbGciOiJub25lIn0.e30.")],
            "request_not_supported",
        ),
        (
            &app,
            &[("request_uri", "http://127.0.0.1:1/x")],
            "request_uri_not_supported",
        ),
        (&app, &[("prompt", "none login")], "invalid_request"),
        (&app, &[("scope", "files:delete")], "invalid_scope"),
        (
            &app,
            &[("resource", "https://evil.example")],
            "invalid_target",
        ),
    ] {
        told.push((link(app, other), error));
    }
    for twice in [
        "scope=files:write",
        "response_type=token",
        "code_challenge=x",
        "prompt=none&prompt=login",
    ] {
        told.push((format!("{}&{twice}", link(&app, &[])), "invalid_request"));
    }
    let (mut stranger, mut owner) = (browser(), owner());
    for (link, error) in told {
        is_told(&stranger.get(&link), error);
        is_told(&owner.get(&link), error);
    }
}

#[test]
fn n30_of_two_states_neither_comes_back() {
    let app = register(&json!({}));
    let twice = owner()
        .get(&format!("{}&state=other", link(&app, &[])))
        .expect(303);
    assert!(
        !twice.header("location").expect("a way").contains("state="),
        "{twice:?}"
    );
}

#[test]
fn n30_a_state_comes_back_as_it_was_by_way_of_the_login_too() {
    let app = register(&json!({}));
    let mut signed_in = owner();
    let long = "a~%\u{e4} "
        .repeat(8 * 1024)
        .chars()
        .take(5_000)
        .collect::<String>();
    for state in [
        "\r\nSet-Cookie: a=b\r\n\r\n<script>",
        "\"'><img src=x>",
        "&code=evil#x",
        "%0d%0a",
        &long,
    ] {
        // Asked each time, also after a yes.
        let path = link(&app, &[("state", state), ("prompt", "consent")]);
        let asked = signed_in.get(&path);
        assert!(is_asked(&asked), "{asked:?}");
        assert!(
            !asked.contains("<img src=x") && !asked.contains("<script"),
            "{asked:?}"
        );
        for decision in ["deny", "allow"] {
            let page = signed_in.get(&path);
            let back = press(&mut signed_in, &page, decision).expect(303);
            let location = back.header("location").expect("a way back");
            assert_eq!(parameter(location, "state"), encoded(state));
            assert_eq!(back.headers("set-cookie"), Vec::<&str>::new());
        }
    }
    // Once through the login, its hidden field and the redirects; 8,192 bytes are the most.
    let longest = "s".repeat(8 * 1024);
    for state in [&*long, &longest] {
        let path = link(&app, &[("state", state), ("prompt", "consent")]);
        let mut stranger = browser();
        let sent = stranger.get(&path);
        if encoded(state).len() > 9 * 1024 {
            // Said at once, and not only after the password.
            is_page(&sent, 400);
            continue;
        }
        let login = stranger.follow(&sent);
        let in_ = stranger.sign_in(&login, OWNER);
        let page = stranger.follow(&in_);
        let back = press(&mut stranger, &page, "deny").expect(303);
        let location = back.header("location").expect("a way back");
        assert_eq!(parameter(location, "state"), encoded(state));
    }
    let path = link(&app, &[("state", &format!("{longest}s"))]);
    is_page(&signed_in.get(&path), 400);
    is_page(&browser().get(&path), 400);
}

#[test]
fn n31_n32_an_answer_is_the_sessions_own_and_counts_once() {
    let app = register(&json!({}));
    let (mut mine, mut other) = (owner(), owner());
    let path = link(&app, &[]);
    let (page, others) = (mine.get(&path), other.get(&path));
    let yes = |page: &Reply| filled_in(form(page, PAGE), &[("decision", "allow")]);
    let with = |name: &str, value: &str| filled_in(yes(&page), &[(name, value)]);
    let of = |page: &Reply, name: &str| {
        let fields = form(page, PAGE);
        let found = fields.into_iter().find(|(its, _)| its == name);
        found.expect("a field").1
    };
    // Without the hidden field, with another session's, with a stranger's, and by no session at all.
    let login = browser().get("/login");
    let login_csrf = form(&login, "/login").swap_remove(0).1;
    for csrf in ["", "x", &of(&others, "csrf"), &login_csrf] {
        is_page(&mine.post(PAGE, &with("csrf", csrf)), 403);
    }
    is_page(&browser().post(PAGE, &yes(&page)), 403);
    let foreign = world().anonymous();
    let cookie = format!("{SESSION}={}", mine.cookie(SESSION).expect("a session"));
    let foreign = foreign.header("Cookie", &cookie);
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        is_page(
            &foreign.header(name, value).post_form(PAGE, &yes(&page)),
            403,
        );
    }
    // Another session's request, with one's own field: it is not there, and stays where it is.
    is_page(
        &other.post(
            PAGE,
            &filled_in(yes(&others), &[("request", &of(&page, "request"))]),
        ),
        400,
    );
    for (name, value) in [
        ("request", ""),
        ("request", "x"),
        ("decision", ""),
        ("decision", "ALLOW"),
    ] {
        is_page(&mine.post(PAGE, &with(name, value)), 400);
    }
    is_told(&press(&mut mine, &page, "deny"), "access_denied");
    for decision in ["allow", "deny"] {
        is_page(&press(&mut mine, &page, decision), 400);
    }
    // After a yes as well: one code, whoever goes back and presses again.
    is_code(&press(&mut other, &others, "allow"));
    is_page(&press(&mut other, &others, "allow"), 400);
    // What is signed out answers nothing.
    let page = mine.get(&link(&app, &[("prompt", "consent")]));
    let before = mine.clone();
    mine.submit(&page, "/logout", &[]).expect(303);
    let sent = press(&mut before.clone(), &page, "allow").expect(303);
    assert_eq!(sent.header("location"), Some("/login"), "{sent:?}");
}

#[test]
fn n32_two_tabs_are_two_questions() {
    let (app, other) = (
        register(&json!({})),
        register(&json!({ "scopes": ["files:write"] })),
    );
    let mut browser = owner();
    let first = browser.get(&link(&app, &[]));
    let second = browser.get(&link(
        &other,
        &[("scope", "files:write"), ("state", "second")],
    ));
    let third = browser.get(&link(&app, &[]));
    // Answered in another order than they were asked: each answer goes to its own app.
    let back = press(&mut browser, &second, "allow").expect(303);
    let location = back.header("location").expect("a way back");
    assert_eq!(parameter(location, "state"), "second");
    let code = parameter(location, "code");
    app.redeem(&code, Some(VERIFIER)).expect(400);
    let given = other.redeem(&code, Some(VERIFIER)).expect(200);
    assert_eq!(given.string("scope"), "files:write");
    is_told(&press(&mut browser, &first, "deny"), "access_denied");
    is_code(&press(&mut browser, &third, "allow"));
}

#[test]
fn n33_n34_n35_pages_stand_in_no_frame_and_tell_nobody_where_one_was() {
    let app = register(&json!({}));
    let mut stranger = browser();
    let path = link(&app, &[]);
    let to_login = stranger.get(&path).expect(303);
    let login = stranger.follow(&to_login);
    let signed_in = stranger.sign_in(&login, OWNER);
    let asked = stranger.follow(&signed_in);
    let wrong = stranger.get(&link(&app, &[("client_id", "x")])).expect(400);
    let back = press(&mut stranger, &asked, "allow").expect(303);
    is_code(&back);
    for page in [&login, &asked, &wrong] {
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains("script-src"),
            "{policy}"
        );
        assert_eq!(page.header("x-frame-options"), Some("DENY"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(
            !page.contains("<script") && !page.contains("src=\"http") && !page.contains("url(http")
        );
        // Nothing is linked to elsewhere, or loaded from there.
        assert!(
            !page.contains("href=\"http") && !page.contains("href=\"//"),
            "{page:?}"
        );
    }
    for reply in [&to_login, &login, &signed_in, &asked, &wrong, &back] {
        assert_eq!(
            reply.header("referrer-policy"),
            Some("no-referrer"),
            "{reply:?}"
        );
        assert!(
            !matches!(reply.status(), 301 | 302 | 307 | 308),
            "{reply:?}"
        );
    }
    let allowed = |page: &Reply| {
        let policy = page
            .header("content-security-policy")
            .expect("a policy")
            .to_owned();
        let parts: Vec<_> = policy.split("; ").map(str::to_owned).collect();
        parts
            .into_iter()
            .find(|part| part.starts_with("form-action"))
            .expect("a rule")
    };
    // The app's address and no other; and only where it is really asked for.
    assert_eq!(allowed(&asked), "form-action 'self' https://your-app.com");
    assert_eq!(allowed(&login), "form-action 'self' https://your-app.com");
    assert_eq!(allowed(&wrong), "form-action 'self'");
}

#[test]
fn n36_a_prompt_is_kept_to() {
    let app = register(&json!({}));
    let ask = |prompt: &str| link(&app, &[("prompt", prompt)]);
    is_told(&browser().get(&ask("none")), "login_required");
    let mut owner = owner();
    is_told(&owner.get(&ask("none")), "consent_required");
    let page = owner.get(&link(&app, &[]));
    is_code(&press(&mut owner, &page, "allow"));
    is_code(&owner.get(&ask("none")));
    assert!(is_asked(&owner.get(&ask("consent"))));
    // The password once more, though there is a session; then on, without being asked twice for it.
    for (prompt, is_asked_too) in [("login", false), ("login consent", true)] {
        let to_login = owner.get(&ask(prompt)).expect(303);
        let before = owner.cookie(SESSION).expect("a session").to_owned();
        let login = owner.follow(&to_login);
        let mut wrong = owner.clone();
        let refused = wrong.submit(
            &login,
            "/login",
            &[("email", OWNER_EMAIL), ("password", "not it")],
        );
        assert_eq!(refused.status(), 403, "{refused:?}");
        let signed_in = owner.sign_in(&login, OWNER);
        assert_ne!(owner.cookie(SESSION), Some(&*before));
        let answer = owner.follow(&signed_in);
        if is_asked_too {
            assert!(is_asked(&answer), "{answer:?}");
        } else {
            is_code(&answer);
        }
        // The session before is over: it was exchanged, not doubled.
        let mut left = browser();
        left.plant(SESSION, &before);
        is_told(&left.get(&ask("none")), "login_required");
    }
}

#[test]
fn n36_n112_a_yes_is_remembered_for_what_it_was_said_to_and_no_further() {
    let app = register(&json!({ "resources": ["https://files.example"] }));
    let public = register(&json!({ "type": "public", "grant_types": ["authorization_code"] }));
    let mut owner = owner();
    for app in [&app, &public] {
        let page = owner.get(&link(app, &[]));
        is_code(&press(&mut owner, &page, "allow"));
    }
    is_code(&owner.get(&link(&app, &[])));
    // Of who can prove who they are; to no more, to no other server, to nobody else.
    assert!(is_asked(&owner.get(&link(&public, &[]))));
    assert!(is_asked(
        &owner.get(&link(&app, &[("scope", "files:read files:write")]))
    ));
    assert!(is_asked(
        &owner.get(&link(&app, &[("resource", "https://files.example")]))
    ));
    let person = world().person("member");
    let mut member = browser();
    let login = member.get("/login");
    member.sign_in(&login, (&person.email, &person.password));
    assert!(is_asked(&member.get(&link(&app, &[]))));

    // Whoever gives the app another address has nobody's codes sent there.
    let waiting = owner.get(&link(&app, &[("prompt", "consent")]));
    let path = format!("/v1/orgs/acme/clients/{}", app.id);
    let change = |what: &Value| world().owner().patch(&path, what).expect(200);
    change(&json!({ "name": "Another name" }));
    is_code(&owner.get(&link(&app, &[])));
    let other = "https://other.example/cb";
    change(&json!({ "redirect_uris": [CALLBACK, other] }));
    for uri in [CALLBACK, other] {
        let at = [("redirect_uri", uri)];
        assert!(is_asked(&owner.get(&link(&app, &at))), "{uri}");
    }
    is_told(
        &owner.get(&link(&app, &[("prompt", "none")])),
        "consent_required",
    );
    // A page that was open meanwhile said nothing of it either.
    is_page(&press(&mut owner, &waiting, "allow"), 400);
    let page = owner.get(&link(&app, &[]));
    is_code(&press(&mut owner, &page, "allow"));
    is_code(&owner.get(&link(&app, &[])));
    // One address less is no news.
    change(&json!({ "redirect_uris": [CALLBACK] }));
    is_code(&owner.get(&link(&app, &[])));
    // Taken back, it is asked for again.
    let consents = world().anonymous().basic(OWNER_EMAIL, OWNER_PASSWORD);
    consents
        .delete(&format!("/v1/user/consents/{}", app.id))
        .expect(204);
    assert!(is_asked(&owner.get(&link(&app, &[]))));
}

#[test]
fn n37_a_planted_cookie_is_worth_nothing_after_a_login() {
    let app = register(&json!({}));
    // The attacker's own session, and one that they made up.
    let attacker = owner();
    for planted in [
        attacker.cookie(SESSION).expect("a session"),
        "made-up-made-up-made-up-made-up-made-up-mad",
    ] {
        let person = world().person("member");
        let mut victim = browser();
        victim.plant(SESSION, planted);
        let login = victim.get("/login?again=1");
        let signed_in = victim.sign_in(&login, (&person.email, &person.password));
        assert_ne!(victim.cookie(SESSION), Some(planted));
        assert_eq!(signed_in.headers("set-cookie").len(), 1, "{signed_in:?}");
        let page = victim.get(&link(&app, &[]));
        assert!(is_asked(&page) && page.contains(&person.email), "{page:?}");
        // What was planted does not follow the victim to where they are now.
        let mut left = browser();
        left.plant(SESSION, planted);
        is_told(
            &left.get(&link(&app, &[("prompt", "none")])),
            "login_required",
        );
    }
    // A login form of the attacker's own visit does not sign a victim in as them.
    let mut attacker = browser();
    let login = attacker.get("/login");
    let fields = filled_in(
        form(&login, "/login"),
        &[("email", OWNER_EMAIL), ("password", OWNER_PASSWORD)],
    );
    let mut victim = browser();
    victim.get("/login");
    let sent = victim.post("/login", &fields).expect(403);
    assert!(
        sent.headers("set-cookie")
            .iter()
            .all(|line| !line.starts_with(SESSION)),
        "{sent:?}"
    );
}

#[test]
fn n40_after_the_login_people_stay_here() {
    for next in [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https://evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        "///evil.example",
        "/oauth/authorize/../../evil.example",
        "/dashboard@evil.example",
        "/dashboard/..//evil.example",
        "javascript:alert(1)",
        "/logout",
        "",
    ] {
        let mut stranger = browser();
        let login = stranger.get(&format!("/login?next={}", encoded(next)));
        assert!(!login.contains("evil.example"), "{login:?}");
        // Nor when somebody writes it into the form.
        let filled = [
            ("email", OWNER_EMAIL),
            ("password", OWNER_PASSWORD),
            ("next", next),
        ];
        let signed_in = stranger.submit(&login, "/login", &filled).expect(303);
        assert_eq!(signed_in.header("location"), Some("/dashboard"), "{next:?}");
    }
    for name in ["return_to", "redirect", "url", "continue"] {
        let login = browser().get(&format!("/login?{name}=https://evil.example"));
        assert!(!login.contains("evil.example"), "{login:?}");
    }
}

#[test]
fn n130_a_flood_of_questions_pushes_out_nobody_elses() {
    let app = register(&json!({}));
    let (mut flooding, mut other) = (owner(), owner());
    let waiting = other.get(&link(&app, &[]));
    let pages: Vec<_> = (0..200)
        .map(|number: u32| flooding.get(&link(&app, &[("state", &number.to_string())])))
        .collect();
    assert!(pages.iter().all(is_asked));
    // Of the flood itself the newest sixteen can be answered.
    is_page(&press(&mut flooding, &pages[183], "deny"), 400);
    press(&mut flooding, &pages[184], "deny").expect(303);
    press(&mut flooding, &pages[199], "deny").expect(303);
    is_code(&press(&mut other, &waiting, "allow"));
    // Strangers make none wait at all.
    let mut stranger = browser();
    for _ in 0..50 {
        stranger.get(&link(&app, &[])).expect(303);
    }
}

#[test]
fn n131_no_log_has_a_code_a_state_a_verifier_or_a_cookie() {
    let launch = Launch::new()
        .env("KEYLEDGER_LOG", "trace")
        .env("RUST_LOG", "trace");
    let world = World::on(launch.start());
    let app = register_on(&world, &json!({}));
    let mut browser = Browser::new(&world.anonymous());
    let state = "canary-of-the-state-0123456789";
    let to_login = browser.get(&link(&app, &[("state", state)]));
    let login = browser.follow(&to_login);
    let signed_in = browser.sign_in(&login, OWNER);
    let asked = browser.follow(&signed_in);
    let fields = form(&asked, PAGE);
    let back = browser
        .submit(&asked, PAGE, &[("decision", "allow")])
        .expect(303);
    let code = parameter(back.header("location").expect("a way back"), "code");
    let fields_of = |code: &str| {
        [
            ("grant_type", "authorization_code"),
            ("client_id", &app.id),
            ("client_secret", &app.secret),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let wrong = fields_of(&code.replace("ac_live_", "ac_test_"));
    world
        .anonymous()
        .post_form("/oauth/token", &wrong)
        .expect(400);
    let given = world
        .anonymous()
        .post_form("/oauth/token", &fields_of(&code))
        .expect(200);
    world
        .anonymous()
        .post_form("/oauth/token", &fields_of(&code))
        .expect(400);
    let (token, refresh) = (given.string("access_token"), given.string("refresh_token"));
    // In the wrong place, too.
    world
        .anonymous()
        .get(&format!("/oauth/token?code={code}&state={state}"))
        .expect(405);
    world
        .anonymous()
        .get(&format!("{PAGE}?code={code}&refresh_token={refresh}"))
        .expect(400);
    let log = world.server().log();
    assert!(log.contains("/oauth/token"), "the log has no line of it");
    let secret_of = |text: &str| text.get(18..).unwrap_or_default().to_owned();
    for (what, secret) in [
        ("the code", secret_of(&code)),
        ("the access token", secret_of(&token)),
        ("the refresh token", secret_of(&refresh)),
        ("the client's secret", secret_of(&app.secret)),
        ("the state", state.to_owned()),
        ("the verifier", VERIFIER.to_owned()),
        ("the challenge", CHALLENGE.to_owned()),
        ("the password", OWNER_PASSWORD.to_owned()),
        (
            "the session",
            browser.cookie(SESSION).expect("a session").to_owned(),
        ),
        ("a hidden field", fields[0].1.clone()),
        ("the request's name", fields[1].1.clone()),
    ] {
        assert!(
            secret.len() >= 16 && !log.contains(&secret),
            "{what} is in the log"
        );
    }
}
