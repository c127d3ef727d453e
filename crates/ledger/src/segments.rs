//! The sealed segments of a data folder, one behind the other from the first record on.
//!
//! A segment's name tells its first and last position. One that was moved away (`audit archive`) leaves a
//! stub of the same name, `.archived`, with its checkpoint in it: so that nobody takes a hole for the
//! beginning, and what was moved can be told from what was lost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use keyledger_domain::Position;
use thiserror::Error;

use crate::key_file::MasterKey;
use crate::publisher;
use crate::segment::{Segment, SegmentError, SegmentRange};
use crate::store::StoredEntry;
use crate::stub;

/// How many records a segment has where nothing else is said.
pub const SEGMENT_RECORDS_DEFAULT: u64 = 65_536;

const EXTENSION: &str = "segment";
const ARCHIVED: &str = "archived";

/// Why the segments of a folder are not those of a ledger.
#[derive(Debug, Error)]
pub enum SegmentsError {
    /// The folder cannot be read.
    #[error("the segments in {} cannot be listed", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One of them is not what was written.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// One is missing, and what stands in its place is not of this server.
    #[error(
        "this server did not write {}, so it did not move that segment away: put the segment back, or restore the data \
         folder from a backup",
        path.display()
    )]
    Stub {
        /// The stub.
        path: PathBuf,
    },
    /// One is missing: the next begins too late.
    #[error(
        "the segment that begins with record {position} is missing from {}: the next one is {}; put it back, \
         or restore the data folder from a backup",
        folder.display(), next.display()
    )]
    Missing {
        /// The first record that is not there.
        position: Position,
        /// The folder.
        folder: PathBuf,
        /// The segment behind the hole.
        next: PathBuf,
    },
}

impl SegmentsError {
    /// The position that it is about, if there is one.
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::Missing { position, .. }
            | Self::Segment(SegmentError::Damaged { position, .. }) => Some(*position),
            Self::Stub { path } => places_of(path).map(|(first, ..)| first),
            Self::Io { .. } | Self::Segment(_) => None,
        }
    }
}

/// The segments, for any number of readers; the one who seals adds to them.
#[derive(Clone)]
pub struct Segments {
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    /// From the oldest to the newest; those that were archived are before all of them.
    list: RwLock<Vec<Arc<Segment>>>,
    archived: Position,
    /// The stubs of those.
    stubs: Vec<PathBuf>,
    /// The last sealed record. Raised only when its segment is there.
    last: AtomicU64,
}

