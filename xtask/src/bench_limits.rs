//! `cargo xtask bench-limits`: how exactly a cache is held to its limit of ECPUs, over TLS.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use memtide_testkit::{Loading, Memtide, Metrics};
use serde::Serialize;

use crate::bench_peers::build;
use crate::tell;

/// Measure what is delivered under a limit of ECPUs, at twice and ten times that load
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// ECPUs per second of the limit
    #[arg(long, value_name = "COUNT", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    limit: u32,

    /// Seconds of each run
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// This memtide, instead of building one
    #[arg(long, value_name = "BINARY")]
    memtide: Option<PathBuf>,

    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is asked, and what one of it costs.
struct Work {
    name: &'static str,
    words: &'static [&'static str],
    ecpus: u32,
}

const WORKS: [Work; 4] = [
    Work { name: "gets of 100 B", words: &["--mix", "get=100"], ecpus: 1 },
    Work {
        name: "gets of 100 KB",
        words: &["--mix", "get=100", "--value-size", "100k", "--keys", "500"],
        ecpus: 98,
    },
    Work { name: "sets of 100 B", words: &["--mix", "set=100"], ecpus: 1 },
    Work { name: "multigets of 10", words: &["--mix", "get=100", "--multiget", "10"], ecpus: 10 },
];

/// One run.
#[derive(Debug, Serialize)]
struct Row {
    work: &'static str,
    /// Of the limit.
    offered: u32,
    /// ECPUs metered, of those that the limit gives in that time.
    delivered: f64,
    /// Commands refused a second.
    refused: f64,
    /// TLS handshakes a second.
    handshakes: f64,
}

/// Measures, and prints a table; fails where something is not within a hundredth of the limit.
///
/// # Errors
/// What keeps it from measuring.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let program = match &arguments.memtide {
        Some(binary) => {
            binary.canonicalize().with_context(|| format!("--memtide {}", binary.display()))?
        }
        None => build()?,
    };
    let mut rows = Vec::new();
    for work in &WORKS {
        for offered in [2, 10] {
            tell(&format!("{} at {offered} times the limit", work.name));
            rows.push(measure(&program, arguments, (work, offered))?);
        }
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    print(&rows);
    let is_exact = rows.iter().all(|row| (row.delivered - 1.0).abs() <= 0.01);
    Ok(if is_exact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(
    program: &Path,
    arguments: &Arguments,
    (work, offered): (&Work, u32),
) -> anyhow::Result<Row> {
    let server = Memtide::builder(program).args(["--memory", "512m"]).start();
    let limit = arguments.limit;
    let rate = (limit * offered / work.ecpus).max(1).to_string();
    let words = ["--fill", "--keys", "2000", "--warmup", "2s", "--connections", "200", "--rate"];
    let words = words.into_iter().chain([rate.as_str()]);
    // A later flag would be given twice.
    let has_keys = work.words.contains(&"--keys");
    let words: Vec<&str> = without(words.collect(), "--keys", has_keys);
    let words = words.into_iter().chain(work.words.iter().copied());
    let endpoint = format!("localhost:{}", server.address().port());
    let loading = Loading::start(Command::new(program), &endpoint, server.ca_file(), words);
    let set = ["cache", "limits", "set", "--ecpu-per-second-max", &limit.to_string(), "--admin"];
    let set = Command::new(program).args(set).arg(server.admin_address().to_string()).output()?;
    if !set.status.success() {
        bail!("failed to set the limit: {}", String::from_utf8_lossy(&set.stderr));
    }
    // What was under way before is over.
    thread::sleep(Duration::from_secs(2));
    let (began, before) = (Instant::now(), server.metrics());
    thread::sleep(Duration::from_secs(u64::from(arguments.seconds)));
    let (took, after) = (began.elapsed().as_secs_f64(), server.metrics());
    drop(loading.finish());
    let per_second = |name: &str| {
        let of = |metrics: &Metrics| metrics.sum(name).unwrap_or_default();
        (of(&after) - of(&before)) / took
    };
    Ok(Row {
        work: work.name,
        offered,
        delivered: per_second("memtide_ecpu_units_total") / 1024.0 / f64::from(limit),
        refused: per_second("memtide_throttled_commands_total"),
        handshakes: per_second("memtide_tls_handshakes_total"),
    })
}

/// Leaves a flag and its value out where `is_left_out`.
fn without<'a>(words: Vec<&'a str>, flag: &str, is_left_out: bool) -> Vec<&'a str> {
    let at = words.iter().position(|word| *word == flag).filter(|_| is_left_out);
    let is_kept = |index: usize| at.is_none_or(|at| index != at && index != at + 1);
    words
        .into_iter()
        .enumerate()
        .filter(|(index, _)| is_kept(*index))
        .map(|(_, word)| word)
        .collect()
}

#[expect(clippy::print_stdout, reason = "the result, to be redirected into a file")]
fn print(rows: &[Row]) {
    println!("| work | offered | delivered / limit | refused a second | handshakes a second |");
    println!("|---|---|---|---|---|");
    for Row { work, offered, delivered, refused, handshakes } in rows {
        println!("| {work} | {offered}x | {delivered:.4} | {refused:.0} | {handshakes:.1} |");
    }
}
