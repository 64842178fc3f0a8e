use std::collections::BTreeMap;

use memtide_topology::EcpuUnits;

/// What a core knows a connection by that it holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeldId(pub u64);

/// The connections that a core holds back, in the order in which they go on: the one that has had
/// least comes first, and of two alike the one that came first.
///
/// This is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): a command's start is where
/// its connection's use ends, and the virtual time is the start of the command that went on last. A
/// connection that had nothing waiting does not save its part for later: it begins where the virtual
/// time was two leases ago, as a client that waits for each reply needs that long to come back.
#[derive(Debug, Default)]
pub struct Queue {
    held: BTreeMap<Place, Held>,
    virtual_time: u64,
    /// The virtual time at the last lease, and at the one before.
    marks: [u64; 2],
    next: u64,
}

/// A command that is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: HeldId,
    /// What it costs at the least.
    pub cost: EcpuUnits,
    /// What it will cost besides, as its connection's last one did; `None` where that has had none.
    pub rest: Option<EcpuUnits>,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    start: u64,
    order: u64,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub const fn virtual_time(&self) -> u64 {
        self.virtual_time
    }

    /// Where the next command of a connection starts whose use ends there.
    pub fn start(&self, used: u64) -> u64 {
        used.max(self.marks[1])
    }

    /// Another lease begins.
    pub const fn mark(&mut self) {
        self.marks = [self.virtual_time, self.marks[0]];
    }

    pub fn push(&mut self, start: u64, held: Held) -> Place {
        let place = Place { start, order: self.next };
        self.next += 1;
        self.held.insert(place, held);
        place
    }

    /// Who comes first.
    pub fn first(&self) -> Option<&Held> {
        self.held.first_key_value().map(|(_, held)| held)
    }

    /// The first one; the virtual time moves to its start.
    pub fn pop(&mut self) -> Option<Held> {
        let (place, first) = self.held.pop_first()?;
        self.virtual_time = self.virtual_time.max(place.start);
        Some(first)
    }

    /// Takes it out; what it had booked.
    pub fn remove(&mut self, place: Place) -> Option<EcpuUnits> {
        self.held.remove(&place).map(|held| held.cost)
    }
}
