//! From the records to the state: the same fold as while serving, over all that is stored.
//!
//! Every record is hashed into the Merkle tree, also those before a snapshot, whose bodies are not
//! decoded: so the root is always that of the bytes that lie on the disk now. A snapshot counts only if
//! the tree had its root at its position.
//!
//! One thread reads sled and hashes the leaves, another decodes and applies: the two take about the
//! same time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use keyledger_domain::{Directory, Position};
use thiserror::Error;

use crate::merkle::{EMPTY_ROOT, Frontier, Hash, leaf_hash};
use crate::record::{Depth, Parsed, Persons, RecordError, RecordHead};
use crate::store::{ReadError, ReadStore, StoredEntry};
use crate::tree::{TILE_HASHES, TILE_WIDTH, Tree, TreeError, TreeReader};

/// How many records go from thread to thread at once.
const CHUNK_RECORDS: usize = 1_024;

/// How many chunks may wait: enough to level out, little enough not to hold the ledger in memory.
const CHUNKS_WAITING: usize = 8;

/// How far a replay has come, in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub done: u64,
    /// Records that there are, as far as is known.
    pub total_estimate: u64,
}

/// Why the records do not give a state. Nothing is changed by a replay.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The store does not give a record.
    #[error("the ledger cannot be replayed; restore the data folder from a backup")]
    Read(#[from] ReadError),
    /// The hashes of the tree cannot be read or written.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Records were moved away that are needed, because no snapshot reaches beyond them.
    #[error(
        "the records up to {position} were archived, and no snapshot of this version stands behind them; \
         move their segments back to {} for one start",
        folder.display()
    )]
    Archived {
        /// The last record that was moved away.
        position: Position,
        /// Where the segments belong.
        folder: PathBuf,
    },
    /// The bytes of a record are not understood.
    #[error(
        "the ledger cannot be replayed at {position}, in {}; restore the data folder from a backup, \
         unless a newer version wrote it",
        path.display()
    )]
    Record {
        /// Where the record stands.
        position: Position,
        /// The file it is in.
        path: PathBuf,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The record tells of something that cannot have happened after those before it.
    #[error(
        "record {position} in {} does not follow from those before it; restore the data folder from \
         a backup, or use the version that wrote it",
        path.display()
    )]
    NotApplicable {
        /// Where the record stands.
        position: Position,
        /// The file it is in.
        path: PathBuf,
    },
}

impl ReplayError {
    /// The position and the file that it is about, as far as there is one.
    pub fn place(&self) -> Option<(Position, &Path)> {
        match self {
            Self::Read(error) => Some(error.place()),
            Self::Archived { position, folder } => Some((position.next(), folder)),
            Self::Record { position, path, .. } | Self::NotApplicable { position, path } => {
                Some((*position, path))
            }
            Self::Tree(_) => None,
        }
    }
}

/// The state after a record, and the tree over all records up to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) directory: Directory,
    pub(crate) frontier: Frontier,
}

impl Folded {
    pub(crate) const fn position(&self) -> Position {
        Position::new(self.frontier.size())
    }
}

/// What is replayed, and how.
pub(crate) struct Source<'a, S> {
    pub(crate) store: &'a S,
    /// The file to be named in errors.
    pub(crate) path: &'a Path,
    pub(crate) persons: &'a Persons,
    pub(crate) depth: Depth,
    /// Where the hashes lie of records that were moved away.
    pub(crate) archived: Option<&'a TreeReader>,
}

/// What came out of a replay.
pub(crate) struct Replayed {
    pub(crate) folded: Folded,
    /// The root at each position that was asked for; of an empty tree for one beyond the end.
    pub(crate) roots_at_marks: Vec<Hash>,
    /// The position of the snapshot that was used, if one was.
    pub(crate) snapshot: Option<Position>,
}

