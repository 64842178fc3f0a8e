//! The number of evictions where so much is under way that it may come out too low: never too high.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::check;
use super::super::history::{Action, History, Operation, Outcome, Token, Verb};
use super::super::prepare::Prepared;
use super::super::search::{Found, search_with};
use super::super::simulate::{Simulation, simulate};
use super::super::versions::Known;

fn store(verb: Verb, token: Token) -> Action {
    Action::Store { verb, token, ttl: 0 }
}

#[test]
fn what_waits_for_a_failover_needs_no_eviction_where_a_deletion_explains_it() {
    let mut history = History::default();
    let value = history.seen(&[7, 4]);
    let hit = Outcome::Hit { value, cas: 148 };
    let stored = |cas| Outcome::Stored { cas };
    let operations = [
        (0, 100, store(Verb::Replace, 1), stored(35)),
        (1, 101, store(Verb::Set, 2), stored(36)),
        (2, 104, store(Verb::Replace, 3), stored(37)),
        (3, 102, store(Verb::Append, 4), stored(0)),
        (4, 105, Action::Delete { cas: 0 }, Outcome::Done),
        (5, 107, store(Verb::Set, 6), stored(145)),
        (6, 106, store(Verb::Add, 7), stored(147)),
        (7, 103, Action::Get, hit),
        (108, 109, Action::Get, hit),
    ];
    for (invoked, completed, action, outcome) in operations {
        history.push(Operation { key: 0, worker: 0, invoked, completed, action, outcome });
    }
    assert!(evictions(&history, 64).is_some_and(|evictions| evictions <= 0));
    let verdict = check(&[history], 0, 1);
    assert!(verdict.is_clean(), "{:#?}", verdict.examples);
    assert_eq!((verdict.undecided_keys, verdict.misses.evictions_needed), (0, 0));
}

#[test]
fn a_rough_number_of_evictions_is_never_above_the_exact_one() {
    let (mut compared, mut evicting) = (0, 0);
    for seed in 0..1_000 {
        let history = busy(seed);
        let exact = evictions(&history, usize::MAX);
        let rough = evictions(&history, 0);
        if let (Some(exact), Some(rough)) = (exact, rough) {
            assert!(rough <= exact, "seed {seed}: {rough} and {exact}: {history:#?}");
            compared += 1;
            evicting += u32::from(exact > 0);
        }
    }
    assert!(compared > 500 && evicting > 100, "{compared} {evicting}");
}

/// A history of one key with many operations at a time.
fn busy(seed: u64) -> History {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut history = simulate(&Simulation {
        seed,
        keys: 1,
        workers: rng.random_range(4..12),
        operations: 40,
        no_reply_rate: rng.random_range(0..2) * 30,
        eviction_rate: rng.random_range(0..3) * 50,
        ttl_rate: rng.random_range(0..2) * 50,
        ..Simulation::default()
    });
    history.operations_mut().sort_by_key(|one| (one.invoked, one.completed));
    history
}

/// The evictions of an explanation, exact up to so many at a time; `None` where it was not decided.
fn evictions(history: &History, exact_max: usize) -> Option<i32> {
    let mut known = Vec::new();
    for operation in history.operations() {
        let tokens = match &operation.outcome {
            Outcome::Hit { value, .. } => history.tokens(value),
            _ => &[],
        };
        known.push(Known { operation: *operation, tokens });
    }
    match search_with(&mut Prepared::new(&known).ok()?, exact_max) {
        Found::Explained(explanation) => Some(explanation.evictions),
        Found::Undecided => None,
        Found::Violation { .. } => panic!("the simulated cache is right"),
    }
}
