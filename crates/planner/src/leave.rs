//! Nodes whose processes are to end: they go once the rest has room for what they hold.

use memtide_topology::NodeId;

use crate::amounts::at_permille;
use crate::draft::Draft;
use crate::fleet::Fleet;
use crate::need::lacks;
use crate::{Action, Observation, Resource, Why};

/// Nodes that want to leave, and still wait.
pub(crate) fn waiting(seen: &Observation) -> Vec<NodeId> {
    let is_let_go = |node: NodeId| {
        let is_draining = seen.topology.nodes().get(&node).is_none_or(|info| info.is_draining);
        is_draining || seen.expected().any(|it| it.action == Action::Drain { node })
    };
    let nodes = seen.topology.nodes().keys().copied();
    let is_leaving = |node: &NodeId| seen.up(*node).is_some_and(|it| it.is_leaving);
    nodes.filter(|node| is_leaving(node) && !is_let_go(*node)).collect()
}

/// Lets those go that the others have room for, one after the other, by what is there now: what is still to come
/// holds nothing. Where no more memory comes, nobody waits for it. The last one stays, as nobody could take its slots.
pub(crate) fn let_go(draft: &mut Draft) {
    let waiting = waiting(draft.seen);
    if waiting.is_empty() {
        return;
    }
    let is_more_coming = draft.brings_memory();
    let need = draft.figures.of(Resource::Memory);
    let needed = at_permille(need.load, draft.memory().high);
    let mut fleet = Fleet::here(draft.seen);
    for node in waiting {
        let member = fleet.members.iter().position(|it| it.node == Some(node));
        let rest = member.map_or_else(|| fleet.clone(), |member| fleet.without(member));
        let capacity = rest.capacity(Resource::Memory);
        let has_room = capacity.is_some_and(|capacity| !lacks(capacity, needed));
        if !rest.members.is_empty() && (has_room || !is_more_coming) {
            draft.step(Action::Drain { node }, Why::Leaving);
            fleet = rest;
        }
    }
}
