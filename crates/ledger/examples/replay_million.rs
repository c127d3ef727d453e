//! Makes a ledger of a million records of the usual mix in a temporary folder, and measures how long a
//! start takes that replays all of it, one from a snapshot, a question about the past, and the whole proof
//! (`audit verify`); what the tree costs for each record; and what the process holds in memory.
//!
//! ```text
//! cargo run --release -p keyledger-ledger --example replay_million [records] [folder] [segment records]
//! ```
//!
//! With more records a segment than there are records, all of them stay in sled.

#![expect(clippy::print_stdout, reason = "it is there to print")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use keyledger_domain::api_key::{
    Activation, NewApiKey, RestrictApiKey, RevealApiKey, RotateApiKey, SwitchApiKey,
};
use keyledger_domain::id::{KeyId, OrgId, RequestId, ServiceId, UserId};
use keyledger_domain::member::AddMember;
use keyledger_domain::org::SetUp;
use keyledger_domain::service::CreateService;
use keyledger_domain::user::NewUser;
use keyledger_domain::user_key::{CreateUserKey, KeyLabel, RenameUserKey, RevokeUserKey};
use keyledger_domain::{
    Actor, Authority, Command, CredentialId, Digest, Environment, PasswordHash, Position, Proof,
    Record, Role, SealedSecret, Timestamp,
};
use keyledger_ledger::merkle::{Frontier, leaf_hash};
use keyledger_ledger::segments::SEGMENT_RECORDS_DEFAULT;
use keyledger_ledger::tree::Tree;
use keyledger_ledger::{
    Clock, Committer, Ledger, OpenOptions, Opened, Progress, Projection, Recalled, Started,
    Submission, verify,
};
use ring::rand::SystemRandom;

/// How many write at once: as many commands as this make a batch.
const WRITERS: u64 = 64;

/// A clock of a microsecond a record.
struct Counting(AtomicI64);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Nobody looks.
struct Nobody;

impl Projection for Nobody {
    fn apply(&mut self, _: &[Arc<Record>]) {}
}

fn id16(kind: u8, number: u64) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn credential(number: u64) -> CredentialId {
    format!("{number:09}").parse().expect("nine digits")
}

fn new_key(number: u64) -> NewApiKey {
    NewApiKey {
        id: credential(number),
        environment: Environment::Live,
        digest: Digest {
            pepper_version: 1,
            tag: *blake3::hash(&number.to_le_bytes()).as_bytes(),
        },
        scopes: number.is_multiple_of(3).then(|| {
            ["files:read", "keys:read"]
                .map(|s| s.parse().expect("a scope"))
                .into_iter()
                .collect()
        }),
        expires_at: None,
        allowed_cidrs: if number.is_multiple_of(10) {
            ["192.0.2.0/24".parse().expect("a network")].into()
        } else {
            [].into()
        },
        rate_limit: None,
    }
}

/// What one writer does, for one person and their keys.
struct Writer {
    committer: Committer,
    org: OrgId,
    user: UserId,
    /// The number of the next key; each writer has numbers of its own.
    next: u64,
    written: u64,
}

impl Writer {
    fn submit(&mut self, command: impl Into<Command>) {
        let submission = Submission {
            authority: Authority {
                actor: Actor::User(self.user),
                proof: Proof::Password,
            },
            request: RequestId::from_bytes(id16(9, self.next)),
            source: Some([192, 0, 2, 77].into()),
            client: Some(
                "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"
                    .parse()
                    .expect("a name"),
            ),
            command: command.into(),
        };
        let committed = self.committer.submit_blocking(submission);
        let record = committed.expect("committed").record;
        // Reading a key that was not sealed is no event.
        self.written += u64::from(record.is_some());
    }

