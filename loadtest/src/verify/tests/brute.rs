//! The checker against a search of all orders at all moments, on histories of a few operations.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::check;
use super::super::history::{Action, History, NO_REPLY, Operation, Outcome, Token, Verb};
use super::super::simulate::{Simulation, simulate};

const SECOND: u64 = 1_000_000_000;
/// Of an item's end, early and late; as the checker's.
const SLACK: i64 = 2;
const OPERATIONS_MAX: usize = 9;

#[test]
fn the_checker_agrees_with_a_search_of_all_orders() {
    let (mut clean, mut wrong) = (0, 0);
    for seed in 0..8_000 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut history = few(seed, &mut rng);
        if seed % 4 != 0 {
            spoil(&mut history, &mut rng);
        }
        let mut search = Brute::new(&history);
        let expected = search.evictions();
        let verdict = check(&[history.clone()], 0, 1);
        assert_eq!(verdict.undecided_keys, 0, "seed {seed}");
        assert_eq!(
            verdict.is_clean(),
            expected.is_some(),
            "seed {seed}: {:#?} {:#?}",
            verdict.examples,
            history.operations()
        );
        match expected {
            None => wrong += 1,
            Some(evictions) => {
                clean += 1;
                let found = verdict.misses.evictions_needed;
                assert!(
                    found <= u64::from(evictions),
                    "seed {seed}: {found} {evictions} {history:#?}"
                );
                if !search.has_ttl() {
                    assert_eq!(found, u64::from(evictions), "seed {seed}: {history:#?}");
                }
            }
        }
    }
    println!("{clean} clean, {wrong} wrong");
    assert!(clean > 5_000 && wrong > 1_000, "{clean} clean, {wrong} wrong");
}

/// A short history of one key, in whole seconds.
fn few(seed: u64, rng: &mut Xoshiro256PlusPlus) -> History {
    let whole = simulate(&Simulation {
        seed,
        keys: 4,
        workers: rng.random_range(2..12),
        operations: 48,
        duration_max: rng.random_range(1..5) * SECOND,
        no_reply_rate: rng.random_range(0..4) * 150,
        eviction_rate: rng.random_range(0..3) * 100,
        ttl_rate: rng.random_range(0..2) * 400,
        ..Simulation::default()
    });
    let key = rng.random_range(0..4);
    let mut history = whole.clone();
    let operations = history.operations_mut();
    operations.retain(|operation| operation.key == key);
    operations.truncate(OPERATIONS_MAX);
    for operation in operations {
        operation.invoked -= operation.invoked % SECOND;
        if operation.completed != NO_REPLY {
            operation.completed = operation.completed.div_ceil(SECOND) * SECOND;
        }
    }
    history
}

/// Alters a reply or two.
fn spoil(history: &mut History, rng: &mut Xoshiro256PlusPlus) {
    for _ in 0..rng.random_range(1..3) {
        let count = history.len();
        if count == 0 {
            return;
        }
        let (one, other) = (rng.random_range(0..count), rng.random_range(0..count));
        let theirs = history.operations()[other];
        let mine = &mut history.operations_mut()[one];
        if mine.completed == NO_REPLY {
            continue;
        }
        let tells = |outcome| matches!(outcome, Outcome::Hit { .. } | Outcome::Number { .. });
        mine.outcome = match (mine.action, mine.outcome) {
            (Action::Get | Action::GetAndTouch { .. }, _) if tells(theirs.outcome) => {
                theirs.outcome
            }
            (_, Outcome::Number { .. }) if tells(theirs.outcome) => theirs.outcome,
            (_, Outcome::Hit { .. } | Outcome::Number { .. } | Outcome::Done) => Outcome::NotFound,
            (Action::Delete { cas: 0 } | Action::Touch { .. }, Outcome::NotFound) => Outcome::Done,
            (Action::Cas { .. }, Outcome::Stored { .. } | Outcome::NotFound) => Outcome::Exists,
            (Action::Cas { .. }, _) => Outcome::Stored { cas: 0 },
            (Action::Store { verb, .. }, Outcome::Stored { .. }) if verb != Verb::Set => {
                Outcome::NotStored
            }
            (Action::Store { .. }, Outcome::NotStored) => Outcome::Stored { cas: 0 },
            (_, outcome) => outcome,
        };
    }
}

