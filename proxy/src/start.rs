//! Starting a proxy, and what the program sees of a running one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use memtide_service::drain::DrainWatch;
use prometheus::proto::MetricFamily;
use serde::Serialize;

use crate::TlsSource;
use crate::config::ProxyConfig;
use crate::core::{self, CoreHandle};
use crate::exposition;
use crate::listener::{self, ListenError};
use crate::shared::Shared;

/// A proxy that could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The operating system gave no thread or event queue.
    #[error("start a thread: {0}")]
    Thread(#[source] io::Error),
}

/// What a cache uses, for the admin API.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
    /// Items stored.
    pub items: u64,
    /// Their bytes.
    pub data_bytes: u64,
    /// Bytes taken from the allocator for them and their index.
    pub memory_bytes: u64,
    /// The limit of `memory_bytes`.
    pub memory_max_bytes: u64,
    /// Metered work in 1/1024 ECPU, since the start.
    pub ecpu_units: u64,
    /// Metered data in byte-seconds, since the start.
    pub metered_byte_seconds: u64,
    /// Open client connections.
    pub connections: usize,
    /// Commands since the start.
    pub commands: u64,
}

/// A running proxy with its in-process node.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    primary: Vec<SocketAddr>,
    read_optimized: Vec<SocketAddr>,
    acceptor: JoinHandle<()>,
    cores: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Binds both ports, and serves them until `drain` says otherwise.
    ///
    /// # Errors
    /// An address that cannot be listened on, or a thread that cannot be had; nothing runs then.
    pub fn start(
        config: ProxyConfig,
        tls: TlsSource,
        drain: DrainWatch,
    ) -> Result<Self, StartError> {
        let bind = |addresses: &[SocketAddr]| -> Result<Vec<_>, ListenError> {
            // Port 0 means one free port, the same on every address.
            let mut port = 0;
            let mut listeners = Vec::new();
            for &(mut address) in addresses {
                if address.port() == 0 {
                    address.set_port(port);
                }
                let listener = listener::listen(address)?;
                let bound =
                    listener.local_addr().map_err(|source| ListenError { address, source })?;
                port = bound.port();
                listeners.push((listener, bound));
            }
            Ok(listeners)
        };
        let (primary, read_optimized) = (bind(&config.primary)?, bind(&config.read_optimized)?);
        let shared = Arc::new(Shared::new(config, tls, drain));
        if let Some((_, address)) = primary.first() {
            shared.primary_port.get_or_init(|| address.port());
        }
        let addresses = |listeners: &[(_, SocketAddr)]| listeners.iter().map(|l| l.1).collect();
        let (primary_addresses, read_addresses) = (addresses(&primary), addresses(&read_optimized));
        let cores = (0..shared.config.threads)
            .map(|index| core::spawn(&shared, index))
            .collect::<io::Result<Vec<CoreHandle>>>()
            .map_err(StartError::Thread)?;
        let listeners = primary.into_iter().chain(read_optimized).map(|(listener, _)| listener);
        let acceptor =
            spawn_acceptor(&shared, &cores, listeners.collect()).map_err(StartError::Thread)?;
        Ok(Self {
            shared,
            primary: primary_addresses,
            read_optimized: read_addresses,
            acceptor,
            cores: cores.into_iter().map(|core| core.thread).collect(),
        })
    }

    /// Addresses of the primary port, as bound.
    #[must_use]
    pub fn primary(&self) -> &[SocketAddr] {
        &self.primary
    }

    /// Addresses of the read-optimized port, as bound.
    #[must_use]
    pub fn read_optimized(&self) -> &[SocketAddr] {
        &self.read_optimized
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

/// Sees what a running proxy counts.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Shared>);

impl Observer {
    /// What the cache uses now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (totals, store) = (self.0.totals(), self.0.store.stats());
        Usage {
            items: store.items,
            data_bytes: store.bytes,
            memory_bytes: store.memory_used,
            memory_max_bytes: store.memory_max,
            ecpu_units: totals.ecpu_units,
            metered_byte_seconds: self.0.metered_byte_seconds(),
            connections: self.0.connections_open(),
            commands: totals.commands,
        }
    }

    /// Every metric, now.
    #[must_use]
    pub fn families(&self) -> Vec<MetricFamily> {
        exposition::families(&self.0)
    }
}

fn spawn_acceptor(
    shared: &Arc<Shared>,
    cores: &[CoreHandle],
    listeners: Vec<std::net::TcpListener>,
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
