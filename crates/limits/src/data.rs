use std::collections::BTreeMap;

use crate::water::{Rest, Want, divide};

/// What is known of a node's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeData {
    /// Bytes that its host gives it.
    pub memory_max: u64,
    /// Bytes that it has taken, as it said last.
    pub used: u64,
    /// Bytes that it may take, as it said last.
    pub may_use: u64,
    /// It has said so; otherwise it may have all that its host gives it, and is not told anything.
    pub is_known: bool,
}

impl NodeData {
    /// What it has, and how much it counts when the rest is divided, among so many.
    fn want(&self, nodes: usize) -> Want {
        let is_nearly_full = self.used > 0 && self.used / 3 >= self.may_use / 4;
        let weight = u32::try_from(2 * nodes).unwrap_or(u32::MAX);
        Want { units: self.used, weight: if is_nearly_full { weight } else { 1 } }
    }
}

/// What a node may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPart {
    /// So much, of items and of what keeps them.
    pub bytes: u64,
    /// The limit has room for all that the node has said to hold. Where that is more than `bytes` by now,
    /// it keeps it, as far as it might hold it before: it was told less as it seemed not to need more.
    pub keeps_held: bool,
}

/// Divides a limit of data among nodes by what they hold, so that a skewed key space uses all of it.
///
/// Each node may hold what it has and a part of what nobody has, most of which goes to those that are
/// nearly full: one of these gets at least two thirds of it, with each second look. Once all is used,
/// each keeps what it has come to. A node is told of more only once others have confirmed that they hold less:
/// `sum of max(told, said, used) <= limit` from when a lower limit has been acted on.
#[derive(Debug)]
pub struct DataParts<Id> {
    told: BTreeMap<Id, u64>,
}

impl<Id: Copy + Ord> Default for DataParts<Id> {
    fn default() -> Self {
        Self { told: BTreeMap::new() }
    }
}

impl<Id: Copy + Ord> DataParts<Id> {
    /// What nodes are to be told anew: those whose part is another than it was, of all those that are
    /// there. Without a limit that is what their hosts give them. Changes of less than a
    /// [`crate::limits::DATA_STEP_PART`]th are not told.
    pub fn look(
        &mut self,
        limit: Option<u64>,
        nodes: &BTreeMap<Id, NodeData>,
    ) -> Vec<(Id, DataPart)> {
        self.told.retain(|id, _| nodes.contains_key(id));
        let Some(limit) = limit else { return self.lift(nodes) };
        let wants: Vec<_> = nodes.values().map(|node| node.want(nodes.len())).collect();
        let parts = divide(limit, &wants, Rest::ByWeight);
        let held = |told: &BTreeMap<Id, u64>, id: &Id, node: &NodeData| {
            told.get(id).copied().unwrap_or(0).max(node.may_use).max(node.used)
        };
        let mut news = Vec::new();
        for ((id, node), part) in nodes.iter().zip(parts).filter(|((_, node), _)| node.is_known) {
            let others = nodes.iter().filter(|(other, _)| *other != id);
            let taken = others.map(|(id, node)| held(&self.told, id, node));
            let free = limit.saturating_sub(taken.fold(0, u64::saturating_add));
            let part = part.min(node.memory_max);
            let before = self.told.get(id).copied();
            // Less acts at once, but for what it may have just been given; more, once it is there.
            let part = match before {
                Some(before) if part < before && node.may_use < before.min(node.memory_max) => {
                    before
                }
                Some(before) if part > before => part.min(free).max(before),
                Some(_) => part,
                None if part < node.may_use => part,
                None => part.min(free.max(node.may_use)),
            };
            let step = part.abs_diff(before.unwrap_or(node.memory_max));
            if before.is_none() || step > part / crate::limits::DATA_STEP_PART {
                self.told.insert(*id, part);
                news.push((*id, DataPart { bytes: part, keeps_held: part >= node.used }));
            }
        }
        news
    }

    /// A node that comes back may have forgotten what it was told.
    pub fn forget(&mut self, node: Id) {
        self.told.remove(&node);
    }

