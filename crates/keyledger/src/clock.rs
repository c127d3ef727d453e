//! The only clock of the process.

use std::sync::atomic::{AtomicI64, Ordering};

use keyledger_domain::Timestamp;
use keyledger_ledger::Clock;

/// The wall clock, held so that it never goes back while the process runs: a clock that is set
/// back must not revive what has expired.
pub(crate) struct WallClock {
    latest_micros: AtomicI64,
}

impl WallClock {
    /// A clock that nobody has read yet. What the ledger knows of time, [`Self::not_before`] is told.
    pub(crate) const fn new() -> Self {
        Self {
            latest_micros: AtomicI64::new(i64::MIN),
        }
    }

    /// Lets it go on from here, should the machine's clock be behind.
    pub(crate) fn not_before(&self, at: Timestamp) {
        self.latest_micros.fetch_max(at.micros(), Ordering::Relaxed);
    }
}

/// What the machine's clock says, unheld.
pub(crate) fn wall() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the system"
    )]
    let now = std::time::SystemTime::now();
    let micros = match now.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
    };
    Timestamp::from_micros(micros)
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let wall = wall().micros();
        let latest = self.latest_micros.fetch_max(wall, Ordering::Relaxed);
        Timestamp::from_micros(wall.max(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n135_it_never_goes_back() {
        let clock = WallClock::new();
        let tomorrow = wall().plus_seconds(86_400);
        clock.not_before(tomorrow);
        assert!(clock.now() >= tomorrow);
        assert!(clock.now() >= tomorrow);
    }
}
