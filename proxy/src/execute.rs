//! Commands on the store: the parsed command in, the encoded reply out, counted.

mod classic;
mod meta;

use memtide_engine_core::{Expiry, Key, Now, Store};
use memtide_protocol::encode::{self, Status};
use memtide_protocol::{Command, ErrorLine, Exptime, Limits, Refusal};
use memtide_topology::{EcpuUnits, KeyHash};

use crate::counters::CoreCounters;
use crate::session::Batch;
use crate::shared::Shared;

pub use classic::Retrieved;

/// Executes the commands of one batch at one second.
pub struct Executor<'a> {
    /// The protocol's limits.
    pub limits: Limits,
    shared: &'a Shared,
    store: &'a Store,
    counters: &'a CoreCounters,
    now: Now,
    batch: &'a mut Batch,
}

impl<'a> Executor<'a> {
    /// For the connections of the core that owns `counters`.
    pub fn new(
        shared: &'a Shared,
        counters: &'a CoreCounters,
        now_secs: u32,
        batch: &'a mut Batch,
    ) -> Self {
        let limits = Limits { item_bytes_max: shared.config.item_size_max };
        let now = Now::from_unix_secs(now_secs);
        Self { limits, shared, store: &shared.store, counters, now, batch }
    }

    /// Charges a command, which is also what counts it.
    pub fn meter(&self, cost: EcpuUnits) {
        self.counters.meter(cost);
    }

    /// The hash of a command's key, of a retrieval's first; `None` where it has no key.
    #[inline]
    pub fn hash(&self, command: &Command<'_>) -> Option<KeyHash> {
        command.first_key().map(|key| self.shared.config.seed.hash(&key.bytes()))
    }

    /// Has the memory that commands on these keys will touch brought near.
    #[inline]
    pub fn prefetch(&self, hashes: &[KeyHash]) {
        if hashes.len() > 1 {
            self.store.prefetch(hashes);
        }
    }

    /// Executes any command but a [`Command::Retrieve`]; `hash` is what [`Executor::hash`] gives
    /// for it.
    pub fn execute(&mut self, command: &Command<'_>, hash: Option<KeyHash>, out: &mut Vec<u8>) {
        match command {
            // A multiget can pause, see `retrieve`.
            Command::Retrieve(_) | Command::Quit => {}
            Command::Store(store) => self.put(store, hash, out),
            Command::Delete(delete) => self.delete(delete, hash, out),
            Command::Arithmetic(arithmetic) => self.arithmetic(arithmetic, hash, out),
            Command::Touch(touch) => self.touch(touch, hash, out),
            Command::MetaGet(get) => self.meta_get(get, hash, out),
            Command::MetaSet(set) => self.meta_set(set, hash, out),
            Command::MetaDelete(delete) => self.meta_delete(delete, hash, out),
            Command::MetaArithmetic(arithmetic) => self.meta_arithmetic(arithmetic, hash, out),
            Command::MetaNoOp => encode::status(out, Status::MetaNoOp),
            Command::FlushAll { noreply } => {
                self.store.flush_all();
                self.counters.cmd_flush.add(1);
                self.batch.writes += 1;
                status(*noreply, Status::Ok, out);
            }
            Command::Stats => self.shared.write_stats(self.now.unix_secs(), out),
            Command::StatsReset => {
                self.shared.reset_stats();
                encode::status(out, Status::Reset);
            }
            Command::Version => encode::version(out, crate::PROTOCOL_VERSION),
            Command::ConfigGetCluster => self.shared.write_cluster_config(out),
        }
    }

    /// Answers a command that cannot be executed.
    pub fn refuse(&mut self, refusal: &Refusal<'_>, out: &mut Vec<u8>) {
        if refusal.error == ErrorLine::ObjectTooLarge {
            self.counters.store_too_large.add(1);
        }
        if let Some(key) = refusal.unlink {
            let bytes = key.bytes();
            let hash = self.shared.config.seed.hash(&bytes);
            if let Some(key) = Key::new(&bytes, hash) {
                self.store.delete(key, &memtide_engine_core::Delete::default(), self.now);
            }
        }
        if refusal.is_silent {
            self.count_error(refusal.error);
        } else {
            self.error(refusal.error, out);
        }
    }

    /// Writes an error line.
    pub fn error(&self, error: ErrorLine, out: &mut Vec<u8>) {
        self.count_error(error);
        encode::error(out, error);
    }

    fn count_error(&self, error: ErrorLine) {
        if is_ours(error) {
            self.counters.server_errors.add(1);
        } else {
            self.counters.client_errors.add(1);
        }
    }

    fn classic_error(&self, noreply: bool, error: ErrorLine, out: &mut Vec<u8>) {
        if noreply { self.count_error(error) } else { self.error(error, out) }
    }

    fn expiry(&self, exptime: Exptime) -> Expiry {
        match exptime {
            Exptime::Never => Expiry::Never,
            Exptime::Immediate => Expiry::Immediately,
            Exptime::Relative(secs) => Expiry::At(self.now.unix_secs().saturating_add(secs)),
            Exptime::Absolute(secs) => Expiry::At(secs),
        }
    }
}

/// Whether the server is to blame for an error, not the client.
const fn is_ours(error: ErrorLine) -> bool {
    use ErrorLine::{ObjectTooLarge, OutOfMemory, OutOfMemoryStoring, Throttled};
    matches!(error, ObjectTooLarge | OutOfMemory | OutOfMemoryStoring | Throttled)
}

/// `None` for a length that no parsed command's key has.
fn key(bytes: &[u8], hash: Option<KeyHash>) -> Option<Key<'_>> {
    Key::new(bytes, hash?)
}

fn status(noreply: bool, status: Status, out: &mut Vec<u8>) {
    if !noreply {
        encode::status(out, status);
    }
}
