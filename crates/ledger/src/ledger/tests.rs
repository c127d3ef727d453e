//! The whole ledger on sled, in a folder of its own.

use std::fs;

use keyledger_domain::{Command, Event, Personal, Timestamp};
use ring::rand::SystemRandom;

use super::*;
use crate::aside::copy_folder;
use crate::committer::faults::Seen;
use crate::committer::{NotCommitted, Submission};
use crate::past::{PastError, Recalled};
use crate::scenario::{Ticking, ada, steps};
use crate::verify::{DamageFound, ResealError, VerifyError, reseal, verify};

struct Bench {
    root: tempfile::TempDir,
}

struct Open {
    opened: Opened,
    visited: Vec<RecordHead>,
    progress: Vec<Progress>,
}

impl Bench {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().expect("a folder"),
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn try_open(folder: &Path, snapshot_every: u64) -> Result<Open, OpenError> {
        let options = OpenOptions {
            reserve_bytes: 1,
            snapshot_every,
            ..OpenOptions::new(folder)
        };
        let mut visited = Vec::new();
        let mut progress = Vec::new();
        let opened = Ledger::open(
            &options,
            Arc::new(SystemRandom::new()),
            Arc::new(Ticking::from_seconds(1_800_000_000)),
            &mut |head| visited.push(head.clone()),
            &mut |step| progress.push(step),
        )?;
        Ok(Open {
            opened,
            visited,
            progress,
        })
    }

    fn open(&self) -> Open {
        Self::try_open(&self.folder(), 0).expect("it opens")
    }

    /// A ledger with these steps in it, stopped well.
    fn with(submissions: &[Submission]) -> Self {
        let bench = Self::new();
        bench.go_on(submissions);
        bench
    }

    /// Starts it, takes these steps, and stops it well.
    fn go_on(&self, submissions: &[Submission]) {
        let Started {
            committer, thread, ..
        } = self.open().opened.start(Seen::default()).expect("started");
        for submission in submissions {
            committer
                .submit_blocking(submission.clone())
                .expect("committed");
        }
        thread.stop().expect("a clean stop");
    }
}

/// Two starts that made different states out of the same records would be the end of it all.
fn check_opened(open: &Open, size: usize) {
    let size = u64::try_from(size).expect("few");
    assert_eq!(open.opened.directory.position(), Position::new(size));
    let visited: Vec<u64> = open
        .visited
        .iter()
        .map(|head| head.position.get())
        .collect();
    assert_eq!(
        visited,
        (1..=size).collect::<Vec<_>>(),
        "each once, in order"
    );
    assert_eq!(open.progress.last().map_or(0, |p| p.done), size);
}

#[test]
fn what_was_committed_is_there_after_a_clean_stop_and_is_read_back() {
    let bench = Bench::new();
    let seen = Seen::default();
    let open = bench.open();
    check_opened(&open, 0);
    let reader = open.opened.reader.clone();
    let mut live = open.opened.directory.clone();
    let Started {
        committer, thread, ..
    } = open.opened.start(seen.clone()).expect("started");
    for submission in steps() {
        if is_erasure(&submission) {
            let all: Result<Vec<_>, _> = reader
                .range(Position::ZERO, Position::new(u64::MAX))
                .collect();
            assert_eq!(all.expect("read"), seen.all());
        }
        let answer = committer.submit_blocking(submission);
        let record = answer
            .expect("committed")
            .record
            .expect("each step changes something");
        let read = reader.get(record.position).expect("read");
        assert_eq!(read.as_ref(), Some(&*record), "with all that is personal");
        live.apply(&record);
    }
    assert!(
        reader
            .get(reader.last().next())
            .expect("no error")
            .is_none()
    );
    thread.stop().expect("a clean stop");
    assert!(matches!(
        committer.submit_blocking(steps().remove(0)),
        Err(NotCommitted::Stopped)
    ));

    let again = bench.open();
    check_opened(&again, steps().len());
    assert_eq!(again.opened.directory, live);
    assert_eq!(again.opened.directory.user(ada()).expect("there").id, ada());
    let heads: Vec<RecordHead> = seen.all().iter().map(RecordHead::from).collect();
    assert_eq!(again.visited, heads);
}

