//! I7: the memory limit, eviction and expiry, seen from outside.

use memtide_testkit::{Client, Memtide, MemtideBuilder, PATIENCE, Rng, Server, wait_until};

fn memtide() -> MemtideBuilder {
    Memtide::builder(env!("CARGO_BIN_EXE_memtide"))
}

const MIB: u64 = 1024 * 1024;

/// What the process holds beside items: code, runtime, TLS, buffers, what the allocator keeps.
/// Does not grow with the limit.
const OVERHEAD_BYTES_MAX: u64 = 96 * MIB;

fn gauge(memtide: &Memtide, name: &str) -> u64 {
    let value = memtide.metrics().get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_string().parse().unwrap()
}

/// Stores values of these sizes under new keys until `total` bytes were sent, and reads each back at
/// once: a store that was acknowledged is there.
fn fill(client: &mut Client, total: u64, sizes: impl Fn(&mut Rng) -> usize) {
    let mut rng = Rng::new(5);
    let (mut sent, mut number) = (0, 0u64);
    while sent < total {
        let mut request = String::new();
        let mut expected = String::new();
        for _ in 0..16 {
            number += 1;
            let len = sizes(&mut rng);
            let value = number.to_string().repeat(len.div_ceil(5).max(1));
            let value = &value[..len.min(value.len())];
            let len = value.len();
            request
                .push_str(&format!("set key{number} 0 0 {len}\r\n{value}\r\nget key{number}\r\n"));
            expected
                .push_str(&format!("STORED\r\nVALUE key{number} 0 {len}\r\n{value}\r\nEND\r\n"));
            sent += u64::try_from(len).unwrap() + 60;
        }
        client.send(request.as_bytes()).unwrap();
        let reply = client.read_exact(expected.len()).unwrap();
        assert!(reply == expected.as_bytes(), "around key{number}");
    }
}

fn check_limit(what: &str, sizes: impl Fn(&mut Rng) -> usize) {
    const LIMIT: u64 = 32 * MIB;
    let memtide = memtide().args(["--memory", "32m"]).start();
    let mut client = memtide.connect();
    fill(&mut client, 6 * LIMIT, sizes);
    let used = gauge(&memtide, "memtide_memory_used_bytes");
    assert_eq!(gauge(&memtide, "memtide_memory_limit_bytes"), LIMIT);
    assert!(used <= LIMIT + 2 * MIB, "{what}: {used} bytes used");
    assert!(used >= LIMIT / 2, "{what}: {used} bytes used, most of the limit lies idle");
    assert!(gauge(&memtide, "memtide_items_evicted_total") > 0, "{what}");
    let rss = memtide.rss_bytes();
    assert!(rss <= LIMIT + OVERHEAD_BYTES_MAX, "{what}: {rss} bytes resident");
    assert!(!client.ask(b"stats\r\n").unwrap().contains("STAT evictions 0\r\n"), "{what}");
}

#[test]
fn small_items_stay_within_the_limit() {
    check_limit("small", |rng| 1 + rng.below(300));
}

#[test]
fn items_of_all_sizes_stay_within_the_limit() {
    check_limit("mixed", |rng| {
        let bits = rng.below(20);
        1 + rng.below(1 << bits)
    });
}

#[test]
fn the_largest_items_stay_within_the_limit() {
    check_limit("large", |_| 1_048_000);
}

/// A working set that is asked for again and again outlives a flood of items that nobody wants.
#[test]
fn what_is_used_outlives_what_is_not() {
    let memtide = memtide().args(["--memory", "32m"]).start();
    let mut client = memtide.connect();
    let wanted: String = (0..1_000).map(|number| format!(" wanted{number}")).collect();
    let sets: String = (0..1_000)
        .map(|number| format!("set wanted{number} 0 0 100\r\n{}\r\n", "w".repeat(100)))
        .collect();
    drop(client.ask(sets.as_bytes()).unwrap());
    for round in 0..100 {
        let hits =
            client.ask(format!("get{wanted}\r\n").as_bytes()).unwrap().matches("VALUE ").count();
        assert!(hits > 950, "{hits} of 1000 wanted items left in round {round}");
        let flood: String = (0..10_000)
            .map(|number| {
                format!("set flood{round}-{number} 0 0 100 noreply\r\n{}\r\n", "f".repeat(100))
            })
            .collect();
        drop(client.ask(flood.as_bytes()).unwrap());
    }
    assert!(gauge(&memtide, "memtide_items_evicted_total") > 0);
}

#[test]
fn expired_items_are_reclaimed_without_being_asked_for() {
    let memtide = memtide().start();
    let mut client = memtide.connect();
    let sets: String = (0..5_000)
        .map(|number| format!("set key{number} 0 1 100 noreply\r\n{}\r\n", "x".repeat(100)))
        .collect();
    drop(client.ask(sets.as_bytes()).unwrap());
    drop(client.ask(b"set keeps 0 0 1\r\nx\r\n").unwrap());
    wait_until("the expired items to go", PATIENCE, || {
        (gauge(&memtide, "memtide_items") == 1).then_some(())
    });
    assert_eq!(gauge(&memtide, "memtide_items_reclaimed_total"), 5_000);
    assert_eq!(gauge(&memtide, "memtide_items_evicted_total"), 0);
    assert_eq!(client.ask(b"get keeps\r\n").unwrap(), "VALUE keeps 0 1\r\nx\r\nEND\r\n");
}

/// What is deleted, flushed or overwritten makes room: nothing is evicted for what follows.
#[test]
fn room_is_given_back() {
    let memtide = memtide().args(["--memory", "64m"]).start();
    let mut client = memtide.connect();
    for round in 0..6 {
        for number in 0..30 {
            let reply = client
                .ask(
                    format!("set big{number} 0 0 1000000\r\n{}\r\n", "x".repeat(1_000_000))
                        .as_bytes(),
                )
                .unwrap();
            assert_eq!(reply, "STORED\r\n");
        }
        match round % 3 {
            0 => assert_eq!(client.ask(b"flush_all\r\n").unwrap(), "OK\r\n"),
            1 => {
                let deletes: String =
                    (0..30).map(|number| format!("delete big{number}\r\n")).collect();
                assert_eq!(client.ask(deletes.as_bytes()).unwrap(), "DELETED\r\n".repeat(30));
            }
            _ => {}
        }
    }
    assert_eq!(gauge(&memtide, "memtide_items_evicted_total"), 0);
    assert_eq!(gauge(&memtide, "memtide_items"), 30);
}

#[test]
fn a_larger_item_size_maximum_is_kept_to() {
    let memtide = memtide().args(["--item-size-max", "8m"]).start();
    let mut client = memtide.connect();
    let value = "v".repeat(8_000_000);
    let reply = client.ask(format!("set big 0 0 8000000\r\n{value}\r\n").as_bytes()).unwrap();
    assert_eq!(reply, "STORED\r\n");
    let got = client.ask(b"get big\r\n").unwrap();
    assert!(got == format!("VALUE big 0 8000000\r\n{value}\r\nEND\r\n"));
    let reply = client
        .ask(format!("set big 0 0 8388608\r\n{}\r\n", "v".repeat(8_388_608)).as_bytes())
        .unwrap();
    assert_eq!(reply, "SERVER_ERROR object too large for cache\r\n");
}
