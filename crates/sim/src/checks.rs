//! What must hold at every step: I1, I4, how old copies are that are read, and what the store is
//! asked for.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use memtide_engine_core::replication::{Part, Position};
use memtide_topology::{Epoch, NodeId, SlotConfig, SlotId};

use crate::heap::Nanos;

/// What was seen so far, and the first thing that must not be.
#[derive(Default)]
pub struct Checks {
    /// Who served a slot in an epoch of its.
    served: BTreeMap<(SlotId, Epoch), Served>,
    /// Epochs of slots to which the primary before has consented.
    consents: BTreeSet<(SlotId, Epoch)>,
    /// Which versions of slots clients were told of, and when.
    told: BTreeMap<SlotId, Told>,
    /// A hash of what a slot holds at a version, as its primary made it.
    contents: BTreeMap<(SlotId, u64), u64>,
    /// The same for a human.
    described: BTreeMap<(SlotId, u64), String>,
    /// How often items were evicted, by key.
    pub evicted: BTreeMap<u32, u32>,
    /// Slots of which a copy had no room for an item, which is an eviction that shows when the copy is
    /// promoted.
    left_out: BTreeSet<SlotId>,
    violation: Option<String>,
}

/// Who serves a slot.
#[derive(Clone, Copy)]
struct Served {
    node: NodeId,
    since: Nanos,
    /// It has waited for the leases of all before it to be over.
    has_waited: bool,
}

/// The versions of a slot that clients were told of.
#[derive(Default)]
struct Told {
    lately: VecDeque<(Nanos, u64)>,
    /// The newest of those that every copy must have.
    long_ago: u64,
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
    pub fn serves(&mut self, (slot, config): (SlotId, &SlotConfig), node: NodeId, now: Nanos) {
        let epoch = config.epoch;
        let has_waited = config.born != epoch && !self.consents.contains(&(slot, epoch));
        let served = Served { node, since: now, has_waited };
        let first = self.served.entry((slot, epoch)).or_insert(served).node;
        if first != node {
            self.violated(|| {
                format!("I1: {first} and {node} both serve {slot:?} in its epoch {epoch}")
            });
        }
    }

    /// A client is told of a mutation, which left a slot at this version.
    pub fn tells(&mut self, slot: SlotId, version: u64, now: Nanos) {
        self.told.entry(slot).or_default().lately.push_back((now, version));
    }

    /// A primary consents to this epoch of its successor.
    pub fn consents(&mut self, slot: SlotId, epoch: Epoch) {
        self.consents.insert((slot, epoch));
    }

    /// A copy answers readers: nobody who has waited for leases to be over serves the slot in a later
    /// epoch; nobody else for more than a lease; and what was acknowledged more than a lease ago, it has.
    pub fn reads(
        &mut self,
        (slot, config): (SlotId, &SlotConfig),
        node: NodeId,
        position: Option<Position>,
        (now, lease): (Nanos, Duration),
    ) {
        let epoch = config.epoch;
        let lease = Nanos::try_from(lease.as_nanos()).expect("a lease is short");
        // As far as clocks differ.
        let bound = now.saturating_sub(lease + lease / 10);
        let mut later = self.served.range((slot, epoch.next())..=(slot, Epoch::new(u64::MAX)));
        let is_over = |of: &Served| of.since < if of.has_waited { now } else { bound };
        if let Some((_, other)) = later.find(|(_, served)| is_over(served)) {
            let Served { node: other, since, .. } = *other;
            return self.violated(|| {
                format!("I2: {node} is read in {slot:?}, which {other} serves since {since}")
            });
        }
        let told = self.told.entry(slot).or_default();
        while let Some((at, version)) = told.lately.front()
            && *at < bound
        {
            told.long_ago = told.long_ago.max(*version);
            told.lately.pop_front();
        }
        let (has, must) = (position.map_or(0, |position| position.version), told.long_ago);
        // What was told before the slot began anew is lost.
        if has < must && must > config.born.version_base() {
            self.violated(|| {
                format!("I2: {node} is read in {slot:?} at {has}, and {must} was told long ago")
            });
        }
    }

    /// A command is executed on a store.
    pub fn executes(&mut self, is_primary: bool, slot: SlotId, node: NodeId) {
        if !is_primary {
            self.violated(|| format!("{node} executes on {slot:?}, of which its store is a copy"));
        }
    }

    /// An item may be gone for want of memory.
    pub fn evicts(&mut self, key: u32) {
        *self.evicted.entry(key).or_default() += 1;
    }

    /// A copy of a slot may be without items that its primary has.
    pub fn leaves_out(&mut self, slot: SlotId) {
        self.left_out.insert(slot);
    }

    pub fn is_left_out(&self, slot: SlotId) -> bool {
        self.left_out.contains(&slot)
    }

    /// A primary's store holds this at this version.
    pub fn content(&mut self, slot: SlotId, version: u64, content: u64) {
        let first = *self.contents.entry((slot, version)).or_insert(content);
        if first != content && !self.is_left_out(slot) {
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
            Some(primary) if *primary != content && !self.is_left_out(slot) => {
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
