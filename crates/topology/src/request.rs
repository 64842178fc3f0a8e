use crate::{Epoch, NodeId, SlotId};

/// The name of a request, by which a node knows a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The proxy core that asks: random, and new with every start.
    pub client: u64,
    /// Its running number.
    pub number: u64,
}

/// What a proxy asks of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<C> {
    /// The same in every try.
    pub id: RequestId,
    /// Of the command's key.
    pub slot: SlotId,
    /// The slot's epoch that the proxy knows: a node that knows only an older one must not serve.
    pub epoch: Epoch,
    /// Grows by one each time that the proxy sends all its unanswered requests of the slot anew;
    /// who refused one of a round refuses all of it that come later. 0 for requests whose order does
    /// not matter.
    pub round: u32,
    /// The highest version of the slot that the proxy had seen before the first try.
    pub seen: u64,
    /// All requests of this client with lower numbers have come to their end: none of them is sent again.
    pub answered: u64,
    /// Whether an earlier try may have been executed.
    pub is_retry: bool,
    /// What is to be done.
    pub command: C,
}

/// What a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<O> {
    /// It was done.
    Done {
        /// With this outcome.
        outcome: O,
        /// The slot's version then.
        version: u64,
    },
    /// Somebody else is the slot's primary, or will be.
    Moved {
        /// The slot's epoch that the node knows.
        epoch: Epoch,
        /// The primary that it knows.
        primary: Option<NodeId>,
        /// It was executed here, and the next primary may have it or not. If not so, it was not
        /// executed, and nothing of its round behind it.
        may_be_done: bool,
    },
    /// Nobody knows any more whether an earlier try was executed.
    Unknown,
}
