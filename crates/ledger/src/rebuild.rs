//! The way out when sled's files are lost or damaged: a new folder of the sealed segments and of whatever of
//! the end can still be read.

use std::io;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::aside;
use crate::builder::{BuildError, FolderBuilder};
use crate::checkpoint::Checkpoint;
use crate::files;
use crate::folder::{FolderError, open_without_head};
use crate::head::{Head, HeadFile};
use crate::key_file::{MasterKey, Purpose};
use crate::ledger::ORIGIN_DEFAULT;
use crate::merkle::{Frontier, Hash};
use crate::note::NotANote;
use crate::paths::Paths;
use crate::publisher::{self, KeptCheckpointError};
use crate::replay::Progress;
use crate::segment::SegmentError;
use crate::segments::{Segments, SegmentsError};
use crate::sled_store::{SledEngine, SledReader};
use crate::store::{ReadStore as _, Store};

const COPY: &str = "rebuild.tmp";

/// Why a folder was not rebuilt. The old one is as it was.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// The old folder: in use, without its keys, or no ledger.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The segments.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// One of them.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The first records were moved away.
    #[error("the records up to {0} were archived; move their segments back first")]
    Archived(Position),
    /// Records are lost, and nobody said that this is known.
    #[error(
        "records can be read up to position {found}, but the ledger had reached {expected}: restore a backup, or say \
         with --accept-end {found} that what came after it is given up"
    )]
    Shorter {
        /// The last record that can be read.
        found: Position,
        /// How far the ledger had come, as far as its head or checkpoint tell.
        expected: Position,
    },
    /// The records are not those of the checkpoint.
    #[error(
        "the records up to position {size} have the Merkle root {found}, the checkpoint in the folder has {expected}: \
         restore a backup, or say with --give-up-checkpoint that these records are to be signed in its place"
    )]
    NotExtended {
        /// The size in the checkpoint.
        size: u64,
        /// The root over the records.
        found: Hash,
        /// The root that was signed.
        expected: Hash,
    },
    /// The records are not those of the head.
    #[error(
        "the records up to {position} have the Merkle root {found}, the head in the folder has {expected}: restore a \
         backup"
    )]
    NotTheHeads {
        /// How far the head tells of.
        position: Position,
        /// The root over the records.
        found: Hash,
        /// The root in the head.
        expected: Hash,
    },
    /// The checkpoint cannot vouch for the records.
    #[error(
        "nothing in the folder vouches for its records: restore a backup, or say with --give-up-checkpoint that they are \
         to be signed all the same"
    )]
    Checkpoint(#[from] KeptCheckpointError),
    /// The name in the checkpoint is none that can be signed with.
    #[error("the checkpoint in the folder has no name that can be signed with")]
    Name(#[from] NotANote),
    /// A file cannot be read or copied.
    #[error("{} cannot be read or copied", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new folder was not made.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What was rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many records.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
}

/// What an operator accepts to lose.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accepted {
    /// The ledger may end here although it had come further.
    pub end: Option<Position>,
    /// The checkpoint in the folder need not be extended: whoever has a copy of it will find a fork.
    pub checkpoint_given_up: bool,
}

