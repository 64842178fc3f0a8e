//! What endpoints are compared by.

use super::median;
use crate::compare;
use crate::report::{Ended, Report, format};

/// A figure of a run, as the comparison's text has it too.
#[derive(Clone, Copy)]
pub(super) struct Metric {
    /// What it is.
    pub name: &'static str,
    of: compare::Metric,
}

/// Replies per second.
pub(super) const THROUGHPUT: Metric = metric(compare::Metric::Throughput);

/// The 99th percentile.
pub(super) const P99: Metric = metric(compare::Metric::P99);

/// CPU time of the endpoint's processes for each request.
pub(super) const CPU: Metric = metric(compare::Metric::CpuPerReply);

/// All of them, in the order in which they are told.
pub(super) fn metrics() -> impl Iterator<Item = Metric> {
    compare::Metric::ALL.into_iter().map(metric)
}

const fn metric(of: compare::Metric) -> Metric {
    Metric { name: of.name(), of }
}

impl Metric {
    /// A figure with its unit.
    pub(super) fn tell(self, figure: f64) -> String {
        self.of.told(figure).replace(" us", " \u{b5}s")
    }

    /// The figure of each round that has it and counts.
    pub(super) fn of(&self, reports: &[Report]) -> Vec<f64> {
        self.rounds(reports).into_iter().flatten().collect()
    }

    /// Median, ratio to `base`, and range, as HTML.
    pub(super) fn cell(&self, reports: &[Report], base: Option<&[Report]>) -> String {
        let figures = self.of(reports);
        let Some(middle) = median(&figures) else { return format::NONE.to_owned() };
        let mut out = self.tell(middle);
        if let Some(ratio) = base.and_then(|base| self.ratio(reports, base)) {
            out.push_str(&format!(" <b>{}</b>", format::ratio(ratio)));
        }
        let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
        let high = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = (self.tell(low), self.tell(high));
        if low != high {
            out.push_str(&format!("<small>{low} – {high}</small>"));
        }
        let counted = reports.iter().filter(|report| is_counted(report, reports)).count();
        if figures.len() < counted {
            out.push_str(&format!("<small>{} of {counted} runs</small>", figures.len()));
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
            is_counted(report, reports) && (!self.of.is_latency() || is_believed(report))
        };
        reports
            .iter()
            .map(|report| Some(report).filter(is_told).and_then(|it| self.of.of(it)))
            .collect()
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
