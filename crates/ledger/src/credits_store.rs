//! How much is left of the credits of each entitlement token: exact on one node, whatever crashes.
//!
//! ```text
//! credits/          sled: a row a token (grant, left, refills), and a row of the whole
//! keys/credits.key  how far the counting had come, as the ledger's own head: sequence and sum
//! ```
//!
//! One thread counts. It takes all that waits, decides each, writes the rows in one batch, flushes,
//! syncs sled's file (which sled does not), writes the head, and only then answers: many wait for one
//! sync. So a use that was answered is on the disk; a death before the answer may have spent a credit for
//! nothing, and never gives one twice.
//!
//! sled opens a file that was cut off with `Ok` and fewer rows, and here that would be credits given
//! anew. So the rows have a sum: the XOR of a keyed hash of each, stored with a sequence number in the same
//! batch, and beside it in the head. What does not agree, what is older than the head, and what is missing while
//! the head tells of it, is **not begun anew**: tokens with credits are refused until somebody restores the
//! folder, or removes both `credits/` and `keys/credits.key` and so decides that all grants begin again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bincode::{Decode, Encode};
use keyledger_domain::credits::Credits;
use keyledger_domain::id::EntitlementId;
use keyledger_domain::{Position, Timestamp};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::files;
use crate::head::{Head, HeadError, HeadFile};
use crate::key_file::{Purpose, SubKey};
use crate::ledger::KeyFile;
use crate::merkle::Hash;
use crate::paths::Paths;
use crate::sled_store::{DB_FILE, caught, open_db};
use crate::store::ScanError;

/// The most uses that are made durable together, below what sled takes well in one batch.
const BATCH_USES_MAX: usize = 250;
/// The most uses that may wait. Beyond it the token is told to come back.
const WAITING_USES_MAX: usize = 4_096;
/// sled's pages of this store in memory, in bytes.
const CACHE_BYTES: u64 = 8 << 20;
/// How long a change of the head may wait for its sync; until then the rows are ahead of it.
const HEAD_SYNC_PAUSE: Duration = Duration::from_secs(1);
/// The row of the whole. No token's row is that short.
const WHOLE: &[u8] = b"whole";
/// The revision of the rows.
const REVISION: u8 = 1;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<256>,
> = bincode::config::standard().with_limit::<256>();

/// Why a token may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotSpent {
    /// Nothing is left.
    #[error("nothing is left of the credits of this token")]
    Exhausted {
        /// In how many seconds something is there again, if it ever is.
        retry_after_seconds: Option<u64>,
    },
    /// What is left is not known, so nothing is given.
    #[error("what is left of the credits of this token is not known")]
    Unknown,
    /// Too many wait. Nothing was spent.
    #[error("too many uses of credits are waiting")]
    Busy,
}

/// Why the store is not what it was.
#[derive(Debug, Error)]
enum Damage {
    #[error("the store of the credits cannot be read or written")]
    Io(#[source] io::Error),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("the store of the credits is there, but not its head")]
    HeadMissing,
    #[error("the head tells of credits that were counted, but their store is missing")]
    StoreMissing,
    #[error("the rows of the credits are not those that were written")]
    SumDiffers,
    #[error("the store of the credits is older than its head")]
    Older,
}

impl From<ScanError> for Damage {
    fn from(error: ScanError) -> Self {
        Self::Io(error.into())
    }
}

/// What is known of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Row {
    /// The grant that is counted: the position of its record.
    generation: u64,
    left: u64,
    /// How many refills were taken into account.
    refills: u64,
}

/// How far the counting has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Whole {
    sequence: u64,
    /// The XOR of the hashes of all rows.
    sum: [u8; 32],
}

impl Row {
    /// The row at `now`: a new one for a new grant, with the refills that came since.
    fn at(row: Option<Self>, credits: &Credits, now: Timestamp) -> Self {
        let generation = credits.generation.get();
        let mut row = match row {
            // The question may be older than a grant that was counted meanwhile.
            Some(row) if row.generation >= generation => row,
            Some(_) | None => Self {
                generation,
                left: credits.grant.remaining,
                refills: 0,
            },
        };
        let refills = credits.refills_by(now);
        if row.generation == generation && refills > row.refills {
            row.left = credits.refilled(row.left);
            row.refills = refills;
        }
        row
    }

