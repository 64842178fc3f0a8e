//! What a node counts.

use core::time::Duration;

use memtide_execute::{CommandCounters, Counter};
use memtide_topology::{EcpuUnits, SLOTS, SlotId};

/// Written by the data thread only.
#[derive(Debug, Default)]
pub struct NodeCounters {
    /// Commands on items.
    pub items: CommandCounters,
    /// Requests of proxies.
    pub requests: Counter,
    /// Work for proxies, in 1/1024 ECPU.
    pub ecpu_units: Counter,
    /// Of that, what was for each slot.
    pub slot_units: SlotCounters,
    /// Bytes that came over links.
    pub received_bytes: Counter,
    /// Bytes that were put into links.
    pub sent_bytes: Counter,
    /// Bytes of chunks that were read for copies on other nodes.
    pub copied_bytes: Counter,
    /// Items of copies for which there was no room.
    pub copy_items_left_out: Counter,
    /// Bytes of items that were evicted for the sake of other nodes.
    pub relieved_bytes: Counter,
    /// How long nobody served the slots that were handed over to this node.
    pub handover_pauses: Pauses,
    /// Runs of the ticker: a data thread that is stuck counts no more.
    pub ticks: Counter,
    /// Links of proxies that began.
    pub proxy_links: Counter,
    /// Links to nodes that began.
    pub node_links: Counter,
    /// Links that were ended for what the peer did.
    pub broken_links: Counter,
    /// Links that were refused.
    pub refused_links: Counter,
}

impl NodeCounters {
    /// Counts a request for a slot that was executed, by the rule that proxies meter commands by: these are the
    /// bytes of its command and of its reply.
    pub fn worked(&self, slot: SlotId, bytes: usize) {
        let units = EcpuUnits::of_command(1, bytes as u64).units();
        self.ecpu_units.add(units);
        self.slot_units.of(slot).add(units);
    }
}

/// A counter for each slot.
#[derive(Debug)]
pub struct SlotCounters(Box<[Counter]>);

impl SlotCounters {
    /// That of a slot.
    #[must_use]
    pub fn of(&self, slot: SlotId) -> &Counter {
        &self.0[usize::from(slot.number())]
    }

    /// The counts so far, by slot.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(Counter::load)
    }
}

impl Default for SlotCounters {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| Counter::default()).collect())
    }
}

/// Upper bounds of the buckets of [`Pauses`] in microseconds; a last bucket has none.
pub const PAUSE_BOUNDS_US: [u64; 20] = [
    250, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 16_000, 25_000, 50_000,
    100_000, 200_000, 500_000, 1_000_000, 1_500_000, 2_500_000,
];

/// A histogram with fixed buckets.
#[derive(Debug, Default)]
pub struct Pauses {
    /// One for each bound, and one for what is above all.
    pub counts: [Counter; PAUSE_BOUNDS_US.len() + 1],
    /// The sum, in microseconds.
    pub sum_us: Counter,
}

impl Pauses {
    /// Counts one.
    pub fn record(&self, pause: Duration) {
        let micros = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        let bucket = PAUSE_BOUNDS_US.partition_point(|bound| *bound < micros);
        self.counts[bucket].add(1);
        self.sum_us.add(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lands_in_the_bucket_that_holds_it() {
        let pauses = Pauses::default();
        for micros in [0, 250, 251, 2_500_000, 2_500_001] {
            pauses.record(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = pauses.counts.iter().map(Counter::load).collect();
        assert_eq!((counts[0], counts[1], counts[19], counts[20]), (2, 1, 1, 1));
        assert_eq!(pauses.sum_us.load(), 5_000_502);
    }
}
