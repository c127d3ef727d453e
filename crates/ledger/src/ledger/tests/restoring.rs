//! Backups, restores and rebuilds: what was answered before is there after, to the byte.

use keyledger_domain::Timestamp;

use super::*;
use crate::backup::{self, RestoreError};
use crate::rebuild::{Accepted, RebuildError, rebuild};
use crate::verify::Derived;

fn told(folder: &Path) -> (Directory, Hash, Vec<Record>) {
    let opened = Bench::try_open(folder, 0).expect("it opens").opened;
    let records = opened.reader.range(Position::ZERO, opened.reader.last());
    let records = records.map(|record| record.expect("read")).collect();
    let told = (opened.directory.clone(), opened.root(), records);
    opened.close().expect("closed");
    told
}

fn backed_up(bench: &Bench, with_key_file: bool) -> Vec<u8> {
    let opened = bench.open().opened;
    let mut file = Vec::new();
    opened
        .back_up(&[], with_key_file, &mut file)
        .expect("written");
    opened.close().expect("closed");
    file
}

#[test]
fn a_backup_is_restored_to_the_byte_with_or_without_the_key_file_in_it() {
    let bench = Bench::with(&steps());
    let wanted = told(&bench.folder());
    let key_file = Paths::new(&bench.folder()).master_key();
    for (with_key_file, given) in [(true, None), (false, Some(&*key_file))] {
        let file = backed_up(&bench, with_key_file);
        let verified = backup::verify(&file[..], given, &mut |_| {}).expect("whole");
        assert_eq!(
            (verified.size, verified.root),
            (wanted.2.len() as u64, wanted.1)
        );
        let new = bench.root.path().join(format!("restored-{with_key_file}"));
        backup::restore(&file[..], given, &new, &mut |_| {}).expect("restored");
        assert!(told(&new) == wanted);
        verify(&new, None, &mut |_| {}).expect("whole");
        let again = backup::restore(&file[..], given, &new, &mut |_| {});
        assert!(
            again.is_err(),
            "never over a folder that has something in it"
        );
    }
    let without = backed_up(&bench, false);
    let secret = fs::read(&key_file).expect("read");
    assert!(
        !without
            .windows(40)
            .any(|bytes| secret.windows(40).any(|part| part == bytes))
    );
    let refused = backup::verify(&without[..], None, &mut |_| {});
    assert!(matches!(refused, Err(RestoreError::KeyFileNeeded)));
    let other = Bench::with(&steps()[..3]);
    let other = Paths::new(&other.folder()).master_key();
    let refused = backup::verify(&without[..], Some(&other), &mut |_| {});
    assert!(
        matches!(refused, Err(RestoreError::Checkpoint(_))),
        "{refused:?}"
    );
}

#[test]
fn a_backup_that_was_changed_or_cut_off_anywhere_makes_no_folder() {
    let bench = Bench::with(&steps());
    let file = backed_up(&bench, true);
    for at in (0..file.len()).step_by(131).chain([file.len() - 1]) {
        let mut other = file.clone();
        other[at] ^= 1;
        let refused = backup::verify(&other[..], None, &mut |_| {});
        assert!(refused.is_err(), "byte {at}");
        let refused = backup::verify(&file[..at], None, &mut |_| {});
        assert!(refused.is_err(), "cut at {at}");
    }
    let new = bench.root.path().join("half");
    let mut other = file;
    *other.last_mut().expect("it has bytes") ^= 1;
    assert!(backup::restore(&other[..], None, &new, &mut |_| {}).is_err());
    assert!(new.exists(), "its damage shows at the end only");
    assert!(
        Bench::try_open(&new, 0).is_err(),
        "half a restore is no ledger"
    );
}

