//! What holds after whatever anybody asks for.
//!
//! Method: dice draw who asks, for what, with which names, and when. Names come from a pool so
//! small that they collide all the time, times go back as well as forth, and most draws are
//! nonsense: that is what the rules are for. After each event everything is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::world::*;
use crate::actor::{Actor, Authority, Proof};
use crate::api_key::{
    ActivateApiKey, Activation, ApiKey, Holder, NewApiKey, OtherSecret, RestrictApiKey,
    RevealApiKey, RotateApiKey, UndoApiKeyRotation,
};
use crate::audit_read::NoteAuditLogRead;
use crate::command::{Command, decide};
use crate::credential::{CredentialId, CredentialKind, Environment};
use crate::credits::{ChangeCredits, Grant, Refill};
use crate::digest::PasswordHash;
use crate::directory::Directory;
use crate::entitlement::{CreateEntitlement, RevokeEntitlement};
use crate::erasure::ErasePerson;
use crate::event::Event;
use crate::expiry::Expiring;
use crate::id::{EntitlementId, InvitationId, OrgId, UserId};
use crate::key_use::{NetworkTag, NoteApiKeyUse};
use crate::member::{
    AcceptInvitation, AddMember, ChangeMemberRole, InviteMember, RemoveMember, RevokeInvitation,
};
use crate::offboarding::{DisableMember, EnableMember, HandOverUserKey};
use crate::org::{AddScope, CreateOrg, SetUp};
use crate::personal::Personal;
use crate::policy::{ChangeOrgPolicy, DisableIdleApiKey};
use crate::rate_limit::{ChangeOrgLimits, RateLimit, is_wider};
use crate::revocation::{HolderKind, RevocationFilter, RevokeApiKeys, UndoRevocation};
use crate::role::Role;
use crate::scope::{Access, ScopeEntry, Scopes, find_built_in, is_delegable};
use crate::service::{ChangeService, CreateService, DeleteService};
use crate::session::{EndAllSessions, EndSession, StartSession};
use crate::signing::{
    CreateSigningKey, OVERLAP_SECONDS_MAX, PUBLISHED_MAX, PublicKey, RetireSigningKey,
    SigningAlgorithm, SigningKeyId,
};
use crate::team::{ChangeTeam, CreateTeam, DeleteTeam, PlaceInTeam};
use crate::text::Slug;
use crate::time::Timestamp;
use crate::user::{ChangePassword, NewUser};
use crate::user_key::{CreateUserKey, KeyLabel, RenameUserKey, RevokeUserKey};

/// Of people, organizations, teams, services, handles, sessions and whatever else has a name.
const NAMES: &[&str] = &["a", "b", "c", "d", "e"];
const SCOPES: &[&str] = &[
    "audit:read",
    "entitlements:write",
    "files:read",
    "files:write",
    "keys:write",
    "no:such",
    "services:write",
    "teams:write",
    "users:write",
    "workspaces:write",
    "x:one",
    "x:two",
];
const NETS: &[&str] = &["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "2001:db8::/32"];

mod oauth;

/// How many different commands [`Dice::command`] draws from.
const COMMANDS: usize = 71;

/// Draws from bytes, so that a failing run shrinks to the shortest one.
struct Dice<'a> {
    bytes: core::iter::Cycle<core::slice::Iter<'a, u8>>,
    /// Around when things happen and end.
    around: Timestamp,
    /// When it is decided.
    now: Timestamp,
}

impl<'a> Dice<'a> {
    fn new(bytes: &'a [u8], around: Timestamp) -> Self {
        let bytes = bytes.iter().cycle();
        Self {
            bytes,
            around,
            now: around,
        }
    }

    fn byte(&mut self) -> u8 {
        *self.bytes.next().expect("a step has bytes")
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn name(&mut self) -> &'static str {
        self.pick(NAMES)
    }

    fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(2).then(|| draw(self))
    }

    fn some<T>(&mut self, draw: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| draw(self)).collect()
    }

    fn role(&mut self) -> Role {
        self.pick(&[Role::Member, Role::Manager, Role::Owner])
    }

    fn scopes(&mut self) -> Scopes {
        let names = self.some(|dice| dice.pick(SCOPES));
        scopes(&names)
    }

    fn credential(&mut self) -> CredentialId {
        let n = self.below(24);
        credential(&format!("k{n}"))
    }

    /// Mostly one that is there.
    fn known_credential(&mut self, directory: &Directory) -> CredentialId {
        let mut known: Vec<_> = directory.api_keys.iter().map(|key| key.issued.id).collect();
        if known.is_empty() || self.one_in(8) {
            return self.credential();
        }
        known.sort_unstable();
        self.pick(&known)
    }

    fn org(&mut self) -> OrgId {
        org(self.pick(&["a", "a", "a", "b", "c"]))
    }

    /// Mostly some minutes off, back as well as forth; very seldom at either end of time, from
    /// where no later step comes back.
    fn instant(&mut self) -> Timestamp {
        match (self.byte(), self.byte()) {
            (0, 0..16) => Timestamp::from_micros(i64::MIN),
            (0, 16..32) => Timestamp::from_micros(i64::MAX),
            (minutes, _) => micros_off(self.around, (i64::from(minutes) - 64) * 60_000_000),
        }
    }

    fn end(&mut self) -> Option<Timestamp> {
        self.one_in(3).then(|| self.instant())
    }

    fn nets(&mut self) -> Arc<[ipnet::IpNet]> {
        if !self.one_in(4) {
            return Arc::new([]);
        }
        self.some(|dice| word(dice.pick(NETS))).into()
    }

    fn api_key(&mut self) -> NewApiKey {
        NewApiKey {
            id: self.credential(),
            environment: if self.one_in(4) {
                Environment::Test
            } else {
                Environment::Live
            },
            digest: digest(self.name()),
            scopes: self.maybe(Self::scopes),
            expires_at: self.end(),
            allowed_cidrs: self.nets(),
            rate_limit: self.rate_limit(),
        }
    }

    fn rate_limit(&mut self) -> Option<RateLimit> {
        let numbers = [(1, 1), (10, 60), (20, 60), (10, 120), (600, 3_600)];
        self.one_in(4).then(|| {
            let (requests, per_seconds) = self.pick(&numbers);
            rate(requests, per_seconds)
        })
    }

    fn grant(&mut self) -> Option<Grant> {
        let grant = |dice: &mut Self| Grant {
            remaining: dice.pick(&[0, 1, 1_000]),
            refill: dice.maybe(|dice| {
                Refill::new(dice.pick(&[1, 1_000]), 3_600).expect("numbers of a refill")
            }),
        };
        self.maybe(grant)
    }

    /// Mostly one that is there.
    fn known_entitlement(&mut self, directory: &Directory, org: OrgId) -> EntitlementId {
        let known = directory.org(org).map(|org| org.entitlements.iter());
        let known: Vec<EntitlementId> = known.into_iter().flatten().copied().collect();
        if known.is_empty() || self.one_in(4) {
            return entitlement(self.name());
        }
        self.pick(&known)
    }

    fn new_user(&mut self) -> NewUser {
        NewUser {
            user: user(self.name()),
            email: word(&format!(
                "{}@{}",
                self.name(),
                self.pick(&["x.example", "y.example"])
            )),
            ..new_user(self.name())
        }
    }

    fn activation(&mut self) -> Activation {
        let grace_seconds = self.pick(&[0, 600, 3_600, u64::MAX]);
        if self.one_in(2) {
            Activation::FirstUse { grace_seconds }
        } else {
            Activation::Now { grace_seconds }
        }
    }

    /// Somebody: half of the time one whose proof fits, or few commands would get anywhere.
    fn authority(&mut self, directory: &Directory) -> Authority {
        match self.below(11) {
            0 => Authority::SYSTEM,
            8..=10 => self.client_or_session(directory),
            1 | 2 => password(self.name()),
            3 => password("a"),
            4..=6 => {
                let id = self.known_credential(directory);
                let key = directory.api_key(id);
                let holder = key.map(|key| key.issued.holder.actor());
                // Mostly the secret that is good; now and then an older or a newer one.
                let current = key.map_or(1, ApiKey::version);
                let version = if self.below(4) == 0 {
                    [1, 2, 3, 4][self.below(4)]
                } else {
                    current
                };
                by(
                    holder.unwrap_or(Actor::System),
                    Proof::Credential { id, version },
                )
            }
            _ => {
                let actor = match self.below(4) {
                    0 => Actor::System,
                    1 => Actor::User(user(self.name())),
                    2 => Actor::Service(service(self.name())),
                    _ => Actor::Entitlement(entitlement(self.name())),
                };
                let proof = match self.below(4) {
                    0 => Proof::Own,
                    1 => Proof::Password,
                    2 => Proof::Session(session_id(self.name())),
                    _ => Proof::Credential {
                        id: self.credential(),
                        version: 1,
                    },
                };
                by(actor, proof)
            }
        }
    }

    fn command(&mut self, directory: &Directory) -> Command {
        let org = self.org();
        if self.open_code(directory).is_some() && self.one_in(2) {
            return self.about_oauth(directory, org);
        }
        match self.below(COMMANDS) {
            0 => Command::SetUp(SetUp {
                org,
                slug: word(self.name()),
                name: word("o"),
                owner: self.new_user(),
            }),
            1 => Command::CreateOrg(CreateOrg {
                org,
                slug: word(self.name()),
                name: word("o"),
            }),
            2 => Command::AddScope(AddScope {
                org,
                entry: ScopeEntry {
                    scope: word(self.pick(SCOPES)),
                    description: word("s"),
                    access: self.pick(&[Access::Read, Access::Write]),
                    minimum_role: self.role(),
                },
            }),
            3 => Command::ChangePassword(ChangePassword {
                password: PasswordHash::from_phc(self.name().to_owned()),
            }),
            4 => Command::AddMember(AddMember {
                org,
                role: self.role(),
                new: self.new_user(),
            }),
            5 => Command::InviteMember(InviteMember {
                org,
                invitation: self.new_invitation(),
                email: self.new_user().email,
                role: self.role(),
                token: self.credential(),
                digest: digest(self.name()),
                expires_at: self.instant(),
            }),
            6 => self.acceptance(directory),
            7 => Command::RevokeInvitation(RevokeInvitation {
                org,
                invitation: self.known_invitation(directory, org),
            }),
            8 => Command::ChangeMemberRole(ChangeMemberRole {
                org,
                user: user(self.name()),
                role: self.role(),
            }),
            9 => Command::RemoveMember(RemoveMember {
                org,
                user: user(self.name()),
            }),
            10..=13 => self.about_team(directory, org),
            14..=16 => self.about_service(directory, org),
            17..=21 => self.about_holder(org),
            22..=27 => self.about_api_key(directory),
            31..=42 => self.about_leaving(directory, org),
            68 if self.one_in(4) => self.erasure(directory, org),
            44..=65 | 68 => self.about_oauth(directory, org),
            28 => Command::ChangeOrgLimits(ChangeOrgLimits {
                org,
                rate_limit: self.rate_limit(),
            }),
            29 => Command::ChangeCredits(ChangeCredits {
                org,
                entitlement: self.known_entitlement(directory, org),
                credits: self.grant(),
            }),
            30 => Command::StartSession(StartSession {
                session: session_id(self.name()),
                digest: digest(self.name()),
            }),
            66 => Command::CreateSigningKey(CreateSigningKey {
                kid: self.kid(),
                public_key: match self.below(2) {
                    0 => PublicKey::P256 {
                        x: [0; 32],
                        y: [0; 32],
                    },
                    _ => PublicKey::Ed25519 { x: [0; 32] },
                },
                sealed: sealed(self.name()),
                overlap_seconds: self.pick(&[0, 600, OVERLAP_SECONDS_MAX, u64::MAX]),
            }),
            67 => Command::RetireSigningKey(RetireSigningKey { kid: self.kid() }),
            70 => Command::NoteAuditLogRead(NoteAuditLogRead { org }),
            43 => Command::EndSession(EndSession {
                session: session_id(self.name()),
            }),
            _ => Command::EndAllSessions(EndAllSessions),
        }
    }

    /// Mostly said with the right name.
    fn erasure(&mut self, directory: &Directory, org: OrgId) -> Command {
        let user = self.member(directory, org);
        let email = directory.user(user).and_then(|user| user.email.known());
        let confirm = email.map_or_else(|| self.name().to_owned(), ToString::to_string);
        Command::ErasePerson(ErasePerson { user, confirm })
    }

    /// The ledger knows an address by its invitation, so no two have one identifier.
    fn new_invitation(&mut self) -> InvitationId {
        InvitationId::from_bytes(core::array::from_fn(|_| self.byte()))
    }

    /// Mostly one that is open.
    fn known_invitation(&mut self, directory: &Directory, org: OrgId) -> InvitationId {
        let open = directory.org(org).map(|org| org.invitations.keys());
        let open: Vec<InvitationId> = open.into_iter().flatten().copied().collect();
        if open.is_empty() || self.one_in(4) {
            return invitation(self.name());
        }
        self.pick(&open)
    }

    fn kid(&mut self) -> SigningKeyId {
        word(&format!("{:A<43}", self.name()))
    }

    /// Policies, revocations of many keys, and members who leave.
    fn about_leaving(&mut self, directory: &Directory, org: OrgId) -> Command {
        let user = self.member(directory, org);
        let known = directory.org(org);
        match self.below(13) {
            0 => Command::ChangeOrgPolicy(ChangeOrgPolicy {
                org,
                max_life_seconds: self
                    .maybe(|dice| dice.maybe(|dice| dice.pick(&[0, 1, 7_200, u64::MAX]))),
                expiry_required: self.maybe(|dice| dice.one_in(4)),
                idle_disable_seconds: self
                    .maybe(|dice| dice.maybe(|dice| dice.pick(&[0, 3_600, u64::MAX]))),
                retrievable_keys: self.maybe(|dice| dice.one_in(2)),
            }),
            1 => Command::DisableIdleApiKey(DisableIdleApiKey {
                id: self.known_credential(directory),
                last_used_at: self.end(),
            }),
            2 | 3 => Command::RevokeApiKeys(RevokeApiKeys {
                org,
                revocation: revocation(self.name()),
                filter: RevocationFilter {
                    all: self.one_in(4),
                    created_before: self.end(),
                    created_by: self.one_in(8).then_some(Actor::User(user)),
                    scope: self.one_in(4).then(|| word(self.pick(SCOPES))),
                    owner: self.one_in(4).then_some(Actor::User(user)),
                    environment: self.one_in(4).then_some(Environment::Test),
                    kind: self.maybe(|dice| dice.pick(&HolderKind::ALL)),
                    include_self: self.one_in(2),
                },
                expected_count: self.one_in(4).then(|| self.below(3)),
            }),
            4..=6 => {
                let known = known.and_then(|org| {
                    let mut open = org.revocations.values();
                    open.find(|done| done.undone_at.is_none())
                        .map(|done| done.id)
                });
                Command::UndoRevocation(UndoRevocation {
                    org,
                    revocation: known.unwrap_or_else(|| revocation(self.name())),
                })
            }
            7 | 8 => Command::DisableMember(DisableMember { org, user }),
            9 => Command::EnableMember(EnableMember { org, user }),
            _ => {
                let disabled = known.and_then(|org| org.disabled.keys().next().copied());
                let theirs = directory.user(disabled.unwrap_or(user));
                let key = theirs.and_then(|user| user.keys.values().next().copied());
                Command::HandOverUserKey(HandOverUserKey {
                    org,
                    key: key.unwrap_or_else(|| key_id(self.name())),
                    service: service(self.name()),
                    slug: word(self.name()),
                    name: word("s"),
                    description: word(""),
                    role: self.pick(&[Role::Member, Role::Member, Role::Manager, Role::Owner]),
                    teams: self.maybe(|dice| word(dice.name())).into_iter().collect(),
                })
            }
        }
    }

    /// Mostly of an invitation that is open, with its own digest.
    fn acceptance(&mut self, directory: &Directory) -> Command {
        let mut token = self.credential();
        let mut shown = digest(self.name());
        let open = directory
            .orgs
            .values()
            .flat_map(|org| org.invitations.values());
        if let Some(open) = open.min_by_key(|open| open.token)
            && !self.one_in(4)
        {
            (token, shown) = (open.token, open.digest);
        }
        Command::AcceptInvitation(AcceptInvitation {
            token,
            digest: shown,
            new: self.maybe(Self::new_user),
        })
    }

    /// Mostly one of the organization.
    fn member(&mut self, directory: &Directory, org: OrgId) -> UserId {
        let members = directory.org(org).map(|org| org.members.keys());
        let members: Vec<UserId> = members.into_iter().flatten().copied().collect();
        if members.is_empty() || self.one_in(4) {
            return user(self.name());
        }
        self.pick(&members)
    }

    /// Half of the time one that is there.
    fn slug<T>(&mut self, known: Option<&BTreeMap<Slug, T>>) -> Slug {
        let known: Vec<&Slug> = known.into_iter().flat_map(BTreeMap::keys).collect();
        if known.is_empty() || self.one_in(2) {
            return word(self.name());
        }
        self.pick(&known).clone()
    }

    fn about_team(&mut self, directory: &Directory, org: OrgId) -> Command {
        let slug = self.slug(directory.org(org).map(|org| &org.teams));
        match self.below(4) {
            0 => Command::CreateTeam(CreateTeam {
                org,
                team: team(self.name()),
                slug,
                name: word("t"),
                scopes: self.scopes(),
            }),
            1 => Command::ChangeTeam(ChangeTeam {
                org,
                slug,
                name: self.maybe(|dice| word(dice.name())),
                scopes: self.maybe(Self::scopes),
            }),
            2 => Command::DeleteTeam(DeleteTeam { org, slug }),
            _ => Command::PlaceInTeam(PlaceInTeam {
                org,
                slug,
                user: self.member(directory, org),
                inside: self.one_in(2),
            }),
        }
    }

    fn about_service(&mut self, directory: &Directory, org: OrgId) -> Command {
        let slug = self.slug(directory.org(org).map(|org| &org.services));
        match self.below(4) {
            0 | 1 => Command::CreateService(CreateService {
                org,
                service: service(self.name()),
                slug,
                name: word("s"),
                description: word(""),
                role: self.role(),
                teams: self.some(|dice| word(dice.name())),
                api_key: self.api_key(),
            }),
            2 => Command::ChangeService(ChangeService {
                org,
                slug,
                name: self.maybe(|dice| word(dice.name())),
                description: self.maybe(|dice| word(dice.name())),
                role: self.maybe(Self::role),
                teams: self.maybe(|dice| dice.some(|dice| word(dice.name()))),
            }),
            _ => Command::DeleteService(DeleteService { org, slug }),
        }
    }

    fn about_holder(&mut self, org: OrgId) -> Command {
        let key = key_id(self.name());
        match self.below(7) {
            0..=2 => Command::CreateUserKey(CreateUserKey {
                key,
                label: if self.one_in(4) {
                    KeyLabel::OwnToken
                } else {
                    KeyLabel::Handle(word(self.name()))
                },
                alias: None,
                sealed: self.maybe(|dice| sealed(dice.name())),
                api_key: self.api_key(),
            }),
            3 => Command::RenameUserKey(RenameUserKey {
                key,
                alias: self.maybe(|dice| word(dice.name())),
            }),
            4 => Command::RevokeUserKey(RevokeUserKey { key }),
            5 => Command::CreateEntitlement(CreateEntitlement {
                org,
                entitlement: entitlement(self.name()),
                name: word("e"),
                api_key: NewApiKey {
                    scopes: Some(scopes(&["files:read"])),
                    ..self.api_key()
                },
                credits: self.grant(),
            }),
            _ => Command::RevokeEntitlement(RevokeEntitlement {
                org,
                entitlement: entitlement(self.name()),
            }),
        }
    }

    fn about_api_key(&mut self, directory: &Directory) -> Command {
        let id = self.known_credential(directory);
        let newest = directory.api_key(id).map_or(1, ApiKey::newest_version);
        match self.below(10) {
            8 | 9 => Command::NoteApiKeyUse(NoteApiKeyUse {
                id,
                network: self.maybe(|dice| {
                    NetworkTag::from_bytes([u8::try_from(dice.below(4)).expect("few"); 8])
                }),
            }),
            0 | 1 => Command::RotateApiKey(RotateApiKey {
                id,
                version: newest + u32::from(!self.one_in(8)),
                digest: digest(self.name()),
                sealed: self.maybe(|dice| sealed(dice.name())),
                activation: self.activation(),
            }),
            2 => Command::UndoApiKeyRotation(UndoApiKeyRotation { id }),
            3 => Command::ActivateApiKey(ActivateApiKey {
                id,
                version: newest.saturating_sub(u32::from(self.one_in(4))),
            }),
            4 | 5 => Command::SwitchApiKey(crate::api_key::SwitchApiKey {
                id,
                disabled: self.one_in(2),
            }),
            6 => Command::RestrictApiKey(RestrictApiKey {
                id,
                scopes: self.maybe(|dice| dice.maybe(Self::scopes)),
                expires_at: self.maybe(Self::end),
                allowed_cidrs: self.maybe(Self::nets),
                rate_limit: self.maybe(Self::rate_limit),
            }),
            _ => Command::RevealApiKey(RevealApiKey { id }),
        }
    }
}

