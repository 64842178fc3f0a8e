//! A latency hides nothing.

use memtide_testkit::{Memcached, Memtide};

use crate::program::LoadTest;

/// What stops an endpoint for a second, 300 ms after the begin.
fn stall(pid: u32) -> String {
    format!("kill -STOP {pid}; sleep 1; kill -CONT {pid}")
}

#[test]
fn requests_that_were_due_in_a_stall_waited_for_its_end() {
    let server = Memcached::start();
    let test = LoadTest::of_memcached(&server);
    let stall = stall(server.pid());
    let words = ["--rate", "1000", "--duration", "3s", "--connections", "2"];
    let ended = test.run(&[&words[..], &["--at", "300ms", &stall]].concat()).success();
    // A third of the requests came due in the stall, though only two could be sent in it.
    assert!(ended.latency("max_us") > 980_000.0, "{}", ended.stdout);
    assert!(ended.latency("p90_us") > 250_000.0, "{}", ended.stdout);
    assert!(ended.count("totals/scheduled") > 2_700);
}

#[test]
fn a_closed_loop_says_that_it_saw_only_who_waited() {
    let server = Memcached::start();
    let test = LoadTest::of_memcached(&server);
    let stall = stall(server.pid());
    let words = ["--duration", "3s", "--connections", "2"];
    let ended = test.run(&[&words[..], &["--at", "300ms", &stall]].concat()).success();
    // It waited from when it wrote, which may be late.
    assert!(ended.latency("max_us") > 500_000.0, "{}", ended.stdout);
    assert_eq!(ended.json["is_open_loop"], false);
    if ended.json.get("latency").is_some() {
        assert!(ended.stdout.contains("says nothing about a fixed rate"), "{}", ended.stdout);
    }
}

#[test]
fn an_endpoint_that_does_not_keep_up_gets_no_latency() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).args(["--threads", "1"]).start();
    let test = LoadTest::of_memtide(&server);
    // Nothing that runs here answers 50 million a second on one connection.
    let words = ["--rate", "50M", "--connections", "1"];
    let ended = test.run(&words).success();
    assert!(ended.json.get("latency").is_none(), "{:#}", ended.json);
    let reasons = ended.json["distrust"].to_string();
    assert!(reasons.contains("were never sent"), "{reasons}");
    assert!(ended.stdout.contains("NO LATENCY IS SHOWN"), "{}", ended.stdout);
    let shown = ended.stdout.split("Generator").next().unwrap();
    assert!(!shown.contains(" us") && !shown.contains("p99"), "{}", ended.stdout);
}

#[test]
fn the_seed_repeats_the_load() {
    let server = Memcached::start();
    let test = LoadTest::of_memcached(&server);
    let words = ["--rate", "2000", "--mix", "get=3,set=1", "--fill", "--keys", "100"];
    // None is held back: there is room for all of them at a time.
    let words = [&words[..], &["--pipeline", "100"]].concat();
    let seeded = |seed| {
        let ended = test.run(&[&words[..], &["--seed", seed]].concat()).success();
        let of = |name| ended.count(&format!("totals/{name}"));
        (of("scheduled"), of("hits"), of("bytes_sent"))
    };
    assert_eq!(seeded("7"), seeded("7"));
    assert_ne!(seeded("7"), seeded("8"));
}
