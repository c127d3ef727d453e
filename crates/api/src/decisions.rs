//! Why somebody was refused: kept in memory for a while, so that those who are allowed to know can
//! be told ([`crate::routes::decisions`]). Never in the ledger: a refusal changes nothing.
//!
//! Every 401 and 403 carries the id of its decision, also where nobody may ever read it, so that the
//! answers look alike. What is kept has a fixed size, and the newest takes the place of the oldest:
//! nobody who is refused without end fills the memory. Strangers have a shelf of their own, so that
//! they cannot push out what known callers were refused.

mod check;
mod decision;
mod mark;

use core::fmt;
use core::str::FromStr;
use core::sync::atomic::{AtomicU64, Ordering};

use keyledger_domain::Actor;
use keyledger_domain::id::UserId;
use parking_lot::Mutex;

pub(crate) use check::{Check, Denial, Standing};
pub(crate) use decision::{Decision, Reader, Shown};
pub(crate) use mark::{is_denial, mark};

/// How many decisions are kept in all, half of them for strangers.
pub(crate) const KEPT_MAX: usize = 4_096;

/// The name of a decision: 128 bits that nobody guesses, told to whoever was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecisionId([u8; 16]);

impl DecisionId {
    /// Its 32 hexadecimal digits, written without allocating.
    pub(crate) fn encode(self, buffer: &mut [u8; 32]) -> &str {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for (byte, pair) in self.0.iter().zip(buffer.chunks_exact_mut(2)) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        core::str::from_utf8(buffer).unwrap_or_default()
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; 32]))
    }
}

/// The text is not the id of a decision.
#[derive(Debug)]
pub(crate) struct NotADecisionId;

impl FromStr for DecisionId {
    type Err = NotADecisionId;

    fn from_str(text: &str) -> Result<Self, NotADecisionId> {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        if text.len() != 32 {
            return Err(NotADecisionId);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (high, low) = (nibble(pair[0]), nibble(pair[1]));
            *byte = high.ok_or(NotADecisionId)? << 4 | low.ok_or(NotADecisionId)?;
        }
        Ok(Self(bytes))
    }
}

/// What is kept of refusals.
pub(crate) struct Decisions {
    /// Random in each run of the server.
    key: [u8; 32],
    next: AtomicU64,
    /// For those who were known and may not.
    callers: Mutex<Shelf>,
    /// For those who were not known, where somebody may ask why.
    strangers: Mutex<Shelf>,
    /// For those of whom nobody is told. It holds one, and is there so that they cost the same.
    nobody: Mutex<Shelf>,
}

impl Decisions {
    /// Keeps nothing yet. `key` is random, and nobody else's.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            next: AtomicU64::new(0),
            callers: Mutex::new(Shelf::new(KEPT_MAX / 2)),
            strangers: Mutex::new(Shelf::new(KEPT_MAX / 2)),
            nobody: Mutex::new(Shelf::new(1)),
        }
    }

    /// The next id: a keyed hash of a counter, which asks the system for nothing.
    fn draw(&self) -> DecisionId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.key, &number.to_le_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        DecisionId(id)
    }

    /// Keeps a decision, and tells the id under which it is found.
    pub(crate) fn keep(&self, decision: Decision) -> DecisionId {
        let place = match decision.shown {
            Shown::Good => &self.callers,
            Shown::Bad if decision.readers.is_empty() => &self.nobody,
            Shown::Bad => &self.strangers,
        };
        let id = self.draw();
        place.lock().put(id, decision);
        id
    }

    /// Forgets what somebody was refused, and what was refused for keys of theirs: it says from where.
    pub(crate) fn forget(&self, user: UserId) {
        for place in [&self.callers, &self.strangers] {
            place.lock().forget(Actor::User(user));
        }
    }

    /// The decision of this name, if it is still kept.
    pub(crate) fn find(&self, id: DecisionId) -> Option<Decision> {
        let found = |shelf: &Mutex<Shelf>| shelf.lock().find(id).cloned();
        found(&self.callers).or_else(|| found(&self.strangers))
    }
}

