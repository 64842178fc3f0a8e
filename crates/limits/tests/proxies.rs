//! Several proxies share a limit by grants.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod simulated;

use memtide_limits::limits::{GRANT_TERM_NS, REPORT_INTERVAL_NS};
use memtide_limits::{Allocator, Demand, Holding, ProxyId, Succession};
use proptest::prelude::*;
use simulated::{Client, ECPU, MS, SECOND, SETTLED_NS, World};

const RATE: u64 = 100_000 * ECPU;
const ALL: [usize; 4] = [0, 1, 2, 3];

/// Four proxies with two cores each, and so much of the limit offered to each, in percent.
fn four(percents: [u64; 4]) -> World {
    let mut world = World::fleet(RATE, 4, 2);
    for (proxy, percent) in percents.into_iter().enumerate() {
        for core in 0..2 {
            world.connect((proxy, core), 25, Client::small_gets(20 * percent));
        }
    }
    world
}

fn check(name: &str, world: &World, span: (u64, u64), permille: std::ops::RangeInclusive<u64>) {
    let used = world.permille(&ALL, span, RATE);
    assert!(permille.contains(&used), "{name}: {used} of 1000");
    let most = world.permille_max(&ALL, 10 * SECOND, RATE);
    assert!(most <= 1_010, "{name}: {most} of 1000 in ten seconds");
}

#[test]
fn four_proxies_deliver_the_limit_whatever_their_parts_of_the_load() {
    for percents in [[50, 50, 50, 50], [170, 10, 10, 10], [197, 1, 1, 1], [700, 200, 50, 50]] {
        let mut world = four(percents);
        world.run_until(13 * SECOND);
        check(&format!("{percents:?}"), &world, (3 * SECOND, 13 * SECOND), 990..=1_010);
    }
}

/// How long connections of the proxies that ask for little were held back, and how often they went on.
fn modest(world: &World) -> (u64, u64) {
    let modest = &world.connections[100..];
    (modest.iter().map(|it| it.held_ns).sum(), modest.iter().map(|it| it.admitted).sum())
}

/// Commands come by chance, and limits are small: what those who have enough want is never just what
/// they use.
#[test]
fn what_some_do_not_use_of_their_parts_others_do() {
    for (limit, least) in [(2_000, 975), (5_000, 990), (20_000, 990)] {
        let mut world = World::fleet(limit * ECPU, 4, 2);
        for (proxy, percent) in [170, 10, 10, 10].into_iter().enumerate() {
            for core in 0..2 {
                let load = Client::small_gets(limit * percent / 10_000).by_chance();
                world.connect((proxy, core), 50, load);
            }
        }
        // What clients ask before proxies are told their parts waits for that, once.
        world.run_until(3 * SECOND);
        let before = modest(&world);
        world.run_until(33 * SECOND);
        for at in 3..=23 {
            let span = (at * SECOND, (at + 10) * SECOND);
            let used = world.permille(&ALL, span, limit * ECPU);
            assert!((least..=1_010).contains(&used), "{limit}: {used} of 1000 from {at} s on");
        }
        let after = modest(&world);
        let (held_ns, admitted) = (after.0 - before.0, after.1 - before.1);
        assert!(held_ns / admitted < 10 * MS, "{limit}: held for {held_ns} ns, {admitted}");
    }
}

/// Three fourths of the limit are not used, and so saved. Then all want twice of it, whether the scaler
/// is there or is away from this moment on.
#[test]
fn what_was_saved_does_not_make_it_more_than_the_limit() {
    for is_away in [false, true] {
        let mut world = four([25, 25, 25, 25]);
        for core in 0..2 {
            for proxy in ALL {
                let load = Client::small_gets(2_000).between(10 * SECOND, u64::MAX);
                world.connect((proxy, core), 25, load);
            }
        }
        world.run_until(10 * SECOND);
        for proxy in &mut world.proxies {
            proxy.is_cut_off = is_away;
        }
        world.run_until(25 * SECOND);
        check(&format!("away: {is_away}"), &world, (10 * SECOND, 20 * SECOND), 990..=1_010);
    }
}

