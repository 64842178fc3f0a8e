use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::super::history::{Action, Nanos, Oddity, Outcome, Token, Verb};
use super::{Bug, Simulation};

/// Nanoseconds of a second.
const SECOND: Nanos = 1_000_000_000;

/// What the cache answers.
pub enum Reply {
    Plain(Outcome),
    /// A value with its CAS unique.
    Value(Vec<Token>, u64),
}

/// A cache that executes one action at a time; with a bug, not always as it should.
pub struct Cache {
    entries: Vec<Entry>,
    rng: Xoshiro256PlusPlus,
    bug: Option<Bug>,
    bug_rate: u32,
    last_cas: u64,
}

#[derive(Clone, Default)]
struct Entry {
    item: Option<Item>,
    /// The version before, and what was deleted last.
    old: Option<Item>,
    deleted: Option<Item>,
}

#[derive(Clone)]
struct Item {
    /// The tokens in the order of the bytes; a counter's number alone.
    tokens: Vec<Token>,
    cas: u64,
    gone_from: Nanos,
}

impl Cache {
    pub fn new(simulation: &Simulation) -> Self {
        Self {
            entries: vec![Entry::default(); simulation.keys as usize],
            rng: Xoshiro256PlusPlus::seed_from_u64(!simulation.seed),
            bug: simulation.bug,
            bug_rate: simulation.bug_rate,
            last_cas: 0,
        }
    }

    /// Says whether there was something to evict.
    pub fn evict(&mut self, key: u32) -> bool {
        self.entries[key as usize].item.take().is_some()
    }

    pub fn execute(&mut self, key: u32, action: &Action, now: Nanos) -> Reply {
        self.expire(key, now);
        let is_counter = key % 4 == 3;
        match *action {
            Action::Get => self.get(key, is_counter),
            Action::GetAndTouch { ttl } => {
                self.touch(key, ttl, now);
                self.get(key, is_counter)
            }
            Action::Touch { ttl } => Reply::Plain(match self.touch(key, ttl, now) {
                true => Outcome::Done,
                false => Outcome::NotFound,
            }),
            Action::Store { verb, token, ttl } => {
                Reply::Plain(self.store(key, verb, token, self.deadline(ttl, now)))
            }
            Action::Cas { token, ttl, cas } => Reply::Plain(self.compared(key, cas, |cache| {
                let gone_from = cache.deadline(ttl, now);
                cache.put(key, vec![token], gone_from);
                Outcome::Stored { cas: cache.last_cas }
            })),
            Action::Count { is_up, delta } => Reply::Plain(self.count(key, is_up, delta)),
            Action::Delete { cas: 0 } => Reply::Plain(self.delete(key)),
            Action::Delete { cas } => {
                Reply::Plain(self.compared(key, cas, |cache| cache.delete(key)))
            }
        }
    }

    fn get(&mut self, key: u32, is_counter: bool) -> Reply {
        if self.has(Bug::ResurrectedValue)
            && let Some(old) = self.entries[key as usize].old.clone()
            && self.entries[key as usize].item.is_some()
        {
            self.entries[key as usize].item = Some(old);
        }
        if self.has(Bug::ResurrectedDelete)
            && self.entries[key as usize].item.is_none()
            && let Some(deleted) = self.entries[key as usize].deleted.take()
        {
            self.entries[key as usize].item = Some(deleted);
        }
        if self.has(Bug::WrongKey) {
            return Reply::Plain(Outcome::Odd(Oddity::WrongKey(key + 1)));
        }
        let is_stale = self.has(Bug::StaleRead);
        let is_corrupt = self.has(Bug::CorruptValue);
        let entry = &self.entries[key as usize];
        let item = match (&entry.item, &entry.old) {
            (Some(_), Some(old)) if is_stale => old,
            (Some(item), _) => item,
            (None, _) => return Reply::Plain(Outcome::NotFound),
        };
        if is_counter {
            let number = item.tokens[0] + (u64::from(is_corrupt) << 56);
            return Reply::Plain(Outcome::Number { number, cas: item.cas });
        }
        let mut tokens = item.tokens.clone();
        if is_corrupt {
            tokens[0] |= 1 << 40;
        }
        Reply::Value(tokens, item.cas)
    }

