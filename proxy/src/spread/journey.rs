//! Connections that move with nearly every request, seen by their clients.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memtide_engine::{Ended, News, Node, NodeConfig, Source, feed};
use memtide_engine_core::replication::ReplicationSettings;
use memtide_service::drain::Drain;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_service::tls::{Identity, Tls, TlsSettings};
use memtide_topology::{
    CacheId, Change, HashSeed, NodeId, NodeInfo, Previous, SlotId, Topology, Update, Zone,
};
use memtide_wire::Versions;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::sync::watch;

use super::plan::Move;
use crate::shared::Shared;
use crate::start::{Listeners, Proxy};
use crate::{Backend, EmbeddedBackend, FleetBackend, ProxyConfig};

const CORES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

type Client = StreamOwned<ClientConnection, TcpStream>;

struct Site {
    _dir: tempfile::TempDir,
    proxy: Proxy,
    shared: Arc<Shared>,
    drain: Drain,
    client_config: Arc<ClientConfig>,
    port: u16,
    deadline: Instant,
    node: Option<LoneNode>,
}

/// A node of a fleet that has all slots.
struct LoneNode {
    node: Node,
    drain: Drain,
    _source: Source,
    _topologies: watch::Sender<Arc<Topology>>,
}

impl Site {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::with(dir, embedded(), None)
    }

    /// In front of a fleet of one.
    fn fleet() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (backend, node) = lone_node(dir.path());
        Self::with(dir, backend, Some(node))
    }

    fn with(dir: tempfile::TempDir, backend: Backend, node: Option<LoneNode>) -> Self {
        let identity = Identity::Made { dir: dir.path().join("tls"), names: vec![] };
        let (tls, _) = Tls::open(TlsSettings { identity, client_ca: None }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let door = Default::default();
        let listeners = Listeners { primary: vec![listener], read_optimized: vec![], door };
        let drain = Drain::new();
        let proxy =
            Proxy::start(config(backend), listeners, &Arc::new(tls), drain.watch()).unwrap();
        let shared = Arc::clone(proxy.shared());
        let client_config = trusting(&dir.path().join("tls/ca.pem"));
        Self {
            _dir: dir,
            proxy,
            shared,
            drain,
            client_config,
            port,
            deadline: Instant::now() + PATIENCE,
            node,
        }
    }

    /// Ends the proxy when its connections have, and then its node.
    fn join(self) {
        self.proxy.join();
        if let Some(LoneNode { node, drain, .. }) = self.node {
            drain.stop();
            assert_eq!(node.join(), Ended::Stopped);
        }
    }

    fn connect(&self) -> Client {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let name = "localhost".try_into().unwrap();
        let tls = ClientConnection::new(Arc::clone(&self.client_config), name).unwrap();
        StreamOwned::new(tls, socket)
    }

    /// Sends every connection around, from each core to the next. The planner takes back the first
    /// core's order with its next tick.
    fn push(&self) {
        let ring = (0..CORES).map(|from| {
            let to = (from + 1) % CORES;
            Move { from, to, connections: Some(1_000_000) }
        });
        self.shared.spread.carry_out(1, &ring.collect::<Vec<_>>());
    }

    fn moves(&self) -> u64 {
        assert!(Instant::now() < self.deadline, "nobody moves");
        self.shared.totals().traffic.connections_moved
    }
}

fn config(backend: Backend) -> ProxyConfig {
    ProxyConfig {
        advertise: "localhost".to_owned(),
        threads: CORES,
        item_size_max: 1 << 20,
        connections_max: 100,
        idle_timeout: None,
        handshake_timeout: PATIENCE,
        handshakes_per_second_max: None,
        ecpu_units_per_second_max: None,
        give_back_memory: || {},
        backend,
    }
}

const SEED: HashSeed = HashSeed::new(1, 2);

fn embedded() -> Backend {
    let memory_max = 64 << 20;
    Backend::Embedded(EmbeddedBackend {
        memory_max,
        memory_ceiling: 0,
        memory_capacity: memory_max,
        seed: SEED,
        metered_bytes_min: 0,
    })
}

