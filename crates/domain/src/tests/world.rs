//! The world that the tables are about, and the words they are written in.
//!
//! Everybody is found by a name: `user("ada")`, `team("auditors")`, `password("ada")`. A key of a
//! person is named `person/key`, so `key("ada/full")` says whose it is.

use std::sync::Arc;

use crate::actor::{Actor, Authority, Origin, Proof};
use crate::api_key::{
    Activation, ApiKey, ApiKeyDisabled, ApiKeyRotated, NewApiKey, RestrictApiKey, RotateApiKey,
    SwitchApiKey,
};
use crate::command::{Command, decide};
use crate::credential::{CredentialId, Environment};
use crate::digest::{Digest, PasswordHash, SealedSecret};
use crate::directory::Directory;
use crate::entitlement::EntitlementCreated;
use crate::event::{Event, Record};
use crate::id::{
    EntitlementId, InvitationId, KeyId, OrgId, RequestId, RevocationId, ServiceId, SessionId,
    TeamId, UserId,
};
use crate::member::{MemberAdded, MemberInvited};
use crate::org::{OrgCreated, ScopeAdded};
use crate::personal::Personal;
use crate::rate_limit::RateLimit;
use crate::refusal::{Field, Reason, Refusal};
use crate::role::Role;
use crate::scope::{Access, ScopeEntry, Scopes};
use crate::service::{CreateService, ServiceCreated};
use crate::session::SessionStarted;
use crate::team::{TeamCreated, TeamMemberAdded};
use crate::text::Email;
use crate::time::Timestamp;
use crate::user::{NewUser, Registration};
use crate::user_key::{CreateUserKey, KeyLabel, UserKeyCreated};

/// When the tables begin, unless they say otherwise: all that is given has happened by then.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
pub(super) const HOUR: u64 = 3_600;

/// The instant so many seconds after [`NOW`].
pub(super) const fn after(seconds: u64) -> Timestamp {
    NOW.plus_seconds(seconds)
}

/// The instant so many microseconds after (or before) another.
pub(super) const fn micros_off(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.micros() + micros)
}

