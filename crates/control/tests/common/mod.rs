//! A fleet's certificates, a scaler's end of the streams, and a network in between.

mod forwarder;

use std::net::TcpListener;
use std::sync::Arc;

use memtide_control::{
    Adopted, Capacity, Closed, ControlServer, ControlServerConfig, Counted, FromScaler, Incoming,
    NodeControl, Program, ProxyRegistration, Registration, Role as PeerRole, Session, TicketSecret,
};
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_testkit::PATIENCE;
use memtide_topology::{
    CacheId, CopyConfig, Epoch, HashSeed, NodeId, NodeInfo, SlotConfig, Topology, TopologyParts,
    Zone,
};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

pub use forwarder::Forwarder;

pub struct Fleet(tempfile::TempDir);

pub struct Scaler {
    server: ControlServer,
    incoming: mpsc::Receiver<Incoming>,
    topologies: watch::Sender<Arc<Topology>>,
    closed: watch::Sender<Option<Closed>>,
    pub in_doubt: watch::Sender<bool>,
    tickets: watch::Sender<Vec<TicketSecret>>,
}

const ITEM_SIZE_MAX: u32 = 1 << 20;

impl Fleet {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        FleetTls::make(dir.path()).unwrap();
        Self(dir)
    }

    pub fn tls(&self, role: Role) -> FleetTls {
        FleetTls::load(self.0.path(), role).unwrap()
    }

    /// Trusts the fleet's CA and shows nothing.
    pub fn nameless(&self) -> ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.0.path().join("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    pub fn scaler(&self) -> Scaler {
        self.scaler_on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn scaler_on(&self, listener: TcpListener) -> Scaler {
        let (topologies, published) = watch::channel(Arc::new(topology(1)));
        let (closed, has_closed) = watch::channel(None);
        let (in_doubt, is_in_doubt) = watch::channel(false);
        let (tickets, has_tickets) = watch::channel(Vec::new());
        let config = ControlServerConfig {
            listener,
            tls: self.tls(Role::Scaler).server(),
            role_of,
            cache: CacheId::default(),
            topologies: published,
            item_size_max: ITEM_SIZE_MAX,
            closed: has_closed,
            in_doubt: is_in_doubt,
            tickets: has_tickets,
        };
        let (server, incoming) = ControlServer::spawn(&Handle::current(), config).unwrap();
        Scaler { server, incoming, topologies, closed, in_doubt, tickets }
    }

    pub fn registration(&self) -> Registration {
        Registration {
            cache: CacheId::default(),
            node: None,
            zone: Zone::new("a").unwrap(),
            address: "127.0.0.1:7000".to_owned(),
            memory_max: 1 << 30,
            parent_token: Some(17),
            process: 99,
            adopted: Adopted::default(),
            item_size_max: ITEM_SIZE_MAX,
            instance: "node-1".to_owned(),
            is_spare: true,
            capacity: Capacity { memory: 4 << 30, cpu: 1_000, ecpu: 3, network: 4 },
            program: program(),
        }
    }

    pub fn node(&self, scaler: &Scaler) -> NodeControl {
        self.node_as(scaler, Role::Node, self.registration())
    }

    /// A scaler, and a node that asks it to be one.
    pub async fn coming(&self) -> (Scaler, NodeControl, Session) {
        let mut scaler = self.scaler();
        let node = self.node(&scaler);
        let (session, _) = scaler.came().await;
        (scaler, node, session)
    }

    /// A scaler, and a node that it has welcomed as `n7`.
    pub async fn welcomed(&self) -> (Scaler, NodeControl, Session) {
        let (scaler, node, session) = self.coming().await;
        welcome(&session, &node, 7).await;
        (scaler, node, session)
    }

    pub fn node_as(&self, scaler: &Scaler, role: Role, registration: Registration) -> NodeControl {
        self.node_with(scaler, &self.tls(role).client(), registration)
    }

    pub fn node_with(
        &self,
        scaler: &Scaler,
        tls: &ClientConfig,
        registration: Registration,
    ) -> NodeControl {
        NodeControl::spawn(&Handle::current(), vec![scaler.endpoint()], tls, registration)
    }
}

impl Scaler {
    pub fn endpoint(&self) -> String {
        self.server.address().to_string()
    }

    /// What comes next, but for refusals.
    pub async fn incoming(&mut self) -> Incoming {
        loop {
            let came = in_time(self.incoming.recv()).await.unwrap();
            if !matches!(came, Incoming::Refused { .. }) {
                return came;
            }
        }
    }

