use crate::limits::{SAVED_NS_MAX, SAVED_OWED_NS_MAX, SAVED_SPENT_NS};

/// What the limit gave to proxies that are heard, and none of them has used: that is granted besides.
/// What was used beyond it is granted less.
///
/// Counted in 1/10^9 units, as a [`crate::Bucket`] does.
#[derive(Debug)]
pub struct Saved(i128);

impl Saved {
    pub const fn new() -> Self {
        Self(0)
    }

    /// A proxy used so many units in a time in which its part of the limit gave it `given`, in 1/10^9
    /// units.
    pub fn add(&mut self, limit: u64, given: u128, used: u64) {
        let given = i128::try_from(given).unwrap_or(i128::MAX);
        let used = i128::from(used) * 1_000_000_000;
        let most = of(limit, SAVED_NS_MAX);
        let least = -of(limit, SAVED_OWED_NS_MAX);
        self.0 = (self.0 + given - used).clamp(least, most);
    }

    /// The most that grants in force may add up to, in units per second.
    pub fn in_force_max(limit: u64) -> u64 {
        let more = of(limit, SAVED_NS_MAX) / i128::from(SAVED_SPENT_NS);
        limit.saturating_add(u64::try_from(more).unwrap_or(0))
    }

    /// What may be granted in all instead of `limit`, in units per second.
    pub fn spend(&self, limit: u64) -> u64 {
        let most = of(limit, SAVED_NS_MAX);
        let more = self.0.clamp(-most, most) / i128::from(SAVED_SPENT_NS);
        u64::try_from(i128::from(limit) + more).unwrap_or(limit)
    }
}

/// What a rate gives in this time, in 1/10^9 units.
fn of(rate: u64, ns: u64) -> i128 {
    i128::from(rate) * i128::from(ns)
}
