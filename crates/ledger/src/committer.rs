//! The one who changes anything: a thread that owns the state ahead of the disk.
//!
//! ```text
//! takes all that waits, at most 512
//! for each: decide on `ahead`, and apply what was decided to it     a death here leaves nothing
//! seal, append, one flush, one sync                                 a death here leaves some of the batch
//! write the head                                                    ... or all of it, and nobody was told
//! the projections apply it                                          who reads now sees it
//! all callers are answered                                          refusals too: they may rest on the batch
//! ```
//!
//! Nobody is told anything before that. Whatever goes wrong after the deciding leaves `ahead` ahead
//! of the ledger for good, so the committer stops, answers [`NotCommitted::Stopped`] to all who wait and
//! to all who come, and the process must end: the next start reads what is there.

mod batch;
mod log;

#[cfg(test)]
pub(crate) mod faults;

use core::net::IpAddr;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keyledger_domain::id::RequestId;
use keyledger_domain::{Authority, ClientName, Command, Position, Record, Refusal};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::committer::batch::Batch;
pub use crate::committer::log::{DurableLog, LogError, SledLog};
use crate::opening::StopError;
use crate::publisher::PublisherThread;
use crate::snapshot::SnapshotThread;

pub(crate) use crate::committer::batch::{Desk, Ground};

/// The most commands that are made durable together: about 4 ms of sled's time, and more would only
/// add to the waiting.
pub const BATCH_COMMANDS_MAX: usize = 512;

/// The most commands that may wait. Beyond it callers are told to come back.
pub const WAITING_COMMANDS_MAX: usize = 4_096;

/// How long a change of the head may wait for its sync. Until then a power cut can take it back, and
/// the ledger is ahead of its head, which is right.
const HEAD_SYNC_PAUSE: Duration = Duration::from_secs(1);

/// A command, and all that the record will say of where it came from.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Who asks, and how they showed it.
    pub authority: Authority,
    /// The request.
    pub request: RequestId,
    /// The address it came from.
    pub source: Option<IpAddr>,
    /// What the client called itself.
    pub client: Option<ClientName>,
    /// What is asked for.
    pub command: Command,
}

/// What was asked for is so, and will be after any crash.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Up to where the ledger must be read to see it.
    pub position: Position,
    /// What was recorded; `None` if it was so already.
    pub record: Option<Arc<Record>>,
}

/// What was asked for did not happen; with [`NotCommitted::Stopped`] it may have.
#[derive(Debug, Error)]
pub enum NotCommitted {
    /// The rules refuse it. The caller's to mend.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The record would be longer than a record may be. The caller's to mend: fewer scopes, teams or
    /// organizations.
    #[error("this would make a record of {record_bytes} bytes, more than a record may have")]
    TooLarge {
        /// How long it would be.
        record_bytes: usize,
    },
    /// The disk is too full for changes. Nothing was written; it goes on once there is room.
    #[error(
        "{available_bytes} bytes are free on the disk, less than the reserve of {reserve_bytes}"
    )]
    OutOfSpace {
        /// What is free.
        available_bytes: u64,
        /// What must stay free.
        reserve_bytes: u64,
    },
    /// Too many commands wait. Nothing was written; try again in a moment.
    #[error("too many changes are waiting")]
    Busy,
    /// The committer has stopped. If the command was accepted before, it may be in the ledger or not:
    /// only the next start will tell.
    #[error("changes have stopped until the next start")]
    Stopped,
}

/// Told of every batch when it is durable, before any caller is answered.
pub trait Projection: Send {
    /// Applies the records of a batch, in order, without gaps.
    fn apply(&mut self, records: &[Arc<Record>]);
}

/// How it stands with the committer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Running,
    Ended(Ending),
}

/// How the committer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to stop.
    Stopped,
    /// Something failed. The process must end, with an exit code that says so.
    Failed,
}

type Answer = Result<Committed, NotCommitted>;

enum Message {
    Change(Box<Submission>, oneshot::Sender<Answer>),
    Stop,
}

/// A handle of the committer, to be cloned for whoever asks.
#[derive(Clone)]
pub struct Committer {
    queue: SyncSender<Message>,
    standing: watch::Receiver<Standing>,
}

impl Committer {
    /// Has a command decided and recorded. It is durable when this returns `Ok`. Dropping the future does
    /// not take the command back.
    ///
    /// # Errors
    /// See [`NotCommitted`].
    pub async fn submit(&self, submission: Submission) -> Answer {
        // An answer that is never sent means that the committer has stopped meanwhile.
        let answer = self.enqueue(submission)?;
        answer.await.unwrap_or(Err(NotCommitted::Stopped))
    }

    /// As [`Committer::submit`], for threads that may wait: at boot, in tests. Not from async code.
    ///
    /// # Errors
    /// See [`NotCommitted`].
    pub fn submit_blocking(&self, submission: Submission) -> Answer {
        let answer = self.enqueue(submission)?;
        answer.blocking_recv().unwrap_or(Err(NotCommitted::Stopped))
    }

