//! The store of records: a thin, checked layer over a storage engine, and the trait behind which
//! the engine (sled) stays.
//!
//! The order of one append is kept here, once, for whatever engine: look for room, insert each
//! entry, flush, sync, and only then answer. What an error says about the disk is part of its name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyledger_domain::Position;
use thiserror::Error;

use crate::segment::{SegmentError, SegmentRange};
use crate::segments::Segments;

/// The most bytes a record may have: tiles write its length in 16 bits (C2SP tlog-tiles).
pub const RECORD_BYTES_MAX: usize = 65_535;

/// The first byte of a stored value: `[format 1][record length 4, little-endian][record][side]`.
const VALUE_FORMAT: u8 = 1;
const VALUE_HEADER_BYTES: usize = 5;

/// One record and what lies beside it, on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place: the one after the last, without a gap.
    pub position: Position,
    /// The record, exactly as the Merkle tree hashes it; at most [`RECORD_BYTES_MAX`].
    pub record: Vec<u8>,
    /// Sealed values that are no part of the record.
    pub side: Vec<u8>,
}

/// One record and what lies beside it, as stored. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    position: Position,
    value: StoredBytes,
    record_end: usize,
}

impl StoredEntry {
    /// Its place.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The record, exactly as the Merkle tree hashes it.
    pub fn record(&self) -> &[u8] {
        &self.value.as_slice()[VALUE_HEADER_BYTES..self.record_end]
    }

    /// Sealed values that are no part of the record.
    pub fn side(&self) -> &[u8] {
        &self.value.as_slice()[self.record_end..]
    }

    /// Record and side as they lie in a store or a segment.
    pub(crate) fn value(&self) -> &[u8] {
        self.value.as_slice()
    }

    /// `None` if the value is of an unknown format or shorter than its record.
    pub(crate) fn decode(position: Position, value: StoredBytes) -> Option<Self> {
        let [VALUE_FORMAT, length @ ..] = value.as_slice().first_chunk::<VALUE_HEADER_BYTES>()?
        else {
            return None;
        };
        let record_bytes = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let record_end = VALUE_HEADER_BYTES.checked_add(record_bytes)?;
        let fits = record_bytes <= RECORD_BYTES_MAX && record_end <= value.as_slice().len();
        fits.then_some(Self {
            position,
            value,
            record_end,
        })
    }
}

/// Bytes that an engine hands out: shared with its cache rather than copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBytes(sled::IVec);

impl StoredBytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<sled::IVec> for StoredBytes {
    fn from(bytes: sled::IVec) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for StoredBytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

/// What a storage engine must be able to do. Values are written once and never changed.
///
/// Keys are positions in big-endian, so that their order is that of the ledger.
pub trait Engine {
    /// How readers see it.
    type View: View;

    /// Bytes that can still be written on its disk.
    ///
    /// # Errors
    /// If the system does not tell.
    fn available_bytes(&self) -> io::Result<u64>;

    /// Takes one value. It need not be on the disk yet.
    ///
    /// # Errors
    /// If it cannot; whether the value will be there after a restart is not known then.
    fn insert(&mut self, key: [u8; 8], value: &[u8]) -> io::Result<()>;

    /// Hands everything to the operating system: it survives the death of the process.
    ///
    /// # Errors
    /// If it cannot.
    fn flush(&mut self) -> io::Result<()>;

    /// Has the operating system put everything on the disk: it survives a power cut.
    ///
    /// # Errors
    /// If it cannot. A sync that failed is never tried again: the system may have dropped the pages.
    fn sync(&mut self) -> io::Result<()>;

    /// A handle for reading.
    fn view(&self) -> Self::View;
}

/// How an engine is read, by any number of threads.
pub trait View: Clone + Send + Sync {
    /// The values of a range in the order of their keys.
    type Scan: Iterator<Item = Result<(StoredBytes, StoredBytes), ScanError>>;

    /// All keys and values from `from` to `to`, both included.
    fn scan(&self, from: [u8; 8], to: [u8; 8]) -> Self::Scan;

    /// One value.
    ///
    /// # Errors
    /// If it cannot be read.
    fn get(&self, key: [u8; 8]) -> Result<Option<StoredBytes>, ScanError>;

