//! What the admin HTTP tells of a cache that this process serves.

use std::sync::Arc;

use memtide_proxy::{Observer, PROTOCOL_VERSION};
use memtide_service::admin::{
    Answers, Cache, CacheDescription, CacheLimits, CacheState, CacheUsage, Endpoint, Range,
};
use memtide_service::drain::Drain;
use memtide_service::events::Events;
use memtide_service::metrics::{BuildInfo, ProcessSource, Registry};
use memtide_service::tls::Tls;

use crate::settings::EndpointConfig;

/// Where the admin HTTP has its answers from. No event is recorded yet.
pub fn answers(
    config: &EndpointConfig,
    endpoint: &Endpoint,
    observer: Observer,
    tls: &Arc<Tls>,
    drain: &Drain,
) -> Answers {
    let metrics = Registry::new();
    metrics.register(Arc::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(Arc::clone(tls) as _);
    metrics.register(Arc::new(observer.clone()));
    let cache = Served { config: config.clone(), endpoint: endpoint.clone(), observer };
    Answers { metrics, cache: Arc::new(cache), events: Events::new(), drain: drain.watch() }
}

/// The cache, as the admin HTTP tells of it.
struct Served {
    config: EndpointConfig,
    endpoint: Endpoint,
    observer: Observer,
}

impl Cache for Served {
    fn describe(&self) -> CacheDescription {
        CacheDescription {
            name: self.config.common.name.clone(),
            status: CacheState::Available,
            engine: "memcached",
            engine_version: PROTOCOL_VERSION.to_owned(),
            endpoint: self.endpoint.clone(),
            limits: CacheLimits {
                data_storage_bytes: Range {
                    min: self.config.data_storage_min,
                    max: self.config.memory_max,
                },
                ecpu_per_second: Range { min: 0, max: 0 },
                item_size_bytes_max: u64::from(self.config.item_size_max),
                connections_max: self.config.connections_max as u64,
            },
            usage: self.usage(),
        }
    }

    fn ready(&self) -> Result<(), String> {
        // The admin port opens after both of the endpoint's do.
        Ok(())
    }

    fn healthy(&self) -> Result<(), String> {
        self.observer.check_cores()
    }
}

impl Served {
    #[expect(clippy::cast_precision_loss, reason = "a report for people; metrics are exact")]
    fn usage(&self) -> CacheUsage {
        let usage = self.observer.usage();
        let stored = usage.stored.expect("the node is embedded");
        CacheUsage {
            items: stored.items,
            data_storage_bytes: stored.data_bytes,
            data_storage_metered_bytes: stored.data_bytes.max(self.config.data_storage_min),
            data_storage_gb_hours: stored.metered_byte_seconds as f64 / (3600.0 * (1 << 30) as f64),
            ecpus: usage.ecpu_units as f64 / 1024.0,
            connections: usage.connections,
        }
    }
}
