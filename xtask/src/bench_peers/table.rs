use std::fmt::Write as _;

use super::Arguments;
use super::load::{Comparison, Endpoint};
use super::maximum::Maximum;
use super::measure::Measure;
use super::package::version;
use super::peer::{FLOOR, Peer};
use super::site::{Site, THREADS};
use super::targets::{self, star};
use super::work::Work;

/// The results, as docs/benchmarks.md has them.
#[derive(Debug)]
pub struct Table {
    machine: String,
    rounds: String,
    how: String,
    rows: Vec<Row>,
    notes: Vec<String>,
    failures: usize,
}

/// What a load came to.
#[derive(Debug)]
pub struct Row {
    /// The load.
    pub work: &'static Work,
    /// All servers under it.
    pub comparison: Comparison,
}

impl Table {
    /// An empty one, of what is about to be compared.
    pub fn new(site: &Site, peers: &[Peer], arguments: &Arguments) -> Self {
        let versions = site.programs.iter().map(|(package, path)| {
            let version = version(*package, path).unwrap_or_else(|_| "?".to_owned());
            format!("{} {version}", package.name())
        });
        let mut versions: Vec<_> = versions.collect();
        if peers.iter().any(Peer::is_memtide) {
            versions.push(format!("memtide {}", env!("CARGO_PKG_VERSION")));
        }
        let machine = format!("{}; {}", machine(), versions.join(", "));
        let how = format!(
            "of {} each, interleaved, medians; {THREADS} threads for each server (memtide: one a \
             core). `of X` is the median of the ratios to X within the rounds.",
            arguments.duration,
        );
        let rounds = rounds(arguments.rounds);
        Self { machine, rounds, how, rows: Vec::new(), notes: Vec::new(), failures: 0 }
    }

    /// Takes in what a load came to.
    pub fn add(&mut self, work: &'static Work, comparison: Comparison) {
        for endpoint in &comparison.endpoints {
            let Endpoint { errors, lost, troubles, .. } = endpoint;
            if errors + lost + troubles > 0 {
                self.notes.push(format!(
                    "{}, {}: {errors} error replies, {lost} requests without reply, {troubles} \
                     broken connections",
                    work.name, endpoint.endpoint.name
                ));
            }
        }
        let of_latency = |note: &&String| {
            let mut names = comparison.endpoints.iter().map(|it| &it.endpoint.name);
            names.any(|name| note.starts_with(&format!("{name}: the latency of")))
        };
        let others = comparison.notes.iter().filter(|note| !of_latency(note));
        self.notes.extend(others.map(|note| format!("{}: {note}", work.name)));
        if has_latency(work) {
            self.notes.extend(distrust(work, &comparison));
        }
        if comparison.ended.how == "failed" {
            self.add_failure(work, comparison.ended.why.as_deref().unwrap_or_default());
        }
        self.rows.push(Row { work, comparison });
    }

    /// A load that came to nothing.
    pub fn add_failure(&mut self, work: &Work, why: &str) {
        self.failures += 1;
        self.notes.push(format!("{}: failed: {why}", work.name));
    }

    /// The maximum that rates were drawn from.
    pub fn add_maximum(&mut self, maximum: &Maximum) {
        let Maximum { server, replies_per_s } = maximum;
        self.notes.push(format!("the maximum of {server}: {replies_per_s:.0} replies/s"));
    }

    /// Whether any load failed.
    pub fn has_failures(&self) -> bool {
        self.failures > 0
    }

    /// What there is of it so far.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The tables with their conditions and notes.
    pub fn markdown(&self, is_interrupted: bool) -> String {
        let Self { machine, rounds, how, .. } = self;
        // How many rounds the last load came to, its note says.
        let at_most = if is_interrupted { "At most " } else { "" };
        let mut out = format!("{machine}. {at_most}{rounds} {how}\n\n");
        out.push_str(&main(&self.rows));
        out.push_str(
            "\nLoads that have a measure beside CPU time of a request, and the ratios of that \
             measure:\n\n",
        );
        out.push_str(&beside(&self.rows));
        out.push_str(
            "\n`\\*`: latency of runs that are not believed, as the generator had no core or was \
             late; the notes say why. Of other loads such latencies are left out.\n\n",
        );
        for note in &self.notes {
            let _ = writeln!(out, "- {note}");
        }
        out.push_str("\nAgainst the project's targets:\n\n");
        out.push_str(&targets::markdown(&self.rows));
        if is_interrupted {
            out.push_str("\nInterrupted: not all loads are there.\n");
        }
        out
    }
}