/// Makes a new folder of an old one's keys, segments, and records as far as sled still gives them without a
/// hole, and only if head and checkpoint vouch for them.
///
/// # Errors
/// See [`RebuildError`].
pub fn rebuild(
    old: &Path,
    new: &Path,
    accepted: Accepted,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, RebuildError> {
    let (folder, master_key, _) = open_without_head(old)?;
    let paths = folder.paths();
    let kept = Kept::read(paths, &master_key, accepted)?;
    // sled rewrites what it opens: a copy of it, which goes away again.
    let copy = Paths::new(&paths.root().join(COPY));
    files::remove_folder_if_there(copy.root()).map_err(io(copy.root()))?;
    // Where it is gone altogether, the segments are what is left.
    if paths.events().try_exists().map_err(io(&paths.events()))? {
        aside::copy_folder(&paths.events(), &copy.events()).map_err(io(&paths.events()))?;
    }
    let end = readable_end(&copy, &kept.segments);
    let built = kept
        .end(end.as_ref().map(|(_, last)| *last), accepted.end)
        .and_then(|found| {
            let reader = end.as_ref().map(|(store, _)| store.reader());
            kept.build(new, &master_key, reader.as_ref(), found, progress)
        });
    drop(end);
    files::remove_folder_if_there(copy.root()).map_err(io(copy.root()))?;
    built
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> RebuildError {
    let path = path.to_owned();
    move |source| RebuildError::Io { path, source }
}

/// What an old folder has besides sled's files.
struct Kept {
    /// Proven each by itself.
    segments: Segments,
    people: Zeroizing<Vec<u8>>,
    /// `None` if it cannot be read, which is what this is for.
    head: Option<Head>,
    checkpoint: Option<Checkpoint>,
}

impl Kept {
    fn read(
        paths: &Paths,
        master_key: &MasterKey,
        accepted: Accepted,
    ) -> Result<Self, RebuildError> {
        let verifier = publisher::verifier(master_key);
        let checkpoint = if accepted.checkpoint_given_up {
            None
        } else {
            publisher::kept_checkpoint(paths, &verifier)?
        };
        let segments = Segments::open(&paths.segments())?;
        if segments.archived() > Position::ZERO {
            return Err(RebuildError::Archived(segments.archived()));
        }
        for segment in segments.list() {
            segment.verify(&verifier)?;
        }
        let key = || master_key.sub_key(Purpose::HeadTag);
        let head = HeadFile::open_with_witness(&paths.head(), &paths.head_witness(), key);
        let people = std::fs::read(paths.people_keys()).map_err(io(&paths.people_keys()))?;
        Ok(Self {
            segments,
            people: Zeroizing::new(people),
            head: head.ok().map(|head| *head.current()),
            checkpoint,
        })
    }

    /// How far the ledger had come, as far as head and checkpoint tell.
    fn expected(&self) -> Position {
        let by_head = self.head.map_or(Position::ZERO, |head| head.position);
        let by_checkpoint = self.checkpoint.as_ref().map_or(0, |kept| kept.size);
        by_head.max(Position::new(by_checkpoint))
    }

    /// Up to where the new ledger goes.
    fn end(
        &self,
        readable: Option<Position>,
        accepted: Option<Position>,
    ) -> Result<Position, RebuildError> {
        let found = readable.unwrap_or_else(|| self.segments.last());
        let found = accepted.map_or(found, |accepted| found.min(accepted));
        let expected = self.expected();
        if found < expected && accepted != Some(found) {
            return Err(RebuildError::Shorter { found, expected });
        }
        Ok(found)
    }

    /// Writes the records to the new folder, and signs them if they are those that were vouched for.
    fn build(
        &self,
        new: &Path,
        master_key: &MasterKey,
        reader: Option<&SledReader>,
        last: Position,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Rebuilt, RebuildError> {
        let origin = self.checkpoint.as_ref().map(|kept| &*kept.origin);
        let signer = publisher::signer(master_key, origin.unwrap_or(ORIGIN_DEFAULT))?;
        let mut builder = FolderBuilder::begin(new, master_key, &self.people, &signer, last.get())?;
        self.prove(builder.frontier())?;
        // Segment by segment, and then the end in one go.
        while let next = Position::new(builder.frontier().size()).next()
            && next <= last
        {
            let before = builder.frontier().size();
            if let Some(range) = self.segments.range(next, last)? {
                for entry in range {
                    builder.add(&entry?)?;
                    self.prove(builder.frontier())?;
                }
            } else if let Some(reader) = reader {
                for entry in reader.range(next, last) {
                    let entry = entry.map_err(|_| RebuildError::Shorter {
                        found: Position::new(builder.frontier().size()),
                        expected: self.expected(),
                    })?;
                    builder.add(&entry)?;
                    self.prove(builder.frontier())?;
                }
            }
            progress(Progress {
                done: builder.frontier().size(),
                total_estimate: last.get(),
            });
            if builder.frontier().size() == before {
                break;
            }
        }
        let (size, root) = (builder.frontier().size(), builder.frontier().root());
        let checkpoint = builder.signed();
        builder.finish(&checkpoint, |_| Ok(()))?;
        Ok(Rebuilt { size, root })
    }

    /// Refuses records up to which somebody vouched for others.
    fn prove(&self, frontier: &Frontier) -> Result<(), RebuildError> {
        let size = frontier.size();
        if let Some(kept) = self.checkpoint.as_ref().filter(|kept| kept.size == size)
            && kept.root != frontier.root()
        {
            return Err(RebuildError::NotExtended {
                size,
                found: frontier.root(),
                expected: kept.root,
            });
        }
        if let Some(head) = self.head.filter(|head| head.position.get() == size)
            && head.root != frontier.root()
        {
            return Err(RebuildError::NotTheHeads {
                position: head.position,
                found: frontier.root(),
                expected: head.root,
            });
        }
        Ok(())
    }
}

/// A store over the copy, and the last record up to which none is missing; `None` if sled does not open it.
fn readable_end(copy: &Paths, segments: &Segments) -> Option<(Store<SledEngine>, Position)> {
    let engine = SledEngine::open(&copy.events(), 16 << 20).ok()?;
    let last = engine.last_key().ok()??;
    let last = last.as_slice().try_into().map(u64::from_be_bytes).ok()?;
    let last = Position::new(last).max(segments.last());
    let store = Store::new(engine, segments.clone(), last, 0);
    let readable = store
        .reader()
        .range(segments.last().next(), last)
        .map_while(Result::ok)
        .last()
        .map_or(segments.last(), |entry| entry.position());
    Some((store, readable))
}
