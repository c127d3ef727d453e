//! Who does something, how they showed it, and what the record keeps of the request.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::credential::CredentialId;
use crate::id::{ClientId, EntitlementId, PersonId, RequestId, ServiceId, SessionId, UserId};
use crate::personal::Personal;

/// Who acts. Plain data: that the caller really is this actor is proved in the API crate.
///
/// In JSON `{"type": "user", "id": ".."}`; in formats that do not describe themselves a plain variant,
/// because those cannot read a tag before its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The server itself, on the word of whoever runs it.
    System,
    /// A person.
    User(UserId),
    /// A service.
    Service(ServiceId),
    /// An entitlement token, which acts for nobody but itself.
    Entitlement(EntitlementId),
    /// An OAuth client that acts for itself, not for a person.
    Client(ClientId),
}

/// As people read it.
#[derive(Serialize, Deserialize)]
#[serde(
    remote = "Actor",
    tag = "type",
    content = "id",
    rename_all = "snake_case"
)]
enum Tagged {
    System,
    User(UserId),
    Service(ServiceId),
    Entitlement(EntitlementId),
    Client(ClientId),
}

/// As a snapshot holds it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Actor")]
enum Plain {
    System,
    User(UserId),
    Service(ServiceId),
    Entitlement(EntitlementId),
    Client(ClientId),
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Tagged::serialize(self, serializer)
        } else {
            Plain::serialize(self, serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Tagged::deserialize(deserializer)
        } else {
            Plain::deserialize(deserializer)
        }
    }
}

impl Actor {
    /// Who it is, if it is a person.
    pub fn person(self) -> PersonId {
        match self {
            Self::User(user) => user.into(),
            Self::System | Self::Service(_) | Self::Entitlement(_) | Self::Client(_) => {
                PersonId::NOBODY
            }
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Entitlement(id) => write!(f, "entitlement:{id}"),
            Self::Client(id) => write!(f, "client:{id}"),
        }
    }
}

/// How an actor showed who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Nothing to show: the server's own doing.
    Own,
    /// The account's password, in this very request.
    Password,
    /// A browser session that a password opened.
    Session(SessionId),
    /// A key or token, which never holds more than its scopes.
    Credential {
        /// Its public id.
        id: CredentialId,
        /// Which of its secrets was shown: one in its grace opens less, one that a rotation has
        /// ended meanwhile opens nothing.
        version: u32,
    },
    /// An OAuth client that named itself, and showed its secret if it has one. It opens the token
    /// endpoint and nothing else (RFC 6749 §2.3).
    Client {
        /// The public id of the secret; `None` for a public client, which has none to show.
        secret: Option<CredentialId>,
    },
}

/// An actor and their proof: what every command is decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Who acts.
    pub actor: Actor,
    /// How they showed it.
    pub proof: Proof,
}

impl Authority {
    /// The server itself.
    pub const SYSTEM: Self = Self {
        actor: Actor::System,
        proof: Proof::Own,
    };

    /// The credential that was shown, if one was.
    pub const fn credential(&self) -> Option<CredentialId> {
        match self.proof {
            Proof::Credential { id, .. } => Some(id),
            Proof::Client { secret } => secret,
            Proof::Own | Proof::Password | Proof::Session(_) => None,
        }
    }

    /// Whether the account's password stands behind it, now or at the opening of a session. A key
    /// never opens what only its owner may do: it lies in scripts, and is stolen from there.
    pub const fn is_password_backed(&self) -> bool {
        match self.proof {
            Proof::Password | Proof::Session(_) => true,
            Proof::Own | Proof::Credential { .. } | Proof::Client { .. } => false,
        }
    }
}

/// The longest client name kept, in characters.
const CLIENT_CHARS: usize = 256;

/// What the client calls itself (RFC 9110 §10.1.5), cut to 256 characters, on one line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientName(Arc<str>);

impl ClientName {
    /// The name, with everything escaped that could disturb a terminal or fake a second entry.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientName {
    type Err = core::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let safe = |c: char| c.is_ascii_graphic() || c == ' ';
        let shown = text.chars().map(|c| if safe(c) { c } else { '\u{fffd}' });
        Ok(Self(shown.take(CLIENT_CHARS).collect::<String>().into()))
    }
}

/// Where a command came from: kept in every record from the first day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Who acted.
    pub actor: Actor,
    /// Whose address and client these are. It need not be who acted: the server notes from where a
    /// person's key was used.
    pub person: PersonId,
    /// The public id of the credential they showed, if it was one.
    pub credential: Option<CredentialId>,
    /// The request.
    pub request: RequestId,
    /// The address it came from.
    pub source: Option<Personal<IpAddr>>,
    /// What the client called itself.
    pub client: Option<Personal<ClientName>>,
}

impl Origin {
    /// The origin of what the server does of its own accord.
    pub const fn system(request: RequestId) -> Self {
        Self {
            actor: Actor::System,
            person: PersonId::NOBODY,
            credential: None,
            request,
            source: None,
            client: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n118_a_client_name_is_one_harmless_line() {
        let hostile = format!("curl\r\n\u{1b}[31m\u{202e}\"{}", "x".repeat(10_000));
        let Ok(name) = hostile.parse::<ClientName>();
        assert_eq!(name.as_str().chars().count(), CLIENT_CHARS);
        assert!(!name.as_str().contains(['\r', '\n', '\u{1b}', '\u{202e}']));
    }
}