#[test]
fn n117_nobody_without_the_key_file_changes_what_stands_beside_the_records_of_a_backup() {
    let bench = Bench::with(&steps());
    let file = backed_up(&bench, true);
    let last_part = file.len() - 44;
    assert_eq!(&file[last_part..last_part + 4], b"DONE");
    let refused = |what: &str, file: &[u8]| {
        let found = backup::verify(file, None, &mut |_| {});
        assert!(
            matches!(found, Err(RestoreError::Damaged { .. })),
            "{what}: {found:?}"
        );
    };
    let parts = [&b"PEOP"[..], b"CRED"].map(|name| {
        let found = file.windows(4).position(|bytes| bytes == name);
        found.expect("a part")
    });
    for part in parts {
        let mut other = file.clone();
        // One row or key more, of zeros, and the hash made anew.
        let length_at = part + 4;
        let length = other[length_at..].first_chunk().copied().expect("8 bytes");
        let length = u64::from_le_bytes(length);
        let end = length_at + 8 + usize::try_from(length).expect("small");
        other.splice(end..end, [0; 40]);
        other[length_at..length_at + 8].copy_from_slice(&(length + 40).to_le_bytes());
        let sum_at = other.len() - 32;
        let sum = *blake3::hash(&other[..sum_at - 12]).as_bytes();
        other[sum_at..].copy_from_slice(&sum);
        refused("a changed part", &other);
    }
    let mut longer = file.clone();
    longer.push(0);
    refused("something behind the end", &longer);
    backup::verify(&file[..], None, &mut |_| {}).expect("as it was");
}

#[test]
fn a_backup_that_is_taken_while_changes_go_on_has_all_that_was_answered_before() {
    let all = steps();
    let bench = Bench::with(&all[..30]);
    let Started {
        committer,
        thread,
        log,
        backups,
    } = bench.open().opened.start(Seen::default()).expect("started");
    let writer = std::thread::spawn({
        let rest = all[30..].to_vec();
        let committer = committer.clone();
        move || {
            for submission in rest {
                committer.submit_blocking(submission).expect("committed");
            }
        }
    });
    let mut files = Vec::new();
    while !writer.is_finished() {
        let answered = backups.store.last();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let published = runtime
            .expect("a runtime")
            .block_on(log.published_with(answered))
            .expect("published");
        let mut file = Vec::new();
        backups
            .write(&published, &[], true, &mut file)
            .expect("written");
        files.push((answered, file));
    }
    writer.join().expect("written");
    drop((committer, log, backups));
    thread.stop().expect("a clean stop");
    assert!(!files.is_empty());
    let tree = TreeReader::open(&Paths::new(&bench.folder()).tree()).expect("it opens");
    for (number, (answered, file)) in files.iter().enumerate().rev().take(5) {
        let new = bench.root.path().join(format!("restored-{number}"));
        let restored = backup::restore(&file[..], None, &new, &mut |_| {}).expect("restored");
        assert!(restored.size >= answered.get());
        // Who was erased since is still known in it: the records are the same, what is told is not.
        assert_eq!(restored.root, tree.root(restored.size).expect("read"));
        assert_eq!(told(&new).2.len() as u64, restored.size);
    }
}

#[test]
fn what_sled_lost_is_told_and_what_it_kept_is_rebuilt() {
    let bench = Bench::with(&steps());
    let wanted = told(&bench.folder());
    let last = Position::new(wanted.2.len() as u64);
    let new = bench.root.path().join("rebuilt");
    let rebuilt =
        rebuild(&bench.folder(), &new, Accepted::default(), &mut |_| {}).expect("rebuilt");
    assert_eq!((rebuilt.size, rebuilt.root), (last.get(), wanted.1));
    assert!(told(&new) == wanted);

    // sled's file is gone, and with it all that was not sealed: nobody is told that this is a ledger.
    fs::remove_dir_all(Paths::new(&bench.folder()).events()).expect("removed");
    fs::create_dir(Paths::new(&bench.folder()).events()).expect("made");
    let new = bench.root.path().join("rebuilt-again");
    let refused = rebuild(&bench.folder(), &new, Accepted::default(), &mut |_| {});
    assert!(
        matches!(refused, Err(RebuildError::Shorter { found: Position::ZERO, expected }) if expected == last),
        "{refused:?}"
    );
    assert!(!new.exists());
    let accepted = Accepted {
        end: Some(Position::ZERO),
        ..Accepted::default()
    };
    let accepted = rebuild(&bench.folder(), &new, accepted, &mut |_| {});
    assert_eq!(accepted.expect("rebuilt").size, 0);

    // Not even the folder is there.
    let (sealed, _) = super::sealing::sealed();
    fs::remove_dir_all(Paths::new(&sealed.folder()).events()).expect("removed");
    let segments = Segments::open(&Paths::new(&sealed.folder()).segments()).expect("they open");
    let accepted = Accepted {
        end: Some(segments.last()),
        ..Accepted::default()
    };
    let new = sealed.root.path().join("of-segments");
    let rebuilt = rebuild(&sealed.folder(), &new, accepted, &mut |_| {}).expect("rebuilt");
    assert_eq!(rebuilt.size, segments.last().get());
}

