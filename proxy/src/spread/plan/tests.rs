#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use super::*;

const PLENTY: Option<u32> = Some(4000);
const FULL: Option<u32> = Some(0);

fn load(busy: u32, active: u32) -> Load {
    Load { busy, active, starved: 0 }
}

fn moved(from: usize, to: usize, connections: u32) -> Vec<Move> {
    vec![Move { from, to, connections: Some(connections) }]
}

fn retired(from: usize, to: usize) -> Vec<Move> {
    vec![Move { from, to, connections: None }]
}

/// Ticks with the same loads until something is to be moved; fails after a while without.
fn until_moves(planner: &mut Planner, loads: &[Load], idle: Option<u32>) -> (u32, Vec<Move>) {
    for ticks in 1..10_000 {
        let moves = planner.tick(loads, idle);
        if !moves.is_empty() {
            return (ticks, moves);
        }
    }
    panic!("nothing moves with {loads:?}");
}

fn nothing_moves(planner: &mut Planner, loads: &[Load], idle: Option<u32>) {
    for _ in 0..1_000 {
        assert_eq!(planner.tick(loads, idle), []);
    }
}

/// A planner whose first two cores serve.
fn two_serve(cores: usize) -> Planner {
    let mut planner = Planner::new(cores);
    let mut loads = vec![Load::default(); cores];
    loads[0] = load(1000, 50);
    let (_, moves) = until_moves(&mut planner, &loads, Some(500));
    assert_eq!((moves, planner.serving()), (moved(0, 1, 25), 2));
    planner
}

#[test]
fn one_core_serves_until_it_is_hot_for_two_ticks() {
    let mut planner = Planner::new(4);
    let mut loads = [load(799, 50), load(0, 0), load(0, 0), load(0, 0)];
    nothing_moves(&mut planner, &loads, PLENTY);
    loads[0] = load(800, 50);
    assert_eq!(planner.tick(&loads, PLENTY), []);
    assert_eq!(planner.tick(&loads, PLENTY), moved(0, 1, 25));
    assert_eq!(planner.serving(), 2);
}

#[test]
fn no_core_is_added_that_would_find_no_cpu() {
    let mut planner = Planner::new(2);
    let loads = [load(1000, 50), load(0, 0)];
    nothing_moves(&mut planner, &loads, Some(499));
    assert_eq!(planner.serving(), 1);
    let (ticks, _) = until_moves(&mut planner, &loads, None);
    assert_eq!((ticks, planner.serving()), (1, 2), "who cannot tell is taken to have enough");
}

#[test]
fn who_has_to_fight_for_a_cpu_does_so_with_more_threads() {
    let mut planner = Planner::new(2);
    let starved = |starved| [Load { starved, ..load(1000, 50) }, load(0, 0)];
    nothing_moves(&mut planner, &starved(199), FULL);
    assert_eq!(planner.tick(&starved(200), FULL), moved(0, 1, 25));
}

#[test]
fn a_lone_connection_has_nobody_to_share_with() {
    nothing_moves(&mut Planner::new(2), &[load(1000, 1), load(0, 0)], PLENTY);
}

#[test]
fn one_core_is_all_that_one_core_can_plan() {
    let mut planner = Planner::new(1);
    nothing_moves(&mut planner, &[load(1000, 50)], PLENTY);
    assert!(!planner.wants_idle_cpus());
}

#[test]
fn hot_cores_double_while_there_are_cpus() {
    let mut planner = Planner::new(8);
    let loads = [load(1000, 64); 8];
    let mut ticks = 0;
    let mut serving = vec![planner.serving()];
    while planner.serving() < 8 {
        ticks += until_moves(&mut planner, &loads, PLENTY).0;
        serving.push(planner.serving());
    }
    assert_eq!(serving, [1, 2, 4, 8]);
    assert!(u64::from(ticks) * TICK_MILLIS <= 500, "{ticks} ticks");
    let mut planner = two_serve(8);
    until_moves(&mut planner, &loads, Some(999));
    assert_eq!(planner.serving(), 3, "there was one CPU");
}