    fn spend(self, credits: &Credits, now: Timestamp) -> Result<Self, NotSpent> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left, ..self }),
            None => Err(NotSpent::Exhausted {
                retry_after_seconds: self.seconds_to_refill(credits, now),
            }),
        }
    }

    fn seconds_to_refill(self, credits: &Credits, now: Timestamp) -> Option<u64> {
        let per_seconds = u64::from(credits.grant.refill?.per_seconds.get());
        let refills = self.refills.max(credits.refills_by(now));
        let after = per_seconds.saturating_mul(refills.saturating_add(1));
        let next = credits.granted_at.plus_seconds(after).micros();
        let micros = u64::try_from(next.saturating_sub(now.micros())).unwrap_or(0);
        Some(micros.div_ceil(1_000_000).max(1))
    }

    fn hash(&self, id: EntitlementId, key: &SubKey) -> [u8; 32] {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&id.to_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.left.to_le_bytes());
        bytes[32..].copy_from_slice(&self.refills.to_le_bytes());
        key.tag(&bytes).into()
    }
}

/// What is left to one token, for a backup.
pub type CreditsRow = (EntitlementId, [u64; 3]);

/// Makes the store of a data folder that has none, with these rows.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn restore(paths: &Paths, key_file: &KeyFile, rows: &[CreditsRow]) -> io::Result<()> {
    let restored = Book::open(paths, key_file, Arc::default()).and_then(|mut book| {
        for rows in rows.chunks(BATCH_USES_MAX) {
            let changed = rows.iter().map(|(id, [generation, left, refills])| {
                let row = Row {
                    generation: *generation,
                    left: *left,
                    refills: *refills,
                };
                (*id, row)
            });
            book.make_durable(&changed.collect())?;
        }
        Ok(book.head.sync()?)
    });
    restored.map_err(io::Error::other)
}

/// What those who ask and the thread that counts share.
#[derive(Default)]
struct Shared {
    rows: RwLock<HashMap<EntitlementId, Row>>,
    /// Whether what is left is not known, until the next start.
    is_unknown: AtomicBool,
}

impl Shared {
    fn row(&self, id: EntitlementId) -> Option<Row> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        rows.get(&id).copied()
    }
}

struct Use {
    id: EntitlementId,
    credits: Credits,
    now: Timestamp,
}

type Answer = Result<u64, NotSpent>;

enum Message {
    Spend(Use, oneshot::Sender<Answer>),
    Stop,
}

/// The credits, for whoever spends them.
#[derive(Clone)]
pub struct CreditsBook {
    shared: Arc<Shared>,
    queue: SyncSender<Message>,
}

impl CreditsBook {
    /// Opens the store of a data folder, or makes it, and starts the thread that counts.
    ///
    /// A store that is damaged is told in the log and refuses every use; it does not stop the start,
    /// because everything but tokens with credits goes on.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn open(paths: &Paths, key_file: &KeyFile) -> io::Result<(Self, CreditsThread)> {
        let shared = Arc::new(Shared::default());
        let book = Book::open(paths, key_file, Arc::clone(&shared));
        let book = book.inspect_err(|error| refuse_all(&shared, error)).ok();
        let (queue, waiting) = sync_channel(WAITING_USES_MAX);
        let thread = thread::Builder::new().name("credits".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(book, &shared, &waiting)
        })?;
        let thread = CreditsThread {
            queue: queue.clone(),
            thread,
        };
        Ok((Self { shared, queue }, thread))
    }

    /// Spends one credit of a token, and gives what is left. It is durable when this returns `Ok`.
    ///
    /// # Errors
    /// See [`NotSpent`].
    pub async fn spend(&self, id: EntitlementId, credits: Credits, now: Timestamp) -> Answer {
        let (sender, answer) = oneshot::channel();
        let message = Message::Spend(Use { id, credits, now }, sender);
        match self.queue.try_send(message) {
            Ok(()) => answer.await.unwrap_or(Err(NotSpent::Unknown)),
            Err(TrySendError::Full(_)) => Err(NotSpent::Busy),
            Err(TrySendError::Disconnected(_)) => Err(NotSpent::Unknown),
        }
    }

    /// What is left to every token that was ever used; `None` if that is not known.
    pub fn rows(&self) -> Option<Vec<CreditsRow>> {
        if self.shared.is_unknown.load(Ordering::Acquire) {
            return None;
        }
        let rows = self.shared.rows.read();
        let rows = rows.unwrap_or_else(PoisonError::into_inner);
        let told =
            |(id, row): (&EntitlementId, &Row)| (*id, [row.generation, row.left, row.refills]);
        Some(rows.iter().map(told).collect())
    }

    /// What is left to a token; `None` if that is not known.
    pub fn left(&self, id: EntitlementId, credits: &Credits, now: Timestamp) -> Option<u64> {
        if self.shared.is_unknown.load(Ordering::Acquire) {
            return None;
        }
        Some(Row::at(self.shared.row(id), credits, now).left)
    }
}