impl Segments {
    /// Those of a folder; none if it is not there.
    ///
    /// # Errors
    /// See [`SegmentsError`].
    pub fn open(folder: &Path) -> Result<Self, SegmentsError> {
        let io = |source| SegmentsError::Io {
            path: folder.to_owned(),
            source,
        };
        let mut names = Vec::new();
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    names.push(entry.map_err(io)?.path());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(io(source)),
        }
        names.sort_unstable();
        let (mut archived, mut stubs) = (Position::ZERO, Vec::new());
        let mut there: Vec<Arc<Segment>> = Vec::new();
        for path in names {
            let Some((first, last, extension)) = places_of(&path) else {
                continue;
            };
            let end = there.last().map_or(archived, |segment| segment.last());
            // A segment that was moved back lies beside its stub, which then says nothing.
            let is_known = last <= end;
            if first > end.next() {
                return Err(SegmentsError::Missing {
                    position: end.next(),
                    folder: folder.to_owned(),
                    next: path,
                });
            }
            match extension {
                ARCHIVED if there.is_empty() && !with_extension(&path, EXTENSION).exists() => {
                    archived = last;
                    stubs.push(path);
                }
                EXTENSION if !is_known => {
                    let segment = Segment::open(&path)?;
                    if segment.first() != first || segment.last() != last {
                        return Err(SegmentError::Damaged {
                            path,
                            position: first,
                        }
                        .into());
                    }
                    there.push(Arc::new(segment));
                }
                _ => {}
            }
        }
        let last = there.last().map_or(archived, |segment| segment.last());
        Ok(Self {
            shared: Arc::new(Shared {
                folder: folder.to_owned(),
                list: RwLock::new(there),
                archived,
                stubs,
                last: AtomicU64::new(last.get()),
            }),
        })
    }

    /// No segments, for stores that have none.
    pub fn none() -> Self {
        Self {
            shared: Arc::new(Shared {
                folder: PathBuf::new(),
                list: RwLock::default(),
                archived: Position::ZERO,
                stubs: Vec::new(),
                last: AtomicU64::new(0),
            }),
        }
    }

    /// Refuses files that nobody with this key made: segments that were put together by somebody else, and
    /// stubs in place of segments that were removed. Whether the records are right their tree tells.
    ///
    /// # Errors
    /// See [`SegmentsError`].
    pub fn check(&self, master_key: &MasterKey) -> Result<(), SegmentsError> {
        for path in &self.shared.stubs {
            let is_ours = stub::is_ours(path, master_key).map_err(|source| SegmentsError::Io {
                path: path.clone(),
                source,
            })?;
            if !is_ours {
                return Err(SegmentsError::Stub { path: path.clone() });
            }
        }
        let verifier = publisher::verifier(master_key);
        for segment in self.list() {
            segment.check(&verifier)?;
        }
        Ok(())
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// The last record of the last one.
    pub fn last(&self) -> Position {
        Position::new(self.shared.last.load(Ordering::Acquire))
    }

    /// The last record that was moved away: it and all before it cannot be read.
    pub fn archived(&self) -> Position {
        self.shared.archived
    }

    /// The segments that are there, from the oldest to the newest.
    pub fn list(&self) -> Vec<Arc<Segment>> {
        self.lock().clone()
    }

    /// One record; `None` beyond the last one sealed, and if its segment was moved away.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn get(&self, position: Position) -> Result<Option<StoredEntry>, SegmentError> {
        self.holding(position)
            .map(|segment| segment.get(position))
            .transpose()
    }

    /// The records from `from` on, as far as the segment that holds it goes; `None` as for [`Segments::get`].
    ///
    /// # Errors
    /// If the segment cannot be opened.
    pub fn range(
        &self,
        from: Position,
        to: Position,
    ) -> Result<Option<SegmentRange>, SegmentError> {
        self.holding(from)
            .map(|segment| segment.range(from, to))
            .transpose()
    }

    /// The name that the segment with these records gets.
    pub(crate) fn path_of(&self, first: Position, last: Position) -> PathBuf {
        let name = format!(
            "{first:020}-{last:020}.{EXTENSION}",
            first = first.get(),
            last = last.get()
        );
        self.shared.folder.join(name)
    }

    /// One more, behind the last.
    pub(crate) fn add(&self, segment: Segment) {
        let sealed = segment.last().get();
        let mut list = self
            .shared
            .list
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        list.push(Arc::new(segment));
        drop(list);
        self.shared.last.store(sealed, Ordering::Release);
    }

    fn holding(&self, position: Position) -> Option<Arc<Segment>> {
        let list = self.lock();
        let at = list.partition_point(|segment| segment.last() < position);
        let segment = list.get(at)?;
        (segment.first() <= position).then(|| Arc::clone(segment))
    }

    fn lock(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Segment>>> {
        self.shared
            .list
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stub that stays where this segment was.
pub(crate) fn stub_of(segment: &Path) -> PathBuf {
    with_extension(segment, ARCHIVED)
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    path.with_extension(extension)
}

/// First and last position and the extension, out of a name.
fn places_of(path: &Path) -> Option<(Position, Position, &'static str)> {
    let extension = match path.extension()?.to_str()? {
        EXTENSION => EXTENSION,
        ARCHIVED => ARCHIVED,
        _ => return None,
    };
    let (first, last) = path.file_stem()?.to_str()?.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (first > 0 && first <= last).then(|| (Position::new(first), Position::new(last), extension))
}
