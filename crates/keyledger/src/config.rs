//! Configuration: a flag, else the environment, else `keyledger.toml`, else the default. Read once,
//! here, and nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use keyledger_api::ThrottleSettings;
use keyledger_api::cors::{NotAnOrigin, WebOrigin};
use keyledger_api::proxies::TrustedProxies;
use keyledger_api::tls::TlsFiles;
use keyledger_ledger::ledger::SNAPSHOT_EVERY_DEFAULT;
use keyledger_ledger::opening::RESERVE_BYTES_DEFAULT;
use keyledger_ledger::segments::SEGMENT_RECORDS_DEFAULT;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::witness::WitnessSetting;

/// Where the server listens, where nothing else is said.
const LISTEN: &str = "127.0.0.1:8080";
/// Where the data is, where nothing else is said.
const DATA_DIR: &str = "data/ledger";
/// The configuration file that is read where none is named.
const CONFIG_FILE: &str = "keyledger.toml";
/// How long running requests may take to finish at the end.
const SHUTDOWN_SECONDS: u64 = 10;
/// How much guessing is borne, where nothing else is said.
const THROTTLES: ThrottleSettings = ThrottleSettings::DEFAULT;
/// How long a session may be left alone, where nothing else is said: as long as it lasts at the most.
const SESSION_IDLE_SECONDS: u32 = 43_200;

