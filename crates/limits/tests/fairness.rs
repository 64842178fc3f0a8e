//! A greedy connection cannot starve a modest one.
//!
//! The measure: a connection that asks for less than an equal share of what the limit leaves gets all
//! that it asks for, held back by no more than a few milliseconds; those that ask for more get alike.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod simulated;

use simulated::{Client, Connection, ECPU, MS, SECOND, World};

const RATE: u64 = 100_000 * ECPU;

fn used(connections: &[Connection]) -> Vec<u64> {
    connections.iter().map(|it| it.used).collect()
}

/// 99 connections ask for half of the limit in all, one for as much as it can get.
fn one_greedy_and_99_modest(greedy: Client, cores: usize) -> World {
    let mut world = World::alone(Some(RATE), cores);
    world.connect((0, 0), 1, greedy);
    for modest in 0..99 {
        world.connect((0, modest % cores), 1, Client::small_gets(505));
    }
    world.run_until(10 * SECOND);
    world
}

fn check_modest(world: &World, held_ns_max: u64) {
    for it in &world.connections[1..] {
        assert_eq!(it.refused, 0);
        assert!(it.admitted >= 4_950, "{} of about 5050", it.admitted);
        assert!(it.held_ns_max <= held_ns_max, "held for {} us", it.held_ns_max / 1_000);
        let mean = it.held_ns / it.admitted;
        assert!(mean <= held_ns_max / 4, "held for {} us on average", mean / 1_000);
    }
    let all = world.permille(&[0], (0, 10 * SECOND), RATE);
    assert!((990..=1_010).contains(&all), "{all} of 1000");
}

#[test]
fn a_greedy_connection_gets_what_99_modest_ones_leave() {
    for cores in [1, 2] {
        check_modest(
            &one_greedy_and_99_modest(Client::small_gets(50_000).of(20 * ECPU, 0), cores),
            4 * MS,
        );
        check_modest(
            &one_greedy_and_99_modest(Client::small_gets(50_000).of(ECPU, 4 * ECPU), cores),
            4 * MS,
        );
    }
}

/// Each of its replies costs 20 ms of the limit; a modest connection waits until one is paid.
#[test]
fn a_greedy_connection_with_replies_of_2_mb() {
    let greedy = Client::small_gets(50_000).of(ECPU, 2_000 * ECPU);
    check_modest(&one_greedy_and_99_modest(greedy, 1), 45 * MS);
}

#[test]
fn greedy_connections_get_alike_whatever_their_commands_cost() {
    let mut world = World::alone(Some(RATE), 1);
    let greedy = Client::small_gets(40_000);
    world.connect((0, 0), 4, greedy);
    world.connect((0, 0), 4, greedy.of(100 * ECPU, 0));
    world.connect((0, 0), 4, greedy.of(ECPU, 30 * ECPU));
    world.run_until(10 * SECOND);
    let used = used(&world.connections);
    let (least, most) = (used.iter().min().unwrap(), used.iter().max().unwrap());
    assert!(most - least <= most / 20, "{used:?}");
}

#[test]
fn who_asked_for_much_while_there_was_enough_is_not_punished_later() {
    let mut world = World::alone(Some(RATE), 1);
    world.connect((0, 0), 1, Client::small_gets(45_000));
    world.run_until(5 * SECOND);
    world.connect((0, 0), 9, Client::small_gets(45_000).between(5 * SECOND, u64::MAX));
    let before = world.connections[0].used;
    world.run_until(10 * SECOND);
    let early = world.connections[0].used - before;
    let late = world.connections[1].used;
    assert!(early.abs_diff(late) <= late / 20, "{early} and {late}");
}

/// One connection on a core of its own, and 9 on another: the pool divides by connections.
#[test]
fn greedy_connections_on_different_cores_get_alike() {
    let mut world = World::alone(Some(RATE), 2);
    world.connect((0, 0), 1, Client::small_gets(50_000));
    world.connect((0, 1), 9, Client::small_gets(50_000));
    world.run_until(10 * SECOND);
    let used = used(&world.connections);
    let (least, most) = (used.iter().min().unwrap(), used.iter().max().unwrap());
    assert!(most - least <= most / 5, "{used:?}");
}
