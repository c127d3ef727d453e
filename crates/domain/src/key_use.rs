//! That a key was used for the first time, and from which networks: the two facts of its use that are
//! worth a record. How often it is used is no fact of the ledger.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::actor::{Actor, Authority};
use crate::credential::{CredentialId, CredentialKind};
use crate::directory::Directory;
use crate::event::Event;
use crate::refusal::{Noun, Refusal};

/// The most networks of a key that are told apart. A key of the whole internet would fill the ledger
/// otherwise, and its thirty-third network is no news.
pub const NETWORKS_MAX: usize = 32;

/// A network that a key was used from, as a keyed tag: the same network of the same key has the same
/// tag, and without the key file nobody tells which network it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkTag([u8; 8]);

/// The text is not sixteen hexadecimal digits.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not sixteen hexadecimal digits")]
pub struct NotATag;

impl NetworkTag {
    /// The tag with these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Its bytes, as they are stored.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for NetworkTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl From<NetworkTag> for String {
    fn from(tag: NetworkTag) -> Self {
        tag.to_string()
    }
}

impl TryFrom<String> for NetworkTag {
    type Error = NotATag;

    fn try_from(text: String) -> Result<Self, NotATag> {
        let number = u64::from_str_radix(&text, 16).ok();
        let tag = number.map(|number| Self(number.to_be_bytes()));
        tag.filter(|tag| tag.to_string() == text).ok_or(NotATag)
    }
}

/// What the ledger remembers of the use of a key. That it is there says that the key was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The networks it was used from, in the order of their first use.
    pub networks: Vec<NetworkTag>,
}

/// Note that a key was used. The server says so itself; whoever used the key does not wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteApiKeyUse {
    /// The key.
    pub id: CredentialId,
    /// From which network, if it was told.
    pub network: Option<NetworkTag>,
}

/// A key was used for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyFirstUsed {
    /// The key.
    pub id: CredentialId,
    /// From which network, if it was told.
    pub network: Option<NetworkTag>,
}

/// A key was used from a network that it had not been used from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKeyNetworkFirstSeen {
    /// The key.
    pub id: CredentialId,
    /// The network.
    pub network: NetworkTag,
}

impl Directory {
    /// What is remembered of the use of a key; `None` of one that was never used.
    pub fn key_use(&self, id: CredentialId) -> Option<&KeyUse> {
        self.key_uses.get(&id)
    }

    /// What noting a use would add, asked by the server before it submits the command.
    pub fn is_news(&self, note: &NoteApiKeyUse) -> bool {
        match (self.key_use(note.id), note.network) {
            // Tokens come and go by the million; what is done with them is told of their client.
            (None, _) => self
                .api_key(note.id)
                .is_some_and(|key| key.issued.kind != CredentialKind::AccessToken),
            (Some(_), None) => false,
            (Some(known), Some(network)) => {
                known.networks.len() < NETWORKS_MAX && !known.networks.contains(&network)
            }
        }
    }

    pub(crate) fn decide_note_api_key_use(
        &self,
        authority: &Authority,
        command: NoteApiKeyUse,
    ) -> Result<Option<Event>, Refusal> {
        let NoteApiKeyUse { id, network } = command;
        // Nobody but the server has seen it; a use that anybody could claim would prove nothing.
        if authority.actor != Actor::System || self.api_key(id).is_none() {
            return Err(Refusal::Unknown(Noun::Key));
        }
        if !self.is_news(&command) {
            return Ok(None);
        }
        Ok(match (self.key_use(id), network) {
            (None, network) => Some(Event::ApiKeyFirstUsed(ApiKeyFirstUsed { id, network })),
            (Some(_), Some(network)) => {
                Some(Event::ApiKeyNetworkFirstSeen(ApiKeyNetworkFirstSeen {
                    id,
                    network,
                }))
            }
            (Some(_), None) => None,
        })
    }

    pub(crate) fn apply_api_key_first_used(&mut self, event: ApiKeyFirstUsed) {
        let networks = event.network.into_iter().collect();
        self.key_uses.insert(event.id, KeyUse { networks });
    }

    pub(crate) fn apply_api_key_network_first_seen(&mut self, event: ApiKeyNetworkFirstSeen) {
        let known = self.key_uses.get_mut(&event.id);
        let known = known.expect("a key has a first use before its second network");
        known.networks.push(event.network);
    }
}
