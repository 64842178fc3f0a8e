use std::time::Duration;

use thiserror::Error;

/// A file of /proc that does not read as proc(5) has it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("no {0} in it")]
pub struct Malformed(pub &'static str);

/// What `/proc/PID/stat` says, in ticks of `sysconf(_SC_CLK_TCK)`, usually 10 ms. The kernel scales
/// user and system time to the exact sum, and cuts each to whole ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    /// The parent's id.
    pub parent: u32,
    /// User and system time of all threads, those that have exited included.
    pub own_ticks: u64,
    /// The same of children that have ended and were waited for, and of theirs.
    pub waited_ticks: u64,
    /// When it started, in ticks since the machine did: with the id, it names a process for good.
    pub started_ticks: u64,
    /// Whether it has ended and only waits to be waited for.
    pub is_zombie: bool,
}

/// Resident memory, from `/proc/PID/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `VmRSS`, in bytes.
    pub resident_bytes: u64,
    /// `VmHWM`, the most that it ever was, in bytes.
    pub resident_peak_bytes: u64,
}

/// Reads `/proc/PID/stat`.
///
/// # Errors
/// When a field is missing or no number.
pub fn stat(text: &str) -> Result<ProcessStat, Malformed> {
    // The second field is the program's name in parentheses, and may hold any of them itself.
    let (_, after_name) = text.rsplit_once(')').ok_or(Malformed("name"))?;
    // The numbers of the fields are those of proc(5); the third is the first after the name.
    let field = |number: usize, name| {
        after_name.split_ascii_whitespace().nth(number - 3).ok_or(Malformed(name))
    };
    let number = |at, name| field(at, name)?.parse::<u64>().map_err(|_| Malformed(name));
    Ok(ProcessStat {
        parent: field(4, "ppid")?.parse().map_err(|_| Malformed("ppid"))?,
        own_ticks: number(14, "utime")? + number(15, "stime")?,
        waited_ticks: number(16, "cutime")? + number(17, "cstime")?,
        started_ticks: number(22, "starttime")?,
        is_zombie: matches!(field(3, "state")?, "Z" | "X"),
    })
}

/// Reads a thread's `/proc/PID/task/TID/schedstat`: its user and system time to the nanosecond.
/// (`/proc/PID/schedstat` is of the first thread alone.)
///
/// # Errors
/// When it does not begin with a number.
pub fn run_time(text: &str) -> Result<Duration, Malformed> {
    let first = text.split_ascii_whitespace().next();
    let nanos = first.and_then(|first| first.parse().ok()).ok_or(Malformed("run time"))?;
    Ok(Duration::from_nanos(nanos))
}

/// Reads `/proc/PID/status`. A process that has ended, or is the kernel's, has no memory.
///
/// # Errors
/// When a size is not in kB.
pub fn memory(text: &str) -> Result<Memory, Malformed> {
    let bytes = |name, value: &str| {
        let kilobytes = value.trim().strip_suffix(" kB").and_then(|it| it.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes * 1024).ok_or(Malformed(name))
    };
    let mut memory = Memory::default();
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("VmRSS:") {
            memory.resident_bytes = bytes("VmRSS", value)?;
        } else if let Some(value) = line.strip_prefix("VmHWM:") {
            memory.resident_peak_bytes = bytes("VmHWM", value)?;
        }
    }
    Ok(memory)
}
