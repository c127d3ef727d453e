//! How often a key may be used: a limit of its own, or the default of an organization.
//!
//! A limit is a bucket of `requests` that is full at first and fills up evenly, all of it in
//! `per_seconds`. The rules here say what a limit is and who may give it; counting is no business of
//! theirs, because it needs a clock.

use core::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::actor::Authority;
use crate::api_key::ApiKey;
use crate::directory::Directory;
use crate::event::Event;
use crate::id::OrgId;
use crate::org::Org;
use crate::refusal::Refusal;
use crate::scope::built_in;

/// The most requests of a limit.
pub const REQUESTS_MAX: u32 = 1_000_000;

/// The longest time of a limit: a day, in seconds.
pub const PER_SECONDS_MAX: u32 = 86_400;

/// So many requests in so many seconds. Eight bytes, also where there is none: every key has room
/// for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Numbers")]
pub struct RateLimit {
    requests: NonZeroU32,
    per_seconds: NonZeroU32,
}

/// The two numbers of a limit, before they are checked.
#[derive(Deserialize)]
struct Numbers {
    requests: u32,
    per_seconds: u32,
}

/// Which number is no number of a limit.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotARateLimit {
    /// The requests.
    #[error("must be from 1 to {REQUESTS_MAX}")]
    Requests,
    /// The seconds.
    #[error("must be from 1 to {PER_SECONDS_MAX}")]
    PerSeconds,
}

impl RateLimit {
    /// The limit with these numbers.
    ///
    /// # Errors
    /// [`NotARateLimit`] for a number that is none or too large, the requests first.
    pub fn new(requests: u32, per_seconds: u32) -> Result<Self, NotARateLimit> {
        let upto = |number: u32, max| NonZeroU32::new(number).filter(|number| number.get() <= max);
        Ok(Self {
            requests: upto(requests, REQUESTS_MAX).ok_or(NotARateLimit::Requests)?,
            per_seconds: upto(per_seconds, PER_SECONDS_MAX).ok_or(NotARateLimit::PerSeconds)?,
        })
    }

    /// How many requests; as many may come at once.
    pub const fn requests(self) -> NonZeroU32 {
        self.requests
    }

    /// In how many seconds.
    pub const fn per_seconds(self) -> NonZeroU32 {
        self.per_seconds
    }

    /// Whether it never lets more through than `other`: neither at once nor in the long run.
    pub fn is_within(self, other: Self) -> bool {
        // Requests a second, compared without dividing.
        let cross = |a: NonZeroU32, b: NonZeroU32| u64::from(a.get()) * u64::from(b.get());
        self.requests <= other.requests
            && cross(self.requests, other.per_seconds) <= cross(other.requests, self.per_seconds)
    }
}

impl TryFrom<Numbers> for RateLimit {
    type Error = NotARateLimit;

    fn try_from(numbers: Numbers) -> Result<Self, NotARateLimit> {
        Self::new(numbers.requests, numbers.per_seconds)
    }
}

/// Whether a limit lets more through than another; none lets everything through.
pub(crate) fn is_wider(limit: Option<RateLimit>, than: Option<RateLimit>) -> bool {
    match (limit, than) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(limit), Some(than)) => !limit.is_within(than),
    }
}

/// Set the limit of each key that is used in an organization and has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeOrgLimits {
    /// The organization.
    pub org: OrgId,
    /// The limit; without, such keys have none.
    pub rate_limit: Option<RateLimit>,
}

/// The default limits of an organization were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct OrgLimitsChanged {
    /// The organization.
    pub org: OrgId,
    /// The limit; without, keys that have none of their own have none.
    pub rate_limit: Option<RateLimit>,
}

