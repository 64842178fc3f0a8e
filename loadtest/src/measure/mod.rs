//! What is measured: every reply's latency by command and outcome, and counts, by thread and second.
//!
//! A thread counts into its own [`Tally`] without sharing anything, and hands it over as a
//! [`Slice`] at every full second of the run. Sums and percentiles are made from slices.

mod histogram;
mod kinds;
mod meter;
mod tally;

pub use histogram::{Latencies, percentiles, summary};
pub use kinds::{CommandKind, Outcome, Trouble};
pub use meter::{Meter, Seconds, Slice};
pub use tally::{Counts, Tally};
