//! What an organization demands of keys: how long they live, whether they end, how long they may lie
//! idle, and whether their owners can read them again.
//!
//! A person's key works in all their organizations, so the strictest of them decides; one in which
//! they are switched off has no say. That a key lies idle is no harm to an organization which does
//! not mind, so a person's key is switched off for it only where all of them want it.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority};
use crate::api_key::{ApiKey, ApiKeyDisabled, DisabledFor, Holder, ends_later};
use crate::credential::CredentialId;
use crate::directory::Directory;
use crate::event::Event;
use crate::id::{OrgId, UserId};
use crate::org::Org;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::scope::built_in;
use crate::time::Timestamp;

/// The longest time that a policy may name: a hundred years, in seconds.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 3_600;

/// The shortest time after which idle keys are disabled: an hour, in seconds. Last uses are kept with
/// seconds of delay, and a minute's policy would switch off what rests between two calls.
pub const IDLE_SECONDS_MIN: u64 = 3_600;

/// When keys end that must end and for which nobody chooses when: after 90 days, in seconds.
const END_SECONDS_DEFAULT: u64 = 90 * 86_400;

/// What an organization demands of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgPolicy {
    /// How long a key lives at most from the making of its secret.
    pub max_life_seconds: Option<u64>,
    /// Whether every new key must end.
    pub expiry_required: bool,
    /// How long a key may lie idle until it is disabled.
    pub idle_disable_seconds: Option<u64>,
    /// Whether owners may read their keys again.
    pub retrievable_keys: bool,
}

impl Default for OrgPolicy {
    fn default() -> Self {
        Self {
            max_life_seconds: None,
            expiry_required: false,
            idle_disable_seconds: None,
            retrievable_keys: true,
        }
    }
}

impl OrgPolicy {
    /// What satisfies both, apart from idle keys: these are both's to switch off, after the longer time.
    #[must_use]
    fn and(self, other: Self) -> Self {
        let shorter = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let both = self.idle_disable_seconds.zip(other.idle_disable_seconds);
        let both = both.map(|(a, b)| a.max(b));
        Self {
            max_life_seconds: shorter(self.max_life_seconds, other.max_life_seconds),
            expiry_required: self.expiry_required || other.expiry_required,
            idle_disable_seconds: both,
            retrievable_keys: self.retrievable_keys && other.retrievable_keys,
        }
    }

    /// When a key whose secret was made at `since` ends at the latest.
    fn latest_end(&self, since: Timestamp) -> Option<Timestamp> {
        self.max_life_seconds
            .map(|seconds| since.plus_seconds(seconds))
    }

    /// Whether a key with a secret of `since` may have this end.
    fn check(&self, expires_at: Option<Timestamp>, since: Timestamp) -> Result<(), Refusal> {
        let latest = self.latest_end(since);
        let refused = |reason| Err(Refusal::invalid(Field::ExpiresAt, reason));
        match (expires_at, latest) {
            (None, Some(latest)) => refused(Reason::PolicyEnd(latest)),
            (None, None) if self.expiry_required => refused(Reason::PolicyNeedsEnd),
            (Some(end), Some(latest)) if end > latest => refused(Reason::PolicyEnd(latest)),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

/// Change what an organization demands of keys. `None` leaves a field as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeOrgPolicy {
    /// The organization.
    pub org: OrgId,
    /// How long a key lives at most.
    pub max_life_seconds: Option<Option<u64>>,
    /// Whether every new key must end.
    pub expiry_required: Option<bool>,
    /// How long a key may lie idle until it is disabled.
    pub idle_disable_seconds: Option<Option<u64>>,
    /// Whether owners may read their keys again.
    pub retrievable_keys: Option<bool>,
}

/// Disable a key that lay idle too long; the server's own doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DisableIdleApiKey {
    /// The key.
    pub id: CredentialId,
    /// When it was last used, as far as was counted.
    pub last_used_at: Option<Timestamp>,
}

/// An organization demands something else of keys; all of it as it is from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OrgPolicyChanged {
    /// The organization.
    pub org: OrgId,
    /// How long a key lives at most from the making of its secret.
    pub max_life_seconds: Option<u64>,
    /// Whether every new key must end.
    pub expiry_required: bool,
    /// How long a key may lie idle until it is disabled.
    pub idle_disable_seconds: Option<u64>,
    /// Whether owners may read their keys again.
    pub retrievable_keys: bool,
}

