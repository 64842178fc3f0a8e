//! What the admin HTTP tells of a cache that this process serves.

use std::sync::Arc;

use memtide_limits::Limits;
use memtide_proxy::PROTOCOL_VERSION;
use memtide_service::admin::{
    Access, Answers, Cache, CacheDescription, CacheLimits, CacheState, CacheUsage, Condition,
    Endpoint, Range,
};
use memtide_service::drain::Drain;
use memtide_service::events::Events;
use memtide_service::metrics::{BuildInfo, ProcessSource, Registry};
use memtide_service::tls::Tls;

use super::hold::Held;
use super::kept::Stock;
use crate::limits::KeptLimits;
use crate::settings::EndpointConfig;

/// Where the admin HTTP has its answers from.
pub fn answers(
    served: Served,
    tls: &Arc<Tls>,
    drain: &Drain,
    (events, access): (Events, Access),
) -> Answers {
    let metrics = Registry::new();
    metrics.register(Arc::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(Arc::clone(tls) as _);
    metrics.register(Arc::new(served.stock.observer.clone()));
    let behind = &served.stock.behind;
    behind.metrics().into_iter().chain(behind.tls_metrics()).for_each(|it| metrics.register(it));
    Answers { metrics, cache: Arc::new(served), events, drain: drain.watch(), access }
}

/// The cache, as the admin HTTP tells of it.
pub struct Served {
    pub config: EndpointConfig,
    pub endpoint: Endpoint,
    pub stock: Stock,
    /// Where this process keeps them.
    pub limits: Option<KeptLimits>,
    pub held: Held,
}

impl Cache for Served {
    fn describe(&self) -> CacheDescription {
        let limits = self.limits();
        CacheDescription {
            name: self.config.common.name.clone(),
            status: CacheState::Available,
            engine: "memcached",
            engine_version: PROTOCOL_VERSION.to_owned(),
            endpoint: self.endpoint.clone(),
            limits: CacheLimits {
                data_storage: limits.data_storage,
                ecpu_per_second: limits.ecpu_per_second,
                memory_bytes_max: self.config.memory_max,
                item_size_bytes_max: u64::from(self.config.item_size_max),
                connections_max: self.config.connections_max as u64,
            },
            usage: self.usage(),
        }
    }

    fn ready(&self) -> Result<(), String> {
        // The admin port opens after both of the endpoint's do; what is behind may take longer.
        self.stock.behind.ready().and_then(|()| self.held.ready())
    }

    fn conditions(&self) -> Vec<Condition> {
        let ports = Condition::needed("both ports of the endpoint are open", Ok(()));
        let part = "it has its part of the limit of ECPUs";
        let part = Condition::needed(part, self.held.ready());
        [ports, part].into_iter().chain(self.stock.behind.conditions()).collect()
    }

    fn healthy(&self) -> Result<(), String> {
        self.stock.observer.check_cores().and_then(|()| self.stock.behind.healthy())
    }
}

impl Served {
    /// What is in force; of a proxy apart, as far as it has heard.
    fn limits(&self) -> Limits {
        let heard = || {
            let ecpu_per_second = Range { min: 0, max: self.held.ecpu_per_second_max() };
            Limits { ecpu_per_second, ..Limits::default() }
        };
        self.limits.as_ref().map_or_else(heard, KeptLimits::now)
    }

    #[expect(clippy::cast_precision_loss, reason = "a report for people; metrics are exact")]
    fn usage(&self) -> CacheUsage {
        let usage = self.stock.observer.usage();
        // A proxy apart does not know what the nodes store.
        let stored = self.stock.stored();
        let bytes = stored.map(|it| it.data_bytes);
        let bytes_min = self.limits.as_ref().map_or(0, KeptLimits::metered_bytes_min);
        CacheUsage {
            items: stored.map(|it| it.items),
            data_storage_bytes: bytes,
            data_storage_metered_bytes: bytes.map(|bytes| bytes.max(bytes_min)),
            data_storage_gb_hours: stored
                .map(|it| it.byte_seconds as f64 / (3600.0 * (1 << 30) as f64)),
            ecpus: usage.ecpu_units as f64 / 1024.0,
            connections: usage.connections,
        }
    }
}