fn bytes<const N: usize>(name: &str, fill: u8) -> [u8; N] {
    let mut bytes = [fill; N];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

macro_rules! named {
    ($($word:ident -> $id:ident),+ $(,)?) => {
        $(pub(super) fn $word(name: &str) -> $id {
            $id::from_bytes(bytes(name, 0))
        })+
    };
}

named! {
    org -> OrgId,
    user -> UserId,
    team -> TeamId,
    service -> ServiceId,
    key_id -> KeyId,
    entitlement -> EntitlementId,
    invitation -> InvitationId,
    revocation -> RevocationId,
    session_id -> SessionId,
}

/// The public id of a key, token or invitation by its name.
pub(super) fn credential(name: &str) -> CredentialId {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    CredentialId::from_bytes(bytes(&letters, b'0')).expect("letters, digits and zeros")
}

/// What is kept of a secret; the same word, the same secret.
pub(super) fn digest(secret: &str) -> Digest {
    Digest {
        pepper_version: 1,
        tag: bytes(secret, 0),
    }
}

pub(super) fn sealed(secret: &str) -> SealedSecret {
    SealedSecret::from_bytes(secret.as_bytes().to_vec())
}

/// Reads any checked word: a slug, a handle, an email address, a name.
pub(super) fn word<T: core::str::FromStr>(text: &str) -> T
where
    T::Err: core::fmt::Debug,
{
    text.parse().expect("a well-formed word")
}

pub(super) fn email(name: &str) -> Email {
    word(&format!("{name}@example.com"))
}

pub(super) fn scopes(names: &[&str]) -> Scopes {
    names.iter().map(|name| word(name)).collect()
}

pub(super) fn new_user(name: &str) -> NewUser {
    NewUser {
        user: user(name),
        email: email(name),
        name: word(name),
        password: PasswordHash::from_phc(format!("hash of {name}'s password")),
    }
}

fn registration(name: &str) -> Registration {
    let new = new_user(name);
    Registration {
        email: new.email.into(),
        name: new.name.into(),
        slug: Personal::Known(word(name)),
        password: new.password.into(),
    }
}

// Who asks.

/// Somebody with their password in this very request.
pub(super) fn password(name: &str) -> Authority {
    by(Actor::User(user(name)), Proof::Password)
}

/// Somebody in the session that has their name.
pub(super) fn session(name: &str) -> Authority {
    by(Actor::User(user(name)), Proof::Session(session_id(name)))
}

/// The secret of this version of a key.
pub(super) fn secret(name: &str, version: u32) -> Proof {
    Proof::Credential {
        id: credential(name),
        version,
    }
}

/// A person with one of their keys, `person/key`, and its first secret.
pub(super) fn key(name: &str) -> Authority {
    let (owner, _) = name.split_once('/').expect("person/key");
    let proof = secret(name, 1);
    by(Actor::User(user(owner)), proof)
}

/// As [`key`], with a later secret.
pub(super) fn later_key(name: &str, version: u32) -> Authority {
    Authority {
        proof: secret(name, version),
        ..key(name)
    }
}

/// A service with its key.
pub(super) fn service_key(name: &str) -> Authority {
    let proof = secret(name, 1);
    by(Actor::Service(service(name)), proof)
}

/// An entitlement token.
pub(super) fn token(name: &str) -> Authority {
    let proof = secret(name, 1);
    by(Actor::Entitlement(entitlement(name)), proof)
}

pub(super) const fn by(actor: Actor, proof: Proof) -> Authority {
    Authority { actor, proof }
}

// What a new key is.

pub(super) fn unlimited(name: &str) -> NewApiKey {
    NewApiKey {
        id: credential(name),
        environment: Environment::Live,
        digest: digest(name),
        scopes: None,
        expires_at: None,
        allowed_cidrs: Arc::new([]),
        rate_limit: None,
    }
}

pub(super) fn limited(name: &str, names: &[&str]) -> NewApiKey {
    NewApiKey {
        scopes: Some(scopes(names)),
        ..unlimited(name)
    }
}

pub(super) fn test(new: NewApiKey) -> NewApiKey {
    NewApiKey {
        environment: Environment::Test,
        ..new
    }
}

pub(super) fn until(new: NewApiKey, end: Timestamp) -> NewApiKey {
    NewApiKey {
        expires_at: Some(end),
        ..new
    }
}

pub(super) fn from_net(new: NewApiKey, net: &str) -> NewApiKey {
    NewApiKey {
        allowed_cidrs: Arc::new([word(net)]),
        ..new
    }
}

pub(super) fn rate(requests: u32, per_seconds: u32) -> RateLimit {
    RateLimit::new(requests, per_seconds).expect("a limit")
}

pub(super) fn at_rate(new: NewApiKey, rate_limit: RateLimit) -> NewApiKey {
    NewApiKey {
        rate_limit: Some(rate_limit),
        ..new
    }
}

// What is asked for in more than one file.

/// Make the key `person/key` with the handle `key`.
pub(super) fn create_key(new: NewApiKey, handle: &str) -> CreateUserKey {
    CreateUserKey {
        key: key_id(handle),
        label: KeyLabel::Handle(word(handle)),
        alias: None,
        sealed: None,
        api_key: new,
    }
}

pub(super) fn create_service(name: &str, role: Role, teams: &[&str]) -> CreateService {
    CreateService {
        org: org("acme"),
        service: service(name),
        slug: word(name),
        name: word(name),
        description: word(""),
        role,
        teams: teams.iter().map(|name| word(name)).collect(),
        api_key: unlimited(name),
    }
}

/// Rotate to version 2 with the secret `second`, at once.
pub(super) fn rotate(name: &str) -> RotateApiKey {
    RotateApiKey {
        id: credential(name),
        version: 2,
        digest: digest("second"),
        sealed: None,
        activation: Activation::Now { grace_seconds: 0 },
    }
}

pub(super) fn switch(name: &str, disabled: bool) -> SwitchApiKey {
    SwitchApiKey {
        id: credential(name),
        disabled,
    }
}

/// Change nothing yet of a key.
pub(super) fn restrict(name: &str) -> RestrictApiKey {
    RestrictApiKey {
        id: credential(name),
        scopes: None,
        expires_at: None,
        allowed_cidrs: None,
        rate_limit: None,
    }
}

// What comes of it.

/// What a case expects: the name of the event, nothing, or why not.
pub(super) type Then = Result<Option<&'static str>, Refusal>;

/// It is so already.
pub(super) const NOTHING: Then = Ok(None);

pub(super) const fn happens(event: &'static str) -> Then {
    Ok(Some(event))
}

pub(super) const fn refused(refusal: Refusal) -> Then {
    Err(refusal)
}

pub(super) fn invalid(field: Field, reason: Reason) -> Then {
    Err(Refusal::Invalid { field, reason })
}

pub(super) fn role_too_low(right: &'static str, minimum_role: Role) -> Then {
    Err(Refusal::RoleTooLow {
        right,
        minimum_role,
    })
}

pub(super) fn beyond(scope: &str) -> Then {
    Err(Refusal::BeyondOwnRights(word(scope)))
}

/// A state, the records that made it, and the time.
#[derive(Clone)]
pub(super) struct World {
    pub(super) directory: Directory,
    pub(super) records: Vec<Record>,
    pub(super) now: Timestamp,
}

impl World {
    /// Nobody yet.
    pub(super) fn empty() -> Self {
        Self {
            directory: Directory::default(),
            records: Vec::new(),
            now: NOW,
        }
    }

    /// The same at another time.
    pub(super) fn at(&self, now: Timestamp) -> Self {
        Self {
            now,
            ..self.clone()
        }
    }

    /// Records an event as the committer does, and applies it.
    pub(super) fn record(&mut self, actor: Actor, credential: Option<CredentialId>, event: Event) {
        let at = self.now.max(self.directory.at());
        let behind = at.micros().saturating_sub(self.now.micros());
        let record = Record {
            position: self.directory.position().next(),
            at,
            clock_behind_micros: behind.unsigned_abs(),
            origin: Origin {
                person: actor.person(),
                actor,
                credential,
                ..Origin::system(RequestId::from_bytes([0; 16]))
            },
            organizations: self.directory.organizations_of(&event),
            event,
        };
        self.directory.apply(&record);
        self.records.push(record);
    }

    /// The world after one more event.
    #[must_use]
    pub(super) fn given(mut self, event: Event) -> Self {
        self.record(Actor::System, None, event);
        self
    }

    /// The world after somebody did something that they may do.
    #[must_use]
    pub(super) fn after(mut self, who: Authority, command: impl Into<Command>) -> Self {
        let event = self.decide(who, command).expect("they may");
        let event = event.expect("it is not so already");
        self.record(who.actor, who.credential(), event);
        self
    }

    pub(super) fn decide(
        &self,
        who: Authority,
        command: impl Into<Command>,
    ) -> Result<Option<Event>, Refusal> {
        decide(&self.directory, &who, command.into(), self.now)
    }

    /// One line of a table.
    pub(super) fn check(&self, line: u32, who: Authority, command: Command, then: &Then) {
        let asked = format!("{command:?}");
        let decided = self.decide(who, command);
        let got = decided
            .as_ref()
            .map(|event| event.as_ref().map(Event::name));
        let then = then.as_ref().map(|name| *name);
        assert_eq!(got, then, "line {line}: {who:?} asks for {asked}");
        // What was decided can always be applied.
        if let Ok(Some(event)) = decided {
            let mut next = self.clone();
            next.record(who.actor, who.credential(), event);
        }
    }

    /// The secret that `shown` matches, by its word, at the world's time.
    pub(super) fn shown(&self, name: &str, secret: &str) -> Option<crate::api_key::Shown> {
        let digest_with = |_| Some(digest(secret));
        self.api_key(name).shown(self.now, digest_with)
    }

    /// A key by its name.
    pub(super) fn api_key(&self, name: &str) -> &ApiKey {
        let key = self.directory.api_key(credential(name));
        key.expect("the world has this key")
    }
}

/// Checks a table of cases: `who, what => then;`, one a line.
macro_rules! table {
    ($world:expr; $($who:expr, $what:expr => $then:expr;)+) => {{
        let world = &$world;
        $(world.check(line!(), $who, $crate::command::Command::from($what), &$then);)+
    }};
}
pub(super) use table;

fn member(name: &str, role: Role) -> Event {
    Event::MemberAdded(MemberAdded {
        org: org("acme"),
        user: user(name),
        role,
        registered: registration(name),
    })
}

pub(super) fn org_created(name: &str, owner: &str) -> Event {
    Event::OrgCreated(OrgCreated {
        org: org(name),
        slug: word(name),
        name: word(name),
        owner: user(owner),
        registered: Some(registration(owner)),
    })
}

pub(super) fn scope_added(name: &str, access: Access, minimum_role: Role) -> Event {
    Event::ScopeAdded(ScopeAdded {
        org: org("acme"),
        entry: ScopeEntry {
            scope: word(name),
            description: word(name),
            access,
            minimum_role,
        },
    })
}

pub(super) fn team_created(name: &str, grants: &[&str]) -> Event {
    Event::TeamCreated(TeamCreated {
        org: org("acme"),
        team: team(name),
        slug: word(name),
        name: word(name),
        scopes: scopes(grants),
    })
}

pub(super) fn in_team(who: &str, name: &str) -> Event {
    Event::TeamMemberAdded(TeamMemberAdded {
        org: org("acme"),
        team: team(name),
        user: user(who),
    })
}

pub(super) fn service_created(name: &str, role: Role, teams: &[&str], api_key: NewApiKey) -> Event {
    Event::ServiceCreated(ServiceCreated {
        org: org("acme"),
        service: service(name),
        slug: word(name),
        name: word(name),
        description: word(""),
        role,
        teams: teams.iter().map(|name| team(name)).collect(),
        api_key,
    })
}

pub(super) fn entitlement_created(name: &str, grants: &[&str]) -> Event {
    Event::EntitlementCreated(EntitlementCreated {
        org: org("acme"),
        entitlement: entitlement(name),
        name: word(name),
        api_key: limited(name, grants),
        credits: None,
    })
}

/// The key `person/key`, with the handle and the identifier `key`.
pub(super) fn key_created(name: &str, api_key: NewApiKey) -> Event {
    let (owner, handle) = name.split_once('/').expect("person/key");
    Event::UserKeyCreated(UserKeyCreated {
        user: user(owner),
        key: key_id(name),
        label: KeyLabel::Handle(word(handle)),
        alias: None,
        sealed: None,
        api_key,
    })
}

pub(super) fn disabled(name: &str) -> Event {
    Event::ApiKeyDisabled(ApiKeyDisabled {
        id: credential(name),
        reason: None,
    })
}

pub(super) fn rotated(name: &str, secret: &str, activation: Activation) -> Event {
    Event::ApiKeyRotated(ApiKeyRotated {
        id: credential(name),
        digest: digest(secret),
        sealed: None,
        activation,
    })
}

pub(super) fn session_started(name: &str) -> Event {
    Event::SessionStarted(SessionStarted {
        session: session_id(name),
        user: user(name),
        digest: digest(name),
        expires_at: after(HOUR),
    })
}

/// An invitation for somebody of this name, with the secret `come in`, good for an hour.
pub(super) fn invited(name: &str, role: Role) -> Event {
    Event::MemberInvited(MemberInvited {
        org: org("acme"),
        invitation: invitation(name),
        email: email(name).into(),
        role,
        token: credential(name),
        digest: digest("come in"),
        expires_at: after(HOUR),
    })
}

/// The world of most tables.
///
/// `acme`: ada owns it, max manages, mia is a member; tom is a member in the team `helpers`, which
/// grants `services:write`, `teams:write` and `users:write`. `deploy:run` is for owners and the
/// team `deployers`; `audit:read` for managers and the team `auditors`. `ci` is a service, `ops` a
/// service that manages, `box` a service of the test environment, `pull` an entitlement token.
/// `globex` is gus's, who owns nothing here.
pub(super) fn world() -> World {
    let mut world = World::empty().at(Timestamp::from_micros(NOW.micros() - 1_000_000));
    for event in [
        org_created("acme", "ada"),
        org_created("globex", "gus"),
        member("max", Role::Manager),
        member("mia", Role::Member),
        member("tom", Role::Member),
        scope_added("deploy:run", Access::Write, Role::Owner),
        scope_added("deploy:see", Access::Read, Role::Owner),
        team_created("deployers", &["deploy:run"]),
        team_created("auditors", &["audit:read"]),
        team_created("helpers", &["services:write", "teams:write", "users:write"]),
        in_team("tom", "helpers"),
        service_created("ci", Role::Member, &[], unlimited("ci")),
        service_created("ops", Role::Manager, &[], unlimited("ops")),
        service_created("box", Role::Member, &[], test(unlimited("box"))),
        entitlement_created("pull", &["files:read"]),
        session_started("ada"),
        session_started("mia"),
    ] {
        world = world.given(event);
    }
    for (name, new) in [
        ("ada/full", unlimited("ada/full")),
        ("ada/test", test(unlimited("ada/test"))),
        ("ada/none", limited("ada/none", &[])),
        ("ada/short", until(unlimited("ada/short"), after(HOUR))),
        ("ada/net", from_net(unlimited("ada/net"), "10.0.0.0/8")),
        ("ada/off", unlimited("ada/off")),
        ("ada/old", until(unlimited("ada/old"), NOW)),
        ("max/full", unlimited("max/full")),
        ("mia/full", unlimited("mia/full")),
        (
            "mia/keys",
            limited("mia/keys", &["keys:write", "files:read"]),
        ),
        ("gus/full", unlimited("gus/full")),
    ] {
        world = world.given(key_created(name, new));
    }
    // What a key with scopes may do of everything that is managed.
    let managing = [
        "entitlements:write",
        "files:read",
        "keys:write",
        "services:write",
        "teams:write",
        "users:write",
        "workspaces:write",
    ];
    let new = limited("ada/some", &managing);
    world = world.given(key_created("ada/some", new));
    world.given(disabled("ada/off")).at(NOW)
}
