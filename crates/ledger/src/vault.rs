//! What must be read again and yet never lie in the folder in clear: retrievable credentials, the
//! keys of persons, and personal fields.
//!
//! AES-256-GCM (NIST SP 800-38D) from `ring`, with a random nonce of 96 bits: one key may seal
//! some 2^32 things before two nonces could meet, which is far above what one ledger holds. What a
//! ciphertext is *for* is bound to it as associated data: moved to another key, organization or
//! person it does not open.

use core::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{Context, SHA256};
use ring::rand::SecureRandom;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key_file::{NoRandomness, SealingKeys};
use crate::person_keys::Pseudonym;

/// The first byte of what the vault seals: this layout.
const LAYOUT: u8 = 1;

/// The length of the random salt before a personal field, in bytes.
const SALT_BYTES: usize = 32;

/// Why sealed bytes did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnsealError {
    /// They are too short, or of a layout that this version does not know.
    #[error("the sealed bytes are cut off or of an unknown layout")]
    Malformed,
    /// The key file does not have the version they were sealed with.
    #[error("the sealed bytes need sealing key {version}, which the key file does not have")]
    UnknownVersion {
        /// The version they name.
        version: u32,
    },
    /// They were changed, or belong to something else.
    #[error("the sealed bytes were changed or belong to something else")]
    NotAuthentic,
}

/// What something is sealed for; it opens for nothing else.
#[derive(Clone, Copy, Debug)]
pub enum SealedFor<'a> {
    /// A credential that its owner may read again.
    RetrievableKey {
        /// The id of the user who may read it.
        owner: &'a [u8],
        /// The key's id, which a rotation keeps.
        key: &'a [u8],
        /// Which of the key's secrets, counted by its rotations.
        secret_version: u32,
    },
    /// The key of a person (see [`PersonKeys`](crate::person_keys::PersonKeys)).
    PersonKey {
        /// Whose.
        person: Pseudonym,
    },
    /// The private half of a key that signs tokens.
    SigningKey {
        /// Its `kid`, which is the thumbprint of its public half: it opens beside no other.
        kid: &'a [u8],
    },
}

impl SealedFor<'_> {
    /// Every field has its length before it: no two purposes give the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        let mut field = |field: &[u8]| {
            bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            bytes.extend_from_slice(field);
        };
        match self {
            Self::RetrievableKey {
                owner,
                key,
                secret_version,
            } => {
                field(b"retrievable key");
                field(owner);
                field(key);
                field(&secret_version.to_le_bytes());
            }
            Self::PersonKey { person } => {
                field(b"person key");
                field(person.as_bytes());
            }
            Self::SigningKey { kid } => {
                field(b"signing key");
                field(kid);
            }
        }
        bytes
    }
}

/// Seals and opens with the sealing keys of the key file.
pub struct Vault {
    retrievable: Vec<(u32, LessSafeKey)>,
    persons: Vec<(u32, LessSafeKey)>,
    signing: Vec<(u32, LessSafeKey)>,
}

impl Vault {
    /// Derives the vault's keys, so that no key of the key file is ever used for two things.
    pub fn new(sealing: &SealingKeys) -> Self {
        let keys = |context| {
            let derived = sealing.derive(context);
            derived
                .map(|(version, key)| (version, cipher(&key)))
                .collect()
        };
        Self {
            retrievable: keys("keyledger 2026-11 retrievable keys"),
            persons: keys("keyledger 2026-11 person keys"),
            signing: keys("keyledger 2026-11 signing keys"),
        }
    }

    fn keys(&self, purpose: &SealedFor<'_>) -> &[(u32, LessSafeKey)] {
        match purpose {
            SealedFor::RetrievableKey { .. } => &self.retrievable,
            SealedFor::PersonKey { .. } => &self.persons,
            SealedFor::SigningKey { .. } => &self.signing,
        }
    }

    /// Seals with the newest key: `[layout 1][key version 4, little-endian][nonce 12][ciphertext][tag 16]`.
    ///
    /// # Errors
    /// If the random generator fails.
    pub fn seal(
        &self,
        purpose: &SealedFor<'_>,
        plaintext: &[u8],
        rng: &dyn SecureRandom,
    ) -> Result<Vec<u8>, NoRandomness> {
        let (version, key) = self.keys(purpose).last().ok_or(NoRandomness)?;
        let mut header = [LAYOUT, 0, 0, 0, 0];
        header[1..].copy_from_slice(&version.to_le_bytes());
        seal(key, &header, &purpose.associated_data(), &[plaintext], rng)
    }

