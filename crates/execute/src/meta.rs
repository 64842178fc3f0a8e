use memtide_engine_core::{
    ArithmeticOutcome, DeleteOutcome, Found, Hit, Lookup, Put, PutMode, PutOutcome, Recache,
    VivifyNumber,
};
use memtide_protocol::encode::{self, ItemMeta, Marks, MetaStatus, Ttl};
use memtide_protocol::{
    Direction, ErrorLine, FlagTokens, Key, MetaArithmetic, MetaDelete, MetaGet, MetaSet, SetMode,
};

use memtide_topology::KeyHash;

use crate::executor::{ItemExecutor, key};

/// Whether flag `first` stands before flag `second`; memcached works flags off in their order.
fn comes_before(flags: FlagTokens<'_>, first: u8, second: u8) -> bool {
    let found =
        flags.iter().filter_map(|token| token.first()).find(|&&f| f == first || f == second);
    found == Some(&first)
}

const fn ttl(secs: Option<u32>) -> Ttl {
    match secs {
        Some(secs) => Ttl::Secs(secs),
        None => Ttl::Never,
    }
}

/// The key, remembering that the client sent it in base64.
fn meta_key<'k>(
    bytes: &'k [u8],
    sent: Key<'_>,
    hash: Option<KeyHash>,
) -> Option<memtide_engine_core::Key<'k>> {
    let key = key(bytes, hash)?;
    Some(if sent.is_base64() { key.binary() } else { key })
}