/// The thread that counts, for the one who stops it.
pub struct CreditsThread {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl CreditsThread {
    /// Lets it finish what waits, and ends it.
    pub fn stop(self) {
        // If it has ended already there is nobody to tell.
        let _ = self.queue.send(Message::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the credits panicked");
        }
    }
}

fn refuse_all(shared: &Shared, error: &Damage) {
    shared.is_unknown.store(true, Ordering::Release);
    tracing::error!(
        error = error as &dyn std::error::Error,
        "tokens with credits are refused until the next start"
    );
}

fn run(mut book: Option<Book>, shared: &Shared, waiting: &Receiver<Message>) {
    let mut is_head_synced = true;
    loop {
        let first = if is_head_synced {
            waiting.recv().ok()
        } else {
            match waiting.recv_timeout(HEAD_SYNC_PAUSE) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => {
                    sync_head(&mut book, shared);
                    is_head_synced = true;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => None,
            }
        };
        let mut is_last = first.is_none();
        let mut uses = Vec::new();
        let rest = waiting.try_iter().take(BATCH_USES_MAX - 1);
        for message in first.into_iter().chain(rest) {
            match message {
                Message::Spend(spent, answer) => uses.push((spent, answer)),
                Message::Stop => {
                    is_last = true;
                    break;
                }
            }
        }
        if !uses.is_empty() {
            is_head_synced = false;
            // Without a book nobody is answered, which means that it is not known.
            let failed = book.as_mut().and_then(|book| book.spend_all(uses).err());
            if let Some(error) = failed {
                // Rows and disk may differ now: only the next start tells.
                refuse_all(shared, &error);
                book = None;
            }
        }
        if is_last {
            sync_head(&mut book, shared);
            return;
        }
    }
}

fn sync_head(book: &mut Option<Book>, shared: &Shared) {
    let synced = book.as_mut().map_or(Ok(()), |book| book.head.sync());
    if let Err(error) = synced {
        refuse_all(shared, &error.into());
        *book = None;
    }
}

/// The store, of the thread that counts.
struct Book {
    db: sled::Db,
    /// sled's own file, for the sync that sled leaves out.
    db_file: File,
    head: HeadFile,
    key: SubKey,
    whole: Whole,
    shared: Arc<Shared>,
}

impl Book {
    fn open(paths: &Paths, key_file: &KeyFile, shared: Arc<Shared>) -> Result<Self, Damage> {
        let (folder, head_path) = (paths.credits(), paths.credits_head());
        let is_there = |path: &Path| path.try_exists().map_err(Damage::Io);
        let has_store = is_there(&folder.join(DB_FILE))?;
        if !is_there(&head_path)? {
            if has_store {
                return Err(Damage::HeadMissing);
            }
            // The head first: a store without one is never taken for a new one.
            HeadFile::create(&head_path, &key_file.sub_key(Purpose::CreditsHead))?;
            files::sync_parent(&head_path).map_err(Damage::Io)?;
        }
        let mut head = HeadFile::open(&head_path, key_file.sub_key(Purpose::CreditsHead))?;
        let counted = *head.current();
        if !has_store && counted.position > Position::ZERO {
            return Err(Damage::StoreMissing);
        }
        files::make_folder(&folder).map_err(Damage::Io)?;
        let db = open_db(&folder, CACHE_BYTES)?;
        let key = key_file.sub_key(Purpose::CreditsSum);
        let (rows, whole) = read(&db, &key)?;
        if whole.sequence < counted.position.get() {
            return Err(Damage::Older);
        }
        // A head that never told of anything has no sum to compare.
        let is_same = whole.sequence == counted.position.get();
        if is_same && whole.sequence > 0 && counted.root != Hash::from_bytes(whole.sum) {
            return Err(Damage::SumDiffers);
        }
        let db_file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(folder.join(DB_FILE))
            .map_err(Damage::Io)?;
        db_file.sync_all().map_err(Damage::Io)?;
        files::sync_folder(&folder)
            .and_then(|()| files::sync_parent(&folder))
            .map_err(Damage::Io)?;
        head.write_both(whole.head())?;
        *shared.rows.write().unwrap_or_else(PoisonError::into_inner) = rows;
        Ok(Self {
            db,
            db_file,
            head,
            key,
            whole,
            shared,
        })
    }

