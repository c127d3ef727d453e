//! From a folder of files to a store that may be trusted, and back at a clean stop.
//!
//! 1. What a death amid an earlier start left is put in order ([`aside`]).
//! 2. The head is compared with the files, before sled touches them: after a clean stop every byte
//!    of them ([`manifest`]), otherwise that they are there at all.
//! 3. After a death the files are copied aside, because opening changes them.
//! 4. The head says from now on that the stop was not clean, on the disk, before sled opens.
//! 5. sled opens; panics are caught. It must have at least the records that the head tells of.
//! 6. The caller replays. Only [`Unproven::accept`], with the Merkle root that came out of it, gives the
//!    store that appends; anything else puts the copy back.
//!
//! A `db` file shorter than the head tells is no proof of a loss: sled 0.34.7 cuts free segments off
//! the end of the file (`SegmentAccountant::free_segment` in `pagecache/segment.rs`: as long as more than
//! one segment is free and the last one is, the file is cut before it), also while opening
//! (`initialize_from_snapshot` frees every segment without a live page). So lengths decide nothing;
//! positions and the root do.

use std::io;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use thiserror::Error;

use crate::aside;
use crate::files;
use crate::head::{Head, HeadError, HeadFile};
use crate::manifest::{self, FilesChanged};
use crate::merkle::Hash;
use crate::paths::Paths;
use crate::publisher::KeptCheckpointError;
use crate::segments::{Segments, SegmentsError};
use crate::sled_store::{SledEngine, SledReader, SledStore, wait_until_released};
use crate::store::{AppendStore as _, ReadError, ScanError, Store};

/// What must stay free on the disk where nothing else is said: 256 MiB, in bytes.
pub const RESERVE_BYTES_DEFAULT: u64 = 256 << 20;

/// How the store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// What sled keeps in memory of its pages, in bytes. (It holds some 38 bytes a record besides.)
    pub cache_bytes: u64,
    /// What must stay free on the disk, in bytes; below it changes are refused.
    pub reserve_bytes: u64,
    /// Whether sled's files are copied before they are opened after a death. Without it a damaged
    /// ledger is still refused, but what sled overwrote while opening is gone. It costs the time and
    /// the room of the copy where the file system cannot share blocks: some 450 MB a million records.
    pub copy_aside: bool,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            reserve_bytes: RESERVE_BYTES_DEFAULT,
            copy_aside: true,
        }
    }
}

