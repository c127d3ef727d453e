//! Passwords of people: argon2id in a bounded pool, so that a flood of logins costs a fixed amount
//! of memory and leaves the keys alone.

use argon2::password_hash::SaltString;
use keyledger_domain::PasswordHash;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::hash_memory::HashMemory;
use crate::places::Places;
use crate::problem::Problem;

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
    /// A pool with this many places. Each takes 19 MiB with its first password and keeps them. No
    /// randomness is drawn yet.
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

    /// Whether this is the password. Without an account the same work is done, for nothing.
    ///
    /// # Errors
    /// 503 when too many wait.
    pub async fn check(
        &self,
        password: Password,
        account: Option<PasswordHash>,
    ) -> Result<bool, Problem> {
        // Nobody has such a password, and nobody is to make us hash it.
        if password.0.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        self.places
            .work(BUSY, move |memory| {
                let phc = account.as_ref().map_or(NOBODY, PasswordHash::as_phc);
                let matches = memory.matches(password.0.as_bytes(), phc);
                let matches = matches.unwrap_or_else(|error| {
                    tracing::error!(%error, "the hash of an account's password is no good");
                    false
                });
                matches && account.is_some()
            })
            .await
    }
}
