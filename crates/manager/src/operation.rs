use memtide_topology::{NodeId, REPLICAS_MAX, SlotId};

/// What an operator may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The node is to give up its slots and to leave.
    Drain(NodeId),
    /// The node is to stay after all.
    Undrain(NodeId),
    /// The node's process is known to have ended: what it alone held is given up.
    Forget(NodeId),
    /// The node is to become the primary of these slots. They stay there until nodes come, leave, drain
    /// or change their memory; the manager forgets the wish when it is started anew.
    MoveSlots {
        /// Which.
        slots: Vec<SlotId>,
        /// Who.
        to: NodeId,
    },
    /// The node may hold so many bytes of items and index: how many slots it has goes by that.
    SetMemory {
        /// Which.
        node: NodeId,
        /// Bytes.
        memory_max: u64,
    },
    /// Another number of replicas is wanted of each slot.
    SetReplicas(u8),
}

/// What has become of an [`Operation`] that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What it changes at once is stored.
    Stored,
    /// It is still to be stored.
    Waits,
    /// What is stored came to be otherwise, and it is not asked for any more.
    Overtaken,
}

/// Why an operator's wish is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The id is nobody's.
    #[error("there is no node {0}")]
    NodeUnknown(NodeId),
    /// Nobody would be left to take its slots.
    #[error("{0} is the last node that is up and not draining; add another before it is drained")]
    LastNode(NodeId),
    /// It is heard of.
    #[error("{0} is up; drain it, or end its process first")]
    NodeUp(NodeId),
    /// It gets no more slots.
    #[error("{0} is draining and gets no more slots")]
    NodeDraining(NodeId),
    /// It goes, whatever is wanted of it.
    #[error("the process of {0} is to end: it was told to stop")]
    NodeLeaving(NodeId),
    /// It cannot take slots now.
    #[error("{0} is down")]
    NodeDown(NodeId),
    /// Nothing is to be moved.
    #[error("no slots are named")]
    NoSlots,
    /// There is nothing to move yet.
    #[error("slot {n} has no primary to move it from", n = .0.number())]
    NoPrimary(SlotId),
    /// More than [`REPLICAS_MAX`].
    #[error("{0} replicas wanted; the most is {REPLICAS_MAX}")]
    ReplicasMax(u8),
}
