//! Looking at a ledger that nobody has open: is it, to the last byte, the one that was written?
//!
//! sled rewrites its files even to read them, so the check runs on a copy of them, `verify.tmp` in the
//! data folder, which is removed at the end. The folder is locked meanwhile and otherwise left as it is.

use std::io;
use std::path::{Path, PathBuf};

use keyledger_domain::{Position, Timestamp};
use thiserror::Error;

use crate::aside;
use crate::checkpoint::{Checkpoint, NotACheckpoint};
use crate::files;
use crate::folder::{FolderError, open_without_head};
use crate::head::{Head, HeadError, HeadFile};
use crate::key_file::{MasterKey, Purpose};
use crate::merkle::{EMPTY_ROOT, Hash};
use crate::opening::{OpenError, StoreSettings};
use crate::paths::Paths;
use crate::publisher::{self, KeptCheckpointError};
use crate::record::{Depth, Persons};
use crate::replay::{Folded, Progress, ReplayError, Source, advance, replay};
use crate::segments::Segments;
use crate::sled_store::SledStore;
use crate::snapshot::Snapshots;
use crate::store::ReadStore;
use crate::tree::{Tree, TreeError, TreeReader};

const COPY: &str = "verify.tmp";

/// A ledger that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records it has.
    pub size: u64,
    /// The Merkle root over all of them.
    pub root: Hash,
    /// The last of them that was moved away: of it and those before it only the hashes are here.
    pub archived: Position,
    /// How many of them the last checkpoint vouches for that the folder keeps; 0 if it keeps none.
    pub checkpoint_size: u64,
    /// When the last of them was decided.
    pub last_record_at: Timestamp,
}

/// A ledger that is not the one that was written.
#[derive(Debug, Error)]
#[error(
    "the ledger is damaged at position {position}, in {}; restore the data folder from a backup (the \
     causes name files of the copy that was checked)",
    file.display()
)]
pub struct Damage {
    /// The first position that is not as it was written, as far as can be told.
    pub position: Position,
    /// The file it is in.
    pub file: PathBuf,
    /// How it was found.
    pub source: DamageFound,
}

/// How damage was found.
#[derive(Debug, Error)]
pub enum DamageFound {
    /// The files do not open, or end too early.
    #[error(transparent)]
    Opening(#[from] OpenError),
    /// A record is missing, is not understood, or does not follow from those before it.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The records are others than the head tells of.
    #[error("the Merkle root up to there is {found}, the head has {expected}")]
    RootDiffers {
        /// The root over the records that are there.
        found: Hash,
        /// The root in the head.
        expected: Hash,
    },
    /// The records are others than a checkpoint vouches for, or too few.
    #[error(
        "the checkpoint of {size} records has the root {expected}, the records there have {found}"
    )]
    NotExtended {
        /// The size in the checkpoint.
        size: u64,
        /// The root over as many records.
        found: Hash,
        /// The root that was signed.
        expected: Hash,
    },
    /// A checkpoint vouches for more records than there are.
    #[error(
        "the ledger ends at {found}, and a checkpoint stands at {size}: records were cut off, or this is an older copy, \
         as after restoring a backup"
    )]
    EndsBefore {
        /// The last record.
        found: u64,
        /// The size in the checkpoint.
        size: u64,
    },
    /// The checkpoint that the folder keeps is another log's.
    #[error(transparent)]
    Checkpoint(#[from] KeptCheckpointError),
    /// The head is.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// What is made of the records and differs from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Derived {
    /// The hashes of the tree.
    #[error("{wrong} hashes of the tree are not those of the records, {too_many} are too many")]
    Tree {
        /// How many differ.
        wrong: u64,
        /// How many lie behind the last.
        too_many: u64,
    },
    /// The state that a start would take from a snapshot.
    #[error(
        "the state of the newest snapshot, at {position}, is not the one that the records give"
    )]
    Snapshot {
        /// Where the snapshot stands.
        position: Position,
    },
}

/// Why a ledger was not found to be whole.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The folder: in use, with another key file, or without a ledger.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// There is no room for the copy, or it cannot be made.
    #[error("the ledger could not be copied to {}, where it is checked", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The checkpoint that it was to be compared with is none of this log.
    #[error("the checkpoint to compare with cannot be used")]
    KnownCheckpoint(#[source] NotACheckpoint),
    /// The checkpoint that the folder keeps cannot be read.
    #[error(transparent)]
    Checkpoint(KeptCheckpointError),
    /// The ledger is damaged.
    #[error(transparent)]
    Damaged(Box<Damage>),
    /// All records are there and right, and what was made of them is not.
    #[error(
        "the ledger is whole, but {} is not what its records give; stop the server and remove that folder: the next \
         start makes it again",
        folder.display()
    )]
    Derived {
        /// The folder.
        folder: PathBuf,
        /// How it differs.
        source: Derived,
    },
}

