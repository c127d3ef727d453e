//! How often each key is used: a bucket for each key that has a limit and was used of late.
//!
//! A bucket holds as many requests as the limit says, is full at first and fills up evenly (GCRA,
//! the "virtual scheduling algorithm" of ITU-T I.371). It lives by the monotonic clock: a wall clock
//! that is set back or forth neither opens nor closes it. Buckets are kept in memory only, so a
//! restart fills them all.
//!
//! Each bucket is a limiter of its own and not a row of a keyed one, because keys have limits of
//! their own, which change while they are used.

use core::num::NonZeroU32;
use core::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use ahash::HashMap;
use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use keyledger_domain::api_key::Holder;
use keyledger_domain::id::OrgId;
use keyledger_domain::org::Org;
use keyledger_domain::{Actor, ApiKey, CredentialId, Directory, RateLimit, Timestamp};
use parking_lot::Mutex;

use crate::app::App;
use crate::problem::Problem;
use crate::throttles::Wait;

/// In how many parts the buckets are kept, each with a lock of its own.
const SHARDS: usize = 16;

/// How long a shard leaves its buckets alone before it looks which of them nobody needs.
const SWEEP_PAUSE: Duration = Duration::from_mins(1);

const X_RATELIMIT_INTERVAL: HeaderName = HeaderName::from_static("x-ratelimit-interval");
const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Name {
    key: CredentialId,
    /// The organization whose default it is. A person's key that is used in two has a bucket in each:
    /// what one of them allows is no business of the other.
    default_of: Option<OrgId>,
}

/// A key that is being used, and how often it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    name: Name,
    limit: RateLimit,
}

impl Bound {
    /// The limit of a key where it is used in this organization, if it has one there.
    pub(crate) fn within(key: &ApiKey, org: &Org) -> Option<Self> {
        let limit = key.rate_limit_in(org)?;
        let default_of = key.rate_limit().is_none().then_some(org.id);
        let name = Name {
            key: key.issued.id,
            default_of,
        };
        Some(Self { name, limit })
    }

    /// Whether it is the key's own limit, which counts wherever the key is used.
    pub(crate) const fn is_own(&self) -> bool {
        self.name.default_of.is_none()
    }

    /// The limit of a key that asks for something at one of our own addresses, if it has one there.
    ///
    /// The key of a person is used in the organization that the address names, or else in the only
    /// one that they are in. Where there are several and none is named, no default counts: one
    /// organization must not keep people from what they do in another.
    pub(crate) fn of_caller(
        directory: &Directory,
        key: &ApiKey,
        request: &HttpRequest,
    ) -> Option<Self> {
        if let Some(limit) = key.rate_limit() {
            let name = Name {
                key: key.issued.id,
                default_of: None,
            };
            return Some(Self { name, limit });
        }
        let org = match key.issued.holder {
            Holder::Service { org, .. }
            | Holder::Entitlement { org, .. }
            | Holder::Client { org, .. }
            | Holder::Delegate { org, .. } => directory.org(org)?,
            Holder::User { user, .. } => {
                let mut orgs = directory.orgs_of(Actor::User(user));
                match request.match_info().get("org") {
                    Some(slug) => orgs.find(|org| org.slug.as_str() == slug)?,
                    None => orgs.next().filter(|_| orgs.next().is_none())?,
                }
            }
        };
        Self::within(key, org)
    }
}

/// What a request leaves of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    requests: NonZeroU32,
    remaining: u32,
    /// How long until all of it is there again.
    full_after: Duration,
}

/// The limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttled {
    left: Left,
    /// How long until the next request passes.
    wait: Duration,
}

