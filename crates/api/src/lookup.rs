//! Finding the key that was shown: one map look-up, one keyed hash, no disk.

use core::net::IpAddr;

use keyledger_domain::api_key::{Ended, Shown};
use keyledger_domain::{ApiKey, Digest, Directory, Timestamp, credential};
use keyledger_ledger::key_file::Peppers;

/// Why a key that was shown is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoGood {
    /// It is none of ours: misspelt, unknown, or with another secret.
    NotFound,
    /// It was good once.
    Ended(Ended),
    /// It may not be used from there.
    IpNotAllowed,
}

/// Finds a key by what was shown of it and tells which of its secrets that was.
///
/// An unknown id costs the same hash as a known one, so that time does not tell them apart.
pub(crate) fn find<'d>(
    directory: &'d Directory,
    peppers: &Peppers,
    shown: &str,
    source: Option<IpAddr>,
    now: Timestamp,
) -> Result<(&'d ApiKey, Shown), NoGood> {
    let claim = credential::parse(shown).map_err(|_| NoGood::NotFound)?;
    let key = directory.api_key(claim.id);
    // Hashed with the newest pepper before the key is looked into, because nearly every key has that
    // one: the hash is computed while the key is still on its way from memory.
    let newest = peppers.newest();
    let tag = peppers.tag(newest, shown.as_bytes());
    let Some(key) = key else {
        core::hint::black_box(tag);
        return Err(NoGood::NotFound);
    };
    let digest_with = |pepper_version: u32| {
        let tag = if pepper_version == newest {
            tag
        } else {
            peppers.tag(pepper_version, shown.as_bytes())
        };
        Some(Digest {
            pepper_version,
            tag: tag?,
        })
    };
    let which = key.shown(now, digest_with).ok_or(NoGood::NotFound)?;
    if (key.issued.kind, key.issued.environment) != (claim.kind, claim.environment) {
        return Err(NoGood::NotFound);
    }
    key.standing(now).map_err(NoGood::Ended)?;
    if !key.admits(source) {
        return Err(NoGood::IpNotAllowed);
    }
    Ok((key, which))
}

/// The key that a text claims to be, whether or not its secret is right. For deciding who may be
/// told of it, never for letting anybody in.
pub(crate) fn claimed<'d>(directory: &'d Directory, shown: &str) -> Option<&'d ApiKey> {
    directory.api_key(credential::parse(shown).ok()?.id)
}