impl From<Damage> for VerifyError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(Box::new(damage))
    }
}

/// Why a head was not written anew.
#[derive(Debug, Error)]
pub enum ResealError {
    /// The records that are there do not make a ledger, whatever the head says.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The records that are there have another root than the one that was given.
    #[error(
        "the {size} records that are there have the Merkle root {found}, not {expected}; nothing was \
         changed"
    )]
    OtherRoot {
        /// How many records there are.
        size: u64,
        /// Their root.
        found: Hash,
        /// The root that was given.
        expected: Hash,
    },
    /// The head could not be written.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The old head or checkpoint could not be removed.
    #[error("{} cannot be replaced", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Checks the ledger of a data folder: every record there, in order, understood, applicable, its personal
/// values those it commits to, and the Merkle root the one in the head.
///
/// # Errors
/// See [`VerifyError`].
///
/// `known` is a checkpoint from elsewhere, a signed note: the ledger must extend it too.
pub fn verify(
    folder: &Path,
    known: Option<&str>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, VerifyError> {
    let (folder, master_key, people) = open_without_head(folder)?;
    let paths = folder.paths();
    let head = read_head(paths, &master_key)?;
    let key = publisher::verifier(&master_key);
    let known = known.map(|note| Checkpoint::open_of_any_origin(note, &key));
    let known = known.transpose().map_err(VerifyError::KnownCheckpoint)?;
    let kept = publisher::kept_checkpoint(paths, &key).map_err(|error| match error {
        KeptCheckpointError::Io { .. } => VerifyError::Checkpoint(error),
        KeptCheckpointError::NotOurs { .. } => VerifyError::from(Damage {
            position: Position::ZERO.next(),
            file: paths.checkpoint(),
            source: error.into(),
        }),
    })?;
    let checkpoint_size = kept.as_ref().map_or(0, |kept| kept.size);
    let marks: Vec<_> = kept.into_iter().chain(known).collect();
    let rebuilt = rebuild(
        paths,
        &master_key,
        &head,
        &marks,
        &Persons::new(people),
        progress,
    )?;
    if rebuilt.root_at_head != head.root {
        let source = DamageFound::RootDiffers {
            found: rebuilt.root_at_head,
            expected: head.root,
        };
        return Err(damage(head.position, paths, source).into());
    }
    for (checkpoint, found) in marks.iter().zip(rebuilt.roots_at_checkpoints) {
        let size = rebuilt.whole.size;
        if checkpoint.size > size {
            let source = DamageFound::EndsBefore {
                found: size,
                size: checkpoint.size,
            };
            return Err(damage(Position::new(size).next(), paths, source).into());
        }
        if checkpoint.root != found {
            let source = DamageFound::NotExtended {
                size: checkpoint.size,
                found,
                expected: checkpoint.root,
            };
            return Err(damage(Position::new(checkpoint.size), paths, source).into());
        }
    }
    if let Some(source) = rebuilt.differing {
        let folder = match source {
            Derived::Tree { .. } => paths.tree(),
            Derived::Snapshot { .. } => paths.snapshots(),
        };
        return Err(VerifyError::Derived { folder, source });
    }
    Ok(Verified {
        checkpoint_size,
        ..rebuilt.whole
    })
}

/// The way out for an operator who accepts the records that are there although the head tells of others,
/// after a restore in parts for example: rewrites the head, if the root over them is the given one.
/// Take that root from a checkpoint that you trust, not from the error message.
///
/// # Errors
/// See [`ResealError`]; then nothing was changed.
pub fn reseal(
    folder: &Path,
    expected: Hash,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, ResealError> {
    let (folder, master_key, people) = open_without_head(folder).map_err(VerifyError::from)?;
    let paths = folder.paths();
    // Compared with the head of an empty ledger, any ledger is long enough.
    let persons = Persons::new(people);
    let rebuilt = rebuild(paths, &master_key, &Head::EMPTY, &[], &persons, progress)?;
    let Verified {
        size, root: found, ..
    } = rebuilt.whole;
    if found != expected {
        return Err(ResealError::OtherRoot {
            size,
            found,
            expected,
        });
    }
    let path = paths.head();
    let key = || master_key.sub_key(Purpose::HeadTag);
    if HeadFile::open(&path, key()).is_err() {
        // It is of no use, and its records are known to be right.
        files::remove_if_there(&path).map_err(|source| ResealError::Io {
            path: path.clone(),
            source,
        })?;
        HeadFile::create(&path, &key())?;
    }
    // It vouches for the history that is given up; whoever kept it will find that this one is another.
    let checkpoint = paths.checkpoint();
    match std::fs::rename(&checkpoint, paths.checkpoint_given_up()) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(ResealError::Io {
                path: checkpoint,
                source,
            });
        }
        _ => {}
    }
    let db_bytes = paths.db().metadata().map_or(0, |metadata| metadata.len());
    // The witness is told too: the operator has said that the records are right, not the heads.
    let mut head = HeadFile::open_with_witness(&path, &paths.head_witness(), key)?;
    head.write_both(Head {
        position: Position::new(size),
        root: found,
        db_bytes,
        // Whatever changed the files, the next start compares the records instead.
        clean: None,
    })?;
    Ok(rebuilt.whole)
}

