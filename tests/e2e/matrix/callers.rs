//! The columns: who there is, and what each of them shows.

use std::collections::BTreeMap;

use keyledger_tests::credential::forged;
use keyledger_tests::{Client, Launch, OWNER_EMAIL, OWNER_PASSWORD};
use serde_json::{Value, json};

use crate::world::{NearEnd, Person, World, make_key, unique};

/// The names of the columns, as the table heads them.
pub(super) const COLUMNS: [&str; 11] = [
    "nobody",
    "wrong",
    "password",
    "member",
    "manager",
    "owner",
    "stranger",
    "service",
    "entitlement",
    "narrow",
    "test",
];

/// Somebody who calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) name: &'static str,
    pub(super) client: Client,
    /// The person whose keys they use when a row is about one's own keys.
    pub(super) behind: usize,
}

/// A server with everybody on it, and nobody else: what moves its ledger is ours.
pub(super) struct Board {
    world: World,
    /// Each with its column.
    pub(super) callers: Vec<(usize, Caller)>,
    /// Member, manager, owner, stranger, and who calls by password.
    pub(super) people: Vec<Person>,
    rival: String,
    position: u64,
    /// What was found in the ledger before something was made on purpose.
    found: Vec<Value>,
}

/// Places in [`Board::people`].
const MEMBER: usize = 0;
const MANAGER: usize = 1;
const OWNER: usize = 2;
const STRANGER: usize = 3;
const BY_PASSWORD: usize = 4;

impl Board {
    /// Starts a server and makes everybody.
    pub(super) fn set_up() -> Self {
        let world = World::on(Launch::new().patient().start());
        let (rival, stranger) = world.other_org();
        let people = vec![
            world.person("member"),
            world.person("manager"),
            Person {
                email: OWNER_EMAIL.to_owned(),
                password: OWNER_PASSWORD.to_owned(),
                key: make_key(&world.owner(), &json!({ "handle": unique("matrix") }))
                    .string("token"),
            },
            stranger,
            world.person("member"),
        ];
        let mut board = Self {
            world,
            callers: Vec::new(),
            people,
            rival,
            position: 0,
            found: Vec::new(),
        };
        board.add_wrong();
        board.add_right();
        for (_, caller) in &board.callers {
            // The first use of a key is an event of its own; it is not to come later.
            caller.client.get("/v1/me").expect_one_of(&[200, 401]);
        }
        make_key(&board.owner().client, &json!({ "handle": "probe" }));
        board.settle();
        board
    }

    /// The owner's key that is no good any more, once this was sent to it.
    fn spoilt(&self, method: &str, body: &Value) -> Client {
        let handle = unique("spoilt");
        let owner = self.world.owner();
        let token = make_key(&owner, &json!({ "handle": handle })).string("token");
        owner
            .any(method, &format!("/user/keys/{handle}"), Some(body))
            .expect_one_of(&[200, 204]);
        self.world.with_key(&token)
    }

