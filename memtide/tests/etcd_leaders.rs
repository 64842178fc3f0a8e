//! Scalers that lead in turn, by a real etcd, while clients notice nothing.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod shared;

use memtide_testkit::{PATIENCE, Signal, wait_until};
use shared::{Fleet, leads, metric, text};

#[test]
fn a_leader_that_is_killed_or_ended_is_followed_by_one_that_knows_what_operators_have_set() {
    let mut fleet = Fleet::start(1, 3);
    let load = fleet.load();
    let first = fleet.wait_leader(|_| true);
    let (before, _) = fleet.topology(first);
    let stored = fleet.set_replicas(first, 0);
    fleet.cache_done(first, &["limits", "set", "--ecpu-per-second-max", "77k"]);
    assert!(stored > before);

    let standby = (first + 1) % 3;
    let refused = fleet.cache(standby, &["nodes"]);
    let (leader, admin) = (fleet.scaler(first).address(), fleet.scaler(first).admin_address());
    let told = format!("{leader} leads: ask its admin HTTP, {admin}");
    assert!(!refused.status.success() && text(&refused.stderr).contains(&told), "{refused:?}");
    let verbose = fleet.scaler(standby).get("/readyz?verbose");
    assert_eq!(verbose.status, 200, "{}", verbose.body);
    assert!(verbose.body.contains(&told), "{}", verbose.body);
    // The fleet is told of once, and metered once.
    assert_eq!(metric(fleet.scaler(first), "memtide_slots{state=\"unowned\"}"), Some(0.0));
    for name in ["memtide_slots{state=\"unowned\"}", "memtide_items"] {
        assert_eq!(metric(fleet.scaler(standby), name), None, "{name}");
    }
    let metered = "memtide_metered_byte_seconds_total";
    assert_eq!(metric(fleet.scaler(standby), metered), Some(0.0));

    let port = fleet.end_scaler(first, Signal::KILL);
    let second = fleet.wait_leader(|_| true);
    fleet.wait_settled(second);
    let (epoch, replicas) = fleet.topology(second);
    assert!(epoch >= stored && replicas == 0, "epoch {epoch} with {replicas} replicas");
    let limits = fleet.cache_done(second, &["limits"]);
    assert!(limits.contains("77000"), "{limits}");
    load.wait_answered(100);

    fleet.start_scaler(first, port);
    let port = fleet.end_scaler(second, Signal::TERM);
    let third = fleet.wait_leader(|_| true);
    fleet.wait_settled(third);
    fleet.start_scaler(second, port);
    assert!(fleet.set_replicas(third, 1) > epoch);
    fleet.wait_settled(third);
    assert!(fleet.cache_done(third, &["limits"]).contains("77000"));
    load.wait_answered(100);
    load.finish().assert_unnoticed();
}

/// A proxy tells each of them all that it has counted since it began.
#[test]
fn what_was_used_while_one_led_is_not_counted_again_by_the_next_one() {
    let mut fleet = Fleet::start(1, 2);
    let load = fleet.load();
    let first = fleet.wait_leader(|_| true);
    let used = |fleet: &Fleet, number, least| {
        wait_until("what is used is counted", PATIENCE, || {
            Some(fleet.commands_used(number)).filter(|used| *used >= least)
        })
    };
    let before = used(&fleet, first, 2_000);
    fleet.end_scaler(first, Signal::KILL);
    let second = fleet.wait_leader(|_| true);
    let after = used(&fleet, second, 1);
    let all = metric(&fleet.proxy, "memtide_commands_total").unwrap();
    let kept = f64::from(u32::try_from(before + after).unwrap());
    println!("{before} and {after} of {all} commands");
    assert!(kept <= all, "{before} and {after} of {all} commands");
    load.finish().assert_unnoticed();
}

#[test]
fn copies_that_a_killed_leader_has_begun_are_carried_on_by_the_next_one() {
    let mut fleet = Fleet::start(1, 2);
    let load = fleet.load();
    let (mut leader, mut before) = (fleet.wait_leader(|_| true), 0);
    for replicas in [0, 1, 0, 1] {
        let stored = fleet.set_replicas(leader, replicas);
        assert!(stored > before, "epoch {stored} after {before}");
        let port = fleet.end_scaler(leader, Signal::KILL);
        let next = fleet.wait_leader(|_| true);
        fleet.start_scaler(leader, port);
        fleet.wait_settled(next);
        let (epoch, wanted) = fleet.topology(next);
        assert!(epoch >= stored && wanted == replicas, "epoch {epoch}, {wanted} replicas");
        (leader, before) = (next, epoch);
    }
    load.wait_answered(100);
    load.finish().assert_unnoticed();
}

