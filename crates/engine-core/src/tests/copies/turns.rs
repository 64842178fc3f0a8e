//! Slots that become copies and the node's own in turn, in any order with all else.

use super::{START, apply, item, slot_of, small, value_of, with_key};
use crate::shard::Pressure;
use crate::{ApplyError, Change, Delete, Expiry, Now, Put, PutOutcome, SlotCursor, Store};
use memtide_topology::SlotId;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

const KEYS: u16 = 300;

#[derive(Clone, Debug)]
enum Op {
    /// Key, value length, seconds to live (0 for ever): stored where it is the node's own, and
    /// applied where its slot is a copy.
    Put(u16, usize, u32),
    Remove(u16),
    Get(u16),
    /// The key's slot becomes a copy, or the node's own.
    Turn(u16),
    /// Every slot whose number is in this class of eight becomes a copy, or the node's own.
    TurnMany(u16, bool),
    FlushAll,
    Wait(u32),
    Maintain,
    Limit(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![6 => 0usize..500, 6 => 0usize..9_000, 1 => 0usize..90_000];
    let seconds = prop_oneof![3 => Just(0u32), 1 => 1u32..30];
    prop_oneof![
        60 => (0..KEYS, len, seconds).prop_map(|(key, len, secs)| Op::Put(key, len, secs)),
        6 => (0..KEYS).prop_map(Op::Remove),
        20 => (0..KEYS).prop_map(Op::Get),
        6 => (0..KEYS).prop_map(Op::Turn),
        2 => (0u16..8, any::<bool>()).prop_map(|(class, is_copy)| Op::TurnMany(class, is_copy)),
        1 => Just(Op::FlushAll),
        3 => (0u32..10).prop_map(Op::Wait),
        3 => Just(Op::Maintain),
        1 => (3u64..5).prop_map(|mib| Op::Limit(mib << 20)),
    ]
}

/// What a key was given last; the node's own may have been evicted.
type Written = BTreeMap<u16, (Vec<u8>, u32)>;

struct Test {
    store: Store,
    now: u32,
    written: Written,
    keys: BTreeMap<SlotId, Vec<u16>>,
}

fn name(key: u16) -> String {
    format!("key{key}")
}

impl Test {
    fn now(&self) -> Now {
        Now::from_unix_secs(self.now)
    }

    fn is_copy(&self, key: u16) -> bool {
        // Nothing is removed that is not there.
        let change = Change::Removed { key: b"no such key" };
        match apply(&self.store, &name(key), &change, self.now()) {
            Err(ApplyError::NotACopy) => false,
            Err(ApplyError::OtherSlot(_)) => true,
            other => panic!("{other:?}"),
        }
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Put(key, len, seconds) => self.put(key, len, seconds),
            Op::Remove(key) => {
                let name = name(key);
                if self.is_copy(key) {
                    let change = Change::Removed { key: name.as_bytes() };
                    assert_eq!(apply(&self.store, &name, &change, self.now()), Ok(()));
                } else {
                    with_key(&name, |key| self.store.delete(key, &Delete::default(), self.now()));
                }
                self.written.remove(&key);
            }
            Op::Get(key) => self.check(key),
            Op::Turn(key) => self.turn(slot_of(&name(key)), !self.is_copy(key)),
            Op::TurnMany(class, is_copy) => {
                let slots = SlotId::all().filter(|slot| slot.number() % 8 == class);
                slots.for_each(|slot| self.turn(slot, is_copy));
            }
            Op::FlushAll => {
                self.store.flush_all();
                let copies: Vec<_> = (0..KEYS).filter(|key| self.is_copy(*key)).collect();
                self.written.retain(|key, _| copies.contains(key));
            }
            Op::Wait(seconds) => self.now += seconds,
            Op::Maintain => self.maintain(),
            Op::Limit(bytes) => {
                self.store.set_memory_max(bytes);
                self.maintain();
            }
        }
    }

