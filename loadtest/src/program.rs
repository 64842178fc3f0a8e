//! `memtide loadtest`: from the command line to the exit code.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

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
    take_place(&plan).map_err(Failure::Environment)
}

fn take_place(plan: &Plan) -> anyhow::Result<ExitCode> {
    let stopped_by = Arc::new(AtomicU8::new(0));
    let stop = stop_on_signals(&stopped_by)?;
    raise_descriptors(plan)?;
    let outputs = Outputs::open(plan)?;
    let reports = match plan.rounds {
        None => one(plan, &stop, outputs)?,
        Some(rounds) => several(plan, rounds, &stop, outputs)?,
    };
    let interrupted = stopped_by.load(Ordering::Relaxed);
    if reports.is_empty() {
        tell("interrupted before anything was measured");
    }
    Ok(match verdict(plan.fail_on, &reports) {
        code if code != ExitCode::SUCCESS || interrupted == 0 => code,
        _ => ExitCode::from(interrupted),
    })
}

/// The files of the result, opened before the run so that no run is made in vain.
struct Outputs {
    json: Option<Output>,
    html: Option<Output>,
}

/// A file that goes again if it was made for a result that never came.
struct Output {
    name: String,
    path: PathBuf,
    file: File,
    is_idle: bool,
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_idle && self.file.metadata().is_ok_and(|it| it.is_file() && it.len() == 0) {
            // Whoever takes it away first is right.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Outputs {
    fn open(plan: &Plan) -> anyhow::Result<Self> {
        let open = |flag: &str, path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            let name = format!("{flag} {}", path.display());
            let file = OpenOptions::new().create(true).write(true).truncate(false).open(path);
            let file = file.with_context(|| format!("{name}: failed to open it for the result"))?;
            anyhow::Ok(Some(Output { name, path: path.clone(), file, is_idle: true }))
        };
        Ok(Self { json: open("--json", &plan.json)?, html: open("--html", &plan.html)? })
    }
}

impl Output {
    /// Replaces what the file had.
    fn write(this: Option<Self>, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let Some(mut output) = this else { return Ok(()) };
        output.is_idle = false;
        // What is no file, such as a pipe, has no length to be set.
        let _ = output.file.set_len(0);
        let written = output.file.write_all(text().as_bytes());
        written.with_context(|| format!("{}: failed to write the result", output.name))
    }
}

fn one(plan: &Plan, stop: &AtomicBool, outputs: Outputs) -> anyhow::Result<Vec<Report>> {
    let report = run::one(plan, &plan.targets[0], stop)?;
    if stop.load(Ordering::Relaxed) && report.measured_s == 0.0 {
        return Ok(Vec::new());
    }
    Output::write(outputs.json, || report::json::render(&report))?;
    Output::write(outputs.html, || report::html::render(&report))?;
    print(&report::text::render(&report))?;
    Ok(vec![report])
}

fn several(
    plan: &Plan,
    rounds: u32,
    stop: &AtomicBool,
    outputs: Outputs,
) -> anyhow::Result<Vec<Report>> {
    // None is loaded in vain because another is not there.
    for target in &plan.targets {
        run::preflight(plan, target)?;
    }
    let rounds = Rounds { endpoints: plan.targets.len(), rounds };
    let comparison = rounds.run(
        || stop.load(Ordering::Relaxed),
        |endpoint, round| {
            let target = &plan.targets[endpoint.0];
            tell(&format!("round {round} of {}: {}", rounds.rounds, target.run.endpoint.name));
            run::one(plan, target, stop)
        },
    )?;
    Output::write(outputs.json, || compare::json(&comparison))?;
    Output::write(outputs.html, || page(&comparison))?;
    print(&compare::text(&comparison))?;
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
/// the process. `stopped_by` gets the exit code of the first.
fn stop_on_signals(stopped_by: &Arc<AtomicU8>) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to listen to signals")?;
    let mut signals = {
        let _in_runtime = runtime.enter();
        Signals::new().context("failed to listen to signals")?
    };
    let (stopped, stopped_by) = (Arc::clone(&stop), Arc::clone(stopped_by));
    let listen = async move {
        loop {
            let Request::Stop(signal) = signals.next().await else { continue };
            if stopped.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(signal.exit_code()));
            }
            stopped_by.store(signal.exit_code(), Ordering::Relaxed);
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(listen))
        .context("failed to start a thread")?;
    Ok(stop)
}

/// A reader that went away has seen what it wanted; all else that keeps the report from being read
/// is told.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("failed to print the report")
        }
        _ => Ok(()),
    }
}

#[expect(clippy::print_stderr, reason = "for the user who waits")]
fn tell(line: &str) {
    eprintln!("{line}");
}
