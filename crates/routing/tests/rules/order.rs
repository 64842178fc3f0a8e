//! The order of the requests of a slot, over rounds.

use memtide_routing::Kind;

use crate::rig::{A, B, Rig, X, Y, moved, settings, topology};

#[test]
fn all_that_is_unanswered_is_sent_again_in_order_in_the_next_round() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.read("r2");
    rig.write("w3");
    rig.write("w4");
    assert_eq!(rig.submit(Kind::Mutation, Y, "y"), "y>A/1");
    assert_eq!(rig.done(A, "r2"), "r2=ok");
    assert_eq!(rig.answer(A, "w3", moved(2, Some(B))), "want w1>B/2? w3>B/2? w4>B/2?");
    assert_eq!(rig.write("w5"), "w5>B/2", "behind them");
    assert_eq!(rig.done(A, "y"), "y=ok", "another slot is another path");
}

#[test]
fn what_is_submitted_while_a_path_waits_comes_behind() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    rig.write("w2");
    rig.down(A);
    assert_eq!((rig.write("w3"), rig.read("r4")), (String::new(), String::new()));
    rig.wait(5);
    assert_eq!(rig.up(A), "w1>A/2? w2>A/2? w3>A/2 r4>A/2");
}

#[test]
fn a_refusal_of_an_earlier_round_begins_no_other() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    rig.write("w3");
    rig.answer(A, "w1", moved(2, Some(B)));
    assert_eq!(rig.answer(A, "w2", moved(2, Some(B))), "want");
    assert_eq!(rig.answer(A, "w3", moved(2, Some(B))), "want");
    assert_eq!(rig.done(B, "w1"), "w1=ok");
    assert_eq!(rig.write("w4"), "w4>B/2");
}

#[test]
fn the_outcome_of_the_latest_try_counts_and_no_other_is_told() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.answer(A, "w2", moved(2, Some(B))), "want w1>B/2? w2>B/2?");
    assert_eq!(rig.done(A, "w1"), "", "the later try may have done what this one did not");
    assert_eq!(rig.done(B, "w1"), "w1=ok");
    assert_eq!(rig.done(B, "w2"), "w2=ok");
}

/// Its answer could be that of either try.
#[test]
fn no_request_goes_over_a_link_that_owes_an_answer_for_it() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.answer(A, "w1", moved(2, Some(B))), "want w1>B/2? w2>B/2?");
    rig.adopt(topology(2, &[(X, 2, Some(B), &[])]));
    assert_eq!(rig.answer(B, "w1", moved(3, Some(A))), "want", "A owes an answer for w2");
    assert_eq!(rig.write("w3"), "");
    assert_eq!(rig.answer(A, "w2", moved(2, Some(B))), "w1>A/3? w2>A/3? w3>A/3");
    assert_eq!(rig.answer(B, "w2", moved(3, Some(A))), "want", "of the round before");
    assert_eq!(rig.done(A, "w1") + &rig.done(A, "w2"), "w1=okw2=ok");
}

#[test]
fn a_round_is_never_used_again_after_its_refusal() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.adopt(topology(2, &[(X, 2, Some(A), &[])]));
    rig.write("w1");
    assert_eq!(rig.answer(A, "w1", moved(2, Some(A))), "");
    rig.down(A);
    assert_eq!(rig.wait(5_000), "w1=unknown");
    rig.up(A);
    assert_eq!(rig.write("w2"), "w2>A/2");
}

#[test]
fn a_read_of_any_copy_and_a_request_to_a_node_are_outside_of_the_order() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.adopt(topology(2, &[(X, 2, Some(B), &[])]));
    assert_eq!(rig.write("w2"), "");
    assert_eq!(rig.submit(Kind::ReadAnyCopy, X, "r3"), "r3>B/0");
    assert_eq!(rig.submit_to(B, "f4"), "f4>B/0");
    assert_eq!(rig.answer(B, "r3", moved(2, Some(B))), "");
    assert_eq!(rig.done(A, "w1"), "w1=ok w2>B/2", "no round ended by that");
}
