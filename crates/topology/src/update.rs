use crate::limits::{ADDRESS_BYTES_MAX, COPIES_MAX, NODES_MAX, REPLICAS_MAX};
use crate::{Epoch, InvalidTopology, NodeId, NodeInfo, SlotId};

/// One step of a topology from one epoch to the next: all of its changes in their order, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The epoch of the topology that it was made for; of any other it is refused.
    pub parent: Epoch,
    /// What is to be done.
    pub changes: Vec<Change>,
}

/// What the configuration manager may do to a topology.
///
/// "The new epoch" is that of the topology that the update leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node has come.
    AddNode {
        /// An id that no process ever had.
        node: NodeId,
        /// What is known of it.
        info: NodeInfo,
    },
    /// A node that holds nothing any more has left.
    RemoveNode {
        /// Which.
        node: NodeId,
    },
    /// A node is to give up its slots, or may stay after all.
    SetDraining {
        /// Which.
        node: NodeId,
        /// Which of the two.
        is_draining: bool,
    },
    /// A node was given more or less memory.
    SetMemory {
        /// Which.
        node: NodeId,
        /// [`NodeInfo::memory_max`].
        memory_max: u64,
    },
    /// Another number of replicas is wanted.
    SetReplicas {
        /// For each slot.
        replicas: u8,
    },
    /// A copy in sync takes over, or any node a slot that nobody holds; the slot's epoch is the
    /// new one.
    SetPrimary {
        /// Of which slots.
        slots: Vec<SlotId>,
        /// Who takes over.
        primary: NodeId,
        /// What becomes of who was it.
        previous: Previous,
    },
    /// A node becomes a learner, since the new epoch.
    AddLearner {
        /// Of which slots.
        slots: Vec<SlotId>,
        /// Who.
        node: NodeId,
    },
    /// Learners have all that their primaries have.
    MakeInSync {
        /// What those primaries report.
        reports: Vec<CaughtUp>,
    },
    /// A copy, in sync or not, becomes a learner since the new epoch: it has diverged, is silent,
    /// or somebody else takes over after a failure.
    MakeLearner {
        /// Of which slots.
        slots: Vec<SlotId>,
        /// Who.
        node: NodeId,
    },
    /// A copy, in sync or not, holds it no more.
    DropCopy {
        /// Of which slots.
        slots: Vec<SlotId>,
        /// Who.
        node: NodeId,
    },
    /// What is in these slots is given up: nobody holds them any more.
    ///
    /// Only for slots whose every complete holder is known to be dead; design note 0007.
    Abandon {
        /// Which.
        slots: Vec<SlotId>,
    },
}

/// What becomes of a primary when another takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Previous {
    /// A copy in sync since the new epoch: a handover.
    InSync,
    /// No holder any more: a failover.
    Gone,
}

/// A primary's report that a learner has all that it has.
///
/// It counts only while the slot's primary and the learner's part are what they were when it was
/// made: a later primary knows nothing of what an earlier one had sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaughtUp {
    /// Of which slot.
    pub slot: SlotId,
    /// The slot's epoch, in which the primary that reports took over.
    pub epoch: Epoch,
    /// The learner.
    pub node: NodeId,
    /// Since when it is one.
    pub since: Epoch,
}

/// Why a topology stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else was first: look again and make another update.
    #[error("update of epoch {parent}, but the topology is at {epoch}; look again")]
    StaleParent {
        /// For which it was made.
        parent: Epoch,
        /// Which it is.
        epoch: Epoch,
    },
    /// A change does not fit what is there after those before it.
    #[error("change {index} ({change}) is refused: {refusal}")]
    Refused {
        /// Its place in the update, from 0.
        index: usize,
        /// Its kind.
        change: &'static str,
        /// Why.
        refusal: Refusal,
    },
    /// Each change was right, but what they lead to is not.
    #[error("the update leads to a wrong topology: {0}")]
    Invalid(#[from] InvalidTopology),
}

/// Why a change does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The id is taken.
    #[error("{0} is there already")]
    NodeExists(NodeId),
    /// The id is nobody's.
    #[error("there is no node {0}")]
    NodeUnknown(NodeId),
    /// There are [`NODES_MAX`] nodes.
    #[error("there are {NODES_MAX} nodes already")]
    NodesMax,
    /// The address cannot be one.
    #[error("the address of {0} is not host:port of at most {ADDRESS_BYTES_MAX} printable bytes")]
    NodeAddress(NodeId),
    /// More than [`REPLICAS_MAX`] replicas.
    #[error("{0} replicas wanted; the most is {REPLICAS_MAX}")]
    ReplicasMax(u8),
    /// Take its slots from it first.
    #[error("{0} still holds slot {n}", n = .1.number())]
    NodeHolds(NodeId, SlotId),
    /// Who is to give up all slots gets none.
    #[error("{0} is draining and gets no more slots")]
    NodeDraining(NodeId),
    /// The node is the slot's primary.
    #[error("{1} is the primary of slot {n}", n = .0.number())]
    IsPrimary(SlotId, NodeId),
    /// The node is a copy.
    #[error("{1} is a copy of slot {n} already", n = .0.number())]
    IsCopy(SlotId, NodeId),
    /// The node is no copy.
    #[error("{1} is no copy of slot {n}", n = .0.number())]
    NotACopy(SlotId, NodeId),
    /// The node has not all that was acknowledged.
    #[error("{1} is not in sync on slot {n}", n = .0.number())]
    NotInSync(SlotId, NodeId),
    /// There is nobody to learn from.
    #[error("slot {n} has no primary", n = .0.number())]
    NoPrimary(SlotId),
    /// There are [`COPIES_MAX`] copies.
    #[error("slot {n} has {COPIES_MAX} copies already", n = .0.number())]
    CopiesMax(SlotId),
    /// The report was made before the slot's primary or the learner's part changed.
    #[error("the report on {1} and slot {n} is out of date", n = .0.number())]
    ReportStale(SlotId, NodeId),
}

impl Change {
    /// What kind it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::AddNode { .. } => "add node",
            Self::RemoveNode { .. } => "remove node",
            Self::SetDraining { .. } => "set draining",
            Self::SetMemory { .. } => "set memory",
            Self::SetReplicas { .. } => "set replicas",
            Self::SetPrimary { .. } => "set primary",
            Self::AddLearner { .. } => "add learner",
            Self::MakeInSync { .. } => "make in sync",
            Self::MakeLearner { .. } => "make learner",
            Self::DropCopy { .. } => "drop copy",
            Self::Abandon { .. } => "abandon",
        }
    }
}
