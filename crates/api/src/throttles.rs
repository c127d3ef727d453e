//! What whoever guesses gets: growing delays for passwords, a budget for wrong keys.
//!
//! ```text
//! password   per name           growing delay   from addresses that the account was never used from
//!            per account        the same        beyond it, what is said is not compared
//!            per account there  growing delay   from an address at which it was right before
//!            per source         growing delay   an IPv4 address, an IPv6 /64
//!            per network        budget an hour  an IPv4 /24, an IPv6 /48
//!            everywhere         budget an hour
//! wrong key  per source, per id budget          right keys are not asked for either
//! ```
//!
//! A person has two names to log in with, an email address and a slug, and guesses at one account
//! under both share what it bears. Whoever has sent too many under the one is not told to wait under
//! the other, which would tell that the two belong together and so that there is the account: they
//! get the answer to a wrong password, after the same work, and the password was not compared.
//!
//! Only failures are counted. All of it is in memory, bounded in count, keyed by hashes instead of
//! names, and told the time by the monotonic clock; a restart forgets it. Nobody can lock somebody
//! else out: an address from which an account was right before has a count of its own there, which
//! failures from elsewhere do not touch, and neither a key nor a session is ever asked for any of
//! this.

mod bounded;
mod budget;
mod delays;
mod known;
mod ticks;

use core::net::IpAddr;
use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;

use governor::Quota;
use ipnet::IpNet;
use keyledger_domain::id::UserId;
use keyledger_domain::text::Email;
use keyledger_domain::{Actor, CredentialId, credential};

pub(crate) use self::bounded::Bounded;
use self::budget::Budget;
use self::delays::Delays;
use self::known::KnownSources;
pub(crate) use self::ticks::Ticks;
use crate::problem::Problem;

/// How many accounts, sources, networks or ids are remembered of each kind; those that were touched
/// last. An entry takes about a hundred bytes.
const REMEMBERED_MAX: usize = 65_536;
/// How many tokens that are none somebody may ask about, evenly.
const INTROSPECTED_A_SECOND: NonZeroU32 = positive(100);
/// The same, at once.
const INTROSPECTED_AT_ONCE: NonZeroU32 = positive(2_000);

/// How long failures are remembered after the last one, at least: an hour.
const FAILURES_REMEMBERED: Duration = Duration::from_hours(1);

/// How much guessing is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// How many wrong passwords an account takes before the first delay.
    pub login_failures_free: NonZeroU32,
    /// How many wrong passwords a source may send before its first delay.
    pub login_source_failures_free: NonZeroU32,
    /// The longest delay, in seconds.
    pub login_delay_seconds_max: NonZeroU32,
    /// How many wrong passwords a network may send in an hour.
    pub login_network_failures_per_hour: NonZeroU32,
    /// How many wrong passwords may come in an hour from all over.
    pub login_failures_per_hour: NonZeroU32,
    /// How many wrong keys a source may show at once, and may be shown of one id.
    pub wrong_keys_burst: NonZeroU32,
    /// How many wrong keys a second go on for ever.
    pub wrong_keys_per_second: NonZeroU32,
}

impl ThrottleSettings {
    /// What holds where nothing else is said.
    pub const DEFAULT: Self = Self {
        login_failures_free: positive(5),
        login_source_failures_free: positive(20),
        login_delay_seconds_max: positive(900),
        login_network_failures_per_hour: positive(200),
        login_failures_per_hour: positive(2_000),
        wrong_keys_burst: positive(60),
        wrong_keys_per_second: positive(1),
    };
}

const fn positive(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// How long somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wait(pub(crate) Duration);

impl Wait {
    /// In whole seconds, for `Retry-After`: whoever waits them waits long enough.
    pub(crate) fn seconds(self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)
    }
}

impl From<Wait> for Problem {
    fn from(wait: Wait) -> Self {
        Self::too_many_failures(wait.seconds())
    }
}

/// A name or an account by a keyed hash, so that memory holds no names, and so that nobody can look
/// for two that fall together. An account that does not exist has one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AccountTag([u8; 16]);

