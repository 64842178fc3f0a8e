//! What endpoints are compared by.

use super::median;
use crate::report::text::resets;
use crate::report::{Ended, Report, format};

/// A figure of a run.
pub(super) struct Metric {
    /// What it is.
    pub name: &'static str,
    figure: fn(&Report) -> Option<f64>,
    /// How it is told.
    pub tell: fn(f64) -> String,
    /// Whether it is nothing where the run's latency is not to be believed.
    is_latency: bool,
}

/// Replies per second.
pub(super) const THROUGHPUT: Metric = Metric {
    name: "throughput",
    figure: |report| {
        let rate = report.totals.replies_in_time as f64 / report.measured_s;
        rate.is_finite().then_some(rate)
    },
    tell: format::rate,
    is_latency: false,
};

/// The 99th percentile.
pub(super) const P99: Metric = latency("latency p99", |report| Some(report.latency.p99_us));

/// CPU time of the endpoint's processes for each request.
pub(super) const CPU: Metric = Metric {
    name: "server CPU per request",
    figure: |report| report.server.as_ref().map(|server| server.cpu_us_per_reply),
    tell: format::micros_typeset,
    is_latency: false,
};

/// All of them, in the order in which they are told.
pub(super) const METRICS: [Metric; 12] = [
    THROUGHPUT,
    CPU,
    latency("latency p50", |report| Some(report.latency.p50_us)),
    P99,
    latency("latency p99.9", |report| Some(report.latency.p999_us)),
    latency("latency max", |report| Some(report.latency.max_us)),
    Metric {
        name: "miss ratio",
        figure: |report| {
            let asked = report.totals.hits + report.totals.misses;
            (asked > 0).then(|| report.totals.misses as f64 / asked as f64)
        },
        tell: format::percent,
        is_latency: false,
    },
    Metric {
        name: "error replies",
        figure: |report| Some(report.totals.errors as f64),
        tell: format::quantity,
        is_latency: false,
    },
    Metric {
        name: "resets",
        figure: |report| Some(resets(report) as f64),
        tell: format::quantity,
        is_latency: false,
    },
    Metric {
        name: "server cores busy",
        figure: |report| report.server.as_ref().map(|server| server.cores_busy),
        tell: format::quantity,
        is_latency: false,
    },
    Metric {
        name: "server peak memory",
        figure: |report| report.server.as_ref().map(|server| server.resident_peak_bytes as f64),
        tell: format::bytes,
        is_latency: false,
    },
    Metric {
        name: "generator's busiest thread",
        figure: |report| Some(report.generator.busiest_thread),
        tell: format::percent,
        is_latency: false,
    },
];

const fn latency(name: &'static str, figure: fn(&Report) -> Option<f64>) -> Metric {
    Metric { name, figure, tell: format::micros_typeset, is_latency: true }
}

impl Metric {
    /// The figure of each round that has it and counts.
    pub(super) fn of(&self, reports: &[Report]) -> Vec<f64> {
        self.rounds(reports).into_iter().flatten().collect()
    }

    /// Median, ratio to `base`, and range, as HTML.
    pub(super) fn cell(&self, reports: &[Report], base: Option<&[Report]>) -> String {
        let figures = self.of(reports);
        let Some(middle) = median(&figures) else { return format::NONE.to_owned() };
        let mut out = (self.tell)(middle);
        if let Some(ratio) = base.and_then(|base| self.ratio(reports, base)) {
            out.push_str(&format!(" <b>{}</b>", format::ratio(ratio)));
        }
        let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
        let high = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = ((self.tell)(low), (self.tell)(high));
        if low != high {
            out.push_str(&format!("<small>{low} – {high}</small>"));
        }
        out
    }

    /// The median of the ratios within the rounds, which a drift of the machine leaves alone; of
    /// the medians where no round has both figures.
    fn ratio(&self, reports: &[Report], base: &[Report]) -> Option<f64> {
        let pairs = self.rounds(reports).into_iter().zip(self.rounds(base));
        let ratios: Vec<f64> = pairs.filter_map(|(figure, base)| Some(figure? / base?)).collect();
        let of_medians = || Some(median(&self.of(reports))? / median(&self.of(base))?);
        median(&ratios).or_else(of_medians).filter(|ratio| ratio.is_finite())
    }

    /// The figure of each round, where it has it and counts.
    fn rounds(&self, reports: &[Report]) -> Vec<Option<f64>> {
        let is_told = |report: &&Report| {
            is_counted(report, reports) && (!self.is_latency || is_believed(report))
        };
        reports.iter().map(|report| Some(report).filter(is_told).and_then(self.figure)).collect()
    }
}

/// Whether a run's latency is to be believed, and there is one.
pub(super) fn is_believed(report: &Report) -> bool {
    report.distrust.is_empty() && report.latency.count > 0
}

/// A run that was cut short had other conditions than whole ones: it counts only where its endpoint
/// has no whole one.
pub(super) fn is_counted(report: &Report, rounds: &[Report]) -> bool {
    let is_whole = |report: &Report| matches!(report.ended, Ended::Completed | Ended::TraceEnded);
    is_whole(report) || !rounds.iter().any(is_whole)
}
