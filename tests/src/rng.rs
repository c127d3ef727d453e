/// Numbers that a seed repeats: `SplitMix64` (Steele, Lea, Flood 2014). For choosing moments and
/// actions in tests, never for secrets.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of this run: `KEYLEDGER_SEED` to repeat one, else drawn from the system.
    pub fn seed_of_run() -> u64 {
        let drawn = || {
            let bytes = std::fs::File::open("/dev/urandom").and_then(|mut file| {
                let mut bytes = [0; 4];
                std::io::Read::read_exact(&mut file, &mut bytes)?;
                Ok(bytes)
            });
            u64::from(u32::from_le_bytes(bytes.expect("reading /dev/urandom")))
        };
        crate::setting::text("KEYLEDGER_SEED")
            .map_or_else(drawn, |seed| seed.parse().expect("KEYLEDGER_SEED"))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` - 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }

    /// A place in a list of `len` things.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("an index below a length")
    }
}
