//! The report for a terminal, which also reads well in a log file.

use super::Report;

/// Tells a run's result in plain text, in lines that end with a line feed.
#[must_use]
pub fn render(report: &Report) -> String {
    format!("{}\n", report.endpoint.name)
}
