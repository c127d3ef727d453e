//! The keys that sign access tokens in the form of a JWT, and their rotation.
//!
//! They are the server's, not an organization's: whoever checks a token offline asks the server for
//! its keys (RFC 7517). So the owners of the [operator's](Directory::operator_org) organization
//! rotate them, and the server makes the first of each algorithm itself when it is needed. The
//! private half is sealed before it comes here; these rules compare and publish, they never sign.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

use crate::actor::{Actor, Authority};
use crate::client::AccessTokenFormat;
use crate::digest::SealedSecret;
use crate::directory::Directory;
use crate::event::Event;
use crate::id::OrgId;
use crate::refusal::{Field, Noun, Reason, Refusal};
use crate::role::Role;
use crate::scope::built_in;
use crate::time::Timestamp;

/// How long a key that was replaced is still published, where nothing is said: a day, in seconds.
pub const OVERLAP_SECONDS_DEFAULT: u64 = 86_400;

/// The longest time for which a key that was replaced is published: 30 days, in seconds.
pub const OVERLAP_SECONDS_MAX: u64 = 30 * 86_400;

/// How many keys of one algorithm are published at once. Everybody who checks tokens reads them all.
pub const PUBLISHED_MAX: usize = 8;

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256. Its keys are brought along: the server makes none.
    #[serde(rename = "RS256")]
    Rs256,
}

/// The text is none of `ES256`, `EdDSA` and `RS256`, in this very spelling.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be ES256, EdDSA or RS256")]
pub struct NotAnAlgorithm;

impl SigningAlgorithm {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// Its name as JOSE has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SigningAlgorithm {
    type Err = NotAnAlgorithm;

    fn from_str(text: &str) -> Result<Self, NotAnAlgorithm> {
        let mut all = Self::ALL.into_iter();
        all.find(|algorithm| algorithm.as_str() == text)
            .ok_or(NotAnAlgorithm)
    }
}

/// The length of a key's name: 256 bits in base64url.
const KID_CHARS: usize = 43;

/// The name of a signing key, `kid`: the thumbprint of its public half (RFC 7638), so that one key
/// has one name everywhere and none can be given the name of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SigningKeyId([u8; KID_CHARS]);

/// The text is no SHA-256 thumbprint in base64url.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("must be a SHA-256 thumbprint in base64url, of 43 characters")]
pub struct NotAThumbprint;

impl SigningKeyId {
    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("base64url is ASCII")
    }
}

impl FromStr for SigningKeyId {
    type Err = NotAThumbprint;

    fn from_str(text: &str) -> Result<Self, NotAThumbprint> {
        let bytes: [u8; KID_CHARS] = text.as_bytes().try_into().map_err(|_| NotAThumbprint)?;
        let in_alphabet = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        // The last character holds four bits and two zeros: any other would be a second spelling.
        let is_canonical = b"AEIMQUYcgkosw048".contains(&bytes[KID_CHARS - 1]);
        if bytes.iter().all(in_alphabet) && is_canonical {
            Ok(Self(bytes))
        } else {
            Err(NotAThumbprint)
        }
    }
}

impl fmt::Display for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyId({self})")
    }
}

impl Serialize for SigningKeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SigningKeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The public half of a key, in the numbers that a JWK has. Which it is says how it signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublicKey {
    /// A point of P-256 (RFC 7518 §6.2.1), each coordinate big-endian.
    P256 {
        /// Its x.
        x: [u8; 32],
        /// Its y.
        y: [u8; 32],
    },
    /// An Ed25519 key (RFC 8037 §2).
    Ed25519 {
        /// The encoded point.
        x: [u8; 32],
    },
    /// An RSA key (RFC 7518 §6.3.1), both numbers big-endian without leading zeros.
    Rsa {
        /// The modulus, `n`.
        modulus: Arc<[u8]>,
        /// The exponent, `e`.
        exponent: Arc<[u8]>,
    },
}

impl PublicKey {
    /// How a key of this form signs: a token that says otherwise is not looked at.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Self::P256 { .. } => SigningAlgorithm::Es256,
            Self::Ed25519 { .. } => SigningAlgorithm::EdDsa,
            Self::Rsa { .. } => SigningAlgorithm::Rs256,
        }
    }
}

