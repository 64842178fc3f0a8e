//! The checker's verdict, as text and page both tell it.

use super::format;
use crate::verify::{Verdict, Violation};

/// How the lines of an example are to be read.
pub(super) const LEGEND: &str = "\
Times are ms since the run began, from request to reply; worker: the connection.
3.17: value 17 that thread 3 sent; a counter's numbers are as they were sent.
The number behind the dash of a key's name is the key's own.
>: the reply that cannot be; *: what it contradicts or comes from; ...: left out.";

/// A verdict in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VerdictText {
    /// Whether every key was checked and none has a violation.
    pub is_passed: bool,
    /// The verdict in one line.
    pub headline: String,
    /// What it rests on, as (name, figure or sentence).
    pub facts: Vec<(&'static str, String)>,
    /// Violations, each with the operations around it.
    pub examples: Vec<Example>,
}

/// A violation in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    /// What it is, where and when.
    pub what: String,
    /// The operations around it.
    pub lines: Vec<String>,
}

/// Puts a verdict into words. `evicted` is what the endpoint says it evicted.
pub(super) fn verdict_text(verdict: &Verdict, evicted: Option<u64>) -> VerdictText {
    let is_whole = verdict.undecided_keys == 0 && !verdict.is_cut_short;
    VerdictText {
        is_passed: verdict.is_clean() && is_whole,
        headline: headline(verdict),
        facts: facts(verdict, evicted),
        examples: verdict.examples.iter().map(example).collect(),
    }
}

fn headline(verdict: &Verdict) -> String {
    let mut out = if verdict.is_clean() {
        "no violation found".to_owned()
    } else {
        let kinds = verdict.violation_counts.iter();
        let kinds: Vec<String> = kinds
            .map(|row| format!("{} ({})", row.kind.name(), format::count(row.count)))
            .collect();
        let keys = format::count(verdict.violations());
        format!("VIOLATED on {keys} keys: {}", kinds.join(", "))
    };
    if verdict.undecided_keys > 0 {
        let keys = format::count(verdict.undecided_keys);
        out.push_str(&format!("; {keys} keys could not be decided, nothing is known of them"));
    }
    if verdict.is_cut_short {
        out.push_str("; the history was full before the end, what came after was not checked");
    }
    out
}

fn facts(verdict: &Verdict, evicted: Option<u64>) -> Vec<(&'static str, String)> {
    let misses = &verdict.misses;
    let operations = format::count(verdict.operations);
    let mut facts = vec![
        ("operations", format!("{operations} (one for each key of a request, warm-up included)")),
        ("keys", format::count(verdict.keys)),
        ("reads", format::count(verdict.reads)),
        ("without reply", format::count(verdict.no_reply)),
        ("refused", format::count(verdict.refused)),
        ("misses (by key, all commands)", format::count(misses.total)),
        ("  of these, never stored", format::count(misses.never_stored)),
        ("  of these, deleted", format::count(misses.deleted)),
        ("  of these, expired", format::count(misses.expired)),
        ("  of these, evicted or lost", format::count(misses.evicted)),
        ("least evictions that explain these", format::count(misses.evictions_needed)),
    ];
    facts.push(("longest wait for a reply", format::micros(verdict.longest_reply_us as f64)));
    if let Some(evicted) = evicted {
        facts.push(("evictions by the endpoint", format::count(evicted)));
    }
    facts.push(("checked in", format::micros(verdict.check_s * 1e6)));
    facts
}

fn example(violation: &Violation) -> Example {
    let at = format::micros(violation.at_ns as f64 / 1e3);
    let (key, what) = (format::one_line(&violation.key), format::one_line(&violation.what));
    Example {
        what: format!("{} on {key} at {at}: {what}", violation.kind.name()),
        lines: violation.excerpt.iter().map(|line| format::one_line(line)).collect(),
    }
}
