//! The state as it was after an earlier record: from the nearest snapshot before it, and the records in
//! between.
//!
//! A snapshot counts only if the tree had its root at its position, as at a start. What is told of persons is
//! told as it is known now: whoever was erased since reads as erased in every state of before, because the
//! snapshots that knew them are gone and the records no longer open.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;
use std::sync::Arc;

use keyledger_domain::{Directory, Position, Timestamp};
use thiserror::Error;

use crate::ledger::{ReadError, RecordReader};
use crate::record::Depth;
use crate::replay::{ReplayError, Source, advance_state};
use crate::snapshot::Snapshots;
use crate::store;
use crate::tree::TreeReader;

/// How many states are kept for the next question. Two, because whoever compares asks for two in turn.
const KEPT_MAX: usize = 2;

/// Why there is no such state.
#[derive(Debug, Error)]
pub enum PastError {
    /// It has not come to pass. The caller's to mend.
    #[error("the ledger ends at position {last}, so nothing is known of position {position}")]
    NotYet {
        /// What was asked for.
        position: Position,
        /// The last record.
        last: Position,
    },
    /// Records that it takes were moved away, and no snapshot stands in their place.
    #[error(
        "the records up to {position} were archived; move their segments back and start again to ask about \
         that time"
    )]
    Archived {
        /// The last that was moved away.
        position: Position,
    },
    /// The records do not give it.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A record could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<store::ReadError> for PastError {
    fn from(error: store::ReadError) -> Self {
        Self::Read(error.into())
    }
}

/// A moment of the ledger, written as an instant (RFC 3339) or as the position of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After this record.
    Position(Position),
    /// After the last record that was made by then.
    Time(Timestamp),
}

/// The text is neither an instant nor a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an instant such as 2027-01-31T09:00:00Z, nor the position of a record")]
pub struct NotAMoment;

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.get().fmt(f),
            Self::Time(at) => at.fmt(f),
        }
    }
}

impl FromStr for Moment {
    type Err = NotAMoment;

    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let moment = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().ok().map(Position::new).map(Self::Position)
        } else {
            text.parse().ok().map(Self::Time)
        };
        moment.ok_or(NotAMoment)
    }
}

/// An earlier state, and the moment that it was asked for: whatever ends by itself is judged by that.
#[derive(Clone, Debug)]
pub struct Then {
    /// The state.
    pub state: Arc<Directory>,
    /// The moment; of a position, that of its record.
    pub at: Timestamp,
}

/// Gives earlier states. Each question takes up to the time of a replay, so ask on a thread that may
/// wait; end it before the ledger is to be stopped.
#[derive(Clone)]
pub struct Past {
    pub(crate) reader: RecordReader,
    /// The file to be named in errors.
    pub(crate) path: PathBuf,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) hashes: TreeReader,
}

/// The states that were asked for last, for whoever asks for the same, or for one a little later.
#[derive(Default)]
pub struct Recalled {
    /// The last one last.
    states: Vec<Arc<Directory>>,
    /// The last erasure that they know of.
    erasure: Position,
}

impl Recalled {
    fn find(&self, position: Position) -> Option<&Arc<Directory>> {
        self.states
            .iter()
            .find(|state| state.position() == position)
    }

    /// The last state that is not beyond a position.
    fn nearest(&self, position: Position) -> Option<&Arc<Directory>> {
        let before = self.states.iter();
        let before = before.filter(|state| state.position() <= position);
        before.max_by_key(|state| state.position())
    }

    fn keep(&mut self, state: &Arc<Directory>) {
        let position = state.position();
        self.states.retain(|kept| kept.position() != position);
        if self.states.len() == KEPT_MAX {
            self.states.remove(0);
        }
        self.states.push(Arc::clone(state));
    }
}

impl Past {
    /// The last record.
    pub fn last(&self) -> Position {
        self.reader.last()
    }

    /// The last record that was made at this instant or before: some twenty of a million are read.
    ///
    /// # Errors
    /// [`PastError::Archived`] if it may be one of those that were moved away; or if one cannot be read.
    pub fn last_at(&self, at: Timestamp) -> Result<Position, PastError> {
        let archived = self.reader.archived();
        // Every record up to `before` was made by then, none from `from` on.
        let (mut before, mut from) = (archived.get(), self.last().get() + 1);
        while before + 1 < from {
            let middle = before + (from - before) / 2;
            let head = self.reader.head(Position::new(middle))?;
            if head.is_some_and(|head| head.at <= at) {
                before = middle;
            } else {
                from = middle;
            }
        }
        let found = Position::new(before);
        if found == archived && archived > Position::ZERO {
            return Err(PastError::Archived { position: archived });
        }
        Ok(found)
    }

    /// The state at a moment.
    ///
    /// # Errors
    /// See [`PastError`].
    pub fn find(&self, moment: Moment, recalled: &mut Recalled) -> Result<Then, PastError> {
        let (position, at) = match moment {
            Moment::Position(position) => (position, None),
            Moment::Time(at) => (self.last_at(at)?, Some(at)),
        };
        let state = self.at(position, recalled)?;
        let at = at.unwrap_or_else(|| state.at());
        Ok(Then { state, at })
    }

