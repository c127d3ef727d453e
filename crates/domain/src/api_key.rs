//! An API key as it is used: its secrets, its limits and what ended it.
//!
//! User keys, services and entitlement tokens each hold one; what is the same for the three is
//! here, what they are for is in their own files.

mod kept;

use core::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Authority, Proof};
use crate::credential::{CredentialId, Environment};
use crate::digest::{Digest, SealedSecret};
use crate::directory::Directory;
use crate::event::{Event, Record};
use crate::id::{ClientId, EntitlementId, KeyId, OrgId, ServiceId, UserId};
use crate::personal::Personal;
use crate::rate_limit::{RateLimit, is_wider};
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::scope::{Scopes, built_in};
use crate::time::Timestamp;
use crate::user_key::KeyLabel;

pub use crate::api_key::kept::{ApiKey, Ended, Issued, OtherSecret, Secret, Shown};

/// The longest grace of a rotation: 30 days, in seconds.
pub const GRACE_SECONDS_MAX: u64 = 30 * 24 * 3_600;

/// The most networks an allow-list may name.
pub const ALLOWED_CIDRS_MAX: usize = 64;

/// Who a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Holder {
    /// A person, through one of their keys.
    User {
        /// The person.
        user: UserId,
        /// The key.
        key: KeyId,
    },
    /// A service.
    Service {
        /// Its organization.
        org: OrgId,
        /// The service.
        service: ServiceId,
    },
    /// An entitlement token.
    Entitlement {
        /// Its organization.
        org: OrgId,
        /// The token.
        entitlement: EntitlementId,
    },
    /// An OAuth client that acts for itself, by an access token.
    Client {
        /// Its organization.
        org: OrgId,
        /// The client.
        client: ClientId,
    },
    /// A person for whom an OAuth client acts, by an access token. It reaches nothing outside of the
    /// client's organization, whatever else the person is in.
    Delegate {
        /// The client's organization.
        org: OrgId,
        /// The person.
        user: UserId,
        /// The tokens that belong together.
        family: CredentialId,
    },
}

impl Holder {
    /// Who acts when the key is shown.
    pub const fn actor(self) -> Actor {
        match self {
            Self::User { user, .. } | Self::Delegate { user, .. } => Actor::User(user),
            Self::Service { service, .. } => Actor::Service(service),
            Self::Entitlement { entitlement, .. } => Actor::Entitlement(entitlement),
            Self::Client { client, .. } => Actor::Client(client),
        }
    }
}

/// What is given to a new key; part of the event that makes its holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewApiKey {
    /// Its public id, drawn by the caller.
    pub id: CredentialId,
    /// Where it belongs.
    pub environment: Environment,
    /// What is kept of its secret.
    #[serde(skip)]
    pub digest: Digest,
    /// What it may do; without, all that its owner may.
    pub scopes: Option<Scopes>,
    /// When it ends: it is good while now is before.
    pub expires_at: Option<Timestamp>,
    /// The networks it may be used from; empty means any.
    pub allowed_cidrs: Arc<[IpNet]>,
    /// How often it may be used; without, as often as where it is used allows.
    pub rate_limit: Option<RateLimit>,
}

/// When the old secret of a rotated key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "activate", rename_all = "snake_case")]
pub enum Activation {
    /// The new secret is good from now on; the old one for `grace_seconds` more, 0 for not at all.
    Now {
        /// How long the old one stays good.
        grace_seconds: u64,
    },
    /// The new secret waits until it is first used; only then the old one's grace begins.
    FirstUse {
        /// How long the old one stays good after that.
        grace_seconds: u64,
    },
}

impl Activation {
    const fn grace_seconds(self) -> u64 {
        match self {
            Self::Now { grace_seconds } | Self::FirstUse { grace_seconds } => grace_seconds,
        }
    }
}

/// Replace the secret of a key. The id stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotateApiKey {
    /// The key.
    pub id: CredentialId,
    /// The version the new secret will have, one more than [`ApiKey::newest_version`]: it is part
    /// of what the secret is sealed for, so two rotations at once must not take the same.
    pub version: u32,
    /// What is kept of the new secret.
    pub digest: Digest,
    /// The new secret sealed, where its owner may read it again.
    pub sealed: Option<SealedSecret>,
    /// When the old one ends.
    pub activation: Activation,
}

/// Take back a rotation whose new secret was not used yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndoApiKeyRotation {
    /// The key.
    pub id: CredentialId,
}

