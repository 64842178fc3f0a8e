//! Nodes that are pods of a `StatefulSet` in each zone.

use core::time::Duration;

use memtide_executor::{Call, Executor, Supplied};
use memtide_topology::Zone;

use super::sight::none;
use super::{Due, MIB, World};

impl World {
    pub(super) fn pods_supply(&self, zone: &Zone, replicas: u32) -> Supplied {
        let pod = |at: u32| format!("{zone}-{at}");
        Supplied {
            nodes: 6,
            ready_in: Duration::from_secs(3),
            names: (0..6).map(pod).collect(),
            there: (0..replicas).rev().map(pod).collect(),
            ..none(zone)
        }
    }

    /// A fleet whose nodes are pods, of which there is one in each zone to begin with.
    pub fn of_pods(zones: usize, replicas: u8, nodes_min: usize, seed: u64) -> Self {
        let mut world = Self::new(zones, replicas, 0, seed);
        world.settings.policy.nodes_min = nodes_min;
        world.pods = world.zones.iter().map(|zone| (zone.clone(), 1)).collect();
        world.executor = Executor::new(world.settings.clone(), world.disk.clone());
        world
    }

    /// As a `StatefulSet` does: who is to be there comes, all at once, and who is not goes, at once.
    pub(super) fn reconcile(&mut self) {
        for (zone, replicas) in self.pods.clone() {
            for name in (0..replicas).map(|at| format!("{zone}-{at}")) {
                if self.processes.contains_key(&name) {
                    continue;
                }
                let late = if self.rng.percent(self.faults.late) { 90 } else { 2 };
                let due = self.now + Duration::from_secs(late);
                if *self.pods_due.entry(name.clone()).or_insert(due) <= self.now {
                    self.pods_due.remove(&name);
                    self.start(&name, (&zone, 64 * MIB), true);
                }
            }
        }
        let pods = &self.pods;
        let is_wanted = |name: &str| {
            let (zone, at) = name.rsplit_once('-').unwrap();
            at.parse::<u32>().unwrap() < pods[&super::zone(zone)]
        };
        self.pods_due.retain(|name, _| is_wanted(name));
    }

    /// As the provisioner of pods does it.
    pub(super) fn end_pod(&mut self, name: &str) {
        let (zone, at) = name.rsplit_once('-').unwrap();
        let at: u32 = at.parse().unwrap();
        let is_ending = |above: u32| {
            let above = format!("{zone}-{above}");
            let ends = |call: &Call| matches!(call, Call::End { instance } if *instance == above);
            self.due.iter().any(|(.., due)| matches!(due, Due::Call(_, call, _) if ends(call)))
        };
        let zone = super::zone(zone);
        let replicas = self.pods[&zone];
        // Those above it go with it where they are being ended, too.
        if replicas <= at || !(at + 1..replicas).all(is_ending) {
            return;
        }
        self.pods.insert(zone.clone(), at);
        for name in (at..replicas).map(|at| format!("{zone}-{at}")) {
            let node = self.processes.remove(&name).and_then(|it| it.node);
            assert_eq!(node, None, "{name} was ended as a node");
        }
    }
}
