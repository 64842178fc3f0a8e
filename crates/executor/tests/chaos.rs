//! Plans are carried out through faults and crashes, and nothing is left over.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod common;

use std::time::Duration;

use memtide_testkit::seed_from_environment;

use self::common::{Faults, GIB, MIB, Process, World};

/// From one node's worth to several, and back.
const RAMP: [(u64, u64); 2] = [(10, 20 * MIB), (40, 2 * GIB)];
const BACK: [(u64, u64); 1] = [(160, 20 * MIB)];

fn ramp(world: &mut World) {
    // It begins with what there is.
    let [(before, _), full] = RAMP;
    world.follow(&[(before, world.data), full]);
}

fn back(world: &mut World) {
    world.follow(&BACK);
}

#[test]
fn a_fleet_follows_its_load_both_ways() {
    let mut world = World::new(2, 1, 2, 1);
    ramp(&mut world);
    let (nodes, memory) = (world.nodes(), world.memory());
    assert!(nodes >= 5 && memory >= 5 * GIB, "{nodes} nodes, {memory}: {:#?}", world.log);
    back(&mut world);
    assert_eq!((world.nodes(), world.leftovers()), (2, Vec::new()), "{:#?}", world.log);
    assert!(world.memory() <= 256 * MIB, "{}: {:#?}", world.memory(), world.log);
    // As many as there may be at a time.
    assert!(world.starts <= 12, "{} starts: {:#?}", world.starts, world.log);
}

/// Before each of all effects in turn, the executor crashes.
#[test]
fn a_crash_at_every_step_changes_nothing_in_the_end() {
    let mut world = World::new(2, 1, 2, 2);
    world.crash_on_the_way(&RAMP, 1, |at, world| {
        assert_eq!(world.leftovers(), Vec::<String>::new(), "at {at}: {:#?}", world.log);
        assert!(world.memory() > 5 * GIB, "at {at}: {:#?}", world.log);
        assert!(world.starts <= 12, "at {at}: {:#?}", world.log);
    });
    world.crash_on_the_way(&BACK, 1, |at, world| {
        let state = (world.nodes(), world.leftovers());
        assert_eq!(state, (2, Vec::new()), "at {at}: {:#?}", world.log);
    });
    assert_eq!((world.nodes(), world.leftovers()), (2, Vec::new()), "{:#?}", world.log);
}

/// Those that the provisioner has started as spares, and those of others.
#[test]
fn spares_are_used_again_and_again() {
    let mut world = World::new(1, 0, 1, 3);
    world.settings.spares_per_zone = 1;
    world.crash();
    world.add_spare("z0");
    for round in 0..4 {
        ramp(&mut world);
        assert!(world.memory() >= 2 * GIB, "{round}: {:#?}", world.log);
        // Both, the one that the provisioner has started and the other one.
        assert!(world.takes >= 2 * (round + 1), "{round}: {:#?}", world.log);
        back(&mut world);
        assert_eq!((world.nodes(), world.leftovers()), (1, Vec::new()), "{:#?}", world.log);
        let waiting = world.processes.values().filter(|it| it.is_spare).count();
        assert_eq!(waiting, 1, "{round}: {:#?}", world.processes);
    }
}

/// Nobody but the executor takes it out, also one that has not heard it since it began.
#[test]
fn a_node_that_stays_down_is_replaced_and_given_back() {
    for is_crashed in [false, true] {
        let mut world = World::new(2, 1, 2, 4);
        world.settings.policy.nodes_max = 6;
        world.crash();
        ramp(&mut world);
        assert_eq!((world.nodes(), world.dead.len()), (6, 0), "{:#?}", world.log);
        world.faults.unseen = 100;
        world.kill();
        assert_eq!((world.nodes(), world.dead.len()), (6, 1), "{:#?}", world.log);
        if is_crashed {
            world.crash();
        }
        world.run(140);
        assert_eq!((world.nodes(), world.leftovers()), (6, Vec::new()), "{:#?}", world.log);
        world.kill();
        back(&mut world);
        assert_eq!((world.nodes(), world.leftovers()), (2, Vec::new()), "{:#?}", world.log);
    }
}

