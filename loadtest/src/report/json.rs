//! The report as JSON, for programs.
//!
//! The fields are those of [`Report`], under the names that they have there, and do not change
//! within a [`FORMAT`]: fields may come, none goes or changes its meaning. Besides:
//!
//! - `format`: [`FORMAT`].
//! - `latency_from`: `due` where a latency runs from the time at which a request was due (open
//!   loop), `write` where it runs from when the request was written (closed loop).
//! - Where `distrust` gives reasons, there is no `latency`, `connecting` and `percentiles`, neither
//!   at the top nor in `commands` and `timeline`: they are called `untrusted_latency`,
//!   `untrusted_connecting` and `untrusted_percentiles`, so that nobody reads them by accident. The
//!   same holds for the single rows of `timeline` whose `is_trusted` is false. The generator's own
//!   `lag` keeps its name.
//!
//! A latency whose `count` is 0 has `null` for every other figure.
//!
//! Times are in the unit that ends their name; rates and fractions are plain numbers; what does not
//! exist (`server` without `--server-pid`) is `null`.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::Report;

/// The version of the fields' names and meanings.
pub const FORMAT: u64 = 1;

/// Tells a run's result as one JSON object, indented, with a line feed at its end.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(&value(report))
        .expect("a value of JSON has only text for its keys");
    text.push('\n');
    text
}

/// The same as a value, to be part of something larger.
#[must_use]
pub fn value(report: &Report) -> Value {
    let mut top = match serde_json::to_value(report) {
        Ok(Value::Object(top)) => top,
        Ok(_) | Err(_) => unreachable!("a report is a struct of plain data"),
    };
    top.insert("format".to_owned(), FORMAT.into());
    let from = if report.is_open_loop { "due" } else { "write" };
    top.insert("latency_from".to_owned(), from.into());
    let is_distrusted = !report.distrust.is_empty();
    if is_distrusted {
        disown(&mut top);
        rows(&mut top, "commands").for_each(disown);
    }
    for second in rows(&mut top, "timeline") {
        if is_distrusted || second.get("is_trusted") == Some(&Value::Bool(false)) {
            disown(second);
        }
    }
    let mut top = Value::Object(top);
    void(&mut top);
    top
}

/// Makes the figures of a latency of no reply `null`: there are none.
fn void(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let is_void = object.get("count") == Some(&Value::from(0_u64));
            for (name, value) in object.iter_mut() {
                if is_void && name.ends_with("_us") {
                    *value = Value::Null;
                } else {
                    void(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(void),
        _ => {}
    }
}

/// Renames what is not to be believed.
fn disown(object: &mut Map<String, Value>) {
    for name in ["latency", "connecting", "percentiles"] {
        if let Some(value) = object.remove(name) {
            object.insert(format!("untrusted_{name}"), value);
        }
    }
}

/// The objects in the array called `name`.
fn rows<'v>(
    object: &'v mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'v mut Map<String, Value>> {
    let array = object.get_mut(name).and_then(Value::as_array_mut);
    array.into_iter().flatten().filter_map(Value::as_object_mut)
}
