//! What cannot be loaded gets one line, and an exit code that says whose turn it is.

use std::net::TcpListener;

use memtide_testkit::{Memcached, Memtide};

use crate::program::LoadTest;

#[track_caller]
fn check(test: &LoadTest, words: &[&str], code: i32, expected: &str) {
    let ended = test.run(words);
    let line = ended.stderr.strip_suffix('\n').unwrap_or(&ended.stderr);
    assert!(!line.contains('\n'), "one line is wanted: {line}");
    assert!(line.contains(expected), "{words:?}: {line}");
    assert_eq!(ended.code, code, "{line}");
    assert_eq!(ended.stdout, "");
}

#[test]
fn an_endpoint_that_is_not_there_or_not_what_it_is_said_to_be() {
    let memtide = Memtide::builder(env!("CARGO_BIN_EXE_memtide")).start();
    let memcached = Memcached::start();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = LoadTest::of(&["--endpoint", &format!("127.0.0.1:{port}")]);
    check(&nobody, &["--plain"], 69, "failed to connect: Connection refused");

    let tls = format!("localhost:{}", memtide.address().port());
    let unknown_ca = LoadTest::of(&["--endpoint", &tls]);
    check(&unknown_ca, &[], 69, "its certificate is refused: ");
    check(&unknown_ca, &[], 69, "give its CA with --ca");
    check(&LoadTest::of(&["--endpoint", &tls, "--plain"]), &[], 69, "leave out --plain");
    let plain = memcached.address().to_string();
    check(&LoadTest::of(&["--endpoint", &plain]), &["--insecure"], 69, "or --plain");

    let no_url = ["--admin", "127.0.0.1:9"];
    check(&LoadTest::of_memcached(&memcached), &no_url, 69, "no URL; give http://HOST:PORT");

    let misnamed = LoadTest::of_memtide(&memtide);
    check(&misnamed, &["--server-name", "other.example"], 69, "its certificate is refused: ");
}

/// No hour of load is lost to a result that cannot be written.
#[test]
fn a_result_that_cannot_be_kept() {
    let memcached = Memcached::start();
    let test = LoadTest::of_memcached(&memcached);
    let page = test.file("no-such-directory/page.html");
    let begun = format!("--html {}: failed to open it", page.display());
    check(&test, &["--html", page.to_str().unwrap(), "--duration", "1h"], 69, &begun);
    let mut command = test.command(&["--duration", "200ms", "--warmup", "0"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = test.ended(command.stdout(full).output().unwrap());
    assert_eq!(ended.code, 69, "{}", ended.stderr);
    assert!(ended.stderr.contains("failed to print the report"), "{}", ended.stderr);
    assert!(ended.count("totals/replies") > 0, "the JSON is written all the same");
}

#[test]
fn endpoints_of_a_comparison_are_asked_before_any_is_loaded() {
    let memcached = Memcached::start();
    let here = format!("here=plain://{}", memcached.address());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gone = format!("gone=plain://127.0.0.1:{port}");
    let test = LoadTest::of(&["--compare", "--endpoint", &here, "--endpoint", &gone]);
    check(&test, &["--duration", "1h"], 69, "failed to connect: Connection refused");
}

#[test]
fn flags_that_make_no_sense() {
    let test = LoadTest::of(&["--plain"]);
    for (words, expected) in [
        (&["--endpoint", "here"][..], "--endpoint here: give HOST:PORT"),
        (&["--rate", "fast"], "--rate fast: "),
        (&["--rate", "0"], "--rate 0"),
        (&["--profile", "0:10k,5s"], "--profile 0:10k,5s: \"5s\" is no step"),
        (&["--profile", "0:10k", "--rate", "5k"], "--profile: it is the rate"),
        (&["--mix", "get=1,got=2"], "--mix: "),
        (&["--keys", "0"], "--keys: "),
        (&["--key-size", "2"], "--key-size: "),
        (&["--value-size", "3x"], "--value-size: "),
        (&["--popularity", "zipf"], "--popularity: "),
        (&["--duration", "soon"], "--duration soon: "),
        (&["--threads", "9", "--connections", "8"], "--threads 9: more than there are connections"),
        (&["--connections", "0"], "--connections 0: give 1 to "),
        (&["--at", "soon", "true"], "--at \"soon\": no time"),
        (&["--fail-on", "slow"], "--fail-on slow: only errors, stale and reset are known"),
        (&["--ca", "none.pem", "--endpoint", "tls://[::1]:1"], "--ca none.pem: failed to read"),
        (&["--compare"], "--compare: give two --endpoint or more"),
        (
            &["--endpoint", "[::1]:1", "--endpoint", "127.0.0.1:1"],
            "--endpoint: several of them need --compare",
        ),
        (&["--server-pid", "x"], "--server-pid x: give a process id"),
        (&["--server-pid", "a=1"], "--server-pid a=1: no --endpoint is called a"),
        (&["--verify", "--mix", "get=1"], "--mix: not with --verify"),
        (&["--verify", "--threads", "129"], "--threads 129: with --verify at most 128"),
        (&["--trace", "t.csv", "--fill"], "--fill: not with --trace"),
        (&["--trace-speed", "2"], "--trace <CSV>: what was given needs it too"),
        (&["--rounds", "3"], "--rounds: only with --compare"),
        (&["--arrivals", "uniform"], "--arrivals: only with a --rate or --profile"),
        (&["--at", "10s", "true"], "--at 10s: the run is over by then"),
        (&["--html", "a", "--json", "a"], "--json"),
        (&["--conections", "5"], "unknown argument --conections; did you mean --connections?"),
    ] {
        check(&test, words, 64, expected);
    }
}
