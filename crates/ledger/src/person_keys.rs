//! `keys/people.key`: one key a person, so that a person can be erased from a ledger that never
//! changes. Personal fields are sealed under it; destroying it is the erasure.
//!
//! A file of slots of 128 bytes, the first of them a header. Slots are appended and each is
//! rewritten at most once, to be wiped. A slot never spans two disk sectors of 512 bytes, so a power
//! cut leaves the old or the new one.
//!
//! ```text
//! kind 1 | zero 3 | sealed length 4 | durable slots 8 | pseudonym 16 | sealed key 65 | zero 23 | checksum 8
//! ```
//!
//! *Durable slots* is how many slots were synced when this one was written. It tells a slot that a
//! power cut left unfinished (nothing after it claims it; no record needs it, because the sync came
//! first) from one that was damaged later, which refuses the start.

use core::fmt;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ring::rand::SecureRandom;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::files;
use crate::key_file::NoRandomness;
use crate::vault::{PersonKey, SealedFor, UnsealError, Vault};

const SLOT_BYTES: usize = 128;
const CHECKSUM_BYTES: usize = 8;
const SEALED_AT: usize = 32;
const SEALED_BYTES_MAX: usize = SLOT_BYTES - CHECKSUM_BYTES - SEALED_AT;

/// The first slot: what the file is, and the revision of its layout.
const HEADER: &[u8] = b"keyledger-people-keys 1\n";

const KIND_KEY: u8 = 1;
const KIND_DESTROYED: u8 = 2;
/// In place of a slot that a power cut left unfinished.
const KIND_VOID: u8 = 3;

/// The random id under which a person appears in records, which tells nothing of the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym([u8; 16]);

