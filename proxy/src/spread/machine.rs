//! What the kernel tells of the machine: idle CPUs, and threads that wait for one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Below this much time between two readings, the kernel's 10 ms steps say too little.
const INTERVAL_MIN: Duration = Duration::from_millis(190);
/// A reading older than this says nothing about now.
const INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Reads the machine's idle time, from the kernel's own sum over all CPUs.
#[derive(Debug, Default)]
pub struct IdleCpus {
    /// When, and the idle time until then.
    last: Option<(Instant, Duration)>,
    known: Option<u32>,
}

impl IdleCpus {
    /// Idle CPUs since a moment ago, in thousandths of one; `None` where the system does not tell, and
    /// nothing idle until there are two readings to compare.
    pub fn sample(&mut self, now: Instant) -> Option<u32> {
        let idle = parse(&std::fs::read_to_string("/proc/uptime").ok()?)?;
        self.sampled(now, idle)
    }

    fn sampled(&mut self, now: Instant, idle: Duration) -> Option<u32> {
        let Some((then, idle_then)) = self.last else {
            self.last = Some((now, idle));
            return Some(0);
        };
        let interval = now.saturating_duration_since(then);
        if interval >= INTERVAL_MIN {
            let share = idle.saturating_sub(idle_then).as_micros() * 1000 / interval.as_micros();
            self.known = u32::try_from(share).ok().filter(|_| interval <= INTERVAL_MAX);
            self.last = Some((now, idle));
        }
        Some(self.known.unwrap_or(0))
    }
}

/// What the scheduler counts of a thread.
#[derive(Debug)]
pub struct Schedstat(PathBuf);

impl Schedstat {
    /// The calling thread's.
    pub fn of_this_thread() -> Self {
        let thread = rustix::thread::gettid().as_raw_nonzero();
        Self(format!("/proc/self/task/{thread}/schedstat").into())
    }

    /// How long it could have run and had no CPU, since it began; `None` where nobody counts.
    pub fn waited(&self) -> Option<Duration> {
        let schedstat = std::fs::read_to_string(&self.0).ok()?;
        let nanos = schedstat.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    }
}

/// The second number of `/proc/uptime`: idle seconds, summed over the CPUs.
fn parse(uptime: &str) -> Option<Duration> {
    let idle = uptime.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Duration::try_from_secs_f64(idle).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::thread::CpuSet;

    use super::*;

    #[test]
    fn the_kernel_s_sum_is_read() {
        assert_eq!(parse("5017.71 9874.53\n"), Some(Duration::from_millis(9_874_530)));
        for broken in ["", "5017.71", "1 -3", "1 many"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    /// Where the kernel does not count, there is nothing to test.
    #[test]
    fn a_thread_that_another_keeps_from_running_has_waited() {
        let schedstat = Schedstat::of_this_thread();
        let Some(before) = schedstat.waited() else { return };
        share_one_cpu();
        let is_over = AtomicBool::new(false);
        let deadline = Instant::now() + Duration::from_secs(60);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let mut waited = Duration::ZERO;
            while waited < Duration::from_millis(20) && Instant::now() < deadline {
                waited = schedstat.waited().unwrap() - before;
            }
            is_over.store(true, Ordering::Relaxed);
            assert!(waited >= Duration::from_millis(20), "{waited:?}");
        });
    }

    /// Keeps this thread, and those that it starts, to one CPU: how many there are does not tell how
    /// many a container may use.
    fn share_one_cpu() {
        let mut cpus = rustix::thread::sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| cpus.is_set(cpu)).unwrap();
        cpus.clear();
        cpus.set(first);
        rustix::thread::sched_setaffinity(None, &cpus).unwrap();
    }

    #[test]
    fn idle_cpus_are_those_of_the_last_moments() {
        let (mut cpus, start) = (IdleCpus::default(), Instant::now());
        let mut at = |millis: u64, idle: u64| {
            let now = start + Duration::from_millis(millis);
            cpus.sampled(now, Duration::from_millis(idle))
        };
        assert_eq!(at(0, 5_000), Some(0), "nothing to compare with");
        assert_eq!(at(50, 5_050), Some(0), "too little time");
        assert_eq!(at(200, 5_300), Some(1500));
        assert_eq!(at(250, 5_300), Some(1500));
        assert_eq!(at(400, 5_320), Some(100));
        assert_eq!(at(9_000, 9_000), Some(0), "too long ago");
        assert_eq!(at(9_200, 9_100), Some(500));
    }
}
