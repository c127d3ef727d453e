//! `keys/master.key`: the secrets that open a data folder, kept apart from what they protect.
//!
//! A text file of lines, so that it can be printed and put in a safe:
//!
//! ```text
//! keyledger-master-key 1
//! root <base64 of 32 bytes>
//! pepper 1 <base64 of 32 bytes>
//! sealing 1 <base64 of 32 bytes>
//! check <32 hexadecimal digits>
//! ```
//!
//! `root` never changes: the folder is bound to it, and the sub-keys are derived from it. Peppers
//! and sealing keys have versions counted from 1: the newest makes, all of them verify or open.
//! `check` finds a damaged byte before a wrong pepper makes every credential look unknown.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::files;

/// The first word of the file.
const MAGIC: &str = "keyledger-master-key";

/// The revision of the file that this binary writes, and the newest it reads.
const REVISION: u32 = 1;

/// A key file of this size was not written by us; reading on would only fill memory.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The context of the checksum in the last line (BLAKE3 `derive_key`).
const CHECK_CONTEXT: &str = "keyledger 2026-11 key file checksum";

/// Why the key file cannot be used.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It could not be read or written.
    #[error("the key file {} cannot be read or written", path.display())]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read it, so it is no secret.
    #[error(
        "the key file {} can be read by others (mode {mode:03o}); run `chmod 600 {}`, and think about \
         who may have read it",
        path.display(), path.display()
    )]
    ReadableByOthers {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A line is not what this revision has there, or the checksum does not fit the lines above it.
    #[error("the key file {} is damaged at line {line}; put back the copy you keep of it", path.display())]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A newer Keyledger wrote it.
    #[error(
        "the key file {} has revision {found}, this version reads up to {REVISION}; use a newer one",
        path.display()
    )]
    TooNew {
        /// The key file.
        path: PathBuf,
        /// The revision in its first line.
        found: u32,
    },
}

/// The random generator of the system gave nothing; no secret was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the system's random generator failed")]
pub struct NoRandomness;

/// What a sub-key is for. Each purpose has its own, so that a leak of one says nothing of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The tag over a slot of the `head` file.
    HeadTag,
    /// The AES-256-GCM key that seals snapshots, so that only we can make or read one.
    SnapshotSeal,
    /// The hidden field that proves a form came from us.
    Csrf,
    /// The AES-256-GCM key that seals where and by whom a key was last used.
    UsageSeal,
    /// The tag that stands in a record for a network that a key was used from.
    NetworkTag,
    /// The tag over a slot of the head of the credits.
    CreditsHead,
    /// The hashes that sum up the rows of the credits.
    CreditsSum,
    /// The Ed25519 seed that signs the checkpoints of the log.
    LogSigner,
    /// The tag at the end of a backup.
    BackupTag,
    /// The tag in the stub of a segment that was moved away.
    ArchivedStub,
    /// The tag that stands in the index for an address that requests came from.
    IndexSource,
    /// The check value in `FORMAT`, which binds the folder to its key file.
    FolderCheck,
}

impl Purpose {
    /// The context string of BLAKE3's `derive_key`. A published string never changes: folders
    /// made with it could no longer be opened.
    const fn context(self) -> &'static str {
        match self {
            Self::HeadTag => "keyledger 2026-11 head tag",
            Self::SnapshotSeal => "keyledger 2026-11 snapshot seal",
            Self::Csrf => "keyledger 2026-11 csrf field",
            Self::UsageSeal => "keyledger 2026-11 usage seal",
            Self::NetworkTag => "keyledger 2026-11 network tag",
            Self::CreditsHead => "keyledger 2026-11 credits head tag",
            Self::CreditsSum => "keyledger 2026-11 credits sum",
            Self::LogSigner => "keyledger 2026-11 log signer",
            Self::BackupTag => "keyledger 2026-11 backup tag",
            Self::ArchivedStub => "keyledger 2026-11 archived stub",
            Self::IndexSource => "keyledger 2026-11 index source",
            Self::FolderCheck => "keyledger 2026-11 folder check value",
        }
    }
}

/// A key derived for one [`Purpose`]. Wiped when dropped.
pub struct SubKey(Zeroizing<[u8; 32]>);

impl SubKey {
    /// The bytes, for a keyed hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The keyed BLAKE3 hash of these bytes; comparing two of them is constant in time.
    pub fn tag(&self, bytes: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.0, bytes)
    }
}

