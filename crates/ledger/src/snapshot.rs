//! Snapshots: the state at a position, so that a start need not decode all before it. Losing one
//! costs time only, and none is ever believed against the ledger.
//!
//! ```text
//! magic 8 | schema 4 | position 8 | nonce 12 | sealed (frontier, directory) | BLAKE3 32
//! ```
//!
//! They hold personal data, so they are sealed with AES-256-GCM under a key of the key file, the bytes
//! before the nonce as associated data. A tampered one does not open; one of another ledger, or older
//! than a restore, has another Merkle root than the ledger at its position
//! ([`replay`](crate::replay)). Whatever is wrong with one: it is ignored with a warning.
//!
//! They are made by a replay of their own from the last one, on a thread of their own: nobody waits.
//!
//! **When a person is erased, all snapshots of before go** (`Snapshots::forget_before`): they would
//! still tell of the person. Each is made unreadable in place before it is removed, because a removed file
//! lies on the disk for a while.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keyledger_domain::Position;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SecureRandom;
use thiserror::Error;

use crate::files;
use crate::key_file::{MasterKey, NoRandomness, Purpose};
use crate::paths::Paths;
use crate::record::{Depth, Persons};
use crate::replay::{Folded, ReplayError, Source, advance};
use crate::store::ReadStore;

/// The revision of what a snapshot holds.
///
/// **Raise it** whenever a type inside [`Directory`](keyledger_domain::Directory) changes how serde
/// writes it (a field, its order, a variant), and whenever `apply` makes another state of the same
/// records. Snapshots of other revisions are ignored, and the next start replays all. A test compares
/// the golden snapshot and says so when it was forgotten.
pub const SNAPSHOT_SCHEMA: u32 = 10;

const MAGIC: &[u8; 8] = b"KLSNAP 1";
const HEADER_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 32;
const EXTENSION: &str = "snapshot";

/// How many are kept in any case: the newest, and one before it should it turn out to be damaged.
const NEWEST_KEPT: usize = 2;

/// How many are kept at the most. The older ones are for questions about the past.
const SNAPSHOTS_KEPT_MAX: usize = 10;

/// How often it is looked whether one is due.
const CHECK_PAUSE: Duration = Duration::from_mins(1);

/// Why a snapshot is ignored, or was not made.
#[derive(Debug, Error)]
pub(crate) enum SnapshotError {
    #[error("the snapshot {} cannot be read or written", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the snapshot {} is damaged", path.display())]
    Damaged { path: PathBuf },
    #[error("the snapshot {} has schema {found}, this version has {SNAPSHOT_SCHEMA}", path.display())]
    OtherSchema { path: PathBuf, found: u32 },
    #[error("the snapshot {} was not made with this key file, or was changed", path.display())]
    NotOurs { path: PathBuf },
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The snapshots of a data folder.
pub(crate) struct Snapshots {
    folder: PathBuf,
    key: LessSafeKey,
    /// Where the last erasure stands that this process knows of: no snapshot of before may be there.
    floor: AtomicU64,
    /// Up to where records were moved away.
    archived: AtomicU64,
}

impl Snapshots {
    pub(crate) fn new(paths: &Paths, master_key: &MasterKey) -> Self {
        let secret = master_key.sub_key(Purpose::SnapshotSeal);
        let key = UnboundKey::new(&AES_256_GCM, secret.as_bytes())
            .expect("a key of 32 bytes fits AES-256");
        Self {
            folder: paths.snapshots(),
            key: LessSafeKey::new(key),
            floor: AtomicU64::new(0),
            archived: AtomicU64::new(0),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The newest that can be read; a warning for each that cannot.
    pub(crate) fn newest(&self) -> Option<Folded> {
        let there = self.list().unwrap_or_else(|error| {
            tracing::warn!(error = %error, path = %self.folder.display(), "snapshots cannot be listed");
            Vec::new()
        });
        there.iter().rev().find_map(|path| {
            self.read(path)
                .inspect_err(|error| tracing::warn!(%error, "a snapshot is ignored"))
                .ok()
        })
    }

    /// Those that can be read whose position is beyond one and not beyond another, the newest first; a
    /// warning for each that cannot.
    pub(crate) fn between(
        &self,
        beyond: Position,
        upto: Position,
    ) -> impl Iterator<Item = Folded> + '_ {
        let there = self.list().unwrap_or_else(|error| {
            tracing::warn!(error = %error, path = %self.folder.display(), "snapshots cannot be listed");
            Vec::new()
        });
        let there = there.into_iter().rev().filter(move |path| {
            position_of(path).is_some_and(|position| beyond < position && position <= upto)
        });
        there.filter_map(|path| {
            self.read(&path)
                .inspect_err(|error| tracing::warn!(%error, "a snapshot is ignored"))
                .ok()
        })
    }

    /// Where the last erasure stands that this process knows of.
    pub(crate) fn last_erasure(&self) -> Position {
        Position::new(self.floor.load(Ordering::SeqCst))
    }

    /// Says up to where records were moved away: without a snapshot behind them there is no start any more.
    pub(crate) fn stand_for(&self, archived: Position) {
        self.archived.store(archived.get(), Ordering::SeqCst);
    }

    /// Writes a snapshot of the state after an erasure if those of before, which are to go, stand for records
    /// that were moved away. Asked before they go.
    pub(crate) fn renew(
        &self,
        folded: impl FnOnce() -> Folded,
        erasure: Position,
        rng: &dyn SecureRandom,
    ) -> io::Result<()> {
        if self.archived.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let there = self.list()?;
        if there.iter().any(|path| position_of(path) >= Some(erasure)) {
            return Ok(());
        }
        let written = self.write(&folded(), rng);
        written.map(drop).map_err(io::Error::other)
    }

    /// From the oldest to the newest, by the position in their names.
    fn list(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == EXTENSION) {
                paths.push(path);
            }
        }
        paths.sort_unstable();
        Ok(paths)
    }

