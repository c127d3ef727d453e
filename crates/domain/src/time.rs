//! Instants as data: the rules are told the time, they never ask for it.

use core::fmt;
use core::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// An instant: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// Written as RFC 3339 where people read it (JSON) and as an integer elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not an RFC 3339 instant such as `2027-01-31T09:00:00Z`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not an RFC 3339 instant such as 2027-01-31T09:00:00Z")]
pub struct NotAnInstant;

impl Timestamp {
    /// The instant this many microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The instant `seconds` later; at the end of time it stays there.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        let micros = seconds.saturating_mul(1_000_000);
        Self(self.0.saturating_add_unsigned(micros))
    }

    /// Whether something that ends at `end` is still good now: good while now is *before* it
    /// (RFC 7519 §4.1.4); no end means for ever.
    pub fn is_before(self, end: Option<Self>) -> bool {
        end.is_none_or(|end| self < end)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Stored rows may hold any number; one outside chrono's years is still printed.
        let Some(instant) = DateTime::<Utc>::from_timestamp_micros(self.0) else {
            return write!(f, "{} microseconds from 1970", self.0);
        };
        f.write_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl FromStr for Timestamp {
    type Err = NotAnInstant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .map(|instant| Self(instant.timestamp_micros()))
            .map_err(|_| NotAnInstant)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
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
            i64::deserialize(deserializer).map(Self)
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
        for micros in [i64::MIN, -1, 0, 2_147_483_648_000_000, i64::MAX] {
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
    fn offsets_are_understood_and_printed_as_utc() {
        let instant: Timestamp = "2027-01-31T10:00:00+01:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2027-01-31T09:00:00Z");
        assert_eq!("tomorrow".parse::<Timestamp>(), Err(NotAnInstant));
    }
}
