//! Nodes that are pods of a `StatefulSet` in each zone: they have its names, and go from the last on.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod common;

use memtide_executor::Record;
use memtide_testkit::seed_from_environment;
use memtide_topology::Change;

use self::common::{Faults, GIB, MIB, World, zone};

const RAMP: [(u64, u64); 2] = [(20, 0), (60, 2 * GIB)];
const BACK: [(u64, u64); 1] = [(300, 20 * MIB)];

fn ramp(world: &mut World) {
    world.follow(&RAMP);
}

fn back(world: &mut World) {
    world.follow(&BACK);
}

/// How many pods each zone has.
fn pods(world: &World) -> Vec<u32> {
    world.pods.values().copied().collect()
}

/// Nothing is left over, and as many pods as nodes.
fn assert_small(world: &World, what: &str) {
    let state = (world.nodes(), pods(world), world.leftovers());
    assert_eq!(state, (2, vec![1, 1], Vec::new()), "{what}: {:#?}", world.log);
}

/// The same, but that the node of a zone may be another than the first: pods before it wait.
fn assert_tight(world: &World, what: &str) {
    assert_eq!((world.nodes(), world.leftovers()), (2, Vec::new()), "{what}: {:#?}", world.log);
    for (zone, replicas) in world.pods.iter().filter(|(_, replicas)| **replicas > 0) {
        let last = &world.processes[&format!("{zone}-{}", replicas - 1)];
        assert!(last.node.is_some(), "{what}, {zone}: {replicas}: {:#?}", world.log);
    }
}

#[test]
fn pods_follow_the_load_both_ways() {
    let mut world = World::of_pods(2, 1, 2, 1);
    world.run(20);
    // Those that there are become nodes, and no others beside them.
    assert_small(&world, "founded");
    ramp(&mut world);
    // Pods that were drained again wait for a minute.
    world.run(100);
    let (nodes, memory) = (world.nodes(), world.memory());
    assert!(nodes >= 5 && memory >= 5 * GIB, "{nodes} nodes, {memory}: {:#?}", world.log);
    let pods = pods(&world).iter().sum::<u32>();
    assert_eq!(usize::try_from(pods).unwrap(), nodes, "{:#?}", world.log);
    back(&mut world);
    assert_small(&world, "back");
}

#[test]
fn a_crash_at_any_step_changes_nothing_in_the_end() {
    let mut world = World::of_pods(2, 1, 2, 2);
    world.crash_on_the_way(&RAMP, 1, |at, world| {
        let state = (world.leftovers(), world.memory() > 5 * GIB);
        assert_eq!(state, (Vec::new(), true), "at {at}: {:#?}", world.log);
    });
    // Of the way back, which takes long, a part.
    world.crash_on_the_way(&BACK, 20, |at, world| assert_small(world, &format!("crash at {at}")));
    assert_small(&world, "no crash");
}

#[test]
fn pods_are_the_scalers_own_even_where_its_record_is_lost() {
    let mut world = World::of_pods(2, 1, 2, 3);
    ramp(&mut world);
    world.disk = Record::new(7);
    world.crash();
    // And somebody has scaled one of the sets by hand.
    world.pods.entry(zone("z1")).and_modify(|it| *it += 2);
    back(&mut world);
    assert_small(&world, "adopted");
}

/// Its process has drained the node before it ended, and another one comes in its place.
#[test]
fn a_pod_that_is_evicted_is_a_node_again_or_is_given_back() {
    for victim in ["z0-0", "z0-1"] {
        let mut world = World::of_pods(2, 1, 2, 4);
        ramp(&mut world);
        let node = world.processes[victim].node.unwrap();
        assert!(world.apply(vec![Change::SetDraining { node, is_draining: true }]));
        // It ends once it is drained.
        world.processes.get_mut(victim).unwrap().began_as_spare = false;
        world.run(2);
        assert!(!world.topology.nodes().contains_key(&node), "{:#?}", world.log);
        world.run(120);
        let state = (world.leftovers(), world.memory() > 4 * GIB);
        assert_eq!(state, (Vec::new(), true), "{victim}: {:#?}", world.log);
        back(&mut world);
        assert_tight(&world, victim);
    }
}

#[test]
fn random_faults_leave_nothing_over() {
    let first = seed_from_environment();
    for seed in (0..4).map(|at| first.wrapping_add(at)) {
        println!("MEMTIDE_TEST_SEED={seed}");
        let mut world = World::of_pods(2, 1, 2, seed);
        world.faults = Faults {
            fails: 15,
            hangs: 10,
            late: 15,
            disk: 10,
            crashes: 3,
            deaths: 1,
            silences: 30,
            unseen: 0,
        };
        world.settings.spares_per_zone = u32::try_from(seed % 3).unwrap();
        world.crash();
        for _ in 0..3 {
            ramp(&mut world);
            world.data = 100 * MIB;
            world.run(100);
        }
        world.faults = Faults::default();
        world.data = 2 * GIB;
        world.run(300);
        let record = world.executor.record();
        let left = world.leftovers();
        assert_eq!(left, Vec::<String>::new(), "seed {seed}: {:#?} {record:#?}", world.log);
        assert!(world.memory() >= 4 * GIB, "seed {seed}: {:#?}", world.log);
        world.settings.spares_per_zone = 0;
        world.crash();
        back(&mut world);
        assert_tight(&world, &format!("seed {seed}"));
    }
}
