use std::fmt::Write as _;

use super::Arguments;
use super::load::{Comparison, Endpoint};
use super::package::version;
use super::peer::Peer;
use super::site::{Site, THREADS};
use super::work::Work;

/// The results, as docs/benchmarks.md has them.
#[derive(Debug)]
pub struct Table {
    machine: String,
    rounds: String,
    how: String,
    rows: Vec<[String; COLUMNS.len()]>,
    notes: Vec<String>,
    has_untold_latencies: bool,
    failures: usize,
}

const COLUMNS: [&str; 9] = [
    "load",
    "server",
    "CPU us/request",
    "ratio",
    "replies/s",
    "p50 us",
    "p99 us",
    "peak MiB",
    "KiB/idle connection",
];

impl Table {
    /// An empty one, of what is about to be compared.
    pub fn new(site: &Site, peers: &[Peer], arguments: &Arguments) -> Self {
        let versions = site.programs.iter().map(|(package, path)| {
            let version = version(*package, path).unwrap_or_else(|_| "?".to_owned());
            format!("{} {version}", package.name())
        });
        let mut versions: Vec<_> = versions.collect();
        if peers.contains(&Peer::Memtide) {
            versions.push(format!("memtide {}", env!("CARGO_PKG_VERSION")));
        }
        let machine = format!("{}; {}", machine(), versions.join(", "));
        let how = format!(
            "of {} each, interleaved, medians; {THREADS} threads for each server (memtide: one a \
             core). The ratio is of CPU time, to the first server of a load.",
            arguments.duration,
        );
        let rounds = rounds(arguments.rounds);
        Self {
            machine,
            rounds,
            how,
            rows: Vec::new(),
            notes: Vec::new(),
            has_untold_latencies: false,
            failures: 0,
        }
    }

    /// Takes in what a load came to.
    pub fn add(&mut self, work: &Work, comparison: Comparison) {
        for (index, endpoint) in comparison.endpoints.iter().enumerate() {
            let base = (index == 0).then_some(work.what);
            self.rows.push(row(base, endpoint));
            let Endpoint { errors, lost, troubles, .. } = endpoint;
            if errors + lost + troubles > 0 {
                self.notes.push(format!(
                    "{}, {}: {errors} error replies, {lost} requests without reply, {troubles} \
                     broken connections",
                    work.name, endpoint.endpoint.name
                ));
            }
        }
        let untold = comparison.endpoints.iter().filter(|it| !it.figures.contains_key("p50_us"));
        let untold: Vec<_> =
            untold.map(|it| format!("{}: the latency of", it.endpoint.name)).collect();
        for note in &comparison.notes {
            // One for each cell without a latency would hide the others.
            if untold.iter().any(|begin| note.starts_with(begin)) {
                self.has_untold_latencies = true;
            } else {
                self.notes.push(format!("{}: {note}", work.name));
            }
        }
        if comparison.ended.how == "failed" {
            self.add_failure(work, comparison.ended.why.as_deref().unwrap_or_default());
        }
    }

    /// A load that came to nothing.
    pub fn add_failure(&mut self, work: &Work, why: &str) {
        self.failures += 1;
        self.notes.push(format!("{}: failed: {why}", work.name));
    }

    /// Whether any did.
    pub fn has_failures(&self) -> bool {
        self.failures > 0
    }

