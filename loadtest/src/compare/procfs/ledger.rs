use std::collections::HashMap;
use std::time::Duration;

use super::ProcessStat;

/// A process as it was found.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Its id.
    pub pid: u32,
    /// What its `stat` says.
    pub stat: ProcessStat,
    /// User and system time of the threads that it has now, where the kernel tells.
    pub threads: Option<Duration>,
}

/// Adds up the CPU time of processes that come and go.
///
/// The nanoseconds of `schedstat` are of the living threads only, and those of an exited thread are
/// gone; the ticks of `stat` keep everything, to a tick of user and one of system time. So the
/// nanoseconds count for a process as long as the ticks agree with them, and the ticks where
/// threads have exited.
///
/// A child that ended and was waited for is found again in its parent's `cutime`: what that grew by
/// beyond what was known of the children that went is what they used since.
#[derive(Debug)]
pub struct Ledger {
    tick: Duration,
    known: HashMap<u32, Seen>,
    cpu: Duration,
}

impl Ledger {
    /// Counts from what `seen` have used so far.
    pub fn new(tick: Duration, seen: Vec<Seen>) -> Self {
        let known = seen.into_iter().map(|it| (it.pid, it)).collect();
        Self { tick, known, cpu: Duration::ZERO }
    }

    /// Whether this process is one that was there at the last look.
    pub fn knows(&self, pid: u32, stat: &ProcessStat) -> bool {
        self.known.get(&pid).is_some_and(|known| known.stat.started_ticks == stat.started_ticks)
    }

    /// Takes in all processes that there are now; returns what was used since [`Self::new`].
    pub fn look(&mut self, seen: Vec<Seen>) -> Duration {
        let mut waited_ticks = 0;
        let mut now_known = HashMap::with_capacity(seen.len());
        for now in seen {
            let before = self.known.remove(&now.pid).filter(|it| is_same(it, &now));
            self.cpu += self.own(before.as_ref(), &now);
            let waited_before = before.map_or(0, |before| before.stat.waited_ticks);
            waited_ticks += now.stat.waited_ticks.saturating_sub(waited_before);
            now_known.insert(now.pid, now);
        }
        let gone = self.known.values();
        let gone_ticks: u64 = gone.map(|it| it.stat.own_ticks + it.stat.waited_ticks).sum();
        self.cpu += self.ticks(waited_ticks.saturating_sub(gone_ticks));
        self.known = now_known;
        self.cpu
    }

    /// What a process has used itself since it was `before`.
    fn own(&self, before: Option<&Seen>, now: &Seen) -> Duration {
        let ticks_before = before.map_or(0, |before| before.stat.own_ticks);
        let by_ticks = self.ticks(now.stat.own_ticks.saturating_sub(ticks_before));
        let threads_before = before.map_or(Some(Duration::ZERO), |before| before.threads);
        let by_threads = now
            .threads
            .zip(threads_before)
            .and_then(|(threads, before)| threads.checked_sub(before));
        by_threads.filter(|it| it.abs_diff(by_ticks) <= 2 * self.tick).unwrap_or(by_ticks)
    }

    fn ticks(&self, count: u64) -> Duration {
        self.tick.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Whether these are of one process, and not of two that had the same id.
fn is_same(one: &Seen, other: &Seen) -> bool {
    one.stat.started_ticks == other.stat.started_ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    fn seen(pid: u32, own_ticks: u64, waited_ticks: u64, threads_ms: f64) -> Seen {
        let started_ticks = u64::from(pid) * 100;
        let stat =
            ProcessStat { parent: 1, own_ticks, waited_ticks, started_ticks, is_zombie: false };
        Seen { pid, stat, threads: Some(Duration::from_secs_f64(threads_ms / 1000.0)) }
    }

    #[test]
    fn nanoseconds_count_while_the_ticks_agree() {
        let mut ledger = Ledger::new(TICK, vec![seen(1, 100, 0, 1003.25)]);
        assert_eq!(ledger.look(vec![seen(1, 105, 0, 1067.5)]), Duration::from_micros(64_250));
        assert_eq!(ledger.look(vec![seen(1, 106, 0, 1067.5)]), Duration::from_micros(64_250));
    }

    #[test]
    fn ticks_count_where_a_thread_has_exited() {
        // One thread of 500 ms went: the sum over those that live falls.
        let mut ledger = Ledger::new(TICK, vec![seen(1, 100, 0, 1000.0)]);
        assert_eq!(ledger.look(vec![seen(1, 160, 0, 600.0)]), Duration::from_millis(600));
        // One came and went in between: the sum does not fall, but is far from the ticks.
        assert_eq!(ledger.look(vec![seen(1, 200, 0, 650.0)]), Duration::from_millis(1000));
        // Without the kernel's help there are only ticks.
        let blind = Seen { threads: None, ..seen(1, 207, 0, 0.0) };
        assert_eq!(ledger.look(vec![blind]), Duration::from_millis(1070));
    }

    #[test]
    fn a_child_that_was_waited_for_is_counted_to_its_end_and_once() {
        let mut ledger = Ledger::new(TICK, vec![seen(1, 0, 50, 0.0), seen(2, 100, 0, 1000.0)]);
        let before_it_ends = ledger.look(vec![seen(1, 0, 50, 0.0), seen(2, 140, 0, 1400.0)]);
        assert_eq!(before_it_ends, Duration::from_millis(400));
        // It used another 30 ticks, and ended: its 170 are in the 50 + 170 of its parent.
        let after = ledger.look(vec![seen(1, 0, 220, 0.0)]);
        assert_eq!(after, Duration::from_millis(700));
        // Another came, used 25 ticks, and ended between two looks.
        assert_eq!(ledger.look(vec![seen(1, 0, 245, 0.0)]), Duration::from_millis(950));
    }

    #[test]
    fn a_child_that_nobody_waits_for_takes_nothing_with_it() {
        let mut ledger = Ledger::new(TICK, vec![seen(1, 0, 0, 0.0)]);
        let worker = ledger.look(vec![seen(1, 10, 0, 100.0), seen(2, 40, 0, 400.0)]);
        assert_eq!(worker, Duration::from_millis(500), "a new one counts from its start");
        assert_eq!(ledger.look(vec![seen(1, 10, 0, 100.0)]), worker);
    }

    #[test]
    fn an_id_that_is_used_again_is_another_process() {
        let mut ledger = Ledger::new(TICK, vec![seen(1, 0, 0, 0.0), seen(2, 500, 0, 5000.0)]);
        let mut other = seen(2, 3, 0, 30.0);
        other.stat.started_ticks += 1;
        assert!(!ledger.knows(2, &other.stat));
        assert_eq!(ledger.look(vec![seen(1, 0, 0, 0.0), other]), Duration::from_millis(30));
        assert!(ledger.knows(2, &other.stat));
    }
}
