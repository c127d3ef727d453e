//! What the counts do, by a clock that the tests set.

use core::net::{Ipv4Addr, Ipv6Addr};

use governor::clock::FakeRelativeClock;

use super::*;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const ADA: &str = "ada@example.com";

struct Scene {
    clock: FakeRelativeClock,
    throttles: Arc<Throttles>,
}

fn scene_with(settings: &ThrottleSettings) -> Scene {
    let clock = FakeRelativeClock::default();
    let throttles = Throttles::new(settings, [3; 32], &Ticks::of_test(&clock));
    Scene {
        clock,
        throttles: Arc::new(throttles),
    }
}

fn scene() -> Scene {
    scene_with(&ThrottleSettings::DEFAULT)
}

impl Scene {
    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// A wrong password: the seconds to wait, if it was not even looked at.
    fn wrong(&self, account: &str, source: IpAddr) -> Result<(), u64> {
        self.wrong_of(account, None, source).map(|_| ())
    }

    /// A wrong password for somebody's account, and whether it was compared.
    fn wrong_of(&self, name: &str, person: Option<UserId>, source: IpAddr) -> Result<Look, u64> {
        let attempt = self.throttles.attempt(name, person, Some(source));
        let look = attempt.admit().map_err(Wait::seconds)?;
        attempt.failed(look);
        Ok(look)
    }

    /// A right one.
    fn right(&self, account: &str, source: IpAddr) -> Result<(), u64> {
        let attempt = self.throttles.attempt(account, None, Some(source));
        attempt.admit().map_err(Wait::seconds)?;
        attempt.succeeded();
        Ok(())
    }

    /// Wrong ones until one is not looked at.
    fn until_refused(&self, account: &str, source: IpAddr) -> (usize, u64) {
        (0..1_000)
            .find_map(|n| self.wrong(account, source).err().map(|wait| (n, wait)))
            .expect("a thousand are too many")
    }
}

