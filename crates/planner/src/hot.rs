//! Slots that are hotter than others: they move to who has room, and one that is too hot for that gets
//! a node to itself.

use core::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use memtide_topology::{NodeId, SLOTS, SlotId};

use crate::amounts::{at_permille, part_permille, permille};
use crate::draft::Draft;
use crate::out::offers;
use crate::{Action, Note, Why};

/// Nodes are as full as each other whose parts differ by no more than this, in thousandths.
const FULL_ALIKE: u64 = 20;

/// What a node that is full takes is no larger than this part of it.
const SLOT_PART_MIN: u64 = 64;

/// So many slots are handed over to copies of theirs as easily as one is copied.
const COPIED: usize = 16;

/// Whether there is memory for slots that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Some,
    /// All nodes are full, and there are no more: who takes a slot evicts what is colder. Nodes neither come for a
    /// slot nor go, as that is for those to say that the fleet is short of.
    None,
}

/// Looks at slots, where what they take is known and none is on its way.
pub(crate) fn spread(draft: &mut Draft, room: Room) {
    if draft.seen.slots.len() != usize::from(SLOTS) {
        return;
    }
    let heat = Heat::of(draft);
    let is_moving = draft.seen.is_moving();
    for (node, slot) in reserved(draft) {
        if !is_moving {
            keep_alone(draft, (node, slot), room);
        }
    }
    let hot: Vec<NodeId> = heat.hot(draft).collect();
    draft.past.hot_since.retain(|node, _| hot.contains(node));
    for node in hot {
        let at = draft.seen.at;
        let since = *draft.past.hot_since.entry(node).or_insert(at);
        if since + draft.policy.confirm <= at && !is_moving && draft.is_empty() {
            cool(draft, &heat, node, room);
            if !draft.is_empty() {
                // What it does after that is to be seen first.
                draft.past.hot_since.remove(&node);
            }
        }
    }
}

/// What nodes do by the slots that they are the primaries of.
struct Heat {
    load: BTreeMap<NodeId, u64>,
    capacity: BTreeMap<NodeId, u64>,
}

impl Heat {
    fn of(draft: &Draft) -> Self {
        let members = draft.fleet.members.iter();
        let members = members.filter_map(|it| Some((it.node?, it.capacity.ecpu)));
        let capacity: BTreeMap<_, _> = members.filter(|(_, ecpu)| *ecpu > 0).collect();
        let mut load: HashMap<NodeId, u64> = HashMap::new();
        for (slot, config) in draft.seen.topology.slots() {
            if let Some(primary) = config.primary {
                *load.entry(primary).or_default() += ecpu(draft, slot);
            }
        }
        Self { load: load.into_iter().collect(), capacity }
    }

    fn part(&self, node: NodeId) -> u64 {
        let load = self.load.get(&node).copied().unwrap_or(0);
        part_permille(load, self.capacity.get(&node).copied().unwrap_or(0))
    }

    /// Those above the band, the hottest first.
    fn hot(&self, draft: &Draft) -> impl Iterator<Item = NodeId> + use<> {
        let high = draft.policy.work.high;
        let mut hot: Vec<(u64, NodeId)> =
            self.capacity.keys().map(|node| (self.part(*node), *node)).collect();
        hot.retain(|(part, _)| *part > high);
        hot.sort_by_key(|it| Reverse(*it));
        hot.into_iter().map(|(_, node)| node)
    }
}

fn ecpu(draft: &Draft, slot: SlotId) -> u64 {
    draft.seen.slots[usize::from(slot.number())].ecpu
}

fn bytes(draft: &Draft, slot: SlotId) -> u64 {
    draft.seen.slots[usize::from(slot.number())].bytes
}

fn reserved(draft: &Draft) -> Vec<(NodeId, SlotId)> {
    let nodes = draft.seen.topology.nodes().keys();
    let of = |node: &NodeId| Some((*node, draft.seen.up(*node)?.reserved_for?));
    nodes.filter_map(of).filter(|(node, _)| !draft.seen.is_leaving(*node)).collect()
}

/// A slot that had a node for itself gets there, and stays there for as long as it needs it.
fn keep_alone(draft: &mut Draft, (node, slot): (NodeId, SlotId), room: Room) {
    let capacity = draft.seen.up(node).map_or(0, |seen| seen.capacity.ecpu);
    let part = part_permille(ecpu(draft, slot), capacity);
    if part > draft.policy.work.high {
        draft.notes.insert(Note::SlotTooHot(slot));
    }
    if part * 2 > draft.policy.lone_slot {
        draft.past.cool_since.remove(&slot);
        let is_there = draft.seen.topology.slot(slot).primary == Some(node);
        if !is_there {
            let why = Why::LoneSlot { slot, permille: part };
            draft.step(Action::Move { slots: vec![slot], to: node }, why);
        }
        return;
    }
    let since = *draft.past.cool_since.entry(slot).or_insert(draft.seen.at);
    if since + draft.past.in_after(draft.policy) <= draft.seen.at && room == Room::Some {
        draft.past.cool_since.remove(&slot);
        draft.step(Action::Drain { node }, Why::SlotCooled(slot));
    }
}

