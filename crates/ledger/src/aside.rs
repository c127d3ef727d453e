//! A copy of sled's folder, made before sled opens it after a death.
//!
//! sled 0.34.7 rewrites its files while it opens them: what lies behind a tear is overwritten, and
//! with it the evidence of what was lost, and the chance of getting it back. So the files are
//! copied first, and if the ledger turns out not to be whole the copy takes their place again.
//!
//! Each step is a rename, so that a death between two of them leaves a state that
//! `recover` knows:
//!
//! | there is | it means | so |
//! |---|---|---|
//! | `events.aside.tmp` | a copy unfinished, or one no longer needed | it is removed |
//! | `events.aside` | we died while the ledger was being opened | it is put back |
//! | `events.opened.tmp` | what sled made of files that were refused | it is removed |

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::files;
use crate::paths::Paths;

/// Puts the folder in order after a death amid any of the steps below.
pub(crate) fn recover(paths: &Paths) -> io::Result<()> {
    files::remove_folder_if_there(&paths.aside_unfinished())?;
    if paths.aside().try_exists()? {
        tracing::warn!(
            path = %paths.events().display(),
            "the last start died while it opened the ledger: its copy of the files is put back"
        );
        put_back(paths)?;
    }
    files::remove_folder_if_there(&paths.opened())
}

/// Copies sled's folder. Shares the blocks where the file system can (btrfs, XFS).
///
/// The copy is synced before it gets its name: whatever bears that name is put back by the next start,
/// and after a power cut it must not be an empty shell that replaces good files.
pub(crate) fn copy(paths: &Paths) -> io::Result<()> {
    let unfinished = paths.aside_unfinished();
    let copied = copy_folder(&paths.events(), &unfinished)
        .and_then(|()| fs::rename(&unfinished, paths.aside()))
        .and_then(|()| files::sync_folder(paths.root()));
    if copied.is_err() {
        // On a full disk the half of a copy is the last thing one wants to keep.
        files::remove_folder_if_there(&unfinished)?;
    }
    copied
}

/// The copy takes the place of what sled made of the files.
pub(crate) fn put_back(paths: &Paths) -> io::Result<()> {
    files::remove_folder_if_there(&paths.opened())?;
    match fs::rename(paths.events(), paths.opened()) {
        // We died between the two renames.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    fs::rename(paths.aside(), paths.events())?;
    files::sync_folder(paths.root())?;
    files::remove_folder_if_there(&paths.opened())
}

/// The ledger is whole: the copy is no longer needed.
///
/// Its name must be gone for good before the first record is appended, or the next start would put
/// the copy back over records that were answered for. Hence the rename and the sync before the
/// removal, which may be cut off anywhere.
pub(crate) fn discard(paths: &Paths) -> io::Result<()> {
    fs::rename(paths.aside(), paths.aside_unfinished())?;
    files::sync_folder(paths.root())?;
    files::remove_folder_if_there(&paths.aside_unfinished())
}

/// A copy of a folder whose files nobody changes while it is there: the same files under other names.
pub(crate) fn share_folder(from: &Path, to: &Path) -> io::Result<()> {
    files::make_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if fs::hard_link(entry.path(), &target).is_err() {
            // A file system without such links.
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    files::make_folder(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    files::sync_folder(to)
}