/// A pending secret was shown for the first time: it becomes the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivateApiKey {
    /// The key.
    pub id: CredentialId,
    /// Which secret was shown.
    pub version: u32,
}

/// Switch a key off or on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchApiKey {
    /// The key.
    pub id: CredentialId,
    /// Whether it is to be off.
    pub disabled: bool,
}

/// Change what a key may do, from where, how long and how often. `None` leaves a field as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestrictApiKey {
    /// The key.
    pub id: CredentialId,
    /// What it may do.
    pub scopes: Option<Option<Scopes>>,
    /// When it ends.
    pub expires_at: Option<Option<Timestamp>>,
    /// The networks it may be used from.
    pub allowed_cidrs: Option<Arc<[IpNet]>>,
    /// How often it may be used.
    pub rate_limit: Option<Option<RateLimit>>,
}

/// Note that a retrievable key was read by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevealApiKey {
    /// The key.
    pub id: CredentialId,
}

/// The secret of a key was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyRotated {
    /// The key.
    pub id: CredentialId,
    /// What is kept of the new secret.
    #[serde(skip)]
    pub digest: Digest,
    /// The new secret sealed, where its owner may read it again.
    #[serde(skip)]
    pub sealed: Option<Personal<SealedSecret>>,
    /// When the old one ends.
    pub activation: Activation,
}

impl ApiKeyRotated {
    /// Whether nothing is left of the secret that was revoked anywhere: the old one is good no
    /// longer, and no key had a hand in the new one.
    pub(crate) const fn renews(&self, by: Option<CredentialId>) -> bool {
        by.is_none() && matches!(self.activation, Activation::Now { grace_seconds: 0 })
    }
}

/// A rotation was taken back before its new secret was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyRotationUndone {
    /// The key.
    pub id: CredentialId,
}

/// A new secret was used for the first time, and the old one's grace began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyActivated {
    /// The key.
    pub id: CredentialId,
}

/// Why a key was switched off, where nobody asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledFor {
    /// It lay idle for longer than the organization's policy allows.
    Idle,
}

/// A key was switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyDisabled {
    /// The key.
    pub id: CredentialId,
    /// Why, where nobody asked for it.
    pub reason: Option<DisabledFor>,
}

/// A key was switched on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyEnabled {
    /// The key.
    pub id: CredentialId,
}

/// What a key may do, from where, how long or how often was changed; all four as they are from now
/// on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyRestricted {
    /// The key.
    pub id: CredentialId,
    /// What it may do; without, all that its owner may.
    pub scopes: Option<Scopes>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The networks it may be used from.
    pub allowed_cidrs: Arc<[IpNet]>,
    /// How often it may be used; without, as often as where it is used allows.
    pub rate_limit: Option<RateLimit>,
}

/// A retrievable key was read by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyRevealed {
    /// The key.
    pub id: CredentialId,
}

impl Directory {
    /// Finds a key that `authority` may manage: its own user key with `keys:write`, its
    /// organization's service with `services:write` and entitlement with `entitlements:write`.
    fn managed(&self, authority: &Authority, id: CredentialId) -> Result<&ApiKey, Refusal> {
        self.held_key(authority, id)
            .and_then(|key| match key.revoked_at() {
                Some(_) => Err(Refusal::Unknown(Noun::Key)),
                None => Ok(key),
            })
    }

    /// As [`Directory::managed`], and with those that a revocation of many ended: their holders are
    /// there, and give them another secret.
    fn held_key(&self, authority: &Authority, id: CredentialId) -> Result<&ApiKey, Refusal> {
        let visible = |key: &&ApiKey| {
            let near = match key.issued.holder {
                Holder::User { user, .. } => authority.actor == Actor::User(user),
                Holder::Service { org, .. } | Holder::Entitlement { org, .. } => {
                    self.require_visible(authority, org).is_ok()
                }
                // Nobody rotates a token or switches it off: its client and its family are.
                Holder::Client { .. } | Holder::Delegate { .. } => false,
            };
            near && self.sees(authority, key.issued.environment) && self.has_holder(key)
        };
        let key = self
            .api_key(id)
            .filter(visible)
            .ok_or(Refusal::Unknown(Noun::Key))?;
        match key.issued.holder {
            Holder::User { .. } => self.require_own(authority, built_in::KEYS_WRITE)?,
            Holder::Service { org, .. } => {
                self.require(authority, org, built_in::SERVICES_WRITE)?;
            }
            Holder::Entitlement { org, .. } => {
                self.require(authority, org, built_in::ENTITLEMENTS_WRITE)?;
            }
            Holder::Client { .. } | Holder::Delegate { .. } => {
                return Err(Refusal::Unknown(Noun::Key));
            }
        }
        Ok(key)
    }

