//! Sealed segments and what is published: whatever a death leaves between two steps, the next start has
//! every record once, and extends what was signed.

use keyledger_domain::erasure::ErasePerson;
use keyledger_domain::user::User;

use super::*;
use crate::archive::{ArchiveError, archive};
use crate::checkpoint::{Checkpoint, ProofFile};
use crate::merkle::{leaf_hash, proof};
use crate::opening::OpenError as StoreError;
use crate::segment::Segment;
use crate::segments::Segments;

const SEALED_TOGETHER: u64 = 8;

fn options(folder: &Path) -> OpenOptions {
    OpenOptions {
        reserve_bytes: 1,
        snapshot_every: 0,
        segment_records: SEALED_TOGETHER,
        checkpoint_pause: Duration::ZERO,
        origin: "keys.example/v1/log".to_owned(),
        ..OpenOptions::new(folder)
    }
}

pub(super) fn open(folder: &Path) -> Result<Opened, OpenError> {
    Ledger::open(
        &options(folder),
        Arc::new(SystemRandom::new()),
        Arc::new(Ticking::from_seconds(1_800_000_000)),
        &mut |_| {},
        &mut |_| {},
    )
}

/// Waits until everything is published, sealed as far as it goes, and out of sled.
fn settle(started: &Started, reader: &RecordReader) {
    let last = reader.last().get();
    let sealed = last - last % SEALED_TOGETHER;
    let is_settled = || {
        let published = started.log.published().expect("it is published");
        let left = reader.store.view().first_position();
        published.size == last
            && started.log.segments().last().get() == sealed
            && left.is_none_or(|first| first > sealed)
    };
    for _ in 0..1_000 {
        if is_settled() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it is not sealed: {:?}", started.log.published());
}

/// Everything that the ledger says, read again.
pub(super) fn told(opened: &Opened) -> (Directory, Hash, Vec<Record>) {
    let records = opened
        .reader
        .range(Position::ZERO, opened.reader.last())
        .map(|record| record.expect("it is read"))
        .collect();
    (opened.directory.clone(), opened.root(), records)
}

/// A folder with all steps in it, some of them sealed, and a copy of sled from before anything was sealed.
pub(super) fn sealed() -> (Bench, PathBuf) {
    let bench = Bench::with(&steps());
    let before = bench.root.path().join("before");
    copy_folder(&bench.folder(), &before).expect("copied");
    settled(&bench.folder(), |_| {});
    (bench, before)
}

/// Starts, does something, waits until all of it is sealed that can be, and stops.
pub(super) fn settled(folder: &Path, act: impl FnOnce(&Started)) {
    let opened = open(folder).expect("it opens");
    let reader = opened.reader.clone();
    let started = opened.start(Seen::default()).expect("started");
    act(&started);
    settle(&started, &reader);
    drop(reader);
    started.thread.stop().expect("a clean stop");
}

#[test]
fn what_is_sealed_is_read_as_before_and_leaves_the_store() {
    let (bench, before) = sealed();
    let unsealed = open(&before).expect("it opens");
    let unsealed_told = told(&unsealed);
    unsealed.close().expect("closed");

    let opened = open(&bench.folder()).expect("it opens");
    assert!(
        told(&opened) == unsealed_told,
        "the same state, root and records"
    );
    let reader = opened.reader.clone();
    for record in &unsealed_told.2 {
        let one = reader.get(record.position).expect("read").expect("there");
        assert!(one == *record, "{}", record.position);
    }
    let last = reader.last().get();
    let segments = Segments::open(&Paths::new(&bench.folder()).segments()).expect("they open");
    assert_eq!(segments.last().get(), last - last % SEALED_TOGETHER);
    assert_eq!(
        reader.store.view().first_position(),
        Some(segments.last().get() + 1).filter(|first| *first <= last)
    );
    let middle: Vec<_> = reader
        .range(Position::new(5), Position::new(12))
        .map(|record| record.expect("read").position.get())
        .collect();
    assert_eq!(middle, (5..=12).collect::<Vec<_>>(), "across two segments");
    drop(reader);
    opened.close().expect("closed");
    let verified = verify(&bench.folder(), None, &mut |_| {}).expect("whole");
    assert_eq!((verified.size, verified.checkpoint_size), (last, last));
}

#[test]
fn a_death_at_any_step_of_sealing_loses_nothing_and_repeats_nothing() {
    let (bench, before) = sealed();
    let whole = open(&bench.folder()).expect("it opens");
    let wanted = told(&whole);
    whole.close().expect("closed");
    let sealed = Paths::new(&bench.folder());
    let mut names: Vec<_> = fs::read_dir(sealed.segments())
        .expect("read")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort_unstable();
    // Each number of segments may be there while sled still has all; the next may be half-written.
    for there in 0..=names.len() {
        let dead = bench.root.path().join(format!("dead-{there}"));
        copy_folder(&before, &dead).expect("copied");
        let segments = Paths::new(&dead).segments();
        fs::create_dir_all(&segments).expect("made");
        for (at, name) in names.iter().enumerate() {
            let mut bytes = fs::read(sealed.segments().join(name)).expect("read");
            if at < there {
                fs::write(segments.join(name), bytes).expect("written");
            } else {
                bytes.truncate(bytes.len() / 2);
                let unfinished = format!("{}.new", name.to_string_lossy());
                fs::write(segments.join(unfinished), bytes).expect("written");
            }
        }
        let opened = open(&dead).expect("it opens");
        assert!(told(&opened) == wanted, "{there} segments");
        let reader = opened.reader.clone();
        let started = opened.start(Seen::default()).expect("started");
        settle(&started, &reader);
        drop(reader);
        started.thread.stop().expect("a clean stop");
        let again = open(&dead).expect("it opens");
        assert!(told(&again) == wanted, "{there} segments, sealed again");
        again.close().expect("closed");
    }
}

#[test]
fn a_segment_is_verified_alone_and_not_after_any_change() {
    let (bench, _) = sealed();
    let opened = open(&bench.folder()).expect("it opens");
    let key = opened.signer.verifier();
    let paths = Paths::new(&bench.folder());
    let segments = Segments::open(&paths.segments()).expect("they open").list();
    let second = &segments[1];
    let found = second.verify(&key).expect("whole");
    assert_eq!(found.first.get(), SEALED_TOGETHER + 1);
    let signed = Checkpoint::open(&found.checkpoint, &key).expect("signed");
    assert_eq!(
        (signed.size, signed.root),
        (found.last.get(), found.frontier.root())
    );
    opened.close().expect("closed");

    let alone = bench.root.path().join("alone.segment");
    let bytes = fs::read(second.path()).expect("read");
    for at in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        let mut other = bytes.clone();
        other[at] ^= 1;
        fs::write(&alone, &other).expect("written");
        let verified = Segment::open(&alone).and_then(|segment| segment.verify(&key));
        assert!(verified.is_err(), "byte {at}");
        fs::write(&alone, &bytes[..at]).expect("written");
        let verified = Segment::open(&alone).and_then(|segment| segment.verify(&key));
        assert!(verified.is_err(), "cut at {at}");
    }
}