/// How many connections may be open at once, where nothing else is said and the system allows it.
const MAX_CONNECTIONS: usize = 20_000;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The flags of `serve`; each is an environment variable and a line of `keyledger.toml` too.
#[derive(Args, Default)]
pub(crate) struct ServeFlags {
    /// The configuration file; `keyledger.toml` in the working folder is read if it is there.
    #[arg(long, env = "KEYLEDGER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on [default: 127.0.0.1:8080].
    #[arg(long, env = "KEYLEDGER_LISTEN", value_name = "ADDRESS:PORT", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// The data folder [default: data/ledger].
    #[arg(long, env = "KEYLEDGER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address that clients know this server by [default: http:// and the listening address].
    #[arg(long, env = "KEYLEDGER_ISSUER", value_name = "URL")]
    issuer: Option<String>,
    /// A proxy in front of this server speaks TLS; only then may it listen beyond loopback.
    #[arg(long, env = "KEYLEDGER_TLS_TERMINATED_BY_PROXY", num_args = 0..=1, default_missing_value = "true")]
    tls_terminated_by_proxy: Option<bool>,
    /// The certificate to speak TLS with, and behind it those that lead to a root; PEM. Read again
    /// when it changes.
    #[arg(
        long,
        env = "KEYLEDGER_TLS_CERTIFICATE",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key; PEM.
    #[arg(
        long,
        env = "KEYLEDGER_TLS_KEY",
        value_name = "FILE",
        requires = "tls_certificate"
    )]
    tls_key: Option<PathBuf>,
    /// The networks of the proxies whose Forwarded or X-Forwarded-For is believed [default: none].
    #[arg(
        long,
        env = "KEYLEDGER_TRUSTED_PROXIES",
        value_name = "NETWORK,…",
        value_delimiter = ','
    )]
    trusted_proxies: Option<Vec<String>>,
    /// The origins whose pages may ask the API from a browser [default: none].
    #[arg(
        long,
        env = "KEYLEDGER_CORS_ORIGINS",
        value_name = "ORIGIN,…",
        value_delimiter = ','
    )]
    cors_origins: Option<Vec<String>>,
    /// How many connections may be open at once [default: 20000, or what the system allows].
    #[arg(long, env = "KEYLEDGER_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,
    /// The number of HTTP workers [default: one a core].
    #[arg(long, env = "KEYLEDGER_WORKERS", value_name = "N")]
    workers: Option<usize>,
    /// How many passwords are checked at once; each hashes in 19 MiB [default: one a core].
    #[arg(long, env = "KEYLEDGER_PASSWORD_PLACES", value_name = "N")]
    password_places: Option<usize>,
    /// How many wrong passwords an account takes before it has to wait 1 second, then 2, 4 and so on [default: 5].
    #[arg(long, env = "KEYLEDGER_LOGIN_FAILURES_FREE", value_name = "N")]
    login_failures_free: Option<NonZeroU32>,
    /// How many wrong passwords an address may send before it has to wait [default: 20].
    #[arg(long, env = "KEYLEDGER_LOGIN_SOURCE_FAILURES_FREE", value_name = "N")]
    login_source_failures_free: Option<NonZeroU32>,
    /// The longest wait after a wrong password [default: 900].
    #[arg(
        long,
        env = "KEYLEDGER_LOGIN_DELAY_SECONDS_MAX",
        value_name = "SECONDS"
    )]
    login_delay_seconds_max: Option<NonZeroU32>,
    /// How many wrong passwords an hour may come from an IPv4 /24 or IPv6 /48 [default: 200].
    #[arg(
        long,
        env = "KEYLEDGER_LOGIN_NETWORK_FAILURES_PER_HOUR",
        value_name = "N"
    )]
    login_network_failures_per_hour: Option<NonZeroU32>,
    /// How many wrong passwords an hour may come from all over; addresses at which an account was right before are let in even then [default: 2000].
    #[arg(long, env = "KEYLEDGER_LOGIN_FAILURES_PER_HOUR", value_name = "N")]
    login_failures_per_hour: Option<NonZeroU32>,
    /// How many wrong keys an address may show at once, and may be shown of one key [default: 60].
    #[arg(long, env = "KEYLEDGER_WRONG_KEYS_BURST", value_name = "N")]
    wrong_keys_burst: Option<NonZeroU32>,
    /// How many wrong keys a second go on for ever [default: 1].
    #[arg(long, env = "KEYLEDGER_WRONG_KEYS_PER_SECOND", value_name = "N")]
    wrong_keys_per_second: Option<NonZeroU32>,
    /// How long a browser session may be left alone before it ends [default: 43200, its longest life].
    #[arg(long, env = "KEYLEDGER_SESSION_IDLE_SECONDS", value_name = "SECONDS")]
    session_idle_seconds: Option<NonZeroU32>,
    /// The room on the disk, in bytes, below which changes are refused [default: 256 MiB].
    #[arg(long, env = "KEYLEDGER_RESERVE_BYTES", value_name = "BYTES")]
    reserve_bytes: Option<u64>,
    /// After a crash, copy the store before it is opened, so that damage stays as it was found
    /// [default: true]. The copy needs as much room as the store.
    #[arg(long, env = "KEYLEDGER_COPY_ASIDE", value_name = "BOOL")]
    copy_aside: Option<bool>,
    /// Make a snapshot after this many records, 0 for never [default: 500000]. It saves time at
    /// start; once segments were archived, a start needs one.
    #[arg(long, env = "KEYLEDGER_SNAPSHOT_EVERY", value_name = "RECORDS")]
    snapshot_every: Option<u64>,
    /// Seal the ledger in files of this many records [default: 65536]. Each is verifiable by itself, and
    /// can be moved away.
    #[arg(long, env = "KEYLEDGER_SEGMENT_RECORDS", value_name = "RECORDS")]
    segment_records: Option<NonZeroU64>,
    /// The witnesses that are to cosign each checkpoint: the address, a plus sign, and the key that the
    /// witness gives out [default: none].
    #[arg(
        long,
        env = "KEYLEDGER_WITNESSES",
        value_name = "URL+KEY,…",
        value_delimiter = ','
    )]
    witnesses: Option<Vec<String>>,
    /// A file, on another mount for example, that is replaced by each new checkpoint.
    #[arg(long, env = "KEYLEDGER_CHECKPOINT_FILE", value_name = "FILE")]
    checkpoint_file: Option<PathBuf>,
    /// An address that each new checkpoint is posted to, as text.
    #[arg(
        long,
        env = "KEYLEDGER_CHECKPOINT_WEBHOOK",
        value_name = "URL",
        hide_env_values = true
    )]
    checkpoint_webhook: Option<String>,
    /// How long running requests may take to finish when the server stops [default: 10].
    #[arg(long, env = "KEYLEDGER_SHUTDOWN_SECONDS", value_name = "SECONDS")]
    shutdown_seconds: Option<u64>,
    /// How log lines are written [default: pretty on a terminal, json otherwise].
    #[arg(long, env = "KEYLEDGER_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Which log lines are written, such as `info` or `keyledger_api=debug` [default: info].
    #[arg(long, env = "KEYLEDGER_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// `keyledger.toml`: the same names as the flags, with underscores. Unknown names are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "a field is named as its flag is, and one of them takes a file"
)]
struct File {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    issuer: Option<String>,
    tls_terminated_by_proxy: Option<bool>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    trusted_proxies: Option<Vec<String>>,
    cors_origins: Option<Vec<String>>,
    max_connections: Option<usize>,
    workers: Option<usize>,
    password_places: Option<usize>,
    login_failures_free: Option<NonZeroU32>,
    login_source_failures_free: Option<NonZeroU32>,
    login_delay_seconds_max: Option<NonZeroU32>,
    login_network_failures_per_hour: Option<NonZeroU32>,
    login_failures_per_hour: Option<NonZeroU32>,
    wrong_keys_burst: Option<NonZeroU32>,
    wrong_keys_per_second: Option<NonZeroU32>,
    session_idle_seconds: Option<NonZeroU32>,
    reserve_bytes: Option<u64>,
    copy_aside: Option<bool>,
    snapshot_every: Option<u64>,
    segment_records: Option<NonZeroU64>,
    witnesses: Option<Vec<String>>,
    checkpoint_file: Option<PathBuf>,
    checkpoint_webhook: Option<String>,
    shutdown_seconds: Option<u64>,
    log_format: Option<LogFormat>,
    log: Option<String>,
}

