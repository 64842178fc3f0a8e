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

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of Linux 6.18, with a name that imitates the end of one.
    const LINE: &str = "11563 (a b) R 9 (c) S 11560 11560 30154 0 -1 4194304 101 0 0 0 25 75 11 28 \
                        20 0 1 0 1248847 3133440 394 18446744073709551615 94 93 1 0 0 0 0 0";

    #[test]
    fn stat_is_read_behind_the_name_whatever_that_holds() {
        let expected = ProcessStat {
            parent: 11560,
            own_ticks: 100,
            waited_ticks: 39,
            started_ticks: 1_248_847,
            is_zombie: false,
        };
        assert_eq!(stat(LINE), Ok(expected));
        let zombie = stat(&LINE.replace(") S ", ") Z "));
        assert_eq!(zombie, Ok(ProcessStat { is_zombie: true, ..expected }));
    }

    #[test]
    fn a_stat_that_is_cut_or_no_number_says_what_is_missing() {
        assert_eq!(stat("1 cat"), Err(Malformed("name")));
        assert_eq!(stat("1 (cat) S"), Err(Malformed("ppid")));
        assert_eq!(stat("1 (cat) S 1 1 1 0 -1 4194304 101 0 0 0 25"), Err(Malformed("stime")));
        assert_eq!(stat(&LINE.replace(" 25 ", " x ")), Err(Malformed("utime")));
    }

    #[test]
    fn run_time_is_the_first_number() {
        assert_eq!(run_time("202847140 13276135 57\n"), Ok(Duration::from_nanos(202_847_140)));
        assert_eq!(run_time(""), Err(Malformed("run time")));
    }

    #[test]
    fn memory_is_in_kilobytes_and_none_is_none() {
        let status = "Name:\tcat\nVmPeak:\t 9 kB\nVmHWM:\t    1540 kB\nVmRSS:\t    1024 kB\n";
        let expected = Memory { resident_bytes: 1 << 20, resident_peak_bytes: 1540 * 1024 };
        assert_eq!(memory(status), Ok(expected));
        assert_eq!(memory("Name:\tkthreadd\n"), Ok(Memory::default()));
        assert_eq!(memory("VmRSS:\t 12 MB\n"), Err(Malformed("VmRSS")));
    }
}