/// A run: the bytes of each step.
fn runs() -> impl Strategy<Value = Vec<[u8; 32]>> {
    vec(any::<[u8; 32]>(), 1..160)
}

/// Plays a run from an empty server, or mostly from one that somebody owns, and checks everything
/// after each event.
fn play(steps: &[[u8; 32]], happened: &mut BTreeSet<&'static str>) -> World {
    let mut world = World::empty();
    if steps[0][0] > 15 {
        let first = SetUp {
            org: org("a"),
            slug: word("a"),
            name: word("a"),
            owner: new_user("a"),
        };
        world = world.after(Authority::SYSTEM, first);
    }
    for (i, step) in (0..).zip(steps) {
        let mut dice = Dice::new(step, after(600 * i));
        world.now = dice.instant();
        dice.now = world.now.max(world.directory.at());
        let who = dice.authority(&world.directory);
        let command = dice.command(&world.directory);
        let who = dice.rightful(&world.directory, &command).unwrap_or(who);
        // That it answers at all is the first thing to show.
        let Ok(Some(event)) = world.decide(who, command.clone()) else {
            continue;
        };
        let name = event.name();
        happened.insert(name);
        let before = world.clone();
        world.record(who.actor, who.credential(), event.clone());
        check_references(&world.directory);
        check_keys(&world.directory);
        check_nobody_gave_more_than_they_held(&before, &world.directory, who, &event);
        check_that_twice_is_once(&world, who, command);
    }
    world
}