/// Secrets counted from version 1, the last of them the newest. Never empty.
struct Versions(Vec<Zeroizing<[u8; 32]>>);

impl Versions {
    fn generate(rng: &dyn SecureRandom) -> Result<Self, NoRandomness> {
        Ok(Self(vec![random_secret(rng)?]))
    }

    fn newest(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    fn get(&self, version: u32) -> Option<&[u8; 32]> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.0.get(index).map(|secret| &**secret)
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        (1..).zip(self.0.iter().map(|secret| &**secret))
    }
}

fn random_secret(rng: &dyn SecureRandom) -> Result<Zeroizing<[u8; 32]>, NoRandomness> {
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill(&mut *secret).map_err(|_| NoRandomness)?;
    Ok(secret)
}

/// The peppers: keys of the hash that is stored in place of a credential.
///
/// Whoever steals the ledger without the key file cannot even test a guess.
pub struct Peppers(Versions);

impl Peppers {
    /// The version to make new tags with.
    pub fn newest(&self) -> u32 {
        self.0.newest()
    }

    /// The keyed BLAKE3 hash of a whole credential; `None` if the key file has no such version.
    ///
    /// Called for every request: it allocates nothing, and costs about 0.1 µs. Compare the result
    /// in constant time.
    pub fn tag(&self, version: u32, credential: &[u8]) -> Option<[u8; 32]> {
        Some(blake3::keyed_hash(self.0.get(version)?, credential).into())
    }
}

/// The key-encryption keys, from which the [`Vault`](crate::vault::Vault) derives its own.
pub struct SealingKeys(Versions);

impl SealingKeys {
    /// The version to seal with.
    pub fn newest(&self) -> u32 {
        self.0.newest()
    }

    /// Each version and the key that BLAKE3 derives from it for this context.
    pub(crate) fn derive(&self, context: &str) -> impl Iterator<Item = (u32, Zeroizing<[u8; 32]>)> {
        self.0.iter().map(move |(version, secret)| {
            (version, Zeroizing::new(blake3::derive_key(context, secret)))
        })
    }
}

/// All the secrets of one data folder. Wiped when dropped, never shown.
pub struct MasterKey {
    root: Zeroizing<[u8; 32]>,
    peppers: Peppers,
    sealing: SealingKeys,
}

impl MasterKey {
    /// Fresh secrets for a new data folder: one pepper, one sealing key.
    ///
    /// # Errors
    /// If the random generator fails.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, NoRandomness> {
        Ok(Self {
            root: random_secret(rng)?,
            peppers: Peppers(Versions::generate(rng)?),
            sealing: SealingKeys(Versions::generate(rng)?),
        })
    }

    /// The key for one purpose. The same for ever: adding a pepper or a sealing key changes none.
    pub fn sub_key(&self, purpose: Purpose) -> SubKey {
        SubKey(Zeroizing::new(blake3::derive_key(
            purpose.context(),
            &*self.root,
        )))
    }

    /// The peppers of the credentials.
    pub const fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// The keys that seal other keys.
    pub const fn sealing(&self) -> &SealingKeys {
        &self.sealing
    }

    /// Adds a pepper, which makes all tags from now on; the older ones still verify. Gives its
    /// version. Write the file ([`MasterKey::write`]) before the first tag is stored. No command
    /// reaches this yet.
    ///
    /// # Errors
    /// If the random generator fails; nothing was added.
    pub fn add_pepper(&mut self, rng: &dyn SecureRandom) -> Result<u32, NoRandomness> {
        self.peppers.0.0.push(random_secret(rng)?);
        Ok(self.peppers.newest())
    }

    /// Adds a sealing key, which seals all from now on; the older ones still open. Gives its
    /// version. Write the file ([`MasterKey::write`]) before the first sealed bytes are stored.
    /// No command reaches this yet.
    ///
    /// # Errors
    /// If the random generator fails; nothing was added.
    pub fn add_sealing_key(&mut self, rng: &dyn SecureRandom) -> Result<u32, NoRandomness> {
        self.sealing.0.0.push(random_secret(rng)?);
        Ok(self.sealing.newest())
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// If it cannot be read, if others than its owner may read it, or if it is not, byte for byte,
    /// what [`MasterKey::write`] left. No message contains a part of a secret.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::ReadableByOthers {
                path: path.to_owned(),
                mode,
            });
        }
        // Reserved in one piece: growing would leave copies of the secrets in freed memory.
        let mut bytes = Zeroizing::new(Vec::with_capacity(
            usize::try_from(metadata.len().min(FILE_BYTES_MAX)).unwrap_or_default() + 1,
        ));
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        parse(&bytes).map_err(|fault| fault.at(path))
    }

    /// Reads what a key file holds, where it lies in something else.
    ///
    /// # Errors
    /// If it is not, byte for byte, what [`MasterKey::write`] leaves; `path` is named.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, KeyFileError> {
        parse(bytes).map_err(|fault| fault.at(path))
    }

    /// Writes the key file as one step, readable by its owner only, and syncs it. Whoever dies in
    /// between leaves the old file, whole.
    ///
    /// # Errors
    /// If a file cannot be made there.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        files::replace(path, self.to_text().as_bytes()).map_err(|source| KeyFileError::Io {
            path: path.to_owned(),
            source,
        })
    }

    fn to_text(&self) -> Zeroizing<String> {
        let secrets = 1 + self.peppers.0.0.len() + self.sealing.0.0.len();
        // Reserved in one piece, for the same reason as in `read`.
        let mut text = Zeroizing::new(String::with_capacity(128 + secrets * 80));
        let mut line = |name: &str, version: Option<u32>, secret: &[u8; 32]| {
            let encoded = Zeroizing::new(STANDARD.encode(secret));
            // Writing into a String cannot fail.
            let _ = match version {
                Some(version) => writeln!(text, "{name} {version} {}", *encoded),
                None => writeln!(text, "{name} {}", *encoded),
            };
        };
        line("root", None, &self.root);
        self.peppers
            .0
            .iter()
            .for_each(|(version, secret)| line("pepper", Some(version), secret));
        self.sealing
            .0
            .iter()
            .for_each(|(version, secret)| line("sealing", Some(version), secret));
        text.insert_str(0, &format!("{MAGIC} {REVISION}\n"));
        let check = check_of(text.as_bytes());
        text.push_str("check ");
        text.push_str(&check);
        text.push('\n');
        text
    }
}

