//! What keys do: when each was last used, from where and by whom, how often and with what outcome, and
//! for which scopes. Counted in memory in the path of every request; none of it is in the ledger, and
//! none of it decides whether a key is good.
//!
//! One shard's lock is held for some tens of nanoseconds, and a key that is known costs no allocation.

pub(crate) mod passage;

use core::net::IpAddr;

use ahash::HashMap;
use keyledger_domain::scope::BUILT_IN;
use keyledger_domain::{Actor, CredentialId, Directory, Timestamp};
use keyledger_ledger::usage::{
    ADDED_SCOPES_MAX, Counts, LastUse, Outcome, ScopesUsed, UsedBy, hour_of,
};
use parking_lot::Mutex;

use crate::app::App;
use crate::caller::{Caller, Origin};
use crate::lookup::{self, NoGood};
use crate::verify::{Code, Question};

/// A power of two: enough that two workers rarely want the same.
const SHARDS: usize = 64;

/// The longest client name kept, in bytes.
const CLIENT_BYTES_MAX: usize = 128;

// A bit for each built-in scope.
const _: () = assert!(BUILT_IN.len() <= 64);

/// Who shows a key, as a request tells it.
#[derive(Clone, Copy)]
pub(crate) enum Client<'a> {
    /// An API that was shown it and asks us.
    Asker(Actor),
    /// Its holder; the `User-Agent` as it came.
    Agent(Option<&'a [u8]>),
}

/// Built-in scopes as bits in the order of the catalogue of this very binary; stored by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BuiltInSet(u64);

impl BuiltInSet {
    /// Adds a scope. Gives whether it is a built-in one.
    pub(crate) fn add(&mut self, name: &str) -> bool {
        let found = BUILT_IN.binary_search_by(|entry| entry.name.cmp(name));
        if let Ok(index) = found {
            self.0 |= 1 << index;
        }
        found.is_ok()
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        let has = move |(index, _): &(usize, _)| self.0 & (1 << index) != 0;
        BUILT_IN
            .iter()
            .enumerate()
            .filter(has)
            .map(|(_, entry)| entry.name)
    }
}

/// What a key was needed for.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// Nothing is known, because it was refused.
    Nothing,
    /// An API asked for these, all of which it has; none of them means that it did not say.
    Named(&'a [String]),
    /// Our own API required these.
    Required(BuiltInSet),
}

/// One showing of a key.
#[derive(Clone, Copy)]
pub(crate) struct Showing<'a> {
    pub(crate) id: CredentialId,
    pub(crate) at: Timestamp,
    pub(crate) source: Option<IpAddr>,
    pub(crate) client: Client<'a>,
    pub(crate) outcome: Outcome,
    pub(crate) asked: Asked<'a>,
}

/// What is known of one key.
#[derive(Default)]
struct KeyUse {
    last_at: Option<Timestamp>,
    source: Option<IpAddr>,
    asker: Option<Actor>,
    agent: String,
    built_in: BuiltInSet,
    added: Vec<Box<str>>,
    unasked: bool,
    overflowed: bool,
    /// What was counted in `hour` and is not stored yet.
    pending: Counts,
    hour: u32,
}

impl KeyUse {
    fn count(&mut self, outcome: Outcome, at: Timestamp) -> Option<(u32, Counts)> {
        let hour = hour_of(at);
        let mut rolled = None;
        if self.hour != hour {
            if !self.pending.is_empty() {
                rolled = Some((self.hour, core::mem::take(&mut self.pending)));
            }
            self.hour = hour;
        }
        self.pending.add(outcome);
        rolled
    }

    fn use_by(&mut self, showing: &Showing<'_>) {
        // Requests overtake each other; the last use is the latest, not the one that came last.
        if self.last_at.is_some_and(|last| last > showing.at) {
            return;
        }
        self.last_at = Some(showing.at);
        self.source = showing.source;
        match showing.client {
            Client::Asker(actor) => self.asker = Some(actor),
            Client::Agent(agent) => {
                self.asker = None;
                let agent = agent.unwrap_or_default();
                let agent = &agent[..agent.len().min(CLIENT_BYTES_MAX)];
                if self.agent.as_bytes() != agent {
                    self.agent.clear();
                    self.agent.extend(agent.iter().copied().map(harmless));
                }
            }
        }
    }

    fn note(&mut self, asked: Asked<'_>) {
        match asked {
            Asked::Nothing => {}
            Asked::Required(set) => self.built_in.0 |= set.0,
            Asked::Named([]) => self.unasked = true,
            Asked::Named(names) => {
                for name in names {
                    if !self.built_in.add(name) {
                        self.note_added(name);
                    }
                }
            }
        }
    }

