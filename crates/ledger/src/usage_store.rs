//! Where counts and last uses lie: a small sled of their own in `usage/`, apart from the ledger, whose
//! file sees appends only.
//!
//! ```text
//! k id            last use, scopes, totals, and   one a key; the source and the client sealed
//!                 the counts of its latest hour
//! h hour id       counts of an hour before that   48 hours, then they are a part of
//! d day id        counts of a day                 90 days, then of
//! m month id      counts of a month               24 months, then they are gone
//! b               when counting began             one, written when the store is made
//! ```
//!
//! Each value begins with its revision; what a row of another revision says is not known and is passed
//! over, but for those of a key that revision 1 wrote. A key that is in use costs one row at each flush: its
//! latest hour gets a row of its own once there is a later one. The time stands before the id, so that what is old lies together and folding touches nothing
//! else. A step of folding is one small batch, which sled writes wholly or not at all: a death in
//! between counts nothing twice.
//!
//! **Nothing here may stop a start.** A folder that does not open is set aside as `usage.damaged`, and a
//! new one is begun: what is lost are counts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincode::{Decode, Encode};
use keyledger_domain::id::PersonId;
use keyledger_domain::{CredentialId, Timestamp};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SecureRandom;

use crate::files;
use crate::key_file::Purpose;
use crate::ledger::KeyFile;
use crate::paths::Paths;
use crate::record::{ActorV1, Part as _, Persons};
use crate::sled_store::{caught, open_db, wait_until_released};
use crate::store::ScanError;
use crate::usage::{Counts, LastUse, OUTCOMES, Period, ScopesUsed, UsedBy};
use crate::vault::Commitment;

/// How long counts are kept by the hour, in hours.
pub const HOURS_KEPT: u32 = 48;
/// How long they are kept by the day after that, in days.
pub const DAYS_KEPT: u32 = 90;
/// How long they are kept by the month after that, in months.
pub const MONTHS_KEPT: u32 = 24;

/// sled's pages of this store in memory, in bytes. What is asked for often is in memory anyway.
const CACHE_BYTES: u64 = 16 << 20;
/// The most changes in one batch of sled's: it leaks with large ones.
const BATCH_CHANGES_MAX: usize = 256;
/// The revision of the rows of periods, and of when counting began.
const REVISION: u8 = 1;
/// The revision of the rows of keys.
const KEY_REVISION: u8 = 2;

const KEY: u8 = b'k';
const BEGUN: &[u8] = b"b";

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<65_536>,
> = bincode::config::standard().with_limit::<65_536>();

/// What is kept of a key besides its counts.
#[derive(Decode)]
#[cfg_attr(test, derive(Encode))]
struct KeyRowV1 {
    last_at_micros: Option<i64>,
    sealed: Vec<u8>,
    scopes: Vec<String>,
    unasked: bool,
    overflowed: bool,
    totals: Vec<u64>,
}

/// The same, with what was counted last.
#[derive(Default, Encode, Decode)]
struct KeyRowV2 {
    last_at_micros: Option<i64>,
    /// The hour that `counted` is of.
    hour: u32,
    /// What was counted in that hour; it stands in no other row.
    counted: Vec<u64>,
    totals: Vec<u64>,
    /// Nonce and AES-256-GCM of a [`SourceV1`]; empty once it was forgotten.
    sealed: Vec<u8>,
    scopes: Vec<String>,
    unasked: bool,
    overflowed: bool,
}

impl KeyRowV2 {
    fn read(value: &[u8]) -> Option<Self> {
        if let Some(row) = decode(KEY_REVISION, value) {
            return Some(row);
        }
        let row: KeyRowV1 = decode(REVISION, value)?;
        Some(Self {
            last_at_micros: row.last_at_micros,
            hour: 0,
            counted: Vec::new(),
            totals: row.totals,
            sealed: row.sealed,
            scopes: row.scopes,
            unasked: row.unasked,
            overflowed: row.overflowed,
        })
    }

    /// Counts what came in an hour. Gives what has to go to a row of its own: the hour that was the
    /// latest, or this one if it comes late.
    fn count(&mut self, hour: u32, counts: Counts) -> Option<(u32, Counts)> {
        let mut totals = untrimmed(&self.totals);
        totals += counts;
        self.totals = trimmed(totals);
        if hour < self.hour {
            return Some((hour, counts));
        }
        let before = (self.hour, untrimmed(&self.counted));
        let mut counted = counts;
        if hour == self.hour {
            counted += before.1;
        }
        self.hour = hour;
        self.counted = trimmed(counted);
        (hour != before.0 && !before.1.is_empty()).then_some(before)
    }
}

