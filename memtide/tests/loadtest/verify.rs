//! `--verify`: endpoints that keep their word pass, one that does not is found out.

use memtide_testkit::{Memcached, Memtide};

use crate::program::{Ended, LoadTest};
use crate::stub::forgetful;

const WORDS: [&str; 10] = [
    "--verify",
    "--keys",
    "40",
    "--connections",
    "6",
    "--pipeline",
    "4",
    "--threads",
    "2",
    "--fail-on",
];

#[track_caller]
fn is_clean(ended: &Ended) {
    assert_eq!(ended.code, 0, "{}\n{}", ended.stderr, ended.stdout);
    assert!(ended.count("verdict/operations") > 100, "{}", ended.stdout);
    assert_eq!(ended.count("verdict/undecided_keys"), 0, "{}", ended.stdout);
    assert_eq!(ended.count("totals/errors"), 0, "{}", ended.stdout);
}

#[test]
fn memtide_and_memcached_are_consistent() {
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let memcached = Memcached::start();
    for test in [LoadTest::of_memtide(&memtide), LoadTest::of_memcached(&memcached)] {
        let ended = test.run(&[&WORDS[..], &["stale,errors,reset"]].concat());
        is_clean(&ended);
    }
}

/// Evictions make misses, not violations.
#[test]
fn a_cache_that_is_too_small_is_still_consistent() {
    let server = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).args(["--memory", "16m"]).start();
    let test = LoadTest::of_memtide(&server);
    let words = ["--value-size", "20k-60k", "--keys", "2k", "--duration", "2s"];
    let words = [&WORDS[..1], &words[..], &["--fail-on", "stale,errors"]].concat();
    let ended = test.run(&words);
    is_clean(&ended);
    assert!(ended.count("evictions") > 0, "{}", ended.stdout);
    let needed = ended.count("verdict/misses/evictions_needed");
    assert!(needed > 0 && needed <= ended.count("evictions"), "{}", ended.stdout);
}

#[test]
fn a_cache_that_forgets_acknowledged_writes_is_found_out() {
    let memcached = Memcached::start();
    let test = LoadTest::of_plain(forgetful(memcached.address(), 10));
    let words = ["--verify", "--keys", "20", "--connections", "4", "--duration", "1s"];
    let seen = test.run(&words).success();
    let violations = seen.json["verdict"]["violation_counts"].as_array().unwrap();
    let kinds: Vec<_> = violations.iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"lost_write"), "{}", seen.stdout);
    assert!(seen.stdout.contains("lost"), "{}", seen.stdout);
    let failed = test.run(&[&words[..], &["--fail-on", "stale"]].concat());
    assert_eq!(failed.code, 1, "{}", failed.stdout);
    assert!(failed.stderr.contains("violations of consistency"), "{}", failed.stderr);
}

/// A memcached that comes back empty has lost everything and resurrected nothing. It counts its CAS
/// uniques from 1 again, though, so that one from before may fit another version.
#[test]
fn a_restart_loses_items_and_reuses_cas_uniques() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = format!("memcached -u root -l 127.0.0.1 -p {port} -U 0 -d -P");
    let scratch = tempfile::tempdir().unwrap();
    let pid_file = |name: &str| scratch.path().join(name).display().to_string();
    let (first, second) = (pid_file("first"), pid_file("second"));
    // It waits until the port can be had again.
    let restart = format!(
        "kill -9 $(cat {first}); until {start} {second} && sleep 0.05 && test -s {second} && \
         kill -0 $(cat {second}); do :; done"
    );
    let begun = std::process::Command::new("sh").args(["-c", &format!("{start} {first}")]).status();
    assert!(begun.unwrap().success());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    memtide_testkit::wait_until("memcached listens", memtide_testkit::PATIENCE, || {
        std::net::TcpStream::connect(address).ok()
    });
    let test = LoadTest::of_plain(address);
    let words = ["--keys", "40", "--connections", "4", "--pipeline", "4", "--duration", "4s"];
    let words = [&words[..], &["--verify", "--at", "500ms", &restart]].concat();
    let ended = test.run(&words);
    let kill = format!("kill -9 $(cat {second})");
    let _ = std::process::Command::new("sh").args(["-c", &kill]).status();
    let ended = ended.success();
    assert!(ended.count("verdict/no_reply") > 0, "{}", ended.stdout);
    assert!(ended.count("verdict/misses/evictions_needed") > 0, "{}", ended.stdout);
    let violations = ended.json["verdict"]["violation_counts"].as_array().unwrap();
    let mut kinds = violations.iter().map(|it| it["kind"].as_str().unwrap());
    assert!(kinds.all(|kind| kind == "cas_violation"), "{}", ended.stdout);
    let after = ended.json["marks"][1]["at_s"].as_f64().unwrap();
    assert!(after < 4.0, "the restart took too long for this test: {}", ended.stdout);
}
