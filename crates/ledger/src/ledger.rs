//! The ledger of a data folder: opened, replayed, and then open for changes.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyledger_domain::{Directory, Position, Record};
use ring::rand::SecureRandom;
use thiserror::Error;

use crate::backup::{BackupError, BackupSource};
use crate::checkpoint::Checkpoint;
use crate::clock::Clock;
use crate::committer::{
    self, Committer, CommitterThread, DurableLog as _, Ground, Projection, SledLog,
};
use crate::credits_store::CreditsRow;
use crate::folder::{DataFolder, FolderError, OpenFolder};
use crate::head::{Head, HeadError, HeadFile};
use crate::key_file::{MasterKey, Peppers, Purpose, SubKey};
use crate::merkle::{Frontier, Hash};
use crate::note::{NotANote, NoteSigner};
use crate::opening::{self, StopError, StoreSettings, Unproven};
use crate::past::Past;
use crate::paths::Paths;
use crate::person_keys::PersonKeyError;
use crate::publisher::{self, PublicLog, Published, Publisher};
use crate::record::{self, Depth, Parsed, Persons, RecordError, RecordHead};
use crate::replay::{self, Folded, Progress, ReplayError, Replayed, Source};
use crate::segments::{SEGMENT_RECORDS_DEFAULT, Segments};
use crate::sled_store::{SledReader, SledStore};
use crate::snapshot::{SnapshotMaker, SnapshotThread, Snapshots};
use crate::store::{self, AppendStore as _, ReadStore as _, StoredEntry};
use crate::tree::{Tree, TreeError, TreeReader};
use crate::vault::Vault;

/// After how many records a snapshot is made where nothing else is said: below that a full replay takes
/// about as long.
pub const SNAPSHOT_EVERY_DEFAULT: u64 = 500_000;

/// How long is waited for more before a checkpoint is signed, where nothing else is said.
pub const CHECKPOINT_PAUSE_DEFAULT: Duration = Duration::from_secs(1);

/// The name of a log that has no address.
pub const ORIGIN_DEFAULT: &str = "localhost/v1/log";

/// How a ledger is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// The data folder; made if it is not there.
    pub folder: PathBuf,
    /// What must stay free on the disk, in bytes; below it changes are refused.
    pub reserve_bytes: u64,
    /// Whether sled's files are copied before they are opened after a death; see
    /// [`StoreSettings::copy_aside`].
    pub copy_aside: bool,
    /// A snapshot is made when more records than this came since the last one; 0 for never.
    pub snapshot_every: u64,
    /// How many records are sealed together; at least one.
    pub segment_records: u64,
    /// How long is waited for more before a checkpoint is signed.
    pub checkpoint_pause: Duration,
    /// The name of the log: the address of its tiles without the scheme.
    pub origin: String,
}

impl OpenOptions {
    /// The folder, and for the rest what suits most: [`opening::RESERVE_BYTES_DEFAULT`] in reserve, a
    /// copy aside, a snapshot every [`SNAPSHOT_EVERY_DEFAULT`] records.
    pub fn new(folder: &Path) -> Self {
        let StoreSettings {
            reserve_bytes,
            copy_aside,
            ..
        } = StoreSettings::default();
        Self {
            folder: folder.to_owned(),
            reserve_bytes,
            copy_aside,
            snapshot_every: SNAPSHOT_EVERY_DEFAULT,
            segment_records: SEGMENT_RECORDS_DEFAULT,
            checkpoint_pause: CHECKPOINT_PAUSE_DEFAULT,
            origin: ORIGIN_DEFAULT.to_owned(),
        }
    }
}

