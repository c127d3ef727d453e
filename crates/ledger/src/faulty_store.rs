//! A storage engine that fails when told to, for tests of whoever appends: no disk, no sled.
//!
//! It keeps apart what was inserted and what is durable, writes down every step in order, and can
//! be opened again on what was durable, as after a power cut.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyledger_domain::Position;

use crate::segments::Segments;
use crate::store::{Engine, ScanError, Store, StoredBytes, View, key_of};

/// A store over the failing engine: the same [`Store`] that stands on sled.
pub type FaultyStore = Store<FaultyEngine>;

/// Something the engine was asked to do, in the order it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take the value at this position.
    Insert(Position),
    /// Hand all to the operating system.
    Flush,
    /// Put all on the disk.
    Sync,
}

/// What of the values not yet synced is on the disk all the same when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: the write was lost.
    Nothing,
    /// Everything: it failed, but it happened.
    Everything,
    /// The first ones, up to this many.
    Prefix(usize),
}

/// The step that fails, and what it leaves behind. Everything after it fails too, as in sled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which step of this opening fails, counted from 1.
    pub at_step: usize,
    /// What is on the disk after it.
    pub kept: Kept,
}

/// A disk that outlives the engines on it. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    durable: BTreeMap<[u8; 8], Vec<u8>>,
    steps: Vec<Step>,
    available_bytes: Option<u64>,
}

impl FaultyDisk {
    /// An empty disk that is never full.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a store on what is durable. The steps are counted anew.
    pub fn open(&self, fault: Option<Fault>) -> FaultyStore {
        self.lock().steps.clear();
        let last = self.durable_last();
        let engine = FaultyEngine {
            disk: self.clone(),
            unsynced: Vec::new(),
            fault,
            broken: false,
        };
        Store::new(engine, Segments::none(), last, 1)
    }

    /// The steps since the last opening, the failing one included.
    pub fn steps(&self) -> Vec<Step> {
        self.lock().steps.clone()
    }

    /// The last position that is durable.
    pub fn durable_last(&self) -> Position {
        let last = self
            .lock()
            .durable
            .last_key_value()
            .map(|(key, _)| u64::from_be_bytes(*key));
        Position::new(last.unwrap_or(0))
    }

    /// From now on this many bytes are free; the store keeps a reserve of one.
    pub fn set_available_bytes(&self, available_bytes: u64) {
        self.lock().available_bytes = Some(available_bytes);
    }

    /// Takes a record away, as a hole in a damaged file would.
    pub fn lose(&self, position: Position) {
        self.lock().durable.remove(&key_of(position));
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, values: impl Iterator<Item = ([u8; 8], Vec<u8>)>) {
        self.lock().durable.extend(values);
    }
}

/// The engine that fails when told to.
pub struct FaultyEngine {
    disk: FaultyDisk,
    unsynced: Vec<([u8; 8], Vec<u8>)>,
    fault: Option<Fault>,
    broken: bool,
}

impl FaultyEngine {
    fn step(&mut self, step: Step) -> io::Result<()> {
        let number = {
            let mut contents = self.disk.lock();
            contents.steps.push(step);
            contents.steps.len()
        };
        if self.broken {
            return Err(io::Error::other("the engine broke before"));
        }
        match self.fault {
            Some(Fault { at_step, kept }) if at_step == number => {
                let count = match kept {
                    Kept::Nothing => 0,
                    Kept::Everything => self.unsynced.len(),
                    Kept::Prefix(count) => count,
                };
                self.broken = true;
                self.disk.keep(self.unsynced.drain(..).take(count));
                Err(io::Error::other("the fault that was asked for"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Engine for FaultyEngine {
    type View = FaultyDisk;

    fn available_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.lock().available_bytes.unwrap_or(u64::MAX))
    }

    fn insert(&mut self, key: [u8; 8], value: &[u8]) -> io::Result<()> {
        self.unsynced.push((key, value.to_vec()));
        self.step(Step::Insert(Position::new(u64::from_be_bytes(key))))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.step(Step::Flush)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.step(Step::Sync)?;
        self.disk.keep(self.unsynced.drain(..));
        Ok(())
    }

    fn view(&self) -> FaultyDisk {
        self.disk.clone()
    }
}

impl View for FaultyDisk {
    type Scan = std::vec::IntoIter<Result<(StoredBytes, StoredBytes), ScanError>>;

    fn scan(&self, from: [u8; 8], to: [u8; 8]) -> Self::Scan {
        let contents = self.lock();
        let found: Vec<_> = contents
            .durable
            .range(from..=to)
            .map(|(key, value)| Ok((key.as_slice().into(), value.as_slice().into())))
            .collect();
        found.into_iter()
    }

    fn get(&self, key: [u8; 8]) -> Result<Option<StoredBytes>, ScanError> {
        Ok(self
            .lock()
            .durable
            .get(&key)
            .map(|value| value.as_slice().into()))
    }

    fn path(&self) -> &Path {
        Path::new("a disk that fails")
    }
}
