use std::str::FromStr;

use rand::Rng;
use thiserror::Error;

use super::random::{below, fraction, whole};

/// How often each key is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Popularity {
    /// All alike.
    Uniform,
    /// The key of rank r (from 1) in proportion to r to the power of minus this exponent, above 0.
    Zipf(f64),
}

/// What is no popularity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PopularityError {
    #[error("{0:?} is no popularity: give uniform, or zipf:EXPONENT as in zipf:0.99")]
    #[expect(missing_docs, reason = "says it")]
    Unknown(String),
    #[error("{0:?} is no exponent of zipf: give a number from 0 (uniform) to {EXPONENT_MAX}")]
    #[expect(missing_docs, reason = "says it")]
    Exponent(String),
}

/// Above it there is but one popular key, and sums lose their precision.
const EXPONENT_MAX: f64 = 20.0;

impl FromStr for Popularity {
    type Err = PopularityError;

    fn from_str(text: &str) -> Result<Self, PopularityError> {
        if text == "uniform" {
            return Ok(Self::Uniform);
        }
        let exponent =
            text.strip_prefix("zipf:").ok_or_else(|| PopularityError::Unknown(text.to_owned()))?;
        match exponent.parse::<f64>() {
            Ok(0.0) => Ok(Self::Uniform),
            Ok(number) if number > 0.0 && number <= EXPONENT_MAX => Ok(Self::Zipf(number)),
            _ => Err(PopularityError::Exponent(exponent.to_owned())),
        }
    }
}

/// Draws key ids by their popularity, in a time and memory that do not grow with the keys.
///
/// Ranks are scattered over the ids by a fixed bijection, so that popular keys are neighbours
/// neither in name nor in the order in which they were stored.
#[derive(Clone, Copy, Debug)]
pub struct PopularitySampler {
    keys: u64,
    /// `None` where all are alike.
    zipf: Option<Zipf>,
    scatter: Scatter,
}

impl PopularitySampler {
    /// Draws from 0 to `keys` - 1.
    ///
    /// # Panics
    /// When `keys` is 0.
    #[must_use]
    pub fn new(popularity: Popularity, keys: u64) -> Self {
        assert!(keys > 0, "there are keys to draw from");
        let zipf = match popularity {
            Popularity::Uniform => None,
            Popularity::Zipf(exponent) => Some(Zipf::new(keys, exponent)),
        };
        Self { keys, zipf, scatter: Scatter::new(keys) }
    }

    /// The next key id.
    pub fn draw(&self, rng: &mut impl Rng) -> u64 {
        match &self.zipf {
            None => below(rng.next_u64(), self.keys),
            Some(zipf) => self.scatter.of(zipf.rank(rng) - 1),
        }
    }

    /// The key id of a rank, of which 0 is the most popular, where some are more popular than others.
    ///
    /// # Panics
    /// May panic when there are no more than `rank` keys.
    #[must_use]
    pub fn id_of_rank(&self, rank: u64) -> u64 {
        self.scatter.of(rank)
    }
}

/// Draws ranks 1 to N by rejection-inversion: Hörmann, Derflinger: "Rejection-inversion to generate
/// variates from monotone discrete distributions", ACM TOMACS 6(3), 1996. Names are the paper's.
#[derive(Clone, Copy, Debug)]
struct Zipf {
    keys: u64,
    exponent: f64,
    /// 1 - exponent, and its inverse.
    complement: f64,
    complement_inverse: f64,
    /// H(3/2) - h(1)
    h_first: f64,
    /// H(N + 1/2)
    h_last: f64,
    /// Ranks this close above their x are taken without looking at h.
    shortcut: f64,
}

impl Zipf {
    fn new(keys: u64, exponent: f64) -> Self {
        // At 1 exactly, H is the logarithm, which the power comes as close to as floats tell.
        let complement = if (1.0 - exponent).abs() < 1e-9 { 1e-9 } else { 1.0 - exponent };
        let mut zipf = Self {
            keys,
            exponent,
            complement,
            complement_inverse: complement.recip(),
            h_first: 0.0,
            h_last: 0.0,
            shortcut: 0.0,
        };
        zipf.h_first = zipf.integral(1.5) - 1.0;
        zipf.h_last = zipf.integral(keys as f64 + 0.5);
        zipf.shortcut = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - 2_f64.powf(-exponent));
        zipf
    }

    fn rank(&self, rng: &mut impl Rng) -> u64 {
        loop {
            let u = self.h_last + fraction(rng.next_u64()) * (self.h_first - self.h_last);
            let x = self.integral_inverse(u);
            let rank = whole(x + 0.5).clamp(1, self.keys);
            let k = rank as f64;
            if k - x <= self.shortcut || u >= self.integral(k + 0.5) - k.powf(-self.exponent) {
                return rank;
            }
        }
    }

    /// H(x), the integral of x to the power of minus the exponent; 0 at 1.
    fn integral(&self, x: f64) -> f64 {
        (self.complement * x.ln()).exp_m1() * self.complement_inverse
    }

    fn integral_inverse(&self, u: f64) -> f64 {
        ((self.complement * u).ln_1p() * self.complement_inverse).exp()
    }
}

