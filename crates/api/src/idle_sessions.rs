//! Which sessions were left alone for too long.

use core::time::Duration;

use governor::clock::Clock as _;
use governor::nanos::Nanos;
use keyledger_domain::id::SessionId;
use keyledger_domain::session::SESSION_SECONDS;
use parking_lot::Mutex;

use crate::throttles::{Bounded, Ticks};

/// How many sessions are remembered. Only whoever has a session's secret adds one.
const SESSIONS_MAX: usize = 1 << 20;

/// When each session was last used, by the monotonic clock. Kept in memory: to write each use into
/// the ledger would make it a record of who read what when. So a restart counts as a use; the
/// session's end, which is in the ledger, does not move.
pub(crate) struct IdleSessions {
    after: Duration,
    ticks: Ticks,
    used_at: Mutex<Bounded<SessionId, Nanos>>,
}

impl IdleSessions {
    /// Sessions end that were not used for so long.
    pub(crate) fn new(after: Duration, ticks: &Ticks) -> Self {
        // Forgotten only when the session itself is over: otherwise it would come back to life.
        let remembered = Duration::from_secs(SESSION_SECONDS);
        Self {
            after,
            ticks: ticks.clone(),
            used_at: Mutex::new(Bounded::new(SESSIONS_MAX, remembered)),
        }
    }

    /// A session whose secret was shown is used: whether it may be. One that was left alone for too
    /// long stays so.
    pub(crate) fn use_one(&self, session: SessionId) -> bool {
        let now = self.ticks.now();
        let mut used_at = self.used_at.lock();
        let before = used_at.get(&session, now).copied();
        let is_idle = before.is_some_and(|at| Duration::from(now.saturating_sub(at)) >= self.after);
        if !is_idle {
            *used_at.touch(session, now, || now) = now;
        }
        !is_idle
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const SESSION: SessionId = SessionId::from_bytes([1; 16]);

    #[test]
    fn n104_a_session_that_is_left_alone_ends_and_never_comes_back() {
        let clock = FakeRelativeClock::default();
        let pass = |seconds| clock.advance(Duration::from_secs(seconds));
        let idle = IdleSessions::new(Duration::from_mins(10), &Ticks::of_test(&clock));
        assert!(idle.use_one(SESSION), "the first use");
        for _ in 0..10 {
            pass(599);
            assert!(idle.use_one(SESSION), "it is used");
        }
        pass(600);
        assert!(!idle.use_one(SESSION));
        pass(1);
        assert!(!idle.use_one(SESSION), "trying is no use");
        assert!(idle.use_one(SessionId::from_bytes([2; 16])), "another one");
    }

    #[test]
    fn n104_it_stays_ended_until_its_absolute_end() {
        let clock = FakeRelativeClock::default();
        let idle = IdleSessions::new(Duration::from_mins(10), &Ticks::of_test(&clock));
        assert!(idle.use_one(SESSION));
        clock.advance(Duration::from_mins(10));
        for _ in 0..(SESSION_SECONDS / 599 - 1) {
            // Others come and go, and the memory turns over.
            clock.advance(Duration::from_secs(599));
            idle.use_one(SessionId::from_bytes([2; 16]));
            assert!(!idle.use_one(SESSION));
        }
    }
}