    fn maintain(&self) {
        let mut calls = 0;
        while self.store.maintain(self.now(), 1 << 20).is_behind {
            calls += 1;
            assert!(calls < 1000, "background work ends");
        }
    }

    fn put(&mut self, key: u16, len: usize, seconds: u32) {
        let (name, value) = (name(key), vec![key as u8 ^ len as u8; len]);
        let exptime = if seconds == 0 { 0 } else { self.now + seconds };
        if self.is_copy(key) {
            let change = Change::Item(item(&name, &value, exptime));
            match apply(&self.store, &name, &change, self.now()) {
                Ok(()) => _ = self.written.insert(key, (value, exptime)),
                Err(ApplyError::NoRoom { value_len }) => assert_eq!(value_len, len),
                other => panic!("{other:?}"),
            }
            return;
        }
        let expiry = if seconds == 0 { Expiry::Never } else { Expiry::At(exptime) };
        let op = Put { value: &value, expiry, failure_removes: true, ..Put::default() };
        match with_key(&name, |key| self.store.put(key, &op, self.now())) {
            PutOutcome::Stored { .. } => _ = self.written.insert(key, (value, exptime)),
            PutOutcome::OutOfMemory => _ = self.written.remove(&key),
            other => panic!("{other:?}"),
        }
    }

    fn turn(&mut self, slot: SlotId, is_copy: bool) {
        for &key in self.keys.get(&slot).into_iter().flatten() {
            // From now on it must be there if it was, and may not be there if it was not.
            let is_there = self.is_there(key);
            if is_copy && !is_there {
                self.written.remove(&key);
            }
        }
        self.store.set_copy(slot, is_copy);
    }

    /// Whether there is an item, expired or not, for all that a copy shows.
    fn is_there(&self, key: u16) -> bool {
        let before = Now::from_unix_secs(1);
        let slot = slot_of(&name(key));
        let mut found = false;
        self.store.slot_items(SlotCursor::start(slot), usize::MAX, before, |item| {
            found |= item.key == name(key).as_bytes();
        });
        found
    }

    fn check(&self, key: u16) {
        let found = value_of(&self.store, &name(key), self.now());
        let is_live = |exptime: u32| exptime == 0 || exptime > self.now;
        match self.written.get(&key) {
            Some((value, exptime)) if is_live(*exptime) => {
                let is_missing = found.is_none() && !self.is_copy(key);
                assert!(is_missing || found.as_ref() == Some(value), "key {key} is {found:?}");
            }
            Some(_) => {
                assert_eq!(found, None, "key {key} has expired");
                assert!(!self.is_copy(key) || self.is_there(key), "key {key} of a copy stays");
            }
            None => assert_eq!(found, None, "key {key} is nowhere"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 16))]
    #[test]
    fn copies_stay_while_their_node_evicts_and_expires_its_own(
        ops in vec(op(), 200..1500),
        shards in prop_oneof![Just(1u16), Just(4)],
    ) {
        let (written, store) = (BTreeMap::new(), small(3 << 20, shards));
        let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
        (0..KEYS).for_each(|key| keys.entry(slot_of(&name(key))).or_default().push(key));
        let mut test = Test { store, now: START, written, keys };
        for (number, op) in ops.iter().enumerate() {
            test.run(op);
            let stats = test.store.stats();
            let is_over = stats.memory_used > stats.memory_max;
            prop_assert!(!is_over || stats.copy_items > 0 , "{:?}: {:?}", op, stats);
            if number % 64 == 0 {
                test.store.check();
            }
        }
        test.store.check();
        (0..KEYS).for_each(|key| test.check(key));
        // All of its own again: everything can be evicted.
        SlotId::all().for_each(|slot| test.turn(slot, false));
        let now = test.now();
        test.store.each_shard_mut(|env, shard| while shard.evict_step(env, now, Pressure::Normal) {});
        prop_assert_eq!(test.store.stats().items, 0);
        test.store.check();
    }
}
