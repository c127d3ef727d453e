//! Cosignatures of witnesses (C2SP tlog-cosignature, `cosignature/v1`): somebody else saw this checkpoint at
//! some instant, and nothing before it that it does not extend.
//!
//! ```text
//! — <name> base64(key id 4 | seconds since 1970, 8, big-endian | signature 64)
//! ```
//!
//! The signature covers `cosignature/v1`, a line `time <seconds>`, and the note's text. A key's id is
//! `SHA-256(name | LF | 0x04 | public key)[:4]`.

use core::fmt;
use core::str::FromStr;

use ring::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, UnparsedPublicKey};

use crate::note::{self, KeyName, NotANote};

/// The type of a timestamped signature by Ed25519 (C2SP tlog-cosignature).
const COSIGNATURE_TYPE: u8 = 0x04;

/// The public key of a witness and its name, as the witness gives it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    key: KeyName,
    public_key: [u8; ED25519_PUBLIC_KEY_LEN],
}

impl WitnessKey {
    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// When the witness saw this text, in seconds since 1970, if this line (without its end) is its
    /// cosignature of it; the instant is the witness's word.
    pub fn verify(&self, line: &str, text: &str) -> Option<u64> {
        let signature = note::signature(line).filter(|it| it.key == self.key)?;
        let (seconds, signed) = signature.bytes.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        let message = format!("cosignature/v1\ntime {seconds}\n{text}");
        let key = UnparsedPublicKey::new(&ED25519, &self.public_key);
        key.verify(message.as_bytes(), signed).ok()?;
        Some(seconds)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        note::write_key(f, &self.key, COSIGNATURE_TYPE, &self.public_key)
    }
}

impl FromStr for WitnessKey {
    type Err = NotANote;

    fn from_str(text: &str) -> Result<Self, NotANote> {
        let (key, public_key) = note::read_key(text, COSIGNATURE_TYPE)?;
        Ok(Self { key, public_key })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    const TEXT: &str = "keys.example/v1/log\n7\nAAAA\n";

    fn witness(name: &str, seed: u8) -> (Ed25519KeyPair, WitnessKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public_key: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let key = KeyName::of(name, COSIGNATURE_TYPE, &public_key).unwrap();
        (pair, WitnessKey { key, public_key })
    }

    fn line(pair: &Ed25519KeyPair, key: &WitnessKey, signed: u64, told: u64) -> String {
        let message = format!("cosignature/v1\ntime {signed}\n{TEXT}");
        let signature = pair.sign(message.as_bytes());
        let blob = [&key.key.id[..], &told.to_be_bytes(), signature.as_ref()].concat();
        format!("\u{2014} {} {}", key.name(), STANDARD.encode(blob))
    }

    #[test]
    fn a_cosignature_holds_for_its_witness_its_text_and_its_instant() {
        let (pair, key) = witness("w.example", 1);
        let right = line(&pair, &key, 1_700_000_000, 1_700_000_000);
        assert_eq!(key.verify(&right, TEXT), Some(1_700_000_000));
        assert_eq!(key.verify(&right, &TEXT.replace('7', "8")), None);
        let other_instant = line(&pair, &key, 1_700_000_000, 1_700_000_001);
        assert_eq!(key.verify(&other_instant, TEXT), None);
        let (_, other) = witness("w.example", 2);
        assert_eq!(other.verify(&right, TEXT), None);
        let (_, named_otherwise) = witness("v.example", 1);
        assert_eq!(named_otherwise.verify(&right, TEXT), None);
        for wrong in ["", "\u{2014} w.example AAAAAAAA", "w.example"] {
            assert_eq!(key.verify(wrong, TEXT), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_written_and_a_logs_key_is_none_of_a_witness() {
        let (_, key) = witness("w.example", 1);
        assert_eq!(key.to_string().parse(), Ok(key));
        let logs = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        assert_eq!(logs.parse::<WitnessKey>(), Err(NotANote::VerifierKey));
    }
}
