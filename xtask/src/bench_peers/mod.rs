//! `cargo xtask bench-peers`: memtide beside its peers under the same loads, on this machine.
//!
//! - [`work`]: the loads; [`peer`]: the servers that are compared, and how each is started.
//! - [`measure`]: what they are measured by; [`targets`]: what memtide wants to reach.
//! - [`package`]: whether Debian's programs are there; [`site`]: certificates, ports, scratch files.
//! - [`process`]: what was started, and that it ends with us; [`interrupt`]: Ctrl-C.
//! - [`load`]: one comparison by `memtide loadtest`; [`figures`]: medians and ratios of its rounds;
//!   [`maximum`]: rates that are a part of what a server can do.
//! - [`table`]: the results as Markdown.

mod figures;
mod interrupt;
mod load;
mod maximum;
mod measure;
mod package;
mod peer;
mod process;
mod site;
mod table;
mod targets;
mod work;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;

pub use self::interrupt::Interrupt;
pub use self::load::Comparison;
use self::load::Load;
use self::maximum::Maximum;
pub use self::measure::Measure;
use self::peer::{Peer, Running};
use self::site::Site;
use self::table::Table;
use self::work::WORKS;
pub use self::work::Work;
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

    /// Servers, by name: memcached-tls, memcached-haproxy, memcached-stunnel, memtide,
    /// memtide-fleet, memtide-fleet-r1; all where none is given
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
    let bench = Bench { arguments, site: &site, peers: &peers, interrupt: &interrupt };
    bench.run(&works, &mut table);
    print(&table.markdown(interrupt.is_set()));
    tell(&targets::summary(table.rows()));
    let is_whole = !interrupt.is_set() && !table.has_failures();
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares these servers under these loads, the first being the one that the others are measured by.
///
/// # Errors
/// A name that is none, a server that does not start, or a load that fails.
pub fn compare(
    memtide: PathBuf,
    (works, peers): (&[&str], &[&str]),
    (rounds, duration): (u32, &str),
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<(&'static Work, Comparison)>> {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let works = work::chosen(&names(works))?;
    let peers = peer::chosen(&names(peers), None)?;
    let site = Site::new(memtide, package::find(&peers)?)?;
    let compare = |work: &&'static Work| {
        tell(&format!("{}: {}", work.name, work.what));
        let start = |peer: &Peer| peer.start(&site, work, interrupt);
        let running = peers.iter().map(start).collect::<anyhow::Result<Vec<Running>>>()?;
        let load = Load { work, rounds, duration, rate: None };
        Ok((*work, load.run(&site, &running, interrupt)?.0))
    };
    works.iter().map(compare).collect()
}

/// What all comparisons share.
struct Bench<'a> {
    arguments: &'a Arguments,
    site: &'a Site,
    peers: &'a [Peer],
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    fn run(&self, works: &[&'static Work], table: &mut Table) {
        let mut maximum = None;
        for work in works {
            if self.interrupt.is_set() {
                break;
            }
            tell(&format!("{}: {}", work.name, work.what));
            match self.compare(work, table, &mut maximum) {
                Ok(comparison) => table.add(work, comparison),
                Err(_) if self.interrupt.is_set() => break,
                Err(error) => {
                    tell(&format!("{}: {error:#}", work.name));
                    table.add_failure(work, &format!("{error:#}"));
                }
            }
        }
    }

    /// Compares all servers under a load, the maximum being found before where the load is a part
    /// of it.
    fn compare(
        &self,
        work: &'static Work,
        table: &mut Table,
        maximum: &mut Option<Maximum>,
    ) -> anyhow::Result<Comparison> {
        let needed = u64::from(work.connections());
        if needed > self.site.connections_max {
            bail!(
                "{needed} connections need more than {} descriptors; raise `ulimit -Hn`",
                2 * needed
            );
        }
        let rate = match work.percent_of_maximum {
            None => None,
            Some(percent) => {
                if maximum.is_none() {
                    let found = self.maximum(table)?;
                    table.add_maximum(&found);
                    *maximum = Some(found);
                }
                maximum.as_ref().map(|maximum| maximum.rate_at(percent))
            }
        };
        let (comparison, json) = self.load(work, self.peers, rate.as_deref())?;
        if let Some(directory) = &self.arguments.json {
            let path = directory.join(format!("{}.json", work.name));
            std::fs::write(&path, json).with_context(|| path.display().to_string())?;
        }
        Ok(comparison)
    }

    /// What the first server can do in the closed loop of the first work: as in the table, else in
    /// a comparison of its own.
    fn maximum(&self, table: &Table) -> anyhow::Result<Maximum> {
        let work = &WORKS[0];
        let of = |comparison: &Comparison| {
            let server = comparison.endpoints.first()?.endpoint.name.clone();
            Some(Maximum { server, replies_per_s: comparison.median(0, "replies_per_s")? })
        };
        let known = table.rows().iter().find(|row| row.work.name == work.name);
        if let Some(maximum) = known.and_then(|row| of(&row.comparison)) {
            return Ok(maximum);
        }
        tell("finding the maximum of the first server");
        // A comparison is of two at least.
        let first = self.peers.get(..2).context("a comparison needs two servers")?;
        of(&self.load(work, first, None)?.0).context("the first server gave no reply")
    }

    /// Starts the servers anew, so that none has memory or items of another load, and loads them.
    fn load(
        &self,
        work: &Work,
        peers: &[Peer],
        rate: Option<&str>,
    ) -> anyhow::Result<(Comparison, String)> {
        let start = |peer: &Peer| peer.start(self.site, work, self.interrupt);
        let running = peers.iter().map(start).collect::<anyhow::Result<Vec<Running>>>()?;
        let Arguments { rounds, duration, .. } = self.arguments;
        let load = Load { work, rounds: *rounds, duration, rate };
        load.run(self.site, &running, self.interrupt)
    }
}

/// Builds memtide in release; gives the program.
///
/// # Errors
/// When it does not build.
pub fn build() -> anyhow::Result<PathBuf> {
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