#[test]
fn a_hot_core_gives_to_the_calmest_what_makes_them_alike() {
    let mut planner = two_serve(3);
    let mut loads = [load(900, 30), load(300, 7), load(0, 0)];
    // No CPU for a third.
    let (_, moves) = until_moves(&mut planner, &loads, FULL);
    assert_eq!(moves, moved(0, 1, 10));
    loads[1].busy = 601;
    nothing_moves(&mut planner, &loads, FULL);
}

#[test]
fn the_effect_of_a_change_is_awaited() {
    let mut planner = two_serve(2);
    let uneven = [load(1000, 30), load(0, 0)];
    assert_eq!(planner.tick(&uneven, PLENTY), []);
    assert_eq!(planner.tick(&uneven, PLENTY), []);
    assert_eq!(planner.tick(&uneven, PLENTY), moved(0, 1, 15));
}

#[test]
fn a_core_retires_after_a_calm_second() {
    let mut planner = two_serve(2);
    let loads = [load(200, 20), load(400, 20)];
    let (ticks, moves) = until_moves(&mut planner, &loads, PLENTY);
    assert_eq!((moves, planner.serving()), (retired(1, 0), 1));
    assert_eq!(ticks, SETTLE_TICKS + 1000 / u32::try_from(TICK_MILLIS).unwrap());
    nothing_moves(&mut planner, &[load(650, 40), load(0, 0)], PLENTY);
}

#[test]
fn a_short_calm_retires_nobody() {
    let mut planner = two_serve(2);
    for _ in 0..100 {
        for _ in 0..CALM_TICKS - 1 {
            assert_eq!(planner.tick(&[load(100, 20); 2], PLENTY), []);
        }
        assert_eq!(planner.tick(&[load(700, 20); 2], PLENTY), []);
    }
}

#[test]
fn half_busy_cores_of_a_full_machine_become_one() {
    let mut planner = two_serve(2);
    nothing_moves(&mut planner, &[load(600, 25); 2], Some(100));
    let (_, moves) = until_moves(&mut planner, &[load(600, 25); 2], FULL);
    assert_eq!((moves, planner.serving()), (retired(1, 0), 1));
    // It is busy now, but so is the whole machine.
    nothing_moves(&mut planner, &[load(1000, 50), load(0, 0)], Some(300));
}

#[test]
fn busy_cores_that_fill_the_machine_stay() {
    nothing_moves(&mut two_serve(2), &[load(700, 25); 2], FULL);
}

#[test]
fn a_wrong_retirement_is_tried_ever_less_often() {
    let mut planner = two_serve(2);
    let mut waits = vec![];
    for _ in 0..10 {
        waits.push(until_moves(&mut planner, &[load(600, 25); 2], FULL).0);
        assert_eq!(planner.serving(), 1);
        // With one core less, somebody waits for us and leaves a CPU idle.
        until_moves(&mut planner, &[load(1000, 50), load(0, 0)], Some(900));
        assert_eq!(planner.serving(), 2);
    }
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!(waits[9] >= PATIENCE_TICKS_MAX, "{waits:?}");
    // One that proves right starts over.
    until_moves(&mut planner, &[load(600, 25); 2], FULL);
    nothing_moves(&mut planner, &[load(900, 50), load(0, 0)], Some(300));
    until_moves(&mut planner, &[load(900, 50), load(0, 0)], Some(900));
    let (ticks, _) = until_moves(&mut planner, &[load(600, 25); 2], FULL);
    assert_eq!(ticks, SETTLE_TICKS + CALM_TICKS);
}

#[test]
fn moves_stay_within_the_cores_and_never_take_all() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state % u64::from(below)).unwrap()
    };
    for cores in 1..=9 {
        let mut planner = Planner::new(cores);
        let mut loads = vec![Load::default(); cores];
        for _ in 0..20_000 {
            if random(10) == 0 {
                loads.iter_mut().for_each(|it| {
                    *it = Load { starved: random(300), ..load(random(1001), random(100)) }
                });
            }
            let before = planner.serving();
            let idle = (random(5) > 0).then(|| random(3000));
            for Move { from, to, connections } in planner.tick(&loads, idle) {
                assert!(from != to && from < cores && to < planner.serving());
                assert_eq!(connections.is_none(), from >= planner.serving());
                assert!(connections.is_none_or(|count| count < loads[from].active));
            }
            assert!((1..=cores).contains(&planner.serving()));
            assert!(planner.serving() + 1 >= before, "one at a time");
        }
    }
}
