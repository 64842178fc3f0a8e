//! A switch with sessions on it and nodes behind it, without sockets and in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use memtide_engine_core::{Now, Store, StoreConfig};
use memtide_execute::{CommandCounters, Executed, ItemExecutor, Retrieved};
use memtide_link::Outbox;
use memtide_protocol::{Command, Limits, Step, encode, parse};
use memtide_routing::Settings;
use memtide_service::drain::Drain;
use memtide_topology::{
    Answer, CacheId, Epoch, HashSeed, NodeId, NodeInfo, SLOTS, SlotConfig, SlotId, Topology,
    TopologyParts, Zone,
};
use memtide_wire::{Frame, Reach, Reply, Versions, decode_ask, encode_reply};

use crate::config::{Backend, FleetBackend, ProxyConfig};
use crate::fleet::lanes::LaneId;
use crate::fleet::session::{Desk, Progress, Session};
use crate::fleet::switch::{LinkName, Switch};
use crate::limits::frame_bytes_max;
use crate::shared::Shared;

pub const NOW_SECS: u32 = 1_800_000_000;
pub const SEED: HashSeed = HashSeed::new(1, 2);
const ITEM_SIZE_MAX: u32 = 1 << 20;

/// A question that a node has not answered.
#[derive(Clone, Debug)]
pub struct Question {
    pub number: u64,
    pub reach: Reach,
    pub hash: memtide_topology::KeyHash,
    pub is_retry: bool,
    pub command: Vec<u8>,
}

/// A node that answers when it is told to.
pub struct Node {
    pub id: NodeId,
    store: Store,
    counters: CommandCounters,
    pub outbox: Outbox,
    link: Option<LinkName>,
    pub questions: VecDeque<Question>,
    /// Answers at once.
    pub is_prompt: bool,
    /// Commands executed.
    pub executed: Vec<Vec<u8>>,
}

pub struct Client {
    /// Its connection is to be polled.
    woken: Arc<Flag>,
    pub lane: LaneId,
    pub session: Session,
    pub carry: Vec<u8>,
    pub replies: Vec<u8>,
    pub is_closed: bool,
    /// For more bytes.
    is_waiting: bool,
    pub is_read_optimized: bool,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub struct Rig {
    pub shared: Arc<Shared>,
    pub switch: Switch,
    pub nodes: BTreeMap<NodeId, Node>,
    pub clients: Vec<Client>,
    pub now: Duration,
    _topologies: tokio::sync::watch::Sender<Arc<Topology>>,
}

/// Slots go to the nodes in turn.
pub fn topology(epoch: u64, nodes: &[u64], primaries: &[u64]) -> Arc<Topology> {
    let primary = |slot: u16| NodeId::new(primaries[usize::from(slot) % primaries.len()]);
    let info = |id: u64| {
        let zone = Zone::new("a").unwrap();
        NodeInfo {
            address: format!("127.0.0.1:{id}"),
            zone,
            memory_max: 64 << 20,
            is_draining: false,
        }
    };
    let config = |slot| SlotConfig {
        epoch: Epoch::new(epoch),
        born: Epoch::new(1),
        primary: Some(primary(slot)),
        copies: vec![],
    };
    let parts = TopologyParts {
        epoch: Epoch::new(epoch),
        cache: CacheId::default(),
        seed: SEED,
        replicas_wanted: 0,
        nodes: nodes.iter().map(|&id| (NodeId::new(id), info(id))).collect(),
        slots: (0..SLOTS).map(|slot| Arc::new(config(slot))).collect(),
    };
    Arc::new(Topology::from_parts(parts).unwrap())
}

impl Rig {
    /// Nodes 1 to `count`, linked, and no client.
    pub fn new(count: u64) -> Self {
        let mut rig = Self::unfounded(Settings::default());
        let nodes: Vec<u64> = (1..=count).collect();
        rig.switch.adopt(rig.now, topology(1, &nodes, &nodes));
        nodes.iter().for_each(|&id| rig.link(id));
        rig
    }

