//! What no client of ours says.

use memtide_service::tls::fleet::{self, FleetTls};
use memtide_topology::{Change, HashSeed, Update};

use super::*;
use crate::hearing::client;
use crate::limits::ONE_SCALER;
use crate::schema::scaler_says::Says;
use crate::schema::{self, node_says, proxy_says};
use crate::transport::Connection;

struct Rig {
    dir: tempfile::TempDir,
    server: ControlServer,
    _incoming: mpsc::Receiver<Incoming>,
    topologies: watch::Sender<Arc<Topology>>,
}

fn first() -> Topology {
    Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap()
}

fn second() -> Topology {
    let changes = vec![Change::SetReplicas { replicas: 1 }];
    first().apply(&Update { parent: first().epoch(), changes }).unwrap()
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        FleetTls::make(dir.path()).unwrap();
        let (topologies, published) = watch::channel(Arc::new(first()));
        let config = ControlServerConfig {
            listener: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            tls: FleetTls::load(dir.path(), fleet::Role::Scaler).unwrap().server(),
            role_of: |certificates| match FleetTls::role_of(certificates)? {
                fleet::Role::Proxy => Some(Role::Proxy),
                _ => Some(Role::Node),
            },
            cache: CacheId::default(),
            topologies: published,
            item_size_max: 1 << 20,
            closed: watch::channel(None).1,
            in_doubt: watch::channel(false).1,
            tickets: watch::channel(Vec::new()).1,
        };
        let (server, incoming) = ControlServer::spawn(&Handle::current(), config).unwrap();
        Self { dir, server, _incoming: incoming, topologies }
    }

    async fn connect(&self, role: fleet::Role) -> Connection {
        let tls = FleetTls::load(self.dir.path(), role).unwrap().client();
        let address = self.server.address().to_string();
        Connection::open(&address, tls, ONE_SCALER).await.unwrap()
    }

    /// How a stream of a node ends that says these things.
    async fn end_of(&self, says: Vec<node_says::Says>) -> Status {
        let connection = self.connect(fleet::Role::Node).await;
        let (say, said) = mpsc::channel(8);
        for says in says {
            say.try_send(NodeSays { says: Some(says) }).unwrap();
        }
        let heard = client(&connection).node(ReceiverStream::new(said)).await;
        let mut heard = heard.unwrap().into_inner();
        heard.message().await.unwrap_err()
    }
}

fn registration() -> node_says::Says {
    node_says::Says::Registration(schema::NodeRegistration {
        cache: "default".to_owned(),
        zone: "a".to_owned(),
        address: "127.0.0.1:7".to_owned(),
        ..schema::NodeRegistration::default()
    })
}

#[tokio::test]
async fn who_asks_for_the_whole_topology_gets_it() {
    let rig = Rig::new();
    let connection = rig.connect(fleet::Role::Proxy).await;
    let (say, said) = mpsc::channel(8);
    let tell = |says| say.try_send(ProxySays { says: Some(says) }).unwrap();
    let cache = "default".to_owned();
    let registration = schema::ProxyRegistration { cache, ..schema::ProxyRegistration::default() };
    tell(proxy_says::Says::Registration(registration));
    let heard = client(&connection).proxy(ReceiverStream::new(said)).await;
    let mut heard = heard.unwrap().into_inner();
    let mut next = async || heard.message().await.unwrap().unwrap().says.unwrap();
    assert_eq!(next().await, Says::Whole(first().encode().into()));
    rig.topologies.send_replace(Arc::new(second()));
    let difference = Topology::diff(&first(), &second()).encode();
    assert_eq!(next().await, Says::Difference(difference.into()));
    tell(proxy_says::Says::SendWhole(schema::SendWhole {}));
    assert_eq!(next().await, Says::Whole(second().encode().into()));
}

#[tokio::test]
async fn a_stream_that_makes_no_sense_ends_with_the_reason() {
    let rig = Rig::new();
    let leaving = || node_says::Says::Leaving(schema::Leaving {});
    let end = rig.end_of(vec![leaving()]).await;
    assert_eq!(end.message(), "the first message is no registration");
    let end = rig.end_of(vec![registration(), registration()]).await;
    assert_eq!(end.message(), "a second registration");
    let incomplete = schema::Incomplete { slot: 16_384, epoch: 0 };
    let report = schema::Report { report: Some(schema::report::Report::Incomplete(incomplete)) };
    let reports = node_says::Says::Reports(schema::Reports { reports: vec![report] });
    let end = rig.end_of(vec![registration(), reports]).await;
    assert_eq!(end.message(), "a report of slot 16384, which no cache has");
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_stream_and_no_other() {
    let rig = Rig::new();
    let report = schema::Report::default();
    let reports = vec![report; REPORT_MESSAGE_BYTES_MAX];
    let reports = node_says::Says::Reports(schema::Reports { reports });
    let connection = rig.connect(fleet::Role::Node).await;
    let (say, said) = mpsc::channel(8);
    for says in [registration(), reports] {
        say.try_send(NodeSays { says: Some(says) }).unwrap();
    }
    let heard = client(&connection).node(ReceiverStream::new(said)).await;
    let mut heard = heard.unwrap().into_inner();
    let end = heard.message().await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    let end = rig.end_of(vec![registration(), registration()]).await;
    assert_eq!(end.message(), "a second registration");
}
