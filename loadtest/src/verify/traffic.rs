use crate::drive::{Asked, Lane, Nanos, Progress, Traffic};
use crate::reply::Event;

use super::History;

/// What the traffic of `--verify` is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// Seed of all that is random; also in the keys, so that no run sees another's items.
    pub seed: u64,
    /// Keys in all, shared by all threads.
    pub keys: u32,
    /// Bytes of a value, at least and at most, before additions; what identifies a value takes
    /// some 50 bytes, and values are never shorter.
    pub value_bytes: (u32, u32),
    /// Generating threads.
    pub threads: u32,
    /// This thread, from 0.
    pub thread: u32,
    /// Lanes of this thread.
    pub lanes: u32,
    /// Operations that this thread records at most; then it asks nothing any more.
    pub operations_max: usize,
}

/// The traffic of `--verify`, of one thread.
#[derive(Debug)]
pub struct VerifyTraffic {
    history: History,
}

/// A request of [`VerifyTraffic`].
#[derive(Clone, Copy, Debug)]
pub struct VerifyRequest {}

impl VerifyTraffic {
    /// Traffic of one thread.
    #[must_use]
    pub fn new(_settings: VerifySettings) -> Self {
        Self { history: History::default() }
    }

    /// What was recorded, for [`super::check()`]. Call it after the last reply; requests that are
    /// still out count as such without a reply.
    #[must_use]
    pub fn into_history(self) -> History {
        self.history
    }
}

impl Traffic for VerifyTraffic {
    type Request = VerifyRequest;

    fn next(&mut self, _: Lane, _: Nanos, _: &mut Vec<u8>) -> Option<Asked<VerifyRequest>> {
        None
    }

    fn heard(&mut self, _: Lane, _: &mut VerifyRequest, _: &Event<'_>, _: Nanos) -> Progress {
        Progress::OutOfStep
    }

    fn lost(&mut self, _: Lane, _: VerifyRequest) {}
}
