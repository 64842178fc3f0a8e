//! What a manager does, and does not, when it is started with nodes that it knows.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Fleet, GIB, MS, few};
use memtide_engine_core::replication::Report;
use memtide_manager::{
    Effect, Event, Loss, Manager, NodeState, Operation, Outcome, Registration, Settings,
};
use memtide_topology::{
    CacheId, Change, Epoch, HashSeed, NodeId, NodeInfo, Topology, Update, Zone,
};

/// What one of them has adopted may show that the stored topology is not the newest.
#[test]
fn nothing_is_stored_before_all_nodes_that_are_stored_are_heard_or_lost() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    fleet.processes.get_mut(&2).unwrap().is_silent = true;
    fleet.restart();
    let (commits, began) = (fleet.commits, fleet.now);
    fleet.operate(Operation::SetReplicas(2)).unwrap();
    fleet.start("b", GIB);
    assert_eq!(fleet.manager.outcome(&Operation::SetReplicas(2)), Outcome::Waits);
    while !fleet.events.iter().any(|event| matches!(event, Event::Lost(_, Loss::Silent))) {
        assert_eq!(fleet.commits, commits);
        fleet.pass(20 * MS);
    }
    assert!(fleet.now - began >= fleet.settings.silence_max);
    fleet.pass(100 * MS);
    assert!(fleet.commits > commits, "then it goes on");
    assert_eq!(fleet.manager.outcome(&Operation::SetReplicas(2)), Outcome::Stored);
}

#[test]
fn it_goes_on_as_soon_as_all_are_back() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    fleet.restart();
    let commits = fleet.commits;
    fleet.operate(Operation::SetReplicas(0)).unwrap();
    assert_eq!(fleet.commits, commits);
    [1, 2].into_iter().for_each(|port| fleet.connect(port));
    fleet.pass(20 * MS);
    assert!(fleet.commits > commits);
}

/// They all come back to a scaler that was started anew, and each handshake takes its time.
#[test]
fn hundreds_of_nodes_have_the_time_to_come_back() {
    const NODES: u64 = 500;
    let mut topology =
        Topology::new(CacheId::default(), HashSeed::new(1, 2), 0).unwrap().into_parts();
    topology.epoch = Epoch::new(NODES);
    let address = |id: u64| format!("host:{id}");
    let zone = Zone::new("a").unwrap();
    for id in 1..=NODES {
        let (address, zone) = (address(id), zone.clone());
        let info = NodeInfo { address, zone, memory_max: GIB, is_draining: false };
        topology.nodes.insert(NodeId::new(id), info);
    }
    let topology = Arc::new(Topology::from_parts(topology).unwrap());
    let start = Duration::from_secs(1_000);
    let mut manager = Manager::new(Settings::default(), topology, start);
    let mut now = start;
    for id in 1..=NODES {
        now += 4 * MS;
        let node = Some(NodeId::new(id));
        let (address, zone) = (address(id), zone.clone());
        let registration = Registration { node, zone, address, memory_max: GIB };
        manager.register(now, id, registration);
        // Who is back beats on.
        (1..=id).for_each(|id| manager.beat(now, NodeId::new(id), Epoch::new(NODES)));
        while let Some(effect) = manager.poll() {
            assert!(!matches!(effect, Effect::Event(Event::Lost(..))), "{now:?}: {effect:?}");
        }
    }
    assert!(now - start > 2 * Settings::default().silence_max, "it took long");
    // A node that is back has no more time than any other.
    for _ in 0..10 {
        now += 100 * MS;
        manager.tick(now);
    }
    let silent = manager.nodes().iter().filter(|it| it.state == NodeState::Silent).count();
    assert_eq!(silent, manager.nodes().len());
}

#[test]
fn a_new_cache_begins_no_sooner_than_it_is_told_to_wait() {
    let settings = Settings { founding_wait: Duration::from_secs(1), ..few(12) };
    let mut fleet = Fleet::new(settings, 0, 1);
    fleet.start("a", GIB);
    fleet.pass(900 * MS);
    assert!(fleet.config(0).primary.is_none());
    fleet.settle();
    assert!(fleet.config(0).primary.is_some());
}

#[test]
fn an_operation_that_another_has_taken_back_is_overtaken() {
    let mut fleet = Fleet::settled(few(12), 0, &["a", "b"]);
    fleet.store_delay_max = 200 * MS;
    fleet.operate(Operation::SetReplicas(1)).unwrap();
    fleet.operate(Operation::SetReplicas(2)).unwrap();
    fleet.operate(Operation::SetReplicas(3)).unwrap();
    assert_eq!(fleet.manager.outcome(&Operation::SetReplicas(2)), Outcome::Overtaken);
    assert_eq!(fleet.manager.outcome(&Operation::SetReplicas(3)), Outcome::Waits);
    fleet.settle();
    assert_eq!(fleet.manager.outcome(&Operation::SetReplicas(3)), Outcome::Stored);
}

/// A node says it of each of its slots, five times a second.
#[test]
fn what_is_said_of_many_slots_is_told_by_node_and_once() {
    let mut fleet = Fleet::settled(few(60), 0, &["a"]);
    let (node, slots) = (fleet.id(1), fleet.settings.slots.clone());
    for _ in 0..20 {
        for slot in &slots {
            let epoch = fleet.stored.slot(*slot).epoch;
            fleet.manager.report(fleet.now, node, Report::Incomplete(*slot, epoch));
            fleet.carry_out();
        }
        fleet.pass(200 * MS);
    }
    let told = fleet.events.iter().filter_map(|event| match event {
        Event::Incomplete { node: of, slots } if *of == node => Some(*slots),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [1, 59]);
}

#[test]
fn the_end_of_a_migration_says_what_it_took() {
    let mut fleet = Fleet::settled(few(60), 0, &["a"]);
    fleet.start("b", GIB);
    fleet.settle();
    let ends = fleet.events.iter().filter_map(|event| match event {
        Event::MigrationEnded(moved) => Some((moved.handed_over, moved.copied)),
        _ => None,
    });
    let moved = ends.fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
    let id = fleet.id(2);
    let has = (0..60).filter(|number| fleet.config(*number).primary == Some(id)).count();
    assert!(has > 20 && moved == (has, has), "{moved:?} for {has} slots");
}

#[test]
fn an_update_by_somebody_else_answers_who_waited_for_the_same() {
    let mut fleet = Fleet::settled(few(12), 0, &["a"]);
    let update =
        Update { parent: fleet.stored.epoch(), changes: vec![Change::SetReplicas { replicas: 2 }] };
    fleet.stored = Arc::new(fleet.stored.apply(&update).unwrap());
    fleet.manager.observe(fleet.now, Arc::clone(&fleet.stored));
    assert_eq!(fleet.manager.outcome(&Operation::SetReplicas(2)), Outcome::Stored);
}
