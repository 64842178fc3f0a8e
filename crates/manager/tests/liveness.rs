//! Who counts as lost, and what becomes of the slots.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::*;
use memtide_manager::{Event, Loss, NodeState, Operation, Refused, Unwelcome};
use memtide_topology::NodeId;
use std::time::Duration;

fn led(fleet: &Fleet, node: NodeId) -> usize {
    let configs = (0..fleet.settings.slots.len()).map(|number| fleet.config(number));
    configs.filter(|config| config.primary == Some(node)).count()
}

fn state(fleet: &Fleet, node: NodeId) -> NodeState {
    fleet.manager.nodes().into_iter().find(|view| view.node == node).unwrap().state
}

#[test]
fn who_registers_again_in_time_keeps_its_slots() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let (commits, node) = (fleet.commits, fleet.id(1));
    fleet.disconnect(1);
    assert_eq!(state(&fleet, node), NodeState::Reconnecting);
    fleet.pass(100 * MS);
    fleet.connect(1);
    fleet.pass(Duration::from_secs(5));
    assert_eq!((fleet.commits, &fleet.events[..]), (commits, &[][..]));
}

#[test]
fn who_does_not_is_failed_over_and_gets_slots_again_later() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let node = fleet.id(1);
    let had = led(&fleet, node);
    assert!(had > 0);
    fleet.processes.get_mut(&1).unwrap().is_silent = true;
    fleet.disconnect(1);
    fleet.pass(300 * MS);
    assert_eq!(led(&fleet, node), 0);
    assert!(fleet.events.contains(&Event::Lost(node, Loss::Gone)));
    assert!(fleet.events.contains(&Event::FailedOver { slots: had }));
    assert!((0..12).all(|number| !fleet.config(number).is_held_by(node)));

    fleet.processes.get_mut(&1).unwrap().is_silent = false;
    fleet.pass(500 * MS);
    assert!(fleet.events.contains(&Event::Returned(node)));
    assert!((0..12).all(|number| !fleet.config(number).is_held_by(node)), "it is on probation");
    fleet.settle();
    assert!(led(&fleet, node) > 0);
}

#[test]
fn silence_counts_from_what_was_heard_last() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let node = fleet.id(1);
    fleet.processes.get_mut(&1).unwrap().is_silent = true;
    fleet.pass(500 * MS);
    assert_eq!(fleet.events, []);
    fleet.pass(500 * MS);
    assert_eq!(led(&fleet, node), 0);
    assert!(fleet.events.contains(&Event::Lost(node, Loss::Silent)));
}

#[test]
fn who_is_lost_again_and_again_waits_longer_each_time() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let node = fleet.id(1);
    let mut waits = Vec::new();
    for _ in 0..3 {
        fleet.processes.get_mut(&1).unwrap().is_silent = true;
        fleet.pass(Duration::from_secs(1));
        fleet.processes.get_mut(&1).unwrap().is_silent = false;
        let began = fleet.now;
        while !(0..12).any(|number| fleet.config(number).is_held_by(node)) {
            fleet.pass(100 * MS);
        }
        waits.push((fleet.now - began).as_secs());
        fleet.settle();
    }
    assert_eq!(waits, [1, 2, 4]);
}

#[test]
fn without_replicas_the_silent_are_waited_for() {
    let mut fleet = Fleet::settled(few(12), 0, &["a", "b"]);
    let node = fleet.id(1);
    let had = led(&fleet, node);
    fleet.processes.get_mut(&1).unwrap().is_silent = true;
    fleet.pass(Duration::from_secs(30));
    assert_eq!(led(&fleet, node), had);
    assert!(fleet.events.contains(&Event::Unserved { slots: had }));
    fleet.processes.get_mut(&1).unwrap().is_silent = false;
    fleet.settle();
    assert!(fleet.events.contains(&Event::Unserved { slots: 0 }));
    assert_eq!(led(&fleet, node), had);
}

#[test]
fn what_only_the_dead_had_starts_empty() {
    let mut fleet = Fleet::settled(few(12), 0, &["a", "b"]);
    let (node, heir) = (fleet.id(1), fleet.id(2));
    let had = led(&fleet, node);
    fleet.kill(1);
    fleet.pass(100 * MS);
    assert_eq!(led(&fleet, heir), 12);
    assert!(fleet.events.contains(&Event::SlotsLost { slots: had }));
    assert!(fleet.events.contains(&Event::Left(node)));
    let reborn = (0..12).filter(|number| fleet.config(*number).born > heir_epoch(&fleet)).count();
    assert_eq!(reborn, had);
}

