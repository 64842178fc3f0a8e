use std::sync::Arc;

use crate::limits::{ADDRESS_BYTES_MAX, COPIES_MAX, NODES_MAX, REPLICAS_MAX};
use crate::topology::TopologyParts;
use crate::{Epoch, NodeId, SLOTS, SlotConfig, SlotId};

/// What no topology may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopology {
    /// `nodes <= NODES_MAX`.
    #[error("topology of {nodes} nodes; the most is {NODES_MAX}")]
    NodesMax {
        /// How many there are.
        nodes: usize,
    },
    /// `replicas_wanted <= REPLICAS_MAX`.
    #[error("{replicas} replicas wanted; the most is {REPLICAS_MAX}")]
    ReplicasMax {
        /// How many were.
        replicas: u8,
    },
    /// An address has 1 to [`ADDRESS_BYTES_MAX`] bytes of printable ASCII without spaces.
    #[error("address of {node} is not host:port of at most {ADDRESS_BYTES_MAX} printable bytes")]
    Address {
        /// Whose.
        node: NodeId,
    },
    /// There are exactly [`SLOTS`] slots.
    #[error("topology of {slots} slots instead of {SLOTS}")]
    SlotCount {
        /// How many there were.
        slots: usize,
    },
    /// A slot is held as it may not be.
    #[error("slot {} {fault}", .slot.number())]
    Slot {
        /// Which; the first one.
        slot: SlotId,
        /// Why.
        fault: SlotFault,
    },
}

/// How no slot may be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotFault {
    /// Only nodes of the topology hold slots.
    #[error("is held by {0}, which is no node of the topology")]
    HolderUnknown(NodeId),
    /// A primary is not its own copy.
    #[error("has its primary {0} among its copies")]
    PrimaryIsCopy(NodeId),
    /// Copies are in strictly ascending order, so no node is there twice.
    #[error("has its copies out of order or twice at {0}")]
    CopyOrder(NodeId),
    /// Whoever can be a copy of nobody's data is no copy.
    #[error("has copies but no primary")]
    NoPrimary,
    /// `copies <= COPIES_MAX`.
    #[error("has {0} copies; the most is {COPIES_MAX}")]
    CopiesMax(usize),
    /// `born <= slot epoch`.
    #[error("was born in epoch {0}, which is above its own")]
    BornAhead(Epoch),
    /// `slot epoch <= topology epoch`.
    #[error("has epoch {0}, which is above the topology's")]
    EpochAhead(Epoch),
    /// `since <= topology epoch`.
    #[error("has copy {0} since {1}, which is above the topology's epoch")]
    SinceAhead(NodeId, Epoch),
}

impl TopologyParts {
    /// Whether they make a topology.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn validate(&self) -> Result<(), InvalidTopology> {
        if self.nodes.len() > NODES_MAX {
            return Err(InvalidTopology::NodesMax { nodes: self.nodes.len() });
        }
        if self.replicas_wanted > REPLICAS_MAX {
            return Err(InvalidTopology::ReplicasMax { replicas: self.replicas_wanted });
        }
        if let Some((&node, _)) = self.nodes.iter().find(|(_, node)| !is_address(&node.address)) {
            return Err(InvalidTopology::Address { node });
        }
        if self.slots.len() != usize::from(SLOTS) {
            return Err(InvalidTopology::SlotCount { slots: self.slots.len() });
        }
        let mut last: Option<&Arc<SlotConfig>> = None;
        for (slot, config) in SlotId::all().zip(&self.slots) {
            if !last.is_some_and(|last| Arc::ptr_eq(last, config)) {
                self.validate_slot(config)
                    .map_err(|fault| InvalidTopology::Slot { slot, fault })?;
                last = Some(config);
            }
        }
        Ok(())
    }

    fn validate_slot(&self, config: &SlotConfig) -> Result<(), SlotFault> {
        if config.copies.len() > COPIES_MAX {
            return Err(SlotFault::CopiesMax(config.copies.len()));
        }
        if config.primary.is_none() && !config.copies.is_empty() {
            return Err(SlotFault::NoPrimary);
        }
        if let Some(node) = config.holders().find(|node| !self.nodes.contains_key(node)) {
            return Err(SlotFault::HolderUnknown(node));
        }
        if let Some(primary) = config.primary.filter(|primary| config.copy(*primary).is_some()) {
            return Err(SlotFault::PrimaryIsCopy(primary));
        }
        if let Some(pair) = config.copies.windows(2).find(|pair| pair[0].node >= pair[1].node) {
            return Err(SlotFault::CopyOrder(pair[1].node));
        }
        if config.born > config.epoch {
            return Err(SlotFault::BornAhead(config.born));
        }
        if config.epoch > self.epoch {
            return Err(SlotFault::EpochAhead(config.epoch));
        }
        if let Some(copy) = config.copies.iter().find(|copy| copy.since > self.epoch) {
            return Err(SlotFault::SinceAhead(copy.node, copy.since));
        }
        Ok(())
    }
}

/// Whether this may be a node's address.
pub(crate) fn is_address(address: &str) -> bool {
    (1..=ADDRESS_BYTES_MAX).contains(&address.len())
        && address.bytes().all(|byte| byte.is_ascii_graphic())
}
