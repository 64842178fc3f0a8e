//! Updates and differences: what is done, what is refused, and what follows of it.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod common;

use common::*;
use memtide_topology::{
    ApplyError, CacheId, CaughtUp, Change, CopyConfig, Diff, Epoch, HashSeed, InvalidTopology,
    PatchError, Previous, SlotConfig, SlotFault, Topology, TopologyParts, Update,
};
use proptest::prelude::*;
use std::sync::Arc;

/// Slot 7: primary n1, in sync n2, learner n3; n4 holds nothing, n5 drains.
fn fleet() -> Topology {
    let seven = [slot(7)];
    let mut topology = of_zones(1, &["a", "b", "c", "a", "b"]);
    topology = apply(&topology, vec![set_primary(&seven, 1, Previous::Gone)]);
    topology = apply(&topology, vec![add_learner(&seven, 2), add_learner(&seven, 3)]);
    let drain = Change::SetDraining { node: node(5), is_draining: true };
    apply(&topology, vec![drain, Change::MakeInSync { reports: vec![report(&topology, 2)] }])
}

/// That a learner of slot 7 has caught up.
fn report(topology: &Topology, learner: u64) -> CaughtUp {
    let config = topology.slot(slot(7));
    let since = config.copy(node(learner)).unwrap().since;
    CaughtUp { slot: slot(7), epoch: config.epoch, node: node(learner), since }
}

/// Who holds slot 7: `primary@epoch`, then `copy@since` each, `*` for learners.
fn shown(topology: &Topology) -> String {
    let config = topology.slot(slot(7));
    let primary = config.primary.map_or("nobody".to_owned(), |primary| primary.to_string());
    let copies = config.copies.iter().map(|copy| {
        format!(" {}@{}{}", copy.node, copy.since, if copy.is_in_sync { "" } else { "*" })
    });
    format!("{primary}@{}{}", config.epoch, copies.collect::<String>())
}

#[test]
fn a_slot_goes_through_its_life() {
    let seven = || vec![slot(7)];
    let mut topology = fleet();
    assert_eq!(shown(&topology), "n1@e2 n2@e3 n3@e3*");
    let mut then = |change: Change, expected: &str| {
        topology = apply(&topology, vec![change]);
        assert_eq!(shown(&topology), expected);
    };
    then(set_primary(&seven(), 2, Previous::InSync), "n2@e5 n1@e5 n3@e3*");
    then(Change::MakeLearner { slots: seven(), node: node(1) }, "n2@e5 n1@e6* n3@e3*");
    then(Change::DropCopy { slots: seven(), node: node(3) }, "n2@e5 n1@e6*");
    then(add_learner(&seven(), 4), "n2@e5 n1@e6* n4@e8*");
    let reports =
        vec![CaughtUp { slot: slot(7), epoch: Epoch::new(5), node: node(4), since: Epoch::new(8) }];
    then(Change::MakeInSync { reports }, "n2@e5 n1@e6* n4@e8");
    then(set_primary(&seven(), 4, Previous::Gone), "n4@e10 n1@e6*");
    then(Change::Abandon { slots: seven() }, "nobody@e10");
    then(set_primary(&seven(), 3, Previous::Gone), "n3@e12");
}

#[test]
fn what_does_not_fit_is_refused() {
    let seven = || vec![slot(7)];
    let topology = fleet();
    let refused = |change: Change| match topology.apply(&update(&topology, vec![change])) {
        Err(ApplyError::Refused { index: 0, refusal, .. }) => refusal.to_string(),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refused(add_node(4, "a", 1)), "n4 is there already");
    assert_eq!(refused(Change::RemoveNode { node: node(9) }), "there is no node n9");
    assert_eq!(refused(Change::RemoveNode { node: node(3) }), "n3 still holds slot 7");
    let replicas = Change::SetReplicas { replicas: 5 };
    assert_eq!(refused(replicas), "5 replicas wanted; the most is 4");
    let mut spaced = info("a", 1);
    spaced.address = "a b:1".to_owned();
    assert_eq!(
        refused(Change::AddNode { node: node(8), info: spaced }),
        "the address of n8 is not host:port of at most 261 printable bytes"
    );
    let primary = |number| set_primary(&seven(), number, Previous::InSync);
    assert_eq!(refused(primary(1)), "n1 is the primary of slot 7");
    assert_eq!(refused(primary(3)), "n3 is not in sync on slot 7");
    assert_eq!(refused(primary(4)), "n4 is no copy of slot 7");
    assert_eq!(refused(set_primary(&[slot(8)], 9, Previous::Gone)), "there is no node n9");
    let fresh = set_primary(&[slot(8)], 5, Previous::Gone);
    assert_eq!(refused(fresh), "n5 is draining and gets no more slots");
    assert_eq!(refused(add_learner(&seven(), 5)), "n5 is draining and gets no more slots");
    assert_eq!(refused(add_learner(&seven(), 1)), "n1 is the primary of slot 7");
    assert_eq!(refused(add_learner(&seven(), 3)), "n3 is a copy of slot 7 already");
    assert_eq!(refused(add_learner(&[slot(8)], 3)), "slot 8 has no primary");
    let learner = Change::MakeLearner { slots: seven(), node: node(1) };
    assert_eq!(refused(learner), "n1 is no copy of slot 7");
    let gone = Change::DropCopy { slots: seven(), node: node(4) };
    assert_eq!(refused(gone), "n4 is no copy of slot 7");
    assert_eq!(refused(Change::Abandon { slots: vec![slot(8)] }), "slot 8 has no primary");
}

