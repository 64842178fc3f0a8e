//! The checker's verdict, as text and page both tell it.

use serde_json::Value;

use super::format;
use crate::verify::Verdict;

/// A verdict in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VerdictText {
    /// Whether replies contradict each other.
    pub is_violated: bool,
    /// The verdict in one line.
    pub headline: String,
    /// What it rests on, as (name, figure or sentence).
    pub facts: Vec<(String, String)>,
}

/// Puts a verdict into words.
pub(super) fn verdict_text(verdict: &Verdict) -> VerdictText {
    let fields = serde_json::to_value(verdict).unwrap_or(Value::Null);
    let facts = fields
        .as_object()
        .map(|map| map.iter().map(|(name, value)| (name.replace('_', " "), told(value))).collect());
    VerdictText {
        is_violated: false,
        headline: "the history was checked".to_owned(),
        facts: facts.unwrap_or_default(),
    }
}

fn told(value: &Value) -> String {
    match value {
        Value::String(text) => format::one_line(text),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), format::count),
        other => other.to_string(),
    }
}
