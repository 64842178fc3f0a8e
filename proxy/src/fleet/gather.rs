//! Commands that concern all slots or all nodes: asked many times, answered once.

use std::collections::VecDeque;
use std::rc::Rc;

use memtide_protocol::encode::{self, Status};
use memtide_routing::{Kind, Refused, Submission};
use memtide_topology::{KeyHash, NodeId, SLOTS, SlotId};
use memtide_wire::Reach;

use super::ask::Ask;
use super::switch::{GATHER, Switch};
use crate::limits::{FLUSH_SLOTS_MAX, FLUSHES_MAX};
use crate::stats::Summary;

/// Those under way.
#[derive(Debug, Default)]
pub struct Gathers {
    places: Vec<Place>,
    free: Vec<u32>,
    flushes: usize,
    /// Flushes that wait for others.
    waiting: VecDeque<u32>,
}

#[derive(Debug, Default)]
struct Place {
    gather: Option<Gather>,
    /// Of the gather that has the place.
    serial: u32,
}

/// What is gathered.
#[derive(Debug)]
pub enum What {
    /// `flush_all`: every slot is flushed.
    Flush,
    /// `stats`: every node's numbers are added.
    Stats,
    /// `stats reset`: every node begins to count anew.
    Reset,
}

#[derive(Debug)]
struct Gather {
    /// Of the part that waits for it.
    ticket: u64,
    what: What,
    /// Answers to come.
    awaited: usize,
    /// The next slot to flush.
    next_slot: u16,
    sums: Box<Summary>,
    refused: Option<Refused>,
}

impl Switch {
    /// Begins to gather for the part with this ticket.
    pub fn gather(&mut self, ticket: u64, what: What) {
        let index = self.gathers.add(ticket, what);
        match self.gathers.get(index).what {
            What::Flush => self.begin_flush(index),
            What::Stats => self.ask_all(index, b"stats\r\n"),
            What::Reset => self.ask_all(index, b"stats reset\r\n"),
        }
        self.pump(self.now, &[]);
    }

    fn begin_flush(&mut self, index: u32) {
        if self.gathers.flushes >= FLUSHES_MAX {
            self.gathers.waiting.push_back(index);
        } else {
            self.gathers.flushes += 1;
            self.flush_more(index);
        }
    }

    fn ask_all(&mut self, index: u32, command: &[u8]) {
        let batch: Rc<[u8]> = command.into();
        let nodes: Vec<NodeId> = self.topology.nodes().keys().copied().collect();
        self.gathers.get(index).awaited = nodes.len();
        self.counters.fleet.asked.add(nodes.len() as u64);
        let ticket = self.gathers.ticket(index);
        for node in nodes {
            let hash = KeyHash::from_bits(0);
            let range = 0..batch.len();
            let ask = Ask { batch: Rc::clone(&batch), range, hash, reach: Reach::Node };
            self.router.submit_to(self.now, ticket, node, ask);
        }
        if self.gathers.get(index).awaited == 0 {
            self.gathers.get(index).refused = Some(Refused::NoCopy);
            self.finish_gather(index);
        }
    }

    /// Flushes further slots, up to so many at a time.
    fn flush_more(&mut self, index: u32) {
        let ticket = self.gathers.ticket(index);
        loop {
            let gather = self.gathers.get(index);
            let slot = SlotId::new(gather.next_slot);
            let (Some(slot), true) =
                (slot, gather.awaited < FLUSH_SLOTS_MAX && gather.refused.is_none())
            else {
                return;
            };
            gather.next_slot += 1;
            gather.awaited += 1;
            self.counters.fleet.asked.add(1);
            let batch = Rc::clone(&self.flush_command);
            let hash = KeyHash::from_bits(slot.number().into());
            let range = 0..batch.len();
            let command = Ask { batch, range, hash, reach: Reach::Primary };
            let kind = Kind::Mutation;
            self.router.submit(self.now, Submission { ticket, slot, kind, command });
        }
    }

    /// Takes an answer to one of a gather's questions.
    pub(super) fn gathered(&mut self, ticket: u64, reply: Result<&[u8], Refused>) {
        let Some(index) = self.gathers.find(ticket) else { return };
        let gather = self.gathers.get(index);
        gather.awaited -= 1;
        match (reply, &gather.what) {
            (Err(refused), _) => {
                gather.refused.get_or_insert(refused);
            }
            (Ok(reply), What::Stats) => gather.sums.add_reply(reply),
            (Ok(_), _) => {}
        }
        let is_flush = matches!(gather.what, What::Flush);
        if is_flush {
            self.flush_more(index);
        }
        let gather = self.gathers.get(index);
        if gather.awaited == 0 {
            self.finish_gather(index);
        }
    }

    fn finish_gather(&mut self, index: u32) {
        let Gather { ticket, what, sums, refused, .. } = self.gathers.remove(index);
        if matches!(what, What::Flush) {
            self.gathers.flushes -= 1;
            if let Some(next) = self.gathers.waiting.pop_front() {
                self.gathers.flushes += 1;
                self.flush_more(next);
            }
        }
        let mut reply = Vec::new();
        let result = match refused {
            Some(refused) => Err(refused),
            None => {
                self.write_gathered(&what, &sums, &mut reply);
                Ok(reply.as_slice())
            }
        };
        self.answer(ticket, result);
    }

    fn write_gathered(&self, what: &What, sums: &Summary, out: &mut Vec<u8>) {
        match what {
            What::Flush => encode::status(out, Status::Ok),
            What::Stats => self.shared.write_fleet_stats(sums, out),
            What::Reset => {
                self.shared.reset_stats();
                encode::status(out, Status::Reset);
            }
        }
    }
}

impl Gathers {
    fn add(&mut self, ticket: u64, what: What) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            u32::try_from(self.places.len() - 1).expect("one a connection at most")
        });
        let place = &mut self.places[index as usize];
        place.serial = place.serial.wrapping_add(1);
        let sums = Box::default();
        place.gather = Some(Gather { ticket, what, awaited: 0, next_slot: 0, sums, refused: None });
        index
    }

    fn get(&mut self, index: u32) -> &mut Gather {
        let gather = self.places[index as usize].gather.as_mut();
        gather.expect("a gather is there until it is answered")
    }

    fn remove(&mut self, index: u32) -> Gather {
        self.free.push(index);
        let gather = self.places[index as usize].gather.take();
        gather.expect("a gather is there until it is answered")
    }

    /// The ticket of what a gather asks.
    fn ticket(&self, index: u32) -> u64 {
        let serial = self.places[index as usize].serial;
        GATHER | u64::from(index) << u32::BITS | u64::from(serial)
    }

    fn find(&self, ticket: u64) -> Option<u32> {
        let index = u32::try_from((ticket & !GATHER) >> u32::BITS).ok()?;
        let place = self.places.get(index as usize)?;
        (place.gather.is_some() && self.ticket(index) == ticket).then_some(index)
    }
}

const _: () = assert!(SLOTS as usize > FLUSH_SLOTS_MAX, "a flush is more than one step");