/// Every name leads to what has it, and everything that is named is there.
fn check_references(d: &Directory) {
    for (slug, id) in &d.org_slugs {
        assert_eq!(&d.orgs[id].slug, slug);
    }
    assert_eq!(
        d.org_slugs.len(),
        d.orgs.len(),
        "each organization has its slug alone"
    );
    for (email, id) in &d.emails {
        assert_eq!(d.users[id].email.known(), Some(email));
    }
    let people = d.users.values().filter(|user| !user.is_erased()).count();
    assert_eq!(
        d.emails.len(),
        people,
        "each person has their address alone"
    );
    for (slug, id) in &d.user_slugs {
        assert_eq!(d.users[id].slug.known(), Some(slug));
    }
    assert_eq!(
        d.user_slugs.len(),
        people,
        "each person has their slug alone"
    );
    let open = d.orgs.values().map(|org| org.invitations.len());
    assert_eq!(open.sum::<usize>(), d.invitation_tokens.len());
    let services = d.orgs.values().map(|org| org.services.len());
    assert_eq!(services.sum::<usize>(), d.services.len());
    let entitlements = d.orgs.values().map(|org| org.entitlements.len());
    assert_eq!(entitlements.sum::<usize>(), d.entitlements.len());
    check_orgs(d);
    check_users(d);
    check_signing_keys(d);
}