    /// The state after this record; of nothing at all for position 0.
    ///
    /// # Errors
    /// See [`PastError`].
    pub fn at(
        &self,
        position: Position,
        recalled: &mut Recalled,
    ) -> Result<Arc<Directory>, PastError> {
        let last = self.last();
        if position > last {
            return Err(PastError::NotYet { position, last });
        }
        loop {
            let erasure = self.snapshots.last_erasure();
            if recalled.erasure < erasure {
                *recalled = Recalled {
                    states: Vec::new(),
                    erasure,
                };
            }
            if let Some(state) = recalled.find(position) {
                let state = Arc::clone(state);
                recalled.keep(&state);
                return Ok(state);
            }
            let state = Arc::new(self.compute(position, recalled)?);
            // Who was erased meanwhile may have been read before: then it is asked again.
            if self.snapshots.last_erasure() == erasure {
                recalled.keep(&state);
                return Ok(state);
            }
        }
    }

    fn compute(&self, position: Position, recalled: &Recalled) -> Result<Directory, PastError> {
        let kept = recalled.nearest(position);
        let known = kept.map_or(Position::ZERO, |kept| kept.position());
        let snapshot = self.snapshot(known, position);
        let base = match (snapshot, kept) {
            (Some(snapshot), _) => snapshot,
            (None, Some(kept)) => (**kept).clone(),
            (None, None) => Directory::default(),
        };
        let archived = self.reader.archived();
        if base.position() < archived && base.position() < position {
            return Err(PastError::Archived { position: archived });
        }
        let source = Source {
            store: self.reader.store(),
            path: &self.path,
            persons: self.reader.persons(),
            depth: Depth::State,
            archived: None,
        };
        Ok(advance_state(&source, base, position)?)
    }

    /// The newest snapshot beyond one position and not beyond another that is one of this ledger.
    fn snapshot(&self, beyond: Position, upto: Position) -> Option<Directory> {
        self.snapshots.between(beyond, upto).find_map(|folded| {
            let size = folded.position().get();
            let is_ours = match self.hashes.root(size) {
                Ok(root) => root == folded.frontier.root(),
                // The last few hashes may not be written yet.
                Err(_) => false,
            };
            is_ours.then_some(folded.directory)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(position: u64) -> Arc<Directory> {
        let mut directory = Directory::default();
        for number in 1..=position {
            directory.apply(&nothing(number));
        }
        Arc::new(directory)
    }

    fn nothing(position: u64) -> keyledger_domain::Record {
        keyledger_domain::Record {
            position: Position::new(position),
            at: Timestamp::default(),
            clock_behind_micros: 0,
            origin: keyledger_domain::Origin::system(keyledger_domain::id::RequestId::from_bytes(
                [0; 16],
            )),
            organizations: Vec::new(),
            event: keyledger_domain::Event::ApiKeyRevealed(
                keyledger_domain::api_key::ApiKeyRevealed {
                    id: "3kTMd9wQx".parse().expect("an id"),
                },
            ),
        }
    }

    #[test]
    fn n128_a_moment_is_an_instant_or_a_position() {
        let at = |text: &str| text.parse::<Moment>().ok();
        assert_eq!(at("0"), Some(Moment::Position(Position::ZERO)));
        assert_eq!(at("42"), Some(Moment::Position(Position::new(42))));
        let instant = "2027-01-31T09:00:00Z";
        let parsed = instant.parse().expect("an instant");
        assert_eq!(at(instant), Some(Moment::Time(parsed)));
        assert_eq!(at("2027-01-31T10:00:00+01:00"), Some(Moment::Time(parsed)));
        for moment in [Moment::Position(Position::new(42)), Moment::Time(parsed)] {
            assert_eq!(at(&moment.to_string()), Some(moment));
        }
        for bad in [
            "",
            "-1",
            "+1",
            "1.0",
            "0x10",
            "now",
            "2027-01-31",
            "2027-01-31T09:00:00",
            "99999999999999999999",
            "\u{661}",
            " 1",
        ] {
            assert_eq!(at(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn two_states_are_kept_and_the_nearest_before_is_found() {
        let mut recalled = Recalled::default();
        for position in [3, 7, 5, 7] {
            recalled.keep(&state(position));
        }
        let kept: Vec<u64> = recalled.states.iter().map(|s| s.position().get()).collect();
        assert_eq!(kept, [5, 7]);
        let nearest = |position| {
            let found = recalled.nearest(Position::new(position));
            found.map(|state| state.position().get())
        };
        assert_eq!(
            (nearest(4), nearest(6), nearest(9)),
            (None, Some(5), Some(7))
        );
        assert!(recalled.find(Position::new(5)).is_some());
        assert!(recalled.find(Position::new(6)).is_none());
    }
}
