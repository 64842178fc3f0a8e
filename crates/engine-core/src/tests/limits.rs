//! Memory at its edges: tiny stores, items as large as there are, limits that change.

use super::SEED;
use crate::{
    Arithmetic, ArithmeticOutcome, Delete, Expiry, Found, Key, Lookup, Now, Put, PutMode,
    PutOutcome, Store, StoreConfig, VivifyNumber,
};

const NOW: Now = Now::from_unix_secs(1_000_000);

fn key(bytes: &str) -> Key<'_> {
    Key::new(bytes.as_bytes(), SEED.hash(bytes.as_bytes())).unwrap()
}

fn set(store: &Store, k: &str, value: &[u8]) -> PutOutcome {
    store.put(key(k), &Put { value, failure_removes: true, ..Put::default() }, NOW)
}

fn is_stored(outcome: PutOutcome) -> bool {
    matches!(outcome, PutOutcome::Stored { .. })
}

fn value_len(store: &Store, k: &str) -> Option<usize> {
    store.lookup(key(k), &Lookup::default(), NOW, |found| match found {
        Found::Hit(hit) => Some(hit.item.value.len()),
        Found::Miss => None,
    })
}

#[test]
fn a_store_without_room_refuses_and_does_not_panic() {
    let store = Store::new(StoreConfig::new(0, SEED));
    assert_eq!(set(&store, "k", b"v"), PutOutcome::OutOfMemory);
    let vivify = Lookup { vivify: Some(Expiry::Never), ..Lookup::default() };
    store.lookup(key("k"), &vivify, NOW, |found| assert_eq!(found, Found::Miss));
    let vivify = Some(VivifyNumber::default());
    let op = Arithmetic { vivify, ..Arithmetic::incr(1) };
    let outcome = store.arithmetic(key("k"), &op, NOW);
    assert_eq!(outcome, ArithmeticOutcome::OutOfMemoryVivifying);
    let append = Put { mode: PutMode::Append, vivify: Some(Expiry::Never), ..Put::default() };
    assert_eq!(store.put(key("k"), &append, NOW), PutOutcome::NotStored);
    assert_eq!(store.stats().out_of_memory, 4);
    assert!(!store.maintain(NOW, 1 << 20).is_behind);
    store.flush_all();
    store.check();
}

#[test]
fn a_set_that_finds_no_memory_removes_the_old_value() {
    let store = Store::new(StoreConfig { shards: Some(1), ..StoreConfig::new(700_000, SEED) });
    assert!(is_stored(set(&store, "k", b"old")));
    assert_eq!(set(&store, "k", &[7; 900_000]), PutOutcome::OutOfMemory);
    assert_eq!(value_len(&store, "k"), None);
    assert!(is_stored(set(&store, "k", b"old")));
    let add = Put { mode: PutMode::Replace, value: &[7; 900_000], ..Put::default() };
    assert_eq!(store.put(key("k"), &add, NOW), PutOutcome::OutOfMemory);
    assert_eq!(value_len(&store, "k"), Some(3), "a replace leaves it");
    store.check();
}

#[test]
fn the_least_memory_holds_the_largest_item() {
    for item_size_max in [2048, 1 << 20, 4 << 20] {
        let config = StoreConfig { item_size_max, ..StoreConfig::new(0, SEED) };
        let config = StoreConfig { memory_max: Store::memory_min(&config), ..config };
        let store = Store::new(config);
        let value = vec![7; item_size_max as usize - 100];
        for k in ["a", "b", "c", "d", "e"] {
            assert!(is_stored(set(&store, k, &value)), "{k} of {item_size_max}");
            assert_eq!(value_len(&store, k), Some(value.len()));
            store.check();
        }
    }
}