/// Takes slots off a node that does too much.
fn cool(draft: &mut Draft, heat: &Heat, node: NodeId, room: Room) {
    let slots = draft.seen.topology.slots().filter(|(_, config)| config.primary == Some(node));
    let mut slots: Vec<SlotId> = slots.map(|(slot, _)| slot).collect();
    slots.sort_by_key(|slot| (Reverse(ecpu(draft, *slot)), *slot));
    let Some(hottest) = slots.first().copied() else { return };
    let (capacity, work) = (heat.capacity[&node], draft.policy.work);
    let lone = part_permille(ecpu(draft, hottest), capacity);
    if lone < draft.policy.lone_slot {
        return shift(draft, heat, (node, work.target, room), &slots);
    }
    if room == Room::Some && isolate(draft, hottest, lone) {
        return;
    }
    // Nobody for the hottest: the others leave it alone, where that is of use, and only as far as it is.
    let goal = u64::midpoint(work.target, work.high);
    if lone < goal {
        shift(draft, heat, (node, goal, room), &slots[1..]);
    }
}

/// Plans a node for a slot alone, unless it has one or none can be had.
fn isolate(draft: &mut Draft, slot: SlotId, part: u64) -> bool {
    let has_one = reserved(draft).iter().any(|(_, it)| *it == slot);
    let is_coming = draft
        .seen
        .under_way
        .iter()
        .any(|it| matches!(it.action, Action::Isolate { slot: it, .. } if it == slot));
    if has_one || is_coming {
        return true;
    }
    let primary = draft.seen.topology.slot(slot).primary;
    let zone = primary.and_then(|node| draft.seen.topology.nodes().get(&node)).map(|it| &it.zone);
    // A node of another zone would part its copies from their zones.
    let is_fit = |zone_of| draft.seen.holders() == 1 || zone == Some(zone_of);
    let offer = offers(draft)
        .filter(|(_, offer)| is_fit(&offer.zone))
        .min_by_key(|(_, offer)| (Some(&offer.zone) != zone, offer.ready_in));
    let resource = crate::Resource::Ecpu;
    let Some((_, offer)) = offer else {
        draft.notes.insert(Note::NoNodes(resource));
        return false;
    };
    if draft.nodes_left() == 0 {
        draft.notes.insert(Note::NodesMax(resource));
        return false;
    }
    let needed = at_permille(bytes(draft, slot), draft.memory().target).saturating_mul(2);
    let memory = needed.max(offer.memory_min).min(offer.capacity.memory.max(offer.memory_min));
    let (offer, zone) = (offer.id, offer.zone.clone());
    draft.step(
        Action::Isolate { slot, offer, zone, memory },
        Why::LoneSlot { slot, permille: part },
    );
    draft.past.out_at = Some(draft.seen.at);
    true
}

/// Moves slots, the hottest first, until a node does no more than a part of what it can, in thousandths.
fn shift(
    draft: &mut Draft,
    heat: &Heat,
    (node, part, room): (NodeId, u64, Room),
    slots: &[SlotId],
) {
    let mut load = heat.load.clone();
    let mut memory: BTreeMap<NodeId, u64> =
        draft.fleet.members.iter().filter_map(|it| Some((it.node?, it.used))).collect();
    let goal = permille(heat.capacity[&node], part);
    let mut moves: BTreeMap<NodeId, Vec<SlotId>> = BTreeMap::new();
    let mut left = draft.policy.moves_max * COPIED;
    for slot in slots {
        if left < COPIED || load[&node] <= goal {
            break;
        }
        let takes = ecpu(draft, *slot);
        if takes == 0 || load[&node] < goal + takes / 4 {
            continue;
        }
        let Some(to) = taker(draft, heat, (&load, &memory), (node, *slot, room)) else { continue };
        load.entry(node).and_modify(|load| *load -= takes);
        *load.entry(to).or_default() += takes;
        *memory.entry(to).or_default() += bytes(draft, *slot);
        moves.entry(to).or_default().push(*slot);
        left -= if is_holder(draft, *slot, to) { 1 } else { COPIED };
    }
    let why = Why::Uneven { node, permille: heat.part(node) };
    moves.into_iter().for_each(|(to, slots)| draft.step(Action::Move { slots, to }, why));
}

/// Whether nothing is to be copied for a node to become a slot's primary.
fn is_holder(draft: &Draft, slot: SlotId, node: NodeId) -> bool {
    draft.seen.topology.slot(slot).in_sync().any(|holder| holder == node)
}

/// Who takes a slot with room to spare: a holder of it, as then nothing is copied, or else the coolest of its zone.
fn taker(
    draft: &Draft,
    heat: &Heat,
    (load, memory): (&BTreeMap<NodeId, u64>, &BTreeMap<NodeId, u64>),
    (from, slot, room): (NodeId, SlotId, Room),
) -> Option<NodeId> {
    let nodes = draft.seen.topology.nodes();
    let takes = ecpu(draft, slot);
    let after = |node: &NodeId| {
        part_permille(load.get(node).copied().unwrap_or(0) + takes, heat.capacity[node])
    };
    let full = |node: &NodeId| {
        part_permille(memory.get(node).copied().unwrap_or(0), nodes[node].memory_max)
    };
    let has_memory = |node: &NodeId| {
        let used = memory.get(node).copied().unwrap_or(0) + bytes(draft, slot);
        used <= permille(nodes[node].memory_max, draft.memory().high)
            // As full as who has it, and the slot is small beside it: as much is evicted as room is made for.
            || room == Room::None
                && full(node) <= full(&from) + FULL_ALIKE
                && bytes(draft, slot) <= nodes[node].memory_max / SLOT_PART_MIN
    };
    let zone = &nodes.get(&from)?.zone;
    let is_holder = |node: &NodeId| is_holder(draft, slot, *node);
    let is_near = |node: &NodeId| draft.seen.holders() == 1 || nodes[node].zone == *zone;
    let fit = heat.capacity.keys().copied().filter(|node| {
        *node != from
            && after(node) <= draft.policy.work.target
            && (is_holder(node) || is_near(node) && has_memory(node))
    });
    fit.min_by_key(|node| (!is_holder(node), after(node), *node))
}