fn lone_node(dir: &Path) -> (Backend, LoneNode) {
    FleetTls::make(dir).unwrap();
    let [node_tls, proxy_tls] =
        [Role::Node, Role::Proxy].map(|me| FleetTls::load(dir, me).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let id = NodeId::new(1);
    let info = NodeInfo {
        address: listener.local_addr().unwrap().to_string(),
        zone: Zone::new("a").unwrap(),
        memory_max: 64 << 20,
        is_draining: false,
    };
    let slots = SlotId::all().collect();
    let changes = vec![
        Change::AddNode { node: id, info },
        Change::SetPrimary { slots, primary: id, previous: Previous::Gone },
    ];
    let topology = Topology::new(CacheId::default(), SEED, 0).unwrap();
    let topology = topology.apply(&Update { parent: topology.epoch(), changes }).unwrap();
    let topology = Arc::new(topology);
    let config = NodeConfig {
        cache: CacheId::default(),
        memory_max: 64 << 20,
        memory_capacity: 64 << 20,
        item_size_max: 1 << 20,
        replication: ReplicationSettings::default(),
        versions: Versions::KNOWN,
        tls: node_tls,
    };
    let (source, feed) = feed();
    let drain = Drain::new();
    let node = Node::start(config, listener, feed, drain.watch()).unwrap();
    source.news.blocking_send(News::Welcome(id)).unwrap();
    source.news.blocking_send(News::Topology(Arc::clone(&topology))).unwrap();
    let (sender, topologies) = watch::channel(topology);
    let settings = memtide_routing::Settings::default();
    let (tls, versions) = (proxy_tls.client(), Versions::KNOWN);
    let backend = FleetBackend { tls, versions, topologies, settings };
    (Backend::Fleet(backend), LoneNode { node, drain, _source: source, _topologies: sender })
}

fn trusting(ca: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn expect(client: &mut Client, reply: &[u8]) {
    let mut got = vec![0; reply.len()];
    client.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(reply));
}

#[test]
fn clients_do_not_notice_that_they_move() {
    travel(Site::start());
}

/// They take no question with them: who moves has all its answers.
#[test]
fn clients_of_a_fleet_do_not_notice_that_they_move() {
    travel(Site::fleet());
}

fn travel(site: Site) {
    let mut clients: Vec<_> = (0..4).map(|_| site.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        write!(client, "set n{number} 0 0 1\r\n0\r\n").unwrap();
        expect(client, b"STORED\r\n");
    }
    let large = "x".repeat(200_000);
    let mut count = 0;
    while site.moves() < 500 {
        site.push();
        count += 1;
        for (number, client) in clients.iter_mut().enumerate() {
            // A whole command, one in two parts, and several in one write.
            write!(client, "incr n{number} 1\r\nincr n").unwrap();
            expect(client, format!("{}\r\n", 4 * count - 3).as_bytes());
            write!(client, "{number} 1\r\n").unwrap();
            expect(client, format!("{}\r\n", 4 * count - 2).as_bytes());
            write!(client, "incr n{number} 1\r\nget n{number}\r\nincr n{number} 1\r\n").unwrap();
            let (third, fourth) = (4 * count - 1, 4 * count);
            let digits = third.to_string().len();
            let value = format!("VALUE n{number} 0 {digits}\r\n{third}\r\nEND\r\n");
            expect(client, format!("{third}\r\n{value}{fourth}\r\n").as_bytes());
        }
        let client = &mut clients[count % 4];
        write!(client, "set large 0 0 {}\r\n{large}\r\nget large\r\n", large.len()).unwrap();
        let reply = format!("STORED\r\nVALUE large 0 {}\r\n{large}\r\nEND\r\n", large.len());
        expect(client, reply.as_bytes());
    }
    assert_eq!(site.shared.connections_open(), clients.len());

    site.drain.begin(tokio::time::Instant::now() + PATIENCE);
    for mut client in clients {
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "a TLS goodbye, not a reset");
    }
    let shared = Arc::clone(&site.shared);
    site.join();
    assert_eq!(shared.connections_open(), 0);
}

#[test]
fn a_connection_that_no_core_takes_stays_and_is_served() {
    let site = Site::start();
    let mut client = site.connect();
    while site.moves() == 0 {
        site.shared.spread.carry_out(1, &[Move { from: 0, to: 1, connections: None }]);
        client.write_all(b"mn\r\n").unwrap();
        expect(&mut client, b"MN\r\n");
    }
    // The last core of a proxy that drains finds no other that still takes connections.
    site.shared.spread.carry_out(1, &[Move { from: 1, to: CORES, connections: None }]);
    for _ in 0..3 {
        client.write_all(b"mn\r\n").unwrap();
        expect(&mut client, b"MN\r\n");
    }
    site.drain.begin(tokio::time::Instant::now() + PATIENCE);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "a TLS goodbye, not a reset");
    site.join();
}
