//! A proxy and its nodes in one process, over real links, with a topology that a test makes.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memtide_engine::{Ended, News, Node, NodeConfig, Source, Word, feed};
use memtide_engine_core::replication::{CopyName, ReplicationSettings, Report};
use memtide_proxy::{
    Backend, EmbeddedBackend, FleetBackend, Listeners, Observer, Proxy, ProxyConfig,
};
use memtide_routing::Settings;
use memtide_service::drain::Drain;
use memtide_service::metrics::Source as _;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_service::tls::{Identity, Tls, TlsSettings};
use memtide_testkit::{Client, PATIENCE, Server, Side, TlsClient, wait_until};
use memtide_topology::{
    CacheId, CaughtUp, Change, HashSeed, NodeId, NodeInfo, Previous, SlotId, Topology, Update, Zone,
};
use memtide_wire::Versions;
use prometheus::proto::{LabelPair, Metric};
use tokio::sync::watch;

const SEED: HashSeed = HashSeed::new(11, 22);
const MEMORY_MAX: u64 = 64 << 20;
pub const CORES: usize = 2;

/// An endpoint for clients.
pub struct Site {
    _dir: tempfile::TempDir,
    proxy: Option<Proxy>,
    pub drain: Drain,
    tls: TlsClient,
    pub address: SocketAddr,
    pub read_address: SocketAddr,
}

/// The nodes behind one.
pub struct Fleet {
    dir: tempfile::TempDir,
    pub topology: Arc<Topology>,
    topologies: watch::Sender<Arc<Topology>>,
    members: Vec<Member>,
}

struct Member {
    id: NodeId,
    drain: Drain,
    node: Node,
    source: Source,
}

impl Site {
    pub fn start(backend: Backend) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity::Made { dir: dir.path().to_owned(), names: vec![] };
        let (tls, _) = Tls::open(TlsSettings { identity, client_ca: None }).unwrap();
        let (primary, address) = listen();
        let (read_optimized, read_address) = listen();
        let door = Default::default();
        let listeners =
            Listeners { primary: vec![primary], read_optimized: vec![read_optimized], door };
        let drain = Drain::new();
        let config = ProxyConfig {
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
        };
        let proxy = Proxy::start(config, listeners, &Arc::new(tls), drain.watch()).unwrap();
        let tls = TlsClient::new(&dir.path().join("ca.pem"));
        Self { _dir: dir, proxy: Some(proxy), drain, tls, address, read_address }
    }

    pub fn embedded() -> Self {
        Self::start(Backend::Embedded(EmbeddedBackend {
            memory_max: MEMORY_MAX,
            memory_ceiling: 0,
            memory_capacity: MEMORY_MAX,
            seed: SEED,
            metered_bytes_min: 0,
        }))
    }

    pub fn observer(&self) -> Observer {
        self.proxy.as_ref().unwrap().observer()
    }

    pub fn client(&self) -> Client {
        Client::tls(self.address, &self.tls)
    }

    pub fn read_client(&self) -> Client {
        Client::tls(self.read_address, &self.tls)
    }

    /// Waits until every slot's primary is linked.
    pub fn wait_reached(&self) {
        let observer = self.observer();
        wait_until("all nodes are linked", PATIENCE, || observer.check_fleet().ok());
    }

    /// Waits until every core is linked to so many nodes. Of a link that was lost each core learns
    /// by itself: what it sends before has no known outcome.
    pub fn wait_links(&self, nodes: usize) {
        let links = (nodes * CORES) as f64;
        wait_until("links are as many as nodes", PATIENCE, || {
            (self.metric("memtide_fleet_links", &[]) == links).then_some(())
        });
    }

    /// The value of the metric with these labels.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let families = self.observer().collect();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let is_it = |metric: &&Metric| {
            metric.get_label().iter().map(LabelPair::value).eq(labels.iter().copied())
        };
        let metric = family.get_metric().iter().find(is_it).unwrap();
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    }

    /// Waits until the last connection is gone.
    pub fn join(mut self) {
        self.proxy.take().unwrap().join();
    }
}

impl Server for Site {
    fn side(&self) -> Side {
        Side::Memtide
    }

    fn connect(&self) -> Client {
        self.client()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.drain.stop();
        if let Some(proxy) = self.proxy.take() {
            proxy.join();
        }
    }
}

impl Fleet {
    /// So many nodes, to which the slots go in turn.
    pub fn start(nodes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        FleetTls::make(dir.path()).unwrap();
        let topology = Arc::new(Topology::new(CacheId::default(), SEED, 0).unwrap());
        let (topologies, _) = watch::channel(Arc::new(Topology::empty()));
        let mut fleet = Self { dir, topology, topologies, members: Vec::new() };
        for _ in 0..nodes {
            fleet.add_node();
        }
        let ids: Vec<NodeId> = fleet.members.iter().map(|member| member.id).collect();
        let set = ids.iter().enumerate().map(|(index, &primary)| Change::SetPrimary {
            slots: SlotId::all().skip(index).step_by(nodes).collect(),
            primary,
            previous: Previous::Gone,
        });
        let changes = set.collect();
        fleet.apply(changes);
        fleet
    }

