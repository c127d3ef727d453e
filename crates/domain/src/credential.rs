//! The written form of a credential:
//!
//! ```text
//! sk_live_3kTMd9wQx_<43 secret characters><6 check characters>
//! ├┘ ├──┘ ├───────┘  └ 256 random bits    └ CRC-32 of all before it, in base62
//! │  │    └ public id: finds the record, is what logs and pages show
//! │  └ environment
//! └ kind
//! ```
//!
//! All of it is RFC 6750 §2.1 `b64token` and one double-click word. The check saves look-ups for
//! typing errors and lets a scanner throw out false positives; it is no security.

use core::fmt;
use core::str::FromStr;
use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_CHARS: usize = 9;
const SECRET_CHARS: usize = 43;
const CHECK_CHARS: usize = 6;

/// The length of every credential, in bytes: kind, environment, id, secret, check.
pub const CREDENTIAL_CHARS: usize = 2 + 1 + 4 + 1 + ID_CHARS + 1 + SECRET_CHARS + CHECK_CHARS;

/// What a credential is for, as its first two letters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// `sk`: a user's key.
    UserKey,
    /// `sv`: a service's key.
    ServiceKey,
    /// `et`: a read-only entitlement token.
    EntitlementToken,
    /// `iv`: an invitation, good for joining one organization once.
    Invitation,
    /// `cs`: the secret of a confidential OAuth client.
    ClientSecret,
    /// `ac`: an authorization code, good once and for a minute.
    AuthorizationCode,
    /// `at`: an access token.
    AccessToken,
    /// `rt`: a refresh token.
    RefreshToken,
}

impl CredentialKind {
    /// Its two letters.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::UserKey => "sk",
            Self::ServiceKey => "sv",
            Self::EntitlementToken => "et",
            Self::Invitation => "iv",
            Self::ClientSecret => "cs",
            Self::AuthorizationCode => "ac",
            Self::AccessToken => "at",
            Self::RefreshToken => "rt",
        }
    }

    fn from_prefix(prefix: &[u8]) -> Option<Self> {
        match prefix {
            b"sk" => Some(Self::UserKey),
            b"sv" => Some(Self::ServiceKey),
            b"et" => Some(Self::EntitlementToken),
            b"iv" => Some(Self::Invitation),
            b"cs" => Some(Self::ClientSecret),
            b"ac" => Some(Self::AuthorizationCode),
            b"at" => Some(Self::AccessToken),
            b"rt" => Some(Self::RefreshToken),
            _ => None,
        }
    }
}

/// Production or sandbox. A test credential never sees or makes a live one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Production.
    Live,
    /// Sandbox.
    Test,
}

impl Environment {
    /// The word for it, in the API and inside credentials.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl FromStr for Environment {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The public nine characters of a credential, unique in the whole ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CredentialId([u8; ID_CHARS]);

impl CredentialId {
    /// The nine bytes, all of them base62.
    pub const fn to_bytes(self) -> [u8; ID_CHARS] {
        self.0
    }

    /// The id with these bytes, if each of them is base62.
    pub fn from_bytes(bytes: [u8; ID_CHARS]) -> Option<Self> {
        bytes
            .iter()
            .all(u8::is_ascii_alphanumeric)
            .then_some(Self(bytes))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("base62 is ASCII")
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialId({})", self.as_str())
    }
}

impl FromStr for CredentialId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let bytes = text.as_bytes().try_into().map_err(|_| Malformed)?;
        Self::from_bytes(bytes).ok_or(Malformed)
    }
}

impl TryFrom<String> for CredentialId {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        text.parse()
    }
}

impl From<CredentialId> for String {
    fn from(id: CredentialId) -> Self {
        id.as_str().to_owned()
    }
}

/// The text is no credential of ours: another form, or a check that does not fit.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a credential of this server")]
pub struct Malformed;

/// What the public part of a well-formed credential says. Nothing is proved by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialClaim {
    /// What it says it is for.
    pub kind: CredentialKind,
    /// Where it says it belongs.
    pub environment: Environment,
    /// The record it names.
    pub id: CredentialId,
}

