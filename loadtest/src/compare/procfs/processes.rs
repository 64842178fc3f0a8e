use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::time::Duration;

use thiserror::Error;

use super::ledger::{Ledger, Seen};
use super::parse::{self, Malformed, Memory, ProcessStat};
use crate::report::ServerFacts;

/// What processes have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time since [`Processes::new`]; never less than in an earlier sample.
    pub cpu: Duration,
    /// Sum of their resident memory. What processes share counts for each of them.
    pub resident_bytes: u64,
    /// Sum of the peaks of their resident memory, over their lives.
    pub resident_peak_bytes: u64,
}

/// Why processes could not be looked at.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProcfsError {
    #[error("--server-pid {0}: there is no such process here; give the id of a running one")]
    NoSuchProcess(u32),
    #[error("--server-pid {0}: the process ended during the run")]
    Vanished(u32),
    #[error("--server-pid {0}: this load test descends from it; give the server's own id")]
    Ancestor(u32),
    #[error("failed to read {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("failed to understand {path}: {source}")]
    Malformed { path: String, source: Malformed },
}

/// Processes and their descendants, whose CPU time and memory are added up. A descendant may come
/// and go, and stays one when its parent ends.
#[derive(Debug)]
pub struct Processes {
    named: BTreeSet<u32>,
    ledger: Ledger,
}

impl Processes {
    /// Looks at the processes with these ids and at all that descend from them, now or later.
    ///
    /// # Errors
    /// When one of them is not there or may not be looked at.
    pub fn new(pids: impl IntoIterator<Item = u32>) -> Result<Self, ProcfsError> {
        let named: BTreeSet<u32> = pids.into_iter().collect();
        let table = process_table()?;
        if let Some(&missing) = named.iter().find(|pid| !lives(&table, **pid)) {
            return Err(ProcfsError::NoSuchProcess(missing));
        }
        let members = family(&table, &named);
        let own = std::process::id();
        if members.contains(&own) && !named.contains(&own) {
            let ancestor = named.iter().find(|it| family(&table, &[**it].into()).contains(&own));
            return Err(ProcfsError::Ancestor(ancestor.copied().unwrap_or_default()));
        }
        let tick = Duration::from_secs(1) / tick_rate();
        let ledger = Ledger::new(tick, look(&table, &members)?);
        Ok(Self { named, ledger })
    }

    /// What they have used by now.
    ///
    /// # Errors
    /// When one of those named has ended; a descendant may.
    pub fn sample(&mut self) -> Result<Usage, ProcfsError> {
        let table = process_table()?;
        let is_there = |pid: u32| {
            lives(&table, pid) && table.get(&pid).is_some_and(|it| self.ledger.knows(pid, it))
        };
        if let Some(&gone) = self.named.iter().find(|pid| !is_there(**pid)) {
            return Err(ProcfsError::Vanished(gone));
        }
        let followed = table.iter().filter(|(pid, stat)| self.ledger.knows(**pid, stat));
        let members = family(&table, &followed.map(|(pid, _)| *pid).collect());
        let mut usage =
            Usage { cpu: self.ledger.look(look(&table, &members)?), ..Usage::default() };
        for pid in members {
            let path = format!("/proc/{pid}/status");
            let memory = read(&path, parse::memory)?.unwrap_or_default();
            let Memory { resident_bytes, resident_peak_bytes } = memory;
            usage.resident_bytes += resident_bytes;
            usage.resident_peak_bytes += resident_peak_bytes;
        }
        Ok(usage)
    }
}

/// What a run cost the processes: the difference of the samples around it, `measured` apart.
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

/// Growth of resident memory for each of `connections` that were opened between two samples and do
/// nothing; `None` where there are none.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]
pub fn bytes_per_idle_connection(before: &Usage, after: &Usage, connections: u32) -> Option<f64> {
    let grown = after.resident_bytes as f64 - before.resident_bytes as f64;
    (connections > 0).then(|| grown / f64::from(connections))
}

/// Every process of this machine that we may see.
fn process_table() -> Result<BTreeMap<u32, ProcessStat>, ProcfsError> {
    let mut table = BTreeMap::new();
    for pid in numbers_in("/proc")?.unwrap_or_default() {
        if let Some(stat) = read(&format!("/proc/{pid}/stat"), parse::stat)? {
            table.insert(pid, stat);
        }
    }
    Ok(table)
}

fn lives(table: &BTreeMap<u32, ProcessStat>, pid: u32) -> bool {
    table.get(&pid).is_some_and(|stat| !stat.is_zombie)
}

/// `heads` and all that descend from them.
fn family(table: &BTreeMap<u32, ProcessStat>, heads: &BTreeSet<u32>) -> BTreeSet<u32> {
    let mut members = heads.clone();
    let mut parents: Vec<u32> = heads.iter().copied().collect();
    while let Some(parent) = parents.pop() {
        let children = table.iter().filter(|(_, stat)| stat.parent == parent);
        parents.extend(children.map(|(pid, _)| *pid).filter(|pid| members.insert(*pid)));
    }
    members
}

fn look(
    table: &BTreeMap<u32, ProcessStat>,
    members: &BTreeSet<u32>,
) -> Result<Vec<Seen>, ProcfsError> {
    let mut seen = Vec::with_capacity(members.len());
    for &pid in members {
        if let Some(&stat) = table.get(&pid) {
            seen.push(Seen { pid, stat, threads: run_time_of_threads(pid)? });
        }
    }
    Ok(seen)
}

/// The CPU time of the threads that a process has now; `None` where the kernel does not tell.
fn run_time_of_threads(pid: u32) -> Result<Option<Duration>, ProcfsError> {
    let directory = format!("/proc/{pid}/task");
    let mut sum = None;
    for thread in numbers_in(&directory)?.unwrap_or_default() {
        if let Some(time) = read(&format!("{directory}/{thread}/schedstat"), parse::run_time)? {
            sum = Some(sum.unwrap_or(Duration::ZERO) + time);
        }
    }
    Ok(sum)
}

/// The entries of a directory of /proc that are numbers; `None` where it has gone.
fn numbers_in(directory: &str) -> Result<Option<Vec<u32>>, ProcfsError> {
    let failed = |source| ProcfsError::Read { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if has_gone(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => {
                numbers.extend(entry.file_name().to_str().and_then(|it| it.parse::<u32>().ok()))
            }
            Err(error) if has_gone(&error) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(Some(numbers))
}

/// What is in a file of /proc; `None` where its process or thread has gone.
fn read<T>(
    path: &str,
    parse: impl FnOnce(&str) -> Result<T, Malformed>,
) -> Result<Option<T>, ProcfsError> {
    // A program's name need not be UTF-8.
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if has_gone(&error) => return Ok(None),
        Err(source) => return Err(ProcfsError::Read { path: path.to_owned(), source }),
    };
    let parsed = parse(&String::from_utf8_lossy(&bytes));
    parsed.map(Some).map_err(|source| ProcfsError::Malformed { path: path.to_owned(), source })
}

/// A process or thread that ends while it is read gives ESRCH; one that ended before is not there.
fn has_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Ticks in a second.
fn tick_rate() -> u32 {
    u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100).max(1)
}

#[cfg(test)]
#[path = "processes_tests.rs"]
mod tests;
