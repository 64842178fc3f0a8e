//! A scaler with its admin HTTP, and nodes that hold no data but do what is asked of them at once.
#![allow(dead_code, reason = "no test uses all of it")]

mod node;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use memtide_manager::Settings;
use memtide_scaler::{LocalStore, Scaler, ScalerConfig, ScalerError, ScalerHandle, TopologyStore};
use memtide_service::admin::{Access, Admin, RoleAnswers, serve_role};
use memtide_service::drain::Drain;
use memtide_service::events::Events;
use memtide_service::listen::listen;
use memtide_service::metrics::Registry;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{CacheId, Epoch, NodeId, Topology};
use serde_json::Value;
use tokio::sync::watch;

pub use node::Node;

pub const ITEM_SIZE_MAX: u32 = 1 << 20;

/// Every topology that anybody was told of, by its epoch.
pub type Seen = Arc<Mutex<BTreeMap<Epoch, Arc<Topology>>>>;

/// What outlives a scaler: its data, certificates and port.
pub struct Fleet {
    dir: tempfile::TempDir,
    address: SocketAddr,
    pub seen: Seen,
    /// Bytes of the cache's items, each once.
    pub data: Arc<AtomicU64>,
}

/// A scaler that runs.
pub struct Rig {
    pub scaler: Scaler,
    pub address: SocketAddr,
    pub events: Events,
    _admin: Admin,
    _drain: Drain,
}

/// Notes a topology; no other of its fleet may have been seen with its epoch. Fleets differ by their seed:
/// a scaler that begins one in an empty directory may be heard by who comes first, before it stands still.
pub fn note(seen: &Seen, topology: &Arc<Topology>) {
    let mut seen = seen.lock().unwrap();
    let first = seen.entry(topology.epoch()).or_insert_with(|| Arc::clone(topology));
    let is_other_fleet = first.seed() != topology.seed();
    // Not shown: a topology is long.
    assert!(is_other_fleet || first == topology, "epoch {} was used twice", topology.epoch());
}

impl Fleet {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        FleetTls::make(&dir.path().join("tls")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { dir, address, seen: Seen::default(), data: Arc::default() }
    }

    pub fn data_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("topology")
    }

    pub fn tls(&self, role: Role) -> FleetTls {
        FleetTls::load(&self.dir.path().join("tls"), role).unwrap()
    }

    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Patient, so that a busy machine makes no node silent; quick in all else.
    pub fn config(&self) -> ScalerConfig {
        let settings = Settings {
            silence_max: Duration::from_secs(10),
            gone_grace: Duration::from_secs(10),
            founding_grace: Duration::from_millis(100),
            gather_nodes: Duration::from_millis(5),
            handover_grace: Duration::from_millis(5),
            linger: Duration::from_millis(5),
            probation: Duration::from_millis(5),
            ..Settings::default()
        };
        ScalerConfig {
            cache: CacheId::default(),
            replicas: None,
            data_dir: self.data_dir(),
            listener: self.listener(),
            tls: self.tls(Role::Scaler),
            settings,
            item_size_max: ITEM_SIZE_MAX,
            limits: watch::channel(memtide_limits::Limits::default()).1,
            scaling: None,
            events: Events::new(),
        }
    }

    /// The scaler's port may still be the one before's for a moment.
    fn listener(&self) -> TcpListener {
        wait_until("the scaler's port to be free", PATIENCE, || {
            TcpListener::bind(self.address).ok()
        })
    }

    pub fn start(&self) -> Rig {
        self.start_with(|_| {})
    }

    pub fn start_with(&self, change: impl FnOnce(&mut ScalerConfig)) -> Rig {
        let mut config = self.config();
        change(&mut config);
        self.try_start(config).unwrap()
    }

    pub fn try_start(&self, config: ScalerConfig) -> Result<Rig, ScalerError> {
        let store = Arc::new(LocalStore::open(&config.data_dir)?);
        self.try_start_on(config, store)
    }

    /// With its topologies in this store.
    pub fn try_start_on(
        &self,
        config: ScalerConfig,
        store: Arc<dyn TopologyStore>,
    ) -> Result<Rig, ScalerError> {
        let events = config.events.clone();
        let scaler = Scaler::start_with(config, store)?;
        let listener = listen("--admin", &["127.0.0.1".parse().unwrap()], 0).unwrap().remove(0);
        let (address, drain, metrics) =
            (listener.local_addr().unwrap(), Drain::new(), Registry::new());
        metrics.register(scaler.metrics());
        let answers = RoleAnswers {
            metrics,
            health: Arc::new(scaler.handle()),
            access: Access::default(),
            events: events.clone(),
            drain: drain.watch(),
            routes: scaler.routes(),
        };
        let admin = serve_role(listener, answers).unwrap();
        Ok(Rig { scaler, address, events, _admin: admin, _drain: drain })
    }

    /// A node in this zone.
    pub fn node(&self, zone: &str) -> Node {
        Node::start(self, zone, None)
    }

    /// One of another cache.
    pub fn stranger(&self) -> Node {
        Node::stranger(self)
    }

    /// One that names an address.
    pub fn node_at(&self, address: &str) -> Node {
        Node::at(self, address)
    }

    /// One that its parent knows by a token.
    pub fn child(&self, zone: &str, token: u64) -> Node {
        Node::start(self, zone, Some(token))
    }
}

