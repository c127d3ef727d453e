//! Where counts and last uses lie: a small sled of their own in `usage/`, apart from the ledger, whose
//! file sees appends only.
//!
//! ```text
//! c id            last use, totals, and counts    one for some tens of keys, of which this is where they
//!                 of the latest hour, of each     begin; see `usage_store/numbers.rs`
//! k id            scopes, source and client       one a key, the last two sealed
//! h hour id       counts of an hour before that   48 hours, then they are a part of
//! d day id        counts of a day                 90 days, then of
//! m month id      counts of a month               24 months, then they are gone
//! b               when counting began             one, written when the store is made
//! ```
//!
//! Each value begins with its revision; what a row of another revision says is not known and is passed
//! over, but for those of a key that revisions 1 and 2 wrote: they had its numbers too, which count until the
//! key is in a row of numbers. A key that is in use costs a part of such a row at each flush: its
//! latest hour gets a row of its own once there is a later one, and what describes it is written where it
//! changed. In rows of periods the time stands before the id, so that what is old lies together and folding
//! touches nothing else. What belongs together, and a step of folding, is one small batch, which sled writes
//! wholly or not at all: a death in between counts nothing twice.
//!
//! **Nothing here may stop a start.** A folder that does not open is set aside as `usage.damaged`, and a
//! new one is begun: what is lost are counts.

mod numbers;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincode::{Decode, Encode};
use keyledger_domain::id::PersonId;
use keyledger_domain::{CredentialId, Timestamp};
use parking_lot::Mutex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SecureRandom;

use crate::files;
use crate::key_file::Purpose;
use crate::ledger::KeyFile;
use crate::paths::Paths;
use crate::record::{ActorV1, Part as _, Persons};
use crate::sled_store::{caught, open_db, wait_until_released};
use crate::store::ScanError;
use crate::usage::{Counts, LastUse, Period, ScopesUsed, UsedBy};
use crate::usage_store::numbers::{CountsV1, IdBytes, NumbersV1, SHEET_KEYS_MAX, SheetV1, Sheets};
use crate::vault::Commitment;

/// How long counts are kept by the hour, in hours.
pub const HOURS_KEPT: u32 = 48;
/// How long they are kept by the day after that, in days.
pub const DAYS_KEPT: u32 = 90;
/// How long they are kept by the month after that, in months.
pub const MONTHS_KEPT: u32 = 24;

/// sled's pages of this store in memory, in bytes, which take some three times as much there: room for the
/// numbers of a hundred thousand keys. What is asked for often is in memory anyway.
const CACHE_BYTES: u64 = 4 << 20;
/// The most changes in one batch of sled's: it leaks with large ones.
const BATCH_CHANGES_MAX: usize = 256;
/// The revision of the rows of numbers and periods, and of when counting began.
const REVISION: u8 = 1;
/// The revision of the rows of keys that had what was counted last.
const COUNTED_REVISION: u8 = 2;
/// The revision of the rows of keys.
const KEY_REVISION: u8 = 3;

const NUMBERS: u8 = b'c';
const KEY: u8 = b'k';
const BEGUN: &[u8] = b"b";

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<65_536>,
> = bincode::config::standard().with_limit::<65_536>();

/// What was kept of a key besides its counts.
#[derive(Decode)]
#[cfg_attr(test, derive(Encode))]
struct KeyRowV1 {
    last_at_micros: Option<i64>,
    sealed: Vec<u8>,
    scopes: Vec<String>,
    unasked: bool,
    overflowed: bool,
    totals: CountsV1,
}

/// The same, with what was counted last.
#[derive(Decode)]
#[cfg_attr(test, derive(Encode))]
struct KeyRowV2 {
    last_at_micros: Option<i64>,
    hour: u32,
    counted: CountsV1,
    totals: CountsV1,
    sealed: Vec<u8>,
    scopes: Vec<String>,
    unasked: bool,
    overflowed: bool,
}

