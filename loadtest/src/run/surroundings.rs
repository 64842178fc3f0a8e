//! What goes on around a load: the display, hooks, the endpoint's events and processes.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Facts, Measured, RunSettings, Watch};
use crate::compare::procfs::{Processes, Usage, bytes_per_idle_connection, server_facts};
use crate::drive::nanos;
use crate::events::Poller;
use crate::hooks::Hooks;
use crate::measure::Tally;
use crate::plan::{Pace, Plan, Target};
use crate::progress::Progress;
use crate::report::{Mark, MarkSource, Second, ServerFacts};

/// How long a hook that still runs at the end is waited for.
const HOOK_PATIENCE: Duration = Duration::from_secs(10);

/// What goes on around the load: the display, hooks, the endpoint's events and processes.
pub(super) struct Surroundings<'p> {
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
    pub(super) fill_total: u64,
    filled: u64,
}

impl<'p> Surroundings<'p> {
    pub(super) fn new(plan: &'p Plan, target: &Target) -> anyhow::Result<Self> {
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

    pub(super) fn note(&self, text: &str) {
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
    pub(super) fn facts<T>(
        &mut self,
        plan: &Plan,
        measured: &Measured<T>,
        is_stopped: bool,
    ) -> Facts {
        let patience = if is_stopped { Duration::ZERO } else { HOOK_PATIENCE };
        let mut marks = profile_marks(plan, measured.measured_s());
        marks.extend(self.hooks.take().into_iter().flat_map(|it| it.finish(patience)));
        let measured_at = self.measured;
        marks.extend(self.poller.take().into_iter().flat_map(|it| it.finish(measured_at)));
        marks.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        Facts {
            plan: plan.shown.clone(),
            marks,
            server: self.server(measured.measured_s(), measured.replies_in_time()),
        }
    }

    pub(super) fn finish(self) {
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
