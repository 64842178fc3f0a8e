use std::time::Duration;

use hdrhistogram::Histogram;

use crate::drive::Nanos;
use crate::report::Latency;

/// Below this, latencies are not told apart.
const LATENCY_NS_MIN: u64 = 64;
/// Above this, neither.
const LATENCY_MAX: Duration = Duration::from_secs(600);
/// Decimal digits that a latency keeps.
const DIGITS: u8 = 3;
/// Steps of the curve for each halving of the distance to all replies.
const CURVE_STEPS: u32 = 5;

/// Latencies in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        let max = u64::try_from(LATENCY_MAX.as_nanos()).expect("ten minutes fit");
        Self(Histogram::new_with_bounds(LATENCY_NS_MIN, max, DIGITS).expect("the bounds are sound"))
    }

    /// Counts one. Allocates nothing.
    #[inline]
    pub fn record(&mut self, latency: Nanos) {
        self.0.saturating_record(latency);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that this fraction of them does not exceed.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Nanos {
        self.0.value_at_quantile(quantile)
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// The usual figures; all 0 where nothing was counted.
#[must_use]
pub fn summary(latencies: &Latencies) -> Latency {
    if latencies.count() == 0 {
        return Latency::default();
    }
    let at = |quantile| micros(latencies.at(quantile));
    Latency {
        count: latencies.count(),
        min_us: micros(latencies.0.min()),
        mean_us: latencies.0.mean() / 1e3,
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p999_us: at(0.999),
        p9999_us: at(0.9999),
        max_us: micros(latencies.0.max()),
    }
}

/// The curve: (fraction of replies, microseconds), with steps that narrow towards the slowest, as
/// far as there are replies to tell them apart.
#[must_use]
pub fn percentiles(latencies: &Latencies) -> Vec<(f64, f64)> {
    if latencies.count() == 0 {
        return Vec::new();
    }
    let curve = latencies.0.iter_quantiles(CURVE_STEPS);
    curve.map(|step| (step.quantile_iterated_to(), micros(step.value_iterated_to()))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days")]
fn micros(nanos: Nanos) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_holds_its_digits() {
        let mut latencies = Latencies::new();
        (1..=10_000).for_each(|n| latencies.record(n * 1_000));
        let got = summary(&latencies);
        assert_eq!(got.count, 10_000);
        for (got, wanted) in [
            (got.p50_us, 5_000.0),
            (got.p90_us, 9_000.0),
            (got.p99_us, 9_900.0),
            (got.p999_us, 9_990.0),
            (got.max_us, 10_000.0),
            (got.mean_us, 5_000.5),
        ] {
            assert!((got / wanted - 1.0).abs() < 0.002, "{got} is not {wanted}");
        }
    }

    #[test]
    fn what_is_too_long_is_counted_as_the_longest() {
        let mut latencies = Latencies::new();
        latencies.record(u64::MAX);
        assert!(summary(&latencies).max_us >= 6e8);
    }

    #[test]
    fn the_curve_rises_to_the_last_reply() {
        let mut latencies = Latencies::new();
        (1..=100_000).for_each(|n| latencies.record(n * 100));
        let curve = percentiles(&latencies);
        assert!(curve.windows(2).all(|two| two[0].0 <= two[1].0 && two[0].1 <= two[1].1));
        assert!((curve.last().unwrap().0 - 1.0).abs() < 1e-9);
        assert_eq!(percentiles(&Latencies::new()), []);
    }
}
