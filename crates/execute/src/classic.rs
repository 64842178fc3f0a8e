use memtide_engine_core::{
    ArithmeticOutcome, DeleteOutcome, Expiry, Found, Key, Lookup, PREFETCH_MAX, Put, PutMode,
    PutOutcome,
};
use memtide_protocol::encode::{self, Status};
use memtide_protocol::{
    Arithmetic, Delete, Direction, ErrorLine, Keys, Retrieve, StoreVerb, Touch,
};
use memtide_topology::{EcpuUnits, KeyHash};

use crate::executor::{ItemExecutor, OUTPUT_BYTES_HIGH, key, status};

/// How far a get, gets, gat or gats has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retrieved {
    offset: usize,
    /// Keys looked up.
    pub keys: u64,
    /// Of these, before the last pause.
    keys_before: u64,
    /// Bytes of the command's line.
    pub line_bytes: u64,
    /// Reply bytes written.
    pub reply_bytes: u64,
    /// Whether the `END` is written.
    pub is_done: bool,
}

impl Retrieved {
    /// What the command costs as far as it has come.
    pub const fn cost(&self) -> EcpuUnits {
        EcpuUnits::of_command(self.keys, self.line_bytes + self.reply_bytes)
    }
}

/// Hashes of a multiget's next keys, whose memory was asked for.
struct HashesAhead {
    hashes: [Option<KeyHash>; PREFETCH_MAX],
    at: usize,
    /// Keys to ask for at the same time.
    max: usize,
}

impl HashesAhead {
    /// `keys_per_turn` is how many keys were answered before the output was full; 0 for unknown.
    fn up_to(keys_per_turn: u64) -> Self {
        let max = match usize::try_from(keys_per_turn) {
            Ok(keys @ 1..PREFETCH_MAX) => keys,
            _ => PREFETCH_MAX,
        };
        Self { hashes: [None; PREFETCH_MAX], at: 0, max }
    }

    /// The hash of `key`, which `rest` follows.
    #[inline]
    fn next(&mut self, key: &[u8], rest: &Keys<'_>, executor: &ItemExecutor<'_>) -> KeyHash {
        let hash = self.hashes.get_mut(self.at).and_then(Option::take);
        self.at += 1;
        hash.unwrap_or_else(|| self.look(key, rest, executor))
    }

    fn look(&mut self, key: &[u8], rest: &Keys<'_>, executor: &ItemExecutor<'_>) -> KeyHash {
        let seed = executor.seed;
        let first = seed.hash(key);
        let mut hashes = [first; PREFETCH_MAX];
        let mut count = 1;
        for (hash, key) in hashes[1..self.max].iter_mut().zip(rest.clone()) {
            *hash = seed.hash(key);
            self.hashes[count - 1] = Some(*hash);
            count += 1;
        }
        self.at = 0;
        executor.prefetch(&hashes[..count]);
        first
    }
}

