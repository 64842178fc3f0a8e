//! What became of slots and nodes from one stored topology to the next.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_topology::{Diff, Epoch, NodeId, SlotConfig, SlotId, Topology};

use crate::{Event, Migration, Moved, Settings};

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Copies that are not complete, and since when.
    learners: BTreeMap<(SlotId, NodeId), Duration>,
    /// Slots that were handed over lately, and when.
    handed_over: BTreeMap<SlotId, Duration>,
    /// Nodes that drain and hold nothing any more, since when.
    emptied: BTreeMap<NodeId, (Epoch, Duration)>,
}

/// How slots have changed hands.
#[derive(Default)]
struct Counts {
    founded: usize,
    failed_over: usize,
    moved: Moved,
    lost: usize,
}

impl Watch {
    /// Starts from what is stored.
    pub(crate) fn new(now: Duration, topology: &Topology) -> Self {
        let mut watch = Self::default();
        for (slot, config) in topology.slots() {
            watch.learners.extend(config.learners().map(|node| ((slot, node), now)));
        }
        watch.look_for_emptied(now, topology);
        watch
    }

    /// Follows the topology by a step; says what has happened.
    pub(crate) fn follow(
        &mut self,
        now: Duration,
        (before, after): (&Topology, &Topology),
        settings: &Settings,
    ) -> Vec<Event> {
        let diff = Topology::diff(before, after);
        let mut events = node_events(&diff, before);
        if before.replicas_wanted() != after.replicas_wanted() {
            events.push(Event::ReplicasSet(after.replicas_wanted()));
        }
        self.handed_over.retain(|_, at| *at + settings.handover_grace > now);
        let mut counts = Counts::default();
        for (slot, config) in diff.slots() {
            counts.moved.copied += self.follow_slot((now, slot), before.slot(slot), config);
            match change_of_hands(before.slot(slot), config) {
                Some(Hands::Founded) => counts.founded += 1,
                Some(Hands::FailedOver) => counts.failed_over += 1,
                Some(Hands::Lost) => counts.lost += 1,
                Some(Hands::HandedOver) => {
                    counts.moved.handed_over += 1;
                    self.handed_over.insert(slot, now);
                }
                None => {}
            }
        }
        events.extend(counts.into_events());
        self.look_for_emptied(now, after);
        events
    }

    /// Says how many copies have become complete.
    fn follow_slot(
        &mut self,
        (now, slot): (Duration, SlotId),
        before: &SlotConfig,
        after: &SlotConfig,
    ) -> usize {
        let mut copied = 0;
        for learner in before.learners().filter(|node| !is_learner(after, *node)) {
            self.learners.remove(&(slot, learner));
            copied += usize::from(after.complete().any(|node| node == learner));
        }
        for learner in after.learners() {
            self.learners.entry((slot, learner)).or_insert(now);
        }
        copied
    }

    fn look_for_emptied(&mut self, now: Duration, topology: &Topology) {
        let draining = topology.nodes().iter().filter(|(_, info)| info.is_draining);
        let draining: BTreeSet<NodeId> = draining.map(|(node, _)| *node).collect();
        if draining.is_empty() {
            return self.emptied.clear();
        }
        let holding = holders(topology);
        let is_empty = |node: &NodeId| draining.contains(node) && !holding.contains(node);
        self.emptied.retain(|node, _| is_empty(node));
        for node in draining.iter().filter(|node| is_empty(node)) {
            self.emptied.entry(*node).or_insert((topology.epoch(), now));
        }
    }

    /// Nodes that drain and hold nothing any more; since when, and since which topology.
    pub(crate) const fn emptied(&self) -> &BTreeMap<NodeId, (Epoch, Duration)> {
        &self.emptied
    }

    /// When copies of a slot may be dropped, where the source of a handover may not have consented yet.
    pub(crate) fn spares_until(
        &self,
        (now, slot): (Duration, SlotId),
        settings: &Settings,
    ) -> Option<Duration> {
        let until = *self.handed_over.get(&slot)? + settings.handover_grace;
        (until > now).then_some(until)
    }

    /// The slots that are being copied.
    pub(crate) fn migrations(&self, topology: &Topology) -> Vec<Migration> {
        let learners = self.learners.iter();
        let migration = |(&(slot, to), &began): (&(SlotId, NodeId), &Duration)| {
            let from = topology.slot(slot).primary?;
            Some(Migration { slot, from, to, began })
        };
        learners.filter_map(migration).collect()
    }
}

/// All that hold a slot, or are to.
pub(crate) fn holders(topology: &Topology) -> BTreeSet<NodeId> {
    let mut holders = BTreeSet::new();
    let mut last: Option<&Arc<SlotConfig>> = None;
    for (_, config) in topology.slots() {
        if !last.is_some_and(|last| Arc::ptr_eq(last, config)) {
            holders.extend(config.holders());
            last = Some(config);
        }
    }
    holders
}

fn is_learner(config: &SlotConfig, node: NodeId) -> bool {
    config.copy(node).is_some_and(|copy| !copy.is_in_sync)
}

enum Hands {
    Founded,
    FailedOver,
    HandedOver,
    Lost,
}

/// A slot that was given up and has a new owner in the same step is lost.
fn change_of_hands(before: &SlotConfig, after: &SlotConfig) -> Option<Hands> {
    match (before.primary, after.primary) {
        (None, Some(_)) => Some(Hands::Founded),
        (Some(_), None) => Some(Hands::Lost),
        (Some(_), Some(_)) if before.born != after.born => Some(Hands::Lost),
        (Some(from), Some(to)) if from != to => match after.copy(from) {
            Some(copy) if copy.is_in_sync => Some(Hands::HandedOver),
            _ => Some(Hands::FailedOver),
        },
        _ => None,
    }
}

impl Counts {
    fn into_events(self) -> impl Iterator<Item = Event> {
        let Self { founded, failed_over, moved, lost } = self;
        let events = [
            (lost, Event::SlotsLost { slots: lost }),
            (founded, Event::Founded { slots: founded }),
            (failed_over, Event::FailedOver { slots: failed_over }),
            (moved.handed_over + moved.copied, Event::Moved(moved)),
        ];
        events.into_iter().filter(|(count, _)| *count > 0).map(|(_, event)| event)
    }
}

fn node_events(diff: &Diff, before: &Topology) -> Vec<Event> {
    let mut events: Vec<Event> = diff.nodes_gone().iter().map(|node| Event::Left(*node)).collect();
    for (&node, info) in diff.nodes() {
        match before.nodes().get(&node) {
            None => events.push(Event::Joined {
                node,
                zone: info.zone.clone(),
                address: info.address.clone(),
            }),
            Some(was) if was.is_draining != info.is_draining => events.push(if info.is_draining {
                Event::Draining(node)
            } else {
                Event::Undrained(node)
            }),
            Some(_) => {}
        }
    }
    events
}
