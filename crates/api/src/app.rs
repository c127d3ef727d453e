//! The application: the one place where effects meet. Routes and pages call it, and nothing below.
//!
//! A change goes through [`App::execute`] and is answered when it is durable; a look-up reads the
//! state behind the disk and never waits for it.

use core::time::Duration;
use std::sync::Arc;

use governor::clock::MonotonicClock;
use keyledger_domain::api_key::{ActivateApiKey, NewApiKey};
use keyledger_domain::{
    Command, CredentialId, CredentialKind, Digest, Directory, Environment, Plaintext, Position,
    Record, Timestamp,
};
use keyledger_ledger::backup::BackupSource;
use keyledger_ledger::credits_store::{CreditsBook, CreditsRow};
use keyledger_ledger::index::Index;
use keyledger_ledger::key_file::{Peppers, Purpose, SubKey};
use keyledger_ledger::vault::Vault;
use keyledger_ledger::{
    Clock, Committed, Committer, KeyFile, NotCommitted, Past, Projection, PublicLog, Recalled,
    RecordReader, Submission,
};
use parking_lot::{RwLock, RwLockReadGuard};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{Semaphore, watch};

use crate::caller::{Caller, Origin};
use crate::decisions::Decisions;
use crate::event_index::terms_of;
use crate::idle_sessions::IdleSessions;
use crate::limits::RateLimits;
use crate::lookup::Ours;
use crate::oauth::signing::Signers;
use crate::pages::authorize::Asked;
use crate::pages::pending::Pending;
use crate::passwords::Passwords;
use crate::places::SharedPlaces;
use crate::problem::Problem;
use crate::restrictions::Limits;
use crate::routes::events::Streams;
use crate::seats::Account;
use crate::setup_code::SetUpCode;
use crate::throttles::{ThrottleSettings, Throttles, Ticks};
use crate::usage::Usage;

/// How many requests may wait to read records before the next is turned away. One reads at a time:
/// it takes a core for its while, and there must be one left for verifying.
const RECORD_READERS_WAITING_MAX: usize = 64;
/// How many of them may be of one account: who follows a log reads some tiles at once.
const RECORD_READERS_OF_ACCOUNT_MAX: usize = 16;
/// How many may wait for an earlier state. One is put together at a time: each is as large as the one
/// that is served.
const PAST_WAITING_MAX: usize = 16;
/// How many of them may be of one account: each takes up to a second.
const PAST_OF_ACCOUNT_MAX: usize = 4;

/// What the binary decides for the API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that clients know this server by, without a slash at its end.
    pub issuer: String,
    /// How many passwords are checked at once; each place has 19 MiB until it is at rest.
    pub password_places: usize,
    /// Whether it listens on loopback, so that `localhost` in a browser may be this server.
    pub is_on_loopback: bool,
    /// How much guessing is borne.
    pub throttles: ThrottleSettings,
    /// How long a session may be left alone before it ends, in seconds.
    pub session_idle_seconds: u32,
}

/// What the look-ups read: replayed from the ledger at start, then fed by the committer.
pub struct Lookups {
    directory: RwLock<Directory>,
    index: Arc<Index>,
    /// The last record that they show, for those who wait for the next.
    shown: watch::Sender<Position>,
}

impl Lookups {
    /// The state behind the disk. Hold it briefly and never across an await.
    pub fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read()
    }

    /// Which records are about what.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Look-ups that start at a state which was replayed.
    pub fn new(directory: Directory, index: Arc<Index>) -> Self {
        let position = directory.position();
        Self {
            directory: RwLock::new(directory),
            index,
            shown: watch::Sender::new(position),
        }
    }
}

/// The committer's end of the look-ups: what it is given is durable.
pub struct LookupsFeed(pub Arc<Lookups>);

impl Projection for LookupsFeed {
    fn apply(&mut self, records: &[Arc<Record>]) {
        let mut directory = self.0.directory.write();
        for record in records {
            directory.apply(record);
            let terms = terms_of(&self.0.index, &directory, record);
            self.0.index.add(record, terms);
        }
        let position = directory.position();
        drop(directory);
        // Only now, or whoever is woken would wait for the locks.
        self.0.shown.send_replace(position);
    }
}

/// What an [`App`] is put together from.
pub struct Parts {
    /// Where changes go.
    pub committer: Committer,
    /// Where look-ups are answered.
    pub lookups: Arc<Lookups>,
    /// Where records are read again.
    pub reader: RecordReader,
    /// Where earlier states are asked for.
    pub past: Past,
    /// The log as others see it.
    pub log: PublicLog,
    /// For backups.
    pub backups: BackupSource,
    /// The peppers, the vault and the keys for forms.
    pub key_file: Arc<KeyFile>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: SystemRandom,
    /// The code that lets the first owner in, as long as there is none.
    pub setup_code: SetUpCode,
    /// What keys do.
    pub usage: Arc<Usage>,
    /// What is left of the credits of entitlement tokens.
    pub credits: CreditsBook,
    /// What the binary decided.
    pub settings: Settings,
}