    /// The file in which the values lie, to be named in errors.
    fn path(&self) -> &Path;
}

/// Why an engine could not read.
#[derive(Debug)]
pub enum ScanError {
    /// It said so.
    Io(io::Error),
    /// It panicked, as sled does over damaged pages; the panic hook has told the details.
    Panicked,
}

/// Why a batch was not appended, named by what it says about the disk.
///
/// All but [`AppendError::OutOfSpace`] are final: the store refuses every later append. Answer 503 to
/// whoever waits, stop, and let the restart find out what is there.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Too little room is left on the disk. Nothing was written, and the store goes on: a later
    /// append succeeds once there is room.
    #[error(
        "{available_bytes} bytes are free on the disk of {}, less than the reserve of {reserve_bytes}: \
         changes are refused until there is room",
        path.display()
    )]
    OutOfSpace {
        /// The file that would have grown.
        path: PathBuf,
        /// What is free.
        available_bytes: u64,
        /// What must stay free.
        reserve_bytes: u64,
    },
    /// Nothing of this batch was written, for certain.
    #[error("the batch was not written")]
    NotWritten(#[source] NotWritten),
    /// Something went wrong after the first entry was handed to the engine: none, some or all of
    /// the batch may be there after a restart. Never tell a caller that it failed.
    #[error("it is not known whether the batch was written to {}", path.display())]
    Unknown {
        /// The file it was written to.
        path: PathBuf,
        /// What the engine or the system said.
        source: io::Error,
    },
}

impl AppendError {
    /// Whether the process must stop: anything but a full disk.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::OutOfSpace { .. } => false,
            Self::NotWritten(_) | Self::Unknown { .. } => true,
        }
    }
}

/// Why nothing of a batch was written.
#[derive(Debug, Error)]
pub enum NotWritten {
    /// An earlier append failed, and its error was final.
    #[error("an earlier append failed; restart to see what is on the disk")]
    FailedBefore,
    /// The caller's entries do not follow the last one without a gap.
    #[error("position {given} was given where {expected} comes next")]
    NotNext {
        /// The position after the last.
        expected: Position,
        /// The position of the entry.
        given: Position,
    },
    /// The caller's record is longer than a record may be.
    #[error("record {position} has {record_bytes} bytes, more than {RECORD_BYTES_MAX}")]
    RecordTooLong {
        /// Which.
        position: Position,
        /// Its length.
        record_bytes: usize,
    },
    /// The system does not say how much room there is.
    #[error("the free space of the disk is not known")]
    RoomUnknown(#[source] io::Error),
}

/// Why a record could not be read. Whoever meets one of these must not go on serving.
#[derive(Debug, Error)]
pub enum ReadError {
    /// There is no record where there must be one.
    #[error("record {position} is missing from {}", path.display())]
    Missing {
        /// Its position.
        position: Position,
        /// The file it should be in.
        path: PathBuf,
    },
    /// What is stored there is no record.
    #[error("record {position} in {} is damaged", path.display())]
    Damaged {
        /// Its position.
        position: Position,
        /// The file it is in.
        path: PathBuf,
    },
    /// The engine could not read it.
    #[error("record {position} cannot be read from {}", path.display())]
    Io {
        /// Its position.
        position: Position,
        /// The file it is in.
        path: PathBuf,
        /// What the engine said.
        source: io::Error,
    },
    /// It was sealed, and its segment does not give it.
    #[error("record {position} cannot be read from its segment")]
    Segment {
        /// Its position.
        position: Position,
        /// What is wrong with the segment.
        source: SegmentError,
    },
    /// Its segment was moved away.
    #[error(
        "record {position} was archived; move its segment back to {} to read it",
        folder.display()
    )]
    Archived {
        /// Its position.
        position: Position,
        /// The folder of the segments.
        folder: PathBuf,
    },
    /// The engine panicked over it, which is how sled meets damaged pages.
    #[error("record {position} cannot be read: the storage engine broke over {}", path.display())]
    Panicked {
        /// Its position.
        position: Position,
        /// The file it is in.
        path: PathBuf,
    },
}

impl ReadError {
    /// The position and the file that it is about.
    pub fn place(&self) -> (Position, &Path) {
        match self {
            Self::Missing { position, path }
            | Self::Damaged { position, path }
            | Self::Io { position, path, .. }
            | Self::Panicked { position, path } => (*position, path),
            Self::Segment { position, source } => (*position, source.path()),
            Self::Archived { position, folder } => (*position, folder),
        }
    }

