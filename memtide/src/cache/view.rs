//! What of an answer people want to see: the rest is in `--json` and in the metrics.

use std::collections::BTreeMap;

use memtide_records::usage::{decimal, utc};
use serde_json::{Value, json};

use super::{What, limits};

/// The columns of a node.
const NODE: [&str; 12] = [
    "id",
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
];

/// The answer to `what` as it is shown.
pub fn of(what: &What, mut answer: Value) -> Value {
    match what {
        What::Nodes => {
            let nodes = answer.get_mut("nodes").and_then(Value::as_array_mut);
            for node in nodes.into_iter().flatten() {
                if let Some(node) = node.as_object_mut() {
                    node.retain(|name, _| NODE.contains(&name.as_str()));
                }
            }
        }
        What::Topology => {
            let groups = answer.get("slots").and_then(Value::as_array).map(|runs| groups(runs));
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

/// Slots that the same nodes hold in the same way are one row, with their number.
fn groups(runs: &[Value]) -> Value {
    let names = |run: &Value, field: &str| match run.get(field) {
        Some(Value::Array(names)) => {
            let mut names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            names.sort_unstable();
            names.join(",")
        }
        Some(Value::String(name)) => name.clone(),
        _ => String::new(),
    };
    let mut groups: BTreeMap<[String; 3], u64> = BTreeMap::new();
    for run in runs {
        let holders = ["primary", "in_sync", "learners"].map(|field| names(run, field));
        let slots = run.get("slots").and_then(Value::as_str).unwrap_or_default();
        *groups.entry(holders).or_default() += length(slots);
    }
    let row = |([primary, in_sync, learners], slots): (&[String; 3], &u64)| json!({ "slots": slots, "primary": primary, "in_sync": in_sync, "learners": learners });
    groups.iter().map(row).collect()
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
        let shown = of(&What::Topology, answer);
        let expected = json!({ "epoch": 4, "slots": [
            { "slots": 16_373, "primary": "", "in_sync": "", "learners": "" },
            { "slots": 11, "primary": "n1", "in_sync": "n2,n3", "learners": "" },
        ]});
        assert_eq!(shown, expected);
        let nodes = json!({ "nodes": [{ "id": "n1", "cpu_micros": 3 }] });
        assert_eq!(of(&What::Nodes, nodes), json!({ "nodes": [{ "id": "n1" }] }));
    }
}