#[test]
fn a_report_counts_only_while_nothing_changed() {
    let seven = vec![slot(7)];
    let before = fleet();
    let old = report(&before, 3);
    assert!(before.is_current(&old));
    let changes = [
        ("another primary", set_primary(&seven, 2, Previous::InSync)),
        ("dropped and back", Change::MakeLearner { slots: seven.clone(), node: node(3) }),
        ("gone", Change::DropCopy { slots: seven.clone(), node: node(3) }),
        ("in sync", Change::MakeInSync { reports: vec![old] }),
    ];
    for (name, change) in changes {
        let after = apply(&before, vec![change]);
        assert!(!after.is_current(&old), "{name}");
        let again = update(&after, vec![Change::MakeInSync { reports: vec![old] }]);
        assert!(after.apply(&again).is_err(), "{name}");
    }
}

#[test]
fn an_update_is_done_whole_or_not_at_all() {
    let topology = fleet();
    let refused = update(&topology, vec![add_node(6, "a", 1), add_learner(&[slot(7)], 3)]);
    let error = topology.apply(&refused).unwrap_err();
    assert_eq!(
        error.to_string(),
        "change 1 (add learner) is refused: n3 is a copy of slot 7 already"
    );
    let late = Update { parent: Epoch::new(3), changes: vec![add_node(6, "a", 1)] };
    let error = topology.apply(&late).unwrap_err();
    assert_eq!(error.to_string(), "update of epoch e3, but the topology is at e4; look again");
}

#[test]
fn a_slot_has_room_for_eight_copies_and_a_cache_for_1024_nodes() {
    let mut topology = of_zones(1, &["a"; 10]);
    let learners = (2..=9).map(|number| add_learner(&[slot(7)], number));
    let mut changes = vec![set_primary(&[slot(7)], 1, Previous::Gone)];
    changes.extend(learners);
    topology = apply(&topology, changes);
    let ninth = update(&topology, vec![add_learner(&[slot(7)], 10)]);
    let error = topology.apply(&ninth).unwrap_err().to_string();
    assert!(error.ends_with("slot 7 has 8 copies already"), "{error}");

    topology = apply(&topology, (11..=1_024).map(|number| add_node(number, "a", 1)).collect());
    let one_more = update(&topology, vec![add_node(1_025, "a", 1)]);
    let error = topology.apply(&one_more).unwrap_err().to_string();
    assert!(error.ends_with("there are 1024 nodes already"), "{error}");
}

#[test]
fn slots_that_change_alike_stay_one_allocation() {
    let topology = of_zones(1, &["a", "b"]);
    let changes = vec![set_primary(&all_slots(), 1, Previous::Gone), add_learner(&all_slots(), 2)];
    let topology = apply(&topology, changes);
    assert!(topology.slots().all(|(_, config)| Arc::ptr_eq(config, topology.slot(slot(0)))));
}

