//! Connections: one for each request, idle ones, TLS sessions.

use std::process::Stdio;

use memtide_testkit::{Memtide, PATIENCE, Signal, signal, wait_until};

use crate::program::LoadTest;

#[test]
fn every_request_can_have_a_connection_of_its_own() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let words = ["--connect-per-request", "--connections", "3"];
    let resumed = test.run(&words).success();
    let count = |ended: &crate::program::Ended, name: &str| ended.count(&format!("totals/{name}"));
    assert!(count(&resumed, "replies") > 10);
    assert_eq!(count(&resumed, "connections"), count(&resumed, "replies"));
    assert!(count(&resumed, "resumed") > 0);
    assert_eq!(resumed.json["troubles"].as_array().unwrap().len(), 0, "{}", resumed.stdout);
    let full = test.run(&[&words[..], &["--no-resumption"]].concat()).success();
    assert_eq!(count(&full, "connections"), count(&full, "replies"));
    assert_eq!(count(&full, "resumed"), 0);
    // Three at a time, no more.
    assert_eq!(count(&full, "lost"), 0);
}

#[test]
fn idle_connections_stand_during_the_load() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    let pid = server.pid().to_string();
    let words = ["--connections", "3", "--idle-connections", "40", "--threads", "3"];
    let words = [&words[..], &["--server-pid", &pid, "--duration", "1h", "--warmup", "0"]].concat();
    let mut command = test.command(&words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("43 connections stand while requests are answered", PATIENCE, || {
        let metrics = server.metrics();
        let commands = metrics.sum("memtide_commands_total").unwrap_or_default();
        (metrics.get("memtide_connections") == Some(43.0) && commands > 1000.0).then_some(())
    });
    signal(child.id(), Signal::INT);
    let ended = test.ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert_eq!(ended.count("totals/connections"), 43);
    assert!(ended.json["server"]["bytes_per_idle_connection"].is_number(), "{:#}", ended.json);
    assert!(ended.number("server/cpu_us_per_reply") > 0.0);
}

#[test]
fn a_version_of_tls_can_be_asked_for() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let test = LoadTest::of_memtide(&server);
    for version in ["1.2", "1.3"] {
        let ended = test.run(&["--tls-version", version]).success();
        let transport = ended.json["endpoint"]["transport"].as_str().unwrap();
        assert!(transport.starts_with(&format!("TLS {version}")), "{transport}");
    }
}
