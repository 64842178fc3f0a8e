//! How long slots that were handed over had nobody who served them, by what their nodes count.

use std::collections::BTreeMap;

use memtide_testkit::Fleet;
use serde::Serialize;

const NAME: &str = "memtide_node_handover_pause_seconds";

/// Handovers so far, by the upper bound of their bucket in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Pauses(BTreeMap<u64, f64>);

/// What came of some handovers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Told {
    /// How many.
    pub handovers: u64,
    /// Half of them took at most this, in microseconds; within a bucket even spread is assumed.
    pub p50_us: f64,
    /// 99% of them did.
    pub p99_us: f64,
}

impl Pauses {
    /// Those of all nodes.
    ///
    /// # Panics
    /// Where a node does not tell.
    pub fn of(fleet: &Fleet) -> Self {
        let mut buckets = BTreeMap::new();
        for metrics in fleet.node_metrics().values() {
            for line in metrics.text.lines() {
                if let Some((bound, count)) = bucket(line) {
                    *buckets.entry(bound).or_default() += count;
                }
            }
        }
        Self(buckets)
    }

    /// Those that came since.
    pub fn since(&self, before: &Self) -> Told {
        let earlier = |bound: &u64| before.0.get(bound).copied().unwrap_or_default();
        let cumulative = self.0.iter().map(|(bound, count)| (*bound, count - earlier(bound)));
        let cumulative: Vec<(u64, f64)> = cumulative.collect();
        let all = cumulative.last().map_or(0.0, |(_, count)| *count);
        Told {
            handovers: whole(all),
            p50_us: quantile(&cumulative, all * 0.5),
            p99_us: quantile(&cumulative, all * 0.99),
        }
    }
}

/// The bound and the cumulative count of a bucket's line.
fn bucket(line: &str) -> Option<(u64, f64)> {
    let rest = line.strip_prefix(NAME)?.strip_prefix("_bucket{le=\"")?;
    let (bound, count) = rest.split_once("\"} ")?;
    let bound = match bound {
        "+Inf" => u64::MAX,
        seconds => whole(seconds.parse::<f64>().ok()? * 1e6),
    };
    Some((bound, count.trim().parse().ok()?))
}

fn quantile(cumulative: &[(u64, f64)], rank: f64) -> f64 {
    let (mut low, mut below) = (0.0, 0.0);
    for &(bound, count) in cumulative {
        let high = if bound == u64::MAX { f64::INFINITY } else { double(bound) };
        if count >= rank && count > below {
            return low + (high - low) * (rank - below) / (count - below);
        }
        (low, below) = (high, count);
    }
    f64::NAN
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of seconds")]
fn double(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count, or the microseconds of a bucket"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_their_buckets() {
        let line = |bound: &str, count: u32| format!("{NAME}_bucket{{le=\"{bound}\"}} {count}");
        let of = |counts: [u32; 3]| {
            let lines = ["0.001", "0.002", "+Inf"].iter().zip(counts);
            Pauses(lines.filter_map(|(bound, count)| bucket(&line(bound, count))).collect())
        };
        let told = of([60, 110, 110]).since(&of([10, 10, 10]));
        assert_eq!((told.handovers, told.p50_us, told.p99_us), (100, 1_000.0, 1_980.0));
        assert!(of([0, 0, 5]).since(&of([0, 0, 0])).p50_us.is_infinite());
        assert!(of([1, 1, 1]).since(&of([1, 1, 1])).p50_us.is_nan());
        assert_eq!(bucket("memtide_node_items 5"), None);
    }
}