/// So many decisions, the newest in the place of the oldest.
struct Shelf {
    kept: Vec<(DecisionId, Decision)>,
    capacity: usize,
    /// The place of the oldest, once all are taken.
    oldest: usize,
}

impl Shelf {
    fn new(capacity: usize) -> Self {
        Self {
            kept: Vec::with_capacity(capacity),
            capacity,
            oldest: 0,
        }
    }

    fn put(&mut self, id: DecisionId, decision: Decision) {
        if self.kept.len() < self.capacity {
            self.kept.push((id, decision));
            return;
        }
        self.kept[self.oldest] = (id, decision);
        self.oldest = (self.oldest + 1) % self.capacity;
    }

    fn forget(&mut self, actor: Actor) {
        let is_theirs = |decision: &Decision| {
            let holder = decision.subject.key.map(|(_, holder)| holder.actor());
            decision.subject.actor == actor || holder == Some(actor)
        };
        // In the order of their age again, so that the oldest goes first when it is full.
        self.kept.rotate_left(self.oldest);
        self.oldest = 0;
        self.kept.retain(|(_, decision)| !is_theirs(decision));
    }

    /// Asked rarely, so that a walk along the shelf will do.
    fn find(&self, id: DecisionId) -> Option<&Decision> {
        let found = self.kept.iter().find(|(own, _)| *own == id);
        found.map(|(_, decision)| decision)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use keyledger_domain::id::OrgId;

    use super::*;

    fn decisions() -> Decisions {
        Decisions::new([7; 32])
    }

    #[test]
    fn n130_ten_thousand_refusals_keep_as_many_as_there_is_room_for() {
        let decisions = decisions();
        let readers: Box<[OrgId]> = [OrgId::from_bytes([1; 16])].into();
        let refuse = |shown| {
            decisions.keep(Decision {
                shown,
                readers: readers.clone(),
                ..decision::nobody()
            })
        };
        let places = |shelf: &Mutex<Shelf>| {
            let shelf = shelf.lock();
            (shelf.kept.as_ptr(), shelf.kept.capacity())
        };
        let before = (places(&decisions.callers), places(&decisions.strangers));
        let ids: Vec<_> = (0..10_000)
            .map(|number| {
                refuse(if number % 2 == 0 {
                    Shown::Good
                } else {
                    Shown::Bad
                })
            })
            .collect();
        let kept = ids.iter().filter(|id| decisions.find(**id).is_some());
        assert_eq!(kept.count(), KEPT_MAX);
        let newest = &ids[10_000 - KEPT_MAX..];
        assert!(newest.iter().all(|id| decisions.find(*id).is_some()));
        let after = (places(&decisions.callers), places(&decisions.strangers));
        assert_eq!(after, before, "not an allocation more than at the start");
    }

    #[test]
    fn strangers_push_out_nothing_that_callers_were_refused() {
        let decisions = decisions();
        let callers = decisions.keep(Decision {
            shown: Shown::Good,
            ..decision::nobody()
        });
        for _ in 0..10_000 {
            decisions.keep(Decision {
                readers: [OrgId::from_bytes([1; 16])].into(),
                ..decision::nobody()
            });
        }
        assert!(decisions.find(callers).is_some());
    }

    #[test]
    fn what_nobody_may_read_is_not_found_and_has_an_id_all_the_same() {
        let decisions = decisions();
        let id = decisions.keep(decision::nobody());
        assert!(decisions.find(id).is_none());
        assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn ids_are_all_different_and_read_as_they_are_written() {
        let decisions = decisions();
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let id = decisions.draw();
            assert_eq!(id.to_string().parse::<DecisionId>().unwrap(), id);
            assert!(seen.insert(id.to_string()));
        }
        let upper = decisions.draw().to_string().to_uppercase() + "A";
        for wrong in ["", "0", &"g".repeat(32), &upper[1..], &"é".repeat(16)] {
            assert!(wrong.parse::<DecisionId>().is_err(), "{wrong}");
        }
    }
}
