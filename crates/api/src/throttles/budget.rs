//! Budgets that refill, by governor's generic cell rate algorithm.
//!
//! The store of the cells is ours: governor's own grows with each key that was ever seen.

use core::hash::Hash;
use core::time::Duration;
use std::sync::Arc;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use super::bounded::Bounded;
use super::ticks::Ticks;
use super::{REMEMBERED_MAX, Wait};

/// The cells of all keys.
struct Cells<K> {
    by_key: Arc<Mutex<Bounded<K, Nanos>>>,
    ticks: Ticks,
    /// Whether what is measured is kept. Where it is not, looking costs nothing.
    keeps: bool,
}

impl<K: Eq + Hash + Clone> StateStore for Cells<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let now = self.ticks.now();
        let mut cells = self.by_key.lock();
        let (outcome, next) = f(cells.get(key, now).copied())?;
        if self.keeps {
            *cells.touch(key.clone(), now, || next) = next;
        }
        Ok(outcome)
    }
}

/// Governor's part, by our clock.
type Limiter<K> = RateLimiter<K, Cells<K>, Ticks, NoOpMiddleware<Nanos>>;

/// A budget for each key.
pub(super) struct Budget<K: Eq + Hash + Clone> {
    spending: Limiter<K>,
    looking: Limiter<K>,
    #[cfg(test)]
    cells: Arc<Mutex<Bounded<K, Nanos>>>,
}

impl<K: Eq + Hash + Clone> Budget<K> {
    pub(super) fn new(quota: Quota, ticks: &Ticks) -> Self {
        // What was not touched for as long as it takes to refill is full, and needs no memory.
        let refill = quota
            .burst_size_replenished_in()
            .max(Duration::from_secs(1));
        let cells = Arc::new(Mutex::new(Bounded::new(REMEMBERED_MAX, refill)));
        let limiter = |keeps| {
            let store = Cells {
                by_key: Arc::clone(&cells),
                ticks: ticks.clone(),
                keeps,
            };
            RateLimiter::new(quota, store, ticks.clone())
        };
        Self {
            spending: limiter(true),
            looking: limiter(false),
            #[cfg(test)]
            cells,
        }
    }

    /// How long a key has to wait, if its budget is spent. Nothing is spent by asking.
    pub(super) fn wait(&self, key: &K) -> Option<Wait> {
        Self::take(&self.looking, key).err()
    }

    /// Spends one.
    ///
    /// # Errors
    /// How long until there is one to spend; then nothing is spent.
    pub(super) fn spend(&self, key: &K) -> Result<(), Wait> {
        Self::take(&self.spending, key)
    }

    fn take(limiter: &Limiter<K>, key: &K) -> Result<(), Wait> {
        limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(limiter.clock().now());
            Wait(wait.max(Duration::from_millis(1)))
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.cells.lock().len()
    }
}
