//! Where a record stands in the ledger.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The place of one record in the ledger: 1 for the first, without gaps.
///
/// Order is taken from here and from nowhere else; a record's time is information only.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first record: the position of an empty ledger.
    pub const ZERO: Self = Self(0);

    /// The position with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of records up to and including this one.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position that follows this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
