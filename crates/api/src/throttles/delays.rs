//! Delays that double with each failure.

use core::hash::Hash;
use core::num::NonZeroU32;
use core::time::Duration;

use governor::clock::Clock as _;
use governor::nanos::Nanos;
use parking_lot::Mutex;

use super::bounded::Bounded;
use super::ticks::Ticks;
use super::{REMEMBERED_MAX, Wait};

/// How a delay grows.
#[derive(Clone, Copy)]
pub(super) struct Growth {
    /// How many failures go without one.
    pub(super) free: NonZeroU32,
    /// Where it ends to grow.
    pub(super) longest: Duration,
    /// How long failures are remembered after the last one.
    pub(super) remembered: Duration,
}

impl Growth {
    /// The delay after so many failures: 1, 2, 4 seconds and so on.
    fn after(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.free.get()) else {
            return Duration::ZERO;
        };
        let seconds = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        Duration::from_secs(seconds).min(self.longest)
    }
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    until: Nanos,
}

/// The failures of each key, and how long it has to wait.
pub(super) struct Delays<K> {
    growth: Growth,
    ticks: Ticks,
    failures: Mutex<Bounded<K, Failures>>,
}

impl<K: Eq + Hash + Clone> Delays<K> {
    pub(super) fn new(growth: Growth, ticks: &Ticks) -> Self {
        Self {
            growth,
            ticks: ticks.clone(),
            failures: Mutex::new(Bounded::new(REMEMBERED_MAX, growth.remembered)),
        }
    }

    /// How long a key has still to wait, if it has to.
    pub(super) fn wait(&self, key: &K) -> Option<Wait> {
        let now = self.ticks.now();
        let until = self.failures.lock().get(key, now)?.until;
        let wait = Duration::from(until.saturating_sub(now));
        (!wait.is_zero()).then_some(Wait(wait))
    }

    /// One more failure; its delay begins now.
    pub(super) fn failed(&self, key: K) {
        let now = self.ticks.now();
        let none = || Failures {
            count: 0,
            until: Nanos::new(0),
        };
        let mut table = self.failures.lock();
        let failures = table.touch(key, now, none);
        failures.count = failures.count.saturating_add(1);
        let delay = self.growth.after(failures.count);
        // A failure without a delay sets no time: whoever read the clock a moment before would find
        // that it has not come yet, and be turned away.
        if !delay.is_zero() {
            // Of two that were under way at once, the longer delay holds.
            failures.until = failures.until.max(now + Nanos::from(delay));
        }
    }

    /// A success: as if there had been no failure.
    pub(super) fn succeeded(&self, key: &K) {
        self.failures.lock().remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.failures.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_failure_without_a_delay_turns_nobody_away_who_came_a_moment_before() {
        let growth = Growth {
            free: NonZeroU32::MAX,
            longest: Duration::from_mins(1),
            remembered: Duration::from_hours(1),
        };
        let (before, after) = (FakeRelativeClock::default(), FakeRelativeClock::default());
        after.advance(Duration::from_nanos(1));
        let mut delays = Delays::new(growth, &Ticks::of_test(&after));
        delays.failed("key");
        delays.ticks = Ticks::of_test(&before);
        assert_eq!(delays.wait(&"key"), None);
    }
}
