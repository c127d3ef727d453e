//! Five hundred trials of damage, drawn from a seed: each is noticed, or changes nothing that is told.

use std::collections::BTreeMap;

use super::sealing::{open, sealed, told};
use super::*;

const TRIALS: u64 = 500;

/// Numbers from a seed, the same in each run.
struct Drawn(blake3::OutputReader);

impl Drawn {
    fn from_seed(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        Self(hasher.finalize_xof())
    }

    fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % end as u64).expect("it is below")
    }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// All files of a folder but the lock and the keys, which are a secret and not the store.
fn files_of(root: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && path != root.join("keys") {
                folders.push(path);
            } else if path.is_file() && !path.ends_with("LOCK") {
                let name = path.strip_prefix(root).expect("in it").to_owned();
                files.insert(name, fs::read(&path).expect("read"));
            }
        }
    }
    files
}

fn put(root: &Path, files: &Files) {
    for name in ["events", "segments", "tree", "snapshots"] {
        fs::remove_dir_all(root.join(name)).ok();
        fs::create_dir_all(root.join(name)).expect("made");
    }
    for name in ["head", "checkpoint", "events.manifest", "FORMAT"] {
        fs::remove_file(root.join(name)).ok();
    }
    fs::remove_dir_all(root.join("events.aside")).ok();
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

/// One kind of damage to one file, or to two; says what it did.
fn damage(files: &mut Files, older: &Files, drawn: &mut Drawn) -> String {
    let names: Vec<PathBuf> = files
        .iter()
        .filter(|(_, bytes)| !bytes.is_empty())
        .map(|(name, _)| name.clone())
        .collect();
    let name = names[drawn.below(names.len())].clone();
    let bytes = files.get_mut(&name).expect("it is there");
    let shown = name.display().to_string();
    match drawn.below(6) {
        0 | 1 => {
            let at = drawn.below(bytes.len());
            bytes[at] ^= 1 << drawn.below(8);
            format!("a bit at {at} of {shown}")
        }
        2 => {
            let at = drawn.below(bytes.len());
            bytes.truncate(at);
            format!("{shown} cut off at {at}")
        }
        3 => {
            let length = (1 + drawn.below(300)).min(bytes.len() / 2).max(1);
            let from = drawn.below(bytes.len() - length + 1);
            let to = drawn.below(bytes.len() - length + 1);
            let moved = bytes[from..from + length].to_vec();
            let there = bytes[to..to + length].to_vec();
            bytes[to..to + length].copy_from_slice(&moved);
            if from.abs_diff(to) >= length {
                bytes[from..from + length].copy_from_slice(&there);
            }
            format!("{length} bytes at {from} and {to} of {shown} swapped")
        }
        4 => {
            files.remove(&name);
            format!("{shown} removed")
        }
        _ => {
            if let Some(old) = older.get(&name) {
                files.insert(name, old.clone());
                format!("{shown} as it was before")
            } else {
                files.remove(&name);
                format!("{shown} not there, as before")
            }
        }
    }
}

#[test]
fn n117_five_hundred_trials_of_damage_are_noticed_or_change_nothing() {
    let (bench, before) = sealed();
    let folder = bench.folder();
    let wanted = told_of(&folder).expect("it opens");
    let (right, older) = (files_of(&folder), files_of(&before));
    let keys = files_of(&folder.join("keys"));
    let (mut noticed, mut harmless) = (0, 0);
    for seed in 0..TRIALS {
        let mut drawn = Drawn::from_seed(seed);
        let mut files = right.clone();
        let mut what = damage(&mut files, &older, &mut drawn);
        if drawn.below(4) == 0 {
            what = format!("{what}; {}", damage(&mut files, &older, &mut drawn));
        }
        put(&folder, &files);
        let verified = verify(&folder, None, &mut |_| {});
        match told_of(&folder) {
            // Whatever the check says: what is served is what was written.
            Ok(found) => assert!(found == wanted, "seed {seed}: {what}: another answer"),
            Err(error) => assert!(
                verified.is_err(),
                "seed {seed}: {what}: {error} at the start, and the check finds nothing"
            ),
        }
        match verified {
            Ok(verified) => {
                harmless += 1;
                let found = (verified.size, verified.root);
                assert_eq!(
                    found,
                    (wanted.2.len() as u64, wanted.1),
                    "seed {seed}: {what}"
                );
            }
            Err(VerifyError::Damaged(damage)) => {
                noticed += 1;
                let last = wanted.2.len() as u64;
                assert!(
                    damage.position.get() <= last + 1,
                    "seed {seed}: {what}: {damage}"
                );
            }
            Err(VerifyError::Folder(_) | VerifyError::Derived { .. }) => noticed += 1,
            Err(error) => panic!("seed {seed}: {what}: {error}"),
        }
        // A start that went well has written some of them anew.
        for (name, bytes) in &keys {
            fs::write(folder.join("keys").join(name), bytes).expect("written");
        }
    }
    assert!(
        noticed > TRIALS / 2,
        "{noticed} noticed, {harmless} harmless"
    );
}

fn told_of(folder: &Path) -> Result<(Directory, Hash, Vec<Record>), Box<dyn std::error::Error>> {
    let opened = open(folder)?;
    let records: Result<Vec<_>, _> = opened
        .reader
        .range(Position::ZERO, opened.reader.last())
        .collect();
    let told = records.map(|_| told(&opened));
    opened.close()?;
    Ok(told?)
}

#[test]
fn n117_an_older_copy_of_everything_is_found_by_whoever_knows_a_later_checkpoint() {
    let bench = Bench::with(&steps()[..30]);
    let older = bench.root.path().join("older");
    copy_folder(&bench.folder(), &older).expect("copied");
    let Started {
        committer, thread, ..
    } = bench.open().opened.start(Seen::default()).expect("started");
    for submission in &steps()[30..] {
        committer
            .submit_blocking(submission.clone())
            .expect("committed");
    }
    thread.stop().expect("a clean stop");
    let later = fs::read_to_string(Paths::new(&bench.folder()).checkpoint()).expect("signed");
    // With its keys, head and checkpoint it is a ledger in order: only somebody else knows better.
    verify(&older, None, &mut |_| {}).expect("whole in itself");
    let known = verify(&older, Some(&later), &mut |_| {});
    let Err(VerifyError::Damaged(damage)) = known else {
        panic!("{known:?}")
    };
    assert!(
        matches!(damage.source, DamageFound::EndsBefore { .. }),
        "{damage}"
    );
    assert_eq!(damage.position, Position::new(31), "the first that is gone");

    // The folder's own memory: its keys lie elsewhere and are not put back.
    for name in ["head.key", "people.key"] {
        let path = |folder: &Path| folder.join("keys").join(name);
        fs::copy(path(&bench.folder()), path(&older)).expect("copied");
    }
    assert!(verify(&older, None, &mut |_| {}).is_err());
    assert!(open(&older).is_err());
}
