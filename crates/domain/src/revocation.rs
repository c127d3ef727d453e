//! Revoking many keys by one event, and taking that back within an hour.
//!
//! The event names the keys, not the filter alone: what happened stays what it was, however the
//! filter would be read in ten years. That bounds one revocation to [`REVOKED_MAX`] keys.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::api_key::{ApiKey, Holder};
use crate::credential::{CredentialId, Environment};
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{OrgId, RevocationId};
use crate::org::Org;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::scope::{Scope, built_in};
use crate::time::Timestamp;

/// How long a revocation can be taken back: an hour, in seconds.
pub const UNDO_SECONDS: u64 = 3_600;

/// The most keys that one revocation ends: nine bytes each in a record of at most 65,535.
pub const REVOKED_MAX: usize = 6_000;

/// What kind of holder keys have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HolderKind {
    /// People.
    User,
    /// Services.
    Service,
    /// Entitlement tokens.
    Entitlement,
}

impl HolderKind {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::User, Self::Service, Self::Entitlement];

    /// The right that it takes to revoke keys of such holders.
    pub const fn right(self) -> &'static str {
        match self {
            Self::User => built_in::USERS_WRITE,
            Self::Service => built_in::SERVICES_WRITE,
            Self::Entitlement => built_in::ENTITLEMENTS_WRITE,
        }
    }

    /// The kind of an actor that can hold a key.
    pub const fn of(actor: Actor) -> Option<Self> {
        match actor {
            Actor::System => None,
            Actor::User(_) => Some(Self::User),
            Actor::Service(_) => Some(Self::Service),
            Actor::Entitlement(_) => Some(Self::Entitlement),
        }
    }
}

impl core::str::FromStr for HolderKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "user" => Ok(Self::User),
            "service" => Ok(Self::Service),
            "entitlement" => Ok(Self::Entitlement),
            _ => Err(()),
        }
    }
}

/// Which keys of an organisation are meant: those to which everything here applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationFilter {
    /// All, where nothing else is said: an empty filter must not pass for it.
    pub all: bool,
    /// Made before this instant.
    pub created_before: Option<Timestamp>,
    /// Made by this actor.
    pub created_by: Option<Actor>,
    /// Good for this scope at the moment.
    pub scope: Option<Scope>,
    /// Held by this actor.
    pub owner: Option<Actor>,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// Held by this kind of holder.
    pub kind: Option<HolderKind>,
    /// The very credential that asks, too.
    pub include_self: bool,
}

impl RevocationFilter {
    /// Whether it says which keys are meant.
    pub const fn says_something(&self) -> bool {
        self.all
            || self.created_before.is_some()
            || self.created_by.is_some()
            || self.scope.is_some()
            || self.owner.is_some()
            || self.environment.is_some()
            || self.kind.is_some()
    }

    /// The kinds of holders whose keys can be among those that are meant.
    pub fn kinds(&self) -> impl Iterator<Item = HolderKind> {
        let owner = self.owner.map(HolderKind::of);
        let kind = self.kind;
        HolderKind::ALL.into_iter().filter(move |one| {
            kind.is_none_or(|kind| kind == *one) && owner.is_none_or(|owner| owner == Some(*one))
        })
    }

    fn matches(&self, directory: &Directory, org: &Org, key: &ApiKey) -> bool {
        let issued = &key.issued;
        self.created_before
            .is_none_or(|end| issued.created_at < end)
            && self.created_by.is_none_or(|by| issued.created_by == by)
            && self
                .owner
                .is_none_or(|owner| issued.holder.actor() == owner)
            && self.environment.is_none_or(|its| issued.environment == its)
            && self
                .scope
                .as_ref()
                .is_none_or(|scope| directory.key_holds(key, org, scope.as_str()))
    }
}

/// Why a key that is meant is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftAlone {
    /// It is the credential that asks, and the filter does not say that it is meant too.
    OwnCredential,
    /// Its owner's role is above the caller's.
    AboveOwnRole,
    /// Its owner is in other organisations as well, where the key is not the caller's to end.
    InOtherOrganizations,
}

/// What a filter comes to at one position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The keys that are to end, the oldest first.
    pub keys: Vec<CredentialId>,
    /// Those that are meant and left alone, and why.
    pub left_alone: Vec<(CredentialId, LeftAlone)>,
}

