//! The replies of one connection, in the order of its commands.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Duration;

use memtide_execute::Executed;
use memtide_protocol::ErrorLine;
use memtide_protocol::encode;
use memtide_routing::Refused;
use memtide_topology::EcpuUnits;

pub use super::part::{Asked, Bill, Said, Surroundings};
use super::part::{Current, Part, Reply, line_of};
use super::stash::Stash;
use super::tally::{Tally, count_error};
use crate::counters::CoreCounters;
use crate::limits::{
    ASKED_BYTES_HIGH, ASKED_MAX, ASKED_REPLY_BYTES_MAX, OUTPUT_BYTES_HIGH, PARTS_MAX,
    REPLY_BYTES_EXPECTED,
};

const END: &[u8] = b"END\r\n";

/// One connection's queue.
///
/// ```text
///   parts:  front: awaited | here | awaited | here ...   <- push
///             |  answered: it and what is here behind it
///             v
///            out -> the client
/// ```
#[derive(Debug, Default)]
pub struct Lane {
    parts: VecDeque<Part>,
    /// The number of the front part.
    front: u32,
    /// Replies whose turn has come.
    out: Vec<u8>,
    stash: Stash,
    waker: Option<Waker>,
    is_woken: bool,
    /// Parts that are awaited.
    asked: usize,
    /// Of these, mutations.
    changing: usize,
    /// Bytes of their commands.
    asked_bytes: usize,
    /// Bytes of a reply: the most lately.
    expected: usize,
    /// A part bars what comes behind it until it is answered.
    is_barred: bool,
    /// Of the command at the front, as far as it is answered.
    current: Current,
    /// Units of replies that were told since this was asked for.
    billed: u64,
    /// What a refused command is metered for so far, whose data block is not over.
    open: Option<u64>,
    /// Answered commands whose latency is not recorded, and when they were read.
    answered: (Duration, Executed),
    /// Its connection waits in line for less to be under way.
    pub is_in_line: bool,
}

impl Lane {
    /// An empty one whose first part has this number.
    pub fn new(front: u32) -> Self {
        Self { front, expected: REPLY_BYTES_EXPECTED, ..Self::default() }
    }

    /// The number of the next part.
    pub fn next_number(&self) -> u32 {
        let len = u32::try_from(self.parts.len()).expect("the queue is bounded");
        self.front.wrapping_add(len)
    }

