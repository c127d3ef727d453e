//! What the rows are about: made when a request needs it, and used again until a request that was
//! to succeed has used it up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::callers::{Board, Caller};
use super::table::Row;
use crate::world::{make_key, unique};

/// A name that is of the form of all names and of none that was made.
pub(super) fn never_made() -> String {
    "0b6f0f0e-6a3c-4c1d-9d52-0c8a7f4f5a10".to_owned()
}

/// The things that there are now, by the person they belong to and what they are.
#[derive(Default)]
pub(super) struct Things {
    made: BTreeMap<(usize, String), String>,
    prepared: BTreeSet<String>,
}

/// An address with this organization, and with these names in place of its other parameters.
pub(super) fn with_names(template: &str, org: &str, names: &[String]) -> String {
    let mut names = names.iter();
    let parts = template.split('/').map(|part| match part {
        "{org}" => org,
        part if part.starts_with('{') => names.next().expect("a name for each parameter"),
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

impl Things {
    /// From here on everything is made anew.
    pub(super) fn forget(&mut self) {
        self.made.clear();
        self.prepared.clear();
    }

    /// The names for an address's parameters, apart from the organization's.
    pub(super) fn names_in(
        &mut self,
        board: &mut Board,
        caller: &Caller,
        row: &Row,
        template: &str,
    ) -> Vec<String> {
        let parts: Vec<&str> = template.split('/').collect();
        let mut names = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            if part.starts_with('{') && *part != "{org}" {
                let under_team = template.contains("{team}") && *part == "{user}";
                let kind = if under_team {
                    "people"
                } else {
                    parts[place - 1]
                };
                // Keys are named by their handles, but where the address says `id`.
                let kind = match (kind, *part) {
                    ("keys", "{id}") => "key ids",
                    ("{level}", _) => "tile indexes",
                    _ => kind,
                };
                names.push(self.thing(board, caller, kind));
            }
        }
        let path = with_names(template, "acme", &names);
        if let Some((method, body)) = &row.before
            && self.prepared.insert(path.clone())
        {
            let body: Value = serde_json::from_str(body).expect("JSON behind `after`");
            board.on_purpose(|board| {
                let maker = board.person(caller);
                maker
                    .any(method, &path, Some(&body))
                    .expect_one_of(&[200, 201, 204])
            });
        }
        names
    }

    /// The row's address for this caller.
    pub(super) fn fill_path(
        &mut self,
        board: &mut Board,
        caller: &Caller,
        row: &Row,
        template: &str,
    ) -> String {
        let names = self.names_in(board, caller, row, template);
        with_names(template, "acme", &names)
    }

    /// The names in the row's body that belong to an organization.
    pub(super) fn names_in_body(
        &mut self,
        board: &mut Board,
        caller: &Caller,
        row: &Row,
    ) -> Vec<String> {
        let body = row.body.as_deref().unwrap_or_default();
        let foreign = ["$team", "$service", "$member"];
        let named = foreign.iter().filter(|word| body.contains(**word));
        named
            .map(|word| self.thing(board, caller, &format!("{}s", &word[1..])))
            .collect()
    }

    /// The row's body for this caller.
    pub(super) fn fill_body(
        &mut self,
        board: &mut Board,
        caller: &Caller,
        row: &Row,
    ) -> Option<Value> {
        let mut text = row.body.clone()?;
        let person = &board.people[caller.behind];
        text = text.replace("$email", &person.email);
        text = text.replace("$password", &person.password);
        for (word, kind) in [
            ("$team", "teams"),
            ("$service", "services"),
            ("$member", "members"),
            ("$person", "users"),
            ("$key", "whole keys"),
            ("$invitation", "invitation tokens"),
        ] {
            if text.contains(word) {
                text = text.replace(word, &self.thing(board, caller, kind));
            }
        }
        text = text.replace("$new", &unique("new"));
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}")))
    }

    /// The name of a thing of this kind: the word in front of its place in an address.
    pub(super) fn thing(&mut self, board: &mut Board, caller: &Caller, kind: &str) -> String {
        let own = matches!(kind, "keys" | "tokens");
        let place = (if own { caller.behind } else { 0 }, kind.to_owned());
        if let Some(name) = self.made.get(&place) {
            return name.clone();
        }
        let name = board.on_purpose(|board| make(board, caller, kind));
        self.made.insert(place, name.clone());
        name
    }
}

fn make(board: &Board, caller: &Caller, kind: &str) -> String {
    let owner = board.owner().client;
    let name = unique("matrix");
    let invitation = || {
        let body = json!({ "email": format!("{name}@example.com"), "role": "member" });
        let reply = owner.post("/v1/orgs/acme/members", &body).expect(201);
        reply.member("invitation")
    };
    let text = |value: Value| value.as_str().expect("a text").to_owned();
    match kind {
        // A user's own.
        "keys" => {
            let body = json!({ "handle": name });
            board.person(caller).post("/user/keys", &body).expect(201);
            name
        }
        "key ids" | "credentials" => {
            // Of a service: the owner's own are in the other organization too.
            let body = json!({ "name": name });
            let reply = owner.post("/v1/orgs/acme/services", &body).expect(201);
            reply.string("id")
        }
        "tokens" => {
            let person = &board.people[caller.behind];
            let body = json!({ "email": person.email, "password": person.password });
            own_token(board, caller, &body)
        }
        // An organization's.
        "teams" => {
            let body = json!({ "name": name });
            let reply = owner.post("/v1/orgs/acme/teams", &body).expect(201);
            reply.string("slug")
        }
        "services" => {
            let body = json!({ "name": name });
            let reply = owner.post("/v1/orgs/acme/services", &body).expect(201);
            reply.string("slug")
        }
        "entitlements" => {
            let body = json!({ "name": name, "scopes": ["files:read"] });
            let reply = owner.post("/v1/orgs/acme/entitlements", &body).expect(201);
            reply.string("id")
        }
        "clients" => {
            let body = json!({ "name": name, "grant_types": ["client_credentials"], "scopes": ["files:read"] });
            let reply = owner.post("/v1/orgs/acme/clients", &body).expect(201);
            reply.string("client_id")
        }
        // Nobody has allowed anything: a yes takes a browser.
        "consents" => never_made(),
        "members" | "people" => {
            let body = json!({ "email": format!("{name}@example.com"),
                "password": format!("the long passphrase of {name}"), "role": "member" });
            let reply = owner.post("/v1/orgs/acme/members", &body).expect(201);
            reply.string("id")
        }
        // By a slug, which says at the same time that it is meant.
        "users" => {
            let body = json!({ "email": format!("{name}@example.com"),
                "password": format!("the long passphrase of {name}"), "role": "member" });
            let reply = owner.post("/v1/orgs/acme/members", &body).expect(201);
            reply.string("slug")
        }
        "revocations" => {
            let body = json!({ "name": name });
            let service = owner.post("/v1/orgs/acme/services", &body).expect(201);
            let of_service = format!("service:{}", service.string("slug"));
            let body = json!({ "filter": { "owner": of_service } });
            let reply = owner.post("/v1/orgs/acme/revocations", &body).expect(201);
            reply.string("id")
        }
        // The one before it goes at once: only so many are published.
        "signing-keys" => {
            let body = json!({ "algorithm": "ES256", "overlap_seconds": 0 });
            let reply = owner.post("/v1/signing-keys", &body).expect(201);
            reply.string("kid")
        }
        "invitations" => text(invitation()["id"].clone()),
        "invitation tokens" => text(invitation()["token"].clone()),
        "events" => "1".to_owned(),
        // Of the log, which has more than a hundred records by now.
        "tile" => "0".to_owned(),
        "tile indexes" | "entries" => "000.p/1".to_owned(),
        // Of a key that nobody else shows.
        "decisions" => {
            let body = json!({ "handle": name, "scopes": ["files:read"] });
            let key = make_key(&owner, &body).string("token");
            let narrow = board.with_key(&key);
            let refusal = narrow.get("/v1/orgs/acme/services").expect(403);
            refusal.string("decision")
        }
        // A key that nobody else shows.
        "whole keys" => {
            let body = json!({ "handle": name });
            board
                .person(caller)
                .post("/user/keys", &body)
                .expect(201)
                .string("token")
        }
        _ => panic!("nobody knows how to make one of the `{kind}`: add it to things.rs"),
    }
}

/// The permanent name of the key that a person has without naming it.
fn own_token(board: &Board, caller: &Caller, shown: &Value) -> String {
    let person = board.person(caller);
    let listed = || {
        let reply = person.get("/v1/user/tokens").expect(200).json();
        reply["results"][0]["slug_perm"].as_str().map(str::to_owned)
    };
    listed().unwrap_or_else(|| {
        let (_, nobody) = &board.callers[0];
        nobody.client.post("/v1/user/token", shown).expect(200);
        listed().expect("the token that was just made")
    })
}
