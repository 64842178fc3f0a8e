//! The event heap: what happens next, and at the same moment in the order of scheduling.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Virtual time, in nanoseconds since the run began.
pub type Nanos = u64;

/// A millisecond.
pub const MS: Nanos = 1_000_000;
/// A second.
pub const SECOND: Nanos = 1_000 * MS;

/// Events by their time.
pub struct Heap<E> {
    events: BinaryHeap<Reverse<Scheduled<E>>>,
    scheduled: u64,
    now: Nanos,
}

struct Scheduled<E> {
    at: Nanos,
    order: u64,
    event: E,
}

impl<E> Heap<E> {
    pub fn new() -> Self {
        Self { events: BinaryHeap::new(), scheduled: 0, now: 0 }
    }

    /// The time of the event that came last.
    pub const fn now(&self) -> Nanos {
        self.now
    }

    /// Schedules an event; one of the past happens next.
    pub fn at(&mut self, at: Nanos, event: E) {
        self.scheduled += 1;
        let at = at.max(self.now);
        self.events.push(Reverse(Scheduled { at, order: self.scheduled, event }));
    }

    /// Schedules an event so long after the present one.
    pub fn after(&mut self, delay: Nanos, event: E) {
        self.at(self.now + delay, event);
    }

    /// The next event; time goes on to it.
    pub fn next(&mut self) -> Option<E> {
        let Reverse(Scheduled { at, event, .. }) = self.events.pop()?;
        self.now = at;
        Some(event)
    }
}

impl<E> Scheduled<E> {
    fn key(&self) -> (Nanos, u64) {
        (self.at, self.order)
    }
}

impl<E> PartialEq for Scheduled<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Scheduled<E> {}

impl<E> PartialOrd for Scheduled<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Scheduled<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}
