//! A slot as one node holds it: its place in the history, and the node's part in it.

mod stream;

use core::time::Duration;
use std::sync::Arc;

use memtide_topology::{NodeId, SlotConfig, SlotId};

use super::Canary;
use super::copy::{Content, Copy};
use super::effect::{Asked, Change, Effect, Executed, Moved, Part, Verdict};
use super::links::{Env, Known};
use super::message::{Entry, Position, Receipt, Record, Report, SlotMessage};
use super::primary::{Primary, Stage};
use super::records::{Earlier, OUTCOME_BYTES_MAX, Records};

/// See the module.
#[derive(Debug)]
pub(super) struct Slot {
    id: SlotId,
    config: Arc<SlotConfig>,
    /// After the last entry that came.
    position: Position,
    /// The version up to which the store has the entries.
    applied: u64,
    records: Records,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Primary(Primary),
    Copy(Copy),
}

/// Whether a node goes on to hold a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Held,
    Gone,
}

impl Slot {
    /// A slot that the topology gives to this node, which has nothing of it.
    pub(super) fn new(env: &mut Env<'_>, id: SlotId, config: &Arc<SlotConfig>) -> Option<Self> {
        let since = match config.copy(env.me) {
            Some(copy) => copy.since,
            None if config.primary == Some(env.me) => config.epoch,
            None => return None,
        };
        let mut slot = Self {
            id,
            config: Arc::clone(config),
            position: Position::EMPTY,
            applied: 0,
            // What was executed before the slot was born, by nodes that are dead, is not remembered.
            records: Records::of(Vec::new(), config.born.version_base()),
            role: Role::Copy(Copy::new(since, Content::Whole)),
        };
        if config.primary == Some(env.me) {
            // Whoever held it before is dead, or was never able to serve without this node.
            slot.begin(env);
        } else {
            env.effects.push_back(Effect::Hold(id, Part::Copy));
        }
        Some(slot)
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(&self.role, Role::Primary(primary) if primary.is_serving())
    }

    pub(super) fn may_read(&self, known: Known<'_>) -> bool {
        match &self.role {
            Role::Primary(primary) => primary.may_read(known),
            Role::Copy(copy) => copy.may_read(known, &self.config),
        }
    }

    /// For how much longer this node lets a copy of it be read; `None` where that is not its to say.
    pub(super) fn reads_of(&self, known: Known<'_>, copy: NodeId) -> Option<Duration> {
        match &self.role {
            Role::Primary(primary) => primary.reads_of(known, copy),
            Role::Copy(_) => None,
        }
    }

    pub(super) const fn position(&self) -> Position {
        self.position
    }

    pub(super) fn is_whole(&self) -> bool {
        match &self.role {
            Role::Primary(_) => true,
            Role::Copy(copy) => copy.content == Content::Whole,
        }
    }

    /// The topology has changed who holds the slot.
    pub(super) fn adopt(&mut self, env: &mut Env<'_>, config: &Arc<SlotConfig>) -> Hold {
        let before = core::mem::replace(&mut self.config, Arc::clone(config));
        let is_mine = config.primary == Some(env.me);
        match &mut self.role {
            Role::Primary(primary) if is_mine && primary.epoch == config.epoch => {
                primary.adopt(env, config);
                Hold::Held
            }
            // Only the copies have changed since it began to leave.
            Role::Primary(primary) if primary.is_leaving_to(config) => self.settle(env),
            Role::Primary(_) => {
                let hold = self.depose(env);
                if env.settings.is_canary(Canary::ServeAfterHandover) {
                    self.config = before;
                }
                hold
            }
            Role::Copy(copy) if is_mine => {
                copy.take_over(env, config, before.primary);
                // The sooner it knows, the sooner it consents.
                before.primary.into_iter().for_each(|old| env.tell_topology(old));
                self.settle(env)
            }
            Role::Copy(_) => self.follow(env),
        }
    }

    /// What this node has of the slot was given up: it has begun anew, or will.
    pub(super) fn give_up(&mut self, env: &mut Env<'_>, config: &SlotConfig) -> Hold {
        let moved = Moved::of(config);
        match &mut self.role {
            Role::Primary(primary) => primary.refuse_all(env, moved),
            Role::Copy(copy) => copy.give_up_takeover(env, moved),
        }
        env.effects.push_back(Effect::Drop(self.id));
        Hold::Gone
    }

    /// A link is ready to be used.
    pub(super) fn link_ready(&mut self, env: &mut Env<'_>) {
        if let Role::Primary(primary) = &mut self.role {
            primary.open(env);
        }
    }

