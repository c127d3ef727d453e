//! Files that somebody without the key puts into a folder: none of them adds, changes or hides a record.

use super::sealing::{archived, open, sealed, settled};
use super::*;
use crate::key_file::MasterKey;
use crate::merkle::Frontier;
use crate::opening::OpenError as StoreError;
use crate::segment::{Segment, SegmentError, SegmentWriter};
use crate::segments::{Segments, SegmentsError};
use crate::store::StoredEntry;

/// A segment with the bytes before its hash changed, and the hash made anew.
fn rehashed(mut bytes: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    bytes.truncate(bytes.len() - 32);
    change(&mut bytes);
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    bytes
}

fn number(bytes: &[u8]) -> usize {
    let bytes = bytes.first_chunk().copied().expect("8 bytes");
    usize::try_from(u64::from_le_bytes(bytes)).expect("small")
}

/// Neither the check nor a start takes the folder as it is now.
#[track_caller]
fn refused(bench: &Bench, what: &str) -> OpenError {
    let verified = verify(&bench.folder(), None, &mut |_| {});
    assert!(
        matches!(verified, Err(VerifyError::Damaged(_))),
        "{what}: {verified:?}"
    );
    match open(&bench.folder()) {
        Ok(_) => panic!("{what}: it starts"),
        Err(error) => error,
    }
}

#[test]
fn n117_offsets_that_lead_to_other_records_are_refused() {
    let (bench, _) = sealed();
    let segments = Segments::open(&Paths::new(&bench.folder()).segments()).expect("they open");
    let path = segments.list()[0].path().to_owned();
    let right = fs::read(&path).expect("read");
    let offsets_at = number(&right[right.len() - 40..]);
    let third = offsets_at + 2 * 8;
    let (start, end) = (number(&right[third..]), number(&right[third + 8..]));

    // A second copy of a record behind the others, with a changed byte, and its offset leading there: who
    // reads in order reads the true one.
    let forged = rehashed(right.clone(), |bytes| {
        let mut copy = bytes[start..end].to_vec();
        let middle = copy.len() / 2;
        copy[middle] ^= 1;
        let length = copy.len() as u64;
        bytes.splice(offsets_at..offsets_at, copy);
        let moved_to = offsets_at as u64 + length;
        let table = offsets_at + usize::try_from(length).expect("small");
        bytes[table + 16..table + 24].copy_from_slice(&(offsets_at as u64).to_le_bytes());
        let trailer = bytes.len() - 8;
        bytes[trailer..].copy_from_slice(&moved_to.to_le_bytes());
    });
    fs::write(&path, forged).expect("written");
    refused(&bench, "a second copy");

    // The offsets of two records, one in the place of the other.
    let forged = rehashed(right.clone(), |bytes| {
        let (one, other) = (offsets_at + 8, offsets_at + 24);
        for at in 0..8 {
            bytes.swap(one + at, other + at);
        }
    });
    fs::write(&path, forged).expect("written");
    refused(&bench, "swapped offsets");

    fs::write(&path, right).expect("written");
    let opened = open(&bench.folder()).expect("as it was");
    opened.close().expect("closed");
}

#[test]
fn n117_no_byte_of_a_segment_can_be_changed_not_even_with_its_hash() {
    let (bench, _) = sealed();
    let paths = Paths::new(&bench.folder());
    let opened = open(&bench.folder()).expect("it opens");
    let key = opened.signer.verifier();
    opened.close().expect("closed");
    let segment = &Segments::open(&paths.segments()).expect("they open").list()[1];
    let right = fs::read(segment.path()).expect("read");
    let alone = bench.root.path().join("alone.segment");
    for at in 0..right.len() - 32 {
        let forged = rehashed(right.clone(), |bytes| bytes[at] ^= 1);
        fs::write(&alone, &forged).expect("written");
        let found = Segment::open(&alone).and_then(|segment| segment.verify(&key));
        // What is beside a record is proven by the record.
        let is_side_value = found.is_ok() && {
            let entry = |path: &Path| -> Vec<Vec<u8>> {
                let segment = Segment::open(path).expect("it opens");
                let range = segment.range(segment.first(), segment.last());
                let record = |entry: StoredEntry| entry.record().to_vec();
                let records = range.expect("it opens").map(|entry| entry.map(record));
                records.collect::<Result<_, _>>().expect("read")
            };
            entry(&alone) == entry(segment.path())
        };
        assert!(found.is_err() || is_side_value, "byte {at}");
    }
}

