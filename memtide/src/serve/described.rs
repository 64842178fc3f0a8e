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

use super::behind::Behind;
use super::fleet::Stored;
use crate::settings::EndpointConfig;

/// Where the admin HTTP has its answers from.
pub fn answers(served: Served, tls: &Arc<Tls>, drain: &Drain, events: Events) -> Answers {
    let metrics = Registry::new();
    metrics.register(Arc::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(Arc::clone(tls) as _);
    metrics.register(Arc::new(served.observer.clone()));
    if let Some(fleet) = served.behind.metrics() {
        metrics.register(fleet);
    }
    Answers { metrics, cache: Arc::new(served), events, drain: drain.watch() }
}

/// The cache, as the admin HTTP tells of it.
pub struct Served {
    pub config: EndpointConfig,
    pub endpoint: Endpoint,
    pub observer: Observer,
    pub behind: Arc<Behind>,
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
        // The admin port opens after both of the endpoint's do; what is behind may take longer.
        self.behind.ready()
    }

    fn healthy(&self) -> Result<(), String> {
        self.observer.check_cores().and_then(|()| self.behind.healthy())
    }
}

impl Served {
    #[expect(clippy::cast_precision_loss, reason = "a report for people; metrics are exact")]
    fn usage(&self) -> CacheUsage {
        let usage = self.observer.usage();
        let stored = match usage.stored {
            Some(node) => Stored {
                items: node.items,
                data_bytes: node.data_bytes,
                byte_seconds: node.metered_byte_seconds,
            },
            None => self.behind.stored().unwrap_or_default(),
        };
        let Stored { items, data_bytes: bytes, byte_seconds } = stored;
        CacheUsage {
            items,
            data_storage_bytes: bytes,
            data_storage_metered_bytes: bytes.max(self.config.data_storage_min),
            data_storage_gb_hours: byte_seconds as f64 / (3600.0 * (1 << 30) as f64),
            ecpus: usage.ecpu_units as f64 / 1024.0,
            connections: usage.connections,
        }
    }
}