/// A signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its name.
    pub kid: SigningKeyId,
    /// The half that everybody may have.
    pub public_key: PublicKey,
    /// The half that signs, as the vault sealed it.
    pub sealed: SealedSecret,
    /// When it was made, or brought along.
    pub created_at: Timestamp,
    /// From when on it is published and accepted no more. `None` while it is the one that signs.
    pub retires_at: Option<Timestamp>,
}

impl SigningKey {
    /// How it signs.
    pub const fn algorithm(&self) -> SigningAlgorithm {
        self.public_key.algorithm()
    }

    /// Whether it is published, and what it signed accepted.
    pub fn is_published(&self, now: Timestamp) -> bool {
        now.is_before(self.retires_at)
    }
}

/// Make a key, or bring one along, that signs from now on. The one before it is published for a
/// while longer, for the tokens that it signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSigningKey {
    /// Its name.
    pub kid: SigningKeyId,
    /// The half that everybody may have.
    pub public_key: PublicKey,
    /// The half that signs, as the vault sealed it.
    pub sealed: SealedSecret,
    /// How long the one before it is published, in seconds; 0 ends it at once, anything else is at
    /// least the life of the longest token that it signs.
    pub overlap_seconds: u64,
}

/// Stop publishing a key at once: whatever it signed is refused from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetireSigningKey {
    /// The key.
    pub kid: SigningKeyId,
}

/// A key signs from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SigningKeyCreated {
    /// Its name.
    pub kid: SigningKeyId,
    /// The half that everybody may have; the key set shows it, and here its algorithm is enough.
    #[serde(rename = "algorithm", serialize_with = "algorithm_of")]
    pub public_key: PublicKey,
    /// The half that signs, as the vault sealed it.
    #[serde(skip)]
    pub sealed: SealedSecret,
    /// From when on the one before it is published no more, if there was one.
    pub previous_retires_at: Option<Timestamp>,
}

fn algorithm_of<S: Serializer>(key: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
    key.algorithm().serialize(serializer)
}

/// A key is published no more, nor is what it signed accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SigningKeyRetired {
    /// The key.
    pub kid: SigningKeyId,
}

impl Directory {
    /// The organization of whoever runs this server: the first that was made.
    pub const fn operator_org(&self) -> Option<OrgId> {
        self.operator_org
    }

    /// A signing key, by its name, while it is published.
    pub fn signing_key(&self, kid: SigningKeyId, now: Timestamp) -> Option<&SigningKey> {
        let key = self.signing_keys.get(&kid);
        key.filter(|key| key.is_published(now))
    }

    /// The signing keys that are published, in the order of their names.
    pub fn signing_keys(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        let all = self.signing_keys.values();
        all.filter(move |key| key.is_published(now))
    }

    /// The key that signs with this algorithm, if there is one.
    pub fn active_signing_key(&self, algorithm: SigningAlgorithm) -> Option<&SigningKey> {
        let mut all = self.signing_keys.values();
        all.find(|key| key.algorithm() == algorithm && key.retires_at.is_none())
    }

    /// Whether this authority may read of signing keys and rotate them.
    ///
    /// # Errors
    /// [`Refusal::InsufficientScope`], [`Refusal::RoleTooLow`] to whoever is no owner of the
    /// operator's organization, and [`Refusal::LiveFromTest`].
    pub fn require_signing_keys(&self, authority: &Authority) -> Result<(), Refusal> {
        self.require_of_operator(authority, built_in::SIGNING_KEYS_WRITE, Role::Owner)
    }

