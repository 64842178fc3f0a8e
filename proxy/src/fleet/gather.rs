//! Commands that concern all slots or all nodes: asked many times, answered once.

use std::collections::BTreeSet;
use std::rc::Rc;

use memtide_protocol::encode::{self, Status};
use memtide_routing::{Kind, Refused, Submission};
use memtide_topology::{KeyHash, NodeId, SLOTS, SlotId};
use memtide_wire::Reach;

use super::ask::Ask;
use super::switch::{GATHER, Switch};
use crate::limits::FLUSH_SLOTS_MAX;
use crate::stats::Summary;

/// Those under way.
#[derive(Debug, Default)]
pub struct Gathers {
    places: Vec<Place>,
    free: Vec<u32>,
    /// The flush that is under way.
    flushing: Option<u32>,
    /// The flush that comes after it: that of everybody who has asked meanwhile.
    next_flush: Option<u32>,
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
    /// Of the parts that wait for it.
    tickets: Vec<u64>,
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
        match what {
            What::Flush => self.flush(ticket),
            What::Stats => self.ask_all((ticket, what), b"stats\r\n"),
            What::Reset => self.ask_all((ticket, what), b"stats reset\r\n"),
        }
        self.pump(self.now, &[]);
    }

    /// Begins a flush, or joins those that wait for the one under way: a flush that begins later does
    /// what was asked before.
    fn flush(&mut self, ticket: u64) {
        if let Some(next) = self.gathers.next_flush {
            return self.gathers.get(next).tickets.push(ticket);
        }
        let index = self.gathers.add(ticket, What::Flush);
        if self.gathers.flushing.is_some() {
            self.gathers.next_flush = Some(index);
        } else {
            self.gathers.flushing = Some(index);
            self.flush_more(index);
        }
    }

    /// Asks every node that is the primary of a slot: what is counted is counted there.
    fn ask_all(&mut self, (ticket, what): (u64, What), command: &[u8]) {
        let index = self.gathers.add(ticket, what);
        let batch: Rc<[u8]> = command.into();
        let primaries = self.topology.slots().filter_map(|(_, slot)| slot.primary);
        let nodes: BTreeSet<NodeId> = primaries.collect();
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
        let Gather { tickets, what, sums, refused, .. } = self.gathers.remove(index);
        if matches!(what, What::Flush) {
            self.gathers.flushing = self.gathers.next_flush.take();
            if let Some(next) = self.gathers.flushing {
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
        for ticket in tickets {
            self.answer(ticket, result);
        }
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
            u32::try_from(self.places.len() - 1).expect("no more than the connections of a core")
        });
        let place = &mut self.places[index as usize];
        place.serial = place.serial.wrapping_add(1);
        let sums = Box::default();
        let tickets = vec![ticket];
        place.gather =
            Some(Gather { tickets, what, awaited: 0, next_slot: 0, sums, refused: None });
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