#[test]
fn n117_what_nobody_vouches_for_is_not_signed_by_a_rebuild() {
    // Two ledgers with one key and one beginning, which then went different ways.
    let all = steps();
    let (shared, rest) = all.split_at(all.len() / 2);
    let ours = Bench::with(shared);
    let theirs = Bench::with(&[]);
    fs::remove_dir_all(theirs.folder()).expect("removed");
    copy_folder(&ours.folder(), &theirs.folder()).expect("copied");
    // Salts are drawn, so the same steps are other records.
    theirs.go_on(&rest[..1]);
    ours.go_on(rest);
    let (paths, foreign) = (Paths::new(&ours.folder()), Paths::new(&theirs.folder()));
    let right = fs::read(paths.checkpoint()).expect("read");
    let rebuilt = |name: &str, checkpoint_given_up| {
        let accepted = Accepted {
            checkpoint_given_up,
            ..Accepted::default()
        };
        let new = ours.root.path().join(name);
        rebuild(&ours.folder(), &new, accepted, &mut |_| {})
    };

    fs::copy(foreign.checkpoint(), paths.checkpoint()).expect("copied");
    let refused = rebuilt("forked", false);
    assert!(
        matches!(refused, Err(RebuildError::NotExtended { .. })),
        "{refused:?}"
    );
    rebuilt("given-up", true).expect("an operator may");

    fs::write(paths.checkpoint(), "nonsense").expect("written");
    let refused = rebuilt("unsigned", false);
    assert!(
        matches!(refused, Err(RebuildError::Checkpoint(_))),
        "{refused:?}"
    );

    fs::write(paths.checkpoint(), right).expect("written");
    for (from, to) in [
        (foreign.head(), paths.head()),
        (foreign.head_witness(), paths.head_witness()),
    ] {
        fs::copy(from, to).expect("copied");
    }
    let refused = rebuilt("of-another-head", false);
    assert!(
        matches!(refused, Err(RebuildError::NotTheHeads { .. })),
        "{refused:?}"
    );
}

#[test]
fn what_is_only_made_of_the_records_is_no_damage_and_is_made_again() {
    let bench = Bench::with(&steps());
    let tree = Paths::new(&bench.folder()).tree();
    let level = tree.join("0");
    let mut hashes = fs::read(&level).expect("read");
    hashes[40] ^= 1;
    fs::write(&level, hashes).expect("written");
    let found = verify(&bench.folder(), None, &mut |_| {});
    let Err(VerifyError::Derived { folder, source }) = found else {
        panic!("{found:?}")
    };
    assert_eq!(folder, tree);
    let wanted = Derived::Tree {
        wrong: 1,
        too_many: 0,
    };
    assert_eq!(source, wanted);
    fs::remove_dir_all(&tree).expect("removed");
    bench.open().opened.close().expect("closed");
    verify(&bench.folder(), None, &mut |_| {}).expect("made again");
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_named() {
    let bench = Bench::with(&steps());
    let path = Paths::new(&bench.folder()).checkpoint();
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    let found = verify(&bench.folder(), None, &mut |_| {});
    let Err(VerifyError::Checkpoint(error)) = found else {
        panic!("{found:?}")
    };
    assert!(
        error.to_string().contains(&*path.to_string_lossy()),
        "{error}"
    );
}

#[test]
fn a_snapshot_that_tells_another_state_than_the_records_is_found() {
    let bench = Bench::with(&steps());
    let opened = bench.open().opened;
    let mut folded = Folded {
        directory: opened.directory.clone(),
        frontier: opened.frontier.clone(),
    };
    let rng = SystemRandom::new();
    opened.snapshots.write(&folded, &rng).expect("written");
    opened.close().expect("closed");
    verify(&bench.folder(), None, &mut |_| {}).expect("it tells the same");

    // As a fault of ours would make it: sealed, at the right place, and wrong.
    let mut records = told(&bench.folder()).2;
    records.last_mut().expect("there are some").at = Timestamp::from_micros(1);
    folded.directory = Directory::default();
    for record in &records {
        folded.directory.apply(record);
    }
    snapshots_of(&bench).write(&folded, &rng).expect("written");
    let found = verify(&bench.folder(), None, &mut |_| {});
    let Err(VerifyError::Derived { folder, source }) = found else {
        panic!("{found:?}")
    };
    assert!(matches!(source, Derived::Snapshot { .. }), "{source}");
    assert_eq!(folder, Paths::new(&bench.folder()).snapshots());
}
