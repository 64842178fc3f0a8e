//! `memtide loadtest`: from the command line to the exit code.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use memtide_service::signals::{Request, Signals};

use crate::arguments::Arguments;
use crate::compare::{self, Comparison, Rounds};
use crate::plan::{FailOn, Plan};
use crate::report::{self, Ended, NamedReports, Report};
use crate::run;

/// The exit code when `--fail-on` says that the run has failed.
const FAILED: u8 = 1;

/// Why a load test did not take place, or its result could not be kept.
#[derive(Debug)]
pub enum Failure {
    /// The command line must change.
    Arguments(anyhow::Error),
    /// Something around it must: the endpoint, a file, a limit.
    Environment(anyhow::Error),
}

/// Runs the load test of this command line, and prints its report.
///
/// # Errors
/// When it cannot take place; a run that went badly is none, but an exit code.
pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let plan = Plan::resolve(arguments).map_err(Failure::Arguments)?;
    let stop = stop_on_signals().map_err(Failure::Environment)?;
    let reports = match plan.rounds {
        None => one(&plan, &stop),
        Some(rounds) => several(&plan, rounds, &stop),
    };
    let reports = reports.map_err(Failure::Environment)?;
    Ok(verdict(plan.fail_on, &reports))
}

fn one(plan: &Plan, stop: &AtomicBool) -> anyhow::Result<Vec<Report>> {
    raise_descriptors(plan)?;
    let report = run::one(plan, &plan.targets[0], stop)?;
    print(&report::text::render(&report));
    write(plan.json.as_deref(), "--json", || report::json::render(&report))?;
    write(plan.html.as_deref(), "--html", || report::html::render(&report))?;
    Ok(vec![report])
}

fn several(plan: &Plan, rounds: u32, stop: &AtomicBool) -> anyhow::Result<Vec<Report>> {
    raise_descriptors(plan)?;
    let rounds = Rounds { endpoints: plan.targets.len(), rounds };
    let comparison = rounds.run(
        || stop.load(Ordering::Relaxed),
        |endpoint, round| {
            let target = &plan.targets[endpoint.0];
            tell(&format!("round {round} of {}: {}", rounds.rounds, target.run.endpoint.name));
            run::one(plan, target, stop)
        },
    )?;
    print(&compare::text(&comparison));
    write(plan.json.as_deref(), "--json", || compare::json(&comparison))?;
    write(plan.html.as_deref(), "--html", || page(&comparison))?;
    let is_failed = |report: &Report| matches!(report.ended, Ended::Failed(_));
    if let Ended::Failed(why) = &comparison.ended
        && !comparison.runs.iter().any(|run| is_failed(&run.report))
    {
        // A run that could not be made has no report to say so.
        bail!("the comparison ended early: {why}");
    }
    Ok(comparison.runs.into_iter().map(|run| run.report).collect())
}

fn page(comparison: &Comparison) -> String {
    let named = |(at, row): (usize, &compare::EndpointRow)| NamedReports {
        name: row.endpoint.name.clone(),
        reports: comparison
            .runs
            .iter()
            .filter(|run| run.endpoint == at)
            .map(|run| run.report.clone())
            .collect(),
    };
    let endpoints: Vec<_> = comparison.endpoints.iter().enumerate().map(named).collect();
    let names: Vec<_> = endpoints.iter().map(|it| it.name.as_str()).collect();
    report::html::comparison(&names.join(", "), &endpoints)
}

/// A descriptor for every connection, and some for all else.
fn raise_descriptors(plan: &Plan) -> anyhow::Result<()> {
    const DESCRIPTORS_BESIDE: u64 = 256;
    let connections = plan.targets.iter().map(|it| it.run.connections + it.run.idle_connections);
    let wanted = u64::from(connections.max().unwrap_or_default()) + DESCRIPTORS_BESIDE;
    memtide_service::host::raise_descriptors(wanted)
        .with_context(|| "too many connections for this host; raise its limit (ulimit -n)")
}

fn verdict(fail_on: FailOn, reports: &[Report]) -> ExitCode {
    let reasons: Vec<_> = reports.iter().flat_map(|report| fail_on.reasons(report)).collect();
    let is_failed = reports.iter().any(|report| matches!(report.ended, Ended::Failed(_)));
    if reasons.is_empty() && !is_failed {
        return ExitCode::SUCCESS;
    }
    tell(&format!("failed: {}", reasons.join("; ")));
    ExitCode::from(FAILED)
}

/// The first SIGINT or SIGTERM ends the run, and the report is of what there is; the second ends
/// the process.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to listen to signals")?;
    let mut signals = {
        let _in_runtime = runtime.enter();
        Signals::new().context("failed to listen to signals")?
    };
    let stopped = Arc::clone(&stop);
    let listen = async move {
        loop {
            if let Request::Stop(signal) = signals.next().await
                && stopped.swap(true, Ordering::Relaxed)
            {
                std::process::exit(i32::from(signal.exit_code()));
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(listen))
        .context("failed to start a thread")?;
    Ok(stop)
}

fn write(file: Option<&Path>, flag: &str, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, text())
        .with_context(|| format!("{flag} {}: failed to write the result", file.display()))
}

fn print(text: &str) {
    use std::io::Write as _;
    // A reader that went away has seen what it wanted.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[expect(clippy::print_stderr, reason = "for the user who waits")]
fn tell(line: &str) {
    eprintln!("{line}");
}
