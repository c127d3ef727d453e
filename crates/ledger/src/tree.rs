//! The hashes of the tree on the disk, as tiles want them (C2SP tlog-tiles), and proofs out of them.
//!
//! `tree/<L>` holds the hashes of tile level `L`, 32 bytes each, one behind the other: `tree/0` those of the
//! leaves, each higher one the roots of the full tiles below. So a tile of 256 hashes is a slice of a file, a
//! partial tile is the beginning of that slice, and since files only grow every tile that was ever served can
//! be served again.
//!
//! **All of this is derived.** The ledger's own hash of its records decides; at each start what lies here is
//! compared with it, hash by hash, and written again where it differs. What is served comes from below a
//! size whose root, computed out of these files, is the one that was signed ([`publisher`](crate::publisher)).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

use crate::files;
use crate::merkle::proof::{self, Nodes};
use crate::merkle::{Hash, node_hash};

/// How many hashes a full tile has: the subtree of 8 levels (C2SP tlog-tiles).
pub const TILE_HASHES: u64 = 256;

/// The same, for memory.
pub(crate) const TILE_WIDTH: usize = 256;

/// How many levels of the tree one tile level is.
const TILE_HEIGHT: u32 = 8;
const HASH_BYTES: usize = 32;
/// 2^64 leaves have no more.
const LEVELS_MAX: usize = 8;

/// The hashes cannot be read or written.
#[derive(Debug, Error)]
#[error("the tree's hashes in {} cannot be read or written", path.display())]
pub struct TreeError {
    /// The file.
    path: PathBuf,
    /// What the system said.
    source: io::Error,
}

/// The files, for reading by any number of threads. What lies below a published size never changes.
#[derive(Clone)]
pub struct TreeReader {
    folder: PathBuf,
    levels: Arc<RwLock<Vec<Arc<File>>>>,
}

/// The files, for the one who writes them.
pub struct Tree {
    reader: TreeReader,
    levels: Vec<Level>,
    /// How many hashes lay here otherwise than the ledger has them.
    mended: u64,
    /// What is to be written, as long as the ledger is not proven: a start that is refused changes nothing.
    held: Option<Vec<Held>>,
}

/// Bytes for a file of a level, not written yet.
struct Held {
    level: usize,
    offset: u64,
    bytes: Vec<u8>,
}

struct Level {
    file: Arc<File>,
    path: PathBuf,
    /// How many hashes it has.
    size: u64,
    /// Those of the tile that is not full yet.
    tile: Vec<Hash>,
    /// How many of these are in the file, for certain.
    written: usize,
    /// Whether the file has been written to since the last sync.
    dirty: bool,
    /// The hashes that lay in the file when it was opened, and were not compared to the end yet.
    found: u64,
    /// Whether the name of the file survives a power cut.
    is_named: bool,
}

impl Tree {
    /// Opens the files, or makes them. They count for nothing yet: give it all leaves from the first on
    /// ([`Tree::append`]). Nothing is written before [`Tree::sync`].
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, TreeError> {
        files::make_folder(folder).map_err(|source| TreeError {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            reader: TreeReader {
                folder: folder.to_owned(),
                levels: Arc::default(),
            },
            levels: Vec::new(),
            mended: 0,
            held: Some(Vec::new()),
        })
    }

    /// For those who read.
    pub fn reader(&self) -> TreeReader {
        self.reader.clone()
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |level| level.size)
    }

    /// Takes the next leaf. It is in the files after [`Tree::sync`] at the latest.
    ///
    /// # Errors
    /// If a tile that became full cannot be written.
    pub fn append(&mut self, leaf: Hash) -> Result<(), TreeError> {
        let mut hash = leaf;
        for at in 0..LEVELS_MAX {
            if self.levels.len() == at {
                let level = Level::open(&self.reader.folder, at)?;
                let mut shared = self
                    .reader
                    .levels
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                shared.push(Arc::clone(&level.file));
                drop(shared);
                self.levels.push(level);
            }
            let level = &mut self.levels[at];
            level.tile.push(hash);
            level.size += 1;
            if level.tile.len() < TILE_WIDTH {
                return Ok(());
            }
            self.mended += level.write(at, &mut self.held)?;
            hash = root_of_full_tile(&level.tile);
            level.tile.clear();
            level.written = 0;
        }
        Ok(())
    }

    /// Compares the last tiles too, without writing anything: after it [`Tree::mended`] knows of all that lies
    /// here, and this tells how many hashes too many there are.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn compare(&mut self) -> Result<u64, TreeError> {
        let mut too_many = 0;
        for (at, level) in self.levels.iter_mut().enumerate() {
            self.mended += level.write(at, &mut self.held)?;
            too_many += level.found.saturating_sub(level.size);
        }
        Ok(too_many)
    }

    /// Has all that was appended in the files, and nothing behind it, so that it survives a power cut.
    ///
    /// # Errors
    /// If a file cannot be written or synced.
    pub fn sync(&mut self) -> Result<(), TreeError> {
        for held in self.held.take().into_iter().flatten() {
            let level = &mut self.levels[held.level];
            level
                .file
                .write_all_at(&held.bytes, held.offset)
                .map_err(|source| level.error(source))?;
            level.dirty = true;
        }
        let folder = &self.reader.folder;
        for (at, level) in self.levels.iter_mut().enumerate() {
            self.mended += level.write(at, &mut None)?;
            level.cut_off_rest()?;
            if level.dirty {
                level
                    .file
                    .sync_data()
                    .map_err(|source| level.error(source))?;
                level.dirty = false;
            }
            if !level.is_named {
                files::sync_folder(folder).map_err(|source| level.error(source))?;
                level.is_named = true;
            }
        }
        Ok(())
    }

    /// How many hashes were found to differ from the ledger's since the files were opened.
    pub const fn mended(&self) -> u64 {
        self.mended
    }
}

