//! The real sled: what is durable is read again, and a ledger whose files were damaged is refused,
//! with the file named and the files left as they were.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use keyledger_domain::Position;
use keyledger_ledger::folder::OpenFolder;
use keyledger_ledger::head::Head;
use keyledger_ledger::manifest::FilesChanged;
use keyledger_ledger::merkle::{EMPTY_ROOT, Frontier, Hash, leaf_hash};
use keyledger_ledger::opening::{OpenError, StopError, StoreSettings, Unproven};
use keyledger_ledger::paths::Paths;
use keyledger_ledger::sled_store::{SledReader, SledStore};
use keyledger_ledger::store::{AppendError, AppendStore, Entry, ReadError, ReadStore};
use ring::rand::SystemRandom;

/// A test disk may be nearly full; the reserve has a test of its own.
const SETTINGS: StoreSettings = StoreSettings {
    cache_bytes: 16 << 20,
    reserve_bytes: 0,
    copy_aside: true,
};

fn at(number: u64) -> Position {
    Position::new(number)
}

fn entry(number: u64) -> Entry {
    let noise = blake3::hash(&number.to_le_bytes());
    Entry {
        position: at(number),
        record: noise.as_bytes().repeat(7),
        side: number.to_le_bytes().to_vec(),
    }
}

fn root_at(size: u64) -> Hash {
    let mut frontier = Frontier::new();
    (1..=size).for_each(|number| frontier.append(leaf_hash(&entry(number).record)));
    frontier.root()
}

/// A ledger in a folder of its own, with what the committer will do.
struct Ledger {
    folder: OpenFolder,
    store: SledStore,
}

impl Ledger {
    fn open(root: &Path) -> Result<Self, OpenError> {
        let (folder, unproven) = begin(root)?;
        let mut frontier = Frontier::new();
        let mut at_head = EMPTY_ROOT;
        for record in unproven.reader().range(at(1), unproven.last()) {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    unproven.put_back()?;
                    return Err(error.into());
                }
            };
            frontier.append(leaf_hash(record.record()));
            if frontier.size() == unproven.head().position.get() {
                at_head = frontier.root();
            }
        }
        let store = unproven.accept(at_head)?;
        Ok(Self { folder, store })
    }

    fn append(&mut self, count: u64) {
        let from = self.store.last().get() + 1;
        let to = from + count - 1;
        let batch: Vec<_> = (from..=to).map(entry).collect();
        self.store.append(&batch).expect("appended");
        let db_bytes = self.store.db_bytes().expect("its length");
        let head = Head {
            position: at(to),
            root: root_at(to),
            db_bytes,
            clean: None,
        };
        self.folder.head.write(head).expect("the head is written");
    }

    fn stop(mut self) {
        let root = root_at(self.store.last().get());
        let paths = self.folder.folder.paths().clone();
        self.store
            .stop(&paths, &mut self.folder.head, root)
            .expect("a clean stop");
    }
}

fn begin(root: &Path) -> Result<(OpenFolder, Unproven), OpenError> {
    let mut folder =
        OpenFolder::open_or_create(root, &SystemRandom::new()).expect("the folder opens");
    let paths = folder.folder.paths().clone();
    let unproven = SledStore::open(&paths, &mut folder.head, &SETTINGS)?;
    Ok((folder, unproven))
}

/// The files as they are on the disk while the ledger is open: what `kill -9` leaves.
fn killed_copy(of: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(of).expect("read") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            killed_copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Every file but the lock, with its bytes.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("LOCK") {
                files.insert(path.clone(), fs::read(&path).expect("read"));
            }
        }
    }
    files
}

fn check_all(reader: &SledReader, size: u64) {
    assert_eq!(reader.last(), at(size));
    let found: Vec<_> = reader
        .range(at(1), at(size))
        .collect::<Result<_, _>>()
        .expect("all are there");
    assert_eq!(found.len() as u64, size);
    for (number, found) in (1..).zip(&found) {
        let wanted = entry(number);
        assert_eq!(found.position(), wanted.position);
        assert_eq!(
            (found.record(), found.side()),
            (&wanted.record[..], &wanted.side[..])
        );
    }
}

/// A ledger of `size` records as a death leaves it.
fn killed(size: u64) -> (tempfile::TempDir, Paths) {
    let outer = tempfile::tempdir().expect("a folder");
    let mut ledger = Ledger::open(&outer.path().join("live")).expect("opened");
    ledger.append(size / 2);
    ledger.append(size - size / 2);
    let paths = Paths::new(&outer.path().join("killed"));
    killed_copy(&outer.path().join("live"), paths.root());
    (outer, paths)
}

