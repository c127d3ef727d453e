//! The golden ledger: `data/golden/r1`, which must replay to its golden state for ever.
//!
//! `records.txt` has a line a record: position, event, revision, record and side in base64. The two key
//! files beside it were made for it and open nothing else. `forms.txt` holds the declaration of every
//! stored struct. Lines are only ever added.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyledger_domain::{Directory, Event, Position};
use ring::rand::SystemRandom;

use super::form::{self, Form};
use super::head::{HeadV1, HeadV2};
use super::oauth::{
    ClientSettingsV1, ClientTypeV1, FamilyEndV1, GrantTypeV1, NewAccessTokenV1, NewClientSecretV1,
    RefreshPolicyV1, SigningAlgorithmV1,
};
use super::part::{
    ActivationV1, ActorV1, DigestV1, DisabledForV1, GrantV1, HolderKindV1, KeyLabelV1, NetV1,
    NewApiKeyV1, NewApiKeyV2, PublicKeyV1, RateLimitV1, ReachV1, RegistrationV1,
    RevocationFilterV1, RoleV1, ScopeEntryV1,
};
use super::{Depth, PREFIX_BYTES, Parsed, Persons, Stored, table};
use crate::committer::faults::{FaultyLog, HeadDouble, Seen};
use crate::committer::{Desk, Ground};
use crate::faulty_store::FaultyDisk;
use crate::key_file::MasterKey;
use crate::merkle::{Frontier, leaf_hash};
use crate::person_keys::PersonKeys;
use crate::replay::Folded;
use crate::scenario::{Ticking, carol, steps};
use crate::snapshot;
use crate::store::{AppendStore as _, Entry, ReadStore as _};
use crate::vault::Vault;

const MASTER_KEY: &str = "test-only-not-a-secret.master.key";
const PEOPLE_KEYS: &str = "test-only-not-a-secret.people.key.base64";

const HOW_TO_BLESS: &str = "\n\
    A stored struct is never edited once it is published: it would misread every ledger there is.\n\
    - To change an event, add a struct of the next revision (FooV2), put it first in its row of\n  \
      record/table.rs, and let the old one's `restore` go through the new one's.\n\
    - For a new event or revision, add a step at the END of scenario.rs that leads to it.\n\
    - Then run: KEYLEDGER_BLESS=1 cargo test -p keyledger-ledger golden\n  \
      It adds lines to data/golden/r1 and changes none; commit them with the code.\n\
    - If only the state changed (another field in Directory, another `apply`): raise\n  \
      SNAPSHOT_SCHEMA in snapshot.rs, remove state.json, and run the same command.\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/golden/r1")
}

fn is_blessing() -> bool {
    std::env::var_os("KEYLEDGER_BLESS").is_some()
}

struct Line {
    event: String,
    revision: u8,
    stored: Stored,
}

struct Golden {
    temporary: tempfile::TempDir,
    persons: Arc<Persons>,
    lines: Vec<Line>,
}

impl Golden {
    /// Read once; with `KEYLEDGER_BLESS` what is new is added first.
    fn get() -> &'static Self {
        static GOLDEN: OnceLock<Golden> = OnceLock::new();
        GOLDEN.get_or_init(|| {
            if is_blessing() {
                bless();
            }
            let golden = Self::read();
            assert_eq!(
                golden.lines.len(),
                steps().len(),
                "the scenario has steps that the golden ledger has not.{HOW_TO_BLESS}"
            );
            golden
        })
    }

    fn read() -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let master_key = temporary.path().join("master.key");
        fs::copy(folder().join(MASTER_KEY), &master_key).expect("the golden key file");
        // git keeps no such modes.
        fs::set_permissions(&master_key, fs::Permissions::from_mode(0o600)).expect("mode");
        let master_key = MasterKey::read(&master_key).expect("the golden key file is read");
        let people = temporary.path().join("people.key");
        let text = fs::read_to_string(folder().join(PEOPLE_KEYS)).expect("the golden keys");
        let bytes = STANDARD.decode(text.trim()).expect("base64");
        fs::write(&people, bytes).expect("written");
        let keys = PersonKeys::open(&people, Vault::new(master_key.sealing())).expect("opened");
        let text = fs::read_to_string(folder().join("records.txt")).unwrap_or_default();
        let lines = (1..).zip(text.lines()).map(|(position, line): (u64, _)| {
            let words: Vec<&str> = line.split(' ').collect();
            let [number, event, revision, record, side] = words[..] else {
                panic!("line {position} of records.txt has not five words");
            };
            assert_eq!(number.parse(), Ok(position), "records.txt");
            Line {
                event: event.to_owned(),
                revision: revision.parse().expect("a revision"),
                stored: Stored {
                    record: STANDARD.decode(record).expect("base64"),
                    side: STANDARD.decode(side).expect("base64"),
                },
            }
        });
        let lines = lines.collect();
        Self {
            temporary,
            persons: Arc::new(Persons::new(keys)),
            lines,
        }
    }

    fn people_file(&self) -> PathBuf {
        self.temporary.path().join("people.key")
    }

    fn replay(&self, depth: Depth) -> Folded {
        self.replay_up_to(self.lines.len(), depth)
    }

    fn replay_up_to(&self, count: usize, depth: Depth) -> Folded {
        let mut directory = Directory::default();
        let mut frontier = Frontier::new();
        for (number, line) in (1..).zip(&self.lines[..count]) {
            let Stored { record, side } = &line.stored;
            frontier.append(leaf_hash(record));
            let record = Parsed::parse(Position::new(number), record)
                .and_then(|parsed| parsed.open(side, &self.persons, depth))
                .unwrap_or_else(|error| panic!("{error}{HOW_TO_BLESS}"));
            assert_eq!(record.event.name(), line.event, "record {number}");
            directory.apply(&record);
        }
        Folded {
            directory,
            frontier,
        }
    }
}

