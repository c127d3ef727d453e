//! Credits: how many times an entitlement token may be used at all.
//!
//! Here is what was granted, and by which rule it is filled up again. How much of it is used is
//! counted outside the ledger, by whoever answers verifications: a record a use would be a disk
//! flush a use.

use core::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::actor::Authority;
use crate::directory::Directory;
use crate::entitlement::Entitlement;
use crate::event::{Event, Record};
use crate::id::{EntitlementId, OrgId};
use crate::position::Position;
use crate::refusal::{Noun, Refusal};
use crate::scope::built_in;
use crate::time::Timestamp;

/// The most uses that are granted or refilled at once. Any JSON reader takes it for what it is.
pub const USES_MAX: u64 = 1_000_000_000_000;

/// The longest time between two refills: 366 days, in seconds.
pub const REFILL_SECONDS_MAX: u32 = 366 * 86_400;

/// Uses that come back by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refill {
    /// Up to how many uses are filled up again.
    pub amount: NonZeroU64,
    /// How often, counted from the grant.
    pub per_seconds: NonZeroU32,
}

/// Uses as they are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// How many, from the grant on.
    pub remaining: u64,
    /// By which rule they come back; without, they never do.
    pub refill: Option<Refill>,
}

/// Which number is no number of a grant.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotAGrant {
    /// The uses.
    #[error("must be from 0 to {USES_MAX}")]
    Remaining,
    /// The uses that come back.
    #[error("must be from 1 to {USES_MAX}")]
    Amount,
    /// The seconds between refills.
    #[error("must be from 1 to {REFILL_SECONDS_MAX}")]
    PerSeconds,
}

impl Refill {
    /// The refill with these numbers.
    ///
    /// # Errors
    /// [`NotAGrant`] for a number that is none or too large, the amount first.
    pub fn new(amount: u64, per_seconds: u32) -> Result<Self, NotAGrant> {
        let amount = NonZeroU64::new(amount).filter(|amount| amount.get() <= USES_MAX);
        let per_seconds =
            NonZeroU32::new(per_seconds).filter(|seconds| seconds.get() <= REFILL_SECONDS_MAX);
        Ok(Self {
            amount: amount.ok_or(NotAGrant::Amount)?,
            per_seconds: per_seconds.ok_or(NotAGrant::PerSeconds)?,
        })
    }
}

impl Grant {
    /// The grant of so many uses.
    ///
    /// # Errors
    /// [`NotAGrant`] for more than can be granted.
    pub fn new(remaining: u64, refill: Option<Refill>) -> Result<Self, NotAGrant> {
        if remaining > USES_MAX {
            return Err(NotAGrant::Remaining);
        }
        Ok(Self { remaining, refill })
    }
}

/// The credits of an entitlement token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits {
    /// What was granted.
    pub grant: Grant,
    /// When. Refills are counted from here.
    pub granted_at: Timestamp,
    /// The record that granted it. A count belongs to one grant: where this changes, it begins
    /// again, also when the same was granted once more.
    pub generation: Position,
}

impl Credits {
    /// How many refills have come by `now`: one each [`Refill::per_seconds`] since the grant.
    ///
    /// Whoever counts keeps the most that it has seen, so that a clock that was set back and forth
    /// again brings no refill twice.
    pub fn refills_by(&self, now: Timestamp) -> u64 {
        let Some(refill) = self.grant.refill else {
            return 0;
        };
        let since = now.micros().saturating_sub(self.granted_at.micros());
        let since = u64::try_from(since).unwrap_or(0);
        since / (u64::from(refill.per_seconds.get()) * 1_000_000)
    }

    /// What is left after at least one refill: as many uses as a refill fills up to, or what was
    /// left where that is more.
    pub fn refilled(&self, left: u64) -> u64 {
        let amount = self.grant.refill.map_or(0, |refill| refill.amount.get());
        left.max(amount)
    }
}

/// Grant an entitlement token uses anew, or let it be used without counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeCredits {
    /// Its organization.
    pub org: OrgId,
    /// The token.
    pub entitlement: EntitlementId,
    /// What is granted; without, its uses are not counted.
    pub credits: Option<Grant>,
}

