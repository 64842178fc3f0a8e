//! The node processes of `memtide serve --nodes processes=N` and `processes=A..B`: started, watched, replaced;
//! and of the latter, more and fewer as the scaler says.

mod children;
mod provisioner;
mod roster;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memtide_scaler::{Order, ProvisionError};
use memtide_service::events::{EventKind, Events};
use memtide_topology::Zone;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::children::Children;
pub use self::children::THIS_PROGRAM;
use self::provisioner::{Answer, Ask, What};
pub use self::provisioner::{Asked, ChildProvisioner, Room};
use self::roster::{After, Drained, Ending, Roster, Start};

/// What the processes are, and whom their ends are told.
pub struct Plan {
    /// [`THIS_PROGRAM`], but for tests.
    pub program: &'static str,
    /// Those that are started at once. Instances without a name are not told what they are called.
    pub first: Vec<Order>,
    /// Who may have more started, and some ended; without, there are always as many.
    pub asked: Option<Asked>,
    /// Arguments of every one; what is its own is added.
    pub arguments: Vec<OsString>,
    /// Called with the token of one that has ended.
    pub on_death: Box<dyn Fn(u64) + Send>,
    /// One that is to end and has not is killed after so long.
    pub drain_timeout: Duration,
    pub events: Events,
}