/// What is personal of the last use.
#[derive(Encode, Decode)]
struct SourceV1 {
    source: Option<IpAddr>,
    asker: Option<ActorV1>,
    agent: Option<String>,
}

/// The same, sealed once more under the key of the person who holds the key: once that is destroyed no copy
/// of this store tells of it.
#[derive(Encode, Decode)]
struct SourceV2 {
    person: [u8; 16],
    commitment: [u8; 32],
    sealed: Vec<u8>,
}

/// The revision of a [`SourceV2`].
const SOURCE_REVISION: u8 = 2;

/// What has to be written of a key.
pub struct UseChange {
    /// The key.
    pub id: CredentialId,
    /// When it was last used.
    pub last_at: Option<Timestamp>,
    /// The rest of what is known of its uses, unless that is what was written last: mostly it is, and
    /// sealing it again would be most of the work.
    pub described: Option<UseDescription>,
    /// What was counted since the last change was written, by hour.
    pub counted: Vec<(u32, Counts)>,
}

/// What is known of the uses of a key besides numbers.
pub struct UseDescription {
    /// From where it was used last.
    pub source: Option<IpAddr>,
    /// By whom.
    pub client: Option<UsedBy>,
    /// What it was used for.
    pub scopes: ScopesUsed,
    /// Whose key it is, if it is a person's.
    pub person: Option<PersonId>,
}

/// What is stored of a key.
pub struct StoredUse {
    /// The key.
    pub id: CredentialId,
    /// Its last use.
    pub last: Option<LastUse>,
    /// What it was used for.
    pub scopes: ScopesUsed,
}

/// The counts of one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The period.
    pub period: Period,
    /// What was counted in it.
    pub counts: Counts,
}

/// The store. Any thread may read; one writes.
pub struct UsageStore {
    db: sled::Db,
    seal: LessSafeKey,
    persons: Arc<Persons>,
    begun_at: Timestamp,
}

impl UsageStore {
    /// Opens the store of a data folder, or makes it, and gathers all keys that are known: `add` puts
    /// one to what `empty` gave. A store that is damaged is set aside, what was gathered is thrown away,
    /// and a new one is begun.
    ///
    /// # Errors
    /// If not even a new one can be made; the server then counts in memory only.
    pub fn open<T>(
        paths: &Paths,
        key_file: &KeyFile,
        persons: &Arc<Persons>,
        now: Timestamp,
        empty: impl Fn() -> T,
        add: impl Fn(&mut T, StoredUse),
    ) -> io::Result<(Self, T)> {
        let folder = paths.usage();
        // The damage that matters shows when the rows of the keys are read.
        let open = || {
            let store = Self::try_open(&folder, key_file, persons, now)?;
            let mut gathered = empty();
            store.load(&mut |stored| add(&mut gathered, stored))?;
            Ok((store, gathered))
        };
        open().or_else(|error: ScanError| {
            tracing::warn!(
                error = %io::Error::from(error),
                path = %folder.display(),
                "the usage counters do not open; they are set aside, and new ones begun"
            );
            set_aside(&folder, &paths.usage_damaged())?;
            open().map_err(io::Error::from)
        })
    }

    fn try_open(
        folder: &Path,
        key_file: &KeyFile,
        persons: &Arc<Persons>,
        now: Timestamp,
    ) -> Result<Self, ScanError> {
        files::make_folder(folder).map_err(ScanError::Io)?;
        let secret = key_file.sub_key(Purpose::UsageSeal);
        let key = UnboundKey::new(&AES_256_GCM, secret.as_bytes())
            .expect("a key of 32 bytes fits AES-256");
        let db = open_db(folder, CACHE_BYTES)?;
        Ok(Self {
            begun_at: begun_at(&db, now)?,
            seal: LessSafeKey::new(key),
            persons: Arc::clone(persons),
            db,
        })
    }

    /// When counting began: of what was before nothing is known.
    pub const fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    /// Tells of all keys that are known.
    fn load(&self, visit: &mut dyn FnMut(StoredUse)) -> Result<(), ScanError> {
        self.scan(&[KEY], &mut |key, value| {
            let id = key.get(1..).and_then(id_of);
            if let Some((id, row)) = id.zip(KeyRowV2::read(value)) {
                visit(StoredUse {
                    id,
                    last: self.last_of(id, &row),
                    scopes: ScopesUsed {
                        names: row.scopes.into_iter().map(Box::from).collect(),
                        unasked: row.unasked,
                        overflowed: row.overflowed,
                    },
                });
            }
        })
    }

