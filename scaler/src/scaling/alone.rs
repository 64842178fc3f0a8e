//! The executor with one node, which is in this process: all that can be changed is its memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use memtide_executor::{
    Call, Effect, Event, Executor, Fill, Filled, NodeSight, Record, Settings, Sight,
};
use memtide_limits::Limits;
use memtide_manager::Operation;
use memtide_planner::{Amounts, Policy};
use memtide_topology::{CacheId, Change, HashSeed, NodeId, NodeInfo, Topology, Update, Zone};

use super::Explained;

/// The only node there ever is.
const NODE: NodeId = NodeId::new(1);

/// Decides how much memory a node has that nobody else is beside, by the same planner as of a fleet.
///
/// ```text
/// Granted, Limits, a few times a second --look--> Executor: grant(from, to), at once
///                                                     +---> events, Explained
/// ```
/// There is nothing to store: what was granted is gone when the process is.
#[derive(Debug)]
pub struct Alone {
    executor: Executor,
    /// How fast its data comes.
    fill: Fill,
    /// Nobody else ever sees it.
    topology: Arc<Topology>,
}

/// What the node may take and takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// It may take so much now. A node that grows by itself rather than evict has raised it since.
    pub memory: u64,
    /// It takes so much now.
    pub used: u64,
    /// It can be granted so much.
    pub most: u64,
}

impl Alone {
    /// One whose node begins with so much memory.
    ///
    /// # Panics
    /// Never: one node fits into a topology.
    #[must_use]
    pub fn new(policy: Policy, memory: u64) -> Self {
        let settings = Settings { policy, spares_per_zone: 0 };
        let topology = Topology::new(CacheId::default(), HashSeed::new(0, 0), 0);
        let topology = topology.expect("it wants no replicas");
        let zone = Zone::new("here").expect("it is a word");
        let address = "localhost:0".to_owned();
        let info = NodeInfo { address, zone, memory_max: memory, is_draining: false };
        let change = Change::AddNode { node: NODE, info };
        let update = Update { parent: topology.epoch(), changes: vec![change] };
        let topology = Arc::new(topology.apply(&update).expect("the first node fits"));
        let executor = Executor::new(settings, Record::default());
        Self { executor, fill: Fill::default(), topology }
    }

    /// Looks at the node, and has it granted what is decided: `grant` changes its memory from what was seen to what
    /// is wanted, and says whether it did. Gives what is to be told.
    pub fn look(
        &mut self,
        at: Duration,
        seen: Granted,
        limits: Limits,
        mut grant: impl FnMut(u64, u64) -> bool,
    ) -> Vec<Event> {
        self.note(seen.memory);
        self.fill.hear(at, NODE, Filled { own: seen.used, used: seen.used, max: seen.memory });
        let growth = self.fill.look(at, |_| true).used;
        self.executor.look(Arc::new(self.sight(at, (seen, growth), limits)));
        let mut events = Vec::new();
        while let Some(effect) = self.executor.poll() {
            match effect {
                Effect::Event(event) => events.push(event),
                Effect::Store { version, .. } => self.executor.stored(at, version, Ok(())),
                Effect::Call(id, call) => {
                    let to = match call {
                        Call::Operate(Operation::SetMemory { memory_max, .. }) => Some(memory_max),
                        _ => None,
                    };
                    let is_done = to.is_some_and(|to| grant(seen.memory, to));
                    if let Some(to) = to.filter(|_| is_done) {
                        self.note(to);
                    }
                    let why = || "the node was given more meanwhile".to_owned();
                    self.executor.answered(at, id, is_done.then_some(()).ok_or_else(why));
                }
            }
        }
        events
    }

    /// What was decided, and on which figures.
    #[must_use]
    pub fn explained(&self, now: Duration) -> Explained {
        Explained::of(&self.executor, now, 0)
    }

    fn sight(&self, at: Duration, (seen, memory_growth): (Granted, u64), limits: Limits) -> Sight {
        let memory = |memory| Amounts { memory, ..Amounts::default() };
        let node = NodeSight {
            is_up: true,
            is_leaving: false,
            has_said: true,
            load: memory(seen.used),
            memory_held: seen.used,
            capacity: memory(seen.most),
            instance: String::new(),
        };
        Sight {
            at,
            topology: Arc::clone(&self.topology),
            nodes: BTreeMap::from([(NODE, node)]),
            coming: BTreeSet::new(),
            slots: Vec::new(),
            limits,
            supplies: Vec::new(),
            memory_growth,
            ecpu_wanted: None,
            slots_remaining: 0,
        }
    }

