#![allow(clippy::unwrap_used, reason = "it is test code")]

use super::*;
use crate::limits::{HELD_NS_MAX, UNTOLD_NS_MAX};

const ECPU: EcpuUnits = EcpuUnits::ONE;

/// It is not known before what a reply costs, but what the connection's last one did.
#[test]
fn no_more_go_on_at_once_than_can_pay_for_what_their_last_ones_cost() {
    let pool = Pool::new(Some(5_000 * 1_024), 1, 0);
    let mut gate = Gate::new(0);
    let mut turns = [Turn::default(); 8];
    let large = EcpuUnits::from_units(97 * 1_024);
    for turn in &mut turns {
        turn.used = 1;
        gate.charge(turn, large);
    }
    gate.pay(&pool, 0);
    for (id, turn) in (0..).zip(&mut turns) {
        let decision = gate.ask(&pool, (HeldId(id), turn), (ECPU, 1), 1);
        assert_eq!(decision, Decision::DelayUntil(1 + HELD_NS_MAX));
    }
    // The debt is paid, and little more.
    let now = 110_000_000;
    assert_eq!(gate.release(&pool, now), Some(HeldId(0)));
    assert_eq!(gate.release(&pool, now), None, "the first may cost as much again");
    Gate::released(&mut turns[0]);
    gate.charge(&mut turns[0], EcpuUnits::from_units(0));
    gate.close(&pool, now);
    let now = gate.wake_at(now).unwrap().min(now + 1_000_000);
    assert!(gate.release(&pool, now).is_some(), "it did not");
    assert!(gate.release(&pool, now).is_none());
    gate.cancel(&mut turns[1]);
    gate.close(&pool, now);
    assert_eq!(pool.demand(now).used_units, (8 * 97 + 2) * 1_024);
}

/// Else as many would go on as can pay for what they cost at the least, which is a hundredth.
#[test]
fn of_those_whose_cost_nothing_is_known_of_one_goes_on_at_a_time() {
    let (pool, mut gate) = dry();
    let large = EcpuUnits::from_units(97 * 1_024);
    let mut turns: Vec<Turn> = (0..4).map(|id| hold(&mut gate, &pool, id)).collect();
    // The debt is paid, and there is enough for five that cost the least.
    let now = 105_000_000;
    assert_eq!(gate.release(&pool, now), Some(HeldId(0)));
    assert_eq!((gate.release(&pool, now), gate.held()), (None, 3), "not before its cost is known");
    assert_eq!(gate.wake_at(now), Some(now + TRIAL_NS_MAX), "or it is taken for lost");
    Gate::released(&mut turns[0]);
    gate.charge(&mut turns[0], EcpuUnits::from_units(0));
    assert_eq!(gate.release(&pool, now), Some(HeldId(1)), "there was enough for more");
    gate.cancel(&mut turns[1]);
    assert_eq!(gate.release(&pool, now), Some(HeldId(2)), "that one has ended");
    Gate::released(&mut turns[2]);
    gate.charge(&mut turns[2], large);
    assert_eq!(gate.release(&pool, now), None, "it has cost all that there was");
    assert_eq!(gate.wake_at(now), Some(gate.lease.dry_until()));
}

/// What commands cost while there was no limit is known when there is one.
#[test]
fn what_was_used_without_a_limit_says_what_the_next_one_costs() {
    let (pool, mut gate) = dry();
    let mut turns = [Turn { used: 1, ..Turn::default() }; 2];
    for (id, turn) in (0..).zip(&mut turns) {
        Gate::lifted(turn, EcpuUnits::from_units(98 * 1_024));
        gate.ask(&pool, (HeldId(id), turn), (ECPU, 1), 1);
    }
    let now = 105_000_000;
    assert_eq!(gate.release(&pool, now), Some(HeldId(0)));
    assert_eq!(gate.release(&pool, now), None, "it is charged in advance");
    gate.close(&pool, now);
    assert_eq!(pool.demand(now).used_units, (100 + 1 + 98) * 1_024);
}

