//! From a configuration to a server that answers: the order in which things are opened, and what a
//! failure on the way leaves behind.

use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyledger_api::cors::Cors;
use keyledger_api::edge::RequestIds;
use keyledger_api::gate::Gate;
use keyledger_api::oauth::metadata::resource_metadata_address;
use keyledger_api::server::{self, ServerOptions, Starting};
use keyledger_api::tls::Certificates;
use keyledger_api::{
    App, KeeperParts, Lookups, LookupsFeed, Parts, SetUpCode, Settings, Usage, UsageKeeper, indexer,
};
use keyledger_domain::Timestamp;
use keyledger_ledger::credits_store::CreditsBook;
use keyledger_ledger::index::{Follower, Index};
use keyledger_ledger::key_file::Purpose;
use keyledger_ledger::ledger::CHECKPOINT_PAUSE_DEFAULT;
use keyledger_ledger::paths::Paths;
use keyledger_ledger::{Clock as _, KeyFile, Ledger, OpenOptions, Opened, Persons, Started};
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error as ThisError;

use crate::clock::WallClock;
use crate::commands::say;
use crate::config::{Bootstrap, Config};
use crate::open_files;
use crate::outside::Outside;
use crate::progress::ProgressShown;

/// What to do about an address that is taken.
const TAKEN_REMEDY: &str =
    "Another server may be running there; stop it, or choose another address with --listen";

