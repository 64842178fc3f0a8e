use core::fmt;
use std::sync::Arc;

use memtide_topology::{ApplyError, NodeId, Topology, Update, Zone};

use crate::{Session, Unwelcome};

/// What the caller is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store the next topology where the stored one is still the update's parent, synced; then call
    /// `committed`, or `conflict` with what is stored. There is never a second one before that.
    Commit {
        /// What is changed.
        update: Update,
        /// What it makes of the topology that the manager has.
        next: Arc<Topology>,
    },
    /// Tell the node who it is.
    Welcome {
        /// Whom.
        session: Session,
        /// Who it is.
        node: NodeId,
    },
    /// Tell the node that it is to end, and close its stream.
    Refuse {
        /// Whom.
        session: Session,
        /// Why.
        why: Unwelcome,
    },
    /// Something that an operator may want to know.
    Event(Event),
}

/// Something that an operator may want to know; it has happened, and is stored where it is a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node was added.
    Joined {
        /// Who.
        node: NodeId,
        /// Where.
        zone: Zone,
        /// `host:port` of its node protocol.
        address: String,
    },
    /// A node that was lost is heard again.
    Returned(NodeId),
    /// A node is down.
    Lost(NodeId, Loss),
    /// A node is to give up its slots.
    Draining(NodeId),
    /// A node is to stay after all.
    Undrained(NodeId),
    /// A node that wants to leave has to wait: nobody could take its slots.
    DrainRefused(NodeId),
    /// A node that holds nothing was taken out of the topology.
    Left(NodeId),
    /// Another number of replicas is wanted.
    ReplicasSet(u8),
    /// Slots have got their first owners.
    Founded {
        /// How many slots.
        slots: usize,
    },
    /// Copies took over from primaries that are down.
    FailedOver {
        /// Slots that have another primary.
        slots: usize,
    },
    /// The last complete holders of slots are down, and not known to be dead: nobody serves them until
    /// one returns, or all are forgotten.
    Unserved {
        /// How many there are now; 0 where all are served again.
        slots: usize,
    },
    /// The last complete holders of slots are dead: these slots start empty.
    SlotsLost {
        /// How many.
        slots: usize,
    },
    /// Slots are to be copied or handed over, to get where they belong.
    MigrationBegan {
        /// How many.
        slots: usize,
    },
    /// A step of that: one of many, see [`Event::is_step`].
    Moved(Moved),
    /// All slots are where they belong.
    MigrationEnded(Moved),
    /// Copies had another history than their primaries, and are copied anew.
    Diverged {
        /// Whose.
        node: NodeId,
        /// How many, since it was told last.
        slots: usize,
    },
    /// A node that is to take over slots has a part of them only, and cannot.
    Incomplete {
        /// Who.
        node: NodeId,
        /// How many, since it was told last.
        slots: usize,
    },
    /// A primary cannot reach a copy that it needs, and both are up: these slots go on without it until
    /// the two hear each other again.
    CutOff {
        /// Who goes on.
        primary: NodeId,
        /// Without whom.
        copy: NodeId,
        /// How many slots, since it was told last.
        slots: usize,
    },
    /// A part of an update did not fit, and was dropped; what is still needed is planned again.
    Dropped(ApplyError),
}

/// How far slots have come, in a step or in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Slots that got another primary by a handover.
    pub handed_over: usize,
    /// Copies that have become complete.
    pub copied: usize,
}

/// Why a node counts as down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its control stream has ended.
    Gone,
    /// Nothing was heard of it.
    Silent,
    /// Its process is known to have ended.
    Dead,
}

impl Event {
    /// Whether it is one of the many steps of something whose beginning and end are told: for counters,
    /// not for people.
    #[must_use]
    pub const fn is_step(&self) -> bool {
        matches!(self, Self::Moved(_))
    }

    /// Its name, for logs and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Joined { .. } => "node_joined",
            Self::Returned(_) => "node_returned",
            Self::Lost(_, Loss::Gone) => "node_gone",
            Self::Lost(_, Loss::Silent) => "node_silent",
            Self::Lost(_, Loss::Dead) => "node_dead",
            Self::Draining(_) => "node_draining",
            Self::Undrained(_) => "node_undrained",
            Self::DrainRefused(_) => "node_drain_refused",
            Self::Left(_) => "node_left",
            Self::ReplicasSet(_) => "replicas_set",
            Self::Founded { .. } => "slots_founded",
            Self::FailedOver { .. } => "slots_failed_over",
            Self::Unserved { .. } => "slots_unserved",
            Self::SlotsLost { .. } => "slots_lost",
            Self::MigrationBegan { .. } => "migration_began",
            Self::Moved(_) => "slots_moved",
            Self::MigrationEnded(_) => "migration_ended",
            Self::Diverged { .. } => "copy_diverged",
            Self::Incomplete { .. } => "copy_incomplete",
            Self::CutOff { .. } => "copy_cut_off",
            Self::Dropped(_) => "update_refused",
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handed_over, copied } = self;
        write!(f, "{handed_over} slots handed over, {copied} copies completed")
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { node, zone, address } => {
                write!(f, "{node} at {address} in zone {zone} has joined")
            }
            Self::Returned(node) => write!(f, "{node} is back"),
            Self::Lost(node, Loss::Gone) => write!(f, "{node} has closed its control stream"),
            Self::Lost(node, Loss::Silent) => write!(f, "{node} is silent"),
            Self::Lost(node, Loss::Dead) => write!(f, "{node} is dead"),
            Self::Draining(node) => write!(f, "{node} is draining"),
            Self::Undrained(node) => write!(f, "{node} stays"),
            Self::DrainRefused(node) => {
                write!(
                    f,
                    "{node} wants to leave, and nobody could take its slots: it waits for another node"
                )
            }
            Self::Left(node) => write!(f, "{node} holds nothing and has left"),
            Self::ReplicasSet(replicas) => write!(f, "{replicas} replicas are wanted of each slot"),
            Self::Founded { slots } => write!(f, "{slots} slots have got their first owners"),
            Self::FailedOver { slots } => write!(f, "{slots} slots have failed over"),
            Self::Unserved { slots: 0 } => write!(f, "all slots have a holder that is up"),
            Self::Unserved { slots } => {
                write!(f, "{slots} slots wait for a node that is down and has their only copy")
            }
            Self::SlotsLost { slots } => {
                write!(f, "{slots} slots start empty: all of their holders are dead")
            }
            Self::MigrationBegan { slots } => write!(f, "{slots} slots are to be moved or copied"),
            Self::Moved(moved) => write!(f, "{moved}"),
            Self::MigrationEnded(moved) => {
                write!(f, "all slots are where they belong: {moved}")
            }
            Self::CutOff { primary, copy, slots } => {
                write!(f, "{primary} cannot reach {copy}: {slots} slots go on without that copy")
            }
            Self::Diverged { node, slots } => {
                write!(f, "{node} has another history of {slots} slots, and copies them anew")
            }
            Self::Incomplete { node, slots } => {
                write!(f, "{node} is to take over {slots} slots and has a part of them only")
            }
            Self::Dropped(error) => write!(f, "a part of an update was dropped: {error}"),
        }
    }
}