    fn of(error: ScanError, position: Position, path: &Path) -> Self {
        let path = path.to_owned();
        match error {
            ScanError::Io(source) => Self::Io {
                position,
                path,
                source,
            },
            ScanError::Panicked => Self::Panicked { position, path },
        }
    }
}

/// Writing: what the committer needs of a store.
pub trait AppendStore {
    /// Refuses with [`AppendError::OutOfSpace`] what [`AppendStore::append`] would refuse for it.
    ///
    /// Ask before deciding: a command that was decided and not stored leaves the deciding state ahead
    /// of the ledger for good.
    ///
    /// # Errors
    /// [`AppendError::OutOfSpace`], or a final error if the system does not say.
    fn check_room(&mut self) -> Result<(), AppendError>;

    /// Appends entries whose positions follow the last one. They are durable when it returns `Ok`.
    ///
    /// # Errors
    /// See [`AppendError`]: each says whether something may have been written.
    fn append(&mut self, entries: &[Entry]) -> Result<(), AppendError>;

    /// The last durable position.
    fn last(&self) -> Position;
}

/// Reading: what replay, the audit and look-ups of single records need of a store.
pub trait ReadStore: Clone + Send + Sync {
    /// The records of a range in order.
    type Range: Iterator<Item = Result<StoredEntry, ReadError>>;

    /// The records from `from` to `to`, both included, and none beyond [`ReadStore::last`]. A gap or
    /// an early end is an error; after an error nothing more comes.
    fn range(&self, from: Position, to: Position) -> Self::Range;

    /// One record; `None` beyond [`ReadStore::last`].
    ///
    /// # Errors
    /// If it is missing or cannot be read.
    fn get(&self, position: Position) -> Result<Option<StoredEntry>, ReadError>;

    /// The last durable position.
    fn last(&self) -> Position;

    /// The last record that was moved away, and can be read by nobody here.
    fn archived(&self) -> Position;

    /// The folder in which sealed records are, and to which those that were moved away can come back.
    fn segments(&self) -> &Path;
}

/// A store over an engine: the one writer.
pub struct Store<E: Engine> {
    pub(crate) engine: E,
    /// What has left the engine.
    segments: Segments,
    /// Shared with the readers; raised only when what it counts is synced.
    last: Arc<AtomicU64>,
    reserve_bytes: u64,
    failed: bool,
    value: Vec<u8>,
}

impl<E: Engine> Store<E> {
    /// A store whose last durable record is `last`, whose first ones are in these segments, and which
    /// leaves `reserve_bytes` of the disk free.
    pub fn new(engine: E, segments: Segments, last: Position, reserve_bytes: u64) -> Self {
        let last = Arc::new(AtomicU64::new(last.get()));
        Self {
            engine,
            segments,
            last,
            reserve_bytes,
            failed: false,
            value: Vec::new(),
        }
    }

    /// A handle for reading, to be cloned for each thread.
    pub fn reader(&self) -> StoreReader<E::View> {
        StoreReader {
            view: self.engine.view(),
            segments: self.segments.clone(),
            last: Arc::clone(&self.last),
        }
    }

    /// Whether an append failed for good.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Every error but a full disk is the last thing this store does.
    fn fail(&mut self, error: AppendError) -> AppendError {
        self.failed |= error.is_final();
        error
    }

    fn room(&self) -> Result<(), AppendError> {
        if self.failed {
            return Err(AppendError::NotWritten(NotWritten::FailedBefore));
        }
        let available_bytes = self
            .engine
            .available_bytes()
            .map_err(|source| AppendError::NotWritten(NotWritten::RoomUnknown(source)))?;
        if available_bytes < self.reserve_bytes {
            let path = self.engine.view().path().to_owned();
            let reserve_bytes = self.reserve_bytes;
            return Err(AppendError::OutOfSpace {
                path,
                available_bytes,
                reserve_bytes,
            });
        }
        Ok(())
    }

