//! Eviction for the sake of another node, which holds copies of some slots and is short of memory.

use super::evict::{Fate, Pressure, fate};
use super::{Env, Shard};
use crate::segment::Queue;
use crate::time::Now;

impl Shard {
    /// The queues to go through with [`Shard::evict_wanted`], in order, each with its segments.
    pub(crate) fn wanted_steps(&mut self, env: &Env, now: Now) -> [(Queue, usize); 2] {
        for _ in 0..self.segments.len_of(Queue::Copies) {
            self.sort_step(env, now);
        }
        self.victim_queues().map(|queue| (queue, self.segments.len_of(queue)))
    }

    /// Has S3-FIFO decide over the items of some slots in the oldest segment of a queue; those of
    /// other slots go to the queue's tail as they are. Returns the bytes of the items that went.
    pub(crate) fn evict_wanted(
        &mut self,
        env: &Env,
        now: Now,
        queue: Queue,
        mut is_wanted: impl FnMut(usize) -> bool,
    ) -> u64 {
        let Some(id) = self.segments.oldest(queue) else { return 0 };
        let before = self.counts.bytes;
        self.empty(env, id, now, |slot, header| match is_wanted(slot) {
            true => fate(queue, header, Pressure::Normal),
            false => Fate::Stays(queue),
        });
        before - self.counts.bytes
    }
}
