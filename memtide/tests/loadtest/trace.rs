//! Traces: what was recorded is asked again.

use std::fmt::Write as _;

use memtide_testkit::{Memcached, Memtide};

use crate::program::LoadTest;
use crate::stub::{Answer, stub};

/// Ten seconds of a look-aside cache: every key is asked for, stored, and asked for again.
fn trace() -> String {
    let mut csv = String::new();
    for second in 0..10 {
        for key in 0..30 {
            let op = if second == 0 { "set" } else { "get" };
            writeln!(csv, "{second},anonymous{key},20,{},5,{op},3600", 100 + key).unwrap();
        }
    }
    csv
}

#[test]
fn every_line_is_asked_once_in_its_time() {
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&memtide);
    std::fs::write(test.file("trace.csv"), trace()).unwrap();
    let mut command = test.command(&["--trace", "trace.csv", "--trace-speed", "10"]);
    command.args(["--threads", "2", "--connections", "4"]);
    let ended = test.ended(command.output().unwrap()).success();
    assert_eq!(ended.json["ended"]["how"], "trace_ended");
    assert_eq!(ended.count("totals/replies"), 300);
    assert_eq!(ended.count("totals/hits"), 270);
    assert_eq!(ended.count("totals/misses"), 0);
    assert_eq!(memtide.metrics().get("memtide_items"), Some(30.0));
    // Ten recorded seconds, ten times as fast; the last request is due shortly before their end.
    assert!(ended.number("measured_s") > 0.9, "{}", ended.stdout);
}

#[test]
fn requests_of_a_trace_that_found_no_connection_are_told() {
    let test = LoadTest::of_plain(stub(|_| Answer::Silence));
    std::fs::write(test.file("trace.csv"), trace()).unwrap();
    // Of 30 a second, one waits in vain for its reply, and 44 for a connection.
    let words = ["--trace", "trace.csv", "--connections", "1", "--duration", "1500ms"];
    let ended = test.run(&[&words[..], &["--timeout", "2s"]].concat());
    assert_eq!(ended.count("totals/requests"), 1, "{}", ended.stdout);
    assert_eq!(ended.count("totals/unsent"), 44, "{}", ended.stdout);
    assert_eq!(ended.count("totals/scheduled"), 45, "{}", ended.stdout);
}

#[test]
fn a_trace_can_be_replayed_as_fast_as_it_goes() {
    let memcached = Memcached::start();
    let test = LoadTest::of_memcached(&memcached);
    std::fs::write(test.file("trace.csv"), trace()).unwrap();
    let words = ["--trace", "trace.csv", "--rate", "max", "--connections", "1"];
    let ended = test.ended(test.command(&words).output().unwrap()).success();
    assert_eq!(ended.count("totals/hits"), 270);
}

#[test]
fn a_line_that_makes_no_sense_is_named() {
    let memcached = Memcached::start();
    let test = LoadTest::of_memcached(&memcached);
    for (wrong, expected) in [
        ("11,key,3,x,1,get,0", "bad.csv:301: value_size is \"x\", not a whole number"),
        ("11,key,3", "bad.csv:301: 3 fields instead of timestamp,key,"),
        ("11,key,3,1,1,fetch,0", "bad.csv:301: "),
        ("3,key,3,1,1,get,0", "bad.csv:301: "),
    ] {
        std::fs::write(test.file("bad.csv"), format!("{}{wrong}\n", trace())).unwrap();
        let ended = test.run(&["--trace", "bad.csv", "--rate", "max", "--duration", "1m"]);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
    std::fs::write(test.file("empty.csv"), "").unwrap();
    for (file, expected) in [("none.csv", "none.csv: "), ("empty.csv", "empty.csv: no requests")] {
        let ended = test.run(&["--trace", file]);
        assert_eq!(ended.code, 69, "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1);
    }
}
