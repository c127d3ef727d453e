//! The log as others see it: tree, checkpoints, sealed segments. One thread follows the ledger and publishes.
//!
//! **Never two inconsistent trees.** The order of one publication is kept here, once: the new leaves are
//! hashed out of what the store gives (what is durable), the tree's files are synced, the root is computed
//! out of *these files* and must be the one over the leaves, only then is the checkpoint signed, synced under
//! its name, and shown. A death anywhere leaves the last checkpoint and a tree that is compared anew at the
//! next start, which refuses a ledger that does not extend the checkpoint. An error ends publishing until
//! the next start: nothing is signed in doubt, and the server goes on.
//!
//! **Sealing** follows: when enough records are published, they become a [segment](crate::segment). Once it
//! is synced, read back and has its name, readers take its records from there, and they are taken out of
//! sled. A death between any two of these steps loses nothing: the records are in sled until the segment has
//! its name, and from then on both places have the same; what is left in sled is taken out later.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keyledger_domain::Position;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use crate::checkpoint::{Checkpoint, NotACheckpoint, ProofFile};
use crate::files;
use crate::key_file::{MasterKey, Purpose};
use crate::ledger::ORIGIN_DEFAULT;
use crate::merkle::proof;
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::note::{NotANote, NoteSigner, VerifierKey};
use crate::paths::Paths;
use crate::segment::{SegmentError, SegmentWriter};
use crate::segments::Segments;
use crate::sled_store::SledReader;
use crate::step_back::step_back;
use crate::store::{ReadError, ReadStore as _, ScanError, key_of};
use crate::tree::{Tree, TreeError, TreeReader};

/// How often it looks whether there is something new.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// How many requests to publish now may wait.
const REQUESTS_MAX: usize = 64;

/// What others were last told of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// How many records.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The checkpoint: a signed note. Ours is the first signature; those of witnesses follow as they come.
    pub checkpoint: String,
}

/// Nothing is published any more until the next start; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the log's checkpoints stopped because of a failure; its log says which")]
pub struct NotPublished;

/// Why publishing ends.
#[derive(Debug, Error)]
enum PublishError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("the checkpoint {} cannot be written", path.display())]
    Checkpoint { path: PathBuf, source: io::Error },
    #[error(
        "the tree's files have the root {found} at size {size}, the records {expected}: nothing is signed"
    )]
    Inconsistent {
        size: u64,
        found: Hash,
        expected: Hash,
    },
    #[error("sealed records could not be taken out of the store")]
    Remove(#[source] io::Error),
}

/// The key that signs the log's checkpoints, under the name of this address.
///
/// # Errors
/// If the address is no name: it has spaces or a plus sign in it.
pub fn signer(master_key: &MasterKey, origin: &str) -> Result<NoteSigner, NotANote> {
    NoteSigner::new(origin, &master_key.sub_key(Purpose::LogSigner))
}

/// The key that verifies the log's checkpoints, whichever name stands in them.
pub(crate) fn verifier(master_key: &MasterKey) -> VerifierKey {
    signer(master_key, ORIGIN_DEFAULT)
        .expect("this name is one")
        .verifier()
}

/// Why the checkpoint that a folder keeps is not known.
#[derive(Debug, Error)]
pub enum KeptCheckpointError {
    /// It is there, and cannot be read.
    #[error("the checkpoint {} cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was changed, or another log signed it.
    #[error("the checkpoint {} was changed or is another log's", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NotACheckpoint,
    },
}

/// The last checkpoint that a folder keeps, if there is one, under whichever name.
///
/// # Errors
/// See [`KeptCheckpointError`].
pub(crate) fn kept_checkpoint(
    paths: &Paths,
    key: &VerifierKey,
) -> Result<Option<Checkpoint>, KeptCheckpointError> {
    let path = paths.checkpoint();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeptCheckpointError::Io { path, source }),
    };
    str::from_utf8(&bytes)
        .map_err(|_| NotACheckpoint::Text)
        .and_then(|note| Checkpoint::open_of_any_origin(note, key))
        .map(Some)
        .map_err(|source| KeptCheckpointError::NotOurs { path, source })
}

/// What a publisher is made of.
pub(crate) struct Publisher {
    pub(crate) store: SledReader,
    pub(crate) paths: Paths,
    pub(crate) tree: Tree,
    /// The tree that `tree` has the hashes of.
    pub(crate) frontier: Frontier,
    pub(crate) signer: NoteSigner,
    /// How many records are sealed together.
    pub(crate) segment_records: u64,
    /// How long it waits for more after something has come, before it signs again.
    pub(crate) pause: Duration,
    /// Up to where sealed records were taken out of the store.
    pub(crate) swept: Position,
}

