//! The way to the nodes of a fleet: docs/design/0011.
//!
//! ```text
//!  client -- Connection -- Session: commands --> Switch: lanes, Router --> Outbox -- link -- node
//!                ^                                 |   ^                              |
//!                +--------- replies in order ------+   +---------- frames ------------+
//! ```
//! `Session` and `Switch` do no input or output; `connection` and `links` do it for them, all
//! on the thread of their core.

mod ask;
mod buffers;
mod connection;
mod gather;
mod lane;
mod lanes;
mod links;
mod lobby;
mod part;
mod session;
mod stash;
mod switch;
mod tally;
#[cfg(test)]
mod tests;
mod view;

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use connection::Connection;
pub use links::follow;
pub use view::View;

use crate::alarm::Alarm;
use crate::clock::Suspended;
use crate::config::FleetBackend;
use crate::shared::Shared;
use switch::Switch;

/// What the connections and links of one core share.
pub struct Fleet {
    switch: RefCell<Switch>,
    alarm: Alarm,
    /// What the router's times count from.
    start: Instant,
    /// They go on meanwhile, as those of the nodes do.
    suspended: Suspended,
}

impl Fleet {
    /// Of the core with this number.
    pub fn new(backend: &FleetBackend, shared: &Arc<Shared>, core: usize) -> Self {
        let settings = backend.settings.clone();
        let switch = Switch::new(random(), settings, Arc::clone(shared), core);
        let (alarm, suspended) = (Alarm::default(), Suspended::new());
        Self { switch: RefCell::new(switch), alarm, start: Instant::now(), suspended }
    }

    /// Ticks the switch when something is due, for good.
    pub async fn keep_time(&self) {
        self.alarm.serve(|at| self.with(at, |switch, now| switch.tick(now))).await;
    }

    /// Does something with the switch at this time, and sees to its alarm.
    fn with<T>(&self, at: Instant, work: impl FnOnce(&mut Switch, Duration) -> T) -> T {
        let mut switch = self.switch.borrow_mut();
        let suspended = self.suspended.so_far();
        let done = work(&mut switch, at.saturating_duration_since(self.start) + suspended);
        // The alarm counts time awake only.
        let due = switch.next_timeout().map(|due| due.saturating_sub(suspended));
        self.alarm.arm(due.map(|due| self.start + due));
        done
    }
}

/// A number that nobody guesses or has: std's hash maps have their keys from the operating system.
fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
