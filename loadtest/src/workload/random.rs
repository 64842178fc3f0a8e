use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The random source of a run's threads: fast, and the same on every machine for a seed.
pub type RunRng = Xoshiro256PlusPlus;

/// The random source of one use (`stream`, such as a thread's number) in a run of this seed.
#[must_use]
pub fn rng(seed: u64, stream: u64) -> RunRng {
    Xoshiro256PlusPlus::seed_from_u64(mixed(seed).wrapping_add(mixed(!stream)))
}

/// A bijection of 64 bits that spreads neighbours: the output function of SplitMix64 (Steele, Lea,
/// Flood, OOPSLA 2014).
pub(super) fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A number in the open interval from 0 to 1, from 53 of these random bits.
pub(super) fn fraction(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64)
}

/// A number from 0 to `bound` - 1 from these random bits.
pub(super) fn below(bits: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(bits) * u128::from(bound)) >> 64).expect("below the bound")
}

/// A float's whole part; 0 below 0 and for no number, and `u64::MAX` above it.
pub(super) fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates, which is what is meant")]
    let whole = number as u64;
    whole
}