/// The credits of an entitlement token were granted anew, or taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EntitlementCreditsChanged {
    /// The token.
    pub entitlement: EntitlementId,
    /// What was granted; without, its uses are not counted any more.
    pub credits: Option<Grant>,
}

impl Directory {
    /// The token of `org` that `authority` wants to change, as far as it may know of it.
    pub(crate) fn managed_entitlement(
        &self,
        authority: &Authority,
        org: OrgId,
        id: EntitlementId,
    ) -> Result<&Entitlement, Refusal> {
        self.require(authority, org, built_in::ENTITLEMENTS_WRITE)?;
        self.entitlement(id)
            .filter(|token| token.org == org)
            .filter(|token| self.sees_key(authority, token.credential))
            .ok_or(Refusal::Unknown(Noun::Entitlement))
    }

    pub(crate) fn decide_change_credits(
        &self,
        authority: &Authority,
        command: ChangeCredits,
    ) -> Result<Option<Event>, Refusal> {
        let ChangeCredits {
            org,
            entitlement,
            credits,
        } = command;
        let token = self.managed_entitlement(authority, org, entitlement)?;
        if token.credits.is_some() {
            // More uses of a key are all that it can do, once more.
            let key = self
                .api_key(token.credential)
                .ok_or(Refusal::Unknown(Noun::Entitlement))?;
            self.check_not_beyond(authority, key)?;
        } else if credits.is_none() {
            return Ok(None);
        }
        Ok(Some(Event::EntitlementCreditsChanged(
            EntitlementCreditsChanged {
                entitlement,
                credits,
            },
        )))
    }

    pub(crate) fn apply_entitlement_credits_changed(
        &mut self,
        event: EntitlementCreditsChanged,
        record: &Record,
    ) {
        let token = self
            .entitlements
            .get_mut(&event.entitlement)
            .expect("an event names an entitlement that exists");
        token.credits = granted(event.credits, record);
    }
}

/// The credits that a record grants.
pub(crate) fn granted(grant: Option<Grant>, record: &Record) -> Option<Credits> {
    grant.map(|grant| Credits {
        grant,
        granted_at: record.at,
        generation: record.position,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_numbers_have_bounds() {
        for (amount, per_seconds, then) in [
            (0, 1, Some(NotAGrant::Amount)),
            (USES_MAX + 1, 1, Some(NotAGrant::Amount)),
            (1, 0, Some(NotAGrant::PerSeconds)),
            (1, REFILL_SECONDS_MAX + 1, Some(NotAGrant::PerSeconds)),
            (USES_MAX, REFILL_SECONDS_MAX, None),
            (1, 1, None),
        ] {
            let read = Refill::new(amount, per_seconds).err();
            assert_eq!(read, then, "{amount} in {per_seconds} s");
        }
        assert!(Grant::new(0, None).is_ok() && Grant::new(USES_MAX, None).is_ok());
        assert_eq!(Grant::new(USES_MAX + 1, None), Err(NotAGrant::Remaining));
    }

    #[test]
    fn refills_come_at_the_end_of_each_interval_and_fill_up() {
        let granted_at = Timestamp::from_micros(1_000_000);
        let credits = |refill| Credits {
            grant: Grant::new(5, refill).unwrap(),
            granted_at,
            generation: Position::new(7),
        };
        let daily = credits(Some(Refill::new(10, 60).unwrap()));
        for (micros, then) in [
            (i64::MIN, 0),
            (0, 0),
            (1_000_000, 0),
            (60_999_999, 0),
            (61_000_000, 1),
            (121_000_000, 2),
        ] {
            let now = Timestamp::from_micros(micros);
            assert_eq!(daily.refills_by(now), then, "at {micros}");
            assert_eq!(credits(None).refills_by(now), 0);
        }
        assert!(daily.refills_by(Timestamp::from_micros(i64::MAX)) > 1_000_000);
        assert_eq!((daily.refilled(0), daily.refilled(12)), (10, 12));
        assert_eq!(credits(None).refilled(3), 3);
    }
}
