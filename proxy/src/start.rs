//! Starting a proxy, and what the program sees of a running one.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use memtide_service::drain::DrainWatch;
use memtide_service::metrics::Source;
use memtide_service::tls::Tls;
use prometheus::proto::MetricFamily;

use crate::config::ProxyConfig;
use crate::core::{self, CoreHandle};
use crate::exposition;
use crate::listener;
use crate::shared::Shared;

/// The sockets of both ports, bound before anything runs.
#[derive(Debug)]
pub struct Listeners {
    /// The primary port; not empty.
    pub primary: Vec<TcpListener>,
    /// The read-optimized port.
    pub read_optimized: Vec<TcpListener>,
}

/// A running proxy with its in-process node.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
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
        let shared = Arc::new(Shared::new(config, drain));
        if let Some(listener) = listeners.primary.first() {
            let port = listener.local_addr()?.port();
            shared.primary_port.get_or_init(|| port);
        }
        let cores = (0..shared.config.threads)
            .map(|index| core::spawn(&shared, tls, index))
            .collect::<io::Result<Vec<CoreHandle>>>()?;
        let listeners = listeners.primary.into_iter().chain(listeners.read_optimized);
        let acceptor = spawn_acceptor(&shared, &cores, listeners.collect())?;
        let cores = cores.into_iter().map(|core| core.thread).collect();
        Ok(Self { shared, acceptor, cores })
    }

    /// Reads usage and metrics while the proxy runs.
    #[must_use]
    pub fn observer(&self) -> Observer {
        Observer(Arc::clone(&self.shared))
    }

    /// Waits until the drain has ended the last connection, or its time is over.
    pub fn join(self) {
        let threads = std::iter::once(self.acceptor).chain(self.cores);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the proxy panicked");
            }
        }
    }
}

/// What a cache uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Items stored.
    pub items: u64,
    /// Items evicted since the start.
    pub evicted: u64,
    /// Bytes of the items stored.
    pub data_bytes: u64,
    /// Metered work in 1/1024 ECPU, since the start.
    pub ecpu_units: u64,
    /// Metered data in byte-seconds, since the start.
    pub metered_byte_seconds: u64,
    /// Open client connections.
    pub connections: u64,
}

/// Sees what a running proxy counts.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Shared>);

impl Observer {
    /// What the cache uses now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let store = self.0.store.stats();
        Usage {
            items: store.items,
            evicted: store.evicted,
            data_bytes: store.bytes,
            ecpu_units: self.0.totals().ecpu_units,
            metered_byte_seconds: self.0.metered_byte_seconds(),
            connections: self.0.connections_open() as u64,
        }
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

fn spawn_acceptor(
    shared: &Arc<Shared>,
    cores: &[CoreHandle],
    listeners: Vec<TcpListener>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shared = Arc::clone(shared);
    let cores: Vec<_> = cores.iter().map(|core| core.accepted.clone()).collect();
    std::thread::Builder::new().name("memtide-accept".into()).spawn(move || {
        let loops = async {
            let mut loops = tokio::task::JoinSet::new();
            for listener in listeners {
                let (shared, cores) = (Arc::clone(&shared), cores.clone());
                loops.spawn(listener::accept_loop(listener, shared, cores));
            }
            drop(cores);
            loops.join_all().await
        };
        runtime.block_on(loops);
    })
}
