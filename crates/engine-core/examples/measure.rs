//! Measures the store: `cargo run --release -p memtide-engine-core --example measure -- WHAT ..`
//!
//! ```text
//! bytes [ITEMS] [MIB]         real bytes per item beyond key and value
//! ops [ITEMS] [ROUNDS]        nanoseconds per get and per set, one thread
//! batch [ITEMS] [LEN]         nanoseconds per get in batches of 16, with and without their prefetch
//! threads [ITEMS]             CPU time of an operation by number of threads
//! churn [MIB]                 resident memory against the limit, sizes and lifetimes at random
//! trace FILE BYTES            miss ratio of a look-aside replay of `key size` lines
//! ```
#![allow(clippy::print_stdout, reason = "a program that prints figures")]
#![allow(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![allow(clippy::cast_possible_truncation, reason = "figures are small")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use memtide_engine_core::{
    Expiry, Found, Key, Lookup, Now, PREFETCH_MAX, Put, PutOutcome, Store, StoreConfig,
};
use memtide_topology::{HashSeed, KeyHash};
use std::hint::black_box;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: HashSeed = HashSeed::new(0x1234, 0x5678);
const NOW: Now = Now::from_unix_secs(1_700_000_000);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: u64| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    match arguments.first().map(String::as_str) {
        Some("bytes") => bytes(number(1, 1_000_000), number(2, 1024) << 20),
        Some("ops") => ops(number(1, 1_000_000), number(2, 10_000_000)),
        Some("batch") => batch(number(1, 1_000_000), number(2, 100) as usize),
        Some("threads") => threads(number(1, 1_000_000)),
        Some("churn") => churn(number(1, 256) << 20),
        Some("trace") => trace(&arguments[1], number(2, 64 << 20)),
        _ => println!("bytes | ops | batch | threads | churn | trace FILE BYTES"),
    }
}

/// xorshift64*; good enough to spread keys and sizes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// Log-normal by the sum of uniform numbers.
    fn size(&mut self, median: f64, sigma: f64) -> usize {
        let normal: f64 =
            (0..12).map(|_| (self.next() >> 11) as f64 / (1u64 << 53) as f64).sum::<f64>() - 6.0;
        (median * (sigma * normal).exp()) as usize
    }
}

fn key_bytes(number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let digits = format!("{number:012}");
    key[4..].copy_from_slice(digits.as_bytes());
    key
}

fn put(store: &Store, key: &[u8], value: &[u8], expiry: Expiry, now: Now) -> PutOutcome {
    let key = Key::new(key, SEED.hash(key)).unwrap();
    store.put(key, &Put { value, expiry, ..Put::default() }, now)
}

