//! Topologies to try things on.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
#![allow(dead_code, reason = "each suite uses its part")]

pub mod fleet;

use memtide_topology::{
    CacheId, Change, CopyConfig, Epoch, HashSeed, NodeId, NodeInfo, Previous, SLOTS, SlotConfig,
    SlotId, Topology, TopologyParts, Update, Zone,
};
use proptest::prelude::ProptestConfig;
use std::sync::Arc;

/// So many cases of a property. A failure shows the seed that it is made of, so nothing is kept.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// A random source that is the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

pub const GIB: u64 = 1 << 30;

pub fn node(number: u64) -> NodeId {
    NodeId::new(number)
}

pub fn slot(number: u16) -> SlotId {
    SlotId::new(number).unwrap()
}

pub fn all_slots() -> Vec<SlotId> {
    SlotId::all().collect()
}

pub fn info(zone: &str, memory_max: u64) -> NodeInfo {
    let address = "host-1.memtide.svc:9000".to_owned();
    NodeInfo { address, zone: Zone::new(zone).unwrap(), memory_max, is_draining: false }
}

pub fn add_node(number: u64, zone: &str, memory_max: u64) -> Change {
    Change::AddNode { node: node(number), info: info(zone, memory_max) }
}

pub fn set_primary(slots: &[SlotId], primary: u64, previous: Previous) -> Change {
    Change::SetPrimary { slots: slots.to_vec(), primary: node(primary), previous }
}

pub fn add_learner(slots: &[SlotId], learner: u64) -> Change {
    Change::AddLearner { slots: slots.to_vec(), node: node(learner) }
}

pub fn update(topology: &Topology, changes: Vec<Change>) -> Update {
    Update { parent: topology.epoch(), changes }
}

/// What changes make of a topology.
pub fn apply(topology: &Topology, changes: Vec<Change>) -> Topology {
    topology.apply(&update(topology, changes)).unwrap()
}

pub fn new(replicas: u8) -> Topology {
    Topology::new(CacheId::default(), HashSeed::new(1, 2), replicas).unwrap()
}

/// Nodes 1 to N in these zones, of 1 GiB, holding nothing.
pub fn of_zones(replicas: u8, zones: &[&str]) -> Topology {
    let nodes = (1..).zip(zones).map(|(number, zone)| add_node(number, zone, GIB));
    apply(&new(replicas), nodes.collect())
}

/// Any valid topology of a few nodes: nonsense as a fleet, but all that the types allow.
pub fn random(seed: u64) -> Topology {
    let mut random = Random(seed);
    let mut parts = new(u8::try_from(random.below(5)).unwrap()).into_parts();
    let widest = [30, u64::MAX][random.below(2)];
    parts.epoch = Epoch::new(30 + random.next() % (widest - 29));
    parts.cache = CacheId::new(&format!("cache-{}", random.below(3))).unwrap();
    parts.seed = HashSeed::new(random.next(), random.next());
    for _ in 0..random.below(20) {
        let zone = format!("zone-{}", random.below(5));
        let id = [random.next(), u64::try_from(random.below(50)).unwrap()][random.below(2)];
        let memory = [random.next(), GIB][random.below(2)];
        parts.nodes.insert(node(id), info(&zone, memory));
        parts.nodes.get_mut(&node(id)).unwrap().is_draining = random.one_in(5);
    }
    let kinds = 1 + random.below(200);
    let configs: Vec<_> = (0..kinds).map(|_| random_config(&mut random, &parts)).collect();
    let run = 1 + random.below(40);
    let mut at = 0;
    while at < usize::from(SLOTS) {
        let config = &configs[random.below(kinds)];
        let end = (at + 1 + random.below(run)).min(usize::from(SLOTS));
        parts.slots[at..end].fill(Arc::clone(config));
        at = end;
    }
    Topology::from_parts(parts).unwrap()
}

fn random_config(random: &mut Random, parts: &TopologyParts) -> Arc<SlotConfig> {
    let epoch = Epoch::new(random.next() % (parts.epoch.number() + 1).max(1));
    let mut nodes: Vec<NodeId> = parts.nodes.keys().copied().collect();
    if nodes.is_empty() || random.one_in(10) {
        return Arc::new(SlotConfig { epoch, ..SlotConfig::default() });
    }
    let primary = nodes.swap_remove(random.below(nodes.len()));
    let mut copies: Vec<CopyConfig> = Vec::new();
    for _ in 0..random.below(5).min(nodes.len()) {
        let node = nodes.swap_remove(random.below(nodes.len()));
        let since = Epoch::new(random.next() % (parts.epoch.number() + 1).max(1));
        copies.push(CopyConfig { node, since, is_in_sync: random.one_in(2) });
    }
    copies.sort_by_key(|copy| copy.node);
    Arc::new(SlotConfig { epoch, born: epoch, primary: Some(primary), copies })
}
