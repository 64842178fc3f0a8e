use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memtide_etcd::Lease;

/// By what this scaler leads.
#[derive(Debug, Default)]
pub struct Fence(Mutex<Option<Held>>);

/// A campaign that was won.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// The revision that made the key of the leader.
    created: i64,
    lease: i64,
    /// When the lease is over, if it is not kept alive: by the clock of [`crate::now`], which goes on while the
    /// process is stopped.
    until: Duration,
}

impl Fence {
    /// A campaign was won with a lease that was asked for at this time.
    pub fn take(&self, created: i64, asked: Duration, lease: &Lease) {
        let held = Held { created, lease: lease.id, until: asked + lease.term };
        *self.held() = Some(held);
    }

    /// The lease was kept alive; that was asked for at this time.
    pub fn extend(&self, asked: Duration, lease: &Lease) {
        if let Some(held) = self.held().as_mut().filter(|held| held.lease == lease.id) {
            held.until = held.until.max(asked + lease.term);
        }
    }

    /// It is somebody else's turn. Gives the lease that was held.
    pub fn leave(&self) -> Option<i64> {
        self.held().take().map(|held| held.lease)
    }

    /// What a transaction is to compare the revision to that made the key of the leader; `None` of who does not lead.
    pub fn created(&self) -> Option<i64> {
        self.held().map(|held| held.created)
    }

    /// The lease that is to be kept alive.
    pub fn lease(&self) -> Option<i64> {
        self.held().map(|held| held.lease)
    }

    pub fn is_certain(&self, now: Duration) -> bool {
        self.held().is_some_and(|held| now < held.until)
    }

    /// Nothing is left half done under this lock.
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_certain_until_a_lease_is_over_that_was_asked_for_so_long_ago() {
        let seconds = Duration::from_secs;
        let lease = Lease { id: 7, term: seconds(4) };
        let fence = Fence::default();
        assert!(!fence.is_certain(seconds(0)));
        fence.take(3, seconds(10), &lease);
        assert_eq!([13, 14].map(|at| fence.is_certain(seconds(at))), [true, false]);
        fence.extend(seconds(12), &lease);
        fence.extend(seconds(11), &lease);
        fence.extend(seconds(90), &Lease { id: 8, ..lease });
        assert_eq!([15, 16].map(|at| fence.is_certain(seconds(at))), [true, false]);
        assert_eq!((fence.created(), fence.leave(), fence.created()), (Some(3), Some(7), None));
    }
}