fn heir_epoch(fleet: &Fleet) -> memtide_topology::Epoch {
    memtide_topology::Epoch::new(fleet.id(2).number() + 1)
}

#[test]
fn a_cache_whose_nodes_have_all_died_begins_anew() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    fleet.kill(1);
    fleet.kill(2);
    fleet.pass(Duration::from_secs(1));
    assert!((0..12).all(|number| fleet.config(number).primary.is_none()));
    assert!(fleet.stored.nodes().is_empty());
    let port = fleet.start("a", GIB);
    fleet.start("b", GIB);
    fleet.settle();
    assert_eq!(led(&fleet, fleet.id(port)), 6);
}

#[test]
fn what_a_silent_and_a_dead_node_had_waits_for_the_silent_one() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let silent = fleet.id(1);
    fleet.processes.get_mut(&1).unwrap().is_silent = true;
    fleet.kill(2);
    fleet.pass(Duration::from_secs(5));
    assert_eq!(led(&fleet, silent), 12, "it took over before its silence was noticed");
    assert!(fleet.events.contains(&Event::Unserved { slots: 12 }));
    fleet.end(1);
    assert_eq!(fleet.operate(Operation::Forget(silent)), Ok(()));
    fleet.pass(100 * MS);
    assert!((0..12).all(|number| fleet.config(number).primary.is_none()));
}

#[test]
fn a_manager_that_is_started_anew_gives_everybody_time() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    let (commits, late) = (fleet.commits, fleet.id(3));
    fleet.processes.get_mut(&3).unwrap().is_silent = true;
    fleet.restart();
    assert_eq!(state(&fleet, late), NodeState::Unheard);
    fleet.pass(500 * MS);
    assert_eq!(fleet.commits, commits);
    fleet.pass(500 * MS);
    assert_eq!(led(&fleet, late), 0);
    assert_eq!(led(&fleet, fleet.id(1)) + led(&fleet, fleet.id(2)), 12);
}

#[test]
fn the_time_in_which_the_manager_stood_still_is_nobodys_silence() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    let commits = fleet.commits;
    fleet.now += Duration::from_secs(10);
    fleet.manager.tick(fleet.now);
    fleet.pass(Duration::from_secs(2));
    assert_eq!((fleet.commits, &fleet.events[..]), (commits, &[][..]));
}

#[test]
fn who_has_no_place_any_more_is_refused() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    let node = fleet.id(1);
    fleet.processes.get_mut(&1).unwrap().is_silent = true;
    fleet.pass(Duration::from_secs(1));
    fleet.disconnect(1);
    assert_eq!(fleet.operate(Operation::Forget(node)), Ok(()));
    fleet.pass(100 * MS);
    fleet.processes.get_mut(&1).unwrap().is_silent = false;
    fleet.pass(Duration::from_secs(1));
    assert_eq!(fleet.processes[&1].refused, Some(Unwelcome::Left(node)));
    assert!(!fleet.stored.nodes().contains_key(&node));
}

#[test]
fn another_process_does_not_pass_for_a_node() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let node = fleet.id(1);
    let port = fleet.start("a", GIB);
    fleet.pass(100 * MS);
    fleet.disconnect(port);
    fleet.processes.get_mut(&port).unwrap().id = Some(node);
    fleet.connect(port);
    assert_eq!(fleet.processes[&port].refused, Some(Unwelcome::Other(node)));
}

#[test]
fn only_who_is_down_can_be_forgotten() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let node = fleet.id(1);
    assert_eq!(fleet.operate(Operation::Forget(node)), Err(Refused::NodeUp(node)));
    let nobody = NodeId::new(99);
    assert_eq!(fleet.operate(Operation::Forget(nobody)), Err(Refused::NodeUnknown(nobody)));
}

#[test]
fn an_old_stream_that_ends_late_says_nothing_of_the_new_one() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let old = fleet.processes[&1].session.unwrap();
    fleet.connect(1);
    fleet.manager.gone(fleet.now, old);
    fleet.carry_out();
    fleet.pass(Duration::from_secs(2));
    assert_eq!(fleet.events, []);
}

#[test]
fn a_node_that_never_learned_its_id_gets_no_slots_and_goes() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    fleet.store_delay_max = 200 * MS;
    let port = fleet.start("c", GIB);
    fleet.end(port);
    fleet.pass(Duration::from_secs(20));
    let ghosts = fleet.stored.nodes().len() - 2;
    assert!((0..12).all(|number| fleet.config(number).holders().count() == 2));
    fleet.pass(Duration::from_secs(620));
    assert_eq!((fleet.stored.nodes().len(), ghosts <= 1), (2, true));
}
