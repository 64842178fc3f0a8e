//! Sizes of keys and values in caches that were measured and described.

use super::super::random::{fraction, whole};

/// Sizes at every tenth part of a distribution, from the smallest to the largest; between them the
/// logarithm of the size is taken to rise evenly.
type Deciles = [f64; 11];

/// Mean value sizes in bytes of 53 clusters of Twitter's: the deciles of the column "value size" in
/// `stat/2020Mar.md` of github.com/twitter/cache-trace, the data of Yang, Yue, Rashmi: "A large
/// scale analysis of hundreds of in-memory cache clusters at Twitter", OSDI 2020. The paper gives
/// the median of its 153 clusters as 230 bytes.
const TWITTER_VALUE_BYTES: Deciles =
    [1.0, 28.0, 70.0, 115.0, 170.0, 224.0, 273.0, 699.0, 1796.0, 4703.0, 67485.0];

/// The same of the column "key size". The paper gives a median of 38 bytes.
const TWITTER_KEY_BYTES: Deciles =
    [10.0, 18.0, 20.0, 24.0, 32.0, 36.0, 41.0, 44.0, 44.0, 66.0, 122.0];

/// The smallest value sizes of Facebook's ETC pool by probability, from 0 bytes, by
/// Atikoglu, Xu, Frachtenberg, Jiang, Paleczny: "Workload analysis of a large-scale key-value
/// store", SIGMETRICS 2012. All other values follow a generalized Pareto distribution.
const FACEBOOK_SMALL_VALUES: [f64; 15] = [
    0.00536, 0.00047, 0.17820, 0.09239, 0.00018, 0.02740, 0.00065, 0.00606, 0.00023, 0.00837,
    0.00837, 0.08989, 0.00092, 0.00326, 0.01980,
];

/// The value size of a Twitter cluster, in bytes.
pub(super) fn twitter_value(hash: u64) -> usize {
    decile_size(&TWITTER_VALUE_BYTES, fraction(hash))
}

/// The key size of a Twitter cluster, in bytes.
pub(super) fn twitter_key(hash: u64) -> usize {
    decile_size(&TWITTER_KEY_BYTES, fraction(hash))
}

/// A value size of Facebook's ETC pool, in bytes: the paper gives sigma 214.476 and k 0.348238 for what
/// sizes from 15 bytes on have above 15.
pub(super) fn facebook_value(hash: u64) -> usize {
    let mut left = fraction(hash);
    for (size, probability) in FACEBOOK_SMALL_VALUES.iter().enumerate() {
        if left < *probability {
            return size;
        }
        left -= probability;
    }
    let small: f64 = FACEBOOK_SMALL_VALUES.iter().sum();
    let above = 1.0 - left / (1.0 - small);
    let (sigma, k) = (214.476, 0.348_238);
    bytes(FACEBOOK_SMALL_VALUES.len() as f64 + sigma / k * (above.powf(-k) - 1.0))
}

/// A key size of Facebook's ETC pool, in bytes: a generalized extreme value distribution with mu
/// 30.7984, sigma 8.20449 and k 0.078688, by the same paper.
pub(super) fn facebook_key(hash: u64) -> usize {
    let (mu, sigma, k) = (30.7984, 8.204_49, 0.078_688);
    let exponential = -fraction(hash).ln();
    bytes(mu + sigma / k * (exponential.powf(-k) - 1.0))
}

fn decile_size(deciles: &Deciles, fraction: f64) -> usize {
    let position = fraction * 10.0;
    let below = (position.floor()).min(9.0);
    let decile = usize::try_from(whole(below)).expect("0 to 9");
    let (low, high) = (deciles[decile], deciles[decile + 1]);
    bytes((low * (high / low).powf(position - below)).round())
}

fn bytes(size: f64) -> usize {
    usize::try_from(whole(size)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::super::random::mixed;
    use super::*;

    const DRAWS: u64 = 400_000;

    fn sorted(size: impl Fn(u64) -> usize) -> Vec<usize> {
        let mut sizes: Vec<usize> = (0..DRAWS).map(|id| size(mixed(id))).collect();
        sizes.sort_unstable();
        sizes
    }

    fn quantile(sizes: &[usize], part: f64) -> f64 {
        let index = usize::try_from(whole(part * sizes.len() as f64)).expect("an index");
        sizes[index] as f64
    }

    #[test]
    fn facebooks_values_have_the_papers_small_sizes_and_its_pareto_tail() {
        let sizes = sorted(facebook_value);
        let share = |size: usize| {
            sizes.iter().filter(|&&drawn| drawn == size).count() as f64 / DRAWS as f64
        };
        for (size, probability) in [(0, 0.00536), (2, 0.1782), (3, 0.09239), (11, 0.08989)] {
            assert!((share(size) - probability).abs() < 0.003, "{size}: {}", share(size));
        }
        // The Pareto's own quantiles, x = sigma/k (p^-k - 1), above the 44.155 % of small values.
        for (above, tail) in [(0.5, 168.1), (0.1, 757.3), (0.01, 2446.0), (0.001, 6210.0)] {
            let measured = quantile(&sizes, 1.0 - above * (1.0 - 0.44155)) - 15.0;
            assert!((measured / tail - 1.0).abs() < 0.1, "{above}: {measured}");
        }
        let mean = sizes.iter().sum::<usize>() as f64 / DRAWS as f64;
        // 0.55845 (15 + sigma / (1 - k)) + what the small values weigh
        assert!((mean - 195.1).abs() < 4.0, "{mean}");
    }

    #[test]
    fn facebooks_keys_are_some_35_bytes() {
        let sizes = sorted(facebook_key);
        // mu + sigma/k ((ln 2)^-k - 1)
        assert!((quantile(&sizes, 0.5) - 33.8).abs() <= 1.0);
        let mean = sizes.iter().sum::<usize>() as f64 / DRAWS as f64;
        assert!((mean - 35.8).abs() < 0.7, "{mean}");
    }

    #[test]
    fn twitters_sizes_have_the_deciles_of_its_clusters() {
        for (sizes, deciles) in [
            (sorted(twitter_value), &TWITTER_VALUE_BYTES),
            (sorted(twitter_key), &TWITTER_KEY_BYTES),
        ] {
            for tenth in 1..10_u8 {
                let expected = deciles[usize::from(tenth)];
                let measured = quantile(&sizes, f64::from(tenth) / 10.0);
                assert!((measured / expected - 1.0).abs() < 0.05, "{tenth}: {measured}");
            }
        }
    }
}
