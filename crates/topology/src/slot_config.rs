use crate::{Epoch, NodeId};

/// Who holds a slot.
///
/// ```text
/// learner --caught up--> in sync --promotion--> primary --handover--> in sync or gone
///    ^                      |
///    +----- diverged -------+
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotConfig {
    /// When its primary took over: what fences the frames of earlier primaries.
    pub epoch: Epoch,
    /// The epoch in which its content began, empty: what a node has of it from before was given up.
    pub born: Epoch,
    /// Who answers for it; `None` while no copy of it lives.
    pub primary: Option<NodeId>,
    /// The others that hold it or are to hold it, by node.
    pub copies: Vec<CopyConfig>,
}

/// One node's part in a slot that another is the primary of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyConfig {
    /// Who.
    pub node: NodeId,
    /// When it became one: a node that was dropped meanwhile and added again has lost what it had.
    pub since: Epoch,
    /// Whether it is in the acknowledgement path, and may be promoted; otherwise it is a learner.
    pub is_in_sync: bool,
}

impl SlotConfig {
    /// A node's part, unless it is the primary or has none.
    #[must_use]
    pub fn copy(&self, node: NodeId) -> Option<&CopyConfig> {
        self.copies.iter().find(|copy| copy.node == node)
    }

    /// The copies in the acknowledgement path.
    pub fn in_sync(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.copies.iter().filter(|copy| copy.is_in_sync).map(|copy| copy.node)
    }

    /// The copies that are not yet complete.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.copies.iter().filter(|copy| !copy.is_in_sync).map(|copy| copy.node)
    }

    /// Those that have every acknowledged write: the primary, and the copies in sync.
    pub fn complete(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.primary.into_iter().chain(self.in_sync())
    }

    /// Whether a node is its primary, or a copy.
    #[must_use]
    pub fn is_held_by(&self, node: NodeId) -> bool {
        self.primary == Some(node) || self.copy(node).is_some()
    }

    /// All that hold it or are to hold it, the primary first.
    pub fn holders(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.primary.into_iter().chain(self.copies.iter().map(|copy| copy.node))
    }
}
