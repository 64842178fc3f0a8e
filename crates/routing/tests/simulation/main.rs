//! The router against scripted nodes that crash, stall, refuse and hand slots over, by seeds.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod checks;
mod faults;
mod node;
mod world;

use std::panic::catch_unwind;

use world::World;

const SEEDS: u64 = 100;

/// Nodes that answer `Moved` also for what they executed and could not commit.
#[test]
fn every_ticket_ends_once_in_order_and_nothing_is_executed_twice() {
    run(false);
}

/// Nodes that answer `Moved` only for what they have not executed, and nothing for the rest.
#[test]
fn the_same_holds_where_a_refusal_is_a_proof() {
    run(true);
}

fn run(is_proof: bool) {
    let (mut ok, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let run = || World::new(seed, is_proof).run();
        let tally = catch_unwind(run).unwrap_or_else(|_| panic!("with seed {seed}"));
        (ok, refused) = (ok + tally.0, refused + tally.1);
    }
    assert!(ok > 4 * refused, "{ok} ended well, {refused} did not: the faults were too many");
    assert!(refused > 0, "no fault had an effect");
}
