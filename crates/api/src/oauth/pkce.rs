//! The proof that whoever redeems a code is the one who asked for it (RFC 7636), by the method `S256`
//! alone: with `plain` the challenge, which browsers and logs have seen, would be the proof.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use thiserror::Error;

/// The one method.
pub const S256: &str = "S256";

/// The shortest verifier, in characters (RFC 7636 §4.1).
const VERIFIER_CHARS_MIN: usize = 43;
/// The longest verifier, in characters (RFC 7636 §4.1).
const VERIFIER_CHARS_MAX: usize = 128;

/// The text is not of the form that RFC 7636 gives it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Not 43 to 128 unreserved characters (§4.1).
    #[error("code_verifier must be 43 to 128 letters, digits, and - . _ ~")]
    Verifier,
    /// Not a SHA-256 hash in base64url (§4.2).
    #[error(
        "code_challenge must be the SHA-256 hash of the verifier, in 43 characters of base64url"
    )]
    Challenge,
}

/// The hash that a challenge is.
///
/// # Errors
/// [`Malformed::Challenge`] for anything but the one spelling of 32 bytes.
pub fn challenge(text: &str) -> Result<[u8; 32], Malformed> {
    // Strict also in the last character, of which only four bits count.
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Malformed::Challenge)?;
    bytes.try_into().map_err(|_| Malformed::Challenge)
}

/// The challenge that a verifier gives (RFC 7636 §4.6).
///
/// # Errors
/// [`Malformed::Verifier`] for one that no client may choose; it is never hashed.
pub fn s256(verifier: &str) -> Result<[u8; 32], Malformed> {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let length = VERIFIER_CHARS_MIN..=VERIFIER_CHARS_MAX;
    if !length.contains(&verifier.len()) || !verifier.bytes().all(unreserved) {
        return Err(Malformed::Verifier);
    }
    let hash = digest(&SHA256, verifier.as_bytes());
    hash.as_ref().try_into().map_err(|_| Malformed::Verifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 App. B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_standard() {
        assert_eq!(s256(VERIFIER), challenge(CHALLENGE));
        assert!(s256(VERIFIER).is_ok());
    }

    #[test]
    fn n041_a_verifier_has_43_to_128_unreserved_characters() {
        for good in ["a".repeat(43), "~".repeat(128), "A0-._~".repeat(10)] {
            assert!(s256(&good).is_ok(), "{good}");
            assert_ne!(s256(&good), challenge(CHALLENGE), "{good}");
        }
        for bad in [
            String::new(),
            "a".repeat(42),
            "a".repeat(129),
            format!("{VERIFIER} "),
            format!("{VERIFIER}="),
            format!("{VERIFIER}+"),
            format!("{VERIFIER}/"),
            format!("{VERIFIER}%41"),
            format!("{VERIFIER}\n"),
            format!("{VERIFIER}\u{e9}"),
            "\u{e9}".repeat(43),
        ] {
            assert_eq!(s256(&bad), Err(Malformed::Verifier), "{bad:?}");
        }
    }

    #[test]
    fn n044_a_challenge_is_a_hash_in_its_one_spelling() {
        for bad in [
            "",
            "a",
            VERIFIER.split_at(42).0,
            &format!("{CHALLENGE}="),
            &format!("{CHALLENGE}A"),
            &CHALLENGE.replace('-', "+"),
            &CHALLENGE.replace('c', "\u{e9}"),
            &format!("{}N", CHALLENGE.split_at(42).0),
            &"a".repeat(128),
        ] {
            assert_eq!(challenge(bad), Err(Malformed::Challenge), "{bad}");
        }
    }

    #[test]
    fn n045_the_challenge_is_not_its_own_verifier() {
        assert!(s256(CHALLENGE).is_ok());
        assert_ne!(s256(CHALLENGE), challenge(CHALLENGE));
    }
}