#[test]
fn large_items_find_room_whatever_their_shard() {
    let store = Store::new(StoreConfig { shards: Some(16), ..StoreConfig::new(64 << 20, SEED) });
    let value = vec![7; 1_000_000];
    for number in 0..500 {
        let k = format!("key{number}");
        assert!(is_stored(set(&store, &k, &value)), "{k}");
        assert_eq!(value_len(&store, &k), Some(value.len()));
    }
    let stats = store.stats();
    assert!(stats.items >= 55, "most of the memory holds items: {stats:?}");
    assert!(stats.memory_used <= stats.memory_max);
    for number in 0..20_000 {
        assert!(is_stored(set(&store, &format!("small{number}"), &value[..3000])));
    }
    let stats = store.stats();
    assert!(stats.bytes > stats.memory_max / 10 * 9, "small items fill the memory: {stats:?}");
    store.check();
}

#[test]
fn overwriting_evicts_nothing_while_dead_items_can_be_collected() {
    let store = Store::new(StoreConfig::new(8 << 20, SEED));
    for round in 0..40 {
        for number in 0..500 {
            let len = 3000 + (round * 37 + number * 11) % 4000;
            assert!(is_stored(set(&store, &format!("key{number}"), &vec![7; len])));
        }
    }
    let stats = store.stats();
    assert_eq!((stats.items, stats.evicted), (500, 0), "{stats:?}");
    store.check();
}

/// Fills a store with items of 100 bytes to 4 KiB, `memory` bytes and half as many again; returns the bytes
/// of those that it holds then.
fn fill(store: &Store, memory: u64) -> u64 {
    let value = vec![7; 4096];
    let (mut written, mut number) = (0, 0_usize);
    while written < memory / 2 * 3 {
        let len = 50 + number * 7_919 % 4_000;
        assert!(is_stored(set(store, &format!("key{number}"), &value[..len])));
        written += len as u64;
        number += 1;
    }
    let stats = store.stats();
    assert!(stats.memory_used <= stats.memory_max, "{stats:?}");
    stats.bytes
}

/// What grows in place holds nearly as much at either end as one that was made for that.
#[test]
fn a_store_that_may_get_more_holds_what_one_of_its_size_does() {
    let holds = |memory_max: u64, memory_capacity: u64| {
        let config = StoreConfig { memory_capacity, ..StoreConfig::new(memory_max, SEED) };
        let store = Store::new(config);
        let held = fill(&store, memory_max);
        (store, held)
    };
    let (small, large) = (64 << 20, 1 << 30);
    let made_small = holds(small, small).1;
    let made_large = holds(large, large).1;
    let within = |held: u64, made: u64, what: &str| {
        assert!(held * 100 >= made * 95, "{what}: {held} of {made}");
    };
    let (store, held) = holds(small, large);
    within(held, made_small, "1 GiB held to 64 MiB");
    store.set_memory_max(large);
    within(fill(&store, large), made_large, "and raised to 1 GiB");
    store.check();
    within(holds(small, 1 << 40).1, made_small, "1 TiB held to 64 MiB");
    within(holds(16 << 20, 64 << 30).1, holds(16 << 20, 16 << 20).1, "64 GiB held to 16 MiB");
}

/// The bytes of one slot after the other are those of all.
#[test]
fn the_bytes_of_slots_are_those_of_the_store() {
    let store = Store::new(StoreConfig { shards: Some(2), ..StoreConfig::new(64 << 20, SEED) });
    let slot = key("k").slot();
    let mut own = 0;
    for number in 0.. {
        let k = format!("{number}");
        // Many in one slot, so that it takes several locks, and some elsewhere.
        if key(&k).slot() == slot || number % 100_000 == 0 {
            let before = store.stats().bytes;
            assert!(is_stored(set(&store, &k, &[7; 100][..number % 100])));
            if key(&k).slot() == slot {
                own += store.stats().bytes - before;
            }
        }
        if number == 16_384 * 600 {
            break;
        }
    }
    assert_eq!(store.slot_bytes(slot), own);
    let all: u64 = memtide_topology::SlotId::all().map(|slot| store.slot_bytes(slot)).sum();
    assert_eq!(all, store.stats().bytes);
    store.flush_slot(slot);
    assert_eq!(store.slot_bytes(slot), 0);
}

