//! Which stream is whose.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use memtide_control::{Capacity, NodeUsage, Program, Registration, Session, SessionId, SlotUse};
use memtide_limits::DataPart;
use memtide_topology::{Epoch, NodeId, Topology};

use crate::limits::ENDED_CHILDREN_MAX;
use crate::status::ProxyStatus;

/// The open streams, and what nodes said of themselves.
#[derive(Debug, Default)]
pub struct Sessions {
    open: BTreeMap<SessionId, Open>,
    nodes: BTreeMap<NodeId, Said>,
    proxies: BTreeMap<SessionId, ProxyStatus>,
    /// What each proxy runs.
    programs: BTreeMap<SessionId, Program>,
    /// Children that have ended and were no nodes yet, the oldest first.
    ended: VecDeque<u64>,
}

/// A node's stream.
#[derive(Debug)]
struct Open {
    session: Session,
    node: Option<NodeId>,
    process: Process,
    program: Program,
}

/// How one process is told from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    /// Random.
    number: u64,
    address: String,
    parent_token: Option<u64>,
    instance: String,
    capacity: Capacity,
}

/// What a node said of itself.
#[derive(Clone, Debug)]
pub struct Said {
    session: SessionId,
    process: Process,
    /// What it runs.
    pub program: Program,
    /// What it said last that it uses.
    pub usage: Option<NodeUsage>,
    /// And when.
    pub used_at: Duration,
    /// What it said last of the slots that take the most of it.
    pub slots: Vec<SlotUse>,
}

impl Said {
    /// What whoever started it knows it by.
    pub const fn parent_token(&self) -> Option<u64> {
        self.process.parent_token
    }

    /// What it is called by provisioners; empty where it has no name.
    pub fn instance(&self) -> &str {
        &self.process.instance
    }

    /// What its host lets it do.
    pub const fn capacity(&self) -> Capacity {
        self.process.capacity
    }
}

impl Sessions {
    /// A stream begins. A process whose welcome was lost is the node that it was made.
    pub fn came(&mut self, session: Session, registration: &mut Registration) {
        let process = Process {
            number: registration.process,
            address: registration.address.clone(),
            parent_token: registration.parent_token,
            instance: registration.instance.clone(),
            capacity: registration.capacity,
        };
        if registration.node.is_none() {
            let known = self.nodes.iter().find(|(_, said)| said.process == process);
            registration.node = known.map(|(node, _)| *node);
        }
        let program = registration.program.clone();
        self.open.insert(session.id(), Open { session, node: None, process, program });
    }

    /// Who else has an open stream with the address that a process names: one address is one process's.
    pub fn rival(&self, registration: &Registration) -> Option<String> {
        let is_rival = |open: &&Open| {
            open.process.address == registration.address
                && open.process.number != registration.process
        };
        let rival = self.open.values().find(is_rival)?;
        Some(rival.node.map_or_else(|| "another that is joining".to_owned(), |it| it.to_string()))
    }

    /// Whether the process that joins at this address is a child, which ends with its parent.
    pub fn is_child_joining(&self, address: &str) -> bool {
        let mut joining = self.open.values().filter(|open| open.node.is_none());
        joining.any(|it| it.process.address == address && it.process.parent_token.is_some())
    }

    /// The names of processes that have asked to be nodes, and are none yet.
    pub fn joining(&self) -> impl Iterator<Item = (SessionId, &str)> {
        let joining = self.open.iter().filter(|(_, open)| open.node.is_none());
        let named = joining.map(|(session, open)| (*session, open.process.instance.as_str()));
        named.filter(|(_, name)| !name.is_empty())
    }

    /// A stream has ended.
    pub fn left(&mut self, session: SessionId) {
        self.open.remove(&session);
        self.proxies.remove(&session);
        self.programs.remove(&session);
    }

