//! What the executor wants, done and answered later, or not.

use memtide_executor::{Call, Effect};
use memtide_manager::Operation;
use memtide_topology::Change;

use super::{Due, HANGS, TICK, World};

impl World {
    /// Takes what the executor wants; it is done and answered later.
    pub(super) fn poll(&mut self) {
        while let Some(effect) = self.executor.poll() {
            if self.crash_at == Some(self.effects) {
                self.effects += 1;
                return self.crash();
            }
            self.effects += 1;
            let soon = self.now + TICK * u32::try_from(self.rng.below(3)).unwrap();
            match effect {
                Effect::Event(event) => self.log(|| event.to_string()),
                Effect::Store { version, record } => {
                    self.due.push((soon, self.incarnation, Due::Store(version, record)));
                }
                Effect::Call(id, call) => {
                    if !self.pods.is_empty() {
                        self.log(|| format!("{call:?}"));
                    }
                    self.check(&call);
                    let is_of_provisioner = !matches!(call, Call::Operate(_));
                    let (fails, hangs) = (self.faults.fails, self.faults.hangs);
                    let (at, result) = match () {
                        () if self.rng.percent(fails) => (soon, Err("no luck".to_owned())),
                        () if is_of_provisioner && self.rng.percent(hangs) => {
                            (self.now + HANGS, Err("it took too long".to_owned()))
                        }
                        () => (soon, Ok(())),
                    };
                    self.due.push((at, self.incarnation, Due::Call(id, call, result)));
                }
            }
        }
    }

    /// What is asked for has been on disk before.
    fn check(&self, call: &Call) {
        let has = |instance: &String| self.disk.instances.contains_key(instance);
        match call {
            Call::Start { instance, .. } | Call::Take { instance, .. } => {
                assert!(has(instance), "{call:?} is not on disk");
            }
            Call::End { instance } | Call::Release { instance } => {
                let is_node = self.processes.get(instance).is_some_and(|it| it.node.is_some());
                assert!(!is_node, "{instance} is a node and is to be ended: {:#?}", self.log);
            }
            Call::Operate(Operation::Forget(node)) => {
                let is_held = self.topology.slots().any(|(_, slot)| slot.is_held_by(*node));
                assert!(!is_held, "{node} holds slots and is to be forgotten: {:#?}", self.log);
            }
            Call::Operate(operation) => {
                let fits = |kept: &&memtide_executor::Kept| {
                    let name = kept.action.name();
                    match operation {
                        Operation::SetMemory { .. } => ["grow", "shrink"].contains(&name),
                        Operation::Drain(_) => name == "drain",
                        Operation::Undrain(_) => name == "stay",
                        _ => name == "move",
                    }
                };
                assert!(self.disk.steps.iter().any(|kept| fits(&kept)), "{call:?}");
            }
            Call::Resize { .. } => {}
        }
    }

    pub(super) fn answer(&mut self) {
        let now = self.now;
        let due: Vec<_> = self.due.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, incarnation, due) in due {
            let is_mine = incarnation == self.incarnation;
            match due {
                Due::Store(version, record) => {
                    let fails = self.rng.percent(self.faults.disk);
                    // A process that has ended writes nothing more, or had written it before.
                    if !fails && is_mine {
                        self.disk = (*record).clone();
                    }
                    if is_mine {
                        let result = if fails { Err("no room".to_owned()) } else { Ok(()) };
                        self.executor.stored(now, version, result);
                    }
                }
                Due::Call(id, call, mut result) => {
                    // What has failed may have been done for all that.
                    if result.is_ok() || self.rng.percent(30) {
                        result = self.carry_out(&call).and(result);
                    }
                    if is_mine {
                        self.executor.answered(now, id, result);
                    }
                }
            }
            self.poll();
        }
    }

    fn carry_out(&mut self, call: &Call) -> Result<(), String> {
        match call.clone() {
            Call::Start { instance, zone, .. } if self.pods.contains_key(&zone) => {
                let at: u32 = instance.rsplit_once('-').unwrap().1.parse().unwrap();
                self.pods.entry(zone).and_modify(|it| *it = (*it).max(at + 1));
                Ok(())
            }
            Call::Start { instance, zone, memory, is_spare, .. } => {
                self.start(&instance, (&zone, memory), is_spare);
                Ok(())
            }
            Call::Take { instance, memory } => {
                let (at, rng) = (self.now, &mut self.rng);
                let joins = at + TICK * u32::try_from(rng.below(4)).unwrap();
                let spare = self.processes.get_mut(&instance).filter(|it| it.node.is_none());
                let spare = spare.ok_or("no such spare waits")?;
                (spare.memory, spare.is_spare, spare.joins) = (memory, false, Some(joins));
                self.takes += 1;
                Ok(())
            }
            Call::Resize { .. } => Ok(()),
            Call::Release { instance } => {
                let released = self.processes.remove(&instance);
                assert_eq!(released.as_ref().and_then(|it| it.node), None, "{instance}");
                released.iter().for_each(|it| self.add_spare(it.zone.name()));
                Ok(())
            }
            Call::End { instance } if !self.pods.is_empty() => {
                self.end_pod(&instance);
                Ok(())
            }
            Call::End { instance } => {
                let node = self.processes.remove(&instance).and_then(|it| it.node);
                assert_eq!(node, None, "{instance} was ended as a node");
                Ok(())
            }
            Call::Operate(Operation::Forget(node)) => {
                self.dead.remove(&node).ok_or_else(|| format!("{node} is up"))?;
                let is_out = self.apply(vec![Change::RemoveNode { node }]);
                is_out.then_some(()).ok_or_else(|| "it does not fit".to_owned())
            }
            Call::Operate(operation) => {
                let changes = match operation {
                    Operation::SetMemory { node, memory_max } => {
                        vec![Change::SetMemory { node, memory_max }]
                    }
                    Operation::Drain(node) => vec![Change::SetDraining { node, is_draining: true }],
                    Operation::Undrain(node) => {
                        vec![Change::SetDraining { node, is_draining: false }]
                    }
                    other => return Err(format!("{other:?} is not for here")),
                };
                self.apply(changes).then_some(()).ok_or_else(|| "it does not fit".to_owned())
            }
        }
    }
}
