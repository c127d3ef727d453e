//! Issues a million access tokens that end after two seconds, through the real committer into a temporary
//! folder, by a clock that goes on by itself; and prints what memory and state hold meanwhile, and after a
//! snapshot. What ended must be gone: the state is as large with the last token as with the first hundred
//! thousand. (sled itself keeps some 38 bytes a record that is not yet sealed in a segment, and up to 64 MiB of its
//! pages, which a snapshot reads.)
//!
//! ```text
//! cargo run --release -p keyledger-ledger --example tokens_million [tokens] [folder]
//! ```

#![expect(clippy::print_stdout, reason = "it is there to print")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use keyledger_domain::access_token::{IssueClientToken, NewAccessToken};
use keyledger_domain::client::{
    AccessTokenFormat, ClientSettings, ClientType, GrantType, NewClientSecret, PkcePolicy,
    RefreshPolicy, RefreshRotation, RegisterClient,
};
use keyledger_domain::id::{ClientId, OrgId, RequestId, UserId};
use keyledger_domain::org::SetUp;
use keyledger_domain::signing::SigningAlgorithm;
use keyledger_domain::user::NewUser;
use keyledger_domain::{
    Actor, Authority, Command, CredentialId, Digest, Directory, Environment, PasswordHash, Proof,
    Record, Scopes, Timestamp,
};
use keyledger_ledger::{
    Clock, Committer, Ledger, OpenOptions, Opened, Projection, Started, Submission,
};
use ring::rand::SystemRandom;

/// How many ask at once: as many commands as this make a batch.
const CLIENTS: u64 = 64;
/// How long a token is good.
const LIFE_SECONDS: u32 = 2;
/// How far the clock goes on with each look at it: some 20,000 tokens a second.
const STEP_MICROS: u32 = 50;
/// The most that may be in the state: all that are good, and as many again for what the clock is looked at
/// besides.
const HELD_MAX: usize = 2 * (LIFE_SECONDS * 1_000_000 / STEP_MICROS) as usize;

/// A clock that goes on whenever somebody looks.
struct Stepping(AtomicI64);

impl Clock for Stepping {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(STEP_MICROS.into(), Ordering::Relaxed))
    }
}

/// The state that look-ups are answered from.
struct Behind {
    directory: Directory,
    held: Arc<AtomicUsize>,
}

impl Projection for Behind {
    fn apply(&mut self, records: &[Arc<Record>]) {
        for record in records {
            self.directory.apply(record);
        }
        let held = self.directory.expiring_count();
        assert_eq!(
            held,
            self.directory.api_key_count(),
            "only tokens are issued"
        );
        self.held.store(held, Ordering::Relaxed);
    }
}

fn credential(number: u64) -> CredentialId {
    format!("{number:09}").parse().expect("nine digits")
}

fn digest(number: u64) -> Digest {
    Digest {
        pepper_version: 1,
        tag: *blake3::hash(&number.to_le_bytes()).as_bytes(),
    }
}

fn scopes() -> Scopes {
    ["files:read".parse().expect("a scope")]
        .into_iter()
        .collect()
}

fn submit(committer: &Committer, authority: Authority, command: impl Into<Command>) {
    let submission = Submission {
        authority,
        request: RequestId::from_bytes([0; 16]),
        source: None,
        client: None,
        command: command.into(),
    };
    committer.submit_blocking(submission).expect("committed");
}

fn client() -> ClientId {
    ClientId::from_bytes([3; 16])
}