/// Half a BLAKE3 hash in hexadecimal: enough to find damage, and it says nothing of 256-bit secrets.
fn check_of(lines: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CHECK_CONTEXT);
    hasher.update(lines);
    hasher.finalize().to_hex()[..32].to_owned()
}

/// [`KeyFileError`] before the path is known.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Damaged { line: usize },
    TooNew { found: u32 },
}

impl Fault {
    fn at(self, path: &Path) -> KeyFileError {
        let path = path.to_owned();
        match self {
            Self::Damaged { line } => KeyFileError::Damaged { path, line },
            Self::TooNew { found } => KeyFileError::TooNew { path, found },
        }
    }
}

fn parse(bytes: &[u8]) -> Result<MasterKey, Fault> {
    let damaged = |line| Fault::Damaged { line };
    let text = str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        damaged(good.split('\n').count())
    })?;
    let first = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(MAGIC));
    let found: u32 = first
        .and_then(|rest| rest.strip_prefix(' '))
        .and_then(|number| number.parse().ok())
        .ok_or(damaged(1))?;
    if found > REVISION {
        return Err(Fault::TooNew { found });
    }

    let mut root = None;
    let mut peppers = Vec::new();
    let mut sealing = Vec::new();
    let mut checked = false;
    let mut line_start = 0;
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        let Some(content) = content.strip_suffix('\n').filter(|_| !checked) else {
            return Err(damaged(line));
        };
        let mut words = content.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(MAGIC), Some(_), None, None) if line == 1 => {}
            (Some("root"), Some(secret), None, None) if root.is_none() => {
                root = Some(decode(secret).ok_or(damaged(line))?);
            }
            (Some("pepper"), Some(version), Some(secret), None) => {
                push(&mut peppers, version, secret).ok_or(damaged(line))?;
            }
            (Some("sealing"), Some(version), Some(secret), None) => {
                push(&mut sealing, version, secret).ok_or(damaged(line))?;
            }
            (Some("check"), Some(check), None, None) => {
                let wanted = check_of(&bytes[..line_start]);
                checked = bool::from(wanted.as_bytes().ct_eq(check.as_bytes()));
                if !checked {
                    return Err(damaged(line));
                }
            }
            _ => return Err(damaged(line)),
        }
        line_start += content.len() + 1;
    }
    // Cut off: the next line should have been there.
    let missing = damaged(text.lines().count() + 1);
    match root {
        Some(root) if checked && !peppers.is_empty() && !sealing.is_empty() => Ok(MasterKey {
            root,
            peppers: Peppers(Versions(peppers)),
            sealing: SealingKeys(Versions(sealing)),
        }),
        _ => Err(missing),
    }
}

