//! `cargo xtask bench-fleet`: what a fleet of node processes costs, how fast slots move in it while it
//! serves, how fast it follows the load by itself, and how long clients wait when a node is lost.
//!
//! - [`latency`]: one process, a process and its node, and a replica beside that, under the same loads.
//! - [`movement`]: all slots from one node to another and back, empty and with items.
//! - [`scaling`]: a step of the load, from then until there is twice as much with the data moved, and back.
//! - [`crash`]: node processes that are killed and stopped under `loadtest --verify`.
//! - [`load`]: what a load test saw; [`pauses`]: how long slots were without a primary.
//! - [`table`]: the results as Markdown.

mod crash;
mod latency;
mod load;
mod movement;
mod pauses;
mod scaling;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

pub use self::load::{Seen, seen};

use crate::bench_peers::{Interrupt, build};
use crate::tell;

/// Measure a fleet of node processes: latency, movement of slots under load, scaling, loss of nodes
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Parts, by name: latency, movement, scaling, crash; all where none is given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    parts: Vec<String>,

    /// Rounds of the comparison of latencies
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Seconds of each run of that comparison, and of the load before and after a move
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Mebibytes of values that are moved, in items of 1 KiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    mib: u32,

    /// Requests per second while slots move
    #[arg(long, value_name = "RATE", default_value = "5k")]
    rate: String,

    /// What the load does in the part scaling, by name: promise, work, data, steady; all where none is given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    steps: Vec<String>,

    /// Seconds of a load that stays, in the part scaling, as steady has it, which is to leave the fleet alone; 0 leaves it out
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    steady: u32,

    /// Where the part scaling writes its curves, as scaling-work.svg and so on
    #[arg(long, value_name = "DIRECTORY")]
    curves: Option<PathBuf>,

    /// This memtide, instead of building one
    #[arg(long, value_name = "BINARY")]
    memtide: Option<PathBuf>,

    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// All that was measured; a part that was not asked for is empty.
#[derive(Debug, Default, Serialize)]
struct Results {
    latency: Vec<latency::Row>,
    moves: Vec<movement::Move>,
    scaling: scaling::Results,
    crashes: Vec<crash::Crash>,
}

/// Measures, and prints tables; what was started has ended when it returns.
///
/// # Errors
/// What keeps it from measuring.
///
/// # Panics
/// Where a fleet does not do what it is told, with its log.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    const PARTS: [&str; 4] = ["latency", "movement", "scaling", "crash"];
    if let Some(name) = arguments.parts.iter().find(|name| !PARTS.contains(&name.as_str())) {
        anyhow::bail!("--parts {name}: no such part; there are {}", PARTS.join(", "));
    }
    let is_wanted =
        |part: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|it| it == part);
    let memtide = match &arguments.memtide {
        Some(binary) => {
            binary.canonicalize().with_context(|| format!("--memtide {}", binary.display()))?
        }
        None => build()?,
    };
    let mut results = Results::default();
    if is_wanted("movement") {
        results.moves = movement::measure(&memtide, arguments)?;
    }
    if is_wanted("scaling") {
        results.scaling = scaling::measure(&memtide, arguments)?;
    }
    if is_wanted("crash") {
        results.crashes = crash::measure(&memtide);
    }
    if is_wanted("latency") {
        // Last, since it takes the signals over.
        results.latency = latency::measure(memtide, arguments, &Interrupt::new()?)?;
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&results)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    print(&table::markdown(&results));
    let has_failed = table::failures(&results);
    has_failed.iter().for_each(|failure| tell(failure));
    Ok(if has_failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "the result, to be redirected into a file")]
fn print(text: &str) {
    print!("{text}");
}