/// A gate of a pool with nothing to spend or lend, which gets an ECPU each millisecond.
fn dry() -> (Pool, Gate) {
    let pool = Pool::new(Some(1_000 * 1_024), 1, 0);
    let mut gate = Gate::new(0);
    let mut debtor = Turn::default();
    assert_eq!(gate.ask(&pool, (HeldId(0), &mut debtor), (ECPU, 0), 0), Decision::Admit);
    gate.charge(&mut debtor, EcpuUnits::from_units(100 * 1_024));
    gate.close(&pool, 0);
    (pool, gate)
}

fn hold(gate: &mut Gate, pool: &Pool, id: u64) -> Turn {
    // It had its part, so that nothing is lent to it.
    let mut turn = Turn { used: 1, ..Turn::default() };
    let decision = gate.ask(pool, (HeldId(id), &mut turn), (ECPU, 0), 1);
    assert_eq!(decision, Decision::DelayUntil(HELD_NS_MAX));
    turn
}

#[test]
fn a_connection_that_ends_while_it_is_held_back_is_forgotten() {
    let (pool, mut gate) = dry();
    let mut first = hold(&mut gate, &pool, 1);
    let mut second = hold(&mut gate, &pool, 2);
    gate.cancel(&mut first);
    gate.cancel(&mut first);
    assert_eq!((gate.held(), first.used), (1, 1), "and pays nothing");
    assert_eq!(gate.release(&pool, 150_000_000), Some(HeldId(2)));
    Gate::released(&mut second);
    assert_eq!((gate.release(&pool, 150_000_000), gate.wake_at(150_000_000)), (None, None));
}

#[test]
fn who_is_held_back_waits_until_its_time_and_is_refused_then() {
    let (pool, mut gate) = dry();
    let mut turn = hold(&mut gate, &pool, 1);
    let mut ask = |now| gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), now);
    // The debt is not paid by then.
    pool.set_rate(2, Some(1));
    assert_eq!(ask(HELD_NS_MAX - 1), Decision::DelayUntil(HELD_NS_MAX));
    assert_eq!(ask(HELD_NS_MAX), Decision::Refuse);
    assert_eq!(ask(HELD_NS_MAX + 1), Decision::Refuse, "the rest of its pipeline too");
    assert_eq!(gate.held(), 0);
    gate.close(&pool, HELD_NS_MAX + 1);
    assert_eq!(pool.demand(HELD_NS_MAX + 1).refused_units, 2 * 1_024);
}

#[test]
fn a_connection_takes_its_standing_along_to_another_core() {
    let (pool, mut gate) = dry();
    let mut turn = hold(&mut gate, &pool, 1);
    assert_eq!(gate.release(&pool, 150_000_000), Some(HeldId(1)));
    Gate::released(&mut turn);
    let ahead = turn.used - gate.queue.virtual_time();
    assert_eq!(ahead, 1_024, "one command ahead of those that wait");
    gate.depart(&mut turn);
    let other = Gate::new(1);
    other.arrive(&mut turn);
    assert_eq!(turn.used, ahead);
}

/// A command of whose cost nothing is known is asked of a node that has stopped.
#[test]
fn those_whose_cost_is_known_do_not_wait_for_those_of_whom_nothing_is() {
    let (pool, mut gate) = dry();
    let _unknown: Vec<Turn> = (0..2).map(|id| hold(&mut gate, &pool, id)).collect();
    let mut known = Turn { used: 2, rest: Some(0), ..Turn::default() };
    gate.ask(&pool, (HeldId(7), &mut known), (ECPU, 0), 1);
    let now = 105_000_000;
    assert_eq!(gate.release(&pool, now), Some(HeldId(0)), "by their use");
    assert_eq!(gate.release(&pool, now), Some(HeldId(7)));
    assert_eq!(gate.release(&pool, now), None);
    let now = gate.wake_at(now).unwrap();
    assert_eq!(gate.release(&pool, now), Some(HeldId(1)), "the first one is taken for lost");
}