    /// Why the next peer is turned away.
    pub async fn refusal(&mut self) -> String {
        match in_time(self.incoming.recv()).await.unwrap() {
            Incoming::Refused { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a proxy says that so much was counted; where it wants to hear what is written.
    pub async fn counted(&mut self, wanted: &[Counted]) -> Option<oneshot::Sender<Vec<u64>>> {
        loop {
            if let Incoming::ProxyBeat { counted, written, .. } = self.incoming().await
                && counted == wanted
            {
                return written;
            }
        }
    }

    pub async fn came(&mut self) -> (Session, Registration) {
        match self.incoming().await {
            Incoming::NodeCame { session, registration } => (session, registration),
            other => panic!("{other:?}"),
        }
    }

    pub fn publish(&self, topology: &Topology) {
        self.topologies.send_replace(Arc::new(topology.clone()));
    }

    /// Sends everybody to another one from now on.
    pub fn stand_by(&self, leader: &str) {
        let leader = Some(leader.to_owned()).filter(|it| !it.is_empty());
        self.closed.send_replace(Some(Closed { why: "it stands by".to_owned(), leader }));
    }

    /// Takes everybody from now on.
    pub fn lead(&self) {
        self.closed.send_replace(None);
    }

    /// Has proxies make session tickets from these.
    pub fn share(&self, secrets: &[TicketSecret]) {
        self.tickets.send_replace(secrets.to_vec());
    }

    /// Turns everybody away from now on.
    pub fn close(&self, why: &str) {
        let closed = Closed { why: why.to_owned(), leader: None };
        self.closed.send_replace(Some(closed));
    }

    /// Ends it with all its streams, and starts another in its place.
    pub async fn restart(self, fleet: &Fleet) -> Self {
        let address = self.server.address();
        drop(self);
        loop {
            if let Ok(listener) = TcpListener::bind(address) {
                return fleet.scaler_on(listener);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Tells a node who it is, as the first that it hears.
pub async fn welcome(session: &Session, node: &NodeControl, id: u64) {
    let id = NodeId::new(id);
    session.welcome(id);
    assert_eq!(in_time(node.heard()).await, FromScaler::Welcome(id));
}

/// What all processes of these tests run.
pub fn program() -> Program {
    Program { version: "0.2.0".to_owned(), wire_min: 1, wire_max: 2 }
}

/// How a proxy asks to follow.
pub fn proxy(process: u64) -> ProxyRegistration {
    let (cache, item_size_max, program) = (CacheId::default(), ITEM_SIZE_MAX, program());
    ProxyRegistration { cache, item_size_max, process, program }
}

fn role_of(certificates: &[CertificateDer<'_>]) -> Option<PeerRole> {
    match FleetTls::role_of(certificates)? {
        Role::Node => Some(PeerRole::Node),
        Role::Proxy => Some(PeerRole::Proxy),
        Role::Scaler => None,
    }
}

/// One without nodes.
pub fn topology(epoch: u64) -> Topology {
    Topology::from_parts(parts(epoch)).unwrap()
}

/// One of a thousand nodes in which each slot is held otherwise than in any other epoch.
pub fn busy_topology(epoch: u64) -> Topology {
    let mut parts = parts(epoch);
    for id in 1..=1_002_u64 {
        let info = NodeInfo {
            address: format!("node-{id}.example.com:7000"),
            zone: Zone::new("a").unwrap(),
            memory_max: 1 << 30,
            is_draining: false,
        };
        parts.nodes.insert(NodeId::new(id), info);
    }
    for (slot, config) in (0_u64..).zip(&mut parts.slots) {
        let mut random = (slot << 32 | epoch).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        random ^= random >> 29;
        let primary = Some(NodeId::new(random.wrapping_mul(0xbf58_476d_1ce4_e5b9) % 1_000 + 1));
        let since = Epoch::new(1);
        // Above all primaries, so never one of them.
        let copies = [1_001, 1_002].map(NodeId::new);
        let copies = copies.map(|node| CopyConfig { node, since, is_in_sync: true }).to_vec();
        *config = Arc::new(SlotConfig { epoch: since, born: since, primary, copies });
    }
    Topology::from_parts(parts).unwrap()
}

fn parts(epoch: u64) -> TopologyParts {
    let empty = Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap();
    let mut parts = empty.into_parts();
    parts.epoch = Epoch::new(epoch);
    parts
}

/// Panics where it takes longer than anything may.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it happens in time")
}

/// Waits for what nothing announces.
pub async fn until(condition: impl Fn() -> bool) {
    in_time(async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}
