//! What apps asked of people who have not answered yet.
//!
//! Kept in memory only: who is asked has a page open that says what is asked, and after a restart
//! loading it again asks anew. The request itself never travels through the form, so nothing that
//! was checked can be changed on the way back.

use core::str::FromStr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::clock::Clock as _;
use governor::nanos::Nanos;
use keyledger_domain::id::SessionId;
use parking_lot::Mutex;

use crate::throttles::Ticks;

/// How long somebody may think about it.
const LIFETIME: Duration = Duration::from_mins(10);
/// How many may be open in a session, as tabs are; one more closes the oldest.
const OF_SESSION_MAX: usize = 16;
/// How many may be open in all; one more closes the oldest of all.
const ALL_MAX: usize = 10_000;

/// What a form names its request by: 256 random bits. No `Debug`: with the session's cookie it
/// answers in the person's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PendingId([u8; 32]);

impl PendingId {
    /// From fresh random bytes.
    pub(crate) const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hidden field.
    pub(crate) fn field(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// The text names no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAPendingId;

impl FromStr for PendingId {
    type Err = NotAPendingId;

    fn from_str(text: &str) -> Result<Self, NotAPendingId> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAPendingId)?;
        bytes.try_into().map(Self).map_err(|_| NotAPendingId)
    }
}

/// The requests that wait for an answer.
pub(crate) struct Pending<R> {
    ticks: Ticks,
    held: Mutex<Held<R>>,
}

struct Held<R> {
    by_id: HashMap<PendingId, Asked<R>>,
    /// By the order in which they came, which is that of their time too.
    by_age: BTreeMap<u64, PendingId>,
    of_sessions: HashMap<SessionId, BTreeSet<u64>>,
    next: u64,
}

struct Asked<R> {
    session: SessionId,
    at: Nanos,
    number: u64,
    request: R,
}

impl<R> Pending<R> {
    /// Nobody has been asked yet.
    pub(crate) fn new(ticks: &Ticks) -> Self {
        Self {
            ticks: ticks.clone(),
            held: Mutex::new(Held {
                by_id: HashMap::new(),
                by_age: BTreeMap::new(),
                of_sessions: HashMap::new(),
                next: 0,
            }),
        }
    }

    /// Keeps a request until whoever has this session answers it.
    pub(crate) fn hold(&self, id: PendingId, session: SessionId, request: R) {
        let at = self.ticks.now();
        let mut held = self.held.lock();
        held.forget(at);
        let of_session = held.of_sessions.get(&session);
        let oldest_of_session = of_session
            .filter(|open| open.len() >= OF_SESSION_MAX)
            .and_then(|open| open.first().copied());
        let is_full = held.by_id.len() >= ALL_MAX;
        let oldest = held.by_age.keys().next().copied().filter(|_| is_full);
        if let Some(number) = oldest_of_session.or(oldest) {
            held.close(number);
        }
        let number = held.next;
        held.next += 1;
        let asked = Asked {
            session,
            at,
            number,
            request,
        };
        held.by_id.insert(id, asked);
        held.by_age.insert(number, id);
        held.of_sessions.entry(session).or_default().insert(number);
    }

    /// Takes a request out, to be answered: once. Another session's is not there, and stays.
    pub(crate) fn take(&self, id: PendingId, session: SessionId) -> Option<R> {
        let now = self.ticks.now();
        let mut held = self.held.lock();
        held.forget(now);
        let asked = held.by_id.get(&id)?;
        if asked.session != session {
            return None;
        }
        let number = asked.number;
        held.close(number)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let held = self.held.lock();
        let of_sessions: usize = held.of_sessions.values().map(BTreeSet::len).sum();
        assert_eq!(held.by_id.len(), held.by_age.len());
        assert_eq!(held.by_id.len(), of_sessions);
        held.by_id.len()
    }
}

impl<R> Held<R> {
    /// Forgets what nobody answered in time.
    fn forget(&mut self, now: Nanos) {
        while let Some((&number, id)) = self.by_age.first_key_value() {
            let at = self.by_id.get(id).map_or(now, |asked| asked.at);
            if Duration::from(now.saturating_sub(at)) < LIFETIME {
                return;
            }
            self.close(number);
        }
    }

    fn close(&mut self, number: u64) -> Option<R> {
        let id = self.by_age.remove(&number)?;
        let asked = self.by_id.remove(&id)?;
        if let Some(open) = self.of_sessions.get_mut(&asked.session) {
            open.remove(&number);
            if open.is_empty() {
                self.of_sessions.remove(&asked.session);
            }
        }
        Some(asked.request)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn id(number: u64) -> PendingId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        PendingId::from_random(bytes)
    }

    fn session(number: u64) -> SessionId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        SessionId::from_bytes(bytes)
    }

    fn pending() -> (FakeRelativeClock, Pending<u64>) {
        let clock = FakeRelativeClock::default();
        let pending = Pending::new(&Ticks::of_test(&clock));
        (clock, pending)
    }

    #[test]
    fn n032_a_request_is_answered_once_and_in_its_own_session() {
        let (_, pending) = pending();
        pending.hold(id(1), session(1), 7);
        assert_eq!(pending.take(id(1), session(2)), None, "another session");
        assert_eq!(pending.take(id(2), session(1)), None, "another request");
        assert_eq!(pending.take(id(1), session(1)), Some(7));
        assert_eq!(pending.take(id(1), session(1)), None, "a second time");
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn n032_after_ten_minutes_it_is_too_late() {
        let (clock, pending) = pending();
        pending.hold(id(1), session(1), 1);
        clock.advance(Duration::from_secs(599));
        pending.hold(id(2), session(1), 2);
        assert_eq!(pending.take(id(1), session(1)), Some(1));
        pending.hold(id(3), session(2), 3);
        clock.advance(Duration::from_mins(10));
        assert_eq!(pending.take(id(2), session(1)), None);
        assert_eq!(pending.len(), 0, "what is too old is kept");
    }

    #[test]
    fn n130_a_session_keeps_its_newest_sixteen_and_another_is_not_pushed_out() {
        let (_, pending) = pending();
        pending.hold(id(1_000), session(2), 1_000);
        for number in 0..500 {
            pending.hold(id(number), session(1), number);
            assert!(pending.len() <= OF_SESSION_MAX + 1);
        }
        assert_eq!(pending.take(id(483), session(1)), None);
        assert_eq!(pending.take(id(484), session(1)), Some(484));
        assert_eq!(pending.take(id(1_000), session(2)), Some(1_000));
    }

    #[test]
    fn n130_all_together_are_bounded() {
        let (_, pending) = pending();
        for number in 0..30_000 {
            pending.hold(id(number), session(number / 4), number);
        }
        assert_eq!(pending.len(), ALL_MAX);
        assert_eq!(pending.take(id(19_999), session(4_999)), None);
        assert_eq!(pending.take(id(20_000), session(5_000)), Some(20_000));
    }

    #[test]
    fn what_a_form_sends_back() {
        let id = PendingId::from_random([7; 32]);
        assert!(id.field().parse() == Ok(id));
        let longer = format!("{}A", id.field());
        for bad in ["", "x", &id.field()[1..], &longer, "\u{e4}"] {
            assert!(bad.parse::<PendingId>() == Err(NotAPendingId), "{bad}");
        }
    }
}