/// A pipeline of large replies: the next command is held back while the first is under way.
#[test]
fn what_is_charged_in_advance_stays_so_while_the_next_of_its_pipeline_asks() {
    let (pool, mut gate) = dry();
    let rest = Some(97 * 1_024);
    let mut turns = [1, 2].map(|used| Turn { used, rest, ..Turn::default() });
    for (id, turn) in (0..).zip(&mut turns) {
        gate.ask(&pool, (HeldId(id), turn), (ECPU, 1), 1);
    }
    let now = 105_000_000;
    assert_eq!(gate.release(&pool, now), Some(HeldId(0)));
    Gate::released(&mut turns[0]);
    gate.ask(&pool, (HeldId(0), &mut turns[0]), (ECPU, 1), now);
    gate.pay(&pool, now);
    assert_eq!(gate.release(&pool, now), None, "as much as the first one costs is owed");
    assert_eq!(pool.demand(now).used_units, (100 + 1 + 98) * 1_024);
    gate.cancel(&mut turns[0]);
    gate.close(&pool, now);
    let now = now + 1_000_000;
    assert!(gate.release(&pool, now).is_some(), "it is not, its connection has ended");
    gate.close(&pool, now);
    assert_eq!(pool.demand(now).used_units, 1_024, "what was told too much is not told again");
}

#[test]
fn nobody_is_held_back_or_refused_once_there_is_no_limit() {
    let (pool, mut gate) = dry();
    let mut turns: Vec<Turn> = (0..3).map(|id| hold(&mut gate, &pool, id)).collect();
    let now = 105_000_000;
    assert_eq!(gate.release(&pool, now), Some(HeldId(0)));
    pool.set_rate(now, None);
    let later = HELD_NS_MAX;
    let decision = gate.ask(&pool, (HeldId(1), &mut turns[1]), (ECPU, 0), later);
    assert_eq!(decision, Decision::Admit, "it has waited for as long as one does");
    assert_eq!(gate.release(&pool, later), Some(HeldId(2)));
}

/// A gate of a proxy that was begun a moment ago, whose scaler has not answered yet; a command that it holds back.
fn untold() -> (Pool, Gate, Turn) {
    let (pool, mut gate, mut turn) =
        (Pool::new(Some(0), 1, 0), Gate::new(0), Turn { used: 1, ..Turn::default() });
    let mut at = 0;
    while at < 1_000_000_000 {
        let decision = gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), at);
        assert_eq!(decision, Decision::DelayUntil(at + HELD_NS_MAX));
        at += HELD_NS_MAX;
    }
    assert_eq!(gate.release(&pool, at), None);
    (pool, gate, turn)
}

#[test]
fn a_proxy_that_was_told_nothing_yet_holds_commands_back_and_refuses_none() {
    const AT: u64 = 1_000_000_000;
    for rate in [None, Some(1_000 * 1_024)] {
        let (pool, mut gate, _) = untold();
        pool.set_rate(AT, rate);
        let soon = AT + 10_000_000;
        assert_eq!(gate.release(&pool, soon), Some(HeldId(1)), "{rate:?}");
    }
    // There is a limit, and too little: what waited goes by the rule from now on.
    let (pool, mut gate, mut turn) = untold();
    pool.set_rate(AT, Some(1));
    let mut ask = |now| gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), now);
    assert_eq!(ask(AT + 1), Decision::DelayUntil(AT + HELD_NS_MAX));
    assert_eq!(ask(AT + HELD_NS_MAX), Decision::Refuse);
    // Nor is it waited for ever.
    let (pool, mut gate, mut turn) = untold();
    let mut ask = |now| gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), now);
    assert_eq!(ask(UNTOLD_NS_MAX - 1), Decision::DelayUntil(UNTOLD_NS_MAX));
    assert_eq!(ask(UNTOLD_NS_MAX), Decision::Refuse);
}

/// A pipeline that went on at once, as there was enough.
#[test]
fn what_many_have_cost_together_is_not_taken_for_what_each_costs() {
    let pool = Pool::new(Some(1_000 * 1_024), 1, 0);
    let mut gate = Gate::new(0);
    let mut turn = Turn::default();
    for _ in 0..10 {
        assert_eq!(gate.ask(&pool, (HeldId(0), &mut turn), (ECPU, 0), 0), Decision::Admit);
    }
    gate.charge(&mut turn, EcpuUnits::from_units(90 * 1_024));
    gate.close(&pool, 0);
    turn.used = 1;
    gate.ask(&pool, (HeldId(0), &mut turn), (ECPU, 1), 1);
    assert_eq!(gate.release(&pool, 105_000_000), Some(HeldId(0)));
    gate.close(&pool, 105_000_000);
    assert_eq!(pool.demand(105_000_000).used_units, (100 + 1 + 9) * 1_024);
}