/// Versions stand in the file in order, without gaps, so that none can go missing unseen.
fn push(versions: &mut Vec<Zeroizing<[u8; 32]>>, version: &str, secret: &str) -> Option<()> {
    if version.parse() != Ok(versions.len() + 1) {
        return None;
    }
    versions.push(decode(secret)?);
    Some(())
}

fn decode(secret: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(STANDARD.decode(secret).ok()?);
    let mut secret = Zeroizing::new([0; 32]);
    if bytes.len() != secret.len() {
        return None;
    }
    secret.copy_from_slice(&bytes);
    Some(secret)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use ring::rand::SystemRandom;

    use super::*;

    fn written() -> (tempfile::TempDir, PathBuf, MasterKey) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("master.key");
        let key = MasterKey::generate(&SystemRandom::new()).expect("randomness");
        key.write(&path).expect("the key file is written");
        (folder, path, key)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (_folder, path, key) = written();
        let again = MasterKey::read(&path).expect("it is read");
        assert_eq!(
            again.peppers().tag(1, b"sk_live_x"),
            key.peppers().tag(1, b"sk_live_x")
        );
        for purpose in [
            Purpose::HeadTag,
            Purpose::SnapshotSeal,
            Purpose::Csrf,
            Purpose::FolderCheck,
        ] {
            assert!(again.sub_key(purpose).as_bytes() == key.sub_key(purpose).as_bytes());
        }
        assert!(
            key.sub_key(Purpose::HeadTag).as_bytes() != key.sub_key(Purpose::Csrf).as_bytes(),
            "each purpose has its own key"
        );
        let mode = fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_added_pepper_makes_new_tags_and_the_old_one_still_verifies() {
        let (_folder, path, mut key) = written();
        let old = key.peppers().tag(1, b"credential").expect("version 1");
        let rng = SystemRandom::new();
        assert_eq!(key.add_pepper(&rng), Ok(2));
        assert_eq!(key.add_sealing_key(&rng), Ok(2));
        key.write(&path).expect("it is written");

        let again = MasterKey::read(&path).expect("it is read");
        assert_eq!(again.peppers().newest(), 2);
        assert_eq!(again.sealing().newest(), 2);
        assert_eq!(again.peppers().tag(1, b"credential"), Some(old));
        assert_ne!(again.peppers().tag(2, b"credential"), Some(old));
        assert_eq!(again.peppers().tag(3, b"credential"), None);
        assert_eq!(again.peppers().tag(0, b"credential"), None);
        assert!(
            again.sub_key(Purpose::HeadTag).as_bytes() == key.sub_key(Purpose::HeadTag).as_bytes()
        );
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_with_the_way_out() {
        let (_folder, path, _key) = written();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
            let error = MasterKey::read(&path).err().expect("refused");
            assert!(error.to_string().contains("chmod 600"), "{error}");
            assert!(error.to_string().contains("master.key"), "{error}");
        }
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_found() {
        let (_folder, path, key) = written();
        let good = fs::read(&path).expect("it is read");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(parse(&bad).is_err(), "byte {at} changed");
            assert!(parse(&good[..at]).is_err(), "cut at {at}");
        }
        assert!(
            parse(&[&good[..], b"\n"].concat()).is_err(),
            "a line behind the check"
        );
        assert!(parse(&good).is_ok());
        let secret = STANDARD.encode(*key.root);
        let mut bad = good.clone();
        bad[40] ^= 1;
        fs::write(&path, &bad).expect("it is written");
        let error = MasterKey::read(&path).err().expect("refused");
        assert!(
            !format!("{error} {error:?}").contains(&secret[..8]),
            "no secret in a message"
        );
        assert_eq!(
            fs::read(&path).expect("it is read"),
            bad,
            "a refused file is untouched"
        );
    }

    #[test]
    fn a_newer_revision_and_a_missing_version_are_told_apart_from_damage() {
        let newer = format!("{MAGIC} 2\nwhatever\n");
        assert_eq!(
            parse(newer.as_bytes()).err(),
            Some(Fault::TooNew { found: 2 })
        );
        let secret = STANDARD.encode([7; 32]);
        let gap = format!("{MAGIC} 1\nroot {secret}\npepper 2 {secret}\n");
        assert_eq!(
            parse(gap.as_bytes()).err(),
            Some(Fault::Damaged { line: 3 })
        );
    }
}