    fn check_entries(&self, entries: &[Entry]) -> Result<Position, NotWritten> {
        entries.iter().try_fold(self.last(), |last, entry| {
            let record_bytes = entry.record.len();
            if entry.position != last.next() {
                Err(NotWritten::NotNext {
                    expected: last.next(),
                    given: entry.position,
                })
            } else if record_bytes > RECORD_BYTES_MAX {
                Err(NotWritten::RecordTooLong {
                    position: entry.position,
                    record_bytes,
                })
            } else {
                Ok(entry.position)
            }
        })
    }

    /// From here on an error says nothing about what is on the disk.
    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            self.value.clear();
            self.value.push(VALUE_FORMAT);
            let record_bytes = u32::try_from(entry.record.len()).map_err(io::Error::other)?;
            self.value.extend_from_slice(&record_bytes.to_le_bytes());
            self.value.extend_from_slice(&entry.record);
            self.value.extend_from_slice(&entry.side);
            self.engine.insert(key_of(entry.position), &self.value)?;
        }
        // Dying before the flush returns leaves none or some of the entries, whole each: an entry is
        // one value. Nobody was answered, so whatever is there is right.
        self.engine.flush()?;
        // Now they survive our death, but not a power cut.
        self.engine.sync()
        // Now they survive both.
    }
}

impl<E: Engine> AppendStore for Store<E> {
    fn check_room(&mut self) -> Result<(), AppendError> {
        self.room().map_err(|error| self.fail(error))
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), AppendError> {
        self.check_room()?;
        let last = self
            .check_entries(entries)
            .map_err(|error| self.fail(AppendError::NotWritten(error)))?;
        if entries.is_empty() {
            return Ok(());
        }
        self.write(entries).map_err(|source| {
            let path = self.engine.view().path().to_owned();
            self.fail(AppendError::Unknown { path, source })
        })?;
        self.last.store(last.get(), Ordering::Release);
        Ok(())
    }

    fn last(&self) -> Position {
        Position::new(self.last.load(Ordering::Acquire))
    }
}

/// A store, for reading: its segments, and the end of the ledger that is not sealed yet.
#[derive(Clone)]
pub struct StoreReader<V> {
    view: V,
    segments: Segments,
    last: Arc<AtomicU64>,
}

impl<V: View> StoreReader<V> {
    /// The engine, for the one who seals.
    pub(crate) const fn view(&self) -> &V {
        &self.view
    }

    /// The segments.
    pub const fn segments(&self) -> &Segments {
        &self.segments
    }

    fn sealed(&self, position: Position) -> Result<StoredEntry, ReadError> {
        let read = self.segments.get(position);
        read.map_err(|source| ReadError::Segment { position, source })?
            .ok_or_else(|| self.archived_at(position))
    }

    fn archived_at(&self, position: Position) -> ReadError {
        ReadError::Archived {
            position,
            folder: self.segments.folder().to_owned(),
        }
    }

    fn missing(&self, position: Position) -> ReadError {
        ReadError::Missing {
            position,
            path: self.view.path().to_owned(),
        }
    }
}

impl<V: View> ReadStore for StoreReader<V> {
    type Range = Range<V>;

    fn range(&self, from: Position, to: Position) -> Range<V> {
        Range {
            reader: self.clone(),
            part: Part::None,
            next: from.max(Position::ZERO.next()),
            to: to.min(self.last()),
        }
    }

    fn get(&self, position: Position) -> Result<Option<StoredEntry>, ReadError> {
        if position == Position::ZERO || position > self.last() {
            return Ok(None);
        }
        if position <= self.segments.last() {
            return self.sealed(position).map(Some);
        }
        let path = self.view.path();
        let value = self
            .view
            .get(key_of(position))
            .map_err(|error| ReadError::of(error, position, path))?;
        match value {
            Some(value) => StoredEntry::decode(position, value)
                .map(Some)
                .ok_or_else(|| ReadError::Damaged {
                    position,
                    path: path.to_owned(),
                }),
            // It was sealed and taken out of the engine since we asked.
            None if position <= self.segments.last() => self.sealed(position).map(Some),
            None => Err(self.missing(position)),
        }
    }

    fn last(&self) -> Position {
        Position::new(self.last.load(Ordering::Acquire))
    }

    fn archived(&self) -> Position {
        self.segments.archived()
    }

    fn segments(&self) -> &Path {
        self.segments.folder()
    }
}

