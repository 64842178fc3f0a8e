use std::io::Write;
use std::sync::Arc;

use memtide_protocol::{Arithmetic, Delete, Direction, Exptime, Store, StoreVerb, Touch, request};

use super::super::mix::is_counter;
use super::super::random::mixed;
use super::super::settings::LoadSettings;
use crate::measure::CommandKind;

/// What a counter is set to: far from the ends that `decr` stops at and `incr` wraps at.
const COUNTER: &[u8] = b"1000000000";

/// How much `append` and `prepend` add at a time.
const APPENDED_BYTES: usize = 16;

/// Tells a key's hash for values from that of its name.
const VALUE_HASH: u64 = 0x76_61_6c_75_65;

/// Writes requests for keys of a run; its memory is used again for each.
#[derive(Debug)]
pub(in super::super) struct Writer {
    settings: Arc<LoadSettings>,
    /// Names of a request's keys, one behind the other.
    names: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    flags: Vec<u8>,
}

impl Writer {
    pub(in super::super) fn new(settings: Arc<LoadSettings>) -> Self {
        Self { settings, names: Vec::new(), ends: Vec::new(), flags: Vec::new() }
    }

    pub(super) fn start_names(&mut self) {
        self.names.clear();
        self.ends.clear();
    }

    pub(super) fn add_name(&mut self, id: u64) {
        self.settings.names.append(id, &mut self.names);
        self.ends.push(self.names.len());
    }

    /// `get`, `gets` or `gat` of the names that were added.
    pub(super) fn retrieve(&self, out: &mut Vec<u8>, with_cas: bool, touch: Option<Exptime>) {
        let mut from = 0;
        let keys = self.ends.iter().map(|&end| {
            let name = &self.names[from..end];
            from = end;
            name
        });
        request::retrieve(out, keys, with_cas, touch);
    }

    /// A command on one key that is no retrieval.
    pub(in super::super) fn one_key(
        &mut self,
        command: CommandKind,
        id: u64,
        exptime: Exptime,
        out: &mut Vec<u8>,
    ) {
        self.name(command, id);
        let key = &self.names;
        let value = || value_of(&self.settings, id);
        let mut store = |verb, value| store(out, verb, key, exptime, value);
        match command {
            CommandKind::Set => store(StoreVerb::Set, value()),
            CommandKind::Add => store(StoreVerb::Add, value()),
            CommandKind::Replace => store(StoreVerb::Replace, value()),
            CommandKind::Append => store(StoreVerb::Append, start_of(value())),
            CommandKind::Prepend => store(StoreVerb::Prepend, start_of(value())),
            CommandKind::Incr => arithmetic(out, Direction::Increment, key),
            CommandKind::Decr => arithmetic(out, Direction::Decrement, key),
            CommandKind::Delete => request::delete(out, &Delete { key, noreply: false }),
            CommandKind::Touch => request::touch(out, &Touch { key, exptime, noreply: false }),
            CommandKind::Mg => request::meta_get(out, key, b"v k"),
            CommandKind::Md => request::meta_delete(out, key, b"k"),
            CommandKind::Ms => {
                set_flags(&mut self.flags, 'T', exptime);
                request::meta_set(out, key, &self.flags, value());
            }
            CommandKind::Ma => {
                set_flags(&mut self.flags, 'N', exptime);
                request::meta_arithmetic(out, key, &self.flags);
            }
            CommandKind::Get | CommandKind::Gets | CommandKind::Gat | CommandKind::Cas => {
                unreachable!("these are written by retrieve and cas")
            }
        }
    }

    /// `cas` of a key with the CAS unique that came back.
    pub(super) fn cas(&mut self, (id, cas): (u64, u64), exptime: Exptime, out: &mut Vec<u8>) {
        self.name(CommandKind::Cas, id);
        store(out, StoreVerb::Cas(cas), &self.names, exptime, value_of(&self.settings, id));
    }

    /// `set` of a counter.
    pub(in super::super) fn set_counter(&mut self, id: u64, exptime: Exptime, out: &mut Vec<u8>) {
        self.name(CommandKind::Incr, id);
        store(out, StoreVerb::Set, &self.names, exptime, COUNTER);
    }

    /// Whether `key` is what the command calls the key of this id.
    pub(super) fn is_name(&mut self, command: CommandKind, id: u64, key: &[u8]) -> bool {
        self.name(command, id);
        self.names == key
    }

    fn name(&mut self, command: CommandKind, id: u64) {
        self.names.clear();
        if is_counter(command) {
            self.settings.names.append_counter(id, &mut self.names);
        } else {
            self.settings.names.append(id, &mut self.names);
        }
    }
}

fn value_of(settings: &LoadSettings, id: u64) -> &[u8] {
    let hash = mixed(id ^ VALUE_HASH);
    settings.values.of(hash, settings.value_sizes.of(hash))
}

fn start_of(value: &[u8]) -> &[u8] {
    &value[..value.len().min(APPENDED_BYTES)]
}

fn store(out: &mut Vec<u8>, verb: StoreVerb, key: &[u8], exptime: Exptime, value: &[u8]) {
    request::store(out, &Store { verb, key, client_flags: 0, exptime, value, noreply: false });
}

fn arithmetic(out: &mut Vec<u8>, direction: Direction, key: &[u8]) {
    request::arithmetic(out, &Arithmetic { direction, key, delta: 1, noreply: false });
}

/// The expiry as `T` or `N` says it; the key is asked for too, and with `N` (which makes a counter
/// that is not there) the number.
fn set_flags(flags: &mut Vec<u8>, flag: char, exptime: Exptime) {
    flags.clear();
    let more = if flag == 'N' { " v" } else { "" };
    write!(flags, "{flag}{} k{more}", exptime.to_wire()).expect("a Vec takes what is written");
}
