//! Nodes that are down and do not come back.

use std::collections::{BTreeMap, BTreeSet};

use memtide_manager::Operation;
use memtide_topology::NodeId;

use crate::instances::RETURN_TIME;
use crate::{Call, Event, Executor, Sight};

impl Executor {
    /// Has its own nodes taken out of the topology that have been down for as long as they may come back in, and hold
    /// nothing: while they are there, they count for the most nodes, and nobody is given back. One that comes back
    /// afterwards is as one that was never there, and had nothing of use. Who holds something is for an operator to
    /// give up.
    pub(crate) fn forget_absent(&mut self, sight: &Sight) {
        let is_in = |node: &u64| sight.topology.nodes().contains_key(&NodeId::new(*node));
        if !self.record.former.keys().all(is_in) {
            self.change().former.retain(|node, _| is_in(node));
        }
        let down = sight.nodes.iter().filter(|(_, it)| !it.is_up).map(|(node, _)| node.number());
        let down: BTreeSet<u64> = down.collect();
        let instances = self.record.instances.iter();
        let mine = instances.filter_map(|(name, it)| Some((it.node?, name.clone())));
        let former = self.record.former.iter().map(|(node, name)| (*node, name.clone()));
        let mine = former.chain(mine);
        let absent: BTreeMap<u64, String> = mine.filter(|(node, _)| down.contains(node)).collect();
        self.absent.retain(|node, _| absent.contains_key(node));
        for (number, instance) in absent {
            let since = *self.absent.entry(number).or_insert(self.now);
            let node = NodeId::new(number);
            let is_over = since + RETURN_TIME <= self.now;
            if !is_over || sight.topology.slots().any(|(_, slot)| slot.is_held_by(node)) {
                continue;
            }
            // Where that fails, it is tried again after as long.
            self.absent.insert(number, self.now);
            self.tell(Event::Absent { instance, node });
            self.call(None, Call::Operate(Operation::Forget(node)));
        }
    }
}