/// At most one key signs with an algorithm, and only so many are published.
fn check_signing_keys(d: &Directory) {
    for algorithm in SigningAlgorithm::ALL {
        let keys = d.signing_keys.values();
        let keys = keys.filter(|key| key.algorithm() == algorithm);
        assert!(keys.clone().filter(|key| key.retires_at.is_none()).count() <= 1);
        let published = keys.filter(|key| key.is_published(d.at()));
        assert!(published.count() <= PUBLISHED_MAX);
    }
    assert_eq!(d.operator_org().is_some(), !d.orgs.is_empty());
}

fn check_orgs(d: &Directory) {
    for (id, org) in &d.orgs {
        assert_eq!(*id, org.id);
        let mut owners = org.members.iter().filter(|(_, role)| **role == Role::Owner);
        assert!(
            owners.any(|(user, _)| org.has_active(*user)),
            "{} has no owner who may act",
            org.slug
        );
        for user in org.disabled.keys() {
            assert!(org.members.contains_key(user));
            assert_eq!(d.rights_of(Actor::User(*user), org), Scopes::default());
        }
        for revocation in org.revocations.values() {
            assert!(revocation.keys.len() + revocation.barred.len() <= revocation.count);
        }
        for user in org.members.keys() {
            assert!(d.users[user].orgs.contains(id));
        }
        let ids: BTreeSet<_> = org.teams.values().map(|team| team.id).collect();
        assert_eq!(ids.len(), org.teams.len(), "two teams have one id");
        for (slug, team) in &org.teams {
            assert_eq!(slug, &team.slug);
            assert!(
                team.members
                    .iter()
                    .all(|user| org.members.contains_key(user))
            );
            for service in &team.services {
                assert!(d.services[service].teams.contains(&team.id));
                assert_eq!(d.services[service].org, *id);
            }
            assert!(
                team.scopes
                    .iter()
                    .all(|s| org.minimum_role(s.as_str()).is_some())
            );
        }
        for (slug, service) in &org.services {
            let service = &d.services[service];
            assert_eq!((&service.slug, service.org), (slug, *id));
            assert!(service.role < Role::Owner);
            for team in &service.teams {
                let team = org
                    .team(*team)
                    .expect("a service is in teams that are there");
                assert!(team.services.contains(&service.id));
            }
        }
        for token in &org.entitlements {
            assert_eq!(d.entitlements[token].org, *id);
        }
        for (invitation, open) in &org.invitations {
            assert_eq!(d.invitation_tokens[&open.token], (*id, *invitation));
            assert!(!d.api_keys.contains(open.token), "an id is given twice");
        }
        assert!(org.scopes.keys().all(|name| find_built_in(name).is_none()));
    }
}

