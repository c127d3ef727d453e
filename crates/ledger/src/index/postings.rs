//! The rows of the index: for each term the positions of the records that have it, in blocks.
//!
//! ```text
//! term (17)  first position (8, BE)    the steps to the next positions, as varints    one block
//! 0                                    revision, begun, position, request             how far it is
//! ```
//!
//! A block has at most [`BLOCK_POSITIONS_MAX`] positions; the last block of a term is written anew when it
//! grows. Nothing is synced: how far the index is, is written last, so a crash loses rows that are
//! written again, and a position that a block has already is not added twice.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use keyledger_domain::Position;
use keyledger_domain::id::RequestId;

use super::Term;
use crate::files;
use crate::sled_store::{caught, open_db};

/// sled's pages of this store in memory, in bytes.
const CACHE_BYTES: u64 = 32 << 20;
/// The most positions in a block. A row costs memory in sled, and a block is written anew as it grows.
pub(super) const BLOCK_POSITIONS_MAX: usize = 512;
/// The revision of all rows; an index of another is begun anew.
const REVISION: u8 = 1;
/// The key of the row that says how far the index is. No term begins with it.
const PROGRESS: &[u8] = &[0];

/// How far an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Where the ledger was when the index was begun: who was erased by then is in it nowhere.
    pub(super) begun: Position,
    /// The last record that is in it.
    pub(super) position: Position,
    /// The request of that record, which tells it from one of another ledger.
    pub(super) request: RequestId,
}

impl Progress {
    /// Of an index that holds nothing yet.
    pub(super) const fn begun_at(last: Position) -> Self {
        Self {
            begun: last,
            position: Position::ZERO,
            request: RequestId::from_bytes([0; 16]),
        }
    }

    fn to_row(self) -> Vec<u8> {
        let mut row = vec![REVISION];
        row.extend_from_slice(&self.begun.get().to_be_bytes());
        row.extend_from_slice(&self.position.get().to_be_bytes());
        row.extend_from_slice(&self.request.to_bytes());
        row
    }

    fn of_row(row: &[u8]) -> Option<Self> {
        let (&[REVISION], rest) = row.split_first_chunk::<1>()? else {
            return None;
        };
        let (begun, rest) = rest.split_first_chunk::<8>()?;
        let (position, request) = rest.split_first_chunk::<8>()?;
        Some(Self {
            begun: Position::new(u64::from_be_bytes(*begun)),
            position: Position::new(u64::from_be_bytes(*position)),
            request: RequestId::from_bytes(request.try_into().ok()?),
        })
    }
}

/// The rows.
pub(super) struct Postings {
    db: sled::Db,
}

impl Postings {
    /// Opens the rows in a folder, or makes them. `None` stands for an index that is none of ours.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, Option<Progress>)> {
        files::make_folder(folder)?;
        let postings = Self {
            db: open_db(folder, CACHE_BYTES)?,
        };
        let row = caught(|| postings.db.get(PROGRESS))?;
        Ok((postings, row.and_then(|row| Progress::of_row(&row))))
    }

    /// Adds positions, rising for each term and above all before, and then says how far the index is.
    pub(super) fn append(
        &self,
        by_term: &BTreeMap<Term, Vec<u64>>,
        progress: Progress,
    ) -> io::Result<()> {
        for (term, positions) in by_term {
            let mut block = self.block_up_to(*term, u64::MAX)?.unwrap_or_default();
            let known = block.last().copied().unwrap_or_default();
            let mut is_changed = false;
            for position in positions.iter().filter(|position| **position > known) {
                if block.len() == BLOCK_POSITIONS_MAX {
                    if is_changed {
                        self.write(*term, &block)?;
                    }
                    block.clear();
                }
                block.push(*position);
                is_changed = true;
            }
            if is_changed {
                self.write(*term, &block)?;
            }
        }
        self.say(progress)
    }

    /// Says how far the index is.
    pub(super) fn say(&self, progress: Progress) -> io::Result<()> {
        caught(|| self.db.insert(PROGRESS, progress.to_row()))?;
        Ok(())
    }

    /// Makes what was written survive the process.
    pub(super) fn flush(&self) -> io::Result<()> {
        caught(|| self.db.flush())?;
        Ok(())
    }

    fn write(&self, term: Term, block: &[u64]) -> io::Result<()> {
        if let Some((first, _)) = block.split_first() {
            caught(|| self.db.insert(row_key(term, *first), encode(block)))?;
        }
        Ok(())
    }

    /// The last block of a term that begins at or before a position.
    pub(super) fn block_up_to(&self, term: Term, position: u64) -> io::Result<Option<Vec<u64>>> {
        let range = row_key(term, 0)..=row_key(term, position);
        let row = caught(|| self.db.range(range).next_back().transpose())?;
        row.map(|(key, value)| decode(&key, &value)).transpose()
    }

    /// The first block of a term that begins behind a position.
    pub(super) fn block_behind(&self, term: Term, position: u64) -> io::Result<Option<Vec<u64>>> {
        let Some(next) = position.checked_add(1) else {
            return Ok(None);
        };
        let range = row_key(term, next)..=row_key(term, u64::MAX);
        let row = caught(|| self.db.range(range).next().transpose())?;
        row.map(|(key, value)| decode(&key, &value)).transpose()
    }
}

