//! A proxy by itself is held to its limit, whatever its cores and connections do.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod simulated;

use memtide_limits::limits::HELD_NS_MAX;
use proptest::prelude::*;
use simulated::{Client, ECPU, MS, SECOND, World};

const RATE: u64 = 100_000 * ECPU;

/// Runs for ten seconds, and holds what was used to within 1% of the limit.
fn check(name: &str, world: &mut World, rate: u64) {
    world.run_until(10 * SECOND);
    let used = world.permille(&[0], (0, 10 * SECOND), rate);
    assert!((990..=1_010).contains(&used), "{name}: {used} of 1000");
}

#[test]
fn delivered_is_within_a_hundredth_of_the_limit() {
    for times in [2, 10] {
        let client = Client::small_gets(times * 1_000);
        for (name, client) in [
            ("100-byte gets", client),
            ("sets of 3.2 KB", client.of(3_277, 8)),
            ("100 KB gets", client.of(ECPU, 101 * 1_024)),
            ("multigets of 100", client.of(100 * ECPU, 7_000)),
        ] {
            let mut world = World::alone(Some(RATE), 2);
            world.connect((0, 0), 50, client);
            world.connect((0, 1), 50, client);
            check(&format!("{name}, {times} times the limit"), &mut world, RATE);
        }
    }
}

/// Replies of 100 KB, of which the limit gives fifty a second: what each costs is known when it is sent.
#[test]
fn a_few_large_replies_a_second_are_held_to_the_limit() {
    let rate = 5_000 * ECPU;
    for times in [2, 10] {
        let mut world = World::alone(Some(rate), 2);
        let load = Client::small_gets(times * 5_000 / 98 / 20).of(ECPU, 97 * ECPU).by_chance();
        for core in 0..2 {
            world.connect((0, core), 10, load);
        }
        world.run_until(62 * SECOND);
        for at in 2..=52 {
            let used = world.permille(&[0], (at * SECOND, (at + 10) * SECOND), rate);
            assert!((990..=1_010).contains(&used), "{times}: {used} of 1000 from {at} s on");
        }
    }
}

#[test]
fn cores_share_by_demand() {
    let mut world = World::alone(Some(RATE), 8);
    world.connect((0, 0), 100, Client::small_gets(1_900));
    world.connect((0, 5), 10, Client::small_gets(800));
    check("190% on one core, 8% on another", &mut world, RATE);
    let modest = &world.connections[100..];
    assert!(modest.iter().all(|it| it.admitted >= 7_950 && it.refused == 0));
}

#[test]
fn below_the_limit_nothing_is_held_back() {
    let mut world = World::alone(Some(RATE), 2);
    world.connect((0, 0), 50, Client::small_gets(900));
    world.connect((0, 1), 50, Client::small_gets(900));
    world.run_until(3 * SECOND);
    assert!(world.connections.iter().all(|it| it.refused == 0 && it.held_ns_max == 0));
    let mut world = World::alone(None, 2);
    world.connect((0, 0), 10, Client::small_gets(40_000));
    world.run_until(SECOND);
    assert!(world.connections.iter().all(|it| it.held_ns_max == 0 && it.admitted >= 38_000));
}

/// The queue is longer than may be waited for: some go on, the others are refused, none waits longer.
#[test]
fn who_would_wait_for_too_long_is_refused_then() {
    let rate = 1_000 * ECPU;
    let mut world = World::alone(Some(rate), 2);
    world.connect((0, 0), 250, Client::small_gets(100));
    world.connect((0, 1), 250, Client::small_gets(100));
    check("50 times the limit", &mut world, rate);
    let refused: u64 = world.connections.iter().map(|it| it.refused).sum();
    assert!(refused > 10_000, "{refused} refused");
    for it in &world.connections {
        assert!(it.held_ns_max <= HELD_NS_MAX, "held for {} ns", it.held_ns_max);
        // At most one refusal in each time of waiting: what a client that tries again sees.
        assert!(it.refused <= 10 * SECOND / HELD_NS_MAX, "{} refusals", it.refused);
        assert!((10..=30).contains(&it.admitted), "{} of 20 go on", it.admitted);
    }
}

#[test]
fn a_change_of_the_rate_acts_at_once() {
    let mut world = World::alone(Some(RATE), 2);
    world.connect((0, 0), 50, Client::small_gets(10_000));
    world.connect((0, 1), 50, Client::small_gets(10_000));
    let mut told = 0;
    for rate in [Some(RATE), Some(RATE / 10), Some(3 * RATE), None, Some(RATE)] {
        world.proxies[0].pool.set_rate(world.now, rate);
        told += SECOND;
        world.run_until(told);
        let used = world.permille(&[0], (told - 900 * MS, told), rate.unwrap_or(10 * RATE));
        assert!((980..=1_060).contains(&used), "{rate:?}: {used} of 1000 after 100 ms");
    }
}

#[test]
fn a_debt_is_paid_whatever_it_is() {
    let mut world = World::alone(Some(RATE), 1);
    // One reply that costs two seconds of the limit, then small gets.
    world.connect((0, 0), 1, Client::small_gets(1).of(ECPU, 2 * RATE).between(0, MS));
    world.connect((0, 0), 100, Client::small_gets(2_000).between(MS, u64::MAX));
    check("a large reply and small gets", &mut world, RATE);
    assert_eq!(world.used(&[0], (200 * MS, 1_900 * MS)), 0, "until it is paid");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Whatever cores, connections and costs: never above, and used up where more is asked for.
    #[test]
    fn any_load_is_held_to_the_limit(
        cores in 1..9_usize,
        rate in prop_oneof![1_000..5_000_u64, 10_000..100_000_u64],
        loads in prop::collection::vec((0..8_usize, 1..30_u64, 1..2_000_u64, 1..20_u64, 0..50_u64), 1..6),
    ) {
        let rate = rate * ECPU;
        let mut world = World::alone(Some(rate), cores);
        let (mut offered, mut costliest) = (0, 0);
        for (core, count, per_second, least, rest) in loads {
            let client = Client::small_gets(per_second).of(least * ECPU, rest * 1_000);
            world.connect((0, core % cores), count, client);
            // A connection asks for its next command when it has got the last.
            let possible = per_second.min(40_000);
            offered += count * possible * (least * ECPU + rest * 1_000);
            costliest = costliest.max(least * ECPU + rest * 1_000);
        }
        world.run_until(3 * SECOND);
        let used = world.used(&[0], (0, 3 * SECOND));
        let leases = 4 * (rate / 250).max(cores as u64 * ECPU);
        let most = 3 * rate + rate / 20 + leases + 2 * cores as u64 * costliest;
        prop_assert!(used <= most, "{used} used, {most} allowed");
        if offered > 2 * rate {
            prop_assert!(used >= 3 * rate / 100 * 97, "{used} used of {}", 3 * rate);
        }
    }
}