/// What holds for this run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// The data folder.
    pub(crate) data_dir: PathBuf,
    /// The address that clients know this server by, without a slash at its end.
    pub(crate) issuer: String,
    /// The files to speak TLS with, if this server speaks it itself.
    pub(crate) tls: Option<TlsFiles>,
    /// The networks of the proxies whose word for a client's address is taken.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The origins whose pages may ask the API.
    pub(crate) cors_origins: Vec<WebOrigin>,
    /// How many connections may be open at once.
    pub(crate) max_connections: usize,
    /// The number of HTTP workers.
    pub(crate) workers: usize,
    /// How many passwords are checked at once.
    pub(crate) password_places: usize,
    /// How much guessing is borne.
    pub(crate) throttles: ThrottleSettings,
    /// How long a session may be left alone before it ends.
    pub(crate) session_idle_seconds: u32,
    /// The room on the disk below which changes are refused.
    pub(crate) reserve_bytes: u64,
    /// Whether the store is copied before it is opened after a crash.
    pub(crate) copy_aside: bool,
    /// How many records may follow a snapshot before the next is made; 0 for never.
    pub(crate) snapshot_every: u64,
    /// How many records are sealed together.
    pub(crate) segment_records: u64,
    /// Who cosigns checkpoints.
    pub(crate) witnesses: Vec<WitnessSetting>,
    /// The file that each checkpoint is written to.
    pub(crate) checkpoint_file: Option<PathBuf>,
    /// The address that each checkpoint is posted to: often a secret.
    pub(crate) checkpoint_webhook: Option<String>,
    /// How long running requests may take to finish at the end.
    pub(crate) shutdown_seconds: u64,
    /// How log lines are written; by the terminal where it is not said.
    pub(crate) log_format: Option<LogFormat>,
    /// Which log lines are written.
    pub(crate) log: String,
}