#[test]
fn the_files_of_a_ledger_that_died_open_to_the_same_state() {
    let bench = Bench::new();
    let Started {
        committer, thread, ..
    } = bench.open().opened.start(Seen::default()).expect("started");
    for submission in steps() {
        committer.submit_blocking(submission).expect("committed");
    }
    // What kill -9 would leave: the files as they are while all of it is open.
    let dead = bench.root.path().join("dead");
    copy_folder(&bench.folder(), &dead).expect("copied");
    thread.stop().expect("a clean stop");

    let verified = verify(&dead, None, &mut |_| {}).expect("whole");
    let died = Bench::try_open(&dead, 0).expect("it opens");
    check_opened(&died, steps().len());
    assert_eq!(died.opened.directory, bench.open().opened.directory);
    assert_eq!(verified.root, died.opened.root());
    assert_eq!(verified.size, u64::try_from(steps().len()).expect("few"));
}

#[test]
fn whoever_only_read_closes_it_and_leaves_a_clean_stop() {
    let bench = Bench::with(&steps()[..5]);
    let paths = Paths::new(&bench.folder());
    let clean = || {
        let open = OpenFolder::open(paths.root()).expect("it opens");
        open.head.current().clean.is_some() && paths.manifest().exists()
    };
    assert!(clean());
    drop(bench.open());
    assert!(!clean(), "not closed is taken for a death");
    for _ in 0..2 {
        let open = bench.open();
        let reader = open.opened.reader.clone();
        check_opened(&open, 5);
        let read = reader.range(Position::new(1), reader.last());
        assert_eq!(read.filter_map(Result::ok).count(), 5);
        open.opened.close().expect("a clean stop");
        assert!(clean(), "the next start needs no copy aside");
    }
    check_opened(&bench.open(), 5);
}

#[test]
fn a_folder_in_use_is_named() {
    let bench = Bench::new();
    let open = bench.open();
    let error = Bench::try_open(&bench.folder(), 0).err().expect("refused");
    assert!(matches!(
        error,
        OpenError::Folder(FolderError::FolderInUse { .. })
    ));
    assert!(matches!(
        verify(&bench.folder(), None, &mut |_| {}),
        Err(VerifyError::Folder(FolderError::FolderInUse { .. }))
    ));
    drop(open);
}

fn is_erasure(submission: &Submission) -> bool {
    matches!(submission.command, Command::ErasePerson(_))
}

/// The steps in which everybody is still known.
fn before_erasure() -> Vec<Submission> {
    let steps = steps().into_iter();
    steps.take_while(|step| !is_erasure(step)).collect()
}

/// Whether any file below a folder has these bytes in it.
fn is_anywhere(folder: &Path, wanted: &[u8]) -> bool {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("read").path())
        .any(|path| {
            if path.is_dir() {
                return is_anywhere(&path, wanted);
            }
            let bytes = fs::read(&path).expect("read");
            bytes.windows(wanted.len()).any(|part| part == wanted)
        })
}

