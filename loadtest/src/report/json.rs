//! The report as JSON.

use super::Report;

/// Tells a run's result as one JSON object, indented, with a line feed at its end.
#[must_use]
pub fn render(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("a report has no maps with keys that are no text")
}
