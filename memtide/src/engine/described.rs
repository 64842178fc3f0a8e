//! What the admin HTTP tells of a node.

use std::sync::Arc;

use memtide_control::NodeControl;
use memtide_engine::Observer;
use memtide_service::admin::{
    Answers, Cache, CacheDescription, CacheLimits, CacheState, CacheUsage, Endpoint, Range,
};
use memtide_service::drain::DrainWatch;
use memtide_service::events::Events;
use memtide_service::metrics::{BuildInfo, ProcessSource, Registry};

use crate::settings::EngineConfig;

/// Where the admin HTTP has its answers from.
pub fn answers(
    config: &EngineConfig,
    (observer, control): (&Observer, &Arc<NodeControl>),
    events: Events,
    drain: DrainWatch,
) -> Answers {
    let metrics = Registry::new();
    metrics.register(Arc::new(BuildInfo { version: env!("CARGO_PKG_VERSION") }));
    metrics.register(Arc::new(ProcessSource::new()));
    metrics.register(Arc::new(observer.clone()));
    let node =
        Held { config: config.clone(), observer: observer.clone(), control: Arc::clone(control) };
    Answers { metrics, cache: Arc::new(node), events, drain }
}

/// The part of a cache that a node holds.
struct Held {
    config: EngineConfig,
    observer: Observer,
    control: Arc<NodeControl>,
}

impl Cache for Held {
    fn describe(&self) -> CacheDescription {
        let usage = self.observer.usage();
        CacheDescription {
            name: self.config.common.name.clone(),
            status: CacheState::Available,
            engine: "memcached",
            engine_version: memtide_proxy::PROTOCOL_VERSION.to_owned(),
            endpoint: Endpoint { host: self.config.advertise.clone(), port: 0, read_port: 0 },
            limits: CacheLimits {
                data_storage_bytes: Range { min: 0, max: self.config.memory_max },
                ecpu_per_second: Range { min: 0, max: 0 },
                item_size_bytes_max: u64::from(self.config.item_size_max),
                connections_max: 0,
            },
            usage: CacheUsage {
                items: usage.store.items,
                data_storage_bytes: usage.store.bytes,
                data_storage_metered_bytes: usage.store.bytes,
                data_storage_gb_hours: 0.0,
                ecpus: 0.0,
                connections: 0,
            },
        }
    }

    fn ready(&self) -> Result<(), String> {
        match (self.observer.id(), self.control.trouble()) {
            (Some(_), _) => Ok(()),
            (None, Some(trouble)) => Err(trouble),
            (None, None) => Err("waits for the scaler".to_owned()),
        }
    }

    fn healthy(&self) -> Result<(), String> {
        Ok(())
    }
}
