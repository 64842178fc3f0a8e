use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use memtide_control::{Capacity, NodeUsage, Program, SlotUse};
use memtide_manager::{Migration, NodeView};
use memtide_topology::{NodeId, Topology};

use crate::clock;
use crate::data::for_items;
use crate::limits::STORE_TIME_MAX;

/// The fleet as the scaler saw it a moment ago.
#[derive(Clone, Debug)]
pub struct Status {
    /// What is stored.
    pub topology: Arc<Topology>,
    /// Its nodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// The slots that are being copied.
    pub migrations: Vec<Migration>,
    /// Slots that are not held as they should be.
    pub remaining: usize,
    /// Slots whose only complete holders are down.
    pub unserved: usize,
    /// Proxies that follow.
    pub proxies: Vec<ProxyStatus>,
    /// What each spare runs that waits.
    pub spare_programs: Vec<Program>,
    /// What has happened since the scaler was started.
    pub counters: Counters,
    /// When this was so, by the clock of the scaler: what times in it are compared with.
    pub now: Duration,
    /// Why nothing is stored any more: what is stored here is not the newest.
    pub behind: Option<String>,
    /// Why the topology cannot be stored now.
    pub store_failure: Option<String>,
    /// Since when a topology is being stored.
    pub storing_since: Option<Duration>,
}

/// A node, and what it said of itself.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    /// As the manager sees it.
    pub view: NodeView,
    /// What it said last that it uses; `None` where it has not since the scaler was started.
    pub usage: Option<NodeUsage>,
    /// What whoever started it knows it by.
    pub parent_token: Option<u64>,
    /// What provisioners call it; empty where it has no name.
    pub instance: String,
    /// What its host lets it do at most.
    pub capacity: Capacity,
    /// What it runs, as far as it has said so since the scaler was started.
    pub program: Program,
    /// What those of its slots take that take the most.
    pub slots: Vec<SlotUse>,
}

/// A proxy that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyStatus {
    /// From where it comes.
    pub peer: std::net::SocketAddr,
    /// The topology that it routes by.
    pub adopted: memtide_topology::Epoch,
    /// What it runs.
    pub program: Program,
}

/// What has happened since the scaler was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Topologies that were stored.
    pub commits: u64,
    /// Tries to store one that failed.
    pub store_failures: u64,
    /// Peers that were turned away: of another fleet, role or cache.
    pub refused: u64,
    /// Times that one of another fleet was turned away.
    pub strangers: u64,
    /// Copies that were completed.
    pub copied: u64,
    /// Slots that were handed over.
    pub handed_over: u64,
    /// Failovers, of all slots of a change together.
    pub failovers: u64,
    /// Slots that failed over.
    pub failed_over: u64,
    /// Slots that started empty, because nobody had them any more.
    pub lost: u64,
    /// Events of the manager, by kind.
    pub events: BTreeMap<&'static str, u64>,
}

impl Status {
    /// The data, each item once, for which there is room on the nodes that are up: as many copies as are
    /// wanted and can be take theirs.
    #[must_use]
    pub fn data_bytes_max(&self) -> u64 {
        let up = self.nodes.iter().filter(|node| !node.view.state.is_down());
        let (mut count, mut memory) = (0_u64, 0_u64);
        for node in up {
            count += 1;
            memory = memory.saturating_add(node.view.info.memory_max);
        }
        let copies = u64::from(self.topology.replicas_wanted()).min(count.saturating_sub(1));
        for_items(memory, copies)
    }

    /// Why nothing can be changed now, if so.
    #[must_use]
    pub fn store_trouble(&self) -> Option<String> {
        if let Some(why) = &self.store_failure {
            return Some(format!("the topology cannot be stored: {why}"));
        }
        let takes = clock::now().saturating_sub(self.storing_since?);
        let seconds = takes.as_secs();
        (takes > STORE_TIME_MAX).then(|| format!("the topology is being stored for {seconds} s"))
    }
}

/// How a node's slots are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Slots that it is the primary of.
    pub primary: u32,
    /// Slots that it has a copy of, in sync.
    pub in_sync: u32,
    /// Slots that it learns.
    pub learner: u32,
}

/// How all slots are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounts {
    /// With as many copies in sync as are wanted.
    pub complete: u32,
    /// With a primary, and fewer copies in sync than are wanted.
    pub short: u32,
    /// Nobody's.
    pub unowned: u32,
}

/// What each node holds.
pub fn held(topology: &Topology) -> BTreeMap<NodeId, Held> {
    let mut held: BTreeMap<NodeId, Held> = BTreeMap::new();
    for (_, config) in topology.slots() {
        if let Some(primary) = config.primary {
            held.entry(primary).or_default().primary += 1;
        }
        for copy in &config.copies {
            let of_node = held.entry(copy.node).or_default();
            let count = if copy.is_in_sync { &mut of_node.in_sync } else { &mut of_node.learner };
            *count += 1;
        }
    }
    held
}

/// The fleet before anything was heard of it.
pub fn nothing_yet(topology: Arc<Topology>, now: Duration) -> Status {
    Status {
        topology,
        nodes: Vec::new(),
        migrations: Vec::new(),
        remaining: 0,
        unserved: 0,
        proxies: Vec::new(),
        spare_programs: Vec::new(),
        counters: Counters::default(),
        now,
        behind: None,
        store_failure: None,
        storing_since: None,
    }
}

/// How many slots are held how.
pub fn slot_counts(topology: &Topology) -> SlotCounts {
    let wanted = usize::from(topology.replicas_wanted());
    let mut counts = SlotCounts::default();
    for (_, config) in topology.slots() {
        let count = match config.primary {
            None => &mut counts.unowned,
            Some(_) if config.in_sync().count() < wanted => &mut counts.short,
            Some(_) => &mut counts.complete,
        };
        *count += 1;
    }
    counts
}
