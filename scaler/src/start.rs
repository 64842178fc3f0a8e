use std::collections::hash_map::RandomState;
use std::fs::DirBuilder;
use std::hash::BuildHasher as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use memtide_control::{Closed, ControlServer, ControlServerConfig, Role as PeerRole, TicketSecret};
use memtide_etcd::Client;
use memtide_limits::Limits;
use memtide_manager::Settings;
use memtide_service::admin::RoleRoutes;
use memtide_service::events::Events;
use memtide_service::metrics::Source;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_topology::{CacheId, InvalidTopology, Topology};
use rustls::pki_types::CertificateDer;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};

use crate::documents::LocalDocuments;
use crate::ends::{Ends, Lead};
use crate::etcd::{EtcdSettings, Leader, Shared, SharedLimits};
use crate::status::nothing_yet;
use crate::tenure::Begin;
use crate::turns::take_turns;
use crate::{
    Explained, LocalStore, ProxyCounts, ScalerHandle, Scaling, StoreError, TopologyStore, admin,
    clock, metrics, tickets,
};

/// What a scaler is made of.
#[derive(Debug)]
pub struct ScalerConfig {
    /// Whose topology it is.
    pub cache: CacheId,
    /// In-sync copies that each slot is to have beside its primary, where that is another number than the
    /// topology has followed before: one that was set since stays. `None` leaves what is stored, and gives a
    /// new cache none.
    pub replicas: Option<u8>,
    /// The directory of [`LocalStore`].
    pub data_dir: PathBuf,
    /// Where nodes and proxies reach it.
    pub listener: TcpListener,
    /// Of the role of a scaler.
    pub tls: FleetTls,
    /// Of the manager; [`Settings::nodes_min`] among them.
    pub settings: Settings,
    /// Bytes of the largest item of the cache: nodes and proxies that take others are refused.
    pub item_size_max: u32,
    /// What the cache may use, as it changes.
    pub limits: watch::Receiver<Limits>,
    /// How it changes the fleet by itself; `None` leaves the nodes as others start and drain them.
    pub scaling: Option<Scaling>,
    /// Where its events go.
    pub events: Events,
}

