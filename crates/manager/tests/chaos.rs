//! Everything happens to a fleet, in any order: no step breaks a rule, and when it is calm again,
//! all is as it should be.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::rules::check_calm;
use common::*;
use memtide_engine_core::replication::{CopyName, Report};
use memtide_manager::{Operation, Settings};
use memtide_topology::{NodeId, SlotId};
use proptest::prelude::*;
use std::time::Duration;

const ZONES: [&str; 3] = ["a", "b", "c"];

/// Something happens.
fn shake(fleet: &mut Fleet) {
    let Some(&port) = ports(fleet).front() else { return start(fleet) };
    match fleet.random.below(16) {
        0..3 if fleet.processes.len() < 8 => start(fleet),
        3 => fleet.kill(port),
        4 => _ = fleet.end(port),
        5 | 6 => fleet.disconnect(port),
        7 | 8 => {
            let process = fleet.processes.get_mut(&port).unwrap();
            process.is_silent = !process.is_silent;
        }
        9 | 10 => operate(fleet, port),
        11 | 12 => move_slots(fleet, port),
        13 => fleet.restart(),
        14 => {
            // The manager itself stands still.
            fleet.now += Duration::from_millis(u64::try_from(fleet.random.below(3_000)).unwrap());
        }
        _ => say_unreachable(fleet),
    }
}

/// A primary that is up says that it cannot reach a copy.
fn say_unreachable(fleet: &mut Fleet) {
    let at = fleet.random.below(fleet.settings.slots.len());
    let slot = fleet.settings.slots[at];
    let config = std::sync::Arc::clone(fleet.stored.slot(slot));
    let Some(primary) = config.primary.filter(|node| fleet.is_up(*node)) else { return };
    for copy in &config.copies {
        let name = CopyName { epoch: config.epoch, node: copy.node, since: copy.since };
        fleet.manager.report(fleet.now, primary, Report::Unreachable(slot, name));
        fleet.carry_out();
    }
}

fn start(fleet: &mut Fleet) {
    let zone = ZONES[fleet.random.below(3)];
    let memory = GIB << fleet.random.below(3);
    fleet.start(zone, memory);
}

fn operate(fleet: &mut Fleet, port: usize) {
    let node = fleet.processes[&port].id.unwrap_or(NodeId::new(7));
    let replicas = u8::try_from(fleet.random.below(3)).unwrap();
    let operation = match fleet.random.below(4) {
        0 => Operation::Drain(node),
        1 => Operation::Undrain(node),
        2 => Operation::SetReplicas(replicas),
        _ => {
            fleet.manager.leaving(fleet.now, node);
            return fleet.carry_out();
        }
    };
    _ = fleet.operate(operation);
}

fn move_slots(fleet: &mut Fleet, port: usize) {
    let to = fleet.processes[&port].id.unwrap_or(NodeId::new(7));
    let from = fleet.random.below(fleet.settings.slots.len());
    let slots: Vec<SlotId> = fleet.settings.slots[from..].iter().take(6).copied().collect();
    _ = fleet.operate(Operation::MoveSlots { slots, to });
}

/// No more faults; who is silent speaks, and of who has ended it is known.
fn calm(fleet: &mut Fleet) {
    (fleet.store_fails_one_in, fleet.catches_up_one_in) = (None, 1);
    fleet.processes.values_mut().for_each(|process| process.is_silent = false);
    while fleet.processes.values().filter(|process| process.refused.is_none()).count() < 3 {
        start(fleet);
    }
    fleet.pass(Duration::from_secs(2));
    for view in fleet.manager.nodes() {
        if !fleet.is_up(view.node) {
            fleet.manager.dead(fleet.now, view.node);
            fleet.carry_out();
        }
    }
    if fleet.stored.nodes().values().all(|info| info.is_draining) {
        start(fleet);
    }
    // Probations end, and what drains leaves.
    fleet.pass(Duration::from_secs(70));
    fleet.settle();
}

/// A run of a seed.
fn live(seed: u64) {
    let mut random = Random(seed);
    let slots = u16::try_from(1 + random.below(48)).unwrap();
    let nodes_min = 1 + random.below(4);
    let settings = Settings { nodes_min, ..few(slots) };
    let mut fleet = Fleet::new(settings, u8::try_from(random.below(3)).unwrap(), seed);
    fleet.store_delay_max = MS * [0, 5, 300][random.below(3)];
    fleet.store_fails_one_in = [None, Some(5), Some(2)][random.below(3)];
    fleet.catches_up_one_in = [1, 4, 30][random.below(3)];
    for _ in 0..3 {
        for _ in 0..random.below(60) {
            shake(&mut fleet);
            let pause = [1, 30, 400, 1_500][random.below(4)];
            fleet.pass(MS * u32::try_from(1 + random.below(pause)).unwrap());
        }
        let failing = fleet.store_fails_one_in;
        calm(&mut fleet);
        check_calm(&fleet);
        let (commits, events) = (fleet.commits, fleet.events.len());
        fleet.pass(Duration::from_secs(5));
        let news = &fleet.events[events..];
        assert_eq!(fleet.commits, commits, "it does not come to rest: {news:?}");
        fleet.store_fails_one_in = failing;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn no_rule_is_broken_and_all_is_restored(seed: u64) {
        live(seed);
    }
}

/// The run that `MEMTIDE_TEST_SEED` names.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test is started by a developer")]
fn the_named_seed_is_clean() {
    if let Ok(seed) = std::env::var("MEMTIDE_TEST_SEED") {
        live(seed.parse().unwrap());
    }
}