/// A process that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub token: u64,
    pub pid: u32,
    pub zone: Zone,
    /// Empty where it was not told.
    pub instance: String,
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
    /// Who waits for the end of which.
    awaited: Vec<(u64, Answer)>,
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
        let drained = if plan.asked.is_some() { Drained::IsGone } else { Drained::IsReplaced };
        let roster = Roster::new(plan.first.clone(), drained, crate::random());
        let (children, running) = (Children::of(plan.program), Running::default());
        let (origin, awaited) = (Instant::now(), Vec::new());
        let mut supervisor = Self { plan, roster, children, running, ends, origin, awaited };
        supervisor.start_due();
        Ok(supervisor)
    }

    /// The processes that run.
    pub fn running(&self) -> Running {
        self.running.clone()
    }

    /// Replaces those that end, and does what it is asked, for ever.
    pub async fn run(mut self) {
        loop {
            let timeout = self.roster.next_timeout().map(|at| self.origin + at);
            let asked = tokio::select! {
                _ = self.ends.recv() => None,
                () = sleep_until(timeout.unwrap_or(self.origin)), if timeout.is_some() => None,
                ask = next_ask(&mut self.plan.asked) => Some(ask),
            };
            for (token, status) in self.children.reap() {
                self.ended(token, status);
            }
            if let Some(Ask { what, answer }) = asked {
                self.hear(what, answer);
            }
            while let Some(token) = self.roster.next_kill(self.origin.elapsed()) {
                tracing::warn!("a node process that was to end is killed");
                self.children.signal(token, Signal::KILL);
            }
            self.start_due();
        }
    }

    /// Tells where there is room, before anybody hears that something has changed.
    fn show(&self) {
        if let Some(asked) = &self.plan.asked {
            asked.show(self.roster.zones());
        }
    }

    fn hear(&mut self, what: What, answer: Answer) {
        let answered = match what {
            What::Start(order) => self.order(order),
            What::Resize(instance, memory) => self.resize(&instance, memory),
            What::End(instance) => return self.end(&instance, answer),
        };
        self.show();
        // Who asked may have given up.
        let _ = answer.send(answered);
    }

    fn order(&mut self, order: Order) -> Result<(), ProvisionError> {
        let Some(asked) = &self.plan.asked else { return Ok(()) };
        match self.roster.find(&order.instance) {
            Some((_, false)) => return Ok(()),
            Some((_, true)) => {
                return Err(ProvisionError(format!("{} is being ended", order.instance)));
            }
            None => asked.room.check(&order, &self.roster.zones())?,
        }
        let instance = order.instance.clone();
        self.roster.add(order);
        while let Some(start) = self.roster.next_start(self.origin.elapsed()) {
            let (token, is_asked) = (start.token, start.order.instance == instance);
            let Err(error) = self.start_process(start) else { continue };
            if is_asked {
                // It is asked for again by whoever wants it then.
                self.roster.ended(self.origin.elapsed(), token, false);
                self.roster.end(&instance, Duration::ZERO);
                return Err(ProvisionError(format!("failed to start a node process: {error}")));
            }
            self.failed_to_start(token, &error);
        }
        Ok(())
    }

    fn resize(&mut self, instance: &str, memory: u64) -> Result<(), ProvisionError> {
        if let Some(asked) =
            self.plan.asked.as_ref().filter(|_| self.roster.find(instance).is_some())
        {
            asked.room.check_memory(memory)?;
            self.roster.set_memory(instance, memory);
        }
        Ok(())
    }

    fn end(&mut self, instance: &str, answer: Answer) {
        let kill_at = self.origin.elapsed() + self.plan.drain_timeout;
        match self.roster.end(instance, kill_at) {
            Ending::Done => {
                self.show();
                let _ = answer.send(Ok(()));
            }
            Ending::Begins(token) => {
                self.children.signal(token, Signal::TERM);
                self.awaited.push((token, answer));
            }
            Ending::GoesOn(token) => self.awaited.push((token, answer)),
        }
    }

    fn start_due(&mut self) {
        while let Some(start) = self.roster.next_start(self.origin.elapsed()) {
            let token = start.token;
            if let Err(error) = self.start_process(start) {
                self.failed_to_start(token, &error);
            }
        }
    }

    fn start_process(&mut self, start: Start) -> io::Result<()> {
        let arguments = self.arguments(&start);
        let Start { token, order: Order { zone, instance, .. } } = start;
        let pid = self.children.start(token, arguments)?;
        tracing::info!(pid, %zone, instance, "started a node process");
        let text = format!("process {pid} in zone {zone}{}", called(&instance));
        self.plan.events.record(EventKind::NodeStarted, text);
        self.running.lock().push(Process { token, pid, zone, instance });
        Ok(())
    }

    fn failed_to_start(&mut self, token: u64, error: &io::Error) {
        let retry_ms = match self.roster.ended(self.origin.elapsed(), token, false) {
            Some(After::Replaced(delay)) => delay.as_millis(),
            Some(After::Gone) | None => 0,
        };
        tracing::error!(%error, retry_ms, "failed to start a node process");
    }

    fn arguments(&self, start: &Start) -> Vec<OsString> {
        let Start { token, order } = start;
        let mut arguments = self.plan.arguments.clone();
        if order.is_spare {
            arguments.push("--spare".into());
        }
        if !order.instance.is_empty() {
            arguments.extend(["--instance", &order.instance].map(OsString::from));
        }
        let (memory, parent) =
            (order.memory.to_string(), format!("{}/{token}", std::process::id()));
        let own = ["--memory", &memory, "--zone", order.zone.name(), "--parent", &parent];
        arguments.extend(own.map(OsString::from));
        arguments
    }

    fn ended(&mut self, token: u64, status: ExitStatus) {
        // First of all: until the scaler knows, its slots have nobody.
        (self.plan.on_death)(token);
        let after = self.roster.ended(self.origin.elapsed(), token, status.success());
        self.show();
        let is_its = |(its, _): &mut (u64, Answer)| *its == token;
        self.awaited.extract_if(.., is_its).for_each(|(_, answer)| {
            let _ = answer.send(Ok(()));
        });
        let mut running = self.running.lock();
        let Some(place) = running.iter().position(|process| process.token == token) else { return };
        let Process { pid, zone, instance, .. } = running.swap_remove(place);
        let ended = format!("process {pid} in zone {zone}{}: {status}", called(&instance));
        let text = match after {
            Some(After::Replaced(delay)) => {
                let retry_ms = delay.as_millis();
                tracing::warn!(pid, %zone, instance, %status, retry_ms, "a node process ended; it is replaced");
                ended
            }
            Some(After::Gone) | None => {
                tracing::info!(pid, %zone, instance, %status, "a node process ended that is not wanted any more");
                format!("{ended}; it is not replaced")
            }
        };
        self.plan.events.record(EventKind::NodeEnded, text);
    }
}

async fn next_ask(asked: &mut Option<Asked>) -> Ask {
    match asked {
        Some(asked) => asked.next().await,
        None => std::future::pending().await,
    }
}

fn called(instance: &str) -> String {
    if instance.is_empty() { String::new() } else { format!(", called {instance}") }
}