fn stopped(size: u64) -> (tempfile::TempDir, Paths) {
    let outer = tempfile::tempdir().expect("a folder");
    let paths = Paths::new(&outer.path().join("data"));
    let mut ledger = Ledger::open(paths.root()).expect("opened");
    ledger.append(size);
    ledger.stop();
    (outer, paths)
}

#[test]
fn what_was_appended_is_read_again_after_a_clean_stop_and_after_a_death() {
    let outer = tempfile::tempdir().expect("a folder");
    let root = outer.path().join("data");
    let mut ledger = Ledger::open(&root).expect("opened");
    ledger.append(3);
    ledger.append(40);
    check_all(&ledger.store.reader(), 43);
    let dead = outer.path().join("dead");
    killed_copy(&root, &dead);
    ledger.stop();

    let mut ledger = Ledger::open(&root).expect("opened after a clean stop");
    check_all(&ledger.store.reader(), 43);
    ledger.append(1);
    let reader = ledger.store.reader();
    let one = reader.get(at(44)).expect("read").expect("it is there");
    assert_eq!(one.record(), entry(44).record);
    assert!(reader.get(at(45)).expect("read").is_none());
    assert!(reader.get(at(0)).expect("read").is_none());
    ledger.stop();
    let late = reader.range(at(1), at(9)).next().expect("an answer");
    assert!(
        matches!(late, Err(ReadError::Io { .. })),
        "a reader that outlives the store is told"
    );

    let mut ledger = Ledger::open(&dead).expect("opened after a death");
    check_all(&ledger.store.reader(), 43);
    let paths = Paths::new(&dead);
    assert!(
        !paths.root().join("events.aside").exists(),
        "the copy is gone once it was accepted"
    );
    ledger.append(5);
    ledger.stop();
    check_all(&Ledger::open(&dead).expect("opened").store.reader(), 48);
}

#[test]
fn a_death_between_the_sync_and_the_head_leaves_a_ledger_ahead_of_its_head() {
    let outer = tempfile::tempdir().expect("a folder");
    let root = outer.path().join("live");
    let mut ledger = Ledger::open(&root).expect("opened");
    ledger.append(3);
    ledger
        .store
        .append(&[entry(4), entry(5)])
        .expect("appended");
    let dead = outer.path().join("dead");
    killed_copy(&root, &dead);
    let (_folder, unproven) = begin(&dead).expect("opened");
    assert_eq!((unproven.head().position, unproven.last()), (at(3), at(5)));
    let store = unproven.accept(root_at(3)).expect("accepted");
    check_all(&store.reader(), 5);
}

#[test]
fn large_records_go_through_files_of_their_own_and_are_read_again() {
    let outer = tempfile::tempdir().expect("a folder");
    let root = outer.path().join("live");
    let mut ledger = Ledger::open(&root).expect("opened");
    let large = |number: u64| Entry {
        record: vec![7; 60_000],
        ..entry(number)
    };
    for number in 1..=60 {
        ledger.store.append(&[large(number)]).expect("appended");
    }
    let blobs = ledger.folder.folder.paths().events().join("blobs");
    assert!(
        fs::read_dir(&blobs).expect("read").count() > 0,
        "or this shows nothing"
    );
    let dead = outer.path().join("dead");
    killed_copy(&root, &dead);
    let (_folder, unproven) = begin(&dead).expect("opened");
    let found = unproven
        .reader()
        .range(at(1), at(60))
        .collect::<Result<Vec<_>, _>>();
    let count = found
        .expect("all are there")
        .iter()
        .filter(|one| one.record() == large(1).record)
        .count();
    assert_eq!(count, 60);
}

