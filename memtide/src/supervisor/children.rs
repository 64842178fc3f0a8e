//! Processes of this very program, that end when this one does.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The program that runs, whatever stands in its place on disk by now.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Running children by their tokens; killed when dropped.
#[derive(Debug)]
pub struct Children {
    program: &'static str,
    running: Vec<(u64, Child)>,
}

impl Children {
    /// None yet, of a program: [`THIS_PROGRAM`], but for tests.
    pub const fn of(program: &'static str) -> Self {
        Self { program, running: Vec::new() }
    }

    /// Starts one, and gives its process id.
    ///
    /// To be called on the main thread: children ask the system to be killed when the *thread* that
    /// started them ends.
    ///
    /// # Errors
    /// When the system refuses a process.
    pub fn start(
        &mut self,
        token: u64,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> io::Result<u32> {
        let of_systemd = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];
        let own = |name: &OsString| {
            name.to_str().is_some_and(|it| it.starts_with("MEMTIDE_") || of_systemd.contains(&it))
        };
        let inherited = std::env::vars_os().filter(|(name, _)| !own(name));
        let child = Command::new(self.program)
            .arg0("memtide")
            .args(arguments)
            // What this process was told by variables is not for its children.
            .env_clear()
            .envs(inherited)
            // Ctrl-C goes to the terminal's group: the children must outlive the drain.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let pid = child.id();
        self.running.push((token, child));
        Ok(pid)
    }

    /// Sends a signal to one that has not been reaped.
    pub fn signal(&self, token: u64, number: Signal) {
        let its = self.running.iter().find(|(its, _)| *its == token);
        let pid = its.and_then(|(_, child)| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        // One that has ended meanwhile is not waited for yet, so its id is nobody else's.
        pid.map(|pid| kill_process(pid, number));
    }

    /// Takes those that have ended.
    pub fn reap(&mut self) -> Vec<(u64, ExitStatus)> {
        let mut ended = Vec::new();
        self.running.retain_mut(|(token, child)| match child.try_wait() {
            Ok(Some(status)) => {
                ended.push((*token, status));
                false
            }
            // It runs; or the system does not know it, which cannot be of a child that was not waited for.
            Ok(None) | Err(_) => true,
        });
        ended
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            // Fails only where it has ended.
            let _ = child.kill();
        }
        for (_, child) in &mut self.running {
            let _ = child.wait();
        }
    }
}
