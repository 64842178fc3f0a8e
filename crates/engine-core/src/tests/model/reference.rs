use super::strategy::{Op, PutOp, START};
use crate::number;
use crate::tests::SEED;
use crate::{
    Arithmetic, ArithmeticOutcome, Delete, DeleteOutcome, Expiry, Hit, Lookup, Now, Number, Put,
    PutMode, PutOutcome,
};
use memtide_topology::SlotId;
use std::collections::{BTreeMap, HashMap};

/// What a caller sees of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tests) enum Seen {
    Nothing,
    /// Everything of the hit as text, and the value.
    Hit(String, Vec<u8>),
    Put(PutOutcome),
    Arithmetic(ArithmeticOutcome),
    Delete(DeleteOutcome),
    Touch(bool),
    List(Vec<(Vec<u8>, Vec<u8>, u64)>),
}

impl Seen {
    pub(super) fn hit(hit: &Hit<'_>) -> Self {
        let item = &hit.item;
        let tokens = (hit.is_vivified, hit.is_won, hit.is_already_won, item.is_stale);
        let text = format!(
            "{:?} flags {} cas {} ttl {:?} before {:?} age {} fetched {} binary {} {tokens:?}",
            String::from_utf8_lossy(item.key),
            item.client_flags,
            item.cas,
            item.ttl,
            hit.ttl_before,
            hit.last_access_age,
            hit.was_fetched,
            item.key_is_binary,
        );
        Self::Hit(text, item.value.contiguous().into_owned())
    }
}

#[derive(Clone, Debug, Default)]
struct Entry {
    value: Vec<u8>,
    client_flags: u32,
    cas: u64,
    /// 0 for never.
    exptime: u32,
    last_access: u32,
    is_fetched: bool,
    is_stale: bool,
    has_token_out: bool,
    is_binary: bool,
}

impl Entry {
    /// As memcached counts it.
    fn size(&self, key: &[u8]) -> usize {
        let flags_len = if self.client_flags == 0 { 0 } else { 4 };
        48 + 8 + key.len() + 1 + flags_len + self.value.len() + 2
    }

    fn ttl(&self, now: u32) -> Option<u32> {
        (self.exptime != 0).then(|| self.exptime.saturating_sub(now))
    }
}

/// memcached as a map.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    now: u32,
    items: BTreeMap<&'static [u8], Entry>,
    versions: HashMap<SlotId, u64>,
    /// What the last operation showed.
    pub(super) seen: Seen,
}

fn exptime(expiry: Expiry) -> u32 {
    match expiry {
        Expiry::Never => 0,
        Expiry::At(at) => at,
        Expiry::Immediately => 1,
    }
}

fn slot(key: &[u8]) -> SlotId {
    SlotId::of(SEED.hash(key))
}

impl Reference {
    pub(super) fn new() -> Self {
        let (items, versions) = (BTreeMap::new(), HashMap::new());
        Self { now: START, items, versions, seen: Seen::Nothing }
    }

    pub(super) fn now(&self) -> Now {
        Now::from_unix_secs(self.now)
    }

    pub(super) fn version(&self, slot: SlotId) -> u64 {
        self.versions.get(&slot).copied().unwrap_or(0)
    }

    pub(super) fn run(&mut self, op: &Op) {
        self.seen = Seen::Nothing;
        match op {
            Op::Lookup(key, op) => self.seen = self.lookup(key, op),
            Op::Put(put) => self.seen = Seen::Put(self.put(put)),
            Op::Arithmetic(key, op) => self.seen = Seen::Arithmetic(self.arithmetic(key, op)),
            Op::Delete(key, op) => self.seen = Seen::Delete(self.delete(key, op)),
            Op::Touch(key, expiry) => {
                let op = Lookup { touch: Some(*expiry), ..Lookup::default() };
                self.seen = Seen::Touch(self.lookup(key, &op) != Seen::Nothing);
            }
            Op::Wait(seconds) => self.now += seconds,
            Op::Maintain | Op::Move(_) => {
                let keys: Vec<_> = self.items.keys().copied().collect();
                keys.into_iter().for_each(|key| self.expire(key));
            }
            Op::FlushAll => {
                self.items.clear();
                SlotId::all().for_each(|slot| _ = self.advance(slot));
            }
            Op::FlushSlot(key) => {
                self.items.retain(|other, _| slot(other) != slot(key));
                self.advance(slot(key));
            }
            Op::DropSlot(key) => {
                self.items.retain(|other, _| slot(other) != slot(key));
                self.versions.remove(&slot(key));
            }
            Op::List(key, _) => {
                let items = self.items.iter().filter(|(other, _)| slot(other) == slot(key));
                let items = items.filter(|(_, item)| item.exptime == 0 || item.exptime > self.now);
                let shown = items.map(|(key, item)| (key.to_vec(), item.value.clone(), item.cas));
                self.seen = Seen::List(shown.collect());
            }
        }
    }

