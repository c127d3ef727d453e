//! What keys do: when each was last used, from where and by whom, how often and with what outcome, and
//! for which scopes. Counted in memory in the path of every request; none of it is in the ledger, and
//! none of it decides whether a key is good.
//!
//! One shard's lock is held for some tens of nanoseconds, and a key that is known costs no allocation.

mod keeper;
mod news;
pub(crate) mod passage;

use core::hint::black_box;
use core::net::IpAddr;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use keyledger_domain::by_credential::{ByCredential, Named};
use keyledger_domain::credential::masked;
use keyledger_domain::key_use::NETWORKS_MAX;
use keyledger_domain::scope::BuiltInSet;
use keyledger_domain::{Actor, CredentialId, Directory, Timestamp};
use keyledger_ledger::paths::Paths;
use keyledger_ledger::usage::{
    ADDED_SCOPES_MAX, Counts, LastUse, Outcome, Period, ScopesUsed, UsedBy, hour_of,
};
use keyledger_ledger::usage_store::{StoredUse, UsageStore, UseChange, UseDescription};
use keyledger_ledger::{KeyFile, Persons};
use parking_lot::Mutex;

use crate::app::App;
use crate::caller::{Caller, Origin};
use crate::lookup::{self, NoGood};
pub use crate::usage::keeper::{KeeperParts, UsageKeeper};
use crate::usage::news::{FirstUse, Network, News, NewsOrigin};
use crate::verify::{Code, Question};

/// A power of two: enough that two workers rarely want the same.
const SHARDS: usize = 64;

/// The longest client name kept, in bytes.
const CLIENT_BYTES_MAX: usize = 128;

/// The shortest periods that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granularity {
    Hour,
    Day,
    Month,
}

impl Granularity {
    /// The period itself, or the one around it that is as long as asked for.
    fn at_least(self, period: Period) -> Period {
        match (self, period) {
            (Self::Day, Period::Hour(_)) | (Self::Month, Period::Day(_)) => {
                period.larger().unwrap_or(period)
            }
            (Self::Month, Period::Hour(_)) => {
                let day = period.larger();
                day.and_then(Period::larger).unwrap_or(period)
            }
            (Self::Hour, _)
            | (Self::Day, Period::Day(_) | Period::Month(_))
            | (Self::Month, Period::Month(_)) => period,
        }
    }
}

/// A span of time, and how finely it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) granularity: Granularity,
}