/// What is wrong with the configuration.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file that was named cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is not known or not possible.
    #[error("the configuration file {} is not right", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What.
        source: Box<toml::de::Error>,
    },
    /// Passwords and keys would cross the network in clear.
    #[error(
        "{listen} is not a loopback address, and this server speaks plain HTTP: keys would cross \
         the network in clear. Give it a certificate with --tls-certificate and --tls-key, or put a \
         proxy that speaks TLS in front and say so with --tls-terminated-by-proxy, or listen on \
         127.0.0.1"
    )]
    PlainBeyondLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// The issuer is not an address.
    #[error(
        "the issuer {issuer} must be an http:// or https:// address without a query or fragment"
    )]
    NotAnIssuer {
        /// What was given.
        issuer: String,
    },
    /// A certificate without a key, or the other way round.
    #[error("{missing} is not set; a certificate and its key belong together")]
    HalfTls {
        /// What is missing.
        missing: &'static str,
    },
    /// Our own TLS and an issuer that says plain HTTP.
    #[error("the issuer {issuer} must begin with https://, because this server speaks TLS")]
    PlainIssuer {
        /// What was given.
        issuer: String,
    },
    /// Not a network.
    #[error("{given} in trusted_proxies is no network, such as 10.0.0.0/8, and no address")]
    NotANetwork {
        /// What was given.
        given: String,
    },
    /// Not an origin.
    #[error("{given} in cors_origins {source}")]
    NotAnOrigin {
        /// What was given.
        given: String,
        /// What it must be.
        source: NotAnOrigin,
    },
    /// Not a witness.
    #[error(
        "a witness must be http(s)://ADDRESS+KEY, with a key of the form name+hash+key that is for \
         cosignatures (C2SP tlog-cosignature), not {given}"
    )]
    NotAWitness {
        /// What was given.
        given: String,
    },
    /// Not an address to post to. It is not shown: such addresses are often secrets.
    #[error("checkpoint_webhook must be an http:// or https:// address without spaces")]
    NotAWebHook,
    /// Zero of something that is needed.
    #[error("{name} must be at least 1")]
    Zero {
        /// Its name.
        name: &'static str,
    },
    /// Only some of the variables for the first owner are set.
    #[error(
        "{missing} is not set; set all three KEYLEDGER_BOOTSTRAP_ variables (EMAIL, PASSWORD, ORG) or none"
    )]
    HalfBootstrap {
        /// The variable.
        missing: &'static str,
    },
}

impl Config {
    /// The proxies whose word for a client's address is taken.
    pub(crate) fn proxies(&self) -> TrustedProxies {
        TrustedProxies::new(self.trusted_proxies.clone())
    }

    /// What is wrong with a list of proxies that names everybody, if it does.
    pub(crate) fn everybody_is_a_proxy(&self) -> Option<String> {
        let proxies = self.proxies();
        let network = proxies.unbounded().next()?;
        Some(format!(
            "trusted_proxies has {network}, which is everybody: any client that reaches this server is \
             believed wherever it says that it is, past allow-lists and throttles. Name the networks \
             of the proxies only"
        ))
    }
}

