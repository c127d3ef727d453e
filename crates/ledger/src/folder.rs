//! The data folder: what lies where, who holds it, and that it belongs to its key file.
//!
//! ```text
//! LOCK             held by the process that has the folder, with its number inside
//! FORMAT           the revision of the folder, and a check value that binds it to its key file
//! keys/master.key  the secrets; keep a copy of it elsewhere        keys/people.key  a key a person
//! keys/setup.key   the one-time code, until there is an owner
//! head             how far the ledger has come                     events/          sled: the ledger
//! snapshots/       to start quickly; may be lost                   events.manifest  after a clean stop
//! usage/           sled: counts and last uses; may be lost           credits/         sled: credits left
//! ```
//!
//! **The first start** makes the keys in `keys.new/`, then `FORMAT` and `head`, syncs them, renames
//! `keys.new` to `keys`, and only then does sled make `events/`. A death at any point leaves a state that
//! cannot be taken for another:
//!
//! | there is | it means | so |
//! |---|---|---|
//! | nothing, but perhaps `lost+found` | a new folder | first start |
//! | something, and nothing of all this | it is somebody else's | refuse |
//! | only the `LOCK` of a start that died at once | a new folder | first start |
//! | no `keys/`, but `keys.new/`, and no `events/` | the first start died before the rename | begin it again |
//! | no `keys/`, but any of the rest | somebody removed the keys | refuse |
//! | `keys/`, but no `FORMAT` or no `head` | somebody removed the ledger | refuse |
//! | all three, the head at position 0, no `events/` | the first start died before sled's turn | go on |
//! | all three, the head further on, no `events/` | somebody removed the records | refuse ([`opening`](crate::opening)) |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::rand::SecureRandom;
use thiserror::Error;

use crate::files;
use crate::head::{HeadError, HeadFile};
use crate::key_file::{KeyFileError, MasterKey, NoRandomness, Purpose};
use crate::paths::Paths;
use crate::person_keys::{PersonKeyError, PersonKeys};
use crate::vault::Vault;

/// The revision of the folder that this binary makes, and the newest it reads.
pub const FORMAT_REVISION: u32 = 1;

/// The first word of `FORMAT`.
const FORMAT_MAGIC: &str = "keyledger-data";