    pub(crate) fn decide_rotate_api_key(
        &self,
        authority: &Authority,
        command: RotateApiKey,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let key = self.held_key(authority, command.id)?;
        self.check_not_beyond(authority, key)?;
        // Of a revoked key nothing is good any more: no grace brings its old secret back.
        let activation = match key.revoked_at() {
            Some(_) => Activation::Now { grace_seconds: 0 },
            None => command.activation,
        };
        if activation.grace_seconds() > GRACE_SECONDS_MAX {
            return Err(Refusal::invalid(
                Field::GraceSeconds,
                Reason::AtMost(GRACE_SECONDS_MAX),
            ));
        }
        // At once always helps in an emergency; anything gentler would cut a promised grace short.
        let at_once = activation == Activation::Now { grace_seconds: 0 };
        if !at_once && key.rotation_under_way(now) {
            return Err(Refusal::RotationUnderWay);
        }
        if command.version != key.newest_version() + 1 {
            return Err(Refusal::RotatedMeanwhile);
        }
        Ok(Some(Event::ApiKeyRotated(ApiKeyRotated {
            id: command.id,
            digest: command.digest,
            sealed: command
                .sealed
                .filter(|_| self.is_retrievable(key))
                .map(Personal::Known),
            activation,
        })))
    }

    pub(crate) fn decide_undo_api_key_rotation(
        &self,
        authority: &Authority,
        command: UndoApiKeyRotation,
    ) -> Result<Option<Event>, Refusal> {
        let key = self.managed(authority, command.id)?;
        match key.other() {
            Some(OtherSecret::Pending { .. }) => {
                Ok(Some(Event::ApiKeyRotationUndone(ApiKeyRotationUndone {
                    id: command.id,
                })))
            }
            Some(OtherSecret::Retiring { .. }) | None => Err(Refusal::NoRotationToUndo),
        }
    }

    /// No authority is asked: whoever shows the secret has it.
    pub(crate) fn decide_activate_api_key(
        &self,
        command: ActivateApiKey,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let key = self
            .api_key(command.id)
            .ok_or(Refusal::Unknown(Noun::Key))?;
        // The rotation may have been undone, or the key ended, since the secret was shown.
        self.standing_of(key, now)
            .map_err(|_| Refusal::CredentialEnded)?;
        if key.version() == command.version {
            return Ok(None);
        }
        match key.other() {
            Some(OtherSecret::Pending { secret, .. }) if secret.version == command.version => {
                Ok(Some(Event::ApiKeyActivated(ApiKeyActivated {
                    id: command.id,
                })))
            }
            // Used for the first time and already rotated out again, but still in its grace.
            Some(OtherSecret::Retiring { secret, until })
                if secret.version == command.version && now < *until =>
            {
                Ok(None)
            }
            Some(_) | None => Err(Refusal::CredentialEnded),
        }
    }

    pub(crate) fn decide_switch_api_key(
        &self,
        authority: &Authority,
        command: SwitchApiKey,
    ) -> Result<Option<Event>, Refusal> {
        let key = self.managed(authority, command.id)?;
        let id = command.id;
        Ok(match (key.disabled_at().is_some(), command.disabled) {
            (false, true) => Some(Event::ApiKeyDisabled(ApiKeyDisabled { id, reason: None })),
            (true, false) => {
                // Waking a key gives all that it can do.
                self.check_not_beyond(authority, key)?;
                Some(Event::ApiKeyEnabled(ApiKeyEnabled { id }))
            }
            (true, true) | (false, false) => None,
        })
    }

