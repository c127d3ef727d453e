//! A key as it lies in memory: what every verification reads close together, the rest elsewhere.
//!
//! There may be millions, each verification reads another one, and a line of memory that is not in the
//! cache costs as much as hashing the key. So what few keys have, and what decides nothing, is behind
//! a pointer, which is there only if there is anything.

use core::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::api_key::{Activation, ApiKeyRestricted, Holder, NewApiKey, admits};
use crate::by_credential::Named;
use crate::credential::{CredentialId, CredentialKind, Environment};
use crate::digest::{Digest, SealedSecret};
use crate::event::Record;
use crate::personal::Personal;
use crate::rate_limit::RateLimit;
use crate::scope::Scopes;
use crate::time::Timestamp;

/// What never changes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its public id.
    pub id: CredentialId,
    /// What it is for.
    pub kind: CredentialKind,
    /// Where it belongs.
    pub environment: Environment,
    /// Who holds it.
    pub holder: Holder,
}

/// One secret of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// What is kept of it.
    pub digest: Digest,
    /// The secret itself, where its owner may read it again.
    pub sealed: Option<Personal<SealedSecret>>,
    /// 1 for the first, one more with each rotation.
    pub version: u32,
}

/// A second secret that is good beside the current one while a rotation is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OtherSecret {
    /// The old one, good while now is before `until`.
    Retiring {
        /// The secret.
        secret: Secret,
        /// When it ends.
        until: Timestamp,
    },
    /// The new one, which becomes the current one when it is first used.
    Pending {
        /// The secret.
        secret: Secret,
        /// How long the old one stays good after that.
        grace_seconds: u64,
    },
}

impl OtherSecret {
    const fn secret(&self) -> &Secret {
        match self {
            Self::Retiring { secret, .. } | Self::Pending { secret, .. } => secret,
        }
    }
}

/// Which secret of a key was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The current one.
    Current,
    /// An old one in its grace.
    Retiring,
    /// A new one, for the first time.
    Pending,
}

/// Why a key is no good, in the order in which it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// It was revoked, or what held it was deleted.
    Revoked,
    /// It is switched off for now.
    Disabled,
    /// Its time is over.
    Expired,
}

/// A key and everything that decides whether it is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct ApiKey {
    /// What never changes.
    pub issued: Issued,
    /// What is kept of the secret that is good.
    digest: Digest,
    /// The version of that secret.
    version: u32,
    /// What it may do; without, all that its owner may.
    pub scopes: Option<Scopes>,
    /// When it ends: it is good while now is before.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether something in `rare` limits it, so that a verification must look there.
    is_limited: bool,
    /// What few keys have; `None` where it would be empty, so that equal keys are equal.
    rare: Option<Box<Rare>>,
}

// Two lines and a bit: of the last eight bytes no verification needs any.
const _: () = assert!(size_of::<ApiKey>() <= 136);

/// What few keys have, or nobody needs who verifies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    /// Who made it, if it was not its holder.
    created_by: Option<Actor>,
    /// The good secret itself, where its owner may read it again.
    sealed: Option<Personal<SealedSecret>>,
    other: Option<Box<OtherSecret>>,
    /// The version of its newest secret, where that is another than the good one.
    newest_version: Option<u32>,
    /// Empty means any; a list of its own only where there is one.
    allowed_cidrs: Option<Arc<[IpNet]>>,
    rate_limit: Option<RateLimit>,
    rotated_at: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl Rare {
    fn limits(&self) -> bool {
        self.allowed_cidrs.is_some()
            || self.rate_limit.is_some()
            || self.disabled_at.is_some()
            || self.revoked_at.is_some()
    }

    fn set_allowed_cidrs(&mut self, cidrs: &Arc<[IpNet]>) {
        self.allowed_cidrs = (!cidrs.is_empty()).then(|| Arc::clone(cidrs));
    }
}

impl Named for ApiKey {
    fn credential(&self) -> CredentialId {
        self.issued.id
    }
}