#[test]
fn n117_sealed_records_that_were_changed_lost_or_swapped_stop_the_start_and_are_named() {
    let (bench, _) = sealed();
    let paths = Paths::new(&bench.folder());
    let list = Segments::open(&paths.segments()).expect("they open").list();
    let files: Vec<PathBuf> = list
        .iter()
        .map(|segment| segment.path().to_owned())
        .collect();
    let right: Vec<Vec<u8>> = files
        .iter()
        .map(|file| fs::read(file).expect("read"))
        .collect();
    let refused = |what: &str, file: &Path| {
        let damage = match verify(&bench.folder(), None, &mut |_| {}) {
            Err(VerifyError::Damaged(damage)) => damage,
            other => panic!("{what}: {other:?}"),
        };
        assert!(
            damage.position <= Position::new(2 * SEALED_TOGETHER),
            "{what}: {damage:?}"
        );
        assert!(
            open(&bench.folder()).is_err(),
            "{what} in {}",
            file.display()
        );
    };
    let record = list[0]
        .get(Position::new(5))
        .expect("read")
        .record()
        .to_vec();
    let mut other = right[0].clone();
    let within = other
        .windows(record.len())
        .position(|bytes| bytes == record);
    other[within.expect("it is there") + record.len() / 2] ^= 1;
    fs::write(&files[0], &other).expect("written");
    refused("a changed byte", &files[0]);
    fs::write(&files[0], &right[1]).expect("written");
    refused("another segment in its place", &files[0]);
    fs::remove_file(&files[0]).expect("removed");
    refused("a lost segment", &files[0]);
    fs::write(&files[0], &right[0]).expect("written");
    open(&bench.folder())
        .expect("as it was")
        .close()
        .expect("closed");
}

