//! The memory that argon2 fills while it hashes: one buffer a place, used again for every password.
//!
//! Were it asked of the allocator for each password, the allocator would keep several times of it
//! after a flood of logins: 227 MB at two places, where the two buffers are 38.

use argon2::password_hash::{Output, ParamsString, PasswordHash as Phc, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

use crate::places::Desk;

/// The memory of one hash, in KiB, as OWASP recommends it for t=2 and p=1 (24 ms where this was
/// written). No hash that asks for more is ever computed.
const MEMORY_KIB: u32 = 19 * 1_024;
/// How often the memory is gone over.
const PASSES: u32 = 2;
/// How many lanes are filled side by side.
const LANES: u32 = 1;

/// What new passwords are hashed with.
///
/// # Errors
/// If argon2 refuses the figures, which a test rules out.
fn params() -> Result<Params, argon2::Error> {
    Params::new(MEMORY_KIB, PASSES, LANES, None)
}

/// The buffer of a place.
///
/// It is taken at the place's first password and given back when none has come for some seconds, so
/// that a server on which nobody logs in by password needs none. It holds what was derived from a
/// password; the next hash writes over all of it, and where none is waiting it is wiped. So a flood
/// pays nothing for the wiping, which takes a twentieth of a hash, and no password outlives the work
/// on it.
#[derive(Default)]
pub(crate) struct HashMemory {
    blocks: Vec<Block>,
    is_used: bool,
    #[cfg(test)]
    hashes: u64,
}

impl HashMemory {
    /// Hashes a new password into its PHC string.
    ///
    /// # Errors
    /// If argon2 refuses its input.
    pub(crate) fn hash(
        &mut self,
        password: &[u8],
        salt: &SaltString,
    ) -> argon2::password_hash::Result<String> {
        let (algorithm, version, params) = (Algorithm::Argon2id, Version::V0x13, params()?);
        let argon2 = Argon2::new(algorithm, version, params.clone());
        let output = self.fill(
            &argon2,
            password,
            salt.as_salt(),
            Params::DEFAULT_OUTPUT_LEN,
        )?;
        let phc = Phc {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt.as_salt()),
            hash: Some(output),
        };
        Ok(phc.to_string())
    }

    /// Whether this is the password: hashed once more with the algorithm, the figures and the salt
    /// of the PHC string, and compared in constant time.
    ///
    /// # Errors
    /// If the string is none, or asks for more memory than there is.
    pub(crate) fn matches(
        &mut self,
        password: &[u8],
        phc: &str,
    ) -> argon2::password_hash::Result<bool> {
        let phc = Phc::new(phc)?;
        let (Some(salt), Some(expected)) = (phc.salt, phc.hash) else {
            return Err(argon2::password_hash::Error::PhcStringField);
        };
        let algorithm = Algorithm::try_from(phc.algorithm)?;
        let version = phc
            .version
            .map_or(Ok(Version::default()), Version::try_from)?;
        let argon2 = Argon2::new(algorithm, version, Params::try_from(&phc)?);
        let computed = self.fill(&argon2, password, salt, expected.len())?;
        // `Output` compares in constant time.
        Ok(computed == expected)
    }

    fn fill(
        &mut self,
        argon2: &Argon2<'_>,
        password: &[u8],
        salt: Salt<'_>,
        output_bytes: usize,
    ) -> argon2::password_hash::Result<Output> {
        let mut salt_bytes = [0; Salt::MAX_LENGTH];
        let salt = salt.decode_b64(&mut salt_bytes)?;
        if self.blocks.is_empty() {
            self.blocks = vec![Block::default(); params()?.block_count()];
        }
        self.is_used = true;
        #[cfg(test)]
        {
            self.hashes += 1;
        }
        let blocks = self.blocks.as_mut_slice();
        Output::init_with(output_bytes, |out| {
            Ok(argon2.hash_password_into_with_memory(password, salt, out, blocks)?)
        })
    }

    /// How often it was filled.
    #[cfg(test)]
    pub(crate) fn hashes(&self) -> u64 {
        self.hashes
    }

    fn wipe(&mut self) {
        if core::mem::take(&mut self.is_used) {
            self.blocks.iter_mut().for_each(Zeroize::zeroize);
        }
    }
}

