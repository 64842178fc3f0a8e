use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use memtide_limits::Limits;
use memtide_topology::{NodeId, SlotId, Topology, Zone};

use crate::{Action, Amounts, StepId};

/// What a fleet is and does at a moment: all that a plan is made of, but for the policy and the past.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When, of a clock that never goes back.
    pub at: Duration,
    /// Who holds what. A node's [`memory_max`](memtide_topology::NodeInfo::memory_max) is the memory
    /// that it was granted, and weighs how many slots it has.
    pub topology: Arc<Topology>,
    /// What is known of its nodes. One that is not here is taken for one that is down.
    pub nodes: BTreeMap<NodeId, Seen>,
    /// What each slot takes, by slot; empty where nobody knows, and then nothing is said of hot slots.
    pub slots: Vec<SlotLoad>,
    /// What the cache may use, and what it is promised.
    pub limits: Limits,
    /// Where nodes can be had.
    pub offers: Vec<Offer>,
    /// ECPUs per second that clients ask for, served or not, but for what the limit refuses; `None` where
    /// nobody knows, and then a fleet that is busy is doubled until it is not.
    pub ecpu_wanted: Option<u64>,
    /// Bytes a second by which what clients store grows at the moment, copies included, as nodes said it last;
    /// 0 where it does not, or nobody says.
    pub memory_growth: u64,
    /// Slots that are not yet where they belong, by the manager.
    pub slots_remaining: usize,
    /// Steps of earlier plans that are neither done nor failed.
    pub under_way: Vec<UnderWay>,
    /// Steps that have failed since the last observation.
    pub failed: Vec<Failed>,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether it serves; otherwise nothing is asked of it, and nothing is taken from it.
    pub is_up: bool,
    /// What it does: bytes that it has taken, and the rest a second.
    pub load: Amounts,
    /// Bytes that it has taken, wherever they belong: it is never granted less than these need. 0 where nobody says, and
    /// then they are its load.
    pub memory_held: u64,
    /// Of its bytes, those of slots that it is still a learner of: they count where they come from.
    pub memory_learning: u64,
    /// What it can do at most: its host's share of memory, and the rest a second. 0 is not known.
    pub capacity: Amounts,
    /// Its process is to end, whatever the topology says: nothing of what it can do counts.
    pub is_leaving: bool,
    /// Whether it may be given back: one that was started by hand is left to whoever did.
    pub may_leave: bool,
    /// Of those of a zone that may be given back, one of the least rank goes first, whatever it holds.
    pub leave_rank: u32,
    /// It was added for this slot alone.
    pub reserved_for: Option<SlotId>,
}

/// What a slot takes of the node that is its primary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotLoad {
    /// Bytes of its items, once.
    pub bytes: u64,
    /// ECPUs per second.
    pub ecpu: u64,
}

/// Nodes that can be had, all of one size and zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What the provisioner knows it by.
    pub id: u32,
    /// Where they would be.
    pub zone: Zone,
    /// What each of them can do at most.
    pub capacity: Amounts,
    /// The least memory that one of them can be granted.
    pub memory_min: u64,
    /// How many, without those that are under way.
    pub nodes: u32,
    /// How long it takes until one has joined: next to nothing for a warm spare.
    pub ready_in: Duration,
}

/// A step that is being carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Which.
    pub id: StepId,
    /// What it does.
    pub action: Action,
    /// When it began.
    pub since: Duration,
    /// Of the nodes that it adds, those that have not joined; 0 of other steps.
    pub nodes_missing: u32,
    /// A plan gave it up, and what it adds may yet come: counted as nodes, and as nothing else.
    pub is_given_up: bool,
}

/// A step that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which.
    pub id: StepId,
    /// What it was to do.
    pub action: Action,
    /// When.
    pub at: Duration,
}

impl Observation {
    /// Copies of each slot that there are to be, its primary among them.
    pub(crate) fn holders(&self) -> usize {
        1 + usize::from(self.topology.replicas_wanted())
    }

    /// Whether nodes have yet to come, to go, or to get their slots.
    pub(crate) fn is_moving(&self) -> bool {
        self.slots_remaining > 0
            || self.topology.nodes().values().any(|info| info.is_draining)
            || self.nodes.values().any(|seen| seen.is_leaving)
            || self.expected().any(|it| it.action.moves_slots())
    }

    /// Steps that are waited for.
    pub(crate) fn expected(&self) -> impl DoubleEndedIterator<Item = &UnderWay> {
        self.under_way.iter().filter(|it| !it.is_given_up)
    }

    /// What a node does and can do, if it is up.
    pub(crate) fn up(&self, node: NodeId) -> Option<&Seen> {
        self.nodes.get(&node).filter(|seen| seen.is_up)
    }

    /// Whether a node is to leave, or will be.
    pub(crate) fn is_leaving(&self, node: NodeId) -> bool {
        if self.nodes.get(&node).is_some_and(|seen| seen.is_leaving) {
            return true;
        }
        let stored = self.topology.nodes().get(&node).is_some_and(|info| info.is_draining);
        let of = |action: &Action| match action {
            Action::Drain { node: it } if *it == node => Some(true),
            Action::Stay { node: it } if *it == node => Some(false),
            _ => None,
        };
        let mut said = self.expected().filter_map(|it| of(&it.action));
        said.next_back().unwrap_or(stored)
    }
}
