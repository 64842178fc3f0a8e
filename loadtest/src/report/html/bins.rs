//! The seconds of a run, drawn together where there are more than a chart can show.

use super::scale::round_seconds;
use crate::report::Second;

/// Points that a chart shows at most.
pub(super) const BINS_MAX: f64 = 360.0;

/// One or several seconds, as one point of the charts over time.
#[derive(Clone, Debug)]
pub(super) struct Bin {
    /// Its begin, in seconds since the measured part began.
    pub at_s: f64,
    /// Its end.
    pub end_s: f64,
    /// Mean replies per second.
    pub rate: f64,
    /// The lowest and the highest second.
    pub rate_range: (f64, f64),
    /// The mean of the rates asked for.
    pub target_rate: Option<f64>,
    /// Error replies.
    pub errors: u64,
    /// Connections that broke.
    pub troubles: u64,
    /// Mean misses per second.
    pub miss_rate: f64,
    /// p50, p99, p99.9 and maximum in microseconds, each the worst of the seconds that are to be
    /// believed and had replies.
    pub latency_us: Option<[f64; 4]>,
    /// The generator's busiest thread, in the worst second.
    pub busy: f64,
    /// Part of the time in which a thread of the generator had no core, in the worst second.
    pub waited_for_core: f64,
    /// The generator's lag, in the worst second.
    pub lag_p99_us: f64,
    /// Whether all its seconds are to be believed.
    pub is_trusted: bool,
}

impl Bin {
    /// Its middle.
    pub(super) fn middle_s(&self) -> f64 {
        f64::midpoint(self.at_s, self.end_s)
    }
}

/// Draws `timeline` together to at most about [`BINS_MAX`] points; says how many seconds each takes.
pub(super) fn bins(timeline: &[Second]) -> (Vec<Bin>, f64) {
    let span_s = match (timeline.first(), timeline.last()) {
        (Some(first), Some(last)) => last.at_s + last.length_s - first.at_s,
        _ => return (Vec::new(), 1.0),
    };
    let width_s = round_seconds((span_s / BINS_MAX).max(1.0));
    let group = |s: &Second| ((s.at_s + s.length_s / 2.0) / width_s).floor();
    let told: Vec<&Second> = timeline.iter().filter(|s| s.length_s > 0.02).collect();
    let groups = told.chunk_by(|a, b| group(a).total_cmp(&group(b)).is_eq());
    (groups.map(bin).collect(), width_s)
}

fn bin(seconds: &[&Second]) -> Bin {
    let sum = |field: fn(&Second) -> u64| -> u64 { seconds.iter().map(|s| field(s)).sum() };
    let length_s: f64 = seconds.iter().map(|s| s.length_s).sum();
    let highest = |field: fn(&Second) -> f64| seconds.iter().map(|s| field(s)).fold(0.0, f64::max);
    let rates = || seconds.iter().map(|s| s.replies as f64 / s.length_s);
    let targets: Vec<f64> = seconds.iter().filter_map(|s| s.target_rate).collect();
    let count = targets.len() as f64;
    Bin {
        at_s: seconds.first().map_or(0.0, |s| s.at_s),
        end_s: seconds.last().map_or(0.0, |s| s.at_s + s.length_s),
        rate: sum(|s| s.replies) as f64 / length_s,
        rate_range: (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max)),
        target_rate: (!targets.is_empty()).then(|| targets.iter().sum::<f64>() / count),
        errors: sum(|s| s.errors),
        troubles: sum(|s| s.troubles),
        miss_rate: sum(|s| s.misses) as f64 / length_s,
        latency_us: worst_latency(seconds),
        busy: highest(|s| s.generator_busy),
        waited_for_core: highest(|s| s.waited_for_core),
        lag_p99_us: highest(|s| s.lag_p99_us),
        is_trusted: seconds.iter().all(|s| s.is_trusted),
    }
}

fn worst_latency(seconds: &[&Second]) -> Option<[f64; 4]> {
    let told = seconds.iter().filter(|s| s.is_trusted && s.latency.count > 0);
    told.map(|s| [s.latency.p50_us, s.latency.p99_us, s.latency.p999_us, s.latency.max_us])
        .reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1]), a[2].max(b[2]), a[3].max(b[3])])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Latency;

    fn seconds(n: u32) -> Vec<Second> {
        let second = |index| Second {
            at_s: f64::from(index) - 2.0,
            length_s: 1.0,
            replies: 100,
            errors: 1,
            is_trusted: true,
            latency: Latency { count: 100, max_us: f64::from(index), ..Latency::default() },
            ..Second::default()
        };
        (0..n).map(second).collect()
    }

    #[test]
    fn a_short_run_keeps_its_seconds() {
        let (bins, width_s) = bins(&seconds(62));
        assert_eq!((bins.len(), width_s), (62, 1.0));
    }

    #[test]
    fn an_hour_is_drawn_together_without_hiding_a_spike() {
        let mut timeline = seconds(3602);
        timeline[1000].latency.max_us = 1e6;
        timeline[1000].replies = 0;
        let (bins, width_s) = bins(&timeline);
        assert_eq!(width_s, 15.0);
        assert_eq!(bins.len(), 241, "the warm-up is a point of its own");
        assert_eq!((bins[0].at_s, bins[0].end_s, bins[1].at_s), (-2.0, 0.0, 0.0));
        assert_eq!(bins.iter().map(|bin| bin.errors).sum::<u64>(), 3602);
        assert!(bins.iter().any(|bin| bin.latency_us.unwrap()[3] == 1e6));
        assert!(bins.iter().any(|bin| bin.rate_range.0 == 0.0 && bin.rate > 90.0));
    }

    #[test]
    fn a_latency_that_is_not_to_be_believed_is_in_no_point() {
        let mut timeline = seconds(4);
        timeline[2].is_trusted = false;
        let (bins, _) = bins(&timeline);
        let told: Vec<bool> = bins.iter().map(|bin| bin.latency_us.is_some()).collect();
        assert_eq!(told, [true, true, false, true]);
    }

    #[test]
    fn no_seconds_are_no_points() {
        assert!(bins(&[]).0.is_empty());
    }
}