    pub(super) fn link_down(&mut self, env: &mut Env<'_>, peer: NodeId) -> Hold {
        match &mut self.role {
            Role::Primary(primary) => primary.link_down(env, peer),
            Role::Copy(copy) if copy.source.is_some_and(|(source, _)| source == peer) => {
                copy.source = None;
                if copy.content != Content::Whole {
                    copy.content = Content::Part;
                }
            }
            Role::Copy(_) => {}
        }
        self.settle(env)
    }

    /// What to do with a request.
    pub(super) fn request(&mut self, env: &mut Env<'_>, asked: &Asked) -> Verdict {
        // A proxy that knows a newer owner must not be served by an older one; what was sent to an
        // older one may have been executed by another since.
        let is_held = asked.epoch == self.config.epoch
            && match &mut self.role {
                Role::Copy(copy) => copy.hold(env, *asked),
                Role::Primary(primary) if primary.has_room(env.settings) => {
                    return self.known(env, asked);
                }
                Role::Primary(primary) => {
                    primary.stage == Stage::Opening && primary.hold(env, *asked)
                }
            };
        if is_held {
            return Verdict::Held;
        }
        env.fences.refused(asked);
        Verdict::Moved(self.moved())
    }

    /// A request was executed; says whether its reply may be told at once.
    pub(super) fn executed(
        &mut self,
        env: &mut Env<'_>,
        asked: &Asked,
        executed: Executed,
    ) -> bool {
        let Executed { key, mut changes, outcome } = executed;
        let Some(last) = changes.pop() else {
            let Role::Primary(primary) = &mut self.role else { return false };
            return primary.has_read(env, asked, key);
        };
        let version = last.version;
        self.append(env, changes);
        let outcome = (outcome.len() <= OUTCOME_BYTES_MAX).then_some(outcome);
        let receipt = Receipt { id: asked.id, answered: asked.answered, outcome };
        self.remember(env, &receipt, version);
        self.append_one(env, last, Some(receipt));
        let Role::Primary(primary) = &mut self.role else { return false };
        let is_committed = primary.has_mutated(env, asked, version);
        self.settle(env);
        is_committed
    }

    /// The store has changed by itself.
    pub(super) fn changed(&mut self, env: &mut Env<'_>, changes: Vec<Change>) -> Hold {
        self.append(env, changes);
        self.settle(env)
    }

    /// Whether anything is to happen here that only time brings about: a takeover, or the end of
    /// one that is left to another.
    pub(super) const fn is_waiting(&self) -> bool {
        match &self.role {
            Role::Primary(primary) => matches!(primary.stage, Stage::Leaving { .. }),
            Role::Copy(copy) => copy.takeover.is_some(),
        }
    }

    /// Whether time brings nothing about here before a topology changes who holds the slot.
    pub(super) fn is_at_rest(&self) -> bool {
        match &self.role {
            Role::Primary(primary) => primary.is_serving() && !primary.has_copies(),
            Role::Copy(copy) => copy.takeover.is_none(),
        }
    }

    /// Whether anybody is to have what changes here.
    pub(super) const fn has_copies(&self) -> bool {
        match &self.role {
            Role::Primary(primary) => primary.has_copies(),
            Role::Copy(_) => true,
        }
    }

    /// Bytes that are remembered of requests.
    pub(super) const fn records_bytes(&self) -> usize {
        self.records.bytes()
    }

    /// Bytes of entries that its copies may still need.
    pub(super) const fn log_bytes(&self) -> usize {
        match &self.role {
            Role::Primary(primary) => primary.log_bytes(),
            Role::Copy(_) => 0,
        }
    }

    pub(super) fn report(&self, env: &mut Env<'_>) {
        match &self.role {
            Role::Primary(primary) => primary.report(env),
            Role::Copy(copy) => {
                if let (Some(takeover), true) = (&copy.takeover, copy.content != Content::Whole) {
                    let report = Report::Incomplete(self.id, takeover.epoch);
                    env.effects.push_back(Effect::Report(report));
                }
            }
        }
    }

    /// Carries on with what came to an end by the last event, or with time.
    pub(super) fn settle(&mut self, env: &mut Env<'_>) -> Hold {
        match &mut self.role {
            Role::Copy(copy) if copy.may_serve(env.now) => {
                self.begin(env);
                Hold::Held
            }
            Role::Copy(_) => Hold::Held,
            Role::Primary(primary) => {
                primary.settle(env);
                let Stage::Leaving { to, epoch, until, .. } = primary.stage else {
                    return Hold::Held;
                };
                if primary.has_finished(env) {
                    let position = primary.head();
                    env.send_slot(to, self.id, SlotMessage::Consent { epoch, position });
                } else if env.now < until {
                    return Hold::Held;
                }
                self.step_down(env)
            }
        }
    }

