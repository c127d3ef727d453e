//! The index beside a ledger: it follows, is dropped, is damaged, and finds the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyledger_domain::Actor;
use keyledger_domain::id::RequestId;

use super::*;
use crate::index::{Follower, Index, Kind, Order, Term};

fn terms_of(record: &Record) -> Vec<Term> {
    vec![
        Term::event_type(record.event.name()),
        Term::actor(record.origin.actor),
    ]
}

/// Waits until all is written.
fn wait(index: &Index, last: Position) {
    for _ in 0..12_000 {
        if index.position() >= last {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{last} is not written");
}

/// An open ledger, and an index that follows it.
struct Indexed {
    opened: Opened,
    index: Arc<Index>,
    follower: Follower,
}

impl Indexed {
    fn begin(bench: &Bench, terms_of: impl Fn(&Record) -> Vec<Term> + Send + 'static) -> Self {
        let opened = bench.open().opened;
        let last = opened.reader.last();
        let index = Index::new(&Paths::new(&bench.folder()), &opened.key_file, last);
        let index = Arc::new(index);
        let reader = opened.reader.clone();
        let follower = Follower::start(Arc::clone(&index), reader, Box::new(terms_of));
        Self {
            opened,
            index,
            follower: follower.expect("a thread"),
        }
    }

    /// Waits until all is written.
    fn wait(&self, last: Position) {
        wait(&self.index, last);
    }

    fn find(&self, groups: &[Vec<Term>], order: Order) -> Vec<Position> {
        let all = (Position::new(1), Position::new(u64::MAX));
        self.index.find(groups, all, order, 10_000).expect("found")
    }

    fn end(self) {
        self.follower.stop();
        self.opened.close().expect("a clean stop");
    }

    /// Compares it with a look at every record.
    fn check(&self) {
        let records: Vec<Record> = self
            .opened
            .reader
            .range(Position::new(1), self.opened.reader.last())
            .map(|record| record.expect("read"))
            .collect();
        for name in Event::NAMES {
            for actor in [Actor::System, Actor::User(ada())] {
                let groups = [vec![Term::event_type(name)], vec![Term::actor(actor)]];
                let is_it =
                    |record: &&Record| record.event.name() == *name && record.origin.actor == actor;
                let expected: Vec<_> = records.iter().filter(is_it).map(|r| r.position).collect();
                assert_eq!(self.find(&groups, Order::Rising), expected, "{name}");
                let mut falling = self.find(&groups, Order::Falling);
                falling.reverse();
                assert_eq!(falling, expected, "{name}");
            }
        }
        assert!(self.find(&[Vec::new()], Order::Rising).is_empty());
    }
}

#[test]
fn an_index_finds_the_same_when_it_is_kept_dropped_damaged_or_of_another_ledger() {
    let bench = Bench::with(&before_erasure());
    let size = Position::new(before_erasure().len() as u64);
    let check = || {
        let indexed = Indexed::begin(&bench, terms_of);
        indexed.wait(size);
        indexed.check();
        indexed.end();
    };
    let folder = Paths::new(&bench.folder()).index();
    let db = folder.join(crate::sled_store::DB_FILE);
    check();
    check();
    fs::remove_dir_all(&folder).expect("removed");
    check();
    let bytes = fs::read(&db).expect("read");
    fs::write(&db, &bytes[..bytes.len() / 2]).expect("cut");
    check();
    let mut bytes = fs::read(&db).expect("read");
    let middle = bytes.len() / 2;
    bytes[..middle].fill(0x5a);
    fs::write(&db, &bytes).expect("damaged");
    check();

    // Of a ledger that is shorter, with other requests in it.
    let other = Bench::with(&{
        let mut steps = before_erasure();
        steps.truncate(9);
        for step in &mut steps {
            step.request = RequestId::from_bytes([0xee; 16]);
        }
        steps
    });
    let indexed = Indexed::begin(&other, |_| vec![Term::event_type("Nothing")]);
    indexed.wait(Position::new(9));
    indexed.end();
    fs::remove_dir_all(&folder).expect("removed");
    copy_folder(&Paths::new(&other.folder()).index(), &folder).expect("copied");
    check();
}

#[test]
fn what_is_not_written_yet_is_found_at_once_and_what_is_not_indexed_may_be_anything() {
    let bench = Bench::with(&steps());
    let opened = bench.open().opened;
    let last = opened.reader.last();
    // Nobody follows: ten records are neither written nor in memory.
    let known = Position::new(10);
    let index = Index::new(&Paths::new(&bench.folder()), &opened.key_file, known);
    for record in opened.reader.range(known.next(), last) {
        let record = record.expect("read");
        let terms = terms_of(&record);
        index.add(&record, terms);
    }
    let never = [vec![Term::event_type("Never")]];
    let all = (Position::new(1), last);
    let anything: Vec<u64> = (1..=10).collect();
    let numbers = |found: Vec<Position>| found.iter().map(|p| p.get()).collect::<Vec<_>>();
    let found = index.find(&never, all, Order::Rising, 100).expect("found");
    assert_eq!(numbers(found), anything);
    let found = index.find(&never, all, Order::Falling, 3).expect("found");
    assert_eq!(numbers(found), [10, 9, 8]);
    let range = (Position::new(4), Position::new(7));
    let found = index
        .find(&never, range, Order::Rising, 100)
        .expect("found");
    assert_eq!(numbers(found), [4, 5, 6, 7]);
    let read = [vec![Term::event_type("AuditLogRead")]];
    let found = index.find(&read, all, Order::Falling, 1).expect("found");
    let record = opened.reader.get(found[0]).expect("read").expect("there");
    assert_eq!(record.event.name(), "AuditLogRead");
    opened.close().expect("a clean stop");
}

#[test]
fn n123_an_erasure_has_the_index_begun_anew() {
    let bench = Bench::with(&before_erasure());
    let personal = Term::of(Kind::Source, b"where somebody was");
    let is_erased = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_erased);
    let tells = move |record: &Record| {
        let mut terms = terms_of(record);
        if !seen.load(Ordering::SeqCst) {
            terms.push(personal);
        }
        terms
    };
    let indexed = Indexed::begin(&bench, tells);
    let last = indexed.opened.reader.last();
    indexed.wait(last);
    let found = indexed.find(&[vec![personal]], Order::Rising);
    assert_eq!(found.len() as u64, last.get());
    let Indexed {
        opened,
        index,
        follower,
    } = indexed;
    let reader = opened.reader.clone();
    let started = opened.start(Seen::default()).expect("started");
    let erase = steps().into_iter().find(is_erasure).expect("a step");
    let answer = started.committer.submit_blocking(erase);
    let record = answer.expect("committed").record.expect("recorded");
    is_erased.store(true, Ordering::SeqCst);
    index.add(&record, terms_of(&record));
    wait(&index, record.position);
    let all = (Position::new(1), record.position);
    let find = |terms: &[Vec<Term>]| index.find(terms, all, Order::Rising, 1_000).expect("found");
    assert_eq!(find(&[vec![personal]]), []);
    let of_type = [vec![Term::event_type("PersonErased")]];
    assert_eq!(find(&of_type), [record.position]);
    assert_eq!(
        find(&[vec![Term::event_type("OrgCreated")]])[0],
        Position::new(1)
    );
    follower.stop();
    drop(reader);
    started.thread.stop().expect("a clean stop");
}

#[test]
fn n123_what_waits_in_memory_when_somebody_is_erased_is_written_without_them() {
    let bench = Bench::with(&steps());
    let opened = bench.open().opened;
    let (reader, paths) = (opened.reader.clone(), Paths::new(&bench.folder()));
    let last = reader.last();
    let records = |from: Position| -> Vec<Record> {
        let records = reader.range(from, last);
        records.map(|record| record.expect("read")).collect()
    };
    let erased = |record: &Record| matches!(record.event, Event::PersonErased(_));
    let erasure = records(Position::new(1)).into_iter().find(erased);
    let erasure = erasure.expect("somebody was erased").position;
    // The last three before it, it, and what came after it are told while nobody writes.
    let known = Position::new(erasure.get() - 4);
    let personal = Term::of(Kind::Source, b"where somebody was");

    for is_kept in [false, true] {
        fs::remove_dir_all(paths.index()).ok();
        let follow = |told: &[Record]| {
            let index = Arc::new(Index::new(&paths, &opened.key_file, known));
            for record in told {
                let mut terms = terms_of(record);
                if record.position < erasure {
                    terms.push(personal);
                }
                index.add(record, terms);
            }
            let tells = Box::new(terms_of);
            let follower = Follower::start(Arc::clone(&index), reader.clone(), tells);
            let follower = follower.expect("a thread");
            let to = told.last().map_or(known, |record| record.position);
            wait(&index, to);
            let all = (Position::new(1), to);
            let find = |term| index.find(&[vec![term]], all, Order::Rising, 1_000);
            let found = find(personal).expect("found");
            let erasures = find(Term::event_type("PersonErased")).expect("found");
            follower.stop();
            (found, erasures)
        };
        if is_kept {
            assert_eq!(follow(&[]), (vec![], vec![]));
        }
        let (found, erasures) = follow(&records(known.next()));
        assert_eq!(found, [], "an index that was kept: {is_kept}");
        assert!(erasures.contains(&erasure));
    }
    opened.close().expect("a clean stop");
}
