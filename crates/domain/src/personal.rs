//! Fields that belong to a person and can be taken back from the ledger.

use serde::{Deserialize, Serialize};

/// A value that is told for as long as its person's key exists.
///
/// The record holds a salted commitment to it; the value lies beside the record, sealed under the
/// key of the person. Once that key is destroyed the value reads as [`Personal::Erased`], for
/// ever, and every fold must give a sensible state all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Personal<T> {
    /// The value as it was recorded.
    Known(T),
    /// The person was erased.
    Erased,
}

impl<T> Personal<T> {
    /// The value, unless the person was erased.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}
