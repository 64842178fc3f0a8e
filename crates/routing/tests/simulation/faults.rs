//! What the manager changes, and what breaks.

use core::time::Duration;
use std::sync::Arc;

use memtide_topology::{CopyConfig, Epoch, SlotConfig, Topology};
use rand::RngExt;

use crate::node::Part;
use crate::world::{Event, FAULTS_END, NODES, SLOTS, World, id_of, info_of, slot_of};

impl World {
    pub(super) fn fault(&mut self) {
        if self.now >= FAULTS_END {
            return;
        }
        self.later(70, Event::Fault);
        let (node, slot) = (self.rng.random_range(0..NODES), self.rng.random_range(0..SLOTS));
        let stall = Duration::from_millis(self.rng.random_range(5..150));
        match self.rng.random_range(0..100) {
            0..35 => self.own(slot, Some(node)),
            35..55 => {
                self.cut(slot);
                self.own(slot, Some(node));
            }
            55..62 => {
                self.cut(slot);
                self.own(slot, None);
            }
            62..80 => self.disconnect(node),
            80..90 => self.nodes[node].last = self.nodes[node].last.max(self.now + stall),
            _ => self.crash(node),
        }
    }

    /// The manager changes a slot's owner; no primary is no new epoch.
    pub(super) fn own(&mut self, slot: usize, node: Option<usize>) {
        let epoch = Epoch::new(self.topologies.len() as u64);
        let epoch = if node.is_some() { epoch } else { self.owners[slot].0 };
        self.owners[slot] = (epoch, node);
        self.publish();
    }

    pub(super) fn publish(&mut self) {
        let index = self.topologies.len();
        let mut parts = Topology::empty().into_parts();
        parts.epoch = Epoch::new(index as u64);
        parts.nodes = (0..NODES).map(|node| (id_of(node), info_of(node))).collect();
        for (slot, &(epoch, primary)) in self.owners.iter().enumerate() {
            let others = (0..NODES).filter(|node| primary.is_some_and(|primary| primary != *node));
            let copy = |node| CopyConfig { node, since: Epoch::ZERO, is_in_sync: true };
            let (primary, copies) = (primary.map(id_of), others.map(id_of).map(copy).collect());
            let config = SlotConfig { epoch, born: Epoch::ZERO, primary, copies };
            parts.slots[usize::from(slot_of(slot).number())] = Arc::new(config);
        }
        self.topologies.push(Arc::new(Topology::from_parts(parts).unwrap()));
        for node in 0..NODES {
            let most = if self.chance(15) { 150 } else { 20 };
            self.later(most, Event::Adopt(node, index));
        }
        if index == 1 || self.chance(60) {
            self.later(80, Event::RouterAdopts(index));
        }
    }

    /// The copies stop to acknowledge; some of what they have is not known to be committed.
    fn cut(&mut self, slot: usize) {
        let Some(server) = self.servers[slot] else { return };
        let part = &mut self.nodes[server.0].parts[slot];
        if !part.is_cut && part.serving == Some(server.1) {
            part.is_cut = true;
            let len = self.rng.random_range(part.committed..=part.log.len());
            self.histories[slot] = part.log[..len].to_vec();
            self.later(60, Event::Free(slot, server));
        }
    }

    fn disconnect(&mut self, node: usize) {
        if self.nodes[node].link.take().is_some() {
            self.router.link_down(self.now, id_of(node));
            self.nodes[node].last = self.now;
            self.later(60, Event::Connect(node));
        }
    }

    /// The node is empty, and knows the newest topology.
    fn crash(&mut self, node: usize) {
        self.disconnect(node);
        for slot in 0..SLOTS {
            if self.servers[slot].is_some_and(|(server, _)| server == node) {
                self.cut(slot);
                self.servers[slot] = None;
            }
            self.nodes[node].parts[slot] = Part::default();
            if self.owners[slot].1 == Some(node) {
                self.own(slot, Some((node + 1) % NODES));
            }
        }
        self.adopt(node, self.topologies.len() - 1);
    }

    pub(super) fn heal(&mut self) {
        for slot in 0..SLOTS {
            let node = self.owners[slot].1.unwrap_or(slot);
            self.own(slot, Some(node));
        }
        self.later(80, Event::RouterAdopts(self.topologies.len() - 1));
    }
}
