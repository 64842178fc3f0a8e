//! The store against a plain map with memcached's semantics, with memory enough that nothing is
//! evicted. Every outcome, every field of every item and every version must agree.
//!
//! proptest prints the failing sequence and keeps its seed under `proptest-regressions`.

mod reference;
pub(super) mod strategy;

use super::SEED;
use crate::{Found, Key, Now, SlotCursor, Store, StoreConfig};
use memtide_topology::SlotId;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use reference::{Reference, Seen};
use strategy::{Op, transitions};

prop_state_machine! {
    #[test]
    fn a_store_behaves_as_a_map_with_memcacheds_semantics(sequential 1..120 => Machine);
}

struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Reference;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Reference> {
        Just(Reference::new()).boxed()
    }

    fn transitions(_: &Reference) -> BoxedStrategy<Op> {
        transitions()
    }

    fn apply(mut state: Reference, op: &Op) -> Reference {
        state.run(op);
        state
    }
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Store;
    type Reference = Self;

    fn init_test(_: &Reference) -> Store {
        let config = StoreConfig { shards: Some(2), ..StoreConfig::new(64 << 20, SEED) };
        Store::new(config)
    }

    fn apply(store: Store, reference: &Reference, op: Op) -> Store {
        let seen = run(&store, reference.now(), &op);
        assert_eq!(seen, reference.seen, "{op:?}");
        store
    }

    fn check_invariants(store: &Store, reference: &Reference) {
        store.check();
        let stats = store.stats();
        assert_eq!((stats.evicted, stats.out_of_memory), (0, 0));
        for key in strategy::keys() {
            let slot = SlotId::of(SEED.hash(key));
            assert_eq!(store.slot_version(slot), reference.version(slot), "version of {slot:?}");
        }
    }
}

/// Runs an operation on the store; says what a caller sees of it.
pub(super) fn run(store: &Store, now: Now, op: &Op) -> Seen {
    let key_of = |key: &'static [u8]| Key::new(key, SEED.hash(key)).unwrap();
    match op {
        Op::Lookup(key, lookup) => store.lookup(key_of(key), lookup, now, |found| match found {
            Found::Miss => Seen::Nothing,
            Found::Hit(hit) => Seen::hit(&hit),
        }),
        Op::Put(put) => {
            let key = key_of(put.key);
            let key = if put.is_binary { key.binary() } else { key };
            let value = put.value.bytes();
            Seen::Put(store.put(key, &put.op(&value), now))
        }
        Op::Arithmetic(key, op) => Seen::Arithmetic(store.arithmetic(key_of(key), op, now)),
        Op::Delete(key, op) => Seen::Delete(store.delete(key_of(key), op, now)),
        Op::Touch(key, expiry) => Seen::Touch(store.touch(key_of(key), *expiry, now)),
        Op::Wait(_) => Seen::Nothing,
        Op::Maintain => {
            store.expire_all(now);
            Seen::Nothing
        }
        Op::FlushAll => {
            store.flush_all();
            Seen::Nothing
        }
        Op::FlushSlot(key) => {
            store.flush_slot(SlotId::of(SEED.hash(key)));
            Seen::Nothing
        }
        Op::DropSlot(key) => {
            store.drop_slot(SlotId::of(SEED.hash(key)));
            Seen::Nothing
        }
        Op::List(key, items_max) => Seen::List(list(store, now, key, *items_max)),
        Op::Move(steps) => {
            store.expire_all(now);
            (0..*steps).for_each(|_| store.move_items(now));
            Seen::Nothing
        }
    }
}

/// Key, value and CAS unique of all items of the key's slot, in order.
fn list(store: &Store, now: Now, key: &[u8], items_max: usize) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
    let mut items = vec![];
    let mut cursor = Some(SlotCursor::start(SlotId::of(SEED.hash(key))));
    while let Some(from) = cursor {
        let before = items.len();
        cursor = store.slot_items(from, items_max, now, |item| {
            items.push((item.key.to_vec(), item.value.contiguous().into_owned(), item.cas));
        });
        assert!(cursor.is_none() || items.len() >= before, "a listing goes on");
    }
    items.sort();
    items
}
