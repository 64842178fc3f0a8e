//! The number of evictions where so much is under way that it may come out too low: never too high.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::check;
use super::super::history::{Action, History, Operation, Outcome, Token, Verb};
use super::super::prepare::Prepared;
use super::super::search::{Found, search_with};
use super::super::simulate::{Simulation, simulate};
use super::super::versions::Known;

const GET: Action = Action::Get;
const DELETE: Action = Action::Delete { cas: 0 };

fn store(verb: Verb, token: Token) -> Action {
    Action::Store { verb, token, ttl: 0 }
}

/// Operations that are all asked for before the first reply comes.
fn all_at_a_time(mut history: History, operations: &[(u64, u64, Action, Outcome)]) -> History {
    for &(invoked, completed, action, outcome) in operations {
        let completed = 1_000 + completed;
        history.push(Operation { key: 0, worker: 0, invoked, completed, action, outcome });
    }
    history
}

#[test]
fn what_waits_for_a_failover_needs_no_eviction_where_deletions_explain_it() {
    let mut history = History::default();
    let first = Operation {
        key: 0,
        worker: 0,
        invoked: 0,
        completed: 1,
        action: store(Verb::Set, 290),
        outcome: Outcome::Stored { cas: 34 },
    };
    history.push(first);
    let added_to = history.seen(&[330, 320]);
    let hit = Outcome::Hit { value: added_to, cas: 148 };
    let stored = |cas| Outcome::Stored { cas };
    let operations = [
        (10, 0, store(Verb::Replace, 313), stored(35)),
        (12, 1, store(Verb::Set, 314), stored(36)),
        (14, 2, DELETE, Outcome::Done),
        (15, 3, store(Verb::Append, 320), stored(0)),
        (23, 4, GET, hit),
        (24, 5, GET, hit),
        (11, 6, GET, Outcome::NotFound),
        (13, 7, store(Verb::Replace, 318), stored(37)),
        (17, 8, DELETE, Outcome::Done),
        (21, 9, DELETE, Outcome::NotFound),
        (22, 10, store(Verb::Add, 330), stored(147)),
        (16, 11, store(Verb::Append, 321), Outcome::NotStored),
        (18, 12, GET, Outcome::NotFound),
        (19, 13, store(Verb::Append, 324), Outcome::NotStored),
        (20, 14, store(Verb::Set, 326), stored(145)),
    ];
    let verdict = check(&[all_at_a_time(history, &operations)], 0, 1);
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
