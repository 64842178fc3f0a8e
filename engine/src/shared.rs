use std::sync::{Arc, Mutex, OnceLock};

use memtide_engine_core::Store;
use memtide_execute::Counter;
use memtide_service::drain::DrainWatch;
use memtide_topology::{NodeId, Topology};

use crate::config::NodeConfig;
use crate::counters::NodeCounters;

/// What the data thread and those who look at it share.
#[derive(Debug)]
pub struct Shared {
    pub config: NodeConfig,
    pub drain: DrainWatch,
    pub counters: Arc<NodeCounters>,
    /// Once the manager has given it.
    pub id: OnceLock<NodeId>,
    /// Once there is a topology.
    pub store: OnceLock<Arc<Store>>,
    /// The epoch of the newest topology that was adopted.
    pub adopted: Counter,
    /// That topology itself, whoever has sent it.
    pub topology: Mutex<Option<Arc<Topology>>>,
}

impl Shared {
    pub fn new(config: NodeConfig, drain: DrainWatch) -> Self {
        Self {
            config,
            drain,
            counters: Arc::default(),
            id: OnceLock::new(),
            store: OnceLock::new(),
            adopted: Counter::default(),
            topology: Mutex::default(),
        }
    }
}