impl Rig {
    pub fn handle(&self) -> ScalerHandle {
        self.scaler.handle()
    }

    pub fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.handle().topologies().borrow())
    }

    /// Waits until the topology is so.
    pub fn until(&self, what: &str, is_so: impl Fn(&Topology) -> bool) -> Arc<Topology> {
        wait_until(what, PATIENCE, || Some(self.topology()).filter(|topology| is_so(topology)))
    }

    /// Waits until each slot is held as it should be, and by these nodes as primaries.
    pub fn until_settled(&self, nodes: &[NodeId]) -> Arc<Topology> {
        let is_settled = |topology: &Topology| {
            let wanted = usize::from(topology.replicas_wanted()).min(nodes.len() - 1);
            let share = 16_384 / nodes.len();
            let is_even = |node: &NodeId| primaries(topology, *node) >= share - share / 20 - 1;
            nodes.iter().all(is_even)
                && topology.slots().all(|(_, config)| {
                    config.primary.is_some_and(|primary| nodes.contains(&primary))
                        && config.copies.len() == wanted
                        && config.learners().next().is_none()
                })
        };
        // A hundred steps, each of which is written to a disk.
        wait_until(&format!("all slots at {nodes:?}"), PATIENCE * 4, || {
            Some(self.topology()).filter(|topology| is_settled(topology))
        })
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        http(self.address, "GET", path, "")
    }

    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        http(self.address, "POST", path, body)
    }

    pub fn put(&self, path: &str, body: &str) -> (u16, String) {
        http(self.address, "PUT", path, body)
    }

    pub fn has_event(&self, kind: &str) -> bool {
        self.get("/v1/events").1.contains(&format!(r#""kind":"{kind}""#))
    }
}

/// Whether each slot has as many copies as are wanted and can be.
pub fn is_complete(topology: &Topology) -> bool {
    let nodes = topology.nodes().len();
    let wanted = usize::from(topology.replicas_wanted()).min(nodes.saturating_sub(1));
    let is_complete = |config: &memtide_topology::SlotConfig| {
        config.primary.is_some()
            && config.in_sync().count() == config.copies.len()
            && config.copies.len() == wanted
    };
    nodes > 0 && topology.slots().all(|(_, config)| is_complete(config))
}

pub fn primaries(topology: &Topology, node: NodeId) -> usize {
    topology.slots().filter(|(_, config)| config.primary == Some(node)).count()
}

pub fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    http_with(address, &format!("{method} {path}"), "", body)
}

/// `headers` are whole lines.
pub fn http_with(address: SocketAddr, line: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