#[test]
fn n117_a_segment_that_this_log_did_not_sign_adds_nothing() {
    let (bench, _) = sealed();
    let paths = Paths::new(&bench.folder());
    let opened = open(&bench.folder()).expect("it opens");
    let last = opened.reader.last();
    let entries: Vec<_> = opened
        .reader
        .store
        .range(Position::ZERO.next(), last)
        .map(|entry| entry.expect("read"))
        .collect();
    opened.close().expect("closed");

    // All records and the last of them once more, in a segment signed by somebody else.
    let stranger = MasterKey::generate(&SystemRandom::new()).expect("drawn");
    let signer = publisher::signer(&stranger, "keys.example/v1/log").expect("a name");
    let name = format!("{:020}-{:020}.segment", 1, last.get() + 1);
    let path = paths.segments().join(name);
    let mut writer = SegmentWriter::begin(&path, Frontier::new(), last.next()).expect("begun");
    for entry in entries.iter().chain(entries.last()) {
        writer.add(entry).expect("added");
    }
    let checkpoint = crate::checkpoint::Checkpoint {
        origin: signer.name().to_owned(),
        size: writer.frontier().size(),
        root: writer.frontier().root(),
    };
    let checkpoint = checkpoint.sign(&signer);
    writer
        .finish(&checkpoint, &signer.verifier())
        .expect("written");
    for segment in Segments::open(&paths.segments()).expect("open").list() {
        if segment.path() != path {
            fs::remove_file(segment.path()).expect("removed");
        }
    }
    let error = refused(&bench, "a stranger's segment");
    assert!(
        matches!(
            error,
            OpenError::Store(StoreError::Segments(SegmentsError::Segment(
                SegmentError::Checkpoint { .. }
            )))
        ),
        "{error:?}"
    );
}

#[test]
fn n117_nothing_stands_behind_a_clean_stop() {
    let all = steps();
    let (first, rest) = all.split_at(all.len() / 2);
    let bench = Bench::with(first);
    settled(&bench.folder(), |_| {});
    let paths = Paths::new(&bench.folder());
    // The same ledger goes on elsewhere, and its segments come back here.
    let later = Bench::new();
    copy_folder(&bench.folder(), &later.folder()).expect("copied");
    settled(&later.folder(), |started| {
        for step in rest {
            let committed = started.committer.submit_blocking(step.clone());
            committed.expect("committed");
        }
    });
    let away = Paths::new(&later.folder()).segments();
    let here: Vec<_> = Segments::open(&paths.segments()).expect("open").list();
    let newer = Segments::open(&away).expect("open").list();
    assert!(newer.len() > here.len());
    for segment in &newer[here.len()..] {
        let name = segment.path().file_name().expect("a name");
        fs::copy(segment.path(), paths.segments().join(name)).expect("copied");
    }
    let error = refused(&bench, "later segments");
    assert!(
        matches!(error, OpenError::Store(StoreError::Longer { .. })),
        "{error:?}"
    );
}

#[test]
fn n117_a_stub_that_this_server_did_not_write_hides_no_loss() {
    let (bench, _, moved) = archived();
    let paths = Paths::new(&bench.folder());
    let found = verify(&bench.folder(), None, &mut |_| {}).expect("whole");
    let last_moved = Segment::open(moved.last().expect("some"))
        .expect("opens")
        .last();
    assert_eq!(found.archived, last_moved);

    let stubs = moved.iter().map(|segment| {
        let name = Path::new(segment.file_name().expect("a name"));
        paths.segments().join(name.with_extension("archived"))
    });
    let stubs: Vec<_> = stubs.collect();
    let right = fs::read(&stubs[0]).expect("read");
    for at in 0..right.len() {
        let mut forged = right.clone();
        forged[at] ^= 1;
        fs::write(&stubs[0], &forged).expect("written");
        let opened = Segments::open(&paths.segments()).expect("they open");
        assert!(opened.check(&master_key(&paths)).is_err(), "byte {at}");
    }
    // As it would be made of the segment that is removed.
    let checkpoint = right.split(|byte| *byte == b'\n').skip(1);
    let checkpoint = checkpoint.collect::<Vec<_>>().join(&b'\n');
    for forged in [checkpoint, fs::read(&stubs[1]).expect("read"), Vec::new()] {
        fs::write(&stubs[0], forged).expect("written");
        let error = refused(&bench, "a stub");
        assert!(
            matches!(
                error,
                OpenError::Store(StoreError::Segments(SegmentsError::Stub { .. }))
            ),
            "{error:?}"
        );
    }
    fs::write(&stubs[0], right).expect("written");
    let opened = open(&bench.folder()).expect("as it was");
    opened.close().expect("closed");
}

fn master_key(paths: &Paths) -> MasterKey {
    let bytes = fs::read(paths.master_key()).expect("read");
    MasterKey::from_bytes(&bytes, &paths.master_key()).expect("a key")
}

/// Attack: a pipe waits for ever for whoever opens it.
#[test]
fn n117_a_pipe_in_the_place_of_a_segment_or_a_stub_is_refused_at_once() {
    let (bench, _, moved) = archived();
    let paths = Paths::new(&bench.folder());
    let make_pipe = |path: &Path| {
        fs::remove_file(path).expect("removed");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
            .expect("a pipe");
    };
    let stub = paths
        .segments()
        .join(Path::new(moved[0].file_name().expect("a name")).with_extension("archived"));
    make_pipe(&stub);
    let opened = Segments::open(&paths.segments()).expect("they open");
    assert!(opened.check(&master_key(&paths)).is_err());
    let last = opened.list().pop().expect("one that was not moved");
    make_pipe(last.path());
    assert!(Segments::open(&paths.segments()).is_err());
}