#[test]
fn a_leader_that_was_stopped_for_longer_than_its_lease_wakes_as_one_that_stands_by() {
    let fleet = Fleet::start(1, 2);
    let load = fleet.load();
    let first = fleet.wait_leader(|_| true);
    let second = 1 - first;
    let (before, _) = fleet.topology(first);
    fleet.scaler(first).signal(Signal::STOP);
    fleet.wait_leader(|number| number == second);
    fleet.wait_settled(second);
    let stored = fleet.set_replicas(second, 0);
    assert!(stored > before);
    load.wait_answered(100);
    fleet.scaler(first).signal(Signal::CONT);
    wait_until("it stands by, in the same process", PATIENCE, || {
        let scaler = fleet.scaler(first);
        let is_ready = scaler.get("/readyz").status == 200;
        (is_ready && !leads(scaler) && scaler.get("/v1/nodes").status == 503).then_some(())
    });
    wait_until("it tells so", PATIENCE, || {
        let events = fleet.scaler(first).get("/v1/events").body;
        events.contains("scaler_stands_by").then_some(())
    });
    assert!(leads(fleet.scaler(second)));
    fleet.wait_settled(second);
    // And leads again, from what the other one has stored.
    fleet.scaler(second).signal(Signal::STOP);
    fleet.wait_leader(|number| number == first);
    fleet.wait_settled(first);
    let (epoch, replicas) = fleet.topology(first);
    assert!(epoch >= stored && replicas == 0, "epoch {epoch} with {replicas} replicas");
    fleet.scaler(second).signal(Signal::CONT);
    load.wait_answered(100);
    load.finish().assert_unnoticed();
}

#[test]
fn members_of_etcd_may_be_lost_and_without_their_majority_changes_wait_and_clients_do_not() {
    let fleet = Fleet::start(3, 2);
    let load = fleet.load();
    let leader = fleet.wait_leader(|_| true);
    let (before, _) = fleet.topology(leader);
    fleet.etcd.signal(0, Signal::STOP);
    let stored = wait_until("a change is stored by the others", PATIENCE, || {
        let leader = fleet.wait_leader(|_| true);
        let done = fleet.cache(leader, &["replicas", "0"]).status.success();
        done.then(|| fleet.topology(leader).0)
    });
    assert!(stored > before);
    let leader = fleet.wait_leader(|_| true);
    let grew = fleet.proxy.logs().text().matches("not connected to a scaler").count();

    fleet.etcd.signal(1, Signal::STOP);
    let verbose = wait_until("it is said that etcd is away", PATIENCE, || {
        let verbose = fleet.scaler(leader).get("/readyz?verbose");
        let is_said = verbose.body.contains("not ready: etcd answers")
            && verbose.body.contains("nothing is changed until it is back");
        is_said.then_some(verbose)
    });
    assert_eq!(verbose.status, 503, "{}", verbose.body);
    assert_eq!(metric(fleet.scaler(leader), "memtide_etcd_away"), Some(1.0));
    assert!(fleet.scaler(leader).get("/v1/events").body.contains("store_away"));
    let refused = fleet.cache(leader, &["replicas", "1"]);
    assert!(text(&refused.stderr).contains("etcd is away"), "{refused:?}");
    load.wait_answered(500);
    assert_eq!(fleet.proxy.get("/readyz").status, 200);
    let now = fleet.proxy.logs().text().matches("not connected to a scaler").count();
    assert_eq!(now, grew, "streams stay: {}", fleet.proxy.logs().text());

    fleet.etcd.signal(0, Signal::CONT);
    fleet.etcd.signal(1, Signal::CONT);
    wait_until("all are ready again", PATIENCE, || {
        (0..2).all(|number| fleet.scaler(number).get("/readyz").status == 200).then_some(())
    });
    let leader = fleet.wait_leader(|_| true);
    fleet.wait_settled(leader);
    let (epoch, replicas) = fleet.topology(leader);
    assert!(epoch >= stored && replicas == 0, "what was refused was not done");
    assert!(fleet.set_replicas(leader, 1) > epoch);
    load.wait_answered(100);
    load.finish().assert_unnoticed();
}

/// It hears its nodes, and they hear it; only etcd it does not reach.
#[test]
fn from_a_leader_that_is_cut_off_from_etcd_alone_all_go_over_to_the_next_one() {
    let mut fleet = Fleet::start_with((3, 2), |etcd, number| {
        let urls = etcd.urls();
        let (first, others) = urls.split_once(',').unwrap();
        if number == 0 { first.to_owned() } else { others.to_owned() }
    });
    if fleet.wait_leader(|_| true) == 1 {
        let port = fleet.end_scaler(1, Signal::TERM);
        fleet.wait_leader(|number| number == 0);
        fleet.start_scaler(1, port);
    }
    fleet.wait_settled(0);
    let load = fleet.load();
    let (before, _) = fleet.topology(0);
    fleet.etcd.signal(0, Signal::STOP);
    fleet.wait_leader(|number| number == 1);
    fleet.wait_settled(1);
    assert!(fleet.set_replicas(1, 0) > before);
    assert_eq!(fleet.scaler(0).get("/readyz").status, 503, "in doubt");
    load.wait_answered(100);
    fleet.etcd.signal(0, Signal::CONT);
    wait_until("the other stands by", PATIENCE, || {
        let scaler = fleet.scaler(0);
        let is_standby = scaler.get("/v1/nodes").status == 503;
        (is_standby && scaler.get("/readyz").status == 200).then_some(())
    });
    fleet.wait_settled(1);
    load.wait_answered(100);
    load.finish().assert_unnoticed();
}
