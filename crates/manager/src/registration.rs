use memtide_topology::{NodeId, Refusal, Zone};

/// The caller's name for a control stream; new with every connection.
pub type Session = u64;

/// What a node says of itself when its control stream begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Who it is, where it was welcomed before; `None` for a new process.
    pub node: Option<NodeId>,
    /// Its failure domain.
    pub zone: Zone,
    /// `host:port` of its node protocol.
    pub address: String,
    /// Bytes of items and index that it may hold.
    pub memory_max: u64,
}

/// Why a node is turned away for good: its process is to end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// It has left the topology: it was drained, forgotten, or silent for long.
    #[error("{0} is no node of this cache any more; start it anew to join as another")]
    Left(NodeId),
    /// Its slots are being given to others, because it is known to be dead.
    #[error("{0} was reported dead and its slots are given up; start it anew to join as another")]
    Dead(NodeId),
    /// A process goes on at its address and in its zone, or it is another one.
    #[error("{0} was welcomed at another address or zone; start it anew to join as another")]
    Other(NodeId),
    /// The topology cannot have it.
    #[error("{0}")]
    Refused(#[from] Refusal),
}
