//! A sealed segment: a stretch of the ledger in one plain file that never changes, and can be verified
//! alone with nothing but the log's verifier key.
//!
//! ```text
//! magic 8 | first 8 | last 8 | count of subtrees 4 | roots of the complete subtrees before `first`, 32 each
//! values: length 4 | value, as the store has it ([`store`](crate::store))
//! offsets of the values and of their end, 8 each
//! length 4 | checkpoint at `last`, a signed note
//! offset of the offsets 8 | BLAKE3 of all before it 32
//! ```
//!
//! Numbers are little-endian. The subtrees before `first` and the records lead to the root in the
//! checkpoint: whoever has one segment and the key knows that these records stand at these places, without
//! having any other segment. The hash at the end finds damage without knowing any key.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use thiserror::Error;

use crate::checkpoint::{Checkpoint, NotACheckpoint};
use crate::files;
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::note::VerifierKey;
use crate::store::{StoredBytes, StoredEntry};

const MAGIC: &[u8; 8] = b"KLSEGM 1";
const HEADER_BYTES: usize = 28;
const HASH_BYTES: usize = 32;
const TRAILER_BYTES: u64 = 40;
/// A frontier has at most one subtree a bit of the size.
const SUBTREES_MAX: usize = 64;

/// Why a file is not the segment that was written.
#[derive(Debug, Error)]
pub enum SegmentError {
    /// It cannot be read or written.
    #[error("the segment {} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was cut off or changed.
    #[error("the segment {} is damaged at or behind position {position}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first position that cannot be trusted.
        position: Position,
    },
    /// Its checkpoint is not one of this log.
    #[error("the checkpoint in the segment {} is not one of this log", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NotACheckpoint,
    },
    /// Its records are not those that the checkpoint vouches for.
    #[error(
        "the records of the segment {} have the Merkle root {found}, its checkpoint has {expected}",
        path.display()
    )]
    RootDiffers {
        /// The file.
        path: PathBuf,
        /// The root over the records that are there.
        found: Hash,
        /// The root that was signed.
        expected: Hash,
    },
}

impl SegmentError {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. }
            | Self::Damaged { path, .. }
            | Self::Checkpoint { path, .. }
            | Self::RootDiffers { path, .. } => path,
        }
    }
}

/// A segment that is there. Only its outline was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    path: PathBuf,
    first: Position,
    last: Position,
    values_at: u64,
    offsets_at: u64,
}

/// What a segment was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSegment {
    /// Its first record.
    pub first: Position,
    /// Its last record.
    pub last: Position,
    /// The tree up to and including its last record.
    pub frontier: Frontier,
    /// The checkpoint at its last record, signed.
    pub checkpoint: String,
}