/// Why the server did not start.
#[derive(Debug, ThisError)]
enum BootError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}. {TAKEN_REMEDY}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system gives no randomness.
    #[error("the system's random generator failed")]
    NoRandomness,
    /// The first owner was not made.
    #[error("the first owner (KEYLEDGER_BOOTSTRAP_*) was not made: {0}")]
    Bootstrap(String),
    /// The code for the first owner cannot be written.
    #[error("the set-up code cannot be written to {}", path.display())]
    SetUpCode {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens everything, serves until the end, closes everything.
///
/// # Errors
/// Whatever kept the server from starting, or ended it.
pub(crate) fn serve(config: &Config, bootstrap: Option<Bootstrap>) -> Result<(), Box<dyn Error>> {
    // The socket comes first: a port that is taken is told before a long replay, not after it.
    let listener = TcpListener::bind(config.listen).map_err(|source| BootError::Listen {
        address: config.listen,
        source,
    })?;
    if let Some(words) = config.everybody_is_a_proxy() {
        tracing::warn!("{words}");
    }
    let tls = config.tls.clone().map(Certificates::open).transpose()?;
    let connections_max = open_files::make_room_for(config.max_connections);
    let starting = Starting::begin(listener.try_clone()?, tls.clone())?;

    let rng = SystemRandom::new();
    let clock = Arc::new(WallClock::new());
    let opened = replay(config, &rng, &clock)?;
    clock.not_before(opened.directory.at());
    let setup_code = SetUpFile::in_folder(&config.data_dir);
    let is_new = opened.directory.is_empty();

    let directory = opened.directory.clone();
    let paths = Paths::new(&config.data_dir);
    let index = Index::new(&paths, &opened.key_file, directory.position());
    let index = Arc::new(index);
    let lookups = Arc::new(Lookups::new(directory, Arc::clone(&index)));
    let (reader, key_file) = (opened.reader.clone(), Arc::clone(&opened.key_file));
    let (persons, past) = (Arc::clone(&opened.persons), opened.past());
    let Started {
        committer,
        thread: committer_thread,
        log,
        backups,
    } = opened.start(LookupsFeed(Arc::clone(&lookups)))?;

    let follower = Follower::start(index, reader.clone(), indexer(&lookups))?;
    let outside = Outside::start(config, &log)?;

    let code = match (is_new, &bootstrap) {
        (true, None) => setup_code.wait(&rng, &config.issuer)?,
        (true, Some(_)) | (false, _) => setup_code.take_away(),
    };
    let (credits, credits_thread) = CreditsBook::open(&paths, &key_file)?;
    let usage = Arc::new(open_usage(
        &config.data_dir,
        &key_file,
        &persons,
        clock.now(),
    ));
    let usage_keeper = UsageKeeper::start(KeeperParts {
        usage: Arc::clone(&usage),
        lookups: Arc::clone(&lookups),
        committer: committer.clone(),
        network_key: key_file.sub_key(Purpose::NetworkTag),
        clock: Arc::<WallClock>::clone(&clock),
        rng: rng.clone(),
    })?;
    let app = App::new(Parts {
        committer: committer.clone(),
        lookups,
        reader,
        past,
        log,
        backups,
        key_file,
        clock,
        rng: rng.clone(),
        setup_code: code,
        usage,
        credits,
        settings: Settings {
            issuer: config.issuer.clone(),
            password_places: config.password_places,
            is_on_loopback: config.listen.ip().is_loopback(),
            throttles: config.throttles,
            session_idle_seconds: config.session_idle_seconds,
        },
    })
    .map_err(|problem| BootError::Bootstrap(problem.detail().to_owned()))?;
    if let Some(bootstrap) = bootstrap.filter(|_| is_new) {
        server::bootstrap(&app, bootstrap.email, &bootstrap.password, bootstrap.org)
            .map_err(|problem| BootError::Bootstrap(problem.detail().to_owned()))?;
    }

    starting.end()?;
    tracing::info!(listen = %config.listen, issuer = config.issuer, "ready");
    let options = ServerOptions {
        listener,
        tls,
        workers: config.workers,
        connections_max,
        gate: Gate {
            cors: Cors::new(config.cors_origins.clone()),
            trusted_proxies: config.proxies(),
            is_by_tls: config.issuer.starts_with("https://"),
            resource_metadata: Some(resource_metadata_address(&config.issuer)),
        },
        shutdown_seconds: config.shutdown_seconds,
    };
    let ids = RequestIds::new(draw(&rng)?);
    server::run(options, app, ids, committer)?;
    usage_keeper.stop();
    // It reads records, and must have let go of them before the ledger is closed.
    follower.stop();
    credits_thread.stop();
    // Whatever was answered is durable already; this writes the clean head, so that the next start
    // need not copy the store before it opens it. It fails if the committer had ended by itself.
    committer_thread.stop()?;
    // Only now the last checkpoint is there.
    outside.stop();
    Ok(())
}

/// Opens the counters. They are no reason not to start: without a place for them, what keys do is
/// counted in memory until the next start.
fn open_usage(
    data_dir: &Path,
    key_file: &KeyFile,
    persons: &Arc<Persons>,
    now: Timestamp,
) -> Usage {
    let opened = Usage::open(&Paths::new(data_dir), key_file, persons, now);
    opened.unwrap_or_else(|error| {
        tracing::error!(%error, "usage is counted in memory only until the next start");
        Usage::in_memory(now)
    })
}

fn replay(
    config: &Config,
    rng: &SystemRandom,
    clock: &Arc<WallClock>,
) -> Result<Opened, Box<dyn Error>> {
    let options = OpenOptions {
        folder: config.data_dir.clone(),
        reserve_bytes: config.reserve_bytes,
        copy_aside: config.copy_aside,
        snapshot_every: config.snapshot_every,
        segment_records: config.segment_records,
        checkpoint_pause: CHECKPOINT_PAUSE_DEFAULT,
        origin: origin_of(&config.issuer),
    };
    let mut shown = ProgressShown::begin("Replaying the ledger");
    let opened = Ledger::open(
        &options,
        Arc::new(rng.clone()),
        Arc::<WallClock>::clone(clock),
        &mut |_| (),
        &mut |progress| shown.show(progress),
    )?;
    let took = shown.end();
    let records = opened.directory.position().get();
    tracing::info!(records, took_ms = took.as_millis(), "ledger replayed");
    Ok(opened)
}

/// The name of the log: the address of its tiles without the scheme (C2SP tlog-checkpoint).
pub(crate) fn origin_of(issuer: &str) -> String {
    let address = issuer
        .split_once("://")
        .map_or(issuer, |(_, address)| address);
    format!("{}/v1/log", address.trim_end_matches('/'))
}

fn draw<const N: usize>(rng: &SystemRandom) -> Result<[u8; N], BootError> {
    let mut bytes = [0; N];
    rng.fill(&mut bytes).map_err(|_| BootError::NoRandomness)?;
    Ok(bytes)
}

/// The file beside the key file that holds the one-time code, for whoever may read the keys anyway.
struct SetUpFile(PathBuf);

impl SetUpFile {
    fn in_folder(data_dir: &Path) -> Self {
        Self(Paths::new(data_dir).setup_code())
    }

    /// Draws a new code, writes it for its owner to read, and prints the one-time link.
    fn wait(self, rng: &SystemRandom, issuer: &str) -> Result<SetUpCode, Box<dyn Error>> {
        let code = URL_SAFE_NO_PAD.encode(draw::<24>(rng)?);
        write_private(&self.0, &code).map_err(|source| BootError::SetUpCode {
            path: self.0.clone(),
            source,
        })?;
        // Not a log line: it would be kept and shipped, and the code is a secret until it is used.
        say(format_args!(
            "This server has no owner yet. Make the first one here, once:\n\n    {issuer}/setup?code={code}\n"
        ))?;
        Ok(SetUpCode::waiting(code, move || remove(&self.0)))
    }

    /// There is an owner; a code that was left behind by a crash goes.
    fn take_away(self) -> SetUpCode {
        remove(&self.0);
        SetUpCode::used()
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "the used set-up code could not be removed");
    }
}
