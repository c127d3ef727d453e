//! A secret of every kind, driven through every operation of the definition in every place that a
//! request has; then looked for wherever it must not be.
//!
//! People paste keys into the wrong field, and proxies move headers about. So a key that stands
//! where none belongs is neither kept nor said again: not in a log line, an error, an event, a page,
//! or a file.

use keyledger_tests::{Client, Launch, Reply, Server};
use serde_json::{Map, Value, json};

use super::files_under;
use crate::pages::login::{at_the_form_of, signed_in_at};
use crate::world::{Person, make_key};

const EMAIL: &str = "canary@example.com";
const PASSWORD: &str = "canary passphrase 7f3Qx";

/// A secret, and the part of it that would do for an attacker.
struct Secret {
    what: &'static str,
    whole: String,
}

impl Secret {
    /// A credential's secret part alone would do: the checksum can be computed.
    fn needle(&self) -> &str {
        if self.is_key() {
            &self.whole[18..61]
        } else {
            &self.whole
        }
    }

    fn is_key(&self) -> bool {
        self.whole.len() == 67
    }
}

/// The places in a request that a secret is put in.
const HEADERS: &[&str] = &[
    "User-Agent",
    "Referer",
    "Origin",
    "X-Request-Id",
    "X-Forwarded-For",
    "Forwarded",
    "Idempotency-Key",
    "Accept-Language",
    "X-Canary",
];

/// The members that take a name somebody chose: it is kept and said again.
const NAMES: &[&str] = &[
    "name",
    "description",
    "alias",
    "handle",
    "slug",
    "organization",
    "scopes",
];

/// One answer that must not repeat what it was asked with.
fn check(secret: &Secret, place: &str, reply: &Reply, wrong: &mut Vec<String>) {
    let headers = reply.header_names();
    let in_header = headers.iter().any(|name| {
        reply
            .header(name)
            .is_some_and(|value| value.contains(secret.needle()))
    });
    if in_header || reply.contains(secret.needle()) {
        wrong.push(format!("{} in {place} came back: {reply:?}", secret.what));
    }
    if reply.status() >= 500 {
        wrong.push(format!("{} in {place}: {reply:?}", secret.what));
    }
}

/// The members of an operation's JSON body.
fn members(definition: &Value, operation: &Value) -> Vec<String> {
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let name = schema["$ref"]
        .as_str()
        .and_then(|name| name.rsplit('/').next());
    let Some(name) = name else { return Vec::new() };
    let members = definition["components"]["schemas"][name]["properties"].as_object();
    members
        .map(|members| members.keys().cloned().collect())
        .unwrap_or_default()
}

/// Sends one secret through one operation, in every place that it has.
fn drive(
    client: &Client,
    secret: &Secret,
    method: &str,
    path: &str,
    body: &[String],
    wrong: &mut Vec<String>,
) {
    let plain = with_parameters(path, "canary");
    let bytes = secret.whole.bytes();
    let encoded = bytes.fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
    let empty = json!({});
    let no_body = (method != "GET").then_some(&empty);
    let place = |what: &str| format!("{what} of {method} {path}");
    if plain != path {
        let within = with_parameters(path, &encoded);
        check(
            secret,
            &place("a path"),
            &client.any(method, &within, no_body),
            wrong,
        );
    }
    for query in ["limit", "after", "api_key", "access_token"] {
        let asked = format!("{plain}?{query}={encoded}");
        check(
            secret,
            &place(query),
            &client.any(method, &asked, no_body),
            wrong,
        );
    }
    let asked = format!("{plain}?{encoded}=1");
    check(
        secret,
        &place("a query name"),
        &client.any(method, &asked, no_body),
        wrong,
    );
    for header in HEADERS {
        // What is not of the form of a key cannot be told from what a client calls itself, and that is
        // shown to those who own the key as its last use.
        if !secret.is_key() && *header == "User-Agent" {
            continue;
        }
        let sent = client.header(header, &secret.whole);
        check(
            secret,
            &place(header),
            &sent.any(method, &plain, no_body),
            wrong,
        );
    }
    if method == "GET" || method == "DELETE" {
        return;
    }
    for member in body {
        // What is not of the form of a key cannot be told from a name.
        if !secret.is_key() && NAMES.contains(&member.as_str()) {
            continue;
        }
        for value in [
            json!(secret.whole),
            json!([secret.whole]),
            json!({ &secret.whole: 1 }),
        ] {
            let mut object: Map<String, Value> = Map::new();
            for other in body {
                object.insert(other.clone(), json!("canary"));
            }
            object.insert(member.clone(), value.clone());
            let whole = Value::Object(object);
            check(
                secret,
                &place(member),
                &client.any(method, &plain, Some(&whole)),
                wrong,
            );
            let alone = json!({ member.as_str(): value });
            check(
                secret,
                &place(member),
                &client.any(method, &plain, Some(&alone)),
                wrong,
            );
        }
    }
    let unknown = json!({ &secret.whole: secret.whole });
    check(
        secret,
        &place("a member's name"),
        &client.any(method, &plain, Some(&unknown)),
        wrong,
    );
    for (media_type, text) in [
        ("application/json", format!("\"{}\"", secret.whole)),
        ("application/json", secret.whole.clone()),
        ("text/plain", secret.whole.clone()),
        (secret.whole.as_str(), "{}".to_owned()),
    ] {
        let reply = client.send_bytes(method, &plain, media_type, text.as_bytes());
        check(
            secret,
            &place("a raw body"),
            &reply.expect("an answer"),
            wrong,
        );
    }
}

