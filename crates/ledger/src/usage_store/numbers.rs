//! What is counted of keys as stored: the numbers of some tens of keys in one row, which is called a sheet.
//!
//! sled takes some ten microseconds for a row of forty bytes and hardly more for one of fifteen hundred.
//! Where all of a hundred thousand keys are in use, one row a key takes a second of each flush; sheets take a
//! tenth of that. A sheet holds all keys from the one that it begins at to where the next one begins.
//! What stands in it is no difference to anything: writing it again counts nothing twice.

use std::collections::BTreeSet;
use std::ops::Bound;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use keyledger_domain::CredentialId;

use crate::usage::{Counts, OUTCOMES};

/// The most keys of one sheet. One that gets more becomes several, each half full.
pub(super) const SHEET_KEYS_MAX: usize = 64;

/// The nine bytes of a key's id. A sheet may begin where no id does.
pub(super) type IdBytes = [u8; 9];

/// Where the first sheet begins, which holds what comes before all others.
const FIRST: IdBytes = [0; 9];

/// Counts without the zeros at their end, so that outcomes may be added. What a later version counts
/// besides is left out.
#[derive(Clone, Copy, Default)]
pub(super) struct CountsV1(pub(super) Counts);

impl Encode for CountsV1 {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let length = self.0.iter().filter(|(_, count)| *count != 0).last();
        let length = length.map_or(0, |(last, _)| last as u64 + 1);
        length.encode(encoder)?;
        let counts = self.0.iter().map(|(_, count)| count);
        let some = usize::try_from(length).unwrap_or(OUTCOMES);
        counts
            .take(some)
            .try_for_each(|count| count.encode(encoder))
    }
}

impl<Context> Decode<Context> for CountsV1 {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let length = u64::decode(decoder)?;
        let mut counts = [0; OUTCOMES];
        for index in 0..length {
            let count = u64::decode(decoder)?;
            let place = usize::try_from(index).ok();
            if let Some(place) = place.and_then(|index| counts.get_mut(index)) {
                *place = count;
            }
        }
        Ok(Self(Counts::from_array(counts)))
    }
}

bincode::impl_borrow_decode!(CountsV1);

/// What is counted of a key.
#[derive(Clone, Copy, Default, Encode, Decode)]
pub(super) struct NumbersV1 {
    pub(super) last_at_micros: Option<i64>,
    /// The hour that `counted` is of.
    pub(super) hour: u32,
    /// What was counted in that hour; it stands in no other row.
    pub(super) counted: CountsV1,
    pub(super) totals: CountsV1,
}

impl NumbersV1 {
    /// Counts what came in an hour. Gives what has to go to a row of its own: the hour that was the
    /// latest, or this one if it comes late.
    pub(super) fn count(&mut self, hour: u32, counts: Counts) -> Option<(u32, Counts)> {
        self.totals.0 += counts;
        if hour < self.hour {
            return Some((hour, counts));
        }
        if hour == self.hour {
            self.counted.0 += counts;
            return None;
        }
        let before = (self.hour, self.counted.0);
        self.hour = hour;
        self.counted = CountsV1(counts);
        (!before.1.is_empty()).then_some(before)
    }
}

/// A key in a sheet.
#[derive(Clone, Encode, Decode)]
pub(super) struct SheetKeyV1 {
    pub(super) id: IdBytes,
    pub(super) numbers: NumbersV1,
}

/// A sheet: its keys, ordered by id.
#[derive(Default, Encode, Decode)]
pub(super) struct SheetV1 {
    keys: Vec<SheetKeyV1>,
}

impl SheetV1 {
    fn place(&self, id: CredentialId) -> Result<usize, usize> {
        self.keys.binary_search_by_key(&id.to_bytes(), |key| key.id)
    }

    pub(super) fn get(&self, id: CredentialId) -> Option<&NumbersV1> {
        let place = self.place(id).ok()?;
        Some(&self.keys[place].numbers)
    }

    /// The numbers of a key, to change them; those of a key that is not here yet are asked for.
    pub(super) fn get_or_insert<E>(
        &mut self,
        id: CredentialId,
        numbers: impl FnOnce() -> Result<NumbersV1, E>,
    ) -> Result<&mut NumbersV1, E> {
        let place = match self.place(id) {
            Ok(place) => place,
            Err(place) => {
                let key = SheetKeyV1 {
                    id: id.to_bytes(),
                    numbers: numbers()?,
                };
                self.keys.insert(place, key);
                place
            }
        };
        Ok(&mut self.keys[place].numbers)
    }

