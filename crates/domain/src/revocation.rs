//! Revoking many keys by one event, and taking that back within an hour.
//!
//! The event names the keys: an auditor sees which they were. Where they are more than
//! [`NAMED_MAX`], whoever is in a hurry must not be told to think of a narrower filter: the event
//! then says by what they were found, and a replay finds them again in the same state. It looks at
//! nothing that a later version could read in another way: who holds and made a key, when, for
//! which environment, and what members are. What a scope means may change, so a filter with a scope
//! always names its keys.
//!
//! A person's key that works in other organizations too is barred (`bar.rs`) from this one.

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

/// The most keys that the event of a revocation names: nine bytes each in a record of at most 65,535.
pub const NAMED_MAX: usize = 6_000;

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
            Actor::System | Actor::Client(_) => None,
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

/// Which keys of an organization are meant: those to which everything here applies.
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
        self.created_before.is_none_or(|end| key.created_at < end)
            && self.created_by.is_none_or(|by| key.created_by() == by)
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
}

/// What decides besides the filter which keys are ended and which are left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Keys of members up to this role.
    pub up_to: Role,
    /// Keys of the test environment alone.
    pub test_only: bool,
    /// The credential that asked, where it was left out.
    pub except: Option<CredentialId>,
}

/// What a filter comes to at one position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The keys that are to end, the oldest first.
    pub keys: Vec<CredentialId>,
    /// Those that work in other organizations too, and end in this one.
    pub barred: Vec<CredentialId>,
    /// Those that are meant and left alone, and why.
    pub left_alone: Vec<(CredentialId, LeftAlone)>,
}

impl Selection {
    /// How many keys are good for nothing in the organization afterwards.
    pub fn count(&self) -> usize {
        self.keys.len() + self.barred.len()
    }
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
    /// Those that it barred from this organization; forgotten alike.
    pub barred: BTreeSet<CredentialId>,
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
    /// The organization.
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
    /// The organization.
    pub org: OrgId,
    /// The revocation.
    pub revocation: RevocationId,
}

/// Keys of an organization were revoked, all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeysRevoked {
    /// The organization.
    pub org: OrgId,
    /// The revocation.
    pub revocation: RevocationId,
    /// Which keys were meant.
    pub filter: RevocationFilter,
    /// How many they were.
    pub count: u64,
    /// Which of them ended altogether, where they are few enough to be named.
    pub keys: Vec<CredentialId>,
    /// Which of them ended in this organization, and work on in others.
    pub barred: Vec<CredentialId>,
    /// Where they are too many to be named: what else decided which they were.
    pub unnamed: Option<Reach>,
}

