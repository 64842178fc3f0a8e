//! Nodes from their order to their end.

use core::time::Duration;
use std::collections::BTreeMap;

use memtide_planner::{Action, Failed, StepId};
use memtide_topology::NodeId;

use crate::{Call, Event, Executor, Instance, Sight, Source, Supplied};

/// A node that is lost may come back under its name for this long: who started it may have replaced it.
pub(crate) const RETURN_TIME: Duration = Duration::from_secs(60);

/// What has failed is tried again after this time, and after twice as long each time that it fails again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is tried again and when, by what it is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses(BTreeMap<String, (Duration, Duration)>);

impl Pauses {
    /// Says whether it is the first time.
    fn fails(&mut self, now: Duration, what: &str) -> bool {
        let before = self.0.get(what).map(|(_, pause)| *pause);
        let pause = before.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX));
        self.0.insert(what.to_owned(), (now + pause, pause));
        before.is_none()
    }

    fn is_over(&self, now: Duration, what: &str) -> bool {
        self.0.get(what).is_none_or(|(until, _)| *until <= now)
    }

    fn forget(&mut self, what: &str) {
        self.0.remove(what);
    }
}

impl Instance {
    /// One of these nodes, not ordered yet.
    pub(crate) fn of(supply: &Supplied) -> Self {
        Self {
            is_provisioned: supply.source == Source::Provisioner,
            is_started: false,
            ..Self::running(supply.kind.clone(), supply.zone.clone(), supply.memory_min)
        }
    }

    /// What plans know those by that are like it.
    fn offer_id(&self) -> u32 {
        let source = if self.is_provisioned { Source::Provisioner } else { Source::Spares };
        Supplied::id_of(source, &self.zone, &self.kind)
    }

    pub(crate) fn start(&self, instance: String) -> Call {
        let Self { kind, zone, memory, is_spare, .. } = self.clone();
        Call::Start { instance, kind, zone, memory, is_spare }
    }
}

impl Executor {
    /// Finds instances among the nodes.
    pub(crate) fn link(&mut self, sight: &Sight) {
        let mut nodes = BTreeMap::new();
        for (node, info) in sight.topology.nodes() {
            let name = sight.nodes.get(node).map_or("", |it| it.instance.as_str());
            // Of two processes of one name the later one is it.
            nodes.insert(name, (node.number(), info.is_draining));
        }
        let names: Vec<String> = self.record.instances.keys().cloned().collect();
        for name in names {
            let named = nodes.get(name.as_str()).copied();
            match named.or_else(|| self.nameless(&name, sight)) {
                Some((node, is_draining)) => {
                    self.was_another(&name, node, sight);
                    self.is_there(&name, node, is_draining);
                }
                None => self.is_not_there(&name, sight),
            }
        }
    }

    /// The node that an instance was last, where that is still one: who has not been heard since the scaler was
    /// started has not said its name.
    fn nameless(&self, name: &str, sight: &Sight) -> Option<(u64, bool)> {
        let node = NodeId::new(self.record.instances[name].node?);
        let info = sight.topology.nodes().get(&node)?;
        let has_said = sight.nodes.get(&node).is_some_and(|it| it.has_said);
        (!has_said).then_some((node.number(), info.is_draining))
    }

    /// Keeps in mind which node an instance was, where it is another one now.
    fn was_another(&mut self, name: &str, node: u64, sight: &Sight) {
        let former = self.record.instances[name].node.filter(|former| *former != node);
        if let Some(former) = former
            && sight.topology.nodes().contains_key(&NodeId::new(former))
        {
            self.change().former.insert(former, name.to_owned());
        }
    }

    fn is_there(&mut self, name: &str, node: u64, is_leaving: bool) {
        self.lost.remove(name);
        if self.record.instances[name].node != Some(node) {
            self.joined.insert(name.to_owned(), self.now);
        }
        let before = &self.record.instances[name];
        let after = Instance {
            node: Some(node),
            is_started: true,
            is_spare: false,
            is_leaving,
            // It came after all, before it was ended.
            is_unwanted: before.is_unwanted && self.is_ending(name),
            ..before.clone()
        };
        if *before != after {
            self.change().instances.insert(name.to_owned(), after);
        }
        self.forget_in_steps(name);
    }

