use std::sync::{Arc, PoisonError};
use std::time::Duration;

use memtide_engine_core::StoreStats;
use memtide_execute::CommandTotals;
use memtide_service::metrics::Source;
use memtide_topology::{Epoch, NodeId, SlotId, Topology};
use prometheus::proto::MetricFamily;
use rustix::time::{ClockId, clock_gettime};

use crate::exposition;
use crate::shared::Shared;

/// What a node uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// The store's numbers.
    pub store: StoreStats,
    /// Commands on items.
    pub commands: CommandTotals,
    /// Requests of proxies.
    pub requests: u64,
    /// Work for proxies, in 1/1024 ECPU.
    pub ecpu_units: u64,
    /// Bytes that came over links, and that were put into them, before TLS.
    pub received_bytes: u64,
    /// See `received_bytes`.
    pub sent_bytes: u64,
    /// CPU time of the process.
    pub cpu: Duration,
}

/// Sees what a running node counts.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Shared>);

impl Observer {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Its id, once the manager has given it one.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.0.id.get().copied()
    }

    /// The newest topology that it has adopted.
    #[must_use]
    pub fn adopted(&self) -> Epoch {
        Epoch::new(self.0.adopted.load())
    }

    /// That topology, whoever has sent it; `None` before the first.
    #[must_use]
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.0.topology.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often the data thread's ticker has run: it does not count on while that thread is stuck.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.0.counters.ticks.load()
    }

    /// Work for proxies in each slot so far, by slot, in 1/1024 ECPU.
    pub fn slot_units(&self) -> impl Iterator<Item = u64> {
        self.0.counters.slot_units.iter()
    }

    /// Bytes of a slot's items. A walk over all of them, in between what the data thread does.
    #[must_use]
    pub fn slot_bytes(&self, slot: SlotId) -> u64 {
        self.0.store.get().map_or(0, |store| store.slot_bytes(slot))
    }

    /// What the node uses now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut commands = CommandTotals::default();
        commands.add(&self.0.counters.items);
        let store = self.0.store.get().map(|store| store.stats()).unwrap_or_default();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let nanos = u32::try_from(cpu.tv_nsec).unwrap_or_default();
        Usage {
            store,
            commands,
            requests: self.0.counters.requests.load(),
            ecpu_units: self.0.counters.ecpu_units.load(),
            received_bytes: self.0.counters.received_bytes.load(),
            sent_bytes: self.0.counters.sent_bytes.load(),
            cpu: Duration::new(u64::try_from(cpu.tv_sec).unwrap_or_default(), nanos),
        }
    }
}

impl Source for Observer {
    fn collect(&self) -> Vec<MetricFamily> {
        exposition::families(self, &self.0.counters)
    }
}
