//! Passwords of people: argon2id in a bounded pool, so that a flood of logins costs a fixed amount
//! of memory and leaves the keys alone.

use argon2::password_hash::{PasswordHash as Phc, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use keyledger_domain::PasswordHash;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

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
    places: Places,
    argon2: Argon2<'static>,
    /// Checked against when there is no account, so that both take the same time.
    nobody: PasswordHash,
    rng: SystemRandom,
}

impl Passwords {
    /// A pool with this many places. Each holds 19 MiB while it works.
    ///
    /// # Errors
    /// If the hash refuses its parameters. No randomness is drawn yet.
    pub fn new(places: usize, rng: SystemRandom) -> Result<Self, Problem> {
        // OWASP's parameters: m = 19 MiB, t = 2, p = 1 (24 ms where this was written).
        let params = Params::new(19 * 1_024, 2, 1, None).map_err(|_| Problem::internal())?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        // Any well-formed hash will do: nothing matches it, and the work is the same.
        let nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        Ok(Self {
            places: Places::new(places, WAITING_MAX),
            argon2,
            nobody: PasswordHash::from_phc(nobody.to_owned()),
            rng,
        })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// 503 when too many wait; 500 when the system gives no randomness or the hash fails.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, Problem> {
        let mut salt = [0; 16];
        self.rng.fill(&mut salt).map_err(|_| Problem::internal())?;
        let salt = SaltString::encode_b64(&salt).map_err(|_| Problem::internal())?;
        let argon2 = self.argon2.clone();
        self.places
            .work(BUSY, move || {
                let phc = argon2.hash_password(password.0.as_bytes(), &salt);
                phc.map(|phc| PasswordHash::from_phc(phc.to_string()))
                    .map_err(|_| Problem::internal())
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
        let exists = account.is_some() && password.0.len() <= PASSWORD_BYTES_MAX;
        let hash = account.unwrap_or_else(|| self.nobody.clone());
        let argon2 = self.argon2.clone();
        self.places
            .work(BUSY, move || {
                let Ok(phc) = Phc::new(hash.as_phc()) else {
                    return false;
                };
                let matches = argon2.verify_password(password.0.as_bytes(), &phc).is_ok();
                matches && exists
            })
            .await
    }
}
