//! A run's result: the model, and how it is told.

pub mod format;
pub mod html;
pub mod json;
mod model;
#[cfg(test)]
mod sample;
pub mod text;
mod verdict;

pub use model::*;

/// The runs on one endpoint, for a comparison.
#[derive(Clone, Debug)]
pub struct NamedReports {
    /// The endpoint's name.
    pub name: String,
    /// One report for each round, in their order.
    pub reports: Vec<Report>,
}