/// What a verification asks.
impl ApiKey {
    /// Which of its secrets was shown. `digest_with(pepper_version)` digests what was shown; it is
    /// asked for one version, or for two while a rotation crosses a change of the pepper.
    pub fn shown(
        &self,
        now: Timestamp,
        digest_with: impl Fn(u32) -> Option<Digest>,
    ) -> Option<Shown> {
        let matches = |digest: &Digest| {
            digest_with(digest.pepper_version).is_some_and(|shown| shown.matches(digest))
        };
        if matches(&self.digest) {
            return Some(Shown::Current);
        }
        match self.other()? {
            OtherSecret::Retiring { secret, until } => {
                (matches(&secret.digest) && now < *until).then_some(Shown::Retiring)
            }
            OtherSecret::Pending { secret, .. } => {
                matches(&secret.digest).then_some(Shown::Pending)
            }
        }
    }

    /// What its good secret is hashed with.
    pub const fn pepper_version(&self) -> u32 {
        self.digest.pepper_version
    }

    /// Whether it is good at `now`, apart from what is asked of it.
    ///
    /// # Errors
    /// The first of [`Ended`] that applies.
    pub fn standing(&self, now: Timestamp) -> Result<(), Ended> {
        if self.revoked_at().is_some() {
            return Err(Ended::Revoked);
        }
        if self.disabled_at().is_some() {
            return Err(Ended::Disabled);
        }
        if !now.is_before(self.expires_at) {
            return Err(Ended::Expired);
        }
        Ok(())
    }

    /// Whether it may be used from this address. An unknown address passes only where there is no
    /// list. An IPv4 address written as IPv6 counts as what it is.
    pub fn admits(&self, source: Option<IpAddr>) -> bool {
        admits(self.allowed_cidrs(), source)
    }

    /// Whether its scopes name this one, or it is not narrowed at all.
    pub fn names(&self, scope: &str) -> bool {
        self.scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(scope))
    }

    /// The networks it may be used from; empty means any.
    pub fn allowed_cidrs(&self) -> &[IpNet] {
        let cidrs = self.limits().and_then(|rare| rare.allowed_cidrs.as_ref());
        cidrs.map_or(&[], |cidrs| cidrs)
    }

    /// How often it may be used; without, as often as where it is used allows.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.limits()?.rate_limit
    }

    /// Since when it is switched off.
    pub fn disabled_at(&self) -> Option<Timestamp> {
        self.limits()?.disabled_at
    }

    /// Since when it is revoked.
    pub fn revoked_at(&self) -> Option<Timestamp> {
        self.limits()?.revoked_at
    }

    fn limits(&self) -> Option<&Rare> {
        if self.is_limited { self.rare() } else { None }
    }

    fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }
}

/// What its owners ask.
impl ApiKey {
    /// Who made it.
    pub fn created_by(&self) -> Actor {
        let by = self.rare().and_then(|rare| rare.created_by);
        by.unwrap_or(self.issued.holder.actor())
    }

    /// The good secret itself, sealed, where its owner may read it again.
    pub fn sealed(&self) -> Option<&Personal<SealedSecret>> {
        self.rare()?.sealed.as_ref()
    }

    /// A second secret, while a rotation is under way.
    pub fn other(&self) -> Option<&OtherSecret> {
        self.rare()?.other.as_deref()
    }

    /// The version of the secret that is good.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// The version of its newest secret, also where that was taken back: no version is given twice, or
    /// the first use of a secret that was taken back could pass for its successor's.
    pub fn newest_version(&self) -> u32 {
        let newest = self.rare().and_then(|rare| rare.newest_version);
        newest.unwrap_or(self.version)
    }

    /// When its secret was last replaced.
    pub fn rotated_at(&self) -> Option<Timestamp> {
        self.rare()?.rotated_at
    }

    /// Whether the secret of this version is good, or waits for its first use, at `now`.
    pub(crate) fn has_secret(&self, version: u32, now: Timestamp) -> bool {
        self.version == version
            || self.other().is_some_and(|other| match other {
                OtherSecret::Retiring { secret, until } => {
                    secret.version == version && now < *until
                }
                OtherSecret::Pending { secret, .. } => secret.version == version,
            })
    }

    /// The version of the secret that was shown.
    pub fn version_of(&self, shown: Shown) -> u32 {
        let other = match shown {
            Shown::Current => None,
            Shown::Retiring | Shown::Pending => self.other(),
        };
        other.map_or(self.version, |other| other.secret().version)
    }

