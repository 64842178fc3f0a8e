//! `cargo xtask bench-peers`: memtide beside its peers under the same loads, on this machine.
//!
//! - [`work`]: the loads; [`peer`]: the servers that are compared, and how each is started.
//! - [`package`]: whether Debian's programs are there; [`site`]: certificates, ports, scratch files.
//! - [`process`]: what was started, and that it ends with us; [`interrupt`]: Ctrl-C.
//! - [`load`]: one comparison by `memtide loadtest`; [`table`]: the results as Markdown.

mod interrupt;
mod load;
mod package;
mod peer;
mod process;
mod site;
mod table;
mod work;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;

use self::interrupt::Interrupt;
use self::load::Load;
use self::peer::{Peer, Running};
use self::site::Site;
use self::table::Table;
use self::work::Work;
use crate::tell;

/// What to compare, and for how long.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Rounds of each comparison
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// What is measured of each run: 500ms, 10s
    #[arg(long, value_name = "TIME", default_value = "5s")]
    duration: String,

    /// Loads, by name; all where none is given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    works: Vec<String>,

    /// Servers, by name: memcached-tls, memcached-haproxy, memcached-stunnel, memtide; all where
    /// none is given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peers: Vec<String>,

    /// Another TLS server to compare with, which may answer every get with values of any key: a
    /// program and its flags; it is given --port, --cert, --key and --value BYTES beside
    #[arg(long, value_name = "COMMAND")]
    floor: Option<String>,

    /// This memtide, instead of building one
    #[arg(long, value_name = "BINARY")]
    memtide: Option<PathBuf>,

    /// Keep the comparisons as JSON files in this directory
    #[arg(long, value_name = "DIRECTORY")]
    json: Option<PathBuf>,
}

/// Runs the comparisons and prints their table; what was started has ended when it returns.
///
/// # Errors
/// What keeps it from beginning. A load that fails is told of in the table, and gives exit code 1.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let works = work::chosen(&arguments.works)?;
    let peers = peer::chosen(&arguments.peers, arguments.floor.as_deref())?;
    let programs = package::find(&peers)?;
    let memtide = match &arguments.memtide {
        Some(binary) => {
            binary.canonicalize().with_context(|| format!("--memtide {}", binary.display()))?
        }
        None => build()?,
    };
    if let Some(directory) = &arguments.json {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let interrupt = Interrupt::new()?;
    let site = Site::new(memtide, programs)?;
    let mut table = Table::new(&site, &peers, arguments);
    for work in works {
        if interrupt.is_set() {
            break;
        }
        tell(&format!("{}: {}", work.name, work.what));
        match compare(arguments, &site, &peers, work, &interrupt) {
            Ok(comparison) => table.add(work, comparison),
            Err(_) if interrupt.is_set() => break,
            Err(error) => {
                tell(&format!("{}: {error:#}", work.name));
                table.add_failure(work, &format!("{error:#}"));
            }
        }
    }
    print(&table.markdown(interrupt.is_set()));
    let is_whole = !interrupt.is_set() && !table.has_failures();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts the peers anew, so that none has memory or items of another load, and loads them.
fn compare(
    arguments: &Arguments,
    site: &Site,
    peers: &[Peer],
    work: &Work,
    interrupt: &Interrupt,
) -> anyhow::Result<load::Comparison> {
    let running = peers
        .iter()
        .map(|peer| peer.start(site, work, interrupt))
        .collect::<anyhow::Result<Vec<Running>>>()?;
    let load = Load { work, rounds: arguments.rounds, duration: &arguments.duration };
    let (comparison, json) = load.run(site, &running, interrupt)?;
    if let Some(directory) = &arguments.json {
        let path = directory.join(format!("{}.json", work.name));
        std::fs::write(&path, json).with_context(|| path.display().to_string())?;
    }
    Ok(comparison)
}

fn build() -> anyhow::Result<PathBuf> {
    tell("building memtide in release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let status = Command::new(cargo)
        .args(["build", "--release", "--package", "memtide", "--bin", "memtide"])
        .current_dir(root)
        .status()
        .context("failed to start cargo")?;
    if !status.success() {
        bail!("memtide does not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| PathBuf::from(root).join("target"), PathBuf::from);
    let binary = target.join("release/memtide");
    binary.canonicalize().with_context(|| format!("no memtide at {}", binary.display()))
}

#[expect(clippy::print_stdout, reason = "the result, to be redirected into a file")]
fn print(text: &str) {
    print!("{text}");
}
