//! A scaler with its executor, pods as its nodes, and a cluster in which things go wrong.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod cluster;
#[path = "../../../scaler/tests/common/mod.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster::{Cluster, Faults};
use common::{Fleet, Node, Rig};
use memtide_limits::{Limits, Range};
use memtide_planner::Policy;
use memtide_scaler::Scaling;
use memtide_testkit::{PATIENCE, wait_until};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

const GIB: u64 = 1 << 30;
const SETS: [(&str, &str); 2] = [("a", "node-a"), ("b", "node-b")];

/// What the provisioner's requests run on, as they do in a scaler's process.
struct Background {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    fn start() -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join);
    }
}

/// A cluster with a zone a and a zone b, and what runs in its pods.
struct World {
    fleet: Fleet,
    cluster: Cluster,
    background: Background,
    owner: watch::Sender<Limits>,
    limits: watch::Receiver<Limits>,
    processes: BTreeMap<String, Node>,
    /// Those that were told to end while they were nodes.
    leaving: BTreeSet<String>,
    evicted: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let (owner, limits) = watch::channel(Limits::default());
        Self {
            fleet: Fleet::new(),
            cluster: Cluster::start(&[("node-a", 1), ("node-b", 1)]),
            background: Background::start(),
            owner,
            limits,
            processes: BTreeMap::new(),
            leaving: BTreeSet::new(),
            evicted: BTreeSet::new(),
        }
    }

    fn scaler(&self) -> Rig {
        let policy = Policy {
            confirm: Duration::ZERO,
            in_after: Duration::from_secs(2),
            in_after_max: Duration::from_secs(4),
            cool_down: Duration::from_secs(1),
            nodes_min: 2,
            nodes_max: 8,
            ..Policy::default()
        };
        let provisioner = Arc::new(self.cluster.provisioner(&self.background.handle, &SETS));
        self.fleet.start_with(|config| {
            config.scaling =
                Some(Scaling { policy, provisioner: Some(provisioner), spares_per_zone: 0 });
            config.limits = self.limits.clone();
            config.replicas = Some(0);
            config.settings.nodes_min = 2;
        })
    }

    /// What the cache is promised.
    fn promise(&self, bytes: u64) {
        let data_storage = Range { min: bytes, max: 0 };
        self.owner.send_replace(Limits { data_storage, ..Limits::default() });
    }

    /// Processes begin and end as their pods do.
    fn step(&mut self, rig: &Rig) {
        let pods = self.cluster.state().pods.clone();
        for (pod, is_ending) in pods {
            let zone = pod.split('-').nth(1).unwrap();
            let is_over = self.processes.get(&pod).is_none_or(Node::is_over);
            if is_over || is_ending && !self.drains(rig, &pod) {
                self.processes.remove(&pod);
                self.leaving.remove(&pod);
                if is_ending {
                    self.evicted.remove(&pod);
                    self.cluster.state().pod_ended(&pod);
                } else {
                    let node = Node::instance(&self.fleet, zone, (&pod, true));
                    self.processes.insert(pod, node);
                }
            }
        }
    }

    /// Whether a pod that is told to end is a node, which gives up its slots first. Only somebody else may do that
    /// to one.
    fn drains(&mut self, rig: &Rig, pod: &str) -> bool {
        let Some(node) = self.processes.get_mut(pod) else { return false };
        let topology = rig.topology();
        if !node.last_id().is_some_and(|id| topology.nodes().contains_key(&id)) {
            return false;
        }
        if self.leaving.insert(pod.to_owned()) {
            assert!(self.evicted.contains(pod), "{pod} is scaled away while it is a node");
            node.leave();
        }
        true
    }

    /// Until it is so.
    fn until(&mut self, rig: &Rig, what: &str, mut is_so: impl FnMut(&Self, &Rig) -> bool) {
        let end = Instant::now() + PATIENCE * 3;
        wait_until(what, PATIENCE * 4, || {
            self.step(rig);
            // What it thinks says more than that it took too long.
            assert!(Instant::now() < end, "not in time: {what}: {}", self.told(rig));
            is_so(self, rig).then_some(())
        });
    }

    fn told(&self, rig: &Rig) -> String {
        let (nodes, sets) = (self.nodes(rig), self.cluster.state().replicas());
        format!("{nodes:?} {sets:?} {:#}", rig.json("/v1/scaling"))
    }

    fn until_there_is(&mut self, rig: &Rig, bytes: u64) {
        self.until(rig, &format!("{bytes} bytes"), |_, rig| memory(rig) >= bytes / 100 * 99);
    }

    fn until_small(&mut self, rig: &Rig) {
        self.until(rig, "one pod and one node in each zone", |world, rig| {
            let nodes = rig.topology().nodes().len();
            (nodes, world.cluster.state().replicas()) == (2, vec![1, 1])
        });
    }

    /// Who is a node, by the names of pods.
    fn nodes(&self, rig: &Rig) -> Vec<String> {
        let topology = rig.topology();
        let is_node =
            |node: &Node| node.last_id().is_some_and(|id| topology.nodes().contains_key(&id));
        self.processes.iter().filter(|(_, it)| is_node(it)).map(|(pod, _)| pod.clone()).collect()
    }
}

