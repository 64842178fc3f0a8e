//! `cargo xtask faults`: what a fleet in three zones does when it is hurt, each fault under `loadtest --verify`.
//!
//! - [`list`]: the faults, by name.
//! - [`members`]: processes that are killed, stopped, ended, cut off; a whole zone of them.
//! - [`network`]: hosts that hear each other one way only, zones that are far apart.
//! - [`coordination`]: etcd, and scalers that change the fleet.
//! - [`upgrade`]: every role in turn from one binary to another.
//! - [`seen`]: what the loads saw of a fault; [`table`]: the results as Markdown.

mod coordination;
mod list;
mod members;
mod network;
mod recovery;
mod seen;
mod table;
mod upgrade;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use memtide_testkit::{Rng, ZonedFleet, ZonedSettings, seed_from_environment};

use self::list::{FAULTS, Fault};
use self::seen::{Row, observed};
use crate::bench_peers::build;
use crate::tell;

/// Hurt a fleet in three zones (etcd, TLS, one replica) in every way, under loads that are checked. It needs root,
/// iproute2, /dev/net/tun, etcd-server and etcd-client
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// This memtide, instead of building one
    #[arg(long, value_name = "BINARY")]
    memtide: Option<PathBuf>,

    /// The memtide that the fault `upgrade` changes to; the same where none is given
    #[arg(long, value_name = "BINARY")]
    upgrade_to: Option<PathBuf>,

    /// Only these faults, by name; all where none is given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,

    /// Say the names of the faults, and do nothing
    #[arg(long)]
    list: bool,

    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a fault is done to, and by what.
pub struct Scene {
    /// A fleet that is whole.
    pub fleet: ZonedFleet,
    /// Who is hurt, where several could be.
    pub rng: Rng,
    /// The memtide that it is upgraded to.
    pub upgrade_to: PathBuf,
}

/// Does one fault after the other, and prints what came of them.
///
/// # Errors
/// What keeps it from doing them.
///
/// # Panics
/// Where the fleet does not come back, with what it says.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let faults = list::chosen(&arguments.only)?;
    if arguments.list {
        FAULTS.iter().for_each(|fault| print(&format!("{:<20} {}\n", fault.name, fault.what)));
        return Ok(ExitCode::SUCCESS);
    }
    let memtide = binary(arguments.memtide.as_deref())?;
    let upgrade_to = match &arguments.upgrade_to {
        Some(given) => binary(Some(given))?,
        None => memtide.clone(),
    };
    let seed = seed_from_environment();
    tell(&format!("seed {seed}: MEMTIDE_TEST_SEED={seed} has the same members hurt"));
    let mut rows = Vec::new();
    for has_spares in [false, true] {
        let mut faults = faults.iter().filter(|fault| fault.has_spares == has_spares).peekable();
        if faults.peek().is_none() {
            continue;
        }
        tell("a fleet begins");
        let settings = ZonedSettings { program: memtide.clone(), has_spares };
        let fleet = ZonedFleet::start(settings);
        let mut scene = Scene { fleet, rng: Rng::new(seed), upgrade_to: upgrade_to.clone() };
        faults.for_each(|fault| rows.push(done(&mut scene, fault)));
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&rows)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    print(&table::markdown(&rows));
    let failures: Vec<_> = rows.iter().flat_map(seen::failures).collect();
    failures.iter().for_each(|failure| tell(failure));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn done(scene: &mut Scene, fault: &Fault) -> Row {
    tell(&format!("{}: {}", fault.name, fault.what));
    let row = observed(scene, fault);
    tell(&table::line(&row));
    row
}

fn binary(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(given) = given else { return build() };
    given.canonicalize().with_context(|| given.display().to_string())
}

#[expect(clippy::print_stdout, reason = "the result, to be redirected into a file")]
fn print(text: &str) {
    print!("{text}");
}