/// A revocation of many keys, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Its identifier.
    pub id: RevocationId,
    /// When it was.
    pub at: Timestamp,
    /// Who did it.
    pub by: Actor,
    /// Which keys were meant.
    pub filter: RevocationFilter,
    /// How many it ended.
    pub count: usize,
    /// Those that are dead by it and by no later one. Forgotten some time after it is too late to
    /// take it back.
    pub keys: BTreeSet<CredentialId>,
    /// When it was taken back.
    pub undone_at: Option<Timestamp>,
}

impl Revocation {
    /// When it is too late to take it back.
    pub const fn undo_until(&self) -> Timestamp {
        self.at.plus_seconds(UNDO_SECONDS)
    }
}

/// Revoke all keys that a filter means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeApiKeys {
    /// The organisation.
    pub org: OrgId,
    /// The revocation.
    pub revocation: RevocationId,
    /// Which keys are meant.
    pub filter: RevocationFilter,
    /// How many the caller was told they would be.
    pub expected_count: Option<usize>,
}

/// Take a revocation back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndoRevocation {
    /// The organisation.
    pub org: OrgId,
    /// The revocation.
    pub revocation: RevocationId,
}

/// Keys of an organisation were revoked, all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeysRevoked {
    /// The organisation.
    pub org: OrgId,
    /// The revocation.
    pub revocation: RevocationId,
    /// Which keys were meant.
    pub filter: RevocationFilter,
    /// Which they were.
    pub keys: Vec<CredentialId>,
}

/// A revocation was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeysRevocationUndone {
    /// The organisation.
    pub org: OrgId,
    /// The revocation.
    pub revocation: RevocationId,
    /// The keys that are good again: those that nothing else has ended or replaced since.
    pub keys: Vec<CredentialId>,
}

impl Directory {
    /// What a filter comes to for this authority.
    ///
    /// # Errors
    /// As [`Directory::require`] for the rights that the kinds of holders take; 422 for a filter
    /// that says nothing.
    pub fn select_for_revocation(
        &self,
        authority: &Authority,
        org: OrgId,
        filter: &RevocationFilter,
    ) -> Result<Selection, Refusal> {
        let known = self.require_visible(authority, org)?;
        let kinds: Vec<HolderKind> = filter.kinds().collect();
        for kind in &kinds {
            self.require(authority, org, kind.right())?;
        }
        if !filter.says_something() {
            return Err(Refusal::invalid(Field::Filter, Reason::MeansAll));
        }
        let mut meant: Vec<&ApiKey> = self
            .keys_in(known)
            .filter(|key| {
                let kind = HolderKind::of(key.issued.holder.actor());
                key.revoked_at.is_none()
                    && kind.is_some_and(|kind| kinds.contains(&kind))
                    && self.sees(authority, key.issued.environment)
                    && filter.matches(self, known, key)
            })
            .collect();
        meant.sort_unstable_by_key(|key| (key.issued.created_at, key.issued.id));
        let mut selection = Selection::default();
        for key in meant {
            let id = key.issued.id;
            match self.why_left_alone(authority, known, filter, key) {
                Some(reason) => selection.left_alone.push((id, reason)),
                None => selection.keys.push(id),
            }
        }
        Ok(selection)
    }

    fn why_left_alone(
        &self,
        authority: &Authority,
        org: &Org,
        filter: &RevocationFilter,
        key: &ApiKey,
    ) -> Option<LeftAlone> {
        if authority.credential() == Some(key.issued.id) && !filter.include_self {
            return Some(LeftAlone::OwnCredential);
        }
        let Holder::User { user, .. } = key.issued.holder else {
            return None;
        };
        if self.member_role(org.id, user) > self.role_of(authority.actor, org.id) {
            return Some(LeftAlone::AboveOwnRole);
        }
        (!self.is_only_in(user, org.id)).then_some(LeftAlone::InOtherOrganizations)
    }

    pub(crate) fn decide_revoke_api_keys(
        &self,
        authority: &Authority,
        command: RevokeApiKeys,
    ) -> Result<Option<Event>, Refusal> {
        let RevokeApiKeys {
            org,
            revocation,
            filter,
            expected_count,
        } = command;
        let keys = self.select_for_revocation(authority, org, &filter)?.keys;
        let count = keys.len();
        if count > REVOKED_MAX {
            return Err(Refusal::invalid(Field::Filter, Reason::TooManyKeys(count)));
        }
        if expected_count.is_some_and(|expected| expected != count) {
            return Err(Refusal::OtherCount(count));
        }
        if keys.is_empty() {
            return Ok(None);
        }
        if self.known_org(org).revocations.contains_key(&revocation) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        Ok(Some(Event::ApiKeysRevoked(ApiKeysRevoked {
            org,
            revocation,
            filter,
            keys,
        })))
    }

