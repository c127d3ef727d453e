//! The log in a data folder.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keyledger_api::routes::events::{EventQuery, EventView, Selection};
use keyledger_api::{Lookups, indexer};
use keyledger_domain::{Position, Record};
use keyledger_ledger::index::{Follower, Index};
use keyledger_ledger::paths::Paths;
use keyledger_ledger::{Ledger, OpenOptions, Opened, Progress};
use ring::rand::SystemRandom;
use serde_json::{Map, Value};
use thiserror::Error as ThisError;

use super::{NoSuchEvent, Query, Take};
use crate::clock::WallClock;
use crate::commands::audit::entry::Entry;
use crate::progress::ProgressShown;

/// There is nothing to read.
#[derive(Debug, ThisError)]
#[error("there is no ledger in {}", .0.display())]
struct NoLedger(std::path::PathBuf);

/// The folder refuses what a server would refuse; the words are the same.
#[derive(Debug, ThisError)]
#[error("{0}")]
struct WrongQuery(String);

pub(in crate::commands::audit) struct FolderLog {
    opened: Opened,
    lookups: Arc<Lookups>,
    follower: Follower,
}

/// How often it looks whether the index is whole.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

impl FolderLog {
    pub(super) fn open(data_dir: &Path) -> Result<Self, Box<dyn Error>> {
        // Reading must not make a folder where somebody mistyped the name of one.
        if !Paths::new(data_dir).head().exists() {
            return Err(NoLedger(data_dir.to_owned()).into());
        }
        let mut shown = ProgressShown::begin("Replaying the ledger");
        let opened = Ledger::open(
            &OpenOptions::new(data_dir),
            Arc::new(SystemRandom::new()),
            Arc::new(WallClock::new()),
            &mut |_| (),
            &mut |progress| shown.show(progress),
        );
        shown.end();
        let mut opened = opened?;
        let last = opened.reader.last();
        let index = Index::new(&Paths::new(data_dir), &opened.key_file, last);
        let index = Arc::new(index);
        let directory = core::mem::take(&mut opened.directory);
        let lookups = Arc::new(Lookups::new(directory, Arc::clone(&index)));
        let reader = opened.reader.clone();
        let follower = Follower::start(Arc::clone(&index), reader, indexer(&lookups))?;
        // A server leaves it whole; where it is not, what was before a change would not be found.
        let mut shown = ProgressShown::begin("Indexing the events");
        while !index.is_settled() {
            thread::sleep(LOOK_PAUSE);
            shown.show(Progress {
                done: index.position().get(),
                total_estimate: last.get(),
            });
        }
        shown.end();
        Ok(Self {
            opened,
            lookups,
            follower,
        })
    }

    /// Whoever stops listening half-way must not make the next start take this for a death.
    pub(super) fn close(self) -> Result<(), Box<dyn Error>> {
        self.follower.stop();
        Ok(self.opened.close()?)
    }

    pub(super) fn last(&self) -> u64 {
        self.opened.reader.last().get()
    }

    pub(super) fn read(
        &self,
        query: &Query,
        after: u64,
        progress: &mut dyn FnMut(Progress),
        take: &mut Take<'_>,
    ) -> Result<(), Box<dyn Error>> {
        let selection = self.select(query)?;
        let last = self.opened.reader.last();
        // What was moved away cannot be listed; `show` says so of one that is asked for.
        let archived = self.opened.reader.archived();
        let from = Position::new(after.saturating_add(1)).max(archived.next());
        for record in self.opened.reader.range(from, last) {
            let record = record?;
            if selection.ends_before(&record) {
                break;
            }
            if let Some(view) = selection.view(&record, &self.lookups, &self.opened.reader)?
                && take(entry(&view)?)?.is_break()
            {
                break;
            }
            progress(Progress {
                done: record.position.get().saturating_sub(after),
                total_estimate: last.get().saturating_sub(after),
            });
        }
        Ok(())
    }

    pub(super) fn one(&self, position: u64) -> Result<Entry, Box<dyn Error>> {
        let record = self.opened.reader.get(Position::new(position))?;
        let record: Record = record.ok_or(NoSuchEvent(position))?;
        let view = self.select(&Query::default())?;
        let view = view.view(&record, &self.lookups, &self.opened.reader)?;
        entry(&view.ok_or(NoSuchEvent(position))?)
    }

    fn select(&self, query: &Query) -> Result<Selection, Box<dyn Error>> {
        let named: Map<String, Value> = query
            .named()
            .map(|(name, asked)| (name.to_owned(), asked.into()))
            .collect();
        let query: EventQuery = serde_json::from_value(named.into())?;
        let selection = Selection::of(&query, &self.lookups.directory());
        Ok(selection.map_err(|problem| WrongQuery(problem.detail().to_owned()))?)
    }
}

fn entry(view: &EventView) -> Result<Entry, Box<dyn Error>> {
    Ok(serde_json::from_value(serde_json::to_value(view)?)?)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn read(folder: &Path, take: &mut Take<'_>) -> Result<(), Box<dyn Error>> {
        let log = FolderLog::open(folder)?;
        let outcome = log.read(&Query::default(), 0, &mut |_| (), take);
        log.close()?;
        outcome
    }

    #[test]
    fn reading_leaves_a_ledger_that_was_stopped_well_as_one() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path();
        let manifest = Paths::new(folder).manifest();
        let mut ignore = |_| Ok(ControlFlow::Continue(()));
        assert!(read(folder, &mut ignore).is_err(), "no ledger yet");
        assert!(!manifest.exists(), "nothing was made");
        let opened = Ledger::open(
            &OpenOptions::new(folder),
            Arc::new(SystemRandom::new()),
            Arc::new(WallClock::new()),
            &mut |_| (),
            &mut |_| (),
        );
        opened.unwrap().close().unwrap();
        read(folder, &mut ignore).unwrap();
        assert!(manifest.exists());
    }
}
