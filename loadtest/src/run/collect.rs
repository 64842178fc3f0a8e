//! Slices of all threads, drawn together: seconds as they become whole, and the sum.

use std::collections::BTreeMap;

use super::trust;
use crate::drive::Nanos;
use crate::measure::{Seconds, Slice, Tally, Trouble, summary};
use crate::report::Second;

/// What the threads have counted so far.
#[derive(Debug)]
pub(super) struct Collection {
    seconds: Seconds,
    is_open_loop: bool,
    /// Until when each thread has told all; a thread that ended has for ever.
    told_until: Vec<Nanos>,
    begun: BTreeMap<Nanos, Begun>,
    last_boundary: Nanos,
    /// All seconds that are whole.
    pub timeline: Vec<Second>,
    /// The sum over the measured part, with the replies that came after its end.
    pub total: Tally,
    /// Replies that came within the measured part.
    pub replies_in_time: u64,
    /// Processor time of each thread in the measured part, and when it was closed last.
    pub cpu: Vec<Nanos>,
}

/// A second that some thread has told of.
#[derive(Debug, Default)]
struct Begun {
    tally: Tally,
    busiest: f64,
    starved: f64,
    closed: Nanos,
}

impl Collection {
    pub fn new(seconds: Seconds, threads: usize, is_open_loop: bool) -> Self {
        Self {
            seconds,
            is_open_loop,
            told_until: vec![seconds.start; threads],
            begun: BTreeMap::new(),
            last_boundary: seconds.start,
            timeline: Vec::new(),
            total: Tally::default(),
            replies_in_time: 0,
            cpu: vec![0; threads],
        }
    }

    /// Adds a slice; `whole` sees every second that it completes.
    pub fn add(&mut self, slice: &Slice, mut whole: impl FnMut(&mut Second)) {
        let is_measured = slice.until > self.seconds.measured;
        if is_measured {
            self.total.add(&slice.tally);
            if !slice.is_tail {
                self.replies_in_time += slice.tally.counts.replies;
                self.cpu[slice.thread as usize] += slice.tally.counts.cpu_ns;
            }
        }
        if !slice.is_tail {
            let begun = self.begun.entry(slice.until).or_default();
            begun.tally.add(&slice.tally);
            let counts = &slice.tally.counts;
            let length = slice.closed.saturating_sub(slice.opened).max(1);
            begun.closed = begun.closed.max(slice.closed);
            begun.busiest = begun.busiest.max(ratio(counts.busy_ns.max(counts.cpu_ns), length));
            begun.starved = begun.starved.max(ratio(counts.starved_ns, length));
        }
        let told_until = if slice.is_last { Nanos::MAX } else { slice.until };
        self.told_until[slice.thread as usize] = told_until;
        let all_told = *self.told_until.iter().min().expect("there is a thread");
        while let Some(first) = self.begun.first_entry()
            && *first.key() <= all_told
        {
            let (until, begun) = first.remove_entry();
            let mut second = self.second(until, &begun);
            whole(&mut second);
            self.timeline.push(second);
            self.last_boundary = until.min(begun.closed);
        }
    }

    /// The run's times.
    pub fn seconds(&self) -> Seconds {
        self.seconds
    }

    /// How long was measured; less than was planned where the run was stopped.
    pub fn measured_s(&self) -> f64 {
        seconds(self.last_boundary.saturating_sub(self.seconds.measured))
    }

    fn second(&self, until: Nanos, begun: &Begun) -> Second {
        let counts = begun.tally.counts;
        let troubles = |kind: Option<Trouble>| {
            let counts = begun.tally.troubles();
            counts.filter(|(it, _, _)| kind.is_none_or(|kind| kind == *it)).map(|it| it.1).sum()
        };
        let lag = begun.tally.lag.as_deref().cloned().unwrap_or_default();
        let mut second = Second {
            at_s: (seconds(self.last_boundary)) - seconds(self.seconds.measured),
            length_s: seconds(until.min(begun.closed).saturating_sub(self.last_boundary)),
            target_rate: None,
            requests: counts.requests,
            replies: counts.replies,
            errors: counts.errors,
            troubles: troubles(None),
            resets: troubles(Some(Trouble::Reset)),
            misses: counts.misses,
            latency: summary(&begun.tally.all_latencies()),
            generator_busy: begun.busiest.min(1.0),
            waited_for_core: begun.starved.min(1.0),
            lag_p99_us: summary(&lag).p99_us,
            is_trusted: true,
        };
        second.is_trusted = trust::is_second_trusted(&second, self.is_open_loop);
        second
    }
}

/// Nanoseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days")]
pub(super) fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days")]
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
