//! A backup: one file from which a data folder can be made anew, written while changes go on.
//!
//! ```text
//! magic 8 | number of records 8
//! parts: tag 4 | length 8 | bytes
//!   NOTE  the checkpoint over exactly these records, signed
//!   MKEY  the key file, if it was asked for
//!   PEOP  the keys of persons, wrapped by the key file
//!   CRED  what is left of credits: id 16 | grant 8 | left 8 | refills 8
//!   RECS  records, as the store has them, each behind its length in 4 bytes; as many parts as it takes
//!   DONE  keyed BLAKE3 of the BLAKE3 of all before this part; nothing stands behind it
//! ```
//!
//! Numbers are little-endian. The records are fixed by the checkpoint before the first is read, so whatever was
//! answered before a backup began is in it, and what comes later is not. The checkpoint vouches for the records
//! only; for credits, sealed values and the rest the tag at the end does. Without the key file a backup is of
//! no use, and whoever holds one with it holds the server: keep the two apart.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyledger_domain::Position;
use keyledger_domain::id::EntitlementId;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::builder::{BuildError, FolderBuilder};
use crate::checkpoint::{Checkpoint, NotACheckpoint};
use crate::credits_store::{self, CreditsRow};
use crate::key_file::{KeyFileError, MasterKey, Purpose, SubKey};
use crate::ledger::KeyFile;
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::paths::Paths;
use crate::publisher::{self, Published};
use crate::replay::Progress;
use crate::sled_store::SledReader;
use crate::store::{ReadError, ReadStore as _, StoredBytes, StoredEntry};

const MAGIC: &[u8; 8] = b"KLBACK 2";
/// About how large a part with records becomes.
const PART_BYTES: usize = 1 << 20;
/// A larger part was not written by us.
const PART_BYTES_MAX: u64 = 1 << 32;
const CREDITS_ROW_BYTES: usize = 40;

/// Why a backup was not written.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The first records were moved away.
    #[error(
        "the records up to {0} were archived: move their segments back, or keep a copy of the whole folder and of these segments instead"
    )]
    Archived(Position),
    /// A file of the folder cannot be read.
    #[error("{} cannot be read", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The backup cannot be written.
    #[error("the backup cannot be written")]
    Write(#[from] io::Error),
}

/// Why a backup is not one.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// It cannot be read.
    #[error("the backup cannot be read")]
    Read(#[from] io::Error),
    /// It is something else, or of a newer version.
    #[error("this is not a Keyledger backup, or a newer version wrote it")]
    NotABackup,
    /// It was cut off or changed.
    #[error("the backup is damaged at or behind record {position}; take another one")]
    Damaged {
        /// The first record that cannot be trusted.
        position: Position,
    },
    /// The key file is not in it, and none was given.
    #[error("the backup was made without the master key; name it with --master-key")]
    KeyFileNeeded,
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The key file did not sign its checkpoint.
    #[error("the backup is of another ledger than the key file, or its checkpoint was changed")]
    Checkpoint(#[from] NotACheckpoint),
    /// Its records are not those that the checkpoint vouches for.
    #[error(
        "the records of the backup have the Merkle root {found}, its checkpoint has {expected}; take another one"
    )]
    RootDiffers {
        /// The root over the records that are there.
        found: Hash,
        /// The root that was signed.
        expected: Hash,
    },
    /// The folder was not made.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What is backed up, for any number of times.
#[derive(Clone)]
pub struct BackupSource {
    pub(crate) store: SledReader,
    pub(crate) paths: Paths,
    pub(crate) key_file: Arc<KeyFile>,
}

impl BackupSource {
    /// Writes a backup of exactly the records that were published. It reads from the disk for as long as it
    /// takes; nobody waits for it.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn write(
        &self,
        published: &Published,
        credits: &[CreditsRow],
        with_key_file: bool,
        out: impl Write,
    ) -> Result<(), BackupError> {
        let archived = self.store.archived();
        if archived > Position::ZERO {
            return Err(BackupError::Archived(archived));
        }
        let read = |path: PathBuf| {
            let bytes = std::fs::read(&path).map(Zeroizing::new);
            bytes.map_err(|source| BackupError::Source { path, source })
        };
        let mut out = Hashing::new(out);
        out.write_all(MAGIC)?;
        out.write_all(&published.size.to_le_bytes())?;
        out.part(b"NOTE", published.checkpoint.as_bytes())?;
        if with_key_file {
            out.part(b"MKEY", &read(self.paths.master_key())?)?;
        }
        // The key of a person is synced before the first record that needs it, so all are there.
        out.part(b"PEOP", &read(self.paths.people_keys())?)?;
        let rows = credits.iter().flat_map(|(id, numbers)| {
            let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
            id.to_bytes()
                .into_iter()
                .chain(numbers)
                .collect::<Vec<u8>>()
        });
        out.part(b"CRED", &rows.collect::<Vec<u8>>())?;
        let mut records = Vec::with_capacity(PART_BYTES + PART_BYTES / 8);
        let last = Position::new(published.size);
        for entry in self.store.range(Position::ZERO, last) {
            let entry = entry?;
            let value = entry.value();
            let length = u32::try_from(value.len()).map_err(io::Error::other)?;
            records.extend_from_slice(&length.to_le_bytes());
            records.extend_from_slice(value);
            if records.len() >= PART_BYTES {
                out.part(b"RECS", &records)?;
                records.clear();
            }
        }
        out.part(b"RECS", &records)?;
        let tag = tag(&self.key_file.sub_key(Purpose::BackupTag), &out.hasher);
        out.part(b"DONE", tag.as_bytes())?;
        out.out.flush()?;
        Ok(())
    }
}