fn json_of(directory: &Directory) -> serde_json::Value {
    serde_json::to_value(directory).expect("the state has a JSON form")
}

fn snapshot_file() -> PathBuf {
    folder().join(format!(
        "snapshot-schema-{}.base64",
        snapshot::SNAPSHOT_SCHEMA
    ))
}

/// Adds what is new, and changes nothing that is there.
fn bless() {
    let folder = folder();
    fs::create_dir_all(&folder).expect("a folder");
    if !folder.join(MASTER_KEY).exists() {
        let path = folder.join(MASTER_KEY);
        let key = MasterKey::generate(&SystemRandom::new()).expect("randomness");
        key.write(&path).expect("written");
        let people = folder.join("people.tmp");
        PersonKeys::create(&people).expect("made");
        let bytes = fs::read(&people).expect("read");
        fs::remove_file(&people).expect("removed");
        fs::write(folder.join(PEOPLE_KEYS), STANDARD.encode(bytes)).expect("written");
    }
    let golden = Golden::read();
    let known = golden.lines.len();
    if let Ok(text) = fs::read_to_string(folder.join("state.json")) {
        // What is new may add to the state; it may not change what the old records led to.
        let expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let found = json_of(&golden.replay(Depth::State).directory);
        assert!(
            found == expected,
            "the old records lead to another state.{HOW_TO_BLESS}"
        );
    }
    let mut text = fs::read_to_string(folder.join("records.txt")).unwrap_or_default();

    let store_double = FaultyDisk::new();
    let mut store = store_double.open(None);
    let entries: Vec<Entry> = (1..)
        .zip(&golden.lines)
        .map(|(number, line)| Entry {
            position: Position::new(number),
            record: line.stored.record.clone(),
            side: line.stored.side.clone(),
        })
        .collect();
    store.append(&entries).expect("appended");
    let Folded {
        directory,
        frontier,
    } = golden.replay(Depth::State);
    let ground = Ground {
        log: FaultyLog {
            store,
            head: HeadDouble::new(),
        },
        directory,
        frontier,
        persons: Arc::clone(&golden.persons),
        rng: Arc::new(SystemRandom::new()),
        clock: Arc::new(Ticking::from_seconds(
            1_800_000_000 + i64::try_from(known).expect("few"),
        )),
        snapshots: None,
    };
    let mut desk = Desk::new(ground, Box::new(Seen::default()));
    for submission in steps().into_iter().skip(known) {
        let (sender, mut answer) = tokio::sync::oneshot::channel();
        assert!(desk.commit(vec![(submission, sender)]));
        let committed = answer.try_recv().expect("answered").expect("committed");
        let record = committed.record.expect("each step changes something");
        let entry = disk_entry(&store_double, record.position);
        let (_, revision) = table::newest_of(&record.event);
        writeln!(
            text,
            "{} {} {revision} {} {}",
            record.position,
            record.event.name(),
            STANDARD.encode(&entry.record),
            STANDARD.encode(&entry.side)
        )
        .expect("a String takes it");
    }
    if golden.persons.is_erased(carol().into()) {
        assert!(known > 0, "erased in a golden ledger only");
    } else {
        golden
            .persons
            .erase(core::iter::once(carol().into()))
            .expect("erased");
    }
    fs::write(folder.join("records.txt"), text).expect("written");
    let people = fs::read(golden.people_file()).expect("read");
    fs::write(folder.join(PEOPLE_KEYS), STANDARD.encode(people)).expect("written");

    let forms = read_forms();
    let mut text = fs::read_to_string(folder.join("forms.txt")).unwrap_or_default();
    for (name, shape) in shapes() {
        if !forms.contains_key(&name) {
            writeln!(text, "{name} {shape}").expect("a String takes it");
        }
    }
    fs::write(folder.join("forms.txt"), text).expect("written");

    let state = Golden::read().replay(Depth::State);
    if known < steps().len() || !folder.join("state.json").exists() {
        let mut text = serde_json::to_string_pretty(&json_of(&state.directory)).expect("JSON");
        text.push('\n');
        fs::write(folder.join("state.json"), text).expect("written");
    }
    // One of this schema that is there stays, or a change of the form would be blessed away.
    if !snapshot_file().exists() {
        let mut bytes = Vec::new();
        snapshot::encode(&state, &mut bytes).expect("encoded");
        fs::write(snapshot_file(), STANDARD.encode(bytes)).expect("written");
    }
}