impl Pseudonym {
    /// The bytes, for the record.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for Pseudonym {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why the keys of persons cannot be had.
#[derive(Debug, Error)]
pub enum PersonKeyError {
    /// The file could not be read, written or synced. Nothing more is written to it after that.
    #[error("the file of personal keys {} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write failed, so what is on the disk is not known until the next start.
    #[error("the file of personal keys {} failed before; restart to read it anew", path.display())]
    FailedBefore {
        /// The file.
        path: PathBuf,
    },
    /// The bytes of a slot are not what was synced there.
    #[error(
        "the file of personal keys {} is damaged in slot {slot} (byte {}); put back a copy of it",
        path.display(), slot * SLOT_BYTES as u64
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The slot, 0 for the header.
        slot: u64,
    },
    /// The person's key does not open with the key file at hand.
    #[error("the key of person {person} does not open")]
    Sealed {
        /// Whose.
        person: Pseudonym,
        /// Why.
        source: UnsealError,
    },
    /// The person was erased; there will never be a key again.
    #[error("person {person} was erased")]
    Erased {
        /// Whose key was asked for.
        person: Pseudonym,
    },
    /// No key could be made.
    #[error("no key could be made for a person")]
    NoRandomness(#[from] NoRandomness),
}

/// What the file says of one person.
enum Kept {
    /// The key, sealed by the vault. Opened when it is needed: of 100,000 few are, at a start.
    Sealed {
        slot: u64,
        sealed: Vec<u8>,
    },
    Destroyed,
}

/// The keys of all persons, and the file they stand in. One owner: the one who appends records.
pub struct PersonKeys {
    path: PathBuf,
    file: File,
    vault: Vault,
    people: HashMap<Pseudonym, Kept>,
    /// Slots that are on the disk for certain, header included: the next one goes behind them.
    durable_slots: u64,
    /// Slots below `durable_slots` that were left unfinished and must be made void by the next write.
    unfinished: Vec<u64>,
    failed: bool,
}

impl PersonKeys {
    /// Makes the file with its header and no keys, readable by its owner only, and syncs it.
    ///
    /// # Errors
    /// If it exists or cannot be made.
    pub fn create(path: &Path) -> Result<(), PersonKeyError> {
        let mut header = [0; SLOT_BYTES];
        header[..HEADER.len()].copy_from_slice(HEADER);
        files::write_new(path, &header).map_err(|source| PersonKeyError::Io {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads the file: about 20 ms for 100,000 persons. No key is opened yet.
    ///
    /// # Errors
    /// If it cannot be read, or a slot was damaged that had been synced.
    pub fn open(path: &Path, vault: Vault) -> Result<Self, PersonKeyError> {
        let io = |source| PersonKeyError::Io {
            path: path.to_owned(),
            source,
        };
        let damaged = |slot| PersonKeyError::Damaged {
            path: path.to_owned(),
            slot,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io)?;
        let bytes = std::fs::read(path).map_err(io)?;

        let (slots, torn) = bytes.as_chunks::<SLOT_BYTES>();
        let Some((header, slots)) = slots.split_first() else {
            return Err(damaged(0));
        };
        let (name, zeros) = header.split_at(HEADER.len());
        if name != HEADER || zeros.iter().any(|byte| *byte != 0) {
            return Err(damaged(0));
        }

        let mut people = HashMap::with_capacity(slots.len());
        let mut unfinished = Vec::new();
        // The header was synced before anything else was written.
        let mut claimed = 1;
        for (slot, bytes) in (1..).zip(slots) {
            let Some(read) = Slot::decode(bytes) else {
                unfinished.push(slot);
                continue;
            };
            claimed = claimed.max(read.durable_slots);
            let kept = match read.content {
                Content::Key(sealed) => Kept::Sealed { slot, sealed },
                Content::Destroyed => Kept::Destroyed,
                Content::Void => continue,
            };
            if people.insert(read.person, kept).is_some() {
                return Err(damaged(slot));
            }
        }
        if let Some(slot) = unfinished.iter().copied().find(|slot| *slot < claimed) {
            return Err(damaged(slot));
        }
        let whole_slots = 1 + slots.len() as u64;
        if claimed > whole_slots {
            // A later slot knew of more slots than there are.
            return Err(damaged(whole_slots));
        }
        if !torn.is_empty() {
            // The end of a write that a power cut cut short; the next slot overwrites it.
            tracing::warn!(path = %path.display(), bytes = torn.len(), "unfinished personal key dropped");
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            vault,
            people,
            durable_slots: whole_slots,
            unfinished,
            failed: false,
        })
    }

    /// How many persons have a key.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.people
            .values()
            .filter(|kept| matches!(kept, Kept::Sealed { .. }))
            .count()
    }

    /// Whether the key of a person was destroyed.
    pub fn is_erased(&self, person: Pseudonym) -> bool {
        matches!(self.people.get(&person), Some(Kept::Destroyed))
    }

    /// The key of a person, if it was ever made.
    ///
    /// # Errors
    /// [`PersonKeyError::Erased`] if it was destroyed; [`PersonKeyError::Sealed`] if it does not open.
    pub fn get(&self, person: Pseudonym) -> Result<Option<PersonKey>, PersonKeyError> {
        match self.people.get(&person) {
            None => Ok(None),
            Some(Kept::Destroyed) => Err(PersonKeyError::Erased { person }),
            Some(Kept::Sealed { sealed, .. }) => {
                let secret = self
                    .vault
                    .open(&SealedFor::PersonKey { person }, sealed)
                    .map_err(|source| PersonKeyError::Sealed { person, source })?;
                let secret = <&[u8; 32]>::try_from(secret.as_slice()).map_err(|_| {
                    PersonKeyError::Sealed {
                        person,
                        source: UnsealError::Malformed,
                    }
                })?;
                Ok(Some(PersonKey::new(person, secret)))
            }
        }
    }

    /// The key of a person, made and synced if there is none yet.
    ///
    /// # Errors
    /// As [`PersonKeys::get`] and [`PersonKeys::prepare`].
    #[cfg(test)]
    fn key_for(
        &mut self,
        person: Pseudonym,
        rng: &dyn SecureRandom,
    ) -> Result<PersonKey, PersonKeyError> {
        self.prepare(&[person], rng)?;
        self.get(person)?.ok_or(PersonKeyError::Erased { person })
    }

    /// Makes the keys that these persons still lack, with one write and one sync for them all.
    ///
    /// Call it before the records that need the keys are appended. In that order a power cut leaves
    /// at worst a key that nobody uses; in the other it would leave a record whose personal fields
    /// nobody could ever open again.
    ///
    /// # Errors
    /// [`PersonKeyError::Erased`] if one of them was erased (nothing is written then), or if the file
    /// cannot be written; after that nothing more is written to it.
    pub fn prepare(
        &mut self,
        persons: &[Pseudonym],
        rng: &dyn SecureRandom,
    ) -> Result<(), PersonKeyError> {
        let mut missing: Vec<Pseudonym> = Vec::new();
        for person in persons.iter().copied() {
            match self.people.get(&person) {
                Some(Kept::Destroyed) => return Err(PersonKeyError::Erased { person }),
                Some(Kept::Sealed { .. }) => {}
                None if missing.contains(&person) => {}
                None => missing.push(person),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.refuse_after_failure()?;

        let first = self.durable_slots;
        let mut made = Vec::with_capacity(missing.len());
        let mut bytes = Vec::with_capacity(missing.len() * SLOT_BYTES);
        for (slot, person) in (first..).zip(missing) {
            let mut secret = Zeroizing::new([0; 32]);
            rng.fill(&mut *secret).map_err(|_| NoRandomness)?;
            let sealed = self
                .vault
                .seal(&SealedFor::PersonKey { person }, &*secret, rng)?;
            bytes.extend_from_slice(&encode(KIND_KEY, first, person, &sealed));
            made.push((person, Kept::Sealed { slot, sealed }));
        }
        self.write_durably(&[(first, &bytes)])?;
        self.durable_slots += made.len() as u64;
        self.people.extend(made);
        Ok(())
    }

    /// Destroys the keys of persons for ever: their slots are overwritten in place and synced once.
    /// Gives how many had one. They never get a key again.
    ///
    /// A death in between leaves some of them; the record of the erasure is there already, and the next
    /// start destroys the rest.
    ///
    /// What this cannot reach: backups, and the old blocks of a drive or file system that writes
    /// elsewhere. There the wrapped key dies with the sealing key that wraps it, once that version is
    /// retired.
    ///
    /// # Errors
    /// If the file cannot be written; after that nothing more is written to it.
    pub fn destroy(&mut self, persons: &[Pseudonym]) -> Result<usize, PersonKeyError> {
        let slot_of = |person: &Pseudonym| match self.people.get(person) {
            Some(Kept::Sealed { slot, .. }) => Some((*person, *slot)),
            Some(Kept::Destroyed) | None => None,
        };
        let doomed: Vec<(Pseudonym, u64)> = persons.iter().filter_map(slot_of).collect();
        if doomed.is_empty() {
            return Ok(0);
        }
        self.refuse_after_failure()?;
        let wiped: Vec<(u64, [u8; SLOT_BYTES])> = doomed
            .iter()
            .map(|(person, slot)| {
                let wiped = encode(KIND_DESTROYED, self.durable_slots, *person, &[]);
                (*slot, wiped)
            })
            .collect();
        self.write_durably(&wiped)?;
        let destroyed = doomed.len();
        for (person, _) in doomed {
            self.people.insert(person, Kept::Destroyed);
        }
        Ok(destroyed)
    }

    fn refuse_after_failure(&self) -> Result<(), PersonKeyError> {
        if self.failed {
            return Err(PersonKeyError::FailedBefore {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    fn write_durably<B: AsRef<[u8]>>(&mut self, slots: &[(u64, B)]) -> Result<(), PersonKeyError> {
        let written = self.void_unfinished().and_then(|()| {
            for (slot, bytes) in slots {
                let at = slot * SLOT_BYTES as u64;
                self.file.write_all_at(bytes.as_ref(), at)?;
            }
            self.file.sync_data()
        });
        // After a failed sync the kernel may have dropped the page: what is on the disk is unknown.
        written.map_err(|source| {
            self.failed = true;
            PersonKeyError::Io {
                path: self.path.clone(),
                source,
            }
        })
    }

    /// Before a slot is written that claims all before it, those must be whole: a slot that was left
    /// unfinished is made void, and synced.
    fn void_unfinished(&mut self) -> io::Result<()> {
        if self.unfinished.is_empty() {
            return Ok(());
        }
        for slot in &self.unfinished {
            let void = encode(KIND_VOID, 1, Pseudonym([0; 16]), &[]);
            self.file.write_all_at(&void, slot * SLOT_BYTES as u64)?;
        }
        self.file.sync_data()?;
        self.unfinished.clear();
        Ok(())
    }
}

struct Slot {
    durable_slots: u64,
    person: Pseudonym,
    content: Content,
}

enum Content {
    Key(Vec<u8>),
    Destroyed,
    Void,
}

impl Slot {
    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        if checksum_of(body) != *checksum {
            return None;
        }
        let sealed_bytes = usize::try_from(u32::from_le_bytes(*body[4..].first_chunk()?)).ok()?;
        let content = match body[0] {
            KIND_KEY => Content::Key(body[SEALED_AT..].get(..sealed_bytes)?.to_vec()),
            KIND_DESTROYED => Content::Destroyed,
            KIND_VOID => Content::Void,
            _ => return None,
        };
        Some(Self {
            durable_slots: u64::from_le_bytes(*body[8..].first_chunk()?),
            person: Pseudonym(*body[16..].first_chunk()?),
            content,
        })
    }
}

fn encode(kind: u8, durable_slots: u64, person: Pseudonym, sealed: &[u8]) -> [u8; SLOT_BYTES] {
    assert!(
        sealed.len() <= SEALED_BYTES_MAX,
        "a sealed key has 65 bytes"
    );
    let mut bytes = [0; SLOT_BYTES];
    bytes[0] = kind;
    bytes[4..8].copy_from_slice(
        &u32::try_from(sealed.len())
            .unwrap_or_default()
            .to_le_bytes(),
    );
    bytes[8..16].copy_from_slice(&durable_slots.to_le_bytes());
    bytes[16..32].copy_from_slice(&person.0);
    bytes[SEALED_AT..SEALED_AT + sealed.len()].copy_from_slice(sealed);
    let checksum = checksum_of(&bytes[..SLOT_BYTES - CHECKSUM_BYTES]);
    bytes[SLOT_BYTES - CHECKSUM_BYTES..].copy_from_slice(&checksum);
    bytes
}

fn checksum_of(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::hash(body);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&hash.as_bytes()[..CHECKSUM_BYTES]);
    checksum
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ring::rand::SystemRandom;

    use super::*;
    use crate::key_file::MasterKey;

    struct Bench {
        _folder: tempfile::TempDir,
        path: PathBuf,
        master: MasterKey,
        rng: SystemRandom,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("people.key");
            PersonKeys::create(&path).expect("it is made");
            let rng = SystemRandom::new();
            let master = MasterKey::generate(&rng).expect("randomness");
            Self {
                _folder: folder,
                path,
                master,
                rng,
            }
        }

        fn open(&self) -> Result<PersonKeys, PersonKeyError> {
            PersonKeys::open(&self.path, Vault::new(self.master.sealing()))
        }
    }

    fn person(number: u32) -> Pseudonym {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        Pseudonym(bytes)
    }

    #[test]
    fn a_key_outlives_a_restart_and_opens_what_it_sealed() {
        let bench = Bench::new();
        let mut keys = bench.open().expect("it opens");
        let field = keys
            .key_for(person(1), &bench.rng)
            .and_then(|key| Ok(key.seal(b"ada@example.com", &bench.rng)?))
            .expect("it is sealed");
        keys.prepare(&[person(2), person(3), person(2), person(1)], &bench.rng)
            .expect("made");
        assert_eq!(keys.count(), 3);

        let again = bench.open().expect("it opens");
        assert_eq!(again.count(), 3);
        let key = again
            .get(person(1))
            .expect("it opens")
            .expect("it is there");
        assert_eq!(
            **key.open(&field.commitment, &field.sealed).expect("opens"),
            *b"ada@example.com"
        );
        assert!(again.get(person(9)).expect("no error").is_none());
    }

    #[test]
    fn a_destroyed_key_is_gone_from_the_file_and_never_comes_back() {
        let bench = Bench::new();
        let mut keys = bench.open().expect("it opens");
        keys.prepare(&[person(1), person(2)], &bench.rng)
            .expect("made");
        let before = fs::read(&bench.path).expect("it is read");
        assert_eq!(keys.destroy(&[person(1)]).expect("destroyed"), 1);
        assert_eq!(keys.destroy(&[person(1)]).expect("a repeat"), 0);
        assert_eq!(keys.destroy(&[person(7)]).expect("nobody to erase"), 0);

        let after = fs::read(&bench.path).expect("it is read");
        let sealed = SLOT_BYTES + SEALED_AT..SLOT_BYTES * 2 - CHECKSUM_BYTES;
        assert!(
            after[sealed.clone()].iter().all(|byte| *byte == 0),
            "wiped in place"
        );
        assert_ne!(before[sealed.clone()], after[sealed]);
        for keys in [&mut keys, &mut bench.open().expect("it opens")] {
            assert!(matches!(
                keys.get(person(1)),
                Err(PersonKeyError::Erased { .. })
            ));
            assert!(matches!(
                keys.key_for(person(1), &bench.rng),
                Err(PersonKeyError::Erased { .. })
            ));
            assert!(keys.get(person(2)).expect("it opens").is_some());
        }
    }

    #[test]
    fn an_unfinished_end_is_dropped_and_the_next_key_takes_its_place() {
        let bench = Bench::new();
        let mut keys = bench.open().expect("it opens");
        keys.prepare(&[person(1)], &bench.rng).expect("made");
        keys.prepare(&[person(2), person(3)], &bench.rng)
            .expect("made");
        let whole = fs::read(&bench.path).expect("it is read");

        // The last write of two slots, with the first of them lost and the second cut short.
        let mut torn = whole.clone();
        torn[SLOT_BYTES * 2..SLOT_BYTES * 3].fill(0);
        for end in [
            SLOT_BYTES * 4,
            SLOT_BYTES * 4 - 1,
            SLOT_BYTES * 3,
            SLOT_BYTES * 2 + 5,
        ] {
            fs::write(&bench.path, &torn[..end]).expect("it is written");
            let mut keys = bench.open().expect("an unfinished end is no damage");
            assert!(keys.get(person(1)).expect("it opens").is_some());
            assert!(keys.get(person(2)).expect("no error").is_none());
            keys.prepare(&[person(4)], &bench.rng).expect("made");
            keys.prepare(&[person(5)], &bench.rng).expect("made");
            let keys = bench.open().expect("it opens after that, too");
            for present in [1, 4, 5] {
                assert!(
                    keys.get(person(present)).expect("it opens").is_some(),
                    "{end} {present}"
                );
            }
        }
    }

    #[test]
    fn damage_to_what_was_synced_is_refused_and_the_slot_is_named() {
        let bench = Bench::new();
        let mut keys = bench.open().expect("it opens");
        for number in 1..4 {
            keys.prepare(&[person(number)], &bench.rng).expect("made");
        }
        let whole = fs::read(&bench.path).expect("it is read");
        for at in 0..SLOT_BYTES * 3 {
            let mut bad = whole.clone();
            bad[at] ^= 0x40;
            fs::write(&bench.path, &bad).expect("it is written");
            match bench.open().err() {
                Some(PersonKeyError::Damaged { slot, .. }) => {
                    assert_eq!(slot, (at / SLOT_BYTES) as u64);
                }
                other => panic!("byte {at}: {other:?}"),
            }
            assert_eq!(fs::read(&bench.path).expect("it is read"), bad, "untouched");
        }
        fs::write(&bench.path, &whole[..50]).expect("it is written");
        assert!(matches!(
            bench.open().err(),
            Some(PersonKeyError::Damaged { slot: 0, .. })
        ));
    }

    #[test]
    fn a_key_of_another_folder_does_not_open() {
        let bench = Bench::new();
        bench
            .open()
            .expect("it opens")
            .prepare(&[person(1)], &bench.rng)
            .expect("made");
        let other = MasterKey::generate(&bench.rng).expect("randomness");
        let keys = PersonKeys::open(&bench.path, Vault::new(other.sealing())).expect("it is read");
        assert!(matches!(
            keys.get(person(1)),
            Err(PersonKeyError::Sealed { .. })
        ));
    }

    #[test]
    fn the_keys_of_many_persons_are_made_and_read_at_once() {
        let bench = Bench::new();
        let everybody: Vec<_> = (0..2_000).map(person).collect();
        bench
            .open()
            .expect("it opens")
            .prepare(&everybody, &bench.rng)
            .expect("made");
        assert_eq!(bench.open().expect("it opens").count(), everybody.len());
        let length = fs::metadata(&bench.path).expect("it is there").len();
        assert_eq!(length, 2_001 * SLOT_BYTES as u64);
    }
}