    fn lift(&mut self, nodes: &BTreeMap<Id, NodeData>) -> Vec<(Id, DataPart)> {
        self.told.clear();
        let held_down = nodes.iter().filter(|(_, node)| node.may_use < node.memory_max);
        let all = |node: &NodeData| DataPart { bytes: node.memory_max, keeps_held: true };
        held_down.map(|(id, node)| (*id, all(node))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Nodes that want so much, and evict what they may not hold.
    struct Fleet {
        parts: DataParts<u8>,
        nodes: BTreeMap<u8, NodeData>,
        wanted: Vec<u64>,
    }

    impl Fleet {
        fn new(wanted: &[u64]) -> Self {
            let (memory_max, is_known) = (1024 * MIB, true);
            let node = NodeData { memory_max, used: 0, may_use: memory_max, is_known };
            let nodes = (0..).zip(wanted).map(|(id, _)| (id, node)).collect();
            Self { parts: DataParts::default(), nodes, wanted: wanted.to_vec() }
        }

        /// A round; gives what all hold together.
        fn round(&mut self, limit: Option<u64>) -> u64 {
            for (id, part) in self.parts.look(limit, &self.nodes) {
                let node = self.nodes.get_mut(&id).unwrap();
                take(node, part);
            }
            for (node, wanted) in self.nodes.values_mut().zip(&self.wanted) {
                node.used = (*wanted).min(node.may_use);
            }
            self.nodes.values().map(|node| node.used).sum()
        }
    }

    fn take(node: &mut NodeData, part: DataPart) {
        let kept = if part.keeps_held { node.used.min(node.may_use) } else { 0 };
        node.may_use = part.bytes.max(kept);
    }

    #[test]
    fn a_skewed_key_space_uses_all_of_the_limit_and_never_more() {
        for wanted in [
            vec![900 * MIB, MIB, MIB, MIB],
            vec![900 * MIB, 0, 0, 0, 0, 0, 0, 0],
            vec![100 * MIB, 80 * MIB, 60 * MIB, 400 * MIB],
            vec![900 * MIB; 3],
        ] {
            let limit = 200 * MIB;
            let mut fleet = Fleet::new(&wanted);
            for _ in 0..3 {
                fleet.round(Some(limit));
            }
            for _ in 0..40 {
                let used = fleet.round(Some(limit));
                assert!(used <= limit, "{used} of {limit} with {wanted:?}");
            }
            let (used, wanted) = (fleet.round(Some(limit)), fleet.wanted.iter().sum::<u64>());
            assert!(used >= limit.min(wanted) * 98 / 100, "{} MiB: {:?}", used / MIB, fleet.nodes);
        }
    }

    #[test]
    fn a_limit_that_is_lowered_and_lifted_is_told_to_all() {
        let mut fleet = Fleet::new(&[300 * MIB, 100 * MIB]);
        assert_eq!(fleet.round(None), 400 * MIB, "no limit, nothing is told");
        assert!(fleet.parts.told.is_empty());
        fleet.round(Some(200 * MIB));
        for _ in 0..3 {
            assert!(fleet.round(Some(200 * MIB)) <= 200 * MIB);
        }
        assert!(fleet.round(Some(200 * MIB)) >= 196 * MIB, "{:?}", fleet.nodes);
        assert_eq!(fleet.round(None), 400 * MIB);
    }

    /// Another scaler has heard of one node only: it counts the others as full, and evicts nothing.
    #[test]
    fn what_a_node_may_use_is_not_taken_back_while_others_are_not_known() {
        let mut fleet = Fleet::new(&[300 * MIB, 100 * MIB, 100 * MIB]);
        for _ in 0..10 {
            fleet.round(Some(200 * MIB));
        }
        let before = fleet.nodes[&0].may_use;
        fleet.parts = DataParts::default();
        for id in 1..3 {
            let node = fleet.nodes.get_mut(&id).unwrap();
            *node = NodeData { used: 0, may_use: node.memory_max, is_known: false, ..*node };
        }
        let told = fleet.parts.look(Some(200 * MIB), &fleet.nodes);
        assert_eq!(told, [(0, DataPart { bytes: before, keeps_held: true })]);
    }

    proptest! {
        /// What nodes say arrives late, and they have stored more since. While there is room for all of it nothing
        /// goes, and never is more held than the limit.
        #[test]
        fn nothing_is_evicted_for_late_reports(heard in prop::collection::vec(any::<[bool; 3]>(), 120)) {
            let limit = 200 * MIB;
            let mut parts = DataParts::default();
            let (memory_max, is_known) = (1024 * MIB, true);
            let node = NodeData { memory_max, used: 0, may_use: memory_max, is_known };
            let mut real: BTreeMap<u8, NodeData> = (0..3).map(|id| (id, node)).collect();
            let mut said = real.clone();
            let used = |nodes: &BTreeMap<u8, NodeData>| nodes.values().map(|it| it.used).sum::<u64>();
            // Of the first looks some are about nodes that have not said anything yet.
            for (turn, heard) in heard.into_iter().enumerate() {
                for (id, part) in parts.look(Some(limit), &said) {
                    let node = real.get_mut(&id).unwrap();
                    take(node, part);
                    prop_assert!(node.used <= node.may_use, "evicted in turn {turn}: {real:?}");
                }
                // First one takes most of what comes, then another, and then all want more than there is.
                let grown = [[4, 0, 1], [0, 4, 0], [3, 3, 3]][turn / 40];
                for (node, more) in real.values_mut().zip(grown) {
                    node.used = (node.used + more * MIB).min(node.may_use);
                }
                prop_assert!(used(&real) <= limit, "{} MiB in turn {turn}", used(&real) / MIB);
                for (id, is_heard) in (0..).zip(heard) {
                    if is_heard {
                        said.insert(id, real[&id]);
                    }
                }
            }
        }
    }

    /// As long as a node may hold more than it should, nobody gets that.
    #[test]
    fn what_a_silent_node_may_hold_is_given_to_nobody_else() {
        let mut fleet = Fleet::new(&[300 * MIB, 300 * MIB]);
        for _ in 0..10 {
            fleet.round(Some(200 * MIB));
        }
        let silent = fleet.nodes[&1];
        fleet.wanted[0] = 900 * MIB;
        for _ in 0..10 {
            fleet.round(Some(200 * MIB));
            fleet.nodes.insert(1, silent);
        }
        let sum = fleet.nodes[&0].may_use + silent.may_use.max(silent.used);
        assert!(sum <= 200 * MIB, "{}", sum / MIB);
    }
}
