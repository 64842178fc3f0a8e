//! What proxies may use of the cache's limit of ECPUs.

use std::time::Duration;

use memtide_limits::{Allocator, Grant, Limits, ProxyId, Report};
use memtide_topology::EcpuUnits;
use tokio::sync::watch;

/// The cache's limit, as it is divided among proxies.
#[derive(Debug)]
pub struct Grants {
    limits: watch::Receiver<Limits>,
    allocator: Allocator,
}

impl Grants {
    /// Of these limits, as they change. `scaler` is random.
    pub const fn new(limits: watch::Receiver<Limits>, scaler: u64) -> Self {
        Self { limits, allocator: Allocator::new(None, scaler) }
    }

    /// A proxy wants something; the answer, where there is one.
    pub fn demand(&mut self, now: Duration, proxy: ProxyId, report: &Report) -> Option<Grant> {
        let max = self.limits.borrow().ecpu_per_second.max();
        self.allocator.set_limit(max.map(|ecpus| ecpus.saturating_mul(EcpuUnits::ONE.units())));
        self.allocator.report(nanos(now), proxy, report)
    }

    /// A proxy has ended: what it had is free.
    pub fn left(&mut self, proxy: ProxyId) {
        self.allocator.forget(proxy);
    }

    /// The limits as they are now.
    pub fn limits(&self) -> Limits {
        *self.limits.borrow()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
