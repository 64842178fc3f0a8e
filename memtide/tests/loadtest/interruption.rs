//! Ends before the end: Ctrl-C, and an endpoint that goes away.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use memtide_testkit::{Memcached, Memtide, Signal, signal};

use crate::program::LoadTest;

/// Four connections, and time for a shell that is slow.
const FOR_LONG: [&str; 4] = ["--connections", "4", "--duration", "3s"];

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
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert_eq!(ended.json["ended"]["how"], "interrupted");
    assert!(ended.count("totals/replies") > 0);
    assert!(ended.number("measured_s") < 600.0);
    assert!(ended.stdout.contains("Throughput"), "{}", ended.stdout);
}

#[test]
fn what_is_interrupted_before_it_measured_says_so() {
    let server = Memcached::start();
    let test = LoadTest::of_memcached(&server);
    let mut command = test.command(&["--duration", "1h", "--warmup", "1h"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("warm-up") {
        assert_ne!(stderr.read_line(&mut told).unwrap(), 0, "it ended early");
    }
    signal(child.id(), Signal::TERM);
    stderr.read_to_string(&mut told).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    assert!(output.stdout.is_empty());
    assert!(told.ends_with("interrupted before anything was measured\n"), "{told}");
}

#[test]
fn an_endpoint_that_dies_is_counted_and_fails_when_asked() {
    for (words, code) in [(&[][..], 0), (&["--fail-on", "reset,errors"][..], 1)] {
        let server = Memcached::start();
        let test = LoadTest::of_memcached(&server);
        let kill = format!("kill -9 {}", server.pid());
        let ended = test.run(&[words, &["--at", "100ms", &kill], &FOR_LONG].concat());
        assert_eq!(ended.code, code, "{}", ended.stderr);
        // Each of the four lost its connection, one way or the other, and could not get another; but where the kernel took
        // one for a server that was just dying, that is lost, too.
        let broke: u64 = ["reset", "closed", "truncated"].map(|it| ended.troubles(it)).iter().sum();
        assert!(broke >= 4, "{}", ended.stdout);
        assert_eq!(broke, ended.count("totals/connections"), "{}", ended.stdout);
        assert!(ended.troubles("connect") > 0, "{}", ended.stdout);
        assert!(ended.count("totals/replies") > 0);
    }
}

#[test]
fn a_server_process_that_ends_costs_its_figures_and_not_the_report() {
    let server = Memcached::start();
    let test = LoadTest::of_memcached(&server);
    let pid = server.pid().to_string();
    let kill = format!("kill -9 {pid}");
    let words = ["--server-pid", &pid, "--at", "100ms", &kill];
    let ended = test.run(&[&words[..], &FOR_LONG].concat()).success();
    assert!(ended.count("totals/replies") > 0);
    assert!(ended.stderr.contains("the process ended during the run"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("Server processes"), "{}", ended.stdout);
}

#[test]
fn steps_that_an_interrupted_run_did_not_reach_are_no_marks() {
    let server = Memcached::start();
    let test = LoadTest::of_memcached(&server);
    let words = ["--profile", "0:1k,50ms:500,60s:2k", "--duration", "120s", "--warmup", "0"];
    let interrupt = ["--at", "200ms", "kill -INT $PPID"];
    let output = test.command(&[&words[..], &interrupt].concat()).output().unwrap();
    let ended = test.ended(output);
    assert_eq!(ended.json["ended"]["how"], "interrupted", "{}", ended.stderr);
    let marks = ended.json["marks"].as_array().unwrap().iter();
    let steps: Vec<_> = marks.filter(|mark| mark["source"] == "profile").collect();
    assert_eq!(steps.len(), 1, "{steps:?}");
}

#[test]
fn a_drain_is_seen_as_goodbyes_not_as_resets() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let drain = format!("kill -TERM {}", server.pid());
    let words = ["--at", "100ms", &drain, "--fail-on", "reset"];
    let ended = test.run(&[&words[..], &FOR_LONG].concat()).success();
    assert_eq!(ended.troubles("closed"), 4, "{}", ended.stdout);
    assert_eq!(ended.count("totals/errors"), 0);
}