    /// The table with its conditions and notes.
    pub fn markdown(&self, is_interrupted: bool) -> String {
        let Self { machine, rounds, how, .. } = self;
        // How many rounds the last load came to, its note says.
        let at_most = if is_interrupted { "At most " } else { "" };
        let mut out = format!("{machine}. {at_most}{rounds} {how}\n\n");
        let _ = writeln!(out, "| {} |", COLUMNS.join(" | "));
        out.push_str("|---|---|");
        out.push_str(&"--:|".repeat(COLUMNS.len() - 2));
        out.push('\n');
        for row in &self.rows {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
        if self.has_untold_latencies {
            out.push_str(
                "\nWhere there is no latency, none of the runs had one to be believed: the server took \
                 all cores, the generator's too, or the generator was at its limit.\n",
            );
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(out, "- {note}");
        }
        if is_interrupted {
            out.push_str("\nInterrupted: not all loads are there.\n");
        }
        out
    }
}

/// The row of the first endpoint names the load, and is what the others are measured by.
fn row(load: Option<&str>, endpoint: &Endpoint) -> [String; COLUMNS.len()] {
    const CPU: &str = "server_cpu_us_per_reply";
    let figure = |name: &str, digits: usize, divisor: f64| {
        let spread = endpoint.figures.get(name);
        spread.map_or("-".to_owned(), |it| format!("{:.digits$}", it.median / divisor))
    };
    let ratio = endpoint
        .ratios
        .get(CPU)
        .map(|it| it.of_rounds.as_ref().map_or(it.of_medians, |of_rounds| of_rounds.median));
    [
        load.unwrap_or_default().to_owned(),
        endpoint.endpoint.name.clone(),
        figure(CPU, 2, 1.0),
        match (ratio, load) {
            (Some(ratio), _) => format!("{ratio:.2}"),
            (None, Some(_)) => "1".to_owned(),
            (None, None) => "-".to_owned(),
        },
        figure("replies_per_s", 0, 1.0),
        figure("p50_us", 0, 1.0),
        figure("p99_us", 0, 1.0),
        figure("resident_peak_bytes", 1, f64::from(1 << 20)),
        // What a connection of an earlier round has left to the next grows no second time.
        endpoint
            .figures
            .get("bytes_per_idle_connection")
            .map_or("-".to_owned(), |it| format!("{:.1}", it.max / 1024.0)),
    ]
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
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::bench_peers::work::WORKS;

    const JSON: &str = r#"{
        "version": "0.1.0", "rounds_planned": 2, "rounds_whole": 2, "ended": {"how": "completed"},
        "notes": ["memtide: the latency of 1 of 2 runs is not believed and left out: late"],
        "plan": [["connections", "50"]],
        "endpoints": [
            {"endpoint": {"name": "memcached-tls", "address": "127.0.0.1:1"}, "runs": 2,
             "errors": 0, "lost": 0, "troubles": 0,
             "figures": {"replies_per_s": {"median": 101234.5, "min": 1, "max": 2, "runs": 2},
                         "server_cpu_us_per_reply": {"median": 18.204, "min": 1, "max": 2, "runs": 2},
                         "resident_peak_bytes": {"median": 104857600, "min": 1, "max": 2, "runs": 2},
                         "p50_us": {"median": 480.4, "min": 1, "max": 2, "runs": 2},
                         "p99_us": {"median": 1480.4, "min": 1, "max": 2, "runs": 2}},
             "ratios": {}},
            {"endpoint": {"name": "memtide", "address": "127.0.0.1:2"}, "runs": 2,
             "errors": 0, "lost": 3, "troubles": 1,
             "figures": {"replies_per_s": {"median": 131234.5, "min": 1, "max": 2, "runs": 2},
                         "server_cpu_us_per_reply": {"median": 9.1, "min": 1, "max": 2, "runs": 2},
                         "bytes_per_idle_connection": {"median": 1, "min": 1, "max": 2048, "runs": 2}},
             "ratios": {"server_cpu_us_per_reply": {"of_medians": 0.6,
                        "of_rounds": {"median": 0.4999, "min": 1, "max": 2, "runs": 2}}}}],
        "runs": []}"#;

    #[test]
    fn a_comparison_becomes_rows_and_notes() {
        let mut table = Table {
            machine: "here".to_owned(),
            rounds: rounds(2),
            how: "of 5s each".to_owned(),
            rows: Vec::new(),
            notes: Vec::new(),
            has_untold_latencies: false,
            failures: 0,
        };
        table.add(&WORKS[0], serde_json::from_str(JSON).unwrap());
        assert!(!table.has_failures());
        table.add_failure(&WORKS[1], "memtide ended");
        assert!(table.has_failures());
        expect![[r#"
            here. At most 2 rounds of 5s each

            | load | server | CPU us/request | ratio | replies/s | p50 us | p99 us | peak MiB | KiB/idle connection |
            |---|---|--:|--:|--:|--:|--:|--:|--:|
            | get and set 9:1, 50 connections | memcached-tls | 18.20 | 1 | 101234 | 480 | 1480 | 100.0 | - |
            |  | memtide | 9.10 | 0.50 | 131234 | - | - | - | 2.0 |

            Where there is no latency, none of the runs had one to be believed: the server took all cores, the generator's too, or the generator was at its limit.

            - mixed, memtide: 0 error replies, 3 requests without reply, 1 broken connections
            - pipeline: failed: memtide ended

            Interrupted: not all loads are there.
        "#]].assert_eq(&table.markdown(true));
    }
}
