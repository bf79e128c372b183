//! Chance that can be repeated.

/// A generator of numbers that a seed repeats: SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// With the seed of `MAINSTAY_TEST_SEED`, or a new one, which is shown.
    #[expect(clippy::print_stdout, reason = "the harness shows it when the test fails, or with --nocapture")]
    pub(crate) fn seeded() -> Self {
        use std::hash::{BuildHasher as _, RandomState};
        let told = std::env::var("MAINSTAY_TEST_SEED").ok().map(|text| text.parse().expect("a seed"));
        let seed = told.unwrap_or_else(|| RandomState::new().hash_one(0));
        println!("MAINSTAY_TEST_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
