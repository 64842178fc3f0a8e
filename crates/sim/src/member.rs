//! A node's process: with a model of the store, or with the real one.

use std::sync::Arc;

use memtide_engine_core::replication::{Message, Replication};
use memtide_topology::{NodeId, Request, SlotId, Topology};

use crate::event::Place;
use crate::host::HostNode;
use crate::node::{Node, Step};
use crate::plan::Plan;
use crate::store::Command;

/// Which of the two is the same for all nodes of a run: they would not understand each other.
#[expect(clippy::large_enum_variant, reason = "a run has a handful of them")]
pub enum Member {
    Model(Node),
    Host(HostNode),
}

impl Member {
    pub fn new(id: NodeId, plan: &Plan, slots: &[SlotId]) -> Self {
        let settings = plan.settings.clone();
        match plan.has_hosts {
            true => Self::Host(HostNode::new(id, plan, slots.to_vec())),
            false => Self::Model(Node::new(id, settings)),
        }
    }

    pub const fn replication(&self) -> &Replication {
        match self {
            Self::Model(node) => &node.replication,
            Self::Host(host) => host.replication(),
        }
    }

    /// The newest topology that it was given.
    pub const fn topology(&self) -> &Arc<Topology> {
        match self {
            Self::Model(node) => &node.topology,
            Self::Host(host) => host.topology(),
        }
    }

    /// The keys of a slot that may be evicted.
    pub fn keys(&self, slot: SlotId) -> Vec<u32> {
        match self {
            Self::Model(node) if node.store.is_primary(slot) => node.store.keys(slot),
            _ => Vec::new(),
        }
    }

    /// A hash of what it holds of a slot.
    pub fn content(&self, slot: SlotId) -> u64 {
        match self {
            Self::Model(node) => node.store.content(slot),
            Self::Host(host) => host.content(slot),
        }
    }

    pub fn adopt(&mut self, step: &mut Step<'_>, topology: Arc<Topology>) {
        match self {
            Self::Model(node) => node.adopt(step, topology),
            Self::Host(host) => host.adopt(step, topology),
        }
    }

    pub fn hear(&mut self, step: &mut Step<'_>, peer: NodeId, message: Message) {
        if let Self::Model(node) = self {
            node.hear(step, peer, message);
        }
    }

    pub fn hear_words(&mut self, step: &mut Step<'_>, peer: NodeId, words: &[u8]) {
        if let Self::Host(host) = self {
            host.hear(step, peer, words);
        }
    }

    pub fn asked(&mut self, step: &mut Step<'_>, link: (Place, u64), request: Request<Command>) {
        match self {
            Self::Model(node) => node.asked(step, link, request),
            Self::Host(host) => host.asked(step, link, request),
        }
    }

    pub fn link_up(&mut self, step: &mut Step<'_>, peer: Place) {
        match self {
            Self::Model(node) => node.link_up(step, peer),
            Self::Host(host) => host.link_up(step, peer),
        }
    }

    pub fn link_down(&mut self, step: &mut Step<'_>, peer: Place, link: u64) {
        match self {
            Self::Model(node) => node.link_down(step, peer, link),
            Self::Host(host) => host.link_down(step, peer, link),
        }
    }

    pub fn tick(&mut self, step: &mut Step<'_>) {
        match self {
            Self::Model(node) => node.tick(step),
            Self::Host(host) => host.tick(step),
        }
    }

    /// Whether a chunk of a copy is to be read.
    pub fn is_copying(&self) -> bool {
        match self {
            Self::Model(node) => node.is_copying(),
            Self::Host(host) => host.is_copying(),
        }
    }

    /// Reads one; which of them, any number says.
    pub fn read_chunk(&mut self, step: &mut Step<'_>, any: usize) {
        match self {
            Self::Model(node) => node.read_chunk(step, any),
            Self::Host(host) => host.read_chunk(step),
        }
    }

    /// Expires items, and evicts one of a model.
    pub fn maintain(&mut self, step: &mut Step<'_>, slot: SlotId, evicted: Option<u32>) {
        match self {
            Self::Model(node) => node.maintain(step, slot, evicted),
            Self::Host(host) => host.maintain(step),
        }
    }

    /// The process goes on after it was stopped.
    pub fn finish(&mut self, step: &mut Step<'_>) {
        match self {
            Self::Model(node) => node.finish(step),
            Self::Host(host) => host.tick(step),
        }
    }
}