#[test]
fn a_lower_limit_is_reached_in_the_background() {
    let store = Store::new(StoreConfig::new(32 << 20, SEED));
    for number in 0..8000 {
        set(&store, &format!("key{number}"), &[7; 3000]);
    }
    store.set_memory_max(8 << 20);
    let mut calls = 0;
    while store.maintain(NOW, 1 << 20).is_behind {
        calls += 1;
    }
    let stats = store.stats();
    assert!(stats.memory_used <= 8 << 20, "{stats:?}");
    assert!(stats.items > 1500, "it keeps what fits: {stats:?}");
    assert!(calls >= 10, "in steps of bounded work, not in {calls}");
    store.check();
}

/// Before the background has evicted anything.
#[test]
fn items_are_stored_while_more_is_held_than_a_lower_limit_allows() {
    let store = Store::new(StoreConfig::new(128 << 20, SEED));
    for number in 0..40_000 {
        set(&store, &format!("key{number}"), &[7; 3000]);
    }
    store.set_memory_max(8 << 20);
    let before = store.stats().memory_used;
    for number in 0..200 {
        let len = if number % 10 == 0 { 200_000 } else { 3000 };
        assert!(is_stored(set(&store, &format!("new{number}"), &vec![8; len])), "{number}");
    }
    let stats = store.stats();
    assert!(stats.memory_used <= before, "{} bytes, {stats:?}", before);
    assert!(stats.memory_used > 8 << 20, "it was not long enough: {stats:?}");
    while store.maintain(NOW, 1 << 20).is_behind {}
    assert!(store.stats().memory_used <= 8 << 20);
    store.check();
}

#[test]
fn expired_items_are_reclaimed_without_a_lookup() {
    let store = Store::new(StoreConfig::new(64 << 20, SEED));
    for number in 0..20_000u32 {
        let expiry = Expiry::At(NOW.unix_secs() + 1 + number % 100);
        let k = format!("key{number}");
        store.put(key(&k), &Put { value: &[7; 200], expiry, ..Put::default() }, NOW);
    }
    let mut scanned = 0;
    for second in 1..=130 {
        let now = Now::from_unix_secs(NOW.unix_secs() + second);
        for _ in 0..10 {
            scanned += store.maintain(now, 256 << 10).scanned_bytes;
        }
        let expired = store.stats().expired;
        let due = u64::from(second.min(100)) * 200;
        assert!(expired + 5000 >= due, "{expired} of {due} after {second} s");
    }
    let stats = store.stats();
    assert_eq!((stats.items, stats.expired_in_background), (0, 20_000));
    assert!(scanned < 40 * (20_000 * 240), "scans are worth it: {scanned} bytes");
    store.check();
}

#[test]
fn an_idle_store_is_not_scanned() {
    let store = Store::new(StoreConfig::new(64 << 20, SEED));
    for number in 0..10_000 {
        let k = format!("key{number}");
        let expiry = if number % 2 == 0 { Expiry::Never } else { Expiry::At(u32::MAX) };
        store.put(key(&k), &Put { value: &[7; 200], expiry, ..Put::default() }, NOW);
    }
    let maintained = store.maintain(NOW, 1 << 20);
    assert_eq!((maintained.scanned_bytes, maintained.is_behind), (0, false));
}

#[test]
fn memory_of_deleted_items_is_given_back() {
    let store = Store::new(StoreConfig::new(64 << 20, SEED));
    let empty = store.stats().memory_used;
    let keys: Vec<String> = (0..20_000).map(|number| format!("key{number}")).collect();
    keys.iter().for_each(|k| _ = set(&store, k, &[7; 1000]));
    let full = store.stats().memory_used;
    for (number, k) in keys.iter().enumerate() {
        if number % 10 != 0 {
            store.delete(key(k), &Delete::default(), NOW);
        }
    }
    while store.maintain(NOW, 1 << 20).is_behind {}
    let stats = store.stats();
    let left = stats.memory_used - empty;
    assert!(left < (full - empty) / 3, "{left} of {}: {stats:?}", full - empty);
    keys.iter().for_each(|k| _ = store.delete(key(k), &Delete::default(), NOW));
    let left = store.stats().memory_used - empty;
    assert!(left < 2 << 20, "active segments only: {left}");
    store.check();
}

