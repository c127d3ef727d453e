//! Moving old segments away, to a disk that is slower or safer, without breaking proofs or starts.
//!
//! A ledger whose first segments were moved away starts from a snapshot that stands behind them. The hashes
//! of their records stay, so every proof still holds, and the root over everything is still compared at each
//! start. What cannot be done any more is to read their records here: for that a segment is moved back.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use thiserror::Error;

use crate::files;
use crate::folder::{FolderError, open_without_head};
use crate::publisher::{self, KeptCheckpointError};
use crate::segment::{Segment, SegmentError};
use crate::segments::{Segments, SegmentsError, stub_of};
use crate::snapshot::Snapshots;
use crate::stub;
use crate::tree::{TreeError, TreeReader};

/// Why segments were not moved away. Those that were not yet moved are where they were.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The data folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The segments.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// One of them.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The hashes of the tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The checkpoint that the folder keeps.
    #[error(transparent)]
    Checkpoint(#[from] KeptCheckpointError),
    /// The hashes that must stand for the records are not those that were signed.
    #[error(
        "the tree's hashes are not those of the last checkpoint; start the server once, which writes them again"
    )]
    TreeNotSigned,
    /// Nothing could start the ledger any more.
    #[error(
        "no snapshot stands behind position {needed}; let the server run with a smaller --snapshot-every until \
         there is one"
    )]
    NoSnapshot {
        /// The last record that was to be moved away.
        needed: Position,
    },
    /// A file cannot be copied or removed.
    #[error("{} cannot be written or removed", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Moves the segments whose records are all at or before `up_to` to another folder, each verified before it
/// goes and after it has arrived. Gives where they are now.
///
/// # Errors
/// See [`ArchiveError`].
pub fn archive(folder: &Path, to: &Path, up_to: Position) -> Result<Vec<PathBuf>, ArchiveError> {
    let (folder, master_key, _) = open_without_head(folder)?;
    let paths = folder.paths();
    let key = publisher::verifier(&master_key);
    let segments = Segments::open(&paths.segments())?.list();
    let old: Vec<_> = segments
        .iter()
        .filter(|segment| segment.last() <= up_to)
        .collect();
    let Some(newest) = old.last() else {
        return Ok(Vec::new());
    };
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ArchiveError::Io { path, source }
    };
    // From now on only these hashes stand for the records.
    let signed = publisher::kept_checkpoint(paths, &key)?
        .filter(|signed| signed.size >= newest.last().get())
        .ok_or(ArchiveError::TreeNotSigned)?;
    if TreeReader::open(&paths.tree())?.root(signed.size)? != signed.root {
        return Err(ArchiveError::TreeNotSigned);
    }
    let snapshot = Snapshots::new(paths, &master_key).newest();
    if snapshot.is_none_or(|snapshot| snapshot.position() < newest.last()) {
        let needed = newest.last();
        return Err(ArchiveError::NoSnapshot { needed });
    }
    files::make_folder(to).map_err(io(to))?;
    let mut moved = Vec::new();
    for segment in old {
        let verified = segment.verify(&key)?;
        let Some(name) = segment.path().file_name() else {
            continue;
        };
        let target = to.join(name);
        let beside = files::with_suffix(&target, ".new");
        fs::copy(segment.path(), &beside)
            .and_then(|_| File::open(&beside)?.sync_all())
            .map_err(io(&beside))?;
        Segment::open(&beside)?.verify(&key)?;
        fs::rename(&beside, &target)
            .and_then(|()| files::sync_folder(to))
            .map_err(io(&target))?;
        // Dying between these leaves the segment beside its stub, which then says nothing.
        let stub = stub_of(segment.path());
        stub::write(&stub, &verified.checkpoint, &master_key).map_err(io(&stub))?;
        fs::remove_file(segment.path())
            .and_then(|()| files::sync_parent(segment.path()))
            .map_err(io(segment.path()))?;
        moved.push(target);
    }
    Ok(moved)
}
