//! What is measured: every reply's latency by command and outcome, and counts, by thread and second.

mod kinds;

pub use kinds::{CommandKind, Outcome, Trouble};
