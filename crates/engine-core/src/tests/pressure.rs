//! The store with far less memory than its items need: what is there is right, the limit holds,
//! and the counters add up.

use super::SEED;
use crate::{
    Delete, DeleteOutcome, Expiry, Found, Key, Lookup, Now, Put, PutMode, PutOutcome, SlotCursor,
    Store, StoreConfig,
};
use memtide_topology::SlotId;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const START: u32 = 1_000_000;
const KEYS: u16 = 400;

#[derive(Clone, Debug)]
enum Op {
    /// Key, value length, seconds to live (0 for ever).
    Set(u16, usize, u32),
    Append(u16, usize),
    Get(u16),
    Delete(u16),
    Wait(u32),
    Maintain,
    FlushSlot(u16),
    Limit(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let len = prop_oneof![
        8 => 0usize..500, 8 => 0usize..5_000, 4 => 0usize..70_000, 1 => 0usize..600_000
    ];
    let seconds = prop_oneof![3 => Just(0u32), 1 => 1u32..30];
    prop_oneof![
        40 => (0..KEYS, len, seconds).prop_map(|(key, len, secs)| Op::Set(key, len, secs)),
        8 => (0..KEYS, 0usize..2_000).prop_map(|(key, len)| Op::Append(key, len)),
        40 => (0..KEYS).prop_map(Op::Get),
        4 => (0..KEYS).prop_map(Op::Delete),
        3 => (0u32..10).prop_map(Op::Wait),
        3 => Just(Op::Maintain),
        1 => (0..KEYS).prop_map(Op::FlushSlot),
        1 => (2u64..5).prop_map(|mib| Op::Limit(mib << 20)),
    ]
}

/// A value that says whose it is.
fn content(key: u16, number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at / 5) ^ number) as u8 ^ key as u8).collect()
}

struct Test {
    store: Store,
    now: u32,
    /// Value and exptime that each key has if it was not evicted.
    written: BTreeMap<u16, (Vec<u8>, u32)>,
}

impl Test {
    fn run(&mut self, number: usize, op: &Op) {
        let now = Now::from_unix_secs(self.now);
        match *op {
            Op::Set(number_of_key, len, seconds) => {
                let value = content(number_of_key, number, len);
                let exptime = if seconds == 0 { 0 } else { self.now + seconds };
                let expiry = if seconds == 0 { Expiry::Never } else { Expiry::At(exptime) };
                let op = Put { value: &value, expiry, failure_removes: true, ..Put::default() };
                match with_key(number_of_key, |key| self.store.put(key, &op, now)) {
                    PutOutcome::Stored { .. } => {
                        self.written.insert(number_of_key, (value, exptime));
                    }
                    PutOutcome::OutOfMemory => _ = self.written.remove(&number_of_key),
                    other => panic!("{other:?}"),
                }
            }
            Op::Append(key, len) => self.append(key, &content(key, number, len)),
            Op::Get(key) => _ = self.get(key),
            Op::Delete(key) => {
                let op = Delete::default();
                let outcome = with_key(key, |key| self.store.delete(key, &op, now));
                let was_written = self.written.remove(&key).is_some();
                assert!(outcome == DeleteOutcome::NotFound || was_written);
            }
            Op::Wait(seconds) => self.now += seconds,
            Op::Maintain => _ = self.store.maintain(now, 1 << 20),
            Op::FlushSlot(key) => {
                let slot = with_key(key, |key| key.slot());
                self.store.flush_slot(slot);
                self.written.retain(|other, _| with_key(*other, |key| key.slot()) != slot);
            }
            Op::Limit(bytes) => {
                self.store.set_memory_max(bytes);
                while self.store.maintain(now, 1 << 20).is_behind {}
            }
        }
    }

    /// Looks a key up and asserts that it has its last value or none.
    fn get(&self, number: u16) -> bool {
        let now = Now::from_unix_secs(self.now);
        let written = self.written.get(&number);
        let live = written.filter(|(_, exptime)| *exptime == 0 || *exptime > self.now);
        with_key(number, |key| {
            self.store.lookup(key, &Lookup::default(), now, |found| match found {
                Found::Miss => false,
                Found::Hit(hit) => {
                    let (value, _) = live.expect("a hit was written and has not expired");
                    assert!(hit.item.value == **value, "key {number} has another value");
                    true
                }
            })
        })
    }

    fn append(&mut self, number: u16, value: &[u8]) {
        let now = Now::from_unix_secs(self.now);
        let op = Put { mode: PutMode::Append, value, ..Put::default() };
        match with_key(number, |key| self.store.put(key, &op, now)) {
            PutOutcome::Stored { value_len, .. } => {
                let (written, _) = self.written.get_mut(&number).expect("it was written");
                written.extend_from_slice(value);
                assert_eq!(written.len(), value_len as usize);
            }
            PutOutcome::NotStored => {}
            other => panic!("{other:?}"),
        }
    }

    /// Listing every slot gives just the keys that are found.
    fn check_listing(&self) {
        let now = Now::from_unix_secs(self.now);
        let found: BTreeSet<Vec<u8>> = (0..KEYS)
            .filter(|key| self.get(*key))
            .map(|key| with_key(key, |key| key.bytes().to_vec()))
            .collect();
        let mut listed = BTreeSet::new();
        for slot in SlotId::all() {
            let next = self.store.slot_items(SlotCursor::start(slot), usize::MAX, now, |item| {
                assert_eq!(SlotId::of(SEED.hash(item.key)), slot);
                assert!(listed.insert(item.key.to_vec()), "an item is listed once");
            });
            assert_eq!(next, None);
        }
        assert_eq!(listed, found);
    }
}

fn with_key<R>(number: u16, with: impl FnOnce(Key<'_>) -> R) -> R {
    let bytes = format!("key{number}");
    with(Key::new(bytes.as_bytes(), SEED.hash(bytes.as_bytes())).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]
    #[test]
    fn what_is_there_is_right_and_the_limit_holds(
        ops in vec(op(), 200..1500),
        shards in prop_oneof![Just(1u16), Just(4)],
    ) {
        let config = StoreConfig { shards: Some(shards), ..StoreConfig::new(4 << 20, SEED) };
        let store = Store::new(config);
        let mut test = Test { store, now: START, written: BTreeMap::new() };
        for (number, op) in ops.iter().enumerate() {
            test.run(number, op);
            let stats = test.store.stats();
            prop_assert!(stats.memory_used <= stats.memory_max, "{:?}: {:?}", op, stats);
            if number % 64 == 0 {
                test.store.check();
            }
        }
        test.store.check();
        test.check_listing();
    }
}
