//! What can happen, and who it happens to.

use core::fmt;
use std::sync::Arc;

use memtide_engine_core::replication::{Message, Outcome, Report};
use memtide_manager::{Registration, Unwelcome};
use memtide_topology::{Answer, Epoch, NodeId, Request, RequestId, Topology};

use crate::chaos::Fault;
use crate::control::{Answered, Storing};
use crate::store::Command;

/// A process of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Manager,
    Node(NodeId),
    Proxy(u32),
    /// A process that does not know yet who it is.
    Newcomer(u64),
}

impl Place {
    pub const fn node(self) -> Option<NodeId> {
        if let Self::Node(node) = self { Some(node) } else { None }
    }

    pub const fn is_proxy(&self) -> bool {
        matches!(self, Self::Proxy(_))
    }

    /// A number of its own, for the hash of the trace.
    pub const fn number(self) -> u64 {
        match self {
            Self::Manager => 0,
            Self::Node(node) => node.number() << 1,
            Self::Proxy(proxy) => (proxy as u64) << 1 | 1,
            Self::Newcomer(number) => number << 1 | 1 << 20,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager => f.write_str("manager"),
            Self::Node(node) => write!(f, "{node}"),
            Self::Proxy(proxy) => write!(f, "p{proxy}"),
            Self::Newcomer(number) => write!(f, "newcomer {number}"),
        }
    }
}

/// What goes from one process to another.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Node to node.
    Peer(Message),
    /// Node to node, as a frame.
    Words(Arc<[u8]>),
    /// Proxy to node.
    Ask(Request<Command>),
    /// Node to proxy.
    Answer(RequestId, Answer<Outcome>),
    /// Node to the manager, and proxy to anyone: I am alive, and this is what I know.
    Adopted(Epoch),
    /// Node to the manager.
    Report(Report),
    /// Manager, or a node, to whom it may concern.
    Topology(Arc<Topology>),
    /// Node to the manager: the first on a control stream.
    Register(Registration),
    /// Manager to a node: this is who you are.
    Welcome(NodeId),
    /// Manager to a node: end.
    Refused(Unwelcome),
}

/// What happens.
#[derive(Debug)]
pub enum Event {
    /// A message of a link arrives.
    Arrive(Arrival),
    /// A message that is part of no link arrives, from or at the manager.
    Datagram { from: Place, to: Place, payload: Payload },
    /// A link is there, as this side sees it.
    LinkUp { at: Place, peer: Place, incarnation: u64 },
    /// A link is gone, as this side sees it.
    LinkDown { at: Place, peer: Place, incarnation: u64 },
    /// Two processes try to connect.
    Connect(Place, Place),
    /// A link's silence is noticed, if it is silent.
    Silence(Place, Place),
    /// A process's timer.
    Tick(Place),
    /// A node gets to a chunk of a copy.
    ReadChunk(Place),
    /// The manager's storage gets to something.
    Store(Storing),
    /// The storage's answer is there.
    Answered(Answered),
    /// A process goes on.
    Resume(Place),
    /// A client may ask something.
    Think(u32),
    /// A fault begins.
    Fault,
    /// A fault ends.
    Over(Fault),
}

/// A message of a link.
#[derive(Debug)]
pub struct Arrival {
    pub from: Place,
    pub to: Place,
    pub incarnation: u64,
    pub number: u64,
    pub payload: Payload,
}

impl Event {
    /// The process that handles it, and does not while it is stopped.
    pub const fn at(&self) -> Option<Place> {
        match self {
            Self::Arrive(Arrival { to, .. }) | Self::Datagram { to, .. } => Some(*to),
            Self::LinkUp { at, .. } | Self::LinkDown { at, .. } => Some(*at),
            Self::Tick(at) | Self::ReadChunk(at) => Some(*at),
            Self::Answered(_) => Some(Place::Manager),
            _ => None,
        }
    }
}