impl ServeFlags {
    /// Puts flags, environment, file and defaults together.
    ///
    /// # Errors
    /// The first thing that is not right, with the remedy.
    pub(crate) fn resolve(self) -> Result<Config, ConfigError> {
        let file = self.read_file()?;
        let throttles = self.throttles(&file);
        let listen = self.listen.or(file.listen);
        let listen = listen.unwrap_or_else(|| LISTEN.parse().expect("the default is an address"));
        let behind_tls = self
            .tls_terminated_by_proxy
            .or(file.tls_terminated_by_proxy)
            .unwrap_or(false);
        let tls = tls_files(
            self.tls_certificate.or(file.tls_certificate),
            self.tls_key.or(file.tls_key),
        )?;
        if !listen.ip().is_loopback() && !behind_tls && tls.is_none() {
            return Err(ConfigError::PlainBeyondLoopback { listen });
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let issuer = self
            .issuer
            .or(file.issuer)
            .unwrap_or_else(|| format!("{scheme}://{listen}"));
        let issuer = check_issuer(issuer)?;
        if tls.is_some() && !issuer.starts_with("https://") {
            return Err(ConfigError::PlainIssuer { issuer });
        }
        let trusted_proxies = self.trusted_proxies.or(file.trusted_proxies);
        let cors_origins = self.cors_origins.or(file.cors_origins);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let config = Config {
            listen,
            data_dir: self
                .data_dir
                .or(file.data_dir)
                .unwrap_or_else(|| DATA_DIR.into()),
            issuer,
            tls,
            trusted_proxies: each(trusted_proxies, network)?,
            cors_origins: each(cors_origins, origin)?,
            max_connections: self
                .max_connections
                .or(file.max_connections)
                .unwrap_or(MAX_CONNECTIONS),
            workers: self.workers.or(file.workers).unwrap_or(cores),
            password_places: self
                .password_places
                .or(file.password_places)
                .unwrap_or(cores),
            throttles,
            session_idle_seconds: self
                .session_idle_seconds
                .or(file.session_idle_seconds)
                .map_or(SESSION_IDLE_SECONDS, NonZeroU32::get),
            reserve_bytes: self
                .reserve_bytes
                .or(file.reserve_bytes)
                .unwrap_or(RESERVE_BYTES_DEFAULT),
            copy_aside: self.copy_aside.or(file.copy_aside).unwrap_or(true),
            snapshot_every: self
                .snapshot_every
                .or(file.snapshot_every)
                .unwrap_or(SNAPSHOT_EVERY_DEFAULT),
            segment_records: self
                .segment_records
                .or(file.segment_records)
                .map_or(SEGMENT_RECORDS_DEFAULT, NonZeroU64::get),
            witnesses: each(self.witnesses.or(file.witnesses), witness)?,
            checkpoint_file: self.checkpoint_file.or(file.checkpoint_file),
            checkpoint_webhook: self
                .checkpoint_webhook
                .or(file.checkpoint_webhook)
                .map(webhook)
                .transpose()?,
            shutdown_seconds: self
                .shutdown_seconds
                .or(file.shutdown_seconds)
                .unwrap_or(SHUTDOWN_SECONDS),
            log_format: self.log_format.or(file.log_format),
            log: self.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
        };
        for (name, value) in [
            ("workers", config.workers as u64),
            ("max_connections", config.max_connections as u64),
            ("password_places", config.password_places as u64),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { name });
            }
        }
        Ok(config)
    }

    fn throttles(&self, file: &File) -> ThrottleSettings {
        ThrottleSettings {
            login_failures_free: self
                .login_failures_free
                .or(file.login_failures_free)
                .unwrap_or(THROTTLES.login_failures_free),
            login_source_failures_free: self
                .login_source_failures_free
                .or(file.login_source_failures_free)
                .unwrap_or(THROTTLES.login_source_failures_free),
            login_delay_seconds_max: self
                .login_delay_seconds_max
                .or(file.login_delay_seconds_max)
                .unwrap_or(THROTTLES.login_delay_seconds_max),
            login_network_failures_per_hour: self
                .login_network_failures_per_hour
                .or(file.login_network_failures_per_hour)
                .unwrap_or(THROTTLES.login_network_failures_per_hour),
            login_failures_per_hour: self
                .login_failures_per_hour
                .or(file.login_failures_per_hour)
                .unwrap_or(THROTTLES.login_failures_per_hour),
            wrong_keys_burst: self
                .wrong_keys_burst
                .or(file.wrong_keys_burst)
                .unwrap_or(THROTTLES.wrong_keys_burst),
            wrong_keys_per_second: self
                .wrong_keys_per_second
                .or(file.wrong_keys_per_second)
                .unwrap_or(THROTTLES.wrong_keys_per_second),
        }
    }

    fn read_file(&self) -> Result<File, ConfigError> {
        let path = self
            .config
            .clone()
            .unwrap_or_else(|| PathBuf::from(CONFIG_FILE));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source)
                if self.config.is_none() && source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(File::default());
            }
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        toml::from_str(&text).map_err(|source| ConfigError::Malformed {
            path,
            source: Box::new(source),
        })
    }
}

