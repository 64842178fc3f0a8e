//! The check of a whole history: key by key, on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::diagnose::diagnose;
use super::excerpt::excerpt;
use super::history::{History, NO_REPLY, Nanos, Operation, Outcome};
use super::item::Why;
use super::limits::EXAMPLES_MAX;
use super::prepare::Prepared;
use super::search::{Found, search};
use super::step::is_miss;
use super::value::key_name;
use super::verdict::{Misses, Verdict, Violation, ViolationCount, ViolationKind};
use super::versions::{Fault, Known};

/// Checks what all threads of a run recorded, on so many threads. `seed` is the run's, for the
/// names of its keys.
#[must_use]
pub fn check(histories: &[History], seed: u64, threads: usize) -> Verdict {
    check_within(histories, seed, threads, None)
}

/// The same, and finds replies that came later than `reply_within` after their requests.
#[must_use]
pub fn check_within(
    histories: &[History],
    seed: u64,
    threads: usize,
    reply_within: Option<Nanos>,
) -> Verdict {
    let began = Instant::now();
    let by_key = ByKey::new(histories);
    let next = AtomicUsize::new(0);
    let mut parts = Vec::new();
    std::thread::scope(|scope| {
        let work = || check_keys(&by_key, &next, seed);
        let others: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(work)).collect();
        parts.push(work());
        for other in others {
            parts.push(other.join().expect("a checking thread does not panic"));
        }
    });
    let mut verdict = Verdict { operations: by_key.places.len() as u64, ..Verdict::default() };
    verdict.is_cut_short = histories.iter().any(|history| history.is_cut_short);
    verdict.longest_reply_us = longest_reply(histories) / 1_000;
    let mut violations = odd_replies(histories, seed);
    violations.extend(late_replies(histories, seed, reply_within.unwrap_or(Nanos::MAX)));
    for part in parts {
        add_part(&mut verdict, &part.verdict);
        violations.extend(part.violations);
    }
    tell(&mut verdict, violations);
    verdict.check_s = began.elapsed().as_secs_f64();
    verdict
}

/// The operations of all histories, each key's together.
struct ByKey<'h> {
    histories: &'h [History],
    /// (history, operation), by key.
    places: Vec<(u32, u32)>,
    /// Where a key's begin; one more than there are keys.
    begins: Vec<usize>,
}

impl<'h> ByKey<'h> {
    fn new(histories: &'h [History]) -> Self {
        let operations = || histories.iter().flat_map(|history| &history.operations);
        let keys = operations().map(|operation| operation.key as usize + 1).max().unwrap_or(0);
        let mut begins = vec![0; keys + 1];
        for operation in operations() {
            begins[operation.key as usize + 1] += 1;
        }
        for key in 0..keys {
            begins[key + 1] += begins[key];
        }
        let mut free = begins.clone();
        let mut places = vec![(0, 0); begins[keys]];
        for (history, number) in histories.iter().zip(0_u32..) {
            for (operation, index) in history.operations.iter().zip(0_u32..) {
                let place = &mut free[operation.key as usize];
                places[*place] = (number, index);
                *place += 1;
            }
        }
        Self { histories, places, begins }
    }

    /// A key's operations in the order of their invocations.
    fn known(&self, key: usize, into: &mut Vec<Known<'h>>) {
        into.clear();
        into.extend(self.places[self.begins[key]..self.begins[key + 1]].iter().map(
            |&(history, index)| {
                let history = &self.histories[history as usize];
                let operation = &history.operations[index as usize];
                let tokens = match &operation.outcome {
                    Outcome::Hit { value, .. } => history.tokens(value),
                    _ => &[],
                };
                Known { operation: *operation, tokens }
            },
        ));
        into.sort_by_key(|known| (known.operation.invoked, known.operation.completed));
    }
}

/// What one thread found.
#[derive(Default)]
struct Part {
    verdict: Verdict,
    violations: Vec<Violation>,
}

fn check_keys(by_key: &ByKey<'_>, next: &AtomicUsize, seed: u64) -> Part {
    let mut part = Part::default();
    let mut known = Vec::new();
    loop {
        let key = next.fetch_add(1, Ordering::Relaxed);
        if key + 1 >= by_key.begins.len() {
            return part;
        }
        by_key.known(key, &mut known);
        if known.is_empty() {
            continue;
        }
        part.verdict.keys += 1;
        count(&mut part.verdict, &known);
        if let Err(violation) = check_key(&known, &mut part.verdict, seed) {
            part.violations.push(*violation);
        }
    }
}

