//! Each write × {failed, failed but persisted, a prefix persisted} × reopen, on the store double;
//! and that the sync comes before the answer.

use keyledger_domain::Position;
use keyledger_ledger::faulty_store::{Fault, FaultyDisk, Kept, Step};
use keyledger_ledger::store::{
    AppendError, AppendStore, Entry, NotWritten, RECORD_BYTES_MAX, ReadError, ReadStore,
};

fn at(number: u64) -> Position {
    Position::new(number)
}

fn entry(number: u64) -> Entry {
    Entry {
        position: at(number),
        record: format!("record {number}").into_bytes(),
        side: format!("side {number}").into_bytes(),
    }
}

fn entries(from: u64, to: u64) -> Vec<Entry> {
    (from..=to).map(entry).collect()
}

/// All records of the store, each checked against what was appended under its position.
fn check_all(store: &impl ReadStore) -> u64 {
    let mut count = 0;
    for (wanted, found) in (1..).zip(store.range(at(1), at(u64::MAX))) {
        let found = found.expect("every record up to the last is there");
        let wanted = entry(wanted);
        assert_eq!(found.position(), wanted.position);
        assert_eq!(
            (found.record(), found.side()),
            (&wanted.record[..], &wanted.side[..])
        );
        count += 1;
    }
    assert_eq!(count, store.last().get());
    count
}

#[test]
fn the_sync_comes_before_the_answer() {
    let disk = FaultyDisk::new();
    let mut store = disk.open(None);
    store.append(&entries(1, 3)).expect("appended");
    assert_eq!(
        disk.steps(),
        [
            Step::Insert(at(1)),
            Step::Insert(at(2)),
            Step::Insert(at(3)),
            Step::Flush,
            Step::Sync
        ],
        "one flush and one sync for all, in this order, before `append` returned"
    );
    assert_eq!(disk.durable_last(), at(3), "durable when it returned");

    // Readers see what is durable and nothing else: were the sync left out, this would fail.
    let mut store = disk.open(Some(Fault {
        at_step: 3,
        kept: Kept::Nothing,
    }));
    let reader = store.reader();
    store.append(&[entry(4)]).expect_err("the sync fails");
    assert_eq!(disk.steps(), [Step::Insert(at(4)), Step::Flush, Step::Sync]);
    assert_eq!(check_all(&reader), 3);
}

#[test]
fn each_write_may_fail_in_each_way_and_the_reopened_store_is_right() {
    const BEFORE: u64 = 2;
    const BATCH: u64 = 4;
    // Four inserts, the flush, the sync.
    for at_step in 1..=6 {
        for kept in [
            Kept::Nothing,
            Kept::Everything,
            Kept::Prefix(1),
            Kept::Prefix(3),
        ] {
            let case = format!("step {at_step}, kept {kept:?}");
            let disk = FaultyDisk::new();
            disk.open(None)
                .append(&entries(1, BEFORE))
                .expect("appended");

            let mut store = disk.open(Some(Fault { at_step, kept }));
            let error = store
                .append(&entries(BEFORE + 1, BEFORE + BATCH))
                .expect_err("the fault is told, whatever was persisted");
            assert!(
                matches!(error, AppendError::Unknown { .. }),
                "{case}: {error}"
            );
            assert!(error.is_final(), "{case}");
            assert_eq!(store.last(), at(BEFORE), "{case}: nobody is told of it");

            // The first storage error is the last: not even the same batch is tried again.
            let steps = disk.steps();
            let again = store
                .append(&entries(BEFORE + 1, BEFORE + BATCH))
                .expect_err("refused");
            assert!(
                matches!(again, AppendError::NotWritten(NotWritten::FailedBefore)),
                "{case}: {again}"
            );
            store.check_room().expect_err("refused");
            assert_eq!(disk.steps(), steps, "{case}: the engine was not asked");

            let inserted = usize::try_from(BATCH).expect("small").min(at_step);
            let persisted = match kept {
                Kept::Nothing => 0,
                Kept::Everything => inserted,
                Kept::Prefix(count) => count.min(inserted),
            };
            let mut reopened = disk.open(None);
            let last = BEFORE + persisted as u64;
            assert_eq!(reopened.last(), at(last), "{case}");
            assert_eq!(check_all(&reopened.reader()), last, "{case}");
            reopened
                .append(&entries(last + 1, last + 2))
                .expect("it goes on from there");
            assert_eq!(check_all(&reopened.reader()), last + 2, "{case}");
        }
    }
}

#[test]
fn a_full_disk_refuses_before_anything_is_written_and_is_not_final() {
    let disk = FaultyDisk::new();
    let mut store = disk.open(None);
    disk.set_available_bytes(0);
    for error in [store.check_room(), store.append(&[entry(1)])] {
        let error = error.expect_err("refused");
        assert!(
            matches!(
                error,
                AppendError::OutOfSpace {
                    available_bytes: 0,
                    reserve_bytes: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(!error.is_final());
    }
    assert_eq!(disk.steps(), []);
    disk.set_available_bytes(1);
    store.append(&[entry(1)]).expect("there is room again");
    assert_eq!(check_all(&store.reader()), 1);
}

#[test]
fn entries_out_of_step_are_refused_before_anything_is_written() {
    let too_long = Entry {
        record: vec![0; RECORD_BYTES_MAX + 1],
        ..entry(1)
    };
    for bad in [
        vec![entry(2)],
        vec![entry(1), entry(3)],
        vec![entry(0)],
        vec![too_long],
    ] {
        let disk = FaultyDisk::new();
        let mut store = disk.open(None);
        let error = store.append(&bad).expect_err("refused");
        assert!(matches!(error, AppendError::NotWritten(_)), "{error}");
        assert!(
            error.is_final(),
            "whoever appends has lost count and must stop"
        );
        assert_eq!(disk.steps(), []);
    }
    let disk = FaultyDisk::new();
    let longest = Entry {
        record: vec![7; RECORD_BYTES_MAX],
        ..entry(1)
    };
    disk.open(None)
        .append(&[longest])
        .expect("the longest record fits");
    disk.open(None).append(&[]).expect("nothing is nothing");
    assert_eq!(disk.steps(), []);
}

#[test]
fn a_hole_is_an_error_that_names_the_position() {
    let disk = FaultyDisk::new();
    disk.open(None).append(&entries(1, 5)).expect("appended");
    for hole in 1..5 {
        let disk = FaultyDisk::new();
        disk.open(None).append(&entries(1, 5)).expect("appended");
        disk.lose(at(hole));
        let reader = disk.open(None).reader();
        let found: Vec<_> = reader.range(at(1), at(5)).collect();
        assert_eq!(found.len() as u64, hole, "nothing comes after the error");
        let Some(Err(ReadError::Missing { position, .. })) = found.last() else {
            panic!("{found:?}")
        };
        assert_eq!(*position, at(hole));
        assert!(matches!(
            reader.get(at(hole)),
            Err(ReadError::Missing { .. })
        ));
    }
    let store = disk.open(None);
    disk.lose(at(5));
    let last = store
        .reader()
        .range(at(4), at(9))
        .last()
        .expect("one at least");
    assert!(matches!(last, Err(ReadError::Missing { position, .. }) if position == at(5)));
}
