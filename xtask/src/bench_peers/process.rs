use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::interrupt::Interrupt;

/// How long a server may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// A server in a process group of its own, so that a terminal's Ctrl-C does not reach it; it is
/// killed with all its children when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it, its output in `log`, and waits until it listens on `port` of 127.0.0.1.
    ///
    /// # Errors
    /// When it does not, with the end of what it said.
    pub fn start(
        name: &str,
        command: &mut Command,
        log: PathBuf,
        port: u16,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().with_context(|| format!("failed to start {name}"))?;
        let mut process = Self { child, name: name.to_owned(), log };
        process.wait_for(port, interrupt)?;
        Ok(process)
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_for(&mut self, port: u16, interrupt: &Interrupt) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIME_MAX;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start with {status}: {}", self.name, end_of(&self.log));
            }
            if interrupt.is_set() {
                bail!("interrupted");
            }
            if Instant::now() > deadline {
                bail!("{} does not listen on port {port}: {}", self.name, end_of(&self.log));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group cannot be another's: its first process is not waited for yet. Both fail only
        // where it has ended already.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The last lines of a log in one.
fn end_of(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.len().saturating_sub(3);
    if lines.is_empty() { "it says nothing".to_owned() } else { lines[last..].join(" / ") }
}