    fn note_added(&mut self, name: &str) {
        if self.added.iter().any(|known| **known == *name) {
            return;
        }
        if self.added.len() < ADDED_SCOPES_MAX {
            self.added.push(name.into());
        } else {
            self.overflowed = true;
        }
    }

    fn last(&self) -> Option<LastUse> {
        let client = match self.asker {
            Some(actor) => Some(UsedBy::Asker(actor)),
            None if self.agent.is_empty() => None,
            None => Some(UsedBy::Agent(self.agent.as_str().into())),
        };
        self.last_at.map(|at| LastUse {
            at,
            source: self.source,
            client,
        })
    }

    fn scopes(&self) -> ScopesUsed {
        let built_in = self.built_in.names().map(Box::from);
        let mut names: Vec<Box<str>> = built_in.chain(self.added.iter().cloned()).collect();
        names.sort_unstable();
        ScopesUsed {
            names,
            unasked: self.unasked,
            overflowed: self.overflowed,
        }
    }
}

/// A character of a client's name that can disturb no terminal and fake no second line.
fn harmless(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        char::from(byte)
    } else {
        '\u{fffd}'
    }
}

#[derive(Default)]
struct Shard {
    keys: HashMap<CredentialId, KeyUse>,
    /// What was counted in an hour that was over before it was stored.
    rolled: Vec<(CredentialId, u32, Counts)>,
}

