//! What operators ask for, and what the fleet makes of its size.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::*;
use memtide_manager::{Event, Operation, Refused, Settings, Unwelcome};
use memtide_topology::{NodeId, Pace, REPLICAS_MAX, Refusal, SLOTS, SlotId};
use std::time::Duration;

fn held(fleet: &Fleet, node: NodeId) -> usize {
    let configs = (0..fleet.settings.slots.len()).map(|number| fleet.config(number));
    configs.filter(|config| config.is_held_by(node)).count()
}

#[test]
fn slots_are_given_out_when_enough_nodes_are_there() {
    let settings = Settings { nodes_min: 3, ..few(12) };
    let mut fleet = Fleet::new(settings, 1, 1);
    fleet.start("a", GIB);
    fleet.start("b", GIB);
    fleet.pass(300 * MS);
    assert!(fleet.config(0).primary.is_none());
    fleet.start("c", GIB);
    fleet.settle();
    assert_eq!((1..=3).map(|port| held(&fleet, fleet.id(port))).sum::<usize>(), 24);
    assert!(
        !fleet
            .events
            .iter()
            .any(|event| matches!(event, Event::Moved(moved) if moved.handed_over > 0))
    );
}

#[test]
fn slots_are_given_out_when_others_have_been_waited_for() {
    let settings = Settings { nodes_min: 3, ..few(12) };
    let mut fleet = Fleet::new(settings, 1, 1);
    fleet.start("a", GIB);
    fleet.pass(400 * MS);
    assert!(fleet.config(0).primary.is_none());
    fleet.pass(400 * MS);
    assert_eq!(held(&fleet, fleet.id(1)), 12);
}

/// Each step of a whole cache: with the nodes, all slots, and all the copies that have caught up.
#[test]
fn a_cache_is_founded_in_a_few_commits() {
    let mut fleet = Fleet::new(Settings { nodes_min: 3, ..Settings::default() }, 1, 1);
    ["a", "b", "c"].iter().for_each(|zone| _ = fleet.start(zone, GIB));
    fleet.settle();
    assert_eq!(fleet.manager.remaining(), 0);
    assert!(fleet.commits <= 8, "{} commits for three nodes", fleet.commits);
    assert!(fleet.stored.slots().all(|(_, config)| config.in_sync().count() == 1));
}

#[test]
fn who_has_more_memory_gets_more_slots() {
    let mut fleet = Fleet::new(Settings { nodes_min: 3, ..few(60) }, 0, 1);
    [GIB, GIB, 4 * GIB].iter().for_each(|memory| _ = fleet.start("a", *memory));
    fleet.settle();
    assert_eq!([1, 2, 3].map(|port| held(&fleet, fleet.id(port))), [10, 10, 40]);
    fleet.processes.get_mut(&1).unwrap().memory = 4 * GIB;
    fleet.disconnect(1);
    fleet.connect(1);
    fleet.settle();
    let held = [1, 2, 3].map(|port| held(&fleet, fleet.id(port)));
    assert!(held[0].abs_diff(27) <= 1 && held[2].abs_diff(27) <= 1, "{held:?}");
}

#[test]
fn a_node_that_joins_gets_its_share() {
    let mut fleet = Fleet::settled(few(30), 1, &["a", "b"]);
    let port = fleet.start("c", GIB);
    fleet.settle();
    assert!(held(&fleet, fleet.id(port)).abs_diff(20) <= 1);
    assert!(fleet.events.iter().any(|it| matches!(it, Event::MigrationEnded(_))));
}

#[test]
fn a_drained_node_leaves_when_everybody_may_know_it() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    let node = fleet.id(1);
    assert_eq!(fleet.operate(Operation::Drain(node)), Ok(()));
    while held(&fleet, node) > 0 {
        fleet.pass(20 * MS);
    }
    let emptied = fleet.now;
    while fleet.stored.nodes().contains_key(&node) {
        fleet.pass(20 * MS);
    }
    assert!(fleet.now - emptied >= fleet.settings.linger);
    assert!(fleet.events.contains(&Event::Left(node)));
}

#[test]
fn a_drained_node_that_is_behind_stays_until_it_knows() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    let node = fleet.id(1);
    fleet.processes.get_mut(&1).unwrap().is_behind = true;
    fleet.operate(Operation::Drain(node)).unwrap();
    fleet.pass(Duration::from_secs(10));
    assert_eq!(held(&fleet, node), 0);
    assert!(fleet.stored.nodes().contains_key(&node));
    fleet.processes.get_mut(&1).unwrap().is_behind = false;
    fleet.pass(Duration::from_secs(1));
    assert!(!fleet.stored.nodes().contains_key(&node));
}

