//! Starting a proxy, and what the program sees of a running one.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use memtide_limits::Demand;
use memtide_service::drain::DrainWatch;
use memtide_service::metrics::Source;
use memtide_service::tls::Tls;
use memtide_topology::Topology;
use prometheus::proto::MetricFamily;
use tokio::sync::mpsc;

use crate::admission::Port;
use crate::config::ProxyConfig;
use crate::core::{self, Doors, Seat};
use crate::door::{Door, DoorSettings};
use crate::exposition;
use crate::fleet::View;
use crate::limits;
use crate::shared::Shared;

/// The sockets of both ports, bound before anything runs.
#[derive(Debug)]
pub struct Listeners {
    /// The primary port; not empty.
    pub primary: Vec<TcpListener>,
    /// The read-optimized port.
    pub read_optimized: Vec<TcpListener>,
    /// Who may come in.
    pub door: DoorSettings,
}

/// A running proxy, with its in-process node or its way to a fleet.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    cores: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Serves both ports until `drain` says otherwise.
    ///
    /// # Errors
    /// A thread or an event queue that cannot be had; what was started then ends by itself.
    pub fn start(
        config: ProxyConfig,
        listeners: Listeners,
        tls: &Arc<Tls>,
        drain: DrainWatch,
    ) -> io::Result<Self> {
        let door = Door::new(listeners.door);
        let mut shared = Shared::new(config, drain);
        shared.door = door;
        let shared = Arc::new(shared);
        if let Some(listener) = listeners.primary.first() {
            let port = listener.local_addr()?.port();
            shared.primary_port.get_or_init(|| port);
        }
        let channels = (0..shared.config.threads).map(|_| mpsc::channel(limits::HANDOFF_MAX));
        let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
        let peers: Vec<_> = senders.iter().map(mpsc::Sender::downgrade).collect();
        let of = |port| move |listener| (listener, port);
        let primary = listeners.primary.into_iter().map(of(Port::Primary));
        let read_optimized = listeners.read_optimized.into_iter().map(of(Port::ReadOptimized));
        let listeners = primary.chain(read_optimized);
        let mut doors = Some(Doors { listeners: listeners.collect(), cores: senders });
        // The first core last: it accepts, and where another cannot start nobody may.
        let seats = receivers.into_iter().enumerate().rev().map(|(index, incoming)| {
            let peers = peers.clone();
            let doors = if index == 0 { doors.take() } else { None };
            core::spawn(&shared, tls, Seat { index, incoming, peers, doors })
        });
        let cores = seats.collect::<io::Result<Vec<_>>>()?;
        Ok(Self { shared, cores })
    }

    /// Reads usage and metrics while the proxy runs.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer(Arc::clone(&self.shared))
    }

    /// Changes the cache's limits while the proxy runs.
    #[must_use]
    pub fn limiter(&self) -> Limiter {
        Limiter(Arc::clone(&self.shared))
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits until the drain has ended the last connection, or its time is over.
    pub fn join(self) {
        for thread in self.cores {
            if thread.join().is_err() {
                tracing::error!("a thread of the proxy panicked");
            }
        }
    }
}

/// What a cache uses, as far as this proxy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Metered work in 1/1024 ECPU, since the start.
    pub ecpu_units: u64,
    /// Open client connections.
    pub connections: u64,
    /// Of the node inside the proxy; `None` in a fleet, whose nodes report theirs to the scaler.
    pub stored: Option<Stored>,
}

/// What a proxy has done since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Metered work in 1/1024 ECPU.
    pub ecpu_units: u64,
    /// Commands of every kind.
    pub commands: u64,
    /// Of these, refused for the ECPU limit.
    pub throttled_commands: u64,
    /// Commands that waited for the ECPU limit.
    pub delayed_commands: u64,
    /// Command bytes, before TLS.
    pub bytes_in: u64,
    /// Reply bytes, before TLS.
    pub bytes_out: u64,
}

