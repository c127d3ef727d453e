//! A small history in which everything happens that can happen, for tests.

use std::sync::atomic::{AtomicI64, Ordering};

use keyledger_domain::api_key::{
    ActivateApiKey, Activation, NewApiKey, RestrictApiKey, RevealApiKey, RotateApiKey,
    SwitchApiKey, UndoApiKeyRotation,
};
use keyledger_domain::audit_read::NoteAuditLogRead;
use keyledger_domain::credits::{ChangeCredits, Grant, Refill};
use keyledger_domain::entitlement::{CreateEntitlement, RevokeEntitlement};
use keyledger_domain::erasure::ErasePerson;
use keyledger_domain::id::{EntitlementId, KeyId, OrgId, RequestId, ServiceId, UserId};
use keyledger_domain::key_use::{NetworkTag, NoteApiKeyUse};
use keyledger_domain::member::{
    AcceptInvitation, AddMember, ChangeMemberRole, InviteMember, RemoveMember, RevokeInvitation,
};
use keyledger_domain::offboarding::{DisableMember, EnableMember, HandOverUserKey};
use keyledger_domain::org::{AddScope, CreateOrg, SetUp};
use keyledger_domain::policy::ChangeOrgPolicy;
use keyledger_domain::rate_limit::ChangeOrgLimits;
use keyledger_domain::revocation::{HolderKind, RevocationFilter, RevokeApiKeys, UndoRevocation};
use keyledger_domain::scope::{Access, ScopeEntry};
use keyledger_domain::service::{ChangeService, CreateService, DeleteService};
use keyledger_domain::session::{EndAllSessions, EndSession, StartSession};
use keyledger_domain::signing::{CreateSigningKey, PublicKey, RetireSigningKey};
use keyledger_domain::team::{ChangeTeam, CreateTeam, DeleteTeam, PlaceInTeam};
use keyledger_domain::user::{ChangePassword, NewUser};
use keyledger_domain::user_key::{CreateUserKey, KeyLabel, RenameUserKey, RevokeUserKey};
use keyledger_domain::{
    Actor, Authority, Command, CredentialId, Digest, Environment, PasswordHash, Proof, RateLimit,
    Role, SealedSecret, Timestamp,
};

use crate::clock::Clock;
use crate::committer::Submission;

mod oauth;

/// A clock that goes on by a second each time it is asked.
pub(crate) struct Ticking(AtomicI64);

impl Ticking {
    /// The first answer is a second after this.
    pub(crate) const fn from_seconds(seconds: i64) -> Self {
        Self(AtomicI64::new(seconds))
    }
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros((self.0.fetch_add(1, Ordering::Relaxed) + 1) * 1_000_000)
    }
}

/// The person who owns the first organization.
pub(crate) fn ada() -> UserId {
    UserId::from_bytes([1; 16])
}

/// A person who comes and goes.
pub(crate) fn carol() -> UserId {
    UserId::from_bytes([3; 16])
}

fn acme() -> OrgId {
    OrgId::from_bytes([10; 16])
}

fn of(user: UserId) -> Authority {
    Authority {
        actor: Actor::User(user),
        proof: Proof::Password,
    }
}

fn text<T: core::str::FromStr<Err: core::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("well-formed")
}

fn digest(number: u8) -> Digest {
    Digest {
        pepper_version: 1,
        tag: [number; 32],
    }
}

fn credential(name: &str) -> CredentialId {
    text(name)
}

fn user(user: UserId, name: &str) -> NewUser {
    NewUser {
        user,
        email: text(&format!("{}@example.com", name.to_lowercase())),
        name: text(name),
        password: PasswordHash::from_phc(format!("$argon2id$not-a-hash-of-{name}")),
    }
}

fn new_key(id: &str, number: u8) -> NewApiKey {
    NewApiKey {
        id: credential(id),
        environment: Environment::Live,
        digest: digest(number),
        scopes: None,
        expires_at: None,
        allowed_cidrs: [].into(),
        rate_limit: None,
    }
}

