use std::collections::BTreeSet;

use super::even::{Shares, even_out};
use super::fleet::Fleet;
use super::share::{band, fullness};
use crate::{SlotConfig, SlotId, Topology};

/// Who should hold each slot, as far as that is decided.
pub(super) struct Assignment<'a> {
    pub(super) fleet: &'a Fleet,
    slots: Vec<Slot>,
    /// By node: the slots that it should hold.
    held: Vec<BTreeSet<usize>>,
    /// Whether what is there may be moved, or only what is not yet there.
    may_copy: bool,
}

struct Slot {
    /// Who holds it now, of those that may.
    present: Vec<Present>,
    /// Who should.
    holders: Vec<usize>,
    /// Nothing is under way: it may be moved.
    is_settled: bool,
}

#[derive(Clone, Copy)]
struct Present {
    node: usize,
    is_primary: bool,
    is_learner: bool,
}

impl<'a> Assignment<'a> {
    /// What is held and stays so.
    pub(super) fn of(topology: &Topology, fleet: &'a Fleet, ids: &[SlotId]) -> Self {
        let slots = ids.iter().map(|id| Slot::of(topology.slot(*id), fleet));
        let slots: Vec<Slot> = slots.collect();
        let held = vec![BTreeSet::new(); fleet.nodes.len()];
        let mut assignment = Self { fleet, slots, held, may_copy: false };
        for (at, slot) in assignment.slots.iter_mut().enumerate() {
            slot.holders.extend(slot.present.iter().map(|present| present.node));
            for &holder in &slot.holders {
                assignment.held[holder].insert(at);
            }
        }
        (0..ids.len()).for_each(|at| assignment.keep(at));
        assignment
    }

    /// Who should hold a slot.
    pub(super) fn holders(&self, slot: usize) -> &[usize] {
        &self.slots[slot].holders
    }

    /// How many slots a node should hold.
    pub(super) fn load_of(&self, node: usize) -> usize {
        self.held[node].len()
    }

    /// Leaves a slot only those of its holders that may stay: first who is about to join, as what it
    /// replaces is to go; then the primary, so that who was handed a slot is not asked to give it back;
    /// then the least full. Where that makes nodes too full, evening out chooses others of them.
    fn keep(&mut self, at: usize) {
        let mut present = self.slots[at].present.clone();
        present.sort_by_cached_key(|present| {
            let node = present.node;
            let fullness = fullness(self.load_of(node), self.fleet.nodes[node].share);
            (!present.is_learner, !present.is_primary, fullness, node)
        });
        let slot = &mut self.slots[at];
        slot.holders.clear();
        for Present { node, .. } in present {
            if self.fleet.has_room(slot.holders.iter().copied(), node) {
                slot.holders.push(node);
            } else {
                self.held[node].remove(&at);
            }
        }
    }

    /// Gives every slot the holders that it lacks, the least full nodes first.
    pub(super) fn fill(&mut self) {
        let order = |node: usize, load: usize| {
            let share = self.fleet.nodes[node].share;
            // Mixed, so that a node shares its slots with many others, who will share its load.
            (fullness(load, share), mix(node, load), node)
        };
        let loads = self.held.iter().map(BTreeSet::len).enumerate();
        let mut queue: BTreeSet<_> = loads.map(|(node, load)| order(node, load)).collect();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            while slot.holders.len() < self.fleet.holders {
                let mut free = queue.iter().filter(|(_, _, node)| !slot.holders.contains(node));
                let has_room = |node| self.fleet.has_room(slot.holders.iter().copied(), node);
                let next = free.find(|(_, _, node)| has_room(*node)).copied();
                let next = next.expect("the level is made of what the zones have room for");
                slot.holders.push(next.2);
                self.held[next.2].insert(at);
                queue.remove(&next);
                queue.insert(order(next.2, self.held[next.2].len()));
            }
        }
    }

    /// Brings every node near its share: first where nothing more is copied for it.
    pub(super) fn even_out(&mut self) {
        even_out(self);
        self.may_copy = true;
        even_out(self);
    }
}

impl Slot {
    fn of(config: &SlotConfig, fleet: &Fleet) -> Self {
        let present = config.holders().filter_map(|id| {
            let is_learner = config.copy(id).is_some_and(|copy| !copy.is_in_sync);
            let is_primary = config.primary == Some(id);
            Some(Present { node: fleet.place(id)?, is_primary, is_learner })
        });
        let present: Vec<_> = present.collect();
        let is_settled = config.learners().next().is_none()
            && config.holders().count() == fleet.holders
            && present.len() == fleet.holders;
        Self { present, holders: Vec::new(), is_settled }
    }

    fn present(&self, node: usize) -> Option<&Present> {
        self.present.iter().find(|present| present.node == node)
    }

    /// Whether somebody holds it now who should not.
    fn has_spare(&self) -> bool {
        self.present.iter().any(|present| !self.holders.contains(&present.node))
    }
}

impl Shares for Assignment<'_> {
    fn nodes(&self) -> usize {
        self.fleet.nodes.len()
    }

    fn load(&self, node: usize) -> usize {
        self.load_of(node)
    }

    fn share(&self, node: usize) -> u128 {
        self.fleet.nodes[node].share
    }

    fn band(&self, node: usize) -> (usize, usize) {
        band(self.share(node), self.fleet.slots)
    }

    fn slots(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        let is_leaving = move |at: &usize| {
            let slot = &self.slots[*at];
            match slot.present(from) {
                None => true,
                Some(present) if present.is_learner => false,
                Some(_) => self.may_copy && slot.is_settled || slot.has_spare(),
            }
        };
        self.held[from].iter().copied().filter(is_leaving)
    }

    fn may_move(&self, at: usize, from: usize, to: usize) -> bool {
        let slot = &self.slots[at];
        if slot.holders.contains(&to) {
            return false;
        }
        let is_copied = slot.present(from).is_some() && slot.present(to).is_none();
        if is_copied && !(self.may_copy && slot.is_settled) {
            return false;
        }
        let others = slot.holders.iter().copied().filter(|holder| *holder != from);
        self.fleet.nodes[from].zone == self.fleet.nodes[to].zone || self.fleet.has_room(others, to)
    }

    fn shift(&mut self, at: usize, from: usize, to: usize) {
        let holders = &mut self.slots[at].holders;
        let place = holders.iter().position(|holder| *holder == from);
        holders[place.expect("only a holder gives up a slot")] = to;
        self.held[from].remove(&at);
        self.held[to].insert(at);
    }
}

/// An order of nodes that is another for each number of slots.
fn mix(node: usize, load: usize) -> u64 {
    let word = |number| u64::try_from(number).expect("a small count");
    let seed = (word(load) << 32 | word(node)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
