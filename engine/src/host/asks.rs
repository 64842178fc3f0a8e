//! What proxies ask.

use std::sync::Arc;

use memtide_engine_core::replication::{
    Asked, Change, Executed, OUTCOME_BYTES_MAX, Outcome, ProxyLink, Ticket, Verdict,
};
use memtide_engine_core::{Item, PREFETCH_MAX};
use memtide_protocol::encode::{self, Status};
use memtide_topology::{Answer, KeyHash, RequestId, SlotId};
use memtide_wire::{Ask, Reach, Reply};

use super::journals::Changes;
use super::outcome::{self, Shortened};
use super::waiting::Waiting;
use super::{Host, Moment, Outlets};
use crate::batch::Batch;
use crate::commands::{self, Kind, Runner};
use crate::{limits, stats};

/// A request at the slot's primary.
struct Pending<'a> {
    asked: Asked,
    hash: KeyHash,
    command: &'a [u8],
    /// It has not waited before.
    is_new: bool,
}

impl Host {
    /// Has what these requests will touch brought near, before they are handed in one by one.
    pub fn expect(&self, batch: &Batch<'_>) {
        if batch.len() < 2 {
            return;
        }
        let mut hashes = [KeyHash::from_bits(0); PREFETCH_MAX];
        for (hash, (ask, _)) in hashes.iter_mut().zip(batch.asks()) {
            *hash = ask.hash;
        }
        let hashes = &hashes[..batch.len()];
        self.replication.prefetch(hashes.iter().map(|hash| SlotId::of(*hash)));
        self.store.prefetch(hashes);
    }

    /// Takes a request that came over a proxy's link; `client` is the number that the link's proxy
    /// core has introduced itself with.
    pub fn asked(
        &mut self,
        at: Moment,
        (link, client): (ProxyLink, u64),
        ask: &Ask<'_>,
        out: &mut impl Outlets,
    ) {
        self.counters.requests.add(1);
        match ask.reach {
            Reach::Primary => self.ask_primary(at, (link, client), ask, out),
            Reach::Copy => self.ask_copy(at, link, ask, out),
            Reach::Node => self.ask_node(link, ask, out),
        }
        self.work(at, out);
    }

    /// Hands in a request that was held.
    pub(super) fn hand_in_again(&mut self, at: Moment, ticket: Ticket, out: &mut impl Outlets) {
        if let Some(Waiting::Held { asked, hash, command }) = self.waiting.take(ticket) {
            let pending = Pending { asked, hash, command: &command, is_new: false };
            self.hand_in(at, &pending, out);
        }
    }

    /// Tells the reply of a request that was executed.
    pub(super) fn release(&mut self, ticket: Ticket, out: &mut impl Outlets) {
        if let Some(Waiting::Done { link, number, reply, version, .. }) = self.waiting.take(ticket)
        {
            let answer = Answer::Done { outcome: &*reply, version };
            out.to_proxy(link, &Reply { number, answer });
        }
    }

    fn ask_primary(
        &mut self,
        at: Moment,
        (link, client): (ProxyLink, u64),
        ask: &Ask<'_>,
        out: &mut impl Outlets,
    ) {
        if self.waiting.is_full() || self.replication.log_bytes() >= limits::LOG_BYTES_MAX {
            let answer = Answer::Done { outcome: commands::OVERLOADED, version: 0 };
            return out.to_proxy(link, &Reply { number: ask.number, answer });
        }
        self.last_ticket += 1;
        let asked = Asked {
            ticket: self.last_ticket,
            link,
            id: RequestId { client, number: ask.number },
            slot: SlotId::of(ask.hash),
            epoch: ask.epoch,
            round: ask.round,
            seen: ask.seen,
            answered: ask.answered,
            is_retry: ask.is_retry,
        };
        let pending = Pending { asked, hash: ask.hash, command: ask.command, is_new: true };
        self.hand_in(at, &pending, out);
    }

    fn hand_in(&mut self, at: Moment, pending: &Pending<'_>, out: &mut impl Outlets) {
        let Asked { ticket, link, id, slot, .. } = pending.asked;
        let is_new = pending.is_new;
        // So that what the journal has afterwards is of this command, and slots are in the store
        // what they are in the replication: the command may evict from others.
        self.take_records_of(at, self.store.shard_of(slot));
        while let Some(effect) = self.replication.poll() {
            self.carry_out(at, effect, out);
        }
        // What has waited has its place, but what it is answered may have none.
        let is_full = self.waiting.is_full_of(slot) || !is_new && self.waiting.is_full();
        let verdict = match is_full {
            true => self.replication.turn_away(&pending.asked),
            false => self.replication.request(at.now, &pending.asked),
        };
        match verdict {
            Verdict::Execute => self.execute(at, pending, out),
            Verdict::Held => {
                let Pending { asked, hash, command, .. } = *pending;
                self.waiting.put(ticket, Waiting::Held { asked, hash, command: command.into() });
            }
            Verdict::Recorded(outcome) => {
                let (number, version) = (id.number, self.version(slot));
                match self.recalled(at, pending, outcome) {
                    Some(reply) => {
                        let done = Waiting::Done { link, slot, number, reply, version };
                        self.waiting.put(ticket, done);
                    }
                    None => out.to_proxy(link, &Reply { number, answer: Answer::Unknown }),
                }
            }
            Verdict::Moved(moved) => {
                let (epoch, primary) = (moved.epoch, moved.primary);
                let answer = Answer::Moved { epoch, primary, may_be_done: moved.may_be_done };
                out.to_proxy(link, &Reply { number: id.number, answer });
            }
            Verdict::Unknown => {
                out.to_proxy(link, &Reply { number: id.number, answer: Answer::Unknown });
            }
        }
    }