    /// No topology is known yet.
    pub fn unfounded(settings: Settings) -> Self {
        let (sender, topologies) = tokio::sync::watch::channel(Arc::new(Topology::empty()));
        let roots = rustls::RootCertStore::empty();
        let tls =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let (tls, versions, settings) = (Arc::new(tls), Versions::KNOWN, settings.clone());
        let fleet = FleetBackend { tls, versions, topologies, settings: settings.clone() };
        let config = ProxyConfig {
            advertise: "cache.test".into(),
            threads: 1,
            item_size_max: ITEM_SIZE_MAX,
            connections_max: 10,
            idle_timeout: None,
            handshake_timeout: Duration::from_secs(1),
            handshakes_per_second_max: None,
            ecpu_units_per_second_max: None,
            give_back_memory: || {},
            backend: Backend::Fleet(fleet),
        };
        let shared = Arc::new(Shared::new(config, Drain::new().watch()));
        Self {
            switch: Switch::new(7, settings, Arc::clone(&shared), 0),
            shared,
            nodes: BTreeMap::new(),
            clients: Vec::new(),
            now: Duration::from_millis(1),
            _topologies: sender,
        }
    }

    pub fn link(&mut self, id: u64) {
        let id = NodeId::new(id);
        let outbox = Outbox::new(1 << 30);
        let name = self.switch.link_up(self.now, id, (outbox.clone(), 7));
        let node = self.nodes.entry(id).or_insert_with(|| Node::new(id));
        node.outbox = outbox;
        node.link = Some(name);
        node.questions.clear();
    }

    pub fn unlink(&mut self, id: u64) {
        let name = self.node(id).link.take().expect("it is linked");
        self.switch.link_down(self.now, name);
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&NodeId::new(id)).unwrap()
    }

    pub fn client(&mut self) -> usize {
        let lane = self.switch.open_lane();
        self.clients.push(Client {
            woken: Arc::default(),
            lane,
            session: Session::default(),
            carry: Vec::new(),
            replies: Vec::new(),
            is_closed: false,
            is_waiting: true,
            is_read_optimized: false,
        });
        self.clients.len() - 1
    }

