use memtide_topology::{NodeId, Request, SlotId};
use thiserror::Error;

/// What the router is to have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission<C> {
    /// The caller's name for it, which comes back in [`Effect::Done`].
    pub ticket: u64,
    /// Of the command's key.
    pub slot: SlotId,
    /// Who may answer, and whether it may be repeated.
    pub kind: Kind,
    /// What is to be done; cloned for every try.
    pub command: C,
}

/// Who may answer a command, and whether it may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes nothing; only the primary answers (port 11211).
    Read,
    /// Changes nothing; the nearest copy answers (port 11212). Outside the order of its slot.
    ReadAnyCopy,
    /// May change something, so it is executed at most once.
    Mutation,
}

/// What the router wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<C, O> {
    /// To be sent over the link to this node, in the order in which the effects come.
    Send {
        /// To whom.
        node: NodeId,
        /// What.
        request: Request<C>,
    },
    /// The end of a ticket; there is exactly one for each.
    Done {
        /// The submission's.
        ticket: u64,
        /// The node's outcome, or why there is none.
        result: Result<O, Refused>,
    },
    /// Somebody knows a newer topology: fetch it, and hand it to
    /// [`adopt`](crate::Router::adopt). Comes again while there is need.
    WantTopology,
}

/// Why a request has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Not executed: too many requests wait already.
    #[error("too many requests wait")]
    Overloaded,
    /// Not executed: at the deadline, no node that may answer was known and connected.
    #[error("no live copy of the slot")]
    NoCopy,
    /// A mutation was not executed: those who were asked refused until the deadline. A read had
    /// no answer until then.
    #[error("no answer before the deadline")]
    Deadline,
    /// Perhaps executed, perhaps not, and perhaps it still will be: it was sent, and nobody could
    /// say until the deadline, or the nodes have forgotten.
    #[error("outcome unknown")]
    UnknownOutcome,
    /// Not executed: the named node is not connected, or would not do it.
    #[error("node not available")]
    Unavailable,
}