    fn is_not_there(&mut self, name: &str, sight: &Sight) {
        let it = &self.record.instances[name];
        let was_there = it.node.is_some() || it.is_spare && it.is_started;
        let is_waiting = sight.is_waiting(name);
        // It will come, or come back, by itself.
        let is_kept = sight.is_kept(name);
        let is_ordered =
            self.record.steps.iter().any(|kept| kept.instances.iter().any(|it| it == name));
        if is_waiting && !it.is_spare && !it.is_unwanted && !is_ordered {
            return self.waits_again(name);
        }
        let is_awaited = is_waiting || is_kept && it.is_spare;
        if it.is_unwanted || !was_there || is_awaited || sight.coming.contains(name) {
            self.lost.remove(name);
            return;
        }
        let is_leaving = it.is_leaving;
        if !is_leaving && !self.lost.contains_key(name) {
            self.is_lost(name);
        }
        let since = *self.lost.entry(name.to_owned()).or_insert(self.now);
        if is_leaving && !is_kept || since + RETURN_TIME <= self.now {
            self.lost.remove(name);
            self.unwant(name);
        }
    }

    /// What was a node is a spare again, under the same name: it was drained, or started anew.
    fn waits_again(&mut self, name: &str) {
        let it = &self.record.instances[name];
        if !it.is_provisioned {
            return self.forget(name);
        }
        let spare = Instance {
            is_spare: true,
            is_started: true,
            node: None,
            slot: None,
            is_leaving: false,
            ..it.clone()
        };
        self.change().instances.insert(name.to_owned(), spare);
        self.joined.remove(name);
        self.lost.remove(name);
    }

    /// A node is gone that was not to leave. Where it had hardly come, the next one of its kind has to wait.
    fn is_lost(&mut self, name: &str) {
        let joined = self.joined.remove(name);
        if joined.is_some_and(|joined| joined + RETURN_TIME > self.now) {
            let it = &self.record.instances[name];
            let (zone, memory) = (it.zone.clone(), it.memory);
            let action = Action::Add { offer: it.offer_id(), zone, nodes: 1, memory };
            self.failed.push(Failed { id: StepId::default(), action, at: self.now });
        }
    }

    /// An instance is to be ended, and may not join.
    pub(crate) fn unwant(&mut self, name: &str) {
        if self.record.instances.contains_key(name) {
            let instances = &mut self.change().instances;
            instances.entry(name.to_owned()).and_modify(|it| it.is_unwanted = true);
            self.births.insert(name.to_owned(), self.version());
        }
    }

    fn forget(&mut self, name: &str) {
        self.change().instances.remove(name);
        self.pauses.forget(name);
        self.lost.remove(name);
        self.joined.remove(name);
        self.resized.remove(name);
        self.births.remove(name);
        self.forget_in_steps(name);
    }

    /// Whether nothing was asked for it yet.
    pub(crate) fn is_untouched(&self, name: &str) -> bool {
        let is_new = self.record.instances.get(name).is_none_or(|it| !it.is_started);
        is_new && !self.is_called(name)
    }

    /// Those that may be called now: what is to be done with them is on disk.
    fn callable(&self) -> Vec<String> {
        let names = self.record.instances.keys();
        let may_be = |name: &&String| {
            !self.is_called(name)
                && self.pauses.is_over(self.now, name)
                && !self.births.contains_key(*name)
        };
        names.filter(may_be).cloned().collect()
    }

    /// Starts spares.
    pub(crate) fn start_spares(&mut self) {
        for name in self.callable() {
            let it = &self.record.instances[&name];
            if it.is_spare && !it.is_started && !it.is_unwanted {
                let call = it.start(name);
                self.call(None, call);
            }
        }
    }