fn tls_files(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::HalfTls { missing: "tls_key" }),
        (None, Some(_)) => Err(ConfigError::HalfTls {
            missing: "tls_certificate",
        }),
    }
}

/// Reads each text of a list; spaces around one and empty ones do not matter.
fn each<T>(
    given: Option<Vec<String>>,
    read: impl Fn(&str) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let given = given.unwrap_or_default();
    let texts = given.iter().map(|text| text.trim());
    texts.filter(|text| !text.is_empty()).map(read).collect()
}

fn listen_address(given: &str) -> Result<SocketAddr, String> {
    let words = "must be an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080";
    given.parse().map_err(|_| words.to_owned())
}

fn network(given: &str) -> Result<IpNet, ConfigError> {
    let address = given.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| given.parse())
        .map_err(|_| ConfigError::NotANetwork {
            given: given.to_owned(),
        })
}

fn origin(given: &str) -> Result<WebOrigin, ConfigError> {
    given.parse().map_err(|source| ConfigError::NotAnOrigin {
        given: given.to_owned(),
        source,
    })
}

fn witness(given: &str) -> Result<WitnessSetting, ConfigError> {
    let setting = WitnessSetting::parse(given).ok();
    setting
        .filter(|it| is_web_address(&it.url))
        .ok_or_else(|| ConfigError::NotAWitness {
            given: given.to_owned(),
        })
}

fn webhook(given: String) -> Result<String, ConfigError> {
    if is_web_address(&given) {
        Ok(given)
    } else {
        Err(ConfigError::NotAWebHook)
    }
}

fn is_web_address(url: &str) -> bool {
    url.parse::<ureq::http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|it| !it.host().is_empty())
    })
}

fn check_issuer(issuer: String) -> Result<String, ConfigError> {
    let rest = issuer
        .strip_prefix("https://")
        .or_else(|| issuer.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && !rest.contains(['?', '#', '@', '"', '<', '>', '\\'])
            && !rest.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    if good {
        Ok(issuer.trim_end_matches('/').to_owned())
    } else {
        Err(ConfigError::NotAnIssuer { issuer })
    }
}

/// Who owns a new server from its first start on (`KEYLEDGER_BOOTSTRAP_*`).
pub(crate) struct Bootstrap {
    /// The owner's address.
    pub(crate) email: String,
    /// The owner's password.
    pub(crate) password: Zeroizing<String>,
    /// The organization's slug.
    pub(crate) org: String,
}

impl Bootstrap {
    /// Reads the three variables; none of them set is fine.
    ///
    /// # Errors
    /// When only some are set.
    pub(crate) fn from_environment() -> Result<Option<Self>, ConfigError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "configuration is read in this file only"
        )]
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::from_values(
            read("KEYLEDGER_BOOTSTRAP_EMAIL"),
            read("KEYLEDGER_BOOTSTRAP_PASSWORD"),
            read("KEYLEDGER_BOOTSTRAP_ORG"),
        )
    }

    fn from_values(
        email: Option<String>,
        password: Option<String>,
        org: Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        if email.is_none() && password.is_none() && org.is_none() {
            return Ok(None);
        }
        let set =
            |value: Option<String>, missing| value.ok_or(ConfigError::HalfBootstrap { missing });
        Ok(Some(Self {
            email: set(email, "KEYLEDGER_BOOTSTRAP_EMAIL")?,
            password: Zeroizing::new(set(password, "KEYLEDGER_BOOTSTRAP_PASSWORD")?),
            org: set(org, "KEYLEDGER_BOOTSTRAP_ORG")?,
        }))
    }
}

