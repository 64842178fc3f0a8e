//! What the manager changes next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memtide_topology::{ApplyError, Change, Failover, NodeId, SlotId, Topology};

use crate::draft::Draft;
use crate::placement::Placement;
use crate::wake::Wake;
use crate::watch::holders;
use crate::{Effect, Event, Manager};

impl Manager {
    /// Looks at what has changed, and makes the next update of all that is to be done, unless one is
    /// under way, or nodes that were there before the manager was started may yet come back: where one
    /// knows of a newer topology, this one's epochs have been used.
    ///
    /// ```text
    /// reports -> failover -> orders -> a new node -> who leaves -> placement
    /// ```
    /// Each part is made for what those before it lead to, and is dropped where it does not fit. Where
    /// there is a failover, or a copy that is out of reach, the placement waits for the next update: design note 0007 lets no copy be dropped
    /// in a handover.
    pub(crate) fn think(&mut self) {
        let (events, is_other) = self.members.review(self.now, &self.settings);
        events.into_iter().for_each(|event| self.tell(event));
        if is_other {
            self.stir();
        }
        let events = self.crowds.events(self.now, &self.settings);
        events.into_iter().for_each(|event| self.tell(event));
        let is_held_up = self.progress.is_committing || self.members.is_returning();
        if is_held_up || self.now < self.progress.not_before || !self.has_work() {
            return;
        }
        self.progress.wake = Wake::default();
        let mut draft = Draft::new(Arc::clone(&self.topology));
        let is_cut_off = self.put_reports(&mut draft);
        let is_failover = self.put_failover(&mut draft);
        self.drain_leaving();
        self.put_orders(&mut draft);
        self.put_new_node(&mut draft);
        self.put_leave(&mut draft);
        if !is_failover && !is_cut_off {
            self.put_placement(&mut draft);
        }
        self.progress.is_idle = draft.is_empty();
        if let Some((update, next)) = draft.finish() {
            self.progress.is_committing = true;
            self.progress.steps_from = self.now + self.settings.step_interval;
            self.effects.push_back(Effect::Commit { update, next });
        }
    }

    fn has_work(&self) -> bool {
        let has_reports = self.wishes.has_reports() && self.now >= self.progress.reports_from;
        let is_stirred = !self.progress.is_idle || self.progress.wake.is_due(self.now);
        is_stirred || has_reports || !self.joins.is_empty() || self.wishes.has_orders()
    }

    /// Says that a part did not fit; it is planned again from what is stored.
    fn check(&mut self, result: Result<(), ApplyError>) -> bool {
        if let Err(error) = result {
            self.tell(Event::Dropped(error));
            return false;
        }
        true
    }

    /// Whether slots go on without copies that their primaries cannot reach.
    fn put_reports(&mut self, draft: &mut Draft) -> bool {
        self.wishes.forget_reports_of(&self.topology, self.members.down());
        let result = draft.add(self.wishes.of_reports());
        if !self.check(result) {
            self.wishes.drop_reports();
            return false;
        }
        self.wishes.has_unreachable()
    }

    /// Whether somebody takes over, or is no copy any more.
    fn put_failover(&mut self, draft: &mut Draft) -> bool {
        let epoch = self.topology.epoch();
        if self.members.down().is_empty() {
            self.tell_unserved(0);
            return false;
        }
        if self.progress.failed_over == Some(epoch) {
            return false;
        }
        let slots = self.settings.slots.iter().copied();
        let Failover { mut changes, lost } =
            Failover::of_slots(draft.topology(), self.members.down(), slots);
        let dead = self.members.dead();
        let is_dead = |slot: &SlotId| {
            draft.topology().slot(*slot).complete().all(|holder| dead.contains(&holder))
        };
        let (abandoned, unserved): (Vec<SlotId>, Vec<SlotId>) = lost.into_iter().partition(is_dead);
        if !abandoned.is_empty() {
            changes.push(Change::Abandon { slots: abandoned });
        }
        self.tell_unserved(unserved.len());
        let is_needed = !changes.is_empty();
        let result = draft.add(changes);
        self.progress.failed_over = (!self.check(result) || !is_needed).then_some(epoch);
        is_needed
    }

    fn tell_unserved(&mut self, slots: usize) {
        if core::mem::replace(&mut self.progress.unserved, slots) != slots {
            self.tell(Event::Unserved { slots });
        }
    }

    /// Has nodes drained whose processes are to end, but the last that others could give their slots to.
    fn drain_leaving(&mut self) {
        for node in self.wishes.undrained(&self.topology) {
            // Of one that is down nobody knows whether its process ends.
            let is_down = self.members.down().contains(&node);
            if !is_down && self.check_drain(node).is_ok() {
                self.wishes.set_draining(&self.topology, node, true);
            }
        }
    }

    fn put_orders(&mut self, draft: &mut Draft) {
        let result = draft.add(self.wishes.of_orders());
        if !self.check(result) {
            self.wishes.drop_orders();
        }
    }