fn check_users(d: &Directory) {
    let (mut keys, mut sessions) = (0, 0);
    for (id, user) in &d.users {
        assert_eq!(*id, user.id);
        assert!(
            user.orgs
                .iter()
                .all(|org| d.orgs[org].members.contains_key(id))
        );
        for (handle, key) in &user.keys {
            let key = &d.user_keys[key];
            assert_eq!(
                (&key.label, key.user),
                (&KeyLabel::Handle(handle.clone()), *id)
            );
        }
        if let Some(own) = user.own_token {
            assert_eq!(
                (&d.user_keys[&own].label, d.user_keys[&own].user),
                (&KeyLabel::OwnToken, *id)
            );
        }
        assert!(
            user.sessions
                .iter()
                .all(|session| d.sessions[session].user == *id)
        );
        assert!(user.sessions.is_empty() || d.may_sign_in(*id));
        if user.is_erased() {
            assert_eq!(user.email, Personal::Erased);
            assert!(user.orgs.is_empty() && user.keys.is_empty() && user.own_token.is_none());
            assert!(d.erased().any(|person| person == (*id).into()));
        }
        keys += user.keys.len() + usize::from(user.own_token.is_some());
        sessions += user.sessions.len();
    }
    assert_eq!(keys, d.user_keys.len());
    assert_eq!(sessions, d.sessions.len());
}

/// Every key that is not revoked has a living holder that names it, and holds nothing that its
/// holder does not.
fn check_keys(d: &Directory) {
    let mut living = 0;
    for key in d.api_keys.iter() {
        let id = &key.issued.id;
        assert_eq!(*id, key.issued.id);
        assert!(key.version() <= key.newest_version());
        if key.issued.kind == CredentialKind::AccessToken {
            assert_token(d, key);
            continue;
        }
        // A revocation of many keys leaves their holders, so that it can be taken back.
        if !d.has_holder(key) {
            assert!(key.revoked_at().is_some());
            assert!(key.other().is_none() && key.sealed().is_none());
            continue;
        }
        living += 1;
        let (held_by, kind) = match key.issued.holder {
            Holder::User { user, key } => {
                assert_eq!(d.user_keys[&key].user, user);
                (d.user_keys[&key].credential, CredentialKind::UserKey)
            }
            Holder::Service { org, service } => {
                assert_eq!(d.services[&service].org, org);
                (d.services[&service].credential, CredentialKind::ServiceKey)
            }
            Holder::Entitlement { org, entitlement } => {
                let token = &d.entitlements[&entitlement];
                assert_eq!(token.org, org);
                (token.credential, CredentialKind::EntitlementToken)
            }
            Holder::Client { .. } | Holder::Delegate { .. } => {
                panic!("{id} is held as a token and is none")
            }
        };
        assert_eq!(held_by, *id);
        // A service may hold what once was a person's key.
        assert!(
            kind == key.issued.kind
                || (kind, key.issued.kind) == (CredentialKind::ServiceKey, CredentialKind::UserKey)
        );
        match key.other() {
            Some(OtherSecret::Pending { secret, .. }) => {
                assert_eq!(secret.version, key.newest_version());
                assert!(secret.version > key.version());
            }
            Some(OtherSecret::Retiring { secret, .. }) => {
                assert!(secret.version < key.version() && secret.sealed.is_none());
            }
            None => {}
        }
        for (org, _) in d.barred_from(*id) {
            assert_eq!(d.effective_scopes(key, org), Scopes::default());
            assert!(matches!(key.issued.holder, Holder::User { .. }));
        }
        for org in d.orgs.values() {
            let held = d.effective_scopes(key, org.id);
            if let Some(scopes) = &key.scopes {
                assert!(held.first_beyond(scopes).is_none());
            }
            match key.issued.holder {
                Holder::User { .. } | Holder::Service { .. } => {
                    let rights = d.rights_of(key.issued.holder.actor(), org);
                    assert_eq!(
                        held.first_beyond(&rights),
                        None,
                        "{id} holds more than its holder"
                    );
                }
                Holder::Entitlement { org: own, .. } => {
                    assert!(own == org.id || held.is_empty());
                    let reads = |name: &str| {
                        let built_in = find_built_in(name).map(|entry| entry.access);
                        built_in.or_else(|| org.scopes.get(name).map(|entry| entry.access))
                            == Some(Access::Read)
                    };
                    assert!(held.iter().all(|scope| reads(scope.as_str())));
                }
                Holder::Client { .. } | Holder::Delegate { .. } => {}
            }
        }
    }
    assert_eq!(
        living,
        d.user_keys.len() + d.services.len() + d.entitlements.len()
    );
}

