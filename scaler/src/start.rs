use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use memtide_control::{ControlServer, ControlServerConfig, Role as PeerRole, TicketSecret};
use memtide_executor::Fill;
use memtide_limits::Limits;
use memtide_manager::{Manager, Operation, Settings};
use memtide_service::admin::{Health, RoleRoutes};
use memtide_service::events::Events;
use memtide_service::logging::Limiter;
use memtide_service::metrics::Source;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_topology::{CacheId, Epoch, HashSeed, InvalidTopology, Topology};
use rustls::pki_types::CertificateDer;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};

use crate::behind::Strangers;
use crate::commit::Failures;
use crate::data::Data;
use crate::grant::Grants;
use crate::limits::{REFUSAL_INTERVAL, REFUSAL_LINES_MAX};
use crate::orders::Orders;
use crate::replicas::ReplicasFile;
use crate::run::Loop;
use crate::scaling::{Answer, Driver, Spares};
use crate::sessions::Sessions;
use crate::status::{Counters, Status};
use crate::store::{Children, ChildrenFile, in_topology};
use crate::{
    Explained, LocalStore, ProxyCounts, ScalerHandle, Scaling, StoreError, Stored, TopologyStore,
    admin, clock, metrics, tickets,
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

/// In this time nodes that live on come back to a scaler that was started anew.
const STRANGERS_COME_IN: Duration = Duration::from_secs(1);

/// Runs while it lives: a thread with the manager's loop and all control streams.
#[derive(Debug)]
pub struct Scaler {
    handle: ScalerHandle,
    address: SocketAddr,
    events: Events,
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
        let topology = runtime.block_on(begin(&*store, &config))?;
        let (file, children) = children(&config.data_dir, &topology)?;
        let (scaling, scaling_answers, explained) = scaling(&config)?;
        let tickets = tickets::secrets(runtime.handle())?;
        let (topologies, published) = watch::channel(Arc::clone(&topology));
        let (closed, has_closed) = watch::channel(None);
        let control = ControlServerConfig {
            listener: config.listener,
            tls: config.tls.server(),
            role_of,
            cache: config.cache,
            topologies: published.clone(),
            item_size_max: config.item_size_max,
            closed: has_closed,
            tickets: tickets.clone(),
        };
        let (server, incoming) = ControlServer::spawn(runtime.handle(), control)?;
        let (now, told) = (clock::now(), ReplicasFile::of(&config.data_dir));
        let mut manager = manager(config.settings, (&topology, now), &children);
        if let Some(replicas) = told.news(config.replicas) {
            set_replicas(&mut manager, now, replicas);
            runtime.spawn(told.follow(published.clone(), replicas));
        }
        let (asks, asked) = mpsc::unbounded_channel();
        let (status, shown) = watch::channel(Arc::new(nothing_yet(topology, now)));
        let run = Loop {
            spares: Spares::default(),
            fill: Fill::default(),
            scaling,
            scaling_answers,
            manager,
            store,
            incoming,
            asks: asked,
            topologies,
            status,
            events: config.events.clone(),
            failures: watch::Sender::new(Failures::default()),
            sessions: Sessions::default(),
            counters: Counters::default(),
            unserved: 0,
            commit: None,
            orders: Orders::default(),
            children: (file, children),
            behind: None,
            heard_epoch: Epoch::ZERO,
            closed,
            strangers: Strangers::default(),
            data: Data::default(),
            grants: Grants::new(config.limits, RandomState::new().hash_one(3_u8)),
            counts: ProxyCounts::default(),
            refusals: Limiter::new(REFUSAL_LINES_MAX, REFUSAL_INTERVAL),
            told: (Duration::ZERO, true),
            ticked: Duration::ZERO,
        };
        let handle = run.handle(asks, (published, shown, explained));
        let (address, (stop, stopped)) = (server.address(), oneshot::channel());
        let thread = Some(spawn(move || serve(&runtime, (run, server), stopped))?);
        Ok(Self { handle, address, events: config.events, tickets, stop: Some(stop), thread })
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

impl Health for ScalerHandle {
    fn ready(&self) -> Result<(), String> {
        self.healthy()?;
        let status = self.status();
        status.behind.clone().or_else(|| status.store_trouble()).map_or(Ok(()), Err)
    }

    fn healthy(&self) -> Result<(), String> {
        if self.asks.is_closed() {
            return Err("the scaler's thread has ended".to_owned());
        }
        Ok(())
    }
}

/// Goes on from what is stored, without those nodes that ended with the process before.
fn manager(
    settings: Settings,
    (topology, now): (&Arc<Topology>, Duration),
    children: &Children,
) -> Manager {
    let mut manager = Manager::new(settings, Arc::clone(topology), now);
    if !children.is_empty() {
        // None of them is waited for; one that has joined since this was stored may live on.
        manager.hold_until(now + STRANGERS_COME_IN);
    }
    children.keys().for_each(|node| manager.dead(now, *node));
    manager
}

/// The nodes that ended with the process before, and where they are written down.
fn children(dir: &Path, topology: &Topology) -> Result<(ChildrenFile, Children), StoreError> {
    let file = ChildrenFile::of(dir);
    let children = in_topology(file.load()?, topology);
    Ok((file, children))
}

/// What changes the fleet by itself, where that is wanted, and what comes of it.
fn scaling(config: &ScalerConfig) -> Result<Scales, StoreError> {
    let (answers, answered) = mpsc::unbounded_channel();
    let (explained, shown) = watch::channel(None);
    let driver = config.scaling.as_ref().map(|scaling| {
        let random = RandomState::new().hash_one(4_u8);
        Driver::new(scaling, &config.data_dir, random, (answers, explained))
    });
    Ok((driver.transpose()?, answered, shown))
}

type Scales =
    (Option<Driver>, mpsc::UnboundedReceiver<Answer>, watch::Receiver<Option<Arc<Explained>>>);

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("scaler".to_owned()).spawn(run)
}

/// The thread of a scaler.
fn serve(runtime: &Runtime, (run, server): (Loop, ControlServer), stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let _server = server;
        tokio::select! {
            () = run.run() => {}
            // The sender is only ever dropped.
            _ = stopped => {}
        }
    });
}