impl Desk for HashMemory {
    fn tidy(&mut self) {
        self.wipe();
    }
}

impl Drop for HashMemory {
    fn drop(&mut self) {
        self.wipe();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use argon2::password_hash::PasswordVerifier as _;

    use super::*;
    use crate::places::Places;

    fn salt() -> SaltString {
        SaltString::encode_b64(&[7; 16]).unwrap()
    }

    /// Where the buffer is, and how large.
    fn whereabouts(memory: &HashMemory) -> (usize, usize) {
        (memory.blocks.as_ptr().addr(), memory.blocks.capacity())
    }

    #[test]
    fn it_hashes_as_the_library_does_and_reads_what_the_library_wrote() {
        let mut memory = HashMemory::default();
        let ours = memory.hash(b"a long passphrase 7", &salt()).unwrap();
        assert!(
            ours.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{ours}"
        );
        let theirs = Argon2::new(Algorithm::Argon2id, Version::V0x13, params().unwrap());
        let parsed = Phc::new(&ours).unwrap();
        assert!(
            theirs
                .verify_password(b"a long passphrase 7", &parsed)
                .is_ok()
        );
        assert!(memory.matches(b"a long passphrase 7", &ours).unwrap());
        assert!(!memory.matches(b"a long passphrase 8", &ours).unwrap());
    }

    #[test]
    fn the_figures_of_the_string_are_used_and_larger_ones_refused() {
        use argon2::PasswordHasher as _;
        let mut memory = HashMemory::default();
        let with = |kib| {
            let params = Params::new(kib, 1, 1, Some(16)).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2d, Version::V0x10, params);
            let salt = salt();
            argon2
                .hash_password(b"password", &salt)
                .unwrap()
                .to_string()
        };
        assert!(memory.matches(b"password", &with(64)).unwrap());
        assert!(
            memory
                .matches(b"password", &with(MEMORY_KIB + 1_024))
                .is_err()
        );
        assert!(memory.matches(b"password", "no hash").is_err());
    }

    #[test]
    fn n93_byte_73_matters_and_so_does_the_last() {
        let mut memory = HashMemory::default();
        let password = [b'x'; 1_024];
        let phc = memory.hash(&password, &salt()).unwrap();
        for at in [72, 1_023] {
            let mut other = password;
            other[at] = b'y';
            assert!(!memory.matches(&other, &phc).unwrap(), "byte {}", at + 1);
        }
        assert!(memory.matches(&password, &phc).unwrap());
    }

    #[actix_web::test]
    async fn n127_each_place_takes_one_buffer_once() {
        let places = Arc::new(Places::<HashMemory>::new(2, 32));
        let jobs: Vec<_> = (0..24_u8)
            .map(|n| {
                let places = Arc::clone(&places);
                actix_web::rt::spawn(async move {
                    let job = move |memory: &mut HashMemory| {
                        memory.hash(&[n; 8], &salt()).unwrap();
                        whereabouts(memory)
                    };
                    places.work("busy", job).await.unwrap()
                })
            })
            .collect();
        let mut seen = HashSet::new();
        for job in jobs {
            seen.insert(job.await.unwrap());
        }
        assert!(seen.len() <= 2, "two places had the buffers {seen:?}");
        assert!(
            seen.iter()
                .all(|(_, blocks)| *blocks == MEMORY_KIB as usize)
        );
    }

    #[actix_web::test]
    async fn a_place_that_nobody_waits_for_is_wiped() {
        let places = Places::<HashMemory>::new(1, 1);
        let hash = |memory: &mut HashMemory| {
            memory.hash(b"a password", &salt()).unwrap();
            memory.blocks.iter().any(|block| block.as_ref() != [0; 128])
        };
        assert!(
            places.work("busy", hash).await.unwrap(),
            "it holds something"
        );
        let is_wiped =
            |memory: &mut HashMemory| memory.blocks.iter().all(|block| block.as_ref() == [0; 128]);
        let deadline = Instant::now() + Duration::from_secs(10);
        // The answer comes before the wiping; looking leaves nothing behind.
        while !places.work("busy", is_wiped).await.unwrap() {
            assert!(Instant::now() < deadline, "it is never wiped");
        }
    }
}
