//! One run of a plan on one of its endpoints, with all that surrounds the load.

use std::fs::File;
use std::io::{BufReader, IsTerminal as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Facts, Measured, RunSettings, Watch, Workload, measure, report};
use crate::compare::procfs::{Processes, Usage, bytes_per_idle_connection, server_facts};
use crate::drive::{Pacing, Traffic, nanos};
use crate::endpoint::{Preflight, server_statistic};
use crate::events::Poller;
use crate::hooks::Hooks;
use crate::measure::{Seconds, Tally};
use crate::plan::{Pace, Plan, Target, Work};
use crate::progress::Progress;
use crate::report::{Ended, Mark, MarkSource, Report, Second, ServerFacts};
use crate::verify::{self, VerifySettings, VerifyTraffic};
use crate::workload::trace::{TraceReader, TraceSettings, TraceTraffic};
use crate::workload::{Arrivals, Fill, LoadTraffic, Profile};

/// How long a hook that still runs at the end is waited for.
const HOOK_PATIENCE: Duration = Duration::from_secs(10);

/// How long the endpoint is asked for its statistics after a Ctrl-C.
const LAST_WORD_PATIENCE: Duration = Duration::from_secs(1);

/// Makes the run and its report.
///
/// # Errors
/// One line, when the endpoint cannot be loaded at all.
pub fn run(plan: &Plan, target: &Target, stop: &AtomicBool) -> anyhow::Result<Report> {
    let settings = &target.run;
    let timeout = Duration::from_nanos(settings.timeout);
    let is_any_reply = plan.is_any_reply();
    let preflight = Preflight::of(&settings.endpoint, timeout, is_any_reply)?;
    let evictions = || if is_any_reply { None } else { evictions(settings, stop) };
    let evictions_before = evictions();
    let mut watch = Surroundings::new(plan, target)?;
    let (mut made, verdict) = match &plan.work {
        Work::Load { settings: load, is_filled } => {
            watch.fill_total = Fill::stores(load);
            let lanes = |thread| settings.lanes_of(thread);
            let fill = |thread| {
                let load = Arc::clone(load);
                is_filled.then(|| Fill::new(load, thread, settings.threads, plan.seed))
            };
            let traffic =
                |thread| Ok(LoadTraffic::new(Arc::clone(load), thread, lanes(thread), plan.seed));
            (drive(plan, settings, &fill, &traffic, (stop, &mut watch))?.0, None)
        }
        Work::Trace { file, settings: trace } => {
            let traffic = |thread| trace_traffic(file, trace, settings, thread);
            let fill = |_| None::<Fill>;
            let (mut made, traffic) = drive(plan, settings, &fill, &traffic, (stop, &mut watch))?;
            if let Some(failure) = traffic.iter().find_map(TraceTraffic::failure) {
                made.ended = Ended::Failed(failure.to_string());
            }
            (made, None)
        }
        Work::Verify(verify) => {
            let traffic = |thread| {
                Ok(VerifyTraffic::new(VerifySettings {
                    seed: plan.seed,
                    keys: verify.keys,
                    value_bytes: verify.value_bytes,
                    threads: settings.threads,
                    thread,
                    lanes: settings.lanes_of(thread),
                    operations_max: verify.operations_max / settings.threads as usize,
                }))
            };
            let fill = |_| None::<Fill>;
            let (made, traffic) = drive(plan, settings, &fill, &traffic, (stop, &mut watch))?;
            watch.note("checking the history");
            let histories: Vec<_> = traffic.into_iter().map(VerifyTraffic::into_history).collect();
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            (made, Some(verify::check(&histories, plan.seed, threads)))
        }
    };
    made.evictions =
        evictions_before.zip(evictions()).and_then(|(before, after)| after.checked_sub(before));
    watch.finish();
    made.endpoint.transport = preflight.transport;
    made.endpoint.server_version = preflight.server_version;
    made.verdict = verdict;
    Ok(made)
}

/// What the endpoint says it has evicted; `None` where it does not say.
fn evictions(settings: &RunSettings, stop: &AtomicBool) -> Option<u64> {
    let timeout = Duration::from_nanos(settings.timeout);
    let is_stopped = stop.load(Ordering::Relaxed);
    let patience = if is_stopped { timeout.min(LAST_WORD_PATIENCE) } else { timeout };
    server_statistic(&settings.endpoint, "evictions", patience).ok().flatten()
}

