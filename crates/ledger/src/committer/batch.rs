//! One batch: decided, made durable, shown, answered.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use keyledger_domain::id::PersonId;
use keyledger_domain::{
    Directory, Event, Origin, Personal, Position, Record, Refusal, Timestamp, decide,
};
use ring::rand::SecureRandom;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::committer::log::{DurableLog, LogError};
use crate::committer::{Answer, Committed, NotCommitted, Projection, Submission};
use crate::merkle::{Frontier, leaf_hash};
use crate::opening::StopError;
use crate::person_keys::PersonKeyError;
use crate::record::{self, EncodeError, Persons};
use crate::replay::Folded;
use crate::snapshot::Snapshots;
use crate::store::{AppendError, Entry, RECORD_BYTES_MAX};

/// The commands that are made durable together, and who waits for each.
pub(crate) type Batch = Vec<(Submission, oneshot::Sender<Answer>)>;

/// All that the committer needs.
pub(crate) struct Ground<L> {
    pub(crate) log: L,
    /// The state after the last record of the log.
    pub(crate) directory: Directory,
    /// The tree over all records of the log.
    pub(crate) frontier: Frontier,
    pub(crate) persons: Arc<Persons>,
    pub(crate) rng: Arc<dyn SecureRandom + Send + Sync>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What was made of the records and tells of persons too; in tests of the committer alone none.
    pub(crate) snapshots: Option<Arc<Snapshots>>,
}