impl ItemExecutor<'_> {
    pub(crate) fn meta_get(
        &mut self,
        command: &MetaGet<'_>,
        hash: Option<KeyHash>,
        out: &mut Vec<u8>,
    ) {
        let bytes = command.key.bytes();
        let Some(key) = meta_key(&bytes, command.key, hash) else { return };
        let touch = command.touch.map(|exptime| self.expiry(exptime));
        let is_touched_last = touch.is_some() && comes_before(command.flags, b'N', b'T');
        let vivify = command.vivify.map(|exptime| self.expiry(exptime));
        let lookup = Lookup {
            touch,
            vivify: if vivify.is_some() && is_touched_last { touch } else { vivify },
            recache: command.recache.map(|exptime| Recache {
                before: self.expiry(exptime),
                after_touch: comes_before(command.flags, b'T', b'R'),
            }),
            cas_override: command.new_cas,
            no_bump: command.is_unbumped,
            takes_token: true,
        };
        let is_hit = self.store.lookup(key, &lookup, self.now, |found| match found {
            Found::Miss => {
                encode::meta_get_miss(out, command);
                false
            }
            Found::Hit(hit) => {
                write_hit(command, &hit, out);
                !hit.is_vivified
            }
        });
        self.count_lookup(touch.is_some(), is_hit);
        self.counters.cmd_meta.add(1);
        self.executed.reads += 1;
    }

    pub(crate) fn meta_set(
        &mut self,
        command: &MetaSet<'_>,
        hash: Option<KeyHash>,
        out: &mut Vec<u8>,
    ) {
        let bytes = command.key.bytes();
        let Some(key) = meta_key(&bytes, command.key, hash) else { return };
        let put = Put {
            mode: match command.mode {
                SetMode::Set => PutMode::Set,
                SetMode::Add => PutMode::Add,
                SetMode::Replace => PutMode::Replace,
                SetMode::Append => PutMode::Append,
                SetMode::Prepend => PutMode::Prepend,
            },
            value: command.value,
            client_flags: command.client_flags,
            expiry: self.expiry(command.exptime),
            cas_compare: command.compare_cas,
            cas_override: command.new_cas,
            invalidate: command.invalidate,
            vivify: command.vivify.map(|exptime| self.expiry(exptime)),
            failure_removes: true,
        };
        let outcome = self.store.put(key, &put, self.now);
        self.count_put(command.compare_cas.is_some(), outcome);
        self.counters.cmd_meta.add(1);
        let (status, cas, value_len) = match outcome {
            PutOutcome::Stored { cas, value_len } => (MetaStatus::Done, cas, value_len as usize),
            PutOutcome::NotStored => (MetaStatus::NotStored, 0, command.value.len()),
            PutOutcome::Exists => (MetaStatus::Exists, 0, command.value.len()),
            PutOutcome::NotFound => (MetaStatus::NotFound, 0, command.value.len()),
            PutOutcome::TooLarge => return self.error(ErrorLine::ObjectTooLarge, out),
            PutOutcome::OutOfMemory => return self.error(ErrorLine::OutOfMemoryStoring, out),
        };
        encode::meta_set(out, command, status, cas, value_len);
    }

    pub(crate) fn meta_delete(
        &mut self,
        command: &MetaDelete<'_>,
        hash: Option<KeyHash>,
        out: &mut Vec<u8>,
    ) {
        let bytes = command.key.bytes();
        let Some(key) = meta_key(&bytes, command.key, hash) else { return };
        let delete = memtide_engine_core::Delete {
            cas_compare: command.compare_cas,
            cas_override: command.new_cas,
            invalidate: command.invalidate,
            remove_value: command.removes_value,
            touch: command.exptime.map(|exptime| self.expiry(exptime)),
            client_flags: command.client_flags,
        };
        let outcome = self.store.delete(key, &delete, self.now);
        self.count_delete(outcome);
        self.counters.cmd_meta.add(1);
        let status = match outcome {
            DeleteOutcome::Deleted => MetaStatus::Done,
            DeleteOutcome::NotFound => MetaStatus::NotFound,
            DeleteOutcome::Exists => MetaStatus::Exists,
            DeleteOutcome::OutOfMemory => return self.error(ErrorLine::OutOfMemory, out),
        };
        encode::meta_delete(out, command, status);
    }

    pub(crate) fn meta_arithmetic(
        &mut self,
        command: &MetaArithmetic<'_>,
        hash: Option<KeyHash>,
        out: &mut Vec<u8>,
    ) {
        let bytes = command.key.bytes();
        let Some(key) = meta_key(&bytes, command.key, hash) else { return };
        let touch = command.touch.map(|exptime| self.expiry(exptime));
        let is_touched_last = comes_before(command.flags, b'N', b'T');
        let is_decrement = command.direction == Direction::Decrement;
        let op = memtide_engine_core::Arithmetic {
            is_decrement,
            delta: command.delta,
            vivify: command.vivify.map(|exptime| VivifyNumber {
                initial: command.initial,
                expiry: touch.filter(|_| is_touched_last).unwrap_or_else(|| self.expiry(exptime)),
            }),
            cas_compare: command.compare_cas,
            cas_override: command.new_cas,
            touch,
        };
        let outcome = self.store.arithmetic(key, &op, self.now);
        self.count_arithmetic(is_decrement, outcome);
        self.counters.cmd_meta.add(1);
        let status = match outcome {
            ArithmeticOutcome::Done(number) => {
                let left = if number.is_vivified || comes_before(command.flags, b'T', b't') {
                    number.ttl
                } else {
                    number.ttl_before
                };
                let (value, cas) = (number.value, number.cas);
                return encode::meta_arithmetic_done(out, command, value, cas, ttl(left));
            }
            ArithmeticOutcome::NotFound => MetaStatus::NotFound,
            ArithmeticOutcome::Exists => MetaStatus::Exists,
            ArithmeticOutcome::NonNumeric => return self.error(ErrorLine::NonNumericValue, out),
            ArithmeticOutcome::OutOfMemory | ArithmeticOutcome::OutOfMemoryVivifying => {
                return self.error(ErrorLine::OutOfMemory, out);
            }
        };
        encode::meta_arithmetic_failed(out, command, status);
    }
}

fn write_hit(command: &MetaGet<'_>, hit: &Hit<'_>, out: &mut Vec<u8>) {
    let item = hit.item;
    let is_after_touch = hit.is_vivified || comes_before(command.flags, b'T', b't');
    let meta = ItemMeta {
        client_flags: item.client_flags,
        cas: item.cas,
        ttl: ttl(if is_after_touch { item.ttl } else { hit.ttl_before }),
        last_access_secs: hit.last_access_age,
        hit_before: hit.was_fetched,
        value_len: item.value.len(),
    };
    let marks = Marks { won: hit.is_won, stale: item.is_stale, win_sent: hit.is_already_won };
    if encode::meta_get_hit(out, command, &meta, marks) {
        for chunk in item.value.chunks() {
            out.extend_from_slice(chunk);
        }
        out.extend_from_slice(b"\r\n");
    }
}
