//! The thread that writes the index: what was added, or, where that is not in memory, what it reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keyledger_domain::id::RequestId;
use keyledger_domain::{Position, Record};
use thiserror::Error;

use super::postings::{Postings, Progress};
use super::{Index, Indexed, Term};
use crate::ledger::{ReadError, RecordReader};
use crate::step_back::step_back;
use crate::store;

/// How many records are written at once at most.
const BATCH_RECORDS_MAX: u64 = 4_096;
/// How often it looks whether there is more.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// How long it leaves a store alone that did not open.
const MEND_PAUSE: Duration = Duration::from_mins(1);
/// While it is behind, a line in the log at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// What tells the terms of a record.
pub type TermsOf = Box<dyn Fn(&Record) -> Vec<Term> + Send>;

/// Why it cannot go on.
#[derive(Debug, Error)]
enum Broken {
    #[error(transparent)]
    Store(#[from] io::Error),
    #[error(transparent)]
    Ledger(#[from] ReadError),
}

/// The thread, for the one who stops it.
pub struct Follower {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Follower {
    /// Opens the index and writes what it lacks, on a thread of its own; stop it before the ledger is.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(index: Arc<Index>, reader: RecordReader, terms_of: TermsOf) -> io::Result<Self> {
        let (stop, stopping) = sync_channel(1);
        let writer = Writer {
            index,
            reader,
            terms_of,
            progress: Progress::begun_at(Position::ZERO),
            told_at: Instant::now(),
        };
        let thread = thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || {
                step_back();
                writer.run(&stopping);
            })?;
        Ok(Self { stop, thread })
    }

    /// Has it write what there is, unless that is much, and waits until it reads no record any more.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::warn!("the thread that writes the index had broken");
        }
    }
}

struct Writer {
    index: Arc<Index>,
    reader: RecordReader,
    terms_of: TermsOf,
    progress: Progress,
    told_at: Instant,
}

