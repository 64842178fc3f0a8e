//! Until when a primary serves, and lets its copies be read.

use core::time::Duration;

use memtide_topology::NodeId;

use super::super::effect::Canary;
use super::super::follower::Follower;
use super::super::links::Known;
use super::{Primary, Stage};

/// Until when nobody else can have taken over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lease {
    None,
    Until(Duration),
    /// There is nobody who could.
    NotNeeded,
}

impl Primary {
    /// Whether nobody else can have taken over.
    pub(in super::super) fn may_read(&self, known: Known<'_>) -> bool {
        let is_covered = match self.lease_until(known) {
            Lease::None => false,
            Lease::Until(until) => known.now < until,
            Lease::NotNeeded => true,
        };
        self.is_serving() && is_covered
    }

    /// For how much longer a copy may be read: as long as this primary has the lease itself. `None` where
    /// nobody asks: the copy is not in the acknowledgement path, or knows of another primary before it
    /// hears of this.
    pub(in super::super) fn reads_of(&self, known: Known<'_>, copy: NodeId) -> Option<Duration> {
        let is_it = |follower: &Follower| follower.node == copy && follower.is_required();
        if matches!(self.stage, Stage::Leaving { .. }) || !self.followers.iter().any(is_it) {
            return None;
        }
        let lease = known.settings.lease;
        if known.settings.is_canary(Canary::ReadBeyondLease) {
            return Some(lease);
        }
        Some(match self.lease_until(known) {
            Lease::None => Duration::ZERO,
            Lease::Until(until) => until.saturating_sub(known.now),
            Lease::NotNeeded => lease,
        })
    }

    /// The copies that a commit and a lease need.
    pub(super) fn required<'a>(&'a self, known: Known<'a>) -> impl Iterator<Item = &'a Follower> {
        let is_alone = known.settings.is_canary(Canary::GoOnAlone);
        let is_given_up = move |follower: &Follower| {
            is_alone && known.links.reach.missed(follower.node) >= known.settings.missed_max()
        };
        let required = self.followers.iter().filter(|follower| follower.is_required());
        required.filter(move |follower| !is_given_up(follower))
    }

    /// The least over all copies that are required.
    pub(super) fn lease_until(&self, known: Known<'_>) -> Lease {
        if let Some(lease) = self.last_lease {
            return lease;
        }
        let mut lease = Lease::NotNeeded;
        for follower in self.required(known) {
            lease = match (lease, follower.lease_until(known.links, known.settings.lease)) {
                (_, None) => return Lease::None,
                (Lease::Until(least), Some(until)) => Lease::Until(least.min(until)),
                (_, Some(until)) => Lease::Until(until),
            };
        }
        lease
    }
}