impl Directory {
    /// What is demanded of the keys of a holder: the strictest of the organizations in which they are
    /// active.
    pub fn policy_for(&self, holder: Holder) -> OrgPolicy {
        let policies = self.orgs_demanding(holder).map(|org| org.policy);
        policies.reduce(OrgPolicy::and).unwrap_or_default()
    }

    /// The organizations whose policies bind the keys of a holder.
    fn orgs_demanding(&self, holder: Holder) -> impl Iterator<Item = &Org> {
        let of_person = match holder {
            Holder::User { user, .. } => Some(self.orgs_of(Actor::User(user))),
            Holder::Service { .. }
            | Holder::Entitlement { .. }
            | Holder::Client { .. }
            | Holder::Delegate { .. } => None,
        };
        let of_org = match holder {
            Holder::Service { org, .. } | Holder::Entitlement { org, .. } => self.org(org),
            Holder::User { .. } | Holder::Client { .. } | Holder::Delegate { .. } => None,
        };
        of_person.into_iter().flatten().chain(of_org)
    }

    /// When a key of a person ends that nobody chose an end for: never, unless a policy wants one.
    pub fn end_for_policy(&self, user: UserId, now: Timestamp) -> Option<Timestamp> {
        let policies = self.orgs_of(Actor::User(user)).map(|org| org.policy);
        let policy = policies.reduce(OrgPolicy::and).unwrap_or_default();
        let unsaid = policy
            .expiry_required
            .then(|| now.plus_seconds(END_SECONDS_DEFAULT));
        policy.latest_end(now).or(unsaid)
    }

    /// Whether the owner of a key may read it again, as far as policies go.
    pub fn is_retrievable(&self, key: &ApiKey) -> bool {
        self.policy_for(key.issued.holder).retrievable_keys
    }

    /// When a key will have lain idle too long, if it is not used before. It counts from the last of:
    /// its making, its last use, its last waking, and the policy.
    pub fn idle_until(&self, key: &ApiKey, last_used_at: Option<Timestamp>) -> Option<Timestamp> {
        let policy = self.policy_for(key.issued.holder);
        let seconds = policy.idle_disable_seconds?;
        let orgs = self.orgs_demanding(key.issued.holder);
        let set_at = orgs.filter_map(|org| org.policy_changed_at).max();
        Some(
            self.idle_since(key, last_used_at, set_at)
                .plus_seconds(seconds),
        )
    }

    /// Whether this organization's policy would have a key switched off at `now` for lying idle, and
    /// another one, in which its owner is active too, does not.
    pub fn is_spared_by_others(
        &self,
        org: &Org,
        key: &ApiKey,
        last_used_at: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        let Some(seconds) = org.policy.idle_disable_seconds else {
            return false;
        };
        let since = self.idle_since(key, last_used_at, org.policy_changed_at);
        let until = self.idle_until(key, last_used_at);
        now >= since.plus_seconds(seconds) && until.is_none_or(|until| now < until)
    }

    fn idle_since(
        &self,
        key: &ApiKey,
        last_used_at: Option<Timestamp>,
        set_at: Option<Timestamp>,
    ) -> Timestamp {
        let since = [
            last_used_at,
            key.rotated_at(),
            self.enabled_at.get(&key.issued.id).copied(),
            set_at,
        ];
        let since = since.into_iter().flatten().max();
        since.map_or(key.created_at, |at| at.max(key.created_at))
    }

