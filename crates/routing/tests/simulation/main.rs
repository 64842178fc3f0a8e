//! The router against scripted nodes that crash, stall, refuse and hand slots over, by seeds.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod checks;
mod faults;
mod node;
mod world;

use std::panic::catch_unwind;

use world::World;

const SEEDS: u64 = 100;

/// Nodes that say of what they executed and could not commit that it may be done.
#[test]
fn every_ticket_ends_once_in_order_and_nothing_is_executed_twice() {
    run(false);
}

/// Nodes that say nothing of it.
#[test]
fn the_same_holds_where_nodes_are_silent_of_what_they_give_up() {
    run(true);
}

fn run(is_silent: bool) {
    let (mut ok, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let run = || World::new(seed, is_silent).run();
        let tally = catch_unwind(run).unwrap_or_else(|_| panic!("with seed {seed}"));
        (ok, refused) = (ok + tally.0, refused + tally.1);
    }
    assert!(ok > 4 * refused, "{ok} ended well, {refused} did not: the faults were too many");
    assert!(refused > 0, "no fault had an effect");
}
