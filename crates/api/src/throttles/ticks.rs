//! The monotonic clock.

use std::time::Instant;

use governor::clock::Clock;
use governor::nanos::Nanos;

/// Time since the server began, by the machine's monotonic clock: the wall clock may be set, and then
/// neither a delay ends early nor a bucket fills.
#[derive(Clone)]
pub(crate) struct Ticks(Source);

#[derive(Clone)]
enum Source {
    Machine(Instant),
    #[cfg(test)]
    Test(governor::clock::FakeRelativeClock),
}

impl Ticks {
    /// From now on.
    pub(crate) fn from_now() -> Self {
        Self(Source::Machine(Instant::now()))
    }

    /// A clock that a test sets.
    #[cfg(test)]
    pub(crate) fn of_test(clock: &governor::clock::FakeRelativeClock) -> Self {
        Self(Source::Test(clock.clone()))
    }
}

impl Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        match &self.0 {
            Source::Machine(start) => start.elapsed().into(),
            #[cfg(test)]
            Source::Test(clock) => clock.now(),
        }
    }
}
