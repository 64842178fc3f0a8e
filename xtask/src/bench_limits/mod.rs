//! `cargo xtask bench-limits`: how a cache is held to its limits, over TLS.
//!
//! - [`one`]: what one proxy delivers at twice and ten times its limit of ECPUs.
//! - [`proxies`]: what four proxies deliver together, while one of them is cut off from the scaler, too.
//! - [`clients`]: what unmodified client libraries do at ten times the limit.
//! - [`lowering`]: what requests wait while the limit of data is lowered.
//! - [`scraping`]: what it costs that metrics are asked for every second.
//! - [`forwarder`]: a connection that can be cut; [`site`]: what the parts have in common; [`table`]:
//!   the results as Markdown.

mod clients;
mod forwarder;
mod lowering;
mod one;
mod proxies;
mod scraping;
mod site;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::bench_peers::build;
use crate::tell;

/// Measure how a cache is held to its limits: what is delivered, how clients take it, what it costs
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Parts, by name: one, proxies, clients, lowering, scraping; all where none is given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    parts: Vec<String>,

    /// ECPUs per second of the limit
    #[arg(long, value_name = "COUNT", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    limit: u32,

    /// Seconds of each run
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,

    /// Rounds with and without scraping
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Requests per second while data is evicted, and with and without scraping
    #[arg(long, value_name = "RATE", default_value = "10k")]
    rate: String,

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
    one: Vec<one::Row>,
    proxies: Vec<proxies::Row>,
    clients: Vec<clients::Row>,
    lowering: Vec<lowering::Row>,
    scraping: Option<scraping::Costs>,
}

/// Measures, and prints tables; fails where more was delivered than a hundredth above the limit, or
/// less than a hundredth below it with nobody cut off.
///
/// # Errors
/// What keeps it from measuring.
///
/// # Panics
/// Where a process does not do what it is told, with its log.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    const PARTS: [&str; 5] = ["one", "proxies", "clients", "lowering", "scraping"];
    if let Some(name) = arguments.parts.iter().find(|name| !PARTS.contains(&name.as_str())) {
        anyhow::bail!("--parts {name}: no such part; there are {}", PARTS.join(", "));
    }
    let is_wanted =
        |part: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|it| it == part);
    let program = match &arguments.memtide {
        Some(binary) => {
            binary.canonicalize().with_context(|| format!("--memtide {}", binary.display()))?
        }
        None => build()?,
    };
    let mut results = Results::default();
    if is_wanted("one") {
        results.one = one::measure(&program, arguments)?;
    }
    if is_wanted("proxies") {
        results.proxies = proxies::measure(&program, arguments)?;
    }
    if is_wanted("clients") {
        results.clients = clients::measure(&program, arguments)?;
    }
    if is_wanted("lowering") {
        results.lowering = lowering::measure(&program, arguments)?;
    }
    if is_wanted("scraping") {
        results.scraping = Some(scraping::measure(&program, arguments)?);
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