    /// The life of one key: about ten records, the most frequent things oftener than the rare ones.
    fn key(&mut self) {
        let number = self.next;
        self.next += 1;
        let id = credential(number);
        let key = KeyId::from_bytes(id16(4, number));
        let sealed = || {
            number
                .is_multiple_of(2)
                .then(|| SealedSecret::from_bytes(vec![7; 102]))
        };
        self.submit(CreateUserKey {
            key,
            label: KeyLabel::Handle(format!("key-{number}").parse().expect("a handle")),
            alias: Some("The laptop in the kitchen".parse().expect("a name")),
            sealed: sealed(),
            api_key: new_key(number),
        });
        for version in 2..4 {
            self.submit(RotateApiKey {
                id,
                version,
                digest: new_key(number + 500_000_000).digest,
                sealed: sealed(),
                activation: Activation::Now { grace_seconds: 0 },
            });
            self.submit(RevealApiKey { id });
        }
        self.submit(RenameUserKey { key, alias: None });
        self.submit(SwitchApiKey { id, disabled: true });
        self.submit(SwitchApiKey {
            id,
            disabled: false,
        });
        self.submit(RestrictApiKey {
            id,
            scopes: None,
            expires_at: Some(Some(Timestamp::from_micros(4_000_000_000_000_000))),
            allowed_cidrs: None,
            rate_limit: None,
        });
        if number.is_multiple_of(4) {
            self.submit(RevokeUserKey { key });
        } else {
            let number = number + 400_000_000;
            let org = self.org;
            self.submit(CreateService {
                org,
                service: ServiceId::from_bytes(id16(5, number)),
                slug: format!("service-{number}").parse().expect("a slug"),
                name: "Builds and deploys".parse().expect("a name"),
                description: "Made by the measurement, for the measurement"
                    .parse()
                    .expect("text"),
                role: Role::Member,
                teams: Vec::new(),
                api_key: new_key(number),
            });
        }
    }
}

fn new_user(number: u64) -> NewUser {
    NewUser {
        user: UserId::from_bytes(id16(1, number)),
        email: format!("person-{number}@example.com")
            .parse()
            .expect("an address"),
        name: format!("Person {number}").parse().expect("a name"),
        password: PasswordHash::from_phc(
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2g"
                .to_owned(),
        ),
    }
}

fn by_system(committer: &Committer, authority: Authority, command: impl Into<Command>) {
    let submission = Submission {
        authority,
        request: RequestId::from_bytes([0; 16]),
        source: None,
        client: None,
        command: command.into(),
    };
    committer.submit_blocking(submission).expect("committed");
}

/// Gives how many records were acknowledged.
fn fill(committer: &Committer, records: u64) -> u64 {
    let org = OrgId::from_bytes(id16(2, 0));
    let set_up = SetUp {
        org,
        slug: "acme".parse().expect("a slug"),
        name: "Acme".parse().expect("a name"),
        owner: new_user(0),
    };
    by_system(committer, Authority::SYSTEM, set_up);
    let owner = Authority {
        actor: Actor::User(UserId::from_bytes(id16(1, 0))),
        proof: Proof::Password,
    };
    for number in 1..=WRITERS {
        let add = AddMember {
            org,
            role: Role::Manager,
            new: new_user(number),
        };
        by_system(committer, owner, add);
    }
    let by_writers: u64 = std::thread::scope(|scope| {
        let start = |number| {
            let mut writer = Writer {
                committer: committer.clone(),
                org,
                user: UserId::from_bytes(id16(1, number)),
                next: number * 1_000_000,
                written: 0,
            };
            scope.spawn(move || {
                while writer.written < records / WRITERS {
                    writer.key();
                }
                writer.written
            })
        };
        let writers: Vec<_> = (1..=WRITERS).map(start).collect();
        let written = writers
            .into_iter()
            .map(|writer| writer.join().expect("no panic"));
        written.sum()
    });
    1 + WRITERS + by_writers
}

/// What is opened, and how.
struct Measured {
    folder: PathBuf,
    segment_records: u64,
}

impl Measured {
    fn open(&self, snapshot_every: u64) -> Opened {
        let options = OpenOptions {
            snapshot_every,
            segment_records: self.segment_records,
            ..OpenOptions::new(&self.folder)
        };
        open(&options)
    }
}