/// Why a scaler did not start.
#[derive(Debug, thiserror::Error)]
pub enum ScalerError {
    /// The topology cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory has been another's.
    #[error(
        "the stored topology is of the cache {theirs}, not {ours}; give another data directory"
    )]
    OtherCache {
        /// Whose it is.
        theirs: CacheId,
        /// Whose it should be.
        ours: CacheId,
    },
    /// Too many replicas.
    #[error(transparent)]
    Invalid(#[from] InvalidTopology),
    /// Somebody else stores topologies of the same cache.
    #[error("another scaler has begun this cache at the same time; start this one again")]
    Raced,
    /// The system refuses a thread, a runtime or the listener.
    #[error("failed to start the scaler's thread: {0}")]
    Io(#[from] io::Error),
}

/// Runs while it lives: a thread with the manager's loop and all control streams.
#[derive(Debug)]
pub struct Scaler {
    handle: ScalerHandle,
    address: SocketAddr,
    events: Events,
    shared: Option<SharedLimits>,
    tickets: watch::Receiver<Vec<TicketSecret>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scaler {
    /// Starts with the topology in [`ScalerConfig::data_dir`]; begins the cache where there is none.
    ///
    /// # Errors
    /// Where the topology cannot be read or another scaler has it, or the system refuses something.
    pub fn start(config: ScalerConfig) -> Result<Self, ScalerError> {
        let store = Arc::new(LocalStore::open(&config.data_dir)?);
        Self::start_with(config, store)
    }

    /// As [`Scaler::start`], with the topologies somewhere else.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(
        config: ScalerConfig,
        store: Arc<dyn TopologyStore>,
    ) -> Result<Self, ScalerError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let documents = Arc::new(LocalDocuments::of(&config.data_dir));
        let begin = config.begin();
        let explained = watch::Sender::new(None);
        let tenure = runtime.block_on(begin.tenure((store, documents), &explained))?;
        let parts = (Arc::clone(&tenure.topology), explained, None);
        let (ends, server, mut scaler) = Self::open(&runtime, config, (Lead::Alone, parts))?;
        let stopped = scaler.stopped();
        let run = move || {
            runtime.block_on(async {
                let _server = server;
                let mut run = tenure.begin(ends);
                tokio::select! {
                    () = run.run() => {}
                    // The sender is only ever dropped.
                    _ = stopped => {}
                }
            });
        };
        scaler.thread = Some(spawn(run)?);
        Ok(scaler)
    }

    /// Starts one of several scalers of a cache, who coordinate by etcd: one leads, the others stand by. It starts
    /// where etcd is away, too. [`ScalerConfig::data_dir`] has only what is of this host.
    ///
    /// # Errors
    /// Where the system refuses something.
    pub fn start_shared(config: ScalerConfig, etcd: EtcdSettings) -> Result<Self, ScalerError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir)?;
        let EtcdSettings { etcd, prefix, host, admin } = etcd;
        let port = config.listener.local_addr()?.port();
        let address = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let process = format!("{:016x}", RandomState::new().hash_one(6_u8));
        let me = Leader { address, admin, process };
        let of = (prefix.as_str(), &config.cache);
        let shared = Shared::new(Client::new(etcd), of, me, config.events.clone());
        let begin = config.begin();
        let closed = Closed { why: shared.stands_by(), leader: None };
        let parts = (Arc::new(Topology::empty()), watch::Sender::new(None), Some(closed));
        let lead = Lead::Shared(shared.clone());
        let (ends, server, mut scaler) = Self::open(&runtime, config, (lead, parts))?;
        scaler.shared = Some(SharedLimits::new(shared.clone(), runtime.handle().clone()));
        let stopped = scaler.stopped();
        let run = move || {
            runtime.block_on(async {
                let _server = server;
                take_turns(shared, (begin, ends), stopped).await;
            });
        };
        scaler.thread = Some(spawn(run)?);
        Ok(scaler)
    }

    /// The listener, and the ends of all that goes in and out.
    fn open(
        runtime: &Runtime,
        config: ScalerConfig,
        (lead, (topology, explained, closed)): (Lead, Parts),
    ) -> Result<(Ends, ControlServer, Self), ScalerError> {
        let topologies = watch::Sender::new(Arc::clone(&topology));
        let closed = watch::Sender::new(closed);
        let tickets = tickets::secrets(runtime.handle())?;
        let control = ControlServerConfig {
            listener: config.listener,
            tls: config.tls.server(),
            role_of,
            cache: config.cache,
            topologies: topologies.subscribe(),
            item_size_max: config.item_size_max,
            closed: closed.subscribe(),
            in_doubt: lead.in_doubt(),
            tickets: tickets.clone(),
        };
        let (server, incoming) = ControlServer::spawn(runtime.handle(), control)?;
        let (asks, asked) = mpsc::unbounded_channel();
        let status = watch::Sender::new(Arc::new(nothing_yet(topology, clock::now())));
        let counts = ProxyCounts::default();
        let handle = ScalerHandle {
            asks,
            topologies: topologies.subscribe(),
            status: status.subscribe(),
            counts: counts.clone(),
            scaling: explained.subscribe(),
            lead: lead.clone(),
        };
        let ends = Ends {
            incoming,
            asks: asked,
            topologies,
            status,
            explained,
            closed,
            limits: config.limits,
            counts,
            events: config.events.clone(),
            lead,
        };
        let (address, events) = (server.address(), config.events);
        let scaler =
            Self { handle, address, events, shared: None, tickets, stop: None, thread: None };
        Ok((ends, server, scaler))
    }

    /// Ready once this is dropped.
    fn stopped(&mut self) -> oneshot::Receiver<()> {
        let (stop, stopped) = oneshot::channel();
        self.stop = Some(stop);
        stopped
    }

    /// The limits of the cache as scalers share them; `None` of one that is alone.
    #[must_use]
    pub fn shared_limits(&self) -> Option<SharedLimits> {
        self.shared.clone()
    }

    /// For those in this process.
    #[must_use]
    pub fn handle(&self) -> ScalerHandle {
        self.handle.clone()
    }

    /// Where nodes and proxies reach it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its part of the admin HTTP.
    #[must_use]
    pub fn routes(&self) -> RoleRoutes {
        admin::routes(self.handle())
    }

    /// Its part of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> Arc<dyn Source> {
        Arc::new(metrics::FleetSource::new(self.handle()))
    }

    /// What it has proxies make the keys of session tickets from.
    #[must_use]
    pub fn ticket_secrets(&self) -> watch::Receiver<Vec<TicketSecret>> {
        self.tickets.clone()
    }

    /// What it says of itself.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of its thread was logged.
            let _ = thread.join();
        }
    }
}

/// What a scaler is opened with: its topology, where its decisions are explained, and why nobody is heard.
type Parts = (Arc<Topology>, watch::Sender<Option<Arc<Explained>>>, Option<Closed>);

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("scaler".to_owned()).spawn(run)
}

impl ScalerConfig {
    fn begin(&self) -> Begin {
        Begin {
            cache: self.cache.clone(),
            replicas: self.replicas,
            data_dir: self.data_dir.clone(),
            settings: self.settings.clone(),
            scaling: self.scaling.clone(),
        }
    }
}

fn role_of(certificates: &[CertificateDer<'_>]) -> Option<PeerRole> {
    match FleetTls::role_of(certificates)? {
        Role::Node => Some(PeerRole::Node),
        Role::Proxy => Some(PeerRole::Proxy),
        Role::Scaler => None,
    }
}