/// The records of a range in order (see [`ReadStore::range`]).
pub struct Range<V: View> {
    reader: StoreReader<V>,
    part: Part<V>,
    next: Position,
    to: Position,
}

/// Where the next record of a range comes from.
enum Part<V: View> {
    /// It is looked for.
    None,
    Segment(SegmentRange),
    Engine(V::Scan),
    /// The end or an error was given.
    Ended,
}

impl<V: View> Range<V> {
    /// The next record, from whatever holds it now.
    fn read(&mut self) -> Result<StoredEntry, ReadError> {
        let position = self.next;
        loop {
            match &mut self.part {
                Part::Segment(range) => {
                    if let Some(entry) = range.next() {
                        return entry.map_err(|source| ReadError::Segment { position, source });
                    }
                    self.part = Part::None;
                }
                Part::Engine(scan) => {
                    let found = scan.next();
                    let is_next =
                        matches!(&found, Some(Ok((key, _))) if key.as_slice() == key_of(position));
                    // It was sealed and taken out of the engine while we read.
                    if !is_next && position <= self.reader.segments.last() {
                        self.part = Part::None;
                        continue;
                    }
                    return self.entry_of(found);
                }
                Part::None => self.part = self.part_at(position)?,
                Part::Ended => return Err(self.reader.missing(position)),
            }
        }
    }

    fn part_at(&self, position: Position) -> Result<Part<V>, ReadError> {
        let segments = &self.reader.segments;
        if position > segments.last() {
            let scan = self.reader.view.scan(key_of(position), key_of(self.to));
            return Ok(Part::Engine(scan));
        }
        let range = segments.range(position, self.to);
        range
            .map_err(|source| ReadError::Segment { position, source })?
            .map(Part::Segment)
            .ok_or_else(|| self.reader.archived_at(position))
    }

    fn entry_of(
        &self,
        found: Option<<V::Scan as Iterator>::Item>,
    ) -> Result<StoredEntry, ReadError> {
        let position = self.next;
        let path = self.reader.view.path();
        let Some(found) = found else {
            return Err(self.reader.missing(position));
        };
        let (key, value) = found.map_err(|error| ReadError::of(error, position, path))?;
        if key.as_slice() != key_of(position) {
            return Err(self.reader.missing(position));
        }
        StoredEntry::decode(position, value).ok_or_else(|| ReadError::Damaged {
            position,
            path: path.to_owned(),
        })
    }
}

impl<V: View> Iterator for Range<V> {
    type Item = Result<StoredEntry, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.part, Part::Ended) || self.next > self.to {
            // What reads is let go at once: a store that is being read cannot be closed.
            self.part = Part::Ended;
            return None;
        }
        let entry = self.read();
        if entry.is_err() || self.next >= self.to {
            self.part = Part::Ended;
        }
        self.next = self.next.next();
        Some(entry)
    }
}

/// Big-endian, so that the order of keys is the order of the ledger.
pub(crate) const fn key_of(position: Position) -> [u8; 8] {
    position.get().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_can_move_to_its_thread_and_readers_be_shared() {
        const fn moves<T: Send>() {}
        const fn is_shared<T: Clone + Send + Sync>() {}
        moves::<crate::sled_store::SledStore>();
        moves::<crate::head::HeadFile>();
        moves::<crate::person_keys::PersonKeys>();
        is_shared::<crate::sled_store::SledReader>();
    }

    #[test]
    fn a_value_is_read_as_it_was_written_and_nothing_else_is() {
        let value = [&[VALUE_FORMAT, 3, 0, 0, 0][..], b"recside"].concat();
        let entry =
            StoredEntry::decode(Position::new(7), value.as_slice().into()).expect("decodes");
        assert_eq!((entry.record(), entry.side()), (&b"rec"[..], &b"side"[..]));
        assert_eq!(entry.position(), Position::new(7));

        let bad: [&[u8]; 5] = [
            &[],
            &[VALUE_FORMAT, 3, 0, 0],
            &[VALUE_FORMAT, 3, 0, 0, 0, 1, 2],
            &[VALUE_FORMAT, 0, 0, 1, 0, 1, 2],
            &[2, 0, 0, 0, 0],
        ];
        for value in bad {
            assert_eq!(
                StoredEntry::decode(Position::new(1), value.into()),
                None,
                "{value:?}"
            );
        }
    }
}