    fn moved(&self) -> Moved {
        Moved::of(&self.config)
    }

    /// Serves a request, of which a retry may have been executed before.
    fn known(&mut self, env: &mut Env<'_>, asked: &Asked) -> Verdict {
        if !asked.is_retry {
            return Verdict::Execute;
        }
        if env.clients.is_answered(asked.id) {
            return Verdict::Unknown;
        }
        match self.records.find(asked.id, asked.seen) {
            Earlier::Not => Verdict::Execute,
            Earlier::Unknown => Verdict::Unknown,
            Earlier::Executed(version, outcome) => {
                if let Role::Primary(primary) = &mut self.role
                    && primary.has_mutated(env, asked, version)
                {
                    env.effects.push_back(Effect::Release(asked.ticket));
                }
                Verdict::Recorded(outcome)
            }
        }
    }

    fn remember(&mut self, env: &mut Env<'_>, receipt: &Receipt, version: u64) {
        let Receipt { id, answered, outcome } = receipt;
        env.clients.hear(*id, *answered);
        let record = Record { id: *id, version, outcome: outcome.clone() };
        self.records.add(record, env.clients, (env.settings, env.is_in_need));
    }

    fn append(&mut self, env: &mut Env<'_>, changes: Vec<Change>) {
        for change in changes {
            self.append_one(env, change, None);
        }
    }

    fn append_one(&mut self, env: &mut Env<'_>, change: Change, request: Option<Receipt>) {
        let Role::Primary(primary) = &mut self.role else { return };
        let position = Position { epoch: primary.epoch, version: change.version };
        if !primary.pass_over(position) {
            let entry = Arc::new(Entry { position, change: change.bytes, request });
            primary.append(env, &entry, change.key);
        }
        (self.position, self.applied) = (position, position.version);
    }

    /// Becomes the primary.
    fn begin(&mut self, env: &mut Env<'_>) {
        let mut primary = Primary::new(self.id, &self.config, self.position);
        if let Role::Copy(copy) = &mut self.role
            && let Some(takeover) = copy.takeover.take()
        {
            primary.take_up(takeover);
        }
        let version = self.position.version.max(self.config.epoch.version_base());
        env.effects.push_back(Effect::Hold(self.id, Part::Primary { version }));
        primary.open(env);
        primary.settle(env);
        self.role = Role::Primary(primary);
    }

    /// Another node, or this one anew, is to be the primary.
    fn depose(&mut self, env: &mut Env<'_>) -> Hold {
        let Role::Primary(primary) = &mut self.role else { return Hold::Held };
        match self.config.primary {
            Some(to) if to != env.me && primary.is_serving() => {
                let epoch = self.config.epoch;
                if env.settings.is_canary(Canary::ServeAfterHandover) {
                    let position = primary.head();
                    env.send_slot(to, self.id, SlotMessage::Consent { epoch, position });
                    return Hold::Held;
                }
                primary.leave(env, to, epoch);
                self.settle(env)
            }
            _ => self.step_down(env),
        }
    }

    /// Is no primary any more: a copy, or nothing.
    fn step_down(&mut self, env: &mut Env<'_>) -> Hold {
        let moved = self.moved();
        if let Role::Primary(primary) = &mut self.role {
            primary.refuse_all(env, moved);
        }
        let since = match self.config.copy(env.me) {
            Some(copy) => copy.since,
            None if self.config.primary == Some(env.me) => self.config.epoch,
            None => {
                env.effects.push_back(Effect::Drop(self.id));
                return Hold::Gone;
            }
        };
        let mut copy = Copy::new(since, Content::Whole);
        env.effects.push_back(Effect::Hold(self.id, Part::Copy));
        if self.config.primary == Some(env.me) {
            copy.take_over(env, &self.config, None);
        }
        self.role = Role::Copy(copy);
        Hold::Held
    }

    /// Stays a copy, becomes one anew, or none.
    fn follow(&mut self, env: &mut Env<'_>) -> Hold {
        let moved = self.moved();
        let Role::Copy(copy) = &mut self.role else { return Hold::Held };
        copy.give_up_takeover(env, moved);
        match self.config.copy(env.me) {
            Some(config) => {
                // What it has may still be of use: its position says so.
                copy.since = config.since;
                Hold::Held
            }
            None => {
                env.effects.push_back(Effect::Drop(self.id));
                Hold::Gone
            }
        }
    }
}
