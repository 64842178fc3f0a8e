//! What a node has of its cache.

use memtide_topology::{NodeId, SlotConfig, Topology};

/// What the newest topology says of this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The scaler has taken this process as a node.
    pub is_member: bool,
    /// It is to give up its slots.
    pub is_draining: bool,
    /// Slots that it holds.
    pub slots: usize,
    /// Slots of which nobody else has all.
    pub alone: usize,
    /// Other nodes. One that is leaving counts: it hands its slots to this one.
    pub others: usize,
}

impl Held {
    pub fn of(topology: &Topology, me: NodeId) -> Self {
        let is_draining = topology.nodes().get(&me).is_some_and(|info| info.is_draining);
        let mine = || topology.slots().filter(|(_, config)| config.is_held_by(me));
        let is_alone = |config: &SlotConfig| {
            let mut complete = config.complete();
            complete.next() == Some(me) && complete.next().is_none()
        };
        let alone = mine().filter(|(_, config)| is_alone(config)).count();
        let others = topology.nodes().keys().filter(|node| **node != me).count();
        Self { is_member: true, is_draining, slots: mine().count(), alone, others }
    }
}
