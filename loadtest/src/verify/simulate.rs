//! A simulated cache whose histories are known to be right, or wrong in one way: what the checker
//! is tested and measured with.

mod cache;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::history::{
    Action, COUNT_UNIT, COUNTER_BASE_SHIFT, COUNTER_START, History, NO_REPLY, Nanos, Operation,
    Outcome, Token, Verb,
};
use cache::{Cache, Reply};

/// What the simulated cache does wrong, now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after what they do")]
pub enum Bug {
    StaleRead,
    LostWrite,
    ResurrectedDelete,
    ResurrectedValue,
    DuplicatedCount,
    LostCount,
    DuplicatedAppend,
    LostAppend,
    CasAccepted,
    CasRefused,
    CasKept,
    CasChangedByTouch,
    ExpiredValue,
    WrongKey,
    CorruptValue,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::StaleRead,
        Self::LostWrite,
        Self::ResurrectedDelete,
        Self::ResurrectedValue,
        Self::DuplicatedCount,
        Self::LostCount,
        Self::DuplicatedAppend,
        Self::LostAppend,
        Self::CasAccepted,
        Self::CasRefused,
        Self::CasKept,
        Self::CasChangedByTouch,
        Self::ExpiredValue,
        Self::WrongKey,
        Self::CorruptValue,
    ];
}

/// A run to simulate. Rates are out of 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// Seed of all that is random.
    pub seed: u64,
    /// Keys; every fourth is a counter.
    pub keys: u32,
    /// Workers, each with one operation at a time.
    pub workers: u32,
    /// Operations in all.
    pub operations: u32,
    /// The longest time of an operation.
    pub duration_max: Nanos,
    /// Operations that get no reply.
    pub no_reply_rate: u32,
    /// Operations before which the item is evicted.
    pub eviction_rate: u32,
    /// Stores and touches with a time to live.
    pub ttl_rate: u32,
    /// What is wrong with the cache.
    pub bug: Option<Bug>,
    /// How often, where it can be.
    pub bug_rate: u32,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            seed: 0,
            keys: 8,
            workers: 8,
            operations: 2_000,
            duration_max: 100_000_000,
            no_reply_rate: 5,
            eviction_rate: 10,
            ttl_rate: 50,
            bug: None,
            bug_rate: 50,
        }
    }
}

/// The history of a simulated run.
#[must_use]
pub fn simulate(simulation: &Simulation) -> History {
    let mut run = Run {
        simulation: *simulation,
        rng: Xoshiro256PlusPlus::seed_from_u64(simulation.seed),
        cache: Cache::new(simulation),
        history: History::with_capacity(simulation.operations as usize),
        uniques: vec![Vec::new(); simulation.keys as usize],
        bases: vec![0; simulation.keys as usize],
        tokens: 0,
        evicted: 0,
    };
    let mut events = BinaryHeap::new();
    for worker in 0..simulation.workers {
        let at = run.rng.random_range(0..=simulation.duration_max);
        events.push(Reverse((at, Event::Begin { worker })));
    }
    while let Some(Reverse((now, event))) = events.pop() {
        match event {
            Event::Begin { worker } if run.history.len() < simulation.operations as usize => {
                let (index, effect_at, next_at) = run.begin(worker, now);
                if let Some(at) = effect_at {
                    events.push(Reverse((at, Event::Effect { index })));
                }
                events.push(Reverse((next_at, Event::Begin { worker })));
            }
            Event::Begin { .. } => {}
            Event::Effect { index } => run.take_effect(index, now),
        }
    }
    run.history
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin { worker: u32 },
    Effect { index: usize },
}

struct Run {
    simulation: Simulation,
    rng: Xoshiro256PlusPlus,
    cache: Cache,
    history: History,
    /// The latest CAS uniques that were told, by key, with when.
    uniques: Vec<Vec<(Nanos, u64)>>,
    /// Stores to a counter, by key.
    bases: Vec<u64>,
    tokens: u64,
    evicted: u64,
}

