use crate::measure::{CommandKind, Outcome};
use crate::reply::Event;

/// Nanoseconds since the run began, on the one monotonic clock of the run.
pub type Nanos = u64;

/// A place for one connection at a time, in a thread: 0 to the thread's connections - 1. When its
/// connection breaks, the lane gets another.
pub type Lane = u32;

/// What is asked, and what the replies to it mean: one in a thread, driven by its event loop.
///
/// For each request: [`Self::next`] writes it; then either [`Self::heard`] is called with each
/// event of its reply, in order, until it says that the reply is whole, or [`Self::lost`] once.
/// Requests of a lane are heard in the order in which they were written.
pub trait Traffic {
    /// What the traffic must remember of a request to understand its reply.
    type Request;

    /// Writes the next request for `lane` to the end of `out`; `None` when there are no more.
    ///
    /// `now` was read before: no byte of the request is on the wire yet.
    fn next(&mut self, lane: Lane, now: Nanos, out: &mut Vec<u8>) -> Option<Asked<Self::Request>>;

    /// An event of the reply to the oldest request of `lane`. `now` was read after the last byte of
    /// it had arrived.
    fn heard(
        &mut self,
        lane: Lane,
        request: &mut Self::Request,
        event: &Event<'_>,
        now: Nanos,
    ) -> Progress;

    /// A request of `lane` will get no reply (any more): its connection ended. Whether it was
    /// carried out is unknown.
    fn lost(&mut self, lane: Lane, request: Self::Request);

    /// Writes a request that what was just heard on `lane` leads to, such as the set after a miss;
    /// asked after every whole reply, until it says `None`.
    fn follow_up(
        &mut self,
        _lane: Lane,
        _now: Nanos,
        _out: &mut Vec<u8>,
    ) -> Option<Asked<Self::Request>> {
        None
    }

    /// When the next request is due, counted from the begin, for traffic that has times of its own
    /// (a trace); `None` where it has none, or no more requests.
    fn due(&mut self) -> Option<Nanos> {
        None
    }
}

/// A request that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<R> {
    /// Under which name its latency is counted.
    pub command: CommandKind,
    /// To be given back with the events of its reply.
    pub request: R,
}

/// What an event meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The reply goes on.
    More,
    /// The reply is whole.
    Done {
        /// What it said.
        outcome: Outcome,
        /// Keys that were there, of a retrieval.
        hits: u32,
        /// Keys that were not.
        misses: u32,
    },
    /// This is no reply to that request: the connection is out of step, and is given up. The
    /// request counts as lost and [`Traffic::lost`] is called for it.
    OutOfStep,
}