/// What the environment says to the commands that read a log: where it is, and with which key a server
/// is asked.
pub(crate) struct LogVariables {
    /// A folder.
    pub(crate) data_dir: Option<PathBuf>,
    /// The address of a server.
    pub(crate) url: Option<String>,
    /// A key for it.
    pub(crate) api_key: Option<Zeroizing<String>>,
}

impl LogVariables {
    /// Reads them. One that is empty is not set.
    pub(crate) fn read() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place of the configuration; clap would put the key into arguments"
        )]
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            data_dir: read("KEYLEDGER_DATA_DIR").map(PathBuf::from),
            url: read("KEYLEDGER_URL"),
            api_key: read("KEYLEDGER_API_KEY").map(Zeroizing::new),
        }
    }
}

/// Proxy settings of the environment, which `doctor` looks at: this server reaches witnesses and a
/// web hook through them where it speaks TLS, and a client on the same machine may be sent elsewhere by them.
pub(crate) fn proxy_variables() -> Vec<(&'static str, String)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "configuration is read in this file only"
    )]
    let read = |name| std::env::var(name).ok();
    [
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ]
    .into_iter()
    .filter_map(|name| Some((name, read(name)?)))
    .collect()
}

/// The folder that a command without a server works on.
pub(crate) fn data_dir_or_default(given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| PathBuf::from(DATA_DIR), Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: ServeFlags) -> Result<Config, ConfigError> {
        flags.resolve()
    }

    #[test]
    fn it_needs_nothing() {
        let config = resolve(ServeFlags::default()).unwrap();
        assert_eq!(config.listen.to_string(), LISTEN);
        assert_eq!(config.issuer, "http://127.0.0.1:8080");
        assert_eq!(config.data_dir, Path::new(DATA_DIR));
    }

    #[test]
    fn no_snapshots_may_be_asked_for_and_no_workers_may_not() {
        let never = resolve(ServeFlags {
            snapshot_every: Some(0),
            ..ServeFlags::default()
        });
        assert_eq!(never.unwrap().snapshot_every, 0);
        let none = resolve(ServeFlags {
            workers: Some(0),
            ..ServeFlags::default()
        });
        assert!(matches!(none, Err(ConfigError::Zero { name: "workers" })));
    }

    #[test]
    fn plain_http_beyond_loopback_is_refused_unless_declared() {
        let listen = Some("0.0.0.0:80".parse().unwrap());
        let refused = resolve(ServeFlags {
            listen,
            ..ServeFlags::default()
        });
        assert!(matches!(
            refused,
            Err(ConfigError::PlainBeyondLoopback { .. })
        ));
        let declared = ServeFlags {
            listen,
            tls_terminated_by_proxy: Some(true),
            ..ServeFlags::default()
        };
        assert!(resolve(declared).is_ok());
    }

    #[test]
    fn own_tls_lets_it_listen_beyond_loopback_and_names_it_https() {
        let with = |issuer: Option<&str>, key: Option<&str>| {
            resolve(ServeFlags {
                listen: Some("0.0.0.0:8443".parse().unwrap()),
                tls_certificate: Some("certificate.pem".into()),
                tls_key: key.map(Into::into),
                issuer: issuer.map(ToOwned::to_owned),
                ..ServeFlags::default()
            })
        };
        let config = with(None, Some("key.pem")).unwrap();
        assert_eq!(config.issuer, "https://0.0.0.0:8443");
        assert!(config.tls.is_some());
        assert!(matches!(
            with(None, None),
            Err(ConfigError::HalfTls { missing: "tls_key" })
        ));
        assert!(matches!(
            with(Some("http://keys.example"), Some("key.pem")),
            Err(ConfigError::PlainIssuer { .. })
        ));
    }

    #[test]
    fn networks_and_origins_are_read_and_what_is_none_is_named() {
        let list = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect());
        let with = |proxies: &[&str], origins: &[&str]| {
            resolve(ServeFlags {
                trusted_proxies: list(proxies),
                cors_origins: list(origins),
                ..ServeFlags::default()
            })
        };
        let config = with(&["10.0.0.0/8", " fd00::1 ", ""], &["https://a.example"]).unwrap();
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(config.trusted_proxies[1].to_string(), "fd00::1/128");
        assert_eq!(config.cors_origins.len(), 1);
        assert_eq!(config.everybody_is_a_proxy(), None);
        for everybody in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
            let config = with(&["10.0.0.0/8", everybody], &[]).unwrap();
            let words = config.everybody_is_a_proxy().unwrap();
            assert!(words.contains("is everybody"), "{words}");
        }
        assert!(matches!(
            with(&["10.0.0.0/33"], &[]),
            Err(ConfigError::NotANetwork { given }) if given == "10.0.0.0/33"
        ));
        for bad in ["*", "null", "https://a.example/"] {
            assert!(matches!(
                with(&[], &[bad]),
                Err(ConfigError::NotAnOrigin { .. })
            ));
        }
    }

    #[test]
    fn a_witness_is_an_address_and_a_key_that_cosigns() {
        let with = |witness: &str| {
            resolve(ServeFlags {
                witnesses: Some(vec![witness.to_owned()]),
                ..ServeFlags::default()
            })
        };
        let sample = include_str!("../../../data/keyledger.toml");
        let line = sample.lines().find(|line| line.starts_with("#: witnesses"));
        let right = line.unwrap().split('"').nth(1).unwrap();
        let config = with(right).unwrap();
        assert_eq!(config.witnesses[0].url, "https://witness.example.com");
        let logs = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        for wrong in [
            "https://witness.example.com",
            &right.replacen("https", "ftp", 1),
            &right.replacen("+witness", "+other", 1),
            &format!("https://witness.example.com+{logs}"),
        ] {
            assert!(
                matches!(with(wrong), Err(ConfigError::NotAWitness { .. })),
                "{wrong}"
            );
        }
        let hook = resolve(ServeFlags {
            checkpoint_webhook: Some("keys.example/secret-path".to_owned()),
            ..ServeFlags::default()
        });
        let words = hook.unwrap_err().to_string();
        assert!(!words.contains("secret-path"), "{words}");
    }

    #[test]
    fn the_file_stands_behind_the_flags_and_knows_no_other_names() {
        let file: File = toml::from_str("workers = 3\nlisten = \"127.0.0.1:9000\"").unwrap();
        assert_eq!(file.workers, Some(3));
        assert!(toml::from_str::<File>("wrokers = 3").is_err());
    }

    #[test]
    fn the_sample_configuration_is_understood() {
        let sample = include_str!("../../../data/keyledger.toml");
        toml::from_str::<File>(sample).unwrap();
        // Each line that is commented out is a setting, and a right one.
        let lines = sample.lines().filter_map(|line| line.strip_prefix("#: "));
        let all = lines.collect::<Vec<_>>().join("\n");
        toml::from_str::<File>(&all).unwrap();
        assert_eq!(all.lines().count(), 29);
    }

    #[test]
    fn issuers() {
        for good in [
            "http://127.0.0.1:8080",
            "https://keys.example.com/",
            "https://a.b/c",
        ] {
            assert!(check_issuer(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "keys.example.com",
            "ftp://a",
            "https://",
            "https://a?b",
            "https://u@a",
            "https:///a",
            "https://a b",
        ] {
            assert!(check_issuer(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn half_a_bootstrap_names_what_is_missing() {
        let some = || Some("x".to_owned());
        let half = Bootstrap::from_values(some(), None, some());
        assert!(matches!(
            half,
            Err(ConfigError::HalfBootstrap {
                missing: "KEYLEDGER_BOOTSTRAP_PASSWORD"
            })
        ));
        assert!(matches!(Bootstrap::from_values(None, None, None), Ok(None)));
    }
}