/// Threads add to the same counters while others fill the memory and list slots.
#[test]
fn no_increment_is_lost() {
    const THREADS: u64 = 4;
    const EACH: u64 = 5_000;
    let store = Store::new(StoreConfig { shards: Some(4), ..StoreConfig::new(8 << 20, SEED) });
    let counters: Vec<String> = (0..8).map(|number| format!("counter{number}")).collect();
    let vivify = Some(VivifyNumber::default());
    let add = Arithmetic { vivify, ..Arithmetic::incr(1) };
    let sums: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (store, counters, add) = (&store, &counters, &add);
                scope.spawn(move || {
                    let mut added = vec![0; counters.len()];
                    for number in 0..EACH {
                        let which = (number % counters.len() as u64) as usize;
                        match store.arithmetic(key(&counters[which]), add, NOW) {
                            ArithmeticOutcome::Done(done) if !done.is_vivified => added[which] += 1,
                            ArithmeticOutcome::Done(_) => {}
                            other => panic!("{other:?}"),
                        }
                        let filler = format!("filler{thread}:{number}");
                        let len = (number * 97 % 3000) as usize;
                        assert!(is_stored(set(store, &filler, &vec![7; len])));
                        if number % 512 == 0 {
                            store.maintain(NOW, 1 << 20);
                        }
                    }
                    added
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    store.check();
    let stats = store.stats();
    assert!(stats.evicted > 0, "there was pressure: {stats:?}");
    for (which, k) in counters.iter().enumerate() {
        let expected: u64 = sums.iter().map(|added| added[which]).sum();
        let found = match store.arithmetic(key(k), &Arithmetic::incr(0), NOW) {
            ArithmeticOutcome::Done(done) => done.value,
            other => panic!("a counter that is in use is not evicted: {other:?}"),
        };
        assert_eq!(found, expected, "{k}");
    }
}

#[test]
fn items_that_are_used_outlive_a_scan() {
    let store = Store::new(StoreConfig::new(8 << 20, SEED));
    let hot: Vec<String> = (0..500).map(|number| format!("hot{number}")).collect();
    hot.iter().for_each(|k| assert!(is_stored(set(&store, k, &[7; 1000]))));
    for number in 0..50_000 {
        assert!(is_stored(set(&store, &format!("scanned{number}"), &[7; 1000])));
        if number % 10 == 0 {
            value_len(&store, &hot[number / 10 % hot.len()]);
        }
    }
    let left = hot.iter().filter(|k| value_len(&store, k).is_some()).count();
    assert!(left > 490, "{left} of {}", hot.len());
    let scanned = (0..50_000).filter(|n| value_len(&store, &format!("scanned{n}")).is_some());
    assert!(scanned.count() > 5000, "the memory is in use");
    store.check();
}

#[test]
fn one_of_many_wins_a_vivified_item() {
    let store = Store::new(StoreConfig::new(16 << 20, SEED));
    let op = Lookup { vivify: Some(Expiry::Never), takes_token: true, ..Lookup::default() };
    for number in 0..500 {
        let k = format!("key{number}");
        let start = std::sync::Barrier::new(4);
        let wins = std::thread::scope(|scope| {
            let race = || {
                start.wait();
                store.lookup(key(&k), &op, NOW, |found| match found {
                    Found::Hit(hit) => usize::from(hit.is_won),
                    Found::Miss => panic!("there is memory"),
                })
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(wins, 1, "{k}");
    }
}

#[test]
fn a_prefetch_changes_nothing_and_waits_for_nobody() {
    let store = Store::new(StoreConfig::new(64 << 20, SEED));
    let hashes = ["small", "large", "expired", "absent"].map(|k| key(k).hash());
    store.prefetch(&hashes);
    assert!(is_stored(set(&store, "small", b"v")));
    assert!(is_stored(set(&store, "large", &[7; 300_000])));
    let expiry = Expiry::At(NOW.unix_secs() - 1);
    assert!(is_stored(store.put(key("expired"), &Put { expiry, ..Put::default() }, NOW)));
    let before = store.stats();
    // Under the lock of one of the keys' shards.
    store.lookup(key("small"), &Lookup { no_bump: true, ..Lookup::default() }, NOW, |found| {
        assert!(matches!(found, Found::Hit(_)));
        store.prefetch(&hashes);
    });
    store.prefetch(&hashes);
    store.prefetch(&[]);
    assert_eq!(store.stats(), before);
    assert_eq!(value_len(&store, "large"), Some(300_000));
    store.check();
}

/// A store that may grow from 2 MiB to 8, and what it holds of so many items of 1 KB.
fn grown(items: u32) -> (Store, usize) {
    let config = StoreConfig { memory_capacity: 8 << 20, ..StoreConfig::new(2 << 20, SEED) };
    let store = Store::new(config);
    store.set_memory_ceiling(8 << 20);
    let names = || (0..items).map(|item| format!("key {item}"));
    names().for_each(|name| assert!(is_stored(set(&store, &name, &[7; 1_000]))));
    let held = names().filter(|name| value_len(&store, name).is_some()).count();
    store.check();
    (store, held)
}

#[test]
fn memory_is_taken_up_to_the_ceiling_before_anything_is_evicted() {
    let (store, held) = grown(5_000);
    let stats = store.stats();
    assert_eq!((held, stats.evicted), (5_000, 0));
    assert!(stats.memory_max < 7 << 20, "little more than is used: {stats:?}");
    let (store, held) = grown(20_000);
    let stats = store.stats();
    assert_eq!(stats.memory_max, 8 << 20);
    assert!(stats.evicted > 0 && stats.memory_used <= 8 << 20, "{stats:?}");
    assert!(held > 6_000, "{held}");
}

#[test]
fn dead_items_are_collected_before_more_memory_is_taken() {
    let config = StoreConfig { memory_capacity: 64 << 20, ..StoreConfig::new(8 << 20, SEED) };
    let store = Store::new(config);
    store.set_memory_ceiling(64 << 20);
    // One in eight stays, so that no segment is dead as a whole; each value is of another length than the last.
    for item in 0..20_000 {
        let value = vec![7; 800 + item % 17];
        assert!(is_stored(set(&store, &format!("goes {}", item % 500), &value)));
        if item % 8 == 0 {
            assert!(is_stored(set(&store, &format!("stays {item}"), &value)));
        }
    }
    let stats = store.stats();
    assert_eq!((stats.items, stats.evicted), (3_000, 0));
    assert!(stats.memory_max <= 9 << 20, "{stats:?}");
    store.check();
}

#[test]
fn what_was_granted_is_taken_back_only_where_the_store_has_not_grown_since() {
    let (store, _) = grown(5_000);
    let before = store.stats().memory_max;
    store.flush_all();
    assert!(!store.grant_memory(before + 1, 2 << 20), "it was seen to be another");
    assert!(store.grant_memory(before, 2 << 20));
    assert_eq!(store.stats().memory_max, 2 << 20);
    assert!(store.grant_memory(2 << 20, 4 << 20));
    assert!(!store.grant_memory(4 << 20, 9 << 20), "the ceiling is lower");
    assert_eq!(store.stats().memory_max, 8 << 20);
    store.set_memory_ceiling(3 << 20);
    assert_eq!(store.stats().memory_max, 3 << 20);
}
