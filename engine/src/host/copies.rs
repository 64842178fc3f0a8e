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
    /// How far each copy is, and its number.
    cursors: BTreeMap<(NodeId, SlotId), (u64, SlotCursor)>,
    /// Chunks that were asked for, each of the copy of this number, by who gets them; none is empty.
    asked: BTreeMap<NodeId, VecDeque<(SlotId, u64)>>,
    /// Who got the last chunk: the others are next.
    last: Option<NodeId>,
    /// Copies that have begun.
    begun: u64,
}

impl Copies {
    /// A copy begins, maybe again: what was asked for the one before it is not read for this.
    pub(super) fn begin(&mut self, slot: SlotId, to: NodeId) {
        self.begun += 1;
        self.cursors.insert((to, slot), (self.begun, SlotCursor::start(slot)));
    }

    /// A chunk is to be read.
    pub(super) fn ask(&mut self, slot: SlotId, to: NodeId) {
        // Of a copy that was read to its end there is nothing more.
        let Some((number, cursor)) = self.cursors.get(&(to, slot)) else { return };
        let asked = self.asked.entry(to).or_default();
        match *cursor == SlotCursor::start(slot) {
            true => asked.push_back((slot, *number)),
            false => asked.push_front((slot, *number)),
        }
    }

    /// The link to a node has ended.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.asked.remove(&node);
        self.cursors.retain(|(to, _), _| *to != node);
    }

    /// The next chunk for a node that has little to take.
    fn next(&mut self, out: &impl Outlets) -> Option<(SlotId, NodeId, u64)> {
        let is_free = |to| {
            let queued = out.queued_bytes(to).unwrap_or_default();
            queued < limits::COPY_QUEUED_BYTES_MAX
        };
        let is_next = |to: &NodeId| Some(*to) > self.last && is_free(*to);
        let first = || self.asked.keys().copied().find(|to| is_free(*to));
        let to = self.asked.keys().copied().find(is_next).or_else(first)?;
        self.last = Some(to);
        let asked = self.asked.get_mut(&to).expect("it was found just now");
        let (slot, number) = asked.pop_front()?;
        if asked.is_empty() {
            self.asked.remove(&to);
        }
        Some((slot, to, number))
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
            let Some(chunk) = self.copies.next(out) else { return read > 0 };
            bytes += self.copy_chunk(at, chunk, out);
        }
        true
    }

    /// Reads the next chunk of a copy, if it is still the one of this number; returns its bytes.
    fn copy_chunk(
        &mut self,
        at: Moment,
        (slot, to, number): (SlotId, NodeId, u64),
        out: &mut impl Outlets,
    ) -> usize {
        let place = self.copies.cursors.get_mut(&(to, slot)).filter(|(begun, _)| *begun == number);
        let Some((_, cursor)) = place else { return 0 };
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
