//! What other nodes say about a slot, and what the store has done of it.

use std::sync::Arc;

use memtide_topology::{Epoch, NodeId};

use super::super::copy::{Content, Copy};
use super::super::effect::{Effect, Part};
use super::super::links::Env;
use super::super::message::{Entry, Position, SlotMessage};
use super::super::primary::{Primary, Stage};
use super::super::records::Records;
use super::{Hold, Role, Slot};

impl Slot {
    pub(in super::super) fn receive(
        &mut self,
        env: &mut Env<'_>,
        from: NodeId,
        message: SlotMessage,
    ) -> Hold {
        match message {
            SlotMessage::Open { epoch } => return self.open(env, (from, epoch)),
            SlotMessage::Deposed { epoch } => return self.deposed(env, epoch),
            SlotMessage::Opened { epoch, since, position } => {
                if let Some(primary) = self.primary_of(epoch) {
                    primary.opened(env, (from, since), position);
                }
            }
            SlotMessage::Ack { epoch, version } => {
                if let Some(primary) = self.primary_of(epoch) {
                    primary.acked(env, from, version);
                }
            }
            SlotMessage::CopyTaken { epoch, version } => {
                if let Some(primary) = self.primary_of(epoch) {
                    primary.copy_taken(env, from, version);
                }
            }
            SlotMessage::Consent { epoch, position } => {
                let is_there = position == self.position;
                if let Role::Copy(copy) = &mut self.role
                    && copy.source.is_some_and(|(source, _)| source == from)
                {
                    copy.consented(epoch, is_there);
                }
            }
            SlotMessage::Entries { epoch, after, entries } => {
                if self.is_source((from, epoch)) {
                    self.take_entries(env, after, entries);
                }
            }
            SlotMessage::CopyBegins { epoch, at } => {
                if self.is_source((from, epoch)) {
                    self.begin_copy(env, at);
                }
            }
            SlotMessage::CopyItems { epoch, items } => {
                if self.is_source((from, epoch)) && self.is_receiving() {
                    env.effects.push_back(Effect::Copy(self.id, items));
                }
            }
            SlotMessage::CopyEnds { epoch, records, forgotten } => {
                if self.is_source((from, epoch)) && self.is_receiving() {
                    self.end_copy(env, Records::of(records, forgotten));
                }
            }
        }
        self.settle(env)
    }

    /// The store has the entries up to this version.
    pub(in super::super) fn applied(&mut self, env: &mut Env<'_>, version: u64) {
        self.applied = self.applied.max(version);
        let Role::Copy(copy) = &self.role else { return };
        if let Some((source, epoch)) = copy.source {
            env.send_slot(source, self.id, SlotMessage::Ack { epoch, version });
        }
        self.finish_copy(env);
    }

    /// The store has a chunk of the copy.
    pub(in super::super) fn copied(&self, env: &mut Env<'_>) {
        let Role::Copy(copy) = &self.role else { return };
        if let (Some((source, epoch)), Content::Receiving { .. }) = (copy.source, copy.content) {
            let version = self.applied;
            env.send_slot(source, self.id, SlotMessage::CopyTaken { epoch, version });
        }
    }

    pub(in super::super) fn chunk_read(
        &mut self,
        env: &mut Env<'_>,
        to: NodeId,
        (items, is_last): (Arc<[u8]>, bool),
    ) {
        let Role::Primary(primary) = &mut self.role else { return };
        let end = is_last.then(|| {
            let (records, forgotten) = self.records.snapshot();
            SlotMessage::CopyEnds { epoch: primary.epoch, records, forgotten }
        });
        primary.chunk_read(env, to, items, end);
    }

