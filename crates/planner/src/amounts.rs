use core::fmt;
use core::ops::{Index, IndexMut};

use memtide_limits::units::{show_count, show_size};

/// What a node has only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Bytes.
    Memory,
    /// ECPUs per second.
    Ecpu,
    /// Thousandths of a core.
    Cpu,
    /// Bytes per second, in and out.
    Network,
}

/// So much of each resource: a load, or a capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Bytes.
    pub memory: u64,
    /// ECPUs per second.
    pub ecpu: u64,
    /// Thousandths of a core.
    pub cpu: u64,
    /// Bytes per second, in and out.
    pub network: u64,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Ecpu, Self::Cpu, Self::Network];

    /// Its name, for events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Ecpu => "ecpu",
            Self::Cpu => "cpu",
            Self::Network => "network",
        }
    }

    /// So much of it as people read it.
    #[must_use]
    pub fn show(self, amount: u64) -> String {
        match self {
            Self::Memory => show_size(amount),
            Self::Ecpu => format!("{} ECPU/s", show_count(rounded(amount))),
            Self::Cpu => format!("{}.{:02} cores", amount / 1000, amount % 1000 / 10),
            Self::Network => format!("{}/s", show_size(amount)),
        }
    }
}

/// To three digits.
fn rounded(amount: u64) -> u64 {
    let unit = 10_u64.pow(amount.checked_ilog10().unwrap_or(0).saturating_sub(2));
    amount / unit * unit
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Index<Resource> for Amounts {
    type Output = u64;
    fn index(&self, resource: Resource) -> &u64 {
        match resource {
            Resource::Memory => &self.memory,
            Resource::Ecpu => &self.ecpu,
            Resource::Cpu => &self.cpu,
            Resource::Network => &self.network,
        }
    }
}

impl IndexMut<Resource> for Amounts {
    fn index_mut(&mut self, resource: Resource) -> &mut u64 {
        match resource {
            Resource::Memory => &mut self.memory,
            Resource::Ecpu => &mut self.ecpu,
            Resource::Cpu => &mut self.cpu,
            Resource::Network => &mut self.network,
        }
    }
}

/// So many thousandths of an amount.
pub(crate) fn permille(amount: u64, permille: u64) -> u64 {
    narrow(u128::from(amount) * u128::from(permille) / 1000)
}

/// What an amount is so many thousandths of, rounded up.
pub(crate) fn at_permille(amount: u64, permille: u64) -> u64 {
    narrow((u128::from(amount) * 1000).div_ceil(u128::from(permille.max(1))))
}

/// How many thousandths one amount is of another; nothing of what is not known.
pub(crate) fn part_permille(amount: u64, of: u64) -> u64 {
    if of == 0 { 0 } else { narrow(u128::from(amount) * 1000 / u128::from(of)) }
}

/// Two amounts multiplied and divided by a third, which is above 0.
pub(crate) fn scaled(amount: u64, times: u64, by: u64) -> u64 {
    narrow(u128::from(amount) * u128::from(times) / u128::from(by.max(1)))
}

fn narrow(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_people_read_them() {
        assert_eq!(Resource::Memory.show(3 << 29), "1.5 GiB");
        assert_eq!(Resource::Ecpu.show(123_456), "123k ECPU/s");
        assert_eq!(Resource::Ecpu.show(7), "7 ECPU/s");
        assert_eq!(Resource::Cpu.show(1_250), "1.25 cores");
        assert_eq!(Resource::Network.show(1 << 20), "1 MiB/s");
    }

    #[test]
    fn parts_do_not_overflow() {
        assert_eq!(at_permille(600, 600), 1_000);
        assert_eq!(at_permille(601, 600), 1_002);
        assert_eq!(permille(u64::MAX, 500), u64::MAX / 2);
        assert_eq!(at_permille(u64::MAX, 1), u64::MAX);
        assert_eq!(part_permille(5, 0), 0);
    }
}