impl Throttled {
    /// How long until the next request passes, in whole seconds (RFC 9110 §10.2.3), never 0.
    pub(crate) fn retry_after_seconds(&self) -> u64 {
        Wait(self.wait).seconds().max(1)
    }
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

struct Bucket<C: Clock> {
    limit: RateLimit,
    limiter: Limiter<C>,
    used_at: C::Instant,
}

impl<C: Clock + Clone> Bucket<C> {
    fn new(limit: RateLimit, clock: &C) -> Self {
        let nanos = u64::from(limit.per_seconds().get()) * 1_000_000_000;
        // Rounded up, so that no more than the limit says ever passes.
        let each = Duration::from_nanos(nanos.div_ceil(limit.requests().get().into()));
        let quota =
            Quota::with_period(each).expect("a million in a second is one each microsecond");
        let quota = quota.allow_burst(limit.requests());
        Self {
            limit,
            limiter: RateLimiter::new(quota, InMemoryState::default(), clock.clone()),
            used_at: clock.now(),
        }
    }

    /// Goes on with another limit. What was spent stays spent, or a change of its own limit would
    /// be a way for a key to fill its bucket.
    fn follow(&mut self, limit: RateLimit, clock: &C) {
        let requests = self.limit.requests().get();
        let spent = match self.limiter.check() {
            // It counts this look too.
            Ok(state) => requests - state.remaining_burst_capacity() - 1,
            Err(_) => requests,
        };
        *self = Self::new(limit, clock);
        if let Some(spent) = NonZeroU32::new(spent.min(limit.requests().get())) {
            let taken = self.limiter.check_n(spent);
            debug_assert!(matches!(taken, Ok(Ok(_))), "a new bucket holds that much");
        }
    }

    fn spend(&mut self, clock: &C) -> Result<Left, Throttled> {
        self.used_at = clock.now();
        let requests = self.limit.requests();
        match self.limiter.check() {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let each = state.quota().replenish_interval();
                Ok(Left {
                    requests,
                    remaining,
                    full_after: each * (requests.get() - remaining),
                })
            }
            Err(until) => {
                let wait = until.wait_time_from(self.used_at);
                let each = until.quota().replenish_interval();
                let left = Left {
                    requests,
                    remaining: 0,
                    full_after: wait + each * (requests.get() - 1),
                };
                Err(Throttled { left, wait })
            }
        }
    }

    /// Whether it is full again, and so no other than a new one.
    fn is_idle(&self, now: C::Instant) -> bool {
        let unused = Duration::from(now.duration_since(self.used_at));
        // A second more than it takes, for what was rounded.
        unused > Duration::from_secs(u64::from(self.limit.per_seconds().get()) + 1)
    }
}

struct Shard<C: Clock> {
    buckets: HashMap<Name, Bucket<C>>,
    swept_at: C::Instant,
}

impl<C: Clock + Clone> Shard<C> {
    /// Drops the buckets that nobody needs: there are never more than keys that were used within
    /// their limit's time and the pause.
    fn retain_recent(&mut self, now: C::Instant) {
        if Duration::from(now.duration_since(self.swept_at)) < SWEEP_PAUSE {
            return;
        }
        self.swept_at = now;
        self.buckets.retain(|_, bucket| !bucket.is_idle(now));
        self.buckets.shrink_to(self.buckets.len() * 2);
    }
}

/// The buckets of all keys.
pub(crate) struct RateLimits<C: Clock = MonotonicClock> {
    clock: C,
    shards: [Mutex<Shard<C>>; SHARDS],
}

impl<C: Clock + Clone> RateLimits<C> {
    /// No key was used yet.
    pub(crate) fn new(clock: C) -> Self {
        let swept_at = clock.now();
        let shard = |_| {
            Mutex::new(Shard {
                buckets: HashMap::default(),
                swept_at,
            })
        };
        Self {
            clock,
            shards: core::array::from_fn(shard),
        }
    }

    /// Counts a request, unless the limit is reached. A limit that was changed holds at once.
    ///
    /// # Errors
    /// [`Throttled`]; such a request is not counted.
    pub(crate) fn spend(&self, bound: Bound) -> Result<Left, Throttled> {
        let Bound { name, limit } = bound;
        // The characters of an id are drawn evenly.
        let [.., last] = name.key.to_bytes();
        let mut shard = self.shards[usize::from(last) % SHARDS].lock();
        shard.retain_recent(self.clock.now());
        let new = || Bucket::new(limit, &self.clock);
        let bucket = shard.buckets.entry(name).or_insert_with(new);
        if bucket.limit != limit {
            bucket.follow(limit, &self.clock);
        }
        bucket.spend(&self.clock)
    }
}