/// Why the committer has to stop.
#[derive(Debug, Error)]
enum Failure {
    #[error("the batch may or may not be in the ledger")]
    Log(#[from] LogError),
    #[error("the disk does not say how much room there is")]
    Room(#[source] AppendError),
    #[error("the keys of persons could not be made or destroyed")]
    Persons(#[from] PersonKeyError),
    #[error("the snapshots of before an erasure could not be removed")]
    Snapshots(#[source] io::Error),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the committer broke; the panic message says where")]
    Panicked,
}

/// What a batch led to so far: applied to the state, and not yet on the disk.
#[derive(Default)]
struct Decided {
    records: Vec<Arc<Record>>,
    /// Whose keys the records need, each person as often as they have values.
    persons: Vec<PersonId>,
}

/// Where commands are decided: the state ahead of the disk, and the log behind it.
pub(crate) struct Desk<L> {
    ground: Ground<L>,
    projection: Box<dyn Projection>,
}

impl<L: DurableLog> Desk<L> {
    pub(crate) fn new(ground: Ground<L>, projection: Box<dyn Projection>) -> Self {
        Self { ground, projection }
    }

    /// The last record, durable between two batches.
    pub(crate) const fn position(&self) -> Position {
        self.ground.directory.position()
    }

    /// Carries a batch through. `false` if it must not go on; nobody of the batch was answered then.
    pub(crate) fn commit(&mut self, batch: Batch) -> bool {
        // A panic may leave the state half changed: it is never used again.
        let committed = catch_unwind(AssertUnwindSafe(|| self.try_commit(batch)));
        go_on(committed.unwrap_or(Err(Failure::Panicked)))
    }

    /// `false` if it must not go on.
    pub(crate) fn sync_head(&mut self) -> bool {
        let synced = self.ground.log.sync_head();
        go_on(synced.map_err(|error| LogError::from(error).into()))
    }

    /// Closes the log.
    pub(crate) fn close(self) -> Result<(), StopError> {
        self.ground.log.close(self.ground.frontier.root())
    }

    fn try_commit(&mut self, batch: Batch) -> Result<(), Failure> {
        // Before deciding: what was decided and cannot be stored could not be taken back.
        match self.ground.log.check_room() {
            Ok(()) => {}
            Err(AppendError::OutOfSpace {
                available_bytes,
                reserve_bytes,
                ..
            }) => {
                tracing::warn!(
                    available_bytes,
                    reserve_bytes,
                    "changes are refused: the disk is too full"
                );
                for (_, answer) in batch {
                    let refused = NotCommitted::OutOfSpace {
                        available_bytes,
                        reserve_bytes,
                    };
                    // Who does not wait any more needs no answer; here and below.
                    let _ = answer.send(Err(refused));
                }
                return Ok(());
            }
            Err(error @ (AppendError::NotWritten(_) | AppendError::Unknown { .. })) => {
                return Err(Failure::Room(error));
            }
        }
        let mut decided = Decided::default();
        let mut verdicts = Vec::with_capacity(batch.len());
        for (submission, answer) in batch {
            verdicts.push((answer, self.decide(submission, &mut decided)?));
        }
        if !decided.records.is_empty() {
            self.make_durable(&decided)?;
            self.erase(&decided)?;
            self.projection.apply(&decided.records);
        }
        for (answer, verdict) in verdicts {
            let _ = answer.send(verdict);
        }
        Ok(())
    }

    /// Decides one command, and applies what it leads to.
    fn decide(&mut self, submission: Submission, decided: &mut Decided) -> Result<Answer, Failure> {
        let Submission {
            authority,
            request,
            source,
            client,
            command,
        } = submission;
        let Ground {
            directory,
            persons,
            clock,
            ..
        } = &mut self.ground;
        let (now, clock_behind_micros) = after(directory.at(), clock.now());
        let event = match decide(directory, &authority, command, now) {
            Ok(Some(event)) => event,
            Ok(None) => {
                return Ok(Ok(Committed {
                    position: directory.position(),
                    record: None,
                }));
            }
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let person = directory.subject_of(authority.actor, &event);
        let is_erased = persons.is_erased(person);
        let record = Record {
            position: directory.position().next(),
            at: now,
            clock_behind_micros,
            origin: Origin {
                actor: authority.actor,
                person,
                credential: authority.credential(),
                request,
                source: source.map(|ip| personal(ip, is_erased)),
                client: client.map(|name| personal(name, is_erased)),
            },
            organizations: directory.organizations_of(&event),
            event,
        };
        // What could not be stored must not be applied: so it is measured now and sealed later.
        let measured = record::measure(&record)?;
        if measured.record_bytes > RECORD_BYTES_MAX {
            let record_bytes = measured.record_bytes;
            return Ok(Err(NotCommitted::TooLarge { record_bytes }));
        }
        if measured
            .persons
            .iter()
            .any(|person| persons.is_erased(*person))
        {
            return Ok(Err(Refusal::CredentialEnded.into()));
        }
        directory.apply(&record);
        let record = Arc::new(record);
        decided.records.push(Arc::clone(&record));
        decided.persons.extend(measured.persons);
        Ok(Ok(Committed {
            position: record.position,
            record: Some(record),
        }))
    }

    fn make_durable(&mut self, decided: &Decided) -> Result<(), Failure> {
        let Ground {
            log,
            frontier,
            persons,
            rng,
            ..
        } = &mut self.ground;
        // Synced before the records that need them: dying in between leaves keys that nobody uses.
        persons.prepare(&decided.persons, &**rng)?;
        let mut entries = Vec::with_capacity(decided.records.len());
        for record in &decided.records {
            let stored = record::encode(record, persons, &**rng)?;
            frontier.append(leaf_hash(&stored.record));
            entries.push(Entry {
                position: record.position,
                record: stored.record,
                side: stored.side,
            });
        }
        log.append(&entries, frontier.root())?;
        Ok(())
    }

    /// Carries out the erasures that are durable now: not before, or a crash would have forgotten
    /// somebody without a record; and before anybody is told. What a death leaves undone here is done by
    /// the next start.
    fn erase(&mut self, decided: &Decided) -> Result<(), Failure> {
        for record in &decided.records {
            let Event::PersonErased(event) = &record.event else {
                continue;
            };
            self.ground.persons.erase(event.persons())?;
            if let Some(snapshots) = &self.ground.snapshots {
                let Ground {
                    directory,
                    frontier,
                    rng,
                    ..
                } = &self.ground;
                let now = || Folded {
                    directory: directory.clone(),
                    frontier: frontier.clone(),
                };
                snapshots
                    .renew(now, record.position, &**rng)
                    .and_then(|()| snapshots.forget_before(record.position))
                    .map_err(Failure::Snapshots)?;
            }
        }
        Ok(())
    }
}

/// A person who was erased leaves no trace any more, not even while a last request of theirs is on
/// its way.
fn personal<T>(value: T, is_erased: bool) -> Personal<T> {
    if is_erased {
        Personal::Erased
    } else {
        Personal::Known(value)
    }
}

/// The time of the next record, never before the last one; and how far the clock stands behind it, in
/// microseconds.
fn after(last: Timestamp, clock: Timestamp) -> (Timestamp, u64) {
    let now = last.max(clock);
    (now, now.micros().abs_diff(clock.micros()))
}

/// Says once, in the log, why it does not.
fn go_on(done: Result<(), Failure>) -> bool {
    done.inspect_err(|failure| {
        tracing::error!(
            error = failure as &dyn std::error::Error,
            "changes stop until the next start"
        );
    })
    .is_ok()
}