    /// Whether everything is answered; replies may wait to be taken.
    pub fn is_answered(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether another command may be taken in.
    pub fn has_room(&self) -> bool {
        let is_small = self.asked.saturating_mul(self.expected) < ASKED_REPLY_BYTES_MAX
            && self.asked < ASKED_MAX
            && self.asked_bytes < ASKED_BYTES_HIGH;
        (is_small || self.asked == 0)
            && !self.is_barred
            && self.parts.len() < PARTS_MAX
            && self.out.len() + self.stash.wanted_bytes() < OUTPUT_BYTES_HIGH
    }

    /// What the connection is to pay for what was answered since it paid last.
    pub fn take_billed(&mut self) -> u64 {
        std::mem::take(&mut self.billed)
    }

    /// Whether a mutation is awaited, which other copies than the primary may not have yet.
    pub fn is_changing(&self) -> bool {
        self.changing > 0
    }

    /// Bytes that it holds.
    pub fn held_bytes(&self) -> usize {
        self.asked_bytes + self.out.len() + self.stash.held_bytes()
    }

    /// Whether it holds replies, in turn or before it.
    pub fn holds_replies(&self) -> bool {
        !self.out.is_empty() || self.stash.held_bytes() > 0
    }

    /// Bytes of replies that wait to be taken.
    pub fn out_bytes(&self) -> usize {
        self.out.len()
    }

    /// Keeps who is to be woken when something was answered.
    pub fn set_waker(&mut self, waker: &Waker) {
        self.is_woken = false;
        match &mut self.waker {
            Some(present) => present.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Wakes the connection, once until it has looked.
    pub fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }

    /// Takes a place for an answer.
    pub fn ask(&mut self, asked: Asked) {
        let Asked { said, bytes, started, bill, is_mutation, bars } = asked;
        self.asked += 1;
        self.changing += usize::from(is_mutation);
        self.asked_bytes += bytes;
        self.is_barred |= bars;
        let reply = Reply::Awaited;
        self.parts.push_back(Part {
            reply,
            said,
            asked_bytes: bytes,
            started,
            bill,
            is_mutation,
            bars,
        });
    }

    /// Takes a place for a reply that is known already: what `write` appends.
    pub fn say(
        &mut self,
        bill: Bill,
        write: impl FnOnce(&mut Vec<u8>),
        surroundings: &mut Surroundings<'_>,
    ) {
        let Surroundings { counters, buffers, now } = surroundings;
        let said = Said { tally: Tally::Nothing, is_silent: false, instead: None };
        if self.parts.is_empty() {
            let before = self.out.len();
            buffers.lend(&mut self.out);
            write(&mut self.out);
            count_error(&self.out[before..], &counters.items);
            self.current.reply_bytes = (self.out.len() - before) as u64;
            return self.settle(bill, counters);
        }
        let range = self.stash.put(buffers, write);
        let (reply, started) = (Reply::Here(range), *now);
        let bill = Some(bill);
        self.parts.push_back(Part {
            reply,
            said,
            asked_bytes: 0,
            started,
            bill,
            is_mutation: false,
            bars: false,
        });
    }

    /// Takes a place for the reply to a command that the cache's limit does not let through.
    pub fn refuse(&mut self, surroundings: &mut Surroundings<'_>) {
        let bill = Bill { items: 0, bytes: 0, is_open: false };
        self.say(bill, |out| encode::error(out, ErrorLine::Throttled), surroundings);
    }

    /// The data block of a refused command is over, or is not to come: these bytes of it came.
    pub fn close_bill(&mut self, bytes: u64, counters: &CoreCounters) {
        if let Some(open) = self.open.take() {
            return self.meter(EcpuUnits::of_command(1, open + bytes), counters);
        }
        if let Some(Part { bill: Some(bill), .. }) = self.parts.back_mut() {
            bill.bytes += bytes;
            bill.is_open = false;
        }
    }

    /// Takes the answer to a part. One to a part that is not there is dropped.
    pub fn answer(
        &mut self,
        number: u32,
        reply: Result<&[u8], Refused>,
        surroundings: &mut Surroundings<'_>,
    ) {
        let at = number.wrapping_sub(self.front) as usize;
        let Some(part) = self.parts.get_mut(at) else { return };
        if !matches!(part.reply, Reply::Awaited) {
            return;
        }
        self.asked -= 1;
        self.changing -= usize::from(part.is_mutation);
        self.asked_bytes -= part.asked_bytes;
        let bytes = reply.map_or(0, <[u8]>::len);
        self.expected = bytes.max(self.expected - self.expected / 8);
        if at > 0 {
            part.reply = match reply {
                Ok(bytes) => {
                    let put = |stash: &mut Vec<u8>| stash.extend_from_slice(bytes);
                    Reply::Here(self.stash.put(surroundings.buffers, put))
                }
                Err(refused) => Reply::Refused(refused),
            };
            return;
        }
        let part = self.parts.pop_front().expect("it is the front");
        self.front = self.front.wrapping_add(1);
        surroundings.buffers.lend(&mut self.out);
        self.finish(&part, reply, surroundings);
        self.finish_waiting(surroundings);
        self.wake();
    }

    /// Hands the replies to `send`, and records the latency of the answered.
    pub fn take_out<T>(
        &mut self,
        surroundings: &mut Surroundings<'_>,
        send: impl FnOnce(&[u8]) -> T,
    ) -> T {
        let sent = send(&self.out);
        self.out.clear();
        surroundings.buffers.give_back(&mut self.out);
        if self.parts.is_empty() {
            self.parts.shrink_to(8);
        }
        sent
    }

    /// Whether [`Lane::record`] has something to record.
    pub fn has_unrecorded(&self) -> bool {
        self.answered.1 != Executed::default()
    }

    /// Records the latency of what was answered, which is sent now.
    pub fn record(&mut self, now: Duration, counters: &CoreCounters) {
        let (started, Executed { reads, writes }) = std::mem::take(&mut self.answered);
        let took = now.saturating_sub(started);
        counters.read_latency.record(took, reads);
        counters.write_latency.record(took, writes);
    }

    /// The connection is over: meters what it asked and will not hear. `paused` are the keys and the
    /// bytes of a retrieval that was not asked to its end. Returns the units that were not billed.
    pub fn abandon(mut self, paused: Option<(u64, u64)>, counters: &CoreCounters) -> u64 {
        let mut reply_bytes = self.current.reply_bytes;
        let parts = std::mem::take(&mut self.parts);
        let bills = parts.iter().filter_map(|part| part.bill).filter(|bill| bill.items > 0);
        let bills = bills.map(|bill| (bill.items, bill.bytes));
        for (items, bytes) in bills.chain(paused) {
            let bytes = bytes + std::mem::take(&mut reply_bytes);
            self.meter(EcpuUnits::of_command(items, bytes), counters);
        }
        self.billed
    }

    /// Goes on with those behind the front that were here before their turn.
    fn finish_waiting(&mut self, surroundings: &mut Surroundings<'_>) {
        while let Some(part) = self.parts.pop_front_if(|part| !matches!(part.reply, Reply::Awaited))
        {
            self.front = self.front.wrapping_add(1);
            // Not in the lane while its bytes go from one of its buffers to another.
            let stash = std::mem::take(&mut self.stash);
            let reply = match &part.reply {
                Reply::Here(place) => Ok(stash.at(place)),
                Reply::Refused(refused) => Err(*refused),
                Reply::Awaited => unreachable!("it was looked at above"),
            };
            self.finish(&part, reply, surroundings);
            self.stash = stash;
            if let Reply::Here(range) = part.reply {
                self.stash.drop(range.len(), surroundings.buffers);
            }
        }
        if self.stash.is_wasteful() {
            let places = self.parts.iter_mut().filter_map(|part| match &mut part.reply {
                Reply::Here(place) => Some(place),
                _ => None,
            });
            self.stash.compact(places);
        }
    }

    /// Writes the reply of the part that was at the front.
    fn finish(
        &mut self,
        part: &Part,
        reply: Result<&[u8], Refused>,
        surroundings: &Surroundings<'_>,
    ) {
        let counters = surroundings.counters;
        let said = part.said;
        self.is_barred &= !part.bars;
        let before = self.out.len();
        if !self.current.is_failed {
            match reply {
                Ok(bytes) => self.tell(part, bytes, counters),
                Err(refused) => {
                    counters.items.server_errors.add(1);
                    self.current.is_failed = true;
                    if !said.is_silent {
                        encode::error(&mut self.out, line_of(refused));
                    }
                }
            }
        }
        if self.answered.0 != part.started {
            self.record(surroundings.now, counters);
            self.answered.0 = part.started;
        }
        if let (Ok(bytes), None) = (reply, said.instead) {
            let executed = &mut self.answered.1;
            said.tally.count(bytes, part.bill.is_some(), &counters.items, executed);
        }
        self.current.reply_bytes += (self.out.len() - before) as u64;
        if part.bill.is_none_or(|bill| bill.items > 0) {
            self.billed += self.current.reply_bytes - self.current.billed;
            self.current.billed = self.current.reply_bytes;
        }
        if let Some(bill) = part.bill {
            self.settle(bill, counters);
        }
    }

    fn tell(&mut self, part: &Part, reply: &[u8], counters: &CoreCounters) {
        let Said { tally, is_silent, instead } = part.said;
        if let Some(error) = instead {
            counters.items.server_errors.add(1);
            if !is_silent {
                encode::error(&mut self.out, error);
            }
            return;
        }
        if is_silent {
            return;
        }
        let is_whole = !tally.is_retrieval() || part.bill.is_some();
        match reply.strip_suffix(END) {
            Some(values) if !is_whole => self.out.extend_from_slice(values),
            end => {
                // What does not end as a retrieval's reply does, ends it.
                self.current.is_failed = tally.is_retrieval() && end.is_none();
                self.out.extend_from_slice(reply);
            }
        }
    }

    /// Charges the command whose last part was told.
    fn settle(&mut self, bill: Bill, counters: &CoreCounters) {
        let bytes = bill.bytes + self.current.reply_bytes;
        if bill.is_open {
            self.open = Some(bytes);
        } else if bill.items > 0 {
            self.meter(EcpuUnits::of_command(bill.items, bytes), counters);
        }
        self.current = Current::default();
    }

    /// Meters a command, of whose reply so far what is current is billed.
    fn meter(&mut self, cost: EcpuUnits, counters: &CoreCounters) {
        counters.meter(cost);
        self.billed += cost.units().saturating_sub(std::mem::take(&mut self.current.billed));
    }
}
