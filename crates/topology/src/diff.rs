use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{
    CacheId, Epoch, HashSeed, InvalidTopology, NodeId, NodeInfo, SlotConfig, SlotId, Topology,
};

/// All that a later topology has other than an earlier one of the same cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    pub(crate) from: Epoch,
    pub(crate) to: Epoch,
    pub(crate) cache: CacheId,
    pub(crate) seed: HashSeed,
    pub(crate) replicas_wanted: u8,
    pub(crate) nodes_gone: BTreeSet<NodeId>,
    /// New or changed.
    pub(crate) nodes: BTreeMap<NodeId, NodeInfo>,
    /// New owners, in the order of the slots.
    pub(crate) slots: Vec<(SlotId, Arc<SlotConfig>)>,
}

/// Why a difference is not for this topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Ask for the whole topology.
    #[error("difference from epoch {from}, but the topology is at {epoch}; ask for all of it")]
    OtherEpoch {
        /// Which it starts from.
        from: Epoch,
        /// Which the topology is at.
        epoch: Epoch,
    },
    /// It leads back.
    #[error("difference from epoch {from} back to {to}")]
    Backwards {
        /// Which it starts from.
        from: Epoch,
        /// Which it leads to.
        to: Epoch,
    },
    /// It is of another cache, or of one that is hashed otherwise.
    #[error("difference of cache {theirs}, but the topology is of {ours} or has another seed")]
    OtherCache {
        /// The difference's.
        theirs: CacheId,
        /// The topology's.
        ours: CacheId,
    },
    /// It says that a node left which is not there.
    #[error("difference without {0}, which the topology does not have")]
    NodeUnknown(NodeId),
    /// What it leads to is no topology.
    #[error("the difference leads to a wrong topology: {0}")]
    Invalid(#[from] InvalidTopology),
}

impl Diff {
    /// The epoch that it starts from.
    #[must_use]
    pub const fn from(&self) -> Epoch {
        self.from
    }

    /// The epoch that it leads to.
    #[must_use]
    pub const fn to(&self) -> Epoch {
        self.to
    }

    /// The slots that are held otherwise, in order, with who holds them now.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, &Arc<SlotConfig>)> {
        self.slots.iter().map(|(slot, config)| (*slot, config))
    }

    /// The nodes that are new or changed, by id.
    #[must_use]
    pub const fn nodes(&self) -> &BTreeMap<NodeId, NodeInfo> {
        &self.nodes
    }

    /// The nodes that have left.
    #[must_use]
    pub const fn nodes_gone(&self) -> &BTreeSet<NodeId> {
        &self.nodes_gone
    }
}

impl Topology {
    /// What leads from one topology to a later one of the same cache; `from.patch` of it gives
    /// `to`. From [`Topology::empty`] it leads to any.
    #[must_use]
    pub fn diff(from: &Self, to: &Self) -> Diff {
        let is_gone = |node: &&NodeId| !to.nodes().contains_key(*node);
        let is_new = |(node, info): &(&NodeId, &NodeInfo)| from.nodes().get(*node) != Some(info);
        let is_other = |(slot, config): &(SlotId, &Arc<SlotConfig>)| {
            let before = from.slot(*slot);
            !Arc::ptr_eq(before, config) && before != *config
        };
        let nodes = to.nodes().iter().filter(is_new);
        let slots = to.slots().filter(is_other);
        Diff {
            from: from.epoch(),
            to: to.epoch(),
            cache: to.cache().clone(),
            seed: to.seed(),
            replicas_wanted: to.replicas_wanted(),
            nodes_gone: from.nodes().keys().filter(is_gone).copied().collect(),
            nodes: nodes.map(|(node, info)| (*node, info.clone())).collect(),
            slots: slots.map(|(slot, config)| (slot, Arc::clone(config))).collect(),
        }
    }

    /// The later topology that a difference leads to.
    ///
    /// # Errors
    /// Where the difference does not start from this one, or leads to what is no topology.
    pub fn patch(&self, diff: &Diff) -> Result<Self, PatchError> {
        let ours = self.cache();
        let is_same_cache = (&diff.cache, diff.seed) == (ours, self.seed());
        if diff.from == self.epoch() && !is_same_cache && *self != Self::empty() {
            let theirs = diff.cache.clone();
            return Err(PatchError::OtherCache { theirs, ours: ours.clone() });
        }
        self.clone().patched(diff)
    }

    /// The same of one that is of the difference's cache, or [`Topology::empty`].
    pub(crate) fn patched(self, diff: &Diff) -> Result<Self, PatchError> {
        let epoch = self.epoch();
        if diff.from != epoch {
            return Err(PatchError::OtherEpoch { from: diff.from, epoch });
        }
        if diff.to < diff.from {
            return Err(PatchError::Backwards { from: diff.from, to: diff.to });
        }
        let mut parts = self.parts;
        parts.epoch = diff.to;
        parts.cache = diff.cache.clone();
        parts.seed = diff.seed;
        parts.replicas_wanted = diff.replicas_wanted;
        for node in &diff.nodes_gone {
            parts.nodes.remove(node).ok_or(PatchError::NodeUnknown(*node))?;
        }
        parts.nodes.extend(diff.nodes.iter().map(|(node, info)| (*node, info.clone())));
        for (slot, config) in &diff.slots {
            parts.slots[usize::from(slot.number())] = Arc::clone(config);
        }
        Ok(Self::from_parts(parts)?)
    }
}
