//! Nodes and slots: the real topology and placement, and a model of copying.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_planner::Amounts;
use memtide_topology::{
    CacheId, CaughtUp, Change, Failover, HashSeed, NodeId, NodeInfo, Pace, SlotId, Target,
    Topology, Update, Zone,
};

/// Slots that are handed over a second, as the manager does: 128 every 25 ms.
const HANDOVERS_PER_SECOND: f64 = 5_120.0;

/// Learners at a time, as of the manager.
const LEARNERS_MAX: usize = 4_096;

/// Times that a target that was reached is made anew, as of the manager.
const RENEWALS_MAX: u32 = 8;

/// Changes of the nodes gather for so long before slots are placed anew, unless one is lost; as of the manager.
const GATHER_NODES: Duration = Duration::from_millis(200);

/// A process that is a node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What the executor knows it by.
    pub(crate) name: String,
    pub(crate) capacity: Amounts,
}

/// All nodes of a cache and what they hold.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) topology: Arc<Topology>,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// Slots that are not yet where they belong.
    pub(crate) remaining: usize,
    /// Bytes that were copied.
    pub(crate) copied: f64,
    /// Slots that nobody had a whole copy of any more.
    pub(crate) lost: usize,
    target: Option<Target>,
    inputs: Option<Inputs>,
    /// How long changes of these have gathered.
    gathered: Duration,
    pins: BTreeMap<SlotId, NodeId>,
    renewals: u32,
    is_final: bool,
    /// Bytes that learners have.
    progress: BTreeMap<(SlotId, NodeId), f64>,
    dead: BTreeSet<NodeId>,
}

type Inputs = BTreeMap<NodeId, u64>;

impl Fleet {
    pub(crate) fn new(replicas: u8) -> Self {
        let topology = Topology::new(CacheId::default(), HashSeed::new(1, 2), replicas);
        Self {
            topology: Arc::new(topology.expect("a scenario has few replicas")),
            nodes: BTreeMap::new(),
            remaining: 0,
            copied: 0.0,
            lost: 0,
            target: None,
            inputs: None,
            gathered: Duration::ZERO,
            pins: BTreeMap::new(),
            renewals: 0,
            is_final: false,
            progress: BTreeMap::new(),
            dead: BTreeSet::new(),
        }
    }

    /// A node joins.
    pub(crate) fn join(&mut self, zone: usize, granted: u64, node: Node) -> NodeId {
        let id = NodeId::new(self.topology.epoch().next().number());
        let info = NodeInfo {
            address: format!("node-{}:1", id.number()),
            zone: zone_name(zone),
            memory_max: granted,
            is_draining: false,
        };
        self.apply(vec![Change::AddNode { node: id, info }]);
        self.nodes.insert(id, node);
        id
    }

    /// A node's process ends; that is noticed at the next round.
    pub(crate) fn kill(&mut self, node: NodeId) {
        self.dead.insert(node);
    }