    /// Writes what was counted. It is durable after the next [`UsageStore::flush`]; a death before
    /// that loses it.
    ///
    /// # Errors
    /// If the store breaks; some of it may have been written.
    pub fn write(&self, changes: &[UseChange], rng: &dyn SecureRandom) -> io::Result<()> {
        for change in changes {
            let mut row = self.key(change.id)?.unwrap_or_default();
            let mut moved: BTreeMap<u32, Counts> = BTreeMap::new();
            for (hour, counts) in &change.counted {
                if let Some((hour, counts)) = row.count(*hour, *counts) {
                    *moved.entry(hour).or_default() += counts;
                }
            }
            row.last_at_micros = change.last_at.map(Timestamp::micros);
            if let Some(described) = &change.described {
                row.sealed = self.seal_source(change.id, described, rng)?;
                row.scopes = described
                    .scopes
                    .names
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                row.unasked = described.scopes.unasked;
                row.overflowed = described.scopes.overflowed;
            }
            let value = encode(KEY_REVISION, &row)?;
            if moved.is_empty() {
                caught(|| self.db.insert(key_row(change.id), value))?;
                continue;
            }
            // Together: a death in between must count nothing twice.
            let mut batch = sled::Batch::default();
            batch.insert(key_row(change.id), value);
            for (hour, counts) in moved {
                let period = Period::Hour(hour);
                let mut sum = self.counts(period, change.id)?;
                sum += counts;
                let value = encode(REVISION, &trimmed(sum))?;
                batch.insert(period_row(period, Some(change.id)), value);
            }
            caught(|| self.db.apply_batch(batch))?;
        }
        Ok(())
    }

    /// Makes what was written survive the process.
    ///
    /// # Errors
    /// If the store breaks.
    pub fn flush(&self) -> io::Result<()> {
        caught(|| self.db.flush())?;
        Ok(())
    }

    /// All that was ever counted of a key and stored.
    ///
    /// # Errors
    /// If the store breaks.
    pub fn totals(&self, id: CredentialId) -> io::Result<Counts> {
        let row = self.key(id)?;
        Ok(row.map(|row| untrimmed(&row.totals)).unwrap_or_default())
    }

    /// The counts of a key between two instants, by the shortest periods that are still kept, the
    /// oldest first. A period that lies partly before `since` counts.
    ///
    /// # Errors
    /// If the store breaks.
    pub fn series(
        &self,
        id: CredentialId,
        since: Timestamp,
        until: Timestamp,
    ) -> io::Result<Vec<Bucket>> {
        let mut buckets: BTreeMap<Period, Counts> = BTreeMap::new();
        let mut add = |period: Period, counts: Counts| {
            if period.end() > since && period.start() < until && !counts.is_empty() {
                *buckets.entry(period).or_default() += counts;
            }
        };
        for newest in [
            Period::month_of(until),
            Period::day_of(until),
            Period::hour_of(until),
        ] {
            // Folding is done now and then, so a few more may still be there.
            for back in (0..=kept(newest) + 4).rev() {
                let period = newest.back(back);
                if period.end() > since && period.start() < until {
                    add(period, self.counts(period, id)?);
                }
            }
        }
        // Nobody folds the latest hour of a key that lies idle; it is told as if somebody had.
        if let Some(row) = self.key(id)?
            && let Some(period) = folded(Period::Hour(row.hour), until)
        {
            add(period, untrimmed(&row.counted));
        }
        let buckets = buckets.into_iter();
        let mut buckets: Vec<Bucket> = buckets
            .map(|(period, counts)| Bucket { period, counts })
            .collect();
        buckets.sort_by_key(|bucket| bucket.period.start());
        Ok(buckets)
    }

    /// Folds hours that are old into days, days into months, and drops months that are too old.
    ///
    /// # Errors
    /// If the store breaks. What was folded by then is folded.
    pub fn fold(&self, now: Timestamp) -> io::Result<()> {
        self.fold_before(oldest_kept(Period::hour_of(now)))?;
        self.fold_before(oldest_kept(Period::day_of(now)))?;
        self.fold_before(oldest_kept(Period::month_of(now)))
    }