fn memory(rig: &Rig) -> u64 {
    rig.topology().nodes().values().map(|info| info.memory_max).sum()
}

#[test]
fn pods_come_as_they_are_needed_and_go_from_the_last_on() {
    let mut world = World::new();
    let rig = world.scaler();
    world.until(&rig, "the pods that there are to be nodes", |world, rig| {
        world.nodes(rig) == ["node-a-0", "node-b-0"]
    });
    assert_eq!(world.cluster.state().scales, []);
    world.promise(10 * GIB);
    world.until_there_is(&rig, 10 * GIB);
    world.until(&rig, "a third node", |world, rig| world.nodes(rig).len() >= 3);
    world.promise(0);
    world.until_small(&rig);
    assert_eq!(world.nodes(&rig), ["node-a-0", "node-b-0"]);
}

#[test]
fn faults_of_the_cluster_and_a_killed_scaler_leave_nothing_over() {
    let mut world = World::new();
    let rig = world.scaler();
    world.until(&rig, "two nodes", |world, rig| world.nodes(rig).len() == 2);
    let faults = Faults { errors: 6, conflicts: 3, lost_answers: 2, hangs: 2, ..Faults::default() };
    world.cluster.faults(faults);
    world.cluster.rotate_token();
    world.promise(10 * GIB);
    world.until(&rig, "an order", |world, _| !world.cluster.state().scales.is_empty());
    drop(rig);
    let rig = world.scaler();
    world.cluster.faults(Faults { cuts: 1, silences: 1, lost_answers: 1, ..Faults::default() });
    world.until_there_is(&rig, 10 * GIB);
    let most: u32 = world.cluster.state().replicas().iter().sum();
    world.promise(0);
    world.cluster.faults(faults);
    world.cluster.state().forget();
    world.until(&rig, "a pod to be given back", |world, _| {
        world.cluster.state().replicas().iter().sum::<u32>() < most
    });
    drop(rig);
    let rig = world.scaler();
    world.until_small(&rig);
}

#[test]
fn a_pod_that_is_evicted_drains_and_its_successor_is_used_again() {
    let mut world = World::new();
    let rig = world.scaler();
    world.promise(10 * GIB);
    world.until_there_is(&rig, 10 * GIB);
    let before = world.processes["node-a-0"].last_id();
    world.evicted.insert("node-a-0".to_owned());
    world.cluster.state().evict("node-a-0");
    world.until(&rig, "its process to have ended", |world, _| world.evicted.is_empty());
    world.until_there_is(&rig, 10 * GIB);
    world.until(&rig, "another node to be there in its place", |world, rig| {
        let nodes = world.nodes(rig);
        let is_new = world.processes["node-a-0"].last_id() != before;
        nodes.len() >= 3 && (is_new || !nodes.contains(&"node-a-0".to_owned()))
    });
    assert!(!rig.has_event("slots_lost"));
}