    fn add_node(&mut self) {
        let id = NodeId::new(self.topology.epoch().next().number());
        let (listener, address) = listen();
        let (source, feed) = feed();
        let drain = Drain::new();
        let tls = self.tls(Role::Node);
        let config = NodeConfig {
            cache: CacheId::default(),
            memory_max: MEMORY_MAX,
            memory_capacity: MEMORY_MAX,
            item_size_max: 1 << 20,
            replication: ReplicationSettings::default(),
            versions: Versions::KNOWN,
            tls,
        };
        let node = Node::start(config, listener, feed, drain.watch()).unwrap();
        source.news.blocking_send(News::Welcome(id)).unwrap();
        self.members.push(Member { id, drain, node, source });
        let info = NodeInfo {
            address: address.to_string(),
            zone: Zone::new("a").unwrap(),
            memory_max: MEMORY_MAX,
            is_draining: false,
        };
        self.apply(vec![Change::AddNode { node: id, info }]);
    }

    /// Changes the topology and tells everybody.
    pub fn apply(&mut self, changes: Vec<Change>) {
        let update = Update { parent: self.topology.epoch(), changes };
        self.topology = Arc::new(self.topology.apply(&update).unwrap());
        for member in &self.members {
            let news = News::Topology(Arc::clone(&self.topology));
            // A node that has ended hears nothing.
            let _ = member.source.news.blocking_send(news);
        }
        self.topologies.send_replace(Arc::clone(&self.topology));
    }

    /// The slots of which a node is the primary.
    pub fn slots_of(&self, node: NodeId) -> Vec<SlotId> {
        SlotId::all().filter(|slot| self.topology.slot(*slot).primary == Some(node)).collect()
    }

    /// Makes each of two nodes a copy of what the other has, and waits until it is.
    pub fn replicate(&mut self) {
        let ids = [self.id(0), self.id(1)];
        let learn = |node, primary| Change::AddLearner { slots: self.slots_of(primary), node };
        let changes = vec![learn(ids[0], ids[1]), learn(ids[1], ids[0])];
        self.apply(changes);
        wait_until("both have all", PATIENCE, || {
            self.heed_reports();
            self.topology.slots().all(|(_, slot)| slot.in_sync().count() == 1).then_some(())
        });
    }

    /// Does as the nodes report.
    fn heed_reports(&mut self) {
        let mut reports = Vec::new();
        for member in &mut self.members {
            while let Ok(word) = member.source.words.try_recv() {
                if let Word::Report(Report::CaughtUp(slot, CopyName { epoch, node, since })) = word
                {
                    let report = CaughtUp { slot, epoch, node, since };
                    if self.topology.is_current(&report) {
                        reports.push(report);
                    }
                }
            }
        }
        reports.sort_unstable();
        reports.dedup();
        if !reports.is_empty() {
            self.apply(vec![Change::MakeInSync { reports }]);
        }
    }

    /// Ends a node at once, as a crash does.
    pub fn kill(&mut self, index: usize) -> NodeId {
        let Member { id, drain, node, .. } = self.members.remove(index);
        drain.stop();
        assert_eq!(node.join(), Ended::Stopped);
        id
    }

    pub fn id(&self, index: usize) -> NodeId {
        self.members[index].id
    }

    pub fn backend(&self, patience: Duration) -> Backend {
        Backend::Fleet(FleetBackend {
            tls: self.tls(Role::Proxy).client(),
            versions: Versions::KNOWN,
            topologies: self.topologies.subscribe(),
            settings: Settings { patience, ..Settings::default() },
        })
    }

    /// A proxy that is linked to all, and refuses nothing for being slow.
    pub fn site(&self) -> Site {
        let site = Site::start(self.backend(PATIENCE));
        site.wait_reached();
        site
    }

    pub fn tls(&self, role: Role) -> FleetTls {
        FleetTls::load(self.dir.path(), role).unwrap()
    }

    /// The number-th key whose slot belongs to the index-th of `count` nodes.
    pub fn key(count: u16, index: u16, number: usize) -> String {
        let is_of = |key: &String| SlotId::of(SEED.hash(key.as_bytes())).number() % count == index;
        (0..).map(|i| format!("key-{i}")).filter(is_of).nth(number).unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for member in self.members.drain(..) {
            member.drain.stop();
            drop(member.node.join());
        }
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// The black-box tables of the program.
pub fn tables() -> Vec<PathBuf> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../memtide/tests/cases");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
