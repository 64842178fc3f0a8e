//! What sessions do with the switch: lanes, and what is asked for them.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use memtide_routing::{Kind, Refused, Submission};
use memtide_topology::{KeyHash, SlotId};
use memtide_wire::Reach;

use super::ask::Ask;
use super::lane::{Asked, Lane, Surroundings};
use super::lanes::LaneId;
use super::switch::Switch;
use crate::limits::{ASKED_MAX, CORE_BYTES_HIGH, REPLY_BYTES_SMALL, SCRATCH_BYTES_KEPT};

/// What a session wants to ask with its next [`Switch::send`].
#[derive(Debug, Default)]
pub struct Planned {
    /// The commands, one behind the other.
    bytes: Vec<u8>,
    asks: Vec<PlannedAsk>,
}

#[derive(Debug)]
struct PlannedAsk {
    ticket: u64,
    range: Range<usize>,
    hash: KeyHash,
    kind: Kind,
    reach: Reach,
}

impl Switch {
    /// Opens a lane.
    pub fn open_lane(&mut self) -> LaneId {
        self.lanes.open()
    }

    /// Forgets a lane; answers that were for it are dropped. `paused` are the keys and the bytes of
    /// a retrieval that was not asked to its end. Returns the units that were not billed.
    pub fn close_lane(&mut self, id: LaneId, paused: Option<(u64, u64)>) -> u64 {
        let Some(lane) = self.lanes.close(id) else { return 0 };
        self.held_bytes -= lane.held_bytes();
        let billed = lane.abandon(paused, &self.counters);
        self.let_in();
        billed
    }

    /// Looks at a lane.
    pub fn lane(&self, id: LaneId) -> &Lane {
        self.lanes.get(id).expect("its connection has not closed it")
    }

    /// Does something with a lane.
    pub fn with_lane<T>(
        &mut self,
        id: LaneId,
        work: impl FnOnce(&mut Lane, &mut Surroundings<'_>) -> T,
    ) -> T {
        let lane = self.lanes.get_mut(id).expect("its connection has not closed it");
        let before = lane.held_bytes();
        let mut surroundings =
            Surroundings { counters: &self.counters, buffers: &mut self.buffers, now: self.now };
        let done = work(lane, &mut surroundings);
        self.held_bytes = self.held_bytes + lane.held_bytes() - before;
        // Nothing else may happen on this core before those who wait for room look again.
        self.let_in();
        done
    }

    /// Whether the lane's connection may take in another command; otherwise it is woken when that
    /// may be so.
    pub fn has_room(&mut self, id: LaneId) -> bool {
        if !self.lane(id).has_room() {
            return false;
        }
        if self.seed().is_none() {
            return self.is_unfounded_for_good();
        }
        if self.is_crowded() {
            let is_in_line =
                self.with_lane(id, |lane, _| std::mem::replace(&mut lane.is_in_line, true));
            if !is_in_line {
                self.counters.fleet.waits.add(1);
                self.crowd.push_back(id);
            }
            return false;
        }
        true
    }

    /// Plans to ask what `write` appends; sent by [`Switch::send`].
    pub fn ask(
        &mut self,
        id: LaneId,
        mut asked: Asked,
        (hash, kind, reach): (KeyHash, Kind, Reach),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.planned.bytes.len();
        write(&mut self.planned.bytes);
        let range = start..self.planned.bytes.len();
        asked.bytes = range.len();
        let ticket = self.take_place(id, asked);
        self.planned.asks.push(PlannedAsk { ticket, range, hash, kind, reach });
    }

    /// Takes a place in a lane; the ticket of its answer.
    pub fn take_place(&mut self, id: LaneId, asked: Asked) -> u64 {
        let number = self.with_lane(id, |lane, _| {
            let number = lane.next_number();
            lane.ask(asked);
            number
        });
        id.ticket(number)
    }

    /// Asks what was planned, in that order.
    pub fn send(&mut self, now: Duration) {
        if self.planned.asks.is_empty() {
            return;
        }
        let batch: Rc<[u8]> = self.planned.bytes.as_slice().into();
        self.counters.fleet.asked.add(self.planned.asks.len() as u64);
        let router = &mut self.router;
        for PlannedAsk { ticket, range, hash, kind, reach } in self.planned.asks.drain(..) {
            let command = Ask { batch: Rc::clone(&batch), range, hash, reach };
            router.submit(now, Submission { ticket, slot: SlotId::of(hash), kind, command });
        }
        self.planned.bytes.clear();
        self.planned.bytes.shrink_to(SCRATCH_BYTES_KEPT);
        self.pump(now, &[]);
    }

    /// Brings the answer to a part of a lane.
    pub(super) fn answer(&mut self, ticket: u64, reply: Result<&[u8], Refused>) {
        let (id, number) = LaneId::of_ticket(ticket);
        if let Some(lane) = self.lanes.get(id) {
            let is_too_much = self.held_bytes >= self.held_bytes_max
                && lane.holds_replies()
                && reply.is_ok_and(|bytes| bytes.len() > REPLY_BYTES_SMALL);
            let reply = if is_too_much {
                self.counters.fleet.overloaded.add(1);
                Err(Refused::Overloaded)
            } else {
                reply
            };
            self.with_lane(id, |lane, surroundings| lane.answer(number, reply, surroundings));
        }
    }

    fn is_crowded(&self) -> bool {
        self.router.outstanding() >= self.outstanding_high || self.held_bytes >= CORE_BYTES_HIGH
    }

    /// Wakes connections that wait for less to be under way, as many as there is room for.
    pub(super) fn let_in(&mut self) {
        if self.crowd.is_empty() || self.is_crowded() {
            return;
        }
        let room = self.outstanding_high - self.router.outstanding();
        for id in self.crowd.drain(..self.crowd.len().min(1 + room / ASKED_MAX)) {
            if let Some(lane) = self.lanes.get_mut(id) {
                lane.is_in_line = false;
                lane.wake();
            }
        }
    }

    pub(super) fn wake_all(&mut self) {
        self.lanes.all().for_each(Lane::wake);
    }
}
