//! Connections, and the event loop of a thread that asks on them and hears the answers.

mod traffic;

pub use traffic::{Asked, Lane, Nanos, Progress, Traffic};