/// What is under the key: its tokens or number, and when it was last given a time to live.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Item {
    content: Vec<Token>,
    ttl_from: Option<(i64, i64)>,
}

struct Brute<'h> {
    history: &'h History,
    operations: Vec<Operation>,
    contents: HashMap<u64, Vec<Token>>,
    is_contradictory: bool,
    is_counter: bool,
    last: i64,
    memo: HashMap<(i64, u32, Option<Item>), Option<u32>>,
}

fn seconds(at: u64) -> i64 {
    i64::try_from(at / SECOND).unwrap()
}

impl<'h> Brute<'h> {
    fn new(history: &'h History) -> Self {
        let operations = history.operations().to_vec();
        let ends = operations.iter().map(|one| match one.completed {
            NO_REPLY => seconds(one.invoked),
            completed => seconds(completed),
        });
        let mut brute = Self {
            history,
            last: ends.max().unwrap_or(0),
            is_counter: operations.iter().any(|one| {
                matches!(one.outcome, Outcome::Number { .. })
                    || matches!(one.action, Action::Count { .. })
            }),
            operations,
            contents: HashMap::new(),
            is_contradictory: false,
            memo: HashMap::new(),
        };
        brute.note_uniques();
        brute
    }

    fn note_uniques(&mut self) {
        let mut told: Vec<(u64, Vec<Token>)> = Vec::new();
        for one in &self.operations {
            let content = match (one.outcome, one.action) {
                (Outcome::Hit { value, .. }, _) => self.history.tokens(&value).to_vec(),
                (Outcome::Number { number, .. }, _) => vec![number],
                (_, Action::Cas { token, .. }) => vec![token],
                (_, Action::Store { verb, token, .. })
                    if !matches!(verb, Verb::Append | Verb::Prepend) =>
                {
                    vec![token]
                }
                _ => continue,
            };
            let (Outcome::Hit { cas, .. } | Outcome::Number { cas, .. } | Outcome::Stored { cas }) =
                one.outcome
            else {
                continue;
            };
            if cas != 0 {
                told.push((cas, content));
            }
        }
        for (cas, content) in &told {
            self.is_contradictory |=
                told.iter().any(|(other, theirs)| (cas == other) != (content == theirs));
            self.contents.insert(*cas, content.clone());
        }
    }

    fn has_ttl(&self) -> bool {
        self.operations.iter().any(|one| match one.action {
            Action::GetAndTouch { ttl }
            | Action::Touch { ttl }
            | Action::Store { ttl, .. }
            | Action::Cas { ttl, .. } => ttl != 0,
            _ => false,
        })
    }

    /// The least evictions of all explanations.
    fn evictions(&mut self) -> Option<u32> {
        if self.is_contradictory { None } else { self.best(0, 0, None) }
    }

    fn best(&mut self, at: i64, done: u32, item: Option<Item>) -> Option<u32> {
        let state = (at, done, item.clone());
        if let Some(known) = self.memo.get(&state) {
            return *known;
        }
        let mut best: Option<u32> = None;
        let mut offer = |evictions: Option<u32>| {
            best = [best, evictions].into_iter().flatten().min();
        };
        if self.is_over(at, done) {
            offer(Some(0));
        }
        if self.may_advance(at, done) {
            offer(self.best(at + 1, done, item.clone()));
        }
        if let Some(present) = &item {
            let is_free =
                present.ttl_from.is_some_and(|(from, ttl)| at >= (from + ttl - SLACK).max(0));
            let cost = u32::from(!is_free);
            offer(self.best(at, done, None).map(|evictions| evictions + cost));
        }
        let is_usable = item.as_ref().is_none_or(|present| {
            present.ttl_from.is_none_or(|(from, ttl)| at <= from + ttl + SLACK)
        });
        for index in 0..self.operations.len() {
            let one = self.operations[index];
            let is_pending = done & (1 << index) == 0;
            if !is_pending || !is_usable || seconds(one.invoked) > at {
                continue;
            }
            if one.completed != NO_REPLY && seconds(one.completed) < at {
                continue;
            }
            if let Some(next) = self.executed(&one, at, item.clone()) {
                offer(self.best(at, done | 1 << index, next));
            }
        }
        self.memo.insert(state, best);
        best
    }

