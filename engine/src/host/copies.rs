//! Copies of slots on their way to other nodes.
//!
//! Chunks are read in turns in between the requests, about [`limits::COPY_CHUNK_BYTES`] in each, and
//! only while little waits for the node that gets them: a write waits behind what was queued before
//! it. Reading a chunk and queueing it is one step, so it stands in the order of the log though it was
//! asked for earlier. A slot that has begun goes before others, so that slots are whole one after the
//! other, and each can be handed over while the rest is copied.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use memtide_engine_core::SlotCursor;
use memtide_topology::{NodeId, SlotId};

use super::{Host, Moment, Outlets};
use crate::limits;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// How far each copy is.
    cursors: BTreeMap<(NodeId, SlotId), SlotCursor>,
    /// Chunks that were asked for, by who gets them; none is empty.
    asked: BTreeMap<NodeId, VecDeque<SlotId>>,
    /// Who got the last chunk: the others are next.
    last: Option<NodeId>,
}

impl Copies {
    /// A copy begins, maybe again: what was asked for the one before it must not be read for this.
    pub(super) fn begin(&mut self, slot: SlotId, to: NodeId) {
        self.cursors.insert((to, slot), SlotCursor::start(slot));
        self.retain(to, |asked| asked != slot);
    }

    /// A chunk is to be read.
    pub(super) fn ask(&mut self, slot: SlotId, to: NodeId) {
        let asked = self.asked.entry(to).or_default();
        match self.cursors.get(&(to, slot)) {
            Some(cursor) if *cursor != SlotCursor::start(slot) => asked.push_front(slot),
            _ => asked.push_back(slot),
        }
    }

    /// The link to a node has ended.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.asked.remove(&node);
        self.cursors.retain(|(to, _), _| *to != node);
    }

    fn retain(&mut self, to: NodeId, mut is_kept: impl FnMut(SlotId) -> bool) {
        if let Some(asked) = self.asked.get_mut(&to) {
            asked.retain(|slot| is_kept(*slot));
            if asked.is_empty() {
                self.asked.remove(&to);
            }
        }
    }

    /// The next chunk for a node that has little to take.
    fn next(&mut self, out: &impl Outlets) -> Option<(SlotId, NodeId)> {
        let is_free = |to| {
            let queued = out.queued_bytes(to).unwrap_or_default();
            queued < limits::COPY_QUEUED_BYTES_MAX
        };
        let is_next = |to: &NodeId| Some(*to) > self.last && is_free(*to);
        let first = || self.asked.keys().copied().find(|to| is_free(*to));
        let to = self.asked.keys().copied().find(is_next).or_else(first)?;
        self.last = Some(to);
        let asked = self.asked.get_mut(&to).expect("it was found just now");
        let slot = asked.pop_front()?;
        if asked.is_empty() {
            self.asked.remove(&to);
        }
        Some((slot, to))
    }
}

impl Host {
    /// Whether a chunk is to be read.
    #[must_use]
    pub fn is_copying(&self) -> bool {
        !self.copies.asked.is_empty()
    }

    /// Reads a chunk, or several small ones, if any are wanted and there is room; says whether it did.
    pub fn copy_on(&mut self, at: Moment, out: &mut impl Outlets) -> bool {
        let mut bytes = 0;
        for read in 0..limits::COPY_CHUNKS_PER_TURN_MAX {
            if bytes >= limits::COPY_CHUNK_BYTES {
                break;
            }
            let Some((slot, to)) = self.copies.next(out) else { return read > 0 };
            bytes += self.copy_chunk(at, (slot, to), out);
        }
        true
    }

    /// Reads the next chunk of a copy; returns its bytes.
    fn copy_chunk(
        &mut self,
        at: Moment,
        (slot, to): (SlotId, NodeId),
        out: &mut impl Outlets,
    ) -> usize {
        let Some(cursor) = self.copies.cursors.get_mut(&(to, slot)) else { return 0 };
        let mut chunk = Vec::with_capacity(limits::COPY_CHUNK_BYTES);
        let (next, _) =
            self.store.copy_slot(*cursor, limits::COPY_CHUNK_BYTES, at.wall, &mut chunk);
        match next {
            Some(next) => *cursor = next,
            None => drop(self.copies.cursors.remove(&(to, slot))),
        }
        let bytes = chunk.len();
        self.counters.copied_bytes.add(bytes as u64);
        let items = (Arc::from(chunk), next.is_none());
        self.replication.chunk_read(at.now, (slot, to), items);
        self.work(at, out);
        bytes
    }
}
