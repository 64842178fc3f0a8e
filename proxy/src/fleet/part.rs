//! A place in a lane, and what is asked and answered there.

use std::ops::Range;
use std::time::Duration;

use memtide_protocol::ErrorLine;
use memtide_routing::Refused;

use super::buffers::Buffers;
use super::tally::Tally;
use crate::counters::CoreCounters;

/// A reply's place in the queue.
#[derive(Debug)]
pub struct Part {
    pub reply: Reply,
    pub said: Said,
    pub asked_bytes: usize,
    pub started: Duration,
    pub bill: Option<Bill>,
    pub is_mutation: bool,
    pub bars: bool,
}

#[derive(Debug)]
pub enum Reply {
    Awaited,
    /// At this place of the stash.
    Here(Range<usize>),
    Refused(Refused),
}

/// How a reply is told to the client, and counted.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub tally: Tally,
    /// The client wants no reply, an error neither.
    pub is_silent: bool,
    /// What is said instead, once the node has done its part.
    pub instead: Option<ErrorLine>,
}

/// What the last part of a command knows of all of it.
#[derive(Clone, Copy, Debug)]
pub struct Bill {
    /// Keys; 0 for what costs nothing.
    pub items: u64,
    /// Of the request.
    pub bytes: u64,
    /// There is more to come of its data block, which is dropped.
    pub is_open: bool,
}

/// Something that a node is asked.
#[derive(Debug)]
pub struct Asked {
    pub said: Said,
    /// Of the command.
    pub bytes: usize,
    /// When it was read.
    pub started: Duration,
    /// `None` where more parts of the same command follow.
    pub bill: Option<Bill>,
    /// It may change something.
    pub is_mutation: bool,
    /// Nothing behind it is asked before it is answered.
    pub bars: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Current {
    pub reply_bytes: u64,
    /// Units of it that are billed.
    pub billed: u64,
    /// An error line ended the reply; what the parts behind bring is dropped.
    pub is_failed: bool,
}

/// What an answer needs beside the lane.
pub struct Surroundings<'a> {
    pub counters: &'a CoreCounters,
    pub buffers: &'a mut Buffers,
    pub now: Duration,
}

/// What a client is told of a request without an outcome.
pub const fn line_of(refused: Refused) -> ErrorLine {
    match refused {
        Refused::Overloaded => ErrorLine::Overloaded,
        Refused::NoCopy => ErrorLine::NoLiveCopy,
        Refused::Deadline => ErrorLine::NoAnswer,
        Refused::UnknownOutcome => ErrorLine::OutcomeUnknown,
        Refused::Unavailable => ErrorLine::NodeUnavailable,
    }
}
