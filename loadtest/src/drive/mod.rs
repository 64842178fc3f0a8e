//! Connections, and the event loop of a thread that asks on them and hears the answers.
//!
//! A thread has a [`Worker`] with its connections (lanes) and runs phases on it: fill, then the
//! load. In a phase, [`Pacing`] says when a request is due, a [`Traffic`] what it is and what its
//! reply means, and a `Meter` counts. Nothing is shared between threads.
//!
//! ```text
//! Pacing -> due -> a lane with room -> Traffic::next -> socket
//!                                                         |
//! Meter <- latency since due <- Traffic::heard <- reply reader
//! ```

mod clock;
mod hearing;
mod lanes;
mod link;
mod pacing;
mod phase;
mod traffic;
mod worker;

pub use clock::{Clock, nanos};
pub use pacing::Pacing;
pub use phase::{PhaseEnd, PhaseSettings, run};
pub use traffic::{Asked, Lane, Nanos, Progress, Traffic};
pub use worker::{Worker, WorkerSettings};
