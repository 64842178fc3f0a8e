use core::time::Duration;

use memtide_topology::NodeId;

use crate::links::LinkId;
use crate::requests::Chain;

/// The ordered requests of one slot: those of port 11211, and all mutations.
#[derive(Clone, Debug)]
pub struct Path {
    /// The slot's highest version that an answer named.
    pub seen: u64,
    /// The unanswered, in order. Those that are sent in this round come first.
    pub chain: Chain,
    /// Of what is sent next. 0 is the round of what is outside of every order.
    pub round: u32,
    /// All are sent to the primary that is known; there is no [`Trouble`].
    pub is_calm: bool,
}

impl Path {
    pub const NEW: Self = Self { seen: 0, chain: Chain::EMPTY, round: 1, is_calm: true };
}

/// More of a path that is not calm.
#[derive(Debug)]
pub struct Trouble {
    pub state: State,
    /// Requests in the path.
    pub len: usize,
    /// When the last round began.
    pub opened_at: Duration,
    /// Rounds that ended in vain since something new was learned.
    pub fruitless: u32,
}

/// What a path that is not calm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Everything is sent there, at once.
    Open { node: NodeId, link: LinkId },
    /// There is another primary, and the one before has not yet answered everything: nothing is
    /// sent until it has, or until then.
    Leaving { until: Duration },
    /// Nothing is sent before then, nor until the primary is known, connected, and has answered
    /// every earlier try.
    Waiting { not_before: Duration },
}

impl Trouble {
    pub const fn new(state: State, len: usize) -> Self {
        Self { state, len, opened_at: Duration::ZERO, fruitless: 0 }
    }

    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }
}