/// A bijection of 0 to N - 1: one of the next power of two's numbers, walked on until it falls below
/// N, which is below twice on average.
#[derive(Clone, Copy, Debug)]
struct Scatter {
    keys: u64,
    mask: u64,
    shift: u32,
}

impl Scatter {
    fn new(keys: u64) -> Self {
        let bits = u64::BITS - (keys - 1).leading_zeros();
        let mask = if bits == 0 { 0 } else { u64::MAX >> (u64::BITS - bits) };
        Self { keys, mask, shift: (bits / 2).max(1) }
    }

    fn of(self, rank: u64) -> u64 {
        let mut number = rank;
        loop {
            number = self.step(number);
            if number < self.keys {
                return number;
            }
        }
    }

    /// Adding, odd factors and a right shift's exclusive or are each a bijection of the mask's bits.
    fn step(self, number: u64) -> u64 {
        let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15) & self.mask;
        for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
            bits = (bits ^ (bits >> self.shift)).wrapping_mul(factor) & self.mask;
        }
        bits ^ (bits >> self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::rng;
    use super::*;

    #[test]
    fn popularities_are_read_and_others_told() {
        assert_eq!("uniform".parse(), Ok(Popularity::Uniform));
        assert_eq!("zipf:0".parse(), Ok(Popularity::Uniform));
        assert_eq!("zipf:0.99".parse(), Ok(Popularity::Zipf(0.99)));
        for bad in ["zipf:-1", "zipf:nan", "zipf:inf", "zipf:", "zipf:a", "zipf:21"] {
            let told = bad.parse::<Popularity>().expect_err(bad).to_string();
            assert!(told.contains("is no exponent of zipf"), "{told}");
        }
        for bad in ["zipf", "", "pareto:1"] {
            let told = bad.parse::<Popularity>().expect_err(bad).to_string();
            assert!(told.contains("give uniform, or zipf:EXPONENT"), "{told}");
        }
    }

    /// Draws' counts by rank against the exact probabilities, within 5 standard deviations.
    #[test]
    fn ranks_are_drawn_in_zipfs_proportions() {
        const DRAWS: u32 = 400_000;
        for (keys, exponent, seed) in
            [(1, 1.0, 1), (2, 3.0, 2), (50, 0.5, 3), (1000, 1.0, 4), (300, 0.99, 5), (40, 2.5, 6)]
        {
            let sampler = PopularitySampler::new(Popularity::Zipf(exponent), keys);
            let mut rng = rng(seed, 0);
            let mut counts = std::collections::HashMap::new();
            for _ in 0..DRAWS {
                *counts.entry(sampler.draw(&mut rng)).or_insert(0_u32) += 1;
            }
            let weight = |rank: u64| ((rank + 1) as f64).powf(-exponent);
            let weights: f64 = (0..keys).map(weight).sum();
            for rank in 0..keys {
                let probability = weight(rank) / weights;
                let expected = probability * f64::from(DRAWS);
                let deviation = (expected * (1.0 - probability)).sqrt();
                let count = counts.get(&sampler.id_of_rank(rank)).copied().unwrap_or(0);
                let off = (f64::from(count) - expected).abs();
                assert!(off <= 5.0 * deviation + 1e-9, "{keys} {exponent} {rank}: {count}");
            }
        }
    }

    #[test]
    fn ranks_are_scattered_over_every_key_once() {
        for keys in [1, 2, 3, 7, 64, 1000, 4097] {
            let sampler = PopularitySampler::new(Popularity::Zipf(1.0), keys);
            let mut ids: Vec<u64> = (0..keys).map(|rank| sampler.id_of_rank(rank)).collect();
            let neighbours = ids.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
            assert!(keys < 64 || neighbours as u64 <= keys / 8, "{keys}: {neighbours}");
            ids.sort_unstable();
            assert!(ids.into_iter().eq(0..keys), "{keys}");
        }
    }

    #[test]
    fn billions_of_keys_are_drawn_from_their_whole_range() {
        for popularity in [Popularity::Uniform, Popularity::Zipf(0.6)] {
            let keys = 5_000_000_000;
            let sampler = PopularitySampler::new(popularity, keys);
            let mut rng = rng(11, 0);
            let mut quarters = [0_u32; 4];
            for _ in 0..40_000 {
                let id = sampler.draw(&mut rng);
                quarters[usize::try_from(id * 4 / keys).expect("an id below the keys")] += 1;
            }
            assert!(quarters.iter().all(|&count| count.abs_diff(10_000) < 600), "{quarters:?}");
        }
    }
}