    /// Whether a second secret is good or waiting at `now`.
    pub fn rotation_under_way(&self, now: Timestamp) -> bool {
        match self.other() {
            Some(OtherSecret::Pending { .. }) => true,
            Some(OtherSecret::Retiring { until, .. }) => now < *until,
            None => false,
        }
    }
}

/// What events do to it.
impl ApiKey {
    pub(crate) fn from_new(new: &NewApiKey, holder: Holder, record: &Record) -> Self {
        let kind = match holder {
            Holder::User { .. } => CredentialKind::UserKey,
            Holder::Service { .. } => CredentialKind::ServiceKey,
            Holder::Entitlement { .. } => CredentialKind::EntitlementToken,
            Holder::Client { .. } | Holder::Delegate { .. } => CredentialKind::AccessToken,
        };
        let mut key = Self {
            issued: Issued {
                id: new.id,
                kind,
                environment: new.environment,
                holder,
            },
            digest: new.digest,
            version: 1,
            scopes: new.scopes.clone(),
            expires_at: new.expires_at,
            created_at: record.at,
            is_limited: false,
            rare: None,
        };
        let by = record.origin.actor;
        let is_others = by != holder.actor();
        if is_others || !new.allowed_cidrs.is_empty() || new.rate_limit.is_some() {
            key.change(|rare| {
                rare.created_by = is_others.then_some(by);
                rare.set_allowed_cidrs(&new.allowed_cidrs);
                rare.rate_limit = new.rate_limit;
            });
        }
        key
    }

    /// The one way to what is rare: it keeps what is said about it beside it true.
    fn change<T>(&mut self, change: impl FnOnce(&mut Rare) -> T) -> T {
        let mut rare = self.rare.take().unwrap_or_default();
        let given = change(&mut rare);
        if rare.newest_version == Some(self.version) {
            rare.newest_version = None;
        }
        if rare.created_by == Some(self.issued.holder.actor()) {
            rare.created_by = None;
        }
        self.is_limited = rare.limits();
        self.rare = (*rare != Rare::default()).then_some(rare);
        given
    }

    /// Ends it for good.
    pub(crate) fn end(&mut self, at: Timestamp) {
        self.change(|rare| {
            rare.revoked_at = Some(at);
            // A dead key needs no readable copy.
            rare.sealed = None;
            rare.other = None;
        });
    }

    pub(crate) fn set_revoked_at(&mut self, at: Option<Timestamp>) {
        self.change(|rare| rare.revoked_at = at);
    }

    pub(crate) fn set_disabled_at(&mut self, at: Option<Timestamp>) {
        self.change(|rare| rare.disabled_at = at);
    }

    pub(crate) fn set_sealed(&mut self, sealed: Option<&Personal<SealedSecret>>) {
        if sealed.is_some() || self.rare.is_some() {
            self.change(|rare| rare.sealed = sealed.cloned());
        }
    }

    pub(crate) fn restrict(&mut self, to: &ApiKeyRestricted) {
        self.scopes.clone_from(&to.scopes);
        self.expires_at = to.expires_at;
        self.change(|rare| {
            rare.set_allowed_cidrs(&to.allowed_cidrs);
            rare.rate_limit = to.rate_limit;
        });
    }

    /// Gives it to another holder, who reads neither of its secrets: what was sealed is sealed for the
    /// old one.
    pub(crate) fn hand_over(&mut self, holder: Holder, scopes: Scopes) {
        let by = self.created_by();
        self.issued.holder = holder;
        self.scopes = Some(scopes);
        self.change(|rare| {
            rare.created_by = Some(by);
            rare.sealed = None;
            if let Some(OtherSecret::Pending { secret, .. }) = rare.other.as_deref_mut() {
                secret.sealed = None;
            }
        });
    }

    pub(crate) fn rotate(
        &mut self,
        digest: Digest,
        sealed: Option<Personal<SealedSecret>>,
        activation: Activation,
        at: Timestamp,
    ) {
        let version = self.newest_version() + 1;
        let secret = Secret {
            digest,
            sealed,
            version,
        };
        match activation {
            Activation::Now { grace_seconds } => {
                self.replace_secret(secret, version, grace_seconds, at);
                self.set_revoked_at(None);
            }
            Activation::FirstUse { grace_seconds } => self.change(|rare| {
                rare.newest_version = Some(version);
                rare.other = Some(Box::new(OtherSecret::Pending {
                    secret,
                    grace_seconds,
                }));
            }),
        }
    }