fn set_up(committer: &Committer) {
    let (org, user) = (OrgId::from_bytes([2; 16]), UserId::from_bytes([1; 16]));
    let set_up = SetUp {
        org,
        slug: "acme".parse().expect("a slug"),
        name: "Acme".parse().expect("a name"),
        owner: NewUser {
            user,
            email: "person@example.com".parse().expect("an address"),
            name: "Person".parse().expect("a name"),
            password: PasswordHash::from_phc(
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$aGFzaGhhc2g".to_owned(),
            ),
        },
    };
    submit(committer, Authority::SYSTEM, set_up);
    let owner = Authority {
        actor: Actor::User(user),
        proof: Proof::Password,
    };
    let register = RegisterClient {
        org,
        client: client(),
        client_type: ClientType::Confidential,
        environment: Environment::Live,
        secret: Some(NewClientSecret {
            id: credential(0),
            digest: digest(0),
        }),
        settings: ClientSettings {
            name: "Worker".parse().expect("a name"),
            grant_types: [GrantType::ClientCredentials].into(),
            redirect_uris: Vec::new(),
            scopes: scopes(),
            resources: Vec::new(),
            pkce: PkcePolicy::Required,
            refresh_tokens: RefreshPolicy::Never,
            refresh_rotation: RefreshRotation::Rotate,
            access_token_format: AccessTokenFormat::Opaque,
            signing_algorithm: SigningAlgorithm::Es256,
            access_token_seconds: LIFE_SECONDS,
            refresh_idle_seconds: 1,
            refresh_seconds: 1,
        },
    };
    submit(committer, owner, register);
}

/// Issues tokens by as many threads as there are clients, up to this one.
fn issue(committer: &Committer, clock: &Stepping, next: &AtomicU64, last: u64) {
    let authority = Authority {
        actor: Actor::Client(client()),
        proof: Proof::Client {
            secret: Some(credential(0)),
        },
    };
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > last {
                        return;
                    }
                    let access_token = NewAccessToken {
                        id: credential(number),
                        digest: digest(number),
                        scopes: scopes(),
                        audience: Vec::new(),
                        expires_at: clock.now().plus_seconds(LIFE_SECONDS.into()),
                    };
                    submit(committer, authority, IssueClientToken { access_token });
                }
            });
        }
    });
}

fn open(folder: &Path, clock: &Arc<Stepping>, snapshot_every: u64) -> Opened {
    let options = OpenOptions {
        snapshot_every,
        ..OpenOptions::new(folder)
    };
    Ledger::open(
        &options,
        Arc::new(SystemRandom::new()),
        clock.clone(),
        &mut |_| {},
        &mut |_| {},
    )
    .expect("it opens")
}

/// What of this process is in memory, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok())
        .map_or(0, |kib: u64| kib / 1024)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let tokens: u64 = arguments
        .next()
        .map_or(1_000_000, |n| n.parse().expect("a number"));
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = arguments
        .next()
        .map_or_else(|| temporary.path().join("data"), PathBuf::from);
    let clock = Arc::new(Stepping(AtomicI64::new(1_800_000_000_000_000)));
    let held = Arc::new(AtomicUsize::new(0));

    let opened = open(&folder, &clock, 0);
    let behind = Behind {
        directory: opened.directory.clone(),
        held: held.clone(),
    };
    let Started {
        committer, thread, ..
    } = opened.start(behind).expect("started");
    set_up(&committer);
    println!("at the start: {} MiB", resident());
    let next = AtomicU64::new(1);
    for tenth in 1..=10 {
        let last = tokens * tenth / 10;
        next.store(tokens * (tenth - 1) / 10 + 1, Ordering::Relaxed);
        issue(&committer, &clock, &next, last);
        let held = held.load(Ordering::Relaxed);
        println!("{last} issued: {held} in the state, {} MiB", resident());
        assert!(held <= HELD_MAX, "what ended is still there");
    }
    thread.stop().expect("a clean stop");
    drop(committer);

    let snapshots = folder.join("snapshots");
    let opened = open(&folder, &clock, 1);
    println!(
        "replayed: {} in the state, {} MiB",
        opened.directory.expiring_count(),
        resident()
    );
    let Started { thread, .. } = opened
        .start(Behind {
            directory: Directory::default(),
            held,
        })
        .expect("started");
    let is_made = || {
        let entries = std::fs::read_dir(&snapshots).expect("a folder");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        paths.any(|path| path.extension().is_some_and(|end| end == "snapshot"))
    };
    while !is_made() {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("a snapshot made: {} MiB", resident());
    thread.stop().expect("a clean stop");
}