fn set_replicas(manager: &mut Manager, now: Duration, replicas: u8) {
    if replicas != manager.topology().replicas_wanted() {
        let set = manager.operate(now, Operation::SetReplicas(replicas));
        set.expect("the topology was made with as many");
    }
}

/// What is stored; the first topology of a cache where there is none.
async fn begin(
    store: &dyn TopologyStore,
    config: &ScalerConfig,
) -> Result<Arc<Topology>, ScalerError> {
    let ours = &config.cache;
    let first = Topology::new(ours.clone(), random_seed(), config.replicas.unwrap_or(0))?;
    let Some(stored) = store.load().await? else {
        let first = Arc::new(first);
        return match store.compare_and_set(None, Arc::clone(&first)).await? {
            Stored::Done => Ok(first),
            Stored::Conflict(_) => Err(ScalerError::Raced),
        };
    };
    if stored.cache() != ours {
        let (theirs, ours) = (stored.cache().clone(), ours.clone());
        return Err(ScalerError::OtherCache { theirs, ours });
    }
    Ok(stored)
}

/// The standard library's hasher has a random key.
fn random_seed() -> HashSeed {
    HashSeed::new(RandomState::new().hash_one(1_u8), RandomState::new().hash_one(2_u8))
}

fn nothing_yet(topology: Arc<Topology>, now: Duration) -> Status {
    Status {
        topology,
        nodes: Vec::new(),
        migrations: Vec::new(),
        remaining: 0,
        unserved: 0,
        proxies: Vec::new(),
        counters: Counters::default(),
        now,
        behind: None,
        store_failure: None,
        storing_since: None,
    }
}

fn role_of(certificates: &[CertificateDer<'_>]) -> Option<PeerRole> {
    match FleetTls::role_of(certificates)? {
        Role::Node => Some(PeerRole::Node),
        Role::Proxy => Some(PeerRole::Proxy),
        Role::Scaler => None,
    }
}
