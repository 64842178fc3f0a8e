//! Ends before the end: Ctrl-C, and an endpoint that goes away.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use memtide_testkit::{Memcached, Memtide, Signal, signal};

use crate::program::LoadTest;

#[test]
fn ctrl_c_prints_the_report_of_what_ran_so_far() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let mut command = test.command(&["--duration", "1h", "--warmup", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("measuring") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended early");
    }
    signal(child.id(), Signal::INT);
    // So that it does not wait for us to read.
    let rest = std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
    let ended = test.ended(child.wait_with_output().unwrap());
    rest.join().unwrap().unwrap();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(ended.json["ended"]["how"], "interrupted");
    assert!(ended.count("totals/replies") > 0);
    assert!(ended.number("measured_s") < 600.0);
    assert!(ended.stdout.contains("Throughput"), "{}", ended.stdout);
}

#[test]
fn an_endpoint_that_dies_is_counted_and_fails_when_asked() {
    for (words, code) in [(&[][..], 0), (&["--fail-on", "reset,errors"][..], 1)] {
        let server = Memcached::start();
        let test = LoadTest::of_memcached(&server);
        let kill = format!("kill -9 {}", server.pid());
        let ended = test.run(&[words, &["--at", "100ms", &kill, "--connections", "4"]].concat());
        assert_eq!(ended.code, code, "{}", ended.stderr);
        // Each of the four lost its connection, one way or the other, and could not get another.
        let broke: u64 = ["reset", "closed", "truncated"].map(|it| ended.troubles(it)).iter().sum();
        assert_eq!(broke, 4, "{}", ended.stdout);
        assert!(ended.troubles("connect") > 0, "{}", ended.stdout);
        assert!(ended.count("totals/replies") > 0);
    }
}

#[test]
fn a_drain_is_seen_as_goodbyes_not_as_resets() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let drain = format!("kill -TERM {}", server.pid());
    let words = ["--connections", "4", "--at", "100ms", &drain, "--fail-on", "reset"];
    let ended = test.run(&words).success();
    assert_eq!(ended.troubles("closed"), 4, "{}", ended.stdout);
    assert_eq!(ended.count("totals/errors"), 0);
}
