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
    let tag_with = |pepper_version: u32| peppers.tag(pepper_version, shown.as_bytes());
    find_by(directory, peppers.newest(), tag_with, shown, source, now)
}

/// [`find`], told how to hash what was shown: so that a test can count how often that is done.
fn find_by<'d>(
    directory: &'d Directory,
    newest: u32,
    tag_with: impl Fn(u32) -> Option<[u8; 32]>,
    shown: &str,
    source: Option<IpAddr>,
    now: Timestamp,
) -> Result<(&'d ApiKey, Shown), NoGood> {
    let claim = credential::parse(shown).map_err(|_| NoGood::NotFound)?;
    let key = directory.api_key(claim.id);
    // Hashed with the newest pepper before the key is looked into, because nearly every key has that
    // one: the hash is computed while the key is still on its way from memory.
    let tag = tag_with(newest);
    let Some(key) = key else {
        core::hint::black_box(tag);
        return Err(NoGood::NotFound);
    };
    let digest_with = |pepper_version: u32| {
        let tag = if pepper_version == newest {
            tag
        } else {
            tag_with(pepper_version)
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
    directory.standing_of(key, now).map_err(NoGood::Ended)?;
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

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use keyledger_domain::{CredentialKind, Environment, Plaintext};

    use super::*;

    /// What a look-up says, and how many hashes it made.
    fn hashes_for(shown: &str) -> (Option<NoGood>, u32) {
        let (directory, count) = (Directory::default(), Cell::new(0));
        let tag_with = |_| {
            count.set(count.get() + 1);
            None
        };
        let now = Timestamp::default();
        let found = find_by(&directory, 1, tag_with, shown, None, now);
        (found.err(), count.get())
    }

    /// That a known one is compared once, whatever is wrong with it, is tested in the domain.
    #[test]
    fn n074_n075_an_unknown_id_costs_a_hash_and_a_misspelt_key_nothing() {
        let mut fill = |bytes: &mut [u8]| bytes.fill(7);
        let key = Plaintext::draw(CredentialKind::UserKey, Environment::Live, &mut fill);
        let key = key.expose_once();
        assert_eq!(hashes_for(&key), (Some(NoGood::NotFound), 1));
        let misspelt = key.replacen("live", "test", 1);
        for text in [misspelt.as_str(), &key[1..], "", "foobar"] {
            assert_eq!(hashes_for(text), (Some(NoGood::NotFound), 0));
        }
    }
}
