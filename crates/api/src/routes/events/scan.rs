//! Which records of the ledger a request looks at, and how far it goes.

use keyledger_domain::{Position, Record, Timestamp};
use keyledger_ledger::index::Order;

/// How many records one request looks at. A filter that takes few of them goes on with `next`.
pub(super) const EXAMINED_MAX: usize = 10_000;

/// What one request found.
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// Up to where it looked, if there is more behind it.
    pub(super) next: Option<Position>,
}

/// How many positions are asked for at once.
const CHUNK_POSITIONS: usize = 256;

/// Reads the records at the positions that `find` gives of a range, in this order, until `limit` of them
/// were taken.
pub(super) fn scan<E>(
    (mut from, mut to): (Position, Position),
    order: Order,
    limit: usize,
    find: impl Fn((Position, Position), usize) -> Result<Vec<Position>, E>,
    read: impl Fn(Position) -> Result<Option<Record>, E>,
    takes: impl Fn(&Record) -> bool,
) -> Result<Found, E> {
    let mut records = Vec::new();
    let mut examined: Option<Position> = None;
    let mut count = 0;
    loop {
        let positions = find((from, to), CHUNK_POSITIONS)?;
        for position in &positions {
            if records.len() == limit || count == EXAMINED_MAX {
                return Ok(Found {
                    records,
                    next: examined,
                });
            }
            count += 1;
            examined = Some(*position);
            if let Some(record) = read(*position)?
                && takes(&record)
            {
                records.push(record);
            }
        }
        let (Some(last), true) = (positions.last(), positions.len() == CHUNK_POSITIONS) else {
            return Ok(Found {
                records,
                next: None,
            });
        };
        match order {
            Order::Rising => from = last.next(),
            Order::Falling => to = Position::new(last.get() - 1),
        }
    }
}

/// The last position of `archived` to `last` whose record was made before `since`, and `archived` where none
/// was; records are never older than the one in front, so some twenty of a million are read to find it.
pub(super) fn last_before<E>(
    since: Timestamp,
    (archived, last): (Position, Position),
    read: impl Fn(Position) -> Result<Option<Record>, E>,
) -> Result<Position, E> {
    // Every record that can be read up to `before` was made before `since`, none from `from` on.
    let (mut before, mut from) = (archived.get(), last.get() + 1);
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

    fn numbers(found: &Found) -> Vec<u64> {
        found.records.iter().map(|r| r.position.get()).collect()
    }

    /// A page of all records between two that `takes`.
    fn page(
        (from, to): (u64, u64),
        order: Order,
        limit: usize,
        takes: impl Fn(&Record) -> bool,
    ) -> Found {
        let find = |(from, to): (Position, Position), max| {
            let range = from.get()..=to.get();
            let positions: Vec<Position> = match order {
                Order::Rising => range.take(max).map(Position::new).collect(),
                Order::Falling => range.rev().take(max).map(Position::new).collect(),
            };
            Ok(positions)
        };
        let range = (Position::new(from), Position::new(to));
        let Ok(found) = scan(range, order, limit, find, read, takes);
        found
    }

    #[test]
    fn there_is_a_next_only_where_there_is_more() {
        let all = page((1, 4), Order::Rising, 4, |_| true);
        assert_eq!((numbers(&all), all.next), (vec![1, 2, 3, 4], None));
        let some = page((1, 5), Order::Rising, 4, |_| true);
        assert_eq!(some.next, Some(Position::new(4)));
        let down = page((1, 5), Order::Falling, 4, |_| true);
        assert_eq!(numbers(&down), [5, 4, 3, 2]);
        assert_eq!(down.next, Some(Position::new(2)));
        let rest = page((1, 1), Order::Falling, 4, |_| true);
        assert_eq!((numbers(&rest), rest.next), (vec![1], None));
        let none = page((5, 4), Order::Rising, 4, |_| true);
        assert_eq!((numbers(&none), none.next), (vec![], None));
    }

    #[test]
    fn a_filter_that_takes_nothing_ends_its_page_and_goes_on() {
        let last = |record: &Record| record.position.get() == 20_000;
        let first = page((1, 20_000), Order::Rising, 100, last);
        assert!(first.records.is_empty());
        assert_eq!(first.next, Some(Position::new(EXAMINED_MAX as u64)));
        let from = EXAMINED_MAX as u64 + 1;
        let rest = page((from, 20_000), Order::Rising, 100, last);
        assert_eq!((numbers(&rest), rest.next), (vec![20_000], None));
        let oldest = |record: &Record| record.position.get() == 1;
        let first = page((1, 20_000), Order::Falling, 100, oldest);
        let next = first.next.expect("more").get();
        assert_eq!(next, 20_001 - EXAMINED_MAX as u64);
        let rest = page((1, next - 1), Order::Falling, 100, oldest);
        assert_eq!((numbers(&rest), rest.next), (vec![1], None));
    }

    #[test]
    fn since_is_the_first_that_counts_and_until_the_first_that_does_not() {
        let last = Position::new(20_000);
        for (since, expected) in [
            (0, 0),
            (1, 0),
            (2, 2),
            (3, 4),
            (10_000, 19_998),
            (99_999, 20_000),
        ] {
            let Ok(before) = last_before(second(since), (Position::ZERO, last), read);
            assert_eq!(before, Position::new(expected), "since second {since}");
        }
        let Ok(none) = last_before(second(1), (Position::ZERO, Position::ZERO), read);
        assert_eq!(none, Position::ZERO);
    }

    #[test]
    fn what_was_archived_is_not_looked_at_for_a_time() {
        let (archived, last) = (Position::new(9_000), Position::new(20_000));
        let readable = |position: Position| {
            assert!(position > archived, "{position} was moved away");
            read(position)
        };
        for (since, expected) in [(2, 9_000), (4_501, 9_000), (4_502, 9_002), (99_999, 20_000)] {
            let Ok(before) = last_before(second(since), (archived, last), readable);
            assert_eq!(before, Position::new(expected), "since second {since}");
        }
    }
}