/// A killed process is started anew under its name, by whoever did it, and the scaler forgets what it had heard: the
/// node that it was holds up nothing, and leaves the topology.
#[test]
fn a_node_whose_process_came_back_as_another_leaves_the_topology() {
    let mut world = World::new(2, 1, 2, 4);
    world.crash();
    ramp(&mut world);
    world.faults.unseen = 100;
    world.kill();
    let name = world.dead.values().next().unwrap().clone();
    let process = Process {
        zone: world.executor.record().instances[&name].zone.clone(),
        memory: GIB,
        joins: Some(world.now + Duration::from_secs(1)),
        node: None,
        is_spare: false,
        began_as_spare: false,
    };
    world.processes.insert(name.clone(), process);
    world.run(3);
    assert!(world.processes[&name].node.is_some() && world.dead.len() == 1, "{:#?}", world.log);
    world.crash();
    world.run(70);
    assert!(world.dead.is_empty(), "{:#?}", world.log);
    back(&mut world);
    assert_eq!((world.nodes(), world.leftovers()), (2, Vec::new()), "{:#?}", world.log);
    assert!(world.executor.record().former.is_empty());
}

/// Those that the provisioner has started are there at once when they are needed.
#[test]
fn spares_that_were_started_are_taken() {
    let mut world = World::new(2, 0, 2, 4);
    world.settings.spares_per_zone = 2;
    world.crash();
    world.run(10);
    let waiting = world.processes.values().filter(|it| it.is_spare).count();
    assert_eq!((world.nodes(), waiting), (2, 4), "{:#?}", world.processes);
    let before: Vec<String> = world.processes.keys().cloned().collect();
    world.data = 3 * GIB;
    world.run(8);
    let taken = world.processes.iter().filter(|(name, it)| {
        it.node.is_some() && before.contains(name) && !name.starts_with("first")
    });
    assert!(taken.count() >= 2, "{:#?} {:#?}", world.processes, world.log);
    let mut others = world.processes.iter().filter(|(name, _)| !before.contains(name));
    assert!(others.all(|(_, it)| it.began_as_spare), "{:#?} {:#?}", world.processes, world.log);
    world.run(20);
    assert_eq!(world.leftovers(), Vec::<String>::new(), "{:#?}", world.log);
    let waiting = world.processes.values().filter(|it| it.is_spare).count();
    assert_eq!(waiting, 4, "others wait in their place: {:#?}", world.processes);
}

/// The provisioner carries an order out long after it was given up, and what it may have led to ended.
#[test]
fn what_comes_after_it_was_ended_is_ended_once_more() {
    let mut world = World::new(2, 1, 2, 4);
    world.crash();
    ramp(&mut world);
    let late: Vec<_> = world.processes.iter().filter(|(name, _)| name.starts_with('m')).collect();
    let (name, process) = late.first().map(|(name, it)| ((*name).clone(), (*it).clone())).unwrap();
    back(&mut world);
    assert!(!world.processes.contains_key(&name), "{:#?}", world.processes);
    for is_crashed in [false, true] {
        let joins = Some(world.now + Duration::from_secs(1));
        let process = Process { node: None, joins, is_spare: false, ..process.clone() };
        world.processes.insert(name.clone(), process);
        if is_crashed {
            world.crash();
        }
        world.run(20);
        assert!(!world.processes.contains_key(&name), "{:#?}", world.log);
        assert_eq!((world.nodes(), world.leftovers()), (2, Vec::new()), "{:#?}", world.log);
    }
}

#[test]
fn random_faults_leave_nothing_over() {
    let first = seed_from_environment();
    for seed in (0..5).map(|at| first.wrapping_add(at)) {
        println!("MEMTIDE_TEST_SEED={seed}");
        let mut world = World::new(2, 1, 2, seed);
        world.faults = Faults {
            fails: 15,
            hangs: 10,
            late: 15,
            disk: 10,
            crashes: 3,
            deaths: 1,
            unseen: 50,
            silences: 30,
        };
        world.settings.spares_per_zone = u32::try_from(seed % 3).unwrap();
        world.crash();
        if seed % 2 == 0 {
            (0..3).for_each(|_| world.add_spare("z1"));
        }
        for _ in 0..3 {
            ramp(&mut world);
            world.data = 100 * MIB;
            world.run(100);
        }
        world.faults = Faults::default();
        world.data = 2 * GIB;
        world.run(200);
        let record = world.executor.record();
        let left = world.leftovers();
        assert_eq!(left, Vec::<String>::new(), "seed {seed}: {:#?} {record:#?}", world.log);
        assert!(world.memory() >= 4 * GIB, "seed {seed}: {:#?}", world.log);
        assert!(record.instances.len() <= 12 + 4, "seed {seed}: {record:#?}");
    }
}
