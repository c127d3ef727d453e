//! Keys that an organization has revoked for itself alone.
//!
//! A person's key works in all organizations in which they are active, and none of them ends what
//! works in another. Nor does being in another shield a key: where it is revoked, it is barred, and
//! there it is as good as dead.

use crate::actor::{Actor, Authority};
use crate::api_key::{ApiKey, Holder};
use crate::credential::CredentialId;
use crate::directory::Directory;
use crate::id::OrgId;
use crate::org::Org;
use crate::refusal::Refusal;
use crate::time::Timestamp;

impl Directory {
    /// Whether a key was revoked for this organization alone. Every verification asks, and nearly
    /// always there is no such key at all.
    pub fn bars(&self, org: OrgId, id: CredentialId) -> bool {
        !self.barred.is_empty() && self.barred_at(org, id).is_some()
    }

    /// Whether a key is good in this organization at all: not where it was revoked, and a token nowhere
    /// but where its client is.
    pub fn reaches(&self, key: &ApiKey, org: OrgId) -> bool {
        let is_own = match key.issued.holder {
            Holder::Client { org: own, .. } | Holder::Delegate { org: own, .. } => own == org,
            Holder::User { .. } | Holder::Service { .. } | Holder::Entitlement { .. } => true,
        };
        is_own && !self.bars(org, key.issued.id)
    }

    /// Since when a key is barred from an organization.
    pub fn barred_at(&self, org: OrgId, id: CredentialId) -> Option<Timestamp> {
        self.barred.get(&id)?.get(&org).copied()
    }

    /// The organizations that a key is barred from, and since when.
    pub fn barred_from(&self, id: CredentialId) -> impl Iterator<Item = (OrgId, Timestamp)> {
        let bars = self.barred.get(&id).into_iter().flatten();
        bars.map(|(org, at)| (*org, *at))
    }

    /// The organizations in which this authority may act: those of its actor, without those that the
    /// key which was shown does not reach.
    pub fn orgs_open_to(&self, authority: &Authority) -> impl Iterator<Item = &Org> {
        let shown = authority.credential();
        let shown = shown.map(|id| self.api_key(id));
        let orgs = self.orgs_of(authority.actor);
        orgs.filter(move |org| {
            shown.is_none_or(|key| key.is_some_and(|key| self.reaches(key, org.id)))
        })
    }

    /// Whether a key would be good in another organization than this one. One in which its owner is
    /// switched off is no other, nor is one that it is barred from.
    pub fn works_elsewhere(&self, key: &ApiKey, org: OrgId) -> bool {
        let Holder::User { user, .. } = key.issued.holder else {
            return false;
        };
        self.orgs_of(Actor::User(user))
            .any(|other| other.id != org && !self.bars(other.id, key.issued.id))
    }

    /// Whether a person's key, or a new one, works nowhere that the key which was shown is barred
    /// from: or a stolen key that was revoked would make itself another, or take one over.
    ///
    /// # Errors
    /// [`Refusal::BeyondOwnOrganizations`].
    pub(crate) fn check_bars(
        &self,
        authority: &Authority,
        id: Option<CredentialId>,
    ) -> Result<(), Refusal> {
        let shown = authority.credential();
        let own = shown.and_then(|id| self.barred.get(&id));
        let theirs = id.and_then(|id| self.barred.get(&id));
        let is_kept = |org| theirs.is_some_and(|theirs| theirs.contains_key(org));
        if own.is_none_or(|own| own.keys().all(is_kept)) {
            Ok(())
        } else {
            Err(Refusal::BeyondOwnOrganizations)
        }
    }

    pub(crate) fn bar(&mut self, org: OrgId, id: CredentialId, at: Timestamp) {
        self.barred.entry(id).or_default().insert(org, at);
    }

    pub(crate) fn lift_bar(&mut self, org: OrgId, id: CredentialId) {
        if let Some(orgs) = self.barred.get_mut(&id) {
            orgs.remove(&org);
            if orgs.is_empty() {
                self.barred.remove(&id);
            }
        }
    }

    /// Of a key that ended, or whose secret its owner replaced at once.
    pub(crate) fn lift_bars(&mut self, id: CredentialId) {
        self.barred.remove(&id);
    }
}