    fn store(&mut self, key: u32, verb: Verb, token: Token, gone_from: Nanos) -> Outcome {
        let is_there = self.entries[key as usize].item.is_some();
        if is_there == (verb == Verb::Add) && verb != Verb::Set {
            return Outcome::NotStored;
        }
        if matches!(verb, Verb::Append | Verb::Prepend) {
            return self.add(key, verb, token);
        }
        if self.has(Bug::LostWrite) && is_there {
            return Outcome::Stored { cas: 0 };
        }
        self.put(key, vec![token], gone_from);
        Outcome::Stored { cas: if token.is_multiple_of(2) { self.last_cas } else { 0 } }
    }

    fn add(&mut self, key: u32, verb: Verb, token: Token) -> Outcome {
        let times = match () {
            () if self.has(Bug::LostAppend) => 0,
            () if self.has(Bug::DuplicatedAppend) => 2,
            () => 1,
        };
        let Some(item) = &self.entries[key as usize].item else { return Outcome::NotStored };
        let (mut tokens, gone_from) = (item.tokens.clone(), item.gone_from);
        for _ in 0..times {
            let at = if verb == Verb::Append { tokens.len() } else { 0 };
            tokens.insert(at, token);
        }
        if times > 0 {
            self.put(key, tokens, gone_from);
        }
        Outcome::Stored { cas: 0 }
    }

    fn count(&mut self, key: u32, is_up: bool, delta: u64) -> Outcome {
        let Some(item) = &self.entries[key as usize].item else { return Outcome::NotFound };
        let (number, gone_from, old_cas) = (item.tokens[0], item.gone_from, item.cas);
        let is_twice = self.has(Bug::DuplicatedCount);
        let delta = if is_twice { 2 * delta } else { delta };
        let number = if is_up { number + delta } else { number - delta };
        if self.has(Bug::LostCount) {
            return Outcome::Number { number, cas: 0 };
        }
        let keeps_cas = self.has(Bug::CasKept);
        self.put(key, vec![number], gone_from);
        if let Some(item) = &mut self.entries[key as usize].item
            && keeps_cas
        {
            item.cas = old_cas;
        }
        Outcome::Number { number, cas: 0 }
    }

    fn delete(&mut self, key: u32) -> Outcome {
        let entry = &mut self.entries[key as usize];
        match entry.item.take() {
            None => Outcome::NotFound,
            Some(item) => {
                entry.deleted = Some(item);
                Outcome::Done
            }
        }
    }

    fn compared(&mut self, key: u32, cas: u64, then: impl FnOnce(&mut Self) -> Outcome) -> Outcome {
        let Some(present) = self.entries[key as usize].item.as_ref().map(|item| item.cas) else {
            return Outcome::NotFound;
        };
        let is_equal = present == cas;
        let is_wrong = match is_equal {
            true => self.has(Bug::CasRefused),
            false => self.has(Bug::CasAccepted),
        };
        if is_equal == is_wrong { Outcome::Exists } else { then(self) }
    }

    fn touch(&mut self, key: u32, ttl: u32, now: Nanos) -> bool {
        let gone_from = self.deadline(ttl, now);
        let changes_cas = self.has(Bug::CasChangedByTouch);
        let Some(item) = &mut self.entries[key as usize].item else { return false };
        item.gone_from = gone_from;
        if changes_cas {
            self.last_cas += 1;
            item.cas = self.last_cas;
        }
        true
    }

    fn put(&mut self, key: u32, tokens: Vec<Token>, gone_from: Nanos) {
        self.last_cas += 1;
        let entry = &mut self.entries[key as usize];
        entry.old = entry.item.take();
        entry.deleted = None;
        entry.item = Some(Item { tokens, cas: self.last_cas, gone_from });
    }

    fn expire(&mut self, key: u32, now: Nanos) {
        let is_over = |item: &Item| item.gone_from <= now;
        if self.entries[key as usize].item.as_ref().is_some_and(is_over)
            && !self.has(Bug::ExpiredValue)
        {
            self.entries[key as usize].item = None;
        }
    }

    /// When an item of this time to live goes: memcached's clock ticks once a second.
    fn deadline(&self, ttl: u32, now: Nanos) -> Nanos {
        if ttl == 0 {
            return Nanos::MAX;
        }
        let early = now % SECOND;
        (now + Nanos::from(ttl) * SECOND).saturating_sub(early)
    }

    fn has(&mut self, bug: Bug) -> bool {
        self.bug == Some(bug) && self.rng.random_range(0..1_000) < self.bug_rate
    }
}
