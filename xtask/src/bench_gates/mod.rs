//! `cargo xtask bench-gates`: runs `cargo bench` and holds each row's instructions to those that
//! are recorded in the repository, so that speed does not rot in many small steps.

mod base;
mod compare;
mod measure;

use std::path::Path;
use std::process::ExitCode;

use base::Base;

use crate::tell;

/// The recorded base.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/gates/instructions.toml");

/// Counts the instructions of parsing, storing, metering and whole requests, and compares them with
/// those recorded in `crates/gates/instructions.toml`
///
/// Fails where a row needs 3% more than recorded, or 3% fewer: record that, so that the next
/// change is held to it. Needs valgrind and gungraun-runner.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write the counts down as the new base, instead of comparing
    #[arg(long)]
    record: bool,
}

/// Prints a table of all rows; success where none is out of bounds.
///
/// # Errors
/// Where there is nothing to compare: a tool is missing, a bench fails, or the base was recorded
/// with another compiler.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = Path::new(BASE);
    let base = path.exists().then(|| Base::read(path)).transpose()?;
    let here = measure::machine()?;
    if let Some(base) = base.as_ref().filter(|_| !arguments.record) {
        base.machine.check_comparable(&here)?;
    }
    measure::require_tools()?;
    let measured = measure::rows()?;
    let recorded = base.unwrap_or_else(|| Base::empty(here.clone()));
    print(&compare::table(&recorded.rows, &measured));
    if arguments.record {
        Base { machine: here, rows: measured }.write(path)?;
        tell("recorded in crates/gates/instructions.toml: commit it with the change that it is of");
        return Ok(ExitCode::SUCCESS);
    }
    let findings = compare::findings(&recorded.rows, &measured);
    for finding in &findings {
        tell(&finding.to_string());
    }
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    tell("when that is meant: `cargo xtask bench-gates --record`, and say in the commit why");
    if let Some(difference) = recorded.machine.lesser_difference(&here) {
        tell(&format!("{difference}, which may be the reason"));
    }
    Ok(ExitCode::FAILURE)
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print(table: &str) {
    print!("{table}");
}
