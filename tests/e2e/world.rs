//! The server that the tests share, and the people and keys that they make on it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keyledger_tests::{Client, Launch, OWNER_EMAIL, OWNER_ORG, OWNER_PASSWORD, Reply, Server};
use serde_json::{Value, json};

/// A running server and a key of its owner. Password checks cost tens of milliseconds each by
/// design, so whatever is not about passwords uses the key.
pub(crate) struct World {
    server: Server,
    owner_key: String,
}

/// Somebody with an account, a password and a key that may do all that they may.
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) key: String,
}

impl Person {
    /// Their name in paths.
    pub(crate) fn slug(&self) -> &str {
        self.email.split('@').next().unwrap_or_default()
    }
}

/// The shared world.
pub(crate) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::on(Launch::new().patient().start()))
}

/// A name that no other test uses: `prefix-10007`.
pub(crate) fn unique(prefix: &str) -> String {
    // All of one length, so that none is the beginning of another.
    static NEXT: AtomicU32 = AtomicU32::new(10_001);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The instant that lies this many seconds ahead (or, negative, behind), as RFC 3339.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests live in real time, beside the server"
)]
pub(crate) fn seconds_from_now(seconds: i64) -> String {
    let instant = chrono::Utc::now() + chrono::Duration::seconds(seconds);
    instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// An end that lies behind the next few requests, also where the disk is slow and the machine busy.
pub(crate) struct NearEnd(Instant);

impl NearEnd {
    const SECONDS: u8 = 4;

    /// Begins to wait for it: the end, and its text as RFC 3339.
    pub(crate) fn begin() -> (Self, String) {
        let text = seconds_from_now(Self::SECONDS.into());
        let wait = Duration::from_secs(Self::SECONDS.into()) + Duration::from_millis(50);
        (Self(Instant::now() + wait), text)
    }

    /// Waits until it is over.
    pub(crate) fn wait(&self) {
        std::thread::sleep(self.0.saturating_duration_since(Instant::now()));
    }
}

impl World {
    pub(crate) fn on(server: Server) -> Self {
        let owner = server.client().basic(OWNER_EMAIL, OWNER_PASSWORD);
        let owner_key = make_key(&owner, &json!({ "handle": "world" })).string("token");
        Self { server, owner_key }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Nobody.
    pub(crate) fn anonymous(&self) -> Client {
        self.server.client()
    }

    /// The owner of `acme`, by key.
    pub(crate) fn owner(&self) -> Client {
        self.with_key(&self.owner_key)
    }

    /// The owner of `acme`, by password.
    pub(crate) fn owner_by_password(&self) -> Client {
        self.anonymous().basic(OWNER_EMAIL, OWNER_PASSWORD)
    }

    /// Whoever has this key.
    pub(crate) fn with_key(&self, key: &str) -> Client {
        self.anonymous().x_api_key(key)
    }

    /// A new person in `acme`.
    pub(crate) fn person(&self, role: &str) -> Person {
        self.person_in(OWNER_ORG, &self.owner(), role)
    }

    /// A new person in an organization, let in by `inviter`.
    pub(crate) fn person_in(&self, org: &str, inviter: &Client, role: &str) -> Person {
        let email = format!("{}@example.com", unique(role));
        let password = format!("the long passphrase of {email}");
        let body = json!({ "email": email, "password": password, "role": role });
        inviter
            .post(&format!("/v1/orgs/{org}/members"), &body)
            .expect(201);
        let themselves = self.anonymous().basic(&email, &password);
        let key = make_key(&themselves, &json!({ "handle": "own" })).string("token");
        Person {
            email,
            password,
            key,
        }
    }

    /// A key of the owner that may do no more than these scopes say; its token.
    pub(crate) fn key_with_scopes(&self, scopes: &[&str]) -> String {
        make_key(
            &self.owner(),
            &json!({ "handle": unique("scoped"), "scopes": scopes }),
        )
        .string("token")
    }

    /// A new service of `acme`: the answer with its `slug` and `key`.
    pub(crate) fn service(&self) -> Reply {
        let body = json!({ "name": unique("Service") });
        self.owner()
            .post(&format!("/v1/orgs/{OWNER_ORG}/services"), &body)
            .expect(201)
    }

    /// An organization that shares nobody with any other, and its owner.
    ///
    /// What holds in an organization holds for the keys of everybody who is in it, and is told of them
    /// there: its default limit and its policy would meet tests that use the owner of `acme` meanwhile,
    /// and what those do would be told in it.
    pub(crate) fn other_org(&self) -> (String, Person) {
        let person = self.person("manager");
        let slug = make_workspace(&self.with_key(&person.key));
        let membership = format!("/v1/orgs/{OWNER_ORG}/members/{}", person.slug());
        self.owner().delete(&membership).expect(204);
        (slug, person)
    }

    /// Another organization of the owner of `acme`, and a second owner of it, who is not in `acme`; for
    /// tests of just that, which set nothing in it that binds its members.
    pub(crate) fn owners_other_org(&self) -> (String, Person) {
        let slug = make_workspace(&self.owner());
        let person = self.person_in(&slug, &self.owner(), "owner");
        (slug, person)
    }
}

/// A new organization of whoever asks; its slug.
#[track_caller]
fn make_workspace(client: &Client) -> String {
    let body = json!({ "name": unique("Other Org") });
    client
        .post("/v1/workspaces", &body)
        .expect(201)
        .string("slug")
}

/// Makes a user key; the 201.
#[track_caller]
pub(crate) fn make_key(client: &Client, body: &Value) -> Reply {
    client.post("/user/keys", body).expect(201)
}

/// The status of `GET /v1/me` with this key.
pub(crate) fn status_as(key: &str) -> u16 {
    world().with_key(key).get("/v1/me").status()
}
