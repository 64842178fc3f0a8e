//! What nodes may hold of the cache's limit of data.

use std::collections::BTreeMap;
use std::time::Duration;

use memtide_limits::{DataParts, NodeData};
use memtide_topology::{NodeId, Topology};

use crate::limits::DATA_LOOK_INTERVAL;
use crate::sessions::Sessions;

/// Of the memory of a node that holds copies, this part is kept free of items (engine, `HEADROOM_DIVISOR`).
const HEADROOM_DIVISOR: u64 = 8;

/// The limit, as it is divided.
#[derive(Debug, Default)]
pub struct Data {
    parts: DataParts<NodeId>,
    looked: Duration,
}

impl Data {
    /// Looks what nodes hold, and tells them what they may, unless it did so a moment ago. `limit` counts
    /// an item once, however many copies it has.
    pub fn look(
        &mut self,
        now: Duration,
        limit: Option<u64>,
        (topology, sessions): (&Topology, &Sessions),
    ) {
        if now < self.looked + DATA_LOOK_INTERVAL {
            return;
        }
        self.looked = now;
        let copies = topology.replicas_wanted();
        let nodes: BTreeMap<_, _> = topology
            .nodes()
            .iter()
            .map(|(node, info)| {
                let said = sessions.said(*node).and_then(|said| said.usage);
                // One that does not say is as its host has it.
                let said = said.filter(|usage| usage.memory_max > 0);
                let memory_max = info.memory_max;
                let (used, may_use) =
                    said.map_or((0, memory_max), |usage| (usage.memory_used, usage.memory_max));
                let used = room_for(used, copies).min(may_use.max(used));
                let is_known = said.is_some();
                (*node, NodeData { memory_max, used, may_use, is_known })
            })
            .collect();
        let limit = limit.map(|limit| with_copies(limit, copies));
        for (node, part) in self.parts.look(limit, &nodes) {
            tracing::debug!(%node, ?part, "a node's part of the limit of data");
            sessions.data_part(node, part);
        }
    }

    /// A node has another stream: what was said on the one before may be lost.
    pub fn came(&mut self, node: NodeId) {
        self.parts.forget(node);
    }
}

/// The data, each item once, for which there is room in so much memory of all nodes together, where they
/// hold so many copies of each item.
pub fn for_items(memory: u64, copies: u64) -> u64 {
    if copies == 0 { memory } else { (memory - memory / HEADROOM_DIVISOR) / (copies + 1) }
}

/// The memory that a node needs so as to evict nothing of so much, where its slots have copies.
const fn room_for(used: u64, copies: u8) -> u64 {
    if copies == 0 { used } else { used.saturating_add(used / (HEADROOM_DIVISOR - 1)) }
}

/// The memory of all nodes in which there is room for so much data and its copies.
fn with_copies(limit: u64, replicas: u8) -> u64 {
    if replicas == 0 {
        return limit;
    }
    let copies = limit.saturating_mul(u64::from(replicas) + 1);
    copies.saturating_add(copies / (HEADROOM_DIVISOR - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_room_besides_and_a_node_keeps_a_part_free() {
        assert_eq!(with_copies(700, 0), 700);
        let memory = with_copies(700, 1);
        assert_eq!(memory - memory / HEADROOM_DIVISOR, 2 * 700);
        assert_eq!([for_items(700, 0), for_items(memory, 1)], [700, 700]);
        assert_eq!(for_items(800, 2), 233);
    }
}
