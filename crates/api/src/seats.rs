//! Seats that all accounts share: so many in all, and nobody has more than their part.
//!
//! What takes a while is done by few threads for all, with a queue before them. Without parts, whoever may
//! ask at all could fill the queue, and everybody else would be told to try again.

use std::sync::Arc;

use ahash::HashMap;
use keyledger_domain::id::{OrgId, UserId};
use keyledger_domain::{Actor, Directory};
use parking_lot::Mutex;

/// Who answers for a request: keys are made by the dozen, and what an organization makes is the
/// organization's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    /// The server itself, or whoever is gone.
    Nobody,
    /// A person, with all their keys and apps.
    Person(UserId),
    /// An organization, for its services, entitlement tokens and clients.
    Organization(OrgId),
}

impl Account {
    /// The account behind an actor.
    pub(crate) fn of(directory: &Directory, actor: Actor) -> Self {
        match actor {
            Actor::System => Self::Nobody,
            Actor::User(user) => Self::Person(user),
            Actor::Service(_) | Actor::Entitlement(_) | Actor::Client(_) => directory
                .member_orgs_of(actor)
                .next()
                .map_or(Self::Nobody, |org| Self::Organization(org.id)),
        }
    }
}

/// The seats.
pub(crate) struct Seats {
    all_max: usize,
    each_max: usize,
    taken: Mutex<HashMap<Account, usize>>,
}

impl Seats {
    /// So many in all, and so many for one account.
    pub(crate) fn new(all_max: usize, each_max: usize) -> Arc<Self> {
        Arc::new(Self {
            all_max,
            each_max,
            taken: Mutex::default(),
        })
    }

    /// Takes one, if there is one for this account.
    pub(crate) fn take(self: &Arc<Self>, account: Account) -> Option<Seat> {
        let mut taken = self.taken.lock();
        let all: usize = taken.values().sum();
        let own = taken.get(&account).copied().unwrap_or_default();
        if all >= self.all_max || own >= self.each_max {
            return None;
        }
        taken.insert(account, own + 1);
        Some(Seat {
            seats: Arc::clone(self),
            account,
        })
    }
}

#[cfg(test)]
impl Seats {
    /// How many an account has.
    pub(crate) fn taken_by(&self, account: Account) -> usize {
        self.taken.lock().get(&account).copied().unwrap_or_default()
    }
}

/// A seat, until it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    account: Account,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        let left = taken.get(&self.account).map_or(0, |own| own - 1);
        if left == 0 {
            taken.remove(&self.account);
        } else {
            taken.insert(self.account, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: u8) -> Account {
        Account::Person(UserId::from_bytes([number; 16]))
    }

    #[test]
    fn an_account_has_its_part_and_all_together_so_many() {
        const ALL: usize = 12;
        const EACH: usize = 4;
        let seats = Seats::new(ALL, EACH);
        let take = |account| seats.take(account);
        let mut own: Vec<_> = (0..EACH).map(|_| take(person(0)).expect("one")).collect();
        assert!(take(person(0)).is_none());
        own.pop();
        own.push(take(person(0)).expect("the one that was left"));
        let others: Vec<_> = [1, 2]
            .into_iter()
            .flat_map(|number| [person(number); EACH])
            .map(|account| take(account).expect("one"))
            .collect();
        assert!(take(person(200)).is_none(), "all are taken");
        drop((own, others));
        assert!(seats.taken.lock().is_empty());
        assert!(take(person(200)).is_some());
    }
}