/// The bytes that are free, for us, on the disk of a folder.
///
/// # Errors
/// What the system says, for example that there is no such folder.
pub fn available_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Why a data folder is not opened.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Nothing can be made in it.
    #[error("the data folder {} cannot be written; give it to the user who runs this", path.display())]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it cannot be read or made.
    #[error("{} cannot be read or made", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "the data folder {} is in use{}; stop that process or choose another folder",
        path.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    )]
    FolderInUse {
        /// The folder.
        path: PathBuf,
        /// The process that has it, if it could be read.
        pid: Option<u32>,
    },
    /// It holds other things and no ledger.
    #[error(
        "{} is no data folder: there is no ledger in it, but other things ({}); name an empty folder, or one \
         that is not there yet",
        path.display(), found.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// The name of one of them.
        found: PathBuf,
    },
    /// There is something in it, where nothing was to be.
    #[error("{} is not empty ({}); name a folder that is, or that is not there yet", path.display(), found.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// The name of one of the things in it.
        found: PathBuf,
    },
    /// There is no ledger in it, and none was to be made.
    #[error("{} is no data folder: there is no ledger in it", path.display())]
    NoLedger {
        /// The folder.
        path: PathBuf,
    },
    /// There is a ledger, but not its keys.
    #[error(
        "{} is missing, but the folder holds a ledger; put back the copy you keep of it",
        path.display()
    )]
    KeysMissing {
        /// What is missing.
        path: PathBuf,
    },
    /// There are keys, but not their ledger.
    #[error(
        "{} is missing, but the folder has keys, so there was a ledger; restore the data folder from a \
         backup, or remove all of it to begin a new one",
        path.display()
    )]
    LedgerRemoved {
        /// What is missing.
        path: PathBuf,
    },
    /// `FORMAT` is not what we write there.
    #[error("{} is damaged; restore it from a backup", path.display())]
    FormatDamaged {
        /// The file.
        path: PathBuf,
    },
    /// A newer Keyledger made the folder.
    #[error(
        "{} has revision {found}, this version reads up to {FORMAT_REVISION}; use a newer one",
        path.display()
    )]
    FormatTooNew {
        /// The file.
        path: PathBuf,
        /// Its revision.
        found: u32,
    },
    /// Folder and key file do not belong together.
    #[error(
        "the key file {} does not belong to this data folder (the check value in {} differs); put \
         back the right one",
        path.display(), format.display()
    )]
    WrongKeyFile {
        /// The key file.
        path: PathBuf,
        /// The file with the check value.
        format: PathBuf,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The head cannot be used.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The keys of persons cannot be used.
    #[error(transparent)]
    PersonKeys(#[from] PersonKeyError),
    /// No key could be made.
    #[error("no keys could be made for the data folder")]
    NoRandomness(#[from] NoRandomness),
}

/// A data folder that this process alone holds, for as long as this value lives.
pub struct DataFolder {
    paths: Paths,
    /// The lock goes with the file.
    _lock: File,
}

impl DataFolder {
    /// Where everything lies.
    pub const fn paths(&self) -> &Paths {
        &self.paths
    }
}

/// A data folder and what was opened in it; the ledger itself is opened next
/// ([`SledStore::open`](crate::sled_store::SledStore::open)).
pub struct OpenFolder {
    /// The folder; keep it as long as anything in it is used.
    pub folder: DataFolder,
    /// The secrets.
    pub master_key: MasterKey,
    /// How far the ledger has come.
    pub head: HeadFile,
    /// The keys of persons.
    pub people: PersonKeys,
}

impl OpenFolder {
    /// Opens a data folder; makes it, with its keys and an empty ledger, if there is none.
    ///
    /// # Errors
    /// See [`FolderError`]. What is there is left as it is.
    pub fn open_or_create(root: &Path, rng: &dyn SecureRandom) -> Result<Self, FolderError> {
        let paths = Paths::new(root);
        if !root.is_dir() {
            files::make_folder(root)
                .and_then(|()| files::sync_parent(root))
                .map_err(|source| FolderError::NotWritable {
                    path: root.to_owned(),
                    source,
                })?;
        }
        check_not_foreign(&paths)?;
        let folder = lock(paths)?;
        match stage(&folder.paths)? {
            Stage::New => create(&folder.paths, rng)?,
            Stage::Interrupted => {
                clear(&folder.paths)?;
                create(&folder.paths, rng)?;
            }
            Stage::Complete => {}
        }
        open(folder)
    }

    /// Opens a data folder in which there is a ledger.
    ///
    /// # Errors
    /// See [`FolderError`]. Nothing is made but the file of the lock.
    pub fn open(root: &Path) -> Result<Self, FolderError> {
        if !root.is_dir() {
            return Err(FolderError::NoLedger {
                path: root.to_owned(),
            });
        }
        let folder = lock(Paths::new(root))?;
        match stage(&folder.paths)? {
            Stage::New | Stage::Interrupted => Err(FolderError::NoLedger {
                path: root.to_owned(),
            }),
            Stage::Complete => open(folder),
        }
    }
}

/// A data folder with its keys and without its head, for whoever looks whether the head is right.
pub(crate) fn open_without_head(
    root: &Path,
) -> Result<(DataFolder, MasterKey, PersonKeys), FolderError> {
    let no_ledger = || FolderError::NoLedger {
        path: root.to_owned(),
    };
    if !root.is_dir() {
        return Err(no_ledger());
    }
    let folder = lock(Paths::new(root))?;
    match stage(&folder.paths)? {
        Stage::New | Stage::Interrupted => Err(no_ledger()),
        Stage::Complete => {
            let (master_key, people) = open_keys(&folder.paths)?;
            Ok((folder, master_key, people))
        }
    }
}

fn open_keys(paths: &Paths) -> Result<(MasterKey, PersonKeys), FolderError> {
    let master_key = MasterKey::read(&paths.master_key())?;
    check_format(paths, &master_key)?;
    let people = PersonKeys::open(&paths.people_keys(), Vault::new(master_key.sealing()))?;
    Ok((master_key, people))
}

/// A mistyped path must not fill somebody's folder with keys, nor leave as much as a lock there.
fn check_not_foreign(paths: &Paths) -> Result<(), FolderError> {
    let root = paths.root();
    let io = |source| FolderError::Io {
        path: root.to_owned(),
        source,
    };
    let mut found = None;
    for entry in fs::read_dir(root).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if paths.is_ours(&root.join(&name)) {
            return Ok(());
        }
        if name != "lost+found" {
            found = Some(PathBuf::from(name));
        }
    }
    found.map_or(Ok(()), |found| {
        Err(FolderError::Foreign {
            path: root.to_owned(),
            found,
        })
    })
}

fn lock(paths: Paths) -> Result<DataFolder, FolderError> {
    let path = paths.lock();
    let io = |source| FolderError::Io {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|source| FolderError::NotWritable {
            path: paths.root().to_owned(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            return Err(FolderError::FolderInUse {
                path: paths.root().to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    // Only to be told to the next one who wants the folder; a death leaves it, without the lock.
    file.set_len(0).map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(DataFolder { paths, _lock: file })
}

/// How far the first start has come; see the table at the top.
enum Stage {
    New,
    Interrupted,
    Complete,
}

fn stage(paths: &Paths) -> Result<Stage, FolderError> {
    let there = |path: PathBuf| {
        path.try_exists().map_err(|source| FolderError::Io {
            path: path.clone(),
            source,
        })
    };
    let records = there(paths.events())? || there(paths.aside())?;
    if there(paths.keys())? {
        for path in [paths.format(), paths.head()] {
            if !there(path.clone())? {
                return Err(FolderError::LedgerRemoved { path });
            }
        }
        if !there(paths.master_key())? {
            return Err(FolderError::KeysMissing {
                path: paths.master_key(),
            });
        }
        return Ok(Stage::Complete);
    }
    if there(paths.keys_unfinished())? && !records {
        return Ok(Stage::Interrupted);
    }
    if records || there(paths.format())? || there(paths.head())? || there(paths.snapshots())? {
        return Err(FolderError::KeysMissing {
            path: paths.master_key(),
        });
    }
    Ok(Stage::New)
}

/// Removes what a first start had made before it died. `keys.new` goes last: while it is there the
/// state is the same.
fn clear(paths: &Paths) -> Result<(), FolderError> {
    let unfinished = paths.keys_unfinished();
    files::remove_if_there(&paths.head())
        .and_then(|()| files::remove_if_there(&paths.format()))
        .and_then(|()| files::remove_folder_if_there(&paths.snapshots()))
        .and_then(|()| files::sync_folder(paths.root()))
        .and_then(|()| files::remove_folder_if_there(&unfinished))
        .map_err(|source| FolderError::Io {
            path: unfinished,
            source,
        })
}

fn create(paths: &Paths, rng: &dyn SecureRandom) -> Result<(), FolderError> {
    let master_key = MasterKey::generate(rng)?;
    prepare(paths, &master_key, None)?;
    complete(paths)
}

/// Makes all of a folder but the ledger, with `keys` still under another name: until [`complete`] it is
/// nothing that a start would take for a ledger. `people` are the keys of persons, if there are any yet.
pub(crate) fn prepare(
    paths: &Paths,
    master_key: &MasterKey,
    people: Option<&[u8]>,
) -> Result<(), FolderError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| FolderError::Io { path, source }
    };
    let unfinished = paths.keys_unfinished();
    files::make_folder(&unfinished).map_err(io(&unfinished))?;
    master_key.write(&unfinished.join("master.key"))?;
    let people_keys = unfinished.join("people.key");
    match people {
        None => PersonKeys::create(&people_keys)?,
        Some(bytes) => files::write_new(&people_keys, bytes).map_err(io(&people_keys))?,
    }
    files::sync_folder(&unfinished).map_err(io(&unfinished))?;
    // The name of `keys.new` must be on the disk before those of the others: alone they would look
    // like a ledger whose keys were removed.
    files::sync_folder(paths.root()).map_err(io(paths.root()))?;

    files::make_folder(&paths.snapshots()).map_err(io(&paths.snapshots()))?;
    files::write_new(&paths.format(), format_text(master_key).as_bytes())
        .map_err(io(&paths.format()))?;
    HeadFile::create(&paths.head(), &master_key.sub_key(Purpose::HeadTag))?;
    files::sync_folder(paths.root()).map_err(io(paths.root()))
}

/// From here on it is a ledger.
pub(crate) fn complete(paths: &Paths) -> Result<(), FolderError> {
    let unfinished = paths.keys_unfinished();
    fs::rename(&unfinished, paths.keys())
        .and_then(|()| files::sync_folder(paths.root()))
        .map_err(|source| FolderError::Io {
            path: unfinished,
            source,
        })
}

/// Locks a folder in which there is nothing yet, and makes it if it is not there.
pub(crate) fn lock_empty(root: &Path) -> Result<DataFolder, FolderError> {
    let io = |source| FolderError::Io {
        path: root.to_owned(),
        source,
    };
    if !root.is_dir() {
        files::make_folder(root)
            .and_then(|()| files::sync_parent(root))
            .map_err(|source| FolderError::NotWritable {
                path: root.to_owned(),
                source,
            })?;
    }
    for entry in fs::read_dir(root).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if name != "lost+found" && name != "LOCK" {
            return Err(FolderError::NotEmpty {
                path: root.to_owned(),
                found: PathBuf::from(name),
            });
        }
    }
    lock(Paths::new(root))
}

fn open(folder: DataFolder) -> Result<OpenFolder, FolderError> {
    let paths = &folder.paths;
    let (master_key, people) = open_keys(paths)?;
    let head = HeadFile::open_with_witness(&paths.head(), &paths.head_witness(), || {
        master_key.sub_key(Purpose::HeadTag)
    })?;
    // Snapshots may be lost, and their folder with them.
    files::make_folder(&paths.snapshots()).map_err(|source| FolderError::Io {
        path: paths.snapshots(),
        source,
    })?;
    Ok(OpenFolder {
        folder,
        master_key,
        head,
        people,
    })
}

fn check_value(revision: u32, master_key: &MasterKey) -> String {
    let tag = master_key
        .sub_key(Purpose::FolderCheck)
        .tag(&revision.to_le_bytes());
    tag.to_hex().to_string()
}

fn format_text(master_key: &MasterKey) -> String {
    let check = check_value(FORMAT_REVISION, master_key);
    format!("{FORMAT_MAGIC} {FORMAT_REVISION}\ncheck {check}\n")
}

fn check_format(paths: &Paths, master_key: &MasterKey) -> Result<(), FolderError> {
    let path = paths.format();
    let text = fs::read(&path).map_err(|source| FolderError::Io {
        path: path.clone(),
        source,
    })?;
    let parsed = str::from_utf8(&text).ok().and_then(|text| {
        let (first, rest) = text.split_once('\n')?;
        let revision: u32 = first
            .strip_prefix(FORMAT_MAGIC)?
            .strip_prefix(' ')?
            .parse()
            .ok()?;
        Some((revision, rest))
    });
    let Some((revision, rest)) = parsed else {
        return Err(FolderError::FormatDamaged { path });
    };
    if revision > FORMAT_REVISION {
        return Err(FolderError::FormatTooNew {
            path,
            found: revision,
        });
    }
    let check = rest
        .strip_prefix("check ")
        .and_then(|rest| rest.strip_suffix('\n'));
    match check {
        Some(check) if check == check_value(revision, master_key) => Ok(()),
        Some(check) if check.len() == 64 && check.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Err(FolderError::WrongKeyFile {
                path: paths.master_key(),
                format: path,
            })
        }
        Some(_) | None => Err(FolderError::FormatDamaged { path }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use ring::rand::SystemRandom;

    use super::*;
    use crate::head::Head;

    fn rng() -> SystemRandom {
        SystemRandom::new()
    }

    /// A folder whose first start went well, up to sled's turn.
    fn made() -> (tempfile::TempDir, Paths) {
        let outer = tempfile::tempdir().expect("a folder");
        let paths = Paths::new(&outer.path().join("deep/data"));
        OpenFolder::open_or_create(paths.root(), &rng()).expect("it is made");
        (outer, paths)
    }

    fn refused(paths: &Paths) -> FolderError {
        OpenFolder::open_or_create(paths.root(), &rng())
            .err()
            .expect("refused")
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let outer = tempfile::tempdir().expect("a folder");
        let paths = Paths::new(outer.path());
        fs::create_dir(outer.path().join("lost+found")).expect("room");
        fs::write(outer.path().join("thesis.txt"), "words").expect("room");
        let FolderError::Foreign { found, .. } = refused(&paths) else {
            panic!("it is somebody else's");
        };
        assert_eq!(found.as_os_str(), "thesis.txt");
        assert!(!paths.lock().exists(), "not as much as a lock");
        fs::remove_file(outer.path().join("thesis.txt")).expect("it is there");
        OpenFolder::open_or_create(paths.root(), &rng()).expect("it is made");
        fs::write(outer.path().join("notes.txt"), "words").expect("room");
        OpenFolder::open_or_create(paths.root(), &rng()).expect("it is ours");
    }

    #[test]
    fn a_new_folder_is_made_for_its_owner_alone_and_opened_again() {
        let (_outer, paths) = made();
        let mode =
            |path: PathBuf| path.metadata().expect("it is there").permissions().mode() & 0o777;
        for folder in [paths.root().to_owned(), paths.keys(), paths.snapshots()] {
            assert_eq!(mode(folder), 0o700);
        }
        for file in [
            paths.lock(),
            paths.format(),
            paths.head(),
            paths.master_key(),
            paths.people_keys(),
        ] {
            assert_eq!(mode(file), 0o600);
        }
        let open = OpenFolder::open(paths.root()).expect("it opens");
        assert_eq!(*open.head.current(), Head::EMPTY);
        assert!(!paths.keys_unfinished().exists());
    }

    #[test]
    fn a_second_process_is_told_who_has_the_folder() {
        let (_outer, paths) = made();
        let first = OpenFolder::open(paths.root()).expect("it opens");
        let error = refused(&paths);
        let FolderError::FolderInUse { path, pid } = &error else {
            panic!("{error}")
        };
        assert_eq!(
            (path.as_path(), *pid),
            (paths.root(), Some(std::process::id()))
        );
        drop(first);
        OpenFolder::open(paths.root()).expect("it is free again");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let outer = tempfile::tempdir().expect("a folder");
        let file = outer.path().join("file");
        fs::write(&file, b"").expect("written");
        let paths = Paths::new(&file.join("data"));
        let error = refused(&paths);
        assert!(matches!(error, FolderError::NotWritable { .. }), "{error}");
        assert!(error.to_string().contains("file/data"), "{error}");
        let error = OpenFolder::open(paths.root()).err().expect("refused");
        assert!(matches!(error, FolderError::NoLedger { .. }), "{error}");
    }

    #[test]
    fn opening_without_making_leaves_an_empty_folder_empty() {
        let outer = tempfile::tempdir().expect("a folder");
        let error = OpenFolder::open(outer.path()).err().expect("refused");
        assert!(matches!(error, FolderError::NoLedger { .. }), "{error}");
        let names: Vec<_> = fs::read_dir(outer.path())
            .expect("it is read")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["LOCK"]);
    }

    #[test]
    fn a_first_start_that_died_anywhere_is_begun_again() {
        // The states before the rename, as `create` passes through them.
        for made_so_far in 0..4 {
            let (_outer, paths) = made();
            fs::rename(paths.keys(), paths.keys_unfinished()).expect("renamed back");
            if made_so_far < 3 {
                fs::write(paths.head(), b"torn").expect("written");
            }
            if made_so_far < 2 {
                fs::remove_file(paths.head()).expect("removed");
            }
            if made_so_far < 1 {
                fs::remove_file(paths.format()).expect("removed");
                fs::remove_file(paths.keys_unfinished().join("people.key")).expect("removed");
            }
            let open = OpenFolder::open_or_create(paths.root(), &rng()).expect("begun again");
            assert_eq!(*open.head.current(), Head::EMPTY, "{made_so_far}");
            assert!(!paths.keys_unfinished().exists());
        }
        // And the one behind it, before sled's turn, is simply opened: `made` left it so.
        let (_outer, paths) = made();
        let before = fs::read(paths.master_key()).expect("it is read");
        OpenFolder::open_or_create(paths.root(), &rng()).expect("goes on");
        assert_eq!(
            fs::read(paths.master_key()).expect("it is read"),
            before,
            "the same keys"
        );
    }

    #[test]
    fn keys_without_their_ledger_are_refused() {
        for remove in [Paths::head, Paths::format] {
            let (_outer, paths) = made();
            fs::remove_file(remove(&paths)).expect("removed");
            let FolderError::LedgerRemoved { path } = refused(&paths) else {
                panic!()
            };
            assert_eq!(path, remove(&paths));
            assert!(!path.exists(), "nothing was made in its place");
        }
    }

    #[test]
    fn a_ledger_without_its_keys_is_refused() {
        let (_outer, paths) = made();
        fs::remove_file(paths.master_key()).expect("removed");
        assert!(matches!(refused(&paths), FolderError::KeysMissing { .. }));
        fs::remove_dir_all(paths.keys()).expect("removed");
        let FolderError::KeysMissing { path } = refused(&paths) else {
            panic!()
        };
        assert_eq!(path, paths.master_key());
        // Not even where it looks like an interrupted first start, once there are records.
        fs::create_dir(paths.keys_unfinished()).expect("made");
        fs::create_dir(paths.events()).expect("made");
        assert!(matches!(refused(&paths), FolderError::KeysMissing { .. }));
    }

    #[test]
    fn a_key_file_of_another_folder_is_refused_and_named() {
        let (_outer, paths) = made();
        let (_other_outer, other) = made();
        fs::copy(other.master_key(), paths.master_key()).expect("copied");
        let error = refused(&paths);
        let FolderError::WrongKeyFile { path, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*path, paths.master_key());
    }

    #[test]
    fn an_added_pepper_leaves_the_folder_bound_to_its_key_file() {
        let (_outer, paths) = made();
        let mut key = MasterKey::read(&paths.master_key()).expect("it is read");
        key.add_pepper(&rng()).expect("randomness");
        key.write(&paths.master_key()).expect("written");
        OpenFolder::open(paths.root()).expect("it opens");
    }

    #[test]
    fn every_changed_byte_of_format_is_refused_and_the_file_stays() {
        let (_outer, paths) = made();
        let good = fs::read(paths.format()).expect("it is read");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            for bytes in [&bad[..], &good[..at]] {
                fs::write(paths.format(), bytes).expect("written");
                let error = refused(&paths);
                assert!(error.to_string().contains("FORMAT"), "byte {at}: {error}");
                assert_eq!(
                    fs::read(paths.format()).expect("it is read"),
                    bytes,
                    "untouched"
                );
            }
        }
        fs::write(paths.format(), format!("{FORMAT_MAGIC} 2\nnobody knows\n")).expect("written");
        assert!(matches!(
            refused(&paths),
            FolderError::FormatTooNew { found: 2, .. }
        ));
    }
}
