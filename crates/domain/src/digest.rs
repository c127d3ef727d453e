//! What the ledger keeps of a secret.

use core::fmt;
use std::sync::Arc;

use constant_time_eq::constant_time_eq_32;
use serde::{Deserialize, Serialize};

/// The keyed BLAKE3 tag of a whole credential, and the version of the pepper that keyed it.
///
/// No slow hash: the secret has 256 random bits, guessing is not helped by stretching, and a slow
/// one in the path of every request would be a gift to whoever floods us.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Digest {
    /// Which pepper of the key file made it.
    pub pepper_version: u32,
    /// The tag.
    pub tag: [u8; 32],
}

impl Digest {
    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.pepper_version == other.pepper_version && constant_time_eq_32(&self.tag, &other.tag)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}

impl Eq for Digest {}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest(pepper {})", self.pepper_version)
    }
}

/// A password as argon2id left it, in PHC string form. Made and checked outside the rules.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a PHC string.
    pub fn from_phc(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for the one who checks a password.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A credential that its owner may read again, as the vault sealed it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedSecret(Arc<[u8]>);

impl SealedSecret {
    /// Wraps what the vault gave.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    /// The bytes that the vault opens.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.0.len())
    }
}
