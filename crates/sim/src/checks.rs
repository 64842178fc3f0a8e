//! What must hold at every step: I1, I4, and what the store is asked for.

use std::collections::BTreeMap;

use memtide_engine_core::replication::Part;
use memtide_topology::{Epoch, NodeId, SlotId};

/// What was seen so far, and the first thing that must not be.
#[derive(Default)]
pub struct Checks {
    /// Who served a slot in an epoch of its.
    served: BTreeMap<(SlotId, Epoch), NodeId>,
    /// A hash of what a slot holds at a version, as its primary made it.
    contents: BTreeMap<(SlotId, u64), u64>,
    /// The same for a human.
    described: BTreeMap<(SlotId, u64), String>,
    violation: Option<String>,
}

impl Checks {
    /// Notes what must not be; the first one counts.
    pub fn violated(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    pub const fn violation(&self) -> Option<&String> {
        self.violation.as_ref()
    }

    /// I1: a node serves a slot in this slot epoch.
    pub fn serves(&mut self, slot: SlotId, epoch: Epoch, node: NodeId) {
        let first = *self.served.entry((slot, epoch)).or_insert(node);
        if first != node {
            self.violated(|| {
                format!("I1: {first} and {node} both serve {slot:?} in its epoch {epoch}")
            });
        }
    }

    /// A command is executed on a store.
    pub fn executes(&mut self, is_primary: bool, slot: SlotId, node: NodeId) {
        if !is_primary {
            self.violated(|| format!("{node} executes on {slot:?}, of which its store is a copy"));
        }
    }

    /// A primary's store holds this at this version.
    pub fn content(&mut self, slot: SlotId, version: u64, content: u64) {
        let first = *self.contents.entry((slot, version)).or_insert(content);
        if first != content {
            let had = self.described.get(&(slot, version)).cloned().unwrap_or_default();
            self.violated(|| format!("I4: {slot:?} has two contents at version {version}: {had}"));
        }
    }

    /// Keeps what a primary's store holds at a version, for [`Checks::claims`].
    pub fn describe(&mut self, slot: SlotId, version: u64, what: impl FnOnce() -> String) {
        self.described.entry((slot, version)).or_insert_with(what);
    }

    /// A store takes its part in a slot.
    pub fn holds(&mut self, slot: SlotId, part: Part, content: u64) {
        if let Part::Primary { version } = part {
            self.content(slot, version, content);
        }
    }

    /// I4: a copy says that it has all up to this version.
    pub fn claims(&mut self, at: (SlotId, u64), content: u64, what: impl FnOnce() -> String) {
        let (slot, version) = at;
        match self.contents.get(&at) {
            Some(primary) if *primary != content => {
                let had = self.described.get(&at).cloned().unwrap_or_default();
                self.violated(|| {
                    let what = what();
                    format!("I4: its primary had of {slot:?} at version {version} {had}; {what}")
                });
            }
            _ => {}
        }
    }
}
