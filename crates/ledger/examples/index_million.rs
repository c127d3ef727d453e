//! Fills the index with the terms of a million records of the usual mix, through the thread that writes it,
//! and measures what a record costs whoever appends it and whoever writes the index, how large it is, and how
//! long a thousand searches with two or three filters take. The records themselves are not made: a search is
//! measured up to the positions that it finds.
//!
//! ```text
//! cargo run --release -p keyledger-ledger --example index_million [records] [folder]
//! ```

#![expect(clippy::print_stdout, reason = "it is there to print")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use keyledger_domain::id::{KeyId, OrgId, RequestId, SessionId, UserId};
use keyledger_domain::session::SessionEnded;
use keyledger_domain::{Actor, CredentialId, Event, Origin, Position, Record, Target, Timestamp};
use keyledger_ledger::index::{Follower, Index, Order, Term};
use keyledger_ledger::paths::Paths;
use keyledger_ledger::{Clock, Ledger, OpenOptions};
use ring::rand::SystemRandom;

/// How many organizations, people of theirs, keys and addresses there are.
const ORGS: u64 = 50;
const PEOPLE: u64 = 2_000;
const KEYS: u64 = 100_000;
const ADDRESSES: u64 = 5_000;
/// How many are added before the thread is waited for: fewer than it keeps in memory.
const ADDED_AT_ONCE: u64 = 32_768;
const SEARCHES: u64 = 1_000;
/// How many positions a page asks for at once.
const PAGE_POSITIONS: usize = 256;

/// A clock of a microsecond a look.
struct Counting(AtomicI64);

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_800_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

fn id16(kind: u8, number: u64) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// A number below `below` that looks drawn, the same in each run.
fn drawn(seed: u64, salt: u8, below: u64) -> u64 {
    let hash = blake3::hash(&id16(salt, seed));
    let bytes = hash.as_bytes().first_chunk().expect("32 bytes");
    u64::from_le_bytes(*bytes) % below
}

/// Drawn so that low numbers come much oftener, as busy people and keys do.
fn often(seed: u64, salt: u8, below: u64) -> u64 {
    drawn(seed, salt, drawn(seed, salt + 1, below) + 1)
}

/// What a record is under.
struct Mix {
    org: OrgId,
    actor: Actor,
    credential: CredentialId,
    target: Target,
    name: &'static str,
    source: IpAddr,
}

impl Mix {
    fn of(number: u64) -> Self {
        let person = often(number, 1, PEOPLE);
        let key = often(number, 3, KEYS);
        let names = Event::NAMES.len() as u64;
        let name = usize::try_from(often(number, 5, names)).expect("small");
        let address = u32::try_from(often(number, 7, ADDRESSES)).expect("small");
        Self {
            org: OrgId::from_bytes(id16(2, person % ORGS)),
            actor: Actor::User(UserId::from_bytes(id16(1, person))),
            credential: format!("{person:09}").parse().expect("nine digits"),
            target: Target::Key(KeyId::from_bytes(id16(4, key))),
            name: Event::NAMES[name],
            source: Ipv4Addr::from_bits(0xc000_0200 + address).into(),
        }
    }

    fn terms(&self, index: &Index) -> Vec<Term> {
        vec![
            Term::organization(self.org),
            Term::actor(self.actor),
            Term::credential(self.credential),
            Term::target(&self.target.to_string()),
            Term::event_type(self.name),
            index.source(self.source),
        ]
    }

    /// The organization, as every search has it, and two or three filters.
    fn search(&self, number: u64, index: &Index) -> Vec<Vec<Term>> {
        let of_type = || vec![Term::event_type(self.name)];
        // What `ApiKey*` and the like stand for.
        let of_types = || {
            let begin = &self.name[..3];
            let names = Event::NAMES.iter().filter(|name| name.starts_with(begin));
            names.map(|name| Term::event_type(name)).collect()
        };
        let actor = || vec![Term::actor(self.actor)];
        let source = || vec![index.source(self.source)];
        let mut groups = vec![vec![Term::organization(self.org)]];
        groups.extend(match number % 5 {
            0 => vec![actor(), of_type()],
            1 => vec![vec![Term::target(&self.target.to_string())], of_types()],
            2 => vec![vec![Term::credential(self.credential)], source()],
            3 => vec![actor(), source(), of_types()],
            _ => vec![source(), of_type()],
        });
        groups
    }
}

