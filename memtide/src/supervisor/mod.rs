//! The node processes of `memtide serve --nodes processes=N`: started, watched, replaced.

mod children;
mod roster;

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memtide_service::events::{EventKind, Events};
use memtide_topology::Zone;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::children::Children;
use self::roster::{Roster, Start};

/// What the processes are, and whom their ends are told.
pub struct Plan {
    /// How many.
    pub count: usize,
    /// Given to them in turn; not empty.
    pub zones: Vec<Zone>,
    /// Arguments of every one; `--zone` and `--parent` are added.
    pub arguments: Vec<OsString>,
    /// Called with the token of one that has ended.
    pub on_death: Box<dyn Fn(u64) + Send>,
    pub events: Events,
}

/// A process that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub token: u64,
    pub pid: u32,
    pub zone: Zone,
}

/// The processes that run now; clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<Mutex<Vec<Process>>>);

impl Running {
    /// All of them.
    pub fn all(&self) -> Vec<Process> {
        self.lock().clone()
    }

    /// Has all of them read their certificates again.
    pub fn reload(&self) {
        for process in self.all() {
            let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
            // One that has ended meanwhile is not waited for yet, so its id is nobody else's.
            pid.map(|pid| kill_process(pid, Signal::HUP));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Process>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the processes running; when it is dropped, they are killed.
pub struct Supervisor {
    plan: Plan,
    roster: Roster,
    children: Children,
    running: Running,
    ends: unix::Signal,
    origin: Instant,
}

impl Supervisor {
    /// Starts all of them. Within a runtime whose thread is the main one, see [`Children::start`];
    /// [`Self::run`] goes on there.
    ///
    /// # Errors
    /// When the system refuses to tell of children that end.
    pub fn start(plan: Plan) -> io::Result<Self> {
        // Before the first is started, or its end might be missed.
        let ends = signal(SignalKind::child())?;
        let roster = Roster::new(plan.count, &plan.zones, crate::random());
        let (children, running) = (Children::default(), Running::default());
        let mut supervisor = Self { plan, roster, children, running, ends, origin: Instant::now() };
        supervisor.start_due();
        Ok(supervisor)
    }

    /// The processes that run.
    pub fn running(&self) -> Running {
        self.running.clone()
    }

    /// Replaces those that end, for ever.
    pub async fn run(mut self) {
        loop {
            let timeout = self.roster.next_timeout().map(|at| self.origin + at);
            tokio::select! {
                _ = self.ends.recv() => {}
                () = sleep_until(timeout.unwrap_or(self.origin)), if timeout.is_some() => {}
            }
            for (token, status) in self.children.reap() {
                self.ended(token, status);
            }
            self.start_due();
        }
    }

    fn start_due(&mut self) {
        while let Some(start) = self.roster.next_start(self.origin.elapsed()) {
            match self.children.start(start.token, self.arguments(&start)) {
                Ok(pid) => {
                    let Start { token, zone } = start;
                    tracing::info!(pid, %zone, "started a node process");
                    let text = format!("process {pid} in zone {zone}");
                    self.plan.events.record(EventKind::NodeStarted, text);
                    self.running.lock().push(Process { token, pid, zone });
                }
                Err(error) => {
                    let delay = self.roster.ended(self.origin.elapsed(), start.token);
                    let retry_ms = delay.unwrap_or_default().as_millis();
                    tracing::error!(%error, retry_ms, "failed to start a node process");
                }
            }
        }
    }

    fn arguments(&self, start: &Start) -> Vec<OsString> {
        let mut arguments = self.plan.arguments.clone();
        let parent = format!("{}/{}", std::process::id(), start.token);
        let own = ["--zone", start.zone.name(), "--parent", &parent];
        arguments.extend(own.map(OsString::from));
        arguments
    }

    fn ended(&mut self, token: u64, status: ExitStatus) {
        // First of all: until the scaler knows, its slots have nobody.
        (self.plan.on_death)(token);
        let delay = self.roster.ended(self.origin.elapsed(), token).unwrap_or_default();
        let mut running = self.running.lock();
        let Some(place) = running.iter().position(|process| process.token == token) else { return };
        let Process { pid, zone, .. } = running.swap_remove(place);
        let retry_ms = delay.as_millis();
        let text = format!("process {pid} in zone {zone}: {status}");
        self.plan.events.record(EventKind::NodeEnded, text);
        tracing::warn!(pid, %zone, %status, retry_ms, "a node process ended; it is replaced");
    }
}
