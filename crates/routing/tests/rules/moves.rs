//! Where requests go when slots move, and links come and go.

use memtide_routing::{Kind, Settings};
use memtide_topology::Epoch;

use crate::rig::{A, B, C, Rig, X, Y, moved, settings, topology};

#[test]
fn a_request_goes_to_the_primary_with_its_epoch_and_ends_once() {
    let mut rig = Rig::new(settings(), &[A, B]);
    assert_eq!(rig.write("w"), "w>A/1");
    assert_eq!(rig.last("w").epoch, Epoch::new(1));
    assert_eq!(rig.done(A, "w"), "w=ok");
    assert_eq!(rig.done(A, "w"), "", "an answer that comes twice");
    assert_eq!(rig.router.outstanding(), 0);
}

#[test]
fn an_answer_of_a_node_that_was_not_asked_is_none() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w");
    assert_eq!(rig.done(B, "w"), "");
    assert_eq!(rig.answer(B, "w", moved(2, Some(B))), "");
    assert_eq!(rig.done(A, "w"), "w=ok");
}

#[test]
fn a_newer_hint_is_used_at_once_and_kept_for_later_requests() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w");
    assert_eq!(rig.answer(A, "w", moved(2, Some(B))), "want w>B/2?");
    assert_eq!(rig.last("w").epoch, Epoch::new(2));
    assert_eq!(rig.done(B, "w"), "w=ok");
    assert_eq!(rig.read("r"), "r>B/2");
    assert_eq!(rig.submit(Kind::Read, Y, "y"), "y>A/1", "only that slot");
}

#[test]
fn an_older_hint_is_not_followed() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.adopt(topology(5, &[(X, 5, Some(B), &[])]));
    assert_eq!(rig.read("r"), "r>B/1");
    assert_eq!(rig.answer(B, "r", moved(1, Some(A))), "");
    assert_eq!(rig.wait(1), "r>B/2", "after a pause, to whom the newer topology names");
}

#[test]
fn a_hint_that_the_topology_has_overtaken_is_forgotten() {
    let mut rig = Rig::new(settings(), &[A, B, C]);
    rig.read("r");
    assert_eq!(rig.answer(A, "r", moved(2, Some(B))), "want r>B/2");
    rig.done(B, "r");
    rig.adopt(topology(3, &[(X, 3, Some(C), &[])]));
    assert_eq!(rig.read("s"), "s>C/2");
}

#[test]
fn an_older_topology_changes_nothing() {
    let mut rig = Rig::new(settings(), &[A, B, C]);
    rig.adopt(topology(3, &[(X, 3, Some(C), &[])]));
    rig.adopt(topology(2, &[(X, 2, Some(B), &[])]));
    assert_eq!(rig.read("r"), "r>C/1");
}

#[test]
fn who_says_that_the_primary_is_gone_makes_it_want_the_topology() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.read("r");
    assert_eq!(rig.answer(A, "r", moved(1, None)), "want");
    assert_eq!(rig.wait(1), "r>A/2", "and ask again until it has it");
}

#[test]
fn a_slot_without_a_primary_waits_for_one() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.adopt(topology(2, &[(X, 1, None, &[])]));
    assert_eq!((rig.write("w1"), rig.read("r2")), (String::new(), String::new()));
    assert_eq!(rig.wait(1000), "");
    assert_eq!(rig.adopt(topology(3, &[(X, 3, Some(B), &[])])), "w1>B/1 r2>B/1");
}

#[test]
fn a_node_that_is_not_connected_is_waited_for() {
    let mut rig = Rig::new(settings(), &[B]);
    assert_eq!((rig.write("w1"), rig.up(C)), (String::new(), String::new()));
    assert_eq!(rig.up(A), "w1>A/1");
}

#[test]
fn requests_of_a_lost_link_are_sent_again_as_retries() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    rig.read("r2");
    assert_eq!(rig.down(A), "");
    assert_eq!(rig.up(A), "", "not before the pause is over");
    assert_eq!(rig.wait(1), "w1>A/2? r2>A/2");
    assert_eq!(rig.done(A, "w1") + &rig.done(A, "r2"), "w1=okr2=ok");
}

#[test]
fn what_was_to_be_sent_over_a_lost_link_is_not_sent_over_the_next() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.submit_unpolled(Kind::Mutation, X, "w");
    rig.router.link_down(rig.now, A);
    assert_eq!(rig.up(A), "");
    assert_eq!(rig.wait(1), "w>A/2?");
}

#[test]
fn a_link_that_comes_up_again_is_another_one() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w");
    assert_eq!(rig.up(A), "");
    assert_eq!(rig.wait(1), "w>A/2?");
}

#[test]
fn at_a_change_of_the_topology_the_old_primary_may_first_answer_what_it_has() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.adopt(topology(2, &[(X, 2, Some(B), &[])])), "");
    assert_eq!(rig.write("w3"), "", "may not overtake the others");
    assert_eq!(rig.done(A, "w2"), "w2=ok");
    assert_eq!(rig.done(A, "w1"), "w1=ok w3>B/2");
}

#[test]
fn an_old_primary_that_refuses_ends_the_wait_for_it() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    rig.adopt(topology(2, &[(X, 2, Some(B), &[])]));
    assert_eq!(rig.answer(A, "w2", moved(2, Some(B))), "w1>B/2? w2>B/2?");
}

#[test]
fn an_old_primary_that_is_silent_is_not_waited_for_longer_than_the_grace() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.adopt(topology(2, &[(X, 2, Some(B), &[])]));
    assert_eq!(rig.wait(199), "");
    assert_eq!(rig.wait(1), "w1>B/2?");
    assert_eq!(rig.done(A, "w1"), "", "if it was executed there, B has it, too");
    assert_eq!(rig.done(B, "w1"), "w1=ok");
}

#[test]
fn a_newer_epoch_of_the_same_primary_disturbs_nothing() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    assert_eq!(rig.adopt(topology(2, &[(X, 2, Some(A), &[])])), "");
    assert_eq!(rig.write("w2"), "w2>A/1");
    assert_eq!(rig.last("w2").epoch, Epoch::new(2));
    assert_eq!(rig.answer(A, "w1", moved(2, Some(A))), "", "it still owes an answer for w2");
    assert_eq!(rig.answer(A, "w2", moved(2, Some(A))), "");
    assert_eq!(rig.wait(1), "w1>A/2? w2>A/2?");
}

#[test]
fn a_path_is_as_before_when_its_trouble_is_over() {
    let mut rig = Rig::new(Settings { queued_per_slot_max: 1, ..settings() }, &[A, B]);
    rig.read("r");
    rig.answer(A, "r", moved(2, Some(B)));
    for command in ["a", "b", "c"] {
        assert_eq!(rig.read(command), format!("{command}>B/2"), "no bound on what is sent");
    }
    assert_eq!(rig.wait(4_999), "");
    for command in ["r", "a", "b", "c"] {
        assert_eq!(rig.done(B, command), format!("{command}=ok"));
    }
    assert_eq!(rig.read("d"), "d>B/2");
}