impl Segment {
    /// Reads the outline of a segment.
    ///
    /// # Errors
    /// If it cannot be read, or what it says of itself cannot be.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        let io = |source| SegmentError::Io {
            path: path.to_owned(),
            source,
        };
        let damaged = |position| SegmentError::Damaged {
            path: path.to_owned(),
            position,
        };
        files::require_regular(path).map_err(io)?;
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut header = [0; HEADER_BYTES];
        if bytes < HEADER_BYTES as u64 + TRAILER_BYTES {
            return Err(damaged(Position::ZERO.next()));
        }
        file.read_exact_at(&mut header, 0).map_err(io)?;
        let (first, last) = (number(&header[8..16]), number(&header[16..24]));
        let subtrees = header[24..]
            .first_chunk()
            .copied()
            .map_or(0, u32::from_le_bytes);
        let values_at = HEADER_BYTES as u64 + u64::from(subtrees) * HASH_BYTES as u64;
        let mut offsets_at = [0; 8];
        file.read_exact_at(&mut offsets_at, bytes - TRAILER_BYTES)
            .map_err(io)?;
        let offsets_at = u64::from_le_bytes(offsets_at);
        let is_right = header.starts_with(MAGIC)
            && first > 0
            && first <= last
            && subtrees as usize <= SUBTREES_MAX
            && values_at <= offsets_at
            && (last - first)
                .checked_add(2)
                .and_then(|count| count.checked_mul(8))
                .and_then(|bytes| bytes.checked_add(offsets_at))
                .is_some_and(|end| end < bytes - TRAILER_BYTES);
        if !is_right {
            return Err(damaged(Position::new(first.max(1))));
        }
        Ok(Self {
            path: path.to_owned(),
            first: Position::new(first),
            last: Position::new(last),
            values_at,
            offsets_at,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its first record.
    pub const fn first(&self) -> Position {
        self.first
    }

    /// Its last record.
    pub const fn last(&self) -> Position {
        self.last
    }

    /// One of its records.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn get(&self, position: Position) -> Result<StoredEntry, SegmentError> {
        let file = File::open(&self.path).map_err(|source| self.io(source))?;
        let (start, end) = self.place(&file, position)?;
        let mut value = vec![0; usize::try_from(end - start - 4).unwrap_or_default()];
        file.read_exact_at(&mut value, start + 4)
            .map_err(|source| self.io(source))?;
        StoredEntry::decode(position, StoredBytes::from(&value[..]))
            .ok_or_else(|| self.damaged(position))
    }

    /// Its records from `from` to `to` or its end, both included. After an error nothing more comes.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn range(&self, from: Position, to: Position) -> Result<SegmentRange, SegmentError> {
        let from = from.max(self.first);
        let mut file = File::open(&self.path).map_err(|source| self.io(source))?;
        let (start, _) = self.place(&file, from)?;
        file.seek(SeekFrom::Start(start))
            .map_err(|source| self.io(source))?;
        Ok(SegmentRange {
            reader: BufReader::with_capacity(1 << 16, file),
            segment: self.clone(),
            next: from,
            to: to.min(self.last),
            value: Vec::new(),
            has_failed: false,
        })
    }

    /// Where the length and value of a record begin and end.
    fn place(&self, file: &File, position: Position) -> Result<(u64, u64), SegmentError> {
        let at = position.get().saturating_sub(self.first.get());
        let mut offsets = [0; 16];
        file.read_exact_at(&mut offsets, self.offsets_at + 8 * at)
            .map_err(|source| self.io(source))?;
        let (start, end) = (number(&offsets[..8]), number(&offsets[8..]));
        let is_right = self.values_at <= start
            && end
                .checked_sub(4)
                .is_some_and(|length_end| start <= length_end)
            && end <= self.offsets_at;
        if is_right {
            Ok((start, end))
        } else {
            Err(self.damaged(position))
        }
    }

    /// Reads it whole: its hash holds, each record lies where its offset says and nothing lies between them,
    /// and the checkpoint is one of this log and of this place. Whether its records are those of the
    /// checkpoint only their hashes tell: see [`Segment::verify`].
    ///
    /// # Errors
    /// See [`SegmentError`].
    pub fn check(&self, key: &VerifierKey) -> Result<(), SegmentError> {
        self.signed_contents(key).map(drop)
    }

    /// The same, and the records are those that the checkpoint vouches for.
    ///
    /// # Errors
    /// See [`SegmentError`].
    pub fn verify(&self, key: &VerifierKey) -> Result<VerifiedSegment, SegmentError> {
        let (contents, signed) = self.signed_contents(key)?;
        let (mut frontier, checkpoint) = (contents.before, contents.checkpoint);
        for entry in self.range(self.first, self.last)? {
            frontier.append(leaf_hash(entry?.record()));
        }
        if frontier.root() != signed.root {
            return Err(SegmentError::RootDiffers {
                path: self.path.clone(),
                found: frontier.root(),
                expected: signed.root,
            });
        }
        Ok(VerifiedSegment {
            first: self.first,
            last: self.last,
            frontier,
            checkpoint,
        })
    }

    fn signed_contents(&self, key: &VerifierKey) -> Result<(Contents, Checkpoint), SegmentError> {
        let contents = self.contents()?;
        let signed = Checkpoint::open_of_any_origin(&contents.checkpoint, key);
        let signed = signed.map_err(|source| SegmentError::Checkpoint {
            path: self.path.clone(),
            source,
        })?;
        if signed.size != self.last.get() {
            return Err(self.damaged(self.first));
        }
        self.check_offsets()?;
        Ok((contents, signed))
    }

    /// One that reads by offset and one that reads in order read the same.
    fn check_offsets(&self) -> Result<(), SegmentError> {
        let io = |source| self.io(source);
        let mut file = File::open(&self.path).map_err(io)?;
        let count = self.last.get() - self.first.get() + 1;
        let mut offsets = vec![0; usize::try_from(8 * (count + 1)).unwrap_or_default()];
        file.read_exact_at(&mut offsets, self.offsets_at)
            .map_err(io)?;
        let (offsets, _) = offsets.as_chunks::<8>();
        let offsets = offsets.iter().copied().map(u64::from_le_bytes);
        file.seek(SeekFrom::Start(self.values_at)).map_err(io)?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut at = self.values_at;
        for (position, offset) in (self.first.get()..).map(Position::new).zip(offsets) {
            if offset != at {
                return Err(self.damaged(position));
            }
            if position > self.last {
                break;
            }
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(io)?;
            let length = u32::from_le_bytes(length);
            at += 4 + u64::from(length);
            if at > self.offsets_at {
                return Err(self.damaged(position));
            }
            reader.seek_relative(length.into()).map_err(io)?;
        }
        if at == self.offsets_at {
            Ok(())
        } else {
            Err(self.damaged(self.last))
        }
    }

    /// What stands before and behind the values, if the hash over all of it holds.
    fn contents(&self) -> Result<Contents, SegmentError> {
        let io = |source| self.io(source);
        let mut file = File::open(&self.path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut hasher = blake3::Hasher::new();
        let before_sum = bytes.saturating_sub(HASH_BYTES as u64);
        hasher
            .update_reader((&mut file).take(before_sum))
            .map_err(io)?;
        let mut sum = [0; HASH_BYTES];
        file.read_exact(&mut sum).map_err(io)?;
        if hasher.finalize() != blake3::Hash::from_bytes(sum) {
            return Err(self.damaged(self.first));
        }
        let mut subtrees =
            vec![0; usize::try_from(self.values_at).unwrap_or_default() - HEADER_BYTES];
        file.read_exact_at(&mut subtrees, HEADER_BYTES as u64)
            .map_err(io)?;
        let (subtrees, _) = subtrees.as_chunks::<HASH_BYTES>();
        let subtrees = subtrees.iter().copied().map(Hash::from_bytes).collect();
        let before =
            Frontier::of(self.first.get() - 1, subtrees).ok_or_else(|| self.damaged(self.first))?;
        let note_at = self.offsets_at + 8 * (self.last.get() - self.first.get() + 2);
        let mut note =
            vec![0; usize::try_from(bytes - TRAILER_BYTES - note_at).unwrap_or_default()];
        file.read_exact_at(&mut note, note_at).map_err(io)?;
        let checkpoint = note
            .split_first_chunk::<4>()
            .filter(|(length, text)| u32::from_le_bytes(**length) as usize == text.len())
            .and_then(|(_, text)| String::from_utf8(text.to_vec()).ok())
            .ok_or_else(|| self.damaged(self.first))?;
        Ok(Contents { before, checkpoint })
    }

    fn io(&self, source: io::Error) -> SegmentError {
        SegmentError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn damaged(&self, position: Position) -> SegmentError {
        SegmentError::Damaged {
            path: self.path.clone(),
            position,
        }
    }
}

struct Contents {
    before: Frontier,
    checkpoint: String,
}

/// The records of a segment in order (see [`Segment::range`]).
pub struct SegmentRange {
    reader: BufReader<File>,
    segment: Segment,
    next: Position,
    to: Position,
    value: Vec<u8>,
    has_failed: bool,
}

impl SegmentRange {
    fn read(&mut self) -> Result<StoredEntry, SegmentError> {
        let damaged = |range: &Self| range.segment.damaged(range.next);
        let mut length = [0; 4];
        self.reader
            .read_exact(&mut length)
            .map_err(|source| self.segment.io(source))?;
        let length = u64::from(u32::from_le_bytes(length));
        if length > self.segment.offsets_at {
            return Err(damaged(self));
        }
        self.value
            .resize(usize::try_from(length).unwrap_or_default(), 0);
        self.reader
            .read_exact(&mut self.value)
            .map_err(|source| self.segment.io(source))?;
        StoredEntry::decode(self.next, StoredBytes::from(&self.value[..]))
            .ok_or_else(|| damaged(self))
    }
}

impl Iterator for SegmentRange {
    type Item = Result<StoredEntry, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed || self.next > self.to {
            return None;
        }
        let entry = self.read();
        self.has_failed = entry.is_err();
        self.next = self.next.next();
        Some(entry)
    }
}