fn disk_entry(disk: &FaultyDisk, position: Position) -> Stored {
    let reader = disk.open(None).reader();
    let entry = reader.get(position).expect("read").expect("there");
    Stored {
        record: entry.record().to_vec(),
        side: entry.side().to_vec(),
    }
}

/// The declarations of all stored structs by name, without blanks, which no layout may change.
fn shapes() -> BTreeMap<String, String> {
    let parts = [
        ("HeadV1", HeadV1::SHAPE),
        ("HeadV2", HeadV2::SHAPE),
        ("ActorV1", ActorV1::SHAPE),
        ("RoleV1", RoleV1::SHAPE),
        ("DigestV1", DigestV1::SHAPE),
        ("ScopeEntryV1", ScopeEntryV1::SHAPE),
        ("NetV1", NetV1::SHAPE),
        ("NewApiKeyV1", NewApiKeyV1::SHAPE),
        ("NewApiKeyV2", NewApiKeyV2::SHAPE),
        ("RateLimitV1", RateLimitV1::SHAPE),
        ("GrantV1", GrantV1::SHAPE),
        ("ActivationV1", ActivationV1::SHAPE),
        ("KeyLabelV1", KeyLabelV1::SHAPE),
        ("RegistrationV1", RegistrationV1::SHAPE),
        ("DisabledForV1", DisabledForV1::SHAPE),
        ("HolderKindV1", HolderKindV1::SHAPE),
        ("RevocationFilterV1", RevocationFilterV1::SHAPE),
        ("ReachV1", ReachV1::SHAPE),
        ("ClientTypeV1", ClientTypeV1::SHAPE),
        ("GrantTypeV1", GrantTypeV1::SHAPE),
        ("RefreshPolicyV1", RefreshPolicyV1::SHAPE),
        ("SigningAlgorithmV1", SigningAlgorithmV1::SHAPE),
        ("ClientSettingsV1", ClientSettingsV1::SHAPE),
        ("NewClientSecretV1", NewClientSecretV1::SHAPE),
        ("NewAccessTokenV1", NewAccessTokenV1::SHAPE),
        ("FamilyEndV1", FamilyEndV1::SHAPE),
        ("PublicKeyV1", PublicKeyV1::SHAPE),
    ];
    let events = table::ALL
        .iter()
        .map(|(_, revision, event, shape)| (format!("{event}V{revision}"), *shape));
    parts
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), shape))
        .chain(events)
        .map(|(name, shape)| {
            let shape = shape.replace("pub(crate)", "");
            let mut bare: String = shape.split_whitespace().collect();
            bare = bare.replace(",}", "}");
            (name, bare)
        })
        .collect()
}

fn read_forms() -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join("forms.txt")).unwrap_or_default();
    text.lines()
        .map(|line| {
            let (name, shape) = line.split_once(' ').expect("a name and a declaration");
            (name.to_owned(), shape.to_owned())
        })
        .collect()
}

#[test]
fn the_golden_ledger_replays_to_its_golden_state() {
    let golden = Golden::get();
    let state = golden.replay(Depth::State).directory;
    assert_eq!(state, golden.replay(Depth::Everything).directory);
    let text = fs::read_to_string(folder().join("state.json")).expect("state.json");
    let expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        json_of(&state) == expected,
        "the golden ledger no longer leads to data/golden/r1/state.json.{HOW_TO_BLESS}"
    );
}