    fn is_over(&self, at: i64, done: u32) -> bool {
        at == self.last
            && self
                .operations
                .iter()
                .enumerate()
                .all(|(index, one)| one.completed == NO_REPLY || done & (1 << index) != 0)
    }

    fn may_advance(&self, at: i64, done: u32) -> bool {
        at < self.last
            && self.operations.iter().enumerate().all(|(index, one)| {
                one.completed == NO_REPLY || done & (1 << index) != 0 || seconds(one.completed) > at
            })
    }

    /// The item after the operation, if it can go as it went; what has no reply goes as it will.
    fn executed(&self, one: &Operation, at: i64, item: Option<Item>) -> Option<Option<Item>> {
        let is_open = one.outcome == Outcome::NoReply;
        let timed = |ttl: u32| (ttl != 0).then_some((at, i64::from(ttl)));
        let is_told = |outcome: bool| is_open || outcome;
        let Some(present) = item else { return executed_without_item(one, timed) };
        let same = Some(Some(present.clone()));
        let is_version =
            |cas: u64| self.contents.get(&cas).map(|content| *content == present.content);
        match one.action {
            Action::Get => self.shows(one, &present).then_some(same)?,
            Action::GetAndTouch { ttl } => is_told(self.shows(one, &present))
                .then(|| Some(Item { ttl_from: timed(ttl), ..present })),
            Action::Touch { ttl } => is_told(one.outcome == Outcome::Done)
                .then(|| Some(Item { ttl_from: timed(ttl), ..present })),
            Action::Store { verb: Verb::Add, .. } => {
                is_told(one.outcome == Outcome::NotStored).then_some(same)?
            }
            Action::Store { verb, token, ttl } => {
                let next = match verb {
                    Verb::Append => {
                        Item { content: [&present.content[..], &[token]].concat(), ..present }
                    }
                    Verb::Prepend => {
                        Item { content: [&[token], &present.content[..]].concat(), ..present }
                    }
                    _ => Item { content: vec![token], ttl_from: timed(ttl) },
                };
                is_told(matches!(one.outcome, Outcome::Stored { .. })).then_some(Some(next))
            }
            Action::Cas { token, ttl, cas } => {
                let stored = Some(Some(Item { content: vec![token], ttl_from: timed(ttl) }));
                match (one.outcome, is_version(cas)) {
                    (Outcome::Stored { .. } | Outcome::NoReply, Some(true) | None) => stored,
                    (Outcome::Exists, Some(false) | None) => same,
                    _ => None,
                }
            }
            Action::Delete { cas } => match (one.outcome, is_version(cas)) {
                (Outcome::Done | Outcome::NoReply, _) if cas == 0 => Some(None),
                (Outcome::Done | Outcome::NoReply, Some(true) | None) if cas != 0 => Some(None),
                (Outcome::Exists, Some(false) | None) if cas != 0 => same,
                _ => None,
            },
            Action::Count { is_up, delta } => {
                let number = present.content[0];
                let number = if is_up { number + delta } else { number.checked_sub(delta)? };
                let is_right = match one.outcome {
                    Outcome::Number { number: told, .. } => told == number,
                    Outcome::NoReply => true,
                    _ => false,
                };
                is_right.then(|| Some(Item { content: vec![number], ..present }))
            }
        }
    }

    fn shows(&self, one: &Operation, present: &Item) -> bool {
        match one.outcome {
            Outcome::Hit { value, .. } => self.history.tokens(&value) == present.content,
            Outcome::Number { number, .. } => self.is_counter && present.content == [number],
            _ => false,
        }
    }
}

fn executed_without_item(
    one: &Operation,
    timed: impl Fn(u32) -> Option<(i64, i64)>,
) -> Option<Option<Item>> {
    let is_told = |outcome: bool| one.outcome == Outcome::NoReply || outcome;
    match one.action {
        Action::Store { verb: Verb::Set | Verb::Add, token, ttl } => {
            is_told(matches!(one.outcome, Outcome::Stored { .. }))
                .then(|| Some(Item { content: vec![token], ttl_from: timed(ttl) }))
        }
        Action::Store { .. } => is_told(one.outcome == Outcome::NotStored).then_some(None),
        _ => is_told(one.outcome == Outcome::NotFound).then_some(None),
    }
}