/// The application.
pub struct App {
    parts: Parts,
    passwords: Passwords,
    throttles: Arc<Throttles>,
    idle_sessions: IdleSessions,
    record_readers: SharedPlaces<()>,
    streams: Arc<Streams>,
    /// One backup at a time: each reads the whole ledger.
    backup_places: Arc<Semaphore>,
    past_places: SharedPlaces<Recalled>,
    decisions: Decisions,
    rate_limits: RateLimits,
    signers: Signers,
    pending: Pending<Asked>,
    csrf: SubKey,
}

impl App {
    /// Puts the application together.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn new(parts: Parts) -> Result<Self, Problem> {
        let passwords = Passwords::new(parts.settings.password_places, parts.rng.clone());
        let csrf = parts.key_file.sub_key(Purpose::Csrf);
        let (mut decisions, mut names) = ([0; 32], [0; 32]);
        let drawn = parts.rng.fill(&mut decisions);
        let drawn = drawn.and_then(|()| parts.rng.fill(&mut names));
        drawn.map_err(|_| Problem::internal())?;
        let ticks = Ticks::from_now();
        let throttles = Throttles::new(&parts.settings.throttles, names, &ticks);
        let idle_after = Duration::from_secs(parts.settings.session_idle_seconds.into());
        Ok(Self {
            parts,
            passwords,
            throttles: Arc::new(throttles),
            idle_sessions: IdleSessions::new(idle_after, &ticks),
            backup_places: Arc::new(Semaphore::new(1)),
            record_readers: SharedPlaces::new(
                RECORD_READERS_WAITING_MAX,
                RECORD_READERS_OF_ACCOUNT_MAX,
            ),
            streams: Arc::new(Streams::new()),
            past_places: SharedPlaces::new(PAST_WAITING_MAX, PAST_OF_ACCOUNT_MAX),
            decisions: Decisions::new(decisions),
            rate_limits: RateLimits::new(MonotonicClock),
            signers: Signers::default(),
            pending: Pending::new(&ticks),
            csrf,
        })
    }

    /// Executes a command for somebody and answers when it is durable.
    ///
    /// # Errors
    /// The refusal, or that nothing can be changed now.
    pub async fn execute(
        &self,
        caller: &Caller,
        command: impl Into<Command>,
    ) -> Result<Committed, Problem> {
        Ok(self.submit(caller, command).await?)
    }

    /// The same for whoever tells a refusal in words of their own.
    ///
    /// # Errors
    /// The refusal, or that nothing can be changed now.
    pub(crate) async fn submit(
        &self,
        caller: &Caller,
        command: impl Into<Command>,
    ) -> Result<Committed, NotCommitted> {
        let submission = caller.submission(command.into());
        self.parts.committer.submit(submission).await
    }

    /// Makes a pending secret the current one, because it was just shown for the first time.
    pub(crate) async fn activate(
        &self,
        origin: &Origin,
        id: CredentialId,
        version: u32,
    ) -> Result<(), Problem> {
        let holder = self
            .directory()
            .api_key(id)
            .map(|key| key.issued.holder.actor());
        let Some(actor) = holder else {
            return Err(Problem::invalid_token());
        };
        let caller = Caller::with_credential(actor, id, version, origin.clone());
        let submission = caller.submission(ActivateApiKey { id, version }.into());
        match self.parts.committer.submit(submission).await {
            Ok(_) => Ok(()),
            // Undone or ended between the look-up and the decision: the secret is no good.
            Err(NotCommitted::Refused(_)) => Err(Problem::invalid_token()),
            Err(reason) => Err(reason.into()),
        }
    }

    /// The state behind the disk. Hold it briefly and never across an await.
    pub fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.parts.lookups.directory()
    }

    /// What is backed up.
    pub(crate) fn backups(&self) -> &BackupSource {
        &self.parts.backups
    }

    /// Where a backup waits for its turn.
    pub(crate) fn backup_places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.backup_places)
    }

    /// What is left of credits, for a backup; `None` if that is not known.
    pub(crate) fn credits_rows(&self) -> Option<Vec<CreditsRow>> {
        self.parts.credits.rows()
    }

    /// The log as others see it: tree, checkpoints, segments.
    pub fn log(&self) -> &PublicLog {
        &self.parts.log
    }

    /// Which records are about what.
    pub fn index(&self) -> &Index {
        self.parts.lookups.index()
    }

    /// The records themselves.
    pub fn reader(&self) -> &RecordReader {
        &self.parts.reader
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Whether changes are still taken.
    pub fn is_writable(&self) -> bool {
        !self.parts.committer.is_stopped()
    }

    /// The passwords' pool.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The counts of those who guess.
    pub(crate) fn throttles(&self) -> &Arc<Throttles> {
        &self.throttles
    }

    /// When each session was last used.
    pub(crate) fn idle_sessions(&self) -> &IdleSessions {
        &self.idle_sessions
    }

    /// The account behind whoever asks.
    pub(crate) fn account_of(&self, caller: &Caller) -> Account {
        Account::of(&self.directory(), caller.authority().actor)
    }

    /// The places for those who read records.
    pub(crate) fn record_readers(&self) -> &SharedPlaces<()> {
        &self.record_readers
    }

    /// Those who follow the audit log.
    pub(crate) fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    /// Tells whenever the look-ups show more records than before.
    pub(crate) fn shown(&self) -> watch::Receiver<Position> {
        self.parts.lookups.shown.subscribe()
    }

    /// Earlier states.
    pub(crate) fn past(&self) -> &Past {
        &self.parts.past
    }

    /// The place where they are put together.
    pub(crate) fn past_places(&self) -> &SharedPlaces<Recalled> {
        &self.past_places
    }

    pub(crate) fn credits_book(&self) -> &CreditsBook {
        &self.parts.credits
    }

    /// What keys do: last uses, counts, scopes.
    pub fn usage(&self) -> &Usage {
        &self.parts.usage
    }

    /// The same, for work on another thread.
    pub(crate) fn usage_shared(&self) -> Arc<Usage> {
        Arc::clone(&self.parts.usage)
    }

    /// Why callers were refused lately.
    pub(crate) fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// How often each key was used.
    pub(crate) fn rate_limits(&self) -> &RateLimits {
        &self.rate_limits
    }

    /// The keys that sign tokens, opened.
    pub(crate) fn signers(&self) -> &Signers {
        &self.signers
    }

    /// What apps asked of people who have not answered yet.
    pub(crate) fn pending(&self) -> &Pending<Asked> {
        &self.pending
    }

    /// What the binary decided.
    pub fn settings(&self) -> &Settings {
        &self.parts.settings
    }

    /// The code for the first owner.
    pub fn setup_code(&self) -> &SetUpCode {
        &self.parts.setup_code
    }

    pub(crate) fn peppers(&self) -> &Peppers {
        self.parts.key_file.peppers()
    }

    /// What tells what is ours from what others made.
    pub(crate) fn ours(&self) -> Ours<'_> {
        Ours {
            peppers: self.peppers(),
            issuer: &self.settings().issuer,
            counted_in: None,
        }
    }

    /// The same for who will count what is found.
    pub(crate) fn ours_to_count(&self) -> Ours<'_> {
        Ours {
            counted_in: Some(self.usage()),
            ..self.ours()
        }
    }

    pub(crate) fn vault(&self) -> &Vault {
        self.parts.key_file.vault()
    }

    pub(crate) fn rng(&self) -> &SystemRandom {
        &self.parts.rng
    }

    pub(crate) fn csrf(&self) -> &SubKey {
        &self.csrf
    }

    /// Fresh random bytes, for identifiers and secrets.
    ///
    /// # Errors
    /// 500 when the system gives none.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Problem> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), Problem> {
        self.parts.rng.fill(bytes).map_err(|_| {
            tracing::error!("the system's random generator failed");
            Problem::internal()
        })
    }

    /// Draws a new credential; its plaintext stays with the route that asked.
    ///
    /// # Errors
    /// 500 when the system gives no randomness.
    pub fn draw(
        &self,
        kind: CredentialKind,
        environment: Environment,
        id: Option<CredentialId>,
    ) -> Result<Plaintext, Problem> {
        let mut failed = None;
        let mut fill = |bytes: &mut [u8]| {
            if let Err(problem) = self.fill(bytes) {
                // Ends the drawing loop; what it drew is thrown away below.
                failed = Some(problem);
                bytes.fill(0);
            }
        };
        let plaintext = match id {
            Some(id) => Plaintext::with_id(kind, environment, id, &mut fill),
            None => Plaintext::draw(kind, environment, &mut fill),
        };
        failed.map_or(Ok(plaintext), Err)
    }

    /// Draws a new key within these limits: its plaintext, and what the ledger is to keep of it.
    ///
    /// # Errors
    /// 500 when the system gives no randomness, or the key file has no pepper.
    pub(crate) fn mint(
        &self,
        kind: CredentialKind,
        limits: &Limits,
    ) -> Result<(Plaintext, NewApiKey), Problem> {
        let plaintext = self.draw(kind, limits.environment, None)?;
        let api_key = NewApiKey {
            id: plaintext.id(),
            environment: limits.environment,
            digest: self.digest(plaintext.as_bytes())?,
            scopes: limits.scopes.clone(),
            expires_at: limits.expires_at,
            allowed_cidrs: Arc::clone(&limits.allowed_cidrs),
            rate_limit: limits.rate_limit,
        };
        Ok((plaintext, api_key))
    }

    /// What the ledger keeps of a secret, under the newest pepper.
    ///
    /// # Errors
    /// 500 if the key file has no pepper.
    pub fn digest(&self, secret: &[u8]) -> Result<Digest, Problem> {
        let pepper_version = self.peppers().newest();
        let tag = self
            .peppers()
            .tag(pepper_version, secret)
            .ok_or_else(Problem::internal)?;
        Ok(Digest {
            pepper_version,
            tag,
        })
    }
}

impl Caller {
    fn submission(&self, command: Command) -> Submission {
        let origin = self.origin();
        Submission {
            authority: *self.authority(),
            request: origin.request(),
            source: origin.source(),
            client: origin.client(),
            command,
        }
    }
}
