//! Each checkpoint, told to somebody off this host: witnesses, a file on another mount, a web hook.
//!
//! Each recipient has a thread of its own and is told of the newest checkpoint only, so a slow or dead one
//! delays neither publishing nor another recipient. What fails is tried again after a pause that grows.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use keyledger_ledger::paths::Paths;
use keyledger_ledger::publisher::{PublicLog, Published};
use keyledger_ledger::tree::TreeError;
use thiserror::Error;
use ureq::Agent;
use ureq::http::header::{CONTENT_TYPE, USER_AGENT};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::config::Config;
use crate::witness::Witness;

/// How often it looks whether there is a new checkpoint.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after the first failure; it doubles with each.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(1);
/// The longest answer that is read: some signature lines.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Why a checkpoint did not arrive.
#[derive(Debug, Error)]
pub(crate) enum DeliveryError {
    /// No whole answer came.
    #[error("no answer")]
    Unreachable(#[source] Box<ureq::Error>),
    /// It refuses.
    #[error("it answers {status}")]
    Refused {
        /// The status code.
        status: u16,
    },
    /// It says that it cosigned, and did not.
    #[error(
        "its answer has no cosignature of this checkpoint by the key that it is configured with"
    )]
    NotCosigned,
    /// The tree cannot be read.
    #[error("no proof can be made for it")]
    Tree(#[from] TreeError),
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Somebody who is told of checkpoints.
pub(crate) trait Recipient: Send {
    /// Who it is, for the log: no part of an address that may be a secret.
    fn name(&self) -> String;

    /// Tells it.
    ///
    /// # Errors
    /// If it is to be tried again.
    fn deliver(&mut self, log: &PublicLog, published: &Published) -> Result<(), DeliveryError>;
}

/// The threads that tell, for the one who stops them.
pub(crate) struct Outside {
    threads: Vec<(Sender<()>, JoinHandle<()>)>,
}

impl Outside {
    /// Begins to tell whoever is configured.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(config: &Config, log: &PublicLog) -> io::Result<Self> {
        let evidence = Paths::new(&config.data_dir).witness_evidence();
        let mut recipients: Vec<Box<dyn Recipient>> = Vec::new();
        for witness in &config.witnesses {
            let agent = agent_for(&witness.url);
            recipients.push(Box::new(Witness::new(witness, agent, evidence.clone())));
        }
        if let Some(path) = &config.checkpoint_file {
            recipients.push(Box::new(CheckpointFile(path.clone())));
        }
        if let Some(url) = &config.checkpoint_webhook {
            let agent = agent_for(url);
            let url = url.clone();
            recipients.push(Box::new(WebHook { url, agent }));
        }
        let threads = recipients.into_iter().map(|recipient| {
            let (stop, stopping) = channel();
            let log = log.clone();
            let thread = thread::Builder::new()
                .name("outside".to_owned())
                .spawn(move || follow(recipient, &log, &stopping))?;
            Ok((stop, thread))
        });
        Ok(Self {
            threads: threads.collect::<io::Result<_>>()?,
        })
    }

    /// Tells the last checkpoint to whoever was well until now, and ends. Waits for one request at most.
    pub(crate) fn stop(self) {
        let (stops, threads): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(stops);
        for thread in threads {
            if thread.join().is_err() {
                tracing::warn!("a thread that delivers checkpoints panicked");
            }
        }
    }
}

fn follow(mut recipient: Box<dyn Recipient>, log: &PublicLog, stopping: &Receiver<()>) {
    let mut told: Option<u64> = None;
    let mut failures = 0;
    let mut due = Instant::now();
    loop {
        let is_last = stopping.recv_timeout(LOOK_PAUSE) == Err(RecvTimeoutError::Disconnected);
        let may_try = if is_last {
            failures == 0
        } else {
            due <= Instant::now()
        };
        // Publishing that has stopped says so itself.
        let newest = log.published().ok();
        if let Some(newest) = newest.filter(|it| may_try && told != Some(it.size)) {
            match recipient.deliver(log, &newest) {
                Ok(()) => {
                    told = Some(newest.size);
                    failures = 0;
                }
                Err(error) => {
                    let pause = RETRY_PAUSE.saturating_mul(1 << failures.min(6));
                    failures += 1;
                    due = Instant::now() + pause.min(RETRY_PAUSE_MAX);
                    tracing::warn!(
                        recipient = recipient.name(),
                        size = newest.size,
                        error = &error as &dyn std::error::Error,
                        "a checkpoint did not arrive off this host"
                    );
                }
            }
        }
        if is_last {
            return;
        }
    }
}

/// Asks as this machine trusts: no redirect is followed, and a proxy of the environment is used for TLS only.
fn agent_for(url: &str) -> Agent {
    let builder = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(REQUEST_TIMEOUT));
    let builder = if url.starts_with("https://") {
        let trusted = rustls_native_certs::load_native_certs().certs;
        let trusted = trusted
            .iter()
            .map(|der| Certificate::from_der(der).to_owned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(trusted))
            .unversioned_rustls_crypto_provider(provider);
        builder.tls_config(tls.build())
    } else {
        builder.proxy(None)
    };
    builder.build().new_agent()
}

/// What somebody answered: the status code and the text.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// Posts a text.
///
/// # Errors
/// [`DeliveryError::Unreachable`].
pub(crate) fn post(agent: &Agent, url: &str, text: &str) -> Result<Answer, DeliveryError> {
    let unreachable = |error| DeliveryError::Unreachable(Box::new(error));
    let mut response = agent
        .post(url)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(USER_AGENT, concat!("keyledger/", env!("CARGO_PKG_VERSION")))
        .send(text)
        .map_err(unreachable)?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let bytes = body.read_to_vec().map_err(unreachable)?;
    Ok(Answer {
        status: response.status().as_u16(),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// Replaces a file as one step: whoever reads it, after a power cut too, finds the old text or the new one.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

struct CheckpointFile(PathBuf);

impl Recipient for CheckpointFile {
    fn name(&self) -> String {
        self.0.display().to_string()
    }

    fn deliver(&mut self, _: &PublicLog, published: &Published) -> Result<(), DeliveryError> {
        replace(&self.0, &published.checkpoint).map_err(|source| DeliveryError::File {
            path: self.0.clone(),
            source,
        })
    }
}

struct WebHook {
    /// Often a secret: whoever knows it may post there.
    url: String,
    agent: Agent,
}

impl Recipient for WebHook {
    fn name(&self) -> String {
        "checkpoint_webhook".to_owned()
    }

    fn deliver(&mut self, _: &PublicLog, published: &Published) -> Result<(), DeliveryError> {
        match post(&self.agent, &self.url, &published.checkpoint)?.status {
            200..=299 => Ok(()),
            status => Err(DeliveryError::Refused { status }),
        }
    }
}