    /// A primary asks where this copy is.
    fn open(&mut self, env: &mut Env<'_>, (from, epoch): (NodeId, Epoch)) -> Hold {
        if let Role::Primary(primary) = &self.role {
            let is_later = self.config.primary == Some(from) && self.config.epoch == epoch;
            if !is_later || primary.epoch >= epoch {
                let epoch = primary.epoch;
                env.send_slot(from, self.id, SlotMessage::Deposed { epoch });
                return Hold::Held;
            }
            if self.step_down(env) == Hold::Gone {
                return Hold::Gone;
            }
        }
        let Role::Copy(copy) = &mut self.role else { return Hold::Held };
        if !copy.listens_to((from, epoch), &self.config) {
            let epoch = copy.opened;
            env.send_slot(from, self.id, SlotMessage::Deposed { epoch });
            return Hold::Held;
        }
        if copy.content != Content::Whole {
            copy.content = Content::Part;
        }
        (copy.source, copy.opened) = (Some((from, epoch)), epoch);
        copy.opened_at = env.now;
        let (since, position) = (copy.since, copy.position(self.position));
        let opened = SlotMessage::Opened { epoch, since, position };
        env.send_slot(from, self.id, opened);
        Hold::Held
    }

    /// A copy says that a later primary has begun.
    fn deposed(&mut self, env: &mut Env<'_>, epoch: Epoch) -> Hold {
        match &self.role {
            Role::Primary(primary)
                if primary.epoch < epoch && matches!(primary.stage, Stage::Leaving { .. }) =>
            {
                self.step_down(env)
            }
            _ => Hold::Held,
        }
    }

    fn take_entries(&mut self, env: &mut Env<'_>, after: Position, mut entries: Vec<Arc<Entry>>) {
        let Role::Copy(copy) = &self.role else { return };
        if copy.content == Content::Part {
            return;
        }
        if after != self.position {
            // Some of them came before.
            let known = entries.iter().position(|entry| entry.position == self.position);
            match known {
                Some(index) => drop(entries.drain(..=index)),
                None => return,
            }
        }
        for entry in &entries {
            if let Some(receipt) = &entry.request {
                self.remember(env, receipt, entry.position.version);
            }
        }
        if let Some(last) = entries.last() {
            self.position = last.position;
            env.effects.push_back(Effect::Apply(self.id, entries));
        }
    }

    fn begin_copy(&mut self, env: &mut Env<'_>, at: Position) {
        let Role::Copy(copy) = &self.role else { return };
        let Copy { since, source, opened, opened_at, .. } = *copy;
        let content = Content::Receiving { is_ended: false };
        self.role = Role::Copy(Copy { source, opened, opened_at, ..Copy::new(since, content) });
        env.effects.push_back(Effect::Drop(self.id));
        env.effects.push_back(Effect::Hold(self.id, Part::Copy));
        (self.position, self.applied) = (at, at.version);
        self.records = Records::default();
    }

    fn end_copy(&mut self, env: &mut Env<'_>, records: Records) {
        // Requests of entries since the begin are among them, as they came before the end.
        self.records = records;
        if let Role::Copy(copy) = &mut self.role {
            copy.content = Content::Receiving { is_ended: true };
        }
        self.finish_copy(env);
    }

    /// The copy is whole when its end has come and the store has all before it.
    fn finish_copy(&mut self, env: &mut Env<'_>) {
        if self.applied < self.position.version {
            return;
        }
        if let Role::Copy(copy) = &mut self.role
            && copy.content == (Content::Receiving { is_ended: true })
        {
            copy.content = Content::Whole;
            if let Some((source, epoch)) = copy.source {
                let version = self.applied;
                env.send_slot(source, self.id, SlotMessage::CopyTaken { epoch, version });
            }
        }
    }

    fn primary_of(&mut self, epoch: Epoch) -> Option<&mut Primary> {
        match &mut self.role {
            Role::Primary(primary) if primary.epoch == epoch => Some(primary),
            _ => None,
        }
    }

    fn is_source(&self, source: (NodeId, Epoch)) -> bool {
        matches!(&self.role, Role::Copy(copy) if copy.source == Some(source))
    }

    fn is_receiving(&self) -> bool {
        matches!(&self.role, Role::Copy(copy) if matches!(copy.content, Content::Receiving { .. }))
    }
}