/// A thread's share of a trace.
fn trace_traffic(
    file: &Path,
    trace: &TraceSettings,
    settings: &RunSettings,
    thread: u32,
) -> anyhow::Result<TraceTraffic<BufReader<File>>> {
    let (reader, lanes) = (TraceReader::open(file)?, settings.lanes_of(thread));
    let traffic = TraceTraffic::new(trace.clone(), reader, (thread, settings.threads), lanes);
    match traffic.failure() {
        Some(failure) => Err(failure.clone().into()),
        None => Ok(traffic),
    }
}

/// Drives the load and makes the report of it; the traffic comes back.
fn drive<F: Traffic + Send, T: Traffic + Send>(
    plan: &Plan,
    settings: &RunSettings,
    fill: &dyn Fn(u32) -> Option<F>,
    traffic: &dyn Fn(u32) -> anyhow::Result<T>,
    (stop, watch): (&AtomicBool, &mut Surroundings<'_>),
) -> anyhow::Result<(Report, Vec<T>)> {
    let workload = Workload { fill, traffic, pacing: pacing(plan, settings) };
    let mut measured = measure(settings, &workload, stop, watch)?;
    let traffic = std::mem::take(&mut measured.traffic);
    let facts = watch.facts(plan, &measured);
    Ok((report(settings, measured, facts), traffic))
}

/// When requests are due on each thread: the warm-up at the profile's first rate, then the profile.
fn pacing(
    plan: &Plan,
    settings: &RunSettings,
) -> Arc<dyn Fn(u32, Seconds) -> Pacing + Send + Sync> {
    let (seed, threads) = (plan.seed, settings.threads);
    match plan.pace.clone() {
        Pace::Max => Arc::new(|_, _| Pacing::Closed),
        Pace::Trace => Arc::new(|_, seconds| Pacing::Traffic(seconds.start)),
        Pace::Rate(profile, spacing) => Arc::new(move |thread, seconds| {
            let warmup = Profile::constant(profile.rate_at(0)).ok();
            let warmup = warmup
                .into_iter()
                .flat_map(move |it| Arrivals::new(&it, spacing, thread, threads, seed ^ 1))
                .map(move |at| seconds.start + at)
                .take_while(move |&at| at < seconds.measured);
            let measured = Arrivals::new(&profile, spacing, thread, threads, seed)
                .map(move |at| seconds.measured + at);
            Pacing::Open(Box::new(warmup.chain(measured)))
        }),
    }
}

/// What goes on around the load: the display, hooks, the endpoint's events and processes.
struct Surroundings<'p> {
    plan: &'p Plan,
    display: Arc<Mutex<Option<Progress>>>,
    processes: Option<Processes>,
    idle_connections: u32,
    before_connecting: Option<Usage>,
    bytes_per_idle_connection: Option<f64>,
    at_begin: Option<Usage>,
    at_end: Option<Usage>,
    hooks: Option<Hooks>,
    poller: Option<Poller>,
    /// When the measured part begins.
    measured: Instant,
    fill_total: u64,
    filled: u64,
}

impl<'p> Surroundings<'p> {
    fn new(plan: &'p Plan, target: &Target) -> anyhow::Result<Self> {
        let total = Duration::from_nanos(target.run.duration);
        let progress = Progress::new(total, std::io::stderr().is_terminal());
        let mut processes = match target.server_pids.as_slice() {
            [] => None,
            pids => Some(Processes::new(pids.iter().copied())?),
        };
        let before_connecting = processes.as_mut().map(Processes::sample).transpose()?;
        let display = Arc::new(Mutex::new(Some(progress)));
        let start = |admin: &String| {
            let display = Arc::clone(&display);
            Poller::start(admin, move |line| note(&display, line))
        };
        let poller = plan.admin.as_ref().map(start).transpose()?;
        Ok(Self {
            plan,
            display,
            processes,
            idle_connections: idle_at_first(&target.run),
            before_connecting,
            bytes_per_idle_connection: None,
            at_begin: None,
            at_end: None,
            hooks: None,
            poller,
            measured: Instant::now(),
            fill_total: 0,
            filled: 0,
        })
    }

    fn note(&self, text: &str) {
        note(&self.display, text);
    }

    /// What the endpoint's processes have used; `None` where they are not looked at, or have ended:
    /// which costs these figures, and not the report.
    fn sample(&mut self) -> Option<Usage> {
        match self.processes.as_mut()?.sample() {
            Ok(usage) => Some(usage),
            Err(error) => {
                self.note(&format!("{error}; the report has no CPU time or memory"));
                None
            }
        }
    }

