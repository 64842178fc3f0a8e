use memtide_topology::EcpuUnits;

use crate::limits::{DRY_NS_MIN, LEASE_TERM_NS_MAX};
use crate::pool::{Ask, Drawn, Pool};

/// What a core may spend before it looks at the pool again.
#[derive(Debug)]
pub struct Lease {
    core: usize,
    /// Units in hand; negative is a debt.
    left: i64,
    /// Of these, how many were given.
    got: i64,
    /// What may be charged though nothing is left.
    lent: i64,
    /// When the core looked at the pool last.
    at: u64,
    /// The pool had nothing to spend before this.
    dry_until: u64,
    is_limited: bool,
    refused: u64,
}

/// How many connections of the core want something, and how many of these are held back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    pub active: u32,
    pub held: u32,
}

/// In hand where there is no limit: more than can be spent in a lease's term.
const UNLIMITED: i64 = i64::MAX / 2;

impl Lease {
    pub const fn new(core: usize) -> Self {
        Self { core, left: 0, got: 0, lent: 0, at: 0, dry_until: 0, is_limited: true, refused: 0 }
    }

    /// Whether there is something to spend, without looking at the pool.
    pub const fn has_units(&self, now: u64) -> bool {
        self.left > 0 && now < self.at.saturating_add(LEASE_TERM_NS_MAX)
    }

    /// Whether there is something to spend on one that has had less than others.
    pub const fn lends(&self) -> bool {
        self.lent > 0
    }

    /// Looks at the pool, unless there is something to spend or it is too early.
    pub fn renew(&mut self, pool: &Pool, now: u64, wants: Wants) {
        let is_dry = self.left <= 0 && now < self.dry_until;
        let is_early = self.lends() || now < self.at.saturating_add(DRY_NS_MIN);
        if self.has_units(now) || is_dry && is_early {
            return;
        }
        let drawn = pool.draw(now, &self.account(wants));
        self.is_limited = drawn != Drawn::Unlimited;
        (self.left, self.lent, self.dry_until) = match drawn {
            Drawn::Unlimited => (UNLIMITED, 0, now),
            Drawn::Units { units, lent } => (signed(units), signed(lent), now),
            Drawn::Dry { until, lent } => (0, signed(lent), until),
        };
        (self.got, self.refused, self.at) = (self.left, 0, now);
    }

    pub const fn charge(&mut self, cost: EcpuUnits) {
        self.left = self.left.saturating_sub_unsigned(cost.units());
    }

    /// What was charged in advance has cost less.
    pub const fn give_back(&mut self, units: u64) {
        self.left = self.left.saturating_add_unsigned(units);
    }

    /// As [`Self::charge`], of what is lent.
    pub const fn charge_lent(&mut self, cost: EcpuUnits) {
        self.charge(cost);
        self.lent = self.lent.saturating_sub_unsigned(cost.units());
    }

    pub const fn refuse(&mut self, cost: EcpuUnits) {
        self.refused = self.refused.saturating_add(cost.units());
    }

    /// Whether there was a limit when the core looked at the pool last.
    pub const fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Until when the pool had nothing to give.
    pub const fn dry_until(&self) -> u64 {
        self.dry_until
    }

    const fn account(&self, wants: Wants) -> Ask {
        Ask {
            core: self.core,
            left: if self.is_limited { self.left } else { 0 },
            lent_left: self.lent,
            used: self.got.saturating_sub(self.left),
            refused: self.refused,
            active: wants.active,
            held: wants.held,
        }
    }

    /// Whether the pool is to know: more was spent than there was, or something is left that was charged in
    /// advance while the pool has nothing, which is to pay for what that owes.
    pub const fn is_due(&self, now: u64) -> bool {
        self.left < 0 || self.left > 0 && now < self.dry_until
    }

    /// Pays what is owed and gives back what is left.
    pub fn close(&mut self, pool: &Pool, now: u64, wants: Wants) {
        pool.settle(now, &self.account(wants));
        (self.left, self.got, self.lent, self.refused) = (0, 0, 0, 0);
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(UNLIMITED)
}