    fn add_wrong(&mut self) {
        let nobody = self.world.anonymous();
        let (_, expires_at) = NearEnd::begin();
        let body = json!({ "handle": unique("mortal"), "expires_at": expires_at });
        let expired = make_key(&self.world.owner(), &body).string("token");
        let never = forged("sk", "live", "000000000");
        // A Basic pair with a key is looked up like a key: a password would cost its hash each time.
        let service = forged("sv", "live", "000000000");
        let wrong = [
            ("nobody", nobody.clone()),
            ("wrong X-Api-Key", nobody.x_api_key(&never)),
            ("wrong token", nobody.token(&never)),
            ("wrong Bearer", nobody.bearer("foobar")),
            ("wrong Basic", nobody.basic("no-service", &service)),
            (
                "disabled",
                self.spoilt("PATCH", &json!({ "disabled": true })),
            ),
            ("revoked", self.spoilt("DELETE", &json!({}))),
            ("expired", self.world.with_key(&expired)),
        ];
        for (name, client) in wrong {
            self.add(usize::from(name != "nobody"), name, client, OWNER);
        }
        while self.world.with_key(&expired).get("/v1/me").status() == 200 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn add_right(&mut self) {
        let key = |person: usize| self.world.with_key(&self.people[person].key);
        let own = |body: Value| {
            self.world
                .with_key(&make_key(&self.world.owner(), &body).string("token"))
        };
        let narrow = own(json!({ "handle": unique("narrow"), "scopes": ["files:read"] }));
        let test = own(json!({ "handle": unique("test"), "environment": "test" }));
        let entitlement = json!({ "name": "Matrix", "scopes": ["files:read"] });
        let entitlement = self
            .world
            .owner()
            .post("/v1/orgs/acme/entitlements", &entitlement)
            .expect(201)
            .string("token");
        let person = &self.people[BY_PASSWORD];
        let password = self
            .world
            .anonymous()
            .basic(&person.email, &person.password);
        let right = [
            (2, password, BY_PASSWORD),
            (3, key(MEMBER), MEMBER),
            (4, key(MANAGER), MANAGER),
            (5, key(OWNER), OWNER),
            (6, key(STRANGER), STRANGER),
            (
                7,
                self.world.with_key(&self.world.service().string("key")),
                OWNER,
            ),
            (8, self.world.with_key(&entitlement), OWNER),
            (9, narrow, OWNER),
            (10, test, OWNER),
        ];
        for (column, client, behind) in right {
            self.add(column, COLUMNS[column], client, behind);
        }
    }

    fn add(&mut self, column: usize, name: &'static str, client: Client, behind: usize) {
        let caller = Caller {
            name,
            client,
            behind,
        };
        self.callers.push((column, caller));
    }

    /// The definition that the server serves.
    pub(super) fn definition(&self) -> Value {
        let anonymous = self.world.anonymous();
        anonymous.get("/openapi.json").expect(200).json()
    }

    /// The owner of acme.
    pub(super) fn owner(&self) -> Caller {
        Caller {
            name: "owner",
            client: self.world.with_key(&self.people[OWNER].key),
            behind: OWNER,
        }
    }

    /// The owner with a key that has every scope which only reads.
    pub(super) fn reader(&mut self) -> Caller {
        let catalogue = self
            .owner()
            .client
            .get("/v1/scopes?limit=1000")
            .expect(200)
            .json();
        let scopes = catalogue["items"].as_array().expect("a list");
        let reading = scopes.iter().filter(|scope| scope["access"] == "read");
        let reading: Vec<&Value> = reading.map(|scope| &scope["name"]).collect();
        assert!(reading.len() >= 8, "only {} scopes read", reading.len());
        let body = json!({ "handle": unique("reader"), "scopes": reading });
        let token = make_key(&self.owner().client, &body).string("token");
        let client = self.world.with_key(&token);
        client.get("/v1/me").expect(200);
        self.settle();
        Caller {
            name: "reader",
            client,
            behind: OWNER,
        }
    }

    /// The person behind a caller, with a key that may do all that they may.
    pub(super) fn person(&self, caller: &Caller) -> Client {
        self.world.with_key(&self.people[caller.behind].key)
    }

    /// Whoever has this key.
    pub(super) fn with_key(&self, key: &str) -> Client {
        self.world.with_key(key)
    }

    /// The slug of the other organization.
    pub(super) fn rival(&self) -> &str {
        &self.rival
    }

    /// A member, a manager and the owner of the other organization.
    pub(super) fn strangers(&mut self) -> Vec<Caller> {
        let owner = self.world.with_key(&self.people[STRANGER].key);
        let mut strangers = vec![("its owner", owner.clone())];
        for (name, role) in [("its manager", "manager"), ("its member", "member")] {
            let person = self.world.person_in(&self.rival, &owner, role);
            strangers.push((name, self.world.with_key(&person.key)));
        }
        let callers = strangers.into_iter().map(|(name, client)| Caller {
            name,
            client,
            behind: STRANGER,
        });
        let callers: Vec<Caller> = callers.collect();
        for caller in &callers {
            caller.client.get("/v1/me").expect(200);
        }
        self.settle();
        callers
    }

    /// Takes the ledger's position as it is now.
    pub(super) fn settle(&mut self) {
        self.position = self.probe();
    }

    /// The position that a change reaches, which is one more than the last.
    fn probe(&self) -> u64 {
        let body = json!({ "alias": unique("probe") });
        let reply = self
            .owner()
            .client
            .patch("/user/keys/probe", &body)
            .expect(200);
        let position = reply.header("Keyledger-Position");
        position
            .and_then(|position| position.parse().ok())
            .expect("a change tells its position")
    }

    /// What came into the ledger since it was last looked at, though nothing was to.
    pub(super) fn left_behind(&mut self) -> Vec<Value> {
        self.look();
        std::mem::take(&mut self.found)
    }

    /// Does something that changes the ledger on purpose.
    pub(super) fn on_purpose<T>(&mut self, change: impl FnOnce(&Self) -> T) -> T {
        self.look();
        let changed = change(self);
        self.settle();
        changed
    }

    fn look(&mut self) {
        let (before, now) = (self.position, self.probe());
        self.position = now;
        if now == before + 1 {
            return;
        }
        let page = format!("/v1/events?after={before}&limit=1000");
        let stranger = self.world.with_key(&self.people[STRANGER].key);
        let mut events = BTreeMap::new();
        for client in [self.owner().client, stranger] {
            let page = client.get(&page).expect(200).json();
            for event in page["items"].as_array().cloned().unwrap_or_default() {
                let position = event["position"].as_u64().expect("a position");
                if position < now {
                    events.insert(position, event);
                }
            }
        }
        if u64::try_from(events.len()).expect("few") + before + 1 < now {
            // Not for these owners' eyes, and there all the same.
            self.found.push(json!({ "between": [before, now] }));
        }
        // The server notes by itself that a key was used, a moment after, and who reads the audit log.
        events.retain(|_, event| {
            let kind = event["type"].as_str();
            let own = ["ApiKeyFirstUsed", "ApiKeyNetworkFirstSeen", "AuditLogRead"];
            !kind.is_some_and(|kind| own.contains(&kind))
        });
        self.found.extend(events.into_values());
    }
}
