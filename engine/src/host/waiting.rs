//! Requests that wait, and how much they take.

use std::collections::BTreeMap;

use memtide_engine_core::replication::{Asked, Outcome, ProxyLink, Ticket};
use memtide_topology::{KeyHash, SLOTS, SlotId};

use crate::limits;

/// A request that waits.
#[derive(Debug)]
pub(super) enum Waiting {
    /// To be executed.
    Held { asked: Asked, hash: KeyHash, command: Box<[u8]> },
    /// Executed; what it is answered may be told once it is released.
    Done {
        link: ProxyLink,
        slot: SlotId,
        number: u64,
        reply: Outcome,
        /// Of the slot.
        version: u64,
    },
}

impl Waiting {
    pub(super) fn link(&self) -> ProxyLink {
        match self {
            Self::Held { asked, .. } => asked.link,
            Self::Done { link, .. } => *link,
        }
    }

    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Held { asked, .. } => asked.id.number,
            Self::Done { number, .. } => *number,
        }
    }

    fn slot(&self) -> SlotId {
        match self {
            Self::Held { asked, .. } => asked.slot,
            Self::Done { slot, .. } => *slot,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Held { command, .. } => command.len(),
            Self::Done { reply, .. } => reply.len(),
        }
    }
}

/// All that wait. A slot that is stuck has its own bound, so that the others are served.
#[derive(Debug)]
pub(super) struct WaitingRoom {
    waiting: BTreeMap<Ticket, Waiting>,
    /// Of commands and replies.
    bytes: usize,
    /// The same, by slot.
    slot_bytes: Box<[usize]>,
}

impl Default for WaitingRoom {
    fn default() -> Self {
        let slot_bytes = vec![0; usize::from(SLOTS)].into();
        Self { waiting: BTreeMap::new(), bytes: 0, slot_bytes }
    }
}

impl WaitingRoom {
    /// Whether there is no room for anybody.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= limits::WAITING_MAX || self.bytes >= limits::WAITING_BYTES_MAX
    }

    /// Whether there is no room for one more of a slot. How many they are is for the replication to bound.
    pub(super) fn is_full_of(&self, slot: SlotId) -> bool {
        let bytes_max = limits::WAITING_BYTES_PER_SLOT_MAX;
        self.bytes >= bytes_max && self.slot_bytes[usize::from(slot.number())] >= bytes_max
    }

    pub(super) fn put(&mut self, ticket: Ticket, waiting: Waiting) {
        self.bytes += waiting.bytes();
        self.slot_bytes[usize::from(waiting.slot().number())] += waiting.bytes();
        self.waiting.insert(ticket, waiting);
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Waiting> {
        let waiting = self.waiting.remove(&ticket)?;
        self.leaves(&waiting);
        Some(waiting)
    }

    /// Forgets what came over a link.
    pub(super) fn forget(&mut self, link: ProxyLink) {
        let gone = self.waiting.extract_if(.., |_, waiting| waiting.link() == link);
        let gone: Vec<Waiting> = gone.map(|(_, waiting)| waiting).collect();
        gone.iter().for_each(|waiting| self.leaves(waiting));
    }

    fn leaves(&mut self, waiting: &Waiting) {
        self.bytes -= waiting.bytes();
        self.slot_bytes[usize::from(waiting.slot().number())] -= waiting.bytes();
    }
}