    fn put_new_node(&mut self, draft: &mut Draft) {
        for (session, why) in self.joins.put_first(draft, self.topology.epoch().next()) {
            self.effects.push_back(Effect::Refuse { session, why });
        }
    }

    /// Takes nodes out that hold nothing: the dead, the drained, and those that were silent for long.
    fn put_leave(&mut self, draft: &mut Draft) {
        let topology = Arc::clone(&self.topology);
        let nodes = topology.nodes().keys().copied();
        let leaving: BTreeSet<NodeId> = nodes.filter(|node| self.may_leave(*node)).collect();
        if leaving.is_empty() {
            return;
        }
        let holding = holders(draft.topology());
        let leaving = leaving.difference(&holding);
        let changes = leaving.map(|node| Change::RemoveNode { node: *node }).collect();
        let result = draft.add(changes);
        self.check(result);
    }

    fn may_leave(&mut self, node: NodeId) -> bool {
        let is_down = self.members.down().contains(&node);
        if self.members.dead().contains(&node) {
            return true;
        }
        if let Some((epoch, at)) = self.watch.emptied().get(&node).copied() {
            let until = at + self.settings.linger;
            if is_down || until <= self.now && self.members.adopted(node) >= epoch {
                return true;
            }
            self.progress.wake.at(until.max(self.now + self.settings.tick));
        }
        if is_down {
            self.progress.wake.at(self.now + self.settings.silence_max);
        }
        is_down && self.members.is_long_lost(self.now, node, self.settings.forget_after)
    }

    fn put_placement(&mut self, draft: &mut Draft) {
        if self.members.is_waiting() {
            return;
        }
        if self.now < self.progress.found_from
            && !Placement::is_founded(&self.topology, &self.settings)
        {
            return self.progress.wake.at(self.progress.found_from);
        }
        if self.now < self.progress.steps_from {
            return self.progress.wake.at(self.progress.steps_from);
        }
        let mut away = self.members.away();
        let is_new = |node: &&NodeId| !self.topology.nodes().contains_key(*node);
        away.extend(draft.topology().nodes().keys().filter(is_new));
        let is_any_away = away.len() > self.members.down().len();
        self.placement.expects_nothing_of(self.wishes.cut_off());
        let time = (self.now, &mut self.progress.wake);
        let mut changes = self.placement.next_changes(time, draft.topology(), away, &self.settings);
        let are_nodes_coming = is_any_away || self.placement.is_stale();
        self.spare_copies(draft.topology(), &mut changes, are_nodes_coming);
        let result = draft.add(changes);
        self.check(result);
        self.tell_migrating(self.placement.remaining());
    }

    fn tell_migrating(&mut self, slots: usize) {
        let is_migrating = slots > 0;
        if core::mem::replace(&mut self.progress.is_migrating, is_migrating) != is_migrating {
            let moved = core::mem::take(&mut self.progress.moved);
            self.tell(match is_migrating {
                true => Event::MigrationBegan { slots },
                false => Event::MigrationEnded(moved),
            });
        }
    }

    /// Takes out of changes that copies are dropped which are of use for a moment more: those of a slot
    /// that was just handed over, as its source has to consent; and a copy that is one too many only
    /// until nodes that are coming may hold slots; and what is more than [`memtide_topology::Pace::slots_max`].
    fn spare_copies(
        &mut self,
        topology: &Topology,
        changes: &mut Vec<Change>,
        are_nodes_coming: bool,
    ) {
        let complete_min = 1 + usize::from(topology.replicas_wanted());
        let mut dropped: BTreeMap<SlotId, usize> = BTreeMap::new();
        let mut left = self.settings.pace.slots_max;
        let gaining = changes.iter().flat_map(|change| match change {
            Change::AddLearner { slots, .. } => slots.as_slice(),
            _ => &[],
        });
        // Those may have no room for the new copy otherwise.
        let gaining: BTreeSet<SlotId> = gaining.copied().collect();
        for change in changes.iter_mut() {
            let Change::DropCopy { slots, node } = change else { continue };
            slots.retain(|slot| {
                let at = (self.now, *slot);
                if let Some(until) = self.watch.spares_until(at, &self.settings) {
                    self.progress.wake.at(until);
                    return false;
                }
                let config = topology.slot(*slot);
                if !config.in_sync().any(|copy| copy == *node) {
                    return true;
                }
                let dropped = dropped.entry(*slot).or_default();
                let is_spare = config.complete().count() > complete_min + *dropped;
                let may_go = left > 0 || gaining.contains(slot);
                let goes = may_go && (is_spare || !are_nodes_coming);
                *dropped += usize::from(goes);
                left = left.saturating_sub(usize::from(goes));
                goes
            });
        }
        changes
            .retain(|change| !matches!(change, Change::DropCopy { slots, .. } if slots.is_empty()));
    }
}