    /// Opens what [`Vault::seal`] gave for the same purpose, with the key version that it names.
    ///
    /// # Errors
    /// If it was not sealed here for this purpose, or its key is gone.
    pub fn open(
        &self,
        purpose: &SealedFor<'_>,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let Some(([LAYOUT, version @ ..], rest)) = sealed.split_first_chunk::<5>() else {
            return Err(UnsealError::Malformed);
        };
        let version = u32::from_le_bytes(*version);
        let (_, key) = self
            .keys(purpose)
            .iter()
            .find(|(known, _)| *known == version)
            .ok_or(UnsealError::UnknownVersion { version })?;
        open(key, &purpose.associated_data(), rest)
    }
}

/// A salted commitment to a personal field: what a record holds in the field's place.
///
/// `SHA-256(salt || field)` with 256 random bits of salt: whoever has the field and its salt can
/// prove that they belong to the record; without the salt nobody can confirm a guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// A commitment as a record holds it.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for the record.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn to(salt: &[u8], field: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(salt);
        context.update(field);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commitment(")?;
        self.0
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

/// A personal field, split in what goes into the record and what goes beside it.
#[derive(Debug)]
pub struct SealedField {
    /// Into the record, for ever.
    pub commitment: Commitment,
    /// Into the side data: salt and field, sealed under the person's key.
    pub sealed: Vec<u8>,
}

/// The key of one person. Once it is destroyed, the person's fields are gone and the proofs stay.
pub struct PersonKey {
    person: Pseudonym,
    key: LessSafeKey,
}

impl PersonKey {
    pub(crate) fn new(person: Pseudonym, secret: &[u8; 32]) -> Self {
        Self {
            person,
            key: cipher(secret),
        }
    }

    /// Whose key it is.
    pub const fn person(&self) -> Pseudonym {
        self.person
    }

    /// Commits to a field and seals it: `[layout 1][nonce 12][ciphertext of salt and field][tag 16]`.
    ///
    /// # Errors
    /// If the random generator fails.
    pub fn seal(&self, field: &[u8], rng: &dyn SecureRandom) -> Result<SealedField, NoRandomness> {
        let mut salt = Zeroizing::new([0; SALT_BYTES]);
        rng.fill(&mut *salt).map_err(|_| NoRandomness)?;
        let commitment = Commitment::to(&*salt, field);
        let aad = self.associated_data(&commitment);
        let sealed = seal(&self.key, &[LAYOUT], &aad, &[&*salt, field], rng)?;
        Ok(SealedField { commitment, sealed })
    }

    /// Opens a field, and checks that it is the one the record committed to.
    ///
    /// # Errors
    /// If it was changed, belongs to another person or another commitment, or is cut off.
    pub fn open(
        &self,
        commitment: &Commitment,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let Some((&LAYOUT, rest)) = sealed.split_first() else {
            return Err(UnsealError::Malformed);
        };
        let both = open(&self.key, &self.associated_data(commitment), rest)?;
        let (salt, field) = both
            .split_at_checked(SALT_BYTES)
            .ok_or(UnsealError::Malformed)?;
        let found = Commitment::to(salt, field);
        if bool::from(found.0.ct_eq(&commitment.0)) {
            Ok(Zeroizing::new(field.to_vec()))
        } else {
            Err(UnsealError::NotAuthentic)
        }
    }

    /// The person and the commitment: a field of one record does not open beside another.
    fn associated_data(&self, commitment: &Commitment) -> Vec<u8> {
        [
            b"personal field".as_slice(),
            self.person.as_bytes(),
            &commitment.0,
        ]
        .concat()
    }
}

fn cipher(secret: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, secret).expect("a key of 32 bytes fits AES-256");
    LessSafeKey::new(key)
}