/// Reads the public part of a credential and checks the rest for typing errors.
///
/// # Errors
/// [`Malformed`] for anything that [`Plaintext::with_id`] could not have made, one character more
/// or fewer, a changed prefix and non-ASCII look-alikes among it.
pub fn parse(text: &str) -> Result<CredentialClaim, Malformed> {
    let bytes: &[u8; CREDENTIAL_CHARS] = text.as_bytes().try_into().map_err(|_| Malformed)?;
    let kind = CredentialKind::from_prefix(&bytes[..2]).ok_or(Malformed)?;
    let environment = match &bytes[2..8] {
        b"_live_" => Environment::Live,
        b"_test_" => Environment::Test,
        _ => return Err(Malformed),
    };
    let id = bytes[8..8 + ID_CHARS].try_into().map_err(|_| Malformed)?;
    let id = CredentialId::from_bytes(id).ok_or(Malformed)?;
    let secret = &bytes[18..];
    // No early end: the compiler looks at many at once instead.
    let is_base62 = |all, byte: &u8| all & byte.is_ascii_alphanumeric();
    if bytes[17] != b'_' || !secret.iter().fold(true, is_base62) {
        return Err(Malformed);
    }
    let (body, written) = bytes.split_at(CREDENTIAL_CHARS - CHECK_CHARS);
    if written != check_of(body) {
        return Err(Malformed);
    }
    Ok(CredentialClaim {
        kind,
        environment,
        id,
    })
}

/// The length of what may be shown of a credential: kind, environment and id.
const PUBLIC_CHARS: usize = 2 + 1 + 4 + 1 + ID_CHARS;

/// Where in a text something begins that has the form of a credential: the public part, and behind
/// it at least one character of a secret. A checksum is not asked for, because a part of a secret
/// is a secret too.
fn find(text: &str) -> Option<usize> {
    let begins = |at: usize| {
        let rest = &text.as_bytes()[at..];
        let (public, secret) = rest.split_at_checked(PUBLIC_CHARS)?;
        let well_formed = public[..2].iter().all(u8::is_ascii_lowercase)
            && matches!(&public[2..8], b"_live_" | b"_test_")
            && public[8..].iter().all(u8::is_ascii_alphanumeric)
            && secret.first() == Some(&b'_')
            && secret.get(1).is_some_and(u8::is_ascii_alphanumeric);
        well_formed.then_some(at)
    };
    let mut marks = text.match_indices(['_']).map(|(at, _)| at);
    marks.find_map(|at| begins(at.checked_sub(2)?))
}

/// Whether something in this text has the form of a credential, where none belongs.
pub fn is_within(text: &str) -> bool {
    find(text).is_some()
}

