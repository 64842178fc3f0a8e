//! Real nodes in threads, over real links, with a topology that a test makes by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use memtide_engine::{Ended, News, Node, NodeConfig, Observer, Source, Word, feed};
use memtide_engine_core::replication::{CopyName, ReplicationSettings, Report};
use memtide_service::drain::Drain;
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{
    Answer, CacheId, CaughtUp, Change, HashSeed, KeyHash, NodeId, NodeInfo, Previous, SlotId,
    Topology, Update, Zone,
};
use memtide_wire::Versions;

use crate::client::{Client, ask};
use crate::tls::Tls;

pub const SEED: HashSeed = HashSeed::new(11, 22);
const MEMORY_MAX: u64 = 64 << 20;

/// A cache: its nodes, and its topology.
pub struct Fleet {
    pub tls: Tls,
    pub topology: Arc<Topology>,
    pub members: BTreeMap<NodeId, Member>,
    pub replication: ReplicationSettings,
    /// What nodes begin with.
    pub memory_max: u64,
    /// What they may be given; `None` for no more.
    pub memory_capacity: Option<u64>,
    /// What they speak on links.
    pub versions: Versions,
    next_client: u64,
}

/// A node's process.
pub struct Member {
    pub address: SocketAddr,
    pub observer: Observer,
    pub drain: Drain,
    node: Option<Node>,
    source: Source,
    pub is_leaving: bool,
}

impl Fleet {
    pub fn new(replicas: u8) -> Self {
        let topology = Topology::new(CacheId::default(), SEED, replicas).unwrap();
        Self {
            tls: Tls::new(),
            topology: Arc::new(topology),
            members: BTreeMap::new(),
            replication: ReplicationSettings::default(),
            memory_max: MEMORY_MAX,
            memory_capacity: None,
            versions: Versions::KNOWN,
            next_client: 1,
        }
    }

    /// A fleet of so many nodes, of which the first is the primary of all slots.
    pub fn of(nodes: u64, replicas: u8) -> Self {
        let mut fleet = Self::new(replicas);
        let ids: Vec<NodeId> = (0..nodes).map(|_| fleet.add_node()).collect();
        fleet.apply(vec![Change::SetPrimary {
            slots: SlotId::all().collect(),
            primary: ids[0],
            previous: Previous::Gone,
        }]);
        fleet
    }

    /// A fleet of two, of which the second has copies in sync of all slots.
    pub fn replicated() -> Self {
        let mut fleet = Self::of(2, 1);
        let second = fleet.id(1);
        fleet.learn(second);
        fleet
    }

    /// The node that came so many after the first.
    pub fn id(&self, index: usize) -> NodeId {
        *self.members.keys().nth(index).unwrap()
    }

    /// Starts a node.
    pub fn add_node(&mut self) -> NodeId {
        let id = NodeId::new(self.topology.epoch().next().number());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (source, feed) = feed();
        let drain = Drain::new();
        let config = NodeConfig {
            cache: CacheId::default(),
            memory_max: self.memory_max,
            memory_capacity: self.memory_capacity.unwrap_or(self.memory_max),
            item_size_max: 1 << 20,
            replication: self.replication.clone(),
            versions: self.versions,
            tls: self.tls.node.clone(),
        };
        let node = Node::start(config, listener, feed, drain.watch()).unwrap();
        source.news.blocking_send(News::Welcome(id)).unwrap();
        let observer = node.observer();
        let is_leaving = false;
        let node = Some(node);
        self.members.insert(id, Member { address, observer, drain, node, source, is_leaving });
        let info = NodeInfo {
            address: address.to_string(),
            zone: Zone::new("a").unwrap(),
            memory_max: self.memory_max,
            is_draining: false,
        };
        self.apply(vec![Change::AddNode { node: id, info }]);
        id
    }

    /// Ends a node at once, as a crash does.
    pub fn kill(&mut self, id: NodeId) {
        let member = self.members.remove(&id).unwrap();
        member.drain.stop();
        assert_eq!(member.node.unwrap().join(), Ended::Stopped);
    }

    /// Waits for a node's own end.
    pub fn join(&mut self, id: NodeId) -> Ended {
        self.members.get_mut(&id).unwrap().node.take().unwrap().join()
    }

    /// Changes the topology and tells all nodes.
    pub fn apply(&mut self, changes: Vec<Change>) {
        self.change(changes);
        self.publish();
    }

    /// Changes the topology and tells nobody.
    pub fn change(&mut self, changes: Vec<Change>) {
        let update = Update { parent: self.topology.epoch(), changes };
        self.topology = Arc::new(self.topology.apply(&update).unwrap());
    }

    pub fn publish(&self) {
        self.members.keys().for_each(|node| self.tell(*node));
    }

    /// Tells one node the topology.
    pub fn tell(&self, node: NodeId) {
        let news = News::Topology(Arc::clone(&self.topology));
        // A node that has ended hears nothing.
        let _ = self.members[&node].source.news.blocking_send(news);
    }