/// The counts.
pub(crate) struct Throttles {
    names: [u8; 32],
    typed: Delays<AccountTag>,
    accounts: Delays<AccountTag>,
    known_pairs: Delays<(AccountTag, IpNet)>,
    sources: Delays<IpNet>,
    networks: Budget<IpNet>,
    everywhere: Budget<()>,
    known: KnownSources,
    wrong_key_sources: Budget<IpNet>,
    wrong_key_ids: Budget<CredentialId>,
    introspected: Budget<Actor>,
}

impl Throttles {
    /// Counts at nought. `names` is random: under it names are hashed, in this run only.
    pub(crate) fn new(settings: &ThrottleSettings, names: [u8; 32], ticks: &Ticks) -> Self {
        let longest = Duration::from_secs(settings.login_delay_seconds_max.get().into());
        let remembered = FAILURES_REMEMBERED.max(longest * 2);
        let delays = |free| delays::Growth {
            free,
            longest,
            remembered,
        };
        let free = settings.login_failures_free;
        let wrong_keys = Quota::per_second(settings.wrong_keys_per_second)
            .allow_burst(settings.wrong_keys_burst);
        Self {
            names,
            typed: Delays::new(delays(free), ticks),
            accounts: Delays::new(delays(free), ticks),
            known_pairs: Delays::new(delays(free), ticks),
            sources: Delays::new(delays(settings.login_source_failures_free), ticks),
            networks: Budget::new(
                Quota::per_hour(settings.login_network_failures_per_hour),
                ticks,
            ),
            everywhere: Budget::new(Quota::per_hour(settings.login_failures_per_hour), ticks),
            known: KnownSources::new(ticks),
            wrong_key_sources: Budget::new(wrong_keys, ticks),
            wrong_key_ids: Budget::new(wrong_keys, ticks),
            introspected: Budget::new(
                Quota::per_second(INTROSPECTED_A_SECOND).allow_burst(INTROSPECTED_AT_ONCE),
                ticks,
            ),
        }
    }

    /// Somebody is about to say a password. `person` is whose account has the name, if anybody's.
    pub(crate) fn attempt(
        self: &Arc<Self>,
        username: &str,
        person: Option<UserId>,
        source: Option<IpAddr>,
    ) -> Attempt {
        let typed = self.tag_of_name(username);
        // The same work with and without an account.
        let account = match person {
            Some(person) => self.tag(b"person", &person.to_bytes()),
            None => self.tag(b"nobody", &typed.0),
        };
        let source = Source::of(source);
        Attempt {
            is_known: self.known.holds(account, source.address),
            throttles: Arc::clone(self),
            typed,
            account,
            source,
        }
    }

    /// A key was shown, or a code or a token, that is none, or no longer one. Counts it, by the source
    /// and by the id that it claims, whether or not there is such an id.
    ///
    /// # Errors
    /// How long this source must wait, or whoever shows wrong keys of this id.
    pub(crate) fn wrong_key(&self, shown: &str, source: Option<IpAddr>) -> Result<(), Wait> {
        let source = self.wrong_key_sources.spend(&Source::of(source).address);
        let id =
            credential::parse(shown).map_or(Ok(()), |claim| self.wrong_key_ids.spend(&claim.id));
        match (source, id) {
            (Err(one), Err(other)) => Err(one.max(other)),
            (source, id) => source.and(id),
        }
    }

    /// Whether somebody may ask what a token is.
    ///
    /// # Errors
    /// How long whoever asked about too many that are none must wait.
    pub(crate) fn may_introspect(&self, asker: Actor) -> Result<(), Wait> {
        self.introspected.wait(&asker).map_or(Ok(()), Err)
    }

    /// They asked about something that is no good token, or none that they may know of. Gateways do that
    /// all day with tokens that have ended; who looks for one that has not does it more often.
    pub(crate) fn introspected_nothing(&self, asker: Actor) {
        // That it is spent shows when they ask the next time.
        let _ = self.introspected.spend(&asker);
    }

    /// A wrong key was shown to somebody who asks us about it. It is not their failure, but it is a
    /// guess at its id.
    pub(crate) fn wrong_key_elsewhere(&self, shown: &str) {
        if let Ok(claim) = credential::parse(shown) {
            // Whether the id's budget is spent shows when the next one is shown to us.
            let _ = self.wrong_key_ids.spend(&claim.id);
        }
    }