    pub(crate) fn undo_rotation(&mut self) {
        self.change(|rare| rare.other = None);
    }

    /// The secret that waits becomes the good one.
    ///
    /// # Panics
    /// If none waits.
    pub(crate) fn activate(&mut self, at: Timestamp) {
        let newest = self.newest_version();
        match self.change(|rare| rare.other.take()).map(|other| *other) {
            Some(OtherSecret::Pending {
                secret,
                grace_seconds,
            }) => self.replace_secret(secret, newest, grace_seconds, at),
            Some(OtherSecret::Retiring { .. }) | None => {
                panic!(
                    "key {} was activated without a pending secret",
                    self.issued.id
                );
            }
        }
    }

    /// Puts a secret in the place of the good one, which retires.
    fn replace_secret(&mut self, new: Secret, newest: u32, grace_seconds: u64, at: Timestamp) {
        let digest = core::mem::replace(&mut self.digest, new.digest);
        let version = core::mem::replace(&mut self.version, new.version);
        self.change(|rare| {
            rare.newest_version = Some(newest);
            rare.sealed = new.sealed;
            rare.rotated_at = Some(at);
            rare.other = (grace_seconds > 0).then(|| {
                Box::new(OtherSecret::Retiring {
                    // The newest secret is the one to read again; the old one only has to match.
                    secret: Secret {
                        digest,
                        sealed: None,
                        version,
                    },
                    until: at.plus_seconds(grace_seconds),
                })
            });
        });
    }
}

/// A key as a snapshot has it.
#[derive(Serialize, Deserialize)]
struct Stored {
    issued: StoredIssued,
    secret: Secret,
    other: Option<Box<OtherSecret>>,
    newest_version: u32,
    scopes: Option<Scopes>,
    expires_at: Option<Timestamp>,
    allowed_cidrs: Arc<[IpNet]>,
    rate_limit: Option<RateLimit>,
    rotated_at: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct StoredIssued {
    id: CredentialId,
    kind: CredentialKind,
    environment: Environment,
    holder: Holder,
    created_at: Timestamp,
    created_by: Actor,
}

impl From<ApiKey> for Stored {
    fn from(key: ApiKey) -> Self {
        let (created_by, newest_version) = (key.created_by(), key.newest_version());
        let Issued {
            id,
            kind,
            environment,
            holder,
        } = key.issued;
        let rare = key.rare.map(|rare| *rare).unwrap_or_default();
        Self {
            issued: StoredIssued {
                id,
                kind,
                environment,
                holder,
                created_at: key.created_at,
                created_by,
            },
            secret: Secret {
                digest: key.digest,
                sealed: rare.sealed,
                version: key.version,
            },
            other: rare.other,
            newest_version,
            scopes: key.scopes,
            expires_at: key.expires_at,
            allowed_cidrs: rare.allowed_cidrs.unwrap_or_default(),
            rate_limit: rare.rate_limit,
            rotated_at: rare.rotated_at,
            disabled_at: rare.disabled_at,
            revoked_at: rare.revoked_at,
        }
    }
}

impl From<Stored> for ApiKey {
    fn from(stored: Stored) -> Self {
        let StoredIssued {
            id,
            kind,
            environment,
            holder,
            created_at,
            created_by,
        } = stored.issued;
        let mut key = Self {
            issued: Issued {
                id,
                kind,
                environment,
                holder,
            },
            digest: stored.secret.digest,
            version: stored.secret.version,
            scopes: stored.scopes,
            expires_at: stored.expires_at,
            created_at,
            is_limited: false,
            rare: None,
        };
        key.change(|rare| {
            *rare = Rare {
                created_by: Some(created_by),
                sealed: stored.secret.sealed,
                other: stored.other,
                newest_version: Some(stored.newest_version),
                allowed_cidrs: None,
                rate_limit: stored.rate_limit,
                rotated_at: stored.rotated_at,
                disabled_at: stored.disabled_at,
                revoked_at: stored.revoked_at,
            };
            rare.set_allowed_cidrs(&stored.allowed_cidrs);
        });
        key
    }
}