/// Replays all records. `snapshot` spares the decoding of those before it, if it holds; `marks` are the
/// positions whose roots are wanted. `visit` sees the head of every record, once, `tree` its leaf.
pub(crate) fn replay<S: ReadStore>(
    source: &Source<'_, S>,
    snapshot: Option<Folded>,
    marks: &[Position],
    mut tree: Option<&mut Tree>,
    visit: &mut dyn FnMut(&RecordHead),
    progress: &mut dyn FnMut(Progress),
) -> Result<Replayed, ReplayError> {
    let mut visited = Position::ZERO;
    let mut visit_once = |head: &RecordHead| {
        if head.position > visited {
            visited = head.position;
            visit(head);
        }
    };
    let snapshot = snapshot.filter(|snapshot| {
        let holds = snapshot.position() <= source.store.last();
        if !holds {
            tracing::warn!(position = %snapshot.position(), "a snapshot is ahead of the ledger: ignored");
        }
        holds
    });
    if let Some(snapshot) = snapshot {
        let position = snapshot.position();
        let tree = tree.as_deref_mut();
        let replayed = pass(
            source,
            Some(snapshot),
            marks,
            tree,
            &mut visit_once,
            progress,
        )?;
        if let Some(replayed) = replayed {
            return Ok(replayed);
        }
        tracing::warn!(
            %position,
            "a snapshot is not of this ledger: its Merkle root is another; all is replayed"
        );
    }
    pass(source, None, marks, tree, &mut visit_once, progress)
        .map(|replayed| replayed.expect("without a snapshot none can differ"))
}

