//! The `head` file: how far the ledger had come, kept beside sled because sled does not say.
//!
//! sled 0.34.7 opens a file that was cut off with `Ok` and fewer events, or none. This file knows
//! better: position and root after the last batch. It is compared before sled opens and after.
//!
//! Two slots, each in a block of 4,096 bytes of its own, written in turn: a torn write costs the
//! older of the two at most. Each is tagged with a key from the key file, so that whoever can
//! write the folder, but cannot read the key file, cannot make a head for a shorter ledger.
//!
//! ```text
//! magic 8 | generation 8 | position 8 | root 32 | db bytes 8 | clean 1 | zero 7 | manifest 32 | tag 32
//! ```
//!
//! The order that keeps it from ever being ahead of the ledger: records synced, head written,
//! callers answered. `kill -9` cannot take the write back (the page cache outlives the process). A power
//! cut can, back to the last [`HeadFile::sync`]; the ledger is then ahead of its head, which is right.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use thiserror::Error;

use crate::files;
use crate::key_file::SubKey;
use crate::merkle::{EMPTY_ROOT, Hash};

const BLOCK_BYTES: usize = 4_096;
const FILE_BYTES: usize = 2 * BLOCK_BYTES;
const MAGIC: &[u8; 8] = b"KLHEAD 1";
const TAG_AT: usize = 104;
const TAG_BYTES: usize = 32;

/// Why the head cannot be used.
#[derive(Debug, Error)]
pub enum HeadError {
    /// The file could not be read or written.
    #[error("the head file {} cannot be read or written", path.display())]
    Io {
        /// The head file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was cut off or grew: no torn write does that.
    #[error(
        "the head file {} has {found_bytes} bytes instead of {FILE_BYTES}; restore the data folder \
         from a backup",
        path.display()
    )]
    WrongLength {
        /// The head file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
    },
    /// Neither of the two slots bears our tag.
    #[error(
        "both slots of the head file {} are damaged or were not written with this key file; restore \
         the data folder from a backup",
        path.display()
    )]
    BothSlotsInvalid {
        /// The head file.
        path: PathBuf,
    },
}

/// How far the ledger had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last record.
    pub position: Position,
    /// The root of the Merkle tree over all records up to it.
    pub root: Hash,
    /// The length of sled's `db` file, in bytes.
    pub db_bytes: u64,
    /// After a clean stop the BLAKE3 hash of the [manifest](crate::manifest) of sled's files, none of
    /// which changes until the next start; `None` while a process has them open, and after it died.
    pub clean: Option<[u8; 32]>,
}

impl Head {
    /// Of a ledger without records, which nobody has opened yet.
    pub const EMPTY: Self = Self {
        position: Position::ZERO,
        root: EMPTY_ROOT,
        db_bytes: 0,
        clean: None,
    };

    fn encode(&self, generation: u64, key: &SubKey) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        block[..8].copy_from_slice(MAGIC);
        block[8..16].copy_from_slice(&generation.to_le_bytes());
        block[16..24].copy_from_slice(&self.position.get().to_le_bytes());
        block[24..56].copy_from_slice(self.root.as_bytes());
        block[56..64].copy_from_slice(&self.db_bytes.to_le_bytes());
        if let Some(manifest) = &self.clean {
            block[64] = 1;
            block[72..104].copy_from_slice(manifest);
        }
        let tag = key.tag(&block[..TAG_AT]);
        block[TAG_AT..TAG_AT + TAG_BYTES].copy_from_slice(tag.as_bytes());
        block
    }

    /// The head and its generation, if the block bears our tag.
    fn decode(block: &[u8; BLOCK_BYTES], key: &SubKey) -> Option<(u64, Self)> {
        let (body, rest) = block.split_first_chunk::<TAG_AT>()?;
        let tag = rest.first_chunk::<TAG_BYTES>()?;
        // Comparing `blake3::Hash`es is constant in time.
        if key.tag(body) != blake3::Hash::from_bytes(*tag) || !body.starts_with(MAGIC) {
            return None;
        }
        let number = |at: usize| body[at..].first_chunk().copied().map(u64::from_le_bytes);
        let head = Self {
            position: Position::new(number(16)?),
            root: Hash::from_bytes(*body[24..].first_chunk()?),
            db_bytes: number(56)?,
            clean: (body[64] == 1).then_some(*body[72..].first_chunk()?),
        };
        Some((number(8)?, head))
    }
}

/// The open head file. One owner: the one who appends records.
pub struct HeadFile {
    path: PathBuf,
    file: File,
    key: SubKey,
    current: Head,
    generation: u64,
    /// Which of the two slots holds the current head.
    slot: usize,
    synced: bool,
    /// The same head once more, among the keys. See [`HeadFile::open_with_witness`].
    witness: Option<Box<HeadFile>>,
}