/// What the log shows, for any number of readers.
#[derive(Clone)]
pub struct PublicLog {
    published: watch::Receiver<Option<Arc<Published>>>,
    /// Of the publishing thread, whose end everybody who waits has to see.
    tell: Weak<watch::Sender<Option<Arc<Published>>>>,
    requests: SyncSender<oneshot::Sender<()>>,
    tree: TreeReader,
    segments: Segments,
    verifier: VerifierKey,
}

impl PublicLog {
    /// What was last published.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub fn published(&self) -> Result<Arc<Published>, NotPublished> {
        self.published.borrow().clone().ok_or(NotPublished)
    }

    /// What is published once everything up to this position is: at once, if it is already.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub async fn published_with(&self, position: Position) -> Result<Arc<Published>, NotPublished> {
        let published = self.published()?;
        if published.size >= position.get() {
            return Ok(published);
        }
        let (answer, answered) = oneshot::channel();
        // With many waiting one of them has it published for all.
        if self.requests.try_send(answer).is_ok() {
            answered.await.map_err(|_| NotPublished)?;
        }
        let mut published = self.published.clone();
        let found = published
            .wait_for(|now| now.as_ref().is_none_or(|now| now.size >= position.get()))
            .await
            .map_err(|_| NotPublished)?;
        found.clone().ok_or(NotPublished)
    }

    /// Has a cosignature, which the caller has verified, stand under the checkpoint of this size. `false` if
    /// another one was published meanwhile: what a witness saw is told of nothing else.
    pub fn cosign(&self, size: u64, line: &str) -> bool {
        let Some(tell) = self.tell.upgrade() else {
            return false;
        };
        tell.send_if_modified(|now| {
            let Some(published) = now.as_ref().filter(|now| now.size == size) else {
                return false;
            };
            let mut cosigned = Published::clone(published);
            cosigned.checkpoint.push_str(line);
            cosigned.checkpoint.push('\n');
            *now = Some(Arc::new(cosigned));
            true
        })
    }

    /// Told of every checkpoint, and again when a witness has cosigned it; the last one is there at once.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.clone()
    }

    /// The key that verifies the checkpoints, to be given to verifiers by another way.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The hashes of the tree. Ask for nothing beyond the size that was published.
    pub const fn tree(&self) -> &TreeReader {
        &self.tree
    }

    /// The sealed segments.
    pub const fn segments(&self) -> &Segments {
        &self.segments
    }

    /// That the record at a position is in what was published; `None` if it is not, yet.
    ///
    /// # Errors
    /// If a hash cannot be read.
    pub fn proof(
        &self,
        position: Position,
        published: &Published,
    ) -> Result<Option<ProofFile>, TreeError> {
        let Some(index) = position.get().checked_sub(1) else {
            return Ok(None);
        };
        let path = proof::inclusion(&self.tree, index, published.size)?;
        Ok(path.map(|path| ProofFile {
            index,
            path,
            checkpoint: published.checkpoint.clone(),
        }))
    }

    /// That what was published extends the tree of `old` records; `None` if that is larger.
    ///
    /// # Errors
    /// If a hash cannot be read.
    pub fn consistency(
        &self,
        old: u64,
        published: &Published,
    ) -> Result<Option<Vec<Hash>>, TreeError> {
        proof::consistency(&self.tree, old, published.size)
    }
}

/// The thread, for the one who stops it.
pub(crate) struct PublisherThread {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl PublisherThread {
    /// Has it publish what is durable, and waits until it reads no record any more.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::warn!("the thread that publishes the log had broken");
        }
    }
}