    /// The node may take so much.
    fn note(&mut self, memory_max: u64) {
        if self.topology.nodes().get(&NODE).is_some_and(|node| node.memory_max == memory_max) {
            return;
        }
        let change = Change::SetMemory { node: NODE, memory_max };
        let update = Update { parent: self.topology.epoch(), changes: vec![change] };
        let topology = self.topology.apply(&update).expect("the node is there");
        self.topology = Arc::new(topology);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A node that holds what it is told to, and grows by itself rather than evict.
    struct Node {
        alone: Alone,
        granted: Granted,
        at: Duration,
        limits: Limits,
        /// What was told.
        events: Vec<String>,
    }

    impl Node {
        fn new() -> Self {
            let policy = Policy {
                nodes_min: 1,
                nodes_max: 1,
                memory_min: 64 * MIB,
                in_after: Duration::from_secs(10),
                ..Policy::default()
            };
            let granted = Granted { memory: 64 * MIB, used: MIB, most: 4096 * MIB };
            let alone = Alone::new(policy, granted.memory);
            let (at, limits) = (Duration::ZERO, Limits::default());
            Self { alone, granted, at, limits, events: Vec::new() }
        }

        /// It holds so much, a fifth of a second later; gives what it may take then.
        fn holds(&mut self, used: u64) -> u64 {
            self.at += Duration::from_millis(200);
            self.granted.used = used;
            self.granted.memory = self.granted.memory.max(used).min(self.granted.most);
            let granted = &mut self.granted;
            let (seen, most) = (*granted, granted.most);
            let events = self.alone.look(self.at, seen, self.limits, |from, to| {
                assert_eq!(from, seen.memory);
                granted.memory = to.min(most);
                granted.memory == to
            });
            self.events.extend(events.iter().map(ToString::to_string));
            self.granted.memory
        }

        /// For so long.
        fn holds_for(&mut self, used: u64, seconds: u32) -> u64 {
            (0..5 * seconds).map(|_| self.holds(used)).last().unwrap_or_default()
        }
    }

    #[test]
    fn memory_is_ahead_of_the_data_and_is_given_back_a_while_after_it_has_gone() {
        let mut node = Node::new();
        for used in (2..1_000).map(|it| it * MIB) {
            let granted = node.holds(used);
            assert!(granted > used + used / 64, "{used} of {granted}");
        }
        let granted = node.holds_for(1_000 * MIB, 1);
        assert!(granted <= 2_400 * MIB, "{granted}");
        assert_eq!(node.holds_for(5 * MIB, 9), granted, "it may come back");
        assert_eq!(node.holds_for(5 * MIB, 3), 64 * MIB);
        assert_eq!(node.holds_for(5 * MIB, 30), 64 * MIB);
        let decided = node.events.iter().rfind(|it| it.starts_with("decision"));
        assert!(decided.is_some_and(|it| it.contains("all 1 steps done")), "{:?}", node.events);
    }

    #[test]
    fn a_minimum_is_there_at_once_and_a_maximum_is_not_passed() {
        let mut node = Node::new();
        node.limits.data_storage.min = 2_000 * MIB;
        let granted = node.holds(MIB);
        assert!((1_980 * MIB..2_100 * MIB).contains(&granted), "{granted}");
        assert_eq!(node.holds_for(MIB, 20), granted);
        node.limits.data_storage.min = 0;
        assert_eq!(node.holds_for(MIB, 2), 64 * MIB, "it was not used for long enough");
        (node.limits.data_storage.max, node.granted.most) = (300 * MIB, 300 * MIB);
        for used in (2..300).map(|it| it * MIB) {
            assert!(node.holds(used) <= 300 * MIB);
        }
        assert_eq!(node.holds_for(300 * MIB, 1), 300 * MIB);
    }

    #[test]
    fn a_load_that_stays_is_left_alone() {
        let mut node = Node::new();
        let granted = node.holds_for(500 * MIB, 40);
        let decided = node.events.len();
        for second in 0..600 {
            assert_eq!(node.holds_for((500 + second % 7) * MIB, 1), granted);
        }
        assert_eq!(node.events.len(), decided);
    }

    #[test]
    fn what_cannot_be_granted_is_told_and_not_taken_for_done() {
        let mut node = Node::new();
        let seen = Granted { used: 63 * MIB, ..node.granted };
        let events = node.alone.look(node.at, seen, node.limits, |_, _| false);
        let failed = events.iter().any(|it| matches!(it, Event::Failed { .. }));
        assert!(failed, "{events:?}");
        let json = serde_json::to_value(node.alone.explained(node.at)).unwrap();
        assert_eq!(json["resources"][0]["capacity"], 64 * MIB, "{json}");
        assert_eq!(json["decisions"][0]["steps"][0]["outcome"], "failed", "{json}");
    }
}