impl ItemExecutor<'_> {
    /// Looks up the keys after `retrieved` and writes those found, until the output is full and
    /// there are more; `first` is the hash of the command's first key.
    pub fn retrieve(
        &mut self,
        (command, first): (&Retrieve<'_>, Option<KeyHash>),
        mut retrieved: Retrieved,
        out: &mut Vec<u8>,
    ) -> Retrieved {
        let touch = command.touch.map(|exptime| self.expiry(exptime));
        let lookup = Lookup { touch, ..Lookup::default() };
        let mut keys = command.keys_from(retrieved.offset);
        let mut first = first.filter(|_| retrieved.keys == 0);
        let keys_per_turn = retrieved.keys - retrieved.keys_before;
        let mut hashes = HashesAhead::up_to(keys_per_turn);
        retrieved.keys_before = retrieved.keys;
        loop {
            retrieved.offset = keys.offset();
            let Some(bytes) = keys.next() else { break };
            if out.len() >= OUTPUT_BYTES_HIGH {
                return retrieved;
            }
            let hash = first.take().unwrap_or_else(|| hashes.next(bytes, &keys, self));
            retrieved.keys += 1;
            if let Some(key) = Key::new(bytes, hash) {
                self.retrieve_one(key, &lookup, command.with_cas, out);
            }
        }
        encode::status(out, Status::End);
        self.executed.reads += 1;
        retrieved.is_done = true;
        retrieved
    }

    fn retrieve_one(&self, key: Key<'_>, lookup: &Lookup, with_cas: bool, out: &mut Vec<u8>) {
        let is_hit = self.store.lookup(key, lookup, self.now, |found| match found {
            Found::Miss => false,
            Found::Hit(hit) => {
                let item = hit.item;
                let cas = with_cas.then_some(item.cas);
                encode::value_header(out, key.bytes(), item.client_flags, item.value.len(), cas);
                for chunk in item.value.chunks() {
                    out.extend_from_slice(chunk);
                }
                out.extend_from_slice(b"\r\n");
                true
            }
        });
        self.count_lookup(lookup.touch.is_some(), is_hit);
    }

    /// memcached counts gat and mg T as touches, not as gets.
    pub(crate) fn count_lookup(&self, touches: bool, is_hit: bool) {
        let counters = self.counters;
        let (command, outcome) = match (touches, is_hit) {
            (true, true) => (&counters.cmd_touch, &counters.touch_hits),
            (true, false) => (&counters.cmd_touch, &counters.touch_misses),
            (false, true) => (&counters.cmd_get, &counters.get_hits),
            (false, false) => (&counters.cmd_get, &counters.get_misses),
        };
        command.add(1);
        outcome.add(1);
    }

    pub(crate) fn put(
        &mut self,
        command: &memtide_protocol::Store<'_>,
        hash: Option<KeyHash>,
        out: &mut Vec<u8>,
    ) {
        let (mode, cas_compare) = match command.verb {
            StoreVerb::Set => (PutMode::Set, None),
            StoreVerb::Add => (PutMode::Add, None),
            StoreVerb::Replace => (PutMode::Replace, None),
            StoreVerb::Append => (PutMode::Append, None),
            StoreVerb::Prepend => (PutMode::Prepend, None),
            StoreVerb::Cas(cas) => (PutMode::Set, Some(cas)),
        };
        let put = Put {
            mode,
            value: command.value,
            client_flags: command.client_flags,
            expiry: self.expiry(command.exptime),
            cas_compare,
            failure_removes: command.verb == StoreVerb::Set,
            ..Put::default()
        };
        let Some(key) = key(command.key, hash) else { return };
        let outcome = self.store.put(key, &put, self.now);
        self.count_put(cas_compare.is_some(), outcome);
        let reply = match outcome {
            PutOutcome::Stored { .. } => Status::Stored,
            PutOutcome::NotStored => Status::NotStored,
            PutOutcome::Exists => Status::Exists,
            PutOutcome::NotFound => Status::NotFound,
            PutOutcome::TooLarge => {
                return self.classic_error(command.noreply, ErrorLine::ObjectTooLarge, out);
            }
            PutOutcome::OutOfMemory => {
                return self.classic_error(command.noreply, ErrorLine::OutOfMemoryStoring, out);
            }
        };
        status(command.noreply, reply, out);
    }

    pub(crate) fn count_put(&mut self, compares: bool, outcome: PutOutcome) {
        let counters = self.counters;
        match outcome {
            PutOutcome::TooLarge => return counters.store_too_large.add(1),
            PutOutcome::OutOfMemory => return counters.store_no_memory.add(1),
            PutOutcome::Stored { .. } if compares => counters.cas_hits.add(1),
            PutOutcome::Exists if compares => counters.cas_badval.add(1),
            PutOutcome::NotFound if compares => counters.cas_misses.add(1),
            _ => {}
        }
        counters.cmd_set.add(1);
        self.executed.writes += 1;
    }

    pub(crate) fn delete(
        &mut self,
        command: &Delete<'_>,
        hash: Option<KeyHash>,
        out: &mut Vec<u8>,
    ) {
        let Some(key) = key(command.key, hash) else { return };
        let delete = memtide_engine_core::Delete::default();
        let outcome = self.store.delete(key, &delete, self.now);
        self.count_delete(outcome);
        let reply = match outcome {
            DeleteOutcome::Deleted => Status::Deleted,
            DeleteOutcome::NotFound => Status::NotFound,
            DeleteOutcome::Exists => Status::Exists,
            DeleteOutcome::OutOfMemory => {
                return self.classic_error(command.noreply, ErrorLine::OutOfMemory, out);
            }
        };
        status(command.noreply, reply, out);
    }

    pub(crate) fn count_delete(&mut self, outcome: DeleteOutcome) {
        match outcome {
            DeleteOutcome::Deleted => self.counters.delete_hits.add(1),
            DeleteOutcome::NotFound => self.counters.delete_misses.add(1),
            DeleteOutcome::Exists => {}
            DeleteOutcome::OutOfMemory => return,
        }
        self.executed.writes += 1;
    }

    pub(crate) fn arithmetic(
        &mut self,
        command: &Arithmetic<'_>,
        hash: Option<KeyHash>,
        out: &mut Vec<u8>,
    ) {
        let Some(key) = key(command.key, hash) else { return };
        let is_decrement = command.direction == Direction::Decrement;
        let op = memtide_engine_core::Arithmetic {
            is_decrement,
            ..memtide_engine_core::Arithmetic::incr(command.delta)
        };
        let outcome = self.store.arithmetic(key, &op, self.now);
        self.count_arithmetic(is_decrement, outcome);
        match outcome {
            ArithmeticOutcome::Done(number) if !command.noreply => {
                encode::number(out, number.value);
            }
            ArithmeticOutcome::Done(_) => {}
            ArithmeticOutcome::NotFound => status(command.noreply, Status::NotFound, out),
            ArithmeticOutcome::Exists => status(command.noreply, Status::Exists, out),
            ArithmeticOutcome::NonNumeric => {
                self.classic_error(command.noreply, ErrorLine::NonNumericValue, out);
            }
            ArithmeticOutcome::OutOfMemory | ArithmeticOutcome::OutOfMemoryVivifying => {
                self.classic_error(command.noreply, ErrorLine::OutOfMemory, out);
            }
        }
    }

    pub(crate) fn count_arithmetic(&mut self, is_decrement: bool, outcome: ArithmeticOutcome) {
        let counters = self.counters;
        match (outcome, is_decrement) {
            (ArithmeticOutcome::Done(_), false) => counters.incr_hits.add(1),
            (ArithmeticOutcome::Done(_), true) => counters.decr_hits.add(1),
            (ArithmeticOutcome::NotFound, false) => counters.incr_misses.add(1),
            (ArithmeticOutcome::NotFound, true) => counters.decr_misses.add(1),
            (ArithmeticOutcome::Exists, _) => {}
            _ => return,
        }
        self.executed.writes += 1;
    }

    pub(crate) fn touch(&mut self, command: &Touch<'_>, hash: Option<KeyHash>, out: &mut Vec<u8>) {
        let Some(key) = key(command.key, hash) else { return };
        let expiry: Expiry = self.expiry(command.exptime);
        let is_hit = self.store.touch(key, expiry, self.now);
        self.count_lookup(true, is_hit);
        self.executed.writes += 1;
        status(command.noreply, if is_hit { Status::Touched } else { Status::NotFound }, out);
    }
}