    /// Folds every row of the kind of `limit` that is older.
    fn fold_before(&self, limit: Period) -> io::Result<()> {
        loop {
            let mut folded: BTreeMap<(Period, CredentialId), Counts> = BTreeMap::new();
            let mut batch = sled::Batch::default();
            let mut rows = 0;
            let range = vec![limit.tag()]..period_row(limit, None);
            let mut scan = caught(|| Ok(self.db.range(range)))?;
            while rows < BATCH_CHANGES_MAX / 2 {
                let Some((key, value)) = caught(|| scan.next().transpose())? else {
                    break;
                };
                rows += 1;
                if let Some((period, id)) = parse_row(&key)
                    && let Some(larger) = period.larger()
                {
                    *folded.entry((larger, id)).or_default() += counts_of(&value);
                }
                batch.remove(key);
            }
            if rows == 0 {
                return Ok(());
            }
            for ((period, id), counts) in folded {
                let mut sum = self.counts(period, id)?;
                sum += counts;
                batch.insert(
                    period_row(period, Some(id)),
                    encode(REVISION, &trimmed(sum))?,
                );
            }
            caught(|| self.db.apply_batch(batch))?;
        }
    }

    /// Forgets all of a key.
    ///
    /// # Errors
    /// If the store breaks.
    pub fn forget(&self, id: CredentialId, now: Timestamp) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        batch.remove(key_row(id));
        for newest in [
            Period::hour_of(now),
            Period::day_of(now),
            Period::month_of(now),
        ] {
            for back in 0..=kept(newest) + 4 {
                batch.remove(period_row(newest.back(back), Some(id)));
            }
        }
        caught(|| self.db.apply_batch(batch))?;
        Ok(())
    }

    fn key(&self, id: CredentialId) -> io::Result<Option<KeyRowV2>> {
        let value = caught(|| self.db.get(key_row(id)))?;
        Ok(value.and_then(|value| KeyRowV2::read(&value)))
    }

    fn counts(&self, period: Period, id: CredentialId) -> io::Result<Counts> {
        let value = caught(|| self.db.get(period_row(period, Some(id))))?;
        Ok(value.map(|value| counts_of(&value)).unwrap_or_default())
    }

    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), ScanError> {
        let mut scan = caught(|| Ok(self.db.scan_prefix(prefix)))?;
        while let Some((key, value)) = caught(|| scan.next().transpose())? {
            visit(&key, &value);
        }
        Ok(())
    }

    fn seal_source(
        &self,
        id: CredentialId,
        described: &UseDescription,
        rng: &dyn SecureRandom,
    ) -> io::Result<Vec<u8>> {
        let (asker, agent) = match &described.client {
            Some(UsedBy::Asker(actor)) => (Some(actor.keep()), None),
            Some(UsedBy::Agent(agent)) => (None, Some(agent.to_string())),
            None => (None, None),
        };
        if described.source.is_none() && asker.is_none() && agent.is_none() {
            return Ok(Vec::new());
        }
        let source = SourceV1 {
            source: described.source,
            asker,
            agent,
        };
        let mut sealed = encode(REVISION, &source)?;
        if let Some(person) = described.person {
            let field = self.persons.seal(person, &sealed, rng);
            let Some(field) = field.map_err(io::Error::other)? else {
                return Ok(Vec::new());
            };
            let source = SourceV2 {
                person: person.to_bytes(),
                commitment: *field.commitment.as_bytes(),
                sealed: field.sealed,
            };
            sealed = encode(SOURCE_REVISION, &source)?;
        }
        let mut nonce = [0; NONCE_LEN];
        let failed = |_| io::Error::other("the source of a use could not be sealed");
        rng.fill(&mut nonce).map_err(failed)?;
        self.seal
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(id.to_bytes()),
                &mut sealed,
            )
            .map_err(failed)?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn last_of(&self, id: CredentialId, row: &KeyRowV2) -> Option<LastUse> {
        let at = Timestamp::from_micros(row.last_at_micros?);
        let opened = row.sealed.split_first_chunk::<NONCE_LEN>();
        let source = opened.and_then(|(nonce, sealed)| {
            let mut sealed = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let aad = Aad::from(id.to_bytes());
            let plain = self.seal.open_in_place(nonce, aad, &mut sealed).ok()?;
            let Some(of_person) = decode::<SourceV2>(SOURCE_REVISION, plain) else {
                return decode::<SourceV1>(REVISION, plain);
            };
            let person = PersonId::from_bytes(of_person.person);
            let commitment = Commitment::from_bytes(of_person.commitment);
            let plain = self.persons.open(person, &commitment, &of_person.sealed)?;
            decode::<SourceV1>(REVISION, &plain)
        });
        let (source, client) = match source {
            None => (None, None),
            Some(found) => {
                let asker = found.asker.map(|actor| UsedBy::Asker(actor.into()));
                let agent = found.agent.map(|agent| UsedBy::Agent(agent.into()));
                (found.source, asker.or(agent))
            }
        };
        Some(LastUse { at, source, client })
    }
}

