//! What finding and storing an item costs. A row repeats its work [`REPEATS`] times.
#![allow(missing_docs, unused_qualifications, reason = "gungraun's macros write such code")]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use memtide_engine_core::{
    Delete, DeleteOutcome, Found, Key, Lookup, Now, Put, PutOutcome, Store, StoreConfig,
};
use memtide_gates::{ITEMS, REPEATS, VALUE, key, require_valgrind};
use memtide_topology::HashSeed;

const SEED: HashSeed = HashSeed::new(0x1234, 0x5678);
const NOW: Now = Now::from_unix_secs(1_800_000_000);

/// A store, and the keys of the row.
struct Site {
    store: Store,
    keys: Vec<String>,
}

fn hashed(bytes: &str) -> Key<'_> {
    let bytes = black_box(bytes.as_bytes());
    Key::new(bytes, SEED.hash(bytes)).expect("keys here are 16 bytes")
}

fn put(store: &Store, key: Key<'_>) -> PutOutcome {
    store.put(key, &Put { value: black_box(&VALUE), ..Put::default() }, NOW)
}

fn delete(store: &Store, key: Key<'_>) -> DeleteOutcome {
    store.delete(key, &Delete::default(), NOW)
}

/// The keys from `first` on, the first [`ITEMS`] of which are stored.
///
/// So were [`REPEATS`] more, which left room in the index: no row is to pay for a table that
/// happens to grow in it.
fn site(first: usize) -> Site {
    let store = Store::new(StoreConfig::new(64 << 20, SEED));
    let all: Vec<_> = (0..ITEMS + REPEATS).map(key).collect();
    for bytes in &all {
        assert!(matches!(put(&store, hashed(bytes)), PutOutcome::Stored { .. }), "there is room");
    }
    for bytes in &all[ITEMS..] {
        assert_eq!(delete(&store, hashed(bytes)), DeleteOutcome::Deleted);
    }
    Site { store, keys: all[first..][..REPEATS].to_vec() }
}

fn stored() -> Site {
    site(ITEMS / 2)
}

fn missing() -> Site {
    site(ITEMS)
}

#[library_benchmark]
#[bench::key(stored())]
fn route_keys(site: Site) -> Site {
    for bytes in &site.keys {
        black_box(hashed(bytes).slot());
    }
    site
}

library_benchmark_group!(name = route, benchmarks = route_keys);

#[library_benchmark]
#[bench::hit(stored(), true)]
#[bench::miss(missing(), false)]
fn look_up(site: Site, is_hit: bool) -> Site {
    for bytes in &site.keys {
        let was_hit =
            site.store.lookup(hashed(bytes), &Lookup::default(), NOW, |found| match found {
                Found::Hit(hit) => {
                    hit.item.value.chunks().for_each(|chunk| _ = black_box(chunk));
                    true
                }
                Found::Miss => false,
            });
        assert_eq!(was_hit, is_hit);
    }
    site
}

library_benchmark_group!(name = lookup, benchmarks = look_up);

#[library_benchmark]
#[bench::set_new(missing())]
#[bench::set_overwrite(stored())]
fn set_items(site: Site) -> Site {
    for bytes in &site.keys {
        assert!(matches!(put(&site.store, hashed(bytes)), PutOutcome::Stored { .. }));
    }
    site
}

#[library_benchmark]
#[bench::delete(stored())]
fn delete_items(site: Site) -> Site {
    for bytes in &site.keys {
        assert_eq!(delete(&site.store, hashed(bytes)), DeleteOutcome::Deleted);
    }
    site
}

library_benchmark_group!(name = store, benchmarks = [set_items, delete_items]);

main!(setup = require_valgrind(); library_benchmark_groups = route, lookup, store);