fn count(verdict: &mut Verdict, known: &[Known<'_>]) {
    for Known { operation, .. } in known {
        match operation.outcome {
            Outcome::NoReply => verdict.no_reply += 1,
            Outcome::Refused => verdict.refused += 1,
            _ => verdict.reads += u64::from(operation.action.is_read()),
        }
        verdict.misses.total += u64::from(is_miss(operation));
    }
}

fn check_key(known: &[Known<'_>], verdict: &mut Verdict, seed: u64) -> Result<(), Box<Violation>> {
    let fault = match Prepared::new(known) {
        Err(fault) => fault,
        Ok(mut prepared) => match search(&mut prepared) {
            Found::Explained(explanation) => {
                let misses = &mut verdict.misses;
                let count = |why: Why| u64::from(explanation.misses[why as usize]);
                misses.never_stored += count(Why::NeverStored);
                misses.deleted += count(Why::Deleted);
                misses.expired += count(Why::Expired);
                misses.evicted += count(Why::Evicted);
                misses.evictions_needed += u64::try_from(explanation.evictions).unwrap_or(0);
                return Ok(());
            }
            Found::Undecided => {
                verdict.undecided_keys += 1;
                return Ok(());
            }
            Found::Violation { step, before } => {
                let step = prepared.steps[step];
                let (kind, what) = diagnose(known, &prepared, &step, &before);
                Fault { index: step.index, kind, what }
            }
        },
    };
    let operation = &known[fault.index].operation;
    Err(Box::new(Violation {
        kind: fault.kind,
        key: key_name(seed, operation.key),
        at_ns: operation.completed,
        what: fault.what,
        excerpt: excerpt(known, fault.index),
    }))
}

fn odd_replies(histories: &[History], seed: u64) -> Vec<Violation> {
    let replies = histories.iter().flat_map(|history| &history.odd_replies);
    replies
        .map(|reply| Violation {
            kind: ViolationKind::ReplyOutOfOrder,
            key: key_name(seed, reply.key),
            at_ns: reply.at,
            what: reply.what.clone(),
            excerpt: Vec::new(),
        })
        .collect()
}

/// How long each answered operation took.
fn waits(histories: &[History]) -> impl Iterator<Item = (&Operation, Nanos)> {
    let operations = histories.iter().flat_map(|history| &history.operations);
    let answered = operations.filter(|operation| operation.completed != NO_REPLY);
    answered.map(|operation| (operation, operation.completed.saturating_sub(operation.invoked)))
}

fn longest_reply(histories: &[History]) -> Nanos {
    waits(histories).map(|(_, wait)| wait).max().unwrap_or_default()
}

/// The first of each key.
fn late_replies(histories: &[History], seed: u64, reply_within: Nanos) -> Vec<Violation> {
    let mut first: BTreeMap<u32, (&Operation, Nanos)> = BTreeMap::new();
    for (operation, wait) in waits(histories).filter(|(_, wait)| *wait > reply_within) {
        let known = first.entry(operation.key).or_insert((operation, wait));
        if operation.completed < known.0.completed {
            *known = (operation, wait);
        }
    }
    let violation = |(key, (operation, wait)): (u32, (&Operation, Nanos))| Violation {
        kind: ViolationKind::LateReply,
        key: key_name(seed, key),
        at_ns: operation.completed,
        what: format!(
            "its reply took {} ms; at most {} ms were promised",
            wait / 1_000_000,
            reply_within / 1_000_000
        ),
        excerpt: Vec::new(),
    };
    first.into_iter().map(violation).collect()
}

fn add_part(verdict: &mut Verdict, part: &Verdict) {
    verdict.keys += part.keys;
    verdict.reads += part.reads;
    verdict.no_reply += part.no_reply;
    verdict.refused += part.refused;
    verdict.undecided_keys += part.undecided_keys;
    let Misses { total, never_stored, deleted, expired, evicted, evictions_needed } = part.misses;
    let sum = &mut verdict.misses;
    sum.total += total;
    sum.never_stored += never_stored;
    sum.deleted += deleted;
    sum.expired += expired;
    sum.evicted += evicted;
    sum.evictions_needed += evictions_needed;
}

/// Counts the violations, and keeps the first of each kind and then the earliest ones.
fn tell(verdict: &mut Verdict, mut violations: Vec<Violation>) {
    violations.sort_by(|one, other| (one.at_ns, &one.key).cmp(&(other.at_ns, &other.key)));
    for kind in ViolationKind::ALL {
        let count = violations.iter().filter(|violation| violation.kind == kind).count() as u64;
        if count > 0 {
            verdict.violation_counts.push(ViolationCount { kind, count });
        }
    }
    let mut kinds = Vec::new();
    let (firsts, rest): (Vec<_>, Vec<_>) = violations.into_iter().partition(|violation| {
        let is_first = !kinds.contains(&violation.kind);
        if is_first {
            kinds.push(violation.kind);
        }
        is_first
    });
    let room = EXAMPLES_MAX.saturating_sub(firsts.len());
    verdict.examples = firsts;
    verdict.examples.extend(rest.into_iter().take(room));
    verdict.examples.sort_by_key(|violation| violation.at_ns);
}
