//! Which records an organisation may read, by position: replayed from the heads of the records.

use std::collections::HashMap;

use keyledger_domain::Position;
use keyledger_domain::id::OrgId;

/// Positions by organisation, in order. Eight bytes a record and organisation.
#[derive(Debug, Default)]
pub struct EventIndex {
    by_org: HashMap<OrgId, Vec<Position>>,
}

impl EventIndex {
    /// Adds the next record.
    pub fn add(&mut self, position: Position, organizations: &[OrgId]) {
        for org in organizations {
            self.by_org.entry(*org).or_default().push(position);
        }
    }

    /// The positions after `after` that this organisation may read, in order.
    pub fn after(&self, org: OrgId, after: Position) -> &[Position] {
        let positions = self.by_org.get(&org).map_or(&[][..], Vec::as_slice);
        &positions[positions.partition_point(|position| *position <= after)..]
    }

    /// The positions up to and with `last` that this organisation may read, in order.
    pub fn up_to(&self, org: OrgId, last: Position) -> &[Position] {
        let positions = self.by_org.get(&org).map_or(&[][..], Vec::as_slice);
        &positions[..positions.partition_point(|position| *position <= last)]
    }

    /// Whether this organisation may read this record.
    pub fn has(&self, org: OrgId, position: Position) -> bool {
        self.by_org
            .get(&org)
            .is_some_and(|positions| positions.binary_search(&position).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organisation_reads_its_own_records_only() {
        let (ours, theirs) = (OrgId::from_bytes([1; 16]), OrgId::from_bytes([2; 16]));
        let mut index = EventIndex::default();
        for (position, orgs) in [
            (1, vec![ours]),
            (2, vec![theirs]),
            (3, vec![ours, theirs]),
            (4, vec![]),
        ] {
            index.add(Position::new(position), &orgs);
        }
        let numbers = |org, after| -> Vec<u64> {
            index
                .after(org, Position::new(after))
                .iter()
                .map(|p| p.get())
                .collect()
        };
        assert_eq!(numbers(ours, 0), [1, 3]);
        assert_eq!(numbers(ours, 1), [3]);
        assert_eq!(numbers(theirs, 3), [0_u64; 0]);
        let up_to = |org, last| index.up_to(org, Position::new(last)).len();
        assert_eq!(
            (up_to(ours, 2), up_to(ours, 3), up_to(theirs, 1)),
            (1, 2, 0)
        );
        assert!(index.has(theirs, Position::new(2)) && !index.has(ours, Position::new(2)));
    }
}