/// The counters of all keys.
pub struct Usage {
    shards: Vec<Mutex<Shard>>,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Usage {
    /// Counts one showing of a key that exists. Strangers choose no ids here: what nobody made is
    /// never counted, so the number of keys bounds the memory.
    pub(crate) fn record(&self, showing: &Showing<'_>) {
        let mut shard = self.shard(showing.id).lock();
        let Shard { keys, rolled } = &mut *shard;
        let key = keys.entry(showing.id).or_default();
        if let Some((hour, counts)) = key.count(showing.outcome, showing.at) {
            rolled.push((showing.id, hour, counts));
        }
        if showing.outcome.is_use() {
            key.use_by(showing);
            key.note(showing.asked);
        }
    }

    /// Counts an answer to `POST /v1/keys/verify` about a key that the asker may know of.
    pub(crate) fn record_verified(
        &self,
        id: CredentialId,
        code: Code,
        question: &Question<'_>,
        caller: &Caller,
    ) {
        let asked = match code {
            Code::Valid => Asked::Named(question.scopes),
            Code::NotFound
            | Code::Expired
            | Code::Revoked
            | Code::Disabled
            | Code::InsufficientScope
            | Code::IpNotAllowed
            | Code::RateLimited => Asked::Nothing,
        };
        self.record(&Showing {
            id,
            at: question.now,
            source: question.ip,
            client: Client::Asker(caller.authority().actor),
            outcome: outcome_of(code),
            asked,
        });
    }

    /// When a key was last used, as far as is known.
    pub fn last_used_at(&self, id: CredentialId) -> Option<Timestamp> {
        self.shard(id).lock().keys.get(&id)?.last_at
    }

    /// The last use of a key: when, from where and by whom.
    pub fn last_use(&self, id: CredentialId) -> Option<LastUse> {
        self.shard(id).lock().keys.get(&id)?.last()
    }

    /// The scopes that a key was ever used for.
    pub fn scopes_used(&self, id: CredentialId) -> ScopesUsed {
        let shard = self.shard(id).lock();
        shard.keys.get(&id).map(KeyUse::scopes).unwrap_or_default()
    }

    fn shard(&self, id: CredentialId) -> &Mutex<Shard> {
        // The characters were drawn at random, so any few of them spread evenly enough.
        let [first, second, ..] = id.to_bytes();
        &self.shards[usize::from(first ^ second.rotate_left(3)) % SHARDS]
    }
}

/// What an answer to `POST /v1/keys/verify` counts as, for a key that the asker may know of.
const fn outcome_of(code: Code) -> Outcome {
    match code {
        Code::Valid => Outcome::Valid,
        // The id is known, so the secret was not.
        Code::NotFound => Outcome::WrongSecret,
        Code::Expired => Outcome::Expired,
        Code::Revoked => Outcome::Revoked,
        Code::Disabled => Outcome::Disabled,
        Code::InsufficientScope => Outcome::InsufficientScope,
        Code::IpNotAllowed => Outcome::IpNotAllowed,
        Code::RateLimited => Outcome::RateLimited,
    }
}

impl App {
    /// Counts a key that our own API did not let in; who it claims to be decides nothing.
    pub(crate) fn count_refused(
        &self,
        directory: &Directory,
        shown: &str,
        reason: NoGood,
        origin: &Origin,
        at: Timestamp,
    ) {
        if let Some(key) = lookup::claimed(directory, shown) {
            self.usage().record(&Showing {
                id: key.issued.id,
                at,
                source: origin.source(),
                client: Client::Agent(None),
                outcome: outcome_of(reason.into()),
                asked: Asked::Nothing,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn key(number: u32) -> CredentialId {
        format!("key{number:06}").parse().expect("base62")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn showing(id: CredentialId, seconds: i64, outcome: Outcome) -> Showing<'static> {
        Showing {
            id,
            at: at(seconds),
            source: Some([203, 0, 113, 7].into()),
            client: Client::Agent(Some(b"curl/8")),
            outcome,
            asked: Asked::Nothing,
        }
    }

    #[test]
    fn only_a_good_secret_in_good_standing_is_a_use() {
        for outcome in Outcome::ALL {
            let usage = Usage::default();
            usage.record(&showing(key(1), 10, outcome));
            let last = usage.last_use(key(1));
            assert_eq!(last.is_some(), outcome.is_use(), "{outcome:?}");
            if let Some(last) = last {
                assert_eq!(last.at, at(10));
                assert_eq!(last.source, Some([203, 0, 113, 7].into()));
                assert_eq!(last.client, Some(UsedBy::Agent("curl/8".into())));
            }
        }
    }

    #[test]
    fn a_request_that_was_overtaken_does_not_set_the_last_use_back() {
        let usage = Usage::default();
        usage.record(&showing(key(1), 20, Outcome::Valid));
        usage.record(&showing(key(1), 10, Outcome::Valid));
        assert_eq!(usage.last_used_at(key(1)), Some(at(20)));
        assert_eq!(usage.last_used_at(key(2)), None);
    }

    #[test]
    fn a_hostile_client_name_is_kept_short_and_harmless() {
        let usage = Usage::default();
        let hostile = [b"x\r\n\x1b[31m".as_slice(), &[b'y'; 4_000]].concat();
        let client = Client::Agent(Some(&hostile));
        usage.record(&Showing {
            client,
            ..showing(key(1), 1, Outcome::Accepted)
        });
        let Some(UsedBy::Agent(name)) = usage.last_use(key(1)).and_then(|last| last.client) else {
            panic!("a name is kept")
        };
        assert_eq!(name.chars().count(), CLIENT_BYTES_MAX);
        assert!(!name.contains(['\r', '\n', '\u{1b}']));
    }

    #[test]
    fn scopes_are_remembered_by_name_and_bounded() {
        let usage = Usage::default();
        let named = |names: &[String]| {
            usage.record(&Showing {
                asked: Asked::Named(names),
                ..showing(key(1), 1, Outcome::Valid)
            });
        };
        named(&["files:read".to_owned(), "own:scope".to_owned()]);
        assert_eq!(
            usage.scopes_used(key(1)),
            ScopesUsed {
                names: vec!["files:read".into(), "own:scope".into()],
                unasked: false,
                overflowed: false,
            }
        );
        named(&[]);
        assert!(usage.scopes_used(key(1)).unasked);
        let many: Vec<String> = (0..100).map(|number| format!("own:s{number}")).collect();
        named(&many);
        let scopes = usage.scopes_used(key(1));
        assert_eq!(scopes.names.len(), 1 + ADDED_SCOPES_MAX);
        assert!(scopes.overflowed);
        // What it was refused for it was not used for.
        let refused = ["files:write".to_owned()];
        usage.record(&Showing {
            asked: Asked::Nothing,
            ..showing(key(2), 1, Outcome::InsufficientScope)
        });
        usage.record(&Showing {
            asked: Asked::Named(&refused),
            ..showing(key(2), 1, Outcome::WrongSecret)
        });
        assert_eq!(usage.scopes_used(key(2)), ScopesUsed::default());
    }

    /// Goal: the hot path stays cheap. The bound is generous, for a busy machine and a debug build;
    /// the figure itself is printed.
    #[test]
    fn a_known_key_is_counted_in_no_time() {
        let usage = Usage::default();
        let rounds: u32 = 200_000;
        let scopes = ["files:read".to_owned()];
        let count = |number: u32| {
            usage.record(&Showing {
                asked: Asked::Named(&scopes),
                ..showing(key(number % 1_000), i64::from(number), Outcome::Valid)
            });
        };
        (0..1_000).for_each(count);
        let begun = Instant::now();
        (0..rounds).for_each(count);
        let each = begun.elapsed() / rounds;
        println!("{each:?} a showing");
        assert!(each.as_micros() < 20, "{each:?}");
    }
}