fn row_key(term: Term, first: u64) -> Vec<u8> {
    [&term.0[..], &first.to_be_bytes()].concat()
}

/// The steps from each position to the next (LEB128).
fn encode(block: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(block.len() * 2);
    for pair in block.windows(2) {
        let mut step = pair[1] - pair[0];
        while step >= 0x80 {
            bytes.push(u8::try_from(step & 0x7f).unwrap_or_default() | 0x80);
            step >>= 7;
        }
        bytes.push(u8::try_from(step).unwrap_or_default());
    }
    bytes
}

fn decode(key: &[u8], value: &[u8]) -> io::Result<Vec<u64>> {
    read_block(key, value).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn read_block(key: &[u8], value: &[u8]) -> Option<Vec<u64>> {
    let first = u64::from_be_bytes(*key.last_chunk::<8>()?);
    let mut block = vec![first];
    let (mut last, mut step, mut shift) = (first, 0_u64, 0_u32);
    for byte in value {
        step |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            last = last.checked_add(step).filter(|next| *next > last)?;
            block.push(last);
            (step, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(block)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::index::Kind;
    use crate::sled_store::{DB_FILE, wait_until_released};

    fn term(number: u8) -> Term {
        Term::of(Kind::Target, &[number])
    }

    fn progress(position: u64) -> Progress {
        Progress {
            begun: Position::new(3),
            position: Position::new(position),
            request: RequestId::from_bytes([7; 16]),
        }
    }

    #[test]
    fn how_far_it_is_survives_and_what_is_none_of_ours_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        {
            let (postings, none) = Postings::open(folder.path()).unwrap();
            assert_eq!(none, None);
            postings.say(progress(9)).unwrap();
            postings.flush().unwrap();
        }
        // sled's threads let go of its file a moment later.
        wait_until_released(&folder.path().join(DB_FILE)).unwrap();
        let (postings, known) = Postings::open(folder.path()).unwrap();
        assert_eq!(known, Some(progress(9)));
        drop(postings);
        assert_eq!(Progress::of_row(&[]), None);
        let mut other = progress(9).to_row();
        other[0] = REVISION + 1;
        assert_eq!(Progress::of_row(&other), None);
        assert_eq!(Progress::of_row(&progress(9).to_row()[..32]), None);
    }

    #[test]
    fn what_is_written_twice_is_there_once_and_terms_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let (postings, _) = Postings::open(folder.path()).unwrap();
        let many: Vec<u64> = (1..=1_300).map(|number| number * 3).collect();
        let by_term = BTreeMap::from([(term(1), many.clone()), (term(2), vec![5])]);
        postings.append(&by_term, progress(3_900)).unwrap();
        postings.append(&by_term, progress(3_900)).unwrap();
        let mut found = Vec::new();
        let mut next = postings.block_behind(term(1), 0).unwrap();
        while let Some(block) = next {
            assert!(block.len() <= BLOCK_POSITIONS_MAX);
            next = postings
                .block_behind(term(1), *block.last().unwrap())
                .unwrap();
            found.extend(block);
        }
        assert_eq!(found, many);
        assert_eq!(postings.block_up_to(term(2), 9).unwrap(), Some(vec![5]));
        assert_eq!(postings.block_up_to(term(2), 4).unwrap(), None);
        assert_eq!(postings.block_behind(term(2), 5).unwrap(), None);
        assert_eq!(postings.block_up_to(term(3), u64::MAX).unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_block_is_read_as_it_was_written(steps in proptest::collection::vec(1_u64..1 << 40, 1..600)) {
            let mut last = 0;
            let block: Vec<u64> = steps.iter().map(|step| { last += step; last }).collect();
            let key = row_key(term(1), block[0]);
            prop_assert_eq!(read_block(&key, &encode(&block)), Some(block));
        }

        #[test]
        fn no_bytes_make_it_panic(key in proptest::collection::vec(any::<u8>(), 0..30), value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = read_block(&key, &value);
        }
    }
}
