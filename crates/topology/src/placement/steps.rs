use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Target, Wanted};
use crate::limits::COPIES_MAX;
use crate::{Change, NodeId, Previous, SlotConfig, SlotId, Topology};

/// How much may be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Slots that one update hands over: a node does that in one go, in which it answers nobody.
    pub slots_max: usize,
    /// Learners that are copied at the same time, those that there are included. Slots that nobody
    /// held before do not count: there is nothing to copy. It bounds what is under way when the
    /// plan changes; how many bytes are sent at a time is for the nodes to bound.
    pub learners_max: usize,
}

impl Pace {
    /// All that can be done is done at once.
    pub const UNBOUNDED: Self = Self { slots_max: usize::MAX, learners_max: usize::MAX };
}

impl Target {
    /// What to change next in a topology to get nearer; the slots with the fewest complete holders
    /// first. Nothing where all is as it should be or learners have to catch up first.
    ///
    /// These are the steps of design note 0007, each of them right by itself, in this order for a slot:
    ///
    /// ```text
    /// nobody holds it:   set primary, add learners
    /// a holder is missing:   drop learners that are not wanted, add learners
    /// -- the manager makes them in sync when their primaries report it --
    /// all are in sync, another is primary:   set primary, the old one stays in sync: a handover
    /// all are in sync:   drop copies that are not wanted
    /// ```
    /// So a slot never has fewer complete holders than before until it has all that are wanted, and
    /// no slot is handed over while it is copied. A slot whose primary is down waits for its failover.
    #[must_use]
    pub fn next_changes(&self, topology: &Topology, pace: Pace) -> Vec<Change> {
        let is_fit =
            |node: &NodeId| topology.nodes().get(node).is_some_and(|node| !node.is_draining);
        let remaining = self.remaining(topology).filter_map(|slot| {
            let wanted = self.slot(slot)?;
            wanted.holders().all(|node| is_fit(&node)).then_some((slot, wanted))
        });
        let mut slots: Vec<(SlotId, &Wanted)> = remaining.collect();
        slots.sort_by_cached_key(|(slot, _)| topology.slot(*slot).complete().count());
        let is_led = |config: &&Arc<SlotConfig>| {
            config.primary.is_some_and(|primary| !self.down.contains(&primary))
        };
        let configs = self.ids.iter().map(|slot| topology.slot(*slot)).filter(is_led);
        let learners = configs.map(|config| config.learners().count()).sum();
        let learners_left = pace.learners_max.saturating_sub(learners);
        let handovers_left = pace.slots_max;
        let mut steps = Steps { learners_left, handovers_left, ..Steps::default() };
        for (slot, wanted) in slots {
            let config = topology.slot(slot);
            if config.primary.is_none_or(|primary| !self.down.contains(&primary)) {
                steps.take(slot, config, wanted);
            }
        }
        steps.into_changes()
    }
}

/// The changes of one update, by what they have in common.
#[derive(Default)]
struct Steps {
    learners_left: usize,
    handovers_left: usize,
    drops: BTreeMap<NodeId, Vec<SlotId>>,
    primaries: BTreeMap<(NodeId, Previous), Vec<SlotId>>,
    learners: BTreeMap<NodeId, Vec<SlotId>>,
}

impl Steps {
    /// Takes the next step of a slot.
    fn take(&mut self, slot: SlotId, config: &SlotConfig, wanted: &Wanted) {
        let Some(primary) = wanted.primary else { return };
        let unwanted: Vec<NodeId> = (config.copies.iter().map(|copy| copy.node))
            .filter(|node| wanted.holders().all(|holder| holder != *node))
            .collect();
        let is_missing = |node: &NodeId| !config.is_held_by(*node);
        if config.primary.is_none() {
            self.primaries.entry((primary, Previous::Gone)).or_default().push(slot);
            wanted
                .copies
                .iter()
                .for_each(|copy| self.learners.entry(*copy).or_default().push(slot));
        } else if wanted.holders().any(|node| is_missing(&node)) {
            self.complete(slot, config, wanted, &unwanted);
        } else if config.learners().any(|learner| !unwanted.contains(&learner)) {
            // It is being copied.
        } else if config.primary != Some(primary) {
            if self.handovers_left > 0 {
                self.handovers_left -= 1;
                self.primaries.entry((primary, Previous::InSync)).or_default().push(slot);
            }
        } else {
            unwanted.iter().for_each(|node| self.drop(*node, slot));
        }
    }

    /// Adds the holders that a slot lacks as learners, as far as there is room.
    fn complete(
        &mut self,
        slot: SlotId,
        config: &SlotConfig,
        wanted: &Wanted,
        unwanted: &[NodeId],
    ) {
        let is_learner = |node: &&NodeId| config.learners().any(|learner| learner == **node);
        let mut dropped: Vec<NodeId> = unwanted.iter().filter(is_learner).copied().collect();
        let is_full = dropped.is_empty() && config.copies.len() >= COPIES_MAX;
        if is_full && config.complete().count() > wanted.holders().count() {
            dropped.extend(unwanted.iter().take(1));
        }
        dropped.iter().for_each(|node| self.drop(*node, slot));
        let room = (COPIES_MAX + dropped.len()).saturating_sub(config.copies.len());
        let missing = wanted.holders().filter(|node| !config.is_held_by(*node));
        let added: Vec<NodeId> = missing.take(room.min(self.learners_left)).collect();
        self.learners_left -= added.len();
        added.iter().for_each(|node| self.learners.entry(*node).or_default().push(slot));
    }

    fn drop(&mut self, node: NodeId, slot: SlotId) {
        self.drops.entry(node).or_default().push(slot);
    }

    /// In an order in which each is right after those before it.
    fn into_changes(self) -> Vec<Change> {
        let drops = self.drops.into_iter().map(|(node, slots)| Change::DropCopy { slots, node });
        let primaries = self
            .primaries
            .into_iter()
            .map(|((primary, previous), slots)| Change::SetPrimary { slots, primary, previous });
        let learners = self.learners.into_iter();
        let learners = learners.map(|(node, slots)| Change::AddLearner { slots, node });
        drops.chain(primaries).chain(learners).collect()
    }
}
