//! Passwords of people: argon2id in a bounded pool, so that a flood of logins costs a fixed amount
//! of memory and leaves the keys alone.

use argon2::password_hash::SaltString;
use keyledger_domain::PasswordHash;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::hash_memory::HashMemory;
use crate::places::Places;
use crate::problem::Problem;
use crate::throttles::{Attempt, Look};

/// The shortest password that is taken, in characters (ASVS 6.2.1).
pub const PASSWORD_CHARS_MIN: usize = 8;
/// The longest password that is read, in bytes; nothing is ever cut off (ASVS 6.2.9).
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// How many checks may wait for a place in the pool before the next is turned away.
const WAITING_MAX: usize = 64;
/// What the next is told.
const BUSY: &str = "Too many passwords are being checked; try again.";
/// Checked against when there is no account, so that both take the same time. Any well-formed hash
/// with the figures of the others will do: nothing matches it.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password in clear, from the request to the hash. Wiped when dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Wraps what a caller sent.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether it may be chosen as a new password.
    ///
    /// # Errors
    /// The sentence to tell.
    pub fn check_new(&self) -> Result<(), String> {
        if self.0.chars().count() < PASSWORD_CHARS_MIN {
            return Err(format!(
                "must have at least {PASSWORD_CHARS_MIN} characters; 15 are better"
            ));
        }
        if self.0.len() > PASSWORD_BYTES_MAX {
            return Err(format!("may have at most {PASSWORD_BYTES_MAX} bytes"));
        }
        Ok(())
    }
}

/// The bounded pool that hashes and checks.
pub struct Passwords {
    places: Places<HashMemory>,
    rng: SystemRandom,
}

impl Passwords {
    /// A pool with this many places. Each takes 19 MiB with its first password, and gives them back when
    /// none has come for some seconds. No randomness is drawn yet.
    pub fn new(places: usize, rng: SystemRandom) -> Self {
        Self {
            places: Places::new(places, WAITING_MAX),
            rng,
        }
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// 503 when too many wait; 500 when the system gives no randomness or the hash fails.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Problem> {
        let mut salt = [0; 16];
        self.rng.fill(&mut salt).map_err(|_| Problem::internal())?;
        let salt = SaltString::encode_b64(&salt).map_err(|_| Problem::internal())?;
        self.places
            .work(BUSY, move |memory| {
                let phc = memory.hash(password.0.as_bytes(), &salt);
                phc.map(PasswordHash::from_phc).map_err(|error| {
                    tracing::error!(%error, "a password could not be hashed");
                    Problem::internal()
                })
            })
            .await?
    }

