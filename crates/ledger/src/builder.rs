//! A data folder made of records that are there already: by a restore, or by a rebuild.
//!
//! What is sealed goes into segments at once, the rest into sled. `keys` gets its name last, so a death on the
//! way leaves nothing that a start would take for a ledger: remove it and begin again.

use std::io;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::files;
use crate::folder::{self, DataFolder, FolderError};
use crate::head::{HeadError, HeadFile};
use crate::key_file::{MasterKey, Purpose};
use crate::merkle::{Frontier, leaf_hash};
use crate::note::NoteSigner;
use crate::opening::StopError;
use crate::segment::{SegmentError, SegmentWriter};
use crate::segments::{SEGMENT_RECORDS_DEFAULT, Segments, SegmentsError};
use crate::sled_store::{SledEngine, SledStore};
use crate::store::{AppendError, AppendStore as _, Entry, Store, StoredEntry};

/// How many records become durable together.
const BATCH_RECORDS: usize = 512;
const CACHE_BYTES: u64 = 16 << 20;

/// Why a folder was not made. What was begun of it can be removed.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The folder: not empty, or not writable.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A segment.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The segments.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// The head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A record was not stored.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The store was not closed well.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// A file of it.
    #[error("{} cannot be written", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

pub(crate) struct FolderBuilder<'a> {
    folder: DataFolder,
    master_key: &'a MasterKey,
    signer: &'a NoteSigner,
    segments: Segments,
    /// The last record that is to be sealed.
    sealed: Position,
    /// Until its last record has come.
    writer: Option<SegmentWriter>,
    store: SledStore,
    waiting: Vec<Entry>,
    frontier: Frontier,
}

impl<'a> FolderBuilder<'a> {
    /// Begins one for so many records.
    pub(crate) fn begin(
        root: &Path,
        master_key: &'a MasterKey,
        people: &[u8],
        signer: &'a NoteSigner,
        records: u64,
    ) -> Result<Self, BuildError> {
        let folder = folder::lock_empty(root)?;
        let paths = folder.paths();
        let io = |path: PathBuf| move |source| BuildError::Io { path, source };
        files::make_folder(&paths.events()).map_err(io(paths.events()))?;
        folder::prepare(paths, master_key, Some(people))?;
        let engine = SledEngine::open(&paths.events(), CACHE_BYTES);
        let engine = engine.map_err(|error| io(paths.events())(error.into()))?;
        files::make_folder(&paths.segments()).map_err(io(paths.segments()))?;
        let segments = Segments::open(&paths.segments())?;
        let sealed = Position::new(records - records % SEGMENT_RECORDS_DEFAULT);
        let store = Store::new(engine, segments.clone(), sealed, 0);
        Ok(Self {
            folder,
            master_key,
            signer,
            segments,
            sealed,
            writer: None,
            store,
            waiting: Vec::new(),
            frontier: Frontier::new(),
        })
    }

    /// How many records it has, and the tree over them.
    pub(crate) const fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Adds the next record.
    pub(crate) fn add(&mut self, entry: &StoredEntry) -> Result<(), BuildError> {
        let position = entry.position();
        if position > self.sealed {
            self.frontier.append(leaf_hash(entry.record()));
            self.waiting.push(Entry {
                position,
                record: entry.record().to_vec(),
                side: entry.side().to_vec(),
            });
            if self.waiting.len() == BATCH_RECORDS {
                self.store.append(&self.waiting)?;
                self.waiting.clear();
            }
            return Ok(());
        }
        let mut writer = if let Some(writer) = self.writer.take() {
            writer
        } else {
            let first = Position::new(self.frontier.size()).next();
            let last = Position::new(self.frontier.size() + SEGMENT_RECORDS_DEFAULT);
            let path = self.segments.path_of(first, last);
            SegmentWriter::begin(&path, self.frontier.clone(), last)?
        };
        writer.add(entry)?;
        self.frontier = writer.frontier().clone();
        if self.frontier.size().is_multiple_of(SEGMENT_RECORDS_DEFAULT) {
            let checkpoint = self.signed();
            let segment = writer.finish(&checkpoint, &self.signer.verifier())?;
            self.segments.add(segment);
        } else {
            self.writer = Some(writer);
        }
        Ok(())
    }

    /// A checkpoint of what is there.
    pub(crate) fn signed(&self) -> String {
        Checkpoint {
            origin: self.signer.name().to_owned(),
            size: self.frontier.size(),
            root: self.frontier.root(),
        }
        .sign(self.signer)
    }

    /// Makes it a ledger, stopped well, that keeps this checkpoint. `before` has the last look, with the
    /// folder complete but for the name of its keys.
    pub(crate) fn finish(
        mut self,
        checkpoint: &str,
        before: impl FnOnce(&DataFolder) -> io::Result<()>,
    ) -> Result<(), BuildError> {
        let paths = self.folder.paths().clone();
        if !self.waiting.is_empty() {
            self.store.append(&self.waiting)?;
        }
        files::replace(&paths.checkpoint(), checkpoint.as_bytes()).map_err(|source| {
            BuildError::Io {
                path: paths.checkpoint(),
                source,
            }
        })?;
        let key = || self.master_key.sub_key(Purpose::HeadTag);
        let mut head = HeadFile::open(&paths.head(), key())?;
        self.store.stop(&paths, &mut head, self.frontier.root())?;
        folder::complete(&paths)?;
        before(&self.folder).map_err(|source| BuildError::Io {
            path: paths.root().to_owned(),
            source,
        })
    }
}