    pub(crate) fn decide_restrict_api_key(
        &self,
        authority: &Authority,
        command: RestrictApiKey,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let key = self.managed(authority, command.id)?;
        let event = ApiKeyRestricted {
            id: command.id,
            scopes: command.scopes.unwrap_or_else(|| key.scopes.clone()),
            expires_at: command.expires_at.unwrap_or(key.expires_at),
            allowed_cidrs: command
                .allowed_cidrs
                .unwrap_or_else(|| key.allowed_cidrs().into()),
            rate_limit: command.rate_limit.unwrap_or(key.rate_limit()),
        };
        let mut after = key.clone();
        after.restrict(&event);
        if after == *key {
            return Ok(None);
        }
        let holder = key.issued.holder;
        if after.scopes != key.scopes {
            self.check_mintable(authority, holder, after.scopes.as_ref())?;
        }
        // More of one thing is more of all: an expired key that lives again can do what its scopes
        // say, so whoever widens anything answers for the whole key.
        if after.reaches_beyond(key) {
            self.check_not_beyond(authority, &after)?;
        }
        if after.scopes != key.scopes {
            self.check_scopes(holder, after.scopes.as_ref())?;
        }
        if after.expires_at != key.expires_at {
            check_in_future(after.expires_at, now)?;
            self.check_policy_for_change(key, after.expires_at)?;
        }
        check_cidrs(after.allowed_cidrs())?;
        Ok(Some(Event::ApiKeyRestricted(event)))
    }

    /// Only the owner's password or session, or that very key, may read a key again: a stolen
    /// key must not open the others.
    pub(crate) fn decide_reveal_api_key(
        &self,
        authority: &Authority,
        command: RevealApiKey,
    ) -> Result<Option<Event>, Refusal> {
        let key = self
            .api_key(command.id)
            .ok_or(Refusal::Unknown(Noun::Key))?;
        let Holder::User { user, .. } = key.issued.holder else {
            return Err(Refusal::Unknown(Noun::Key));
        };
        if authority.actor != Actor::User(user) || key.revoked_at().is_some() {
            return Err(Refusal::Unknown(Noun::Key));
        }
        // Its current secret, that is: one in its grace must not fetch the one that replaced it.
        let version = key.version();
        let that_very_key = authority.proof
            == Proof::Credential {
                id: command.id,
                version,
            };
        if !authority.is_password_backed() && !that_very_key {
            return Err(Refusal::PasswordNeeded);
        }
        // The log says a key was read only where there was something to read.
        if !self.is_retrievable(key) {
            return Ok(None);
        }
        let pending = match key.other() {
            Some(OtherSecret::Pending { secret, .. }) => secret.sealed.as_ref(),
            Some(OtherSecret::Retiring { .. }) | None => None,
        };
        if key.sealed().or(pending).is_none() {
            return Ok(None);
        }
        Ok(Some(Event::ApiKeyRevealed(ApiKeyRevealed {
            id: command.id,
        })))
    }

    /// Whoever rotates or wakes a key gets all that it can do, so it may not reach further than
    /// they do.
    pub(crate) fn check_not_beyond(
        &self,
        authority: &Authority,
        key: &ApiKey,
    ) -> Result<(), Refusal> {
        if let Proof::Credential { id, version } = authority.proof {
            let same = id == key.issued.id;
            // A secret in its grace takes over nothing, however soon the key itself ends.
            if same && version != key.version() {
                return Err(Refusal::BeyondOwnLifetime);
            }
            // Nor does any other key put its own secret in the place of the user's own token.
            if !same && self.is_own_token(key) {
                return Err(Refusal::PasswordNeeded);
            }
        }
        if key.scopes.is_none() && self.is_limited(authority) {
            return Err(Refusal::UnlimitedFromLimited);
        }
        match key.issued.holder {
            // One's own keys reach no further than oneself; only the scopes can differ. So a person
            // who was demoted can still rotate a key that once could do more.
            Holder::User { .. } => {
                self.check_bars(authority, Some(key.issued.id))?;
                let own = authority.credential().and_then(|id| self.api_key(id));
                let own = own.and_then(|own| own.scopes.as_ref());
                if let (Some(own), Some(scopes)) = (own, &key.scopes)
                    && let Some(beyond) = scopes.first_beyond(own)
                {
                    return Err(Refusal::BeyondOwnRights(beyond.clone()));
                }
            }
            Holder::Service { org, service } => {
                // Without scopes it has its role, which is more than the rights of the moment.
                if key.scopes.is_none()
                    && let Some(service) = self.service(service)
                {
                    self.require_role(authority, org, service.role)?;
                }
                self.check_grantable(authority, org, &self.effective_scopes(key, org))?;
            }
            Holder::Entitlement { org, .. }
            | Holder::Client { org, .. }
            | Holder::Delegate { org, .. } => {
                self.check_grantable(authority, org, &self.effective_scopes(key, org))?;
            }
        }
        self.check_within_own(authority, key)
    }