/// When counting began, by the row that says so; where there is none that can be read, counting begins
/// now. A power cut that takes the row along leaves a store that begins later: never a key that is
/// thought to be idle for longer than it was watched.
fn begun_at(db: &sled::Db, now: Timestamp) -> Result<Timestamp, ScanError> {
    let row = caught(|| db.get(BEGUN))?;
    if let Some(micros) = row.and_then(|value| decode::<i64>(REVISION, &value)) {
        return Ok(Timestamp::from_micros(micros));
    }
    let value = encode(REVISION, &now.micros()).map_err(ScanError::Io)?;
    caught(|| db.insert(BEGUN, value))?;
    caught(|| db.flush())?;
    Ok(now)
}

/// Makes room for a new store and keeps the files of the old one, in place of any kept before.
fn set_aside(folder: &Path, aside: &PathBuf) -> io::Result<()> {
    // Threads of a sled that did not open may still hold its file.
    wait_until_released(&folder.join(crate::sled_store::DB_FILE))?;
    files::remove_folder_if_there(aside)?;
    match fs::rename(folder, aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn key_row(id: CredentialId) -> Vec<u8> {
    [&[KEY][..], &id.to_bytes()].concat()
}

/// The row of a period and key; without a key, where the rows of that period begin.
fn period_row(period: Period, id: Option<CredentialId>) -> Vec<u8> {
    let mut row = vec![period.tag()];
    row.extend_from_slice(&period.number().to_be_bytes());
    if let Some(id) = id {
        row.extend_from_slice(&id.to_bytes());
    }
    row
}

fn parse_row(row: &[u8]) -> Option<(Period, CredentialId)> {
    let (tag, rest) = row.split_first()?;
    let (number, id) = rest.split_first_chunk()?;
    let period = Period::from_stored(*tag, u32::from_be_bytes(*number))?;
    Some((period, id_of(id)?))
}

fn id_of(bytes: &[u8]) -> Option<CredentialId> {
    CredentialId::from_bytes(bytes.try_into().ok()?)
}

/// How many periods of this kind are kept.
const fn kept(kind: Period) -> u32 {
    match kind {
        Period::Hour(_) => HOURS_KEPT,
        Period::Day(_) => DAYS_KEPT,
        Period::Month(_) => MONTHS_KEPT,
    }
}

/// The oldest period that is kept, of those of this kind, when this is the newest.
const fn oldest_kept(newest: Period) -> Period {
    newest.back(kept(newest))
}

/// What a period has become by `now`: itself, the one around it that is kept, or nothing.
fn folded(period: Period, now: Timestamp) -> Option<Period> {
    let newest = match period {
        Period::Hour(_) => Period::hour_of(now),
        Period::Day(_) => Period::day_of(now),
        Period::Month(_) => Period::month_of(now),
    };
    if period >= oldest_kept(newest) {
        return Some(period);
    }
    folded(period.larger()?, now)
}

/// Counts without the zeros at their end, so that outcomes may be added.
fn trimmed(counts: Counts) -> Vec<u64> {
    let mut counts: Vec<u64> = counts.iter().map(|(_, count)| count).collect();
    while counts.last() == Some(&0) {
        counts.pop();
    }
    counts
}

fn untrimmed(stored: &[u64]) -> Counts {
    let mut counts = [0; OUTCOMES];
    for (count, stored) in counts.iter_mut().zip(stored) {
        *count = *stored;
    }
    Counts::from_array(counts)
}

fn counts_of(value: &[u8]) -> Counts {
    decode::<Vec<u64>>(REVISION, value)
        .map(|stored| untrimmed(&stored))
        .unwrap_or_default()
}

fn encode<T: Encode>(revision: u8, value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(128);
    bytes.push(revision);
    bincode::encode_into_std_write(value, &mut bytes, CONFIG).map_err(io::Error::other)?;
    Ok(bytes)
}

/// `None` for what another revision wrote and for what is no row at all.
fn decode<T: Decode<()>>(revision: u8, bytes: &[u8]) -> Option<T> {
    let (written, bytes) = bytes.split_first()?;
    if *written != revision {
        return None;
    }
    let (value, used) = bincode::decode_from_slice(bytes, CONFIG).ok()?;
    (used == bytes.len()).then_some(value)
}

#[cfg(test)]
mod tests {
    use keyledger_domain::Actor;
    use ring::rand::SystemRandom;

    use super::*;
    use crate::folder::OpenFolder;
    use crate::usage::Outcome;

    const NOW: i64 = 1_800_000_000;

    struct Room {
        _folder: tempfile::TempDir,
        paths: Paths,
        key_file: KeyFile,
        persons: Arc<Persons>,
    }

    impl Room {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let open = OpenFolder::open_or_create(folder.path(), &SystemRandom::new());
            let open = open.expect("it is made");
            Self {
                paths: Paths::new(folder.path()),
                _folder: folder,
                key_file: KeyFile::new(open.master_key),
                persons: Arc::new(Persons::new(open.people)),
            }
        }

        fn open(&self) -> UsageStore {
            self.open_at(NOW)
        }

        fn open_at(&self, seconds: i64) -> UsageStore {
            self.open_all(seconds).0
        }

        fn open_all(&self, seconds: i64) -> (UsageStore, Vec<StoredUse>) {
            let (paths, key_file) = (&self.paths, &self.key_file);
            let persons = &self.persons;
            let opened =
                UsageStore::open(paths, key_file, persons, at(seconds), Vec::new, Vec::push);
            opened.expect("it opens")
        }
    }

    fn id(number: u32) -> CredentialId {
        format!("key{number:06}").parse().expect("base62")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn once(outcome: Outcome) -> Counts {
        let mut counts = Counts::default();
        counts.add(outcome);
        counts
    }

    fn some_scopes() -> ScopesUsed {
        ScopesUsed {
            names: vec!["files:read".into()],
            unasked: true,
            overflowed: false,
        }
    }

    fn last_use(seconds: i64) -> LastUse {
        LastUse {
            at: at(seconds),
            source: Some([203, 0, 113, 7].into()),
            client: Some(UsedBy::Agent("curl/8".into())),
        }
    }

    fn change(number: u32, seconds: i64) -> UseChange {
        let Period::Hour(hour) = Period::hour_of(at(seconds)) else {
            panic!("an hour")
        };
        UseChange {
            id: id(number),
            last_at: Some(at(seconds)),
            described: Some(UseDescription {
                source: Some([203, 0, 113, 7].into()),
                client: Some(UsedBy::Agent("curl/8".into())),
                scopes: some_scopes(),
                person: None,
            }),
            counted: vec![(hour, once(Outcome::Valid))],
        }
    }

    fn write(store: &UsageStore, change: UseChange) {
        let written = store.write(&[change], &SystemRandom::new());
        written.expect("written");
    }

    #[test]
    fn n123_where_an_erased_persons_key_was_used_opens_no_more() {
        let room = Room::new();
        let person = PersonId::from_bytes([7; 16]);
        let rng = SystemRandom::new();
        room.persons.prepare(&[person], &rng).expect("made");
        let mut of_person = change(1, NOW);
        if let Some(described) = &mut of_person.described {
            described.person = Some(person);
        }
        let store = room.open();
        write(&store, of_person);
        write(&store, change(2, NOW));
        store.flush().expect("flushed");
        drop(store);
        wait_until_released(&room.paths.usage().join("db")).expect("released");
        let told = |room: &Room| {
            let (store, mut stored) = room.open_all(NOW);
            drop(store);
            wait_until_released(&room.paths.usage().join("db")).expect("released");
            stored.sort_by_key(|stored| stored.id);
            let last = stored.into_iter().map(|stored| stored.last);
            last.collect::<Vec<_>>()
        };
        assert_eq!(told(&room), [Some(last_use(NOW)), Some(last_use(NOW))]);
        room.persons
            .erase(core::iter::once(person))
            .expect("erased");
        let erased = LastUse {
            source: None,
            client: None,
            ..last_use(NOW)
        };
        assert_eq!(told(&room), [Some(erased), Some(last_use(NOW))]);
    }

    #[test]
    fn what_was_written_is_there_after_the_next_start() {
        let room = Room::new();
        let store = room.open();
        write(&store, change(1, NOW - 1));
        // What was told before stays.
        let numbers = UseChange {
            described: None,
            ..change(1, NOW)
        };
        write(&store, numbers);
        let by_service = UseChange {
            described: Some(UseDescription {
                source: None,
                client: Some(UsedBy::Asker(Actor::System)),
                scopes: ScopesUsed::default(),
                person: None,
            }),
            ..change(2, NOW + 1)
        };
        write(&store, by_service);
        store.flush().expect("flushed");
        drop(store);
        wait_until_released(&room.paths.usage().join("db")).expect("released");
        let (store, found) = room.open_all(NOW);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].last, Some(last_use(NOW)));
        assert_eq!(found[0].scopes, some_scopes());
        let last = found[1].last.clone().expect("a use");
        assert_eq!(last.client, Some(UsedBy::Asker(Actor::System)));
        assert_eq!(store.totals(id(1)).expect("read").get(Outcome::Valid), 2);
    }

    #[test]
    fn a_row_of_revision_1_is_read_and_becomes_one_of_revision_2() {
        let room = Room::new();
        let store = room.open();
        let described = change(1, NOW).described.expect("it is described");
        let sealed = store.seal_source(id(1), &described, &SystemRandom::new());
        let row = KeyRowV1 {
            last_at_micros: Some(at(NOW - 7_200).micros()),
            sealed: sealed.expect("sealed"),
            scopes: vec!["files:read".to_owned()],
            unasked: true,
            overflowed: false,
            totals: vec![5],
        };
        let hour = encode(REVISION, &trimmed(once(Outcome::Valid))).expect("encoded");
        let Period::Hour(before) = Period::hour_of(at(NOW - 7_200)) else {
            panic!("an hour")
        };
        let hour_row = period_row(Period::Hour(before), Some(id(1)));
        store.db.insert(hour_row, hour).expect("written");
        let row = encode(REVISION, &row).expect("encoded");
        store.db.insert(key_row(id(1)), row).expect("written");
        let numbers = UseChange {
            described: None,
            // Some of it comes late.
            counted: vec![
                (before + 2, once(Outcome::Valid)),
                (before, once(Outcome::Valid)),
                (before + 1, once(Outcome::Expired)),
            ],
            ..change(1, NOW)
        };
        write(&store, numbers);
        let mut found = Vec::new();
        let loaded = store.load(&mut |stored| found.push(stored));
        loaded.expect("read");
        assert_eq!(found[0].last, Some(last_use(NOW)));
        assert_eq!(found[0].scopes, some_scopes());
        let totals = store.totals(id(1)).expect("read");
        assert_eq!(totals.get(Outcome::Valid), 7);
        let series = store.series(id(1), at(0), at(NOW + 1)).expect("read");
        let valid = series
            .iter()
            .map(|bucket| bucket.counts.get(Outcome::Valid));
        assert_eq!(valid.collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(series[1].counts, once(Outcome::Expired));
    }

    /// Goal: what is in use costs one row each time, or a hundred thousand keys take a core.
    #[test]
    fn an_hour_has_one_row_a_key_and_gets_its_own_when_it_is_over() {
        let room = Room::new();
        let store = room.open();
        for second in 0..10 {
            write(&store, change(1, NOW + second));
        }
        // One, and when counting began.
        assert_eq!(store.db.len(), 2);
        write(&store, change(1, NOW + 3_600));
        assert_eq!(store.db.len(), 3);
        let series = store.series(id(1), at(0), at(NOW + 3_601)).expect("read");
        let valid = series
            .iter()
            .map(|bucket| bucket.counts.get(Outcome::Valid));
        assert_eq!(valid.collect::<Vec<_>>(), [10, 1]);
    }

    #[test]
    fn counting_began_when_the_store_was_made() {
        let room = Room::new();
        let db = room.paths.usage().join("db");
        for seconds in [NOW, NOW + 86_400, NOW - 86_400] {
            let store = room.open_at(seconds);
            assert_eq!(store.begun_at(), at(NOW));
            // Folding passes over it.
            store.fold(at(NOW + 86_400 * 1_000)).expect("folded");
            drop(store);
            wait_until_released(&db).expect("released");
        }
        fs::remove_dir_all(room.paths.usage()).expect("removed");
        assert_eq!(room.open_at(NOW + 7).begun_at(), at(NOW + 7));
    }

    #[test]
    fn the_source_is_nowhere_in_clear() {
        let room = Room::new();
        let store = room.open();
        let mut named = change(1, NOW);
        if let Some(described) = &mut named.described {
            described.client = Some(UsedBy::Agent("a-most-peculiar-agent".into()));
        }
        write(&store, named);
        store.flush().expect("flushed");
        let bytes = fs::read(room.paths.usage().join("db")).expect("read");
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|bytes| bytes == needle);
        assert!(has(b"files:read"), "the row itself is there");
        assert!(!has(b"a-most-peculiar-agent"));
    }

    #[test]
    fn old_hours_become_days_and_old_days_months() {
        // Counted so many seconds ago, and what it is found as today.
        let (hour, day) = (3_600, 86_400);
        let table = [
            (0, Some(hour)),
            (47 * hour, Some(hour)),
            (48 * hour, Some(hour)),
            (50 * hour, Some(day)),
            (89 * day, Some(day)),
            (90 * day, Some(day)),
            (92 * day, None),
            (700 * day, None),
        ];
        for (ago, seconds) in table {
            let room = Room::new();
            let store = room.open();
            write(&store, change(1, NOW - ago));
            store.fold(at(NOW)).expect("folded");
            store.fold(at(NOW)).expect("folded again, to the same");
            let series = store.series(id(1), at(0), at(NOW + 1)).expect("read");
            assert_eq!(series.len(), 1, "{ago} s ago");
            assert_eq!(series[0].counts, once(Outcome::Valid), "{ago} s ago");
            let length = series[0].period.seconds();
            match seconds {
                Some(seconds) => assert_eq!(i64::from(length), seconds, "{ago} s ago"),
                None => assert!(length >= 28 * 86_400, "{ago} s ago: {length}"),
            }
            assert!(series[0].period.start() <= at(NOW - ago));
            assert!(series[0].period.end() > at(NOW - ago));
        }
        let room = Room::new();
        let store = room.open();
        write(&store, change(1, NOW - 800 * 86_400));
        store.fold(at(NOW)).expect("folded");
        assert_eq!(store.series(id(1), at(0), at(NOW)).expect("read"), []);
        // The total outlives the months.
        assert_eq!(store.totals(id(1)).expect("read"), once(Outcome::Valid));
    }

    /// Goal: however long a key is used, its rows are bounded, and nothing is counted twice or lost
    /// on the way from hours to months.
    #[test]
    fn rows_are_bounded_and_sums_are_kept() {
        let room = Room::new();
        let store = room.open();
        let begun = NOW - 400 * 86_400;
        let mut written = 0;
        for step in 0..1_600 {
            let seconds = begun + step * 6 * 3_600;
            for number in 0..3 {
                write(&store, change(number, seconds));
            }
            written += 1;
            if step % 50 == 49 {
                store.fold(at(seconds)).expect("folded");
            }
        }
        store.fold(at(NOW)).expect("folded");
        let rows_max = usize::try_from(3 * (1 + HOURS_KEPT + DAYS_KEPT + MONTHS_KEPT + 4)).unwrap();
        assert!(store.db.len() <= rows_max, "{} rows", store.db.len());
        for number in 0..3 {
            let series = store.series(id(number), at(0), at(NOW + 1)).expect("read");
            let valid = series
                .iter()
                .map(|bucket| bucket.counts.get(Outcome::Valid));
            assert_eq!(valid.sum::<u64>(), written);
            assert!(series.is_sorted_by_key(|bucket| bucket.period.start()));
        }
        for number in 0..3 {
            store.forget(id(number), at(NOW)).expect("forgotten");
        }
        // What was older than two years at the end was dropped; the rest is forgotten, but when it began.
        assert_eq!(store.db.len(), 1);
    }

    #[test]
    fn the_file_stays_small_however_often_the_same_is_written() {
        let room = Room::new();
        let store = room.open();
        for round in 0..60 {
            let changes: Vec<UseChange> =
                (0..500).map(|number| change(number, NOW + round)).collect();
            store
                .write(&changes, &SystemRandom::new())
                .expect("written");
            store.flush().expect("flushed");
        }
        let db = room.paths.usage().join("db");
        let bytes = db.metadata().expect("there").len();
        assert!(bytes < 16 << 20, "{bytes} bytes");
    }

    #[test]
    fn a_damaged_store_is_set_aside_and_begun_anew() {
        let room = Room::new();
        let store = room.open();
        for number in 0..2_000 {
            write(&store, change(number, NOW));
        }
        store.flush().expect("flushed");
        drop(store);
        let db = room.paths.usage().join("db");
        wait_until_released(&db).expect("released");
        // sled tells of damage to what is not its log; it passes over a torn log in silence.
        for entry in fs::read_dir(room.paths.usage()).expect("read") {
            let path = entry.expect("an entry").path();
            if path.is_file() && path != db {
                let mut bytes = fs::read(&path).expect("read");
                for byte in &mut bytes {
                    *byte ^= 0x55;
                }
                fs::write(&path, &bytes).expect("written");
            }
        }
        let (store, found) = room.open_all(NOW + 7);
        assert_eq!(store.begun_at(), at(NOW + 7));
        assert!(found.is_empty());
        write(&store, change(1, NOW));
        assert_eq!(store.totals(id(1)).expect("read"), once(Outcome::Valid));
        assert!(room.paths.usage_damaged().is_dir());
    }
}