#[test]
fn n117_a_ledger_that_does_not_extend_its_last_checkpoint_is_not_started() {
    let bench = Bench::with(&steps());
    let other = Bench::with(&steps()[..20]);
    let paths = Paths::new(&bench.folder());
    let ours = fs::read(paths.checkpoint()).expect("it was signed at the stop");
    let note = String::from_utf8(ours.clone()).expect("text");

    // Signed by another log's key, or changed.
    let theirs = fs::read(Paths::new(&other.folder()).checkpoint()).expect("read");
    let changed = note.replacen('\n', "\n1", 1);
    for wrong in [&theirs[..], changed.as_bytes(), b"nothing of the kind"] {
        fs::write(paths.checkpoint(), wrong).expect("written");
        let refused = open(&bench.folder()).err();
        assert!(
            matches!(
                refused,
                Some(OpenError::Store(StoreError::Checkpoint { .. }))
            ),
            "{refused:?}"
        );
        assert!(verify(&bench.folder(), None, &mut |_| {}).is_err());
    }
    // Signed by our key over another tree: two histories.
    let opened = {
        fs::write(paths.checkpoint(), &ours).expect("written");
        open(&bench.folder()).expect("it opens")
    };
    let forked = Checkpoint {
        origin: "keys.example/v1/log".to_owned(),
        size: 7,
        root: leaf_hash(b"another history"),
    };
    let forked = forked.sign(&opened.signer);
    let ahead = Checkpoint {
        size: opened.reader.last().get() + 1,
        origin: "keys.example/v1/log".to_owned(),
        ..Checkpoint::open_of_any_origin(&note, &opened.signer.verifier()).expect("ours")
    };
    let ahead = ahead.sign(&opened.signer);
    opened.close().expect("closed");
    for wrong in [&forked, &ahead] {
        // Known from elsewhere, `audit verify --checkpoint` tells; kept in the folder, the start is refused.
        let known = verify(&bench.folder(), Some(wrong), &mut |_| {});
        assert!(matches!(known, Err(VerifyError::Damaged(_))), "{known:?}");
        fs::write(paths.checkpoint(), wrong).expect("written");
        let refused = open(&bench.folder()).err();
        assert!(
            matches!(
                refused,
                Some(OpenError::Store(StoreError::NotExtended { .. }))
            ),
            "{refused:?}"
        );
        fs::write(paths.checkpoint(), &ours).expect("written");
    }
    verify(&bench.folder(), Some(&note), &mut |_| {}).expect("whole");
    open(&bench.folder())
        .expect("as it was")
        .close()
        .expect("closed");
}

#[test]
fn every_record_is_proven_by_what_is_published() {
    let (bench, _) = sealed();
    let opened = open(&bench.folder()).expect("it opens");
    let reader = opened.reader.clone();
    let started = opened.start(Seen::default()).expect("started");
    let published = started.log.published().expect("published");
    let key = started.log.verifier().clone();
    assert_eq!(key.name(), "keys.example/v1/log");
    for entry in reader.store.range(Position::ZERO, reader.last()) {
        let entry = entry.expect("read");
        let file = started.log.proof(entry.position(), &published);
        let file = file.expect("read").expect("it is published").to_string();
        let file: ProofFile = file.parse().expect("a proof file");
        let signed = Checkpoint::open(&file.checkpoint, &key).expect("signed");
        let leaf = leaf_hash(entry.record());
        assert!(proof::includes(
            leaf,
            file.index,
            signed.size,
            &file.path,
            signed.root
        ));
        let old = entry.position().get();
        let consistent = started.log.consistency(old, &published).expect("read");
        let old_root = started.log.tree().root(old).expect("read");
        assert!(proof::extends(
            old,
            old_root,
            signed.size,
            signed.root,
            &consistent.unwrap()
        ));
    }
    let beyond = started.log.proof(reader.last().next(), &published);
    assert_eq!(beyond.expect("read"), None);
    drop(reader);
    started.thread.stop().expect("a clean stop");
}

/// The tests' steps with a snapshot behind them, and all that can be moved away moved away.
pub(super) fn archived() -> (Bench, Hash, Vec<PathBuf>) {
    let (bench, _) = sealed();
    let away = bench.root.path().join("away");
    let last = Position::new(2 * SEALED_TOGETHER);
    let refused = archive(&bench.folder(), &away, last);
    assert!(
        matches!(refused, Err(ArchiveError::NoSnapshot { needed }) if needed == last),
        "{refused:?}"
    );
    let opened = open(&bench.folder()).expect("it opens");
    let folded = Folded {
        directory: opened.directory.clone(),
        frontier: opened.frontier.clone(),
    };
    opened
        .snapshots
        .write(&folded, &SystemRandom::new())
        .expect("written");
    let root = opened.root();
    opened.close().expect("closed");
    let moved = archive(&bench.folder(), &away, last).expect("moved");
    assert_eq!(moved.len(), 2);
    (bench, root, moved)
}

