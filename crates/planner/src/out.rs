//! More capacity: memory in place, then nodes.

use std::collections::{BTreeMap, BTreeSet};

use memtide_topology::NodeId;

use crate::amounts::part_permille;
use crate::draft::Draft;
use crate::fleet::{Fleet, Held, Member};
use crate::need::lacks;
use crate::{Action, Note, Offer, Resource, Why};

/// Plans as much more as is wanted.
///
/// ```text
/// memory in place -> nodes that were to leave stay -> nodes are added, zone by zone -> memory in place
/// ```
/// Each only as far as those before it do not suffice.
pub(crate) fn go_out(draft: &mut Draft, why: Why) {
    let wanted = Wanted::of(draft);
    let mut fleet = draft.fleet.clone();
    let stays = stay(draft, &wanted, &mut fleet);
    let added = add(draft, &wanted, &mut fleet);
    let fleet = wanted.filled(wanted.bridge(wanted.fit(fleet, draft), draft), draft);
    if !stays.is_empty() || !added.is_empty() {
        draft.past.goes_out(draft.seen.at, draft.policy);
    }
    stays.into_iter().for_each(|node| draft.step(Action::Stay { node }, why));
    draft.grants(&fleet, why);
    for (offer, nodes) in added {
        let offer = &draft.seen.offers[offer];
        let mut memories: BTreeMap<u64, u32> = BTreeMap::new();
        let zone = fleet.zones.iter().position(|zone| *zone == offer.zone);
        let new = fleet.members.iter().filter(|it| it.node.is_none() && Some(it.zone) == zone);
        // The last ones of that zone; those before were under way already.
        let new: Vec<u64> = new.map(|it| it.grant).collect();
        let new = &new[new.len().saturating_sub(nodes)..];
        new.iter().for_each(|memory| *memories.entry(*memory).or_default() += 1);
        for (memory, nodes) in memories {
            let (offer, zone) = (offer.id, offer.zone.clone());
            draft.step(Action::Add { offer, zone, nodes, memory }, why);
        }
    }
}

/// Plans more memory in place, which costs nothing where it is not needed in a moment.
pub(crate) fn grow(draft: &mut Draft, why: Option<Why>) {
    let need = *draft.figures.of(Resource::Memory);
    let is_above = why == Some(Why::Above(Resource::Memory));
    if !is_above && !need.is_filling() {
        return;
    }
    let wanted = Wanted::capacities(draft, [if is_above { need.wanted } else { 0 }, 0, 0, 0]);
    let fleet = wanted.filled(wanted.grown(draft.fleet.clone(), draft, None), draft);
    let why = why.filter(|_| is_above).unwrap_or(Why::Filling(draft.seen.memory_growth));
    draft.grants(&fleet, why);
}

/// Whether copies could be in more zones than they are.
pub(crate) fn lacks_zones(draft: &Draft) -> bool {
    let holders = draft.seen.holders();
    let fleet = &draft.fleet;
    let weights = fleet.weights();
    let is_used = |offer: &Offer| {
        let at = fleet.zones.iter().position(|zone| *zone == offer.zone);
        at.is_some_and(|at| weights[at] > 0)
    };
    fleet.zones_used() < holders && offers(draft).any(|(_, offer)| !is_used(offer))
}

/// The offers that may be asked now.
pub(crate) fn offers<'d>(draft: &'d Draft) -> impl Iterator<Item = (usize, &'d Offer)> {
    let offers = draft.seen.offers.iter().enumerate();
    offers.filter(|(_, it)| it.nodes > 0 && !draft.past.is_offer_off(draft.seen.at, it.id))
}

/// The least memory of a node of an offer.
fn least_of(draft: &Draft, offer: &Offer) -> u64 {
    offer.memory_min.max(draft.policy.memory_min)
}