    fn tag_of_name(&self, username: &str) -> AccountTag {
        // As look-ups read it: the case of an address does not matter.
        match username.parse::<Email>() {
            Ok(email) => self.tag(b"typed ", email.as_str().as_bytes()),
            Err(_) => self.tag(b"typed ", username.as_bytes()),
        }
    }

    fn tag(&self, kind: &[u8; 6], name: &[u8]) -> AccountTag {
        let mut hasher = blake3::Hasher::new_keyed(&self.names);
        hasher.update(kind).update(name);
        let mut tag = [0; 16];
        hasher.finalize_xof().fill(&mut tag);
        AccountTag(tag)
    }
}

/// Where somebody is, as far as it counts.
#[derive(Clone, Copy)]
struct Source {
    /// All that one machine can easily have: one IPv4 address, an IPv6 /64.
    address: IpNet,
    /// All that one customer of a provider may have.
    network: IpNet,
}

impl Source {
    fn of(ip: Option<IpAddr>) -> Self {
        // All whose address nobody knows are one.
        let ip = ip.unwrap_or(IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED));
        let (address, network) = match ip {
            IpAddr::V4(_) => (32, 24),
            IpAddr::V6(_) => (64, 48),
        };
        let within = |bits| IpNet::new(ip, bits).map_or(IpNet::from(ip), |net| net.trunc());
        Self {
            address: within(address),
            network: within(network),
        }
    }
}

/// One password that somebody says. It is looked at twice: before it waits for a place, and at the
/// place itself, by when those before it may have failed.
pub(crate) struct Attempt {
    throttles: Arc<Throttles>,
    typed: AccountTag,
    account: AccountTag,
    source: Source,
    is_known: bool,
}

/// What is to be done with a password that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is compared with the account's, if there is one.
    Compare,
    /// It is wrong, whatever it is: too many were wrong at the account under its other name.
    Withhold,
}

impl Attempt {
    /// Whether the password may be hashed, and what it is hashed for.
    ///
    /// # Errors
    /// How long its sender must wait.
    pub(crate) fn admit(&self) -> Result<Look, Wait> {
        let throttles = &self.throttles;
        let waits = if self.is_known {
            [throttles.known_pairs.wait(&self.pair()), None, None, None]
        } else {
            [
                throttles.typed.wait(&self.typed),
                throttles.sources.wait(&self.source.address),
                throttles.networks.wait(&self.source.network),
                throttles.everywhere.wait(&()),
            ]
        };
        if let Some(longest) = waits.into_iter().flatten().max() {
            return Err(longest);
        }
        let is_spent = !self.is_known && throttles.accounts.wait(&self.account).is_some();
        Ok(if is_spent {
            Look::Withhold
        } else {
            Look::Compare
        })
    }

    /// It was wrong, or taken for wrong, or there is no such account.
    pub(crate) fn failed(&self, look: Look) {
        let throttles = &self.throttles;
        if self.is_known {
            throttles.known_pairs.failed(self.pair());
        } else {
            // What was not compared was no guess at the account. The name comes last, so that its
            // delay is over no sooner: whoever waits as they were told is compared again.
            if look == Look::Compare {
                throttles.accounts.failed(self.account);
            }
            throttles.typed.failed(self.typed);
        }
        throttles.sources.failed(self.source.address);
        // That a budget is spent shows when the next one asks to be admitted.
        let _ = throttles.networks.spend(&self.source.network);
        let _ = throttles.everywhere.spend(&());
    }

    /// It was right: the account's count is at nought again, as seen from here. What the source got
    /// wrong at other accounts stays, and so does, for elsewhere, what elsewhere got wrong at this
    /// one: otherwise each login of the owner would let an attacker begin again.
    pub(crate) fn succeeded(&self) {
        let throttles = &self.throttles;
        if self.is_known {
            throttles.known_pairs.succeeded(&self.pair());
        } else {
            throttles.typed.succeeded(&self.typed);
            throttles.accounts.succeeded(&self.account);
        }
        throttles.known.add(self.account, self.source.address);
    }

    fn pair(&self) -> (AccountTag, IpNet) {
        (self.account, self.source.address)
    }
}

#[cfg(test)]
mod tests;