    fn read(&self, path: &Path) -> Result<Folded, SnapshotError> {
        let damaged = || SnapshotError::Damaged {
            path: path.to_owned(),
        };
        let not_ours = || SnapshotError::NotOurs {
            path: path.to_owned(),
        };
        let mut bytes = fs::read(path).map_err(|source| SnapshotError::Io {
            path: path.to_owned(),
            source,
        })?;
        let (body, checksum) = bytes
            .split_last_chunk_mut::<CHECKSUM_BYTES>()
            .ok_or_else(damaged)?;
        if blake3::hash(body) != blake3::Hash::from_bytes(*checksum) {
            return Err(damaged());
        }
        let (header, rest) = body
            .split_first_chunk_mut::<HEADER_BYTES>()
            .ok_or_else(damaged)?;
        let schema = header[8..].first_chunk().copied().map(u32::from_le_bytes);
        let position = header[12..].first_chunk().copied().map(u64::from_le_bytes);
        let (Some(found), Some(position), true) = (schema, position, header.starts_with(MAGIC))
        else {
            return Err(damaged());
        };
        if found != SNAPSHOT_SCHEMA {
            let path = path.to_owned();
            return Err(SnapshotError::OtherSchema { path, found });
        }
        let (nonce, sealed) = rest
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or_else(damaged)?;
        let plain = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(&*header),
                sealed,
            )
            .map_err(|_| not_ours())?;
        let folded = decode(plain).ok_or_else(damaged)?;
        let agrees =
            folded.position().get() == position && folded.directory.position() == folded.position();
        if agrees { Ok(folded) } else { Err(damaged()) }
    }

    /// Writes one and removes those that are too many; `None` if somebody was erased meanwhile who is
    /// still in it. A death in between leaves the old ones.
    pub(crate) fn write(
        &self,
        folded: &Folded,
        rng: &dyn SecureRandom,
    ) -> Result<Option<PathBuf>, SnapshotError> {
        let position = folded.position().get();
        let path = self.folder.join(format!("{position:020}.{EXTENSION}"));
        let io = |source| SnapshotError::Io {
            path: path.clone(),
            source,
        };
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&SNAPSHOT_SCHEMA.to_le_bytes());
        header[12..].copy_from_slice(&position.to_le_bytes());
        let mut nonce = [0; NONCE_LEN];
        rng.fill(&mut nonce).map_err(|_| NoRandomness)?;

        let mut bytes = Vec::from(header);
        bytes.extend_from_slice(&nonce);
        let start = bytes.len();
        encode(folded, &mut bytes).map_err(|error| io(io::Error::other(error)))?;
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&header),
                &mut bytes[start..],
            )
            .map_err(|_| io(io::Error::other("the state is too large to be sealed")))?;
        bytes.extend_from_slice(tag.as_ref());
        let checksum = blake3::hash(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());

        files::make_folder(&self.folder).map_err(io)?;
        files::replace(&path, &bytes).map_err(io)?;
        // Looked at now that the file is there: an erasure that raised the floor later finds it.
        if position < self.floor.load(Ordering::SeqCst) {
            wipe(&path).map_err(io)?;
            return Ok(None);
        }
        self.prune().map_err(io)?;
        Ok(Some(path))
    }

    /// Removes what was made of the records before an erasure, and lets none of it be written any more.
    /// A death in between leaves some; the next start removes the rest.
    pub(crate) fn forget_before(&self, erasure: Position) -> io::Result<()> {
        // First: a snapshot that is being written now is either seen below, or sees this.
        self.floor.fetch_max(erasure.get(), Ordering::SeqCst);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut removed = 0;
        for entry in entries {
            let path = entry?.path();
            // What has no position in its name was left behind unfinished.
            if position_of(&path).is_none_or(|position| position < erasure) {
                wipe(&path)?;
                removed += 1;
            }
        }
        if removed > 0 {
            files::sync_folder(&self.folder)?;
            tracing::info!(removed, "snapshots of before an erasure were removed");
        }
        Ok(())
    }

    /// Whether a snapshot at this position was removed because somebody was erased after it.
    fn is_forgotten(&self, position: Position) -> bool {
        position.get() < self.floor.load(Ordering::SeqCst)
    }

    /// Removes all: they turned out to be of another ledger, and none may be built upon.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.list()?
            .iter()
            .try_for_each(|path| files::remove_if_there(path))
    }

    /// Keeps the newest two, and older ones at growing distances.
    fn prune(&self) -> io::Result<()> {
        let there = self.list()?;
        let positions: Vec<u64> = there
            .iter()
            .map(|path| position_of(path).map_or(0, Position::get))
            .collect();
        for (path, is_kept) in there.iter().zip(kept(&positions)) {
            if !is_kept {
                files::remove_if_there(path)?;
            }
        }
        Ok(())
    }
}

