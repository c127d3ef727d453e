//! Finding the key that was shown: one map look-up, one keyed hash, no disk.

use core::hint::black_box;
use core::net::IpAddr;

use keyledger_domain::api_key::{Ended, Shown};
use keyledger_domain::{
    ApiKey, CredentialId, CredentialKind, Digest, Directory, Environment, Timestamp, credential,
};
use keyledger_ledger::key_file::Peppers;

use crate::oauth::jwt::{self, Expected};
use crate::usage::Usage;

/// Why a key that was shown is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoGood {
    /// It is none of ours: misspelt, unknown, or with another secret.
    NotFound,
    /// It was good once.
    Ended(Ended),
    /// It may not be used from there.
    IpNotAllowed,
    /// It is for another server than the one it was shown to.
    OtherAudience,
}

/// What tells what is ours from what others made.
#[derive(Clone, Copy)]
pub(crate) struct Ours<'a> {
    /// What secrets are hashed with.
    pub(crate) peppers: &'a Peppers,
    /// What our own JWTs say who issued them.
    pub(crate) issuer: &'a str,
    /// Where what is found will be counted, if it will: among many keys both are far away in memory, and
    /// on their way at the same time if both are asked for at once.
    pub(crate) counted_in: Option<&'a Usage>,
}

/// Finds a key or token by what was shown of it and tells which of its secrets that was.
///
/// An unknown id costs the same hash as a known one, so that time does not tell them apart.
pub(crate) fn find<'d>(
    directory: &'d Directory,
    ours: &Ours<'_>,
    shown: &str,
    source: Option<IpAddr>,
    now: Timestamp,
) -> Result<(&'d ApiKey, Shown), NoGood> {
    let peppers = ours.peppers;
    let tag_with = |pepper_version: u32| peppers.tag(pepper_version, shown.as_bytes());
    let approach = |id| {
        if let Some(usage) = ours.counted_in {
            usage.approach(id);
        }
    };
    let newest = peppers.newest();
    let found = find_by(directory, newest, tag_with, approach, shown, source, now);
    match found {
        // Looked at last: nearly all that is shown is a key, which cannot be one.
        Ok((key, which)) if key.issued.kind == CredentialKind::AccessToken && is_jwt(shown) => {
            // These very bytes were issued here: their signature was right then. What may have changed
            // since is the key that made it, and who we are.
            let expected = Expected {
                issuer: ours.issuer,
                audience: None,
            };
            match jwt::verify_shown(shown, directory, expected, now) {
                Ok(_) => Ok((key, which)),
                Err(_) => Err(NoGood::NotFound),
            }
        }
        found => found,
    }
}

/// Whether this could be a JWT and nothing else of ours, none of which has a dot.
fn is_jwt(shown: &str) -> bool {
    shown.contains('.')
}

/// What a text claims to be, if it has the form of anything that is looked up.
fn claim_of(shown: &str) -> Result<Claim, NoGood> {
    if let Ok(claim) = credential::parse(shown) {
        return Ok(Claim {
            id: claim.id,
            kind: claim.kind,
            environment: Some(claim.environment),
        });
    }
    if !is_jwt(shown) {
        return Err(NoGood::NotFound);
    }
    let id = jwt::jti_of(shown).ok_or(NoGood::NotFound)?;
    Ok(Claim {
        id,
        kind: CredentialKind::AccessToken,
        // Only the ledger says so: it is not written in it.
        environment: None,
    })
}

struct Claim {
    id: CredentialId,
    kind: CredentialKind,
    environment: Option<Environment>,
}

/// [`find`], told how to hash what was shown: so that a test can count how often that is done.
fn find_by<'d>(
    directory: &'d Directory,
    newest: u32,
    tag_with: impl Fn(u32) -> Option<[u8; 32]>,
    approach: impl FnOnce(CredentialId),
    shown: &str,
    source: Option<IpAddr>,
    now: Timestamp,
) -> Result<(&'d ApiKey, Shown), NoGood> {
    let (key, which) = genuine(directory, newest, tag_with, approach, shown, now)?;
    directory.standing_of(key, now).map_err(NoGood::Ended)?;
    if !key.admits(source) {
        return Err(NoGood::IpNotAllowed);
    }
    Ok((key, which))
}

/// The key whose secret was shown, whether or not it is good.
fn genuine<'d>(
    directory: &'d Directory,
    newest: u32,
    tag_with: impl Fn(u32) -> Option<[u8; 32]>,
    approach: impl FnOnce(CredentialId),
    shown: &str,
    now: Timestamp,
) -> Result<(&'d ApiKey, Shown), NoGood> {
    let claim = claim_of(shown)?;
    approach(claim.id);
    let key = directory.api_key(claim.id);
    // What is read after the hash lies a line further; it is asked for now.
    black_box(key.map(ApiKey::pepper_version));
    // Hashed with the newest pepper before the key is looked into, because nearly every key has that
    // one: the hash is computed while the key is still on its way from memory.
    let tag = tag_with(newest);
    let Some(key) = key else {
        black_box(tag);
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
    let issued = &key.issued;
    let is_of_environment = claim
        .environment
        .is_none_or(|one| one == issued.environment);
    if issued.kind != claim.kind || !is_of_environment {
        return Err(NoGood::NotFound);
    }
    Ok((key, which))
}

/// The access token that was shown, whether or not it is still good.
pub(crate) fn shown_token<'d>(
    directory: &'d Directory,
    peppers: &Peppers,
    shown: &str,
) -> Option<&'d ApiKey> {
    let tag_with = |pepper_version: u32| peppers.tag(pepper_version, shown.as_bytes());
    let now = directory.at();
    let (key, _) = genuine(directory, peppers.newest(), tag_with, |_| (), shown, now).ok()?;
    (key.issued.kind == CredentialKind::AccessToken).then_some(key)
}

/// The key or token that was shown, if it is good wherever it was shown.
pub(crate) fn find_anywhere<'d>(
    directory: &'d Directory,
    ours: &Ours<'_>,
    shown: &str,
    now: Timestamp,
) -> Option<&'d ApiKey> {
    let found = find(directory, ours, shown, None, now);
    found.ok().map(|(key, _)| key)
}

/// The public id that a text claims to have, if it has the form of a key or token.
pub(crate) fn claimed_id(shown: &str) -> Option<CredentialId> {
    claim_of(shown).ok().map(|claim| claim.id)
}

/// The key that a text claims to be, whether or not its secret is right. For deciding who may be
/// told of it, never for letting anybody in.
pub(crate) fn claimed<'d>(directory: &'d Directory, shown: &str) -> Option<&'d ApiKey> {
    directory.api_key(claimed_id(shown)?)
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
        let found = find_by(&directory, 1, tag_with, |_| (), shown, None, now);
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