/// A token reaches one organization, does there what its scopes say and its holder may, and is noted to
/// leave when its time is over.
fn assert_token(d: &Directory, key: &ApiKey) {
    let (Holder::Client { org: own, .. } | Holder::Delegate { org: own, .. }) = key.issued.holder
    else {
        panic!("{} is a token and is held by no client", key.issued.id)
    };
    let scopes = key.scopes.as_ref().expect("a token has scopes");
    let expires_at = key.expires_at.expect("a token ends");
    let leaves = Expiring::AccessToken(key.issued.id);
    assert!(d.expiring.contains(&(expires_at, leaves)));
    for org in d.orgs.values() {
        let held = d.effective_scopes(key, org.id);
        assert!(held.first_beyond(scopes).is_none());
        assert!(held.iter().all(is_delegable));
        assert!(org.id == own || held.is_empty());
        if let Actor::User(user) = key.issued.holder.actor() {
            let rights = d.rights_of(Actor::User(user), org);
            assert_eq!(held.first_beyond(&rights), None);
        }
    }
}

/// What each person and each good key may do in each organization at some time. A service acts by
/// its key only.
fn reach(d: &Directory, now: Timestamp) -> BTreeMap<(OrgId, Actor, Option<CredentialId>), Scopes> {
    let good = |key: &&ApiKey| d.standing_of(key, now).is_ok();
    let mut reach = BTreeMap::new();
    for org in d.orgs.values() {
        for user in d.users.keys() {
            let actor = Actor::User(*user);
            reach.insert((org.id, actor, None), d.rights_of(actor, org));
        }
        for key in d.api_keys.iter().filter(good) {
            let of = (org.id, key.issued.holder.actor(), Some(key.issued.id));
            reach.insert(of, d.effective_scopes(key, org.id));
        }
    }
    reach
}

/// Nobody gives more than they hold: what an event lets anybody do is
/// what they could do before or what the one who caused it could.
fn check_nobody_gave_more_than_they_held(
    before: &World,
    after: &Directory,
    who: Authority,
    event: &Event,
) {
    // A new organization is its maker's, a new scope its catalogue's. An invitation was weighed when
    // it was made. Who may manage members may make a plain one, who then has what members have.
    if let Event::OrgCreated(_)
    | Event::ScopeAdded(_)
    | Event::InvitationAccepted(_)
    | Event::MemberAdded(_) = event
    {
        return;
    }
    let directory = &before.directory;
    let now = before.now.max(directory.at());
    let giver = who.credential().and_then(|id| directory.api_key(id));
    let of_giver = |org: OrgId| match (giver, directory.org(org)) {
        (Some(key), _) => directory.effective_scopes(key, org),
        (None, Some(org)) => directory.rights_of(who.actor, org),
        (None, None) => Scopes::default(),
    };
    let reached = reach(directory, now);
    for (of, has) in reach(after, now) {
        let had = reached.get(&of).cloned().unwrap_or_default();
        let theirs = of_giver(of.0);
        let beyond = has
            .iter()
            .find(|scope| !had.contains(scope.as_str()) && !theirs.contains(scope.as_str()));
        assert_eq!(beyond, None, "{who:?} gave {of:?} more by {event:?}");
    }
    // Whoever rotates a key holds its new secret, and so all that it can do and for how long.
    if let Event::ApiKeyRotated(rotated) = event {
        let key = after.api_keys.get(rotated.id).unwrap();
        for org in after.orgs.values() {
            let held = of_giver(org.id);
            assert_eq!(
                after.effective_scopes(key, org.id).first_beyond(&held),
                None
            );
        }
        if let Some(giver) = giver {
            assert!(giver.scopes.is_none() || key.scopes.is_some());
        }
    }
    let made = if let Event::UserKeyCreated(e) = event {
        Some(e.api_key.id)
    } else if let Event::ServiceCreated(e) = event {
        Some(e.api_key.id)
    } else if let Event::EntitlementCreated(e) = event {
        Some(e.api_key.id)
    } else if let Event::ApiKeyRotated(e) = event {
        Some(e.id)
    } else {
        None
    };
    if let (Some(giver), Some(made)) = (giver, made) {
        let made = after.api_keys.get(made).unwrap();
        let end = |key: &ApiKey| key.expires_at.unwrap_or(Timestamp::from_micros(i64::MAX));
        assert!(end(made) <= end(giver), "it outlives the key that made it");
        let of_test = giver.issued.environment == Environment::Test;
        assert!(
            !of_test || made.issued.environment == Environment::Test,
            "live from test"
        );
        assert!(
            giver.allowed_cidrs().is_empty() || !made.allowed_cidrs().is_empty(),
            "good from everywhere, made by one that is not"
        );
    }
    check_nobody_gave_a_wider_limit(directory, after, giver);
}

