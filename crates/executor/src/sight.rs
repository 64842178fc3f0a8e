use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_limits::Limits;
use memtide_planner::{Amounts, Offer, SlotLoad};
use memtide_topology::{NodeId, Topology, Zone};

use crate::Source;

/// What the executor sees of the fleet at a moment.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When, of a clock that never goes back.
    pub at: Duration,
    /// What is stored.
    pub topology: Arc<Topology>,
    /// What is known of its nodes.
    pub nodes: BTreeMap<NodeId, NodeSight>,
    /// The names of processes that are about to become nodes; spares that wait are not.
    pub coming: BTreeSet<String>,
    /// What slots take; empty where nobody says.
    pub slots: Vec<SlotLoad>,
    /// What the cache may use, and what it is promised.
    pub limits: Limits,
    /// Nodes that can be had.
    pub supplies: Vec<Supplied>,
    /// As [`memtide_planner::Observation::ecpu_wanted`].
    pub ecpu_wanted: Option<u64>,
    /// As [`memtide_planner::Observation::memory_growth`].
    pub memory_growth: u64,
    /// Slots that are not yet where they belong.
    pub slots_remaining: usize,
}

/// What is known of a node of the topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSight {
    /// Whether it serves.
    pub is_up: bool,
    /// Whether its process is to end, by somebody else's will.
    pub is_leaving: bool,
    /// Whether it has been heard at all since the scaler was started: otherwise nobody knows its name.
    pub has_said: bool,
    /// What it does.
    pub load: Amounts,
    /// Bytes that it has taken, wherever they belong.
    pub memory_held: u64,
    /// What it can do at most.
    pub capacity: Amounts,
    /// Its name; empty where it has none.
    pub instance: String,
}

/// Nodes that can be had, all alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplied {
    /// Where they come from.
    pub source: Source,
    /// What the provisioner tells them from others of the zone by.
    pub kind: String,
    /// Where they would be.
    pub zone: Zone,
    /// What each of them could do.
    pub capacity: Amounts,
    /// The least memory that one of them can be granted.
    pub memory_min: u64,
    /// How many more can be started; those of [`Self::names`] where it says some.
    pub nodes: u32,
    /// How long it takes until one has joined.
    pub ready_in: Duration,
    /// Of spares, what they are called. Of a provisioner's, what they will be called, those to be used first first;
    /// empty where whoever orders them names them. Those that are on record are not to be had any more.
    pub names: Vec<String>,
    /// Of a provisioner that can end its nodes in an order only, what those are called that it has, which goes first
    /// first. They are the scaler's, whoever has begun them, and wait again as spares once they are no nodes.
    pub there: Vec<String>,
}

impl Supplied {
    /// What plans know it by: the same for as long as its source, kind and zone are.
    #[must_use]
    pub fn offer_id(&self) -> u32 {
        Self::id_of(self.source, &self.zone, &self.kind)
    }

    pub(crate) fn id_of(source: Source, zone: &Zone, kind: &str) -> u32 {
        let source: &[u8] = match source {
            Source::Provisioner => b"p",
            Source::Spares => b"s",
        };
        let parts = [source, zone.name().as_bytes(), b" ", kind.as_bytes()];
        parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
    }

    /// As the planner is told of it, where so many are left.
    pub(crate) fn offer(&self, nodes: u32) -> Offer {
        Offer {
            id: self.offer_id(),
            zone: self.zone.clone(),
            capacity: self.capacity,
            memory_min: self.memory_min,
            nodes,
            ready_in: self.ready_in,
        }
    }
}
