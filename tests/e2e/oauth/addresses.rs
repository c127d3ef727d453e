//! Where `/oauth/authorize` sends people: to an address that the app registered, and nowhere else; and the
//! server itself goes nowhere.

use std::io::ErrorKind;
use std::net::TcpListener;

use keyledger_tests::person::parameter;
use serde_json::json;

use super::authorize::{browser, encoded, is_asked, is_page, is_told, link, owner, press};
use super::token::{App, CALLBACK, VERIFIER, register};
use crate::world::world;

#[test]
fn n21_n22_n23_n25_n26_nobody_is_sent_where_no_app_is_registered() {
    let app = register(&json!({}));
    let two = register(&json!({ "redirect_uris": [CALLBACK, "https://your-app.com/other"] }));
    let never = "0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10";
    let mut links = vec![
        link(&app, &[("client_id", never)]),
        link(&app, &[("client_id", "")]),
        link(&app, &[("client_id", &app.id.to_uppercase())]),
        link(&app, &[("client_id", &format!("{} ", app.id))]),
        format!("{}&client_id={}", link(&app, &[]), two.id),
        link(&two, &[("redirect_uri", "")]),
        format!("{}&redirect_uri={}", link(&app, &[]), encoded(CALLBACK)),
        format!("{}&redirect_uri=https://evil.example", link(&app, &[])),
        format!("{}&%72edirect_uri=https://evil.example", link(&app, &[])),
    ];
    for near in [
        "https://evil.example/callback",
        "https://your-app.com/callback/",
        "https://your-app.com/callback/..",
        "https://your-app.com/callback/../evil",
        "https://your-app.com/callback?x",
        "https://your-app.com/callback#f",
        "https://your-app.com/callback%2e%2e",
        "https://your-app.com/%63allback",
        "https://your-app.com/Callback",
        "https://your-app.com:443/callback",
        "https://your-app.com./callback",
        "https://your-app.com@evil.example/callback",
        "https://your-\u{430}pp.com/callback",
        "https://YOUR-APP.com/callback",
        "HTTPS://your-app.com/callback",
        "http://your-app.com/callback",
        "//your-app.com/callback",
        "https://your-app.com/callback\r\nx: y",
        "https://your-app.com\\.evil.example/callback",
        "javascript:alert(1)",
        "data:text/html,x",
    ] {
        links.push(link(&app, &[("redirect_uri", near)]));
    }
    let (mut stranger, mut owner) = (browser(), owner());
    for link in links {
        is_page(&stranger.get(&link), 400);
        is_page(&owner.get(&link), 400);
    }
}

#[test]
fn n24_n27_what_may_be_registered_and_which_port_may_be_another() {
    for bad in [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "http://app.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.nip.io/cb",
        "http://127.1/cb",
        "http://2130706433/cb",
        "https://*.app.example/cb",
        "https://app.example/cb#f",
        "https://user@app.example/cb",
        "https://app.example/../cb",
        "https://app.example/cb?code=1",
        "app:/cb",
    ] {
        let body = json!({ "name": "X", "grant_types": ["authorization_code"], "redirect_uris": [bad], "scopes": ["files:read"] });
        let reply = world().owner().post("/v1/orgs/acme/clients", &body);
        reply.expect_field("redirect_uris[0]");
    }
    // The sentence says what may be.
    let body = json!({ "name": "X", "grant_types": ["authorization_code"], "redirect_uris": ["app:/cb"], "scopes": ["files:read"] });
    let reply = world().owner().post("/v1/orgs/acme/clients", &body);
    for kind in [
        "https://",
        "http://127.0.0.1",
        "http://[::1]",
        "http://localhost",
        "com.example.app:/",
    ] {
        assert!(reply.contains(kind), "{reply:?}");
    }
    let local = register(&json!({ "redirect_uris": ["http://127.0.0.1/cb", "http://[::1]/cb"] }));
    let mut owner = owner();
    for (uri, is_taken) in [
        ("http://127.0.0.1/cb", true),
        ("http://127.0.0.1:49152/cb", true),
        ("http://[::1]:49152/cb", true),
        ("http://127.0.0.1:49152/other", false),
        ("http://127.0.0.1:49152/cb/", false),
        ("http://127.0.0.1:99999/cb", false),
        ("http://127.0.0.1:/cb", false),
        ("http://127.0.0.1:80@evil.example/cb", false),
        ("http://127.0.0.1.nip.io/cb", false),
        ("http://localhost/cb", false),
        ("http://localhost.evil.example/cb", false),
        ("https://127.0.0.1/cb", false),
    ] {
        let reply = owner.get(&link(&local, &[("redirect_uri", uri)]));
        if is_taken {
            assert!(is_asked(&reply), "{uri}: {reply:?}");
        } else {
            is_page(&reply, 400);
        }
    }
}