#[test]
fn who_asks_for_little_gets_it_while_another_is_greedy() {
    let mut world = four([900, 10, 10, 5]);
    world.run_until(2 * SECOND);
    let refused = |world: &World| world.connections[50..].iter().map(|it| it.refused).sum::<u64>();
    let before = refused(&world);
    world.run_until(12 * SECOND);
    for (proxy, percent) in [(1, 10), (2, 10), (3, 5)] {
        let used = world.permille(&[proxy], (2 * SECOND, 12 * SECOND), RATE);
        assert!(used >= percent * 10 * 97 / 100, "proxy {proxy}: {used} of 1000");
    }
    assert_eq!(refused(&world), before);
}

#[test]
fn a_load_that_moves_is_followed_within_two_seconds() {
    let mut world = World::fleet(RATE, 4, 2);
    let load = Client::small_gets(4_000);
    for (proxy, from, until) in [(0, 0, 6 * SECOND), (3, 6 * SECOND, u64::MAX)] {
        world.connect((proxy, 0), 50, load.between(from, until));
    }
    world.run_until(16 * SECOND);
    check("before", &world, (2 * SECOND, 6 * SECOND), 990..=1_010);
    let during = world.permille(&ALL, (6 * SECOND, 8 * SECOND), RATE);
    assert!(during >= 600, "{during} of 1000 while it is followed");
    check("after", &world, (8 * SECOND, 16 * SECOND), 990..=1_010);
}

/// A balancer sends all clients to another proxy, time and again; together they ask for a fifth.
#[test]
fn nobody_is_refused_where_a_small_load_moves() {
    let mut world = World::fleet(RATE, 2, 2);
    for turn in 0..20_u64 {
        let proxy = usize::try_from(turn % 2).unwrap();
        let load = Client::small_gets(40);
        let load = load.between(turn * SECOND, (turn + 1) * SECOND);
        world.connect((proxy, 0), 500, load);
    }
    world.run_until(21 * SECOND);
    let refused: u64 = world.connections.iter().map(|connection| connection.refused).sum();
    assert_eq!(refused, 0);
}

/// One is cut off that had most of the load, and keeps it: it falls back to a fourth. Then it heals.
#[test]
fn one_that_is_cut_off_never_makes_it_more_than_the_limit() {
    for percents in [[170, 50, 50, 50], [10, 200, 200, 200], [50, 50, 50, 50]] {
        let mut world = four(percents);
        world.run_until(5 * SECOND);
        world.proxies[0].is_cut_off = true;
        world.run_until(20 * SECOND);
        let name = format!("{percents:?}");
        check(&name, &world, (5 * SECOND + SETTLED_NS, 20 * SECOND), 985..=1_010);
        world.proxies[0].is_cut_off = false;
        world.run_until(33 * SECOND);
        check(&name, &world, (23 * SECOND, 33 * SECOND), 990..=1_010);
    }
}

/// It had most of the load, is cut off, and its clients go elsewhere: what it has is missing for a
/// term, and then no more than a fourth.
#[test]
fn what_is_missing_while_one_is_cut_off_is_bounded() {
    let mut world = World::fleet(RATE, 4, 2);
    let load = Client::small_gets(4_000);
    world.connect((0, 0), 50, load.between(0, 5 * SECOND));
    world.connect((1, 0), 50, load.between(5 * SECOND, u64::MAX));
    world.run_until(5 * SECOND);
    world.proxies[0].is_cut_off = true;
    world.run_until(15 * SECOND);
    check("cut off", &world, (5 * SECOND + SETTLED_NS + SECOND, 15 * SECOND), 740..=1_010);
    world.allocator.as_mut().unwrap().forget(ProxyId(0));
    world.run_until(18 * SECOND);
    check("known to have ended", &world, (16 * SECOND, 18 * SECOND), 990..=1_010);
}

/// Nobody grants any more: all fall back, and fallbacks add up to at most the limit.
#[test]
fn while_the_scaler_is_away_the_proxies_go_on() {
    let mut world = four([50, 50, 50, 50]);
    world.run_until(5 * SECOND);
    for proxy in &mut world.proxies {
        proxy.is_cut_off = true;
    }
    world.run_until(25 * SECOND);
    check("evenly loaded", &world, (5 * SECOND, 25 * SECOND), 980..=1_010);
}

