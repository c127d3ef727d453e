//! sled 0.34.7 as a storage engine: what is peculiar to it. The ledger's store is built on it here; the
//! stores of uses and credits take from here how it is opened and called.
//!
//! What was measured of it, and what is done about it here:
//!
//! - `flush()` ends in `sync_file_range`, which no power cut respects: we sync its `db` file ourselves.
//! - A page of more than an eighth of a megabyte goes to a file of its own in `blobs/`, which sled
//!   never syncs: we sync those too. (A page holds at most some 17 records, so it takes records of
//!   about 7 KiB each; the ordinary ones have 250 bytes.)
//! - `apply_batch` of thousands of rows leaks, and `insert` is as quick: records are inserted. The stores
//!   beside the ledger have rows that must be there together; their batches are of at most some 256,
//!   after a million spends of which the process had 23 MB and no more than after the first tenth.
//! - It panics over damaged pages: every call is caught and becomes an error.
//! - Opening rewrites its files, and dropping it is done by threads of its own: see
//!   [`opening`](crate::opening), which copies before and waits after.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use crate::files;
use crate::store::{Engine, ScanError, Store, StoreReader, StoredBytes, View};

/// The ledger's store: opened by [`SledStore::open`], for the committer alone.
pub type SledStore = Store<SledEngine>;

/// Reads the ledger's store, from any thread.
pub type SledReader = StoreReader<SledView>;

/// The file of sled's in which nearly everything lies.
pub(crate) const DB_FILE: &str = "db";
const BLOBS_FOLDER: &str = "blobs";

/// How long the threads of a closed sled may take to let go of its file.
const RELEASE_TRIES: u32 = 2_000;
const RELEASE_PAUSE: Duration = Duration::from_millis(1);

/// How many values are looked up and taken out in one go.
const REMOVED_AT_ONCE: usize = 256;

/// sled, for the one who writes.
pub struct SledEngine {
    view: SledView,
    db: sled::Db,
    /// The same file that sled writes, opened once by us for the sync that sled leaves out.
    db_file: File,
    blobs: Blobs,
}

impl SledEngine {
    /// Opens sled in this folder, or makes it. A panic of sled's becomes an error.
    pub(crate) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, ScanError> {
        let db = open_db(folder, cache_bytes)?;
        let path: Arc<Path> = folder.join(DB_FILE).into();
        let view = SledView {
            db: Arc::new(RwLock::new(Some(db.clone()))),
            path,
        };
        let db_file = OpenOptions::new().read(true).write(true).open(&*view.path);
        let mut engine = Self {
            db_file: db_file.map_err(ScanError::Io)?,
            blobs: Blobs {
                folder: folder.join(BLOBS_FOLDER),
                synced: HashSet::new(),
            },
            view,
            db,
        };
        engine.sync_all(folder).map_err(ScanError::Io)?;
        Ok(engine)
    }

    /// Once at the start: what sled has just created or renamed must not be forgotten by a power cut
    /// after the first answer.
    fn sync_all(&mut self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        self.blobs.sync()?;
        files::sync_folder(folder)?;
        files::sync_parent(folder)
    }

    /// The key of the last value.
    pub(crate) fn last_key(&self) -> Result<Option<StoredBytes>, ScanError> {
        Ok(caught(|| self.db.last())?.map(|(key, _)| key.into()))
    }

    /// The length of the `db` file, in bytes.
    pub(crate) fn db_bytes(&self) -> io::Result<u64> {
        Ok(self.db_file.metadata()?.len())
    }

    /// Closes sled, and waits until its threads have let go of its files. Gives whether they did: not
    /// while a reader is still amid a range. Readers get an error from now on.
    pub(crate) fn close(self) -> io::Result<bool> {
        let Self {
            view,
            db,
            db_file,
            blobs: _,
        } = self;
        drop(db_file);
        let shared = view
            .db
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // sled flushes when the last handle is dropped, and panics if the sync fails there.
        if catch_unwind(AssertUnwindSafe(move || drop((db, shared)))).is_err() {
            return Err(io::Error::other(
                "the storage engine broke while it was closed",
            ));
        }
        wait_until_released(&view.path)
    }
}

