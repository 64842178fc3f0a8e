use core::ops::{Add, AddAssign};

/// Metered work in 1/1024 ECPU, so that a byte transferred is exactly one unit.
///
/// Integer all the way: 2^64 units are 10^9 ECPU/s for 207 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EcpuUnits(u64);

impl EcpuUnits {
    /// One ECPU.
    pub const ONE: Self = Self(1024);

    /// This many 1/1024 ECPU.
    #[must_use]
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// What one command costs: 1 ECPU an item or 1 ECPU per 1,024 bytes, whichever is more, and
    /// never below 1 ECPU.
    ///
    /// `items` is the number of keys that the command names; `bytes` are the bytes of its request
    /// and of its reply on the wire, before TLS.
    #[must_use]
    pub const fn of_command(items: u64, bytes: u64) -> Self {
        let by_items = if items == 0 { 1024 } else { items.saturating_mul(1024) };
        Self(if by_items > bytes { by_items } else { bytes })
    }

    /// In 1/1024 ECPU.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }
}

impl Add for EcpuUnits {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

impl AddAssign for EcpuUnits {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the reference's price list, in 1/1024 ECPU.
    #[test]
    fn a_command_costs_the_higher_of_items_and_kilobytes() {
        let cost = |items, bytes| EcpuUnits::of_command(items, bytes).units();
        assert_eq!(cost(1, 40), 1024, "a small get");
        assert_eq!(cost(1, 1024), 1024, "a get of 1 KB");
        assert_eq!(cost(1, 3277), 3277, "a set of 3.2 KB");
        assert_eq!(cost(3, 2048), 3 * 1024, "3 items and 2 KB");
        assert_eq!(cost(3, 3277), 3277, "3 items and 3.2 KB");
        assert_eq!(cost(0, 4), 1024, "mn, version");
        assert_eq!(cost(u64::MAX, 1), u64::MAX, "no overflow");
    }
}
