//! What of an answer people want to see: the rest is in `--json` and in the metrics.

use std::collections::BTreeMap;

use memtide_records::usage::{decimal, utc};
use serde_json::{Value, json};

use super::{What, limits};

/// The columns of a node.
const NODE: [&str; 15] = [
    "id",
    "instance",
    "zone",
    "state",
    "draining",
    "address",
    "primary_slots",
    "in_sync_slots",
    "learner_slots",
    "items",
    "memory_used_bytes",
    "memory_max_bytes",
    "heard_ms_ago",
    "program",
    "wire_version_max",
];

/// The answer to `what` as it is shown.
pub fn of(what: &What, mut answer: Value) -> Value {
    match what {
        What::Nodes => {
            let nodes = answer.get_mut("nodes").and_then(Value::as_array_mut);
            for node in nodes.into_iter().flatten() {
                if let Some(node) = node.as_object_mut() {
                    // Where nobody gives names there is no column of them.
                    node.retain(|name, value| {
                        NODE.contains(&name.as_str()) && !(name == "instance" && value.is_null())
                    });
                }
            }
        }
        What::Topology { slots } => {
            let runs = answer.get("slots").and_then(Value::as_array);
            let groups = runs.map(|runs| groups(runs, *slots));
            if let Some(slots) = answer.get_mut("slots") {
                *slots = groups.unwrap_or_default();
            }
        }
        What::Limits { .. } => return limits::view(&answer),
        What::Usage { .. } => {
            let hours = answer.get("hours").and_then(Value::as_array).map(|hours| usage(hours));
            return hours.unwrap_or(answer);
        }
        _ => {}
    }
    answer
}

/// Hours as people count them: ECPUs, GB-hours.
fn usage(hours: &[Value]) -> Value {
    let row = |hour: &Value| {
        let number = |name: &str| hour[name].as_u64().unwrap_or_default();
        let ecpus = |name| decimal(u128::from(number(name)), 1_024, 3);
        let gb_hours = |name| decimal(u128::from(number(name)), 3_600 << 30, 6);
        json!({
            "hour": utc(number("hour")),
            "seconds": number("seconds"),
            "ecpus": ecpus("ecpu_units"),
            "ecpus_metered": ecpus("ecpu_units_metered"),
            "gb_hours": gb_hours("byte_seconds"),
            "gb_hours_metered": gb_hours("byte_seconds_metered"),
            "commands": number("commands"),
            "throttled": number("throttled_commands"),
            "in_bytes": number("bytes_in"),
            "out_bytes": number("bytes_out"),
        })
    };
    hours.iter().map(row).collect()
}

/// Slots that the same nodes hold in the same way are one row, with their number, and which they are: all
/// of them, or the first few.
fn groups(runs: &[Value], is_all: bool) -> Value {
    let names = |run: &Value, field: &str| match run.get(field) {
        Some(Value::Array(names)) => {
            let mut names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            names.sort_unstable();
            names.join(",")
        }
        Some(Value::String(name)) => name.clone(),
        _ => String::new(),
    };
    let mut groups: BTreeMap<[String; 3], (u64, Vec<String>)> = BTreeMap::new();
    for run in runs {
        let holders = ["primary", "in_sync", "learners"].map(|field| names(run, field));
        let slots = run.get("slots").and_then(Value::as_str).unwrap_or_default();
        let group = groups.entry(holders).or_default();
        group.0 += length(slots);
        join(&mut group.1, slots);
    }
    let row = |([primary, in_sync, learners], (slots, which)): (
        &[String; 3],
        &(u64, Vec<String>),
    )| json!({ "slots": slots, "primary": primary, "in_sync": in_sync, "learners": learners, "which": shown(which, is_all) });
    groups.iter().map(row).collect()
}

/// Adds a range behind the others; neighbours that differ in their epoch alone are one.
fn join(ranges: &mut Vec<String>, slots: &str) {
    let ends = |range: &str| -> Option<(u64, u64)> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    match (ranges.last().and_then(|it| ends(it)), ends(slots)) {
        (Some((first, last)), Some((next, to))) if last + 1 == next => {
            ranges.pop();
            ranges.push(format!("{first}-{to}"));
        }
        _ => ranges.push(slots.to_owned()),
    }
}

/// Ranges shown of a row, where not all are wanted.
const RANGES_SHOWN_MAX: usize = 8;

fn shown(ranges: &[String], is_all: bool) -> String {
    let count = if is_all { ranges.len() } else { ranges.len().min(RANGES_SHOWN_MAX) };
    let text = ranges[..count].join(",");
    match ranges.len() - count {
        0 => text,
        more => format!("{text} and {more} more ranges (--slots)"),
    }
}

/// How many slots `0-99` or `7` are.
fn length(slots: &str) -> u64 {
    let (first, last) = slots.split_once('-').unwrap_or((slots, slots));
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => last - first + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_gathered_by_who_holds_them() {
        let answer = json!({ "epoch": 4, "slots": [
            { "slots": "0-9", "primary": "n1", "in_sync": ["n3", "n2"], "epoch": 2 },
            { "slots": "10", "primary": "n1", "in_sync": ["n2", "n3"], "epoch": 3 },
            { "slots": "11-16383", "primary": null, "epoch": 0 },
        ]});
        let shown = of(&What::Topology { slots: false }, answer);
        let expected = json!({ "epoch": 4, "slots": [
            { "slots": 16_373, "primary": "", "in_sync": "", "learners": "", "which": "11-16383" },
            { "slots": 11, "primary": "n1", "in_sync": "n2,n3", "learners": "", "which": "0-10" },
        ]});
        assert_eq!(shown, expected);
        let scattered: Vec<_> = (0..20)
            .map(|slot| json!({ "slots": (2 * slot).to_string(), "primary": "n1" }))
            .collect();
        let which = |slots| {
            let answer = json!({ "slots": scattered.clone() });
            of(&What::Topology { slots }, answer)["slots"][0]["which"].clone()
        };
        assert_eq!(which(false), "0,2,4,6,8,10,12,14 and 12 more ranges (--slots)");
        assert!(which(true).as_str().unwrap().ends_with(",36,38"));
        let nodes = json!({ "nodes": [{ "id": "n1", "cpu_micros": 3 }] });
        assert_eq!(of(&What::Nodes, nodes), json!({ "nodes": [{ "id": "n1" }] }));
    }
}