    /// Ends instances that are not wanted. The sight is of this moment: nobody of these names joins from here on.
    pub(crate) fn end_unwanted(&mut self, sight: &Sight) {
        // A node that nobody has heard yet may be one of them.
        if sight.nodes.values().any(|it| !it.has_said) {
            return;
        }
        for name in self.callable() {
            let it = &self.record.instances[&name];
            let is_node = it.node.is_some_and(|node| {
                sight.topology.nodes().keys().any(|known| known.number() == node)
            });
            if it.is_unwanted {
                // A process that was here when it became unwanted may be joining.
                if !is_node && !sight.coming.contains(&name) {
                    let call = match it.is_provisioned {
                        true => Call::End { instance: name },
                        false => Call::Release { instance: name },
                    };
                    self.call(None, call);
                }
            }
        }
    }

    pub(crate) fn start_answered(
        &mut self,
        step: Option<StepId>,
        name: &str,
        result: Result<(), String>,
    ) {
        let Some(it) = self.record.instances.get(name) else { return };
        match (result, step) {
            (Ok(()), step) => {
                if step.is_none() {
                    let zone = it.zone.clone();
                    self.pauses.forget(zone.name());
                }
                let instances = &mut self.change().instances;
                instances.entry(name.to_owned()).and_modify(|it| it.is_started = true);
            }
            (Err(why), Some(step)) => self.node_fails(step, name, &why),
            (Err(why), None) => {
                let zone = it.zone.clone();
                self.unwant(name);
                if self.pauses.fails(self.now, zone.name()) {
                    self.tell(Event::SpareFailed { zone, why });
                }
            }
        }
    }

    pub(crate) fn end_answered(&mut self, name: &str, result: Result<(), String>) {
        if !self.is_unwanted(name) {
            return;
        }
        match result {
            Ok(()) => self.forget(name),
            Err(why) => {
                if self.pauses.fails(self.now, name) {
                    self.tell(Event::EndFailed { instance: name.to_owned(), why });
                }
            }
        }
    }

    /// How many of these can still be ordered.
    pub(crate) fn nodes_left(&self, supply: &Supplied) -> u32 {
        if supply.source == Source::Spares {
            return u32::try_from(self.free_spares(supply).count()).unwrap_or(u32::MAX);
        }
        if !supply.names.is_empty() {
            return u32::try_from(self.free_names(supply).count()).unwrap_or(u32::MAX);
        }
        let is_ordered = |it: &&Instance| {
            it.is_provisioned && !it.is_started && it.zone == supply.zone && it.kind == supply.kind
        };
        let ordered = self.record.instances.values().filter(is_ordered).count();
        supply.nodes.saturating_sub(u32::try_from(ordered).unwrap_or(u32::MAX))
    }

    /// Spares that nobody has taken.
    pub(crate) fn free_spares<'s>(&self, supply: &'s Supplied) -> impl Iterator<Item = &'s String> {
        let is_free = |name: &&String| {
            let known = self.record.instances.get(*name);
            known.is_none_or(|it| it.is_spare && !it.is_unwanted)
        };
        supply.names.iter().filter(is_free)
    }

    /// Orders spares where there are too few.
    pub(crate) fn keep_spares(&mut self, sight: &Sight) {
        let wanted = usize::try_from(self.settings.spares_per_zone).unwrap_or(usize::MAX);
        let provisioned = sight.supplies.iter().filter(|it| it.source == Source::Provisioner);
        for supply in provisioned {
            let zone = &supply.zone;
            let mine = self.record.instances.values();
            let mine = mine.filter(|it| it.is_spare && !it.is_unwanted && it.zone == *zone).count();
            let pools = sight.supplies.iter();
            let pools = pools.filter(|it| it.source == Source::Spares && it.zone == *zone);
            let is_others = |name: &&String| !self.record.instances.contains_key(*name);
            let others = pools.flat_map(|it| it.names.iter()).filter(is_others).count();
            let surplus = self.surplus(supply, (mine + others).saturating_sub(wanted));
            surplus.iter().for_each(|name| self.unwant(name));
            let lacking = wanted.saturating_sub(mine + others);
            let left = usize::try_from(self.nodes_left(supply)).unwrap_or(usize::MAX);
            if !self.pauses.is_over(self.now, zone.name()) {
                continue;
            }
            for name in self.next_names(supply, lacking.min(left)) {
                let spare = Instance { is_spare: true, ..Instance::of(supply) };
                self.change().instances.insert(name.clone(), spare);
                self.births.insert(name, self.version());
            }
        }
    }
}
