//! What nodes do a second, from what they have counted.

use std::collections::BTreeMap;
use std::time::Duration;

use memtide_control::NodeUsage;
use memtide_planner::Amounts;
use memtide_topology::{EcpuUnits, NodeId};

/// Bytes of items below which nobody can say how much memory a byte takes.
const DATA_MIN: u64 = 16 << 20;

/// Of less time than this nobody can tell a rate: nodes say what they have counted five times a second, and one of
/// these may be late and the next one not. Two looks of those that are a second apart see more.
const APART_MIN: Duration = Duration::from_millis(750);

/// What was counted last of each node, and what it did a second then.
#[derive(Debug, Default)]
pub struct Rates(BTreeMap<NodeId, (Duration, NodeUsage, Amounts)>);

impl Rates {
    /// Of one that has said so at this time, since it was asked for last. Memory is not of these.
    pub fn of(&mut self, node: NodeId, at: Duration, usage: &NodeUsage) -> Amounts {
        let nothing = (at, *usage, Amounts::default());
        let (since, before, rates) = self.0.entry(node).or_insert(nothing);
        let passed = at.saturating_sub(*since);
        if passed < APART_MIN {
            return *rates;
        }
        let a_second = |now: u64, before: u64| {
            // A counter that has gone back is another process's.
            let more = u128::from(now.saturating_sub(before)) * 1_000_000;
            u64::try_from(more / passed.as_micros().max(1)).unwrap_or(u64::MAX)
        };
        *rates = Amounts {
            memory: 0,
            ecpu: a_second(usage.ecpu_units, before.ecpu_units) / EcpuUnits::ONE.units(),
            cpu: a_second(usage.cpu_micros, before.cpu_micros) / 1_000,
            network: a_second(
                usage.bytes_in.saturating_add(usage.bytes_out),
                before.bytes_in.saturating_add(before.bytes_out),
            ),
        };
        (*since, *before) = (at, *usage);
        *rates
    }

    /// Forgets all but these.
    pub fn keep(&mut self, is_there: impl Fn(NodeId) -> bool) {
        self.0.retain(|node, _| is_there(*node));
    }
}

/// The memory that a fleet's items take of each node, copies included, wherever these are at the moment: while
/// slots move, their items are at two places, and count once.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    used: u64,
    data: u64,
    holders: u64,
}

impl Taken {
    /// Of all nodes, where so many hold each slot.
    pub fn of<'u>(usages: impl Iterator<Item = &'u NodeUsage>, holders: u64) -> Self {
        let add = |it: Self, usage: &NodeUsage| Self {
            used: it.used.saturating_add(usage.memory_used),
            data: it.data.saturating_add(usage.data_bytes),
            ..it
        };
        usages.fold(Self { used: 0, data: 0, holders }, add)
    }

    /// What the slots take that a node is the primary of, with all their copies.
    pub fn by(&self, usage: &NodeUsage) -> u64 {
        self.of_data(usage.data_bytes.saturating_sub(usage.copy_bytes))
    }

    /// The same of so many bytes of items, each of them once.
    pub fn of_data(&self, bytes: u64) -> u64 {
        let all = u128::from(bytes) * u128::from(self.holders);
        let Self { used, data, .. } = *self;
        // Index and free room of segments come on top.
        let (used, data) =
            if data < DATA_MIN { (1, 1) } else { (used.clamp(data, 2 * data), data) };
        u64::try_from(all * u128::from(used) / u128::from(data)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId::new(1);

    #[test]
    fn rates_are_of_the_time_that_has_passed_and_never_below_nothing() {
        let mut rates = Rates::default();
        let at = Duration::from_millis;
        let usage = |units, cpu_micros, bytes_in| NodeUsage {
            ecpu_units: units,
            cpu_micros,
            bytes_in,
            ..NodeUsage::default()
        };
        assert_eq!(rates.of(NODE, at(0), &usage(1024, 7, 7)), Amounts::default());
        let then = rates.of(NODE, at(2_000), &usage(1024 * 201, 500_007, 1_007));
        let expected = Amounts { memory: 0, ecpu: 100, cpu: 250, network: 500 };
        assert_eq!(then, expected);
        assert_eq!(rates.of(NODE, at(2_000), &usage(1024 * 201, 500_007, 1_007)), expected);
        assert_eq!(rates.of(NODE, at(3_000), &usage(0, 0, 0)), Amounts::default());
    }

    /// A report of 200 ms that was 180 ms late: in 20 ms nobody has done ten times as much.
    #[test]
    fn reports_that_come_close_together_say_no_rate() {
        let mut rates = Rates::default();
        let at = Duration::from_millis;
        let usage = |millis: u64| NodeUsage { cpu_micros: millis * 500, ..NodeUsage::default() };
        let mut cpu = |millis, worked| rates.of(NODE, at(millis), &usage(worked)).cpu;
        assert_eq!(cpu(0, 0), 0);
        assert_eq!(cpu(1_000, 1_000), 500);
        assert_eq!(cpu(1_380, 1_200), 500, "it is late");
        assert_eq!(cpu(1_400, 1_400), 500, "and this one is not");
        // Nothing is lost of what was done in between.
        assert_eq!(rates.of(NODE, at(2_000), &usage(2_400)).cpu, 700);
    }

    #[test]
    fn items_that_are_at_two_places_count_once() {
        let of = |data_bytes: u64, copy_bytes| NodeUsage {
            data_bytes,
            copy_bytes,
            memory_used: data_bytes + data_bytes / 4,
            ..NodeUsage::default()
        };
        let (before, after) = (of(100 << 20, 0), [of(100 << 20, 0), of(60 << 20, 60 << 20)]);
        let alone = Taken::of([before].iter(), 1).by(&before);
        assert_eq!(alone, 125 << 20);
        let taken = Taken::of(after.iter(), 1);
        assert_eq!(taken.by(&after[0]) + taken.by(&after[1]), alone);
        let (primary, copy) = (of(100 << 20, 0), of(100 << 20, 100 << 20));
        let taken = Taken::of([primary, copy].iter(), 2);
        assert_eq!((taken.by(&primary), taken.by(&copy)), (250 << 20, 0));
    }
}
