//! Less capacity: nodes are given back, then memory.

use core::cmp::Reverse;

use crate::amounts::{at_permille, permille, scaled};
use crate::draft::Draft;
use crate::fleet::{Fleet, Member};
use crate::full::fullest;
use crate::need::KEPT;
use crate::out::Wanted;
use crate::{Action, Resource, Why};

/// Memory is taken back where less than this part of it is wanted, in thousandths.
const SHRINK_BELOW: u64 = 700;

/// Plans as much less as can be spared.
///
/// A node is given back only where the rest carries the peak of the last minutes with room to spare, and
/// only from a fleet that is whole: nobody is down, no slot is on its way, every slot has its copies. What the rest
/// is granted is above all that is stored, so nothing is evicted for it.
pub(crate) fn go_back(draft: &mut Draft) {
    let Some(kept) = kept(draft) else { return };
    if !is_calm(draft) || !is_whole(draft) {
        return;
    }
    let wanted = Wanted::capacities(draft, kept);
    let mut fleet = draft.fleet.clone();
    let drained = drain(draft, &wanted, &mut fleet);
    if drained.is_empty() {
        return shrink(draft, kept[0]);
    }
    // The rest grows first: where that fails, nobody leaves.
    let rest = wanted.fit(fleet, draft);
    draft.grants(&rest, Why::Spare);
    drained.into_iter().for_each(|action| draft.step(action, Why::Spare));
    draft.past.in_at = Some(draft.seen.at);
}

/// What capacities are kept, where all of them are known.
fn kept(draft: &Draft) -> Option<[u64; 4]> {
    let mut kept = [0; 4];
    for (kept, need) in kept.iter_mut().zip(&draft.figures.needs) {
        *kept = need.kept?;
    }
    // Where one is fuller than others, it is the one that has to have room.
    if let (Some(capacity), Some((_, part))) = (draft.figures.needs[0].capacity, fullest(draft)) {
        let all = permille(capacity, part);
        kept[0] = kept[0].max(at_permille(all, permille(draft.memory().target, KEPT)));
    }
    Some(kept)
}

fn is_calm(draft: &Draft) -> bool {
    let is_busy = draft.seen.expected().next().is_some() || draft.seen.is_moving();
    let is_hot = !draft.past.hot_since.is_empty();
    let is_cool = |at| at + draft.policy.cool_down <= draft.seen.at;
    !is_busy && !is_hot && draft.past.out_at.is_none_or(is_cool)
}

/// Whether everybody is up, and every slot has all copies that it can have.
fn is_whole(draft: &Draft) -> bool {
    let topology = &draft.seen.topology;
    let nodes = topology.nodes();
    let holders = draft.seen.holders().min(nodes.len());
    nodes.keys().all(|node| draft.seen.up(*node).is_some())
        && topology.slots().all(|(_, config)| {
            config.primary.is_none() && config.copies.is_empty()
                || config.complete().count() >= holders
        })
}

/// Takes those out of the fleet that it can do without, and says so.
fn drain(draft: &Draft, wanted: &Wanted, fleet: &mut Fleet) -> Vec<Action> {
    let part = fleet.members.len() / draft.policy.drain_part.max(1);
    // One of a zone alone would be of little use where each zone has a copy of every slot.
    let most = part.max(fleet.zones_used().min(draft.seen.holders())).max(1);
    let mut drained = Vec::new();
    while drained.len() < most {
        let Some((member, rest)) = spare(draft, wanted, fleet) else { break };
        drained.extend(fleet.members[member].node.map(|node| Action::Drain { node }));
        *fleet = rest;
    }
    drained
}

/// One that the rest can do without: of the largest zone, whose turn it is, or who has least to move.
fn spare(draft: &Draft, wanted: &Wanted, fleet: &Fleet) -> Option<(usize, Fleet)> {
    let weights = fleet.weights();
    let mut zones: Vec<usize> = (0..weights.len()).filter(|zone| weights[*zone] > 0).collect();
    zones.sort_by_key(|zone| Reverse(weights[*zone]));
    let spread = fleet.zones_used().min(draft.seen.holders());
    zones.into_iter().find_map(|zone| {
        let members = fleet.members.iter().enumerate();
        let may_leave = |node| draft.seen.up(node).is_some_and(|seen| seen.may_leave);
        let here = members.filter(|(_, it)| it.zone == zone && it.node.is_some_and(may_leave));
        let rank = |node| draft.seen.up(node).map(|seen| seen.leave_rank);
        let turn = |it: &Member| (it.node.and_then(rank), it.used, Reverse(it.node));
        let (member, _) = here.min_by_key(|(_, it)| turn(it))?;
        let rest = fleet.without(member);
        let is_enough = rest.members.len() >= draft.nodes_floor()
            && rest.zones_used() >= spread
            && wanted.lacking(&rest, draft).is_none();
        is_enough.then_some((member, rest))
    })
}

/// Takes memory back from all nodes alike, so that no slot moves for it.
fn shrink(draft: &mut Draft, kept: u64) {
    let mut fleet = draft.fleet.clone();
    let Some(capacity) = fleet.capacity(Resource::Memory) else { return };
    if kept >= scaled(capacity, SHRINK_BELOW, 1000) {
        return;
    }
    let least = draft.policy.memory_min;
    let target = draft.memory().target;
    for it in &mut fleet.members {
        let to = scaled(it.grant, kept, capacity).max(least).max(at_permille(it.used, target));
        it.grant = to.min(it.grant);
    }
    let is_worth = fleet.granted() < scaled(draft.fleet.granted(), 900, 1000);
    if is_worth {
        draft.grants(&fleet, Why::Spare);
    }
}
