//! For the benches of `crates/gates`: what a connection does between its socket's bytes, without
//! the socket, TLS and clock. Not part of what this crate offers.

use std::time::Duration;

use memtide_service::drain::Drain;
use memtide_topology::{EcpuUnits, HashSeed};

use crate::config::{Backend, EmbeddedBackend, ProxyConfig};
use crate::counters::CoreCounters;
use crate::execute::Executor;
use memtide_execute::Executed;

use crate::session::{Progress, Session};
use crate::shared::Shared;

const NOW_SECS: u32 = 1_800_000_000;

/// How long a batch is said to have taken.
const TOOK: Duration = Duration::from_micros(40);

/// A session on a store of its own.
#[derive(Debug)]
pub struct BareSession {
    shared: Shared,
    session: Session,
    replies: Vec<u8>,
}

impl BareSession {
    /// With an empty store of 64 MiB and a fixed seed.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a store is nothing to be had by default")]
    pub fn new() -> Self {
        let config = ProxyConfig {
            advertise: "cache.test".into(),
            threads: 1,
            item_size_max: 1 << 20,
            connections_max: 1,
            idle_timeout: None,
            handshake_timeout: Duration::from_secs(1),
            handshakes_per_second_max: None,
            ecpu_units_per_second_max: None,
            give_back_memory: || {},
            backend: Backend::Embedded(EmbeddedBackend {
                memory_max: 64 << 20,
                memory_ceiling: 0,
                memory_capacity: 64 << 20,
                seed: HashSeed::new(0x1234, 0x5678),
                metered_bytes_min: 0,
            }),
        };
        let shared = Shared::new(config, Drain::new().watch());
        Self { shared, session: Session::default(), replies: Vec::with_capacity(64 << 10) }
    }

    /// Takes whole commands as one read; gives the replies that go out together. Meters and counts
    /// as a connection does.
    ///
    /// # Panics
    /// Where the commands are not whole, or more than fit one turn.
    pub fn serve(&mut self, commands: &[u8]) -> &[u8] {
        self.replies.clear();
        let counters = &self.shared.counters[0];
        let mut batch = Executed::default();
        let mut executor = Executor::new(&self.shared, counters, NOW_SECS, &mut batch);
        let done = self.session.advance(commands, &mut self.replies, &mut executor);
        assert_eq!(done, (commands.len(), Progress::NeedsMore { needed: 1 }), "whole commands");
        counters.traffic.bytes_read.add(commands.len() as u64);
        counters.traffic.bytes_written.add(self.replies.len() as u64);
        counters.read_latency.record(TOOK, batch.reads);
        counters.write_latency.record(TOOK, batch.writes);
        &self.replies
    }
}

/// The counters of a core.
#[derive(Debug, Default)]
pub struct Meter(CoreCounters);

impl Meter {
    /// Charges a command of so many items and bytes.
    pub fn charge(&self, items: u64, bytes: u64) {
        self.0.meter(EcpuUnits::of_command(items, bytes));
    }
}