/// The position in a snapshot's name.
fn position_of(path: &Path) -> Option<Position> {
    let (position, _) = path.file_name()?.to_str()?.split_once('.')?;
    position.parse().ok().map(Position::new)
}

/// Which of these positions are kept, given from the oldest to the newest: the newest two, and of those at
/// a distance of 2^n to 2^(n+1) from the newest the oldest. So the way from a snapshot to what is asked for
/// grows with its age and with nothing else.
fn kept(positions: &[u64]) -> Vec<bool> {
    let newest = positions.last().copied().unwrap_or_default();
    let mut classes = Vec::new();
    let older = positions.len().saturating_sub(NEWEST_KEPT);
    let mut kept = Vec::with_capacity(positions.len());
    for (place, position) in positions.iter().enumerate() {
        let class = newest.saturating_sub(*position).max(1).ilog2();
        kept.push(place >= older || !classes.contains(&class));
        classes.push(class);
    }
    // The oldest go where there are too many.
    let count = kept.iter().filter(|kept| **kept).count();
    let too_many = count.saturating_sub(SNAPSHOTS_KEPT_MAX);
    let oldest = kept.iter_mut().filter(|kept| **kept).take(too_many);
    oldest.for_each(|kept| *kept = false);
    kept
}

/// Makes a snapshot unreadable in place, then removes it. Without its nonce nobody opens it, also not with
/// the key.
fn wipe(path: &Path) -> io::Result<()> {
    let wiped = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.write_all_at(&[0; NONCE_LEN], HEADER_BYTES as u64)?;
        file.sync_data()
    });
    match wiped {
        // The one who was writing it has renamed or removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => files::remove_if_there(path),
    }
}

