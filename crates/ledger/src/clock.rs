//! The time, as an argument. The real clock is in the binary.

use keyledger_domain::Timestamp;

/// Tells the time. It may be set back: the ledger marks it and goes on (see
/// [`Record::clock_behind_micros`](keyledger_domain::Record)).
pub trait Clock: Send + Sync {
    /// Now, by the wall clock.
    fn now(&self) -> Timestamp;
}
