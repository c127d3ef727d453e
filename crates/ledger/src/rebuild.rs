//! The way out when sled's files are lost or damaged: a new folder of the sealed segments and of whatever of
//! the end can still be read.

use std::io;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::aside;
use crate::builder::{BuildError, FolderBuilder};
use crate::checkpoint::NotACheckpoint;
use crate::files;
use crate::folder::{FolderError, open_without_head};
use crate::head::HeadFile;
use crate::key_file::Purpose;
use crate::ledger::ORIGIN_DEFAULT;
use crate::merkle::Hash;
use crate::paths::Paths;
use crate::publisher;
use crate::replay::Progress;
use crate::segment::SegmentError;
use crate::segments::{Segments, SegmentsError};
use crate::sled_store::SledEngine;
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
        "the records up to position {size} have the Merkle root {found}, the checkpoint has {expected}"
    )]
    NotExtended {
        /// The size in the checkpoint.
        size: u64,
        /// The root over the records.
        found: Hash,
        /// The root that was signed.
        expected: Hash,
    },
    /// The checkpoint is none of this log.
    #[error("the checkpoint in the folder is not signed by this log's key")]
    Checkpoint(#[from] NotACheckpoint),
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

/// Makes a new folder of an old one's keys, segments, and records as far as sled still gives them without a
/// hole. `accept_end` says that the ledger may end there although it had come further.
///
/// # Errors
/// See [`RebuildError`].
pub fn rebuild(
    old: &Path,
    new: &Path,
    accept_end: Option<Position>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, RebuildError> {
    let (folder, master_key, _) = open_without_head(old)?;
    let paths = folder.paths();
    let io = |path: PathBuf| move |source| RebuildError::Io { path, source };
    let verifier = publisher::signer(&master_key, ORIGIN_DEFAULT)
        .map_err(NotACheckpoint::from)?
        .verifier();
    let kept = publisher::kept_checkpoint(paths, &verifier)
        .map_err(io(paths.checkpoint()))?
        .ok()
        .flatten();
    let segments = Segments::open(&paths.segments())?;
    if segments.archived() > Position::ZERO {
        return Err(RebuildError::Archived(segments.archived()));
    }
    for segment in segments.list() {
        segment.verify(&verifier)?;
    }
    // sled rewrites what it opens: a copy of it, which goes away again.
    let copy = Paths::new(&paths.root().join(COPY));
    files::remove_folder_if_there(copy.root()).map_err(io(copy.root().to_owned()))?;
    aside::copy_folder(&paths.events(), &copy.events()).map_err(io(paths.events()))?;
    let end = readable_end(&copy, &segments);
    let key = || master_key.sub_key(Purpose::HeadTag);
    let head = HeadFile::open_with_witness(&paths.head(), &paths.head_witness(), key);
    let head = head.map_or(Position::ZERO, |head| head.current().position);
    let expected = kept
        .as_ref()
        .map_or(head, |kept| head.max(Position::new(kept.size)));
    let found = end
        .as_ref()
        .map_or(segments.last(), |(_, last)| *last)
        .min(accept_end.unwrap_or(Position::new(u64::MAX)));
    let built = if found < expected && accept_end != Some(found) {
        Err(RebuildError::Shorter { found, expected })
    } else {
        let origin = kept.as_ref().map_or(ORIGIN_DEFAULT, |kept| &kept.origin);
        let signer = publisher::signer(&master_key, origin).map_err(NotACheckpoint::from)?;
        let people = std::fs::read(paths.people_keys()).map(Zeroizing::new);
        let people = people.map_err(io(paths.people_keys()))?;
        FolderBuilder::begin(new, &master_key, &people, &signer, found.get())
            .map_err(RebuildError::from)
            .and_then(|mut builder| {
                let reader = end.as_ref().map(|(store, _)| store.reader());
                let mut next = Position::ZERO.next();
                while next <= found {
                    // Segment by segment, and then the end in one go.
                    let sealed = segments.range(next, found)?;
                    let before = builder.frontier().size();
                    if let Some(range) = sealed {
                        for entry in range {
                            builder.add(&entry?)?;
                        }
                    } else if let Some(reader) = &reader {
                        for entry in reader.range(next, found) {
                            let entry = entry.map_err(|_| RebuildError::Shorter {
                                found: Position::new(builder.frontier().size()),
                                expected,
                            })?;
                            builder.add(&entry)?;
                        }
                    }
                    progress(Progress {
                        done: builder.frontier().size(),
                        total_estimate: found.get(),
                    });
                    if builder.frontier().size() == before {
                        break;
                    }
                    next = Position::new(builder.frontier().size()).next();
                }
                let (size, root) = (builder.frontier().size(), builder.frontier().root());
                if let Some(kept) = kept.as_ref().filter(|kept| kept.size == size)
                    && kept.root != root
                {
                    return Err(RebuildError::NotExtended {
                        size,
                        found: root,
                        expected: kept.root,
                    });
                }
                let checkpoint = builder.signed();
                builder.finish(&checkpoint, |_| Ok(()))?;
                Ok(Rebuilt { size, root })
            })
    };
    drop(end);
    files::remove_folder_if_there(copy.root()).map_err(io(copy.root().to_owned()))?;
    built
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