/// CPU time, throughput and memory of all loads.
fn main(rows: &[Row]) -> String {
    let mut out = head(
        &["load", "server", "CPU us/request"],
        &ratio_names(rows),
        &["replies/s", "p50 us", "p99 us", "peak MiB"],
    );
    for Row { work, comparison } in rows {
        for (index, endpoint) in comparison.endpoints.iter().enumerate() {
            let measured = |measure| measured(work, comparison, index, measure);
            let figure = |name: &str, digits: usize, divisor: f64| {
                let median = comparison.median(index, name);
                median.map_or("-".to_owned(), |it| format!("{:.digits$}", it / divisor))
            };
            let mut cells = vec![
                if index == 0 { work.what.to_owned() } else { String::new() },
                endpoint.endpoint.name.clone(),
                measured(Measure::CpuPerRequest),
            ];
            cells.extend(ratios(rows, comparison, index, Measure::CpuPerRequest));
            cells.extend([
                figure("replies_per_s", 0, 1.0),
                measured(Measure::P50),
                measured(Measure::P99),
                figure("resident_peak_bytes", 1, f64::from(1 << 20)),
            ]);
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    out
}

/// The measures that only some loads have.
fn beside(rows: &[Row]) -> String {
    let mut out = head(&["load", "measure", "server", "measured"], &ratio_names(rows), &[]);
    for Row { work, comparison } in rows {
        for measure in work.measures {
            for (index, endpoint) in comparison.endpoints.iter().enumerate() {
                let mut cells = vec![
                    work.name.to_owned(),
                    measure.name().to_owned(),
                    endpoint.endpoint.name.clone(),
                    measured(work, comparison, index, *measure),
                ];
                cells.extend(ratios(rows, comparison, index, *measure));
                let _ = writeln!(out, "| {} |", cells.join(" | "));
            }
        }
    }
    out
}

fn head(names: &[&str], ratios: &[String], figures: &[&str]) -> String {
    let ratios: Vec<_> = ratios.iter().map(String::as_str).collect();
    let all = [names, &ratios, figures].concat();
    let is_name = |name: &&str| ["load", "server", "measure"].contains(name);
    let rule = |name: &&str| if is_name(name) { "---|" } else { "--:|" };
    format!("| {} |\n|{}\n", all.join(" | "), all.iter().map(rule).collect::<String>())
}

/// The servers that the others are measured by: the first, and the floor where there is one.
fn bases(rows: &[Row]) -> Vec<&str> {
    let names =
        || rows.iter().flat_map(|row| &row.comparison.endpoints).map(|it| &it.endpoint.name);
    let first = names().next().map(String::as_str);
    let floor = names().map(String::as_str).find(|name| *name == FLOOR && Some(*name) != first);
    first.into_iter().chain(floor).collect()
}

fn ratio_names(rows: &[Row]) -> Vec<String> {
    bases(rows).into_iter().map(|name| format!("of {name}")).collect()
}

fn ratios(rows: &[Row], comparison: &Comparison, index: usize, measure: Measure) -> Vec<String> {
    let ratio = |name: &str| {
        let to = comparison.index_of(name)?;
        if to == index {
            return Some("1".to_owned());
        }
        let ratio = comparison.ratio(index, to, measure)?;
        Some(star(format!("{:.2}", ratio.value), ratio))
    };
    let told = |name| ratio(name).unwrap_or_else(|| "-".to_owned());
    bases(rows).into_iter().map(told).collect()
}

/// A figure, marked where it is not believed; in a load that is not for latency, nothing then.
fn measured(work: &Work, comparison: &Comparison, index: usize, measure: Measure) -> String {
    let drawn = comparison.measured(index, measure);
    let drawn = drawn.filter(|it| it.is_believed || has_latency(work));
    drawn.map_or("-".to_owned(), |it| star(measure.told(it.value, work.keys()), it))
}

fn has_latency(work: &Work) -> bool {
    work.measures.iter().any(|measure| measure.is_latency())
}

/// Whose latency is not believed in some of the runs, and why: a line for each reason.
fn distrust(work: &Work, comparison: &Comparison) -> Vec<String> {
    let mut servers: Vec<(String, Vec<&str>)> = Vec::new();
    for (index, endpoint) in comparison.endpoints.iter().enumerate() {
        let (runs, spoilt, why) = comparison.distrust(index);
        let Some(why) = why else { continue };
        let left_out = if spoilt < runs { " and left out" } else { "" };
        let reason = format!("{spoilt} of {runs} runs is not believed{left_out}: {why}");
        match servers.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(&endpoint.endpoint.name),
            None => servers.push((reason, vec![&endpoint.endpoint.name])),
        }
    }
    let told = |(reason, names): (String, Vec<&str>)| {
        format!("{}, {}: the latency of {reason}", work.name, names.join(", "))
    };
    servers.into_iter().map(told).collect()
}

/// `1 round`, `5 rounds`.
fn rounds(n: u32) -> String {
    if n == 1 { "1 round".to_owned() } else { format!("{n} rounds") }
}

/// The processor and kernel, as Linux tells them.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{cores} cores of {model}, Linux {}", release.trim())
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