    /// Takes a key out, and gives whether it was here.
    pub(super) fn remove(&mut self, id: CredentialId) -> bool {
        let place = self.place(id);
        if let Ok(place) = place {
            self.keys.remove(place);
        }
        place.is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn into_keys(self) -> Vec<SheetKeyV1> {
        self.keys
    }

    /// Itself, and where it begins; or, where it is too large, what it becomes.
    pub(super) fn split(self, start: IdBytes) -> Vec<(IdBytes, Self)> {
        if self.keys.len() <= SHEET_KEYS_MAX {
            return vec![(start, self)];
        }
        let parts = self.keys.len() / (SHEET_KEYS_MAX / 2);
        let parts = self.keys.chunks(self.keys.len().div_ceil(parts));
        let parts = parts.enumerate().map(|(index, keys)| {
            let start = if index == 0 { start } else { keys[0].id };
            let keys = keys.to_vec();
            (start, Self { keys })
        });
        parts.collect()
    }
}

/// Where the sheets begin: known in memory, so that finding one asks the store nothing.
pub(super) struct Sheets(BTreeSet<IdBytes>);

impl Sheets {
    /// The first alone, whether it was ever written or not.
    pub(super) fn new() -> Self {
        Self(BTreeSet::from([FIRST]))
    }

    pub(super) fn add(&mut self, start: IdBytes) {
        self.0.insert(start);
    }

    /// The sheet before takes what this one held.
    pub(super) fn remove(&mut self, start: IdBytes) {
        if start != FIRST {
            self.0.remove(&start);
        }
    }

    /// Where the sheet of a key begins.
    pub(super) fn start_of(&self, id: CredentialId) -> IdBytes {
        let mut before = self.0.range(..=id.to_bytes());
        before.next_back().copied().unwrap_or(FIRST)
    }

    /// Where the sheet after the one of `start` begins; `None` after the last.
    pub(super) fn after(&self, start: IdBytes) -> Option<IdBytes> {
        let mut after = self.0.range((Bound::Excluded(start), Bound::Unbounded));
        after.next().copied()
    }

    /// Where each begins.
    pub(super) fn iter(&self) -> impl Iterator<Item = IdBytes> {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Outcome;

    const CONFIG: bincode::config::Configuration = bincode::config::standard();

    fn id(number: usize) -> CredentialId {
        format!("key{number:06}").parse().expect("base62")
    }

    /// Goal: counts are read from rows of before, which were lists, and from those of later versions.
    #[test]
    fn counts_are_stored_as_the_list_that_they_were() {
        let mut counts = Counts::default();
        counts.add_times(Outcome::Expired, 300);
        let tables: [(Counts, &[u64]); 2] = [(Counts::default(), &[]), (counts, &[0, 300])];
        for (counts, list) in tables {
            let stored = bincode::encode_to_vec(CountsV1(counts), CONFIG).expect("encoded");
            let as_list = bincode::encode_to_vec(list, CONFIG).expect("encoded");
            assert_eq!(stored, as_list);
            let later = [list, &[0; OUTCOMES], &[7]].concat();
            let later = bincode::encode_to_vec(later, CONFIG).expect("encoded");
            for stored in [stored, later] {
                let (found, used): (CountsV1, usize) =
                    bincode::decode_from_slice(&stored, CONFIG).expect("decoded");
                assert_eq!((found.0, used), (counts, stored.len()));
            }
        }
    }

    #[test]
    fn a_sheet_that_is_too_large_becomes_several_that_are_about_half_full() {
        for keys in [0, 1, SHEET_KEYS_MAX, SHEET_KEYS_MAX + 1, 2 * SHEET_KEYS_MAX] {
            let mut sheet = SheetV1::default();
            for number in (0..keys).rev() {
                let numbers = || Ok::<_, ()>(NumbersV1::default());
                sheet.get_or_insert(id(number), numbers).expect("put in");
            }
            let parts = sheet.split(FIRST);
            assert_eq!(parts.len() == 1, keys <= SHEET_KEYS_MAX, "{keys}");
            assert_eq!(parts[0].0, FIRST);
            let mut sheets = Sheets::new();
            for (start, part) in &parts {
                assert!(part.keys.len() <= SHEET_KEYS_MAX, "{keys}");
                assert!(
                    parts.len() == 1 || part.keys.len() >= SHEET_KEYS_MAX / 2,
                    "{keys}"
                );
                sheets.add(*start);
            }
            for number in 0..keys {
                let start = sheets.start_of(id(number));
                let holder = parts.iter().find(|(part, _)| *part == start);
                let found = holder.and_then(|(_, sheet)| sheet.get(id(number)));
                assert!(found.is_some(), "{number} of {keys}");
            }
        }
    }

    #[test]
    fn what_a_sheet_held_that_is_gone_belongs_to_the_one_before() {
        let mut sheets = Sheets::new();
        sheets.add(id(5).to_bytes());
        assert_eq!(sheets.start_of(id(4)), FIRST);
        assert_eq!(sheets.start_of(id(5)), id(5).to_bytes());
        assert_eq!(sheets.after(FIRST), Some(id(5).to_bytes()));
        assert_eq!(sheets.after(id(5).to_bytes()), None);
        sheets.remove(id(5).to_bytes());
        sheets.remove(FIRST);
        assert_eq!(sheets.start_of(id(5)), FIRST);
        assert_eq!(sheets.iter().count(), 1);
    }
}