impl HeadFile {
    /// Makes the head of an empty ledger, in both slots, and syncs it.
    ///
    /// # Errors
    /// If it exists or cannot be made.
    pub fn create(path: &Path, key: &SubKey) -> Result<(), HeadError> {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.extend_from_slice(&Head::EMPTY.encode(1, key));
        bytes.extend_from_slice(&Head::EMPTY.encode(2, key));
        files::write_new(path, &bytes).map_err(|source| HeadError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads the head: of the slots that bear our tag the one written last.
    ///
    /// # Errors
    /// If the file cannot be read, has another length, or neither slot bears our tag.
    pub fn open(path: &Path, key: SubKey) -> Result<Self, HeadError> {
        let io = |source| HeadError::Io {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        let found_bytes = file.metadata().map_err(io)?.len();
        if found_bytes != FILE_BYTES as u64 {
            return Err(HeadError::WrongLength {
                path: path.to_owned(),
                found_bytes,
            });
        }
        let mut newest: Option<(u64, Head, usize)> = None;
        for slot in 0..2 {
            let mut block = [0; BLOCK_BYTES];
            file.read_exact_at(&mut block, offset(slot)).map_err(io)?;
            match Head::decode(&block, &key) {
                Some((generation, head)) if newest.is_none_or(|(best, ..)| generation > best) => {
                    newest = Some((generation, head, slot));
                }
                Some(_) => {}
                None => tracing::warn!(path = %path.display(), slot, "a slot of the head is torn"),
            }
        }
        let (generation, current, slot) = newest.ok_or_else(|| HeadError::BothSlotsInvalid {
            path: path.to_owned(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            key,
            current,
            generation,
            slot,
            synced: true,
            witness: None,
        })
    }

    /// Reads the head and its witness, which lies among the keys and is written with it.
    ///
    /// Head and records can be put back together to an earlier state that agrees with itself, and
    /// would then revive what was revoked since. So what the witness knows counts, wherever it knows more or
    /// other things; the records must bear it out. A witness that is missing is made anew and knows
    /// nothing yet.
    ///
    /// # Errors
    /// As [`HeadFile::open`], for either file.
    pub fn open_with_witness(
        path: &Path,
        witness: &Path,
        key: impl Fn() -> SubKey,
    ) -> Result<Self, HeadError> {
        let mut head = Self::open(path, key())?;
        let io = |source| HeadError::Io {
            path: witness.to_owned(),
            source,
        };
        if !witness.try_exists().map_err(io)? {
            Self::create(witness, &key())?;
        }
        let witness = Self::open(witness, key())?;
        let (seen, own) = (*witness.current(), head.current);
        if seen.position >= own.position && (seen.position, seen.root) != (own.position, own.root) {
            tracing::warn!(head = %own.position, witness = %seen.position, "the head is older than its witness");
            head.current = Head {
                clean: None,
                ..seen
            };
        }
        head.witness = Some(Box::new(witness));
        Ok(head)
    }

    /// The head as it was read or last written.
    pub const fn current(&self) -> &Head {
        &self.current
    }

    /// Writes the head over the older slot, without a sync: about 1 µs. Call it when the records of a
    /// batch are synced and before their callers are answered.
    ///
    /// # Errors
    /// If the write fails; stop then, as after a failed append.
    pub fn write(&mut self, head: Head) -> Result<(), HeadError> {
        let generation = self.generation + 1;
        let slot = 1 - self.slot;
        self.file
            .write_all_at(&head.encode(generation, &self.key), offset(slot))
            .map_err(|source| HeadError::Io {
                path: self.path.clone(),
                source,
            })?;
        (self.current, self.generation, self.slot, self.synced) = (head, generation, slot, false);
        match &mut self.witness {
            Some(witness) => witness.write(head),
            None => Ok(()),
        }
    }

    /// Whether something was written that a power cut could take back.
    #[cfg(test)]
    const fn needs_sync(&self) -> bool {
        !self.synced
    }

    /// Syncs what was written. Call it at least each second in which something changed, before a
    /// snapshot is made, and at a stop.
    ///
    /// # Errors
    /// If the sync fails; stop then.
    pub fn sync(&mut self) -> Result<(), HeadError> {
        if !self.synced {
            self.file.sync_data().map_err(|source| HeadError::Io {
                path: self.path.clone(),
                source,
            })?;
            self.synced = true;
        }
        match &mut self.witness {
            Some(witness) => witness.sync(),
            None => Ok(()),
        }
    }

    /// Writes the head into both slots and syncs them: at the turns where the older slot must not
    /// come back should the newer one be damaged, which are the clean stop and the start.
    ///
    /// # Errors
    /// If a write or the sync fails.
    pub fn write_both(&mut self, head: Head) -> Result<(), HeadError> {
        self.write(head)?;
        // Between the two a power cut may tear at most the slot that is being written.
        self.sync()?;
        self.write(head)?;
        self.sync()
    }
}

const fn offset(slot: usize) -> u64 {
    (slot * BLOCK_BYTES) as u64
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ring::rand::SystemRandom;

    use super::*;
    use crate::key_file::{MasterKey, Purpose};

    struct Bench {
        _folder: tempfile::TempDir,
        path: PathBuf,
        master: MasterKey,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("head");
            let master = MasterKey::generate(&SystemRandom::new()).expect("randomness");
            let bench = Self {
                _folder: folder,
                path,
                master,
            };
            HeadFile::create(&bench.path, &bench.key()).expect("it is made");
            bench
        }

        fn key(&self) -> SubKey {
            self.master.sub_key(Purpose::HeadTag)
        }

        fn open(&self) -> Result<HeadFile, HeadError> {
            HeadFile::open(&self.path, self.key())
        }

        fn read(&self) -> Head {
            *self.open().expect("it opens").current()
        }
    }

    fn head(position: u64) -> Head {
        Head {
            position: Position::new(position),
            root: Hash::from_bytes([u8::try_from(position).expect("small"); 32]),
            db_bytes: position * 1_000,
            clean: None,
        }
    }

    #[test]
    fn the_last_written_head_is_read_back() {
        let bench = Bench::new();
        assert_eq!(bench.read(), Head::EMPTY);
        let mut file = bench.open().expect("it opens");
        for position in 1..6 {
            file.write(head(position)).expect("it is written");
            assert!(file.needs_sync());
            assert_eq!(
                bench.read(),
                head(position),
                "before the sync, as after kill -9"
            );
        }
        file.sync().expect("it is synced");
        assert!(!file.needs_sync());
        let clean = Head {
            clean: Some([9; 32]),
            ..head(6)
        };
        file.write_both(clean).expect("it is written");
        assert_eq!(bench.read(), clean);
    }

    #[test]
    fn one_torn_slot_gives_the_other_and_two_are_refused() {
        let bench = Bench::new();
        let mut file = bench.open().expect("it opens");
        file.write(head(1)).expect("it is written");
        file.write(head(2)).expect("it is written");
        let whole = fs::read(&bench.path).expect("it is read");
        for at in (0..TAG_AT + TAG_BYTES).chain(BLOCK_BYTES..BLOCK_BYTES + TAG_AT + TAG_BYTES) {
            let mut bad = whole.clone();
            bad[at] ^= 4;
            fs::write(&bench.path, &bad).expect("it is written");
            // Created with generations 1 and 2, so the third is in the first block.
            let expected = if at < BLOCK_BYTES { head(2) } else { head(1) };
            assert_eq!(bench.read(), expected, "byte {at}");
        }
        let mut bad = whole;
        bad[20] ^= 1;
        bad[BLOCK_BYTES + 20] ^= 1;
        fs::write(&bench.path, &bad).expect("it is written");
        let error = bench.open().err().expect("refused");
        assert!(matches!(error, HeadError::BothSlotsInvalid { .. }));
        assert!(error.to_string().contains("head"), "the file is named");
        assert_eq!(fs::read(&bench.path).expect("it is read"), bad, "untouched");
    }

    #[test]
    fn after_a_clean_stop_no_single_damaged_slot_brings_an_older_head_back() {
        let bench = Bench::new();
        let mut file = bench.open().expect("it opens");
        file.write(head(1)).expect("it is written");
        let clean = Head {
            clean: Some([9; 32]),
            ..head(2)
        };
        file.write_both(clean).expect("it is written");
        let whole = fs::read(&bench.path).expect("it is read");
        for block in [0, BLOCK_BYTES] {
            let mut bad = whole.clone();
            bad[block + 30] ^= 1;
            fs::write(&bench.path, &bad).expect("it is written");
            assert_eq!(bench.read(), clean);
        }
    }

    #[test]
    fn a_cut_file_and_a_forged_one_are_refused() {
        let bench = Bench::new();
        let whole = fs::read(&bench.path).expect("it is read");
        for length in [0, 1, BLOCK_BYTES, FILE_BYTES - 1] {
            fs::write(&bench.path, &whole[..length]).expect("it is written");
            assert!(
                matches!(bench.open().err(), Some(HeadError::WrongLength { .. })),
                "{length}"
            );
        }
        let other = MasterKey::generate(&SystemRandom::new()).expect("randomness");
        let forged = [
            head(1).encode(8, &other.sub_key(Purpose::HeadTag)),
            head(1).encode(9, &bench.master.sub_key(Purpose::Csrf)),
        ];
        fs::write(&bench.path, forged.concat()).expect("it is written");
        assert!(matches!(
            bench.open().err(),
            Some(HeadError::BothSlotsInvalid { .. })
        ));
    }
}
