//! Where lists of positions meet: each list is asked only for what lies at or beyond the farthest of the
//! others, so a rare term spares the reading of a common one.

use std::io;

use super::postings::Postings;
use super::{Order, Term};

/// The positions of one term, from one end to the other.
struct List<'p> {
    postings: &'p Postings,
    term: Term,
    /// The block that was read last; never empty.
    block: Option<Vec<u64>>,
}

impl<'p> List<'p> {
    const fn new(postings: &'p Postings, term: Term) -> Self {
        Self {
            postings,
            term,
            block: None,
        }
    }

    /// The first position at or beyond this one, in this order.
    fn seek(&mut self, position: u64, order: Order) -> io::Result<Option<u64>> {
        match order {
            Order::Rising => self.seek_up(position),
            Order::Falling => self.seek_down(position),
        }
    }

    fn seek_up(&mut self, position: u64) -> io::Result<Option<u64>> {
        if let Some(found) = self
            .block
            .as_ref()
            .and_then(|block| at_or_above(block, position))
        {
            return Ok(Some(found));
        }
        let block = self.postings.block_up_to(self.term, position)?;
        let found = block
            .as_ref()
            .and_then(|block| at_or_above(block, position));
        if found.is_some() {
            self.block = block;
            return Ok(found);
        }
        self.block = self.postings.block_behind(self.term, position)?;
        Ok(self.block.as_ref().and_then(|block| block.first().copied()))
    }

    fn seek_down(&mut self, position: u64) -> io::Result<Option<u64>> {
        if let Some(found) = self
            .block
            .as_ref()
            .and_then(|block| at_or_below(block, position))
        {
            return Ok(Some(found));
        }
        self.block = self.postings.block_up_to(self.term, position)?;
        Ok(self
            .block
            .as_ref()
            .and_then(|block| at_or_below(block, position)))
    }
}

/// The first of a block that is not below. A block is kept only while what is asked for rises, so nothing
/// before it is asked for.
fn at_or_above(block: &[u64], position: u64) -> Option<u64> {
    let index = block.partition_point(|known| *known < position);
    block.get(index).copied()
}

/// The last of a block that is not above; what is asked for falls.
fn at_or_below(block: &[u64], position: u64) -> Option<u64> {
    let index = block.partition_point(|known| *known <= position);
    block.get(index.checked_sub(1)?).copied()
}

/// The positions that have one term of each group, between two (both included), in an order, at most so
/// many.
pub(super) fn intersect(
    postings: &Postings,
    groups: &[Vec<Term>],
    (lowest, highest): (u64, u64),
    order: Order,
    max: usize,
) -> io::Result<Vec<u64>> {
    let mut groups: Vec<Vec<List<'_>>> = groups
        .iter()
        .map(|terms| {
            terms
                .iter()
                .map(|term| List::new(postings, *term))
                .collect()
        })
        .collect();
    let mut found = Vec::new();
    let mut candidate = match order {
        Order::Rising => lowest,
        Order::Falling => highest,
    };
    'candidates: while found.len() < max && (lowest..=highest).contains(&candidate) {
        for group in &mut groups {
            let mut nearest = None;
            for list in group {
                let next = list.seek(candidate, order)?;
                nearest = order.nearer(nearest, next);
            }
            let Some(nearest) = nearest else {
                break 'candidates;
            };
            if nearest != candidate {
                // Whatever lies between is in none of this group: all begin again from there.
                candidate = nearest;
                continue 'candidates;
            }
        }
        found.push(candidate);
        let Some(next) = order.next(candidate) else {
            break;
        };
        candidate = next;
    }
    Ok(found)
}

impl Order {
    /// The one of two positions that comes first.
    fn nearer(self, one: Option<u64>, other: Option<u64>) -> Option<u64> {
        match (one, other) {
            (Some(one), Some(other)) => Some(match self {
                Self::Rising => one.min(other),
                Self::Falling => one.max(other),
            }),
            (one, other) => one.or(other),
        }
    }

    const fn next(self, position: u64) -> Option<u64> {
        match self {
            Self::Rising => position.checked_add(1),
            Self::Falling => position.checked_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use keyledger_domain::Position;
    use proptest::prelude::*;

    use super::super::postings::Progress;
    use super::*;
    use crate::index::Kind;

    fn term(number: usize) -> Term {
        Term::of(Kind::Actor, &number.to_be_bytes())
    }

    /// Up to six terms, each with up to 1,500 of the first 4,000 positions.
    fn lists() -> impl Strategy<Value = Vec<BTreeSet<u64>>> {
        let positions = prop_oneof![
            proptest::collection::btree_set(1_u64..4_000, 0..20),
            proptest::collection::btree_set(1_u64..4_000, 1_000..1_500),
            (1_u64..3_000, 1_u64..1_000).prop_map(|(from, len)| (from..from + len).collect()),
        ];
        proptest::collection::vec(positions, 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_finds_what_a_look_at_every_position_finds(
            lists in lists(),
            groups in proptest::collection::vec(proptest::collection::vec(0_usize..7, 0..4), 1..4),
            bounds in (0_u64..4_100, 0_u64..4_100),
            is_rising: bool,
            max in 1_usize..2_000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (postings, _) = Postings::open(folder.path()).unwrap();
            let by_term: BTreeMap<Term, Vec<u64>> = lists.iter().enumerate()
                .map(|(number, list)| (term(number), list.iter().copied().collect()))
                .collect();
            postings.append(&by_term, Progress::begun_at(Position::ZERO)).unwrap();
            let order = if is_rising { Order::Rising } else { Order::Falling };
            let is_in = |position: u64| groups.iter().all(|group| {
                group.iter().any(|number| lists.get(*number).is_some_and(|list| list.contains(&position)))
            });
            let mut expected: Vec<u64> = (bounds.0..=bounds.1).filter(|position| is_in(*position)).collect();
            if !is_rising {
                expected.reverse();
            }
            expected.truncate(max);
            let terms: Vec<Vec<Term>> = groups.iter()
                .map(|group| group.iter().map(|number| term(*number)).collect())
                .collect();
            let found = intersect(&postings, &terms, bounds, order, max).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