    /// The client sends these bytes, and all goes on until nothing more happens.
    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        self.clients[client].carry.extend_from_slice(bytes);
        self.clients[client].is_waiting = false;
        self.clients[client].woken.0.store(true, Ordering::Relaxed);
        self.settle();
    }

    /// What the client has got since it was asked last.
    pub fn replies(&mut self, client: usize) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.clients[client].replies)).into_owned()
    }

    /// Sends, and tells the replies.
    pub fn ask(&mut self, client: usize, bytes: &[u8]) -> String {
        self.send(client, bytes);
        self.replies(client)
    }

    pub fn wait(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while let Some(due) = self.switch.next_timeout().filter(|&due| due <= until) {
            self.now = self.now.max(due);
            self.switch.tick(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// Has clients read and nodes answer as long as anything happens.
    pub fn settle(&mut self) {
        loop {
            let mut has_moved = false;
            for client in 0..self.clients.len() {
                has_moved |= self.turn(client);
            }
            let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
            for id in ids {
                has_moved |= self.nodes.get_mut(&id).unwrap().listen();
                if self.nodes[&id].is_prompt {
                    has_moved |= self.answer_all(id.number());
                }
            }
            if !has_moved {
                return;
            }
        }
    }

    /// What a connection does when it is woken.
    fn turn(&mut self, client: usize) -> bool {
        let Some(client) = self.clients.get_mut(client).filter(|client| !client.is_closed) else {
            return false;
        };
        if !client.woken.0.swap(false, Ordering::Relaxed) {
            return false;
        }
        let waker = Waker::from(Arc::clone(&client.woken));
        self.switch.with_lane(client.lane, |lane, _| lane.set_waker(&waker));
        loop {
            let replies = &mut client.replies;
            self.switch.with_lane(client.lane, |lane, around| {
                lane.take_out(around, |out| replies.extend_from_slice(out));
            });
            if client.is_closed || client.is_waiting || !self.switch.has_room(client.lane) {
                return true;
            }
            let limits = Limits { item_bytes_max: ITEM_SIZE_MAX };
            let Client { lane, is_read_optimized, .. } = *client;
            let (switch, now) = (&mut self.switch, self.now);
            let mut desk =
                Desk { switch, lane, limits, is_read_optimized, toll: None, now, read_at: now };
            let (consumed, progress) = client.session.advance(&client.carry, &mut desk);
            client.carry.drain(..consumed);
            client.is_closed = progress == Progress::Close;
            client.is_waiting = matches!(progress, Progress::NeedsMore { .. });
        }
    }

    /// The client goes away.
    pub fn leave(&mut self, client: usize) {
        let Client { session, lane, .. } = &mut self.clients[client];
        session.abandon(&mut self.switch, *lane);
        self.clients[client].is_closed = true;
    }

    /// The node answers what it was asked first, in this way.
    pub fn answer_with(&mut self, id: u64, how: impl FnOnce(&Question) -> Answer<Vec<u8>>) {
        let node = self.node(id);
        node.listen();
        let question = node.questions.pop_front().expect("it was asked");
        let answer = how(&question);
        let answer = match &answer {
            Answer::Done { outcome, version } => {
                Answer::Done { outcome: outcome.as_slice(), version: *version }
            }
            &Answer::Moved { epoch, primary, may_be_done } => {
                Answer::Moved { epoch, primary, may_be_done }
            }
            Answer::Unknown => Answer::Unknown,
        };
        let mut frame = Vec::new();
        encode_reply(&mut frame, &Reply { number: question.number, answer });
        let taken = self.switch.take(self.now, NodeId::new(id), &frame);
        assert_eq!(taken, Ok(frame.len()));
    }

    /// The node executes and answers what it was asked first.
    pub fn answer(&mut self, id: u64) {
        let node = self.node(id);
        node.listen();
        let question = node.questions.front().expect("it was asked").clone();
        let outcome = node.execute(&question);
        self.answer_with(id, |_| Answer::Done { outcome, version: 1 });
    }

    /// The node executes all that it was asked; the answers come in one read, and two halves.
    pub fn answer_all(&mut self, id: u64) -> bool {
        let node = self.node(id);
        node.listen();
        let mut frames = Vec::new();
        while let Some(question) = node.questions.pop_front() {
            let outcome = node.execute(&question);
            let answer = Answer::Done { outcome: outcome.as_slice(), version: 1 };
            encode_reply(&mut frames, &Reply { number: question.number, answer });
        }
        let half = frames.len() / 2;
        let taken = self.switch.take(self.now, NodeId::new(id), &frames[..half]).unwrap();
        let rest = self.switch.take(self.now, NodeId::new(id), &frames[taken..]).unwrap();
        assert_eq!(taken + rest, frames.len());
        !frames.is_empty()
    }

    pub fn ecpu_units(&self) -> u64 {
        self.shared.totals().traffic.ecpu_units
    }
}

impl Node {
    fn new(id: NodeId) -> Self {
        let store = StoreConfig::new(64 << 20, SEED);
        Self {
            id,
            store: Store::new(StoreConfig { item_size_max: ITEM_SIZE_MAX, ..store }),
            counters: CommandCounters::default(),
            outbox: Outbox::new(0),
            link: None,
            questions: VecDeque::new(),
            is_prompt: true,
            executed: Vec::new(),
        }
    }

    /// Takes what has come.
    pub fn listen(&mut self) -> bool {
        let bytes = self.outbox.take(Vec::new());
        let mut rest = bytes.as_slice();
        while let Some((frame, behind)) =
            Frame::split(rest, frame_bytes_max(ITEM_SIZE_MAX)).unwrap()
        {
            let ask = decode_ask(&frame).unwrap();
            self.questions.push_back(Question {
                number: ask.number,
                reach: ask.reach,
                hash: ask.hash,
                is_retry: ask.is_retry,
                command: ask.command.to_vec(),
            });
            rest = behind;
        }
        assert!(rest.is_empty(), "whole frames");
        !bytes.is_empty()
    }

    pub fn execute(&mut self, question: &Question) -> Vec<u8> {
        self.executed.push(question.command.clone());
        let limits = Limits { item_bytes_max: ITEM_SIZE_MAX };
        let Step::Command { consumed, command } = parse(&question.command, &limits) else {
            panic!("{:?} is a command", question.command.escape_ascii());
        };
        assert_eq!(consumed, question.command.len());
        let mut out = Vec::new();
        let mut executed = Executed::default();
        let mut executor = ItemExecutor {
            limits,
            store: &self.store,
            seed: SEED,
            counters: &self.counters,
            now: Now::from_unix_secs(NOW_SECS),
            executed: &mut executed,
        };
        let hash = executor.hash(&command);
        assert!(hash.is_none_or(|hash| hash == question.hash), "hashed as here");
        match command {
            Command::FlushAll { .. } => {
                self.store.flush_slot(SlotId::of(question.hash));
                encode::status(&mut out, encode::Status::Ok);
            }
            Command::Stats => {
                encode::stat_number(&mut out, "cmd_get", self.counters.cmd_get.load());
                encode::stat_number(&mut out, "curr_items", self.store.stats().items);
                encode::status(&mut out, encode::Status::End);
            }
            Command::StatsReset => encode::status(&mut out, encode::Status::Reset),
            Command::Retrieve(get) => {
                assert!(
                    executor.retrieve((&get, hash), Retrieved::default(), &mut out).is_done,
                    "one key"
                );
            }
            command => executor.execute(&command, hash, &mut out),
        }
        out
    }
}
