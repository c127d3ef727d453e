//! What the committer writes to: the store of records, and the head beside it.

use thiserror::Error;

use crate::folder::DataFolder;
use crate::head::{Head, HeadError, HeadFile};
use crate::merkle::Hash;
use crate::opening::StopError;
use crate::paths::Paths;
use crate::sled_store::SledStore;
use crate::store::{AppendError, AppendStore as _, Entry};

/// Why a batch may or may not be on the disk. Always final.
#[derive(Debug, Error)]
pub enum LogError {
    /// The store said so.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The records are durable, but the head does not say so.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// sled's file does not tell its length.
    #[error("the length of the ledger's file is not known")]
    Length(#[source] std::io::Error),
}

/// A store and its head, for the one who appends.
pub trait DurableLog: Send {
    /// Refuses with [`AppendError::OutOfSpace`] when the disk is too full for changes.
    ///
    /// # Errors
    /// As [`AppendStore::check_room`](crate::store::AppendStore::check_room).
    fn check_room(&mut self) -> Result<(), AppendError>;

    /// Appends the entries and then writes the head, whose root is the one over all records. When it
    /// returns `Ok` the entries survive a power cut and the head the death of the process.
    ///
    /// # Errors
    /// See [`LogError`].
    fn append(&mut self, entries: &[Entry], root: Hash) -> Result<(), LogError>;

    /// Has the head survive a power cut too.
    ///
    /// # Errors
    /// If it cannot be synced.
    fn sync_head(&mut self) -> Result<(), HeadError>;

    /// Closes it after the last append; `root` is the one over all records.
    ///
    /// # Errors
    /// See [`StopError`].
    fn close(self, root: Hash) -> Result<(), StopError>;
}

/// sled and the head file of a data folder, which is held as long as this lives.
pub struct SledLog {
    store: SledStore,
    head: HeadFile,
    paths: Paths,
    /// The last field, so dropped after the store: the next process may only come when sled is closed.
    _folder: DataFolder,
}

impl SledLog {
    /// Puts together what was opened.
    pub fn new(store: SledStore, head: HeadFile, folder: DataFolder) -> Self {
        Self {
            store,
            head,
            paths: folder.paths().clone(),
            _folder: folder,
        }
    }
}

impl DurableLog for SledLog {
    fn check_room(&mut self) -> Result<(), AppendError> {
        self.store.check_room()
    }

    fn append(&mut self, entries: &[Entry], root: Hash) -> Result<(), LogError> {
        self.store.append(entries)?;
        // Dying here leaves the ledger ahead of its head, and callers without an answer.
        self.head.write(Head {
            position: self.store.last(),
            root,
            db_bytes: self.store.db_bytes().map_err(LogError::Length)?,
            clean: None,
        })?;
        Ok(())
    }

    fn sync_head(&mut self) -> Result<(), HeadError> {
        self.head.sync()
    }

    fn close(mut self, root: Hash) -> Result<(), StopError> {
        self.head.sync()?;
        self.store.stop(&self.paths, &mut self.head, root)
    }
}
