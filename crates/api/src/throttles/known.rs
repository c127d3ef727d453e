//! Where each account was right before.

use core::time::Duration;

use governor::clock::Clock as _;
use ipnet::IpNet;
use parking_lot::Mutex;

use super::AccountTag;
use super::bounded::Bounded;
use super::ticks::Ticks;

/// How many accounts are remembered; those that logged in last.
const ACCOUNTS_MAX: usize = 16_384;
/// How many addresses are remembered of each; the last ones.
const SOURCES_MAX: usize = 8;
/// How long a login makes an address a known one, at least: 30 days.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);

/// The addresses from which each account logged in lately. Only a right password adds one.
pub(super) struct KnownSources {
    ticks: Ticks,
    accounts: Mutex<Bounded<AccountTag, Vec<IpNet>>>,
}

impl KnownSources {
    pub(super) fn new(ticks: &Ticks) -> Self {
        Self {
            ticks: ticks.clone(),
            accounts: Mutex::new(Bounded::new(ACCOUNTS_MAX, REMEMBERED)),
        }
    }

    pub(super) fn holds(&self, account: AccountTag, source: IpNet) -> bool {
        let now = self.ticks.now();
        let mut accounts = self.accounts.lock();
        let known = accounts.get(&account, now);
        known.is_some_and(|sources| sources.contains(&source))
    }

    pub(super) fn add(&self, account: AccountTag, source: IpNet) {
        let now = self.ticks.now();
        let mut accounts = self.accounts.lock();
        let sources = accounts.touch(account, now, Vec::new);
        // The newest stands last.
        sources.retain(|known| *known != source);
        if sources.len() >= SOURCES_MAX {
            sources.remove(0);
        }
        sources.push(source);
    }
}