impl Publisher {
    /// Publishes what is there, and follows on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(mut self) -> io::Result<(PublicLog, PublisherThread)> {
        let (requests, requested) = sync_channel(REQUESTS_MAX);
        let (tell, published) = watch::channel(self.publish().map_or_else(stopped, Some));
        let tell = Arc::new(tell);
        let log = PublicLog {
            published,
            tell: Arc::downgrade(&tell),
            requests,
            tree: self.tree.reader(),
            segments: self.store.segments().clone(),
            verifier: self.signer.verifier(),
        };
        let (stop, stopping) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("publisher".to_owned())
            .spawn(move || {
                step_back();
                self.run(&requested, &tell, stopping);
            })?;
        Ok((log, PublisherThread { stop, thread }))
    }

    fn run(
        mut self,
        requested: &Receiver<oneshot::Sender<()>>,
        tell: &watch::Sender<Option<Arc<Published>>>,
        mut stopping: oneshot::Receiver<()>,
    ) {
        if tell.borrow().is_none() {
            return;
        }
        let mut due: Option<Instant> = None;
        loop {
            let is_last = stopping.try_recv() != Err(oneshot::error::TryRecvError::Empty);
            let asked =
                match requested.recv_timeout(if is_last { Duration::ZERO } else { LOOK_PAUSE }) {
                    Ok(asked) => Some(asked),
                    Err(RecvTimeoutError::Timeout) => None,
                    // The last reader has gone; the thread that stops us has not.
                    Err(RecvTimeoutError::Disconnected) => {
                        thread::sleep(if is_last { Duration::ZERO } else { LOOK_PAUSE });
                        None
                    }
                };
            let is_behind = self.store.last().get() > self.frontier.size();
            let now = Instant::now();
            if is_behind && due.is_none() {
                due = Some(now + self.pause);
            }
            if is_behind && (is_last || asked.is_some() || due.is_some_and(|due| due <= now)) {
                due = None;
                match self.publish() {
                    Ok(published) => {
                        tell.send_replace(Some(published));
                    }
                    Err(error) => {
                        tell.send_replace(stopped(error));
                        return;
                    }
                }
            }
            if let Some(asked) = asked {
                // Who does not wait any more needs no answer.
                let _ = asked.send(());
            }
            if is_last {
                return;
            }
            if let Err(error) = self.seal() {
                tell.send_replace(stopped(error));
                return;
            }
        }
    }

    /// Has all that is durable in a checkpoint.
    fn publish(&mut self) -> Result<Arc<Published>, PublishError> {
        let from = Position::new(self.frontier.size()).next();
        for entry in self.store.range(from, self.store.last()) {
            let leaf = leaf_hash(entry?.record());
            self.frontier.append(leaf);
            self.tree.append(leaf)?;
        }
        self.tree.sync()?;
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let checkpoint = self.checkpoint_at(size, root)?;
        let path = self.paths.checkpoint();
        files::replace(&path, checkpoint.as_bytes())
            .map_err(|source| PublishError::Checkpoint { path, source })?;
        Ok(Arc::new(Published {
            size,
            root,
            checkpoint,
        }))
    }

    /// Signs what the tree's files hold, if it is what the records say.
    fn checkpoint_at(&self, size: u64, expected: Hash) -> Result<String, PublishError> {
        let found = self.tree.reader().root(size)?;
        if found != expected {
            return Err(PublishError::Inconsistent {
                size,
                found,
                expected,
            });
        }
        let checkpoint = Checkpoint {
            origin: self.signer.name().to_owned(),
            size,
            root: expected,
        };
        Ok(checkpoint.sign(&self.signer))
    }

    /// Seals every segment that is full, and takes what is sealed out of sled.
    fn seal(&mut self) -> Result<(), PublishError> {
        let segments = self.store.segments().clone();
        while self.frontier.size() - segments.last().get() >= self.segment_records {
            let before = segments.last();
            let last = Position::new(before.get() + self.segment_records);
            files::make_folder(segments.folder())
                .and_then(|()| files::sync_parent(segments.folder()))
                .map_err(|source| SegmentError::Io {
                    path: segments.folder().to_owned(),
                    source,
                })?;
            let path = segments.path_of(before.next(), last);
            let mut writer = SegmentWriter::begin(&path, self.frontier_at(before)?, last)?;
            for entry in self.store.range(before.next(), last) {
                writer.add(&entry?)?;
            }
            let checkpoint = self.checkpoint_at(last.get(), writer.frontier().root())?;
            segments.add(writer.finish(&checkpoint, &self.signer.verifier())?);
            tracing::info!(path = %path.display(), "a segment was sealed");
        }
        if segments.last() > self.swept {
            let removed = self.store.view().remove_up_to(key_of(segments.last()));
            match removed {
                Ok(()) => self.swept = segments.last(),
                Err(ScanError::Io(source)) => return Err(PublishError::Remove(source)),
                Err(ScanError::Panicked) => {
                    return Err(PublishError::Remove(io::Error::other(
                        "the storage engine broke",
                    )));
                }
            }
        }
        Ok(())
    }

    fn frontier_at(&self, position: Position) -> Result<Frontier, TreeError> {
        let reader = self.tree.reader();
        proof::frontier(&reader, position.get())
    }
}

fn stopped(error: PublishError) -> Option<Arc<Published>> {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "no checkpoint is signed until the next start"
    );
    None
}