fn rotate(id: &str, version: u32, activation: Activation) -> RotateApiKey {
    RotateApiKey {
        id: credential(id),
        version,
        digest: digest(100 + u8::try_from(version).expect("few")),
        sealed: Some(SealedSecret::from_bytes(vec![7; 40])),
        activation,
    }
}

/// Everything with a limit, and what changes one; in revision 2 of the records that had none.
fn limits(org: OrgId) -> [Command; 9] {
    let ten = RateLimit::new(10, 60).expect("a limit");
    let limited = |id: &str, number: u8| NewApiKey {
        rate_limit: Some(ten),
        ..new_key(id, number)
    };
    let entitlement = EntitlementId::from_bytes([3; 16]);
    let uses = Grant {
        remaining: 1_000,
        refill: Some(Refill::new(100, 86_400).expect("a refill")),
    };
    [
        ChangeOrgLimits {
            org,
            rate_limit: Some(ten),
        }
        .into(),
        CreateService {
            org,
            service: ServiceId::from_bytes([3; 16]),
            slug: text("crawler"),
            name: text("A service"),
            description: text(""),
            role: Role::Member,
            teams: Vec::new(),
            api_key: limited("Service03", 33),
        }
        .into(),
        CreateUserKey {
            key: KeyId::from_bytes([3; 16]),
            label: KeyLabel::Handle(text("phone")),
            alias: None,
            sealed: Some(SealedSecret::from_bytes(vec![9; 80])),
            api_key: limited("AdaKey003", 42),
        }
        .into(),
        CreateEntitlement {
            org,
            entitlement,
            name: text("For the mirror"),
            api_key: NewApiKey {
                scopes: Some([text("files:read")].into_iter().collect()),
                ..limited("Entitled3", 53)
            },
            credits: Some(uses),
        }
        .into(),
        RestrictApiKey {
            id: credential("AdaKey003"),
            scopes: None,
            expires_at: None,
            allowed_cidrs: None,
            rate_limit: Some(Some(RateLimit::new(1, 3_600).expect("a limit"))),
        }
        .into(),
        RestrictApiKey {
            id: credential("Service03"),
            scopes: None,
            expires_at: None,
            allowed_cidrs: None,
            rate_limit: Some(None),
        }
        .into(),
        ChangeCredits {
            org,
            entitlement,
            credits: None,
        }
        .into(),
        ChangeCredits {
            org,
            entitlement,
            credits: Some(uses),
        }
        .into(),
        ChangeOrgLimits {
            org,
            rate_limit: Some(RateLimit::new(600, 60).expect("a limit")),
        }
        .into(),
    ]
}

/// A key of each algorithm, a rotation, and a key that is retired at once.
fn signing_keys(ada: UserId) -> Vec<(Authority, Command)> {
    let kid = |name: &str| text(&format!("{name:A<43}"));
    let create = |name: &str, public_key: PublicKey, overlap_seconds: u64| CreateSigningKey {
        kid: kid(name),
        public_key,
        sealed: SealedSecret::from_bytes(vec![5; 60]),
        overlap_seconds,
    };
    let point = |number: u8| PublicKey::P256 {
        x: [number; 32],
        y: [number; 32],
    };
    let ed25519 = PublicKey::Ed25519 { x: [3; 32] };
    let rsa = PublicKey::Rsa {
        modulus: vec![0xc1; 256].into(),
        exponent: vec![1, 0, 1].into(),
    };
    vec![
        (
            Authority::SYSTEM,
            create("point-1", point(1), 86_400).into(),
        ),
        (Authority::SYSTEM, create("edwards", ed25519, 86_400).into()),
        (of(ada), create("rivest", rsa, 0).into()),
        (of(ada), create("point-2", point(2), 86_400).into()),
        (
            of(ada),
            RetireSigningKey {
                kid: kid("edwards"),
            }
            .into(),
        ),
    ]
}

