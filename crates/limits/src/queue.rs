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
    /// Those of whose cost something is known.
    known: BTreeMap<Place, Held>,
    /// The others.
    unknown: BTreeMap<Place, Held>,
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
        self.known.len() + self.unknown.len()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.unknown.is_empty()
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
        match held.rest {
            Some(_) => self.known.insert(place, held),
            None => self.unknown.insert(place, held),
        };
        place
    }

    /// The first one, or the first of whose cost something is known; the virtual time moves to its start.
    pub fn pop(&mut self, is_known: bool) -> Option<Held> {
        let place = |held: &BTreeMap<Place, Held>| held.first_key_value().map(|(place, _)| *place);
        let unknown = place(&self.unknown).filter(|_| !is_known);
        let is_unknown_first = match (unknown, place(&self.known)) {
            (Some(unknown), Some(known)) => unknown < known,
            (unknown, _) => unknown.is_some(),
        };
        let held = if is_unknown_first { &mut self.unknown } else { &mut self.known };
        let (place, first) = held.pop_first()?;
        self.virtual_time = self.virtual_time.max(place.start);
        Some(first)
    }

    /// Whether there is none of whose cost something is known.
    pub fn is_all_unknown(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes it out; what it had booked.
    pub fn remove(&mut self, place: Place) -> Option<EcpuUnits> {
        let held = self.known.remove(&place).or_else(|| self.unknown.remove(&place));
        held.map(|held| held.cost)
    }
}