/// Goal: an erasure leaves nothing of the person, whatever a crash left undone and whatever older part is
/// put back, and every record as it was. Method: copies of before are put back one after the other.
#[test]
fn n123_an_erasure_is_finished_by_the_next_start_and_leaves_every_leaf() {
    let bench = Bench::with(&before_erasure());
    make_snapshot(&bench);
    let copy = bench.root.path().join("copy");
    copy_folder(&bench.folder(), &copy).expect("copied");
    let snapshot = snapshot_files(&bench).pop().expect("one");
    let root_before = bench.open().opened.root();
    bench.open().opened.close().expect("a clean stop");

    let open = bench.open();
    let reader = open.opened.reader.clone();
    let heads: Vec<_> = open.visited;
    let started = open.opened.start(Seen::default()).expect("started");
    let erase = steps().into_iter().find(is_erasure).expect("a step");
    let answer = started.committer.submit_blocking(erase);
    let record = answer.expect("committed").record.expect("recorded");
    let Event::PersonErased(erased) = &record.event else {
        panic!("{} is no erasure", record.event.name());
    };
    let person = erased.user;
    assert!(snapshot_files(&bench).is_empty(), "before it was answered");
    let mut values = 0;
    for read in reader.range(Position::new(1), reader.last()) {
        if let Event::MemberAdded(added) = read.expect("read").event
            && added.user == person
        {
            assert_eq!(added.registered.email, Personal::Erased);
            assert_eq!(added.registered.name, Personal::Erased);
            values += 1;
        }
    }
    assert_eq!(values, 1, "the record of their account");
    drop(reader);
    started.thread.stop().expect("a clean stop");

    let check = |what: &str| {
        let open = bench.open();
        let user = open
            .opened
            .directory
            .user(person)
            .expect("their identifier");
        assert_eq!(
            (&user.email, &user.name),
            (&Personal::Erased, &Personal::Erased),
            "{what}"
        );
        assert!(open.opened.persons.is_erased(person.into()), "{what}");
        assert_eq!(
            open.visited[..heads.len()],
            heads,
            "{what}: the leaves are as they were"
        );
        let directory = open.opened.directory.clone();
        assert!(snapshot_files(&bench).is_empty(), "{what}");
        open.opened.close().expect("a clean stop");
        verify(&bench.folder(), None, &mut |_| {}).expect("all that is there is as it was written");
        directory
    };
    let state = check("after a restart");
    let people = Paths::new(&bench.folder()).people_keys();
    let old_people = Paths::new(&copy).people_keys();
    fs::copy(&old_people, &people).expect("put back");
    assert_eq!(check("with the keys of before"), state);
    fs::copy(
        copy.join("snapshots")
            .join(snapshot.file_name().expect("a name")),
        &snapshot,
    )
    .expect("put back");
    assert_eq!(check("with a snapshot of before"), state);
    fs::write(snapshot.with_extension("snapshot.new"), b"unfinished").expect("written");
    assert_eq!(check("with an unfinished one"), state);
    for words in ["dora@example.com", "Dora"] {
        assert!(!is_anywhere(&bench.folder(), words.as_bytes()), "{words}");
    }

    // The records of before, with the key file of now and the keys of persons of now.
    fs::copy(Paths::new(&bench.folder()).people_keys(), &old_people).expect("put in");
    fs::remove_dir_all(copy.join("snapshots")).expect("removed");
    let old = Bench::try_open(&copy, 0).expect("it opens").opened;
    assert_eq!(old.root(), root_before);
    let user = old.directory.user(person).expect("their identifier");
    assert_eq!(
        (&user.email, &user.name),
        (&Personal::Erased, &Personal::Erased)
    );
}

/// A snapshot that is being made while somebody is erased is not left behind.
#[test]
fn n123_no_snapshot_of_before_an_erasure_is_written_after_it() {
    let bench = Bench::with(&before_erasure()[..20]);
    let folded = {
        let opened = bench.open().opened;
        Folded {
            directory: opened.directory.clone(),
            frontier: opened.frontier.clone(),
        }
    };
    let snapshots = snapshots_of(&bench);
    let rng = SystemRandom::new();
    assert!(snapshots.write(&folded, &rng).expect("written").is_some());
    snapshots
        .forget_before(Position::new(20))
        .expect("none goes");
    assert_eq!(
        snapshot_files(&bench).len(),
        1,
        "it is of the erasure itself"
    );
    snapshots.forget_before(Position::new(21)).expect("removed");
    assert!(snapshot_files(&bench).is_empty());
    assert!(snapshots.write(&folded, &rng).expect("no error").is_none());
    assert!(snapshot_files(&bench).is_empty());
}

fn snapshot_files(bench: &Bench) -> Vec<PathBuf> {
    let entries = fs::read_dir(bench.folder().join("snapshots")).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("read").path()).collect();
    paths.sort();
    paths
}

