//! The thread that brings what was counted to the disk, and keeps what lies there within bounds.
//!
//! A death loses what was counted since the last flush: two seconds, and a moment, and half a minute where a
//! hundred thousand keys are in use: writing must not take the core from those who verify. What describes
//! a use, which is its source, its client and its scopes, waits longer where that changed of more than two
//! thousand keys a second. Nothing waits for this thread, and nothing stops when its disk does.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use keyledger_domain::api_key::Holder;
use keyledger_domain::{CredentialId, Position, Timestamp};
use keyledger_ledger::key_file::SubKey;
use keyledger_ledger::step_back::step_back;
use keyledger_ledger::usage_store::{UsageStore, UseChange};
use keyledger_ledger::{Clock, Committer, NotCommitted};
use ring::rand::SystemRandom;
use tokio::task::JoinSet;

use crate::app::Lookups;
use crate::usage::Usage;

/// How often it is looked what there is to do.
const PAUSE: Duration = Duration::from_secs(2);
/// The same where much was done: who was erased is forgotten here in that time.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The longest that what was counted waits for the disk, where there is much of it.
const WRITE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How many times as long as it took is rested then: it takes a hundredth of a core.
const RESTS: u32 = 100;
/// The same for telling the ledger: the log's tree, its index and its publisher work on each record too,
/// when it is told already.
const RESTS_AFTER_TELLING: u32 = 300;
/// After how many looks old counts are folded: some five minutes.
const LOOKS_A_FOLD: u32 = 150;
/// After how many folds it is looked which keys are long gone: some hours.
const FOLDS_A_SWEEP: u32 = 48;
/// How many keys are written before others may read in between.
const KEYS_A_WRITE: usize = 1_024;
/// After how many keys that were described the others of a flush wait for the next: each is sealed and has a row of
/// its own, some ten microseconds, and a hundred thousand may be used for the first time at once.
const DESCRIBED_A_FLUSH: usize = 4_096;

/// How long the counts of a key are kept after it was revoked, in seconds: 90 days.
const GONE_KEPT_SECONDS: u64 = 90 * 86_400;
/// How long the source and the client of a last use are kept, in seconds: 90 days.
const SOURCE_KEPT_SECONDS: u64 = 90 * 86_400;

/// What the keeper works with.
pub struct KeeperParts {
    /// What it keeps.
    pub usage: Arc<Usage>,
    /// What is true behind the disk.
    pub lookups: Arc<Lookups>,
    /// Where the ledger is told of first uses.
    pub committer: Committer,
    /// The key of the tags of networks.
    pub network_key: SubKey,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: SystemRandom,
}

/// The thread, for the one who stops it.
pub struct UsageKeeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl UsageKeeper {
    /// Starts it.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(parts: KeeperParts) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let thread = thread::Builder::new()
            .name("usage".to_owned())
            .spawn(move || {
                step_back();
                let mut keeping = Keeping {
                    parts,
                    failed: false,
                    swept: None,
                    next_described: None,
                };
                let clock = Arc::clone(&keeping.parts.clock);
                let mut looks = 0_u32;
                let mut pause = PAUSE;
                // Counted down rather than compared: somebody may set the clock back by a year.
                let mut until_write = Duration::ZERO;
                loop {
                    if looks.is_multiple_of(LOOKS_A_FOLD) {
                        keeping.fold();
                    }
                    if looks.is_multiple_of(LOOKS_A_FOLD * FOLDS_A_SWEEP)
                        || keeping.is_somebody_erased()
                    {
                        keeping.sweep();
                    }
                    looks = looks.wrapping_add(1);
                    let ended = stopped.recv_timeout(pause);
                    if !matches!(ended, Err(RecvTimeoutError::Timeout)) {
                        runtime.block_on(keeping.tell());
                        keeping.write(usize::MAX);
                        return;
                    }
                    until_write = until_write.saturating_sub(pause);
                    let begun = clock.now();
                    runtime.block_on(keeping.tell());
                    let told = clock.now();
                    pause = rest_after(begun, told, RESTS_AFTER_TELLING, PAUSE_MAX);
                    if until_write.is_zero() {
                        keeping.write(DESCRIBED_A_FLUSH);
                        until_write = rest_after(told, clock.now(), RESTS, WRITE_PAUSE_MAX);
                    }
                }
            })?;
        Ok(Self { stop, thread })
    }

    /// Writes what was counted up to now, and ends the thread.
    pub fn stop(self) {
        // Whether it had ended by itself is the same to us.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the keeper of the usage counters panicked");
        }
    }
}

/// How long to rest after something that was done from one instant to another: so many times as long.
fn rest_after(begun: Timestamp, ended: Timestamp, times: u32, max: Duration) -> Duration {
    let took = ended.micros().saturating_sub(begun.micros());
    let took = Duration::from_micros(u64::try_from(took).unwrap_or_default());
    took.saturating_mul(times).clamp(PAUSE, max)
}

struct Keeping {
    parts: KeeperParts,
    /// Whether the store broke; it is said once, and tried no more: sled's errors stay.
    failed: bool,
    /// The last erasure after which it was looked whose keys are to be forgotten.
    swept: Option<Position>,
    /// The key that is described first next time, if not all were: each has its turn.
    next_described: Option<CredentialId>,
}