/// The memory of a node of an offer: as much for what it can do as the others have.
pub(crate) fn memory_of(draft: &Draft, fleet: &Fleet, offer: &Offer) -> u64 {
    let least = least_of(draft, offer);
    let most = offer.capacity.memory.max(least);
    let known = fleet.members.iter().filter(|it| it.capacity.ecpu > 0);
    let (grants, ecpu) = known.fold((0, 0), |(grants, ecpu), it| {
        (grants + u128::from(it.grant), ecpu + u128::from(it.capacity.ecpu))
    });
    let alike = if ecpu > 0 && offer.capacity.ecpu > 0 {
        u64::try_from(grants * u128::from(offer.capacity.ecpu) / ecpu).unwrap_or(most)
    } else {
        let nodes = u64::try_from(fleet.members.len().max(1)).unwrap_or(u64::MAX);
        fleet.granted() / nodes
    };
    alike.clamp(least, most)
}

/// What a fleet is to be able to give.
pub(crate) struct Wanted {
    capacities: [u64; 4],
    nodes: usize,
    /// Nodes that have failed to grow.
    fixed: BTreeSet<NodeId>,
}

impl Wanted {
    fn of(draft: &Draft) -> Self {
        Self::capacities(draft, draft.figures.needs.map(|need| need.wanted))
    }

    /// In the order of [`Resource::ALL`].
    pub(crate) fn capacities(draft: &Draft, capacities: [u64; 4]) -> Self {
        let nodes = draft.fleet.members.iter().filter_map(|it| it.node);
        let fixed = nodes.filter(|node| draft.past.is_growth_off(draft.seen.at, *node)).collect();
        Self { capacities, nodes: draft.nodes_floor(), fixed }
    }

    /// The fleet with as much memory in place as it takes, or as there is; and, where nodes have so much of it
    /// for what else they can do that the others idle, with memory by what they can do.
    pub(crate) fn fit(&self, fleet: Fleet, draft: &Draft) -> Fleet {
        let grown = self.grown(fleet, draft, None);
        let Some((resource, capacity)) = self.least(&grown) else { return grown };
        if resource == Resource::Memory || is_alike(&grown) {
            return grown;
        }
        let even = self.grown(grown.clone(), draft, Some(draft.memory().target));
        let is_worth = even.capacity(resource).is_some_and(|it| it > capacity / 8 * 9)
            && even.capacity(Resource::Memory)
                >= grown.capacity(Resource::Memory).min(Some(self.capacities[0]));
        if is_worth { even } else { grown }
    }

    /// The fleet with so much memory in place that the nodes that are there hold everything until those that are
    /// to come have their slots; but not where it would leave others with less work than they can do.
    fn bridge(&self, fitting: Fleet, draft: &Draft) -> Fleet {
        let need = draft.figures.of(Resource::Memory);
        // A promise is of no hurry, and what a limit does not let be used is not needed.
        let needed = crate::amounts::at_permille(need.foretold, draft.memory().high);
        let needed = needed.min(need.least);
        let mut fleet = fitting.clone();
        let is_fixed = |node| self.fixed.contains(&node) || draft.seen.up(node).is_none();
        for _ in 0..6 {
            let mut here = fleet.clone();
            here.members.retain(|it| it.node.is_some());
            let Some(capacity) = here.capacity(Resource::Memory) else { break };
            let before = fleet.granted();
            if !lacks(capacity, needed) {
                break;
            }
            let total = crate::amounts::scaled(before, needed, capacity).max(before + 1);
            fleet.grant(total, is_fixed, None);
            if fleet.granted() <= before {
                break;
            }
        }
        let is_worse = self.least(&fleet).is_some() && self.least(&fitting).is_none();
        if is_worse { fitting } else { fleet }
    }

