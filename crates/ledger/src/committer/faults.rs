//! The committer over a disk that fails when told to: whatever fails, nobody is told anything that the
//! next start does not find.

use std::sync::{Arc, Mutex, MutexGuard};

use keyledger_domain::api_key::RevealApiKey;
use keyledger_domain::{Directory, Position, Record, Timestamp};
use ring::rand::SystemRandom;

use super::batch::{Desk, Ground};
use super::*;
use crate::clock::Clock;
use crate::faulty_store::{Fault, FaultyDisk, FaultyStore, Kept, Step};
use crate::head::HeadError;
use crate::key_file::MasterKey;
use crate::merkle::{EMPTY_ROOT, Hash};
use crate::person_keys::PersonKeys;
use crate::record::{Depth, Persons, decode};
use crate::replay::{Folded, Source, replay};
use crate::scenario::{Ticking, steps};
use crate::store::{AppendError, AppendStore as _, Entry, ReadStore as _};
use crate::vault::Vault;

/// A head in memory: what was written outlives a death, what was synced also a power cut.
#[derive(Clone)]
pub(crate) struct HeadDouble(Arc<Mutex<HeadContents>>);

struct HeadContents {
    written: (Position, Hash),
    synced: (Position, Hash),
    /// The write that fails, counted down; and whether it is there all the same.
    fails: Option<(usize, bool)>,
}