pub(crate) fn encode(
    folded: &Folded,
    bytes: &mut Vec<u8>,
) -> Result<(), bincode::error::EncodeError> {
    let parts = (&folded.frontier, &folded.directory);
    bincode::serde::encode_into_std_write(parts, bytes, bincode::config::standard()).map(drop)
}

/// Without a limit: the bytes were sealed by us, or they would not be here.
pub(crate) fn decode(bytes: &[u8]) -> Option<Folded> {
    let ((frontier, directory), used) =
        bincode::serde::decode_from_slice(bytes, bincode::config::standard()).ok()?;
    (used == bytes.len()).then_some(Folded {
        directory,
        frontier,
    })
}

/// The thread that makes snapshots. Dropped, it ends by itself.
pub(crate) struct SnapshotThread {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl SnapshotThread {
    /// Looks now and then whether more than `every` records came since the last snapshot, which
    /// stands at `last`; 0 makes none at all.
    pub(crate) fn start<S: ReadStore + 'static>(
        maker: SnapshotMaker<S>,
        last: Position,
        every: u64,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(move || {
                if every > 0 {
                    maker.run(last, every, &stopped);
                }
            })?;
        Ok(Self { stop, thread })
    }

    /// Ends it, in the middle of a snapshot too, and waits until it reads no record any more.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::warn!("the thread that makes snapshots had broken");
        }
    }
}

/// Makes snapshots out of the records.
pub(crate) struct SnapshotMaker<S> {
    pub(crate) store: S,
    pub(crate) path: PathBuf,
    pub(crate) persons: Arc<Persons>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) rng: Arc<dyn SecureRandom + Send + Sync>,
}

impl<S: ReadStore> SnapshotMaker<S> {
    fn run(&self, mut last: Position, every: u64, stopped: &Receiver<()>) {
        loop {
            if self.snapshots.is_forgotten(last) {
                last = Position::ZERO;
            }
            let behind = self.store.last().get().saturating_sub(last.get());
            if behind > every {
                let mut is_wanted = || stopped.try_recv() == Err(TryRecvError::Empty);
                match self.make(&mut is_wanted) {
                    Ok(Some(made)) => last = made,
                    Ok(None) => return,
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "no snapshot was made"
                    ),
                }
            }
            match stopped.recv_timeout(CHECK_PAUSE) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Makes one at the last record; `None` if it was no longer wanted.
    pub(crate) fn make(
        &self,
        is_wanted: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Position>, SnapshotError> {
        let source = Source {
            store: &self.store,
            path: &self.path,
            persons: &self.persons,
            depth: Depth::State,
            archived: None,
        };
        let last = self.store.last();
        let base = self
            .snapshots
            .newest()
            .filter(|base| base.position() <= last)
            .unwrap_or_default();
        let Some(folded) = advance(&source, base, last, is_wanted)? else {
            return Ok(None);
        };
        if let Some(path) = self.snapshots.write(&folded, &*self.rng)? {
            tracing::info!(position = %folded.position(), path = %path.display(), "a snapshot was made");
        }
        Ok(Some(folded.position()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_two_are_kept_and_older_ones_at_growing_distances() {
        let mut there: Vec<u64> = Vec::new();
        for made in 1..=4_096 {
            there.push(made * 1_000);
            let is_kept = kept(&there);
            let mut kept = is_kept.iter();
            there.retain(|_| *kept.next().expect("one each"));
            assert!(there.len() <= SNAPSHOTS_KEPT_MAX);
            assert!(there.ends_with(&[made * 1_000]));
            let before = there.len().checked_sub(2).map(|place| there[place]);
            assert_eq!(before, (made > 1).then(|| (made - 1) * 1_000));
        }
        let newest = 4_096_000;
        let distances: Vec<u64> = there.iter().rev().map(|at| newest - at).collect();
        for pair in distances[1..].windows(2) {
            assert!(pair[1] <= pair[0] * 5, "a hole between {pair:?}");
        }
        assert!(distances.last() > Some(&200_000), "{distances:?}");
        assert_eq!(kept(&[]), Vec::<bool>::new());
        assert_eq!(kept(&[7]), [true]);
    }
}
