//! Instances of a provisioner that names its nodes, and ends them in an order of its own: pods of a StatefulSet.
//!
//! They begin as spares and are taken as nodes, wait again once they were drained, and are ended only from the
//! last on. So an instance in the middle that is not wanted is used again before another one is begun.

use core::time::Duration;

use crate::instances::RETURN_TIME;
use crate::{Executor, Instance, Sight, Source, Supplied};

impl Sight {
    /// Whether a process of this name waits to be taken.
    pub(crate) fn is_waiting(&self, name: &str) -> bool {
        let mut pools = self.supplies.iter().filter(|it| it.source == Source::Spares);
        pools.any(|it| it.names.iter().any(|it| it == name))
    }

    /// Whether the provisioner has it for as long as nobody ends it, and so will begin it again by itself.
    pub(crate) fn is_kept(&self, name: &str) -> bool {
        self.supplies.iter().any(|it| it.there.iter().any(|it| it == name))
    }

    /// Whose turn it is to leave, of those that have an order.
    pub(crate) fn leave_rank(&self, name: &str) -> u32 {
        let ranks = self.supplies.iter().filter_map(|it| it.there.iter().position(|it| it == name));
        ranks.min().map_or(0, |rank| u32::try_from(rank).unwrap_or(u32::MAX))
    }

    fn is_node(&self, name: &str) -> bool {
        self.nodes.values().any(|it| it.instance == name)
    }
}

impl Executor {
    /// Has those on record that the provisioner has and nobody has ordered: whoever has begun them, they are the
    /// scaler's. Who has not come is left alone for a while, as it may be ordered yet.
    pub(crate) fn adopt(&mut self, sight: &Sight) {
        let has_all_said = sight.nodes.values().all(|it| it.has_said);
        for supply in &sight.supplies {
            for name in &supply.there {
                if self.record.instances.contains_key(name) || sight.coming.contains(name) {
                    self.strangers.remove(name);
                    continue;
                }
                let is_node = sight.is_node(name);
                let since = *self.strangers.entry(name.clone()).or_insert(self.now);
                let is_late = has_all_said && since + RETURN_TIME <= self.now;
                if is_node || is_late || sight.is_waiting(name) {
                    let it = Instance { is_started: true, ..Instance::of(supply) };
                    let it = Instance { is_spare: !is_node, ..it };
                    self.change().instances.insert(name.clone(), it);
                    self.strangers.remove(name);
                }
            }
        }
        self.strangers.retain(|name, _| sight.is_kept(name));
    }

    /// What can still be ordered of a supply that names its nodes.
    pub(crate) fn free_names<'s>(&self, supply: &'s Supplied) -> impl Iterator<Item = &'s String> {
        supply.names.iter().filter(|name| !self.record.instances.contains_key(*name))
    }

    /// The next that are to be called as the supply wants it.
    pub(crate) fn next_names(&mut self, supply: &Supplied, count: usize) -> Vec<String> {
        if supply.names.is_empty() {
            let record = self.change();
            return (0..count).map(|_| record.next_name()).collect();
        }
        self.free_names(supply).take(count).cloned().collect()
    }

    /// Spares that can be ended, of so many that there are too many.
    pub(crate) fn surplus(&mut self, supply: &Supplied, count: usize) -> Vec<String> {
        let is_mine = |it: &Instance| it.is_spare && !it.is_unwanted && it.zone == supply.zone;
        let instances = &self.record.instances;
        if supply.there.is_empty() {
            let mine = instances.iter().filter(|(_, it)| is_mine(it));
            return mine.take(count).map(|(name, _)| name.clone()).collect();
        }
        // Who was drained, or has come back, may be wanted at once.
        let since = *self.surplus_since.entry(supply.offer_id()).or_insert(self.now);
        if count == 0 {
            self.surplus_since.remove(&supply.offer_id());
        }
        if since + RETURN_TIME.min(self.settings.policy.in_after) > self.now {
            return Vec::new();
        }
        let known = |name: &String| self.record.instances.get(name);
        let there = supply.there.iter().filter(|name| known(name).is_none_or(|it| !it.is_unwanted));
        let last = there.take_while(|name| known(name).is_some_and(is_mine));
        last.take(count).cloned().collect()
    }
}

/// Since when it has been so, by what.
pub(crate) type Since<K> = std::collections::BTreeMap<K, Duration>;
