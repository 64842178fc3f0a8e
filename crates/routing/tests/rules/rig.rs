//! A router with two slots and up to four nodes, whose effects read like a log.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use memtide_routing::{Effect, Kind, Refused, Router, Settings, Submission};
use memtide_topology::{
    Answer, CopyConfig, Epoch, NodeId, NodeInfo, Request, RequestId, SlotConfig, SlotId, Topology,
    Zone,
};

pub struct Rig {
    pub router: Router<&'static str, &'static str>,
    pub now: Duration,
    /// The last request with each command.
    sent: BTreeMap<&'static str, Request<&'static str>>,
    tickets: u64,
    names: BTreeMap<u64, &'static str>,
}

pub const A: NodeId = NodeId::new(1);
pub const B: NodeId = NodeId::new(2);
pub const C: NodeId = NodeId::new(3);
pub const X: u16 = 7;
pub const Y: u16 = 8;

pub fn settings() -> Settings {
    Settings { zone: Zone::new("z1"), ..Settings::default() }
}

/// A topology in which each slot has a primary and copies that are in sync.
pub fn topology(epoch: u64, slots: &[(u16, u64, Option<NodeId>, &[NodeId])]) -> Arc<Topology> {
    let info = |node: NodeId| NodeInfo {
        address: format!("{node}:1"),
        zone: Zone::new(&format!("z{}", node.number())).unwrap(),
        memory_max: 1,
        is_draining: false,
    };
    let mut parts = Topology::empty().into_parts();
    parts.epoch = Epoch::new(epoch);
    parts.nodes = [A, B, C].map(|node| (node, info(node))).into();
    for &(slot, since, primary, copies) in slots {
        let (epoch, born) = (Epoch::new(since), Epoch::ZERO);
        let copy = |&node| CopyConfig { node, since: epoch, is_in_sync: true };
        let copies = copies.iter().map(copy).collect();
        let config = SlotConfig { epoch, born, primary, copies };
        parts.slots[usize::from(slot)] = Arc::new(config);
    }
    Arc::new(Topology::from_parts(parts).unwrap())
}

/// What a node that refuses says: its slot's epoch, and the primary it knows.
pub fn moved(epoch: u64, primary: Option<NodeId>) -> Answer<&'static str> {
    Answer::Moved { epoch: Epoch::new(epoch), primary, may_be_done: true }
}

/// The same of one that has not executed it.
pub fn refused(epoch: u64, primary: Option<NodeId>) -> Answer<&'static str> {
    Answer::Moved { epoch: Epoch::new(epoch), primary, may_be_done: false }
}

impl Rig {
    /// With the nodes connected, and A as the primary of both slots since epoch 1.
    pub fn new(settings: Settings, connected: &[NodeId]) -> Self {
        let router = Router::new(99, settings);
        let now = Duration::from_secs(100);
        let mut rig =
            Self { router, now, sent: BTreeMap::new(), tickets: 0, names: BTreeMap::new() };
        for node in connected {
            rig.router.link_up(rig.now, *node);
        }
        rig.router.adopt(rig.now, topology(1, &[(X, 1, Some(A), &[]), (Y, 1, Some(A), &[])]));
        rig
    }

    pub fn submit(&mut self, kind: Kind, slot: u16, command: &'static str) -> String {
        self.submit_unpolled(kind, slot, command);
        self.log()
    }

    pub fn submit_unpolled(&mut self, kind: Kind, slot: u16, command: &'static str) {
        let (ticket, slot) = (self.name(command), SlotId::new(slot).unwrap());
        self.router.submit(self.now, Submission { ticket, slot, kind, command });
    }

    pub fn write(&mut self, command: &'static str) -> String {
        self.submit(Kind::Mutation, X, command)
    }

    pub fn read(&mut self, command: &'static str) -> String {
        self.submit(Kind::Read, X, command)
    }

    pub fn submit_to(&mut self, node: NodeId, command: &'static str) -> String {
        let ticket = self.name(command);
        self.router.submit_to(self.now, ticket, node, command);
        self.log()
    }

    pub fn up(&mut self, node: NodeId) -> String {
        self.router.link_up(self.now, node);
        self.log()
    }

    pub fn down(&mut self, node: NodeId) -> String {
        self.router.link_down(self.now, node);
        self.log()
    }

    pub fn adopt(&mut self, topology: Arc<Topology>) -> String {
        self.router.adopt(self.now, topology);
        self.log()
    }

    pub fn done(&mut self, node: NodeId, command: &'static str) -> String {
        self.done_at(node, command, 0)
    }

    pub fn done_at(&mut self, node: NodeId, command: &'static str, version: u64) -> String {
        self.answer(node, command, Answer::Done { outcome: command, version })
    }

    pub fn answer(
        &mut self,
        node: NodeId,
        command: &'static str,
        answer: Answer<&'static str>,
    ) -> String {
        self.router.answered(self.now, node, self.id(command), answer);
        self.log()
    }

    pub fn id(&self, command: &'static str) -> RequestId {
        self.sent[command].id
    }

    pub fn last(&self, command: &'static str) -> Request<&'static str> {
        self.sent[command]
    }

    pub fn wait(&mut self, millis: u64) -> String {
        self.now += Duration::from_millis(millis);
        self.router.tick(self.now);
        self.log()
    }

    /// What the router wants done: `command>node/round`, with `?` for a retry; `command=end`.
    fn log(&mut self) -> String {
        let mut log = Vec::new();
        while let Some(effect) = self.router.poll() {
            log.push(match effect {
                Effect::Send { node, request } => {
                    self.sent.insert(request.command, request);
                    let retry = if request.is_retry { "?" } else { "" };
                    format!("{}>{}/{}{retry}", request.command, letter(node), request.round)
                }
                Effect::Done { ticket, result } => {
                    let command = self.names.remove(&ticket).expect("one end for each ticket");
                    format!("{command}={}", result.map_or_else(word, |_| "ok"))
                }
                Effect::WantTopology => "want".to_owned(),
            });
        }
        log.join(" ")
    }

    fn name(&mut self, command: &'static str) -> u64 {
        self.tickets += 1;
        self.names.insert(self.tickets, command);
        self.tickets
    }
}

fn word(refused: Refused) -> &'static str {
    match refused {
        Refused::Overloaded => "overloaded",
        Refused::NoCopy => "no-copy",
        Refused::Deadline => "deadline",
        Refused::UnknownOutcome => "unknown",
        Refused::Unavailable => "unavailable",
    }
}

fn letter(node: NodeId) -> char {
    ['A', 'B', 'C'][usize::try_from(node.number() - 1).unwrap()]
}
