//! What memtide wants to reach, and whether a run of `cargo xtask bench-peers` reached it.
//!
//! The targets are the project's own; docs/benchmarks.md has them as a table.

use std::fmt::Write as _;

use super::figures::Drawn;
use super::measure::Measure;
use super::peer::{FLEET, FLOOR, MEMCACHED_HAPROXY, MEMCACHED_TLS, MEMTIDE};
use super::table::Row;

/// The most that memtide may take of what another server takes, within the same run.
#[derive(Debug)]
pub struct Target {
    /// Of the load.
    pub work: &'static str,
    /// What is measured.
    pub measure: Measure,
    /// Which memtide.
    pub own: &'static str,
    /// The other server.
    pub of: &'static str,
    /// The target.
    pub at_most: f64,
    /// Where the project wants to be beyond it.
    pub aim: Option<f64>,
}

/// All of them, in the order of the loads.
pub const TARGETS: [Target; 27] = [
    of_memcached("mixed", Measure::CpuPerRequest, 0.60, None),
    of_floor("mixed", Measure::CpuPerRequest, 1.35, 1.20),
    of_memcached("pipeline", Measure::CpuPerRequest, 0.25, None),
    of_floor("pipeline", Measure::CpuPerRequest, 1.60, 1.35),
    of_memcached("multiget", Measure::CpuPerKey, 0.80, Some(0.60)),
    of_memcached("get-4k", Measure::CpuPerRequest, 0.80, None),
    of_floor("get-4k", Measure::CpuPerRequest, 1.25, 1.15),
    of_memcached("get-100k", Measure::CpuPerRequest, 0.80, None),
    of_floor("get-100k", Measure::CpuPerRequest, 1.25, 1.15),
    of_memcached("set", Measure::CpuPerRequest, 0.75, None),
    of_floor("set", Measure::CpuPerRequest, 1.35, 1.20),
    of_memcached("one", Measure::P50, 1.0, None),
    of_floor("one", Measure::P50, 1.25, 1.15),
    of_memcached("handshakes", Measure::CpuPerRequest, 0.50, None),
    of_floor("handshakes", Measure::CpuPerRequest, 1.20, 1.10),
    of_memcached("resumptions", Measure::CpuPerRequest, 0.50, None),
    of_floor("resumptions", Measure::CpuPerRequest, 1.20, 1.10),
    of_memcached("idle", Measure::IdleConnection, 0.70, Some(0.50)),
    of_memcached("tail", Measure::P99, 1.0, Some(0.80)),
    of_memcached("tail", Measure::P999, 1.0, Some(0.80)),
    of_haproxy("mixed"),
    of_haproxy("pipeline"),
    of_haproxy("multiget"),
    of_haproxy("get-4k"),
    of_haproxy("get-100k"),
    of_haproxy("set"),
    of_haproxy("one"),
];

const fn of_memcached(
    work: &'static str,
    measure: Measure,
    at_most: f64,
    aim: Option<f64>,
) -> Target {
    Target { work, measure, own: MEMTIDE, of: MEMCACHED_TLS, at_most, aim }
}

const fn of_floor(work: &'static str, measure: Measure, at_most: f64, aim: f64) -> Target {
    Target { work, measure, own: MEMTIDE, of: FLOOR, at_most, aim: Some(aim) }
}

/// A proxy and a node in processes of their own, against what stands before memcached otherwise.
const fn of_haproxy(work: &'static str) -> Target {
    let (measure, own, of) = (Measure::CpuPerRequest, FLEET, MEMCACHED_HAPROXY);
    Target { work, measure, own, of, at_most: 1.0, aim: None }
}

/// What a run says of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Aim,
    Met,
    Missed,
    NotMeasured,
}

impl Target {
    /// Whether this load and these servers were compared.
    fn is_of(&self, rows: &[Row]) -> bool {
        rows.iter().filter(|row| row.work.name == self.work).any(|row| {
            [self.own, self.of].iter().all(|name| row.comparison.index_of(name).is_some())
        })
    }

    fn measured(&self, rows: &[Row]) -> Option<Drawn> {
        let comparison = &rows.iter().find(|row| row.work.name == self.work)?.comparison;
        let (own, other) = (comparison.index_of(self.own)?, comparison.index_of(self.of)?);
        comparison.ratio(own, other, self.measure)
    }

    fn verdict(&self, measured: Option<Drawn>) -> Verdict {
        match measured.map(|it| it.value) {
            None => Verdict::NotMeasured,
            Some(ratio) if ratio > self.at_most => Verdict::Missed,
            Some(ratio) if self.aim.is_some_and(|aim| ratio <= aim) => Verdict::Aim,
            Some(_) => Verdict::Met,
        }
    }
}

/// The targets of the loads and servers that were compared as Markdown, and in one line how many
/// are missed.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from(
        "| load | measure | server | of | at most | aim | measured | target |\n|---|---|---|---|--:|--:|--:|---|\n",
    );
    for target in TARGETS.iter().filter(|target| target.is_of(rows)) {
        let measured = target.measured(rows);
        let verdict = match target.verdict(measured) {
            Verdict::Aim => "met, and the aim",
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::NotMeasured => "not measured",
        };
        // Two digits would show 0.604 as 0.60, and as missed.
        let told = measured.map_or("-".to_owned(), |it| star(format!("{:.3}", it.value), it));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {:.2} | {} | {told} | {verdict} |",
            target.work,
            target.measure.name(),
            target.own,
            target.of,
            target.at_most,
            target.aim.map_or("-".to_owned(), |aim| format!("{aim:.2}")),
        );
    }
    let _ = writeln!(out, "\n{}", summary(rows));
    out
}

/// How many targets are met and missed.
pub fn summary(rows: &[Row]) -> String {
    let targets = TARGETS.iter().filter(|target| target.is_of(rows));
    let verdicts: Vec<_> = targets.map(|it| it.verdict(it.measured(rows))).collect();
    let count = |of: Verdict| verdicts.iter().filter(|it| **it == of).count();
    let (aims, met) = (count(Verdict::Aim), count(Verdict::Met));
    format!(
        "Of {} targets {} are met, {aims} of them with their aim; {} missed, {} not measured.",
        verdicts.len(),
        aims + met,
        count(Verdict::Missed),
        count(Verdict::NotMeasured),
    )
}

/// Marks what is not believed.
pub fn star(text: String, drawn: Drawn) -> String {
    if drawn.is_believed { text } else { format!("{text}\\*") }
}