/// `header || nonce || ciphertext || tag`. The header only says how to open the rest: changed, it
/// names another layout or another key, and nothing opens.
fn seal(
    key: &LessSafeKey,
    header: &[u8],
    associated_data: &[u8],
    plaintext: &[&[u8]],
    rng: &dyn SecureRandom,
) -> Result<Vec<u8>, NoRandomness> {
    let mut nonce = [0; NONCE_LEN];
    rng.fill(&mut nonce).map_err(|_| NoRandomness)?;
    let plaintext_bytes: usize = plaintext.iter().map(|part| part.len()).sum();
    // Encrypted where it stands: with all the room reserved no copy of the plaintext is left over.
    let mut out =
        Vec::with_capacity(header.len() + NONCE_LEN + plaintext_bytes + AES_256_GCM.tag_len());
    out.extend_from_slice(header);
    out.extend_from_slice(&nonce);
    let start = out.len();
    for part in plaintext {
        out.extend_from_slice(part);
    }
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated_data),
            &mut out[start..],
        )
        .expect("AES-GCM seals up to 64 GiB, a record has 64 KiB");
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// Opens `nonce || ciphertext || tag`.
fn open(
    key: &LessSafeKey,
    associated_data: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
    let (nonce, ciphertext) = sealed
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(UnsealError::Malformed)?;
    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    let length = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(associated_data),
            &mut plaintext,
        )
        .map_err(|_| UnsealError::NotAuthentic)?
        .len();
    plaintext.truncate(length);
    Ok(plaintext)
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::key_file::MasterKey;

    const PURPOSE: SealedFor<'_> = SealedFor::RetrievableKey {
        owner: b"acme",
        key: b"3kTMd9wQx",
        secret_version: 1,
    };

    #[test]
    fn what_is_sealed_opens_for_the_same_purpose_only() {
        let rng = SystemRandom::new();
        let key = MasterKey::generate(&rng).expect("randomness");
        let vault = Vault::new(key.sealing());
        let sealed = vault
            .seal(&PURPOSE, b"sk_live_secret", &rng)
            .expect("it is sealed");
        assert_eq!(
            **vault.open(&PURPOSE, &sealed).expect("it opens"),
            *b"sk_live_secret"
        );
        assert!(
            !sealed.windows(6).any(|part| part == b"secret"),
            "no clear text"
        );

        let others = [
            SealedFor::RetrievableKey {
                owner: b"acm",
                key: b"e3kTMd9wQx",
                secret_version: 1,
            },
            SealedFor::RetrievableKey {
                owner: b"acme",
                key: b"3kTMd9wQx",
                secret_version: 2,
            },
            SealedFor::PersonKey {
                person: Pseudonym::from([1; 16]),
            },
            SealedFor::SigningKey { kid: b"3kTMd9wQx" },
        ];
        for other in &others {
            assert_eq!(
                vault.open(other, &sealed).err(),
                Some(UnsealError::NotAuthentic)
            );
        }
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_found() {
        let rng = SystemRandom::new();
        let vault = Vault::new(MasterKey::generate(&rng).expect("randomness").sealing());
        let sealed = vault.seal(&PURPOSE, b"secret", &rng).expect("it is sealed");
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(vault.open(&PURPOSE, &bad).is_err(), "byte {at} changed");
            assert!(vault.open(&PURPOSE, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_older_sealing_key_still_opens_and_a_missing_one_is_named() {
        let rng = SystemRandom::new();
        let mut key = MasterKey::generate(&rng).expect("randomness");
        let old = Vault::new(key.sealing());
        let sealed_old = old.seal(&PURPOSE, b"old", &rng).expect("it is sealed");
        key.add_sealing_key(&rng).expect("randomness");
        let new = Vault::new(key.sealing());
        let sealed_new = new.seal(&PURPOSE, b"new", &rng).expect("it is sealed");
        assert_eq!(
            **new.open(&PURPOSE, &sealed_old).expect("it opens"),
            *b"old"
        );
        assert_eq!(
            old.open(&PURPOSE, &sealed_new).err(),
            Some(UnsealError::UnknownVersion { version: 2 })
        );
    }

    #[test]
    fn a_personal_field_opens_beside_its_own_commitment_only() {
        let rng = SystemRandom::new();
        let ada = PersonKey::new(Pseudonym::from([1; 16]), &[9; 32]);
        let one = ada.seal(b"ada@example.com", &rng).expect("it is sealed");
        let two = ada.seal(b"ada@example.com", &rng).expect("it is sealed");
        assert_ne!(one.commitment, two.commitment, "a fresh salt each time");
        assert_eq!(
            **ada.open(&one.commitment, &one.sealed).expect("opens"),
            *b"ada@example.com"
        );
        assert_eq!(
            ada.open(&two.commitment, &one.sealed).err(),
            Some(UnsealError::NotAuthentic)
        );

        let bob = PersonKey::new(Pseudonym::from([2; 16]), &[9; 32]);
        assert_eq!(
            bob.open(&one.commitment, &one.sealed).err(),
            Some(UnsealError::NotAuthentic)
        );
    }

    #[test]
    fn a_commitment_is_the_hash_of_salt_and_field() {
        let wanted = ring::digest::digest(&SHA256, b"saltfield");
        assert_eq!(
            Commitment::to(b"salt", b"field").as_bytes().as_slice(),
            wanted.as_ref()
        );
    }
}
