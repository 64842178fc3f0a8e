//! A slot's primary: the log, the copies' progress, and the replies that wait for it.

mod copying;
mod leases;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use memtide_topology::{Epoch, KeyHash, NodeId, SlotConfig, SlotId};

use super::copy::Takeover;
use super::effect::{Asked, Effect, Moved, ReplicationSettings};
use super::follower::{Follower, State};
use super::links::Env;
use super::log::{Log, messages_of};
use super::message::{CopyName, Entry, Position, Report, SlotMessage};
use leases::Lease;

/// See the module.
#[derive(Debug)]
pub(super) struct Primary {
    slot: SlotId,
    /// The slot's epoch of this primary.
    pub(super) epoch: Epoch,
    pub(super) stage: Stage,
    log: Log,
    followers: Vec<Follower>,
    waiting: VecDeque<Waiting>,
    /// Requests that came before it served.
    held: VecDeque<Asked>,
    /// The lease when it began to leave.
    last_lease: Option<Lease>,
    /// Since when the slot has been on its way here in a handover, until it is served.
    handed_over_since: Option<Duration>,
}

/// ```text
///  Opening --every copy in sync has this history--> Serving --another owner--> Leaving
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Opening,
    Serving,
    /// The slot has another owner; what is under way is finished for it.
    Leaving {
        to: NodeId,
        /// The slot's epoch of the new owner.
        epoch: Epoch,
        /// When it gives up.
        until: Duration,
    },
}

/// A reply that is not sent yet.
#[derive(Debug)]
struct Waiting {
    asked: Asked,
    /// Which must be committed.
    version: u64,
    /// When the item was read, which the lease must cover; `None` for a mutation: its commit shows
    /// that nobody had taken over.
    read_at: Option<Duration>,
}

impl Waiting {
    fn is_over(&self, committed: u64, lease: Lease) -> bool {
        let is_covered = match (self.read_at, lease) {
            (None, _) => true,
            (Some(_), Lease::None) => false,
            (Some(at), Lease::Until(until)) => at < until,
            (Some(_), Lease::NotNeeded) => true,
        };
        self.version <= committed && is_covered
    }
}

impl Primary {
    pub(super) fn new(slot: SlotId, config: &SlotConfig, base: Position) -> Self {
        Self {
            slot,
            epoch: config.epoch,
            stage: Stage::Opening,
            log: Log::new(base),
            followers: config.copies.iter().map(Follower::new).collect(),
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            last_lease: None,
            handed_over_since: None,
        }
    }

    /// The slot has another owner, to whom what is under way is left.
    ///
    /// The lease ends where it is: from now on this node has adopted the topology of the new owner
    /// itself, so an answer to a beacon does not say any more that nobody has taken over.
    pub(super) fn leave(&mut self, env: &Env<'_>, to: NodeId, epoch: Epoch) {
        self.last_lease = Some(self.lease_until(env.known()));
        let until = env.now + 2 * env.lease_wait();
        self.stage = Stage::Leaving { to, epoch, until };
    }

    pub(super) fn head(&self) -> Position {
        self.log.head()
    }

    /// Bytes of entries that a copy may still need.
    pub(super) const fn log_bytes(&self) -> usize {
        self.log.bytes()
    }

