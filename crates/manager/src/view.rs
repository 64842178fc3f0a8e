use core::time::Duration;

use memtide_topology::{Epoch, NodeId, NodeInfo, SlotId};

/// A node of the topology, as the manager sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Who.
    pub node: NodeId,
    /// What the topology says of it.
    pub info: NodeInfo,
    /// Whether it is up.
    pub state: NodeState,
    /// When it was heard last; `None` where it was not since the manager was started.
    pub heard: Option<Duration>,
    /// The newest topology that it is known to have adopted.
    pub adopted: Epoch,
}

/// ```text
/// unheard --registers--> up --stream ends--> gone --registers in time--> up
///    |                   |  ^                 | not in time
///    | silence_max       |  +--heard again--  v
///    +---------------> silent <------------ down
/// any of them --its parent saw it exit, or an operator forgets it--> dead
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It was not heard since the manager was started, and has time left.
    Unheard,
    /// It is heard of.
    Up,
    /// Its control stream has ended, lately or long ago.
    Gone,
    /// Nothing was heard for too long.
    Silent,
    /// Its process has ended.
    Dead,
}

impl NodeState {
    /// Its name, for the admin API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Up => "up",
            Self::Gone => "gone",
            Self::Silent => "silent",
            Self::Dead => "dead",
        }
    }
}

/// A slot on its way to a node that does not have all of it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Which.
    pub slot: SlotId,
    /// Who copies it: the primary.
    pub from: NodeId,
    /// Who is to have it.
    pub to: NodeId,
    /// When the copy was stored as a learner, or the manager was started.
    pub began: Duration,
}