/// What a node stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Items stored.
    pub items: u64,
    /// Items evicted since the start.
    pub evicted: u64,
    /// Bytes of the items stored.
    pub data_bytes: u64,
    /// Bytes that they and their index may take.
    pub memory_max: u64,
    /// Bytes that they take.
    pub memory_used: u64,
    /// Metered data in byte-seconds, since the start.
    pub metered_byte_seconds: u64,
}

/// Changes the limits that a running proxy holds its clients to; no connection notices but by them.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Shared>);

impl Limiter {
    /// From now on this proxy may use `rate` 1/1024 ECPU per second, of `cache_max` of all proxies;
    /// `None` is no limit. Acts within 50 ms.
    pub fn set_ecpu_units_per_second(&self, rate: Option<u64>, cache_max: Option<u64>) {
        self.0.ecpu_limit.set(rate, cache_max);
    }

    /// What was wanted of the limit since this was asked last.
    #[must_use]
    pub fn demand(&self) -> Demand {
        self.0.ecpu_limit.demand()
    }

    /// From now on the data of the node inside the proxy is metered as at least so many bytes.
    pub fn set_metered_bytes_min(&self, bytes: u64) {
        if let Some(node) = self.0.embedded() {
            node.metered_bytes_min.store(bytes, Ordering::Relaxed);
        }
    }

    /// From now on the node inside the proxy holds at most so many bytes. What is above is evicted
    /// step by step, while it serves. Says whether there is such a node.
    #[must_use]
    pub fn set_memory_max(&self, bytes: u64) -> bool {
        let node = self.0.embedded();
        if let Some(node) = node {
            node.store.set_memory_max(bytes);
        }
        node.is_some()
    }
}

impl Limiter {
    /// From now on the node inside the proxy takes up to so many bytes rather than evict, and no more.
    pub fn set_memory_ceiling(&self, bytes: u64) {
        if let Some(node) = self.0.embedded() {
            node.store.set_memory_ceiling(bytes);
        }
    }

    /// Changes what such a node may take, from what it was seen to be; `false` where it has grown meanwhile, or cannot.
    #[must_use]
    pub fn grant_memory(&self, from: u64, to: u64) -> bool {
        self.0.embedded().is_some_and(|node| node.store.grant_memory(from, to))
    }
}

/// Sees what a running proxy counts.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Shared>);

impl Observer {
    /// What the cache uses now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let stored = self.0.embedded().map(|node| {
            let store = node.store.stats();
            Stored {
                items: store.items,
                evicted: store.evicted,
                data_bytes: store.bytes,
                memory_max: store.memory_max,
                memory_used: store.memory_used,
                metered_byte_seconds: self.0.metered_byte_seconds(),
            }
        });
        Usage {
            ecpu_units: self.0.totals().traffic.ecpu_units,
            connections: self.0.connections_open() as u64,
            stored,
        }
    }

    /// What was done and metered.
    #[must_use]
    pub fn work(&self) -> Work {
        let traffic = self.0.totals().traffic;
        Work {
            ecpu_units: traffic.ecpu_units,
            commands: traffic.commands,
            throttled_commands: traffic.throttled_commands,
            delayed_commands: traffic.delayed_commands,
            bytes_in: traffic.bytes_read,
            bytes_out: traffic.bytes_written,
        }
    }

    /// Whether every slot has a primary to which every core is linked, and so every request finds
    /// its node. An embedded node is always there.
    ///
    /// # Errors
    /// What is missing, as a fragment.
    pub fn check_fleet(&self) -> Result<(), String> {
        self.0.view().map_or(Ok(()), View::check)
    }

    /// The topology that this proxy goes by; `None` without a fleet.
    #[must_use]
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.0.view().map(View::topology)
    }

    /// Whether every core has run its ticker lately: a core that has not is stuck or gone.
    ///
    /// # Errors
    /// Which core, as a fragment.
    pub fn check_cores(&self) -> Result<(), String> {
        self.0.check_cores()
    }
}

impl Source for Observer {
    fn collect(&self) -> Vec<MetricFamily> {
        exposition::families(&self.0)
    }
}
