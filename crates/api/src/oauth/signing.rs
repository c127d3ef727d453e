//! Signing: the private halves, which are sealed wherever they are kept.

use actix_web::web;
use ahash::HashMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyledger_domain::signing::{
    CreateSigningKey, OVERLAP_SECONDS_DEFAULT, PublicKey, SigningAlgorithm, SigningKeyId,
};
use keyledger_domain::{Position, SealedSecret};
use keyledger_ledger::vault::SealedFor;
use parking_lot::RwLock;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use std::sync::Arc;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::app::App;
use crate::caller::{Caller, Origin};
use crate::oauth::jwk;
use crate::oauth::jwt::{Claims, Jwt, Unsigned};
use crate::problem::Problem;

const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_FOOT: &str = "-----END PRIVATE KEY-----";

/// A key that was brought along is no good. Nothing of it is repeated.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "must be an RSA private key of 2,048 to 4,096 bits, as PEM of PKCS#8 (`BEGIN PRIVATE KEY`)"
)]
pub struct NotAnRsaKey;

/// The half of a key that signs. It is never shown, and no log can print it.
pub enum PrivateKey {
    /// Of P-256.
    P256(Box<EcdsaKeyPair>),
    /// Of Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
    /// RSA.
    Rsa(Box<RsaKeyPair>),
}