fn read_head(paths: &Paths, master_key: &MasterKey) -> Result<Head, VerifyError> {
    let key = || master_key.sub_key(Purpose::HeadTag);
    HeadFile::open_with_witness(&paths.head(), &paths.head_witness(), key)
        .map(|head| *head.current())
        .map_err(|error| {
            let damage = Damage {
                position: Position::ZERO,
                file: paths.head(),
                source: error.into(),
            };
            damage.into()
        })
}

struct Rebuilt {
    whole: Verified,
    root_at_head: Hash,
    roots_at_checkpoints: Vec<Hash>,
    /// What was made of the records and differs from them.
    differing: Option<Derived>,
}

/// Replays a copy of the ledger, all of it, and removes the copy.
fn rebuild(
    paths: &Paths,
    master_key: &MasterKey,
    head: &Head,
    checkpoints: &[Checkpoint],
    persons: &Persons,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, VerifyError> {
    let copy = Paths::new(&paths.root().join(COPY));
    let failed = |source| VerifyError::Copy {
        path: copy.root().to_owned(),
        source,
    };
    Segments::open(&paths.segments())
        .and_then(|segments| segments.check(master_key))
        .map_err(OpenError::from)
        .map_err(|error| Damage {
            position: place_of(&error, head.position),
            file: paths.segments(),
            source: error.into(),
        })?;
    files::remove_folder_if_there(copy.root()).map_err(failed)?;
    let rebuilt = make_copy(paths, &copy).map_err(failed).and_then(|()| {
        replay_copy(
            paths,
            &copy,
            master_key,
            head,
            checkpoints,
            persons,
            progress,
        )
    });
    files::remove_folder_if_there(copy.root()).map_err(failed)?;
    rebuilt
}

fn make_copy(paths: &Paths, copy: &Paths) -> io::Result<()> {
    files::make_folder(copy.root())?;
    // A start that died amid its replay left the files as they were before it under the other name.
    for folder in [paths.aside(), paths.events()] {
        if folder.try_exists()? {
            aside::copy_folder(&folder, &copy.events())?;
            break;
        }
    }
    if paths.manifest().try_exists()? {
        std::fs::copy(paths.manifest(), copy.manifest())?;
    }
    for (folder, copy) in [
        (paths.segments(), copy.segments()),
        (paths.tree(), copy.tree()),
    ] {
        if folder.try_exists()? {
            aside::share_folder(&folder, &copy)?;
        }
    }
    Ok(())
}

fn replay_copy(
    paths: &Paths,
    copy: &Paths,
    master_key: &MasterKey,
    head: &Head,
    checkpoints: &[Checkpoint],
    persons: &Persons,
    progress: &mut dyn FnMut(Progress),
) -> Result<Rebuilt, VerifyError> {
    let damaged_head = |error: HeadError| damage(head.position, paths, error.into());
    let key = || master_key.sub_key(Purpose::HeadTag);
    HeadFile::create(&copy.head(), &key()).map_err(damaged_head)?;
    let mut copy_head = HeadFile::open(&copy.head(), key()).map_err(damaged_head)?;
    copy_head.write_both(*head).map_err(damaged_head)?;

    let settings = StoreSettings {
        reserve_bytes: 0,
        copy_aside: false,
        ..StoreSettings::default()
    };
    let unproven = SledStore::open(copy, &mut copy_head, &settings)
        .map_err(|error| damage(place_of(&error, head.position), paths, error.into()))?;
    let reader = unproven.reader();
    let db = paths.db();
    let tree_failed =
        |error: TreeError| damage(head.position, paths, ReplayError::from(error).into());
    let hashes = TreeReader::open(&copy.tree()).map_err(tree_failed)?;
    let mut tree = Tree::open(&copy.tree()).map_err(tree_failed)?;
    let source = Source {
        store: &reader,
        path: &db,
        persons,
        depth: Depth::Everything,
        archived: Some(&hashes),
    };
    let marks: Vec<_> = [head.position]
        .into_iter()
        .chain(
            checkpoints
                .iter()
                .map(|checkpoint| Position::new(checkpoint.size)),
        )
        .collect();
    let newest = Snapshots::new(paths, master_key).newest();
    // What was moved away can be passed over only from a snapshot on.
    let archived = reader.archived();
    let needs_snapshot = archived > Position::ZERO;
    let replayed = replay(
        &source,
        newest.clone().filter(|_| needs_snapshot),
        &marks,
        Some(&mut tree),
        &mut |_| {},
        progress,
    );
    let size = reader.last().get();
    let snapshot_differs = match &replayed {
        Ok(replayed) => newest.and_then(|newest| differs_from(&source, newest, &replayed.folded)),
        Err(_) => None,
    };
    if let Err(error) = unproven.put_back() {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the copy was not closed well"
        );
    }
    let replayed = replayed.map_err(|error| {
        let (position, file) = error.place().map_or_else(
            || (head.position, paths.tree()),
            |(position, path)| (position, real_file(path, paths, copy)),
        );
        Damage {
            position,
            file,
            source: error.into(),
        }
    })?;
    // A folder of an older version has none yet.
    let has_tree = hashes.size().map_err(tree_failed)? > 0;
    let too_many = tree.compare().map_err(tree_failed)?;
    let wrong = tree.mended();
    let tree_differs =
        (has_tree && (wrong > 0 || too_many > 0)).then_some(Derived::Tree { wrong, too_many });
    let mut roots = replayed.roots_at_marks.into_iter();
    Ok(Rebuilt {
        whole: Verified {
            size,
            root: replayed.folded.frontier.root(),
            archived,
            checkpoint_size: 0,
            last_record_at: replayed.folded.directory.at(),
        },
        root_at_head: roots.next().unwrap_or(EMPTY_ROOT),
        roots_at_checkpoints: roots.collect(),
        differing: snapshot_differs
            .map(|position| Derived::Snapshot { position })
            .or(tree_differs),
    })
}