/// What a caller with a limit is told of it, whatever else is answered.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    limit: u32,
    remaining: u32,
    /// Seconds since 1970.
    reset: i64,
    /// The seconds that some clients wait before each call; so 0 unless the limit is reached.
    interval: u64,
}

impl Told {
    fn of(left: &Left, interval: u64, now: Timestamp) -> Self {
        let full_after = Wait(left.full_after).seconds();
        Self {
            limit: left.requests.get(),
            remaining: left.remaining,
            reset: now.plus_seconds(full_after).seconds(),
            interval,
        }
    }

    /// Writes it into an answer.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(X_RATELIMIT_LIMIT, HeaderValue::from(self.limit));
        headers.insert(X_RATELIMIT_REMAINING, HeaderValue::from(self.remaining));
        headers.insert(X_RATELIMIT_RESET, HeaderValue::from(self.reset));
        headers.insert(X_RATELIMIT_INTERVAL, HeaderValue::from(self.interval));
    }
}

impl App {
    /// Counts a request at one of our own addresses on the limit of the key that asks.
    ///
    /// # Errors
    /// 429 with `Retry-After` (RFC 6585 §4) when its limit is reached.
    pub(crate) fn spend_as_caller(
        &self,
        bound: Bound,
        request: &HttpRequest,
    ) -> Result<(), Problem> {
        let spent = self.rate_limits().spend(bound);
        let (told, answer) = match spent {
            Ok(left) => (Told::of(&left, 0, self.now()), Ok(())),
            Err(throttled) => {
                let seconds = throttled.retry_after_seconds();
                let told = Told::of(&throttled.left, seconds, self.now());
                (told, Err(Problem::rate_limited(seconds)))
            }
        };
        request.extensions_mut().insert(told);
        answer
    }
}