impl Run {
    /// Begins an operation; returns it, when it takes effect, and when its worker begins the next.
    fn begin(&mut self, worker: u32, now: Nanos) -> (usize, Option<Nanos>, Nanos) {
        let longest = self.simulation.duration_max;
        let key = self.rng.random_range(0..self.simulation.keys);
        let action = self.action(key, now);
        let effect_at = now + self.rng.random_range(0..=longest / 2);
        let completed = effect_at + self.rng.random_range(0..=longest / 2);
        let is_answered = !self.chance(self.simulation.no_reply_rate);
        let effect_at = match () {
            () if is_answered => Some(effect_at),
            () if self.chance(300) => None,
            () if self.chance(300) => Some(now + self.rng.random_range(0..=20 * longest)),
            () => Some(effect_at),
        };
        let index = self.history.len();
        self.history.push(Operation {
            key,
            worker,
            invoked: now,
            completed: if is_answered { completed } else { NO_REPLY },
            action,
            outcome: Outcome::NoReply,
        });
        let pause = self.rng.random_range(1..=longest / 4 + 1);
        (index, effect_at, completed + pause)
    }

    fn take_effect(&mut self, index: usize, now: Nanos) {
        let operation = self.history.operations()[index];
        if self.chance(self.simulation.eviction_rate) {
            self.evicted += u64::from(self.cache.evict(operation.key));
        }
        let reply = self.cache.execute(operation.key, &operation.action, now);
        let is_answered = operation.completed != NO_REPLY;
        let outcome = match reply {
            _ if !is_answered => Outcome::NoReply,
            Reply::Plain(outcome) => outcome,
            Reply::Value(tokens, cas) => {
                let value = self.history.seen(&tokens);
                Outcome::Hit { value, cas }
            }
        };
        if let Outcome::Hit { cas, .. } | Outcome::Number { cas, .. } = outcome
            && cas != 0
        {
            let uniques = &mut self.uniques[operation.key as usize];
            uniques.push((operation.completed, cas));
            if uniques.len() > 4 {
                uniques.remove(0);
            }
        }
        self.history.operations_mut()[index].outcome = outcome;
    }

    fn action(&mut self, key: u32, now: Nanos) -> Action {
        let is_counter = key % 4 == 3;
        let ttl =
            if self.chance(self.simulation.ttl_rate) { self.rng.random_range(1..=3) } else { 0 };
        let cas = self.known_unique(key, now);
        match self.rng.random_range(0..100) {
            0..35 => Action::Get,
            35..38 => Action::GetAndTouch { ttl },
            38..41 => Action::Touch { ttl },
            41..49 => Action::Delete { cas: 0 },
            49..51 => Action::Delete { cas: cas.unwrap_or(0) },
            51..65 => match cas {
                Some(cas) => Action::Cas { token: self.token(key, is_counter), ttl, cas },
                None => Action::Get,
            },
            65..80 if is_counter => {
                Action::Count { is_up: true, delta: self.rng.random_range(64..128) * COUNT_UNIT }
            }
            80..85 if is_counter => {
                Action::Count { is_up: false, delta: self.rng.random_range(1..4) }
            }
            65..75 => self.store(Verb::Append, key, ttl),
            75..80 => self.store(Verb::Prepend, key, ttl),
            80..92 => self.store(Verb::Set, key, ttl),
            92..96 => self.store(Verb::Add, key, ttl),
            _ => self.store(Verb::Replace, key, ttl),
        }
    }

    fn store(&mut self, verb: Verb, key: u32, ttl: u32) -> Action {
        Action::Store { verb, token: self.token(key, key % 4 == 3), ttl }
    }

    fn token(&mut self, key: u32, is_counter: bool) -> Token {
        if is_counter {
            let base = &mut self.bases[key as usize];
            *base += 1;
            return (*base << COUNTER_BASE_SHIFT) + COUNTER_START;
        }
        self.tokens += 1;
        self.tokens
    }

    /// A CAS unique that a worker can know.
    fn known_unique(&mut self, key: u32, now: Nanos) -> Option<u64> {
        let uniques = &self.uniques[key as usize];
        let told: Vec<u64> =
            uniques.iter().filter(|(at, _)| *at < now).map(|(_, cas)| *cas).collect();
        if told.is_empty() {
            return None;
        }
        // Mostly the latest, so that some are the present one.
        let back = if self.chance(700) { 0 } else { self.rng.random_range(0..told.len()) };
        Some(told[told.len() - 1 - back])
    }

    fn chance(&mut self, rate: u32) -> bool {
        self.rng.random_range(0..1_000) < rate
    }
}