    /// A stream is that of a node, which is told so; an earlier one of the same node ends. Says whether the
    /// node's process is known to have ended.
    pub fn welcome(&mut self, session: SessionId, node: NodeId) -> bool {
        let Some(open) = self.open.get_mut(&session) else { return false };
        open.node = Some(node);
        open.session.welcome(node);
        let (process, program) = (open.process.clone(), open.program.clone());
        let parent_token = process.parent_token;
        let (usage, used_at, slots) = (None, Duration::ZERO, Vec::new());
        let said = Said { session, process, program, usage, used_at, slots };
        if let Some(before) = self.nodes.insert(node, said)
            && before.session != session
        {
            self.open.remove(&before.session);
        }
        parent_token.is_some_and(|token| self.ended.contains(&token))
    }

    /// A node may hold so much; where it has no stream it is told with the next one.
    pub fn data_part(&self, node: NodeId, part: DataPart) {
        let open = self.nodes.get(&node).and_then(|said| self.open.get(&said.session));
        if let Some(open) = open {
            open.session.data_part(part);
        }
    }

    /// A process cannot be a node.
    pub fn refuse(&mut self, session: SessionId, why: &str) {
        if let Some(open) = self.open.remove(&session) {
            open.session.refuse(why);
        }
    }

    /// A process is to come again, and may then be answered otherwise.
    pub fn turn_away(&mut self, session: SessionId, why: &str) {
        if let Some(open) = self.open.remove(&session) {
            open.session.turn_away(why.to_owned());
        }
    }

    /// The node whose stream it is, once it was welcomed.
    pub fn node(&self, session: SessionId) -> Option<NodeId> {
        self.open.get(&session).and_then(|open| open.node)
    }

    /// Whether a node has a stream.
    pub fn is_open(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|said| self.open.contains_key(&said.session))
    }

    /// A node says what it uses.
    pub fn uses(&mut self, now: Duration, node: NodeId, usage: NodeUsage) {
        if let Some(said) = self.nodes.get_mut(&node) {
            said.usage = Some(usage);
            said.used_at = now;
        }
    }

    /// A node says what those of its slots take that take the most.
    pub fn slots_use(&mut self, node: NodeId, slots: Vec<SlotUse>) {
        if let Some(said) = self.nodes.get_mut(&node) {
            said.slots = slots;
        }
    }

    /// What a node said of itself.
    pub fn said(&self, node: NodeId) -> Option<&Said> {
        self.nodes.get(&node)
    }

    /// A proxy's stream begins.
    pub fn proxy_came(&mut self, session: SessionId, program: Program) {
        self.programs.insert(session, program);
    }

    /// A proxy says what it routes by.
    pub fn proxy(&mut self, session: SessionId, peer: SocketAddr, adopted: Epoch) {
        let program = self.programs.get(&session).cloned().unwrap_or_default();
        self.proxies.insert(session, ProxyStatus { peer, adopted, program });
    }

    /// All proxies that follow.
    pub fn proxies(&self) -> Vec<ProxyStatus> {
        self.proxies.values().cloned().collect()
    }

    /// The process of a child has ended: the nodes that it was. It may yet become known as one.
    pub fn ended(&mut self, token: u64) -> Vec<NodeId> {
        if self.ended.len() == ENDED_CHILDREN_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(token);
        let mine = self.nodes.iter().filter(|(_, said)| said.parent_token() == Some(token));
        mine.map(|(node, _)| *node).collect()
    }

    /// Follows the topology: who has left it is told so, and forgotten.
    pub fn follow(&mut self, topology: &Topology) {
        let has_left = |node: NodeId| !topology.nodes().contains_key(&node);
        let left = self.open.iter().filter(|(_, open)| open.node.is_some_and(has_left));
        let left: Vec<_> = left.map(|(session, open)| (*session, open.node)).collect();
        for (session, node) in left {
            let node = node.expect("those without were left out");
            self.refuse(session, &memtide_manager::Unwelcome::Left(node).to_string());
        }
        self.nodes.retain(|node, _| !has_left(*node));
    }
}
