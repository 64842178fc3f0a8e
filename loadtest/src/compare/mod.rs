//! The same load on several endpoints in turn, and what it costs their processes.
//!
//! [`Rounds`] runs them interleaved, a [`Comparison`] draws the runs together to medians and ratios,
//! [`text()`] and [`json`] tell it. [`procfs`] reads CPU time and memory of the endpoints'
//! processes: CPU time for each reply is what survives a noisy machine.

pub mod procfs;

mod draw;
mod model;
mod rounds;
mod statistics;
mod text;

pub use model::{Comparison, EndpointRow, Metric, Ratio, Run, Spread};
pub use rounds::{EndpointIndex, Rounds};
pub use text::text;

/// The comparison as JSON, for `--json`; ends with a line feed.
#[must_use]
pub fn json(comparison: &Comparison) -> String {
    let text = serde_json::to_string_pretty(comparison)
        .expect("a comparison has string keys and no type that can fail");
    text + "\n"
}

#[cfg(test)]
mod tests;