    /// The organizations whose policies disable keys that lie idle.
    pub fn orgs_without_idle_keys(&self) -> impl Iterator<Item = &Org> {
        let orgs = self.orgs.values();
        orgs.filter(|org| org.policy.idle_disable_seconds.is_some())
    }

    pub(crate) fn decide_change_org_policy(
        &self,
        authority: &Authority,
        command: ChangeOrgPolicy,
    ) -> Result<Option<Event>, Refusal> {
        let org = command.org;
        self.require(authority, org, built_in::WORKSPACES_WRITE)?;
        let before = self.known_org(org).policy;
        let after = OrgPolicy {
            max_life_seconds: command.max_life_seconds.unwrap_or(before.max_life_seconds),
            expiry_required: command.expiry_required.unwrap_or(before.expiry_required),
            idle_disable_seconds: command
                .idle_disable_seconds
                .unwrap_or(before.idle_disable_seconds),
            retrievable_keys: command.retrievable_keys.unwrap_or(before.retrievable_keys),
        };
        let between = |field, value: Option<u64>, least| match value {
            Some(seconds) if seconds < least => {
                Err(Refusal::invalid(field, Reason::AtLeast(least)))
            }
            Some(seconds) if seconds > SECONDS_MAX => {
                Err(Refusal::invalid(field, Reason::AtMost(SECONDS_MAX)))
            }
            Some(_) | None => Ok(()),
        };
        between(Field::MaxLifeSeconds, after.max_life_seconds, 1)?;
        let idle = after.idle_disable_seconds;
        between(Field::IdleDisableSeconds, idle, IDLE_SECONDS_MIN)?;
        if after == before {
            return Ok(None);
        }
        Ok(Some(Event::OrgPolicyChanged(OrgPolicyChanged {
            org,
            max_life_seconds: after.max_life_seconds,
            expiry_required: after.expiry_required,
            idle_disable_seconds: after.idle_disable_seconds,
            retrievable_keys: after.retrievable_keys,
        })))
    }

    /// Asked again here, where nothing comes between: a key that was switched off, used no longer
    /// ago, or whose policy was lifted meanwhile stays as it is.
    pub(crate) fn decide_disable_idle_api_key(
        &self,
        authority: &Authority,
        command: DisableIdleApiKey,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let key = self
            .api_key(command.id)
            .filter(|_| authority.actor == Actor::System)
            .ok_or(Refusal::Unknown(Noun::Key))?;
        let is_idle = self
            .idle_until(key, command.last_used_at)
            .is_some_and(|until| now >= until);
        if !is_idle || key.revoked_at().is_some() || key.disabled_at().is_some() {
            return Ok(None);
        }
        Ok(Some(Event::ApiKeyDisabled(ApiKeyDisabled {
            id: command.id,
            reason: Some(DisabledFor::Idle),
        })))
    }

    /// Whether policies allow a new key to have this end.
    pub(crate) fn check_policy(
        &self,
        holder: Holder,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.policy_for(holder).check(expires_at, now)
    }

    /// Whether policies allow this end in place of the present one. An earlier end is always right;
    /// a later one counts from the making of the secret, or it could be put off for ever.
    pub(crate) fn check_policy_for_change(
        &self,
        key: &ApiKey,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        if !ends_later(expires_at, key.expires_at) {
            return Ok(());
        }
        let since = key.rotated_at().unwrap_or(key.created_at);
        self.policy_for(key.issued.holder).check(expires_at, since)
    }

    pub(crate) fn apply_org_policy_changed(&mut self, event: OrgPolicyChanged, at: Timestamp) {
        let org = self.org_mut(event.org);
        let policy = OrgPolicy {
            max_life_seconds: event.max_life_seconds,
            expiry_required: event.expiry_required,
            idle_disable_seconds: event.idle_disable_seconds,
            retrievable_keys: event.retrievable_keys,
        };
        if policy.idle_disable_seconds != org.policy.idle_disable_seconds {
            org.policy_changed_at = Some(at);
        }
        org.policy = policy;
    }
}