    pub(crate) fn is_up(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node) && !self.dead.contains(&node)
    }

    pub(crate) fn set(&mut self, change: Change) {
        self.apply(vec![change]);
    }

    /// An operator's moves.
    pub(crate) fn pin(&mut self, slots: &[SlotId], to: NodeId) {
        for slot in slots {
            self.pins.insert(*slot, to);
            if let Some(target) = &mut self.target {
                target.pin(&self.topology, *slot, to);
            }
        }
        self.count();
    }

    /// Everything that is held by what is left of the nodes, and every node that is done with.
    pub(crate) fn fail_over(&mut self) {
        if self.dead.is_empty() {
            return;
        }
        let Failover { mut changes, lost } = Failover::of(&self.topology, &self.dead);
        self.lost += lost.len();
        if !lost.is_empty() {
            changes.push(Change::Abandon { slots: lost });
        }
        changes.extend(self.dead.iter().map(|node| Change::RemoveNode { node: *node }));
        self.apply(changes);
        for node in core::mem::take(&mut self.dead) {
            self.nodes.remove(&node);
        }
    }

    /// A round of what the manager does: who has caught up, who gets what next, who leaves.
    pub(crate) fn round(&mut self, time: Duration, bytes: &[f64]) -> Vec<Node> {
        let is_renewed = self.renew(time);
        let is_done = self.remaining == 0 && self.is_final && self.progress.is_empty();
        if is_done && !is_renewed {
            return Vec::new();
        }
        self.catch_up(bytes);
        self.count();
        if self.remaining == 0 && !self.is_final {
            self.make();
            self.renewals += 1;
            self.is_final = self.remaining == 0 || self.renewals >= RENEWALS_MAX;
        }
        if self.remaining > 0 {
            let slots_max = whole(HANDOVERS_PER_SECOND * time.as_secs_f64());
            let pace = Pace { slots_max, learners_max: LEARNERS_MAX };
            let target = self.target.iter();
            let changes = target.flat_map(|it| it.next_changes(&self.topology, pace)).collect();
            self.apply(changes);
        }
        self.leave()
    }

    /// Bytes flow from primaries to learners, each node sending and taking so many at most.
    pub(crate) fn copy(&mut self, budget: f64, bytes: &[f64]) {
        if self.remaining == 0 {
            return;
        }
        let mut sent: BTreeMap<NodeId, f64> = BTreeMap::new();
        let mut taken: BTreeMap<NodeId, f64> = BTreeMap::new();
        for (slot, config) in self.topology.slots() {
            let Some(primary) = config.primary.filter(|node| !self.dead.contains(node)) else {
                continue;
            };
            for learner in config.learners() {
                let have = self.progress.entry((slot, learner)).or_default();
                let sent = sent.entry(primary).or_insert(budget);
                let taken = taken.entry(learner).or_insert(budget);
                let left = bytes[usize::from(slot.number())] - *have;
                let moved = left.min(*sent).min(*taken).max(0.0);
                *have += moved;
                *sent -= moved;
                *taken -= moved;
                self.copied += moved;
            }
        }
    }

    /// What learners have of slots.
    pub(crate) fn learned(&self) -> impl Iterator<Item = (NodeId, f64)> + '_ {
        let learners = self.progress.iter().filter(|((slot, node), _)| {
            self.topology.slot(*slot).copy(*node).is_some_and(|copy| !copy.is_in_sync)
        });
        learners.map(|((_, node), have)| (*node, *have))
    }

    fn apply(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let update = Update { parent: self.topology.epoch(), changes };
        let next = self.topology.apply(&update);
        self.topology = Arc::new(next.unwrap_or_else(|error| panic!("{error}: {update:?}")));
    }

    fn catch_up(&mut self, bytes: &[f64]) {
        if self.progress.is_empty() {
            return;
        }
        let mut reports = Vec::new();
        let (topology, dead) = (&self.topology, &self.dead);
        self.progress.retain(|(slot, node), have| {
            let config = topology.slot(*slot);
            let Some(copy) = config.copy(*node).filter(|copy| !copy.is_in_sync) else {
                return false;
            };
            let is_whole = *have >= bytes[usize::from(slot.number())] - 1.0;
            let is_led = config.primary.is_some_and(|primary| !dead.contains(&primary));
            if is_whole && is_led && !dead.contains(node) {
                let (epoch, since) = (config.epoch, copy.since);
                reports.push(CaughtUp { slot: *slot, epoch, node: *node, since });
            }
            true
        });
        if !reports.is_empty() {
            self.apply(vec![Change::MakeInSync { reports }]);
        }
    }

    /// Makes the target anew where the nodes are others; whether they are.
    fn renew(&mut self, time: Duration) -> bool {
        let nodes = self.topology.nodes().iter();
        let staying = nodes.filter(|(node, info)| !info.is_draining && self.is_up(**node));
        let inputs: Inputs = staying.map(|(node, info)| (*node, info.memory_max)).collect();
        if self.inputs.as_ref() == Some(&inputs) {
            self.gathered = Duration::ZERO;
            return false;
        }
        self.gathered += time;
        let is_lost = |before: &Inputs| before.keys().any(|node| !inputs.contains_key(node));
        if self.gathered < GATHER_NODES && self.inputs.as_ref().is_some_and(|it| !is_lost(it)) {
            return false;
        }
        self.gathered = Duration::ZERO;
        let topology = &self.topology;
        self.pins.retain(|slot, to| {
            inputs.contains_key(to) && topology.slot(*slot).primary != Some(*to)
        });
        self.inputs = Some(inputs);
        (self.renewals, self.is_final) = (0, false);
        self.make();
        true
    }

    fn make(&mut self) {
        let mut target = Target::of(&self.topology, &self.dead);
        for (slot, to) in &self.pins {
            target.pin(&self.topology, *slot, *to);
        }
        self.target = Some(target);
        self.count();
    }

    fn count(&mut self) {
        let target = self.target.iter();
        self.remaining = target.flat_map(|it| it.remaining(&self.topology)).count();
    }

    /// Takes nodes out that were drained and hold nothing.
    fn leave(&mut self) -> Vec<Node> {
        let nodes = self.topology.nodes().iter();
        let mut leaving: BTreeSet<NodeId> =
            nodes.filter(|(_, info)| info.is_draining).map(|(node, _)| *node).collect();
        if leaving.is_empty() {
            return Vec::new();
        }
        for (_, config) in self.topology.slots() {
            config.holders().for_each(|node| {
                leaving.remove(&node);
            });
        }
        self.apply(leaving.iter().map(|node| Change::RemoveNode { node: *node }).collect());
        leaving.iter().filter_map(|node| self.nodes.remove(node)).collect()
    }
}

pub(crate) fn zone_name(zone: usize) -> Zone {
    Zone::new(&format!("zone-{zone}")).expect("a short name")
}

/// The count below.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "such a conversion saturates, and counts are not below 0"
)]
fn whole(count: f64) -> usize {
    count as usize
}