/// What a backup was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// How many records.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
}

/// Reads a backup to its end: it is whole, and its records are those that its checkpoint vouches for.
/// `key_file` is the key file where it is not in the backup.
///
/// # Errors
/// See [`RestoreError`].
pub fn verify(
    backup: impl Read,
    key_file: Option<&Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackedUp, RestoreError> {
    let mut backup = Reading::begin(backup, key_file)?;
    let mut frontier = Frontier::new();
    backup.records(progress, &mut |entry| {
        frontier.append(leaf_hash(entry.record()));
        Ok(())
    })?;
    backup.compare(&frontier)
}

/// Makes a data folder of a backup, in a folder that is empty or not there yet. `key_file` is the key file
/// where it is not in the backup.
///
/// # Errors
/// See [`RestoreError`]. What was begun in the folder can be removed; no start takes it for a ledger.
pub fn restore(
    backup: impl Read,
    key_file: Option<&Path>,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<BackedUp, RestoreError> {
    let mut backup = Reading::begin(backup, key_file)?;
    let origin = backup.signed.origin.clone();
    let signer = publisher::signer(&backup.master_key, &origin).map_err(NotACheckpoint::from)?;
    let key = MasterKey::from_bytes(&backup.key_file, Path::new("the key file"))?;
    let size = backup.size;
    let mut builder = FolderBuilder::begin(folder, &key, &backup.people, &signer, size)?;
    backup.records(progress, &mut |entry| Ok(builder.add(entry)?))?;
    let found = backup.compare(builder.frontier())?;
    let (checkpoint, credits) = (backup.checkpoint, backup.credits);
    let key_file = KeyFile::new(backup.master_key);
    builder.finish(&checkpoint, |folder| {
        if credits.is_empty() {
            return Ok(());
        }
        credits_store::restore(folder.paths(), &key_file, &credits)
    })?;
    Ok(found)
}

/// A backup that is being read, up to its records.
struct Reading<R> {
    input: Hashing<R>,
    size: u64,
    checkpoint: String,
    signed: Checkpoint,
    tag_key: SubKey,
    key_file: Zeroizing<Vec<u8>>,
    master_key: MasterKey,
    people: Zeroizing<Vec<u8>>,
    credits: Vec<CreditsRow>,
    /// The first part with records, which ended what stands before them.
    first: Vec<u8>,
}

impl<R: Read> Reading<R> {
    fn begin(input: R, key_file: Option<&Path>) -> Result<Self, RestoreError> {
        let mut input = Hashing::new(input);
        let mut header = [0; 16];
        input
            .read_exact(&mut header)
            .map_err(|_| RestoreError::NotABackup)?;
        if !header.starts_with(MAGIC) {
            return Err(RestoreError::NotABackup);
        }
        let size = header[8..]
            .first_chunk()
            .copied()
            .map_or(0, u64::from_le_bytes);
        let (mut checkpoint, mut kept, mut people, mut credits) = (None, None, None, Vec::new());
        let first = loop {
            let (tag, bytes) = input.next_part(Position::ZERO.next())?;
            match &tag {
                b"NOTE" => checkpoint = String::from_utf8(bytes).ok(),
                b"MKEY" => kept = Some(Zeroizing::new(bytes)),
                b"PEOP" => people = Some(Zeroizing::new(bytes)),
                b"CRED" => credits = rows_of(&bytes),
                b"RECS" => break bytes,
                _ => return Err(RestoreError::NotABackup),
            }
        };
        let (Some(checkpoint), Some(people)) = (checkpoint, people) else {
            return Err(RestoreError::NotABackup);
        };
        let (key_file, master_key) = match (key_file, kept) {
            (Some(path), _) => {
                let master_key = MasterKey::read(path)?;
                (Zeroizing::new(std::fs::read(path)?), master_key)
            }
            (None, Some(bytes)) => {
                let master_key =
                    MasterKey::from_bytes(&bytes, Path::new("the key file in the backup"))?;
                (bytes, master_key)
            }
            (None, None) => return Err(RestoreError::KeyFileNeeded),
        };
        let verifier = publisher::verifier(&master_key);
        let signed = Checkpoint::open_of_any_origin(&checkpoint, &verifier)?;
        if signed.size != size {
            return Err(RestoreError::Damaged {
                position: Position::ZERO.next(),
            });
        }
        Ok(Self {
            input,
            size,
            checkpoint,
            signed,
            tag_key: master_key.sub_key(Purpose::BackupTag),
            key_file,
            master_key,
            people,
            credits,
            first,
        })
    }

    /// Gives each record in order, and reads to the end.
    fn records(
        &mut self,
        progress: &mut dyn FnMut(Progress),
        take: &mut dyn FnMut(&StoredEntry) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        let mut last = Position::ZERO;
        let mut part = core::mem::take(&mut self.first);
        loop {
            let mut rest = &part[..];
            while !rest.is_empty() {
                let position = last.next();
                let damaged = || RestoreError::Damaged { position };
                let (length, behind) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
                let length = u32::from_le_bytes(*length) as usize;
                let (value, behind) = behind.split_at_checked(length).ok_or_else(damaged)?;
                let entry = StoredEntry::decode(position, StoredBytes::from(value));
                if position.get() > self.size {
                    return Err(damaged());
                }
                take(&entry.ok_or_else(damaged)?)?;
                (last, rest) = (position, behind);
            }
            progress(Progress {
                done: last.get(),
                total_estimate: self.size,
            });
            let damaged = || RestoreError::Damaged {
                position: last.next(),
            };
            let wanted = tag(&self.tag_key, &self.input.hasher);
            let (name, bytes) = self.input.next_part(last.next())?;
            match &name {
                b"RECS" => part = bytes,
                b"DONE" if last.get() == self.size => {
                    // Compared in constant time.
                    let found = bytes.try_into().map(blake3::Hash::from_bytes);
                    let is_ours = found.is_ok_and(|found| found == wanted);
                    let is_end = self.input.out.read(&mut [0])? == 0;
                    return (is_ours && is_end).then_some(()).ok_or_else(damaged);
                }
                _ => return Err(damaged()),
            }
        }
    }

    fn compare(&self, frontier: &Frontier) -> Result<BackedUp, RestoreError> {
        let (found, expected) = (frontier.root(), self.signed.root);
        if found == expected {
            Ok(BackedUp {
                size: self.size,
                root: found,
            })
        } else {
            Err(RestoreError::RootDiffers { found, expected })
        }
    }
}

fn tag(key: &SubKey, all_before: &blake3::Hasher) -> blake3::Hash {
    blake3::keyed_hash(key.as_bytes(), all_before.finalize().as_bytes())
}

fn rows_of(bytes: &[u8]) -> Vec<CreditsRow> {
    let (rows, _) = bytes.as_chunks::<CREDITS_ROW_BYTES>();
    let row = |row: &[u8; CREDITS_ROW_BYTES]| {
        let id = *row.first_chunk::<16>()?;
        let number = |at: usize| row[at..].first_chunk().copied().map(u64::from_le_bytes);
        Some((
            EntitlementId::from_bytes(id),
            [number(16)?, number(24)?, number(32)?],
        ))
    };
    rows.iter().filter_map(row).collect()
}

/// Reads or writes, and hashes what came by.
struct Hashing<T> {
    out: T,
    hasher: blake3::Hasher,
}

impl<T> Hashing<T> {
    fn new(out: T) -> Self {
        Self {
            out,
            hasher: blake3::Hasher::new(),
        }
    }
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    fn part(&mut self, tag: &[u8; 4], bytes: &[u8]) -> io::Result<()> {
        self.write_all(tag)?;
        self.write_all(&(bytes.len() as u64).to_le_bytes())?;
        self.write_all(bytes)
    }
}

impl<R: Read> Hashing<R> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.out.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// The next part; `position` is the record that would stand in it.
    fn next_part(&mut self, position: Position) -> Result<([u8; 4], Vec<u8>), RestoreError> {
        let cut_off = |error: io::Error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                RestoreError::Damaged { position }
            } else {
                RestoreError::Read(error)
            }
        };
        let (mut tag, mut length) = ([0; 4], [0; 8]);
        self.read_exact(&mut tag).map_err(cut_off)?;
        self.read_exact(&mut length).map_err(cut_off)?;
        let length = u64::from_le_bytes(length);
        if length > PART_BYTES_MAX {
            return Err(RestoreError::Damaged { position });
        }
        // Not reserved in one piece: a length may be wrong.
        let mut bytes = Vec::new();
        let taken = (&mut self.out).take(length).read_to_end(&mut bytes)?;
        if taken as u64 != length {
            return Err(RestoreError::Damaged { position });
        }
        self.hasher.update(&bytes);
        Ok((tag, bytes))
    }
}