    /// The fleet with so much memory in place that what comes while it fills has room where the slots are now: each
    /// node gets what its own need. More for others where one cannot grow would be of no use, and move slots.
    fn filled(&self, mut fleet: Fleet, draft: &Draft) -> Fleet {
        let need = draft.figures.of(Resource::Memory);
        if !need.is_filling() {
            return fleet;
        }
        let held = Held::of(&draft.seen.topology);
        let is_fixed = |node| self.fixed.contains(&node) || draft.seen.up(node).is_none();
        let wanted = |it: &Member| {
            let node = it.node.filter(|node| !is_fixed(*node))?;
            Some(held.part(node, need.ahead).min(it.capacity.memory))
        };
        let is_short = |it: &Member| wanted(it).is_some_and(|wanted| lacks(it.grant, wanted));
        if fleet.members.iter().any(is_short) {
            for it in &mut fleet.members {
                it.grant = it.grant.max(wanted(it).unwrap_or(0));
            }
        }
        fleet
    }

    fn grown(&self, mut fleet: Fleet, draft: &Draft, loosened: Option<u64>) -> Fleet {
        let wanted = self.capacities[0];
        let is_fixed = |node| self.fixed.contains(&node) || draft.seen.up(node).is_none();
        if loosened.is_some() {
            fleet.grant(fleet.granted(), is_fixed, loosened);
        }
        for _ in 0..6 {
            let Some(capacity) = fleet.capacity(Resource::Memory) else { break };
            if !lacks(capacity, wanted) {
                break;
            }
            let before = fleet.granted();
            // Where zones or hosts differ in size, some of what is granted is of no use.
            let total = crate::amounts::scaled(before, wanted, capacity).max(before + 1);
            fleet.grant(total, is_fixed, None);
            if fleet.granted() <= before {
                break;
            }
        }
        fleet
    }

    /// What a fleet that is as large as it can be in place has too little of, and what there is of it.
    pub(crate) fn lacking(&self, fleet: &Fleet, draft: &Draft) -> Option<(Resource, u64)> {
        self.least(&self.fit(fleet.clone(), draft))
    }

    /// What a fleet has too little of, the scarcest first.
    fn least(&self, fleet: &Fleet) -> Option<(Resource, u64)> {
        let all = Resource::ALL.into_iter().zip(self.capacities);
        let capacities = all.filter_map(|(it, wanted)| Some((it, fleet.capacity(it)?, wanted)));
        let lacking = capacities.filter(|(_, capacity, wanted)| lacks(*capacity, *wanted));
        let least = lacking.min_by_key(|(_, capacity, wanted)| part_permille(*capacity, *wanted));
        least.map(|(resource, capacity, _)| (resource, capacity))
    }

    fn is_met(&self, fleet: &Fleet, draft: &Draft) -> bool {
        fleet.members.len() >= self.nodes && self.lacking(fleet, draft).is_none()
    }
}

/// Whether all have as much memory for what they can do.
fn is_alike(fleet: &Fleet) -> bool {
    let part = |it: &Member| part_permille(it.grant, it.capacity.ecpu);
    let parts = fleet.members.iter().map(part);
    let (least, most) = parts.fold((u64::MAX, 0), |(a, b), it| (a.min(it), b.max(it)));
    most - most / 16 <= least
}

/// Nodes that were to leave and are of use again: nothing is faster to be had.
fn stay(draft: &Draft, wanted: &Wanted, fleet: &mut Fleet) -> Vec<NodeId> {
    let mut stays = Vec::new();
    for (node, info) in draft.seen.topology.nodes() {
        let Some(seen) = draft.seen.up(*node) else { continue };
        let is_own = seen.reserved_for.is_some() || seen.is_leaving;
        // Who was to leave for others than the planner leaves.
        let is_mine = draft.past.given_back.contains(node);
        if !draft.seen.is_leaving(*node) || !is_mine || is_own || wanted.is_met(fleet, draft) {
            continue;
        }
        fleet.add(&info.zone, (info.memory_max, 0), seen.capacity);
        if let Some(member) = fleet.members.last_mut() {
            (member.node, member.used) = (Some(*node), seen.load.memory);
        }
        stays.push(*node);
    }
    stays
}