impl Level {
    fn open(folder: &Path, at: usize) -> Result<Self, TreeError> {
        let path = folder.join(at.to_string());
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .and_then(|file| {
                let bytes = file.metadata()?.len();
                Ok((file, bytes))
            });
        match opened {
            Ok((file, bytes)) => Ok(Self {
                file: Arc::new(file),
                path,
                size: 0,
                tile: Vec::with_capacity(TILE_WIDTH),
                written: 0,
                dirty: false,
                found: bytes / HASH_BYTES as u64,
                is_named: false,
            }),
            Err(source) => Err(TreeError { path, source }),
        }
    }

    fn error(&self, source: io::Error) -> TreeError {
        TreeError {
            path: self.path.clone(),
            source,
        }
    }

    /// Writes what of the tile is not in the file yet; what was found there is compared first. Gives how
    /// many of those found were others. What is held back is written later.
    fn write(&mut self, at: usize, held: &mut Option<Vec<Held>>) -> Result<u64, TreeError> {
        let pending = &self.tile[self.written..];
        if pending.is_empty() {
            return Ok(0);
        }
        let first = self.size - pending.len() as u64;
        let bytes: Vec<u8> = pending.iter().flat_map(|hash| *hash.as_bytes()).collect();
        let offset = first * HASH_BYTES as u64;
        let mut mended = 0;
        let found = usize::try_from(self.found.saturating_sub(first)).unwrap_or(usize::MAX);
        let known = found.min(pending.len());
        if known > 0 {
            let mut there = vec![0; known * HASH_BYTES];
            self.file
                .read_exact_at(&mut there, offset)
                .map_err(|source| self.error(source))?;
            if bytes == there {
                self.written = self.tile.len();
                return Ok(0);
            }
            let pairs = there.chunks(HASH_BYTES).zip(bytes.chunks(HASH_BYTES));
            mended = pairs.filter(|(there, ours)| there != ours).count() as u64;
        }
        self.written = self.tile.len();
        if let Some(held) = held {
            held.push(Held {
                level: at,
                offset,
                bytes,
            });
        } else {
            self.file
                .write_all_at(&bytes, offset)
                .map_err(|source| self.error(source))?;
            self.dirty = true;
        }
        Ok(mended)
    }

    /// Hashes behind the last: of records that a power cut took before anybody was answered for them.
    fn cut_off_rest(&mut self) -> Result<(), TreeError> {
        if self.found > self.size {
            self.file
                .set_len(self.size * HASH_BYTES as u64)
                .map_err(|source| self.error(source))?;
            self.dirty = true;
        }
        self.found = 0;
        Ok(())
    }
}

impl TreeReader {
    /// The files of a folder that nobody writes to.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, TreeError> {
        let mut levels = Vec::new();
        for at in 0..LEVELS_MAX {
            let path = folder.join(at.to_string());
            match File::open(&path) {
                Ok(file) => levels.push(Arc::new(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => return Err(TreeError { path, source }),
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            levels: Arc::new(RwLock::new(levels)),
        })
    }

    /// How many leaves lie there.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn size(&self) -> Result<u64, TreeError> {
        let path = self.folder.join("0");
        match fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len() / HASH_BYTES as u64),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(source) => Err(TreeError { path, source }),
        }
    }

    /// `count` hashes of a tile level from the `first` on.
    ///
    /// # Errors
    /// If they are not there or cannot be read.
    pub fn hashes(&self, level: usize, first: u64, count: u64) -> Result<Vec<Hash>, TreeError> {
        let bytes = self.bytes(level, first, count)?;
        let (hashes, _) = bytes.as_chunks::<HASH_BYTES>();
        Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
    }

    /// The tile: `width` hashes of the `index`-th tile of a tile level, as it is served.
    ///
    /// # Errors
    /// If they are not there or cannot be read.
    pub fn tile(&self, level: usize, index: u64, width: u64) -> Result<Vec<u8>, TreeError> {
        self.bytes(level, index * TILE_HASHES, width)
    }

    fn bytes(&self, level: usize, first: u64, count: u64) -> Result<Vec<u8>, TreeError> {
        let error = |source| TreeError {
            path: self.folder.join(level.to_string()),
            source,
        };
        let levels = self.levels.read().unwrap_or_else(PoisonError::into_inner);
        let file = levels.get(level).map(Arc::clone);
        drop(levels);
        let file = file.ok_or_else(|| error(io::ErrorKind::NotFound.into()))?;
        let bytes = usize::try_from(count).unwrap_or(usize::MAX);
        let mut bytes = vec![0; bytes.saturating_mul(HASH_BYTES)];
        file.read_exact_at(&mut bytes, first.saturating_mul(HASH_BYTES as u64))
            .map_err(error)?;
        Ok(bytes)
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    /// If a hash cannot be read.
    pub fn root(&self, size: u64) -> Result<Hash, TreeError> {
        proof::root(self, size)
    }
}

