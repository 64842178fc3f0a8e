//! Chunks of a slot on their way to learners.

use std::sync::Arc;

use memtide_topology::NodeId;

use super::super::effect::{Canary, Effect};
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
        if let State::Copying { asked, sent, is_ended: false } = &mut follower.state
            && *asked + *sent < env.settings.copy_chunks_max
        {
            *asked += 1;
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
        let State::Copying { asked, sent, is_ended } = &mut follower.state else { return };
        if *is_ended {
            return;
        }
        *asked = asked.saturating_sub(1);
        if !items.is_empty() {
            *sent += 1;
            env.send_slot(to, slot, SlotMessage::CopyItems { epoch, items });
        }
        if let Some(end) = end {
            *sent += 1;
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
        let State::Copying { asked, sent, is_ended } = &mut follower.state else { return };
        *sent = sent.saturating_sub(1);
        let is_all_awaited = env.settings.is_canary(Canary::AwaitEveryChunk);
        let awaited = if is_all_awaited { *asked + *sent } else { *sent };
        if *is_ended && awaited == 0 {
            follower.state = State::Streaming;
            follower.acked = Some(applied.min(self.log.head().version));
            self.settle(env);
        } else {
            self.read_chunk(env, from);
        }
    }
}
