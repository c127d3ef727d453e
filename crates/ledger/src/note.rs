//! Signed notes (C2SP signed-note) with Ed25519: a text and, under a blank line, who vouches for it.
//!
//! ```text
//! <text, each line ended>
//!
//! — <name> base64(key id 4 | signature 64)
//! ```
//!
//! A key's id is `SHA-256(name | LF | 0x01 | public key)[:4]`; a verifier key, to be given out of band, is
//! `name+<id in hexadecimal>+base64(0x01 | public key)`.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ED25519, ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
};
use thiserror::Error;

use crate::key_file::SubKey;

/// The type of a signature by Ed25519 over the note's text (C2SP signed-note).
const ED25519_TYPE: u8 = 0x01;

/// What a line with a signature begins with: U+2014 and a space.
pub(crate) const SIGNATURE_START: &str = "\u{2014} ";

/// A longer note was not made by us or by any witness of ours.
const NOTE_BYTES_MAX: usize = 1_000_000;

/// The text is no signed note, or no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotANote {
    /// It has no blank line between text and signatures, ends too early, or a line is no signature.
    #[error("not a signed note (C2SP signed-note)")]
    Form,
    /// The verifier key is not `name+hash+key`, its hash is another key's, or its type is not Ed25519.
    #[error("not a verifier key such as `audit key` prints: name+hash+key with an Ed25519 key")]
    VerifierKey,
    /// A name is empty, or has a space or a plus sign in it.
    #[error("a key's name may not be empty or have spaces or a plus sign in it")]
    Name,
}

/// Which key made a signature, as far as the note tells: the name and four bytes of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyName {
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
}

impl KeyName {
    /// Of a key that makes signatures of this type.
    pub(crate) fn of(name: &str, kind: u8, public_key: &[u8]) -> Result<Self, NotANote> {
        if name.is_empty() || name.contains('+') || name.chars().any(char::is_whitespace) {
            return Err(NotANote::Name);
        }
        let hashed = [name.as_bytes(), b"\n", &[kind], public_key].concat();
        let mut id = [0; 4];
        id.copy_from_slice(&digest(&SHA256, &hashed).as_ref()[..4]);
        Ok(Self {
            name: name.to_owned(),
            id,
        })
    }
}

/// Signs notes in the name of a log. Never shown; the pair is wiped with the process.
pub struct NoteSigner {
    key: KeyName,
    pair: Ed25519KeyPair,
}

impl NoteSigner {
    /// The signer of this name whose private key is this one.
    ///
    /// # Errors
    /// [`NotANote::Name`].
    ///
    /// # Panics
    /// Never: 32 bytes are an Ed25519 seed, whichever they are.
    pub fn new(name: &str, seed: &SubKey) -> Result<Self, NotANote> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes())
            .expect("32 bytes are an Ed25519 seed (RFC 8032 §5.1.5)");
        let key = KeyName::of(name, ED25519_TYPE, pair.public_key().as_ref())?;
        Ok(Self { key, pair })
    }

    /// The name: for a log, its origin.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// The key that verifies what this one signs.
    pub fn verifier(&self) -> VerifierKey {
        let mut public_key = [0; ED25519_PUBLIC_KEY_LEN];
        public_key.copy_from_slice(self.pair.public_key().as_ref());
        VerifierKey {
            key: self.key.clone(),
            public_key,
        }
    }

    /// The note: this text, whose lines are all ended, and our signature under it.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let blob = [&self.key.id[..], signature.as_ref()].concat();
        let blob = STANDARD.encode(blob);
        format!("{text}\n{SIGNATURE_START}{} {blob}\n", self.key.name)
    }
}

/// A public key and its name, as verifiers are given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    key: KeyName,
    public_key: [u8; ED25519_PUBLIC_KEY_LEN],
}

impl VerifierKey {
    /// The name: for a log, its origin.
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// The same key under another name, as a log has it that was moved to another address.
    ///
    /// # Errors
    /// [`NotANote::Name`].
    pub fn named(&self, name: &str) -> Result<Self, NotANote> {
        Ok(Self {
            key: KeyName::of(name, ED25519_TYPE, &self.public_key)?,
            public_key: self.public_key,
        })
    }

    /// The text of a note that this key signed; `None` if no signature of it is there, or one does not hold.
    pub fn open<'a>(&self, note: &SignedNote<'a>) -> Option<&'a str> {
        let mut ours = note
            .signatures
            .iter()
            .filter(|signature| signature.key == self.key)
            .peekable();
        ours.peek()?;
        let public_key = UnparsedPublicKey::new(&ED25519, &self.public_key);
        ours.all(|signature| {
            public_key
                .verify(note.text.as_bytes(), &signature.bytes)
                .is_ok()
        })
        .then_some(note.text)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(f, &self.key, ED25519_TYPE, &self.public_key)
    }
}

impl FromStr for VerifierKey {
    type Err = NotANote;

    fn from_str(text: &str) -> Result<Self, NotANote> {
        let (key, public_key) = read_key(text, ED25519_TYPE)?;
        Ok(Self { key, public_key })
    }
}

/// Writes a verifier key of a type: `name+<id in hexadecimal>+base64(type | public key)`.
pub(crate) fn write_key(
    f: &mut fmt::Formatter<'_>,
    key: &KeyName,
    kind: u8,
    public_key: &[u8],
) -> fmt::Result {
    write!(f, "{}+", key.name)?;
    key.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
    let blob = [&[kind][..], public_key].concat();
    write!(f, "+{}", STANDARD.encode(blob))
}