    /// Does as the nodes report; says whether anything changed.
    pub fn heed_reports(&mut self) -> bool {
        let mut caught_up = BTreeSet::new();
        let mut changes = Vec::new();
        for member in self.members.values_mut() {
            while let Ok(word) = member.source.words.try_recv() {
                match word {
                    Word::Leaving => member.is_leaving = true,
                    Word::Report(Report::CaughtUp(slot, CopyName { epoch, node, since })) => {
                        let report = CaughtUp { slot, epoch, node, since };
                        if self.topology.is_current(&report) {
                            caught_up.insert(report);
                        }
                    }
                    Word::Report(
                        Report::Diverged(slot, CopyName { epoch, node, .. })
                        | Report::Unreachable(slot, CopyName { epoch, node, .. }),
                    ) => {
                        let config = self.topology.slot(slot);
                        let is_in_sync = config.in_sync().any(|copy| copy == node);
                        if config.epoch == epoch && is_in_sync {
                            changes.push(Change::MakeLearner { slots: vec![slot], node });
                        }
                    }
                    Word::Report(Report::Incomplete(..)) => {}
                }
            }
        }
        if !caught_up.is_empty() {
            let reports = caught_up.into_iter().collect();
            changes.push(Change::MakeInSync { reports });
        }
        let has_changed = !changes.is_empty();
        if has_changed {
            self.apply(changes);
        }
        has_changed
    }

    /// Adds a node to all slots as a learner, and waits until it is in sync on all.
    pub fn learn(&mut self, node: NodeId) {
        let slots = SlotId::all().filter(|slot| !self.topology.slot(*slot).is_held_by(node));
        self.apply(vec![Change::AddLearner { slots: slots.collect(), node }]);
        self.wait_in_sync(node);
    }

    pub fn wait_in_sync(&mut self, node: NodeId) {
        wait_until("a node is in sync", PATIENCE, || {
            self.heed_reports();
            let mut slots = self.topology.slots();
            slots.all(|(_, slot)| slot.complete().any(|holder| holder == node)).then_some(())
        });
    }

    /// Makes a node the primary of all slots.
    pub fn set_primary(&mut self, primary: NodeId, previous: Previous) {
        let slots = SlotId::all().filter(|slot| self.topology.slot(*slot).primary != Some(primary));
        let change = Change::SetPrimary { slots: slots.collect(), primary, previous };
        self.apply(vec![change]);
    }

    pub fn client(&mut self, node: NodeId) -> Client {
        self.next_client += 1;
        Client::connect(&self.tls, self.members[&node].address, self.next_client)
    }

    /// A proxy core that follows the topology.
    pub fn proxy(&mut self) -> Proxy {
        self.next_client += 1;
        Proxy { client: self.next_client, links: BTreeMap::new(), seen: BTreeMap::new(), last: 0 }
    }
}

/// Asks whoever is the primary, again and again, as a proxy does.
pub struct Proxy {
    client: u64,
    links: BTreeMap<NodeId, Client>,
    seen: BTreeMap<SlotId, u64>,
    last: u64,
}

impl Proxy {
    /// Does a command on a key; panics where nobody answers in time.
    pub fn run(&mut self, fleet: &mut Fleet, key: &str, command: &str) -> String {
        let hash = SEED.hash(key.as_bytes());
        self.last += 1;
        let (number, mut is_retry) = (self.last, false);
        let born = fleet.topology.slot(SlotId::of(hash)).born.version_base();
        let seen = self.seen.get(&SlotId::of(hash)).copied().unwrap_or_default().max(born);
        wait_until(&format!("an answer to {command}"), PATIENCE, || {
            fleet.heed_reports();
            let try_ = Try { number, hash, seen, is_retry, command };
            match self.try_once(fleet, &try_) {
                Some(Answer::Done { outcome, version }) => {
                    self.seen.insert(SlotId::of(hash), version.max(seen));
                    return Some(String::from_utf8(outcome).unwrap());
                }
                Some(Answer::Moved { may_be_done, .. }) => is_retry |= may_be_done,
                Some(Answer::Unknown) => return Some("unknown".to_owned()),
                None => is_retry = true,
            }
            None
        })
    }

    fn try_once(&mut self, fleet: &mut Fleet, try_: &Try<'_>) -> Option<Answer<Vec<u8>>> {
        let config = fleet.topology.slot(SlotId::of(try_.hash));
        let primary = config.primary.filter(|primary| fleet.members.contains_key(primary))?;
        let (tls, address) = (&fleet.tls, fleet.members[&primary].address);
        let link = self.links.entry(primary);
        let link = link.or_insert_with(|| Client::connect(tls, address, self.client));
        let Try { number, hash, seen, is_retry, command } = *try_;
        let ask = ask(number, hash, config.epoch, command.as_bytes());
        link.send(&memtide_wire::Ask { seen, is_retry, ..ask });
        let answer = link.answer_within(number, Duration::from_secs(3));
        if answer.is_none() {
            self.links.remove(&primary);
        }
        answer
    }
}

struct Try<'a> {
    number: u64,
    hash: KeyHash,
    seen: u64,
    is_retry: bool,
    command: &'a str,
}