#[test]
fn below_the_reserve_nothing_is_written_and_reading_goes_on() {
    let outer = tempfile::tempdir().expect("a folder");
    let mut folder =
        OpenFolder::open_or_create(outer.path(), &SystemRandom::new()).expect("the folder opens");
    let paths = folder.folder.paths().clone();
    let settings = StoreSettings {
        reserve_bytes: u64::MAX,
        ..SETTINGS
    };
    let unproven = SledStore::open(&paths, &mut folder.head, &settings).expect("opened");
    let mut store = unproven.accept(EMPTY_ROOT).expect("accepted");
    let error = store.append(&[entry(1)]).expect_err("refused");
    let AppendError::OutOfSpace {
        available_bytes,
        reserve_bytes,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert!(available_bytes < reserve_bytes && available_bytes > 0);
    check_all(&store.reader(), 0);
}

#[test]
fn a_store_that_is_still_being_read_is_not_said_to_be_stopped_cleanly() {
    let outer = tempfile::tempdir().expect("a folder");
    let mut ledger = Ledger::open(outer.path()).expect("opened");
    ledger.append(30);
    let reader = ledger.store.reader();
    let mut range = reader.range(at(1), at(30));
    assert!(range.next().is_some_and(|first| first.is_ok()));
    let Ledger { mut folder, store } = ledger;
    let paths = folder.folder.paths().clone();
    let error = store
        .stop(&paths, &mut folder.head, root_at(30))
        .expect_err("not clean");
    assert!(matches!(error, StopError::StillRead { .. }), "{error}");
    assert_eq!(folder.head.current().clean, None);
}

#[test]
fn after_a_clean_stop_any_changed_byte_of_any_file_is_found_before_sled_opens() {
    let (_outer, paths) = stopped(200);
    let good = contents(&paths.events());
    assert!(good.len() >= 2, "db and conf at least: {:?}", good.keys());
    for (path, bytes) in &good {
        for at_byte in (0..bytes.len()).step_by(1 + bytes.len() / 5) {
            let mut bad = bytes.clone();
            bad[at_byte] ^= 0x10;
            refused_as_changed(&paths, path, &bad);
        }
        refused_as_changed(&paths, path, &bytes[..bytes.len() / 2]);
        refused_as_changed(&paths, path, &[bytes, &b"more"[..]].concat());
        fs::write(path, bytes).expect("mended");
    }
    fs::remove_file(paths.db()).expect("removed");
    let error = Ledger::open(paths.root()).err().expect("refused");
    assert!(
        matches!(&error, OpenError::NotAsStopped { source: FilesChanged::Missing(path), .. }
            if *path == paths.db()),
        "{error}"
    );
    assert!(!paths.db().exists(), "nothing was made in its place");
    fs::write(paths.db(), &good[&paths.db()]).expect("mended");
    check_all(
        &Ledger::open(paths.root())
            .expect("all is as it was")
            .store
            .reader(),
        200,
    );
}

fn refused_as_changed(paths: &Paths, path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("damaged");
    let before = contents(paths.root());
    let error = Ledger::open(paths.root()).err().expect("refused");
    let OpenError::NotAsStopped {
        position,
        source: FilesChanged::Changed(named),
    } = &error
    else {
        panic!("{}: {error:?}", path.display())
    };
    assert_eq!((*position, named.as_path()), (at(200), path));
    assert!(contents(paths.root()) == before, "the files were touched");
}

#[test]
fn after_a_death_a_cut_or_changed_db_is_refused_and_put_back_untouched() {
    let (_outer, paths) = killed(2_000);
    let good = fs::read(paths.db()).expect("read");
    let mut refused = 0;
    let cuts = [1, 4_096, 200_000, good.len() / 2, good.len() - 300_000];
    let flips = (1..12).map(|part| good.len() / 12 * part);
    let damaged = cuts
        .iter()
        .map(|length| (*length, good[..*length].to_vec()))
        .chain(flips.map(|at_byte| {
            let mut bad = good.clone();
            bad[at_byte] ^= 0x10;
            (at_byte, bad)
        }));
    for (place, bytes) in damaged {
        fs::write(paths.db(), bytes).expect("damaged");
        let before = contents(paths.root());
        match Ledger::open(paths.root()) {
            Err(error) => {
                refused += 1;
                assert!(names_a_file(&error, &paths.db()), "byte {place}: {error}");
                assert!(
                    contents(paths.root()) == before,
                    "byte {place}: the files were touched"
                );
            }
            // A byte that sled no longer uses; what is read is what was written all the same.
            Ok(ledger) => {
                check_all(&ledger.store.reader(), 2_000);
                drop(ledger);
            }
        }
        // As a death leaves it: sled may not have let go yet, and the lock is in the way of nobody.
        restore(&paths, &good);
    }
    assert!(
        refused > cuts.len(),
        "the cuts and some of the flips: {refused}"
    );
}

fn names_a_file(error: &OpenError, file: &Path) -> bool {
    error.to_string().contains(&file.display().to_string())
}

/// Puts the good `db` back, and removes what sled's opening left beside it.
fn restore(paths: &Paths, good: &[u8]) {
    for entry in fs::read_dir(paths.events()).expect("read") {
        let path = entry.expect("an entry").path();
        if path.is_file()
            && path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("snap."))
        {
            fs::remove_file(path).expect("removed");
        }
    }
    // A new file: the old one may still be open.
    fs::remove_file(paths.db()).expect("removed");
    fs::write(paths.db(), good).expect("written");
}