#[test]
fn a_change_of_the_limit_reaches_all_within_a_second() {
    let mut world = four([200, 100, 100, 100]);
    world.run_until(3 * SECOND);
    for rate in [RATE / 4, 2 * RATE, RATE] {
        world.allocator.as_mut().unwrap().set_limit(Some(rate));
        let from = world.now + SECOND;
        world.run_until(from + SECOND);
        let used = world.permille(&ALL, (from, from + SECOND), rate);
        assert!((950..=1_040).contains(&used), "{used} of 1000");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Report { proxy: usize, used: u64, dry: u64, is_lost: bool },
    Deliver { proxy: usize },
    Forget { proxy: usize },
    Follow { proxy: usize },
    Late { proxy: usize },
    Limit(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let proxy = 0..5_usize;
    let step = prop_oneof![
        4 => (0..2 * REPORT_INTERVAL_NS).prop_map(Step::Wait),
        1 => (0..3 * GRANT_TERM_NS).prop_map(Step::Wait),
        8 => (proxy.clone(), 0..2 * RATE, 0..REPORT_INTERVAL_NS, prop::bool::weighted(0.2))
            .prop_map(|(proxy, used, dry, is_lost)| Step::Report { proxy, used, dry, is_lost }),
        8 => proxy.clone().prop_map(|proxy| Step::Deliver { proxy }),
        1 => proxy.clone().prop_map(|proxy| Step::Forget { proxy }),
        1 => proxy.clone().prop_map(|proxy| Step::Follow { proxy }),
        1 => proxy.prop_map(|proxy| Step::Late { proxy }),
        1 => (1..4 * RATE).prop_map(Step::Limit),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    /// Whatever is lost, late, doubled or cut off: what is in force is never more than the limit, or
    /// than what was in force when it was lowered, and a 32nd of it that was saved.
    #[test]
    fn what_is_in_force_never_passes_the_limit(steps in steps()) {
        let mut allocator = Allocator::new(Some(RATE), 1);
        let mut now = 0;
        let mut holdings: Vec<_> = (0..5).map(|_| Holding::new()).collect();
        let mut flying: Vec<Vec<_>> = vec![Vec::new(); 5];
        let mut ids: Vec<u64> = (0..5).collect();
        let succession = |proxy: usize, id: u64| {
            Some(Succession { line: proxy as u64 + 1, generation: id })
        };
        let mut late = [None; 5];
        let mut bound = RATE;
        for step in steps {
            match step {
                Step::Wait(ns) => now += ns,
                Step::Report { proxy, used, dry, is_lost } => {
                    let demand = Demand { used_units: used, dry_ns: dry, ..Demand::default() };
                    let report = holdings[proxy].report(now, demand);
                    if !is_lost {
                        flying[proxy].extend(allocator.report(now, ProxyId(ids[proxy]), &report));
                    }
                }
                // In any order, and perhaps never.
                Step::Deliver { proxy } => {
                    if let Some(grant) = flying[proxy].pop() {
                        holdings[proxy].take(grant);
                    }
                }
                // It has ended, and another one starts in its place.
                Step::Forget { proxy } => {
                    allocator.forget(ProxyId(ids[proxy]));
                    ids[proxy] += 10;
                    holdings[proxy] = Holding::new();
                    flying[proxy].clear();
                }
                // It was killed, which nobody knows before another one reports in its place.
                Step::Follow { proxy } => {
                    let last = holdings[proxy].report(now, Demand::default());
                    late[proxy] = Some((ProxyId(ids[proxy]), last));
                    ids[proxy] += 10;
                    holdings[proxy] = Holding::of(succession(proxy, ids[proxy]));
                    flying[proxy].clear();
                }
                // What the one before had sent arrives after a report of the next, if there is any.
                Step::Late { proxy } => {
                    let report = holdings[proxy].report(now, Demand::default());
                    let has_followed = report.succession.is_some();
                    allocator.report(now, ProxyId(ids[proxy]), &report);
                    if let Some((id, last)) = late[proxy].take().filter(|_| has_followed) {
                        let proxies = allocator.proxies();
                        let is_of_line = last.succession.is_some();
                        let answer = allocator.report(now, id, &last);
                        prop_assert!(!is_of_line || answer.is_none() && allocator.proxies() == proxies);
                    }
                }
                Step::Limit(limit) => {
                    allocator.set_limit(Some(limit));
                    bound = limit.max(allocator.outstanding(now));
                }
            }
            let in_force: u64 = holdings.iter().map(|it| it.rate(now).unwrap()).sum();
            prop_assert!(in_force <= bound + bound / 32, "{in_force} in force, limit {bound}");
            prop_assert!(in_force <= allocator.outstanding(now));
        }
    }
}

#[test]
fn without_a_limit_grants_are_without_one() {
    let mut allocator = Allocator::new(None, 1);
    let mut holding = Holding::new();
    assert_eq!(holding.rate(0), Some(0), "nothing before the first grant");
    let report = holding.report(0, Demand::default());
    holding.take(allocator.report(MS, ProxyId(1), &report).unwrap());
    assert_eq!((holding.rate(2 * MS), holding.rate(9 * SECOND)), (None, None));
    allocator.set_limit(Some(RATE));
    let report = holding.report(10 * SECOND, Demand::default());
    holding.take(allocator.report(10 * SECOND, ProxyId(1), &report).unwrap());
    assert_eq!(holding.rate(10 * SECOND), Some(RATE));
    assert_eq!(allocator.report(10 * SECOND, ProxyId(1), &report), None, "the same report again");
}

/// The scaler hears nothing of the kill: another process reports in its place.
#[test]
fn who_follows_one_that_was_killed_has_its_part_at_once() {
    let mut allocator = Allocator::new(Some(RATE), 1);
    let demand = Demand { used_units: RATE / 5, weight: 1, ..Demand::default() };
    let mut now = 0;
    // How many of its reports are answered, and what it may use then.
    let mut run = |id: u64, holding: &mut Holding| {
        let mut answered = 0;
        for _ in 0..5 {
            now += REPORT_INTERVAL_NS;
            let report = holding.report(now, demand);
            let grant = allocator.report(now, ProxyId(id), &report);
            answered += usize::from(grant.is_some());
            grant.into_iter().for_each(|grant| holding.take(grant));
        }
        (answered, holding.rate(now).unwrap())
    };
    let of = |line, generation| Holding::of(Some(Succession { line, generation }));
    let mut first = of(7, 1);
    assert_eq!(run(1, &mut first), (5, RATE));
    assert_eq!(run(2, &mut of(7, 2)), (5, RATE));
    assert_eq!(run(1, &mut first).0, 0, "what it had sent before is passed over");
    // One of another line, or of none, is not known to follow anybody.
    assert_eq!(run(3, &mut of(8, 3)), (5, 0));
    assert_eq!(run(4, &mut Holding::new()), (5, 0));
    assert_eq!(allocator.proxies(), 3);
}

/// Its numbers begin anew, and it knows nothing of what it did not give itself.
#[test]
fn a_scaler_that_is_started_anew_is_heard_and_gives_nothing_twice() {
    let demand = Demand { used_units: RATE / 20, weight: 1, ..Demand::default() };
    let mut holdings: Vec<_> = (0..4).map(|_| Holding::new()).collect();
    let mut now = 0;
    let mut round = |allocator: &mut Allocator, holdings: &mut Vec<Holding>| {
        for proxy in 0..holdings.len() {
            now += REPORT_INTERVAL_NS / 4;
            let report = holdings[proxy].report(now, demand);
            let grant = allocator.report(now, ProxyId(proxy as u64), &report).unwrap();
            holdings[proxy].take(grant);
            let in_force: u64 = holdings.iter().map(|it| it.rate(now).unwrap()).sum();
            let most = RATE + RATE / 32;
            assert!(in_force <= most, "{in_force} in force, limit {RATE}");
        }
        holdings.iter().map(|it| it.rate(now).unwrap()).sum::<u64>()
    };
    let mut first = Allocator::new(Some(RATE), 1);
    for _ in 0..10 {
        round(&mut first, &mut holdings);
    }
    let mut second = Allocator::new(Some(RATE), 2);
    assert!(round(&mut second, &mut holdings) > RATE / 4, "nobody loses what it had");
    for _ in 0..10 {
        round(&mut second, &mut holdings);
    }
    assert!(round(&mut second, &mut holdings) > RATE * 98 / 100);
    assert!(second.outstanding(now) >= RATE * 98 / 100, "and they are the second's");
    let heard: Vec<u64> = holdings.iter_mut().map(|it| it.report(now, demand).scaler).collect();
    assert_eq!(heard, [2; 4]);
}