    pub(crate) fn decide_create_signing_key(
        &self,
        authority: &Authority,
        command: CreateSigningKey,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        let algorithm = command.public_key.algorithm();
        let has_previous = self.active_signing_key(algorithm).is_some();
        if authority.actor == Actor::System {
            // Two tokens were the first at once: the second is signed with the key of the first.
            if has_previous {
                return Ok(None);
            }
        } else {
            self.require_signing_keys(authority)?;
        }
        if command.overlap_seconds > OVERLAP_SECONDS_MAX {
            let reason = Reason::AtMost(OVERLAP_SECONDS_MAX);
            return Err(Refusal::invalid(Field::OverlapSeconds, reason));
        }
        let needed = self.token_seconds_max(algorithm);
        if has_previous && (1..needed).contains(&command.overlap_seconds) {
            return Err(Refusal::invalid(
                Field::OverlapSeconds,
                Reason::AtLeast(needed),
            ));
        }
        if self.signing_keys.contains_key(&command.kid) {
            return Err(Refusal::Taken(Field::PrivateKeyPem));
        }
        let published = self.signing_keys(now);
        let published = published.filter(|key| key.algorithm() == algorithm);
        if published.count() >= PUBLISHED_MAX {
            return Err(Refusal::TooManySigningKeys);
        }
        Ok(Some(Event::SigningKeyCreated(SigningKeyCreated {
            kid: command.kid,
            public_key: command.public_key,
            sealed: command.sealed,
            previous_retires_at: has_previous.then(|| now.plus_seconds(command.overlap_seconds)),
        })))
    }

    /// How long the longest of the tokens live that are signed with an algorithm now, in seconds. An
    /// overlap that ends before them would end them too, which must be said outright.
    fn token_seconds_max(&self, algorithm: SigningAlgorithm) -> u64 {
        let settings = self.clients.values().map(|client| &client.settings);
        let signed = settings.filter(|settings| {
            settings.access_token_format == AccessTokenFormat::Jwt
                && settings.signing_algorithm == algorithm
        });
        let longest = signed.map(|settings| settings.access_token_seconds).max();
        longest.unwrap_or_default().into()
    }

    pub(crate) fn decide_retire_signing_key(
        &self,
        authority: &Authority,
        command: RetireSigningKey,
        now: Timestamp,
    ) -> Result<Option<Event>, Refusal> {
        if authority.actor != Actor::System {
            self.require_signing_keys(authority)?;
        }
        let kid = command.kid;
        if self.signing_key(kid, now).is_none() {
            return Err(Refusal::Unknown(Noun::SigningKey));
        }
        Ok(Some(Event::SigningKeyRetired(SigningKeyRetired { kid })))
    }

    pub(crate) fn apply_signing_key_created(&mut self, event: &SigningKeyCreated, at: Timestamp) {
        // Whose time is over leaves with the next that comes: no timer changes the state.
        self.signing_keys.retain(|_, key| key.is_published(at));
        let algorithm = event.public_key.algorithm();
        if let Some(retires_at) = event.previous_retires_at {
            for key in self.signing_keys.values_mut() {
                if key.algorithm() == algorithm && key.retires_at.is_none() {
                    key.retires_at = Some(retires_at);
                }
            }
        }
        let key = SigningKey {
            kid: event.kid,
            public_key: event.public_key.clone(),
            sealed: event.sealed.clone(),
            created_at: at,
            retires_at: None,
        };
        self.signing_keys.insert(event.kid, key);
    }

    pub(crate) fn apply_signing_key_retired(&mut self, event: SigningKeyRetired) {
        self.signing_keys.remove(&event.kid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n063_a_key_has_one_name_in_one_spelling() {
        // RFC 7638 §3.1 has this thumbprint.
        let good = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(good.parse::<SigningKeyId>().unwrap().as_str(), good);
        let long = "A".repeat(1 << 20);
        for bad in [
            "",
            "../../dev/null",
            "' OR 1=1 --",
            &long,
            &good[..42],
            &format!("{good}A"),
            // The last character with bits that mean nothing.
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xt",
            "NzbLsXh8uDCcd+6MNwXF4W/7noWXFZAfHkxZsRGC9Xs",
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X=",
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC\u{e4}s",
        ] {
            assert_eq!(bad.parse::<SigningKeyId>(), Err(NotAThumbprint));
        }
    }

    #[test]
    fn n061_only_three_algorithms_have_names() {
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        for bad in [
            "none", "None", "nOnE", "", "HS256", "es256", "ES384", "PS256", "EDDSA",
        ] {
            assert_eq!(
                bad.parse::<SigningAlgorithm>(),
                Err(NotAnAlgorithm),
                "{bad}"
            );
        }
    }
}
