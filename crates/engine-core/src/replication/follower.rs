use core::time::Duration;

use memtide_topology::{CopyConfig, Epoch, NodeId};

use super::links::Links;

/// A copy, as its primary sees it.
///
/// ```text
///  Closed --link up--> Opening --same history--> Streaming --lease--> joining, then in sync
///    ^                    |                          ^
///    |                    +--learner, other--> Copying(chunks)
///    +--link down--       +--in sync, other--> Diverged
/// ```
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) node: NodeId,
    pub(super) since: Epoch,
    pub(super) is_in_sync: bool,
    /// The version of the slot when it joined the acknowledgement path.
    pub(super) joined: Option<u64>,
    pub(super) state: State,
    /// The manager was told that it has caught up; ticks say it again.
    pub(super) is_reported: bool,
    /// What it has for sure; `None` until its history was seen to be this primary's.
    pub(super) acked: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No link.
    Closed,
    /// Asked where it is.
    Opening,
    /// Items and entries go to it.
    Copying {
        /// Chunks that are to be read. Some may be to be read still when the last one was: these come
        /// to nothing.
        asked: u32,
        /// Chunks, and the last message of the copy, that were sent and not taken yet.
        sent: u32,
        /// The last message of the copy was sent.
        is_ended: bool,
    },
    /// Entries go to it.
    Streaming,
    /// In sync by the topology, and with another history.
    Diverged,
}

impl Follower {
    pub(super) fn new(config: &CopyConfig) -> Self {
        Self {
            node: config.node,
            since: config.since,
            is_in_sync: config.is_in_sync,
            joined: None,
            is_reported: false,
            state: State::Closed,
            acked: None,
        }
    }

    /// Whether a commit and a lease need it.
    pub(super) fn is_required(&self) -> bool {
        self.is_in_sync || self.joined.is_some()
    }

    /// Whether the manager may put it in sync.
    pub(super) fn has_caught_up(&self) -> bool {
        let is_joining = !self.is_in_sync && self.joined.is_some();
        is_joining && self.state != State::Diverged && self.acked >= self.joined
    }

    /// Whether entries go to it as they are made.
    pub(super) fn takes_entries(&self) -> bool {
        matches!(self.state, State::Copying { .. } | State::Streaming)
    }

    /// Until when it promises not to take over.
    pub(super) fn lease_until(&self, links: &Links, lease: Duration) -> Option<Duration> {
        Some(links.lease_from(self.node)? + lease)
    }
}