/// A revocation was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeysRevocationUndone {
    /// The organization.
    pub org: OrgId,
    /// The revocation.
    pub revocation: RevocationId,
    /// How many keys are good again: those that nothing else has ended or replaced since.
    pub count: u64,
    /// Which they are, where they are few enough to be named.
    pub keys: Vec<CredentialId>,
    /// Which are good in this organization again.
    pub barred: Vec<CredentialId>,
    /// Whether they are too many to be named.
    pub unnamed: bool,
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
        Ok(self.select(known, filter, &self.reach_of(authority, org, filter)))
    }

    fn reach_of(&self, authority: &Authority, org: OrgId, filter: &RevocationFilter) -> Reach {
        Reach {
            up_to: self.role_of(authority.actor, org).unwrap_or(Role::Member),
            test_only: !self.sees(authority, Environment::Live),
            except: authority.credential().filter(|_| !filter.include_self),
        }
    }

    /// Which keys a filter means, and what becomes of each. A replay asks it again, so it knows
    /// nothing of who asks, and nothing of time.
    pub(crate) fn select(&self, org: &Org, filter: &RevocationFilter, reach: &Reach) -> Selection {
        let kinds: Vec<HolderKind> = filter.kinds().collect();
        let mut meant: Vec<&ApiKey> = self
            .keys_in(org)
            .filter(|key| {
                let kind = HolderKind::of(key.issued.holder.actor());
                key.revoked_at().is_none()
                    && !self.bars(org.id, key.issued.id)
                    && kind.is_some_and(|kind| kinds.contains(&kind))
                    && (!reach.test_only || key.issued.environment == Environment::Test)
                    && filter.matches(self, org, key)
            })
            .collect();
        meant.sort_unstable_by_key(|key| (key.created_at, key.issued.id));
        let mut selection = Selection::default();
        for key in meant {
            let id = key.issued.id;
            let owner_role = match key.issued.holder {
                Holder::User { user, .. } => self.member_role(org.id, user),
                Holder::Service { .. }
                | Holder::Entitlement { .. }
                | Holder::Client { .. }
                | Holder::Delegate { .. } => None,
            };
            if reach.except == Some(id) {
                selection.left_alone.push((id, LeftAlone::OwnCredential));
            } else if owner_role > Some(reach.up_to) {
                selection.left_alone.push((id, LeftAlone::AboveOwnRole));
            } else if self.works_elsewhere(key, org.id) {
                selection.barred.push(id);
            } else {
                selection.keys.push(id);
            }
        }
        selection
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
        let selection = self.select_for_revocation(authority, org, &filter)?;
        let count = selection.count();
        let is_named = count <= NAMED_MAX;
        if !is_named && filter.scope.is_some() {
            return Err(Refusal::invalid(Field::Filter, Reason::TooManyKeys(count)));
        }
        if expected_count.is_some_and(|expected| expected != count) {
            return Err(Refusal::OtherCount(count));
        }
        if count == 0 {
            return Ok(None);
        }
        if self.known_org(org).revocations.contains_key(&revocation) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        let unnamed = (!is_named).then(|| self.reach_of(authority, org, &filter));
        let named = if is_named {
            selection
        } else {
            Selection::default()
        };
        Ok(Some(Event::ApiKeysRevoked(ApiKeysRevoked {
            org,
            revocation,
            filter,
            count: count as u64,
            keys: named.keys,
            barred: named.barred,
            unnamed,
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
        let (keys, barred) = (self.restorable(org, done), self.liftable(org, done));
        if done.undone_at.is_some() {
            return Ok(None);
        }
        for id in keys.iter().chain(&barred) {
            self.check_revivable(authority, org, *id)?;
        }
        if now >= done.undo_until() {
            return Err(Refusal::TooLateToUndo);
        }
        let count = keys.len() + barred.len();
        let unnamed = count > NAMED_MAX;
        let (keys, barred) = if unnamed {
            (Vec::new(), Vec::new())
        } else {
            (keys, barred)
        };
        Ok(Some(Event::ApiKeysRevocationUndone(
            ApiKeysRevocationUndone {
                org,
                revocation,
                count: count as u64,
                keys,
                barred,
                unnamed,
            },
        )))
    }

    /// The keys that a revocation ended and that nothing else has ended or replaced since.
    fn restorable(&self, org: OrgId, done: &Revocation) -> Vec<CredentialId> {
        let is_restorable = |id: &&CredentialId| {
            let key = self.api_key(**id);
            let key = key.filter(|key| key.revoked_at().is_some() && self.has_holder(key));
            // Where somebody has come into another organization since, the key would work there.
            key.is_some_and(|key| !self.works_elsewhere(key, org))
        };
        done.keys.iter().filter(is_restorable).copied().collect()
    }

    /// The keys that a revocation barred and whose secret was not replaced since.
    fn liftable(&self, org: OrgId, done: &Revocation) -> Vec<CredentialId> {
        let barred = done.barred.iter().copied();
        barred.filter(|id| self.bars(org, *id)).collect()
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
            Holder::Entitlement { .. } | Holder::Client { .. } | Holder::Delegate { .. } => None,
        };
        self.require_role(authority, org, role.unwrap_or(Role::Member))?;
        if key.scopes.is_none() && self.is_limited(authority) {
            return Err(Refusal::UnlimitedFromLimited);
        }
        self.check_grantable(authority, org, &self.unbarred_scopes(key, org))?;
        self.check_within_own(authority, key)
    }

    pub(crate) fn apply_api_keys_revoked(&mut self, event: &ApiKeysRevoked, record: &Record) {
        let (at, org) = (record.at, event.org);
        let found = event.unnamed.map(|reach| {
            let known = self.known_org(org);
            let found = self.select(known, &event.filter, &reach);
            assert_eq!(
                found.count() as u64,
                event.count,
                "revocation {} means other keys than it did",
                event.revocation
            );
            found
        });
        let (keys, barred) = match &found {
            Some(found) => (&found.keys, &found.barred),
            None => (&event.keys, &event.barred),
        };
        for id in keys {
            // Everything else stays as it is, so that it can be taken back.
            self.api_key_mut(*id).set_revoked_at(Some(at));
        }
        for id in barred {
            self.bar(org, *id, at);
        }
        let keys: BTreeSet<_> = keys.iter().copied().collect();
        let barred: BTreeSet<_> = barred.iter().copied().collect();
        let revocations = &mut self.org_mut(org).revocations;
        for earlier in revocations.values_mut() {
            if at >= earlier.undo_until() {
                earlier.keys.clear();
                earlier.barred.clear();
            } else {
                earlier.keys.retain(|id| !keys.contains(id));
                // Its owner replaced the secret since, which is another's to give back.
                earlier.barred.retain(|id| !barred.contains(id));
            }
        }
        let revocation = Revocation {
            id: event.revocation,
            at,
            by: record.origin.actor,
            filter: event.filter.clone(),
            count: keys.len() + barred.len(),
            keys,
            barred,
            undone_at: None,
        };
        revocations.insert(event.revocation, revocation);
    }

    pub(crate) fn apply_api_keys_revocation_undone(
        &mut self,
        event: &ApiKeysRevocationUndone,
        at: Timestamp,
    ) {
        let org = event.org;
        let found = event.unnamed.then(|| {
            let done = &self.known_org(org).revocations[&event.revocation];
            let found = (self.restorable(org, done), self.liftable(org, done));
            assert_eq!(
                (found.0.len() + found.1.len()) as u64,
                event.count,
                "the undo of revocation {} means other keys than it did",
                event.revocation
            );
            found
        });
        let (keys, barred) = match &found {
            Some((keys, barred)) => (keys, barred),
            None => (&event.keys, &event.barred),
        };
        for id in keys {
            self.api_key_mut(*id).set_revoked_at(None);
        }
        for id in barred {
            self.lift_bar(org, *id);
        }
        let revocation = self.org_mut(org).revocations.get_mut(&event.revocation);
        let revocation = revocation.expect("an event names a revocation that exists");
        revocation.undone_at = Some(at);
        revocation.keys.clear();
        revocation.barred.clear();
    }
}
