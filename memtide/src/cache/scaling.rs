//! What the scaler decides of the fleet, as people read it.

use std::fmt::Write as _;

use memtide_service::config::show_size;
use serde_json::Value;

/// The answer to `GET /v1/scaling`.
pub fn show(value: &Value) -> String {
    let mut text = String::new();
    let count = |name: &str| value[name].as_u64().unwrap_or_default();
    // Writing to a String does not fail.
    let (nodes, least, most) = (count("nodes"), count("nodes_min"), count("nodes_max"));
    let _ = writeln!(text, "{nodes} nodes of {least} to {most}, {} spares", count("spares"));
    let _ = writeln!(text, "\nRESOURCE  in use  of  too little below  promised");
    for it in list(value, "resources") {
        let name = it["resource"].as_str().unwrap_or_default();
        let amount = |field: &str| it[field].as_u64().map_or("?".to_owned(), |it| amount(name, it));
        let (load, capacity) = (amount("load"), amount("capacity"));
        let (least, promised) = (amount("least"), amount("promised"));
        let _ = writeln!(text, "{name}  {load}  {capacity}  {least}  {promised}");
    }
    let under_way: Vec<&Value> = list(value, "under_way").collect();
    if !under_way.is_empty() {
        let _ = writeln!(text, "\nUNDER WAY");
    }
    for it in under_way {
        let (step, what) = (word(it, "step"), word(it, "what"));
        let _ = writeln!(text, "{step} {what}, for {}", seconds(it["for_ms"].as_u64()));
    }
    let _ = writeln!(text, "\nDECISIONS, the newest first");
    for it in list(value, "decisions") {
        let _ = writeln!(text, "{} ago: {}", seconds(it["ago_ms"].as_u64()), word(it, "summary"));
        for step in list(it, "steps") {
            let after = step["after_ms"].as_u64().map(|ms| format!(" after {}", seconds(Some(ms))));
            let why = step["failure"].as_str().map(|why| format!(": {why}"));
            let (after, why) = (after.unwrap_or_default(), why.unwrap_or_default());
            let outcome = word(step, "outcome").replace('_', " ");
            let (id, what) = (word(step, "step"), word(step, "what"));
            let _ = writeln!(text, "    {id} {what}: {outcome}{after}{why}");
        }
    }
    text
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn amount(resource: &str, amount: u64) -> String {
    match resource {
        "memory" => show_size(amount),
        "cpu" => format!("{}.{:02} cores", amount / 1000, amount % 1000 / 10),
        "network" => format!("{}/s", show_size(amount)),
        _ => format!("{amount}/s"),
    }
}

fn seconds(ms: Option<u64>) -> String {
    let ms = ms.unwrap_or_default();
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_decision_is_told_with_what_came_of_it() {
        let resource = json!({ "resource": "cpu", "load": 1250, "capacity": null, "least": 1666, "promised": 0 });
        let steps = json!([
            { "step": "e7.1", "what": "grow n1", "outcome": "done", "after_ms": 450 },
            { "step": "e7.2", "what": "add 1 nodes", "outcome": "failed", "failure": "no room" },
        ]);
        let told = show(&json!({
            "nodes": 2, "nodes_min": 1, "nodes_max": 4, "spares": 1, "resources": [resource],
            "under_way": [{ "step": "e8.1", "what": "drain n2", "for_ms": 1500 }],
            "decisions": [{ "ago_ms": 9_000, "summary": "decision 1: more", "steps": steps }],
        }));
        expect![[r"
            2 nodes of 1 to 4, 1 spares

            RESOURCE  in use  of  too little below  promised
            cpu  1.25 cores  ?  1.66 cores  0.00 cores

            UNDER WAY
            e8.1 drain n2, for 1.5 s

            DECISIONS, the newest first
            9.0 s ago: decision 1: more
                e7.1 grow n1: done after 0.4 s
                e7.2 add 1 nodes: failed: no room
        "]]
        .assert_eq(&told);
    }
}
