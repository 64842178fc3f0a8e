use std::collections::BTreeSet;

use super::assignment::Assignment;
use super::even::{Shares, even_out};
use super::share::{ONE, band, fullness};
use crate::{SlotId, Topology};

/// Which of its holders is the primary of each slot.
pub(super) struct Primaries<'a> {
    assignment: &'a Assignment<'a>,
    /// By slot; `None` where nobody may hold it.
    primaries: Vec<Option<usize>>,
    /// By node: the slots that it is the primary of.
    led: Vec<BTreeSet<usize>>,
}

impl<'a> Primaries<'a> {
    /// Those that are and may stay; of other slots, holders that have the fewest.
    pub(super) fn of(topology: &Topology, assignment: &'a Assignment<'a>, ids: &[SlotId]) -> Self {
        let fleet = assignment.fleet;
        let led = vec![BTreeSet::new(); fleet.nodes.len()];
        let mut this = Self { assignment, primaries: Vec::new(), led };
        for (at, id) in ids.iter().enumerate() {
            let primary = topology.slot(*id).primary.and_then(|primary| fleet.place(primary));
            let primary = primary.filter(|primary| assignment.holders(at).contains(primary));
            this.primaries.push(primary);
            primary.into_iter().for_each(|primary| _ = this.led[primary].insert(at));
        }
        for at in 0..ids.len() {
            if this.primaries[at].is_none() {
                let fullness = |node: &&usize| fullness(this.load(**node), this.share(**node));
                let primary = assignment.holders(at).iter().min_by_key(fullness).copied();
                primary.into_iter().for_each(|primary| _ = this.led[primary].insert(at));
                this.primaries[at] = primary;
            }
        }
        this
    }

    /// The primaries by slot, each node having its share of what it holds.
    pub(super) fn even_out(mut self) -> Vec<Option<usize>> {
        even_out(&mut self);
        self.primaries
    }
}

impl Shares for Primaries<'_> {
    fn nodes(&self) -> usize {
        self.led.len()
    }

    fn load(&self, node: usize) -> usize {
        self.led[node].len()
    }

    fn share(&self, node: usize) -> u128 {
        let count = |count| u128::try_from(count).expect("a count of slots");
        ONE * count(self.assignment.load_of(node)) / count(self.assignment.fleet.holders)
    }

    fn band(&self, node: usize) -> (usize, usize) {
        band(self.share(node), self.assignment.fleet.slots)
    }

    fn slots(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        self.led[from].iter().copied()
    }

    fn may_move(&self, at: usize, from: usize, to: usize) -> bool {
        self.primaries[at] == Some(from) && self.assignment.holders(at).contains(&to)
    }

    fn shift(&mut self, at: usize, from: usize, to: usize) {
        self.led[from].remove(&at);
        self.led[to].insert(at);
        self.primaries[at] = Some(to);
    }
}
