//! Commands of a connection: those on items go to the node, the others are answered here.

use memtide_engine_core::Now;
use memtide_execute::{Executed, ItemExecutor, Retrieved};
use memtide_protocol::encode::{self, Status};
use memtide_protocol::{Command, ErrorLine, Limits, Refusal, Retrieve, Step};
use memtide_topology::{EcpuUnits, KeyHash};

use crate::counters::CoreCounters;
use crate::shared::Shared;
use crate::throttle::{Admission, Toll};

/// Executes the commands of one batch at one second.
pub struct Executor<'a> {
    shared: &'a Shared,
    counters: &'a CoreCounters,
    items: ItemExecutor<'a>,
    /// Where the cache has a limit.
    toll: Option<Toll<'a>>,
}

impl<'a> Executor<'a> {
    /// For the connections of the core that owns `counters`, with an in-process node.
    pub fn new(
        shared: &'a Shared,
        counters: &'a CoreCounters,
        now_secs: u32,
        executed: &'a mut Executed,
    ) -> Self {
        let node = shared.embedded().expect("who serves a fleet executes nothing");
        let items = ItemExecutor {
            limits: Limits { item_bytes_max: shared.config.item_size_max },
            store: &node.store,
            seed: node.seed,
            counters: &counters.items,
            now: Now::from_unix_secs(now_secs),
            executed,
        };
        Self { shared, counters, items, toll: None }
    }

    /// Held to the cache's limit.
    #[must_use]
    pub fn with_toll(self, toll: Option<Toll<'a>>) -> Self {
        Self { toll, ..self }
    }

    /// See [`Toll::admit`]; the answer to what is refused is appended to `out`.
    #[inline]
    pub fn admit(&mut self, step: &Step<'_>, is_begun: bool, out: &mut Vec<u8>) -> Admission {
        let Some(toll) = &mut self.toll else { return Admission::Go };
        let admission = toll.admit(step, is_begun);
        if let Admission::Refuse { is_silent: false, .. } = admission {
            self.error(ErrorLine::Throttled, out);
        }
        admission
    }

    /// See [`Toll::go_on`].
    pub fn go_on(&mut self) -> Admission {
        self.toll.as_mut().map_or(Admission::Go, Toll::go_on)
    }

    /// What is not over has cost so much so far.
    pub fn prepay_to(&mut self, cost: EcpuUnits) {
        if let Some(toll) = &mut self.toll {
            toll.prepay_to(cost);
        }
    }

    /// The protocol's limits.
    pub const fn limits(&self) -> &Limits {
        &self.items.limits
    }

    /// Charges a command, which is also what counts it.
    pub fn meter(&self, cost: EcpuUnits) {
        self.counters.meter(cost);
    }

    /// See [`ItemExecutor::hash`].
    #[inline]
    pub fn hash(&self, command: &Command<'_>) -> Option<KeyHash> {
        self.items.hash(command)
    }

    /// See [`ItemExecutor::prefetch`].
    #[inline]
    pub fn prefetch(&self, hashes: &[KeyHash]) {
        self.items.prefetch(hashes);
    }

    /// See [`ItemExecutor::retrieve`].
    #[inline]
    pub fn retrieve(
        &mut self,
        (command, first): (&Retrieve<'_>, Option<KeyHash>),
        retrieved: Retrieved,
        out: &mut Vec<u8>,
    ) -> Retrieved {
        self.items.retrieve((command, first), retrieved, out)
    }

    /// Executes any command but a [`Command::Retrieve`]; `hash` is what [`Executor::hash`] gives
    /// for it.
    pub fn execute(&mut self, command: &Command<'_>, hash: Option<KeyHash>, out: &mut Vec<u8>) {
        match command {
            Command::MetaNoOp => encode::status(out, Status::MetaNoOp),
            Command::Stats => self.shared.write_stats(self.items.now.unix_secs(), out),
            Command::StatsReset => {
                self.shared.reset_stats();
                encode::status(out, Status::Reset);
            }
            Command::Version => encode::version(out, crate::PROTOCOL_VERSION),
            Command::ConfigGetCluster => self.shared.write_cluster_config(out),
            of_items => self.items.execute(of_items, hash, out),
        }
    }

    /// See [`ItemExecutor::refuse`].
    pub fn refuse(&mut self, refusal: &Refusal<'_>, out: &mut Vec<u8>) {
        self.items.refuse(refusal, out);
    }

    /// See [`ItemExecutor::error`].
    pub fn error(&self, error: ErrorLine, out: &mut Vec<u8>) {
        self.items.error(error, out);
    }
}
