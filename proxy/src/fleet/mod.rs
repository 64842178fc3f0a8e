//! The way to the nodes of a fleet: docs/design/0011.
//!
//! ```text
//!  client -- Connection -- Session: commands --> Switch: lanes, Router --> Outbox -- link -- node
//!                ^                                 |   ^                              |
//!                +--------- replies in order ------+   +---------- frames ------------+
//! ```
//! `Session` and `Switch` do no input or output; `connection`, `links` and `timer` do it for them, all
//! on the thread of their core.

mod ask;
mod buffers;
mod connection;
mod gather;
mod lane;
mod lanes;
mod links;
mod session;
mod stash;
mod switch;
mod tally;
#[cfg(test)]
mod tests;
mod timer;
mod view;

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use connection::Connection;
pub use links::follow;
pub use timer::run as keep_time;
pub use view::View;

use crate::config::FleetBackend;
use crate::shared::Shared;
use switch::Switch;
use timer::Timer;

/// What the connections and links of one core share.
pub struct Fleet {
    switch: RefCell<Switch>,
    timer: Timer,
    /// What the router's times count from.
    start: Instant,
}

impl Fleet {
    /// Of the core with this number.
    pub fn new(backend: &FleetBackend, shared: &Arc<Shared>, core: usize) -> Self {
        let settings = backend.settings.clone();
        let switch = Switch::new(random(), settings, Arc::clone(shared), core);
        Self { switch: RefCell::new(switch), timer: Timer::default(), start: Instant::now() }
    }

    /// Does something with the switch at this time, and sees to its timer.
    fn with<T>(&self, at: Instant, work: impl FnOnce(&mut Switch, Duration) -> T) -> T {
        let mut switch = self.switch.borrow_mut();
        let done = work(&mut switch, at.saturating_duration_since(self.start));
        self.timer.arm(switch.next_timeout());
        done
    }
}

/// A number that nobody guesses or has: std's hash maps have their keys from the operating system.
fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