    /// Whether a key neither outlives what the authority showed nor is good where that is not.
    pub(crate) fn check_within_own(
        &self,
        authority: &Authority,
        key: &ApiKey,
    ) -> Result<(), Refusal> {
        self.check_outlived(authority, key.expires_at)?;
        self.check_networks(authority, key.allowed_cidrs())?;
        self.check_rate_limit(authority, key.rate_limit())
    }

    /// Whether nothing limits what the authority showed but its scopes: for what it makes that has no
    /// end, no networks and no rate of its own.
    pub(crate) fn check_unbounded(&self, authority: &Authority) -> Result<(), Refusal> {
        self.check_outlived(authority, None)?;
        self.check_networks(authority, &[])?;
        self.check_rate_limit(authority, None)
    }

    /// Checks that whoever makes a key gives nothing that they do not hold.
    pub(crate) fn check_may_mint(
        &self,
        authority: &Authority,
        holder: Holder,
        new: &NewApiKey,
    ) -> Result<(), Refusal> {
        self.check_mintable(authority, holder, new.scopes.as_ref())?;
        if let Holder::User { .. } = holder {
            self.check_bars(authority, None)?;
        }
        self.check_outlived(authority, new.expires_at)?;
        self.check_networks(authority, &new.allowed_cidrs)?;
        self.check_rate_limit(authority, new.rate_limit)?;
        if !self.sees(authority, new.environment) {
            return Err(Refusal::LiveFromTest);
        }
        Ok(())
    }

    /// Checks what a new key is to be, whoever makes it.
    pub(crate) fn check_new_api_key(
        &self,
        holder: Holder,
        new: &NewApiKey,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.check_scopes(holder, new.scopes.as_ref())?;
        check_in_future(new.expires_at, now)?;
        self.check_policy(holder, new.expires_at, now)?;
        check_cidrs(&new.allowed_cidrs)?;
        if self.is_credential_taken(new.id) {
            return Err(Refusal::Taken(Field::CredentialId));
        }
        Ok(())
    }

    /// Whether a key, living or dead, an open invitation, or anything of OAuth has this public id.
    pub(crate) fn is_credential_taken(&self, id: CredentialId) -> bool {
        self.api_key(id).is_some()
            || self.invitation_by_token(id).is_some()
            || self.client_secrets.contains_key(&id)
            || self.authorization_code(id).is_some()
            || self.family(id).is_some()
    }

    /// Whether what holds a key is there: a person's key that was not deleted, a service, a token.
    pub(crate) fn has_holder(&self, key: &ApiKey) -> bool {
        let held = match key.issued.holder {
            Holder::User { key, .. } => self.credential_of(key),
            Holder::Service { service, .. } => self.service(service).map(|s| s.credential),
            Holder::Entitlement { entitlement, .. } => {
                self.entitlement(entitlement).map(|token| token.credential)
            }
            Holder::Client { .. } | Holder::Delegate { .. } => None,
        };
        held == Some(key.issued.id)
    }

    fn is_own_token(&self, key: &ApiKey) -> bool {
        let Holder::User { key, .. } = key.issued.holder else {
            return false;
        };
        self.user_key(key)
            .is_some_and(|key| key.label == KeyLabel::OwnToken)
    }

    /// No key outlives the one that makes it.
    fn check_outlived(
        &self,
        authority: &Authority,
        expires_at: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        if ends_later(expires_at, self.own_end(authority)) {
            return Err(Refusal::BeyondOwnLifetime);
        }
        Ok(())
    }

    /// When what the authority showed ends: the key, or the grace of its old secret before that.
    /// Whoever stole a secret must not outlive its rotation by making another key with it.
    fn own_end(&self, authority: &Authority) -> Option<Timestamp> {
        let Proof::Credential { id, version } = authority.proof else {
            return None;
        };
        let key = self.api_key(id)?;
        match key.other() {
            Some(OtherSecret::Retiring { secret, until }) if secret.version == version => {
                Some(key.expires_at.map_or(*until, |end| end.min(*until)))
            }
            Some(_) | None => key.expires_at,
        }
    }

