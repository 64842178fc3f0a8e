use std::collections::BTreeMap;

use serde::Serialize;

use crate::report::{Ended, EndpointFacts, Report, format};

/// The result of a comparison: what `--json` writes in compare mode.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// memtide's version.
    pub version: String,
    /// Rounds that were asked for.
    pub rounds_planned: u32,
    /// Rounds in which every endpoint had a whole run.
    pub rounds_whole: u32,
    /// Why it ended.
    pub ended: Ended,
    /// What stands in the way of reading the figures as they are, a line each.
    pub notes: Vec<String>,
    /// The plan, which is the same for all endpoints; as in a report.
    pub plan: Vec<(String, String)>,
    /// A row for each endpoint that had a run, in the order in which they were given.
    pub endpoints: Vec<EndpointRow>,
    /// All runs, in the order in which they were made.
    pub runs: Vec<Run>,
}

/// What the rounds say of one endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointRow {
    /// Its name and address, and what it said of itself at its first run.
    pub endpoint: EndpointFacts,
    /// Runs that count.
    pub runs: u32,
    /// Of these, runs whose latency is not believed; no latency is drawn from them.
    pub runs_distrusted: u32,
    /// Error replies of all its runs together.
    pub errors: u64,
    /// Requests without a reply, of all its runs together.
    pub lost: u64,
    /// Connections that broke, of all its runs together.
    pub troubles: u64,
    /// What was measured; without what no run tells.
    pub figures: BTreeMap<Metric, Spread>,
    /// The same against the first endpoint, whose own row has none.
    pub ratios: BTreeMap<Metric, Ratio>,
}

/// A figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    #[expect(missing_docs, reason = "says it")]
    pub median: f64,
    #[expect(missing_docs, reason = "says it")]
    pub min: f64,
    #[expect(missing_docs, reason = "says it")]
    pub max: f64,
    /// Runs that it is drawn from.
    pub runs: u32,
}

/// How an endpoint's figure stands to the first endpoint's; 1 is alike, 2 is twice as much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The median of the ratios within the rounds, which a drift of the machine leaves alone; `None`
    /// where no round has both figures.
    pub of_rounds: Option<Spread>,
    /// The ratio of the medians.
    pub of_medians: f64,
}

/// A run of one endpoint in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The round, from 1.
    pub round: u32,
    /// The endpoint, from 0 as given.
    pub endpoint: usize,
    /// Whether it counts: one that was cut short does so only where the endpoint has no other.
    pub is_counted: bool,
    /// What it measured, latency also where it is not believed.
    pub figures: BTreeMap<Metric, f64>,
    /// Why its latency should not be believed; empty when it should.
    pub distrust: Vec<String>,
    /// The whole report. JSON has the figures only.
    #[serde(skip)]
    pub report: Report,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Metric {
    /// Whole replies per second, within the measured part.
    #[serde(rename = "replies_per_s")]
    Throughput,
    /// CPU time of the endpoint's processes for each reply, microseconds.
    #[serde(rename = "server_cpu_us_per_reply")]
    CpuPerReply,
    #[serde(rename = "p50_us")]
    #[expect(missing_docs, reason = "the usual name")]
    P50,
    #[serde(rename = "p99_us")]
    #[expect(missing_docs, reason = "the usual name")]
    P99,
    #[serde(rename = "p999_us")]
    #[expect(missing_docs, reason = "the usual name")]
    P999,
    /// The slowest reply, microseconds.
    #[serde(rename = "max_us")]
    Max,
    /// Part of the keys asked for that were not there, 0 to 1.
    #[serde(rename = "miss_ratio")]
    MissRatio,
    /// Cores that the endpoint's processes kept busy.
    #[serde(rename = "server_cores_busy")]
    CoresBusy,
    /// CPU time of the generator for each reply, microseconds.
    #[serde(rename = "generator_cpu_us_per_reply")]
    GeneratorCpu,
    /// Peak of the resident memory of the endpoint's processes, bytes.
    #[serde(rename = "resident_peak_bytes")]
    ResidentPeak,
    /// Growth of their resident memory for each idle connection, bytes. What they keep after the
    /// first round grows no second time: the most is what a connection costs.
    #[serde(rename = "bytes_per_idle_connection")]
    IdleConnection,
}

impl Metric {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 11] = [
        Self::Throughput,
        Self::CpuPerReply,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::Max,
        Self::MissRatio,
        Self::CoresBusy,
        Self::GeneratorCpu,
        Self::ResidentPeak,
        Self::IdleConnection,
    ];

    /// As it is told, text and page alike, with what is better.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput (more is better)",
            Self::CpuPerReply => "server CPU/reply (less is better)",
            Self::P50 => "p50 (less is better)",
            Self::P99 => "p99 (less is better)",
            Self::P999 => "p99.9 (less is better)",
            Self::Max => "max (less is better)",
            Self::MissRatio => "miss ratio (less is better)",
            Self::CoresBusy => "server cores busy",
            Self::GeneratorCpu => "generator CPU/reply",
            Self::ResidentPeak => "server peak memory (less is better)",
            Self::IdleConnection => "idle connection (less is better)",
        }
    }

    /// A figure of it with its unit.
    #[must_use]
    pub fn told(self, value: f64) -> String {
        match self {
            Self::Throughput => format::short_rate(value),
            Self::CpuPerReply
            | Self::P50
            | Self::P99
            | Self::P999
            | Self::Max
            | Self::GeneratorCpu => format::micros(value),
            Self::MissRatio => format::percent(value),
            Self::CoresBusy => format::quantity(value),
            Self::ResidentPeak | Self::IdleConnection => format::bytes(value),
        }
    }

    /// Whether it is a latency, and so not to be had from a run whose latency is not believed.
    #[must_use]
    pub const fn is_latency(self) -> bool {
        matches!(self, Self::P50 | Self::P99 | Self::P999 | Self::Max)
    }

    /// This figure of a run, believed or not; `None` where it was not measured.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]
    pub fn of(self, report: &Report) -> Option<f64> {
        let server = report.server.as_ref();
        let latency = (report.latency.count > 0).then_some(&report.latency);
        match self {
            Self::Throughput => (report.measured_s > 0.0)
                .then(|| report.totals.replies_in_time as f64 / report.measured_s),
            Self::CpuPerReply => {
                server.filter(|_| report.totals.replies > 0).map(|server| server.cpu_us_per_reply)
            }
            Self::P50 => latency.map(|latency| latency.p50_us),
            Self::P99 => latency.map(|latency| latency.p99_us),
            Self::P999 => latency.map(|latency| latency.p999_us),
            Self::Max => latency.map(|latency| latency.max_us),
            Self::MissRatio => {
                let asked = report.totals.hits + report.totals.misses;
                (asked > 0).then(|| report.totals.misses as f64 / asked as f64)
            }
            Self::CoresBusy => server.map(|server| server.cores_busy),
            Self::GeneratorCpu => {
                (report.totals.replies > 0).then_some(report.generator.cpu_us_per_reply)
            }
            Self::ResidentPeak => server.map(|server| server.resident_peak_bytes as f64),
            Self::IdleConnection => server.and_then(|server| server.bytes_per_idle_connection),
        }
    }
}
