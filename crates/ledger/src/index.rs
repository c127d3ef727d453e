//! The index of events: which records are about what, so that a filter need not read them all.
//!
//! It follows the ledger and is never asked what is true: whoever searches reads the records that it
//! names and looks again. So it may lag, be dropped, or be built anew (`index/` is removed; the next start
//! does it in the background), and nothing is wrong meanwhile, only slower. It has three parts:
//!
//! ```text
//! 1 ... written            sled, by term                                  postings.rs, lists.rs
//!     ... tail             neither: every record is a candidate           while it is built
//!         ... last         in memory, until the follower has written it   follower.rs
//! ```
//!
//! The address that a request came from is personal data. Its term is a keyed tag, and an erasure has the
//! whole index built anew, in which the erased person's addresses are no more.

mod follower;
mod lists;
mod postings;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use keyledger_domain::id::{OrgId, RequestId};
use keyledger_domain::{Actor, CredentialId, Event, Position, Record};
use parking_lot::RwLock;

pub use follower::{Follower, TermsOf};

use crate::key_file::{Purpose, SubKey};
use crate::ledger::KeyFile;
use crate::paths::Paths;
use postings::Postings;

/// How many records are kept in memory at most until they are written. Beyond it the follower reads them
/// from the disk.
const TAIL_RECORDS_MAX: usize = 65_536;

/// What a term is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Whose auditors may read it.
    Organization = 1,
    /// Who did it.
    Actor = 2,
    /// What they showed.
    Credential = 3,
    /// What it is about.
    Target = 4,
    /// Its type.
    Type = 5,
    /// Where it came from.
    Source = 6,
    /// Of what it sets a value.
    Setting = 7,
}

/// Something that a record has: a kind and a hash of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term([u8; 17]);

impl Term {
    /// The term of a value.
    pub fn of(kind: Kind, value: &[u8]) -> Self {
        Self::hashed(kind, blake3::hash(value))
    }

    fn hashed(kind: Kind, hash: blake3::Hash) -> Self {
        let mut term = [kind as u8; 17];
        term[1..].copy_from_slice(&hash.as_bytes()[..16]);
        Self(term)
    }

    /// Records that the auditors of an organization may read.
    pub fn organization(org: OrgId) -> Self {
        Self::of(Kind::Organization, &org.to_bytes())
    }

    /// Records of what somebody did.
    pub fn actor(actor: Actor) -> Self {
        Self::of(Kind::Actor, actor.to_string().as_bytes())
    }

    /// Records of what was done with a credential.
    pub fn credential(id: CredentialId) -> Self {
        Self::of(Kind::Credential, id.to_string().as_bytes())
    }

    /// Records about something.
    pub fn target(target: &str) -> Self {
        Self::of(Kind::Target, target.as_bytes())
    }

    /// Records of a type.
    pub fn event_type(name: &str) -> Self {
        Self::of(Kind::Type, name.as_bytes())
    }

    /// Records that set a value of something.
    pub fn setting(thing: &str) -> Self {
        Self::of(Kind::Setting, thing.as_bytes())
    }
}

/// In which order positions are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Rising,
    /// The newest first.
    Falling,
}

/// A record that is not written yet.
#[derive(Clone, Debug)]
struct Indexed {
    position: u64,
    request: RequestId,
    terms: Box<[Term]>,
    /// Whether somebody was erased by it.
    is_erasure: bool,
}

#[derive(Default)]
struct State {
    store: Option<Arc<Postings>>,
    /// The last record in the store.
    written: u64,
    /// The last records, without a gap; the last of them is the newest there is.
    /// Shared, so that nobody holds the lock for longer than it takes to say which they want: the committer
    /// waits for it.
    tail: VecDeque<Arc<Indexed>>,
    /// The newest record that there is.
    last: u64,
    /// Whether the follower cannot go on for now.
    is_stuck: bool,
}

impl State {
    /// The first record that is in memory, or would be next.
    fn tail_from(&self) -> u64 {
        self.tail
            .front()
            .map_or(self.last + 1, |first| first.position)
    }
}

