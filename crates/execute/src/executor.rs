use memtide_engine_core::{Expiry, Key, Now, Store};
use memtide_protocol::encode::{self, Status};
use memtide_protocol::{Command, ErrorLine, Exptime, Limits, Refusal};
use memtide_topology::{HashSeed, KeyHash};

use crate::counters::CommandCounters;

/// Bytes of replies with which a retrieval of several keys pauses. One more item may come on top.
pub const OUTPUT_BYTES_HIGH: usize = 64 * 1024;

/// What commands did that is measured when their replies are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Reads that succeeded.
    pub reads: u64,
    /// Writes that succeeded.
    pub writes: u64,
}

/// Executes commands on items at one second.
pub struct ItemExecutor<'a> {
    /// The protocol's limits.
    pub limits: Limits,
    /// Where the items are.
    pub store: &'a Store,
    /// The cache's.
    pub seed: HashSeed,
    /// Of the core that calls.
    pub counters: &'a CommandCounters,
    /// The second.
    pub now: Now,
    /// Is added to.
    pub executed: &'a mut Executed,
}

impl ItemExecutor<'_> {
    /// The hash of a command's key, of a retrieval's first; `None` where it has no key.
    #[inline]
    #[must_use]
    pub fn hash(&self, command: &Command<'_>) -> Option<KeyHash> {
        command.first_key().map(|key| self.seed.hash(&key.bytes()))
    }

    /// Has the memory that commands on these keys will touch brought near.
    #[inline]
    pub fn prefetch(&self, hashes: &[KeyHash]) {
        if hashes.len() > 1 {
            self.store.prefetch(hashes);
        }
    }

    /// Executes a command that is not about a single core or process; `hash` is what
    /// [`ItemExecutor::hash`] gives for it.
    ///
    /// A [`Command::Retrieve`] can pause, and so has [`ItemExecutor::retrieve`]; others that are not
    /// about items do nothing here.
    pub fn execute(&mut self, command: &Command<'_>, hash: Option<KeyHash>, out: &mut Vec<u8>) {
        match command {
            Command::Store(store) => self.put(store, hash, out),
            Command::Delete(delete) => self.delete(delete, hash, out),
            Command::Arithmetic(arithmetic) => self.arithmetic(arithmetic, hash, out),
            Command::Touch(touch) => self.touch(touch, hash, out),
            Command::MetaGet(get) => self.meta_get(get, hash, out),
            Command::MetaSet(set) => self.meta_set(set, hash, out),
            Command::MetaDelete(delete) => self.meta_delete(delete, hash, out),
            Command::MetaArithmetic(arithmetic) => self.meta_arithmetic(arithmetic, hash, out),
            Command::FlushAll { noreply } => {
                self.store.flush_all();
                self.counters.cmd_flush.add(1);
                self.executed.writes += 1;
                status(*noreply, Status::Ok, out);
            }
            Command::Retrieve(_)
            | Command::Quit
            | Command::MetaNoOp
            | Command::Stats
            | Command::StatsReset
            | Command::Version
            | Command::ConfigGetCluster => {}
        }
    }

    /// Answers a command that cannot be executed.
    pub fn refuse(&mut self, refusal: &Refusal<'_>, out: &mut Vec<u8>) {
        if refusal.error == ErrorLine::ObjectTooLarge {
            self.counters.store_too_large.add(1);
        }
        if let Some(key) = refusal.unlink {
            let bytes = key.bytes();
            let hash = self.seed.hash(&bytes);
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
        if error.is_ours() {
            self.counters.server_errors.add(1);
        } else {
            self.counters.client_errors.add(1);
        }
    }

    pub(crate) fn classic_error(&self, noreply: bool, error: ErrorLine, out: &mut Vec<u8>) {
        if noreply { self.count_error(error) } else { self.error(error, out) }
    }

    pub(crate) fn expiry(&self, exptime: Exptime) -> Expiry {
        match exptime {
            Exptime::Never => Expiry::Never,
            Exptime::Immediate => Expiry::Immediately,
            Exptime::Relative(secs) => Expiry::At(self.now.unix_secs().saturating_add(secs)),
            Exptime::Absolute(secs) => Expiry::At(secs),
        }
    }
}

/// `None` for a length that no parsed command's key has.
pub(crate) fn key(bytes: &[u8], hash: Option<KeyHash>) -> Option<Key<'_>> {
    Key::new(bytes, hash?)
}

pub(crate) fn status(noreply: bool, status: Status, out: &mut Vec<u8>) {
    if !noreply {
        encode::status(out, status);
    }
}
