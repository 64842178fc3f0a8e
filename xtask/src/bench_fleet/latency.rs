use std::path::PathBuf;

use serde::Serialize;

use super::Arguments;
use crate::bench_peers::{Comparison, Interrupt, Measure, Work, compare};

/// One request at a time, and a rate that two cores keep easily.
const WORKS: [&str; 2] = ["one", "rate"];

/// The first is what the others are measured by.
const SERVERS: [&str; 3] = ["memtide", "memtide-fleet", "memtide-fleet-r1"];

/// A server under a load.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The load, in words.
    pub load: String,
    /// As `bench-peers` calls it.
    pub server: String,
    /// Half of the replies came within this.
    pub p50_us: Figure,
    /// 99% did.
    pub p99_us: Figure,
}

/// A latency.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Figure {
    /// In microseconds: the median of the rounds.
    pub value: Option<f64>,
    /// Of the first server's: the median of the ratios within the rounds.
    pub ratio: Option<f64>,
    /// Whether the generator was in time for it.
    pub is_believed: bool,
}

/// Compares them.
///
/// # Errors
/// When a server does not start, or a load fails.
pub fn measure(
    memtide: PathBuf,
    arguments: &Arguments,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Row>> {
    let duration = format!("{}s", arguments.seconds);
    let what = (arguments.rounds, duration.as_str());
    let compared = compare(memtide, (&WORKS, &SERVERS), what, interrupt)?;
    Ok(compared.iter().flat_map(|(work, comparison)| rows(work, comparison)).collect())
}

fn rows(work: &Work, comparison: &Comparison) -> Vec<Row> {
    let row = |(at, server): (usize, &&str)| Row {
        load: work.what.to_owned(),
        server: (*server).to_owned(),
        p50_us: figure(comparison, at, Measure::P50),
        p99_us: figure(comparison, at, Measure::P99),
    };
    SERVERS.iter().enumerate().map(row).collect()
}

fn figure(comparison: &Comparison, server: usize, measure: Measure) -> Figure {
    let measured = comparison.measured(server, measure);
    Figure {
        value: measured.map(|it| it.value),
        ratio: comparison.ratio(server, 0, measure).map(|it| it.value),
        is_believed: measured.is_some_and(|it| it.is_believed),
    }
}