impl PrivateKey {
    /// Reads PKCS#8 (RFC 5208); of RSA keys 2,048 to 4,096 bits and an exponent of 65,537 at least.
    /// `None` for what is no such key.
    fn from_pkcs8(algorithm: SigningAlgorithm, pkcs8: &[u8], rng: &SystemRandom) -> Option<Self> {
        Some(match algorithm {
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, rng);
                Self::P256(Box::new(pair.ok()?))
            }
            SigningAlgorithm::EdDsa => {
                Self::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(pkcs8).ok()?))
            }
            SigningAlgorithm::Rs256 => Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(pkcs8).ok()?)),
        })
    }

    /// The half that everybody may have.
    fn public_key(&self) -> PublicKey {
        match self {
            Self::P256(pair) => {
                // SEC 1 §2.3.3: a 4, then both coordinates.
                let point = pair.public_key().as_ref();
                let (x, y) = (&point[1..33], &point[33..]);
                PublicKey::P256 {
                    x: x.try_into().expect("a point of P-256 has 65 bytes"),
                    y: y.try_into().expect("a point of P-256 has 65 bytes"),
                }
            }
            Self::Ed25519(pair) => PublicKey::Ed25519 {
                x: pair
                    .public_key()
                    .as_ref()
                    .try_into()
                    .expect("an Ed25519 key has 32 bytes"),
            },
            Self::Rsa(pair) => {
                let parts: PublicKeyComponents<Vec<u8>> = pair.public().into();
                PublicKey::Rsa {
                    modulus: parts.n.into(),
                    exponent: parts.e.into(),
                }
            }
        }
    }

    /// Signs as its algorithm says (RFC 7518 §3.3, §3.4; RFC 8037 §3.1).
    ///
    /// # Errors
    /// 500 when the system gives no randomness.
    pub fn sign(&self, message: &[u8], rng: &SystemRandom) -> Result<Vec<u8>, Problem> {
        let failed = |_| {
            tracing::error!("a token could not be signed");
            Problem::internal()
        };
        match self {
            Self::P256(pair) => {
                let signature = pair.sign(rng, message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, rng, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

/// A new key: how its private half is written down, and its halves.
pub struct Drawn {
    pkcs8: Zeroizing<Vec<u8>>,
    /// The half that signs.
    pub private_key: PrivateKey,
    /// The half that everybody may have.
    pub public_key: PublicKey,
    /// Its name.
    pub kid: SigningKeyId,
}

impl Drawn {
    fn of(
        algorithm: SigningAlgorithm,
        pkcs8: Zeroizing<Vec<u8>>,
        rng: &SystemRandom,
    ) -> Option<Self> {
        let private_key = PrivateKey::from_pkcs8(algorithm, &pkcs8, rng)?;
        let public_key = private_key.public_key();
        let kid = jwk::thumbprint(&public_key);
        Some(Self {
            pkcs8,
            private_key,
            public_key,
            kid,
        })
    }

    /// Draws a key. `None` for RSA, whose keys are brought along, and when the system gives no
    /// randomness.
    pub fn draw(algorithm: SigningAlgorithm, rng: &SystemRandom) -> Option<Self> {
        let document = match algorithm {
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, rng)
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(rng),
            SigningAlgorithm::Rs256 => return None,
        };
        // ring's own copy on the stack is out of reach; this one is wiped.
        let pkcs8 = Zeroizing::new(document.ok()?.as_ref().to_vec());
        Self::of(algorithm, pkcs8, rng)
    }

    /// Reads an RSA key that was brought along, in PEM (RFC 7468 §10).
    ///
    /// # Errors
    /// If it is none.
    pub fn rsa_of_pem(pem: &str, rng: &SystemRandom) -> Result<Self, NotAnRsaKey> {
        let body = pem
            .trim()
            .strip_prefix(PEM_HEAD)
            .and_then(|rest| rest.strip_suffix(PEM_FOOT))
            .ok_or(NotAnRsaKey)?;
        // With all the room reserved nothing moves, and no copy is left behind.
        let mut compact = Zeroizing::new(Vec::with_capacity(body.len()));
        compact.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(compact.len()));
        STANDARD
            .decode_vec(&*compact, &mut pkcs8)
            .map_err(|_| NotAnRsaKey)?;
        Self::of(SigningAlgorithm::Rs256, pkcs8, rng).ok_or(NotAnRsaKey)
    }
}

/// The keys that sign now, opened and parsed; at most one an algorithm, but for the moment of a
/// rotation.
#[derive(Default)]
pub(crate) struct Signers(RwLock<HashMap<SigningKeyId, Arc<PrivateKey>>>);

fn purpose(kid: &SigningKeyId) -> SealedFor<'_> {
    SealedFor::SigningKey {
        kid: kid.as_str().as_bytes(),
    }
}

impl App {
    /// Signs an access token with the key of this algorithm; the first time makes one.
    ///
    /// # Errors
    /// 503 for RS256 without a key, which only the operator can bring; 500 when the key does not open,
    /// or the system gives no randomness.
    pub async fn sign_access_token(
        &self,
        origin: &Origin,
        algorithm: SigningAlgorithm,
        claims: &Claims,
    ) -> Result<Jwt, Problem> {
        let (kid, key) = self.signer(origin, algorithm).await?;
        let unsigned = Unsigned::new(kid, algorithm, claims)?;
        let signature = match *key {
            PrivateKey::P256(_) | PrivateKey::Ed25519(_) => {
                key.sign(unsigned.as_bytes(), self.rng())?
            }
            // Milliseconds: too long for the thread on which others verify keys.
            PrivateKey::Rsa(_) => {
                let message = unsigned.as_bytes().to_vec();
                let rng = self.rng().clone();
                let signed = web::block(move || key.sign(&message, &rng)).await;
                signed.map_err(|_| Problem::internal())??
            }
        };
        Ok(unsigned.signed(&signature))
    }

    /// The key that signs, opened.
    async fn signer(
        &self,
        origin: &Origin,
        algorithm: SigningAlgorithm,
    ) -> Result<(SigningKeyId, Arc<PrivateKey>), Problem> {
        if self.active(algorithm).is_none() {
            self.make_first_signing_key(origin, algorithm).await?;
        }
        let (kid, sealed) = self.active(algorithm).ok_or_else(|| {
            tracing::error!(%algorithm, "the key that was made to sign was retired at once");
            Problem::unavailable("Try again.")
        })?;
        if let Some(key) = self.signers().0.read().get(&kid) {
            return Ok((kid, Arc::clone(key)));
        }
        let opened = self.vault().open(&purpose(&kid), sealed.as_bytes());
        let pkcs8 = opened.map_err(|error| {
            tracing::error!(%kid, %error, "a signing key could not be unsealed");
            Problem::internal()
        })?;
        let key = PrivateKey::from_pkcs8(algorithm, &pkcs8, self.rng()).ok_or_else(|| {
            tracing::error!(%kid, "a signing key could not be read");
            Problem::internal()
        })?;
        let key = Arc::new(key);
        let active = SigningAlgorithm::ALL.map(|algorithm| self.active(algorithm));
        let signs = |kid: &SigningKeyId| active.iter().flatten().any(|(active, _)| active == kid);
        let mut signers = self.signers().0.write();
        signers.retain(|kid, _| signs(kid));
        signers.insert(kid, Arc::clone(&key));
        Ok((kid, key))
    }

    fn active(&self, algorithm: SigningAlgorithm) -> Option<(SigningKeyId, SealedSecret)> {
        let directory = self.directory();
        let key = directory.active_signing_key(algorithm)?;
        Some((key.kid, key.sealed.clone()))
    }

    /// Makes the key of an algorithm that has none. Two who need it at once make one.
    async fn make_first_signing_key(
        &self,
        origin: &Origin,
        algorithm: SigningAlgorithm,
    ) -> Result<(), Problem> {
        if algorithm == SigningAlgorithm::Rs256 {
            return Err(Problem::unavailable(
                "There is no RS256 key to sign with; the operator brings one to POST /v1/signing-keys.",
            ));
        }
        let drawn = Drawn::draw(algorithm, self.rng()).ok_or_else(Problem::internal)?;
        let system = Caller::system(origin.clone());
        self.add_signing_key(&system, &drawn, OVERLAP_SECONDS_DEFAULT)
            .await
            .map(drop)
    }

    /// Seals a new key and has it sign from now on.
    ///
    /// # Errors
    /// The refusal, or 500 when the vault cannot seal.
    pub async fn add_signing_key(
        &self,
        caller: &Caller,
        drawn: &Drawn,
        overlap_seconds: u64,
    ) -> Result<Position, Problem> {
        let purpose = purpose(&drawn.kid);
        let sealed = self.vault().seal(&purpose, &drawn.pkcs8, self.rng());
        let command = CreateSigningKey {
            kid: drawn.kid,
            public_key: drawn.public_key.clone(),
            sealed: SealedSecret::from_bytes(sealed.map_err(|_| Problem::internal())?),
            overlap_seconds,
        };
        Ok(self.execute(caller, command).await?.position)
    }
}

#[cfg(test)]
mod tests;