    fn advance(&mut self, slot: SlotId) -> u64 {
        let version = self.versions.entry(slot).or_default();
        *version += 1;
        *version
    }

    /// Removes the item if it has expired.
    fn expire(&mut self, key: &'static [u8]) {
        if self.items.get(key).is_some_and(|item| item.exptime != 0 && item.exptime <= self.now) {
            self.items.remove(key);
            self.advance(slot(key));
        }
    }

    /// Links a new item, with marks cleared.
    fn link(&mut self, key: &'static [u8], cas: Option<u64>, entry: Entry) -> u64 {
        let version = self.advance(slot(key));
        let cas = cas.unwrap_or(version);
        self.items.insert(key, Entry { cas, last_access: self.now, ..entry });
        cas
    }

    fn lookup(&mut self, key: &'static [u8], op: &Lookup) -> Seen {
        self.expire(key);
        let now = self.now;
        if !self.items.contains_key(key) {
            let Some(expiry) = op.vivify else { return Seen::Nothing };
            let is_fetched = !op.no_bump;
            let exptime = exptime(expiry);
            let entry = Entry { exptime, is_fetched, has_token_out: true, ..Entry::default() };
            self.link(key, op.cas_override, entry);
            let item = &self.items[key];
            let shown = Shown { is_vivified: true, is_won: true, ..Shown::default() };
            return shown.seen(key, item, now);
        }
        let item = self.items.get_mut(key).unwrap();
        let mut shown = Shown {
            ttl_before: item.ttl(now),
            age: now - item.last_access,
            was_fetched: item.is_fetched,
            is_already_won: item.has_token_out,
            ..Shown::default()
        };
        let exptime_before = item.exptime;
        if let Some(expiry) = op.touch {
            item.exptime = exptime(expiry);
        }
        if let Some(recache) = op.recache {
            let judged = if recache.after_touch { item.exptime } else { exptime_before };
            shown.is_won = !item.has_token_out && judged != 0 && judged < exptime(recache.before);
        }
        if op.takes_token && item.is_stale && !item.has_token_out {
            shown.is_won = true;
        }
        item.has_token_out |= shown.is_won;
        if !op.no_bump {
            item.is_fetched = true;
            item.last_access = now;
        }
        let seen = shown.seen(key, item, now);
        if shown.is_won || op.touch.is_some() {
            self.advance(slot(key));
        }
        seen
    }

    fn put(&mut self, put: &PutOp) -> PutOutcome {
        let value = put.value.bytes();
        let op = put.op(&value);
        let key = put.key;
        self.expire(key);
        let Some(old) = self.items.get_mut(key) else {
            return self.put_missing(put, &op);
        };
        let compare = op.cas_compare.unwrap_or(0);
        let entry = Entry {
            value: op.value.to_vec(),
            client_flags: op.client_flags,
            exptime: exptime(op.expiry),
            is_binary: put.is_binary,
            ..Entry::default()
        };
        let entry = match op.mode {
            PutMode::Add => {
                old.last_access = self.now;
                return PutOutcome::NotStored;
            }
            PutMode::Set | PutMode::Replace => match op.cas_compare {
                None => entry,
                Some(_) if compare != 0 && compare == old.cas => entry,
                Some(_) if op.invalidate && compare != 0 && compare < old.cas => Entry {
                    exptime: old.exptime,
                    is_stale: true,
                    has_token_out: old.has_token_out,
                    ..entry
                },
                Some(_) => return PutOutcome::Exists,
            },
            PutMode::Append | PutMode::Prepend => {
                if compare != 0 && compare != old.cas {
                    return PutOutcome::Exists;
                }
                let value = match op.mode {
                    PutMode::Append => [&old.value, op.value].concat(),
                    _ => [op.value, &old.value].concat(),
                };
                let (client_flags, exptime) = (old.client_flags, old.exptime);
                let entry = Entry { value, client_flags, exptime, ..entry };
                if entry.size(key) > 1 << 20 {
                    return PutOutcome::NotStored;
                }
                entry
            }
        };
        self.stored(put, &op, entry)
    }

    fn put_missing(&mut self, put: &PutOp, op: &Put<'_>) -> PutOutcome {
        let expiry = match (op.mode, op.cas_compare, op.vivify) {
            (PutMode::Set | PutMode::Replace, Some(_), _) => return PutOutcome::NotFound,
            (PutMode::Replace, ..) => return PutOutcome::NotStored,
            (PutMode::Set | PutMode::Add, ..) => op.expiry,
            (PutMode::Append | PutMode::Prepend, _, Some(expiry)) => expiry,
            (PutMode::Append | PutMode::Prepend, _, None) => return PutOutcome::NotStored,
        };
        let entry = Entry {
            value: op.value.to_vec(),
            client_flags: op.client_flags,
            exptime: exptime(expiry),
            is_binary: put.is_binary,
            ..Entry::default()
        };
        self.stored(put, op, entry)
    }

