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
    /// Its process is to end: it is drained, or will be once somebody can take its slots.
    pub is_leaving: bool,
    /// When it was heard last; `None` where it was not since the manager was started.
    pub heard: Option<Duration>,
    /// The newest topology that it is known to have adopted.
    pub adopted: Epoch,
}

impl NodeView {
    /// Whether it gives its slots away, or will.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.info.is_draining || self.is_leaving
    }
}

/// ```text
/// unheard --registers--> up --its stream ends--> reconnecting --gone_grace--> gone
///    |                   | ^ ^                        |                        |
///    | silence_max       | | +------- registers ------+-------- registers -----+
///    v                   v |
/// silent <--silence_max--+ +--heard again-- silent
///
/// any of them --its parent saw it exit, or an operator forgets it--> dead
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It was not heard since the manager was started, and has time left.
    Unheard,
    /// It is heard of.
    Up,
    /// Its control stream has ended a moment ago.
    Reconnecting,
    /// Its control stream has ended: it is down.
    Gone,
    /// Nothing was heard for too long: it is down.
    Silent,
    /// Its process has ended: it is down for good.
    Dead,
}

impl NodeState {
    /// Whether its slots fail over.
    #[must_use]
    pub const fn is_down(self) -> bool {
        matches!(self, Self::Gone | Self::Silent | Self::Dead)
    }

    /// Its name, for the admin API and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Up => "up",
            Self::Reconnecting => "reconnecting",
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