    fn execute(&mut self, at: Moment, pending: &Pending<'_>, out: &mut impl Outlets) {
        let Pending { asked, hash, command, .. } = *pending;
        let mut reply = core::mem::take(&mut self.reply);
        reply.clear();
        let ran = self.runner(at).run((asked.slot, hash), command, &mut reply);
        self.counters.worked(asked.slot, command.len() + reply.len());
        let (changes, others) = self.changes_of_command(asked.slot);
        self.may_have_records |= ran.kind == Kind::MayEvict;
        let is_read = changes.is_empty();
        let outcome = match is_read {
            true => self.outcomes.none(),
            false => self.remembered(at, pending, &reply),
        };
        let Asked { ticket, link, slot, id, .. } = asked;
        // The lease, which copies give, must cover a moment after the item was read.
        let now = if self.replication.has_copies(slot) { out.now() } else { at.now };
        let executed = Executed { key: ran.key, changes, outcome: Arc::clone(&outcome) };
        let is_told = self.replication.executed(now, &asked, executed);
        self.changed(at, others);
        let (number, version) = (id.number, self.version(slot));
        if is_told {
            let answer = Answer::Done { outcome: &*reply, version };
            out.to_proxy(link, &Reply { number, answer });
        } else {
            let reply = if *outcome == *reply { outcome } else { Arc::from(&*reply) };
            self.waiting.put(ticket, Waiting::Done { link, slot, number, reply, version });
        }
        reply.shrink_to(limits::REPLY_BYTES_KEPT);
        self.reply = reply;
    }

    /// What retries are to be told of a mutation that was answered so.
    fn remembered(&mut self, at: Moment, pending: &Pending<'_>, reply: &[u8]) -> Outcome {
        if reply.len() <= OUTCOME_BYTES_MAX {
            return self.outcomes.of(reply);
        }
        let shortened = |item: Option<Item<'_>>| outcome::without_value(reply, &item?);
        let shortened = self.runner(at).peek(pending.command, shortened);
        // The item may have expired by being looked at.
        self.may_have_records = true;
        shortened.unwrap_or_else(|| self.outcomes.of(reply))
    }

    /// The reply that was remembered so; `None` where its value is not known any more.
    fn recalled(&mut self, at: Moment, pending: &Pending<'_>, outcome: Outcome) -> Option<Outcome> {
        let Some(shortened) = Shortened::of(&outcome) else { return Some(outcome) };
        self.may_have_records = true;
        self.runner(at).peek(pending.command, |item| shortened.with_value(&item?))
    }

    /// What a command changed in its slot, and what it evicted from others of the same shard.
    fn changes_of_command(&self, slot: SlotId) -> (Vec<Change>, Changes) {
        let (mut changes, mut others) = (Vec::new(), Changes::new());
        self.store.take_journal(self.store.shard_of(slot), |of, version, bytes| {
            let change = self.change(of, version, bytes);
            match of == slot {
                true => changes.push(change),
                false => others.entry(of).or_default().push(change),
            }
        });
        (changes, others)
    }

    /// Reads where this node has a complete copy that is not old.
    fn ask_copy(&mut self, at: Moment, link: ProxyLink, ask: &Ask<'_>, out: &mut impl Outlets) {
        let slot = SlotId::of(ask.hash);
        let number = ask.number;
        if !self.replication.may_read(at.now, slot) {
            let config = self.topology.slot(slot);
            let (epoch, primary) = (config.epoch, config.primary);
            let answer = Answer::Moved { epoch, primary, may_be_done: false };
            return out.to_proxy(link, &Reply { number, answer });
        }
        let mut reply = core::mem::take(&mut self.reply);
        reply.clear();
        self.runner(at).read((slot, ask.hash), ask.command, &mut reply);
        self.counters.worked(slot, ask.command.len() + reply.len());
        // A primary may have removed what has expired.
        self.take_records_of(at, self.store.shard_of(slot));
        out.to_proxy(link, &Reply { number, answer: Answer::Done { outcome: &reply, version: 0 } });
        self.reply = reply;
    }

    fn ask_node(&mut self, link: ProxyLink, ask: &Ask<'_>, out: &mut impl Outlets) {
        let mut reply = Vec::new();
        match ask.command {
            b"stats\r\n" => {
                stats::write(&self.store.stats(), &self.counters, &self.baseline, &mut reply);
            }
            b"stats reset\r\n" => {
                self.baseline = stats::Baseline::of(&self.store.stats(), &self.counters);
                encode::status(&mut reply, Status::Reset);
            }
            _ => reply.extend_from_slice(commands::NOT_OF_A_NODE),
        }
        let answer = Answer::Done { outcome: &*reply, version: 0 };
        out.to_proxy(link, &Reply { number: ask.number, answer });
    }

    fn runner(&self, at: Moment) -> Runner<'_> {
        Runner {
            store: &self.store,
            seed: self.topology.seed(),
            limits: self.limits,
            counters: &self.counters.items,
            now: at.wall,
        }
    }

    fn version(&self, slot: SlotId) -> u64 {
        self.replication.position(slot).map_or(0, |position| position.version)
    }
}
