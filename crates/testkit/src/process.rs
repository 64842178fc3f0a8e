use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait_until;

/// A child process that is killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Reaped(pub(crate) Child);

impl Reaped {
    /// Waits for it to end by itself.
    pub(crate) fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        let child = &mut self.0;
        wait_until("the process to end", patience, || {
            child.try_wait().expect("a child of ours can be waited for")
        })
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
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("failed to read {path}: {error}"));
    let kib = status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        })
        .unwrap_or_else(|| panic!("no VmRSS in {path}"));
    kib * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        assert!(rss_bytes(std::process::id()) > 100_000);
    }
}