/// Why a ledger is not opened. Its files are as they were.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The data folder: in use, not writable, of a newer version, or with another key file.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The files of the ledger: missing, damaged, or not those that were written.
    #[error(transparent)]
    Store(#[from] opening::OpenError),
    /// A record in them.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The hashes of the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The name of the log.
    #[error("the log cannot be named {origin}, after the address of this server")]
    Origin {
        /// The name.
        origin: String,
        /// What is wrong with it.
        source: NotANote,
    },
    /// The head could not be written anew.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The keys of erased persons could not be destroyed.
    #[error(transparent)]
    Persons(#[from] PersonKeyError),
    /// The system gave no file length or no thread.
    #[error("the ledger in {} could not be started", path.display())]
    System {
        /// The data folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a record could not be read. Whoever meets one of these must not go on serving.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The store did not give it.
    #[error(transparent)]
    Store(#[from] store::ReadError),
    /// Its bytes are not understood.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The secrets of a data folder, for those who make and check credentials.
pub struct KeyFile {
    master_key: MasterKey,
    vault: Vault,
}

impl KeyFile {
    pub(crate) fn new(master_key: MasterKey) -> Self {
        let vault = Vault::new(master_key.sealing());
        Self { master_key, vault }
    }

    /// The keys of the digests that stand for credentials.
    pub const fn peppers(&self) -> &Peppers {
        self.master_key.peppers()
    }

    /// Seals and opens credentials that their owner may read again.
    pub const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The key for one purpose.
    pub fn sub_key(&self, purpose: Purpose) -> SubKey {
        self.master_key.sub_key(purpose)
    }
}

/// Reads records from the disk, from any thread.
#[derive(Clone)]
pub struct RecordReader {
    store: SledReader,
    persons: Arc<Persons>,
}

impl RecordReader {
    /// One record; `None` beyond the last durable one.
    ///
    /// # Errors
    /// If it is missing, damaged, or cannot be read.
    pub fn get(&self, position: Position) -> Result<Option<Record>, ReadError> {
        self.store
            .get(position)?
            .map(|entry| self.decode(&entry))
            .transpose()
    }

    /// The records from `from` to `to`, both included, as far as they are durable. After an error
    /// nothing more comes. End it before the ledger is to be stopped.
    pub fn range(
        &self,
        from: Position,
        to: Position,
    ) -> impl Iterator<Item = Result<Record, ReadError>> + use<> {
        let reader = self.clone();
        self.store
            .range(from, to)
            .map(move |entry| reader.decode(&entry?))
    }

    /// The bytes of the records from `from` to `to`, both included, as far as they are durable: the leaves
    /// of the tree. After an error nothing more comes. End it before the ledger is to be stopped.
    pub fn leaves(
        &self,
        from: Position,
        to: Position,
    ) -> impl Iterator<Item = Result<Vec<u8>, ReadError>> + use<> {
        let entries = self.store.range(from, to);
        entries.map(|entry| Ok(entry?.record().to_vec()))
    }

    /// What can be told of a record without opening it; `None` beyond the last durable one.
    ///
    /// # Errors
    /// If it is missing, damaged, or cannot be read.
    pub fn head(&self, position: Position) -> Result<Option<RecordHead>, ReadError> {
        let Some(entry) = self.store.get(position)? else {
            return Ok(None);
        };
        Ok(Some(Parsed::parse(position, entry.record())?.head()))
    }

    /// Up to where records were moved away.
    pub fn archived(&self) -> Position {
        self.store.archived()
    }

    pub(crate) const fn store(&self) -> &SledReader {
        &self.store
    }

    pub(crate) fn persons(&self) -> &Persons {
        &self.persons
    }

    /// The last durable position.
    pub fn last(&self) -> Position {
        self.store.last()
    }

    fn decode(&self, entry: &StoredEntry) -> Result<Record, ReadError> {
        let record = record::decode(
            entry.position(),
            entry.record(),
            entry.side(),
            &self.persons,
        )?;
        Ok(record)
    }
}

/// Opens ledgers.
pub struct Ledger;

impl Ledger {
    /// Opens the ledger of a data folder, or makes it, and replays it. `visit` is told of every record
    /// in order, `progress` now and then how far it is.
    ///
    /// # Errors
    /// See [`OpenError`]: each names the file and, where there is one, the position and the way out.
    pub fn open(
        options: &OpenOptions,
        rng: Arc<dyn SecureRandom + Send + Sync>,
        clock: Arc<dyn Clock>,
        visit: &mut dyn FnMut(&RecordHead),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Opened, OpenError> {
        let OpenFolder {
            folder,
            master_key,
            mut head,
            people,
        } = OpenFolder::open_or_create(&options.folder, &*rng)?;
        let paths = folder.paths().clone();
        let persons = Arc::new(Persons::new(people));
        let snapshots = Arc::new(Snapshots::new(&paths, &master_key));
        let settings = StoreSettings {
            reserve_bytes: options.reserve_bytes,
            copy_aside: options.copy_aside,
            ..StoreSettings::default()
        };
        let signer = publisher::signer(&master_key, &options.origin);
        let signer = signer.map_err(|source| OpenError::Origin {
            origin: options.origin.clone(),
            source,
        })?;
        Segments::open(&paths.segments())
            .and_then(|segments| segments.check(&master_key))
            .map_err(opening::OpenError::from)?;
        let unproven = SledStore::open(&paths, &mut head, &settings)?;
        let ground = Grounds {
            paths: &paths,
            persons: &persons,
            snapshots: &snapshots,
            signer: &signer,
        };
        let Proven {
            store,
            replayed,
            tree,
        } = prove(unproven, &ground, visit, progress)?;

        snapshots.stand_for(store.reader().archived());
        finish_erasures(&replayed.folded, &persons, &snapshots, &*rng)?;
        let db_bytes = store.db_bytes().map_err(|source| OpenError::System {
            path: paths.root().to_owned(),
            source,
        })?;
        head.write_both(Head {
            position: store.last(),
            root: replayed.folded.frontier.root(),
            db_bytes,
            clean: None,
        })?;
        let reader = RecordReader {
            store: store.reader(),
            persons: Arc::clone(&persons),
        };
        Ok(Opened {
            directory: replayed.folded.directory,
            key_file: Arc::new(KeyFile::new(master_key)),
            reader,
            persons,
            frontier: replayed.folded.frontier,
            snapshot: replayed.snapshot,
            options: options.clone(),
            signer,
            tree,
            snapshots,
            store,
            head,
            folder,
            rng,
            clock,
        })
    }
}

/// A death may have come between the record of an erasure and what it asks for; and an older file of
/// personal keys may have been put back.
fn finish_erasures(
    folded: &Folded,
    persons: &Persons,
    snapshots: &Snapshots,
    rng: &dyn SecureRandom,
) -> Result<(), OpenError> {
    let directory = &folded.directory;
    let finished = persons.erase(directory.erased())?;
    if finished > 0 {
        tracing::warn!(
            finished,
            "keys of erased persons were still there and have been destroyed"
        );
    }
    let erasure = directory.last_erasure().unwrap_or(Position::ZERO);
    if erasure == Position::ZERO {
        return Ok(());
    }
    snapshots
        .renew(|| folded.clone(), erasure, rng)
        .and_then(|()| snapshots.forget_before(erasure))
        .map_err(|source| OpenError::System {
            path: snapshots.folder().to_owned(),
            source,
        })
}

/// A ledger whose records were replayed and found to be those that were written.
struct Proven {
    store: SledStore,
    replayed: Replayed,
    tree: Tree,
}

/// What a ledger is proven with.
struct Grounds<'a> {
    paths: &'a Paths,
    persons: &'a Persons,
    snapshots: &'a Snapshots,
    signer: &'a NoteSigner,
}

fn prove(
    unproven: Unproven,
    grounds: &Grounds<'_>,
    visit: &mut dyn FnMut(&RecordHead),
    progress: &mut dyn FnMut(Progress),
) -> Result<Proven, OpenError> {
    match replay_proven(&unproven, grounds, visit, progress) {
        Ok((replayed, had_snapshot, mut tree)) => {
            let store = unproven.accept(replayed.roots_at_marks[0])?;
            tree.sync()?;
            if tree.mended() > 0 {
                tracing::warn!(
                    hashes = tree.mended(),
                    path = %grounds.paths.tree().display(),
                    "hashes of the tree were not those of the records: they were written again"
                );
            }
            if had_snapshot && replayed.snapshot.is_none() {
                // They are of another ledger, and none may be built upon.
                grounds
                    .snapshots
                    .clear()
                    .map_err(|source| OpenError::System {
                        path: grounds.paths.snapshots(),
                        source,
                    })?;
            }
            Ok(Proven {
                store,
                replayed,
                tree,
            })
        }
        Err(error) => {
            if let Err(error) = unproven.put_back() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the files were not put back; the next start does it"
                );
            }
            Err(error)
        }
    }
}

/// Replays; refuses a ledger that does not extend the checkpoint that was signed last. Tells whether there
/// was a snapshot too.
fn replay_proven(
    unproven: &Unproven,
    grounds: &Grounds<'_>,
    visit: &mut dyn FnMut(&RecordHead),
    progress: &mut dyn FnMut(Progress),
) -> Result<(Replayed, bool, Tree), OpenError> {
    let Grounds {
        paths,
        persons,
        snapshots,
        signer,
    } = grounds;
    let kept = publisher::kept_checkpoint(paths, &signer.verifier())
        .map_err(opening::OpenError::Checkpoint)?;

    let reader = unproven.reader();
    let hashes = TreeReader::open(&paths.tree())?;
    let db = paths.db();
    let source = Source {
        store: &reader,
        path: &db,
        persons,
        depth: Depth::State,
        archived: Some(&hashes),
    };
    let signed = kept.as_ref().map_or(0, |kept| kept.size);
    let marks = [unproven.head().position, Position::new(signed)];
    let mut tree = Tree::open(&paths.tree())?;
    let newest = snapshots.newest();
    let had_snapshot = newest.is_some();
    let replayed = replay::replay(&source, newest, &marks, Some(&mut tree), visit, progress)?;
    let found = replayed.roots_at_marks[1];
    match kept {
        Some(kept) if kept.root != found => Err(opening::OpenError::NotExtended {
            path: db,
            size: kept.size,
            found,
            expected: kept.root,
        }
        .into()),
        _ => Ok((replayed, had_snapshot, tree)),
    }
}

/// A ledger that was replayed: it can be read, and [`Opened::start`] opens it for changes. Whoever only
/// reads ends with [`Opened::close`]; dropped, it looks to the next start as if the process had died.
pub struct Opened {
    /// The state after the last record. Clone it for whoever reads; [`Opened::start`] takes this one to
    /// decide on.
    pub directory: Directory,
    /// The secrets.
    pub key_file: Arc<KeyFile>,
    /// Reads records.
    pub reader: RecordReader,
    /// The keys of persons.
    pub persons: Arc<Persons>,
    frontier: Frontier,
    snapshot: Option<Position>,
    options: OpenOptions,
    signer: NoteSigner,
    tree: Tree,
    snapshots: Arc<Snapshots>,
    store: SledStore,
    head: HeadFile,
    folder: DataFolder,
    rng: Arc<dyn SecureRandom + Send + Sync>,
    clock: Arc<dyn Clock>,
}

impl Opened {
    /// The Merkle root over all records.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// The position of the snapshot that spared the start some decoding, if one did.
    pub const fn from_snapshot(&self) -> Option<Position> {
        self.snapshot
    }

    /// Writes a backup of all records, and of the credits that are left, which the server alone knows.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn back_up(
        &self,
        credits: &[CreditsRow],
        with_key_file: bool,
        out: impl io::Write,
    ) -> Result<Published, BackupError> {
        let signed = Checkpoint {
            origin: self.signer.name().to_owned(),
            size: self.frontier.size(),
            root: self.frontier.root(),
        };
        let published = Published {
            size: signed.size,
            root: signed.root,
            checkpoint: signed.sign(&self.signer),
        };
        let source = BackupSource {
            store: self.store.reader(),
            paths: self.folder.paths().clone(),
            key_file: Arc::clone(&self.key_file),
        };
        source.write(&published, credits, with_key_file, out)?;
        Ok(published)
    }

    /// Earlier states.
    pub fn past(&self) -> Past {
        Past {
            reader: self.reader.clone(),
            path: self.folder.paths().db(),
            snapshots: Arc::clone(&self.snapshots),
            hashes: self.tree.reader(),
        }
    }

    /// Closes it unchanged, with a head that says that the stop was clean. Ranges of records that are
    /// still being read must end first.
    ///
    /// # Errors
    /// See [`StopError`]. Nothing is lost; the next start takes it for a death and looks closer.
    pub fn close(self) -> Result<(), StopError> {
        let root = self.frontier.root();
        drop(self.reader);
        SledLog::new(self.store, self.head, self.folder).close(root)
    }

    /// Starts the committer, the thread that makes snapshots, and the one that publishes.
    ///
    /// # Errors
    /// [`OpenError::System`] if the system gives no thread.
    pub fn start(self, projection: impl Projection + 'static) -> Result<Started, OpenError> {
        let paths = self.folder.paths().clone();
        let system = |source| OpenError::System {
            path: paths.root().to_owned(),
            source,
        };
        let maker = SnapshotMaker {
            store: self.store.reader(),
            path: paths.db(),
            persons: Arc::clone(&self.persons),
            snapshots: Arc::clone(&self.snapshots),
            rng: Arc::clone(&self.rng),
        };
        let last = self.snapshot.unwrap_or(Position::ZERO);
        let every = self.options.snapshot_every;
        let snapshots = SnapshotThread::start(maker, last, every).map_err(system)?;
        let publisher = Publisher {
            store: self.store.reader(),
            paths: paths.clone(),
            tree: self.tree,
            frontier: self.frontier.clone(),
            signer: self.signer,
            segment_records: self.options.segment_records.max(1),
            pause: self.options.checkpoint_pause,
            swept: Position::ZERO,
        };
        let (log, publisher) = publisher.start().map_err(system)?;
        let backups = BackupSource {
            store: self.store.reader(),
            paths: paths.clone(),
            key_file: Arc::clone(&self.key_file),
        };
        let ground = Ground {
            log: SledLog::new(self.store, self.head, self.folder),
            directory: self.directory,
            frontier: self.frontier,
            persons: self.persons,
            rng: self.rng,
            clock: self.clock,
            snapshots: Some(self.snapshots),
        };
        let (committer, thread) = committer::start(ground, Box::new(projection)).map_err(system)?;
        Ok(Started {
            committer,
            thread: thread.with_snapshots(snapshots).with_publisher(publisher),
            log,
            backups,
        })
    }
}

/// A ledger that is open for changes.
pub struct Started {
    /// Where changes go.
    pub committer: Committer,
    /// For the one who stops it.
    pub thread: CommitterThread,
    /// The log as others see it.
    pub log: PublicLog,
    /// For backups while changes go on.
    pub backups: BackupSource,
}
