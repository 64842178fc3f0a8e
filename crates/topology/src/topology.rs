use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{CacheId, Epoch, HashSeed, InvalidTopology, NodeId, SLOTS, SlotConfig, SlotId, Zone};

/// The nodes and slot owners of one cache at one epoch.
///
/// It is always valid: see [`InvalidTopology`] for all that holds. It changes by
/// [`Topology::apply`] at the configuration manager and by [`Topology::patch`] elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    pub(crate) parts: TopologyParts,
}

/// All that a topology is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyParts {
    /// Its version.
    pub epoch: Epoch,
    /// Whose it is; never changes.
    pub cache: CacheId,
    /// What its keys are hashed with; never changes.
    pub seed: HashSeed,
    /// In-sync copies that each slot is to have beside its primary.
    pub replicas_wanted: u8,
    /// All nodes, by id.
    pub nodes: BTreeMap<NodeId, NodeInfo>,
    /// [`SLOTS`] of them, by slot; equal ones are mostly the same allocation.
    pub slots: Vec<Arc<SlotConfig>>,
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// `host:port` of its node protocol.
    pub address: String,
    /// Its failure domain.
    pub zone: Zone,
    /// Bytes of items and index that it may hold.
    pub memory_max: u64,
    /// It is to give up all its slots, and gets no more.
    pub is_draining: bool,
}

impl Topology {
    /// Before the first node: nobody owns a slot. What a proxy or node has before it hears of the
    /// first topology; that one may be of any cache.
    #[must_use]
    pub fn empty() -> Self {
        let parts = TopologyParts::of_nobody(CacheId::default(), HashSeed::new(0, 0), 0);
        Self { parts }
    }

    /// That of a new cache, in [`Epoch::ZERO`] and without nodes.
    ///
    /// # Errors
    /// Where more than [`REPLICAS_MAX`](crate::REPLICAS_MAX) replicas are wanted.
    pub fn new(
        cache: CacheId,
        seed: HashSeed,
        replicas_wanted: u8,
    ) -> Result<Self, InvalidTopology> {
        Self::from_parts(TopologyParts::of_nobody(cache, seed, replicas_wanted))
    }

    /// That of these parts.
    ///
    /// # Errors
    /// Where they do not fit together.
    pub fn from_parts(parts: TopologyParts) -> Result<Self, InvalidTopology> {
        parts.validate()?;
        Ok(Self { parts })
    }

    /// What it is made of.
    #[must_use]
    pub fn into_parts(self) -> TopologyParts {
        self.parts
    }

    /// Its version.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.parts.epoch
    }

    /// Whose it is.
    #[must_use]
    pub const fn cache(&self) -> &CacheId {
        &self.parts.cache
    }

    /// What the cache's keys are hashed with.
    #[must_use]
    pub const fn seed(&self) -> HashSeed {
        self.parts.seed
    }

    /// The fleet that it is of: a name made of the cache's secret seed, which never changes, and from which
    /// that cannot be found out. Never 0.
    #[must_use]
    pub fn fleet(&self) -> u64 {
        self.parts.seed.hash(b"memtide fleet").bits().max(1)
    }

    /// In-sync copies that each slot is to have beside its primary.
    #[must_use]
    pub const fn replicas_wanted(&self) -> u8 {
        self.parts.replicas_wanted
    }

    /// All nodes, by id.
    #[must_use]
    pub const fn nodes(&self) -> &BTreeMap<NodeId, NodeInfo> {
        &self.parts.nodes
    }

    /// Who holds a slot.
    #[must_use]
    pub fn slot(&self, slot: SlotId) -> &Arc<SlotConfig> {
        &self.parts.slots[usize::from(slot.number())]
    }

    /// Every slot with who holds it, in order.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, &Arc<SlotConfig>)> {
        SlotId::all().zip(&self.parts.slots)
    }
}

impl TopologyParts {
    /// No nodes, and slots without holders, in [`Epoch::ZERO`].
    fn of_nobody(cache: CacheId, seed: HashSeed, replicas_wanted: u8) -> Self {
        let nobody = Arc::new(SlotConfig::default());
        let slots = vec![nobody; usize::from(SLOTS)];
        let nodes = BTreeMap::new();
        Self { epoch: Epoch::ZERO, cache, seed, replicas_wanted, nodes, slots }
    }
}
