//! When nodes get to the chunks of copies: in between all else that happens to them.

use crate::event::{Event, Place};
use crate::heap::{MS, Nanos};
use crate::world::World;

impl World {
    /// A node with copies to read gets to one in its own time.
    pub fn read_soon(&mut self, place: Place) {
        let Some(process) = self.processes.get_mut(&place) else { return };
        if core::mem::replace(&mut process.is_reading, true) {
            return;
        }
        let longest_us = match self.rng.below(100) {
            0..70 => 1_000,
            70..98 => 20_000,
            _ if self.is_quiet => 20_000,
            _ => 500_000,
        };
        let delay = self.rng.below(longest_us) as Nanos * MS / 1_000;
        self.heap.after(delay, Event::ReadChunk(place));
    }

    /// A node has got to a chunk.
    pub fn read_chunk(&mut self, place: Place) {
        if let Some(process) = self.processes.get_mut(&place) {
            process.is_reading = false;
        }
        let any = self.rng.below(1 << 16);
        if let Place::Node(id) = place {
            self.with_node(id, |node, step| node.read_chunk(step, any));
        }
    }
}