    /// Carries a batch through. After an error nobody of it was answered.
    fn spend_all(&mut self, uses: Vec<(Use, oneshot::Sender<Answer>)>) -> Result<(), Damage> {
        let mut changed: HashMap<EntitlementId, Row> = HashMap::new();
        let mut answers = Vec::with_capacity(uses.len());
        for (spent, answer) in uses {
            let Use { id, credits, now } = spent;
            let before = changed.get(&id).copied().or_else(|| self.shared.row(id));
            let verdict = Row::at(before, &credits, now).spend(&credits, now);
            if let Ok(row) = verdict {
                changed.insert(id, row);
            }
            answers.push((answer, verdict.map(|row| row.left)));
        }
        if !changed.is_empty() {
            self.make_durable(&changed)?;
            let rows = &self.shared.rows;
            rows.write()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(changed);
        }
        for (answer, verdict) in answers {
            // Who does not wait any more has spent it all the same.
            let _ = answer.send(verdict);
        }
        Ok(())
    }

    fn make_durable(&mut self, changed: &HashMap<EntitlementId, Row>) -> Result<(), Damage> {
        let mut batch = sled::Batch::default();
        let mut whole = self.whole;
        whole.sequence += 1;
        for (id, row) in changed {
            if let Some(before) = self.shared.row(*id) {
                xor(&mut whole.sum, &before.hash(*id, &self.key));
            }
            xor(&mut whole.sum, &row.hash(*id, &self.key));
            batch.insert(&id.to_bytes(), encode(row)?);
        }
        batch.insert(WHOLE, encode(&whole)?);
        // One batch, so that the rows and their sum are both there or neither is.
        caught(|| self.db.apply_batch(batch))?;
        caught(|| self.db.flush())?;
        self.db_file.sync_data().map_err(Damage::Io)?;
        self.whole = whole;
        self.head.write(whole.head())?;
        Ok(())
    }
}

impl Whole {
    fn head(&self) -> Head {
        Head {
            position: Position::new(self.sequence),
            root: Hash::from_bytes(self.sum),
            db_bytes: 0,
            clean: None,
        }
    }
}

/// All rows, if they are those that were written.
fn read(db: &sled::Db, key: &SubKey) -> Result<(HashMap<EntitlementId, Row>, Whole), Damage> {
    let mut rows = HashMap::new();
    let mut stored = None;
    let mut sum = [0; 32];
    let mut scan = caught(|| Ok(db.iter()))?;
    while let Some((name, value)) = caught(|| scan.next().transpose())? {
        if &*name == WHOLE {
            stored = Some(decode::<Whole>(&value)?);
            continue;
        }
        let id: [u8; 16] = name.as_ref().try_into().map_err(|_| Damage::SumDiffers)?;
        let id = EntitlementId::from_bytes(id);
        let row = decode::<Row>(&value)?;
        xor(&mut sum, &row.hash(id, key));
        rows.insert(id, row);
    }
    let whole = stored.unwrap_or(Whole {
        sequence: 0,
        sum: [0; 32],
    });
    if whole.sum == sum {
        Ok((rows, whole))
    } else {
        Err(Damage::SumDiffers)
    }
}

fn xor(sum: &mut [u8; 32], hash: &[u8; 32]) {
    for (sum, hash) in sum.iter_mut().zip(hash) {
        *sum ^= hash;
    }
}

fn encode<T: Encode>(value: &T) -> Result<Vec<u8>, Damage> {
    let mut bytes = vec![REVISION];
    bincode::encode_into_std_write(value, &mut bytes, CONFIG)
        .map_err(|error| Damage::Io(io::Error::other(error)))?;
    Ok(bytes)
}

fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, Damage> {
    let Some((&REVISION, bytes)) = bytes.split_first() else {
        return Err(Damage::SumDiffers);
    };
    match bincode::decode_from_slice(bytes, CONFIG) {
        Ok((value, used)) if used == bytes.len() => Ok(value),
        Ok(_) | Err(_) => Err(Damage::SumDiffers),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use keyledger_domain::credits::{Grant, Refill};
    use ring::rand::SystemRandom;

    use super::*;
    use crate::folder::OpenFolder;
    use crate::sled_store::wait_until_released;

    const EXHAUSTED: NotSpent = NotSpent::Exhausted {
        retry_after_seconds: None,
    };

    struct Room {
        _folder: tempfile::TempDir,
        paths: Paths,
        key_file: KeyFile,
    }

    impl Room {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let open = OpenFolder::open_or_create(folder.path(), &SystemRandom::new());
            Self {
                paths: Paths::new(folder.path()),
                _folder: folder,
                key_file: KeyFile::new(open.expect("it is made").master_key),
            }
        }

        fn open(&self) -> Counting {
            let (book, thread) = CreditsBook::open(&self.paths, &self.key_file).expect("a thread");
            Counting {
                book,
                thread,
                db: self.paths.credits().join(DB_FILE),
            }
        }

        /// A folder in which two credits of ten were spent, and the store closed.
        fn with_eight_left() -> Self {
            let room = Self::new();
            let counting = room.open();
            assert_eq!(counting.spend(&grant(10, None), 0), Ok(9));
            assert_eq!(counting.spend(&grant(10, None), 0), Ok(8));
            counting.stop();
            room
        }
    }

    /// What is done to a folder, and how it is called.
    type Damaging = (&'static str, fn(&Room));

    struct Counting {
        book: CreditsBook,
        thread: CreditsThread,
        db: std::path::PathBuf,
    }

    impl Counting {
        fn spend(&self, credits: &Credits, seconds: i64) -> Answer {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let spend = self.book.spend(token(), *credits, at(seconds));
            runtime.expect("a runtime").block_on(spend)
        }

        fn stop(self) {
            self.thread.stop();
            drop(self.book);
            assert!(wait_until_released(&self.db).expect("asked"));
        }
    }

    fn token() -> EntitlementId {
        EntitlementId::from_bytes([7; 16])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn grant(remaining: u64, refill: Option<(u64, u32)>) -> Credits {
        let refill = refill.map(|(amount, seconds)| Refill::new(amount, seconds).expect("right"));
        Credits {
            grant: Grant::new(remaining, refill).expect("right"),
            granted_at: at(0),
            generation: Position::new(5),
        }
    }

    #[test]
    fn ten_credits_are_ten_uses_and_a_new_grant_begins_again() {
        let room = Room::with_eight_left();
        let counting = room.open();
        let ten = grant(10, None);
        assert_eq!(counting.book.left(token(), &ten, at(0)), Some(8));
        for left in (0..8).rev() {
            assert_eq!(counting.spend(&ten, 0), Ok(left));
        }
        for _ in 0..3 {
            assert_eq!(counting.spend(&ten, 1_000_000), Err(EXHAUSTED));
        }
        let granted_anew = Credits {
            generation: Position::new(6),
            ..grant(2, None)
        };
        assert_eq!(counting.spend(&granted_anew, 0), Ok(1));
        // Whoever still asks for the old grant spends of the new one.
        assert_eq!(counting.spend(&ten, 0), Ok(0));
        assert_eq!(counting.spend(&granted_anew, 0), Err(EXHAUSTED));
        counting.stop();
    }

    #[test]
    fn refills_fill_up_and_come_once_whatever_the_clock_does() {
        let room = Room::new();
        let counting = room.open();
        let refilled = grant(1, Some((2, 60)));
        let table = [
            (0, Ok(0)),
            (0, Err(60)),
            (59, Err(1)),
            (60, Ok(1)),
            (60, Ok(0)),
            (61, Err(59)),
            // Set back, and forth again: the first refill is not given twice.
            (10, Err(110)),
            (119, Err(1)),
            (600, Ok(1)),
            (600, Ok(0)),
            (601, Err(59)),
        ];
        for (seconds, then) in table {
            let then = then.map_err(|seconds| NotSpent::Exhausted {
                retry_after_seconds: Some(seconds),
            });
            assert_eq!(counting.spend(&refilled, seconds), then, "at {seconds}");
        }
        counting.stop();
    }

    #[test]
    fn fifty_at_once_get_ten() {
        let room = Room::new();
        let counting = room.open();
        let valid: usize = thread::scope(|scope| {
            let spend = || usize::from(counting.spend(&grant(10, None), 0).is_ok());
            let all: Vec<_> = (0..50).map(|_| scope.spawn(spend)).collect();
            let all = all.into_iter().map(|one| one.join().expect("it ran"));
            all.sum()
        });
        assert_eq!(valid, 10);
        counting.stop();
    }

    #[test]
    fn what_is_not_known_is_not_given_anew() {
        let damages: [Damaging; 5] = [
            ("the store is gone", |room| {
                fs::remove_dir_all(room.paths.credits()).expect("removed");
            }),
            ("the store is empty", |room| {
                fs::remove_dir_all(room.paths.credits()).expect("removed");
                let db = sled::open(room.paths.credits()).expect("an empty one");
                db.flush().expect("flushed");
                drop(db);
                wait_until_released(&room.paths.credits().join(DB_FILE)).expect("asked");
            }),
            ("the head is gone", |room| {
                fs::remove_file(room.paths.credits_head()).expect("removed");
            }),
            ("the head is of another folder", |room| {
                fs::copy(
                    Room::with_eight_left().paths.credits_head(),
                    room.paths.credits_head(),
                )
                .expect("copied");
            }),
            ("a row is changed", |room| {
                let db = sled::open(room.paths.credits()).expect("opened");
                let row = Row {
                    generation: 5,
                    left: 10,
                    refills: 0,
                };
                db.insert(token().to_bytes(), encode(&row).expect("encoded"))
                    .expect("inserted");
                db.flush().expect("flushed");
                drop(db);
                wait_until_released(&room.paths.credits().join(DB_FILE)).expect("asked");
            }),
        ];
        for (what, damage) in damages {
            let room = Room::with_eight_left();
            damage(&room);
            for _ in 0..2 {
                let counting = room.open();
                assert_eq!(
                    counting.spend(&grant(10, None), 0),
                    Err(NotSpent::Unknown),
                    "{what}"
                );
                assert_eq!(
                    counting.book.left(token(), &grant(10, None), at(0)),
                    None,
                    "{what}"
                );
                counting.stop();
            }
        }
        // Both removed is a decision.
        let room = Room::with_eight_left();
        fs::remove_dir_all(room.paths.credits()).expect("removed");
        fs::remove_file(room.paths.credits_head()).expect("removed");
        let counting = room.open();
        assert_eq!(counting.spend(&grant(10, None), 0), Ok(9));
        counting.stop();
    }

    #[test]
    fn an_older_copy_of_the_store_is_refused() {
        let room = Room::with_eight_left();
        let older = room.paths.root().join("older");
        crate::aside::copy_folder(&room.paths.credits(), &older).expect("copied");
        let counting = room.open();
        assert_eq!(counting.spend(&grant(10, None), 0), Ok(7));
        counting.stop();
        fs::remove_dir_all(room.paths.credits()).expect("removed");
        fs::rename(&older, room.paths.credits()).expect("put back");
        let counting = room.open();
        assert_eq!(counting.spend(&grant(10, None), 0), Err(NotSpent::Unknown));
        counting.stop();
    }
}
