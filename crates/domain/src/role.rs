//! What a person or a service is in an organization.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role in one organization, in rising order: whoever has one has everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Has keys of their own and reads the organization.
    Member,
    /// Runs services, teams, entitlements and members, but makes no owner.
    Manager,
    /// May do everything; an organization never loses its last one.
    Owner,
}

impl Role {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Manager => "manager",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "member" => Ok(Self::Member),
            "manager" => Ok(Self::Manager),
            "owner" => Ok(Self::Owner),
            _ => Err(()),
        }
    }
}
