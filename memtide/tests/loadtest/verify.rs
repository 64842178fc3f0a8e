//! `--verify`: endpoints that keep their word pass, one that does not is found out.

use memtide_testkit::{Memcached, Memtide};

use crate::program::{Ended, LoadTest};

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
    assert!(ended.count("verdict/operations") > 1000, "{}", ended.stdout);
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