/// Reads a verifier key of a type; its id must be the one of this name and key.
pub(crate) fn read_key(
    text: &str,
    kind: u8,
) -> Result<(KeyName, [u8; ED25519_PUBLIC_KEY_LEN]), NotANote> {
    let wrong = NotANote::VerifierKey;
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong);
    };
    let blob = STANDARD.decode(key).map_err(|_| wrong)?;
    let public_key = match blob.split_first() {
        Some((first, public_key)) if *first == kind => public_key,
        Some(_) | None => return Err(wrong),
    };
    let public_key: [u8; ED25519_PUBLIC_KEY_LEN] = public_key.try_into().map_err(|_| wrong)?;
    let key = KeyName::of(name, kind, &public_key)?;
    let wanted = key.id.map(|byte| format!("{byte:02x}")).concat();
    if wanted == id {
        Ok((key, public_key))
    } else {
        Err(wrong)
    }
}

/// A note that was read: its text, and the signatures that it claims. Nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote<'a> {
    text: &'a str,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) key: KeyName,
    pub(crate) bytes: Vec<u8>,
}

impl<'a> SignedNote<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// [`NotANote::Form`].
    pub fn parse(note: &'a str) -> Result<Self, NotANote> {
        let wrong = NotANote::Form;
        let has_controls = note.chars().any(|c| c.is_ascii_control() && c != '\n');
        if note.len() > NOTE_BYTES_MAX || has_controls || !note.ends_with('\n') {
            return Err(wrong);
        }
        let split = note.rfind("\n\n").ok_or(wrong)?;
        let (text, below) = (&note[..=split], &note[split + 2..]);
        let signatures = below
            .lines()
            .map(|line| signature(line).ok_or(wrong))
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.is_empty() {
            return Err(wrong);
        }
        Ok(Self { text, signatures })
    }

    /// The text, which nobody has verified.
    pub const fn unverified_text(&self) -> &'a str {
        self.text
    }
}

/// The signature that a line claims, without its line end.
pub(crate) fn signature(line: &str) -> Option<Signature> {
    let (name, blob) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (id, bytes) = blob.split_first_chunk::<4>()?;
    let is_right = !name.is_empty() && !name.contains('+') && !bytes.is_empty();
    is_right.then(|| Signature {
        key: KeyName {
            name: name.to_owned(),
            id: *id,
        },
        bytes: bytes.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::key_file::{MasterKey, Purpose};

    fn signer(name: &str) -> NoteSigner {
        let master_key = MasterKey::generate(&SystemRandom::new()).unwrap();
        NoteSigner::new(name, &master_key.sub_key(Purpose::LogSigner)).unwrap()
    }

    /// The note and the key of the specification (C2SP signed-note, and Go's x/mod/sumdb/note, whose example it is).
    #[test]
    fn the_example_that_everybody_has_is_verified() {
        let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
            .parse()
            .unwrap();
        let note = "If you think cryptography is the answer to your problem,\n\
             then you don't know what your problem is.\n\n\
             \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let parsed = SignedNote::parse(note).unwrap();
        assert!(key.open(&parsed).unwrap().starts_with("If you think"));
        let other = note.replace("your problem is", "your problem was");
        assert_eq!(key.open(&SignedNote::parse(&other).unwrap()), None);
        assert_eq!(
            key.to_string(),
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        );
    }

    #[test]
    fn what_was_signed_is_opened_by_the_key_that_was_given_out_and_by_no_other() {
        let (ours, other) = (signer("keys.example/v1/log"), signer("keys.example/v1/log"));
        let note = ours.sign("one\ntwo\n\nthree\n");
        let parsed = SignedNote::parse(&note).unwrap();
        let given: VerifierKey = ours.verifier().to_string().parse().unwrap();
        assert_eq!(given.open(&parsed), Some("one\ntwo\n\nthree\n"));
        assert_eq!(other.verifier().open(&parsed), None);
        assert_eq!(given.named("elsewhere").unwrap().open(&parsed), None);
        // Every bit of it counts.
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else {
                continue;
            };
            let opened = SignedNote::parse(&text)
                .ok()
                .and_then(|note| given.open(&note).map(str::to_owned));
            assert_eq!(opened, None, "byte {at}");
        }
    }

    #[test]
    fn what_is_no_note_or_no_key_is_refused() {
        for note in [
            "",
            "\n",
            "text\n",
            "text\n\n",
            "text\n\nsignature\n",
            "text\n\n\u{2014} name\n",
            "text\n\n\u{2014} name AAAA\n",
            "text\n\n\u{2014} a+b AAAAAAAA\n",
            "text\r\n\n\u{2014} name AAAAAAAA\n",
        ] {
            assert_eq!(SignedNote::parse(note), Err(NotANote::Form), "{note:?}");
        }
        let key = signer("log").verifier().to_string();
        let wrong_id = key.replacen("log+", "gol+", 1);
        for key in ["", "log", "log+00000000", "log+00000000+AQ==", &wrong_id] {
            assert!(key.parse::<VerifierKey>().is_err(), "{key:?}");
        }
        for name in ["", "a b", "a+b", "a\nb"] {
            let seed = MasterKey::generate(&SystemRandom::new()).unwrap();
            let signer = NoteSigner::new(name, &seed.sub_key(Purpose::LogSigner));
            assert!(signer.is_err(), "{name:?}");
        }
    }
}
