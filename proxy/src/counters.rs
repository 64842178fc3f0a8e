//! What is counted: per core, written by that core alone, summed when somebody reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memtide_execute::{CommandCounters, CommandTotals, counters};
use memtide_topology::EcpuUnits;

pub use memtide_execute::Counter;

impl CoreCounters {
    /// Charges a command, which is also what counts it.
    pub fn meter(&self, cost: EcpuUnits) {
        self.traffic.commands.add(1);
        self.traffic.ecpu_units.add(cost.units());
    }

    /// Counts a command that is refused for the cache's limit and charged nothing. The error counts
    /// where it is written; one that is `is_silent` is not.
    pub fn throttle(&self, is_silent: bool) {
        self.traffic.commands.add(1);
        self.traffic.throttled_commands.add(1);
        if is_silent {
            self.items.server_errors.add(1);
        }
    }
}

/// Upper bounds of the latency buckets in microseconds; a last bucket has none.
pub const LATENCY_BOUNDS_US: [u64; 24] = [
    10, 25, 50, 100, 150, 200, 250, 300, 400, 500, 750, 1_000, 1_500, 2_500, 5_000, 10_000, 25_000,
    50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
];

/// Latencies of one core, by [`LATENCY_BOUNDS_US`].
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    sum_nanos: Counter,
}

impl Latency {
    /// Counts `commands` that each took this long.
    pub fn record(&self, took: Duration, commands: u64) {
        if commands == 0 {
            return;
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|&bound| bound < micros);
        self.buckets[bucket].add(commands);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.add(nanos.saturating_mul(commands));
    }
}

/// [`Latency`] of all cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyTotals {
    /// Commands per bucket, not cumulative.
    pub buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// Sum of all latencies in nanoseconds.
    pub sum_nanos: u64,
}

impl LatencyTotals {
    fn add(&mut self, core: &Latency) {
        for (total, bucket) in self.buckets.iter_mut().zip(&core.buckets) {
            *total += bucket.load();
        }
        self.sum_nanos += core.sum_nanos.load();
    }
}

/// The counters of one core.
#[derive(Debug, Default)]
pub struct CoreCounters {
    /// Commands on items.
    pub items: CommandCounters,
    /// Connections and bytes.
    pub traffic: TrafficCounters,
    /// The way to the nodes of a fleet.
    pub fleet: FleetCounters,
    /// Requests to nodes of a fleet that are unanswered.
    pub fleet_outstanding: Gauge,
    /// Successful reads: get, gets, gat, gats, mg; from the read of the command to the write of
    /// its reply.
    pub read_latency: Latency,
    /// Successful writes: every other command on an item.
    pub write_latency: Latency,
}

/// The counters of all cores, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// See [`CoreCounters::items`].
    pub items: CommandTotals,
    /// See [`CoreCounters::traffic`].
    pub traffic: TrafficTotals,
    /// See [`CoreCounters::fleet`].
    pub fleet: FleetTotals,
    /// See [`CoreCounters::fleet_outstanding`].
    pub fleet_outstanding: u64,
    /// See [`CoreCounters::read_latency`].
    pub read_latency: LatencyTotals,
    /// See [`CoreCounters::write_latency`].
    pub write_latency: LatencyTotals,
}

impl Totals {
    /// Sums the counters of these cores.
    pub fn sum<'a>(cores: impl IntoIterator<Item = &'a CoreCounters>) -> Self {
        let mut totals = Self::default();
        for core in cores {
            totals.items.add(&core.items);
            totals.traffic.add(&core.traffic);
            totals.fleet.add(&core.fleet);
            totals.fleet_outstanding += core.fleet_outstanding.load();
            totals.read_latency.add(&core.read_latency);
            totals.write_latency.add(&core.write_latency);
        }
        totals
    }

    /// What came since `earlier`; latencies are left as they are.
    #[must_use]
    pub fn since(self, earlier: &Self) -> Self {
        let items = self.items.since(&earlier.items);
        Self { items, traffic: self.traffic.since(&earlier.traffic), ..self }
    }
}

counters! {
    /// Connections and bytes, of one core.
    pub struct TrafficCounters;
    /// [`TrafficCounters`] of all cores.
    pub struct TrafficTotals;
    /// Commands of every kind, refused ones included.
    commands,
    /// Metered work in 1/1024 ECPU.
    ecpu_units,
    /// Commands refused for the cache's ECPU limit.
    throttled_commands,
    /// Commands that waited for the cache's ECPU limit; those that were refused then are among them.
    delayed_commands,
    /// Command bytes taken in, before TLS.
    bytes_read,
    /// Reply bytes given out, before TLS.
    bytes_written,
    /// TLS handshakes in full.
    handshakes_full,
    /// TLS handshakes that resumed a session.
    handshakes_resumed,
    /// TLS handshakes that failed or took too long.
    handshakes_failed,
    /// Connections that spoke plaintext.
    plaintext_connections,
    /// Connections handed to another core.
    connections_moved,
    /// Connections closed for being idle.
    idle_kicks,
    /// Connections closed for leaving their replies unread.
    stall_kicks,
}

counters! {
    /// The way to the nodes of a fleet, of one core.
    pub struct FleetCounters;
    /// [`FleetCounters`] of all cores.
    pub struct FleetTotals;
    /// Requests on a key, on a slot to flush, or to a node.
    asked,
    /// Requests sent, each try counted.
    sent,
    /// Requests that a node has answered with an outcome.
    done,
    /// Requests refused because too many wait.
    overloaded,
    /// Requests refused because no node that may answer was reached in time.
    no_copy,
    /// Requests refused because no node has answered in time.
    deadline,
    /// Requests of which nobody can say whether they were done.
    unknown,
    /// Requests to a node that was not connected.
    unavailable,
    /// Answers of nodes that they are not the slot's primary.
    moved,
    /// Times that a node knew a newer topology.
    behind,
    /// Times that a connection waited for less to be under way.
    waits,
    /// Links made.
    links,
    /// Of these, ended.
    links_lost,
}

/// A number with one writer that goes up and down; any thread may read it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it.
    pub fn store(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// What it was set to last.
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_lands_in_the_bucket_that_holds_it() {
        let core = CoreCounters::default();
        core.read_latency.record(Duration::from_micros(50), 3);
        core.read_latency.record(Duration::from_micros(51), 2);
        core.read_latency.record(Duration::from_secs(60), 1);
        core.read_latency.record(Duration::from_secs(60), 0);
        let totals = Totals::sum([&core]).read_latency;
        let at = |us| LATENCY_BOUNDS_US.iter().position(|&bound| bound == us).unwrap();
        assert_eq!(totals.buckets[at(50)], 3);
        assert_eq!(totals.buckets[at(100)], 2);
        assert_eq!(totals.buckets[LATENCY_BOUNDS_US.len()], 1);
        assert_eq!(totals.buckets.iter().sum::<u64>(), 6);
        assert_eq!(totals.sum_nanos, (3 * 50 + 2 * 51 + 60_000_000) * 1_000);
    }

    #[test]
    fn totals_sum_the_cores_and_subtract_a_baseline() {
        let (a, b) = (CoreCounters::default(), CoreCounters::default());
        a.traffic.commands.add(2);
        b.items.cmd_get.add(3);
        let before = Totals::sum([&a, &b]);
        assert_eq!((before.traffic.commands, before.items.cmd_get), (2, 3));
        b.items.cmd_get.add(4);
        a.traffic.commands.add(1);
        let since = Totals::sum([&a, &b]).since(&before);
        assert_eq!((since.traffic.commands, since.items.cmd_get), (1, 4));
    }
}