impl Keeping {
    fn with_store(&mut self, work: impl FnOnce(&Self, &UsageStore) -> io::Result<()>) {
        let usage = Arc::clone(&self.parts.usage);
        let Some(store) = usage.store().filter(|_| !self.failed) else {
            return;
        };
        if let Err(error) = work(self, store) {
            tracing::error!(%error, "usage is counted in memory only until the next start");
            self.failed = true;
        }
    }

    /// Writes what was counted, and describes so many keys, or a few more.
    fn write(&mut self, mut described_left: usize) {
        let mut listed = self.parts.usage.take_listed();
        if listed.is_empty() {
            return;
        }
        if let Some(next) = self.next_described.take() {
            let before = listed.partition_point(|id| *id < next);
            listed.rotate_left(before);
        }
        let mut next_described = None;
        self.with_store(|keeping, store| {
            let usage = &keeping.parts.usage;
            for some in listed.chunks(KEYS_A_WRITE) {
                let describes = described_left > 0;
                if !describes && next_described.is_none() {
                    next_described = some.first().copied();
                }
                // Held from memory to disk, and not longer: others read in between.
                let _writing = usage.writing.lock();
                let mut changes = usage.take_changes(some, describes);
                let told = changes.iter().filter(|change| change.described.is_some());
                described_left = described_left.saturating_sub(told.count());
                keeping.name_persons(&mut changes);
                store.write(&changes, &keeping.parts.rng)?;
            }
            store.flush()
        });
        self.next_described = next_described;
        if self.failed || self.parts.usage.store().is_none() {
            // Nothing will be written, so nothing may gather.
            for some in listed.chunks(KEYS_A_WRITE) {
                drop(self.parts.usage.take_changes(some, true));
            }
        }
    }

    /// Says whose the keys are, so that what is known of their uses is forgotten with the person.
    fn name_persons(&self, changes: &mut [UseChange]) {
        let directory = self.parts.lookups.directory();
        for change in changes {
            let Some(described) = &mut change.described else {
                continue;
            };
            let holder = directory.api_key(change.id).map(|key| key.issued.holder);
            if let Some(Holder::User { user, .. }) = holder {
                described.person = Some(user.into());
            }
        }
    }

    /// Tells the ledger of first uses. A death before that loses them, and the next use of the key
    /// is the first that is told.
    async fn tell(&self) {
        let KeeperParts {
            usage,
            lookups,
            committer,
            network_key,
            ..
        } = &self.parts;
        let mut telling = JoinSet::new();
        for first in usage.take_news() {
            let note = first.note(network_key);
            // After a start every use looks new to us; the ledger knows better.
            if !lookups.directory().is_news(&note) {
                continue;
            }
            let (committer, usage) = (committer.clone(), Arc::clone(usage));
            telling.spawn(async move {
                match committer.submit(first.submission(note)).await {
                    // Refused is a key that nobody knows any more.
                    Ok(_) | Err(NotCommitted::Refused(_) | NotCommitted::TooLarge { .. }) => {}
                    Err(
                        NotCommitted::Busy
                        | NotCommitted::OutOfSpace { .. }
                        | NotCommitted::Stopped,
                    ) => usage.give_back(&first),
                }
            });
        }
        telling.join_all().await;
    }

    fn fold(&mut self) {
        self.with_store(|keeping, store| store.fold(keeping.parts.clock.now()));
    }

    fn is_somebody_erased(&self) -> bool {
        self.parts.lookups.directory().last_erasure() > self.swept
    }

    /// Forgets the keys that are long gone, and where those were used that are long idle. Those of
    /// somebody who was erased go at once.
    fn sweep(&mut self) {
        let now = self.parts.clock.now();
        let gone: Vec<CredentialId> = {
            let directory = self.parts.lookups.directory();
            self.swept = directory.last_erasure();
            let is_gone = |id: &CredentialId| match directory.api_key(*id) {
                None => true,
                Some(key) => {
                    directory.is_of_erased(key) || is_past(key.revoked_at(), GONE_KEPT_SECONDS, now)
                }
            };
            self.parts.usage.ids().into_iter().filter(is_gone).collect()
        };
        for id in &gone {
            self.parts.usage.forget(*id);
        }
        self.parts
            .usage
            .forget_sources(|at| is_past(Some(at), SOURCE_KEPT_SECONDS, now));
        self.with_store(|_, store| {
            gone.iter().try_for_each(|id| store.forget(*id, now))?;
            store.flush()
        });
    }
}

/// Whether something that was at `at` is longer ago than `seconds`.
fn is_past(at: Option<Timestamp>, seconds: u64, now: Timestamp) -> bool {
    at.is_some_and(|at| at.plus_seconds(seconds) < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_much_to_write_rests_longer() {
        let at = Timestamp::from_micros(1_800_000_000_000_000);
        for (took_micros, rest_millis) in [
            (0, 2_000),
            (20_000, 2_000),
            (40_000, 4_000),
            (3_000_000, 10_000),
            (-5, 2_000),
        ] {
            let ended = Timestamp::from_micros(at.micros() + took_micros);
            let rest = Duration::from_millis(rest_millis);
            assert_eq!(rest_after(at, ended, 100, PAUSE_MAX), rest, "{took_micros}");
        }
    }
}