/// Adds nodes until there is as much as is wanted; how many of which offer.
fn add(draft: &mut Draft, wanted: &Wanted, fleet: &mut Fleet) -> BTreeMap<usize, usize> {
    let mut left: BTreeMap<usize, usize> = offers(draft)
        .map(|(at, offer)| (at, usize::try_from(offer.nodes).unwrap_or(usize::MAX)))
        .collect();
    let mut order = Vec::new();
    let (begin, mut useful, mut best) = (fleet.members.len(), fleet.members.len(), None);
    let mut in_vain = 0;
    let needs_zone = lacks_zones(draft);
    loop {
        let lacking = wanted.lacking(fleet, draft);
        let is_few = fleet.members.len() < wanted.nodes
            || needs_zone && fleet.zones_used() < draft.seen.holders();
        if lacking.is_none() && !is_few {
            break;
        }
        if is_few || is_better(lacking, best) {
            (useful, best, in_vain) = (fleet.members.len(), lacking, 0);
        } else {
            in_vain += 1;
        }
        let resource = lacking.map_or(Resource::Memory, |(resource, _)| resource);
        let room = draft.nodes_left().saturating_sub(order.len());
        let next = next_offer(draft, fleet, &left).filter(|_| room > 0);
        // A zone in which none can be had may keep the others from being of use.
        let is_useless = in_vain > fleet.zones.len();
        let Some(at) = next.filter(|_| !is_useless) else {
            let is_full = room == 0 && !is_useless;
            let note = if is_full { Note::NodesMax(resource) } else { Note::NoNodes(resource) };
            draft.notes.insert(note);
            fleet.members.truncate(useful);
            break;
        };
        let offer = &draft.seen.offers[at];
        let nodes = bulk(wanted, lacking, offer).min(room).min(left[&at]);
        let memory = memory_of(draft, fleet, offer);
        for _ in 0..nodes {
            fleet.add(&offer.zone, (memory, least_of(draft, offer)), offer.capacity);
            order.push(at);
        }
        left.entry(at).and_modify(|left| *left -= nodes);
        if left[&at] == 0 {
            left.remove(&at);
        }
    }
    let mut added = BTreeMap::new();
    let kept = fleet.members.len() - begin;
    order.into_iter().take(kept).for_each(|at| *added.entry(at).or_default() += 1);
    added
}

/// Whether there is more of what was lacking, or something else is.
fn is_better(lacking: Option<(Resource, u64)>, before: Option<(Resource, u64)>) -> bool {
    match (lacking, before) {
        (Some((it, capacity)), Some((was, most))) => it != was || capacity > most,
        _ => true,
    }
}

/// The soonest of the zone that has least.
fn next_offer(draft: &Draft, fleet: &Fleet, left: &BTreeMap<usize, usize>) -> Option<usize> {
    let weights = fleet.weights();
    let weight = |offer: &Offer| {
        let at = fleet.zones.iter().position(|zone| *zone == offer.zone);
        at.map_or(0, |at| weights[at])
    };
    let key = |at: &usize| {
        let offer = &draft.seen.offers[*at];
        (weight(offer), offer.ready_in, core::cmp::Reverse(offer.capacity.ecpu), *at)
    };
    left.keys().copied().min_by_key(key)
}

/// How many nodes of an offer are certainly needed: a quarter of what is lacking, so that zones stay even.
fn bulk(wanted: &Wanted, lacking: Option<(Resource, u64)>, offer: &Offer) -> usize {
    let Some((resource, capacity)) = lacking else { return 1 };
    let at = Resource::ALL.iter().position(|it| *it == resource).unwrap_or_default();
    let missing = wanted.capacities[at].saturating_sub(capacity);
    let nodes = missing / offer.capacity[resource].max(1) / 4;
    usize::try_from(nodes).unwrap_or(usize::MAX).max(1)
}
