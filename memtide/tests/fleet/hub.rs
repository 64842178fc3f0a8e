//! The scaler's end of the control streams, in a test's hand, for real processes.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};

use memtide_control::{
    Closed, ControlServer, ControlServerConfig, Incoming, Registration, Role as PeerRole, Session,
    SlotUse,
};
use memtide_limits::Grant;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_testkit::{PATIENCE, RoleProcess, http_get, wait_until};
use memtide_topology::{
    CacheId, Change, Epoch, HashSeed, NodeId, NodeInfo, Topology, Update, Zone,
};
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, watch};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_memtide");
pub const SEED: HashSeed = HashSeed::new(3, 4);

/// Takes processes and tells them what the test wants.
pub struct Hub {
    pub scratch: tempfile::TempDir,
    address: SocketAddr,
    incoming: std_mpsc::Receiver<Incoming>,
    topologies: watch::Sender<Arc<Topology>>,
    /// How often proxies have reported what they want, and whether they are told what they may use.
    demands: Arc<AtomicU32>,
    grants: Arc<AtomicBool>,
    _closed: watch::Sender<Option<Closed>>,
    /// Ends its thread, and with that all streams.
    _stop: mpsc::Sender<()>,
}

impl Hub {
    pub fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let tls = scratch.path().join("tls");
        let made = Command::new(PROGRAM).args(["tls", "init", "--dir"]).arg(&tls).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let topology = Topology::new(CacheId::default(), SEED, 0).unwrap();
        let (topologies, published) = watch::channel(Arc::new(topology));
        let (closed, has_closed) = watch::channel(None);
        let config = ControlServerConfig {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            tls: FleetTls::load(&tls, Role::Scaler).unwrap().server(),
            role_of,
            cache: CacheId::default(),
            topologies: published,
            item_size_max: 1 << 20,
            closed: has_closed,
            in_doubt: watch::channel(false).1,
            tickets: watch::channel(Vec::new()).1,
        };
        let (stop, stopped) = mpsc::channel(1);
        let (started, has_started) = std_mpsc::channel();
        let (come, incoming) = std_mpsc::channel();
        let (demands, grants) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(true)));
        let limits = (Arc::clone(&demands), Arc::clone(&grants));
        std::thread::spawn(move || serve(config, &started, (&come, stopped), &limits));
        let address = has_started.recv().unwrap();
        Self {
            scratch,
            address,
            incoming,
            topologies,
            demands,
            grants,
            _closed: closed,
            _stop: stop,
        }
    }

    /// From now on proxies are told what they may use, or not.
    pub fn set_grants(&self, does_grant: bool) {
        self.grants.store(does_grant, Ordering::Relaxed);
    }

    /// Waits until a proxy has reported so often more, five times a second.
    pub fn wait_demands(&self, count: u32) {
        let wanted = self.demands.load(Ordering::Relaxed) + count;
        wait_until("a proxy reports what it wants", PATIENCE, || {
            (self.demands.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Starts a process of a role that joins it.
    pub fn spawn(&self, role: &str, words: &[&str]) -> RoleProcess {
        let (join, tls) = (self.address.to_string(), self.scratch.path().join("tls"));
        let data = self.scratch.path().join(role);
        let joins = ["--join", &join, "--fleet-tls", tls.to_str().unwrap(), "--port", "0"];
        let data = ["--data-dir", data.to_str().unwrap()];
        RoleProcess::start(PROGRAM, role, [&joins[..], &data, words].concat())
    }

    /// The next process that asks to be a node, or to become one.
    pub fn came(&mut self) -> (Session, Registration) {
        self.find("a process comes", |incoming| match incoming {
            Incoming::NodeCame { session, registration } => Some((session, registration)),
            _ => None,
        })
    }

    /// The next that a node says of its slots.
    pub fn slot_uses(&mut self) -> Vec<SlotUse> {
        self.find("a node says what its slots take", |incoming| match incoming {
            Incoming::NodeSlotUses { slots, .. } => Some(slots),
            _ => None,
        })
    }

    /// What processes say besides is passed over.
    fn find<T>(&mut self, what: &str, mut found: impl FnMut(Incoming) -> Option<T>) -> T {
        wait_until(what, PATIENCE, || self.incoming.try_iter().find_map(&mut found))
    }

    /// Makes a process a node of the cache.
    pub fn take(&self, session: &Session, registration: &Registration) -> NodeId {
        let node = NodeId::new(self.epoch().next().number());
        let Registration { zone, address, memory_max, .. } = registration.clone();
        let info = NodeInfo { address, zone, memory_max, is_draining: false };
        self.apply(vec![Change::AddNode { node, info }]);
        session.welcome(node);
        node
    }

    /// Has a node leave: says that it drains, and then that it is gone.
    pub fn drain(&self, node: NodeId, admin: SocketAddr) {
        self.apply(vec![Change::SetDraining { node, is_draining: true }]);
        self.wait_heard(admin);
        self.apply(vec![Change::RemoveNode { node }]);
    }

    /// Waits until a node has adopted what was published last: a topology that is followed by another may be
    /// passed over.
    pub fn wait_heard(&self, admin: SocketAddr) {
        let epoch = self.epoch().number();
        let heard = || epoch_of(admin).filter(|heard| *heard >= epoch);
        wait_until("the node has heard of it", PATIENCE, heard);
    }

    pub fn apply(&self, changes: Vec<Change>) {
        let now = Arc::clone(&self.topologies.borrow());
        let next = now.apply(&Update { parent: now.epoch(), changes }).unwrap();
        self.topologies.send_replace(Arc::new(next));
    }

    fn epoch(&self) -> Epoch {
        self.topologies.borrow().epoch()
    }
}

fn epoch_of(admin: SocketAddr) -> Option<u64> {
    let metrics = http_get(admin, "/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("memtide_node_epoch "));
    line.and_then(|epoch| epoch.parse().ok())
}

/// Hands on what comes, and lets proxies use what they want, until its other end is dropped.
fn serve(
    config: ControlServerConfig,
    started: &std_mpsc::Sender<SocketAddr>,
    (come, mut stopped): (&std_mpsc::Sender<Incoming>, mpsc::Receiver<()>),
    (demands, does_grant): &(Arc<AtomicU32>, Arc<AtomicBool>),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, mut incoming) = {
        let _in_runtime = runtime.enter();
        ControlServer::spawn(runtime.handle(), config).unwrap()
    };
    started.send(server.address()).unwrap();
    let mut grants = 0;
    let hand_on = async {
        while let Some(came) = incoming.recv().await {
            match came {
                Incoming::ProxyDemand { demand, reply, .. } => {
                    demands.fetch_add(1, Ordering::Relaxed);
                    if !does_grant.load(Ordering::Relaxed) {
                        continue;
                    }
                    grants += 1;
                    // One that has gone needs none.
                    let _ = reply.send(unlimited(grants, demand.number));
                }
                // A test that is over wants nothing.
                came => drop(come.send(came)),
            }
        }
    };
    runtime.block_on(async {
        tokio::select! {
            _ = stopped.recv() => {}
            () = hand_on => {}
        }
    });
}

/// The answer to a proxy's report, of a cache without limits.
fn unlimited(number: u64, report: u64) -> Grant {
    let term_ns = 10_000_000_000;
    Grant { scaler: 1, number, report, rate: None, fallback: None, term_ns, limit: None }
}

fn role_of(certificates: &[CertificateDer<'_>]) -> Option<PeerRole> {
    match FleetTls::role_of(certificates)? {
        Role::Node => Some(PeerRole::Node),
        Role::Proxy => Some(PeerRole::Proxy),
        Role::Scaler => None,
    }
}

/// The zone that processes are in where none is given.
pub fn default_zone() -> Zone {
    Zone::new("default").unwrap()
}

/// Where the CA of a proxy is, of this data directory.
pub fn proxy_ca(hub: &Hub) -> PathBuf {
    hub.scratch.path().join("proxy/tls/ca.pem")
}
