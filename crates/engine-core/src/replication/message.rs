use core::time::Duration;
use std::sync::Arc;

use memtide_topology::{Epoch, NodeId, RequestId, SlotId, Topology};

/// A place in the history of a slot. Two copies at the same position have the same content: an
/// entry is taken only on top of the position that its primary had before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The slot's epoch in which its last entry was made.
    pub epoch: Epoch,
    /// Its version after that entry.
    pub version: u64,
}

impl Position {
    /// Of a slot that never had an item.
    pub const EMPTY: Self = Self { epoch: Epoch::ZERO, version: 0 };
}

/// One mutation of a slot, on its way to the copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The slot's position after it.
    pub position: Position,
    /// The state that it left, as the store encodes it.
    pub change: Arc<[u8]>,
    /// The request that it completes; `None` for eviction, expiry and parts of a command.
    pub request: Option<Receipt>,
}

impl Entry {
    /// Bytes of its change and its outcome.
    pub(super) fn len(&self) -> usize {
        let outcome = self.request.as_ref().and_then(|receipt| receipt.outcome.as_ref());
        self.change.len() + outcome.map_or(0, |outcome| outcome.len())
    }
}

/// What the copies are to know of a request that was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which.
    pub id: RequestId,
    /// All requests of its client with lower numbers have come to their end.
    pub answered: u64,
    /// Its result; `None` where that is too long to be remembered.
    pub outcome: Option<Outcome>,
}

/// What a client was, or will be, told.
pub type Outcome = Arc<[u8]>;

/// A mutation that was executed, for its retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub id: RequestId,
    /// The slot's version after it.
    pub version: u64,
    /// Its result; `None` where that was too long to be remembered.
    pub outcome: Option<Outcome>,
}

/// What nodes say to each other, over a link that keeps the order and loses nothing until it
/// breaks. See `docs/design/0007-replication-failover-and-migration.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first message in each direction of a link.
    Hello {
        /// The topology that the sender has adopted.
        adopted: Epoch,
    },
    /// For a peer that is behind.
    Topology(Arc<Topology>),
    /// Asks for the lease.
    Beacon {
        /// When it was sent, by the sender's clock.
        sent: Duration,
        /// The topology that the sender has adopted.
        adopted: Epoch,
    },
    /// Grants it, for the slots of which the sender knows no newer owner.
    BeaconAck {
        /// Of the beacon.
        sent: Duration,
        /// The topology that the sender has adopted.
        adopted: Epoch,
        /// For how much longer the sender, as a primary, has a lease itself of every slot of which the
        /// asker is a copy; nothing where it lacks one: so long, from when the beacon was sent, the
        /// asker's copies may be read.
        reads: Duration,
    },
    /// Of one slot.
    Slot(SlotId, SlotMessage),
}

/// What nodes say to each other about one slot. `epoch` is the slot's epoch of the primary that
/// sends it or that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotMessage {
    /// Primary to copy: who I am; where are you?
    Open {
        /// See the type.
        epoch: Epoch,
    },
    /// Copy to primary.
    Opened {
        /// See the type.
        epoch: Epoch,
        /// Since when it is a copy.
        since: Epoch,
        /// Where it is; `None` where it has a part of a slot only.
        position: Option<Position>,
    },
    /// To a primary that opens a copy: there is a later primary, and it has begun.
    Deposed {
        /// The slot's epoch of the later one.
        epoch: Epoch,
    },
    /// Primary to copy.
    Entries {
        /// See the type.
        epoch: Epoch,
        /// The position before the first.
        after: Position,
        /// One at least, each on top of the one before.
        entries: Vec<Arc<Entry>>,
    },
    /// Copy to primary: I have everything up to this version.
    Ack {
        /// See the type.
        epoch: Epoch,
        /// The slot's version.
        version: u64,
    },
    /// Primary to learner: drop what you have; items and entries follow.
    CopyBegins {
        /// See the type.
        epoch: Epoch,
        /// The position of the slot now.
        at: Position,
    },
    /// Primary to learner.
    CopyItems {
        /// See the type.
        epoch: Epoch,
        /// Items as the store encodes them.
        items: Arc<[u8]>,
    },
    /// Learner to primary: I have this chunk, or the end and all before it.
    CopyTaken {
        /// See the type.
        epoch: Epoch,
        /// Of the slot, as far as it has the entries.
        version: u64,
    },
    /// Primary to learner: you have everything.
    CopyEnds {
        /// See the type.
        epoch: Epoch,
        /// What the primary remembers of requests.
        records: Vec<Record>,
        /// Requests up to this version may be forgotten.
        forgotten: u64,
    },
    /// Old primary to new: I have stopped, and you have everything.
    Consent {
        /// The slot's epoch of the new primary.
        epoch: Epoch,
        /// Where it stopped.
        position: Position,
    },
}

impl SlotMessage {
    /// Whether it goes on with what was opened, so that its receiver can make something of it whatever
    /// topology it has. Those are most messages by far: where each brought the topology along, all nodes
    /// would send all of it to all others at each change.
    pub(super) const fn is_of_stream(&self) -> bool {
        matches!(
            self,
            Self::Entries { .. }
                | Self::Ack { .. }
                | Self::CopyItems { .. }
                | Self::CopyTaken { .. }
                | Self::CopyEnds { .. }
        )
    }

    /// See the type. Whoever sends it has adopted a topology of that epoch, or a later one.
    pub(super) const fn epoch(&self) -> Epoch {
        match self {
            Self::Open { epoch }
            | Self::Opened { epoch, .. }
            | Self::Deposed { epoch }
            | Self::Entries { epoch, .. }
            | Self::Ack { epoch, .. }
            | Self::CopyBegins { epoch, .. }
            | Self::CopyItems { epoch, .. }
            | Self::CopyTaken { epoch, .. }
            | Self::CopyEnds { epoch, .. }
            | Self::Consent { epoch, .. } => *epoch,
        }
    }
}

/// What a primary wants the configuration manager to change. Said again until it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A learner has everything, and is in the acknowledgement path already: put it in sync.
    CaughtUp(SlotId, CopyName),
    /// A copy that is in sync has another history: make it a learner anew.
    Diverged(SlotId, CopyName),
    /// A copy in the acknowledgement path has not answered for
    /// [`unreachable_after`](super::ReplicationSettings::unreachable_after): have the slot go on without
    /// it, and make it a learner anew.
    Unreachable(SlotId, CopyName),
    /// The sender is to take over a slot of which it has a part only.
    Incomplete(SlotId, Epoch),
}

/// A copy, by all that must still be so when the report arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyName {
    /// The slot's epoch.
    pub epoch: Epoch,
    /// Who.
    pub node: NodeId,
    /// Since when.
    pub since: Epoch,
}