impl Nodes for TreeReader {
    type Error = TreeError;

    fn node(&self, level: u32, index: u64) -> Result<Hash, TreeError> {
        let width = 1_u64 << (level % TILE_HEIGHT);
        let hashes = self.hashes((level / TILE_HEIGHT) as usize, index * width, width)?;
        Ok(root_of_full_tile(&hashes))
    }
}

/// The root over a power of two of hashes.
fn root_of_full_tile(hashes: &[Hash]) -> Hash {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node_hash(left, right),
                _ => pair[0],
            })
            .collect();
    }
    row[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{Frontier, leaf_hash};

    fn leaf(number: u64) -> Hash {
        leaf_hash(&number.to_le_bytes())
    }

    fn filled(folder: &Path, size: u64) -> Tree {
        let mut tree = Tree::open(folder).unwrap();
        (0..size).for_each(|number| tree.append(leaf(number)).unwrap());
        tree.sync().unwrap();
        tree
    }

    fn root_at(size: u64) -> Hash {
        let mut frontier = Frontier::new();
        (0..size).for_each(|number| frontier.append(leaf(number)));
        frontier.root()
    }

    #[test]
    fn roots_and_proofs_out_of_the_files_are_those_of_the_records() {
        let folder = tempfile::tempdir().unwrap();
        let size = 2 * TILE_HASHES * TILE_HASHES + 3 * TILE_HASHES + 7;
        let tree = filled(folder.path(), size);
        assert_eq!((tree.size(), tree.mended()), (size, 0));
        let reader = tree.reader();
        for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, size] {
            assert_eq!(reader.root(size).unwrap(), root_at(size), "{size}");
        }
        let old = 65_537;
        for index in [0, 255, 256, 65_535, 65_536, size - 1] {
            let path = proof::inclusion(&reader, index, size).unwrap().unwrap();
            assert!(proof::includes(
                leaf(index),
                index,
                size,
                &path,
                root_at(size)
            ));
        }
        let path = proof::consistency(&reader, old, size).unwrap().unwrap();
        assert!(proof::extends(
            old,
            root_at(old),
            size,
            root_at(size),
            &path
        ));
        // A tile of level 1 holds the roots of 256 full tiles below it.
        assert_eq!(reader.hashes(1, 1, 1).unwrap()[0], {
            root_of_full_tile(&(256..512).map(leaf).collect::<Vec<_>>())
        });
        assert_eq!(reader.tile(0, 1, 256).unwrap().len(), 8_192);
        assert!(reader.tile(0, size / 256, 8).is_err(), "beyond the end");
    }

    #[test]
    fn what_lies_there_is_compared_and_mended_and_what_is_too_much_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let files = || [0, 1].map(|level| fs::read(folder.path().join(level.to_string())).unwrap());
        drop(filled(folder.path(), 1_000));
        let right = files();

        for (file, at) in [("0", 5), ("0", 32 * 999), ("1", 40)] {
            let path = folder.path().join(file);
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert_eq!(filled(folder.path(), 1_000).mended(), 1, "{file} {at}");
            assert_eq!(files(), right);
        }
        fs::write(folder.path().join("0"), &right[0][..77]).unwrap();
        assert_eq!(filled(folder.path(), 1_000).mended(), 0);
        assert_eq!(files(), right);
        fs::remove_file(folder.path().join("1")).unwrap();
        drop(filled(folder.path(), 1_000));
        assert_eq!(files(), right);

        let shorter = filled(folder.path(), 700);
        assert_eq!(shorter.mended(), 0);
        assert_eq!(files()[0].len(), 700 * 32);
        assert_eq!(files()[1].len(), 2 * 32);
        assert_eq!(shorter.reader().root(700).unwrap(), root_at(700));
    }
}