#[test]
fn every_event_in_every_revision_is_in_the_golden_ledger() {
    let golden = Golden::get();
    let has = |name: &str, revision: u8| {
        golden
            .lines
            .iter()
            .any(|line| line.event == name && line.revision == revision)
    };
    for (_, revision, event, _) in table::ALL {
        assert!(
            has(event, *revision),
            "{event} in revision {revision} is missing.{HOW_TO_BLESS}"
        );
    }
    for name in Event::NAMES {
        assert!(has(name, 1), "{name} is missing.{HOW_TO_BLESS}");
    }
}

#[test]
fn the_golden_records_are_encoded_again_to_the_same_bytes() {
    for (number, line) in (1..).zip(&Golden::get().lines) {
        let record = &line.stored.record;
        let parsed = Parsed::parse(Position::new(number), record).expect("a head");
        let mut again = record[..PREFIX_BYTES].to_vec();
        // A head of an older revision is read as one of the next.
        let head_bytes = record.len() - PREFIX_BYTES - parsed.body.len();
        let head = &record[PREFIX_BYTES..][..head_bytes];
        match record[PREFIX_BYTES - 1] {
            1 => form::append(&form::whole::<HeadV1>(head).expect("a head"), &mut again),
            _ => form::append(&parsed.head, &mut again),
        }
        .expect("encoded");
        let body = table::again(parsed.number, parsed.revision, parsed.body)
            .unwrap_or_else(|fault| panic!("{} {fault:?}{HOW_TO_BLESS}", line.event));
        again.extend_from_slice(&body);
        assert_eq!(
            &again, record,
            "record {number}, {}.{HOW_TO_BLESS}",
            line.event
        );
    }
}

#[test]
fn no_stored_struct_was_edited_without_a_new_revision() {
    Golden::get();
    let golden = read_forms();
    let shapes = shapes();
    for (name, shape) in &golden {
        let is_as_it_was = shapes
            .get(name)
            .is_some_and(|now| now == shape || has_more_variants(shape, now));
        assert!(is_as_it_was, "{name} was edited or removed.{HOW_TO_BLESS}");
    }
    for name in shapes.keys() {
        assert!(golden.contains_key(name), "{name} is new.{HOW_TO_BLESS}");
    }
    // A part that nobody put into the list above would not be held fast.
    let sources = [
        include_str!("part.rs"),
        include_str!("oauth.rs"),
        include_str!("head.rs"),
    ];
    for line in sources.iter().flat_map(|source| source.lines()) {
        let mut words = line.split_whitespace();
        if let (Some("struct" | "enum"), Some(name)) = (words.next(), words.next())
            && name.ends_with(|c: char| c.is_ascii_digit())
        {
            assert!(
                golden.contains_key(name),
                "{name} is missing in golden.rs.{HOW_TO_BLESS}"
            );
        }
    }
}

/// Whether an enum is what it was, and variants came at its end: their numbers are new, and all that
/// was ever stored is read as before.
fn has_more_variants(before: &str, now: &str) -> bool {
    let open = before.strip_suffix('}');
    let rest = open.and_then(|open| now.strip_prefix(open));
    before.starts_with("enum{") && rest.is_some_and(|rest| rest.starts_with(','))
}

#[test]
fn only_an_enum_may_grow_and_only_at_its_end() {
    for (now, grows) in [
        ("enum{A,B(u8),C}", true),
        ("enum{A,C,B(u8)}", false),
        ("enum{A,B(u16),C}", false),
        ("enum{A}", false),
        ("enum{A,B(u8)C}", false),
    ] {
        assert_eq!(has_more_variants("enum{A,B(u8)}", now), grows, "{now}");
    }
    assert!(!has_more_variants("struct{a:u8}", "struct{a:u8,b:u8}"));
}

#[test]
fn the_golden_snapshot_still_gives_the_golden_state() {
    let golden = Golden::get();
    let text = fs::read_to_string(snapshot_file())
        .unwrap_or_else(|_| panic!("there is no golden snapshot of this schema.{HOW_TO_BLESS}"));
    let bytes = STANDARD.decode(text.trim()).expect("base64");
    let read = snapshot::decode(&bytes);
    assert!(
        read.is_some_and(|read| {
            // Records may have come since it was made.
            let position = usize::try_from(read.position().get()).expect("few");
            let count = position.min(golden.lines.len());
            read == golden.replay_up_to(count, Depth::State)
        }),
        "a snapshot of schema {} is read as another state: raise SNAPSHOT_SCHEMA.{HOW_TO_BLESS}",
        snapshot::SNAPSHOT_SCHEMA
    );
}
