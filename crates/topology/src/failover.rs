use std::collections::{BTreeMap, BTreeSet};

use crate::{Change, NodeId, NodeInfo, Previous, SlotConfig, SlotId, Topology, Zone};

/// What to do about nodes that are silent or dead: who takes over, and who is no copy any more.
///
/// Where the primary is dead, a copy in sync takes over. It is one that does not drain, if there is one;
/// of these the one with the fewest primaries for its memory and its zone's, those promoted before it in
/// the same failover included. The other copies become learners in the same change, so the new
/// primary waits for none of them (design note 0007); those at its position join without being
/// copied. Where only copies are dead they are dropped, and the slot's epoch stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failover {
    /// One update's, right in this order. Afterwards the dead hold only what is lost.
    pub changes: Vec<Change>,
    /// Slots whose every complete holder is dead; nothing is changed about them. To have them start
    /// empty is for [`Change::Abandon`], once the dead are known to be dead.
    pub lost: Vec<SlotId>,
}

impl Failover {
    /// That of every slot.
    #[must_use]
    pub fn of(topology: &Topology, dead: &BTreeSet<NodeId>) -> Self {
        Self::of_slots(topology, dead, SlotId::all())
    }

    /// That of some slots only.
    #[must_use]
    pub fn of_slots(
        topology: &Topology,
        dead: &BTreeSet<NodeId>,
        slots: impl IntoIterator<Item = SlotId>,
    ) -> Self {
        let mut heirs = Heirs::of(topology, dead);
        let mut steps = Steps::default();
        let mut lost = Vec::new();
        for slot in slots {
            let config = topology.slot(slot);
            match config.primary {
                Some(primary) if dead.contains(&primary) => match heirs.choose(config) {
                    Some(heir) => steps.promote(slot, config, heir, dead),
                    None => lost.push(slot),
                },
                _ => steps.drop_dead(slot, config, dead),
            }
        }
        Self { changes: steps.into_changes(), lost }
    }
}

/// Who may take over, and how much each has as primary by now.
struct Heirs<'a> {
    /// Nodes that are not dead.
    nodes: BTreeMap<NodeId, &'a NodeInfo>,
    zone_memory: BTreeMap<&'a Zone, u128>,
    primaries: BTreeMap<NodeId, u128>,
    zone_primaries: BTreeMap<&'a Zone, u128>,
}

impl<'a> Heirs<'a> {
    fn of(topology: &'a Topology, dead: &BTreeSet<NodeId>) -> Self {
        let alive = topology.nodes().iter().filter(|(node, _)| !dead.contains(node));
        let nodes: BTreeMap<NodeId, &NodeInfo> = alive.map(|(id, node)| (*id, node)).collect();
        let mut heirs = Self {
            nodes,
            zone_memory: BTreeMap::new(),
            primaries: BTreeMap::new(),
            zone_primaries: BTreeMap::new(),
        };
        for node in heirs.nodes.values() {
            *heirs.zone_memory.entry(&node.zone).or_default() += u128::from(node.memory_max);
        }
        for primary in topology.slots().filter_map(|(_, config)| config.primary) {
            heirs.count(primary);
        }
        heirs
    }

    fn count(&mut self, primary: NodeId) {
        if let Some(node) = self.nodes.get(&primary) {
            *self.primaries.entry(primary).or_default() += 1;
            *self.zone_primaries.entry(&node.zone).or_default() += 1;
        }
    }

    /// Chooses who takes over a slot, and counts it.
    fn choose(&mut self, config: &SlotConfig) -> Option<NodeId> {
        let alive = config.in_sync().filter_map(|id| Some((id, *self.nodes.get(&id)?)));
        let heir = alive.min_by_key(|(id, node)| (node.is_draining, self.load(*id, node), *id));
        let (heir, _) = heir?;
        self.count(heir);
        Some(heir)
    }

    /// Primaries by memory, of the node and of its zone, to compare with others.
    fn load(&self, id: NodeId, node: &NodeInfo) -> u128 {
        let count = self.primaries.get(&id).copied().unwrap_or(0);
        let zone_count = self.zone_primaries.get(&node.zone).copied().unwrap_or(0);
        let zone_memory = self.zone_memory.get(&node.zone).copied().unwrap_or(0);
        // Counts are below 2^15, so that neither is above 2^111.
        let per_byte = |count: u128, memory: u128| (count << 96) / memory.max(1);
        per_byte(count, u128::from(node.memory_max)) + per_byte(zone_count, zone_memory)
    }
}

/// The changes of the update, by node.
#[derive(Default)]
struct Steps {
    primaries: BTreeMap<NodeId, Vec<SlotId>>,
    drops: BTreeMap<NodeId, Vec<SlotId>>,
    learners: BTreeMap<NodeId, Vec<SlotId>>,
}

impl Steps {
    fn promote(
        &mut self,
        slot: SlotId,
        config: &SlotConfig,
        heir: NodeId,
        dead: &BTreeSet<NodeId>,
    ) {
        self.primaries.entry(heir).or_default().push(slot);
        self.drop_dead(slot, config, dead);
        let others = config.copies.iter().map(|copy| copy.node);
        for node in others.filter(|node| *node != heir && !dead.contains(node)) {
            self.learners.entry(node).or_default().push(slot);
        }
    }

    fn drop_dead(&mut self, slot: SlotId, config: &SlotConfig, dead: &BTreeSet<NodeId>) {
        for copy in config.copies.iter().filter(|copy| dead.contains(&copy.node)) {
            self.drops.entry(copy.node).or_default().push(slot);
        }
    }

    fn into_changes(self) -> Vec<Change> {
        let primaries = self.primaries.into_iter().map(|(primary, slots)| {
            let previous = Previous::Gone;
            Change::SetPrimary { slots, primary, previous }
        });
        let drops = self.drops.into_iter().map(|(node, slots)| Change::DropCopy { slots, node });
        let learners = self.learners.into_iter();
        let learners = learners.map(|(node, slots)| Change::MakeLearner { slots, node });
        primaries.chain(drops).chain(learners).collect()
    }
}