impl HeadDouble {
    pub(crate) fn new() -> Self {
        let empty = (Position::ZERO, EMPTY_ROOT);
        Self(Arc::new(Mutex::new(HeadContents {
            written: empty,
            synced: empty,
            fails: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, HeadContents> {
        self.0.lock().expect("no panic")
    }
}

/// The store double with the head double beside it.
pub(crate) struct FaultyLog {
    pub(crate) store: FaultyStore,
    pub(crate) head: HeadDouble,
}

impl DurableLog for FaultyLog {
    fn check_room(&mut self) -> Result<(), AppendError> {
        self.store.check_room()
    }

    fn append(&mut self, entries: &[Entry], root: Hash) -> Result<(), LogError> {
        self.store.append(entries)?;
        let mut head = self.head.lock();
        let (fails, is_there) = match &mut head.fails {
            Some((left, is_there)) => {
                *left -= 1;
                (*left == 0, *is_there)
            }
            None => (false, true),
        };
        if is_there || !fails {
            head.written = (self.store.last(), root);
        }
        if fails {
            return Err(HeadError::Io {
                path: "head".into(),
                source: std::io::Error::other("the fault that was asked for"),
            }
            .into());
        }
        Ok(())
    }

    fn sync_head(&mut self) -> Result<(), HeadError> {
        let mut head = self.head.lock();
        head.synced = head.written;
        Ok(())
    }

    fn close(mut self, _: Hash) -> Result<(), StopError> {
        Ok(self.sync_head()?)
    }
}

/// What outlives the process: disk, head, keys.
pub(crate) struct World {
    _folder: tempfile::TempDir,
    pub(crate) disk: FaultyDisk,
    pub(crate) head: HeadDouble,
    pub(crate) persons: Arc<Persons>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("people.key");
        PersonKeys::create(&path).expect("made");
        let master = MasterKey::generate(&SystemRandom::new()).expect("randomness");
        let keys = PersonKeys::open(&path, Vault::new(master.sealing())).expect("opened");
        Self {
            _folder: folder,
            disk: FaultyDisk::new(),
            head: HeadDouble::new(),
            persons: Arc::new(Persons::new(keys)),
        }
    }

    /// A start: all that is durable is replayed, as [`Ledger::open`](crate::ledger::Ledger) does.
    pub(crate) fn replay(&self) -> Folded {
        let store = self.disk.open(None).reader();
        let source = Source {
            store: &store,
            path: std::path::Path::new("a disk"),
            persons: &self.persons,
            depth: Depth::State,
            archived: None,
        };
        let (position, root) = self.head.lock().written;
        assert!(
            store.last() >= position,
            "the head is never ahead of the ledger"
        );
        let replayed = replay(&source, None, &[position], None, &mut |_| {}, &mut |_| {});
        let replayed = replayed.expect("replayed");
        assert_eq!(replayed.roots_at_marks, [root], "the head's root");
        replayed.folded
    }

    fn records(&self) -> Vec<Record> {
        let store = self.disk.open(None).reader();
        let all = store.range(Position::ZERO, store.last());
        all.map(|entry| {
            let entry = entry.expect("read");
            decode(
                entry.position(),
                entry.record(),
                entry.side(),
                &self.persons,
            )
            .expect("decoded")
        })
        .collect()
    }

    pub(crate) fn ground(
        &self,
        fault: Option<Fault>,
        clock: impl Clock + 'static,
    ) -> Ground<FaultyLog> {
        let Folded {
            directory,
            frontier,
        } = self.replay();
        Ground {
            log: FaultyLog {
                store: self.disk.open(fault),
                head: self.head.clone(),
            },
            directory,
            frontier,
            persons: Arc::clone(&self.persons),
            rng: Arc::new(SystemRandom::new()),
            clock: Arc::new(clock),
            snapshots: None,
        }
    }

    fn clock(&self) -> Ticking {
        let last = self.disk.durable_last().get();
        Ticking::from_seconds(1_800_000_000 + i64::try_from(last).expect("few"))
    }
}

/// Keeps what it is told.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Record>>>);

impl Seen {
    pub(crate) fn all(&self) -> Vec<Record> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Projection for Seen {
    fn apply(&mut self, records: &[Arc<Record>]) {
        let mut seen = self.0.lock().expect("no panic");
        seen.extend(records.iter().map(|record| (**record).clone()));
    }
}

type Answers = Vec<oneshot::Receiver<Answer>>;

fn batch_of(submissions: &[Submission]) -> (Batch, Answers) {
    submissions
        .iter()
        .map(|submission| {
            let (sender, answer) = oneshot::channel();
            ((submission.clone(), sender), answer)
        })
        .unzip()
}

/// Three at a time.
const BATCH: usize = 3;

struct Run {
    acknowledged: Vec<Arc<Record>>,
    went_on: bool,
}

/// Commits the scenario from `from` on, until something fails.
fn run(world: &World, fault: Option<Fault>, seen: &Seen, from: usize) -> Run {
    let mut desk = Desk::new(world.ground(fault, world.clock()), Box::new(seen.clone()));
    let mut acknowledged = Vec::new();
    let mut went_on = true;
    for submissions in steps()[from..].chunks(BATCH) {
        let (batch, answers) = batch_of(submissions);
        went_on = desk.commit(batch);
        for mut answer in answers {
            match answer.try_recv() {
                Ok(Ok(committed)) => {
                    assert!(went_on, "nobody of a batch that failed is answered");
                    acknowledged.push(committed.record.expect("each step changes something"));
                }
                Ok(Err(error)) => panic!("a wrong answer: {error}"),
                Err(_) => assert!(!went_on, "everybody of a batch that went well is answered"),
            }
        }
        if !went_on {
            break;
        }
    }
    Run {
        acknowledged,
        went_on,
    }
}

/// The records and the state when nothing fails.
fn reference() -> (Vec<Record>, Directory) {
    let world = World::new();
    let run = run(&world, None, &Seen::default(), 0);
    assert!(run.went_on);
    let records = world.records();
    assert_eq!(records.len(), steps().len());
    (records, world.replay().directory)
}

fn check_after(world: &World, run: &Run, seen: &Seen, records: &[Record], end: &Directory) {
    assert!(!run.went_on, "the fault was met");
    let stored = world.records();
    assert_eq!(
        stored,
        records[..stored.len()],
        "what is there is what was decided, in order"
    );
    let acknowledged: Vec<Record> = run.acknowledged.iter().map(|r| (**r).clone()).collect();
    assert_eq!(
        acknowledged,
        records[..acknowledged.len()],
        "answered in order"
    );
    assert!(
        stored.len() >= acknowledged.len(),
        "no acknowledged change is lost"
    );
    let seen = seen.all();
    assert_eq!(seen, acknowledged, "nobody saw what was not acknowledged");

    let mut rebuilt = Directory::default();
    for record in &stored {
        rebuilt.apply(record);
    }
    assert_eq!(world.replay().directory, rebuilt);
    // And on it goes, to the same end.
    let rest = super::faults::run(world, None, &Seen::default(), stored.len());
    assert!(rest.went_on);
    assert_eq!(world.replay().directory, *end);
}

#[test]
fn each_step_that_fails_loses_and_invents_nothing() {
    let (records, end) = reference();
    // Of each of three batches: three inserts, a flush, a sync.
    for at_step in 1..=3 * (BATCH + 2) {
        let kept = [
            Kept::Nothing,
            Kept::Everything,
            Kept::Prefix(1),
            Kept::Prefix(2),
        ];
        for kept in kept {
            let world = World::new();
            let seen = Seen::default();
            let run = run(&world, Some(Fault { at_step, kept }), &seen, 0);
            let batches = (at_step - 1) / (BATCH + 2);
            assert_eq!(
                run.acknowledged.len(),
                batches * BATCH,
                "step {at_step}, {kept:?}"
            );
            check_after(&world, &run, &seen, &records, &end);
        }
    }
}

#[test]
fn a_head_that_fails_loses_and_invents_nothing() {
    let (records, end) = reference();
    for at_write in 1..4 {
        for is_there in [false, true] {
            let world = World::new();
            world.head.lock().fails = Some((at_write, is_there));
            let seen = Seen::default();
            let run = run(&world, None, &seen, 0);
            assert_eq!(run.acknowledged.len(), (at_write - 1) * BATCH);
            world.head.lock().fails = None;
            check_after(&world, &run, &seen, &records, &end);
        }
    }
}

#[test]
fn a_power_cut_may_take_the_head_back_and_nothing_else() {
    let (records, end) = reference();
    let world = World::new();
    let seen = Seen::default();
    let at_step = 2 * (BATCH + 2) + 1;
    let kept = Kept::Nothing;
    let run = run(&world, Some(Fault { at_step, kept }), &seen, 0);
    let synced = world.head.lock().synced;
    world.head.lock().written = synced;
    check_after(&world, &run, &seen, &records, &end);
}

/// Looks, when it is told of a batch, at what is durable and who has been answered.
struct Watching {
    disk: FaultyDisk,
    head: HeadDouble,
    answers: Arc<Mutex<Answers>>,
    batches: Arc<Mutex<usize>>,
}

impl Projection for Watching {
    fn apply(&mut self, records: &[Arc<Record>]) {
        let last = records.last().expect("never empty").position;
        assert_eq!(
            self.disk.durable_last(),
            last,
            "synced before anybody sees it"
        );
        let mut expected: Vec<Step> = records.iter().map(|r| Step::Insert(r.position)).collect();
        expected.extend([Step::Flush, Step::Sync]);
        let taken = self.disk.steps();
        assert!(taken.ends_with(&expected), "one flush, one sync: {taken:?}");
        assert_eq!(self.head.lock().written.0, last, "the head says so");
        for answer in &mut *self.answers.lock().expect("no panic") {
            assert!(answer.try_recv().is_err(), "nobody was answered yet");
        }
        *self.batches.lock().expect("no panic") += 1;
    }
}

#[test]
fn the_sync_comes_before_the_answer() {
    let world = World::new();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let batches = Arc::new(Mutex::new(0));
    let watching = Watching {
        disk: world.disk.clone(),
        head: world.head.clone(),
        answers: Arc::clone(&answers),
        batches: Arc::clone(&batches),
    };
    let mut desk = Desk::new(world.ground(None, world.clock()), Box::new(watching));
    for submissions in steps().chunks(7) {
        let (batch, waiting) = batch_of(submissions);
        *answers.lock().expect("no panic") = waiting;
        assert!(desk.commit(batch));
        for answer in &mut *answers.lock().expect("no panic") {
            assert!(matches!(answer.try_recv(), Ok(Ok(_))), "now everybody is");
        }
    }
    assert_eq!(
        *batches.lock().expect("no panic"),
        steps().len().div_ceil(7)
    );
}

#[test]
fn a_refusal_that_rests_on_a_batch_is_told_only_when_the_batch_is_durable() {
    let all = steps();
    // The second SetUp is refused because of the first, which is not durable yet.
    let twice = [all[0].clone(), all[0].clone()];
    let world = World::new();
    let fault = Fault {
        at_step: 3,
        kept: Kept::Nothing,
    };
    let mut desk = Desk::new(
        world.ground(Some(fault), world.clock()),
        Box::new(Seen::default()),
    );
    let (batch, answers) = batch_of(&twice);
    assert!(!desk.commit(batch));
    for mut answer in answers {
        assert!(
            answer.try_recv().is_err(),
            "nobody is told of a set-up that never was"
        );
    }
    let mut desk = Desk::new(world.ground(None, world.clock()), Box::new(Seen::default()));
    let (batch, mut answers) = batch_of(&twice);
    assert!(desk.commit(batch));
    assert!(matches!(
        answers[1].try_recv(),
        Ok(Err(NotCommitted::Refused(Refusal::AlreadySetUp)))
    ));
}

#[test]
fn on_a_full_disk_nothing_is_decided_and_later_it_goes_on() {
    let all = steps();
    let world = World::new();
    let mut desk = Desk::new(world.ground(None, world.clock()), Box::new(Seen::default()));
    let commit = |desk: &mut Desk<FaultyLog>, submission: &Submission| {
        let (batch, mut answers) = batch_of(std::slice::from_ref(submission));
        assert!(desk.commit(batch), "it goes on");
        answers[0].try_recv().expect("answered")
    };
    commit(&mut desk, &all[0]).expect("committed");
    world.disk.set_available_bytes(0);
    assert!(matches!(
        commit(&mut desk, &all[1]),
        Err(NotCommitted::OutOfSpace {
            available_bytes: 0,
            reserve_bytes: 1
        })
    ));
    assert_eq!(desk.position(), Position::new(1), "nothing was applied");
    world.disk.set_available_bytes(1 << 30);
    let committed = commit(&mut desk, &all[1]).expect("committed");
    assert_eq!(committed.position, Position::new(2));
}

#[test]
fn what_is_so_already_is_success_without_a_record() {
    let world = World::new();
    let all = steps();
    let mut desk = Desk::new(world.ground(None, world.clock()), Box::new(Seen::default()));
    let mut twice = all[..4].to_vec();
    twice.push(all[3].clone());
    let (batch, mut answers) = batch_of(&twice);
    assert!(desk.commit(batch));
    let again = answers[4]
        .try_recv()
        .expect("answered")
        .expect("a repeat is success");
    assert_eq!((again.position, again.record), (Position::new(4), None));
}

struct SetBack;

impl Clock for SetBack {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(7)
    }
}

#[test]
fn a_clock_that_was_set_back_is_marked_and_time_stands_still() {
    let world = World::new();
    let all = steps();
    let mut desk = Desk::new(world.ground(None, world.clock()), Box::new(Seen::default()));
    assert!(desk.commit(batch_of(&all[..1]).0));
    let before = world.records()[0].at;
    let mut desk = Desk::new(world.ground(None, SetBack), Box::new(Seen::default()));
    assert!(desk.commit(batch_of(&all[1..2]).0));
    let record = world.records().remove(1);
    assert_eq!(record.at, before);
    let behind = u64::try_from(before.micros() - 7).expect("later");
    assert_eq!(record.clock_behind_micros, behind);
}

#[test]
fn a_record_that_would_be_too_long_is_refused_before_it_is_applied() {
    let world = World::new();
    let all = steps();
    let mut desk = Desk::new(world.ground(None, world.clock()), Box::new(Seen::default()));
    assert!(desk.commit(batch_of(&all[..1]).0));
    let org = keyledger_domain::id::OrgId::from_bytes([10; 16]);
    let names: Vec<keyledger_domain::Scope> = (0..1_100)
        .map(|n| {
            format!("{}{n:04}:read", "x".repeat(55))
                .parse()
                .expect("a scope")
        })
        .collect();
    let ask = |command: Command| Submission {
        command,
        ..all[1].clone()
    };
    let adds: Vec<Submission> = names
        .iter()
        .map(|scope| {
            let entry = keyledger_domain::scope::ScopeEntry {
                scope: scope.clone(),
                description: "Many".parse().expect("text"),
                access: keyledger_domain::scope::Access::Read,
                minimum_role: keyledger_domain::Role::Member,
            };
            ask(keyledger_domain::org::AddScope { org, entry }.into())
        })
        .collect();
    for chunk in adds.chunks(BATCH_COMMANDS_MAX) {
        assert!(desk.commit(batch_of(chunk).0));
    }
    let before = desk.position();
    let create = keyledger_domain::team::CreateTeam {
        org,
        team: keyledger_domain::id::TeamId::from_bytes([1; 16]),
        slug: "all".parse().expect("a slug"),
        name: "All".parse().expect("a name"),
        scopes: names.into_iter().collect(),
    };
    let (batch, mut answers) = batch_of(&[ask(create.into())]);
    assert!(desk.commit(batch), "one caller's wish stops nobody");
    assert!(matches!(
        answers[0].try_recv(),
        Ok(Err(NotCommitted::TooLarge { record_bytes })) if record_bytes > 65_535
    ));
    assert_eq!(desk.position(), before);
}

#[test]
fn an_erased_person_leaves_no_address_behind() {
    let world = World::new();
    let all = steps();
    let mut desk = Desk::new(world.ground(None, world.clock()), Box::new(Seen::default()));
    let reveal_at = all
        .iter()
        .position(|s| matches!(s.command, Command::RevealApiKey(RevealApiKey { .. })))
        .expect("in the scenario");
    assert!(desk.commit(batch_of(&all[..reveal_at]).0));
    world
        .persons
        .erase(core::iter::once(crate::scenario::ada().into()))
        .expect("erased");
    let mut reveal = all[reveal_at].clone();
    reveal.source = Some([192, 0, 2, 1].into());
    let (batch, mut answers) = batch_of(&[reveal]);
    assert!(desk.commit(batch));
    let committed = answers[0].try_recv().expect("answered").expect("committed");
    let record = committed.record.expect("recorded");
    assert_eq!(
        record.origin.source,
        Some(keyledger_domain::Personal::Erased)
    );
    assert_eq!(world.records().last(), Some(&*record));
}

struct Breaking;

impl Projection for Breaking {
    fn apply(&mut self, _: &[Arc<Record>]) {
        panic!("the projection breaks, as it was asked to");
    }
}

#[test]
fn a_panic_stops_it_for_ever_and_nobody_is_acknowledged() {
    let world = World::new();
    let all = steps();
    let (committer, thread) =
        start(world.ground(None, world.clock()), Box::new(Breaking)).expect("started");
    let answer = committer.submit_blocking(all[0].clone());
    assert!(matches!(answer, Err(NotCommitted::Stopped)));
    let ended = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(committer.ended());
    assert_eq!(ended, Ending::Failed);
    assert!(committer.is_stopped());
    let answer = committer.submit_blocking(all[1].clone());
    assert!(matches!(answer, Err(NotCommitted::Stopped)));
    assert!(matches!(thread.stop(), Err(StopFailure::FailedBefore)));
}

#[test]
fn a_failed_append_stops_it_for_all_who_wait_and_all_who_come() {
    let world = World::new();
    let all = steps();
    let fault = Fault {
        at_step: 5,
        kept: Kept::Everything,
    };
    let (committer, thread) = start(
        world.ground(Some(fault), world.clock()),
        Box::new(Seen::default()),
    )
    .expect("started");
    // A batch of one: insert, flush, sync. The second batch fails in its flush.
    committer
        .submit_blocking(all[0].clone())
        .expect("committed");
    for submission in &all[1..4] {
        let answer = committer.submit_blocking(submission.clone());
        assert!(matches!(answer, Err(NotCommitted::Stopped)));
    }
    assert!(matches!(thread.stop(), Err(StopFailure::FailedBefore)));
    assert_eq!(
        world.replay().position(),
        Position::new(2),
        "it was there, and nobody was told"
    );
}

/// Waits until it may go on, so that a test can fill the queue meanwhile.
struct Waiting(std::sync::mpsc::Receiver<()>);

impl Projection for Waiting {
    fn apply(&mut self, _: &[Arc<Record>]) {
        // Once the test has dropped its end there is nothing to wait for.
        let _ = self.0.recv();
    }
}

#[test]
fn a_stop_lets_finish_what_waits_and_a_full_queue_is_told() {
    let world = World::new();
    let all = steps();
    let (go_on, waiting) = std::sync::mpsc::channel();
    let (committer, thread) = start(
        world.ground(None, world.clock()),
        Box::new(Waiting(waiting)),
    )
    .expect("started");
    let first = committer.enqueue(all[0].clone()).expect("room");
    // The first batch is now with the projection, or will be: all the others wait in the queue.
    let mut others = Vec::new();
    let busy = loop {
        // Each a change of its own: a scope that is not there yet.
        let entry = keyledger_domain::scope::ScopeEntry {
            scope: format!("wait{}:read", others.len())
                .parse()
                .expect("a scope"),
            description: "Waits".parse().expect("text"),
            access: keyledger_domain::scope::Access::Read,
            minimum_role: keyledger_domain::Role::Member,
        };
        let org = keyledger_domain::id::OrgId::from_bytes([10; 16]);
        let next = Submission {
            command: keyledger_domain::org::AddScope { org, entry }.into(),
            ..all[1].clone()
        };
        match committer.enqueue(next) {
            Ok(answer) => others.push(answer),
            Err(error) => break error,
        }
    };
    assert!(matches!(busy, NotCommitted::Busy));
    assert!(others.len() >= WAITING_COMMANDS_MAX);
    let stopping = thread::spawn(move || thread.stop());
    drop(go_on);
    stopping.join().expect("no panic").expect("a clean stop");
    first.blocking_recv().expect("answered").expect("committed");
    for answer in others {
        answer
            .blocking_recv()
            .expect("answered")
            .expect("committed");
    }
    assert!(committer.is_stopped());
    assert_eq!(world.head.lock().synced.0, world.disk.durable_last());
    world.replay();
}

#[test]
fn the_head_is_synced_within_a_second_of_a_change() {
    let world = World::new();
    let (committer, thread) =
        start(world.ground(None, world.clock()), Box::new(Seen::default())).expect("started");
    committer
        .submit_blocking(steps()[0].clone())
        .expect("committed");
    assert_eq!(
        world.head.lock().synced.0,
        Position::ZERO,
        "not for each batch"
    );
    let deadline = Instant::now() + HEAD_SYNC_PAUSE * 5;
    while world.head.lock().synced.0 == Position::ZERO && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(world.head.lock().synced.0, Position::new(1));
    thread.stop().expect("a clean stop");
}
