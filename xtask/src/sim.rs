//! Seeds of the simulator: many for their verdicts, or one for its trace.

use std::io::{BufWriter, ErrorKind, Write, stdout};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use clap::ValueEnum;
use memtide_sim::{Canary, ManagerKind, NodeKind, Options, Outcome, Recording, run as simulate};

use crate::tell;

/// Lines of the trace that a failed seed shows.
const TAIL_LINES: usize = 60;

/// Simulates a fleet with faults, one run for each seed, and checks what its clients saw
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The only seed
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Prints what happened, line by line
    #[arg(long, requires = "seed", conflicts_with = "seeds")]
    trace: bool,
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// At how many of them at a time
    #[arg(long, default_value = "2")]
    threads: NonZeroUsize,
    /// A bug on purpose, to see it found
    #[arg(long)]
    canary: Option<CanaryName>,
    /// Who changes the topology
    #[arg(long, default_value = "by-seed")]
    manager: ManagerName,
    /// What the nodes are
    #[arg(long, default_value = "by-seed")]
    nodes: NodeName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NodeName {
    /// Real ones for every fourth seed, models for the others
    BySeed,
    /// All of a node but its sockets
    Real,
    /// The replication core with a model of the store
    Model,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ManagerName {
    /// The real one for even seeds, the scripted one for odd ones
    BySeed,
    /// The real one
    Real,
    /// One that does at random what a manager may do
    Scripted,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CanaryName {
    AckEarly,
    NoLeaseWait,
    ServeAfterHandover,
    GoOnAlone,
    ReadBeyondLease,
    AwaitEveryChunk,
}

/// Runs the chore; fails where a seed does.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let canary = arguments.canary.map(|canary| match canary {
        CanaryName::AckEarly => Canary::AckEarly,
        CanaryName::NoLeaseWait => Canary::NoLeaseWait,
        CanaryName::ServeAfterHandover => Canary::ServeAfterHandover,
        CanaryName::GoOnAlone => Canary::GoOnAlone,
        CanaryName::ReadBeyondLease => Canary::ReadBeyondLease,
        CanaryName::AwaitEveryChunk => Canary::AwaitEveryChunk,
    });
    let manager = match arguments.manager {
        ManagerName::BySeed => ManagerKind::BySeed,
        ManagerName::Real => ManagerKind::Real,
        ManagerName::Scripted => ManagerKind::Scripted,
    };
    let nodes = match arguments.nodes {
        NodeName::BySeed => NodeKind::BySeed,
        NodeName::Real => NodeKind::Real,
        NodeName::Model => NodeKind::Model,
    };
    let options = Options { canary, manager, nodes, ..Options::default() };
    let is_clean = match arguments.seed {
        Some(seed) => one(seed, options, arguments.trace)?,
        None => many(arguments, options)?,
    };
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the seed is clean, and also where nobody reads on to its end.
fn one(seed: u64, options: Options, is_traced: bool) -> Result<bool> {
    let recording = if is_traced { Recording::All } else { Recording::Tail(TAIL_LINES) };
    let outcome = simulate(seed, Options { recording, ..options });
    match print_outcome(&mut BufWriter::new(stdout().lock()), seed, (&outcome, is_traced)) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(outcome.violation.is_none()),
    }
}

fn print_outcome(
    out: &mut impl Write,
    seed: u64,
    (outcome, is_traced): (&Outcome, bool),
) -> std::io::Result<()> {
    let Outcome { trace_hash, operations, failed, lost, violation, .. } = outcome;
    if is_traced || violation.is_some() {
        for line in &outcome.trace {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(
        out,
        "seed {seed}: {operations} operations, {failed} failed, {lost} slots given up, \
         trace {trace_hash:016x}"
    )?;
    match violation {
        Some(violation) => writeln!(out, "seed {seed} FAILED: {violation}")?,
        None => writeln!(out, "seed {seed}: clean")?,
    }
    out.flush()
}

fn many(arguments: &Arguments, options: Options) -> Result<bool> {
    let Some(end) = arguments.from.checked_add(arguments.seeds) else {
        bail!("seeds end at 2^64: begin with a smaller --from");
    };
    let next = AtomicU64::new(arguments.from);
    let work = || {
        let mut sums = (0, 0, 0, 0, 0);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return sums;
            }
            let outcome = simulate(seed, options);
            if let Some(violation) = &outcome.violation {
                let first = violation.lines().next().unwrap_or_default();
                tell(&format!("seed {seed} FAILED: {first}"));
            }
            sums.0 += u64::from(outcome.violation.is_some());
            sums.1 += outcome.operations;
            sums.2 += outcome.failed;
            sums.3 += outcome.lost;
            sums.4 += outcome.undecided;
        }
    };
    let sums: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..arguments.threads.get()).map(|_| scope.spawn(work)).collect();
        let sums = threads.into_iter().map(|thread| thread.join());
        sums.map(|sums| sums.expect("a run does not panic")).collect()
    });
    let bad: u64 = sums.iter().map(|sums| sums.0).sum();
    tell(&format!(
        "{} seeds, {bad} failed; {} operations, {} of them failed; {} keys undecided; {} slots given up",
        arguments.seeds,
        sums.iter().map(|sums| sums.1).sum::<usize>(),
        sums.iter().map(|sums| sums.2).sum::<usize>(),
        sums.iter().map(|sums| sums.4).sum::<u64>(),
        sums.iter().map(|sums| sums.3).sum::<u32>(),
    ));
    if bad > 0 {
        tell("replay one with: cargo xtask sim --seed N --trace");
    }
    Ok(bad == 0)
}