/// One submission a step; each leads to exactly one record. What is once in the golden ledger stays as it
/// is: put what is new at the end.
#[expect(
    clippy::too_many_lines,
    reason = "a list: what happens, one after the other"
)]
pub(crate) fn steps() -> Vec<Submission> {
    let ada = ada();
    let bob = UserId::from_bytes([2; 16]);
    let carol = carol();
    let org = acme();
    let mut steps: Vec<(Authority, Command)> = Vec::new();
    let mut step = |who: Authority, command: Command| steps.push((who, command));

    let set_up = SetUp {
        org,
        slug: text("acme"),
        name: text("Acme GmbH"),
        owner: user(ada, "Ada"),
    };
    step(Authority::SYSTEM, set_up.into());
    for number in [1, 2] {
        let start = StartSession {
            session: keyledger_domain::id::SessionId::from_bytes([number; 16]),
            digest: digest(number),
        };
        step(of(ada), start.into());
    }
    let end = EndSession {
        session: keyledger_domain::id::SessionId::from_bytes([1; 16]),
    };
    step(of(ada), end.into());
    for (scope, access) in [
        ("reports:read", Access::Read),
        ("reports:write", Access::Write),
    ] {
        let entry = ScopeEntry {
            scope: text(scope),
            description: text("Reports,\nmonthly and yearly"),
            access,
            minimum_role: Role::Member,
        };
        step(of(ada), AddScope { org, entry }.into());
    }
    for (number, slug) in [(1, "day-shift"), (2, "night-shift")] {
        let create = CreateTeam {
            org,
            team: keyledger_domain::id::TeamId::from_bytes([number; 16]),
            slug: text(slug),
            name: text("A shift"),
            scopes: [text("reports:read")].into_iter().collect(),
        };
        step(of(ada), create.into());
    }
    let change = ChangeTeam {
        org,
        slug: text("day-shift"),
        name: Some(text("Tagschicht \u{fc}ber Tag")),
        scopes: None,
    };
    step(of(ada), change.into());
    let add = AddMember {
        org,
        role: Role::Member,
        new: user(bob, "Bob"),
    };
    step(of(ada), add.into());
    for (number, token, name) in [(1, "Invite001", "Carol"), (2, "Invite002", "Dave")] {
        let invite = InviteMember {
            org,
            invitation: keyledger_domain::id::InvitationId::from_bytes([number; 16]),
            email: text(&format!("{}@example.com", name.to_lowercase())),
            role: Role::Member,
            token: credential(token),
            digest: digest(20 + number),
            expires_at: Timestamp::from_micros(4_000_000_000_000_000),
        };
        step(of(ada), invite.into());
    }
    let accept = AcceptInvitation {
        token: credential("Invite001"),
        digest: digest(21),
        new: Some(user(carol, "Carol")),
    };
    step(Authority::SYSTEM, accept.into());
    let revoke = RevokeInvitation {
        org,
        invitation: keyledger_domain::id::InvitationId::from_bytes([2; 16]),
    };
    step(of(ada), revoke.into());
    let role = Role::Manager;
    let change = ChangeMemberRole {
        org,
        user: carol,
        role,
    };
    step(of(ada), change.into());
    for (user, inside) in [(bob, true), (bob, false), (carol, true)] {
        let place = PlaceInTeam {
            org,
            slug: text("day-shift"),
            user,
            inside,
        };
        step(of(ada), place.into());
    }
    for (number, slug) in [(1, "builder"), (2, "deployer")] {
        let mut api_key = new_key(&format!("Service0{number}"), 30 + number);
        api_key.scopes = Some(
            [text("files:read"), text("reports:read")]
                .into_iter()
                .collect(),
        );
        let create = CreateService {
            org,
            service: keyledger_domain::id::ServiceId::from_bytes([number; 16]),
            slug: text(slug),
            name: text("A service"),
            description: text(""),
            role: Role::Member,
            teams: vec![text("day-shift")],
            api_key,
        };
        step(of(ada), create.into());
    }
    let change = ChangeService {
        org,
        slug: text("builder"),
        name: None,
        description: Some(text("Builds\nwhat is built")),
        role: Some(Role::Manager),
        teams: Some(vec![text("day-shift"), text("night-shift")]),
    };
    step(of(ada), change.into());

    let mut api_key = new_key("AdaKey001", 40);
    api_key.allowed_cidrs = [text("192.0.2.0/24"), text("2001:db8::/32")].into();
    api_key.expires_at = Some(Timestamp::from_micros(4_000_000_000_000_000));
    let create = CreateUserKey {
        key: keyledger_domain::id::KeyId::from_bytes([1; 16]),
        label: KeyLabel::Handle(text("laptop")),
        alias: Some(text("Ada's laptop")),
        sealed: Some(SealedSecret::from_bytes(vec![9; 80])),
        api_key,
    };
    step(of(ada), create.into());
    let mut api_key = new_key("AdaKey002", 41);
    api_key.environment = Environment::Test;
    let create = CreateUserKey {
        key: keyledger_domain::id::KeyId::from_bytes([2; 16]),
        label: KeyLabel::OwnToken,
        alias: None,
        sealed: None,
        api_key,
    };
    step(of(ada), create.into());
    let rename = RenameUserKey {
        key: keyledger_domain::id::KeyId::from_bytes([1; 16]),
        alias: None,
    };
    step(of(ada), rename.into());
    let id = credential("AdaKey001");
    let first_use = Activation::FirstUse { grace_seconds: 60 };
    step(of(ada), rotate("AdaKey001", 2, first_use).into());
    step(of(ada), UndoApiKeyRotation { id }.into());
    step(of(ada), rotate("AdaKey001", 3, first_use).into());
    let by_key = Authority {
        actor: Actor::User(ada),
        proof: Proof::Credential { id, version: 3 },
    };
    step(by_key, ActivateApiKey { id, version: 3 }.into());
    let at_once = Activation::Now { grace_seconds: 0 };
    step(of(ada), rotate("AdaKey001", 4, at_once).into());
    for disabled in [true, false] {
        step(of(ada), SwitchApiKey { id, disabled }.into());
    }
    let restrict = RestrictApiKey {
        id,
        scopes: Some(Some(
            [text("files:read"), text("keys:read")]
                .into_iter()
                .collect(),
        )),
        expires_at: Some(None),
        allowed_cidrs: Some([text("198.51.100.7/32")].into()),
        rate_limit: None,
    };
    step(of(ada), restrict.into());
    step(of(ada), RevealApiKey { id }.into());
    let revoke = RevokeUserKey {
        key: keyledger_domain::id::KeyId::from_bytes([2; 16]),
    };
    step(of(ada), revoke.into());
    for number in [1, 2] {
        let mut api_key = new_key(&format!("Entitled{number}"), 50 + number);
        api_key.scopes = Some([text("files:read")].into_iter().collect());
        let create = CreateEntitlement {
            org,
            entitlement: keyledger_domain::id::EntitlementId::from_bytes([number; 16]),
            name: text("For the mirror"),
            api_key,
            credits: None,
        };
        step(of(ada), create.into());
    }
    let revoke = RevokeEntitlement {
        org,
        entitlement: keyledger_domain::id::EntitlementId::from_bytes([1; 16]),
    };
    step(of(ada), revoke.into());
    let delete = DeleteService {
        org,
        slug: text("deployer"),
    };
    step(of(ada), delete.into());
    let delete = DeleteTeam {
        org,
        slug: text("night-shift"),
    };
    step(of(ada), delete.into());
    step(of(ada), RemoveMember { org, user: carol }.into());
    let password = PasswordHash::from_phc("$argon2id$not-a-hash-either".to_owned());
    step(of(bob), ChangePassword { password }.into());
    let create = CreateOrg {
        org: OrgId::from_bytes([11; 16]),
        slug: text("ada-and-sons"),
        name: text("Ada & Sons"),
    };
    step(of(ada), create.into());
    for network in [1, 2] {
        let note = NoteApiKeyUse {
            id: credential("Entitled2"),
            network: Some(NetworkTag::from_bytes([network; 8])),
        };
        step(Authority::SYSTEM, note.into());
    }
    for command in limits(org) {
        step(of(ada), command);
    }
    let policy = ChangeOrgPolicy {
        org,
        max_life_seconds: Some(Some(366 * 86_400)),
        expiry_required: Some(true),
        idle_disable_seconds: Some(Some(3_600)),
        retrievable_keys: Some(false),
    };
    step(of(ada), policy.into());
    step(of(ada), SwitchApiKey { id, disabled: true }.into());
    let mut api_key = new_key("BobKey001", 60);
    api_key.expires_at = Some(Timestamp::from_micros(1_800_086_400_000_000));
    let create = CreateUserKey {
        key: keyledger_domain::id::KeyId::from_bytes([36; 16]),
        label: KeyLabel::Handle(text("laptop")),
        alias: None,
        sealed: None,
        api_key,
    };
    step(of(bob), create.into());
    for (number, environment) in [(1, None), (2, Some(Environment::Live))] {
        let revocation = keyledger_domain::id::RevocationId::from_bytes([number; 16]);
        let filter = RevocationFilter {
            created_before: Some(Timestamp::from_micros(4_000_000_000_000_000)),
            created_by: Some(Actor::User(bob)),
            scope: Some(text("files:read")),
            owner: Some(Actor::User(bob)),
            environment,
            kind: environment.map(|_| HolderKind::User),
            ..RevocationFilter::default()
        };
        let revoke = RevokeApiKeys {
            org,
            revocation,
            filter,
            expected_count: Some(1),
        };
        step(of(ada), revoke.into());
        step(of(ada), UndoRevocation { org, revocation }.into());
    }
    step(of(ada), DisableMember { org, user: bob }.into());
    let hand_over = HandOverUserKey {
        org,
        key: keyledger_domain::id::KeyId::from_bytes([36; 16]),
        service: keyledger_domain::id::ServiceId::from_bytes([36; 16]),
        slug: text("of-bob"),
        name: text("Of Bob"),
        description: text(""),
        role: Role::Member,
        teams: vec![text("day-shift")],
    };
    step(of(ada), hand_over.into());
    step(of(ada), EnableMember { org, user: bob }.into());
    // Ada's keys work in her other organization too, the services' nowhere else.
    let revocation = keyledger_domain::id::RevocationId::from_bytes([3; 16]);
    let revoke = RevokeApiKeys {
        org,
        revocation,
        filter: RevocationFilter {
            all: true,
            ..RevocationFilter::default()
        },
        expected_count: None,
    };
    step(of(ada), revoke.into());
    step(of(ada), UndoRevocation { org, revocation }.into());
    for (authority, command) in oauth::steps(org, ada) {
        step(authority, command);
    }
    for (who, command) in signing_keys(ada) {
        step(who, command);
    }
    step(of(ada), EndAllSessions.into());
    let dora = UserId::from_bytes([60; 16]);
    let invite = InviteMember {
        org,
        invitation: keyledger_domain::id::InvitationId::from_bytes([61; 16]),
        email: text("dora@example.com"),
        role: Role::Member,
        token: credential("Invite003"),
        digest: digest(61),
        expires_at: Timestamp::from_micros(4_000_000_000_000_000),
    };
    step(of(ada), invite.into());
    let add = AddMember {
        org,
        role: Role::Member,
        new: user(dora, "Dora"),
    };
    step(of(ada), add.into());
    let erase = ErasePerson {
        user: dora,
        confirm: "dora@example.com".to_owned(),
    };
    step(of(ada), erase.into());
    step(of(ada), NoteAuditLogRead { org }.into());

    let numbered = (1..).zip(steps);
    numbered
        .map(|(number, (authority, command))| Submission {
            authority,
            request: RequestId::from_bytes([number; 16]),
            source: (number % 3 > 0).then(|| {
                let v6 = "2001:db8::7".parse().expect("an address");
                if number % 3 == 1 {
                    [192, 0, 2, number].into()
                } else {
                    v6
                }
            }),
            client: (number % 2 > 0).then(|| text("curl/8.14.1")),
            command,
        })
        .collect()
}
