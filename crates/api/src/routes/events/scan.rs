//! Which records of the ledger a request looks at, and how far it goes.

use keyledger_domain::{Position, Record, Timestamp};

/// How many records one request looks at. A filter that takes few of them goes on with `next`.
pub(super) const EXAMINED_MAX: usize = 10_000;

/// What one request found.
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// Up to where it looked, if there is more behind it.
    pub(super) next: Option<Position>,
}

/// The first positions of rising lists, each once: as many as one request looks at, and one more
/// that tells whether there are any behind them.
pub(super) fn merge(mut lists: Vec<&[Position]>) -> Vec<Position> {
    let mut merged = Vec::new();
    while merged.len() <= EXAMINED_MAX {
        let Some(lowest) = lists.iter().filter_map(|list| list.first()).min().copied() else {
            break;
        };
        for list in &mut lists {
            if list.first() == Some(&lowest) {
                *list = &list[1..];
            }
        }
        merged.push(lowest);
    }
    merged
}

/// Reads the records at these positions, rising, until `limit` of them were taken or one was not
/// made before `until`.
pub(super) fn scan<E>(
    positions: &[Position],
    limit: usize,
    until: Option<Timestamp>,
    read: impl Fn(Position) -> Result<Option<Record>, E>,
    takes: impl Fn(&Record) -> bool,
) -> Result<Found, E> {
    let mut records = Vec::new();
    let mut examined: Option<Position> = None;
    for (count, position) in positions.iter().enumerate() {
        if records.len() == limit || count == EXAMINED_MAX {
            return Ok(Found {
                records,
                next: examined,
            });
        }
        let Some(record) = read(*position)? else {
            break;
        };
        // No record is older than the one in front of it, so none behind this is of use either.
        if !record.at.is_before(until) {
            break;
        }
        if takes(&record) {
            records.push(record);
        }
        examined = Some(*position);
    }
    Ok(Found {
        records,
        next: None,
    })
}

/// The last position whose record was made before `since`; records are never older than the one
/// in front, so some twenty of a million are read to find it.
pub(super) fn last_before<E>(
    since: Timestamp,
    last: Position,
    read: impl Fn(Position) -> Result<Option<Record>, E>,
) -> Result<Position, E> {
    // Every record up to `before` was made before `since`, none from `from` on.
    let (mut before, mut from) = (0, last.get() + 1);
    while before + 1 < from {
        let middle = before + (from - before) / 2;
        let older = read(Position::new(middle))?.is_some_and(|record| record.at < since);
        if older {
            before = middle;
        } else {
            from = middle;
        }
    }
    Ok(Position::new(before))
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use keyledger_domain::Origin;
    use keyledger_domain::event::Event;
    use keyledger_domain::id::{RequestId, SessionId, UserId};
    use keyledger_domain::session::SessionEnded;

    use super::*;

    /// Two records in each second, from the start of second 1 on.
    fn read(position: Position) -> Result<Option<Record>, Infallible> {
        let second = i64::try_from(position.get().div_ceil(2)).unwrap();
        Ok((position.get() <= 20_000).then(|| Record {
            position,
            at: Timestamp::from_micros(second * 1_000_000),
            clock_behind_micros: 0,
            origin: Origin::system(RequestId::from_bytes([0; 16])),
            organizations: Vec::new(),
            event: Event::SessionEnded(SessionEnded {
                session: SessionId::from_bytes([0; 16]),
                user: UserId::from_bytes([0; 16]),
            }),
        }))
    }

    fn second(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn positions(range: core::ops::RangeInclusive<u64>) -> Vec<Position> {
        range.map(Position::new).collect()
    }

    fn numbers(found: &Found) -> Vec<u64> {
        found.records.iter().map(|r| r.position.get()).collect()
    }

    #[test]
    fn lists_are_merged_in_order_each_position_once() {
        let (ours, theirs) = (positions(1..=3), positions(2..=4));
        let merged = merge(vec![&ours, &[], &theirs]);
        assert_eq!(merged, positions(1..=4));
        let long = positions(1..=20_000);
        assert_eq!(merge(vec![&long, &long]).len(), EXAMINED_MAX + 1);
    }

    #[test]
    fn there_is_a_next_only_where_there_is_more() {
        let Ok(all) = scan(&positions(1..=4), 4, None, read, |_| true);
        assert_eq!((numbers(&all), all.next), (vec![1, 2, 3, 4], None));
        let Ok(some) = scan(&positions(1..=5), 4, None, read, |_| true);
        assert_eq!(some.next, Some(Position::new(4)));
    }

    #[test]
    fn a_filter_that_takes_nothing_ends_its_page_and_goes_on() {
        let far = positions(1..=20_000);
        let first = merge(vec![&far]);
        let last = |record: &Record| record.position.get() == 20_000;
        let Ok(page) = scan(&first, 100, None, read, last);
        assert!(page.records.is_empty());
        assert_eq!(page.next, Some(Position::new(EXAMINED_MAX as u64)));
        let rest = merge(vec![&far[EXAMINED_MAX..]]);
        let Ok(page) = scan(&rest, 100, None, read, last);
        assert_eq!((numbers(&page), page.next), (vec![20_000], None));
    }

    #[test]
    fn since_is_the_first_that_counts_and_until_the_first_that_does_not() {
        let Ok(page) = scan(&positions(1..=8), 100, Some(second(3)), read, |_| true);
        assert_eq!((numbers(&page), page.next), (vec![1, 2, 3, 4], None));
        let last = Position::new(20_000);
        for (since, expected) in [
            (0, 0),
            (1, 0),
            (2, 2),
            (3, 4),
            (10_000, 19_998),
            (99_999, 20_000),
        ] {
            let Ok(before) = last_before(second(since), last, read);
            assert_eq!(before, Position::new(expected), "since second {since}");
        }
        let Ok(none) = last_before(second(1), Position::ZERO, read);
        assert_eq!(none, Position::ZERO);
    }
}
