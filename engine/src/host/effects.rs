//! What the replication wants done.

use memtide_engine_core::replication::{Effect, Message, Moved, Part, SlotMessage, Ticket};
use memtide_topology::{Answer, SlotId};
use memtide_wire::{NodeWords, Reply};

use super::{Host, Moment, Outlets};

impl Host {
    pub(super) fn carry_out(&mut self, at: Moment, effect: Effect, out: &mut impl Outlets) {
        match effect {
            Effect::Send(peer, message) => {
                if let Message::Slot(slot, SlotMessage::CopyBegins { .. }) = &message {
                    self.copies.begin(*slot, peer);
                }
                out.to_node(peer, &NodeWords::Message(message));
            }
            Effect::Release(ticket) => self.release(ticket, out),
            Effect::Resume(ticket) => self.resumed.push_back(ticket),
            Effect::Refuse(ticket, moved) => self.refuse(ticket, moved, out),
            Effect::Apply(slot, entries) => {
                let last = self.apply(at, slot, &entries);
                self.replication.applied(at.now, slot, last);
            }
            Effect::Copy(slot, items) => {
                self.apply_items(at, slot, &items);
                self.replication.copied(at.now, slot);
            }
            Effect::Drop(slot) => {
                self.store.drop_slot(slot);
                self.store.set_journaled(slot, false);
                self.store.set_copy(slot, false);
            }
            Effect::Hold(slot, part) => self.hold(slot, part),
            Effect::ReadChunk(slot, to) => self.copies.ask(slot, to),
            Effect::Report(report) => out.report(report),
            Effect::Paused(_, pause) => self.counters.handover_pauses.record(pause),
        }
    }

    /// Answers that somebody else has the slot.
    pub(super) fn refuse(&mut self, ticket: Ticket, moved: Moved, out: &mut impl Outlets) {
        if let Some(waiting) = self.waiting.take(ticket) {
            let Moved { epoch, primary, may_be_done } = moved;
            let answer = Answer::Moved { epoch, primary, may_be_done };
            out.to_proxy(waiting.link(), &Reply { number: waiting.number(), answer });
        }
    }

    fn hold(&self, slot: SlotId, part: Part) {
        match part {
            Part::Primary { version } => {
                self.store.set_copy(slot, false);
                self.store.set_journaled(slot, true);
                self.store.set_slot_version(slot, version);
            }
            Part::Copy => {
                self.store.set_journaled(slot, false);
                self.store.set_copy(slot, true);
            }
        }
    }
}
