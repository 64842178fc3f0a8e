//! JSON of the admin HTTP as people read it: numbers on top, lists as tables.

use std::fmt::Write as _;

use memtide_service::config::show_size;
use serde_json::{Map, Value};

/// What stands first in a row, so that it can be found; the rest follows by name.
const FIRST: [&str; 25] = [
    "hour",
    "seconds",
    "ecpus",
    "ecpus_metered",
    "gb_hours",
    "gb_hours_metered",
    "commands",
    "id",
    "instance",
    "limit",
    "slots",
    "zone",
    "state",
    "draining",
    "address",
    "from",
    "to",
    "primary",
    "in_sync",
    "learners",
    "primary_slots",
    "in_sync_slots",
    "learner_slots",
    "items",
    "memory_used_bytes",
];

/// An object's plain values line by line, and a table for each list in it.
pub fn show(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(object) => show_object(&mut text, object),
        Value::Array(rows) => show_rows(&mut text, rows),
        plain => text.push_str(&cell("", plain)),
    }
    text
}

fn show_object(text: &mut String, object: &Map<String, Value>) {
    let is_list = |value: &Value| matches!(value, Value::Array(rows) if is_table(rows));
    let plain: Vec<_> = object.iter().filter(|(_, value)| !is_list(value)).collect();
    let width = plain.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in plain {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:width$}  {}", words(name), cell(name, value));
    }
    for (name, value) in object.iter().filter(|(_, value)| is_list(value)) {
        let Value::Array(rows) = value else { continue };
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}", words(name).to_uppercase());
        show_rows(text, rows);
    }
}

fn is_table(rows: &[Value]) -> bool {
    rows.is_empty() || rows.iter().any(Value::is_object)
}

fn show_rows(text: &mut String, rows: &[Value]) {
    if rows.is_empty() {
        text.push_str("none\n");
        return;
    }
    let columns = columns(rows);
    let header: Vec<String> = columns.iter().map(|name| words(name)).collect();
    let line = |row: &Value| -> Vec<String> {
        columns.iter().map(|name| cell(name, row.get(name).unwrap_or(&Value::Null))).collect()
    };
    let lines: Vec<_> = std::iter::once(header).chain(rows.iter().map(line)).collect();
    let width = |i: usize| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    for line in &lines {
        let mut shown = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            let _ = write!(shown, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", shown.trim_end());
    }
}

/// The names in any of the rows.
fn columns(rows: &[Value]) -> Vec<String> {
    let objects = rows.iter().filter_map(Value::as_object);
    let mut names: Vec<&String> = objects.flat_map(Map::keys).collect();
    let rank = |name: &str| FIRST.iter().position(|it| *it == name).unwrap_or(FIRST.len());
    names.sort_by_key(|name| (rank(name), *name));
    names.dedup();
    names.into_iter().cloned().collect()
}

fn words(name: &str) -> String {
    let name = name.strip_suffix("_bytes").unwrap_or(name);
    name.replace('_', " ")
}

fn cell(name: &str, value: &Value) -> String {
    let is_bytes = name.ends_with("bytes") || name.starts_with("memory");
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => match number.as_u64() {
            Some(bytes) if is_bytes => show_size(bytes),
            _ => number.to_string(),
        },
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| cell(name, item)).collect();
            items.join(",")
        }
        Value::Object(object) => {
            let parts: Vec<_> = object
                .iter()
                .map(|(name, value)| format!("{}={}", words(name), cell(name, value)))
                .collect();
            parts.join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_tables_and_bytes_can_be_read() {
        let value = json!({
            "epoch": 12,
            "nodes": [
                { "zone": "a", "id": "n1", "memory_max": 1_u64 << 30, "alive": true },
                { "zone": "b", "id": "n10", "memory_max": 5, "draining": null },
            ],
            "moves": [],
        });
        expect![[r#"
            epoch  12

            MOVES
            none

            NODES
            id   zone  draining  alive  memory max
            n1   a     -         yes    1 GiB
            n10  b     -         -      5 bytes
        "#]]
        .assert_eq(&show(&value));
        assert_eq!(show(&json!("done")), "done");
    }
}
