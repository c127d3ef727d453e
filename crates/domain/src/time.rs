//! Instants as data: the rules are told the time, they never ask for it.

use core::fmt;
use core::num::NonZeroU64;
use core::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// An instant: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Written as RFC 3339 where people read it (JSON) and as an integer elsewhere.
///
/// Kept as microseconds since the earliest instant, so that it sorts as it is, and never zero: an
/// `Option` of it, of which a key has several, takes no more room. The earliest of all is given up for
/// that, 292,000 years ago.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

/// 1970 in microseconds since the earliest instant.
const EPOCH: u64 = 1 << 63;

/// The text is not an RFC 3339 instant such as `2027-01-31T09:00:00Z`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not an RFC 3339 instant such as 2027-01-31T09:00:00Z")]
pub struct NotAnInstant;

impl Timestamp {
    /// The instant this many microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        match NonZeroU64::new(micros.cast_unsigned() ^ EPOCH) {
            Some(since_earliest) => Self(since_earliest),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        (self.0.get() ^ EPOCH).cast_signed()
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.micros().div_euclid(1_000_000)
    }

    /// The instant `seconds` later; at the end of time it stays there.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        let micros = seconds.saturating_mul(1_000_000);
        Self(self.0.saturating_add(micros))
    }

    /// Whether something that ends at `end` is still good now: good while now is *before* it
    /// (RFC 7519 §4.1.4); no end means for ever.
    pub fn is_before(self, end: Option<Self>) -> bool {
        end.is_none_or(|end| self < end)
    }
}

/// 1970.
impl Default for Timestamp {
    fn default() -> Self {
        Self::from_micros(0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({})", self.micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Stored rows may hold any number; one outside chrono's years is still printed.
        let Some(instant) = DateTime::<Utc>::from_timestamp_micros(self.micros()) else {
            return write!(f, "{} microseconds from 1970", self.micros());
        };
        f.write_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl FromStr for Timestamp {
    type Err = NotAnInstant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .map(|instant| Self::from_micros(instant.timestamp_micros()))
            .map_err(|_| NotAnInstant)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.micros())
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?
                .parse()
                .map_err(de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self::from_micros)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_while_now_is_before_the_end() {
        let end = Timestamp::from_micros(1_000_000);
        for (now, good) in [(999_999, true), (1_000_000, false), (1_000_001, false)] {
            assert_eq!(
                Timestamp::from_micros(now).is_before(Some(end)),
                good,
                "at {now}"
            );
        }
        assert!(Timestamp::from_micros(i64::MAX).is_before(None));
    }

    #[test]
    fn n136_no_year_makes_it_panic() {
        for micros in [i64::MIN + 1, -1, 0, 2_147_483_648_000_000, i64::MAX] {
            assert!(!Timestamp::from_micros(micros).to_string().is_empty());
            assert!(
                Timestamp::from_micros(micros)
                    .plus_seconds(u64::MAX)
                    .micros()
                    >= micros
            );
        }
    }

    #[test]
    fn it_sorts_by_time_and_an_end_that_is_none_takes_no_room() {
        let all = [i64::MIN + 1, -1, 0, 1, i64::MAX];
        let instants = all.map(Timestamp::from_micros);
        assert_eq!(instants.map(Timestamp::micros), all);
        assert!(instants.is_sorted());
        let earliest = Timestamp::from_micros(i64::MIN);
        assert_eq!(earliest, instants[0]);
        assert_eq!(Timestamp::default().micros(), 0);
        assert_eq!(size_of::<Option<Timestamp>>(), size_of::<Timestamp>());
    }

    #[test]
    fn offsets_are_understood_and_printed_as_utc() {
        let instant: Timestamp = "2027-01-31T10:00:00+01:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2027-01-31T09:00:00Z");
        assert_eq!("tomorrow".parse::<Timestamp>(), Err(NotAnInstant));
    }
}
