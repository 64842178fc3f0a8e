use core::time::Duration;
use std::sync::Arc;

use memtide_topology::{Epoch, KeyHash, NodeId, RequestId, SlotConfig, SlotId};

use super::message::{Entry, Message, Outcome, Report};

/// The protocol's durations and bounds.
#[derive(Clone, Debug)]
pub struct ReplicationSettings {
    /// How long after a beacon was sent its answer lets a primary serve.
    pub lease: Duration,
    /// How much longer a new primary waits: for clocks that run at different rates.
    pub lease_margin: Duration,
    /// Between two beacons, and two reports of the same.
    pub beacon_interval: Duration,
    /// A copy that its slot needs and that has answered no beacon for this long is reported, so that
    /// the slot may go on without it.
    pub unreachable_after: Duration,
    /// How long such a copy must have answered before it is required again: first as long as it had
    /// to be silent, twice as long each time, and never longer than this. Who has answered for so long
    /// is trusted as before.
    pub wary_max: Duration,
    /// Requests of a slot that wait for its primary to begin.
    pub held_per_slot_max: usize,
    /// Requests of a slot that were executed and wait for a commit or a lease.
    pub waiting_per_slot_max: usize,
    /// Bytes of entries of a slot that copies have not acknowledged.
    pub log_bytes_per_slot_max: usize,
    /// Executed mutations of a slot that are remembered for their retries.
    pub records_per_slot_max: usize,
    /// Bytes of these in all slots: with more, a slot that is written to keeps its last few only.
    pub records_bytes_max: usize,
    /// Chunks of a slot that are under way to a learner at the same time.
    pub copy_chunks_max: u32,
    /// A bug on purpose, which the simulator must find.
    #[cfg(feature = "canary")]
    pub canary: Option<Canary>,
}

/// A rule of the protocol that can be broken, to see that the simulator finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// Commit before the copies have it.
    AckEarly,
    /// Take over while the old primary may have its lease.
    NoLeaseWait,
    /// Go on after the consent.
    ServeAfterHandover,
    /// Go on without a copy that does not answer before the manager has decided.
    GoOnAlone,
    /// Let copies be read while the primary has no lease itself.
    ReadBeyondLease,
    /// End a copy when also those chunks were taken that were asked for behind the last one.
    AwaitEveryChunk,
}

impl ReplicationSettings {
    /// [`Self::unreachable_after`] in intervals.
    pub(super) fn missed_max(&self) -> u32 {
        self.intervals(self.unreachable_after)
    }

    /// [`Self::wary_max`] in intervals.
    pub(super) fn wary_max(&self) -> u32 {
        self.intervals(self.wary_max).max(self.missed_max())
    }

    fn intervals(&self, time: Duration) -> u32 {
        let count = time.as_nanos().div_ceil(self.beacon_interval.as_nanos().max(1));
        u32::try_from(count).unwrap_or(u32::MAX).max(1)
    }

    #[cfg_attr(not(feature = "canary"), expect(clippy::unused_self, reason = "no field to read"))]
    pub(super) fn is_canary(&self, canary: Canary) -> bool {
        #[cfg(feature = "canary")]
        return self.canary == Some(canary);
        #[cfg(not(feature = "canary"))]
        {
            let _ = canary;
            false
        }
    }
}

impl Default for ReplicationSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(1),
            lease_margin: Duration::from_millis(100),
            beacon_interval: Duration::from_millis(200),
            unreachable_after: Duration::from_secs(1),
            wary_max: Duration::from_secs(60),
            held_per_slot_max: 1024,
            waiting_per_slot_max: 4096,
            log_bytes_per_slot_max: 16 * 1024 * 1024,
            records_per_slot_max: 4096,
            records_bytes_max: 128 * 1024 * 1024,
            copy_chunks_max: 4,
            #[cfg(feature = "canary")]
            canary: None,
        }
    }
}

/// The caller's name for a request that waits.
pub type Ticket = u64;

/// A proxy core's link to the node; new with every connection.
pub type ProxyLink = u64;

/// What a proxy asks, as far as it matters here: the fields of
/// [`Request`](memtide_topology::Request), and where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Answers name it.
    pub ticket: Ticket,
    /// Where it came from.
    pub link: ProxyLink,
    /// Of the request.
    pub id: RequestId,
    /// Of the request.
    pub slot: SlotId,
    /// Of the request.
    pub epoch: Epoch,
    /// Of the request.
    pub round: u32,
    /// Of the request.
    pub seen: u64,
    /// Of the request.
    pub answered: u64,
    /// Of the request.
    pub is_retry: bool,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Execute it on the store now, then call `executed`, before anything else.
    Execute,
    /// It was executed before, with this outcome: answer so when [`Effect::Release`] comes.
    Recorded(Outcome),
    /// Keep it until [`Effect::Resume`] or [`Effect::Refuse`] comes.
    Held,
    /// Answer [`Answer::Moved`](memtide_topology::Answer::Moved).
    Moved(Moved),
    /// Answer [`Answer::Unknown`](memtide_topology::Answer::Unknown).
    Unknown,
}

/// Who is the primary of a slot, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Since which epoch.
    pub epoch: Epoch,
    /// Who.
    pub primary: Option<NodeId>,
    /// The request was executed here, and is not committed: the next primary may have it.
    pub may_be_done: bool,
}

impl Moved {
    /// For a request that was not executed.
    pub(super) fn of(config: &SlotConfig) -> Self {
        Self { epoch: config.epoch, primary: config.primary, may_be_done: false }
    }
}

/// A mutation of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The slot's version after it: one more than before.
    pub version: u64,
    /// The key that it touched; `None` for all of the slot.
    pub key: Option<KeyHash>,
    /// As the store encodes it.
    pub bytes: Arc<[u8]>,
}

/// How an executed request ended.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Its key; `None` where its reply depends on the whole slot.
    pub key: Option<KeyHash>,
    /// What it changed, in order; nothing for a read and for a condition that was not met.
    pub changes: Vec<Change>,
    /// What a retry is to be told, where it changed something.
    pub outcome: Outcome,
}

/// What the caller is to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Queue it on the link; nothing where there is none.
    Send(NodeId, Message),
    /// Send the reply.
    Release(Ticket),
    /// Hand the held request in again.
    Resume(Ticket),
    /// Answer [`Answer::Moved`](memtide_topology::Answer::Moved).
    Refuse(Ticket, Moved),
    /// Change the store, then call `applied`.
    Apply(SlotId, Vec<Arc<Entry>>),
    /// Put the copied items into the store, then call `copied`.
    Copy(SlotId, Arc<[u8]>),
    /// Forget the slot's items and its version.
    Drop(SlotId),
    /// The store's part in the slot.
    Hold(SlotId, Part),
    /// Read a chunk of the slot for this learner when it has room, then call `chunk_read`, before
    /// anything else. Behind the last chunk there is none.
    ReadChunk(SlotId, NodeId),
    /// Tell the configuration manager.
    Report(Report),
    /// Count how long a slot that was handed over to this node had nobody who served it: from when this
    /// node heard that it takes over until it serves, by its own clock.
    Paused(SlotId, Duration),
}

/// What a store does with a slot by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Evicts and expires; the next mutation has the version after this one.
    Primary {
        /// Not below the version that it has.
        version: u64,
    },
    /// Nothing: all comes from the primary.
    Copy,
}