    fn stored(&mut self, put: &PutOp, op: &Put<'_>, entry: Entry) -> PutOutcome {
        let value_len = u32::try_from(entry.value.len()).unwrap();
        let cas = self.link(put.key, op.cas_override, entry);
        PutOutcome::Stored { cas, value_len }
    }

    fn arithmetic(&mut self, key: &'static [u8], op: &Arithmetic) -> ArithmeticOutcome {
        self.expire(key);
        let now = self.now;
        let Some(old) = self.items.get(key).cloned() else {
            let Some(vivify) = op.vivify else { return ArithmeticOutcome::NotFound };
            let value = vivify.initial.to_string().into_bytes();
            let entry = Entry { value, exptime: exptime(vivify.expiry), ..Entry::default() };
            let ttl = entry.ttl(now);
            let cas = self.link(key, op.cas_override, entry);
            let value = vivify.initial;
            let number = Number { value, cas, ttl_before: None, ttl, is_vivified: true };
            return ArithmeticOutcome::Done(number);
        };
        if old.value.is_empty() || old.size(key) > 512 << 10 {
            return ArithmeticOutcome::NonNumeric;
        }
        if op.cas_compare.is_some_and(|cas| cas != 0 && cas != old.cas) {
            return ArithmeticOutcome::Exists;
        }
        // What reads as a number has a table of its own.
        let Some(before) = number::parse(&old.value) else {
            return ArithmeticOutcome::NonNumeric;
        };
        let after = match op.is_decrement {
            true => before.saturating_sub(op.delta),
            false => before.wrapping_add(op.delta),
        };
        let mut entry = old.clone();
        if let Some(expiry) = op.touch {
            entry.exptime = exptime(expiry);
        }
        let digits = after.to_string().into_bytes();
        if digits.len() > old.value.len() {
            (entry.is_fetched, entry.is_stale, entry.has_token_out) = (false, false, false);
            entry.value = digits;
        } else {
            entry.value = digits;
            entry.value.resize(old.value.len(), b' ');
        }
        let (ttl_before, ttl) = (old.ttl(now), entry.ttl(now));
        let cas = self.link(key, op.cas_override, entry);
        ArithmeticOutcome::Done(Number { value: after, cas, ttl_before, ttl, is_vivified: false })
    }

    fn delete(&mut self, key: &'static [u8], op: &Delete) -> DeleteOutcome {
        self.expire(key);
        let Some(old) = self.items.get(key).cloned() else { return DeleteOutcome::NotFound };
        if op.cas_compare.is_some_and(|cas| cas != old.cas) {
            return DeleteOutcome::Exists;
        }
        let mut entry = old.clone();
        let mut cas = op.cas_override;
        if op.remove_value {
            entry = Entry {
                client_flags: op.client_flags,
                exptime: exptime(op.touch.unwrap_or_default()),
                ..Entry::default()
            };
            cas = cas.or(if op.invalidate { None } else { Some(old.cas) });
        }
        if op.invalidate {
            (entry.is_stale, entry.has_token_out) = (true, false);
            if let Some(expiry) = op.touch {
                entry.exptime = exptime(expiry);
            }
        }
        if op.remove_value {
            self.link(key, cas, entry);
        } else if op.invalidate {
            let version = self.advance(slot(key));
            entry.cas = cas.unwrap_or(version);
            self.items.insert(key, entry);
        } else {
            self.items.remove(key);
            self.advance(slot(key));
        }
        DeleteOutcome::Deleted
    }
}

/// What a hit shows besides its item.
#[derive(Default)]
struct Shown {
    ttl_before: Option<u32>,
    age: u32,
    was_fetched: bool,
    is_vivified: bool,
    is_won: bool,
    is_already_won: bool,
}

impl Shown {
    fn seen(&self, key: &[u8], item: &Entry, now: u32) -> Seen {
        let tokens = (self.is_vivified, self.is_won, self.is_already_won, item.is_stale);
        let text = format!(
            "{:?} flags {} cas {} ttl {:?} before {:?} age {} fetched {} binary {} {tokens:?}",
            String::from_utf8_lossy(key),
            item.client_flags,
            item.cas,
            item.ttl(now),
            self.ttl_before,
            self.age,
            self.was_fetched,
            item.is_binary,
        );
        Seen::Hit(text, item.value.clone())
    }
}