    /// No key is good where the one that makes it is not: an allow-list that a key could shed by
    /// making another would hold nobody.
    fn check_networks(&self, authority: &Authority, cidrs: &[IpNet]) -> Result<(), Refusal> {
        let own = authority.credential().and_then(|id| self.api_key(id));
        if own.is_some_and(|own| !are_within(cidrs, own.allowed_cidrs())) {
            return Err(Refusal::BeyondOwnNetworks);
        }
        Ok(())
    }

    pub(crate) fn insert_api_key(&mut self, new: &NewApiKey, holder: Holder, record: &Record) {
        let key = ApiKey::from_new(new, holder, record);
        let before = self.api_keys.insert(key);
        assert!(before.is_none(), "two keys have the id {}", new.id);
    }

    pub(crate) fn revoke_api_key(&mut self, id: CredentialId, at: Timestamp) {
        self.api_key_mut(id).end(at);
        self.lift_bars(id);
    }

    pub(crate) fn api_key_mut(&mut self, id: CredentialId) -> &mut ApiKey {
        self.api_keys
            .get_mut(id)
            .expect("an event names a key that exists")
    }

    pub(crate) fn apply_api_key_rotated(&mut self, event: &ApiKeyRotated, record: &Record) {
        let at = record.at;
        if event.renews(record.origin.credential) {
            self.lift_bars(event.id);
        }
        let key = self.api_key_mut(event.id);
        key.rotate(event.digest, event.sealed.clone(), event.activation, at);
    }

    pub(crate) fn apply_api_key_rotation_undone(&mut self, event: ApiKeyRotationUndone) {
        self.api_key_mut(event.id).undo_rotation();
    }

    pub(crate) fn apply_api_key_activated(&mut self, event: ApiKeyActivated, at: Timestamp) {
        self.api_key_mut(event.id).activate(at);
    }

    pub(crate) fn apply_api_key_disabled(&mut self, event: ApiKeyDisabled, at: Timestamp) {
        self.api_key_mut(event.id).set_disabled_at(Some(at));
    }

    pub(crate) fn apply_api_key_enabled(&mut self, event: ApiKeyEnabled, at: Timestamp) {
        self.api_key_mut(event.id).set_disabled_at(None);
        self.enabled_at.insert(event.id, at);
    }

    pub(crate) fn apply_api_key_restricted(&mut self, event: &ApiKeyRestricted) {
        self.api_key_mut(event.id).restrict(event);
    }
}

impl ApiKey {
    /// Whether it could do more, live longer, be used from elsewhere or more often than before.
    fn reaches_beyond(&self, before: &Self) -> bool {
        let scopes = match (&self.scopes, &before.scopes) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(now), Some(before)) => now.first_beyond(before).is_some(),
        };
        scopes
            || ends_later(self.expires_at, before.expires_at)
            || !are_within(self.allowed_cidrs(), before.allowed_cidrs())
            || is_wider(self.rate_limit(), before.rate_limit())
    }
}

/// Whether a list of networks admits an address; see [`ApiKey::admits`].
pub(crate) fn admits(allowed_cidrs: &[IpNet], source: Option<IpAddr>) -> bool {
    if allowed_cidrs.is_empty() {
        return true;
    }
    let Some(source) = source.map(|ip| ip.to_canonical()) else {
        return false;
    };
    allowed_cidrs.iter().any(|net| net.contains(&source))
}

/// Whether the first of two ends comes after the second; no end comes after all.
pub(crate) fn ends_later(end: Option<Timestamp>, than: Option<Timestamp>) -> bool {
    match (end, than) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(end), Some(than)) => end > than,
    }
}

/// Whether every address that the first list admits is admitted by the second; an empty one admits
/// all.
fn are_within(inner: &[IpNet], outer: &[IpNet]) -> bool {
    let covered = |net: &IpNet| outer.iter().any(|outer| outer.contains(net));
    outer.is_empty() || (!inner.is_empty() && inner.iter().all(covered))
}

/// No key is born dead.
fn check_in_future(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    if now.is_before(expires_at) {
        Ok(())
    } else {
        Err(Refusal::invalid(Field::ExpiresAt, Reason::InThePast))
    }
}

pub(crate) fn check_cidrs(cidrs: &[IpNet]) -> Result<(), Refusal> {
    if cidrs.len() > ALLOWED_CIDRS_MAX {
        return Err(Refusal::invalid(
            Field::AllowedCidrs,
            Reason::AtMost(ALLOWED_CIDRS_MAX as u64),
        ));
    }
    Ok(())
}