/// One run over all records; `None` if the snapshot turned out to be of another ledger.
fn pass<S: ReadStore>(
    source: &Source<'_, S>,
    snapshot: Option<Folded>,
    marks: &[Position],
    mut tree: Option<&mut Tree>,
    visit: &mut dyn FnMut(&RecordHead),
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Replayed>, ReplayError> {
    let (last, archived) = (source.store.last(), source.store.archived());
    let Folded {
        mut directory,
        frontier: expected,
    } = snapshot.unwrap_or_default();
    let known = Position::new(expected.size());
    if known < archived {
        return Err(ReplayError::Archived {
            position: archived,
            folder: source.store.segments().to_owned(),
        });
    }
    let mut frontier = Frontier::new();
    let mut roots_at_marks = vec![EMPTY_ROOT; marks.len()];
    let mut grow = |frontier: &mut Frontier, leaf: Hash| {
        frontier.append(leaf);
        for (mark, root) in marks.iter().zip(&mut roots_at_marks) {
            if mark.get() == frontier.size() {
                *root = frontier.root();
            }
        }
        match &mut tree {
            // A second run brings the same leaves again.
            Some(tree) if tree.size() < frontier.size() => tree.append(leaf),
            _ => Ok(()),
        }
    };
    if let Some(hashes) = source.archived {
        for leaf in archived_leaves(hashes, archived) {
            grow(&mut frontier, leaf?)?;
        }
        if archived > Position::ZERO && archived == known && frontier != expected {
            return Ok(None);
        }
    }

    let done = thread::scope(|scope| {
        let (sender, chunks) = sync_channel(CHUNKS_WAITING);
        let store = source.store.clone();
        scope.spawn(move || read_ahead(&store, archived.next(), last, &sender));
        // Returning drops the receiver, and with it the other thread ends.
        for chunk in chunks {
            for (entry, leaf) in &chunk.entries {
                let position = entry.position();
                grow(&mut frontier, *leaf)?;
                if position <= known {
                    let parsed = parse(source, entry)?;
                    visit(&parsed.head());
                    if position == known && frontier != expected {
                        return Ok(None);
                    }
                } else {
                    visit(&fold(source, &mut directory, entry)?);
                }
            }
            if let Some(error) = chunk.failure {
                return Err(error.into());
            }
            progress(Progress {
                done: frontier.size(),
                total_estimate: last.get(),
            });
        }
        Ok::<_, ReplayError>(Some(()))
    })?;
    Ok(done.map(|()| Replayed {
        folded: Folded {
            directory,
            frontier,
        },
        roots_at_marks,
        snapshot: (known > Position::ZERO).then_some(known),
    }))
}

/// The leaves of the records that were moved away. Whether they are the right ones shows at the end, by the
/// root over all.
fn archived_leaves(
    hashes: &TreeReader,
    archived: Position,
) -> impl Iterator<Item = Result<Hash, TreeError>> {
    let tiles = (0..archived.get()).step_by(TILE_WIDTH);
    tiles.flat_map(move |first| {
        let count = TILE_HASHES.min(archived.get() - first);
        match hashes.hashes(0, first, count) {
            Ok(leaves) => leaves.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    })
}

/// Some records and the hashes of their leaves.
struct Chunk {
    entries: Vec<(StoredEntry, Hash)>,
    failure: Option<ReadError>,
}

fn read_ahead<S: ReadStore>(
    store: &S,
    first: Position,
    last: Position,
    chunks: &SyncSender<Chunk>,
) {
    let mut range = store.range(first, last);
    loop {
        let mut chunk = Chunk {
            entries: Vec::with_capacity(CHUNK_RECORDS),
            failure: None,
        };
        for entry in range.by_ref().take(CHUNK_RECORDS) {
            match entry {
                Ok(entry) => {
                    let leaf = leaf_hash(entry.record());
                    chunk.entries.push((entry, leaf));
                }
                Err(error) => chunk.failure = Some(error),
            }
        }
        let is_end = chunk.entries.len() < CHUNK_RECORDS;
        // Nobody listens any more: the replay has ended with an error of its own.
        if chunks.send(chunk).is_err() || is_end {
            return;
        }
    }
}

/// Goes on from a state up to `to`, on this thread; `None` when `is_wanted` no longer holds.
pub(crate) fn advance<S: ReadStore>(
    source: &Source<'_, S>,
    mut folded: Folded,
    to: Position,
    is_wanted: &mut dyn FnMut() -> bool,
) -> Result<Option<Folded>, ReplayError> {
    for entry in source.store.range(folded.position().next(), to) {
        let entry = entry?;
        if entry.position().get() % CHUNK_RECORDS as u64 == 0 && !is_wanted() {
            return Ok(None);
        }
        folded.frontier.append(leaf_hash(entry.record()));
        fold(source, &mut folded.directory, &entry)?;
    }
    Ok(Some(folded))
}

/// Goes on from a state up to `to`: another thread reads ahead, and no tree is made of the records.
pub(crate) fn advance_state<S: ReadStore>(
    source: &Source<'_, S>,
    mut directory: Directory,
    to: Position,
) -> Result<Directory, ReplayError> {
    if directory.position() >= to {
        return Ok(directory);
    }
    thread::scope(|scope| {
        let (sender, chunks) = sync_channel(CHUNKS_WAITING);
        let (store, from) = (source.store.clone(), directory.position().next());
        scope.spawn(move || read_ahead(&store, from, to, &sender));
        for chunk in chunks {
            for (entry, _) in &chunk.entries {
                fold(source, &mut directory, entry)?;
            }
            if let Some(error) = chunk.failure {
                return Err(error.into());
            }
        }
        Ok(directory)
    })
}

fn parse<'a, S>(source: &Source<'_, S>, entry: &'a StoredEntry) -> Result<Parsed<'a>, ReplayError> {
    Parsed::parse(entry.position(), entry.record()).map_err(|error| not_read(source, entry, error))
}

fn fold<S>(
    source: &Source<'_, S>,
    directory: &mut Directory,
    entry: &StoredEntry,
) -> Result<RecordHead, ReplayError> {
    let parsed = parse(source, entry)?;
    let head = parsed.head();
    let record = parsed
        .open(entry.side(), source.persons, source.depth)
        .map_err(|error| not_read(source, entry, error))?;
    // The state may be half changed after a panic; nobody sees it again.
    catch_unwind(AssertUnwindSafe(|| directory.apply(&record))).map_err(|_| {
        ReplayError::NotApplicable {
            position: entry.position(),
            path: source.path.to_owned(),
        }
    })?;
    Ok(head)
}

fn not_read<S>(source: &Source<'_, S>, entry: &StoredEntry, error: RecordError) -> ReplayError {
    ReplayError::Record {
        position: entry.position(),
        path: source.path.to_owned(),
        source: error,
    }
}