    /// Whether this is the password. Without an account the same work is done, for nothing; and so it
    /// is when too many were wrong under another name of the account.
    ///
    /// # Errors
    /// 503 when too many wait; 429, without any work, when there were too many wrong ones.
    pub(crate) async fn check(
        &self,
        password: Password,
        account: Option<PasswordHash>,
        attempt: Attempt,
    ) -> Result<bool, Problem> {
        attempt.admit()?;
        // Nobody has such a password, and nobody is to make us hash it.
        if password.0.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        self.places
            .work(BUSY, move |memory| {
                // Those who stood before this one in the queue may have failed meanwhile: of many
                // that come at once, no more are hashed than of as many in turn.
                let look = attempt.admit()?;
                let account = account.filter(|_| look == Look::Compare);
                let phc = account.as_ref().map_or(NOBODY, PasswordHash::as_phc);
                let matches = memory.matches(password.0.as_bytes(), phc);
                let matches = matches.unwrap_or_else(|error| {
                    tracing::error!(%error, "the hash of an account's password is no good");
                    false
                });
                let good = matches && account.is_some();
                if good {
                    attempt.succeeded();
                } else {
                    attempt.failed(look);
                }
                Ok(good)
            })
            .await?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keyledger_domain::id::UserId;

    use super::*;
    use crate::throttles::{ThrottleSettings, Throttles, Ticks};

    fn attempt() -> Attempt {
        let throttles = Throttles::new(&ThrottleSettings::DEFAULT, [1; 32], &Ticks::from_now());
        Arc::new(throttles).attempt("ada@example.com", None, None)
    }

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    /// How many passwords the place has hashed.
    async fn hashes(passwords: &Passwords) -> u64 {
        let places = &passwords.places;
        places.work(BUSY, |memory| memory.hashes()).await.unwrap()
    }

    #[actix_web::test]
    async fn n91_an_unknown_account_is_the_same_work() {
        let passwords = Passwords::new(1, SystemRandom::new());
        let known = passwords
            .hash(password("a long passphrase 7"))
            .await
            .unwrap();
        assert_eq!(hashes(&passwords).await, 1);
        for (account, text, good) in [
            (Some(known.clone()), "a long passphrase 8", false),
            (None, "a long passphrase 7", false),
            (Some(known), "a long passphrase 7", true),
        ] {
            let before = hashes(&passwords).await;
            let checked = passwords.check(password(text), account, attempt()).await;
            assert_eq!(checked.unwrap(), good);
            assert_eq!(hashes(&passwords).await, before + 1);
        }
        // The figures of the hash that stands in for nobody's are those of all others.
        let figures = |phc: &str| phc.rsplitn(3, '$').nth(2).map(str::to_owned);
        let fresh = passwords
            .hash(password("a long passphrase 7"))
            .await
            .unwrap();
        assert_eq!(figures(NOBODY), figures(fresh.as_phc()));
    }

    #[actix_web::test]
    async fn n93_a_password_that_nobody_can_have_is_not_hashed() {
        let passwords = Passwords::new(1, SystemRandom::new());
        for bytes in [PASSWORD_BYTES_MAX + 1, 1_000_000] {
            let checked = passwords.check(password(&"x".repeat(bytes)), None, attempt());
            assert!(!checked.await.unwrap());
            assert!(password(&"x".repeat(bytes)).check_new().is_err());
        }
        assert_eq!(hashes(&passwords).await, 0);
        let longest = password(&"x".repeat(PASSWORD_BYTES_MAX));
        assert!(!passwords.check(longest, None, attempt()).await.unwrap());
        assert_eq!(hashes(&passwords).await, 1);
    }

    #[actix_web::test]
    async fn n89_whoever_has_to_wait_is_told_so_without_a_hash() {
        let passwords = Passwords::new(1, SystemRandom::new());
        let throttles = Throttles::new(&ThrottleSettings::DEFAULT, [1; 32], &Ticks::from_now());
        let throttles = Arc::new(throttles);
        let attempt = || throttles.attempt("ada@example.com", None, None);
        for _ in 0..5 {
            attempt().failed(Look::Compare);
        }
        let refused = passwords
            .check(password("a password"), None, attempt())
            .await;
        assert_eq!(refused.unwrap_err().retry_after(), Some("1"));
        assert_eq!(hashes(&passwords).await, 0);
    }

    #[actix_web::test]
    async fn n090_what_is_withheld_is_the_same_work_and_wrong_even_if_it_is_right() {
        let passwords = Passwords::new(1, SystemRandom::new());
        let right = "a long passphrase 7";
        let known = passwords.hash(password(right)).await.unwrap();
        let throttles = Throttles::new(&ThrottleSettings::DEFAULT, [1; 32], &Ticks::from_now());
        let throttles = Arc::new(throttles);
        let person = Some(UserId::from_bytes([7; 16]));
        let by = |name: &str| throttles.attempt(name, person, None);
        // Twelve of them: the delay is two minutes by now, longer than this test takes.
        for _ in 0..12 {
            by("ada@example.com").failed(Look::Compare);
        }
        let before = hashes(&passwords).await;
        let checked = passwords.check(password(right), Some(known), by("ada"));
        assert!(!checked.await.unwrap());
        assert_eq!(hashes(&passwords).await, before + 1);
    }
}
