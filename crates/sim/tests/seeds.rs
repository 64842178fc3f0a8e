//! Seeds that must be clean, and bugs on purpose that must be found.

#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use memtide_sim::{Canary, Options, Recording, run};
use memtide_testkit::seed_from_environment;

/// Runs a seed, which must be clean.
fn check(seed: u64) {
    let outcome = run(seed, Options { recording: Recording::Tail(60), ..Options::default() });
    if let Some(violation) = outcome.violation {
        panic!(
            "{}\nseed {seed}: {violation}\nreplay it with: cargo xtask sim --seed {seed} --trace",
            outcome.trace.join("\n")
        );
    }
    assert!(outcome.operations > 0, "seed {seed} asked nothing");
}

#[test]
fn the_fixed_seeds_are_clean() {
    (1..=100).for_each(check);
}

#[test]
fn a_fresh_seed_is_clean() {
    let seed = seed_from_environment();
    println!("MEMTIDE_TEST_SEED={seed}");
    check(seed);
}

#[test]
fn a_seed_leaves_the_same_trace_each_time() {
    for seed in [3, 4, 1_000_003, 1_000_004] {
        let options = Options { recording: Recording::All, ..Options::default() };
        let (one, other) = (run(seed, options), run(seed, options));
        assert_eq!(one.trace_hash, other.trace_hash);
        assert!(one.trace == other.trace, "seed {seed} left two traces");
        let silent = run(seed, Options::default());
        assert_eq!(silent.trace_hash, one.trace_hash, "what is written down changes nothing");
    }
}

/// Seeds until the bug is found; fails after so many.
fn finds(canary: Canary, seeds_max: u64) {
    let is_found = |seed| {
        let options = Options { canary: Some(canary), ..Options::default() };
        run(seed, options).violation.is_some()
    };
    assert!((1..=seeds_max).any(is_found), "{canary:?} was not found in {seeds_max} seeds");
}

#[test]
fn an_acknowledgement_before_the_copies_have_it_is_found() {
    finds(Canary::AckEarly, 20);
}

#[test]
fn a_promotion_without_waiting_out_the_lease_is_found() {
    finds(Canary::NoLeaseWait, 20);
}

#[test]
fn a_primary_that_serves_after_its_handover_is_found() {
    finds(Canary::ServeAfterHandover, 5);
}

#[test]
fn a_primary_that_goes_on_without_a_copy_by_itself_is_found() {
    finds(Canary::GoOnAlone, 20);
}

#[test]
fn copies_that_are_read_beyond_the_lease_of_their_primary_are_found() {
    finds(Canary::ReadBeyondLease, 20);
}

#[test]
fn a_copy_that_never_ends_is_found() {
    finds(Canary::AwaitEveryChunk, 5);
}