#[test]
fn wrong_parts_are_no_topology() {
    let copy = |number, since| CopyConfig {
        node: node(number),
        since: Epoch::new(since),
        is_in_sync: true,
    };
    let of = |primary: Option<u64>, epoch, copies: &[CopyConfig]| {
        let mut parts = fleet().into_parts();
        let (primary, epoch) = (primary.map(node), Epoch::new(epoch));
        parts.slots[9] =
            Arc::new(SlotConfig { epoch, born: epoch, primary, copies: copies.to_vec() });
        match Topology::from_parts(parts) {
            Err(InvalidTopology::Slot { slot, fault }) if slot.number() == 9 => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of(Some(6), 1, &[]), SlotFault::HolderUnknown(node(6)));
    assert_eq!(of(Some(1), 1, &[copy(6, 1)]), SlotFault::HolderUnknown(node(6)));
    assert_eq!(of(Some(1), 1, &[copy(1, 1)]), SlotFault::PrimaryIsCopy(node(1)));
    assert_eq!(of(Some(1), 1, &[copy(3, 1), copy(2, 1)]), SlotFault::CopyOrder(node(2)));
    assert_eq!(of(Some(1), 1, &[copy(3, 1), copy(3, 1)]), SlotFault::CopyOrder(node(3)));
    assert_eq!(of(None, 1, &[copy(3, 1)]), SlotFault::NoPrimary);
    assert_eq!(of(Some(1), 5, &[]), SlotFault::EpochAhead(Epoch::new(5)));
    assert_eq!(of(Some(1), 4, &[copy(3, 5)]), SlotFault::SinceAhead(node(3), Epoch::new(5)));
    assert_eq!(of(Some(1), 4, &[copy(3, 4); 9]), SlotFault::CopiesMax(9));

    let with = |change: fn(&mut TopologyParts)| {
        let mut parts = fleet().into_parts();
        change(&mut parts);
        parts.validate().unwrap_err()
    };
    let few = with(|parts| parts.slots.truncate(9));
    assert_eq!(few, InvalidTopology::SlotCount { slots: 9 });
    let address = with(|parts| parts.nodes.get_mut(&node(2)).unwrap().address.clear());
    assert_eq!(address, InvalidTopology::Address { node: node(2) });
    let replicas = with(|parts| parts.replicas_wanted = 5);
    assert_eq!(replicas, InvalidTopology::ReplicasMax { replicas: 5 });
    let nodes = with(|parts| {
        parts.nodes.extend((100..1_120).map(|number| (node(number), info("a", 1))));
    });
    assert_eq!(nodes, InvalidTopology::NodesMax { nodes: 1_025 });
}

#[test]
fn a_difference_is_only_for_where_it_starts() {
    let before = fleet();
    let after = apply(&before, vec![add_node(6, "a", 1)]);
    let diff = Topology::diff(&before, &after);
    assert_eq!((diff.nodes().len(), diff.slots().count()), (1, 0));
    assert!(matches!(after.patch(&diff), Err(PatchError::OtherEpoch { .. })));
    let back = Topology::diff(&after, &before);
    assert!(matches!(after.patch(&back), Err(PatchError::Backwards { .. })));
    let other = CacheId::new("other").unwrap();
    let other = Topology::new(other, HashSeed::new(1, 2), 1).unwrap();
    let first = Topology::diff(&new(1), &of_zones(1, &["a"]));
    assert!(matches!(other.patch(&first), Err(PatchError::OtherCache { .. })));
    let whole = Topology::diff(&Topology::empty(), &after);
    assert_eq!(Topology::empty().patch(&whole), Ok(after));
}

/// Any change of a few nodes and slots, most of them senseless.
fn random_change(random: &mut Random, topology: &Topology) -> Change {
    let number = u64::try_from(random.below(8)).unwrap();
    let first = u16::try_from(random.below(6)).unwrap();
    let slots: Vec<_> = (0..1 + random.below(4)).zip(first..).map(|(_, at)| slot(at)).collect();
    match random.below(12) {
        0 => add_node(number, ["a", "b"][random.below(2)], GIB),
        1 => Change::RemoveNode { node: node(number) },
        2 => Change::SetDraining { node: node(number), is_draining: random.one_in(3) },
        3 => Change::SetMemory { node: node(number), memory_max: random.next() },
        4 => Change::SetReplicas { replicas: u8::try_from(random.below(7)).unwrap() },
        5 => set_primary(&slots, number, Previous::InSync),
        6 => set_primary(&slots, number, Previous::Gone),
        7 | 8 => add_learner(&slots, number),
        9 => {
            let config = topology.slot(slots[0]);
            let learner = config.learners().next().unwrap_or(node(number));
            let since = config.copy(learner).map_or(Epoch::ZERO, |copy| copy.since);
            let epoch = config.epoch;
            let report = CaughtUp { slot: slots[0], epoch, node: learner, since };
            Change::MakeInSync { reports: vec![report] }
        }
        10 => Change::MakeLearner { slots, node: node(number) },
        _ if random.one_in(4) => Change::Abandon { slots },
        _ => Change::DropCopy { slots, node: node(number) },
    }
}

proptest! {
    #![proptest_config(cases(32))]

    /// The changes themselves refuse what would be wrong, so an update never fails as a whole.
    #[test]
    fn any_changes_lead_to_a_topology_or_are_refused(seed: u64) {
        let mut random = Random(seed);
        let first = of_zones(1, &["a", "b", "a", "b"]);
        let mut topology = first.clone();
        for _ in 0..150 {
            let change = random_change(&mut random, &topology);
            match topology.apply(&update(&topology, vec![change.clone()])) {
                Ok(next) => {
                    prop_assert_eq!(next.epoch(), topology.epoch().next());
                    let diff = Topology::diff(&topology, &next);
                    topology = topology.patch(&diff).unwrap();
                    prop_assert_eq!(&topology, &next);
                }
                Err(ApplyError::Refused { .. }) => {}
                Err(other) => prop_assert!(false, "{change:?}: {other}"),
            }
        }
        let diff = Diff::decode(&Topology::diff(&first, &topology).encode()).unwrap();
        prop_assert_eq!(first.patch(&diff), Ok(topology));
    }

    /// Slot epochs never fall, and change exactly when the primary does.
    #[test]
    fn a_primary_has_an_epoch_of_its_own(seed: u64) {
        let mut random = Random(seed);
        let mut topology = of_zones(1, &["a", "b", "a", "b"]);
        for _ in 0..150 {
            let change = random_change(&mut random, &topology);
            let Ok(next) = topology.apply(&update(&topology, vec![change])) else { continue };
            for (at, config) in next.slots().take(16) {
                let before = topology.slot(at);
                let is_taken = config.primary.is_some() && config.primary != before.primary;
                prop_assert_eq!(config.epoch == next.epoch(), is_taken);
                prop_assert!(is_taken || config.epoch == before.epoch);
            }
            topology = next;
        }
    }
}
