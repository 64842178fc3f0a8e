use std::fmt;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::Hook;
use crate::report::{Mark, MarkSource};

/// Bytes of a line that a hook writes; a longer one is told in parts.
const LINE_BYTES_MAX: u64 = 4096;

/// How long the last lines of a hook that has ended are waited for: what it left in the background
/// may hold its output open for ever.
const LAST_LINES_TIME_MAX: Duration = Duration::from_secs(2);

/// Hooks that run at their times, each on a thread of its own.
#[derive(Debug)]
pub struct Hooks {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Hooks {
    /// Runs `plan` from now on; `origin` is the begin of the measured part, and may be to come.
    ///
    /// `note` gets lines for people: what a hook writes, and how it ends. It is called from several
    /// threads, one at a time.
    pub fn start(
        plan: Vec<Hook>,
        origin: Instant,
        note: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        let state = State { is_over: false, running: 0, groups: Vec::new(), marks: Vec::new() };
        let shared = Arc::new(Shared {
            origin,
            state: Mutex::new(state),
            changed: Condvar::new(),
            note: Mutex::new(Box::new(note)),
        });
        let mut threads = Vec::with_capacity(plan.len());
        for hook in plan {
            let name = named(&hook);
            let of_thread = Arc::clone(&shared);
            let thread = thread::Builder::new().name("hook".to_owned());
            match thread.spawn(move || of_thread.run(&hook)) {
                Ok(thread) => threads.push(thread),
                Err(error) => shared.mark(&format!("{name} did not begin: no thread: {error}")),
            }
        }
        Self { shared, threads }
    }

    /// Ends with the run: what has not begun never will, what still runs is waited for up to
    /// `patience` and then killed with all its children. What a hook that has ended left in the
    /// background stays. The marks are in the order of their time.
    #[must_use]
    pub fn finish(self, patience: Duration) -> Vec<Mark> {
        let mut state = self.shared.state();
        state.is_over = true;
        self.shared.changed.notify_all();
        let waited = self.shared.changed.wait_timeout_while(state, patience, |it| it.running > 0);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        for group in &mut state.groups {
            group.is_killed = true;
            // The group is there as long as its first process, which is not waited for before it
            // leaves this list.
            let _ = rustix::process::kill_process_group(group.pid, Signal::KILL);
        }
        drop(state);
        for thread in self.threads {
            // A panic has told of itself.
            let _ = thread.join();
        }
        let mut marks = std::mem::take(&mut self.shared.state().marks);
        marks.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        marks
    }
}

/// What the threads share.
struct Shared {
    origin: Instant,
    state: Mutex<State>,
    changed: Condvar,
    note: Mutex<Note>,
}

/// Gets lines for people.
type Note = Box<dyn FnMut(&str) + Send>;

#[derive(Debug)]
struct State {
    /// No hook begins any more.
    is_over: bool,
    running: usize,
    groups: Vec<Group>,
    marks: Vec<Mark>,
}

/// The process group of a running hook.
#[derive(Debug)]
struct Group {
    pid: Pid,
    is_killed: bool,
}

impl Shared {
    /// A hook's thread.
    fn run(self: &Arc<Self>, hook: &Hook) {
        let name = named(hook);
        if !self.wait_until(self.origin + hook.at) {
            self.note(&format!("{name} did not begin: the run ended before"));
            return;
        }
        let began = Instant::now();
        match start(hook) {
            Ok((child, output)) => {
                let pid = Pid::from_child(&child);
                self.state().groups.push(Group { pid, is_killed: false });
                self.mark(&format!("{name} began"));
                let heard = self.hear(hook, output);
                let ended = self.wait(child, pid);
                // Its last lines come before the word of its end.
                let _ = heard.recv_timeout(LAST_LINES_TIME_MAX);
                let took_s = began.elapsed().as_secs_f64();
                self.mark(&format!("{name} {} after {took_s:.1} s", told(ended)));
            }
            Err(error) => self.mark(&format!("{name} did not begin: {error}")),
        }
        self.state().running -= 1;
        self.changed.notify_all();
    }

    /// Waits for the moment, and then counts as running; `false` when the run is over before.
    fn wait_until(&self, moment: Instant) -> bool {
        let mut state = self.state();
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if state.is_over {
                return false;
            }
            if left.is_zero() {
                state.running += 1;
                return true;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the hook's shell has ended. It is reaped under the lock, so that a kill of its
    /// group cannot meet another that got its id.
    fn wait(&self, mut child: Child, pid: Pid) -> io::Result<(ExitStatus, bool)> {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(error) = rustix::process::waitid(WaitId::Pid(pid), ended) {
            if error != rustix::io::Errno::INTR {
                break;
            }
        }
        let mut state = self.state();
        let is_killed = state.groups.iter().any(|group| group.pid == pid && group.is_killed);
        state.groups.retain(|group| group.pid != pid);
        Ok((child.wait()?, is_killed))
    }

    /// Tells every line of a hook's output; the receiver wakes at its end.
    fn hear(self: &Arc<Self>, hook: &Hook, output: PipeReader) -> Receiver<()> {
        let (end, ended) = mpsc::channel();
        let prefix = format!("[--at {}]", told_time(hook.at));
        let shared = Arc::clone(self);
        let hear = move |end: Sender<()>| {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while matches!((&mut output).take(LINE_BYTES_MAX).read_until(b'\n', &mut line), Ok(1..))
            {
                let text = String::from_utf8_lossy(&line);
                shared.note(&format!("{prefix} {}", text.trim_end()));
                line.clear();
            }
            drop(end);
        };
        // Without a thread its output is lost, and all else goes on.
        let _ = thread::Builder::new().name("hook-output".to_owned()).spawn(move || hear(end));
        ended
    }

    /// Something that belongs into the report and is told.
    fn mark(&self, text: &str) {
        let now = Instant::now();
        let at_s = now.saturating_duration_since(self.origin).as_secs_f64()
            - self.origin.saturating_duration_since(now).as_secs_f64();
        let mark = Mark { at_s, source: MarkSource::Hook, text: text.to_owned() };
        self.state().marks.push(mark);
        self.note(text);
    }

    fn note(&self, line: &str) {
        (*self.note.lock().unwrap_or_else(PoisonError::into_inner))(line);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

/// A shell in a process group of its own, out of reach of the terminal's Ctrl-C, and both its
/// outputs in one.
fn start(hook: &Hook) -> io::Result<(Child, PipeReader)> {
    let (output, input) = io::pipe()?;
    let child = Command::new("sh")
        .args(["-c", &hook.command])
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        .process_group(0)
        .spawn()?;
    Ok((child, output))
}

fn named(hook: &Hook) -> String {
    format!("--at {} '{}'", told_time(hook.at), hook.command)
}

fn told_time(at: Duration) -> String {
    format!("{}s", at.as_secs_f64())
}

fn told(ended: io::Result<(ExitStatus, bool)>) -> String {
    match ended {
        Ok((_, true)) => "was killed at the end of the run".to_owned(),
        Ok((status, false)) => match (status.code(), status.signal()) {
            (Some(0), _) => "ended".to_owned(),
            (Some(code), _) => format!("failed with exit status {code}"),
            (None, signal) => format!("was ended by signal {}", signal.unwrap_or_default()),
        },
        Err(error) => format!("ended, its status is unknown: {error}"),
    }
}

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;