/// The text with the secret of everything in it that has the form of a credential taken out, as in
/// `sk_live_3kTMd9wQx_****`: for what others say and we keep.
pub fn masked(text: &str) -> Cow<'_, str> {
    let Some(first) = find(text) else {
        return Cow::Borrowed(text);
    };
    let mut kept = String::with_capacity(text.len());
    let (mut rest, mut found) = (text, Some(first));
    while let Some(at) = found {
        let secret_at = at + PUBLIC_CHARS + 1;
        kept.push_str(&rest[..secret_at]);
        kept.push_str("****");
        rest = rest[secret_at..].trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        found = find(rest);
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

fn check_of(body: &[u8]) -> [u8; CHECK_CHARS] {
    let mut rest = crc32fast::hash(body) as usize;
    let mut check = [b'0'; CHECK_CHARS];
    for place in check.iter_mut().rev() {
        *place = BASE62[rest % 62];
        rest /= 62;
    }
    check
}

/// A credential in clear, between its making and the answer that shows it.
///
/// It cannot be printed, cloned or serialised, and is wiped when dropped. The ledger and every
/// command hold its digest only.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Plaintext(String);

impl Plaintext {
    /// Draws a new credential. `draw` fills a buffer with random bytes of the operating system.
    ///
    /// Each character is uniform: bytes from 248 up are thrown away (248 = 4 × 62).
    pub fn draw(
        kind: CredentialKind,
        environment: Environment,
        draw: &mut dyn FnMut(&mut [u8]),
    ) -> Self {
        let id = draw_base62::<ID_CHARS>(draw);
        Self::with_id(kind, environment, CredentialId(id), draw)
    }

    /// Draws a new secret for a credential that keeps its id, as a rotation does.
    pub fn with_id(
        kind: CredentialKind,
        environment: Environment,
        id: CredentialId,
        draw: &mut dyn FnMut(&mut [u8]),
    ) -> Self {
        let mut secret = draw_base62::<SECRET_CHARS>(draw);
        let plaintext = Self::assemble(kind, environment, id, &secret);
        secret.zeroize();
        plaintext
    }

    fn assemble(
        kind: CredentialKind,
        environment: Environment,
        id: CredentialId,
        secret: &[u8; SECRET_CHARS],
    ) -> Self {
        let mut text = String::with_capacity(CREDENTIAL_CHARS);
        text.push_str(kind.prefix());
        text.push('_');
        text.push_str(environment.as_str());
        text.push('_');
        text.push_str(id.as_str());
        text.push('_');
        text.push_str(core::str::from_utf8(secret).expect("base62 is ASCII"));
        let check = check_of(text.as_bytes());
        text.push_str(core::str::from_utf8(&check).expect("base62 is ASCII"));
        Self(text)
    }

    /// A credential that was unsealed for its owner.
    pub fn unsealed(text: String) -> Self {
        Self(text)
    }

    /// The public id.
    pub fn id(&self) -> CredentialId {
        parse(&self.0).expect("a plaintext is well-formed").id
    }

    /// The bytes to digest or to seal; they must go nowhere else.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The one door out, into the body of the answer to the one who asked for it. It takes the
    /// value so that it cannot be shown twice by mistake.
    pub fn expose_once(mut self) -> String {
        core::mem::take(&mut self.0)
    }
}

fn draw_base62<const N: usize>(draw: &mut dyn FnMut(&mut [u8])) -> [u8; N] {
    let mut text = [0; N];
    let mut filled = 0;
    let mut random = [0; 64];
    while filled < N {
        draw(&mut random);
        for byte in random.iter().filter(|byte| **byte < 248) {
            if filled < N {
                text[filled] = BASE62[usize::from(byte % 62)];
                filled += 1;
            }
        }
    }
    random.zeroize();
    text
}

/// What may be shown of a credential for ever: `sk_live_3kTMd9wQx_****`.
pub fn preview(kind: CredentialKind, environment: Environment, id: CredentialId) -> String {
    format!("{}_{environment}_{id}_****", kind.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector() -> String {
        let id = "3kTMd9wQx".parse().unwrap();
        Plaintext::assemble(
            CredentialKind::UserKey,
            Environment::Live,
            id,
            &[b'0'; SECRET_CHARS],
        )
        .expose_once()
    }

    #[test]
    fn the_vector_of_the_grammar_holds() {
        let text = vector();
        assert_eq!(text.len(), CREDENTIAL_CHARS);
        assert_eq!(text.len(), 67);
        assert!(text.starts_with("sk_live_3kTMd9wQx_000") && text.ends_with("3LzWod"));
    }

    #[test]
    fn n131_what_has_the_form_of_a_credential_is_masked() {
        let key = vector();
        let shown = format!("{}_****", &key[..17]);
        for (text, masked_text) in [
            (key.clone(), shown.clone()),
            (format!("curl {key}/8"), format!("curl {shown}/8")),
            (format!("{key} {key}"), format!("{shown} {shown}")),
            (key[..20].to_owned(), shown.clone()),
            (format!("é{key}é"), format!("é{shown}é")),
            // The public part alone, and what is no credential, stay as they are.
            (key[..17].to_owned(), key[..17].to_owned()),
            (
                "a_live_wire, _test_ and é_".to_owned(),
                "a_live_wire, _test_ and é_".to_owned(),
            ),
        ] {
            assert_eq!(masked(&text), masked_text);
            assert_eq!(is_within(&text), text != masked_text);
        }
    }

    #[test]
    fn n077_any_other_spelling_is_malformed() {
        let good = vector();
        assert!(parse(&good).is_ok());
        for i in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[i] = if changed[i] == b'1' { b'2' } else { b'1' };
            assert_eq!(
                parse(core::str::from_utf8(&changed).unwrap()),
                Err(Malformed),
                "at {i}"
            );
            let mut shorter = good.clone();
            shorter.remove(i);
            assert_eq!(parse(&shorter), Err(Malformed), "without {i}");
        }
        for dressed in [
            format!(" {good}"),
            format!("{good}\t"),
            format!("\u{a0}{good}"),
            format!("{good}0"),
        ] {
            assert_eq!(parse(&dressed), Err(Malformed));
        }
        assert_eq!(parse(&good.replacen('0', "\u{ff10}", 1)), Err(Malformed));
    }

    #[test]
    fn n076_the_check_covers_the_prefix() {
        for (from, to) in [("live", "test"), ("sk", "sv"), ("sk", "et")] {
            assert_eq!(parse(&vector().replacen(from, to, 1)), Err(Malformed));
        }
    }

    #[test]
    fn characters_are_drawn_without_bias() {
        let mut next = 0_u8;
        let mut every_byte = |buffer: &mut [u8]| {
            for byte in buffer {
                *byte = next;
                next = next.wrapping_add(1);
            }
        };
        let drawn = draw_base62::<248>(&mut every_byte);
        for c in BASE62 {
            let times: u32 = drawn.iter().map(|d| u32::from(d == c)).sum();
            assert_eq!(times, 4);
        }
    }
}
