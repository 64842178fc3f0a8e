//! How fast a fleet fills, and when it is to be looked at for that.

use core::time::Duration;
use std::collections::BTreeMap;

use memtide_topology::NodeId;

/// Between two looks where a node may be full soon.
const LOOK_SOON: Duration = Duration::from_millis(100);

/// A node may be full soon where that is so after this time at the rate at which it fills.
const SOON: Duration = Duration::from_secs(3);

/// It fills where this part of its memory and more comes in a second. One that is full stays so.
const FILL_PART_MIN: u64 = 64;

/// Of reports that come closer together than this the later one counts alone: nobody can tell a rate from them.
const APART_MIN: Duration = Duration::from_millis(100);

/// What was said longer ago than this says nothing of now.
const OLD: Duration = Duration::from_secs(1);

/// What a node says of its memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Of the items whose slots it is the primary of.
    pub own: u64,
    /// All that it has taken.
    pub used: u64,
    /// What it may take.
    pub max: u64,
}

/// By how much a fleet fills, in bytes a second. What clients store makes both more; slots that are
/// copied only what is used, and slots that get another primary only what is somebody's own, if not both are heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Each item once.
    pub own: u64,
    /// With all copies.
    pub used: u64,
}

impl Growth {
    /// What clients store, by their items' growth with copies.
    #[must_use]
    pub fn stored(&self, with_copies: impl Fn(u64) -> u64) -> u64 {
        with_copies(self.own).min(self.used)
    }
}

/// How fast nodes fill, by what they say several times a second.
///
/// ```text
///   hear, with each report --> Fill --look_interval--> when to look
///                               +-----look-----------> how fast it fills
/// ```
#[derive(Debug, Default)]
pub struct Fill {
    /// Two reports of each, the later one last.
    nodes: BTreeMap<NodeId, [(Duration, Filled); 2]>,
    is_soon: bool,
}

impl Fill {
    /// A node has said so.
    pub fn hear(&mut self, at: Duration, node: NodeId, said: Filled) {
        let known = self.nodes.entry(node).or_insert([(at, said); 2]);
        if known[1].0 + APART_MIN <= at {
            known[0] = known[1];
        }
        known[1] = (at, said);
        let [(since, before), _] = *known;
        let passed = at.saturating_sub(since);
        if passed < APART_MIN {
            return;
        }
        let comes = said.used.saturating_sub(before.used);
        let is_filling = a_second(comes, passed) > said.max / FILL_PART_MIN;
        let soon = a_second(comes, passed).saturating_mul(SOON.as_secs());
        self.is_soon |= is_filling && said.used.saturating_add(soon) > said.max;
    }

    /// How long after the last look it is time for the next one.
    #[must_use]
    pub const fn look_interval(&self, most: Duration) -> Duration {
        if self.is_soon { LOOK_SOON } else { most }
    }

    /// The fleet is looked at: by how much its nodes fill together. Only these are remembered.
    pub fn look(&mut self, now: Duration, is_there: impl Fn(NodeId) -> bool) -> Growth {
        self.is_soon = false;
        self.nodes.retain(|node, _| is_there(*node));
        Growth { own: self.growth(now, |it| it.own), used: self.growth(now, |it| it.used) }
    }

    fn growth(&self, now: Duration, of: impl Fn(&Filled) -> u64) -> u64 {
        let (mut more, mut less) = (0_u64, 0_u64);
        for [(since, before), (at, said)] in self.nodes.values() {
            let passed = at.saturating_sub(*since);
            if passed < APART_MIN || *at + OLD < now {
                continue;
            }
            let (before, after) = (of(before), of(said));
            more = more.saturating_add(a_second(after.saturating_sub(before), passed));
            less = less.saturating_add(a_second(before.saturating_sub(after), passed));
        }
        more.saturating_sub(less)
    }
}

fn a_second(bytes: u64, passed: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / passed.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const EVERY: Duration = Duration::from_secs(1);

    const fn node(number: u64) -> NodeId {
        NodeId::new(number)
    }

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const fn said(own: u64, used: u64) -> Filled {
        Filled { own: own * MIB, used: used * MIB, max: 64 * MIB }
    }

    #[test]
    fn a_node_that_will_be_full_in_a_moment_is_looked_at_soon() {
        let check = |before: u64, after: u64, is_soon: bool| {
            let mut fill = Fill::default();
            fill.hear(at(0), node(1), said(before, before));
            fill.hear(at(200), node(1), said(after, after));
            assert_eq!(fill.look_interval(EVERY) < EVERY, is_soon, "{before} to {after}");
            fill.look(at(200), |_| true);
            assert_eq!(fill.look_interval(EVERY), EVERY, "once looked at, until it says more");
        };
        check(0, 3, false);
        check(0, 5, true);
        check(40, 42, true);
        check(60, 60, false);
        check(64, 64, false);
        check(64, 30, false);
    }

    #[test]
    fn growth_is_of_all_nodes_and_moves_are_none() {
        let mut fill = Fill::default();
        for number in 1..=2 {
            fill.hear(at(0), node(number), said(20, 20));
        }
        let look = |fill: &mut Fill, now| fill.look(at(now), |_| true).stored(|own| own) / MIB;
        assert_eq!(look(&mut fill, 10), 0, "one report says nothing");
        fill.hear(at(200), node(1), said(24, 24));
        fill.hear(at(200), node(2), said(22, 22));
        assert_eq!(look(&mut fill, 210), 30);
        fill.hear(at(400), node(1), said(34, 34));
        fill.hear(at(400), node(2), said(12, 22));
        assert_eq!(look(&mut fill, 410), 0, "10 MiB have moved");
        fill.hear(at(600), node(1), said(50, 34));
        fill.hear(at(600), node(2), said(12, 22));
        assert_eq!(look(&mut fill, 610), 0, "it is the primary of more that it has");
        fill.hear(at(800), node(1), said(52, 36));
        fill.hear(at(800), node(2), said(12, 22));
        assert_eq!(look(&mut fill, 810), 10);
        assert_eq!(look(&mut fill, 1_900), 0, "that was long ago");
    }

    /// Reports that were held up and come together.
    #[test]
    fn reports_at_one_time_are_no_jump() {
        let mut fill = Fill::default();
        fill.hear(at(0), node(1), said(10, 10));
        fill.hear(at(400), node(1), said(14, 14));
        fill.hear(at(401), node(1), said(18, 18));
        assert_eq!(fill.look(at(401), |_| true).own / MIB, 19, "8 MiB in 401 ms");
    }
}