#[test]
fn segments_that_were_moved_away_break_neither_starts_nor_proofs() {
    let (bench, root, moved) = archived();
    let opened = open(&bench.folder()).expect("it opens without them");
    assert_eq!(opened.root(), root);
    let reader = opened.reader.clone();
    let gone = reader.get(Position::new(3));
    assert!(
        matches!(
            gone,
            Err(ReadError::Store(store::ReadError::Archived { .. }))
        ),
        "{gone:?}"
    );
    let there = reader.range(Position::new(2 * SEALED_TOGETHER + 1), reader.last());
    let there: Vec<_> = there.map(|record| record.expect("read")).collect();
    assert!(!there.is_empty());
    let started = opened.start(Seen::default()).expect("started");
    settle(&started, &reader);
    let published = started.log.published().expect("published");
    let file = started.log.proof(Position::new(3), &published);
    let file = file.expect("read").expect("published");
    let record = Segment::open(&moved[0])
        .and_then(|segment| segment.get(Position::new(3)))
        .expect("read where it is now");
    let leaf = leaf_hash(record.record());
    assert!(proof::includes(
        leaf,
        2,
        published.size,
        &file.path,
        published.root
    ));
    drop(reader);
    started.thread.stop().expect("a clean stop");
    verify(&bench.folder(), None, &mut |_| {}).expect("whole, as far as it is there");
}

/// Goal: an erasure takes all snapshots of before with it, also those without which a ledger whose records
/// were moved away would start no more. Method: an erasure, and one that a death left undone.
#[test]
fn n123_an_erasure_leaves_a_start_where_records_were_moved_away() {
    let (bench, _, _) = archived();
    let before = snapshot_files(&bench);
    let kept = bench.root.path().join("kept");
    fs::create_dir(&kept).expect("made");
    for snapshot in &before {
        fs::copy(snapshot, kept.join(snapshot.file_name().expect("a name"))).expect("copied");
    }
    let mut erase = steps().into_iter().find(is_erasure).expect("a step");
    let bob = keyledger_domain::id::UserId::from_bytes([2; 16]);
    erase.command = ErasePerson {
        user: bob,
        confirm: "bob@example.com".to_owned(),
    }
    .into();
    let opened = open(&bench.folder()).expect("it opens");
    let started = opened.start(Seen::default()).expect("started");
    let answer = started.committer.submit_blocking(erase);
    let erased_at = answer.expect("committed").position;
    started.thread.stop().expect("a clean stop");
    let is_gone = |what: &str| {
        let there = snapshot_files(&bench);
        assert_eq!(there.len(), 1, "{what}: one that knows nothing of them");
        assert!(!before.contains(&there[0]), "{what}");
        let opened = open(&bench.folder()).expect("it opens without the records");
        assert_eq!(opened.from_snapshot(), Some(erased_at), "{what}");
        let state = opened.directory.clone();
        assert!(state.user(bob).is_some_and(User::is_erased), "{what}");
        let past = opened.past();
        let mut recalled = Recalled::default();
        let long_ago = past.at(Position::new(3), &mut recalled);
        assert!(
            matches!(long_ago, Err(PastError::Archived { .. })),
            "{what}"
        );
        let now = past.at(past.last(), &mut recalled).expect("there");
        assert!(*now == state, "{what}");
        drop(past);
        opened.close().expect("closed");
    };
    is_gone("after the erasure");
    // As a death between the record and the snapshots would have left it.
    for snapshot in snapshot_files(&bench) {
        fs::remove_file(snapshot).expect("removed");
    }
    for snapshot in &before {
        fs::copy(kept.join(snapshot.file_name().expect("a name")), snapshot).expect("put back");
    }
    open(&bench.folder())
        .expect("it opens")
        .close()
        .expect("closed");
    is_gone("after a death");
}

#[test]
fn without_a_snapshot_the_segments_have_to_come_back_and_do() {
    let (bench, _, moved) = archived();
    let paths = Paths::new(&bench.folder());
    for snapshot in snapshot_files(&bench) {
        fs::remove_file(snapshot).expect("removed");
    }
    let refused = open(&bench.folder()).err();
    let Some(OpenError::Replay(ReplayError::Archived { folder, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(folder, paths.segments(), "where they belong");
    for segment in &moved {
        let back = paths.segments().join(segment.file_name().expect("a name"));
        fs::copy(segment, back).expect("copied back");
    }
    let opened = open(&bench.folder()).expect("it opens");
    assert!(opened.reader.get(Position::new(3)).expect("read").is_some());
    opened.close().expect("closed");
}

#[test]
fn n117_a_hash_that_stands_for_an_archived_record_cannot_be_changed() {
    let (bench, _, _) = archived();
    let leaves = Paths::new(&bench.folder()).tree().join("0");
    let right = fs::read(&leaves).expect("read");
    for at in [0, 33, 32 * 15 + 31] {
        let mut other = right.clone();
        other[at] ^= 1;
        fs::write(&leaves, &other).expect("written");
        assert!(open(&bench.folder()).is_err(), "byte {at}");
        assert!(
            verify(&bench.folder(), None, &mut |_| {}).is_err(),
            "byte {at}"
        );
        assert_eq!(fs::read(&leaves).expect("read"), other, "left as it was");
    }
}
