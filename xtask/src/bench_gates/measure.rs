use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::base::{Machine, Rows};

/// What this machine would count with.
///
/// # Errors
/// Where a tool does not say its version.
pub fn machine() -> anyhow::Result<Machine> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let valgrind = said_by(Command::new("valgrind").arg("--version"))
        .context("no valgrind, which counts the instructions: apt-get install valgrind")?;
    Ok(Machine {
        rustc: said_by(Command::new(rustc).arg("--version"))?,
        architecture: std::env::consts::ARCH.to_owned(),
        libc: said_by(Command::new("getconf").arg("GNU_LIBC_VERSION"))?,
        valgrind,
    })
}

/// Checks that gungraun's other half is here and fits.
///
/// # Errors
/// How to install it.
pub fn require_tools() -> anyhow::Result<()> {
    let version = gungraun_version()?;
    let install = format!("cargo install --locked gungraun-runner@{version}");
    let said = said_by(Command::new("gungraun-runner").arg("--version"))
        .with_context(|| format!("no gungraun-runner in PATH: {install}"))?;
    if !said.ends_with(&format!(" {version}")) {
        bail!("gungraun is {version} and the runner in PATH is {said}: {install}");
    }
    Ok(())
}

/// Runs the benches; a row is named `GROUP.ID`.
///
/// # Errors
/// Where a bench fails, or says something else than counts.
pub fn rows() -> anyhow::Result<Rows> {
    let bench = ["bench", "--locked", "--package", "memtide-gates"];
    let counts = Command::new("cargo")
        .args(bench)
        .args(["--benches", "--", "--output-format=json"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        // Flags of a caller's would make other code than that of the base.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(Stdio::inherit())
        .output()
        .context("failed to start cargo")?;
    if !counts.status.success() {
        bail!("`cargo {}` failed with {}", bench.join(" "), counts.status);
    }
    parse(&String::from_utf8(counts.stdout)?)
}

/// Reads gungraun's summaries, one a line.
fn parse(summaries: &str) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    for line in summaries.lines() {
        let summary: Value = serde_json::from_str(line).context("a summary of gungraun's")?;
        let (row, count) = row(&summary).with_context(|| format!("no count in {line}"))?;
        if rows.insert(row.clone(), count).is_some() {
            bail!("two rows are named {row}");
        }
    }
    Ok(rows)
}

fn row(summary: &Value) -> Option<(String, u64)> {
    let name = format!("{}.{}", summary["group"].as_str()?, summary["id"].as_str()?);
    let metrics = &summary["profiles"][0]["data"]["total"]["metrics"];
    Some((name, metrics["Ir"]["values"]["new"].as_u64()?))
}

/// As Cargo.lock has it: library and runner must be of one version.
fn gungraun_version() -> anyhow::Result<String> {
    let lock: toml::Table = include_str!("../../../Cargo.lock").parse()?;
    let packages = lock["package"].as_array().context("Cargo.lock has no packages")?;
    let named = |package: &&toml::Value| package["name"].as_str() == Some("gungraun");
    let gungraun = packages.iter().find(named).context("gungraun is not in Cargo.lock")?;
    Ok(gungraun["version"].as_str().context("gungraun has no version")?.to_owned())
}

/// The first line.
fn said_by(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("failed to start {name}"))?;
    if !output.status.success() {
        bail!("{name} failed with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A summary as gungraun 0.20 writes it, without what is not read; `old` is an earlier run's.
    const SUMMARY: &str = r#"{"group":"parse","id":"get","profiles":[{"data":{"total":{"metrics":{"Dr":{"values":{"new":918}},"Ir":{"values":{"new":37566,"old":37000}}}}}}]}"#;

    #[test]
    fn a_summary_gives_the_instructions_of_this_run() {
        assert_eq!(parse(SUMMARY).unwrap(), Rows::from([("parse.get".to_owned(), 37_566)]));
    }

    #[test]
    fn two_rows_of_one_name_are_an_error() {
        let error = parse(&format!("{SUMMARY}\n{SUMMARY}\n")).unwrap_err().to_string();
        assert_eq!(error, "two rows are named parse.get");
    }

    #[test]
    fn a_line_without_a_count_is_an_error() {
        let error = parse(r#"{"group":"parse","id":"get"}"#).unwrap_err().to_string();
        assert!(error.starts_with("no count in"), "{error}");
    }

    #[test]
    fn the_runner_to_install_is_that_of_the_lock_file() {
        assert!(gungraun_version().unwrap().starts_with("0."));
    }
}