/// Who shows a key, as a request tells it.
#[derive(Clone, Copy)]
pub(crate) enum Client<'a> {
    /// An API that was shown it and asks us.
    Asker(Actor),
    /// Its holder; the `User-Agent` as it came.
    Agent(Option<&'a [u8]>),
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

/// What is known of one key: in one line of the cache what every use reads or writes, and the rest
/// behind a pointer that the verification of a key need not follow.
#[repr(align(64))]
struct KeyUse {
    id: CredentialId,
    /// Whether it is in the list of what has to be written.
    is_listed: bool,
    /// Whether what is stored besides numbers is what is known.
    is_stored: bool,
    /// Whether it was told of any use at all.
    noted: bool,
    unasked: bool,
    overflowed: bool,
    /// The hour of what was counted and is not stored yet.
    hour: u32,
    /// How often it was found valid in that hour; it is stored every few seconds.
    valid: u32,
    last_at: Option<Timestamp>,
    built_in: BuiltInSet,
    asker: Option<Actor>,
    rest: Option<Box<Rest>>,
}

const _: () = assert!(size_of::<KeyUse>() == 64, "one line");

/// What not every key has, nor every use touches.
#[derive(Default)]
struct Rest {
    /// What was counted besides `valid`.
    counts: Counts,
    source: Option<IpAddr>,
    agent: String,
    /// The networks that the ledger was told of since the start, or knew already.
    networks: Vec<Network>,
    added: Vec<Box<str>>,
}

impl Named for KeyUse {
    fn credential(&self) -> CredentialId {
        self.id
    }
}

impl KeyUse {
    fn new(id: CredentialId) -> Self {
        Self {
            id,
            is_listed: false,
            is_stored: false,
            noted: false,
            unasked: false,
            overflowed: false,
            hour: 0,
            valid: 0,
            last_at: None,
            built_in: BuiltInSet::default(),
            asker: None,
            rest: None,
        }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Counts one, and gives what was counted in an hour that is over.
    fn count(&mut self, outcome: Outcome, at: Timestamp) -> Option<(u32, Counts)> {
        let hour = hour_of(at);
        let mut rolled = None;
        if self.hour != hour {
            let before = self.take_pending();
            if !before.is_empty() {
                rolled = Some((self.hour, before));
            }
            self.hour = hour;
        }
        if outcome == Outcome::Valid {
            self.valid = self.valid.saturating_add(1);
        } else {
            self.rest().counts.add(outcome);
        }
        rolled
    }

    /// What was counted in `hour` and is not stored yet.
    fn pending(&self) -> Counts {
        let mut counts = self.rest.as_ref().map_or(Counts::default(), |r| r.counts);
        counts.add_times(Outcome::Valid, self.valid.into());
        counts
    }

    fn take_pending(&mut self) -> Counts {
        let counts = self.pending();
        self.valid = 0;
        if let Some(rest) = &mut self.rest {
            rest.counts = Counts::default();
        }
        counts
    }

    fn use_by(&mut self, showing: &Showing<'_>) {
        // Requests overtake each other; the last use is the latest, not the one that came last.
        if self.last_at.is_some_and(|last| last > showing.at) {
            return;
        }
        self.last_at = Some(showing.at);
        if showing.source != self.source() {
            self.rest().source = showing.source;
            self.is_stored = false;
        }
        let (asker, agent) = match showing.client {
            Client::Asker(actor) => (Some(actor), None),
            Client::Agent(agent) => (None, Some(agent.unwrap_or_default())),
        };
        if self.asker != asker {
            self.asker = asker;
            self.is_stored = false;
        }
        // Nearly every use is by the client of the use before.
        if let Some(agent) = agent
            && !is_same(
                self.agent().as_bytes(),
                &agent[..agent.len().min(CLIENT_BYTES_MAX)],
            )
        {
            self.rest().agent = client_name(agent);
            self.is_stored = false;
        }
    }

    fn source(&self) -> Option<IpAddr> {
        self.rest.as_ref()?.source
    }

    fn agent(&self) -> &str {
        self.rest.as_ref().map_or("", |rest| &rest.agent)
    }

    /// Forgets from where and by whom. Gives whether there was anything.
    fn forget_source(&mut self) -> bool {
        let has_any = self.source().is_some() || self.asker.is_some() || !self.agent().is_empty();
        self.asker = None;
        if let Some(rest) = &mut self.rest {
            rest.source = None;
            rest.agent = String::new();
        }
        self.is_stored &= !has_any;
        has_any
    }

    fn is_news(&self, network: Option<Network>) -> bool {
        let known = self.rest.as_ref().map_or(&[][..], |rest| &rest.networks);
        let is_new = |network: Network| known.len() < NETWORKS_MAX && !known.contains(&network);
        !self.noted || network.is_some_and(is_new)
    }

    fn note(&mut self, asked: Asked<'_>) {
        let before = (self.built_in, self.unasked);
        match asked {
            Asked::Nothing => {}
            Asked::Required(set) => self.built_in.add_all(set),
            Asked::Named([]) => self.unasked = true,
            Asked::Named(names) => {
                for name in names {
                    if !self.built_in.add(name) {
                        self.note_added(name);
                    }
                }
            }
        }
        self.is_stored &= before == (self.built_in, self.unasked);
    }

    fn note_added(&mut self, name: &str) {
        let rest = self.rest.get_or_insert_default();
        if rest.added.iter().any(|known| **known == *name) {
            return;
        }
        self.is_stored = false;
        if rest.added.len() < ADDED_SCOPES_MAX {
            rest.added.push(name.into());
        } else {
            self.overflowed = true;
        }
    }

    fn from_stored(stored: &StoredUse) -> Self {
        let mut key = Self {
            unasked: stored.scopes.unasked,
            overflowed: stored.scopes.overflowed,
            ..Self::new(stored.id)
        };
        // A scope that was built in when it was stored, and no longer is, is one of the others.
        for name in &stored.scopes.names {
            if !key.built_in.add(name) {
                key.note_added(name);
            }
        }
        if let Some(last) = &stored.last {
            key.last_at = Some(last.at);
            if last.source.is_some() {
                key.rest().source = last.source;
            }
            match &last.client {
                Some(UsedBy::Asker(actor)) => key.asker = Some(*actor),
                Some(UsedBy::Agent(agent)) => key.rest().agent.push_str(agent),
                None => {}
            }
        }
        key.is_stored = true;
        key
    }

    /// What has to be written; what describes it if `describes` says so.
    fn change(&mut self, describes: bool) -> UseChange {
        let pending = self.take_pending();
        let is_told = describes && !self.is_stored;
        self.is_stored |= describes;
        self.is_listed = !self.is_stored;
        UseChange {
            id: self.id,
            last_at: self.last_at,
            described: is_told.then(|| UseDescription {
                source: self.source(),
                client: self.client(),
                scopes: self.scopes(),
                person: None,
            }),
            counted: if pending.is_empty() {
                Vec::new()
            } else {
                vec![(self.hour, pending)]
            },
        }
    }

    fn client(&self) -> Option<UsedBy> {
        let agent = self.agent();
        let by_agent = || (!agent.is_empty()).then(|| UsedBy::Agent(agent.into()));
        self.asker.map(UsedBy::Asker).or_else(by_agent)
    }

    fn last(&self) -> Option<LastUse> {
        self.last_at.map(|at| LastUse {
            at,
            source: self.source(),
            client: self.client(),
        })
    }

    fn scopes(&self) -> ScopesUsed {
        let added = self.rest.as_ref().map_or(&[][..], |rest| &rest.added);
        let built_in = self.built_in.names().map(Box::from);
        let mut names: Vec<Box<str>> = built_in.chain(added.iter().cloned()).collect();
        names.sort_unstable();
        ScopesUsed {
            names,
            unasked: self.unasked,
            overflowed: self.overflowed,
        }
    }
}

/// Whether two texts are the same. Two that are empty are not looked at: a comparison of nothing at an
/// address where nothing is takes processors with AVX-512 as long as hashing a key.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

/// What a client calls itself, short and harmless; a key that somebody put there is masked as a whole,
/// before anything is cut off.
fn client_name(agent: &[u8]) -> String {
    let whole: String = agent.iter().copied().map(harmless).collect();
    masked(&whole).chars().take(CLIENT_BYTES_MAX).collect()
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
    keys: ByCredential<KeyUse>,
    /// What was counted in an hour that was over before it was stored.
    rolled: BTreeMap<CredentialId, Vec<(u32, Counts)>>,
    /// The keys that have to be written.
    changed: Vec<CredentialId>,
}

/// The counters of all keys.
pub struct Usage {
    shards: Vec<Mutex<Shard>>,
    store: Option<UsageStore>,
    news: News,
    counting_since: Timestamp,
    /// Held while counts are on their way to the disk, and by those who read both ends.
    writing: Mutex<()>,
}

impl Usage {
    /// Counters that begin now and are stored nowhere.
    pub fn in_memory(now: Timestamp) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            store: None,
            news: News::default(),
            counting_since: now,
            writing: Mutex::default(),
        }
    }

    /// Counters that go on from what is stored in a data folder.
    ///
    /// # Errors
    /// If there is no place to store them.
    pub fn open(
        paths: &Paths,
        key_file: &KeyFile,
        persons: &Arc<Persons>,
        now: Timestamp,
    ) -> io::Result<Self> {
        let empty = || Self::in_memory(now);
        let (store, usage) =
            UsageStore::open(paths, key_file, persons, now, empty, |usage, stored| {
                let mut shard = usage.shard(stored.id).lock();
                shard.keys.insert(KeyUse::from_stored(&stored));
            })?;
        Ok(Self {
            counting_since: store.begun_at(),
            store: Some(store),
            ..usage
        })
    }

    /// Since when uses are known: what was before is not.
    pub(crate) const fn counting_since(&self) -> Timestamp {
        self.counting_since
    }

    /// Where it is stored; `None` if there is no such place.
    pub(crate) fn store(&self) -> Option<&UsageStore> {
        self.store.as_ref()
    }

    /// Counts one showing of a key that exists. Strangers choose no ids here: what nobody made is
    /// never counted, so the number of keys bounds the memory.
    ///
    /// `origin` is asked only where there may be something that the ledger does not know.
    pub(crate) fn record(&self, showing: &Showing<'_>, origin: impl FnOnce() -> NewsOrigin) {
        let mut shard = self.shard(showing.id).lock();
        let Shard {
            keys,
            rolled,
            changed,
        } = &mut *shard;
        let id = showing.id;
        let key = keys.get_or_insert_with(id, || KeyUse::new(id));
        if let Some((hour, counts)) = key.count(showing.outcome, showing.at) {
            rolled.entry(id).or_default().push((hour, counts));
        }
        if !key.is_listed {
            key.is_listed = true;
            changed.push(showing.id);
        }
        if showing.outcome.is_use() {
            key.use_by(showing);
            key.note(showing.asked);
            let network = showing.source.map(Network::of);
            if key.is_news(network) && self.news.offer(showing, origin) {
                key.noted = true;
                if let Some(network) = network {
                    key.rest().networks.push(network);
                }
            }
        }
    }

    /// Begins to bring what is known of a key near, for whoever counts on it next.
    pub(crate) fn approach(&self, id: CredentialId) {
        let shard = self.shard(id).lock();
        black_box(shard.keys.get(id).map(|key| key.hour));
    }

    /// What the ledger may not know yet.
    fn take_news(&self) -> Vec<FirstUse> {
        self.news.take()
    }

    /// The ledger could not be told; the next use tells it again.
    fn give_back(&self, first: &FirstUse) {
        if let Some(key) = self.shard(first.id).lock().keys.get_mut(first.id) {
            key.noted = false;
            if let Some(rest) = &mut key.rest {
                rest.networks
                    .retain(|known| Some(*known) != first.network());
            }
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
        let showing = Showing {
            id,
            at: question.now,
            source: question.ip,
            client: Client::Asker(caller.authority().actor),
            outcome: outcome_of(code),
            asked,
        };
        self.record(&showing, || NewsOrigin {
            request: caller.origin().request(),
            client: caller.origin().client(),
        });
    }

    /// When a key was last used, as far as is known.
    pub fn last_used_at(&self, id: CredentialId) -> Option<Timestamp> {
        self.shard(id).lock().keys.get(id)?.last_at
    }

    /// The last use of a key: when, from where and by whom.
    pub fn last_use(&self, id: CredentialId) -> Option<LastUse> {
        self.shard(id).lock().keys.get(id)?.last()
    }

    /// The scopes that a key was ever used for.
    pub fn scopes_used(&self, id: CredentialId) -> ScopesUsed {
        let shard = self.shard(id).lock();
        shard.keys.get(id).map(KeyUse::scopes).unwrap_or_default()
    }

    /// The keys that have to be written since this was asked last, in the order in which the store keeps
    /// them: what lies together is written together.
    fn take_listed(&self) -> Vec<CredentialId> {
        let mut listed = Vec::new();
        for shard in &self.shards {
            // The room in the list stays, and is needed again.
            listed.append(&mut shard.lock().changed);
        }
        listed.sort_unstable();
        listed.dedup();
        listed
    }

    /// What has to be written of these keys. All changes at once would be as large as what is known of the keys.
    /// Keys stay listed of which there is more to tell than numbers, unless `describes` says that it is told.
    fn take_changes(&self, listed: &[CredentialId], describes: bool) -> Vec<UseChange> {
        let change = |id: &CredentialId| {
            let mut shard = self.shard(*id).lock();
            // One that was forgotten meanwhile, and is known again, may be listed twice.
            let key = shard.keys.get_mut(*id).filter(|key| key.is_listed)?;
            let mut change = key.change(describes);
            if key.is_listed {
                shard.changed.push(*id);
            }
            if let Some(rolled) = shard.rolled.remove(id) {
                change.counted.extend(rolled);
            }
            let has_any = change.described.is_some() || !change.counted.is_empty();
            has_any.then_some(change)
        };
        listed.iter().filter_map(change).collect()
    }

    /// What was counted of a key between two instants, by the shortest periods that are kept and
    /// not shorter than asked for, the oldest first. It reads the disk: not on a thread that answers.
    pub(crate) fn series(
        &self,
        id: CredentialId,
        span: &Span,
    ) -> BTreeMap<Timestamp, (Period, Counts)> {
        let mut series: BTreeMap<Timestamp, (Period, Counts)> = BTreeMap::new();
        let mut add = |period: Period, counts: Counts| {
            let period = span.granularity.at_least(period);
            let (_, sum) = series
                .entry(period.start())
                .or_insert_with(|| (period, Counts::default()));
            *sum += counts;
        };
        // What is on its way from memory to the disk must be seen in one of the two.
        let _writing = self.writing.lock();
        if let Some(store) = &self.store {
            match store.series(id, span.since, span.until) {
                Ok(buckets) => buckets
                    .into_iter()
                    .for_each(|bucket| add(bucket.period, bucket.counts)),
                Err(error) => tracing::warn!(%error, "stored usage cannot be read"),
            }
        }
        for (hour, counts) in self.pending(id) {
            let period = Period::Hour(hour);
            if period.end() > span.since && period.start() < span.until {
                add(period, counts);
            }
        }
        series
    }

    /// All that was ever counted of a key. It reads the disk: not on a thread that answers.
    pub(crate) fn totals(&self, id: CredentialId) -> Counts {
        let _writing = self.writing.lock();
        let stored = self.store.as_ref().map(|store| store.totals(id));
        let mut totals = match stored {
            None => Counts::default(),
            Some(Ok(totals)) => totals,
            Some(Err(error)) => {
                tracing::warn!(%error, "stored usage cannot be read");
                Counts::default()
            }
        };
        for (_, counts) in self.pending(id) {
            totals += counts;
        }
        totals
    }

    /// What is counted of a key and not stored yet, by hour.
    fn pending(&self, id: CredentialId) -> Vec<(u32, Counts)> {
        let shard = self.shard(id).lock();
        let mut pending = shard.rolled.get(&id).cloned().unwrap_or_default();
        if let Some(key) = shard.keys.get(id) {
            let counts = key.pending();
            if !counts.is_empty() {
                pending.push((key.hour, counts));
            }
        }
        pending
    }

    /// All keys of which anything is known.
    fn ids(&self) -> Vec<CredentialId> {
        let of = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.keys.iter().map(|key| key.id).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    fn forget(&self, id: CredentialId) {
        let mut shard = self.shard(id).lock();
        shard.keys.remove(id);
        shard.rolled.remove(&id);
    }

    /// Forgets from where and by whom a key was used, where its last use is past.
    fn forget_sources(&self, is_past: impl Fn(Timestamp) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let Shard { keys, changed, .. } = &mut *shard;
            for key in keys.iter_mut() {
                let is_past = key.last_at.is_some_and(&is_past);
                if is_past && key.forget_source() && !key.is_listed {
                    key.is_listed = true;
                    changed.push(key.id);
                }
            }
        }
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
            let showing = Showing {
                id: key.issued.id,
                at,
                source: origin.source(),
                client: Client::Agent(None),
                outcome: outcome_of(reason.into()),
                asked: Asked::Nothing,
            };
            self.usage().record(&showing, || NewsOrigin {
                request: origin.request(),
                client: origin.client(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;
    use std::time::Instant;

    use keyledger_domain::id::RequestId;
    use keyledger_ledger::{Clock, Ledger, OpenOptions};
    use ring::rand::SystemRandom;

    use super::*;

    fn key(number: u32) -> CredentialId {
        format!("key{number:06}").parse().expect("base62")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn record(usage: &Usage, showing: &Showing<'_>) {
        usage.record(showing, || NewsOrigin {
            request: RequestId::from_random([7; 16]),
            client: None,
        });
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
            let usage = Usage::in_memory(Timestamp::default());
            record(&usage, &showing(key(1), 10, outcome));
            let last = usage.last_use(key(1));
            assert_eq!(last.is_some(), outcome.is_use(), "{outcome:?}");
            if let Some(last) = last {
                assert_eq!(last.at, at(10));
                assert_eq!(last.source, Some([203, 0, 113, 7].into()));
                assert_eq!(last.client, Some(UsedBy::Agent("curl/8".into())));
            }
        }
    }

    struct Stopped;

    impl Clock for Stopped {
        fn now(&self) -> Timestamp {
            at(0)
        }
    }

    /// Goal: a key that is never used lies idle from where counting began, and not from where the
    /// server was started last.
    #[test]
    fn what_is_known_and_since_when_survives_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("data");
        let options = OpenOptions {
            reserve_bytes: 0,
            ..OpenOptions::new(&root)
        };
        let rng = SystemRandom::new();
        let clock = Arc::new(Stopped);
        let ledger = Ledger::open(
            &options,
            Arc::new(rng.clone()),
            clock,
            &mut |_| {},
            &mut |_| {},
        );
        let ledger = ledger.expect("it opens");
        let (key_file, persons) = (ledger.key_file, ledger.persons);
        let paths = Paths::new(&root);
        let usage = Usage::open(&paths, &key_file, &persons, at(10)).expect("it opens");
        record(&usage, &showing(key(1), 20, Outcome::Valid));
        let changes = usage.take_changes(&usage.take_listed(), true);
        let store = usage.store().expect("a store");
        store.write(&changes, &rng).expect("written");
        drop(usage);
        // sled's threads let go of its file a moment later.
        let file = File::open(paths.usage().join("db")).expect("it is there");
        file.lock().expect("released");
        drop(file);
        let usage = Usage::open(&paths, &key_file, &persons, at(86_400)).expect("it opens");
        assert_eq!(usage.counting_since(), at(10));
        assert_eq!(usage.last_used_at(key(1)), Some(at(20)));
        assert_eq!(usage.last_used_at(key(2)), None);
    }

    #[test]
    fn a_request_that_was_overtaken_does_not_set_the_last_use_back() {
        let usage = Usage::in_memory(Timestamp::default());
        record(&usage, &showing(key(1), 20, Outcome::Valid));
        record(&usage, &showing(key(1), 10, Outcome::Valid));
        assert_eq!(usage.last_used_at(key(1)), Some(at(20)));
        assert_eq!(usage.last_used_at(key(2)), None);
    }

    /// Goal: what did not change is not sealed and written again, and what did always is.
    #[test]
    fn what_is_stored_already_is_not_told_again() {
        let usage = Usage::in_memory(Timestamp::default());
        let is_told = |showing: &Showing<'_>| {
            record(&usage, showing);
            let changes = usage.take_changes(&usage.take_listed(), true);
            assert_eq!(changes.len(), 1);
            assert_eq!(changes[0].last_at, Some(showing.at));
            assert_eq!(changes[0].counted.len(), 1);
            changes[0].described.is_some()
        };
        let named = |name: &str| vec![name.to_owned()];
        let first = showing(key(1), 1, Outcome::Valid);
        assert!(is_told(&first));
        assert!(!is_told(&first));
        let asker = Client::Asker(Actor::System);
        for other in [
            Showing {
                source: None,
                ..first
            },
            Showing {
                client: Client::Agent(Some(b"wget")),
                ..first
            },
            Showing {
                client: asker,
                ..first
            },
            Showing {
                client: asker,
                asked: Asked::Named(&[]),
                ..first
            },
            Showing {
                client: asker,
                asked: Asked::Named(&named("files:read")),
                ..first
            },
            Showing {
                client: asker,
                asked: Asked::Named(&named("own:scope")),
                ..first
            },
        ] {
            assert!(is_told(&other));
            assert!(!is_told(&other));
        }
        usage.forget_sources(|_| true);
        let changes = usage.take_changes(&usage.take_listed(), true);
        let described = changes[0].described.as_ref().expect("told");
        assert_eq!((described.source, &described.client), (None, &None));
        usage.forget_sources(|_| true);
        assert!(usage.take_listed().is_empty());
    }

    /// Goal: what is not written yet is told from memory, and nothing goes to the disk twice.
    #[test]
    fn what_is_taken_in_pieces_is_taken_once() {
        let usage = Usage::in_memory(Timestamp::default());
        let show = |number, seconds| record(&usage, &showing(key(number), seconds, Outcome::Valid));
        let valid = |counted: &[(u32, Counts)]| -> Vec<(u32, u64)> {
            let valid = |(hour, counts): &(u32, Counts)| (*hour, counts.get(Outcome::Valid));
            let mut valid: Vec<_> = counted.iter().map(valid).collect();
            valid.sort_unstable();
            valid
        };
        show(2, 10);
        show(1, 10);
        show(1, 3_700);
        let listed = usage.take_listed();
        assert_eq!(listed, [key(1), key(2)]);
        let first = usage.take_changes(&listed[..1], true);
        assert_eq!(valid(&first[0].counted), [(0, 1), (1, 1)]);
        assert_eq!(usage.pending(key(1)), []);
        // Used once more before its turn comes.
        show(2, 20);
        assert_eq!(valid(&usage.pending(key(2))), [(0, 2)]);
        let second = usage.take_changes(&listed[1..], true);
        assert_eq!(valid(&second[0].counted), [(0, 2)]);
        assert!(usage.take_listed().is_empty());
        // Forgotten, and used again.
        show(1, 3_700);
        usage.forget(key(1));
        show(1, 3_800);
        let listed = usage.take_listed();
        let changes = usage.take_changes(&listed, true);
        assert_eq!(changes.len(), 1);
        assert_eq!(valid(&changes[0].counted), [(1, 1)]);
    }

    /// Goal: where much is to be described it waits for its turn; what is counted does not.
    #[test]
    fn what_describes_a_key_may_be_told_later_than_its_numbers() {
        let usage = Usage::in_memory(Timestamp::default());
        let taken = |describes| {
            let changes = usage.take_changes(&usage.take_listed(), describes);
            let of = |change: &UseChange| (change.counted.len(), change.described.is_some());
            changes.iter().map(of).collect::<Vec<_>>()
        };
        record(&usage, &showing(key(1), 1, Outcome::Valid));
        assert_eq!(taken(false), [(1, false)]);
        assert_eq!(taken(false), []);
        record(&usage, &showing(key(1), 2, Outcome::Valid));
        assert_eq!(taken(false), [(1, false)]);
        assert_eq!(taken(true), [(0, true)]);
        assert_eq!(taken(true), []);
        record(&usage, &showing(key(1), 3, Outcome::Valid));
        assert_eq!(taken(false), [(1, false)]);
        assert!(usage.take_listed().is_empty());
    }

    #[test]
    fn a_hostile_client_name_is_kept_short_and_harmless() {
        let usage = Usage::in_memory(Timestamp::default());
        let hostile = [b"x\r\n\x1b[31m".as_slice(), &[b'y'; 4_000]].concat();
        let client = Client::Agent(Some(&hostile));
        record(
            &usage,
            &Showing {
                client,
                ..showing(key(1), 1, Outcome::Accepted)
            },
        );
        let Some(UsedBy::Agent(name)) = usage.last_use(key(1)).and_then(|last| last.client) else {
            panic!("a name is kept")
        };
        assert_eq!(name.chars().count(), CLIENT_BYTES_MAX);
        assert!(!name.contains(['\r', '\n', '\u{1b}']));
    }

    #[test]
    fn n131_a_key_in_place_of_a_client_name_is_masked_before_it_is_cut() {
        let mut draws = 0;
        let key = keyledger_domain::Plaintext::draw(
            keyledger_domain::CredentialKind::UserKey,
            keyledger_domain::Environment::Live,
            &mut |bytes: &mut [u8]| {
                draws += 1;
                bytes.fill(draws);
            },
        );
        let key = key.as_bytes();
        for before in [0, CLIENT_BYTES_MAX - 30] {
            let name = client_name(&[&vec![b' '; before], key].concat());
            let key = str::from_utf8(key).unwrap();
            assert!(!name.contains(&key[18..23]), "behind {before} characters");
            assert!(name.contains(&key[..17]), "behind {before} characters");
        }
    }

    #[test]
    fn scopes_are_remembered_by_name_and_bounded() {
        let usage = Usage::in_memory(Timestamp::default());
        let named = |names: &[String]| {
            record(
                &usage,
                &Showing {
                    asked: Asked::Named(names),
                    ..showing(key(1), 1, Outcome::Valid)
                },
            );
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
        record(
            &usage,
            &Showing {
                asked: Asked::Nothing,
                ..showing(key(2), 1, Outcome::InsufficientScope)
            },
        );
        record(
            &usage,
            &Showing {
                asked: Asked::Named(&refused),
                ..showing(key(2), 1, Outcome::WrongSecret)
            },
        );
        assert_eq!(usage.scopes_used(key(2)), ScopesUsed::default());
    }

    #[test]
    fn the_ledger_is_told_once_of_each_network_and_again_if_it_was_not_told() {
        let usage = Usage::in_memory(Timestamp::default());
        let from = |source: [u8; 4]| {
            record(
                &usage,
                &Showing {
                    source: Some(source.into()),
                    ..showing(key(1), 1, Outcome::Valid)
                },
            );
        };
        let told = || -> Vec<_> {
            let news = usage.take_news();
            news.iter().map(|first| first.source).collect()
        };
        from([203, 0, 113, 7]);
        from([203, 0, 113, 200]);
        assert_eq!(told(), [Some([203, 0, 113, 7].into())]);
        from([203, 0, 114, 7]);
        from([203, 0, 113, 7]);
        assert_eq!(told(), [Some([203, 0, 114, 7].into())]);
        from([198, 51, 100, 1]);
        let failed = usage.take_news();
        usage.give_back(&failed[0]);
        from([198, 51, 100, 2]);
        assert_eq!(told(), [Some([198, 51, 100, 2].into())]);
        (0..200).for_each(|number| from([10, 0, number, 1]));
        assert_eq!(told().len(), NETWORKS_MAX - 3);
    }

    /// Goal: the hot path stays cheap. The bound is generous, for a busy machine and a debug build;
    /// the figure itself is printed.
    #[test]
    fn a_known_key_is_counted_in_no_time() {
        let usage = Usage::in_memory(Timestamp::default());
        let rounds: u32 = 200_000;
        let scopes = ["files:read".to_owned()];
        let count = |number: u32| {
            record(
                &usage,
                &Showing {
                    asked: Asked::Named(&scopes),
                    ..showing(key(number % 1_000), i64::from(number), Outcome::Valid)
                },
            );
        };
        (0..1_000).for_each(count);
        let begun = Instant::now();
        (0..rounds).for_each(count);
        let each = begun.elapsed() / rounds;
        println!("{each:?} a showing");
        assert!(each.as_micros() < 20, "{each:?}");
    }
}