/// Why a ledger is not opened. Its files are as they were before the start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A file could not be read, copied or renamed.
    #[error("{} cannot be opened", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The head could not be written.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The head tells of records, but their file is not there or empty.
    #[error(
        "{} is missing or empty, but the ledger had reached position {position}; restore the data \
         folder from a backup",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The position in the head.
        position: Position,
    },
    /// The files are not those that the last clean stop left.
    #[error(
        "the ledger at position {position} is not opened: its files were changed while it was \
         stopped; put them back or restore the data folder from a backup"
    )]
    NotAsStopped {
        /// The position in the head.
        position: Position,
        /// Which file, and how.
        source: FilesChanged,
    },
    /// sled panicked, which is how it meets damaged files.
    #[error(
        "the storage engine broke over {}, at or before position {position}; the file is damaged: restore \
         the data folder from a backup",
        path.display()
    )]
    Panicked {
        /// The file.
        path: PathBuf,
        /// The position in the head.
        position: Position,
    },
    /// sled refused, or what it holds are no records.
    #[error("the storage engine does not open {}", path.display())]
    Engine {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Records are gone from the end.
    #[error(
        "{} ends at position {found}, but the ledger had reached position {expected}: records were lost \
         from position {} on; restore the data folder from a backup",
        path.display(), found.next()
    )]
    Shorter {
        /// The file.
        path: PathBuf,
        /// The last position that is there.
        found: Position,
        /// The position in the head.
        expected: Position,
    },
    /// Records stand behind those of a clean stop.
    #[error(
        "{} has records up to position {found}, but the ledger was stopped at position {expected}: this server did not \
         write what comes behind; restore the data folder from a backup",
        path.display()
    )]
    Longer {
        /// The file or folder.
        path: PathBuf,
        /// The last position that is there.
        found: Position,
        /// The position in the head.
        expected: Position,
    },
    /// The records are not those that were written.
    #[error(
        "the records up to position {position} in {} are not those that were written: their Merkle \
         root is {found}, the head has {expected}; restore the data folder from a backup",
        path.display()
    )]
    RootDiffers {
        /// The file.
        path: PathBuf,
        /// The position in the head.
        position: Position,
        /// The root over the records that are there.
        found: Hash,
        /// The root in the head.
        expected: Hash,
    },
    /// The sealed segments are not those that were written.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// The ledger does not extend the last checkpoint that was signed.
    #[error(
        "the ledger in {} does not extend the checkpoint of {size} records that was signed: their Merkle root is \
         {found}, the checkpoint has {expected}; restore the data folder from a backup",
        path.display()
    )]
    NotExtended {
        /// The file.
        path: PathBuf,
        /// The size in the checkpoint.
        size: u64,
        /// The root over as many records; of nothing, if there are fewer.
        found: Hash,
        /// The root in the checkpoint.
        expected: Hash,
    },
    /// The checkpoint that was kept cannot be read, or is another log's.
    #[error(
        "the checkpoint that was signed last cannot be used; restore the data folder from a backup"
    )]
    Checkpoint(#[source] KeptCheckpointError),
    /// A record could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why a stop was not clean. Nothing is lost: the next start takes it for a death and looks closer.
#[derive(Debug, Error)]
pub enum StopError {
    /// An append failed before, so what is on the disk is not known.
    #[error("an append failed before, so the stop is not a clean one")]
    FailedBefore,
    /// A range of records is still being read.
    #[error("{} is still being read, so the stop is not a clean one", path.display())]
    StillRead {
        /// The file.
        path: PathBuf,
    },
    /// The last writes failed.
    #[error("{} could not be closed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The head could not be written.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// A ledger that sled has opened and nobody has replayed yet: it can be read, not appended to.
///
/// Dropped without [`Unproven::accept`] or [`Unproven::put_back`], as by a panic, the copy stays aside and
/// the next start puts it back.
pub struct Unproven {
    store: SledStore,
    paths: Paths,
    head: Head,
    copied: bool,
}

impl Unproven {
    /// For the replay.
    pub fn reader(&self) -> SledReader {
        self.store.reader()
    }

    /// What has to come out of the replay: at this position this root.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The last record that is there: at least the head's position; more, if a death came between
    /// the sync of a batch and the write of the head.
    pub fn last(&self) -> Position {
        self.store.last()
    }

    /// The store, if the root over the records up to the head's position is the head's root. Write the
    /// head anew then, with [`Unproven::last`] and the root there.
    ///
    /// The root must have been computed over the records as they are stored now. A replay that starts
    /// from a snapshot behind the head's position cannot tell it: begin with an older snapshot.
    ///
    /// # Errors
    /// [`OpenError::RootDiffers`], and the files are put back; or if the copy cannot be removed.
    pub fn accept(self, root_at_head: Hash) -> Result<SledStore, OpenError> {
        let Head {
            position,
            root: expected,
            ..
        } = self.head;
        if root_at_head != expected {
            let path = self.paths.db();
            self.put_back()?;
            return Err(OpenError::RootDiffers {
                path,
                position,
                found: root_at_head,
                expected,
            });
        }
        if self.copied {
            let path = self.paths.aside();
            aside::discard(&self.paths).map_err(|source| OpenError::Io { path, source })?;
        }
        Ok(self.store)
    }

    /// Closes the ledger and puts the files back as they were before the start.
    ///
    /// # Errors
    /// If they cannot be put back; the next start tries again.
    pub fn put_back(self) -> Result<(), OpenError> {
        let path = self.paths.events();
        let closed = self.store.engine.close();
        put_files_back(&self.paths, self.copied)?;
        closed
            .map(drop)
            .map_err(|source| OpenError::Io { path, source })
    }
}

impl SledStore {
    /// Opens the ledger of a data folder, or makes it, as this module's page tells.
    ///
    /// # Errors
    /// See [`OpenError`]: each names the file, and leaves it as it was.
    pub fn open(
        paths: &Paths,
        head_file: &mut HeadFile,
        settings: &StoreSettings,
    ) -> Result<Unproven, OpenError> {
        let events = paths.events();
        let io = |source| OpenError::Io {
            path: events.clone(),
            source,
        };
        aside::recover(paths).map_err(io)?;
        let head = *head_file.current();
        let there = events.try_exists().map_err(io)?;
        compare_before(paths, &head)?;
        let segments = Segments::open(&paths.segments())?;

        let copied = there && head.clean.is_none() && settings.copy_aside;
        if copied {
            aside::copy(paths).map_err(io)?;
        }
        if head.clean.is_some() {
            // From here on sled changes the files, so they will not be as the clean stop left them.
            head_file.write_both(Head {
                clean: None,
                ..head
            })?;
            files::remove_if_there(&paths.manifest()).map_err(io)?;
        }
        match open_engine(paths, &head, segments, settings) {
            Ok(store) => Ok(Unproven {
                store,
                paths: paths.clone(),
                head,
                copied,
            }),
            Err(error) => {
                put_files_back(paths, copied)?;
                Err(error)
            }
        }
    }

    /// The length of sled's `db` file in bytes, for the head.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn db_bytes(&self) -> io::Result<u64> {
        self.engine.db_bytes()
    }

    /// Closes the store, and has the head say that the stop was clean: the next start then compares
    /// every byte before sled touches it. `root` is the one over all records.
    ///
    /// # Errors
    /// See [`StopError`]; then the stop is as good as a death, from which nothing is lost.
    pub fn stop(
        self,
        paths: &Paths,
        head_file: &mut HeadFile,
        root: Hash,
    ) -> Result<(), StopError> {
        if self.has_failed() {
            return Err(StopError::FailedBefore);
        }
        let position = self.last();
        let path = paths.db();
        let io = |source| StopError::Io {
            path: path.clone(),
            source,
        };
        if !self.engine.close().map_err(io)? {
            return Err(StopError::StillRead { path });
        }
        let manifest = manifest::write(&paths.manifest(), &paths.events()).map_err(io)?;
        let db_bytes = path.metadata().map_err(io)?.len();
        // Dying before this leaves the head as the last batch wrote it: a death, not a clean stop.
        head_file.write_both(Head {
            position,
            root,
            db_bytes,
            clean: Some(manifest),
        })?;
        Ok(())
    }
}

/// Before sled opens: reads only.
fn compare_before(paths: &Paths, head: &Head) -> Result<(), OpenError> {
    let position = head.position;
    if let Some(manifest_hash) = &head.clean {
        manifest::verify(&paths.manifest(), manifest_hash, &paths.events())
            .map_err(|source| OpenError::NotAsStopped { position, source })?;
    }
    let path = paths.db();
    let bytes = match path.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    // With records in it sled never makes it empty.
    if bytes == 0 && position > Position::ZERO {
        return Err(OpenError::Missing { path, position });
    }
    Ok(())
}

/// sled opens, and must have at least the records that the head tells of.
fn open_engine(
    paths: &Paths,
    head: &Head,
    segments: Segments,
    settings: &StoreSettings,
) -> Result<SledStore, OpenError> {
    let path = paths.db();
    let events = paths.events();
    files::make_folder(&events).map_err(|source| OpenError::Io {
        path: events.clone(),
        source,
    })?;
    let failed = |error, path: &Path| match error {
        ScanError::Io(source) => OpenError::Engine {
            path: path.to_owned(),
            source,
        },
        ScanError::Panicked => OpenError::Panicked {
            path: path.to_owned(),
            position: head.position,
        },
    };
    let engine =
        SledEngine::open(&events, settings.cache_bytes).map_err(|error| failed(error, &path))?;
    let last = match engine.last_key() {
        Ok(Some(key)) => key.as_slice().try_into().map(u64::from_be_bytes).ok(),
        Ok(None) => Some(0),
        Err(error) => {
            close_quietly(engine);
            return Err(failed(error, &path));
        }
    };
    let Some(found) = last.map(Position::new) else {
        close_quietly(engine);
        let source = io::Error::new(io::ErrorKind::InvalidData, "a key in it is no position");
        return Err(OpenError::Engine { path, source });
    };
    // What is sealed may have left sled to the last record.
    let found = found.max(segments.last());
    // What came after a clean stop nobody wrote who was to.
    if found > head.position && head.clean.is_some() {
        close_quietly(engine);
        return Err(OpenError::Longer {
            path: if segments.last() == found {
                segments.folder().to_owned()
            } else {
                path
            },
            found,
            expected: head.position,
        });
    }
    if found < head.position {
        close_quietly(engine);
        return Err(OpenError::Shorter {
            path,
            found,
            expected: head.position,
        });
    }
    Ok(Store::new(engine, segments, found, settings.reserve_bytes))
}

/// The start is refused already, with a better reason than that sled did not close well.
fn close_quietly(engine: SledEngine) {
    if let Err(error) = engine.close() {
        tracing::warn!(%error, "the storage engine did not close well");
    }
}

fn put_files_back(paths: &Paths, copied: bool) -> Result<(), OpenError> {
    if !copied {
        return Ok(());
    }
    // Threads of sled's may still be at it, but only in the files that go away.
    let put_back = wait_until_released(&paths.db()).and_then(|_| aside::put_back(paths));
    put_back.map_err(|source| OpenError::Io {
        path: paths.aside(),
        source,
    })
}
