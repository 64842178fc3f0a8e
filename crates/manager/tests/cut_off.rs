//! What becomes of slots whose primary cannot reach a copy.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::*;
use memtide_engine_core::replication::{CopyName, Report};
use memtide_manager::{Event, Operation, Settings};
use memtide_topology::{NodeId, Pace, SlotConfig, SlotId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a slot's primary says of its first copy.
fn report(fleet: &Fleet, slot: SlotId) -> (NodeId, Report) {
    let config = fleet.stored.slot(slot);
    let copy = config.copies[0];
    let name = CopyName { epoch: config.epoch, node: copy.node, since: copy.since };
    (config.primary.unwrap(), Report::Unreachable(slot, name))
}

fn say(fleet: &mut Fleet, (node, report): (NodeId, Report)) {
    fleet.manager.report(fleet.now, node, report);
    fleet.carry_out();
}

fn settled() -> Fleet {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    // Nobody catches up by himself.
    fleet.catches_up_one_in = usize::MAX;
    fleet
}

#[test]
fn both_may_say_it_of_each_other_and_each_keeps_its_slots() {
    let mut fleet = settled();
    let slots = fleet.settings.slots.clone();
    let primaries: Vec<_> = slots.iter().map(|slot| fleet.stored.slot(*slot).primary).collect();
    let reports: Vec<_> = slots.iter().map(|slot| report(&fleet, *slot)).collect();
    reports.iter().for_each(|said| say(&mut fleet, *said));
    fleet.pass(200 * MS);
    let configs: Vec<SlotConfig> =
        slots.iter().map(|slot| SlotConfig::clone(fleet.stored.slot(*slot))).collect();
    for (config, primary) in configs.iter().zip(&primaries) {
        assert_eq!(config.primary, *primary);
        assert_eq!((config.in_sync().count(), config.learners().count()), (0, 1));
    }
    fleet.pass(fleet.settings.gather_events);
    assert_eq!(told(&fleet).values().sum::<usize>(), slots.len(), "{:?}", fleet.events);
    let pairs = primaries.iter().collect::<BTreeSet<_>>().len();
    assert_eq!(told(&fleet).len(), pairs, "{:?}", fleet.events);
    // What is said again of what it was is out of date.
    let commits = fleet.commits;
    reports.iter().for_each(|said| say(&mut fleet, *said));
    fleet.pass(Duration::from_secs(5));
    assert_eq!(fleet.commits, commits, "there is nothing else to do");
    fleet.catches_up_one_in = 1;
    fleet.settle();
    rules::check_calm(&fleet);
}

/// How many slots were said to go on without a copy, by the primary and that.
fn told(fleet: &Fleet) -> BTreeMap<(NodeId, NodeId), usize> {
    let mut told = BTreeMap::new();
    for event in &fleet.events {
        if let Event::CutOff { primary, copy, slots } = event {
            *told.entry((*primary, *copy)).or_default() += slots;
        }
    }
    told
}

#[test]
fn it_is_told_once_and_when_it_is_stored_however_often_that_is_tried() {
    let mut fleet = settled();
    let slots = fleet.settings.slots.clone();
    let reports: Vec<_> = slots.iter().map(|slot| report(&fleet, *slot)).collect();
    fleet.store_delay_max = 300 * MS;
    fleet.store_fails_one_in = Some(2);
    for said in reports {
        say(&mut fleet, said);
        fleet.pass(20 * MS);
        let learners = slots.iter().map(|slot| fleet.stored.slot(*slot).learners().count());
        let (told, stored) = (told(&fleet).values().sum::<usize>(), learners.sum::<usize>());
        assert!(told <= stored, "{told} were told, and {stored} are stored");
    }
    fleet.pass(Duration::from_secs(10));
    assert_eq!(told(&fleet).values().sum::<usize>(), slots.len(), "{:?}", fleet.events);
}

/// That it cannot be reached is no news of the network.
#[test]
fn of_a_copy_that_is_down_it_is_not_told() {
    let mut fleet = settled();
    let slot = fleet.settings.slots[0];
    let said = report(&fleet, slot);
    let copy = fleet.stored.slot(slot).copies[0].node;
    let mut processes = fleet.processes.values_mut();
    processes.find(|process| process.id == Some(copy)).unwrap().is_silent = true;
    let heard = |fleet: &Fleet| {
        let views = fleet.manager.nodes();
        views.iter().find(|view| view.node == copy).unwrap().heard.unwrap()
    };
    // The report comes as the first thing in the moment from which on it is silent.
    let silent_from = heard(&fleet) + fleet.settings.silence_max;
    fleet.pass(silent_from - fleet.now - MS);
    fleet.now = silent_from;
    say(&mut fleet, said);
    fleet.pass(Duration::from_secs(2));
    let is_lost = |event: &Event| matches!(event, Event::Lost(node, _) if *node == copy);
    assert!(fleet.events.iter().any(is_lost) && told(&fleet).is_empty(), "{:?}", fleet.events);
}

#[test]
fn a_copy_takes_over_from_a_primary_that_is_lost_before_its_report_is_stored() {
    let mut fleet = settled();
    let slot = fleet.settings.slots[0];
    let said = report(&fleet, slot);
    let copy = fleet.stored.slot(slot).copies[0].node;
    fleet.store_delay_max = 300 * MS;
    fleet.random = Random(1);
    fleet.operate(Operation::SetReplicas(2)).unwrap();
    say(&mut fleet, said);
    let port = *fleet.processes.iter().find(|(_, process)| process.id == Some(said.0)).unwrap().0;
    fleet.kill(port);
    fleet.pass(Duration::from_secs(1));
    assert_eq!(fleet.stored.slot(slot).primary, Some(copy));
    let is_lost = |event: &Event| matches!(event, Event::SlotsLost { .. });
    assert!(!fleet.events.iter().any(is_lost), "{:?}", fleet.events);
}

#[test]
fn only_the_present_primary_is_believed() {
    let mut fleet = settled();
    let slot = fleet.settings.slots[0];
    let (primary, about) = report(&fleet, slot);
    let copy = fleet.stored.slot(slot).copies[0].node;
    say(&mut fleet, (copy, about));
    fleet.pass(200 * MS);
    assert_eq!(fleet.stored.slot(slot).in_sync().count(), 1, "a copy has no say");
    fleet.operate(Operation::MoveSlots { slots: vec![slot], to: copy }).unwrap();
    fleet.pass(200 * MS);
    assert_eq!(fleet.stored.slot(slot).primary, Some(copy));
    say(&mut fleet, (primary, about));
    fleet.pass(200 * MS);
    assert_eq!(fleet.stored.slot(slot).in_sync().count(), 1, "it is no primary any more");
}

/// Learners that nobody can expect to catch up do not hold up the others.
#[test]
fn slots_are_moved_on_while_many_copies_are_cut_off() {
    let pace = Pace { slots_max: 16, learners_max: 2 };
    let mut fleet = Fleet::settled(Settings { pace, ..few(24) }, 1, &["a", "b", "c"]);
    let (one, other) = (fleet.id(1), fleet.id(2));
    fleet.cut_off = Some((one, other));
    let slots = fleet.settings.slots.clone();
    let is_between = |fleet: &Fleet, slot: SlotId| {
        [one, other].iter().all(|node| fleet.stored.slot(slot).is_held_by(*node))
    };
    let between: Vec<SlotId> =
        slots.iter().copied().filter(|slot| is_between(&fleet, *slot)).collect();
    assert!(between.len() >= fleet.settings.pace.learners_max, "{}", between.len());
    let reports: Vec<_> = between.iter().map(|slot| report(&fleet, *slot)).collect();
    reports.into_iter().for_each(|said| say(&mut fleet, said));
    let fourth = fleet.start("c", GIB);
    fleet.pass(Duration::from_secs(20));
    let fourth = fleet.id(fourth);
    let holds = slots.iter().filter(|slot| fleet.stored.slot(**slot).is_held_by(fourth)).count();
    assert!(holds >= 4, "{holds}");
    let learners: usize =
        slots.iter().map(|slot| fleet.stored.slot(*slot).learners().count()).sum();
    assert_eq!(learners, between.len(), "all others have caught up");
}