#[test]
fn n26_an_app_with_one_address_need_not_name_it() {
    let app = register(&json!({}));
    let mut owner = owner();
    let page = owner.get(&link(&app, &[("redirect_uri", "")]));
    let back = press(&mut owner, &page, "allow").expect(303);
    let location = back.header("location").expect("a way back");
    assert!(location.starts_with(&format!("{CALLBACK}?")), "{back:?}");
    // What was not in the request need not be with the code either (RFC 6749 §4.1.3).
    let code = parameter(location, "code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    app.post("/oauth/token", &form).expect(200);
}

#[test]
fn n27_localhost_is_a_name_and_keeps_its_port() {
    let here = "http://localhost:3000/cb";
    let app = register(&json!({ "redirect_uris": [here] }));
    let mut owner = owner();
    for near in [
        "http://localhost/cb",
        "http://localhost:3001/cb",
        "http://localhost:3000/cb/",
        "http://127.0.0.1:3000/cb",
        "http://[::1]:3000/cb",
        "http://LOCALHOST:3000/cb",
        "http://localhost.:3000/cb",
        "http://localhost.evil.example:3000/cb",
        "https://localhost:3000/cb",
    ] {
        is_page(&owner.get(&link(&app, &[("redirect_uri", near)])), 400);
    }
    // Another program may listen there tomorrow: each time somebody is asked.
    for _ in 0..2 {
        let page = owner.get(&link(&app, &[("redirect_uri", here)]));
        assert!(is_asked(&page), "{page:?}");
        let back = press(&mut owner, &page, "allow").expect(303);
        let location = back.header("location").expect("a way back");
        assert!(location.starts_with(&format!("{here}?")), "{back:?}");
        let code = parameter(location, "code");
        let local = App {
            redirect_uri: here.to_owned(),
            ..app.clone()
        };
        app.redeem(&code, Some(VERIFIER)).expect(400);
        local.redeem(&code, Some(VERIFIER)).expect(200);
    }
}

#[test]
fn n24_n36_an_apps_own_scheme_is_called_back_and_never_without_asking() {
    let own = "com.example.app:/cb";
    let app = register(&json!({ "redirect_uris": [own] }));
    let mut owner = owner();
    for near in [
        "com.example.app://cb",
        "com.example.app:/cb/",
        "com.example.App:/cb",
        "com.example.app:cb",
        "com.example.app.evil.example:/cb",
    ] {
        is_page(&owner.get(&link(&app, &[("redirect_uri", near)])), 400);
    }
    let path = link(&app, &[("redirect_uri", own)]);
    let page = owner.get(&path);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("form-action 'self' com.example.app:"),
        "{policy}"
    );
    let back = press(&mut owner, &page, "allow").expect(303);
    let location = back.header("location").expect("a way back");
    assert!(location.starts_with(&format!("{own}?code=")), "{back:?}");
    // Any program on the machine may have claimed the scheme since.
    assert!(is_asked(&owner.get(&path)));
    let silent = owner.get(&link(&app, &[("redirect_uri", own), ("prompt", "none")]));
    let location = silent.header("location").expect("a way back");
    assert_eq!(parameter(location, "error"), "consent_required");
}

#[test]
fn n39_nothing_is_fetched_that_a_request_names() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("no waiting");
    let address = listener.local_addr().expect("an address");
    let trap = format!("http://{address}/x");
    let app = register(&json!({}));
    let (mut stranger, mut owner) = (browser(), owner());
    for browser in [&mut stranger, &mut owner] {
        let by_name = [("request_uri", &*trap)];
        is_told(
            &browser.get(&link(&app, &by_name)),
            "request_uri_not_supported",
        );
        is_page(&browser.get(&link(&app, &[("client_id", &trap)])), 400);
        is_page(&browser.get(&link(&app, &[("redirect_uri", &trap)])), 400);
        let resource = [("resource", &*trap)];
        is_told(&browser.get(&link(&app, &resource)), "invalid_target");
    }
    // The answers are there, and whatever was to be fetched for them would have been.
    let came = listener.accept().map(|(_, from)| from);
    assert_eq!(
        came.expect_err("the server called").kind(),
        ErrorKind::WouldBlock
    );
}