    fn enqueue(&self, submission: Submission) -> Result<oneshot::Receiver<Answer>, NotCommitted> {
        let (sender, answer) = oneshot::channel();
        let message = Message::Change(Box::new(submission), sender);
        match self.queue.try_send(message) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(NotCommitted::Busy),
            Err(TrySendError::Disconnected(_)) => Err(NotCommitted::Stopped),
        }
    }

    /// Whether it takes no changes any more.
    pub fn is_stopped(&self) -> bool {
        *self.standing.borrow() != Standing::Running
    }

    /// Waits until the committer has ended. After [`Ending::Failed`] the process must end.
    pub async fn ended(&self) -> Ending {
        let mut standing = self.standing.clone();
        let ended = standing
            .wait_for(|standing| *standing != Standing::Running)
            .await;
        match ended.as_deref() {
            Ok(Standing::Ended(ending)) => *ending,
            // It told nothing before it went away.
            Ok(Standing::Running) | Err(_) => Ending::Failed,
        }
    }
}

/// Why a stop did not leave everything in order. Nothing that was answered is lost.
#[derive(Debug, Error)]
pub enum StopFailure {
    /// The committer had ended by itself; the log says why.
    #[error("changes had stopped before, because of a failure")]
    FailedBefore,
    /// The ledger was not closed well; the next start takes it for a death and looks closer.
    #[error("the stop was not a clean one")]
    NotClean(#[source] StopError),
}

/// The committer's thread, for the one who stops it. Dropped, the thread ends once the last
/// [`Committer`] is gone.
pub struct CommitterThread {
    queue: SyncSender<Message>,
    thread: JoinHandle<Result<(), StopFailure>>,
    snapshots: Option<SnapshotThread>,
    publisher: Option<PublisherThread>,
}

impl CommitterThread {
    /// Lets it finish what waits, closes the ledger, and has the head say that the stop was clean.
    /// Blocks for as long as that takes. Ranges of records that are still being read must end first.
    ///
    /// # Errors
    /// See [`StopFailure`].
    pub fn stop(self) -> Result<(), StopFailure> {
        // It reads records, and what is being read cannot be closed.
        if let Some(snapshots) = self.snapshots {
            snapshots.stop();
        }
        if let Some(publisher) = self.publisher {
            publisher.stop();
        }
        // If it has ended already there is nobody to tell.
        let _ = self.queue.send(Message::Stop);
        self.thread.join().unwrap_or(Err(StopFailure::FailedBefore))
    }

    pub(crate) fn with_publisher(mut self, publisher: PublisherThread) -> Self {
        self.publisher = Some(publisher);
        self
    }

    pub(crate) fn with_snapshots(mut self, snapshots: SnapshotThread) -> Self {
        self.snapshots = Some(snapshots);
        self
    }
}

/// Starts the thread.
///
/// # Errors
/// If the system gives no thread.
pub(crate) fn start<L: DurableLog + 'static>(
    ground: Ground<L>,
    projection: Box<dyn Projection>,
) -> io::Result<(Committer, CommitterThread)> {
    let (queue, waiting) = sync_channel(WAITING_COMMANDS_MAX);
    let (tell, standing) = watch::channel(Standing::Running);
    let desk = Desk::new(ground, projection);
    let thread = thread::Builder::new()
        .name("committer".to_owned())
        .spawn(move || {
            let ended = run(desk, &waiting);
            let ending = match &ended {
                Ok(()) | Err(StopFailure::NotClean(_)) => Ending::Stopped,
                Err(StopFailure::FailedBefore) => Ending::Failed,
            };
            // Told first: whoever is answered `Stopped` because the queue is gone finds it stopped.
            tell.send_replace(Standing::Ended(ending));
            drop(waiting);
            ended
        })?;
    let committer = Committer {
        queue: queue.clone(),
        standing,
    };
    let thread = CommitterThread {
        queue,
        thread,
        snapshots: None,
        publisher: None,
    };
    Ok((committer, thread))
}

fn run<L: DurableLog>(mut desk: Desk<L>, waiting: &Receiver<Message>) -> Result<(), StopFailure> {
    let mut head_sync_at: Option<Instant> = None;
    loop {
        if head_sync_at.is_some_and(|at| at <= Instant::now()) {
            head_sync_at = None;
            if !desk.sync_head() {
                return Err(StopFailure::FailedBefore);
            }
        }
        let first = match head_sync_at {
            None => waiting.recv().ok(),
            Some(at) => match waiting.recv_timeout(at.saturating_duration_since(Instant::now())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => None,
            },
        };
        let mut batch = Batch::with_capacity(8);
        let mut is_last = first.is_none();
        let rest = waiting.try_iter().take(BATCH_COMMANDS_MAX - 1);
        for message in first.into_iter().chain(rest) {
            match message {
                Message::Change(submission, answer) => batch.push((*submission, answer)),
                Message::Stop => {
                    is_last = true;
                    break;
                }
            }
        }
        let position = desk.position();
        if !batch.is_empty() && !desk.commit(batch) {
            return Err(StopFailure::FailedBefore);
        }
        if is_last {
            return desk.close().map_err(StopFailure::NotClean);
        }
        if desk.position() > position && head_sync_at.is_none() {
            head_sync_at = Some(Instant::now() + HEAD_SYNC_PAUSE);
        }
    }
}
