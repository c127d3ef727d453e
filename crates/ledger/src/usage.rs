//! What is known of how a key is used: plain numbers and the last use, for those who count and those
//! who store. Nothing here is in the ledger, and nothing here decides whether a key is good.

use core::net::IpAddr;
use core::ops::AddAssign;

use keyledger_domain::{Actor, Timestamp};

/// How many kinds of [`Outcome`] there are.
pub const OUTCOMES: usize = 11;

/// How one showing of a key ended. The order is that of the stored counts: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Verified, and good for all that was asked.
    Valid,
    /// Its time was over.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was switched off.
    Disabled,
    /// Verified, and it lacked a scope that was asked for.
    InsufficientScope,
    /// It was shown from an address that it may not be used from.
    IpNotAllowed,
    /// Verified, and it was used too often, or its credits were spent.
    RateLimited,
    /// Shown to our own API and let in.
    Accepted,
    /// Shown to our own API, which refused what was asked with 403.
    Forbidden,
    /// Shown to our own API, which refused it with 429.
    Throttled,
    /// Its public id with another secret. Never a use of the key.
    WrongSecret,
}

impl Outcome {
    /// All of them, in the order of the counts.
    pub const ALL: [Self; OUTCOMES] = [
        Self::Valid,
        Self::Expired,
        Self::Revoked,
        Self::Disabled,
        Self::InsufficientScope,
        Self::IpNotAllowed,
        Self::RateLimited,
        Self::Accepted,
        Self::Forbidden,
        Self::Throttled,
        Self::WrongSecret,
    ];

    /// Its name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::InsufficientScope => "insufficient_scope",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::RateLimited => "rate_limited",
            Self::Accepted => "accepted",
            Self::Forbidden => "forbidden",
            Self::Throttled => "throttled",
            Self::WrongSecret => "wrong_secret",
        }
    }

    /// Whether somebody used the key: its right secret was shown, from where it may be, while it was
    /// good. A refusal for want of a scope is a use, and so is one too many.
    pub const fn is_use(self) -> bool {
        match self {
            Self::Valid
            | Self::InsufficientScope
            | Self::RateLimited
            | Self::Accepted
            | Self::Forbidden
            | Self::Throttled => true,
            Self::Expired
            | Self::Revoked
            | Self::Disabled
            | Self::IpNotAllowed
            | Self::WrongSecret => false,
        }
    }
}

/// How often each [`Outcome`] came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; OUTCOMES]);

impl Counts {
    /// The counts in the order of [`Outcome::ALL`].
    pub const fn from_array(counts: [u64; OUTCOMES]) -> Self {
        Self(counts)
    }

    /// One more, and never around the end.
    pub const fn add(&mut self, outcome: Outcome) {
        self.add_times(outcome, 1);
    }

    /// So many more, and never around the end.
    pub const fn add_times(&mut self, outcome: Outcome, times: u64) {
        let count = &mut self.0[outcome as usize];
        *count = count.saturating_add(times);
    }

    /// How often this one came.
    pub const fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// Each outcome and how often it came.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(self.0)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        for (count, more) in self.0.iter_mut().zip(more.0) {
            *count = count.saturating_add(more);
        }
    }
}

/// Who showed a key to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// An API that was shown the key and asked us whether it is good.
    Asker(Actor),
    /// The holder, at our own API; what their client calls itself.
    Agent(Box<str>),
}

/// The last use of a key. The source is personal data: it is stored sealed, and not for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// From where, if it was told.
    pub source: Option<IpAddr>,
    /// By whom.
    pub client: Option<UsedBy>,
}

/// Which scopes a key was ever used for: what it could be narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopesUsed {
    /// The names, sorted. At most so many of an organization's own as
    /// [`ADDED_SCOPES_MAX`].
    pub names: Vec<Box<str>>,
    /// Whether it was ever found good without being asked for any scope: then what it was needed for
    /// is not known, and narrowing it is a guess.
    pub unasked: bool,
    /// Whether there were more scopes of the organization's own than are kept.
    pub overflowed: bool,
}

/// The most scopes of an organization's own catalogue that are remembered of a key.
pub const ADDED_SCOPES_MAX: usize = 16;

/// The number of the hour, counted from 1970, that an instant lies in.
pub fn hour_of(at: Timestamp) -> u32 {
    u32::try_from(at.seconds().div_euclid(3_600)).unwrap_or_default()
}

/// A span of time in UTC that counts are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// Hours since 1970.
    Hour(u32),
    /// Days since 1970.
    Day(u32),
    /// Calendar months since January of the year 0.
    Month(u32),
}

const HOURS_A_DAY: u32 = 24;
const SECONDS_AN_HOUR: u32 = 3_600;
const SECONDS_A_DAY: u32 = HOURS_A_DAY * SECONDS_AN_HOUR;

impl Period {
    /// The hour that an instant lies in; 1970 at the earliest.
    pub fn hour_of(at: Timestamp) -> Self {
        Self::Hour(hour_of(at))
    }