/// Writes a segment, which gets its name only when it is whole, synced and read back. A death before leaves
/// a file under another name, which nobody reads and the next seal replaces.
pub(crate) struct SegmentWriter {
    path: PathBuf,
    beside: PathBuf,
    file: Hashing,
    first: Position,
    before: Frontier,
    offsets: Vec<u64>,
    at: u64,
}

impl SegmentWriter {
    /// Begins one behind the records of this tree.
    pub(crate) fn begin(
        path: &Path,
        before: Frontier,
        last: Position,
    ) -> Result<Self, SegmentError> {
        let io = |source| SegmentError::Io {
            path: path.to_owned(),
            source,
        };
        let beside = files::with_suffix(path, ".new");
        files::remove_if_there(&beside).map_err(io)?;
        let first = Position::new(before.size() + 1);
        let mut header = Vec::from(MAGIC);
        header.extend_from_slice(&first.get().to_le_bytes());
        header.extend_from_slice(&last.get().to_le_bytes());
        let count = u32::try_from(before.subtrees().len()).unwrap_or(u32::MAX);
        header.extend_from_slice(&count.to_le_bytes());
        for subtree in before.subtrees() {
            header.extend_from_slice(subtree.as_bytes());
        }
        files::write_new(&beside, &[]).map_err(io)?;
        let file = File::options().append(true).open(&beside).map_err(io)?;
        let mut file = Hashing {
            file: BufWriter::with_capacity(1 << 16, file),
            hasher: blake3::Hasher::new(),
        };
        file.write_all(&header).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            beside,
            file,
            first,
            before,
            offsets: Vec::new(),
            at: header.len() as u64,
        })
    }

    /// Adds the next record.
    pub(crate) fn add(&mut self, entry: &StoredEntry) -> Result<(), SegmentError> {
        let value = entry.value();
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.offsets.push(self.at);
        self.before.append(leaf_hash(entry.record()));
        self.at += 4 + value.len() as u64;
        self.file
            .write_all(&length)
            .and_then(|()| self.file.write_all(value))
            .map_err(|source| self.io(source))
    }

    /// The tree over all records up to the last that was added.
    pub(crate) const fn frontier(&self) -> &Frontier {
        &self.before
    }

    /// Ends it with a checkpoint at its last record, reads it back from the disk, and gives it its name.
    pub(crate) fn finish(
        mut self,
        checkpoint: &str,
        key: &VerifierKey,
    ) -> Result<Segment, SegmentError> {
        let offsets_at = self.at;
        self.offsets.push(offsets_at);
        let mut tail = Vec::with_capacity(8 * self.offsets.len() + checkpoint.len() + 12);
        for offset in &self.offsets {
            tail.extend_from_slice(&offset.to_le_bytes());
        }
        let length = u32::try_from(checkpoint.len()).unwrap_or(u32::MAX);
        tail.extend_from_slice(&length.to_le_bytes());
        tail.extend_from_slice(checkpoint.as_bytes());
        tail.extend_from_slice(&offsets_at.to_le_bytes());
        let written = self.file.write_all(&tail);
        written
            .and_then(|()| self.file.end())
            .map_err(|source| self.io(source))?;
        let written = Segment::open(&self.beside)?;
        let found = written.verify(key)?;
        if found.first != self.first || found.frontier != self.before {
            return Err(written.damaged(self.first));
        }
        // Dying before this leaves all records where they were.
        std::fs::rename(&self.beside, &self.path)
            .and_then(|()| files::sync_parent(&self.path))
            .map_err(|source| self.io(source))?;
        Ok(Segment {
            path: self.path,
            ..written
        })
    }

    fn io(&self, source: io::Error) -> SegmentError {
        SegmentError::Io {
            path: self.beside.clone(),
            source,
        }
    }
}

/// A file and the hash over what was written to it.
struct Hashing {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Hashing {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }

    /// Writes the hash, and syncs.
    fn end(&mut self) -> io::Result<()> {
        let sum = self.hasher.finalize();
        self.file.write_all(sum.as_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_le_bytes)
}