#[test]
fn n89_the_delay_doubles_up_to_its_bound_and_a_success_ends_it() {
    let scene = scene();
    assert_eq!(scene.until_refused(ADA, ELSEWHERE), (5, 1));
    let mut waits = Vec::new();
    let mut wait = 1;
    for _ in 0..12 {
        scene.pass(wait);
        scene.wrong(ADA, ELSEWHERE).expect("it was waited for");
        wait = scene.wrong(ADA, ELSEWHERE).expect_err("it was not");
        waits.push(wait);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    scene.pass(wait);
    scene.right(ADA, ELSEWHERE).unwrap();
    assert_eq!(
        scene.until_refused(ADA, ELSEWHERE).0,
        5,
        "from nought again"
    );
}

#[test]
fn n89_failures_from_elsewhere_do_not_touch_an_address_that_was_right_before() {
    let scene = scene();
    scene.right(ADA, HOME).unwrap();
    for _ in 0..100 {
        let _ = scene.wrong(ADA, ELSEWHERE);
    }
    assert!(scene.wrong(ADA, ELSEWHERE).is_err());
    scene.right(ADA, HOME).expect("the owner comes in");
    assert!(
        scene.wrong(ADA, ELSEWHERE).is_err(),
        "and that does not let the attacker begin again"
    );
    assert_eq!(scene.until_refused(ADA, HOME), (5, 1), "a count of its own");
}

#[test]
fn n89_a_source_is_delayed_whichever_accounts_it_tries() {
    let scene = scene();
    let tried = (0..1_000).find(|n| {
        scene
            .wrong(&format!("user{n}@example.com"), ELSEWHERE)
            .is_err()
    });
    assert_eq!(tried, Some(20));
    scene
        .wrong("user1@example.com", HOME)
        .expect("not from another one");
}

#[test]
fn n90_one_network_and_then_all_networks_are_bounded() {
    let scene = scene();
    let mut accounts = 0;
    let mut tries = |source: fn(u8, u8) -> IpAddr, network: u8| {
        let mut hashed = 0;
        for host in 0..=255 {
            accounts += 1;
            let account = format!("user{accounts}@example.com");
            hashed += usize::from(scene.wrong(&account, source(network, host)).is_ok());
        }
        hashed
    };
    let v4 = |network, host| IpAddr::V4(Ipv4Addr::new(198, 51, network, host));
    let v6 = |network: u8, host: u8| {
        IpAddr::V6(Ipv6Addr::new(
            0x2001,
            0xdb8,
            network.into(),
            host.into(),
            0,
            0,
            0,
            1,
        ))
    };
    assert_eq!(tries(v4, 1), 200, "of 256 addresses of a /24");
    assert_eq!(tries(v6, 1), 200, "of 256 /64 of a /48");
    let everywhere: usize = (2..40).map(|network| tries(v4, network)).sum();
    assert_eq!(everywhere, 2_000 - 400, "from all over");
    scene.pass(3_600);
    assert_eq!(tries(v4, 1), 200, "an hour later");
}

#[test]
fn n90_an_address_that_was_right_before_comes_in_whatever_goes_on() {
    let few = ThrottleSettings {
        login_failures_per_hour: positive(3),
        ..ThrottleSettings::DEFAULT
    };
    let scene = scene_with(&few);
    scene.right(ADA, HOME).unwrap();
    for n in 0..3 {
        scene
            .wrong(&format!("user{n}@example.com"), ELSEWHERE)
            .unwrap();
    }
    assert!(scene.wrong("more@example.com", ELSEWHERE).is_err());
    assert!(scene.right(ADA, ELSEWHERE).is_err());
    scene.right(ADA, HOME).unwrap();
}

#[test]
fn n91_unknown_accounts_are_counted_like_known_ones_and_names_as_they_are_looked_up() {
    let scene = scene();
    let refused = scene.until_refused("nobody@example.com", ELSEWHERE);
    assert_eq!(refused, scene.until_refused(ADA, HOME));
    assert!(
        scene.wrong("ADA@Example.com", HOME).is_err(),
        "the case of an address does not make another account"
    );
}

/// Guesses at the names in turn, each from a network of its own: what became of each.
fn guesses(scene: &Scene, names: &[&str], person: Option<UserId>) -> Vec<Result<Look, u64>> {
    (0..60)
        .map(|n: u8| {
            let source = IpAddr::V4(Ipv4Addr::new(100, 64, n, 1));
            let name = names[usize::from(n) % names.len()];
            scene.wrong_of(name, person, source)
        })
        .collect()
}

#[test]
fn n090_guesses_at_one_account_under_its_two_names_share_what_it_bears() {
    let person = Some(UserId::from_bytes([7; 16]));
    let compared = |names: &[&str]| {
        let looks = guesses(&scene(), names, person);
        looks
            .iter()
            .filter(|look| **look == Ok(Look::Compare))
            .count()
    };
    assert_eq!(compared(&[ADA]), 5);
    assert_eq!(compared(&[ADA, "ada"]), 5);
    assert_eq!(compared(&[ADA, "ada", "ADA@example.com"]), 5);
}

#[test]
fn n090_nobody_learns_from_the_answers_that_two_names_are_one_account() {
    let person = Some(UserId::from_bytes([7; 16]));
    for names in [&[ADA, "ada"][..], &["ada", "ada", ADA], &[ADA]] {
        let told = |person| -> Vec<Result<(), u64>> {
            let guesses = guesses(&scene(), names, person);
            guesses.into_iter().map(|look| look.map(|_| ())).collect()
        };
        assert_eq!(told(person), told(None), "{names:?}");
    }
}

#[test]
fn n090_whoever_waits_as_they_were_told_is_compared_again() {
    let scene = scene();
    let person = Some(UserId::from_bytes([7; 16]));
    let guess = |name| scene.wrong_of(name, person, ELSEWHERE);
    for _ in 0..3 {
        assert_eq!(guess(ADA), Ok(Look::Compare));
    }
    for _ in 0..2 {
        assert_eq!(guess("ada"), Ok(Look::Compare));
    }
    for _ in 0..2 {
        assert_eq!(guess(ADA), Ok(Look::Withhold));
    }
    assert_eq!(guess(ADA), Err(1));
    scene.pass(1);
    // What was withheld was no guess, and made the account's own delay no longer.
    assert_eq!(guess(ADA), Ok(Look::Compare));
    // A right one ends it, and makes its address known under both names.
    scene.pass(2);
    let attempt = scene.throttles.attempt(ADA, person, Some(HOME));
    assert_eq!(attempt.admit().map_err(Wait::seconds), Ok(Look::Compare));
    attempt.succeeded();
    assert_eq!(
        scene.wrong_of("ada", person, HOME),
        Ok(Look::Compare),
        "from home it is counted apart"
    );
    for _ in 0..9 {
        let _ = guess("ada");
    }
    let at_home = scene.throttles.attempt("ada", person, Some(HOME));
    assert_eq!(at_home.admit().map_err(Wait::seconds), Ok(Look::Compare));
}

#[test]
fn n88_wrong_keys_are_counted_by_source_and_by_id() {
    let scene = scene();
    let nonsense = |source| scene.throttles.wrong_key("nonsense", Some(source));
    let passed = (0..1_000).find(|_| nonsense(ELSEWHERE).is_err());
    assert_eq!(passed, Some(60));
    assert_eq!(nonsense(ELSEWHERE).map_err(Wait::seconds), Err(1));
    nonsense(HOME).expect("another source has its own");
    scene.pass(1);
    nonsense(ELSEWHERE).expect("one a second goes on");
}

#[test]
fn n130_a_hundred_thousand_sources_take_no_more_than_the_bound_and_expire() {
    let scene = scene_with(&ThrottleSettings {
        login_failures_per_hour: positive(1_000_000),
        ..ThrottleSettings::DEFAULT
    });
    let throttles = &scene.throttles;
    for n in 0..100_000_u32 {
        let source = IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + n * 256));
        let _ = scene.wrong(&format!("user{n}@example.com"), source);
        let _ = throttles.wrong_key("nonsense", Some(source));
    }
    let counts = || {
        [
            throttles.typed.len(),
            throttles.accounts.len(),
            throttles.sources.len(),
            throttles.networks.len(),
            throttles.wrong_key_sources.len(),
        ]
    };
    assert!(
        counts().iter().all(|count| *count <= REMEMBERED_MAX),
        "{:?}",
        counts()
    );
    assert!(
        counts().iter().all(|count| *count > 1_000),
        "{:?}",
        counts()
    );
    scene.pass(10 * 3_600);
    scene.wrong(ADA, HOME).unwrap();
    throttles.wrong_key("nonsense", Some(HOME)).unwrap();
    assert_eq!(counts(), [1, 1, 1, 1, 1], "all but the last have expired");
}

#[test]
fn n135_only_the_monotonic_clock_ends_a_delay() {
    // There is no other clock in reach of a `Throttles`; by its own, nothing ends early.
    let scene = scene();
    let (_, wait) = scene.until_refused(ADA, ELSEWHERE);
    scene.clock.advance(Duration::from_millis(wait * 1_000 - 1));
    assert_eq!(scene.wrong(ADA, ELSEWHERE), Err(1));
    scene.clock.advance(Duration::from_millis(1));
    scene.wrong(ADA, ELSEWHERE).unwrap();
}

#[test]
fn an_attempt_that_waited_is_looked_at_again() {
    let scene = scene();
    let attempts: Vec<_> = (0..60)
        .map(|_| scene.throttles.attempt(ADA, None, Some(ELSEWHERE)))
        .collect();
    assert!(attempts.iter().all(|attempt| attempt.admit().is_ok()));
    let hashed = attempts
        .iter()
        .filter(|attempt| attempt.admit().is_ok())
        .inspect(|attempt| attempt.failed(Look::Compare));
    assert_eq!(hashed.count(), 5);
}