fn with_parameters(path: &str, value: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{org}" => "acme",
        part if part.starts_with('{') => value,
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A server that says all it can say, and who was made on it.
struct Stage {
    server: Server,
    nobody: Client,
    owner: Client,
    /// Somebody who is signed in.
    browser: Client,
    /// Somebody who was shown the form.
    form: Client,
    secrets: Vec<Secret>,
}

fn stage() -> Stage {
    let launch = Launch::new().patient().without_bootstrap();
    let launch = launch
        .env("KEYLEDGER_LOG", "trace")
        .env("RUST_LOG", "trace");
    let server = launch.start();
    let nobody = server.client();
    let log = server.log();
    let code = log.split("/setup?code=").nth(1).expect("a set-up link");
    let code: String = code
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
        .collect();
    assert!(
        code.len() >= 22,
        "the set-up code has {} characters",
        code.len()
    );
    let owner =
        json!({ "code": code, "email": EMAIL, "password": PASSWORD, "organization": "acme" });
    nobody.post("/v1/setup", &owner).expect(201);

    let key = make_key(&nobody.basic(EMAIL, PASSWORD), &json!({ "handle": "own" })).string("token");
    let owner = nobody.x_api_key(&key);
    let service = owner.post("/v1/orgs/acme/services", &json!({ "name": "Canary" }));
    let entitlement = json!({ "name": "Canary", "scopes": ["files:read"] });
    let entitlement = owner.post("/v1/orgs/acme/entitlements", &entitlement);
    let invited = json!({ "email": "new@example.com", "role": "member" });
    let invited = owner.post("/v1/orgs/acme/members", &invited).expect(201);
    let own = json!({ "email": EMAIL, "password": PASSWORD });
    let own = nobody.post("/user/token", &own).expect(200);
    let (form, fields) = at_the_form_of(&nobody);
    let csrf = fields
        .iter()
        .map(|(_, value)| value.clone())
        .find(|value| value.len() >= 16);
    let person = Person {
        email: EMAIL.to_owned(),
        password: PASSWORD.to_owned(),
        key: key.clone(),
    };
    let origin = format!("http://127.0.0.1:{}", server.port());
    let (browser, signed) = signed_in_at(&nobody, &origin, &person);
    let session = signed.headers("Set-Cookie").into_iter().find_map(|cookie| {
        let (name, rest) = cookie.split_once('=')?;
        let value = rest.split(';').next()?;
        (name.starts_with("__Host-") && value.len() >= 16).then(|| value.to_owned())
    });
    let secret = |what, whole: String| Secret { what, whole };
    let secrets = vec![
        secret("the password", PASSWORD.to_owned()),
        secret("the set-up code", code),
        secret(
            "a user key",
            make_key(&owner, &json!({ "handle": "victim" })).string("token"),
        ),
        secret("the user's own key", own.string("token")),
        secret("a service key", service.expect(201).string("key")),
        secret(
            "an entitlement token",
            entitlement.expect(201).string("token"),
        ),
        secret(
            "an invitation's token",
            invited.member("invitation")["token"]
                .as_str()
                .expect("a token")
                .to_owned(),
        ),
        secret("a session", session.expect("a session's cookie")),
        secret("a form's hidden field", csrf.expect("a hidden field")),
    ];
    Stage {
        server,
        nobody,
        owner,
        browser,
        form,
        secrets,
    }
}

/// Every secret through every operation, by somebody who may do nearly all of it.
fn drive_through_operations(stage: &Stage, wrong: &mut Vec<String>) {
    let Stage {
        nobody,
        owner,
        secrets,
        ..
    } = stage;
    let definition = nobody.get("/openapi.json").expect(200).json();
    let mut count = 0;
    for (path, item) in definition["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let alias = operation["summary"]
                .as_str()
                .is_some_and(|text| text.contains("(alias of "));
            if alias {
                continue;
            }
            let body = members(&definition, operation);
            for secret in secrets {
                drive(owner, secret, &method.to_uppercase(), path, &body, wrong);
                count += 1;
            }
        }
    }
    assert!(count >= 400, "only {count} secrets were driven");
}

