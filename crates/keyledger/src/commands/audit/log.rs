//! Where the commands that read the log find it: in a folder that no server has, or at a server.

mod folder;
mod server;

use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use keyledger_ledger::Progress;
use thiserror::Error as ThisError;

use self::folder::FolderLog;
pub(super) use self::server::ServerLog;
use super::entry::Entry;
use crate::config::{LogVariables, data_dir_or_default};
use crate::remote::{Key, KeyError, Remote};

/// Where the log is.
#[derive(Args)]
pub(crate) struct Place {
    /// A data folder that no server has.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "url",
        help = "A data folder that no server has [env: KEYLEDGER_DATA_DIR] [default: data/ledger]"
    )]
    data_dir: Option<PathBuf>,
    /// A server to ask.
    #[arg(
        long,
        value_name = "URL",
        help = "A server to ask, with the key in KEYLEDGER_API_KEY or --key-file [env: KEYLEDGER_URL]"
    )]
    url: Option<String>,
    /// A file that holds the key, readable by you alone.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// CA certificates (PEM) to trust in place of this machine's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Where it turned out to be.
pub(crate) enum Found {
    /// A folder, of this machine.
    Folder(PathBuf),
    /// A server that answers.
    Server(Box<Remote>),
}

/// Which events: those for which all that is said here holds.
#[derive(Args, Clone, Default)]
pub(crate) struct Which {
    /// Who did it: as an event tells it, a member's address or slug, or a service's slug.
    #[arg(long)]
    actor: Option<String>,
    /// What it is about, as an event tells it.
    #[arg(long)]
    target: Option<String>,
    /// The public id of the credential that was shown.
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// The type of the event, or the beginning of several.
    #[arg(
        long,
        help = "The type of the event, such as ServiceCreated, or of several: 'Service*'"
    )]
    r#type: Option<String>,
    /// The address that it came from, or a network.
    #[arg(
        long,
        value_name = "ADDRESS",
        help = "The address that it came from, or a network, such as 203.0.113.0/24"
    )]
    source: Option<String>,
    /// The slug of one organization.
    #[arg(long)]
    organization: Option<String>,
}

/// From when on, and until when.
#[derive(Args, Clone, Default)]
pub(crate) struct When {
    /// Not before this instant (RFC 3339).
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    /// Before this instant.
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
    /// Before this position.
    #[arg(long, value_name = "POSITION")]
    before: Option<String>,
}

/// All that is asked of a log, by the names that `GET /v1/events` has for it.
#[derive(Clone, Default)]
pub(super) struct Query {
    pub(super) which: Which,
    pub(super) when: When,
}

impl Query {
    /// What was asked for, each with its name.
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let (which, when) = (&self.which, &self.when);
        [
            ("actor", &which.actor),
            ("target", &which.target),
            ("credential", &which.credential),
            ("type", &which.r#type),
            ("source", &which.source),
            ("organization", &which.organization),
            ("since", &when.since),
            ("until", &when.until),
            ("before", &when.before),
        ]
        .into_iter()
        .filter_map(|(name, asked)| Some((name, asked.as_deref()?)))
    }
}

/// What a command does with each event; it may have seen enough.
pub(super) type Take<'t> = dyn FnMut(Entry) -> Result<ControlFlow<()>, Box<dyn Error>> + 't;

/// Why it is not clear what is to be read.
#[derive(Debug, ThisError)]
pub(crate) enum UnclearPlace {
    /// The environment names two.
    #[error("KEYLEDGER_URL and KEYLEDGER_DATA_DIR are both set; say --url or --data-dir")]
    Both,
    /// There is no server to show it to.
    #[error("--key-file and --ca-file go with --url")]
    NoServer,
}

/// There is no such event, or none that may be read.
#[derive(Debug, ThisError)]
#[error("there is no event at position {0}")]
pub(super) struct NoSuchEvent(pub(super) u64);

/// A log that is open.
pub(super) enum Log {
    Folder(Box<FolderLog>),
    Server(ServerLog),
}

impl Place {
    /// Opens the log, lets it be read, and closes it whatever came of it: a folder is left as it was
    /// found, also when whoever reads has seen enough.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Log) -> Result<T, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        let log = self.open()?;
        let outcome = read(&log);
        let closed = match log {
            Log::Folder(folder) => folder.close(),
            Log::Server(_) => Ok(()),
        };
        let outcome = outcome?;
        closed?;
        Ok(outcome)
    }

    fn open(&self) -> Result<Log, Box<dyn Error>> {
        Ok(match self.find()? {
            Found::Folder(folder) => Log::Folder(Box::new(FolderLog::open(&folder)?)),
            Found::Server(remote) => Log::Server(ServerLog::of(*remote)),
        })
    }

    /// Where it is, by the command line and the environment.
    pub(crate) fn find(&self) -> Result<Found, Box<dyn Error>> {
        let set = LogVariables::read();
        let Some(url) = self.server(&set)? else {
            if self.key_file.is_some() || self.ca_file.is_some() {
                return Err(UnclearPlace::NoServer.into());
            }
            let given = self.data_dir.as_deref().or(set.data_dir.as_deref());
            return Ok(Found::Folder(data_dir_or_default(given)));
        };
        let key = match &self.key_file {
            Some(path) => Key::read(path),
            None => set.api_key.ok_or(KeyError::Missing).and_then(Key::given),
        };
        let remote = Remote::at(&url, self.ca_file.as_deref(), key?)?;
        Ok(Found::Server(Box::new(remote)))
    }

    /// What was said on the command line comes before what the environment says.
    fn server(&self, set: &LogVariables) -> Result<Option<String>, UnclearPlace> {
        if self.url.is_some() || self.data_dir.is_some() {
            return Ok(self.url.clone());
        }
        if set.url.is_some() && set.data_dir.is_some() {
            return Err(UnclearPlace::Both);
        }
        Ok(set.url.clone())
    }
}

impl Log {
    /// Reads the events behind a position, the newest last, until there are no more or enough were
    /// taken; the position behind which there may be more later.
    pub(super) fn read(
        &self,
        query: &Query,
        after: u64,
        at_once: usize,
        progress: &mut dyn FnMut(Progress),
        take: &mut Take<'_>,
    ) -> Result<u64, Box<dyn Error>> {
        match self {
            Self::Folder(folder) => {
                folder.read(query, after, progress, take)?;
                Ok(folder.last())
            }
            Self::Server(server) => server.read(query, after, at_once, progress, take),
        }
    }

    /// The event at a position.
    pub(super) fn one(&self, position: u64) -> Result<Entry, Box<dyn Error>> {
        match self {
            Self::Folder(folder) => folder.one(position),
            Self::Server(server) => server.one(position),
        }
    }

    /// The position of the last event of all.
    pub(super) fn last(&self) -> Result<u64, Box<dyn Error>> {
        match self {
            Self::Folder(folder) => Ok(folder.last()),
            Self::Server(server) => server.last(),
        }
    }
}