/// A record for its position; what it tells is in its terms.
fn record(number: u64) -> Record {
    let request = RequestId::from_bytes(id16(9, number));
    Record {
        position: Position::new(number),
        at: Timestamp::default(),
        clock_behind_micros: 0,
        origin: Origin::system(request),
        organizations: Vec::new(),
        event: Event::SessionEnded(SessionEnded {
            session: SessionId::from_bytes(id16(7, number)),
            user: UserId::from_bytes(id16(1, number)),
        }),
    }
}

/// Adds the records; gives how long the adding alone took.
fn fill(index: &Index, records: u64) -> Duration {
    let mut adding = Duration::ZERO;
    let mut number = 0;
    while number < records {
        let to = records.min(number + ADDED_AT_ONCE);
        let drawn: Vec<_> = (number + 1..=to).map(|n| (record(n), Mix::of(n))).collect();
        let started = Instant::now();
        for (record, mix) in &drawn {
            index.add(record, mix.terms(index));
        }
        adding += started.elapsed();
        number = to;
        wait(index, number);
    }
    adding
}

fn wait(index: &Index, number: u64) {
    while index.position().get() < number {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn search(index: &Index, records: u64, order: Order) {
    let all = (Position::new(1), Position::new(records));
    let mut took = Vec::new();
    let mut found = 0;
    for number in 0..SEARCHES {
        let mix = Mix::of(1 + drawn(number, 90, records));
        let groups = mix.search(number, index);
        let started = Instant::now();
        let positions = index.find(&groups, all, order, PAGE_POSITIONS);
        took.push(started.elapsed());
        let positions = positions.expect("found");
        assert!(!positions.is_empty(), "the record that it was made after");
        found += positions.len();
    }
    took.sort_unstable();
    let at = |thousandths: usize| took[(took.len() - 1) * thousandths / 1_000];
    println!(
        "{SEARCHES} searches, {order:?}: p50 {:.2?}, p99 {:.2?}, longest {:.2?}; {} positions each",
        at(500),
        at(990),
        at(1_000),
        found / took.len()
    );
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let bytes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            bytes_below(&entry.path())
        } else {
            entry.metadata().expect("a length").len()
        }
    });
    bytes.sum()
}

/// What the process holds in memory, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("a line").parse::<u64>().expect("a number") / 1_024
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
    let opened = Ledger::open(
        &OpenOptions::new(&folder),
        Arc::new(SystemRandom::new()),
        Arc::new(Counting(AtomicI64::new(0))),
        &mut |_| {},
        &mut |_| {},
    )
    .expect("it opens");
    assert_eq!(opened.reader.last(), Position::ZERO, "a new folder");
    let paths = Paths::new(&folder);
    let follow = || {
        let index = Arc::new(Index::new(&paths, &opened.key_file, Position::ZERO));
        let none = Box::new(|_: &Record| Vec::new());
        let follower = Follower::start(Arc::clone(&index), opened.reader.clone(), none);
        (index, follower.expect("a thread"))
    };
    // A new index is begun from the disk, where these records are not; one that is there is gone on with.
    follow().1.stop();
    let (index, follower) = follow();

    let before = resident_mib();
    let started = Instant::now();
    let adding = fill(&index, records);
    println!(
        "{records} records: {} ns each for whoever appends; all written after {:.1?}",
        adding.as_nanos() / u128::from(records),
        started.elapsed()
    );
    search(&index, records, Order::Rising);
    search(&index, records, Order::Falling);
    println!(
        "resident: {before} MiB before, {} MiB after",
        resident_mib()
    );
    follower.stop();
    let bytes = bytes_below(&paths.index());
    println!("on disk: {} bytes a record", bytes / records);
    opened.close().expect("a clean stop");
}