    /// The day.
    pub fn day_of(at: Timestamp) -> Self {
        Self::Day(hour_of(at) / HOURS_A_DAY)
    }

    /// The month.
    pub fn month_of(at: Timestamp) -> Self {
        Self::Month(month_of_day(hour_of(at) / HOURS_A_DAY))
    }

    /// The period so many before this one.
    #[must_use]
    pub const fn back(self, periods: u32) -> Self {
        match self {
            Self::Hour(number) => Self::Hour(number.saturating_sub(periods)),
            Self::Day(number) => Self::Day(number.saturating_sub(periods)),
            Self::Month(number) => Self::Month(number.saturating_sub(periods)),
        }
    }

    /// The day of an hour, the month of a day; none of a month.
    pub fn larger(self) -> Option<Self> {
        match self {
            Self::Hour(hour) => Some(Self::Day(hour / HOURS_A_DAY)),
            Self::Day(day) => Some(Self::Month(month_of_day(day))),
            Self::Month(_) => None,
        }
    }

    /// When it begins.
    pub fn start(self) -> Timestamp {
        let seconds = match self {
            Self::Hour(hour) => u64::from(hour) * u64::from(SECONDS_AN_HOUR),
            Self::Day(day) => u64::from(day) * u64::from(SECONDS_A_DAY),
            Self::Month(month) => u64::from(first_day_of(month)) * u64::from(SECONDS_A_DAY),
        };
        Timestamp::default().plus_seconds(seconds)
    }

    /// When it is over.
    pub fn end(self) -> Timestamp {
        self.start().plus_seconds(self.seconds().into())
    }

    /// How long it is.
    pub fn seconds(self) -> u32 {
        match self {
            Self::Hour(_) => SECONDS_AN_HOUR,
            Self::Day(_) => SECONDS_A_DAY,
            Self::Month(month) => {
                (first_day_of(month + 1).saturating_sub(first_day_of(month))) * SECONDS_A_DAY
            }
        }
    }

    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Hour(number) | Self::Day(number) | Self::Month(number) => number,
        }
    }

    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Hour(_) => b'h',
            Self::Day(_) => b'd',
            Self::Month(_) => b'm',
        }
    }

    pub(crate) const fn from_stored(tag: u8, number: u32) -> Option<Self> {
        match tag {
            b'h' => Some(Self::Hour(number)),
            b'd' => Some(Self::Day(number)),
            b'm' => Some(Self::Month(number)),
            _ => None,
        }
    }
}

/// The days of the years of the proleptic Gregorian calendar that lie before this one, from year 0.
const fn days_before_year(year: u32) -> u32 {
    match year.checked_sub(1) {
        None => 0,
        // The year 0 is a leap year, and the 366 days of it come on top.
        Some(last) => last * 365 + last / 4 - last / 100 + last / 400 + 366,
    }
}

/// The day, since 1970, on which a month begins; 1970-01-01 for those before.
fn first_day_of(month: u32) -> u32 {
    const DAYS_BEFORE: [u32; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let (year, month) = (month / 12, month % 12);
    let is_leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let leap_day = u32::from(is_leap && month > 1);
    let index = usize::try_from(month).unwrap_or_default();
    let days = days_before_year(year) + DAYS_BEFORE[index] + leap_day;
    days.saturating_sub(days_before_year(1970))
}

/// The month that a day, since 1970, lies in.
fn month_of_day(day: u32) -> u32 {
    // A guess that is never too late, and at most a few months too early.
    let mut month = 1970 * 12 + day / 31;
    while first_day_of(month + 1) <= day {
        month += 1;
    }
    month
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_where_the_calendar_says() {
        for (first, days) in [
            ("1970-01-01T00:00:00Z", 31),
            ("2000-02-01T00:00:00Z", 29),
            ("2023-02-01T00:00:00Z", 28),
            ("2024-02-01T00:00:00Z", 29),
            ("2024-12-01T00:00:00Z", 31),
            ("2027-01-01T00:00:00Z", 31),
            ("2100-02-01T00:00:00Z", 28),
        ] {
            let first: Timestamp = first.parse().unwrap();
            let month = Period::month_of(first);
            assert_eq!(month.start(), first, "{month:?}");
            assert_eq!(month.seconds(), days * SECONDS_A_DAY, "{month:?}");
            assert_ne!(
                Period::month_of(Timestamp::from_micros(first.micros() - 1)).end(),
                first.plus_seconds(1)
            );
            assert_eq!(Period::month_of(month.end()).start(), month.end());
        }
    }

    #[test]
    fn every_instant_lies_in_its_periods() {
        for day in 0..60_000_u32 {
            let at = Timestamp::default().plus_seconds(u64::from(day) * 86_400 + 86_399);
            for period in [
                Period::hour_of(at),
                Period::day_of(at),
                Period::month_of(at),
            ] {
                assert!(period.start() <= at && at < period.end(), "{period:?} {at}");
            }
        }
    }
}