    fn server(&self, measured_s: f64, replies: u64) -> Option<ServerFacts> {
        let (begin, end) = (self.at_begin.as_ref()?, self.at_end.as_ref()?);
        let measured = Duration::from_secs_f64(measured_s.max(0.0));
        let mut facts = server_facts((begin, end), measured, replies);
        facts.bytes_per_idle_connection = self.bytes_per_idle_connection;
        Some(facts)
    }

    /// What is known when the load is over.
    fn facts<T>(&mut self, plan: &Plan, measured: &Measured<T>) -> Facts {
        let mut marks = profile_marks(plan, measured.measured_s());
        marks.extend(self.hooks.take().into_iter().flat_map(|it| it.finish(HOOK_PATIENCE)));
        let measured_at = self.measured;
        marks.extend(self.poller.take().into_iter().flat_map(|it| it.finish(measured_at)));
        marks.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        Facts {
            plan: plan.shown.clone(),
            marks,
            server: self.server(measured.measured_s(), measured.replies_in_time()),
            ..Facts::default()
        }
    }

    fn finish(self) {
        if let Some(progress) = lock(&self.display).take() {
            progress.finish();
        }
    }
}

impl Watch for Surroundings<'_> {
    fn connected(&mut self) -> anyhow::Result<()> {
        let now = self.processes.as_mut().map(Processes::sample).transpose()?;
        if let (Some(before), Some(now)) = (&self.before_connecting, &now) {
            self.bytes_per_idle_connection =
                bytes_per_idle_connection(before, now, self.idle_connections);
        }
        Ok(())
    }

    fn filling(&mut self, second: &Second) {
        self.filled += second.replies;
        if let Some(progress) = &mut *lock(&self.display) {
            progress.filling(self.filled, self.fill_total);
        }
    }

    fn filled(&mut self, tally: &Tally) {
        let missing = tally.counts.errors + tally.counts.lost;
        if missing == 0 {
            return;
        }
        let lines = tally.error_lines();
        let trouble =
            tally.troubles().map(|(trouble, _, text)| format!("{}: {text}", trouble.name()));
        let why = lines.into_iter().map(|(line, _)| line).chain(trouble).next().unwrap_or_default();
        self.note(&format!("--fill: {missing} keys were not stored ({why})"));
    }

    fn begins(&mut self, measured: Instant) {
        self.measured = measured;
        let display = Arc::clone(&self.display);
        let hooks = self.plan.hooks.clone();
        self.hooks = Some(Hooks::start(hooks, measured, move |line| note(&display, line)));
    }

    fn measuring(&mut self) {
        self.at_begin = self.sample();
    }

    fn second(&mut self, second: &mut Second) {
        if let Pace::Rate(profile, _) = &self.plan.pace {
            let at = Duration::try_from_secs_f64(second.at_s).unwrap_or_default();
            second.target_rate = Some(profile.rate_at(nanos(at)));
        }
        if let Some(progress) = &mut *lock(&self.display) {
            progress.second(second);
        }
    }

    fn measured(&mut self) {
        self.at_end = self.sample();
    }
}

/// Connections that do nothing when all stand and the load has not begun; 0 where nobody asked for
/// idle ones.
fn idle_at_first(run: &RunSettings) -> u32 {
    let lanes = if run.is_connect_per_request { 0 } else { run.connections };
    if run.idle_connections > 0 { run.idle_connections + lanes } else { 0 }
}

fn lock(display: &Mutex<Option<Progress>>) -> MutexGuard<'_, Option<Progress>> {
    display.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(display: &Mutex<Option<Progress>>, text: &str) {
    if let Some(progress) = &mut *lock(display) {
        progress.note(text);
    }
}

/// The steps of the rate that were reached in a run of this length.
fn profile_marks(plan: &Plan, measured_s: f64) -> Vec<Mark> {
    let Pace::Rate(profile, _) = &plan.pace else { return Vec::new() };
    let is_reached = |at| super::collect::seconds(at) < measured_s;
    let steps = profile.steps().iter().filter(|it| it.at > 0 && is_reached(it.at));
    let mark = |at| Mark {
        at_s: super::collect::seconds(at),
        source: MarkSource::Profile,
        text: format!("rate {}/s", crate::workload::quantity::rate_text(profile.rate_at(at))),
    };
    steps.map(|step| mark(step.at)).collect()
}
