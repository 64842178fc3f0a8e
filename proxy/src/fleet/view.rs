use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memtide_topology::{NodeId, Topology};

/// What the rest of the process sees of the way to the fleet.
#[derive(Debug)]
pub struct View {
    topology: Mutex<Arc<Topology>>,
    /// By core, the nodes to which it is linked.
    linked: Vec<Mutex<BTreeSet<NodeId>>>,
}

impl View {
    /// Of so many cores.
    pub fn new(cores: usize) -> Self {
        Self {
            topology: Mutex::new(Arc::new(Topology::empty())),
            linked: (0..cores).map(|_| Mutex::default()).collect(),
        }
    }

    /// Notes a topology, unless a newer one is known.
    pub fn adopt(&self, topology: &Arc<Topology>) {
        let mut known = lock(&self.topology);
        if topology.epoch() > known.epoch() {
            *known = Arc::clone(topology);
        }
    }

    /// Notes that a core is linked to a node, or no more.
    pub fn set_linked(&self, core: usize, node: NodeId, is_linked: bool) {
        let mut linked = lock(&self.linked[core]);
        if is_linked {
            linked.insert(node);
        } else {
            linked.remove(&node);
        }
    }

    /// Whether every slot has a primary to which every core is linked.
    ///
    /// # Errors
    /// What is missing, as a fragment.
    pub fn check(&self) -> Result<(), String> {
        let topology = Arc::clone(&lock(&self.topology));
        let mut primaries = BTreeSet::new();
        for (slot, config) in topology.slots() {
            match config.primary {
                Some(primary) => drop(primaries.insert(primary)),
                None => return Err(format!("slot {} has no primary", slot.number())),
            }
        }
        for (core, linked) in self.linked.iter().enumerate() {
            let linked = lock(linked);
            if let Some(node) = primaries.iter().find(|node| !linked.contains(node)) {
                return Err(format!("core {core} is not linked to node {node}"));
            }
        }
        Ok(())
    }

    /// Epoch and nodes of the topology that the proxy goes by.
    pub fn topology(&self) -> Arc<Topology> {
        Arc::clone(&lock(&self.topology))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