/// sled holds a lock on its file as long as any part of it lives, so taking the lock ourselves proves
/// that nothing of it can write any more.
pub(crate) fn wait_until_released(db_path: &Path) -> io::Result<bool> {
    let file = match File::open(db_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    };
    for _ in 0..RELEASE_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => thread::sleep(RELEASE_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

impl Engine for SledEngine {
    type View = SledView;

    fn available_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::fstatvfs(&self.db_file)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn insert(&mut self, key: [u8; 8], value: &[u8]) -> io::Result<()> {
        match caught(|| self.db.insert(key, value)) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a record was already there: the store was not at its end",
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        caught(|| self.db.flush())
            .map(drop)
            .map_err(io::Error::from)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.blobs.sync()?;
        self.db_file.sync_data()
    }

    fn view(&self) -> SledView {
        self.view.clone()
    }
}

/// The files of pages too large for the log.
struct Blobs {
    folder: PathBuf,
    synced: HashSet<OsString>,
}

impl Blobs {
    /// Syncs the files that appeared since the last call. sled never rewrites one under the same name.
    fn sync(&mut self) -> io::Result<()> {
        let mut found = HashSet::new();
        let mut appeared = false;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if !self.synced.contains(&name) {
                match File::open(entry.path()) {
                    Ok(file) => file.sync_all()?,
                    // sled has replaced it meanwhile, and a newer one is in the list of the next call.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                }
                appeared = true;
            }
            found.insert(name);
        }
        self.synced = found;
        if appeared {
            files::sync_folder(&self.folder)
        } else {
            Ok(())
        }
    }
}

/// sled, for those who read. Once the store is closed every read is an error.
#[derive(Clone)]
pub struct SledView {
    db: Arc<RwLock<Option<sled::Db>>>,
    path: Arc<Path>,
}

impl SledView {
    fn with<T>(&self, read: impl FnOnce(&sled::Db) -> T) -> Result<T, ScanError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        db.as_ref().map(read).ok_or_else(|| {
            ScanError::Io(io::Error::new(
                io::ErrorKind::NotConnected,
                "the store is closed",
            ))
        })
    }
}

impl SledView {
    /// The first position that sled still holds.
    #[cfg(test)]
    pub(crate) fn first_position(&self) -> Option<u64> {
        let first = self.scan([0; 8], [0xff; 8]).next()?;
        let (key, _) = first.ok()?;
        key.as_slice().try_into().map(u64::from_be_bytes).ok()
    }

    /// Takes out the values up to this key, which were sealed elsewhere. A death amid it leaves some of them: they are taken out by the next start.
    pub(crate) fn remove_up_to(&self, to: [u8; 8]) -> Result<(), ScanError> {
        loop {
            let keys: Vec<_> = self
                .scan([0; 8], to)
                .take(REMOVED_AT_ONCE)
                .map(|found| found.map(|(key, _)| key))
                .collect::<Result<_, _>>()?;
            if keys.is_empty() {
                return Ok(());
            }
            for key in keys {
                self.with(|db| caught(|| db.remove(key.as_slice())))??;
            }
            // The committer shares the log with us; it comes first.
            thread::yield_now();
        }
    }
}

impl View for SledView {
    type Scan = SledScan;

    fn scan(&self, from: [u8; 8], to: [u8; 8]) -> SledScan {
        match self.with(|db| db.range(from..=to)) {
            Ok(scan) => SledScan {
                scan: Some(scan),
                error: None,
            },
            Err(error) => SledScan {
                scan: None,
                error: Some(error),
            },
        }
    }

    fn get(&self, key: [u8; 8]) -> Result<Option<StoredBytes>, ScanError> {
        let value = self.with(|db| caught(|| db.get(key)))??;
        Ok(value.map(StoredBytes::from))
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// A range of sled's, each step of it caught. After an error nothing more comes.
pub struct SledScan {
    scan: Option<sled::Iter>,
    /// An error from before the first step, which is given once.
    error: Option<ScanError>,
}

impl Iterator for SledScan {
    type Item = Result<(StoredBytes, StoredBytes), ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let scan = self.scan.as_mut()?;
        let found = caught(|| scan.next().transpose());
        if !matches!(found, Ok(Some(_))) {
            // After a panic sled's iterator may be in any state.
            self.scan = None;
        }
        found
            .map(|pair| pair.map(|(key, value)| (key.into(), value.into())))
            .transpose()
    }
}

/// Opens sled in this folder, or makes it, with this many bytes of its pages in memory.
pub(crate) fn open_db(folder: &Path, cache_bytes: u64) -> Result<sled::Db, ScanError> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(cache_bytes)
        // Whoever writes flushes; sled's own flusher would only add a thread.
        .flush_every_ms(None);
    caught(|| config.open())
}

/// Calls sled. Nothing of ours is borrowed mutably across the call but sled's own handles, and those
/// are dropped after a panic, so there is no half-changed state to be seen.
pub(crate) fn caught<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, ScanError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(ScanError::Io(error.into())),
        Err(_) => Err(ScanError::Panicked),
    }
}

impl From<ScanError> for io::Error {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Io(error) => error,
            ScanError::Panicked => Self::other("the storage engine broke"),
        }
    }
}