/// What whoever asked is to be told of their limit. Others are told nothing: some clients take the
/// headers for a reason to wait.
pub(crate) fn told(request: &HttpRequest) -> Option<Told> {
    request.extensions().get::<Told>().copied()
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(requests: u32, per_seconds: u32) -> RateLimit {
        RateLimit::new(requests, per_seconds).unwrap()
    }

    fn bound(key: &str, requests: u32, per_seconds: u32) -> Bound {
        let name = Name {
            key: key.parse().unwrap(),
            default_of: None,
        };
        Bound {
            name,
            limit: limit(requests, per_seconds),
        }
    }

    fn bench() -> (FakeRelativeClock, RateLimits<FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        (clock.clone(), RateLimits::new(clock))
    }

    /// How many of so many requests pass.
    fn passed(limits: &RateLimits<FakeRelativeClock>, bound: Bound, of: u32) -> u32 {
        (0..of)
            .map(|_| u32::from(limits.spend(bound).is_ok()))
            .sum()
    }

    #[test]
    fn n135_rate_limits_use_the_monotonic_clock() {
        let (clock, limits) = bench();
        let ten = bound("3kTMd9wQx", 10, 60);
        // A wall clock that jumps an hour to and fro: told, and nothing else.
        let wall = |step: i64| Timestamp::from_micros((1_800_000_000 + step * 3_600) * 1_000_000);
        for (step, remaining) in [0, 1, -1, 1, 0, -1, 1, -1, 0, 1]
            .into_iter()
            .zip((0..10).rev())
        {
            let left = limits.spend(ten).unwrap();
            assert_eq!(left.remaining, remaining);
            let told = Told::of(&left, 0, wall(step));
            let full_after = i64::from(10 - remaining) * 6;
            assert_eq!(told.reset, 1_800_000_000 + step * 3_600 + full_after);
        }
        let throttled = limits.spend(ten).unwrap_err();
        assert_eq!(throttled.retry_after_seconds(), 6);
        assert_eq!(throttled.left.full_after, Duration::from_mins(1));
        // One comes back each six seconds of the monotonic clock, not a nanosecond before.
        clock.advance(Duration::from_secs(6) - Duration::from_nanos(1));
        assert_eq!(limits.spend(ten).unwrap_err().retry_after_seconds(), 1);
        clock.advance(Duration::from_nanos(1));
        assert_eq!(passed(&limits, ten, 5), 1);
        clock.advance(Duration::from_secs(18));
        assert_eq!(passed(&limits, ten, 5), 3);
        // However long it rests, it holds no more than ten.
        clock.advance(Duration::from_hours(24));
        assert_eq!(passed(&limits, ten, 20), 10);
    }

    #[test]
    fn in_the_long_run_no_more_passes_than_the_limit_says() {
        for (requests, per_seconds) in [(7, 10), (1, 86_400), (1_000, 7), (3, 1)] {
            let (clock, limits) = bench();
            let bound = bound("3kTMd9wQx", requests, per_seconds);
            let mut count = passed(&limits, bound, requests + 5);
            assert_eq!(count, requests);
            // Ten times its time, in a hundred steps.
            for _ in 0..100 {
                clock.advance(Duration::from_millis(u64::from(per_seconds) * 100));
                count += passed(&limits, bound, requests + 5);
            }
            let most = requests * 11;
            assert!(
                (most - 1..=most).contains(&count),
                "{count} for {requests} in {per_seconds} s"
            );
        }
    }

    #[test]
    fn keys_do_not_share_and_neither_do_organizations() {
        let (_, limits) = bench();
        let one = bound("3kTMd9wQx", 2, 60);
        // In the same shard.
        let other = bound("3kTMd9wRx", 2, 60);
        let of_org = |org: u8| Bound {
            name: Name {
                default_of: Some(OrgId::from_bytes([org; 16])),
                ..one.name
            },
            ..one
        };
        for bound in [one, other, of_org(1), of_org(2)] {
            assert_eq!(passed(&limits, bound, 5), 2);
        }
    }

    #[test]
    fn a_changed_limit_holds_at_once_and_what_was_spent_stays_spent() {
        let with = |requests| bound("3kTMd9wQx", requests, 60);
        for (from, spent, to, then) in [
            (10, 4, 20, 16),
            (10, 10, 20, 10),
            (10, 4, 6, 2),
            (10, 4, 4, 0),
            (10, 9, 3, 0),
            (10, 10, 10, 0),
            (1, 1, 2, 1),
        ] {
            let (_, limits) = bench();
            assert_eq!(passed(&limits, with(from), spent), spent);
            let passed = passed(&limits, with(to), 100);
            assert_eq!(passed, then, "{spent} of {from} spent, then {to}");
        }
        // Narrowing it again and again gives nothing back.
        let (_, limits) = bench();
        let count: u32 = (1..=50)
            .rev()
            .map(|requests| passed(&limits, with(requests), 1))
            .sum();
        assert!(count <= 50, "{count}");
        assert_eq!(passed(&limits, with(1), 1), 0);
    }

    #[test]
    fn n130_buckets_that_are_full_again_are_dropped() {
        let (clock, limits) = bench();
        let key = |number: u32| bound(&format!("{number:09}"), 5, 30);
        let held = || -> usize {
            let shards = limits.shards.iter();
            shards.map(|shard| shard.lock().buckets.len()).sum()
        };
        for number in 0..10_000 {
            assert!(limits.spend(key(number)).is_ok());
        }
        assert_eq!(held(), 10_000);
        clock.advance(SWEEP_PAUSE + Duration::from_secs(32));
        // One use in each shard is enough: the shards are told by the last character.
        for number in 0..10 {
            assert!(limits.spend(key(number)).is_ok());
        }
        assert_eq!(held(), 10);
        let rooms = limits.shards.iter();
        let rooms: usize = rooms.map(|shard| shard.lock().buckets.capacity()).sum();
        assert!(rooms < 1_000, "room for {rooms} is kept");
    }
}