/// What is kept of a key besides its numbers.
#[derive(Default, Encode, Decode)]
struct KeyRowV3 {
    /// Nonce and AES-256-GCM of a [`SourceV1`]; empty once it was forgotten.
    sealed: Vec<u8>,
    scopes: Vec<String>,
    unasked: bool,
    overflowed: bool,
}

impl KeyRowV3 {
    /// The row, and the numbers if it is of a revision that had them.
    fn read(value: &[u8]) -> Option<(Self, Option<NumbersV1>)> {
        if let Some(row) = decode(KEY_REVISION, value) {
            return Some((row, None));
        }
        let row = match decode::<KeyRowV2>(COUNTED_REVISION, value) {
            Some(row) => row,
            None => decode::<KeyRowV1>(REVISION, value)?.into(),
        };
        let numbers = NumbersV1 {
            last_at_micros: row.last_at_micros,
            hour: row.hour,
            counted: row.counted,
            totals: row.totals,
        };
        let row = Self {
            sealed: row.sealed,
            scopes: row.scopes,
            unasked: row.unasked,
            overflowed: row.overflowed,
        };
        Some((row, Some(numbers)))
    }
}

impl From<KeyRowV1> for KeyRowV2 {
    fn from(row: KeyRowV1) -> Self {
        Self {
            last_at_micros: row.last_at_micros,
            hour: 0,
            counted: CountsV1::default(),
            totals: row.totals,
            sealed: row.sealed,
            scopes: row.scopes,
            unasked: row.unasked,
            overflowed: row.overflowed,
        }
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
#[derive(Clone)]
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
#[derive(Clone)]
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
    /// Held while rows of numbers are read or written: they split and go.
    sheets: Mutex<Sheets>,
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
            sheets: Mutex::new(sheets_of(&db)?),
            db,
        })
    }

    /// When counting began: of what was before nothing is known.
    pub const fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    /// Tells of all keys that are known.
    fn load(&self, visit: &mut dyn FnMut(StoredUse)) -> Result<(), ScanError> {
        let mut tell = |id, row: Option<KeyRowV3>, numbers: Option<&NumbersV1>| {
            let row = row.unwrap_or_default();
            visit(StoredUse {
                id,
                last: numbers.and_then(|numbers| self.last_of(id, &row, numbers)),
                scopes: ScopesUsed {
                    names: row.scopes.into_iter().map(Box::from).collect(),
                    unasked: row.unasked,
                    overflowed: row.overflowed,
                },
            });
        };
        let sheets = self.sheets.lock();
        for start in sheets.iter() {
            // Both are ordered by id, and mostly a key is in both.
            let mut counted = self.sheet(start)?.into_keys().into_iter().peekable();
            let end = sheets
                .after(start)
                .map_or(vec![KEY + 1], |start| key_row(&start));
            let mut scan = caught(|| Ok(self.db.range(key_row(&start)..end)))?;
            while let Some((key, value)) = caught(|| scan.next().transpose())? {
                let Some(id) = key.get(1..).and_then(id_of) else {
                    continue;
                };
                while let Some(before) = counted.next_if(|key| key.id < id.to_bytes()) {
                    if let Some(id) = CredentialId::from_bytes(before.id) {
                        tell(id, None, Some(&before.numbers));
                    }
                }
                let counted = counted.next_if(|key| key.id == id.to_bytes());
                let (row, numbers) = KeyRowV3::read(&value).unzip();
                let numbers = counted.map(|key| key.numbers).or(numbers.flatten());
                if row.is_some() || numbers.is_some() {
                    tell(id, row, numbers.as_ref());
                }
            }
            for rest in counted {
                if let Some(id) = CredentialId::from_bytes(rest.id) {
                    tell(id, None, Some(&rest.numbers));
                }
            }
        }
        Ok(())
    }

    /// Writes what was counted; it is quickest for changes that are ordered by id. It is durable after
    /// the next [`UsageStore::flush`]; a death before that loses it.
    ///
    /// # Errors
    /// If the store breaks; some of it may have been written.
    pub fn write(&self, changes: &[UseChange], rng: &dyn SecureRandom) -> io::Result<()> {
        let mut sheets = self.sheets.lock();
        let mut changes = changes;
        while let Some(first) = changes.first() {
            let start = sheets.start_of(first.id);
            let end = sheets.after(start);
            let is_here = |change: &&UseChange| {
                let id = change.id.to_bytes();
                id >= start && end.is_none_or(|end| id < end)
            };
            // As many as fit a batch.
            let here = changes.iter().take(SHEET_KEYS_MAX).take_while(is_here);
            let (here, rest) = changes.split_at(here.count());
            self.write_to(&mut sheets, start, here, rng)?;
            changes = rest;
        }
        Ok(())
    }

    /// Writes changes of keys that belong to the sheet of `start`.
    ///
    /// The numbers first, and all rows of them together: a death in between must count nothing twice. What
    /// describes the keys comes after: then nothing is lost with a row of before that had the numbers too.
    fn write_to(
        &self,
        sheets: &mut Sheets,
        start: IdBytes,
        changes: &[UseChange],
        rng: &dyn SecureRandom,
    ) -> io::Result<()> {
        let mut sheet = self.sheet(start)?;
        let mut moved: BTreeMap<(u32, CredentialId), Counts> = BTreeMap::new();
        for change in changes {
            let numbers = sheet.get_or_insert(change.id, || self.old_numbers(change.id))?;
            for (hour, counts) in &change.counted {
                if let Some((hour, counts)) = numbers.count(*hour, *counts) {
                    *moved.entry((hour, change.id)).or_default() += counts;
                }
            }
            numbers.last_at_micros = change.last_at.map(Timestamp::micros);
        }
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for ((hour, id), counts) in moved {
            let period = Period::Hour(hour);
            let mut sum = self.counts(period, id)?;
            sum += counts;
            let value = encode(REVISION, &CountsV1(sum))?;
            rows.push((period_row(period, Some(id)), value));
        }
        let parts = sheet.split(start);
        for (start, sheet) in &parts {
            rows.push((sheet_row(*start), encode(REVISION, sheet)?));
        }
        self.put(rows)?;
        for (start, _) in parts {
            sheets.add(start);
        }
        for change in changes {
            if let Some(described) = &change.described {
                let names = described.scopes.names.iter();
                let row = KeyRowV3 {
                    sealed: self.seal_source(change.id, described, rng)?,
                    scopes: names.map(ToString::to_string).collect(),
                    unasked: described.scopes.unasked,
                    overflowed: described.scopes.overflowed,
                };
                let value = encode(KEY_REVISION, &row)?;
                caught(|| self.db.insert(key_row(&change.id.to_bytes()), value))?;
            }
        }
        Ok(())
    }

    /// Puts rows, all or none of them. Each batch has sled write at once what it gathered, so a row that is alone
    /// gets none.
    fn put(&self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), ScanError> {
        let is_alone = rows.len() == 1;
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            if is_alone {
                caught(|| self.db.insert(key, value))?;
                return Ok(());
            }
            batch.insert(key, value);
        }
        caught(|| self.db.apply_batch(batch))
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
        Ok(self.numbers(id)?.totals.0)
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
        let numbers = self.numbers(id)?;
        if let Some(period) = folded(Period::Hour(numbers.hour), until) {
            add(period, numbers.counted.0);
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
                    encode(REVISION, &CountsV1(sum))?,
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
        let mut sheets = self.sheets.lock();
        let start = sheets.start_of(id);
        let mut sheet = self.sheet(start)?;
        let mut batch = sled::Batch::default();
        batch.remove(key_row(&id.to_bytes()));
        let was_counted = sheet.remove(id);
        if sheet.is_empty() {
            batch.remove(sheet_row(start));
        } else if was_counted {
            batch.insert(sheet_row(start), encode(REVISION, &sheet)?);
        }
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
        if sheet.is_empty() {
            sheets.remove(start);
        }
        Ok(())
    }

    /// The sheet that begins here; an empty one where there is none that can be read.
    fn sheet(&self, start: IdBytes) -> Result<SheetV1, ScanError> {
        let value = caught(|| self.db.get(sheet_row(start)))?;
        let sheet = value.and_then(|value| decode(REVISION, &value));
        Ok(sheet.unwrap_or_default())
    }

    fn numbers(&self, id: CredentialId) -> io::Result<NumbersV1> {
        let sheets = self.sheets.lock();
        let sheet = self.sheet(sheets.start_of(id))?;
        sheet
            .get(id)
            .map_or_else(|| self.old_numbers(id), |numbers| Ok(*numbers))
    }

    /// The numbers of a key that is in no sheet: those that an older revision kept beside what describes it.
    fn old_numbers(&self, id: CredentialId) -> io::Result<NumbersV1> {
        let value = caught(|| self.db.get(key_row(&id.to_bytes())))?;
        let row = value.and_then(|value| KeyRowV3::read(&value));
        Ok(row.and_then(|(_, numbers)| numbers).unwrap_or_default())
    }

    fn counts(&self, period: Period, id: CredentialId) -> io::Result<Counts> {
        let value = caught(|| self.db.get(period_row(period, Some(id))))?;
        Ok(value.map(|value| counts_of(&value)).unwrap_or_default())
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

    fn last_of(&self, id: CredentialId, row: &KeyRowV3, numbers: &NumbersV1) -> Option<LastUse> {
        let at = Timestamp::from_micros(numbers.last_at_micros?);
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
/// now. A power cut that takes the row along sheets a store that begins later: never a key that is
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

/// Where the sheets of a store begin.
fn sheets_of(db: &sled::Db) -> Result<Sheets, ScanError> {
    let mut sheets = Sheets::new();
    let mut scan = caught(|| Ok(db.scan_prefix([NUMBERS])))?;
    while let Some((row, _)) = caught(|| scan.next().transpose())? {
        if let Some(start) = row.get(1..).and_then(|start| start.try_into().ok()) {
            sheets.add(start);
        }
    }
    Ok(sheets)
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

fn key_row(id: &IdBytes) -> Vec<u8> {
    [&[KEY][..], id].concat()
}

fn sheet_row(start: IdBytes) -> Vec<u8> {
    [&[NUMBERS][..], &start].concat()
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

fn counts_of(value: &[u8]) -> Counts {
    let stored: Option<CountsV1> = decode(REVISION, value);
    stored.unwrap_or_default().0
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
    use proptest::prelude::*;
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

    /// Goal: numbers are told without what describes the key, which may come later.
    #[test]
    fn a_key_that_is_not_described_yet_is_known() {
        let room = Room::new();
        let store = room.open();
        for number in 1..=5 {
            let change = change(number, NOW);
            let described = change.described.filter(|_| number % 2 == 0);
            write(
                &store,
                UseChange {
                    described,
                    ..change
                },
            );
        }
        let mut found = Vec::new();
        let loaded = store.load(&mut |stored| found.push(stored));
        loaded.expect("read");
        let ids = found.iter().map(|stored| stored.id);
        assert_eq!(ids.collect::<Vec<_>>(), [1, 2, 3, 4, 5].map(id));
        for (stored, is_described) in found.into_iter().zip([false, true].into_iter().cycle()) {
            let last = stored.last.expect("a use");
            assert_eq!(last.at, at(NOW));
            assert_eq!(last.source.is_some(), is_described);
            assert_eq!(stored.scopes == some_scopes(), is_described);
        }
    }

    #[test]
    fn a_row_of_revision_1_is_read_and_becomes_one_of_revision_2() {
        let room = Room::new();
        let store = room.open();
        let described = change(1, NOW).described.expect("it is described");
        let sealed = store.seal_source(id(1), &described, &SystemRandom::new());
        let mut five = Counts::default();
        five.add_times(Outcome::Valid, 5);
        let row = KeyRowV1 {
            last_at_micros: Some(at(NOW - 7_200).micros()),
            sealed: sealed.expect("sealed"),
            scopes: vec!["files:read".to_owned()],
            unasked: true,
            overflowed: false,
            totals: CountsV1(five),
        };
        let hour = encode(REVISION, &CountsV1(once(Outcome::Valid))).expect("encoded");
        let Period::Hour(before) = Period::hour_of(at(NOW - 7_200)) else {
            panic!("an hour")
        };
        let hour_row = period_row(Period::Hour(before), Some(id(1)));
        store.db.insert(hour_row, hour).expect("written");
        let row = encode(REVISION, &row).expect("encoded");
        store
            .db
            .insert(key_row(&id(1).to_bytes()), row)
            .expect("written");
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

    /// Goal: what is in use costs no row of its own each time, or a hundred thousand keys take a core.
    #[test]
    fn an_hour_gets_a_row_of_its_own_when_it_is_over() {
        let room = Room::new();
        let store = room.open();
        for second in 0..10 {
            write(&store, change(1, NOW + second));
        }
        // What describes it, its numbers, and when counting began.
        assert_eq!(store.db.len(), 3);
        write(&store, change(1, NOW + 3_600));
        assert_eq!(store.db.len(), 4);
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

    /// Goal: the numbers of many keys lie together, however they come, and a key that is in use costs no
    /// row of its own.
    #[test]
    fn many_keys_share_a_row_of_numbers() {
        let room = Room::new();
        let store = room.open();
        let rows = |store: &UsageStore| store.db.scan_prefix([NUMBERS]).count();
        // In an order that jumps.
        let changes: Vec<UseChange> = (0..2_000_u32)
            .map(|number| change(number * 7_919 % 2_000, NOW))
            .collect();
        for some in changes.chunks(97) {
            let written = store.write(some, &SystemRandom::new());
            written.expect("written");
        }
        let sheets = rows(&store);
        assert!(sheets <= 2_000 / (SHEET_KEYS_MAX / 2), "{sheets} rows");
        let all = store.db.len();
        let again: Vec<UseChange> = changes
            .iter()
            .map(|change| UseChange {
                described: None,
                ..change.clone()
            })
            .collect();
        let written = store.write(&again, &SystemRandom::new());
        written.expect("written");
        assert_eq!((rows(&store), store.db.len()), (sheets, all));
        for number in 0..2_000 {
            let totals = store.totals(id(number)).expect("read");
            assert_eq!(totals.get(Outcome::Valid), 2, "{number}");
        }
    }

    #[test]
    fn a_row_of_revision_2_counts_until_its_key_is_in_a_sheet() {
        let Period::Hour(hour) = Period::hour_of(at(NOW)) else {
            panic!("an hour")
        };
        let described = change(1, NOW).described;
        // With what describes the key written anew, which was in the same row, and without.
        for described in [None, described] {
            let room = Room::new();
            let store = room.open();
            let row = KeyRowV2 {
                last_at_micros: Some(at(NOW - 7_200).micros()),
                hour: hour - 2,
                counted: CountsV1(once(Outcome::Valid)),
                totals: CountsV1(once(Outcome::Valid)),
                sealed: Vec::new(),
                scopes: vec!["files:read".to_owned()],
                unasked: true,
                overflowed: false,
            };
            let row = encode(COUNTED_REVISION, &row).expect("encoded");
            let row_of = |number| key_row(&id(number).to_bytes());
            store.db.insert(row_of(1), row.clone()).expect("written");
            store.db.insert(row_of(2), row).expect("written");
            let last = |store: &UsageStore, number: u32| {
                let mut found = Vec::new();
                let loaded = store.load(&mut |stored| found.push(stored));
                loaded.expect("read");
                let of_it = found.into_iter().find(|stored| stored.id == id(number));
                let of_it = of_it.expect("it is known");
                assert_eq!(of_it.scopes, some_scopes());
                of_it.last.map(|last| last.at)
            };
            assert_eq!(last(&store, 1), Some(at(NOW - 7_200)));
            let series = |store: &UsageStore, number: u32| {
                let series = store.series(id(number), at(0), at(NOW + 1));
                let series = series.expect("read").into_iter();
                let valid = series.map(|bucket| bucket.counts.get(Outcome::Valid));
                valid.collect::<Vec<_>>()
            };
            assert_eq!(series(&store, 1), [1]);
            for _ in 0..2 {
                let change = UseChange {
                    described: described.clone(),
                    ..change(1, NOW)
                };
                write(&store, change);
            }
            assert_eq!(series(&store, 1), [1, 2]);
            assert_eq!(last(&store, 1), Some(at(NOW)));
            // Its neighbour is where it was.
            assert_eq!(series(&store, 2), [1]);
            assert_eq!(last(&store, 2), Some(at(NOW - 7_200)));
            for number in [1, 2] {
                store.forget(id(number), at(NOW)).expect("forgotten");
            }
            assert_eq!(store.db.len(), 1);
        }
    }

    #[test]
    fn a_damaged_row_of_numbers_is_passed_over() {
        let room = Room::new();
        let store = room.open();
        let changes: Vec<UseChange> = (0..200).map(|number| change(number, NOW)).collect();
        let written = store.write(&changes, &SystemRandom::new());
        written.expect("written");
        let start = store.sheets.lock().start_of(id(100));
        for damaged in [&b""[..], b"\x01\xff\xff", b"\x09what a later version wrote"] {
            let row = sheet_row(start);
            store.db.insert(row, damaged).expect("written");
            let mut known = 0;
            let loaded = store.load(&mut |stored| {
                assert_eq!(stored.scopes, some_scopes());
                known += u32::from(stored.last.is_some());
            });
            loaded.expect("read");
            assert!((200 - 64..200).contains(&known), "{known}");
            assert_eq!(store.totals(id(100)).expect("read"), Counts::default());
            write(&store, change(100, NOW));
            assert_eq!(store.totals(id(100)).expect("read"), once(Outcome::Valid));
        }
    }

    /// Goal: rows of numbers and rows of hours change together. A death at any byte of what is written
    /// leaves each key as it was or as it was to be.
    #[test]
    fn a_death_amid_a_write_counts_nothing_twice_and_loses_nothing_of_before() {
        const KEYS: u32 = 90;
        let room = Room::new();
        let store = room.open();
        let db = room.paths.usage().join("db");
        let write_all = |seconds: i64| {
            let changes: Vec<UseChange> = (0..KEYS).map(|number| change(number, seconds)).collect();
            let written = store.write(&changes, &SystemRandom::new());
            written.expect("written");
            store.flush().expect("flushed");
        };
        write_all(NOW);
        let before = fs::read(&db).expect("read");
        write_all(NOW + 3_600);
        let after = fs::read(&db).expect("read");
        let byte = |bytes: &[u8], place: usize| bytes.get(place).copied().unwrap_or_default();
        let changed: Vec<usize> = (0..after.len())
            .filter(|place| byte(&before, *place) != byte(&after, *place))
            .collect();
        let (first, last) = (changed[0], changed[changed.len() - 1]);
        let mut seen = [0, 0];
        for part in 0..=40 {
            let cut = first + (last + 1 - first) * part / 40;
            let mut bytes = after[..cut].to_vec();
            bytes.extend((cut..after.len()).map(|place| byte(&before, place)));
            let copy = Room::new();
            fs::create_dir_all(copy.paths.usage()).expect("made");
            for entry in fs::read_dir(room.paths.usage()).expect("read") {
                let entry = entry.expect("an entry");
                if entry.file_type().expect("a kind").is_file() && entry.path() != db {
                    let to = copy.paths.usage().join(entry.file_name());
                    fs::copy(entry.path(), to).expect("copied");
                }
            }
            fs::write(copy.paths.usage().join("db"), bytes).expect("written");
            let (store, found) = copy.open_all(NOW + 3_600);
            assert_eq!(found.len() as u64, u64::from(KEYS), "cut at {cut}");
            for stored in found {
                let totals = store.totals(stored.id).expect("read").get(Outcome::Valid);
                let is_new = totals == 2;
                let series = store.series(stored.id, at(0), at(NOW + 3_601));
                let series = series.expect("read").into_iter();
                let valid = series.map(|bucket| bucket.counts.get(Outcome::Valid));
                let expected: &[u64] = if is_new { &[1, 1] } else { &[1] };
                assert_eq!(valid.collect::<Vec<_>>(), expected, "cut at {cut}");
                let seconds = if is_new { NOW + 3_600 } else { NOW };
                assert_eq!(stored.last.map(|last| last.at), Some(at(seconds)));
                seen[usize::from(is_new)] += 1;
            }
        }
        assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write {
            first: u32,
            apart: u32,
            keys: u32,
            hour: i64,
        },
        Forget(u32),
        Fold,
        Reopen,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let write = (0..400_u32, 1..9_u32, 1..150_u32, 0..6_i64);
        let write = write.prop_map(|(first, apart, keys, hour)| Step::Write {
            first,
            apart,
            keys,
            hour,
        });
        let step = prop_oneof![
            8 => write,
            4 => (0..400_u32).prop_map(Step::Forget),
            1 => Just(Step::Fold),
            1 => Just(Step::Reopen),
        ];
        proptest::collection::vec(step, 1..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Goal: however keys come, go and lie together, what is told is what was counted.
        #[test]
        fn any_sequence_tells_what_a_plain_map_would(steps in steps()) {
            let room = Room::new();
            let mut store = room.open();
            let db = room.paths.usage().join("db");
            // By key: the last use, and how often in each hour.
            let mut plain: BTreeMap<u32, (i64, BTreeMap<i64, u64>)> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Write { first, apart, keys, hour } => {
                        let numbers = (0..keys).map(|index| first + index * apart);
                        let seconds = NOW + hour * 3_600;
                        let changes: Vec<_> =
                            numbers.clone().map(|number| change(number, seconds)).collect();
                        store.write(&changes, &SystemRandom::new()).expect("written");
                        for number in numbers {
                            let (last, hours) = plain.entry(number).or_default();
                            *last = seconds;
                            *hours.entry(hour).or_default() += 1;
                        }
                    }
                    Step::Forget(number) => {
                        store.forget(id(number), at(NOW + 6 * 3_600)).expect("forgotten");
                        plain.remove(&number);
                    }
                    Step::Fold => store.fold(at(NOW + 6 * 3_600)).expect("folded"),
                    Step::Reopen => {
                        store.flush().expect("flushed");
                        drop(store);
                        wait_until_released(&db).expect("released");
                        store = room.open();
                    }
                }
            }
            let mut last_uses: BTreeMap<CredentialId, Option<Timestamp>> = BTreeMap::new();
            store
                .load(&mut |stored| {
                    last_uses.insert(stored.id, stored.last.map(|last| last.at));
                })
                .expect("read");
            let expected = plain.iter().map(|(number, (last, _))| (id(*number), Some(at(*last))));
            prop_assert_eq!(last_uses, expected.collect());
            for (number, (_, hours)) in plain {
                let series = store.series(id(number), at(0), at(NOW + 6 * 3_600)).expect("read");
                let counts = series.iter().map(|bucket| bucket.counts.get(Outcome::Valid));
                prop_assert_eq!(counts.collect::<Vec<_>>(), hours.values().copied().collect::<Vec<_>>());
                let totals = store.totals(id(number)).expect("read").get(Outcome::Valid);
                prop_assert_eq!(totals, hours.values().sum::<u64>());
            }
        }
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