fn is_hit(store: &Store, key: &[u8]) -> bool {
    let key = Key::new(key, SEED.hash(key)).unwrap();
    store.lookup(key, &Lookup::default(), NOW, |found| matches!(found, Found::Hit(_)))
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn filled(items: u64, memory: u64) -> Store {
    let store = Store::new(StoreConfig::new(memory, SEED));
    for number in 0..items {
        put(&store, &key_bytes(number), &[b'v'; 100], Expiry::Never, NOW);
    }
    store
}

fn bytes(items: u64, memory: u64) {
    let before = resident();
    let store = filled(items, memory);
    let stats = store.stats();
    let payload = 116 * stats.items;
    println!(
        "limit {} MiB: {} items, beyond key and value {:.1} bytes resident, {:.1} accounted, index {:.2}",
        memory >> 20,
        stats.items,
        (resident() - before - payload) as f64 / stats.items as f64,
        (stats.memory_used - payload) as f64 / stats.items as f64,
        stats.index_bytes as f64 / stats.items as f64,
    );
}

/// Nanoseconds that this thread has had a core: what others on the machine do counts less.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// The least of five rounds.
fn time(name: &str, operations: u64, mut run: impl FnMut(u64)) {
    let rounds = (0..5).map(|_| {
        let started = cpu_ns();
        (0..operations / 5).for_each(&mut run);
        (cpu_ns() - started) as f64 / (operations / 5) as f64
    });
    let ns = rounds.fold(f64::INFINITY, f64::min);
    println!("{name:<32} {ns:>7.1} ns");
}

fn ops(items: u64, rounds: u64) {
    let store = filled(items, 8 << 30);
    let mut random = Random(1);
    let keys: Vec<[u8; 16]> = (0..1 << 16).map(|_| key_bytes(random.below(items))).collect();
    let hashes: Vec<KeyHash> = keys.iter().map(|key| SEED.hash(key)).collect();
    let hot = |number: u64| (number & 0x3ff) as usize;
    let any = |number: u64| (number & 0xffff) as usize;
    let mut buffer = Vec::with_capacity(256);
    let mut get = |at: usize| {
        let key = Key::new(&keys[at], hashes[at]).unwrap();
        store.lookup(key, &Lookup::default(), NOW, |found| {
            if let Found::Hit(hit) = found {
                buffer.clear();
                hit.item.value.chunks().for_each(|chunk| buffer.extend_from_slice(chunk));
            }
        });
        black_box(&buffer);
    };
    time("get, 1,024 hot keys", rounds, |n| get(hot(n)));
    time("get, 65,536 keys", rounds, |n| get(any(n)));
    time("hash of a 16-byte key", rounds, |n| _ = black_box(SEED.hash(&keys[any(n)])));
    time("get of a missing key", rounds, |n| {
        let key = b"no such key here";
        let hash = KeyHash::from_bits(hashes[any(n)].bits() ^ 1 << 40);
        store.lookup(Key::new(key, hash).unwrap(), &Lookup::default(), NOW, |_| ());
    });
    let set = |at: usize, len: usize| {
        let key = Key::new(&keys[at], hashes[at]).unwrap();
        store.put(key, &Put { value: &[7; 200][..len], ..Put::default() }, NOW);
    };
    time("set in place, hot", rounds, |n| set(hot(n), 100));
    time("set in place, 65,536 keys", rounds, |n| set(any(n), 100));
    time("set of another size", rounds, |n| set(any(n), 100 + (n >> 16 & 15) as usize * 4));
    let small = filled(items, (items * 150).max(16 << 20) / 2);
    let mut number = items;
    time("set that evicts, new keys", rounds / 3, |_| {
        number += 1;
        put(&small, &key_bytes(number), &[7; 100], Expiry::Never, NOW);
    });
    println!("{:?}", small.stats());
}

/// Random keys, hashed when they are asked for; in pairs of rounds, and the median of each.
fn batch(items: u64, len: usize) {
    let store = Store::new(StoreConfig::new(1 << 30, SEED));
    for number in 0..items {
        put(&store, &key_bytes(number), &vec![b'v'; len], Expiry::Never, NOW);
    }
    let mut random = Random(1);
    let mut buffer = Vec::with_capacity(256 << 10);
    let (mut keys, mut hashes) = (vec![], vec![]);
    let rounds = 15;
    let mut round = |size: usize, prefetches: bool| {
        let batches = 1_000_000 / size;
        let started = cpu_ns();
        for _ in 0..batches {
            keys.clear();
            keys.extend((0..size).map(|_| key_bytes_fast(random.below(items))));
            hashes.clear();
            hashes.extend(keys.iter().map(|key| SEED.hash(key)));
            if prefetches {
                store.prefetch(&hashes);
            }
            buffer.clear();
            for (key, hash) in keys.iter().zip(&hashes) {
                let key = Key::new(key, *hash).unwrap();
                store.lookup(key, &Lookup::default(), NOW, |found| {
                    if let Found::Hit(hit) = found {
                        hit.item.value.chunks().for_each(|chunk| buffer.extend_from_slice(chunk));
                    }
                });
            }
            black_box(&buffer);
        }
        (cpu_ns() - started) as f64 / (batches * size) as f64
    };
    for size in [2, 4, 8, PREFETCH_MAX] {
        let (mut without, mut with): (Vec<f64>, Vec<f64>) =
            (0..rounds).map(|_| (round(size, false), round(size, true))).unzip();
        without.sort_by(f64::total_cmp);
        with.sort_by(f64::total_cmp);
        let (without, with) = (without[rounds / 2], with[rounds / 2]);
        println!("batches of {size:>2}: {without:>6.1} ns a get, with prefetch {with:>6.1}");
    }
}

fn threads(items: u64) {
    let store = filled(items, 1 << 30);
    for threads in [1, 2, 4] {
        for (name, sets_of_16) in [("get", 0), ("get and set 15:1", 1), ("set", 16)] {
            let each = 2_000_000;
            let run = |thread: u64| {
                let mut random = Random(thread + 1);
                let started = cpu_ns();
                for n in 0..each {
                    let key = key_bytes_fast(random.below(items));
                    if n % 16 < sets_of_16 {
                        put(&store, &key, &[7; 100], Expiry::Never, NOW);
                    } else {
                        black_box(is_hit(&store, &key));
                    }
                }
                cpu_ns() - started
            };
            let rounds = (0..3).map(|_| {
                let cpu: u64 = std::thread::scope(|scope| {
                    let all: Vec<_> = (0..threads)
                        .map(|thread| {
                            scope.spawn({
                                let run = &run;
                                move || run(thread)
                            })
                        })
                        .collect();
                    all.into_iter().map(|thread| thread.join().unwrap()).sum()
                });
                cpu as f64 / (each * threads) as f64
            });
            let ns = rounds.fold(f64::INFINITY, f64::min);
            println!("{threads} threads, {name:<17} {ns:>6.0} ns of CPU each");
        }
    }
}

/// As [`key_bytes`], without `format!`.
fn key_bytes_fast(mut number: u64) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    for at in (4..16).rev() {
        key[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    key
}

/// Sizes and lifetimes change every round, as a day's traffic would.
fn churn(memory: u64) {
    let value = vec![7; 1 << 20];
    let before = resident();
    let store = Store::new(StoreConfig::new(memory, SEED));
    let mut random = Random(3);
    let mut written = 0;
    let mut now = NOW.unix_secs();
    let (mut largest_used, mut largest_resident) = (0, 0);
    for round in 0u64..15 {
        let median = [100.0, 400.0, 3000.0, 20_000.0, 800.0][(round % 5) as usize];
        while written < memory * (round + 1) {
            let key = key_bytes(random.below(memory / 400));
            let len = random.size(median, 1.2).min(1_000_000);
            let expiry = match random.below(3) {
                0 => Expiry::Never,
                _ => Expiry::At(now + 1 + random.below(600) as u32),
            };
            let outcome = put(&store, &key, &value[..len], expiry, Now::from_unix_secs(now));
            assert!(matches!(outcome, PutOutcome::Stored { .. }), "{outcome:?}");
            written += len as u64;
            if random.below(1000) == 0 {
                now += 1;
                store.maintain(Now::from_unix_secs(now), 4 << 20);
                largest_used = largest_used.max(store.stats().memory_used);
                largest_resident = largest_resident.max(resident() - before);
            }
        }
        let stats = store.stats();
        println!(
            "round {round:>2}, median {median:>6}: {:>8} items, live {:.3} of the limit, accounted {:.3}, resident {:.3}, most {:.3} and {:.3}",
            stats.items,
            stats.bytes as f64 / memory as f64,
            stats.memory_used as f64 / memory as f64,
            (resident() - before) as f64 / memory as f64,
            largest_used as f64 / memory as f64,
            largest_resident as f64 / memory as f64,
        );
    }
    println!("{:?}", store.stats());
}

fn trace(file: &str, memory: u64) {
    let text = std::fs::read_to_string(file).unwrap();
    let requests = text.lines().map(|line| line.split_once(' ').unwrap());
    let store = Store::new(StoreConfig::new(memory, SEED));
    let value = vec![7; 1 << 20];
    let (mut all, mut misses, mut refused) = (0u64, 0u64, 0u64);
    let started = Instant::now();
    for (key, size) in requests {
        all += 1;
        if !is_hit(&store, key.as_bytes()) {
            misses += 1;
            let value = &value[..size.parse().unwrap()];
            let outcome = put(&store, key.as_bytes(), value, Expiry::Never, NOW);
            refused += u64::from(!matches!(outcome, PutOutcome::Stored { .. }));
        }
    }
    let stats = store.stats();
    println!(
        "{file} {memory}: miss ratio {:.4}, {refused} refused, live {:.3}, {:.1?}",
        misses as f64 / all as f64,
        stats.bytes as f64 / memory as f64,
        started.elapsed()
    );
}