/// Has the snapshot thread make one of all there is.
fn make_snapshot(bench: &Bench) {
    let before = snapshot_files(bench);
    let open = Bench::try_open(&bench.folder(), 1).expect("it opens");
    let Started { thread, .. } = open.opened.start(Seen::default()).expect("started");
    for _ in 0..500 {
        if snapshot_files(bench) != before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    thread.stop().expect("a clean stop");
    assert_ne!(snapshot_files(bench), before, "one was made");
}

#[test]
fn a_start_from_a_snapshot_gives_the_state_of_a_full_replay() {
    let all = before_erasure();
    let bench = Bench::with(&all[..20]);
    make_snapshot(&bench);
    let open = bench.open();
    assert_eq!(open.opened.from_snapshot(), Some(Position::new(20)));
    check_opened(&open, 20);
    let Started {
        committer, thread, ..
    } = open.opened.start(Seen::default()).expect("started");
    for submission in &all[20..] {
        committer
            .submit_blocking(submission.clone())
            .expect("committed");
    }
    thread.stop().expect("a clean stop");
    let open = bench.open();
    assert_eq!(open.opened.from_snapshot(), Some(Position::new(20)));
    check_opened(&open, all.len());
    let from_snapshot = open.opened.directory.clone();
    let root = open.opened.root();
    drop(open);

    make_snapshot(&bench);
    make_snapshot_again_drops_what_is_too_near(&bench);
    for path in snapshot_files(&bench) {
        fs::remove_file(path).expect("removed");
    }
    let open = bench.open();
    assert_eq!(open.opened.from_snapshot(), None);
    check_opened(&open, all.len());
    assert_eq!(open.opened.directory, from_snapshot);
    assert_eq!(open.opened.root(), root);
}

fn make_snapshot_again_drops_what_is_too_near(bench: &Bench) {
    let folder = bench.folder().join("snapshots");
    let names = [
        "00000000000000000001.snapshot",
        "00000000000000000002.snapshot",
    ];
    for name in names {
        fs::write(folder.join(name), b"an old one").expect("written");
    }
    let newest = snapshot_files(bench).pop().expect("one");
    fs::remove_file(&newest).expect("removed");
    make_snapshot(bench);
    assert_eq!(snapshot_files(bench).pop(), Some(newest));
    let there = names.map(|name| folder.join(name).exists());
    assert_eq!(there, [true, false], "of those as far away the oldest");
}

/// Goal: an earlier state is the one that was there then. Method: all positions of a ledger, in an order that
/// goes back and forth, with snapshots at some of them, against a replay of just so many records.
#[test]
fn the_past_at_a_position_is_a_replay_of_so_many_records() {
    let all = before_erasure();
    let bench = Bench::with(&all[..20]);
    make_snapshot(&bench);
    let started = bench.open().opened.start(Seen::default()).expect("started");
    for submission in &all[20..60] {
        let answer = started.committer.submit_blocking(submission.clone());
        answer.expect("committed");
    }
    started.thread.stop().expect("a clean stop");
    make_snapshot(&bench);
    let open = bench.open();
    let past = open.opened.past();
    let mut states = vec![Directory::default()];
    for record in open.opened.reader.range(Position::new(1), past.last()) {
        let mut next = states.last().expect("one").clone();
        next.apply(&record.expect("read"));
        states.push(next);
    }
    let mut recalled = Recalled::default();
    let count = states.len();
    for step in 0..count {
        let number = step * 37 % count;
        let position = Position::new(number as u64);
        let state = past.at(position, &mut recalled).expect("there");
        assert!(*state == states[number], "position {number}");
        // Asked again it is at hand, and without it it is computed anew.
        assert!(Arc::ptr_eq(
            &state,
            &past.at(position, &mut recalled).expect("there")
        ));
        let anew = past.at(position, &mut Recalled::default()).expect("there");
        assert!(*anew == states[number], "position {number} anew");
    }
    let beyond = past.last().next();
    assert!(matches!(
        past.at(beyond, &mut recalled),
        Err(PastError::NotYet { position, .. }) if position == beyond
    ));

    for state in &states[1..] {
        for at in [state.at(), Timestamp::from_micros(state.at().micros() - 1)] {
            let by_then = states[1..].iter().filter(|state| state.at() <= at);
            let by_then = Position::new(by_then.count() as u64);
            assert_eq!(past.last_at(at).expect("found"), by_then);
        }
    }
    let end = past
        .last_at(Timestamp::from_micros(i64::MAX))
        .expect("found");
    assert_eq!(end, past.last());

    // A snapshot that was rightly made of another history changes nothing.
    let foreign = Bench::with(&all[..40]);
    let opened = foreign.open().opened;
    let other = Folded {
        directory: opened.directory.clone(),
        frontier: opened.frontier.clone(),
    };
    let rng = SystemRandom::new();
    snapshots_of(&bench).write(&other, &rng).expect("written");
    let state = past.at(Position::new(41), &mut Recalled::default());
    assert!(*state.expect("there") == states[41]);
}

/// Goal: whoever is erased is erased in the past too, also for whoever has just asked about it.
#[test]
fn n123_the_past_tells_nothing_of_whoever_was_erased_since() {
    let bench = Bench::with(&before_erasure());
    make_snapshot(&bench);
    let opened = bench.open().opened;
    let past = opened.past();
    let mut recalled = Recalled::default();
    let then = past.last();
    let before = past.at(then, &mut recalled).expect("there");
    let known = |state: &Directory| {
        let user = state.user_by_email("dora@example.com");
        user.is_some()
    };
    assert!(known(&before));
    let started = opened.start(Seen::default()).expect("started");
    let erase = steps().into_iter().find(is_erasure).expect("a step");
    started.committer.submit_blocking(erase).expect("committed");
    let after = past.at(then, &mut recalled).expect("there");
    assert_eq!(after.position(), then);
    assert!(!known(&after), "also of what was at hand");
    assert_eq!(
        after.org_by_slug("acme").map(|org| org.members.len()),
        Some(3)
    );
    assert!(!known(
        &past.at(then, &mut Recalled::default()).expect("there")
    ));
    drop(past);
    started.thread.stop().expect("a clean stop");
}

#[test]
fn no_snapshot_that_is_damaged_or_of_another_ledger_changes_the_state() {
    let all = steps();
    let bench = Bench::with(&all[..20]);
    let expected = bench.open().opened.directory;
    make_snapshot(&bench);
    let path = snapshot_files(&bench).pop().expect("one");
    let whole = fs::read(&path).expect("read");
    for at in (0..whole.len())
        .step_by(97)
        .chain([8, 12, 25, whole.len() - 1])
    {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        // With its checksum made right again, as somebody would who knows how.
        let body = bad.len() - 32;
        let checksum = blake3::hash(&bad[..body]);
        if at < body {
            bad[body..].copy_from_slice(checksum.as_bytes());
        }
        fs::write(&path, &bad).expect("written");
        let snapshots = snapshots_of(&bench);
        assert!(snapshots.newest().is_none(), "byte {at}");
    }
    for length in [0, 1, 19, 31, 32, 60, whole.len() - 1] {
        fs::write(&path, &whole[..length]).expect("written");
        assert!(snapshots_of(&bench).newest().is_none(), "length {length}");
    }
    let open = bench.open();
    assert_eq!(
        (open.opened.from_snapshot(), &open.opened.directory),
        (None, &expected)
    );
    drop(open);

    // Rightly made, with the right key, at a position that exists, but of another history.
    let mut other = Folded::default();
    let foreign = Bench::with(&all[..10]);
    let open = foreign.open();
    other.directory.clone_from(&open.opened.directory);
    other.frontier.clone_from(&open.opened.frontier);
    fs::remove_file(&path).expect("removed");
    snapshots_of(&bench)
        .write(&other, &SystemRandom::new())
        .expect("written");
    let open = bench.open();
    check_opened(&open, 20);
    assert_eq!(
        (open.opened.from_snapshot(), &open.opened.directory),
        (None, &expected)
    );
    assert_eq!(
        snapshot_files(&bench),
        Vec::<PathBuf>::new(),
        "none is built upon"
    );
}

fn snapshots_of(bench: &Bench) -> Snapshots {
    let paths = Paths::new(&bench.folder());
    let master_key = MasterKey::read(&paths.master_key()).expect("read");
    Snapshots::new(&paths, &master_key)
}

#[test]
fn a_ledger_cut_back_to_an_earlier_day_is_refused_and_can_be_resealed() {
    let all = steps();
    let bench = Bench::with(&all[..10]);
    let early = bench.root.path().join("early");
    copy_folder(&bench.folder(), &early).expect("copied");
    let expected = verify(&early, None, &mut |_| {}).expect("whole").root;
    let Started {
        committer, thread, ..
    } = bench.open().opened.start(Seen::default()).expect("started");
    for submission in &all[10..] {
        committer
            .submit_blocking(submission.clone())
            .expect("committed");
    }
    thread.stop().expect("a clean stop");
    // Yesterday's records under today's head.
    fs::remove_dir_all(bench.folder().join("events")).expect("removed");
    copy_folder(&early.join("events"), &bench.folder().join("events")).expect("copied");
    let before = files_of(&bench.folder().join("events"));

    let error = Bench::try_open(&bench.folder(), 0).err().expect("refused");
    assert!(matches!(error, OpenError::Store(_)), "{error}");
    let Err(VerifyError::Damaged(damage)) = verify(&bench.folder(), None, &mut |_| {}) else {
        panic!("damage");
    };
    assert!(matches!(damage.source, DamageFound::Opening(_)));
    assert!(damage.to_string().contains("events/db"), "{damage}");

    let wrong = reseal(&bench.folder(), crate::merkle::EMPTY_ROOT, &mut |_| {});
    assert!(
        matches!(wrong, Err(ResealError::OtherRoot { size: 10, found, .. }) if found == expected)
    );
    assert_eq!(
        files_of(&bench.folder().join("events")),
        before,
        "untouched"
    );
    assert!(
        Bench::try_open(&bench.folder(), 0).is_err(),
        "nothing was changed"
    );
    reseal(&bench.folder(), expected, &mut |_| {}).expect("resealed");
    check_opened(&bench.open(), 10);
}

#[test]
fn a_head_that_is_torn_can_be_resealed() {
    let bench = Bench::with(&steps()[..5]);
    let expected = verify(&bench.folder(), None, &mut |_| {})
        .expect("whole")
        .root;
    fs::write(bench.folder().join("head"), vec![0; 8_192]).expect("written");
    assert!(Bench::try_open(&bench.folder(), 0).is_err());
    let Err(VerifyError::Damaged(damage)) = verify(&bench.folder(), None, &mut |_| {}) else {
        panic!("damage");
    };
    assert!(matches!(damage.source, DamageFound::Head(_)));
    reseal(&bench.folder(), expected, &mut |_| {}).expect("resealed");
    check_opened(&bench.open(), 5);
}

#[test]
fn a_check_changes_nothing_in_the_folder() {
    let bench = Bench::with(&steps()[..5]);
    let before = files_of(&bench.folder());
    verify(&bench.folder(), None, &mut |_| {}).expect("whole");
    assert_eq!(files_of(&bench.folder()), before);
}

#[test]
fn a_record_of_a_newer_version_refuses_the_start_and_is_named() {
    let all = steps();
    let bench = Bench::with(&all[..3]);
    // As a newer version would leave it: head, root and all in order, one type unknown here.
    let open = bench.open();
    let Opened {
        mut store,
        mut head,
        mut frontier,
        folder,
        ..
    } = open.opened;
    let stored = crate::store::Entry {
        position: Position::new(4),
        record: vec![0xff, 0xfe, 1, 1, 4],
        side: Vec::new(),
    };
    frontier.append(crate::merkle::leaf_hash(&stored.record));
    store.append(&[stored]).expect("appended");
    store
        .stop(folder.paths(), &mut head, frontier.root())
        .expect("stopped");
    drop(folder);
    let before = files_of(&bench.folder().join("events"));
    let error = Bench::try_open(&bench.folder(), 0).err().expect("refused");
    let OpenError::Replay(ReplayError::Record {
        position,
        path,
        source,
    }) = &error
    else {
        panic!("{error}");
    };
    assert_eq!(*position, Position::new(4));
    assert!(path.ends_with("events/db"));
    assert!(source.to_string().contains("65534"), "{source}");
    // After a clean stop there is no copy to put back, but no record is touched.
    assert_eq!(before.len(), files_of(&bench.folder().join("events")).len());
}

fn files_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("read").path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else if path.file_name().is_some_and(|name| name != "LOCK") {
            files.push((path.clone(), fs::read(&path).expect("read")));
        }
    }
    files.sort();
    files
}

mod forging;
mod index;
mod restoring;
mod sealing;
mod trials;
