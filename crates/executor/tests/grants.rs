//! Memory that is granted while it is being taken away.

#![allow(clippy::unwrap_used, reason = "it is test code")]

mod common;

use self::common::{GIB, MIB, World};
use memtide_executor::Record;
use memtide_topology::Change;

fn names(record: &Record) -> Vec<&'static str> {
    record.steps.iter().map(|kept| kept.action.name()).collect()
}

/// A node that holds little, at the moment in which it is decided that it gives memory back.
fn shrinking(seed: u64) -> World {
    let mut world = World::new(1, 0, 1, seed);
    world.data = 60 * MIB;
    world.run(3);
    let node = *world.topology.nodes().keys().next().unwrap();
    assert!(world.apply(vec![Change::SetMemory { node, memory_max: GIB }]));
    for _ in 0..400 {
        world.tick();
        if names(world.executor.record()) == ["shrink"] {
            return world;
        }
    }
    panic!("it keeps its memory: {:#?}", world.log);
}

/// It fills, which is seen at once.
fn fill(world: &mut World) {
    world.growth = 300 * MIB;
    world.look();
}

#[test]
fn a_node_that_fills_is_not_shrunk_where_that_has_not_begun() {
    for seed in 0..8 {
        let mut world = shrinking(seed);
        fill(&mut world);
        for _ in 0..12 {
            world.tick();
            assert_eq!(world.memory(), GIB, "seed {seed}: {:#?}", world.log);
        }
    }
}

#[test]
fn a_node_that_fills_grows_after_it_has_shrunk() {
    for seed in 0..8 {
        let mut world = shrinking(seed);
        // Once it is on disk, it begins.
        while world.disk.steps.is_empty() {
            world.tick();
        }
        assert_eq!(world.memory(), GIB, "seed {seed}: it is asked for, and not done");
        fill(&mut world);
        let under_way = names(world.executor.record());
        assert_eq!(under_way, ["shrink", "grow"], "seed {seed}: {:#?}", world.log);
        world.run(10);
        assert!(world.memory() >= 150 * MIB, "seed {seed}: {:#?}", world.log);
        assert!(world.executor.record().steps.is_empty(), "seed {seed}: {:#?}", world.log);
    }
}