fn open(options: &OpenOptions) -> Opened {
    let mut told = 0;
    Ledger::open(
        options,
        Arc::new(SystemRandom::new()),
        Arc::new(Counting(AtomicI64::new(0))),
        &mut |_| {},
        &mut |Progress {
                  done,
                  total_estimate,
              }| {
            if done >= told + total_estimate / 4 {
                told = done;
                println!("  {done} of {total_estimate}");
            }
        },
    )
    .expect("it opens")
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let records = arguments
        .next()
        .map_or(1_000_000, |n| n.parse().expect("a number"));
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = arguments
        .next()
        .map_or_else(|| temporary.path().join("data"), PathBuf::from);
    let segment_records = arguments
        .next()
        .map_or(SEGMENT_RECORDS_DEFAULT, |n| n.parse().expect("a number"));
    let measured = Measured {
        folder: folder.clone(),
        segment_records,
    };

    // A folder that was filled before is measured again.
    if !folder.exists() {
        let started = Instant::now();
        let Started {
            committer, thread, ..
        } = measured.open(0).start(Nobody).expect("started");
        let acknowledged = fill(&committer, records);
        let took = started.elapsed();
        tell_memory("after writing");
        thread.stop().expect("a clean stop");
        assert_eq!(
            measured.open(0).reader.last().get(),
            acknowledged,
            "none lost, none invented"
        );
        println!("{acknowledged} records written in {took:.1?} by {WRITERS} writers");
    }
    let snapshots = folder.join("snapshots");
    for entry in std::fs::read_dir(&snapshots).expect("a folder") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("removed");
    }

    tell_memory("before opening");
    let started = Instant::now();
    let opened = measured.open(1);
    println!(
        "full replay of {}: {:.2?}",
        opened.directory.position(),
        started.elapsed()
    );
    tell_memory("with all of it open");
    let full = opened.directory.clone();
    tell_tree(&opened);

    let started = Instant::now();
    let Started { thread, .. } = opened.start(Nobody).expect("started");
    let is_made = || {
        std::fs::read_dir(&snapshots)
            .expect("a folder")
            .any(|entry| {
                let path = entry.expect("an entry").path();
                path.extension().is_some_and(|end| end == "snapshot")
            })
    };
    while !is_made() {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "snapshot made in the background in {:.2?}",
        started.elapsed()
    );
    thread.stop().expect("a clean stop");

    let started = Instant::now();
    let opened = measured.open(0);
    println!("start from the snapshot: {:.2?}", started.elapsed());
    assert!(opened.from_snapshot().is_some(), "the snapshot was used");
    assert_eq!(opened.directory, full, "the same state");
    ask_about_the_past(&opened);
    drop((opened, full));

    let started = Instant::now();
    let verified = verify::verify(&folder, None, &mut |_| {}).expect("it is whole");
    tell_each("verified", verified.size, started.elapsed());
}

/// Says how much of the process lies in memory.
fn tell_memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let resident = status.lines().find(|line| line.starts_with("VmRSS"));
    println!("{when}: {}", resident.expect("a line"));
}

fn tell_each(what: &str, number: u64, took: Duration) {
    let each = took / u32::try_from(number).expect("fewer than four billions");
    println!("{what}: {number} in {took:.2?}, {each:.2?} each");
}

/// What the tree costs: the leaf and the root's frontier, which the committer works out for each record, and
/// the files of the tiles, which are written behind it.
fn tell_tree(opened: &Opened) {
    let last = opened.reader.last();
    let mut frontier = Frontier::new();
    let mut record = vec![0; 256];
    let started = Instant::now();
    for number in 0..last.get() {
        record[..8].copy_from_slice(&number.to_le_bytes());
        frontier.append(leaf_hash(&record));
    }
    tell_each(
        "leaves of 256 bytes, and the frontier",
        last.get(),
        started.elapsed(),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = Tree::open(folder.path()).expect("a new one");
    let started = Instant::now();
    for number in 0..last.get() {
        tree.append(leaf_hash(&number.to_le_bytes()))
            .expect("appended");
    }
    tree.sync().expect("synced");
    tell_each("tiles written and synced", last.get(), started.elapsed());
}

/// Asks at tenths of the ledger, first with the one snapshot at its end, which helps nobody, then from what is
/// at hand.
fn ask_about_the_past(opened: &Opened) {
    let past = opened.past();
    let last = past.last().get();
    for tenths in [1, 5, 9, 10] {
        let position = Position::new(last * tenths / 10);
        let mut recalled = Recalled::default();
        let started = Instant::now();
        let state = past.at(position, &mut recalled).expect("there");
        let cold = started.elapsed();
        let started = Instant::now();
        let later = Position::new((position.get() + 1_000).min(last));
        past.at(later, &mut recalled).expect("there");
        let near = started.elapsed();
        let started = Instant::now();
        past.at(position, &mut recalled).expect("there");
        let again = started.elapsed();
        println!("the past at {position}: {cold:.2?}; 1,000 later: {near:.2?}; again: {again:.2?}");
        let started = Instant::now();
        let found = past.last_at(state.at()).expect("found");
        println!(
            "    the record of that time, {found}: {:.2?}",
            started.elapsed()
        );
    }
}