    pub(super) fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }

    /// Whether it serves, and has room for one more request that waits.
    pub(super) fn has_room(&self, settings: &ReplicationSettings) -> bool {
        self.is_serving()
            && self.waiting.len() < settings.waiting_per_slot_max
            && self.log.bytes() < settings.log_bytes_per_slot_max
    }

    /// Whether it is on its way out for this owner already.
    pub(super) fn is_leaving_to(&self, config: &SlotConfig) -> bool {
        let Stage::Leaving { to, epoch, .. } = self.stage else { return false };
        (Some(to), epoch) == (config.primary, config.epoch)
    }

    /// Opens the copies that are connected.
    pub(super) fn open(&mut self, env: &mut Env<'_>) {
        let (slot, epoch) = (self.slot, self.epoch);
        for follower in &mut self.followers {
            if follower.state == State::Closed && env.links.is_ready(follower.node) {
                follower.state = State::Opening;
                env.send_slot(follower.node, slot, SlotMessage::Open { epoch });
            }
        }
    }

    /// The copies have changed, the primary has not.
    pub(super) fn adopt(&mut self, env: &mut Env<'_>, config: &SlotConfig) {
        let mut before = core::mem::take(&mut self.followers);
        let keep = |copy| {
            let mut follower = Follower::new(copy);
            let same = |old: &Follower| old.node == copy.node && old.since == copy.since;
            if let Some(index) = before.iter().position(same) {
                let is_in_sync = follower.is_in_sync;
                follower = Follower { is_in_sync, ..before.swap_remove(index) };
            }
            follower
        };
        self.followers = config.copies.iter().map(keep).collect();
        self.open(env);
        self.settle(env);
    }

    pub(super) fn link_down(&mut self, env: &mut Env<'_>, peer: NodeId) {
        for follower in self.followers.iter_mut().filter(|follower| follower.node == peer) {
            follower.state = State::Closed;
        }
        self.settle(env);
    }

    /// Keeps a request until this primary serves; `false` where there is no room.
    pub(super) fn hold(&mut self, env: &Env<'_>, asked: Asked) -> bool {
        let is_room = self.held.len() < env.settings.held_per_slot_max;
        if is_room {
            self.held.push_back(asked);
        }
        is_room
    }

    /// What has waited for it to begin.
    pub(super) fn take_up(&mut self, takeover: Takeover) {
        self.handed_over_since = takeover.handed_over_since();
        self.held = takeover.held;
    }

    /// Whether anybody else holds the slot, or is to.
    pub(super) const fn has_copies(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Takes an entry that nobody else is to have; `false` where it is to be appended.
    pub(super) fn pass_over(&mut self, position: Position) -> bool {
        !self.has_copies() && self.log.pass_over(position)
    }

    /// Queues an entry for the copies.
    pub(super) fn append(&mut self, env: &mut Env<'_>, entry: &Arc<Entry>, key: Option<KeyHash>) {
        let after = self.log.head();
        self.log.append(Arc::clone(entry), key);
        let epoch = self.epoch;
        for follower in self.followers.iter().filter(|follower| follower.takes_entries()) {
            let entries = vec![Arc::clone(entry)];
            let message = SlotMessage::Entries { epoch, after, entries };
            env.send_slot(follower.node, self.slot, message);
        }
    }

    /// A mutation waits for the commit of its version; `true` where it has that already.
    pub(super) fn has_mutated(&mut self, env: &Env<'_>, asked: &Asked, version: u64) -> bool {
        self.wait(env, Waiting { asked: *asked, version, read_at: None })
    }

    /// A read waits for the commit of what it saw, and for the lease; `true` where it has both
    /// already.
    pub(super) fn has_read(&mut self, env: &Env<'_>, asked: &Asked, key: Option<KeyHash>) -> bool {
        let version = self.log.last_touch(key);
        self.wait(env, Waiting { asked: *asked, version, read_at: Some(env.now) })
    }

    /// A copy has said where it is.
    pub(super) fn opened(
        &mut self,
        env: &mut Env<'_>,
        from: (NodeId, Epoch),
        position: Option<Position>,
    ) {
        let (slot, epoch) = (self.slot, self.epoch);
        let is_it = |follower: &&mut Follower| (follower.node, follower.since) == from;
        let Some(follower) = self.followers.iter_mut().find(is_it) else { return };
        let rest = position.and_then(|position| Some((position, self.log.after(position)?)));
        if let Some((position, entries)) = rest {
            follower.state = State::Streaming;
            follower.acked = follower.acked.max(Some(position.version));
            let mut after = position;
            for entries in messages_of(entries) {
                let last = entries.last().map_or(after, |entry| entry.position);
                env.send_slot(from.0, slot, SlotMessage::Entries { epoch, after, entries });
                after = last;
            }
        } else if follower.is_required() {
            follower.state = State::Diverged;
        } else {
            let at = self.log.head();
            follower.state = State::Copying { asked: 0, sent: 0, is_ended: false };
            env.send_slot(from.0, slot, SlotMessage::CopyBegins { epoch, at });
            self.read_chunk(env, from.0);
        }
        self.settle(env);
    }

    /// A copy has everything up to this version.
    pub(super) fn acked(&mut self, env: &mut Env<'_>, from: NodeId, version: u64) {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.node == from)
        else {
            return;
        };
        let is_known = version <= self.log.head().version;
        match follower.state {
            State::Streaming if is_known => follower.acked = follower.acked.max(Some(version)),
            _ => return,
        }
        self.settle(env);
    }

    /// Commits what every required copy has, and releases the replies that waited for it.
    pub(super) fn settle(&mut self, env: &mut Env<'_>) {
        if self.stage == Stage::Opening && self.can_serve() {
            self.stage = Stage::Serving;
            if let Some(since) = self.handed_over_since.take() {
                let pause = env.now.saturating_sub(since);
                env.effects.push_back(Effect::Paused(self.slot, pause));
            }
            let held = core::mem::take(&mut self.held);
            env.effects.extend(held.iter().map(|asked| Effect::Resume(asked.ticket)));
        }
        self.join(env);
        let Some(committed) = self.committed(env) else { return };
        // A learner that is far behind must not take the room of what waits for the others.
        let is_crowded = self.log.bytes() > env.settings.log_bytes_per_slot_max / 2;
        let is_kept_until = if is_crowded { committed } else { self.kept_by_nobody(committed) };
        self.log.forget(is_kept_until);
        if self.waiting.is_empty() {
            return;
        }
        let lease = self.lease_until(env.known());
        self.waiting.retain(|waiting| {
            let is_over = waiting.is_over(committed, lease);
            if is_over {
                env.effects.push_back(Effect::Release(waiting.asked.ticket));
            }
            !is_over
        });
    }

    /// Whether all that was executed is committed.
    pub(super) fn has_finished(&self, env: &Env<'_>) -> bool {
        self.committed(env).is_some_and(|version| version >= self.log.head().version)
    }

    /// Refuses all that waits.
    pub(super) fn refuse_all(&mut self, env: &mut Env<'_>, moved: Moved) {
        for waiting in core::mem::take(&mut self.waiting) {
            env.refuse(&waiting.asked, Moved { may_be_done: true, ..moved });
        }
        for asked in core::mem::take(&mut self.held) {
            env.refuse(&asked, moved);
        }
    }

    /// Says again what the manager is to change.
    pub(super) fn report(&self, env: &mut Env<'_>) {
        if matches!(self.stage, Stage::Leaving { .. }) {
            return;
        }
        let missed_max = env.settings.missed_max();
        for follower in &self.followers {
            let name = self.name_of(follower);
            let missed = env.links.reach.need(follower.node);
            let report = match follower.state {
                _ if follower.is_required() && missed >= missed_max => {
                    Report::Unreachable(self.slot, name)
                }
                State::Diverged => Report::Diverged(self.slot, name),
                _ if follower.has_caught_up() => Report::CaughtUp(self.slot, name),
                _ => continue,
            };
            env.effects.push_back(Effect::Report(report));
        }
    }

    fn name_of(&self, follower: &Follower) -> CopyName {
        CopyName { epoch: self.epoch, node: follower.node, since: follower.since }
    }

    fn can_serve(&self) -> bool {
        let mut in_sync = self.followers.iter().filter(|follower| follower.is_in_sync);
        in_sync.all(|follower| follower.acked.is_some())
    }

    /// Whether it need not wait.
    fn wait(&mut self, env: &Env<'_>, waiting: Waiting) -> bool {
        let committed = self.committed(env);
        let is_over = committed
            .is_some_and(|version| waiting.is_over(version, self.lease_until(env.known())));
        if !is_over {
            self.waiting.push_back(waiting);
        }
        is_over
    }

    /// Requires learners that have everything from now on.
    fn join(&mut self, env: &mut Env<'_>) {
        if self.stage != Stage::Serving {
            return;
        }
        let head = self.log.head().version;
        for follower in &mut self.followers {
            // Should its link break, the log must go on where it is.
            let is_near = follower.acked >= Some(self.log.base().version);
            let is_streaming = follower.state == State::Streaming;
            let is_trusted = env.links.reach.is_trusted(follower.node);
            let is_new = !follower.is_required() && is_streaming && is_near && is_trusted;
            let until = follower.lease_until(env.links, env.settings.lease);
            if is_new && until > Some(env.now) {
                follower.joined = Some(head);
            }
        }
        self.report_news(env);
    }

    /// Tells the manager at once of those that have caught up just now: slots that move wait for it.
    fn report_news(&mut self, env: &mut Env<'_>) {
        for at in 0..self.followers.len() {
            let follower = &self.followers[at];
            if follower.has_caught_up() && !follower.is_reported {
                let report = Report::CaughtUp(self.slot, self.name_of(follower));
                env.effects.push_back(Effect::Report(report));
                self.followers[at].is_reported = true;
            }
        }
    }

    /// The version that every required copy has; `None` where one of them is not known to have
    /// this history.
    fn committed(&self, env: &Env<'_>) -> Option<u64> {
        let head = self.log.head().version;
        if env.settings.is_canary(super::Canary::AckEarly) {
            return Some(head);
        }
        let mut required = self.required(env.known());
        required.try_fold(head, |least, follower| Some(least.min(follower.acked?)))
    }

    /// The version up to which no copy may need the log: not what is committed, and not what a
    /// learner that may join at any moment has.
    fn kept_by_nobody(&self, committed: u64) -> u64 {
        let streaming = self.followers.iter().filter(|copy| copy.state == State::Streaming);
        streaming.filter_map(|copy| copy.acked).fold(committed, u64::min)
    }
}