#[test]
fn the_last_node_is_not_drained() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let (one, other) = (fleet.id(1), fleet.id(2));
    fleet.processes.get_mut(&2).unwrap().is_silent = true;
    fleet.pass(Duration::from_secs(1));
    assert_eq!(fleet.operate(Operation::Drain(one)), Err(Refused::LastNode(one)));
    fleet.processes.get_mut(&2).unwrap().is_silent = false;
    fleet.settle();
    assert_eq!(fleet.operate(Operation::Drain(one)), Ok(()));
    assert_eq!(fleet.operate(Operation::Drain(other)), Err(Refused::LastNode(other)));
    fleet.manager.leaving(fleet.now, other);
    fleet.carry_out();
    assert!(fleet.events.contains(&Event::DrainRefused(other)));
    assert_eq!(fleet.operate(Operation::Undrain(one)), Ok(()));
    assert_eq!(fleet.operate(Operation::Drain(other)), Ok(()));
    let nobody = NodeId::new(99);
    assert_eq!(fleet.operate(Operation::Drain(nobody)), Err(Refused::NodeUnknown(nobody)));
}

/// As when every pod of a fleet is replaced: a successor comes when its predecessor has ended.
#[test]
fn the_last_node_that_wants_to_leave_leaves_when_another_has_come() {
    let mut fleet = Fleet::settled(few(12), 0, &["a", "b"]);
    let (one, other) = (fleet.id(1), fleet.id(2));
    for node in [one, other] {
        fleet.manager.leaving(fleet.now, node);
    }
    fleet.carry_out();
    assert!(fleet.manager.nodes().iter().all(|node| node.is_leaving));
    assert_eq!(fleet.operate(Operation::Undrain(other)), Err(Refused::NodeLeaving(other)));
    fleet.settle();
    assert_eq!(fleet.stored.nodes().keys().collect::<Vec<_>>(), [&other]);
    let successor = fleet.start("a", GIB);
    fleet.settle();
    let successor = fleet.id(successor);
    assert_eq!(fleet.stored.nodes().keys().collect::<Vec<_>>(), [&successor]);
    assert_eq!(held(&fleet, successor), 12);
}

#[test]
fn slots_move_where_an_operator_wants_them_and_stay() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    let to = fleet.id(3);
    let slots: Vec<SlotId> = fleet.settings.slots.clone();
    let is_moved = |fleet: &Fleet| (0..12).all(|at| fleet.config(at).primary == Some(to));
    let moves = Operation::MoveSlots { slots, to };
    assert_eq!(fleet.operate(moves), Ok(()));
    fleet.settle();
    assert!(is_moved(&fleet));
    assert!((0..12).all(|at| fleet.config(at).in_sync().count() == 1));
    fleet.pass(Duration::from_secs(60));
    assert!(is_moved(&fleet), "the placement does not undo it");

    fleet.start("a", GIB);
    fleet.settle();
    assert!(!is_moved(&fleet), "another node is there: slots are placed anew");
}

#[test]
fn slots_move_back_and_forth() {
    let mut fleet = Fleet::settled(few(24), 1, &["a", "b"]);
    for port in [1, 2, 1] {
        let (slots, to) = (fleet.settings.slots.clone(), fleet.id(port));
        fleet.operate(Operation::MoveSlots { slots, to }).unwrap();
        fleet.settle();
        assert!((0..24).all(|at| fleet.config(at).primary == Some(to)));
    }
}

#[test]
fn moves_that_cannot_be_are_refused() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    let slots = || fleet_slots();
    let moves = |to| Operation::MoveSlots { slots: slots(), to };
    let (draining, down) = (fleet.id(1), fleet.id(2));
    fleet.operate(Operation::Drain(draining)).unwrap();
    fleet.processes.get_mut(&2).unwrap().is_silent = true;
    fleet.pass(Duration::from_secs(1));
    let nobody = NodeId::new(99);
    assert_eq!(fleet.operate(moves(nobody)), Err(Refused::NodeUnknown(nobody)));
    assert_eq!(fleet.operate(moves(draining)), Err(Refused::NodeDraining(draining)));
    assert_eq!(fleet.operate(moves(down)), Err(Refused::NodeDown(down)));
    let to = fleet.id(3);
    let none = Operation::MoveSlots { slots: Vec::new(), to };
    assert_eq!(fleet.operate(none), Err(Refused::NoSlots));
    let unheld = Operation::MoveSlots { slots: vec![slot(0)], to };
    assert_eq!(fleet.operate(unheld), Err(Refused::NoPrimary(slot(0))));
}