/// Every secret as a credential that it is not, in the pages, and where nothing is.
fn drive_elsewhere(stage: &Stage, wrong: &mut Vec<String>) {
    let Stage {
        nobody,
        form,
        secrets,
        ..
    } = stage;
    for secret in secrets {
        // As what it is not.
        for client in [
            nobody.basic(&secret.whole, "x"),
            nobody.basic("x", &secret.whole),
            nobody.header("Authorization", &format!("Digest {}", secret.whole)),
            nobody.header("Authorization", &secret.whole),
            nobody.header("Cookie", &format!("a={}", secret.whole)),
            form.header(
                "Cookie",
                &format!("__Host-keyledger-session={}x", secret.whole),
            ),
        ] {
            for path in ["/v1/me", "/v1/events", "/dashboard", "/nothing/here"] {
                check(secret, path, &client.get(path), wrong);
            }
        }
        for (page, field) in [
            ("/login", "email"),
            ("/login", "password"),
            ("/setup", "code"),
            ("/setup", "email"),
        ] {
            let fields = [(field.to_owned(), secret.whole.clone())];
            check(secret, page, &form.post_form(page, &fields), wrong);
        }
        let asked = format!("/nothing/{0}?{0}={0}", secret.whole.replace(' ', "%20"));
        check(
            secret,
            "an address without anything",
            &nobody.get(&asked),
            wrong,
        );
    }
}

/// Where it must not have been kept: events and pages.
fn look_in_answers(stage: &Stage) {
    let Stage {
        owner,
        browser,
        secrets,
        ..
    } = stage;
    let mut after = 0;
    loop {
        let page = owner
            .get(&format!("/v1/events?limit=1000&after={after}"))
            .expect(200);
        for secret in secrets {
            assert!(
                !page.contains(secret.needle()),
                "{} is in the events",
                secret.what
            );
        }
        match page.json()["next"].as_str().map(str::to_owned) {
            Some(next) => after = next.parse().expect("a position"),
            None => break,
        }
    }
    for path in [
        "/",
        "/dashboard",
        "/login",
        "/setup",
        "/openapi.json",
        "/playground/",
    ] {
        let page = browser.get(path);
        for secret in secrets
            .iter()
            .filter(|secret| secret.what != "a form's hidden field")
        {
            assert!(
                !page.contains(secret.needle()),
                "{} is in {path}",
                secret.what
            );
        }
    }
}

/// And what the process was called with, said, and wrote.
fn look_at_the_process(stage: &mut Stage) {
    let Stage {
        server, secrets, ..
    } = stage;
    let command = std::fs::read(format!("/proc/{}/cmdline", server.pid())).expect("a command line");
    server.stop();
    let log = server.log();
    for secret in secrets.iter() {
        let needle = secret.needle();
        assert!(
            !String::from_utf8_lossy(&command).contains(needle),
            "{} is in the command line",
            secret.what
        );
        // The set-up link is printed, once, for whoever starts the server.
        let printed = usize::from(secret.what == "the set-up code");
        assert_eq!(
            log.matches(needle).count(),
            printed,
            "{} is in the log",
            secret.what
        );
        for file in files_under(server.data_dir()) {
            let bytes = std::fs::read(&file).expect("a file that can be read");
            let found = bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes());
            assert!(
                !found,
                "{} lies in clear in {}",
                secret.what,
                file.display()
            );
        }
    }
}

#[test]
fn n131_a_secret_of_every_kind_in_every_place_comes_out_nowhere() {
    let mut stage = stage();
    let mut wrong = Vec::new();
    drive_through_operations(&stage, &mut wrong);
    drive_elsewhere(&stage, &mut wrong);
    let first = wrong[..wrong.len().min(40)].join("\n");
    assert!(wrong.is_empty(), "{} leaks:\n{first}", wrong.len());
    look_in_answers(&stage);
    look_at_the_process(&mut stage);
}