/// The index. Any thread asks; the committer's adds; the follower writes.
pub struct Index {
    folder: PathBuf,
    source_key: SubKey,
    state: RwLock<State>,
}

impl Index {
    /// The index of a data folder whose last record is this one. Nothing is opened yet: that the
    /// [`Follower`] does, and until then every record is a candidate.
    pub fn new(paths: &Paths, key_file: &KeyFile, last: Position) -> Self {
        Self {
            folder: paths.index(),
            source_key: key_file.sub_key(Purpose::IndexSource),
            state: RwLock::new(State {
                last: last.get(),
                ..State::default()
            }),
        }
    }

    /// Records that came from an address.
    pub fn source(&self, source: IpAddr) -> Term {
        let tag = self.source_key.tag(source.to_string().as_bytes());
        Term::hashed(Kind::Source, tag)
    }

    /// Adds the next record, which is found from now on.
    pub fn add(&self, record: &Record, terms: Vec<Term>) {
        let indexed = Arc::new(Indexed::of(record, terms));
        let mut state = self.state.write();
        state.last = indexed.position;
        state.tail.push_back(indexed);
        if state.tail.len() > TAIL_RECORDS_MAX {
            // The follower reads it again.
            state.tail.pop_front();
        }
    }

    /// Up to which record the index is written.
    pub fn position(&self) -> Position {
        Position::new(self.state.read().written)
    }

    /// Whether all there is was written, or cannot be for now. Who reads a folder that nobody writes to
    /// waits for it.
    pub fn is_settled(&self) -> bool {
        let state = self.state.read();
        state.written >= state.last || state.is_stuck
    }

    /// The positions of records that have one term of each group, between two (both included), in this
    /// order, at most so many. Where the index is not built yet, all positions: look at the records.
    ///
    /// # Errors
    /// If the store breaks. The follower begins it anew.
    pub fn find(
        &self,
        groups: &[Vec<Term>],
        (from, to): (Position, Position),
        order: Order,
        max: usize,
    ) -> io::Result<Vec<Position>> {
        let (from, to) = (from.get().max(1), to.get());
        let (store, written, tail_from, tail) = {
            let state = self.state.read();
            let wanted = from.max(state.written + 1)..=to.min(state.last);
            let tail = state.tail.iter();
            let tail: Vec<Arc<Indexed>> = tail
                .filter(|indexed| wanted.contains(&indexed.position))
                .cloned()
                .collect();
            (state.store.clone(), state.written, state.tail_from(), tail)
        };
        let in_tail = tail.iter().filter(|indexed| indexed.has(groups));
        let in_tail = in_tail.map(|indexed| indexed.position);
        let to = to.min(tail_from.saturating_sub(1).max(written));
        let unwritten = from.max(written + 1)..=to.min(tail_from - 1);
        let stored = |max| match &store {
            Some(store) if from <= written => {
                lists::intersect(store, groups, (from, to.min(written)), order, max)
            }
            _ => Ok(Vec::new()),
        };
        let mut found: Vec<u64> = Vec::new();
        match order {
            Order::Rising => {
                found.extend(stored(max)?);
                found.extend(unwritten.take(max - found.len()));
                found.extend(in_tail);
                found.truncate(max);
            }
            Order::Falling => {
                found.extend(in_tail.rev().take(max));
                found.extend(unwritten.rev().take(max - found.len()));
                found.extend(stored(max - found.len())?);
            }
        }
        Ok(found.into_iter().map(Position::new).collect())
    }
}

impl Indexed {
    fn of(record: &Record, terms: Vec<Term>) -> Self {
        Self {
            position: record.position.get(),
            request: record.origin.request,
            terms: terms.into(),
            is_erasure: matches!(record.event, Event::PersonErased(_)),
        }
    }

    fn has(&self, groups: &[Vec<Term>]) -> bool {
        groups
            .iter()
            .all(|group| group.iter().any(|term| self.terms.contains(term)))
    }
}
