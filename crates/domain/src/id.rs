//! Names that never change: one newtype for each noun, all of them random and none of them secret.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares one identifier newtype over a version 4 UUID (RFC 9562 §5.4).
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The identifier made of 16 random bytes; the caller draws them.
            pub fn from_random(bytes: [u8; 16]) -> Self {
                Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
            }

            /// The identifier with exactly these bytes, as they were stored.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Writes it as text without allocating; the buffer is [`Self::buffer`]'s.
            pub fn encode(self, buffer: &mut [u8; 36]) -> &str {
                self.0.hyphenated().encode_lower(buffer)
            }

            /// Room for the text.
            pub const fn buffer() -> [u8; 36] {
                [0; 36]
            }

            /// The 16 bytes, as they are stored.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

id! {
    /// An organization, also called a workspace.
    OrgId
}
id! {
    /// A person. It is the pseudonym under which the person stands in the ledger.
    UserId
}
id! {
    /// A team inside one organization.
    TeamId
}
id! {
    /// A service: a holder of exactly one key, tied to no person.
    ServiceId
}
id! {
    /// A user's key. It stays the same through every rotation.
    KeyId
}
id! {
    /// A read-only entitlement token.
    EntitlementId
}
id! {
    /// An invitation that waits for its addressee.
    InvitationId
}
id! {
    /// A browser session; the cookie's secret is another value.
    SessionId
}
id! {
    /// A revocation of many keys at once.
    RevocationId
}
id! {
    /// An OAuth client (RFC 6749 §1.1); its text is the `client_id`.
    ClientId
}
id! {
    /// One HTTP request, as told in `X-Request-Id` and in the record it led to.
    RequestId
}
id! {
    /// Whose personal fields a record holds: a person, an invited address, or nobody in particular.
    ///
    /// Destroying the key kept under this pseudonym erases the fields and leaves every proof valid.
    PersonId
}

impl From<UserId> for PersonId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}

impl From<InvitationId> for PersonId {
    fn from(invitation: InvitationId) -> Self {
        Self(invitation.0)
    }
}

impl PersonId {
    /// Stands for requests that no person made: services, the server itself.
    pub const NOBODY: Self = Self(Uuid::nil());
}
