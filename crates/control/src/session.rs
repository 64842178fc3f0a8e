use std::net::SocketAddr;

use memtide_engine_core::replication::Report;
use memtide_limits::{DataPart, Grant, ProxyId, Report as Demand};
use memtide_topology::{Epoch, NodeId};
use tokio::sync::{mpsc, oneshot};

use crate::{Adopted, Counted, NodeUsage, Program, Registration, SessionId, SlotUse};

/// What comes to the scaler's loop from all streams, each stream's in its order.
#[derive(Debug)]
pub enum Incoming {
    /// A process of this cache asks to be a node. It gets topologies once it is welcome.
    NodeCame {
        /// To answer it; the stream ends when this is dropped.
        session: Session,
        /// What it says of itself.
        registration: Registration,
    },
    /// A node lives.
    NodeBeat {
        /// Whose.
        session: SessionId,
        /// The topology that it has adopted.
        adopted: Epoch,
        /// What it uses.
        usage: NodeUsage,
    },
    /// What a node's slots take that take the most.
    NodeSlotUses {
        /// Whose.
        session: SessionId,
        /// What.
        slots: Vec<SlotUse>,
    },
    /// A node's slots want something.
    NodeReports {
        /// Whose.
        session: SessionId,
        /// What.
        reports: Vec<Report>,
    },
    /// A node was told to stop.
    NodeLeaving {
        /// Whose.
        session: SessionId,
    },
    /// A node's stream ended, or broke.
    NodeLeft {
        /// Whose.
        session: SessionId,
    },
    /// A proxy's stream begins; the first of its beats follows.
    ProxyCame {
        /// Whose.
        session: SessionId,
        /// What it runs.
        program: Program,
    },
    /// A proxy lives and routes by this topology; the first comes with the stream.
    ProxyBeat {
        /// Whose.
        session: SessionId,
        /// From where.
        peer: SocketAddr,
        /// The topology that it has adopted.
        adopted: Epoch,
        /// What it has counted, and what processes before it had; nothing before it says so.
        counted: Vec<Counted>,
        /// Where it wants to know whose counts are written down; nobody is told where this is dropped.
        written: Option<oneshot::Sender<Vec<u64>>>,
    },
    /// A proxy's stream ended, or broke.
    ProxyLeft {
        /// Whose.
        session: SessionId,
    },
    /// A proxy wants a part of the limit of ECPUs.
    ProxyDemand {
        /// Which process it is, over all its streams.
        proxy: ProxyId,
        /// What it wants.
        demand: Demand,
        /// Where the answer goes; none where this is dropped.
        reply: oneshot::Sender<Grant>,
    },
    /// A proxy serves nobody any more.
    ProxyLeaving {
        /// Which process.
        proxy: ProxyId,
    },
    /// A peer has adopted what was never published here, and was turned away to try again.
    Ahead {
        /// Who: a node by its address, or a proxy by where it comes from.
        who: String,
        /// What it has adopted.
        adopted: Adopted,
    },
    /// A peer was turned away. Left out where the loop is behind.
    Refused {
        /// Who.
        peer: SocketAddr,
        /// Why.
        why: String,
    },
}

/// Why a scaler hears nobody any more, and who does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// For people.
    pub why: String,
    /// Where the scaler is that leads (`host:port`), where that is known: whoever is turned away goes there next.
    pub leader: Option<String>,
}

/// A node's stream, to answer its registration by. The stream ends when this is dropped.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    peer: SocketAddr,
    orders: mpsc::UnboundedSender<Order>,
}

/// What the scaler's loop wants a stream to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Welcome(NodeId),
    DataPart(DataPart),
    Refuse(String),
    TurnAway(String),
}

impl Session {
    pub(crate) fn new(id: SessionId, peer: SocketAddr) -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, ordered) = mpsc::unbounded_channel();
        (Self { id, peer, orders }, ordered)
    }

    /// Which stream it is.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// From where it comes.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The process is this node: the newest topology that has it must have been published before.
    pub fn welcome(&self, node: NodeId) {
        // A stream that has ended says so by itself.
        let _ = self.orders.send(Order::Welcome(node));
    }

    /// The node may hold so many bytes of the cache's limit of data.
    pub fn data_part(&self, part: DataPart) {
        let _ = self.orders.send(Order::DataPart(part));
    }

    /// The process cannot be a node now: it is to try again. Ends the stream.
    pub fn turn_away(self, why: impl Into<String>) {
        let _ = self.orders.send(Order::TurnAway(why.into()));
    }

    /// The process cannot be a node of this cache, for good; ends the stream.
    pub fn refuse(self, why: impl Into<String>) {
        let _ = self.orders.send(Order::Refuse(why.into()));
    }
}
