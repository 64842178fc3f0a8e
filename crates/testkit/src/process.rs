use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait_until;

/// A child process that is killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Reaped(pub(crate) Child);

impl Reaped {
    /// How it has ended, if it has.
    pub(crate) fn try_exit(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child of ours can be waited for")
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        wait_until("the process to end", patience, || self.try_exit())
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Sends a signal to the process with this id.
///
/// # Panics
/// When there is no such process.
pub fn signal(pid: u32, signal: Signal) {
    let raw = i32::try_from(pid).expect("process ids are small");
    let pid = Pid::from_raw(raw).expect("a process id is above 0");
    kill_process(pid, signal).unwrap_or_else(|error| panic!("failed to signal {raw}: {error}"));
}

/// Resident memory of the process with this id, in bytes.
///
/// # Panics
/// When it has ended.
#[must_use]
pub fn rss_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmRSS:")
}

/// The most resident memory that the process with this id has had so far, in bytes.
///
/// # Panics
/// When it has ended.
#[must_use]
pub fn peak_rss_bytes(pid: u32) -> u64 {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> u64 {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("failed to read {path}: {error}"));
    let value =
        |line: &str| line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
    status.lines().find_map(value).unwrap_or_else(|| panic!("no {name} in {path}")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other tests allocate meanwhile, so only what this one holds is sure.
    #[test]
    fn memory_once_held_stays_in_the_peak() {
        const HELD: u64 = 32 << 20;
        let pid = std::process::id();
        let memory = vec![1_u8; 32 << 20];
        assert!(rss_bytes(pid) >= HELD);
        drop(std::hint::black_box(memory));
        assert!(peak_rss_bytes(pid) >= HELD);
    }
}
