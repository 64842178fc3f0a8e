use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::signal::unix::{SignalKind, signal};

/// Ctrl-C and SIGTERM: instead of ending us, they are passed to the child that is waited for.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_set: bool,
    child: Option<Pid>,
}

impl Interrupt {
    /// Takes the signals over, for good.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new() -> anyhow::Result<Self> {
        let interrupt = Self(Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut int, mut term) = {
            let _in_runtime = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let of_thread = interrupt.clone();
        let watch = move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = int.recv() => of_thread.set(),
                        _ = term.recv() => of_thread.set(),
                    }
                }
            });
        };
        thread::Builder::new().spawn(watch).context("failed to start a thread")?;
        Ok(interrupt)
    }

    /// Whether there was a signal.
    pub fn is_set(&self) -> bool {
        self.state().is_set
    }

    /// Waits for a child, which gets the first signal as SIGINT, and is killed with the second.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wait(&self, mut child: Child) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(&child);
        self.watch(pid);
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let wait = || rustix::process::waitid(WaitId::Pid(pid), ended);
        while wait().is_err_and(|error| error == rustix::io::Errno::INTR) {}
        // It is reaped only when no signal can be meant for its id any more.
        self.state().child = None;
        child.wait()
    }

    /// Signals are for this child from now on, and one that came before it was known is too.
    fn watch(&self, pid: Pid) {
        let mut state = self.state();
        state.child = Some(pid);
        if state.is_set {
            let _ = rustix::process::kill_process(pid, Signal::INT);
        }
    }

    fn set(&self) {
        let mut state = self.state();
        let signal = if state.is_set { Signal::KILL } else { Signal::INT };
        state.is_set = true;
        if let Some(pid) = state.child {
            // It is there, or a zombie that takes no harm.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