fn fleet_slots() -> Vec<SlotId> {
    few(3).slots
}

#[test]
fn more_and_fewer_replicas() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b", "c"]);
    for replicas in [2, 0, 1] {
        assert_eq!(fleet.operate(Operation::SetReplicas(replicas)), Ok(()));
        fleet.settle();
        let copies = usize::from(replicas);
        assert!((0..12).all(|at| fleet.config(at).in_sync().count() == copies));
    }
    let many = REPLICAS_MAX + 1;
    assert_eq!(fleet.operate(Operation::SetReplicas(many)), Err(Refused::ReplicasMax(many)));
}

#[test]
fn the_pace_is_kept() {
    let mut settings = few(60);
    settings.pace = Pace { slots_max: 10, learners_max: 4 };
    let mut fleet = Fleet::settled(settings, 1, &["a", "b"]);
    fleet.catches_up_one_in = 10;
    fleet.start("c", GIB);
    let mut most = 0;
    for _ in 0..200 {
        fleet.pass(20 * MS);
        most = most.max(fleet.manager.migrations().len());
    }
    assert_eq!(most, 4);
}

#[test]
fn a_source_stays_until_it_can_have_consented() {
    let mut fleet = Fleet::settled(few(1), 0, &["a", "b"]);
    let from = fleet.config(0).primary.unwrap();
    let to = [1, 2].map(|port| fleet.id(port)).into_iter().find(|id| *id != from).unwrap();
    fleet.operate(Operation::MoveSlots { slots: fleet.settings.slots.clone(), to }).unwrap();
    while fleet.config(0).primary == Some(from) {
        fleet.pass(20 * MS);
    }
    let handed_over = fleet.now;
    while fleet.config(0).is_held_by(from) {
        fleet.pass(20 * MS);
    }
    assert!(fleet.now - handed_over >= fleet.settings.handover_grace);
}

#[test]
fn an_address_that_is_none_is_refused_and_others_go_on() {
    let mut fleet = Fleet::settled(few(12), 1, &["a", "b"]);
    let registration = memtide_manager::Registration {
        node: None,
        zone: memtide_topology::Zone::new("a").unwrap(),
        address: "no address".to_owned(),
        memory_max: GIB,
    };
    fleet.manager.register(fleet.now, 1_000, registration);
    let refused = std::iter::from_fn(|| fleet.manager.poll()).find_map(|effect| match effect {
        memtide_manager::Effect::Refuse { session, why } => Some((session, why)),
        _ => None,
    });
    let (session, why) = refused.unwrap();
    assert!(session == 1_000 && matches!(why, Unwelcome::Refused(Refusal::NodeAddress(_))));
    let port = fleet.start("c", GIB);
    fleet.settle();
    assert!(held(&fleet, fleet.id(port)) > 0);
}

#[test]
fn a_whole_cache_moves_to_a_node_that_joins() {
    let mut fleet = Fleet::settled(Settings::default(), 1, &["a", "b"]);
    let port = fleet.start("c", GIB);
    fleet.settle();
    let held = held(&fleet, fleet.id(port));
    assert!(held.abs_diff(usize::from(SLOTS) * 2 / 3) < 300, "{held}");
}

#[test]
fn a_move_goes_on_when_its_node_was_silent_for_a_moment() {
    let mut fleet = Fleet::settled(few(12), 0, &["a", "b"]);
    let to = fleet.id(1);
    fleet.catches_up_one_in = 100;
    let slots = fleet.settings.slots.clone();
    assert_eq!(fleet.operate(Operation::MoveSlots { slots, to }), Ok(()));
    fleet.processes.get_mut(&1).unwrap().is_silent = true;
    fleet.pass(2_000 * MS);
    assert!(fleet.events.iter().any(|event| matches!(event, Event::Lost(node, _) if *node == to)));
    assert!(held(&fleet, to) < 12, "not all was done by then");
    fleet.catches_up_one_in = 1;
    fleet.processes.get_mut(&1).unwrap().is_silent = false;
    fleet.settle();
    let primaries = (0..12).filter(|at| fleet.config(*at).primary == Some(to));
    assert_eq!(primaries.count(), 12);
}
