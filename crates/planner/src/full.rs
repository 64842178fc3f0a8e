//! A node that items fill sooner than others: memory in place for it, where the fleet has room.

use memtide_topology::NodeId;

use crate::amounts::{at_permille, part_permille, scaled};
use crate::draft::Draft;
use crate::{Resource, Why};

/// Who holds the largest part of what it may, in thousandths.
///
/// By what nodes hold, wherever it belongs: what their slots take says little of who has the copies.
pub(crate) fn fullest(draft: &Draft) -> Option<(NodeId, u64)> {
    let members = draft.fleet.members.iter();
    let parts = members.filter_map(|it| {
        let node = it.node?;
        let seen = draft.seen.up(node)?;
        let held = if seen.memory_held > 0 { seen.memory_held } else { seen.load.memory };
        Some((node, part_permille(held, it.grant)))
    });
    parts.max_by_key(|(node, part)| (*part, *node))
}

/// Grows all nodes alike until the fullest is as full as all are to be, as far as their hosts have memory.
///
/// Memory says how many slots a node has: if it alone grew, it would get slots for it, and be full again. Where
/// the others cannot grow, it does alone, and gets less than it has grown by. No node is added for it, and none is kept.
pub(crate) fn even_out(draft: &mut Draft) {
    let band = draft.memory();
    let members = draft.fleet.members.iter().filter(|it| it.node.is_some());
    let (held, granted) = members.fold((0, 0), |(a, b), it| (a + it.used, b + it.grant));
    // How full all of them are. With a limit of data they may be, and are to stay as they are.
    let all = part_permille(held, granted);
    let is_busy = draft.seen.expected().next().is_some() || draft.seen.is_moving();
    let fullest = fullest(draft).filter(|(_, part)| *part > band.high && !is_busy);
    let fullest = fullest.filter(|(_, part)| *part > all + all / 16);
    let Some((node, permille)) = fullest else {
        draft.past.full_since = None;
        return;
    };
    let since = *draft.past.full_since.get_or_insert(draft.seen.at);
    if since + draft.policy.confirm > draft.seen.at {
        return;
    }
    let mut fleet = draft.fleet.clone();
    let (at, most) = (draft.seen.at, most(draft));
    for it in &mut fleet.members {
        let is_fixed = it.node.is_none_or(|node| draft.past.is_growth_off(at, node));
        if !is_fixed {
            it.grant =
                scaled(it.grant, permille, band.target).min(it.capacity.memory.max(it.grant));
        }
    }
    let before = draft.fleet.members.iter().find(|it| it.node == Some(node));
    let after = fleet.members.iter().find(|it| it.node == Some(node));
    let is_of_use = before.zip(after).is_some_and(|(before, after)| {
        // Less is not worth a step.
        after.grant > before.grant + before.grant / 64
    });
    if is_of_use && fleet.granted() <= most {
        draft.grants(&fleet, Why::Fuller { node, permille });
    }
}

/// A fleet is not given more for that than this.
fn most(draft: &Draft) -> u64 {
    let need = draft.figures.of(Resource::Memory);
    at_permille(need.load.max(need.promised), draft.memory().target).saturating_mul(GROWN_MAX)
}

/// So many times what it needs at most: items that all fall on one node are not worth a fleet of such nodes.
const GROWN_MAX: u64 = 4;