impl Writer {
    fn run(mut self, stopping: &Receiver<()>) {
        let mut pause = Duration::ZERO;
        loop {
            let is_last = stopping.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected);
            pause = match self.follow(stopping) {
                Ok(()) => LOOK_PAUSE,
                Err(Broken::Ledger(error)) => {
                    // No fault of the index; whoever reads that record is told what is wrong with it.
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(
                        error,
                        "the index of events stands still: a record cannot be read"
                    );
                    MEND_PAUSE
                }
                Err(Broken::Store(error)) => {
                    // Searches read the records meanwhile.
                    tracing::warn!(%error, "the index of events broke and is begun anew");
                    self.close();
                    if self.begin().is_ok() {
                        LOOK_PAUSE
                    } else {
                        MEND_PAUSE
                    }
                }
            };
            self.index.state.write().is_stuck = pause == MEND_PAUSE;
            if is_last {
                if let Some(store) = self.store()
                    && let Err(error) = store.flush()
                {
                    tracing::warn!(%error, "the index of events lost its last rows");
                }
                return;
            }
        }
    }

    fn store(&self) -> Option<Arc<Postings>> {
        self.index.state.read().store.clone()
    }

    /// Writes what there is now, unless it is to stop. What is added meanwhile waits for the next time:
    /// the rows of common terms are written anew for each batch, so many small ones would cost more than
    /// what they write.
    fn follow(&mut self, stopping: &Receiver<()>) -> Result<(), Broken> {
        if self.store().is_none() {
            self.open()?;
        }
        let there_is = self.index.state.read().last;
        while self.progress.position.get() < there_is {
            // Who stops writes what is in memory; reading the rest is left to the next start.
            let is_stopping = stopping.try_recv() == Err(TryRecvError::Disconnected);
            if is_stopping && !self.is_in_memory() {
                return Ok(());
            }
            let batch = self.batch()?;
            let Some(last) = batch.last() else {
                return Ok(());
            };
            let erased_after = |indexed: &Arc<Indexed>| {
                indexed.is_erasure && indexed.position > self.progress.begun.get()
            };
            if batch.iter().any(erased_after) {
                tracing::info!("somebody was erased; the index of events is begun anew");
                self.close();
                self.begin()?;
                continue;
            }
            let progress = Progress {
                position: Position::new(last.position),
                request: last.request,
                ..self.progress
            };
            self.write(&batch, progress)?;
            self.tell();
        }
        Ok(())
    }

    fn is_in_memory(&self) -> bool {
        self.progress.position.get() + 1 >= self.index.state.read().tail_from()
    }

    /// What comes next: from memory, or from the disk where that does not go back so far.
    fn batch(&self) -> Result<Vec<Arc<Indexed>>, ReadError> {
        let from = self.progress.position.get() + 1;
        let tail_from = {
            let state = self.index.state.read();
            let tail_from = state.tail_from();
            if from >= tail_from {
                let tail = state.tail.iter();
                let next = tail.skip_while(|indexed| indexed.position < from);
                let count = usize::try_from(BATCH_RECORDS_MAX).unwrap_or(usize::MAX);
                return Ok(next.take(count).cloned().collect());
            }
            tail_from
        };
        self.read(from, (tail_from - 1).min(from + BATCH_RECORDS_MAX - 1))
    }

    /// Reads records. Those that were moved away are in no list; that they were is no fault.
    fn read(&self, from: u64, to: u64) -> Result<Vec<Arc<Indexed>>, ReadError> {
        let index = |record: &Record| Arc::new(Indexed::of(record, (self.terms_of)(record)));
        let absent = |position| {
            Arc::new(Indexed {
                position,
                request: RequestId::from_bytes([0; 16]),
                terms: Box::default(),
                is_erasure: false,
            })
        };
        let mut batch = Vec::new();
        for record in self.reader.range(Position::new(from), Position::new(to)) {
            match record {
                Ok(record) => batch.push(index(&record)),
                Err(error) if is_archived(&error) => break,
                Err(error) => return Err(error),
            }
        }
        let read = batch.last().map_or(from, |last| last.position + 1);
        for position in read..=to {
            match self.reader.get(Position::new(position)) {
                Ok(Some(record)) => batch.push(index(&record)),
                Ok(None) => break,
                Err(error) if is_archived(&error) => batch.push(absent(position)),
                Err(error) => return Err(error),
            }
        }
        Ok(batch)
    }

    fn write(&mut self, batch: &[Arc<Indexed>], progress: Progress) -> io::Result<()> {
        let mut by_term: BTreeMap<Term, Vec<u64>> = BTreeMap::new();
        for indexed in batch {
            for term in &indexed.terms {
                let positions = by_term.entry(*term).or_default();
                if positions.last() != Some(&indexed.position) {
                    positions.push(indexed.position);
                }
            }
        }
        let Some(store) = self.store() else {
            return Err(io::Error::other("the index is not open"));
        };
        store.append(&by_term, progress)?;
        self.progress = progress;
        let written = progress.position.get();
        let mut state = self.index.state.write();
        state.written = written;
        while state
            .tail
            .front()
            .is_some_and(|first| first.position <= written)
        {
            state.tail.pop_front();
        }
        Ok(())
    }

    /// Opens what is there, or begins anew if that is none of this ledger's.
    fn open(&mut self) -> io::Result<()> {
        let opened = Postings::open(&self.index.folder);
        let known = opened.map(|(postings, progress)| {
            let progress = progress.filter(|progress| self.is_of_this_ledger(*progress));
            progress.map(|progress| (postings, progress))
        });
        match known {
            Ok(Some((postings, progress))) => {
                self.progress = progress;
                let mut state = self.index.state.write();
                state.written = progress.position.get();
                state.store = Some(Arc::new(postings));
                Ok(())
            }
            Ok(None) => self.begin(),
            Err(error) => {
                tracing::warn!(%error, "the index of events does not open and is begun anew");
                self.begin()
            }
        }
    }

    /// Whether the last record that the index knows is where the ledger has it.
    fn is_of_this_ledger(&self, progress: Progress) -> bool {
        if progress.position == Position::ZERO {
            return progress.begun <= self.reader.last();
        }
        match self.reader.get(progress.position) {
            Ok(record) => record.is_some_and(|record| record.origin.request == progress.request),
            Err(error) => is_archived(&error),
        }
    }

    /// From here on searches do without it.
    fn close(&mut self) {
        let store = {
            let mut state = self.index.state.write();
            state.written = 0;
            state.store.take()
        };
        // A search may still be reading; it holds the files for a moment.
        drop(store);
    }

    /// Removes what is there, and begins an empty one, which is written from the disk: what waits in
    /// memory was told before an erasure perhaps, and would bring the erased person's address back.
    fn begin(&mut self) -> io::Result<()> {
        crate::sled_store::wait_until_released(
            &self.index.folder.join(crate::sled_store::DB_FILE),
        )?;
        match fs::remove_dir_all(&self.index.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        // Not the last on the disk: that may be an erasure which is still to be carried out. It is when
        // we are told of it.
        let last = self.index.state.read().last;
        self.progress = Progress::begun_at(Position::new(last));
        let (postings, _) = Postings::open(&self.index.folder)?;
        postings.say(self.progress)?;
        let mut state = self.index.state.write();
        state.written = 0;
        state.tail.clear();
        state.store = Some(Arc::new(postings));
        Ok(())
    }

    /// How far it is, now and then, while it is behind.
    fn tell(&mut self) {
        let last = self.reader.last().get();
        let is_behind = last.saturating_sub(self.progress.position.get()) > BATCH_RECORDS_MAX;
        if is_behind && self.told_at.elapsed() >= LINE_EVERY {
            self.told_at = Instant::now();
            tracing::info!(position = %self.progress.position, last, "the index of events is built");
        }
    }
}

fn is_archived(error: &ReadError) -> bool {
    matches!(error, ReadError::Store(store::ReadError::Archived { .. }))
}
