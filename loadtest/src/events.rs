//! `--admin URL`: what memtide says happened to it during a run, asked for once a second.

mod follow;
mod poll;

pub use poll::{EventsError, Poller};