/// A credential with a limit of its own neither makes nor leaves behind a key that it let be used
/// more often, nor an organization.
fn check_nobody_gave_a_wider_limit(before: &Directory, after: &Directory, giver: Option<&ApiKey>) {
    let Some(own) = giver.and_then(ApiKey::rate_limit) else {
        return;
    };
    let within = |limit: Option<RateLimit>| limit.is_some_and(|limit| limit.is_within(own));
    for key in after.api_keys.iter() {
        let id = &key.issued.id;
        let same = before
            .api_key(*id)
            .is_some_and(|old| old.rate_limit() == key.rate_limit());
        let narrower = before
            .api_key(*id)
            .is_some_and(|old| !is_wider(key.rate_limit(), old.rate_limit()));
        assert!(
            same || narrower || within(key.rate_limit()),
            "{id} got {:?} from a key with {own:?}",
            key.rate_limit()
        );
    }
    for (id, org) in &after.orgs {
        // A new organization is its maker's, and begins without a default.
        let old = before.org(*id).map_or(org.rate_limit, |old| old.rate_limit);
        assert!(!is_wider(org.rate_limit, old) || within(org.rate_limit));
    }
}

/// The same command again changes nothing that was not changed by the first, apart from what is
/// no authority at all: a password, the note that a key was read, uses that are granted anew, and a
/// log-out everywhere of somebody who allowed apps something: whether they hold tokens is not counted.
fn check_that_twice_is_once(world: &World, who: Authority, command: Command) {
    match world.decide(who, command) {
        Ok(
            None
            | Some(
                Event::PasswordChanged(_)
                | Event::AllSessionsEnded(_)
                | Event::ApiKeyRevealed(_)
                | Event::EntitlementCreditsChanged(_)
                // A code, or a refresh token, that is shown twice.
                | Event::TokenFamilyRevoked(_),
            ),
        )
        | Err(_) => {}
        Ok(Some(event)) => panic!("twice: {event:?}"),
    }
}

fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config(768))]

    /// Whatever is asked for, by whomever, at whatever time: nothing panics, no name is taken
    /// twice, no organization loses its last owner, nothing points to what is gone, and nobody
    /// gives more than they hold.
    #[test]
    fn whatever_is_asked_for(steps in runs()) {
        play(&steps, &mut BTreeSet::new());
    }

    /// The live state equals the one rebuilt from any prefix of the records and the rest.
    #[test]
    fn a_state_is_what_its_records_say(steps in runs(), cut in any::<prop::sample::Index>()) {
        let world = play(&steps, &mut BTreeSet::new());
        let cut = cut.index(world.records.len() + 1);
        let (prefix, rest) = world.records.split_at(cut);
        let mut rebuilt = Directory::default();
        for record in prefix { rebuilt.apply(record); }
        let mut continued = rebuilt.clone();
        for record in rest { continued.apply(record); }
        prop_assert_eq!(&continued, &world.directory);
        // And the copy that was left behind was not touched by it: the two folds share no state.
        let mut again = Directory::default();
        for record in prefix { again.apply(record); }
        prop_assert_eq!(rebuilt, again);
    }

    /// A replay that finds the fields of the erased destroyed gives the state that was there before
    /// the restart, also where others went on in between.
    #[test]
    fn a_state_does_not_rest_on_what_was_erased(steps in runs()) {
        let world = play(&steps, &mut BTreeSet::new());
        let erased: BTreeSet<_> = world.directory.erased().collect();
        let mut rebuilt = Directory::default();
        for record in &world.records {
            rebuilt.apply(&super::erasure::forgotten(record, &erased));
        }
        prop_assert_eq!(&rebuilt, &world.directory);
    }

    /// The same question has the same answer, and asking changes nothing.
    #[test]
    fn deciding_is_pure(steps in runs(), last in any::<[u8; 32]>()) {
        let world = play(&steps, &mut BTreeSet::new());
        let mut dice = Dice::new(&last, NOW);
        let now = dice.instant();
        let who = dice.authority(&world.directory);
        let command = dice.command(&world.directory);
        let untouched = world.directory.clone();
        let first = decide(&world.directory, &who, command.clone(), now);
        let second = decide(&world.directory, &who, command, now);
        prop_assert_eq!(first, second);
        prop_assert_eq!(world.directory, untouched);
    }
}

/// Goal: the properties above are about something. Method: runs from a fixed seed, in which each
/// kind of event must happen.
#[test]
fn every_kind_of_event_happens_in_random_runs() {
    let mut happened = BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    let long = vec(any::<[u8; 32]>(), 500);
    for _ in 0..2_000 {
        let steps = long.new_tree(&mut runner).expect("bytes").current();
        play(&steps, &mut happened);
    }
    let all: BTreeSet<_> = Event::NAMES.iter().copied().collect();
    let never: Vec<_> = all.difference(&happened).collect();
    assert!(never.is_empty(), "never happened: {never:?}");
}