    /// Whoever wakes the keys again must hold what they can do, as if they made them.
    pub(crate) fn decide_undo_revocation(
        &self,
        authority: &Authority,
        command: UndoRevocation,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let UndoRevocation { org, revocation } = command;
        let known = self.require_visible(authority, org)?;
        let done = known.revocations.get(&revocation);
        // Who may not revoke learns nothing of what was revoked.
        let kinds = done.map(|done| done.filter.kinds().collect::<Vec<_>>());
        for kind in kinds.as_deref().unwrap_or(&HolderKind::ALL) {
            self.require(authority, org, kind.right())?;
        }
        let done = done.ok_or(Refusal::Unknown(Noun::Revocation))?;
        let keys = self.restorable(org, done);
        if done.undone_at.is_some() {
            return Ok(None);
        }
        for id in &keys {
            self.check_revivable(authority, org, *id)?;
        }
        if now >= done.undo_until() {
            return Err(Refusal::TooLateToUndo);
        }
        Ok(Some(Event::ApiKeysRevocationUndone(
            ApiKeysRevocationUndone {
                org,
                revocation,
                keys,
            },
        )))
    }

    /// The keys that a revocation ended and that nothing else has ended or replaced since.
    fn restorable(&self, org: OrgId, done: &Revocation) -> Vec<CredentialId> {
        let is_restorable = |id: &&CredentialId| {
            let key = self.api_key(**id);
            let key = key.filter(|key| key.revoked_at.is_some() && self.has_holder(key));
            key.is_some_and(|key| match key.issued.holder {
                // Where somebody has come into another organisation since, the key would work there.
                Holder::User { user, .. } => self.is_only_in(user, org),
                Holder::Service { .. } | Holder::Entitlement { .. } => true,
            })
        };
        done.keys.iter().filter(is_restorable).copied().collect()
    }

    fn check_revivable(
        &self,
        authority: &Authority,
        org: OrgId,
        id: CredentialId,
    ) -> Result<(), Refusal> {
        let key = self.api_key(id).ok_or(Refusal::Unknown(Noun::Key))?;
        if !self.sees(authority, key.issued.environment) {
            return Err(Refusal::LiveFromTest);
        }
        let role = match key.issued.holder {
            Holder::User { user, .. } => self.member_role(org, user),
            Holder::Service { service, .. } => self.service(service).map(|service| service.role),
            Holder::Entitlement { .. } => None,
        };
        self.require_role(authority, org, role.unwrap_or(Role::Member))?;
        if key.scopes.is_none() && self.is_limited(authority) {
            return Err(Refusal::UnlimitedFromLimited);
        }
        self.check_grantable(authority, org, &self.effective_scopes(key, org))?;
        self.check_within_own(authority, key)
    }

    pub(crate) fn apply_api_keys_revoked(&mut self, event: &ApiKeysRevoked, record: &Record) {
        let at = record.at;
        for id in &event.keys {
            // Everything else stays as it is, so that it can be taken back.
            self.api_key_mut(*id).revoked_at = Some(at);
        }
        let keys: BTreeSet<_> = event.keys.iter().copied().collect();
        let revocations = &mut self.org_mut(event.org).revocations;
        for earlier in revocations.values_mut() {
            if at >= earlier.undo_until() {
                earlier.keys.clear();
            } else {
                earlier.keys.retain(|id| !keys.contains(id));
            }
        }
        let revocation = Revocation {
            id: event.revocation,
            at,
            by: record.origin.actor,
            filter: event.filter.clone(),
            count: event.keys.len(),
            keys,
            undone_at: None,
        };
        revocations.insert(event.revocation, revocation);
    }

    pub(crate) fn apply_api_keys_revocation_undone(
        &mut self,
        event: &ApiKeysRevocationUndone,
        at: Timestamp,
    ) {
        for id in &event.keys {
            self.api_key_mut(*id).revoked_at = None;
        }
        let revocation = self
            .org_mut(event.org)
            .revocations
            .get_mut(&event.revocation);
        let revocation = revocation.expect("an event names a revocation that exists");
        revocation.undone_at = Some(at);
        revocation.keys.clear();
    }
}