/// Where the snapshot stands, if a start from it would come to another state than the records do. One of
/// another ledger is none that a start would use.
fn differs_from<S: ReadStore>(
    source: &Source<'_, S>,
    newest: Folded,
    whole: &Folded,
) -> Option<Position> {
    let (position, last) = (newest.position(), source.store.last());
    if position > last {
        return None;
    }
    let live = advance(source, newest, last, &mut || true).ok()??;
    let is_of_this_ledger = live.frontier == whole.frontier;
    (is_of_this_ledger && live.directory != whole.directory).then_some(position)
}

/// The file in the folder of which this is the copy.
fn real_file(path: &Path, paths: &Paths, copy: &Paths) -> PathBuf {
    path.strip_prefix(copy.root())
        .map_or_else(|_| path.to_owned(), |within| paths.root().join(within))
}

fn damage(position: Position, paths: &Paths, source: DamageFound) -> Damage {
    Damage {
        position,
        file: paths.db(),
        source,
    }
}

/// Where an error says that the damage begins; otherwise the position in the head.
fn place_of(error: &OpenError, head: Position) -> Position {
    match error {
        OpenError::Shorter { found, .. } => found.next(),
        OpenError::Longer { expected, .. } => expected.next(),
        OpenError::Missing { .. } => Position::ZERO.next(),
        OpenError::NotAsStopped { position, .. }
        | OpenError::Panicked { position, .. }
        | OpenError::RootDiffers { position, .. } => *position,
        OpenError::Segments(error) => error.position().unwrap_or(head),
        OpenError::NotExtended { .. }
        | OpenError::Checkpoint { .. }
        | OpenError::Io { .. }
        | OpenError::Head(_)
        | OpenError::Engine { .. }
        | OpenError::Read(_) => head,
    }
}