#[test]
fn records_gone_from_the_end_are_refused_with_the_first_lost_position() {
    let (outer, paths) = killed(500);
    // The folder of a shorter ledger under the head of a longer one.
    let (other_outer, other) = killed(300);
    fs::remove_dir_all(paths.events()).expect("removed");
    killed_copy(&other.events(), &paths.events());
    let before = contents(paths.root());
    let error = Ledger::open(paths.root()).err().expect("refused");
    let OpenError::Shorter {
        found, expected, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((*found, *expected), (at(300), at(500)));
    assert!(error.to_string().contains("position 301"), "{error}");
    assert!(contents(paths.root()) == before, "the files were touched");
    drop((outer, other_outer));
}

#[test]
fn other_records_of_the_same_number_are_refused_by_their_root() {
    let (_outer, paths) = killed(20);
    let (folder, unproven) = begin(paths.root()).expect("opened");
    let inode = |path: PathBuf| path.metadata().expect("it is there").ino();
    let opened = inode(paths.db());
    let error = unproven.accept(root_at(19)).err().expect("refused");
    let OpenError::RootDiffers { position, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*position, at(20));
    assert!(names_a_file(&error, &paths.db()), "{error}");
    assert_ne!(inode(paths.db()), opened, "the copy took its place");
    assert!(!paths.root().join("events.aside").exists());
    drop(folder);
    check_all(
        &Ledger::open(paths.root())
            .expect("nothing was wrong with it")
            .store
            .reader(),
        20,
    );
}

#[test]
fn a_missing_or_empty_db_is_refused_and_not_made_anew() {
    let (_outer, paths) = killed(20);
    fs::write(paths.db(), b"").expect("emptied");
    for remove in [false, true] {
        if remove {
            fs::remove_dir_all(paths.events()).expect("removed");
        }
        let error = Ledger::open(paths.root()).err().expect("refused");
        let OpenError::Missing { path, position } = &error else {
            panic!("{error}")
        };
        assert_eq!((path, *position), (&paths.db(), at(20)));
        assert_eq!(
            paths.events().exists(),
            !remove,
            "nothing was made in its place"
        );
    }
}

#[test]
fn a_death_while_opening_puts_the_copy_back_first() {
    let (_outer, paths) = killed(50);
    let aside = paths.root().join("events.aside");
    // We died after the copy, amid sled's opening, which had already ruined the file.
    killed_copy(&paths.events(), &aside);
    fs::write(paths.db(), b"shredded").expect("written");
    // And amid an earlier copy and an earlier removal.
    fs::create_dir(paths.root().join("events.aside.tmp")).expect("made");
    fs::create_dir(paths.root().join("events.opened.tmp")).expect("made");
    let mut ledger = Ledger::open(paths.root()).expect("opened");
    check_all(&ledger.store.reader(), 50);
    assert!(!aside.exists());
    ledger.append(1);
    ledger.stop();

    // We died between the two renames of putting back.
    fs::rename(paths.events(), &aside).expect("renamed");
    let ledger = Ledger::open(paths.root()).expect("opened");
    check_all(&ledger.store.reader(), 51);
    for name in ["events.aside", "events.aside.tmp", "events.opened.tmp"] {
        assert!(!paths.root().join(name).exists(), "{name}");
    }
}

#[test]
fn an_older_copy_of_the_head_alone_gives_no_wrong_answer() {
    let outer = tempfile::tempdir().expect("a folder");
    let paths = Paths::new(&outer.path().join("data"));
    let mut ledger = Ledger::open(paths.root()).expect("opened");
    ledger.append(10);
    let running = fs::read(paths.head()).expect("read");
    ledger.stop();
    let clean = fs::read(paths.head()).expect("read");
    let mut ledger = Ledger::open(paths.root()).expect("opened");
    ledger.append(10);
    ledger.stop();

    // Of a clean stop that is not the last one: the witness among the keys knows better.
    fs::write(paths.head(), clean).expect("written");
    check_all(
        &Ledger::open(paths.root()).expect("opened").store.reader(),
        20,
    );
    // Of a running process: the records tell the truth, and there are more of them.
    fs::write(paths.head(), running).expect("written");
    check_all(
        &Ledger::open(paths.root()).expect("opened").store.reader(),
        20,
    );
}

/// Goal: head and records that agree with each other, but are older than the keys know, are not served:
/// what was revoked since would live again.
#[test]
fn an_older_copy_of_head_and_records_together_is_refused() {
    let outer = tempfile::tempdir().expect("a folder");
    let paths = Paths::new(&outer.path().join("data"));
    let mut ledger = Ledger::open(paths.root()).expect("opened");
    ledger.append(10);
    ledger.stop();
    let older = outer.path().join("older");
    killed_copy(&paths.events(), &older);
    let files = [paths.head(), paths.manifest()];
    let kept = files.clone().map(|path| fs::read(path).expect("read"));
    let mut ledger = Ledger::open(paths.root()).expect("opened");
    ledger.append(10);
    ledger.stop();

    fs::remove_dir_all(paths.events()).expect("removed");
    fs::rename(&older, paths.events()).expect("renamed");
    for (path, bytes) in files.iter().zip(kept) {
        fs::write(path, bytes).expect("written");
    }
    let error = Ledger::open(paths.root()).err().expect("refused");
    assert!(matches!(error, OpenError::Shorter { .. }), "{error}");
}