impl Directory {
    /// A credential with a limit of its own gives nobody a wider one, nor none: whatever it makes
    /// would be a way around its limit.
    ///
    /// The default of an organization binds nobody in this: it is what a key has that was given
    /// nothing else, and whoever may make keys may give them something else.
    ///
    /// # Errors
    /// [`Refusal::BeyondOwnRateLimit`].
    pub(crate) fn check_rate_limit(
        &self,
        authority: &Authority,
        limit: Option<RateLimit>,
    ) -> Result<(), Refusal> {
        let own = authority.credential().and_then(|id| self.api_key(id));
        match own.and_then(ApiKey::rate_limit) {
            Some(own) if is_wider(limit, Some(own)) => Err(Refusal::BeyondOwnRateLimit),
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn decide_change_org_limits(
        &self,
        authority: &Authority,
        command: ChangeOrgLimits,
    ) -> Result<Option<Event>, Refusal> {
        let ChangeOrgLimits { org, rate_limit } = command;
        self.require(authority, org, built_in::WORKSPACES_WRITE)?;
        let before = self.known_org(org).rate_limit;
        if is_wider(rate_limit, before) {
            self.check_rate_limit(authority, rate_limit)?;
        }
        let event = OrgLimitsChanged { org, rate_limit };
        Ok((rate_limit != before).then_some(Event::OrgLimitsChanged(event)))
    }

    pub(crate) fn apply_org_limits_changed(&mut self, event: OrgLimitsChanged) {
        self.org_mut(event.org).rate_limit = event.rate_limit;
    }
}

impl ApiKey {
    /// The limit of this key where it is used in `org`, which it must be a key of: its own, or
    /// the organization's default.
    pub fn rate_limit_in(&self, org: &Org) -> Option<RateLimit> {
        self.rate_limit().or(org.rate_limit)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::{self, value::MapDeserializer};

    use super::*;

    fn limit(requests: u32, per_seconds: u32) -> RateLimit {
        RateLimit::new(requests, per_seconds).unwrap()
    }

    #[test]
    fn its_numbers_have_bounds() {
        for (requests, per_seconds, then) in [
            (0, 1, Some(NotARateLimit::Requests)),
            (1_000_001, 1, Some(NotARateLimit::Requests)),
            (0, 0, Some(NotARateLimit::Requests)),
            (1, 0, Some(NotARateLimit::PerSeconds)),
            (1, 86_401, Some(NotARateLimit::PerSeconds)),
            (1, 1, None),
            (1_000_000, 86_400, None),
        ] {
            let read = RateLimit::new(requests, per_seconds).err();
            assert_eq!(read, then, "{requests} in {per_seconds} s");
        }
    }

    #[test]
    fn a_key_without_one_pays_eight_bytes() {
        assert_eq!(size_of::<Option<RateLimit>>(), 8);
    }

    #[test]
    fn within_is_neither_more_at_once_nor_in_the_long_run() {
        for (inner, outer, then) in [
            ((10, 60), (10, 60), true),
            ((9, 60), (10, 60), true),
            ((10, 61), (10, 60), true),
            // The same rate, and less at once.
            ((5, 30), (10, 60), true),
            ((11, 60), (10, 60), false),
            // The same rate, and more at once.
            ((20, 120), (10, 60), false),
            // Less at once, and more in the long run.
            ((5, 29), (10, 60), false),
            ((1_000_000, 86_400), (1_000_000, 86_399), true),
            ((1_000_000, 86_399), (1_000_000, 86_400), false),
        ] {
            let (inner, outer) = (limit(inner.0, inner.1), limit(outer.0, outer.1));
            assert_eq!(inner.is_within(outer), then, "{inner:?} in {outer:?}");
        }
        assert!(is_wider(None, Some(limit(1, 1))));
        assert!(!is_wider(Some(limit(1, 1)), None) && !is_wider(None, None));
    }

    #[test]
    fn a_snapshot_with_other_numbers_is_not_read() {
        let read = |requests: u32, per_seconds: u32| {
            let fields = [("requests", requests), ("per_seconds", per_seconds)];
            let fields = MapDeserializer::<_, de::value::Error>::new(fields.into_iter());
            RateLimit::deserialize(fields).ok()
        };
        assert_eq!(read(3, 2), Some(limit(3, 2)));
        assert_eq!(read(0, 2), None);
    }
}
