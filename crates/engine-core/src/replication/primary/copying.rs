//! Chunks of a slot on their way to learners.

use std::sync::Arc;

use memtide_topology::NodeId;

use super::super::effect::Effect;
use super::super::follower::State;
use super::super::links::Env;
use super::super::message::SlotMessage;
use super::Primary;

impl Primary {
    /// Has the next chunk read for a learner that may have one more under way.
    pub(super) fn read_chunk(&mut self, env: &mut Env<'_>, to: NodeId) {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.node == to) else {
            return;
        };
        if let State::Copying { under_way, is_ended: false } = &mut follower.state
            && *under_way < env.settings.copy_chunks_max
        {
            *under_way += 1;
            env.effects.push_back(Effect::ReadChunk(self.slot, to));
        }
    }

    /// A chunk was read; `end` is the last message of the copy, after the last chunk.
    pub(in super::super) fn chunk_read(
        &mut self,
        env: &mut Env<'_>,
        to: NodeId,
        items: Arc<[u8]>,
        end: Option<SlotMessage>,
    ) {
        let (slot, epoch) = (self.slot, self.epoch);
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.node == to) else {
            return;
        };
        let State::Copying { under_way, is_ended } = &mut follower.state else { return };
        if items.is_empty() {
            *under_way = under_way.saturating_sub(1);
        } else {
            env.send_slot(to, slot, SlotMessage::CopyItems { epoch, items });
        }
        if let Some(end) = end {
            *under_way += 1;
            *is_ended = true;
            env.send_slot(to, slot, end);
        }
        self.read_chunk(env, to);
    }

    /// A learner has taken a chunk, or the end of the copy and all before it.
    pub(in super::super) fn copy_taken(&mut self, env: &mut Env<'_>, from: NodeId, applied: u64) {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.node == from)
        else {
            return;
        };
        let State::Copying { under_way, is_ended } = &mut follower.state else { return };
        *under_way = under_way.saturating_sub(1);
        if *is_ended && *under_way == 0 {
            follower.state = State::Streaming;
            follower.acked = Some(applied.min(self.log.head().version));
            self.settle(env);
        } else {
            self.read_chunk(env, from);
        }
    }
}
