//! What a retry says, and what an end without an outcome means.

use memtide_routing::{Kind, Settings};
use memtide_topology::Answer;

use crate::rig::{A, B, Rig, X, Y, moved, refused, settings, topology};

#[test]
fn a_mutation_keeps_its_id_and_what_was_seen_before_its_first_try() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.done_at(A, "w1", 40);
    rig.write("w2");
    rig.read("r3");
    assert_eq!(rig.last("w2").seen, 40);
    let id = rig.id("w2");
    rig.done_at(A, "r3", 50);
    assert_eq!(rig.answer(A, "w2", moved(2, Some(B))), "want w2>B/2?");
    assert_eq!((rig.id("w2"), rig.last("w2").seen), (id, 40));
    rig.write("w4");
    assert_eq!(rig.last("w4").seen, 50);
}

#[test]
fn what_was_seen_is_that_of_the_first_try_not_of_the_submission() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.adopt(topology(2, &[(X, 2, Some(B), &[])]));
    rig.write("w2");
    assert_eq!(rig.done_at(A, "w1", 7), "w1=ok w2>B/2");
    assert_eq!(rig.last("w2").seen, 7);
}

#[test]
fn an_older_version_does_not_lower_what_was_seen() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    rig.write("w2");
    rig.done_at(A, "w2", 9);
    rig.done_at(A, "w1", 8);
    rig.write("w3");
    assert_eq!(rig.last("w3").seen, 9);
}

/// By which nodes know what will never be tried again.
#[test]
fn a_request_says_below_which_number_all_have_ended() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    rig.submit(Kind::Mutation, Y, "w2");
    assert_eq!(rig.last("w2").answered, rig.id("w1").number);
    rig.done(A, "w2");
    rig.write("w3");
    assert_eq!(rig.last("w3").answered, rig.id("w1").number, "one is under way");
    rig.done(A, "w1");
    rig.write("w4");
    assert_eq!(rig.last("w4").answered, rig.id("w3").number);
    rig.down(A);
    rig.up(A);
    assert_eq!(rig.wait(1), "w3>A/2? w4>A/2?");
    assert_eq!(rig.last("w4").answered, rig.id("w3").number);
}

/// A node has no room for more of a slot: what it has comes first, and then it is asked again.
#[test]
fn who_refuses_and_names_itself_is_asked_again_when_it_has_answered_the_rest() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.answer(A, "w2", refused(1, Some(A))), "");
    assert_eq!(rig.wait(100), "", "w1 waits there");
    assert_eq!(rig.done(A, "w1"), "w1=ok w2>A/2");
    assert_eq!(rig.answer(A, "w2", refused(1, Some(A))), "");
    assert_eq!(rig.wait(100), "w2>A/3");
    assert_eq!(rig.wait(5_000), "w2=unknown", "its last try is under way");
}

/// Where a refusal proves that nothing was executed, neither the refused nor what came behind it
/// in its round is a retry.
#[test]
fn a_proven_refusal_makes_no_retry() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    rig.write("w3");
    assert_eq!(rig.answer(A, "w2", refused(2, Some(B))), "want w1>B/2? w2>B/2 w3>B/2");
}

#[test]
fn after_a_lost_try_a_proven_refusal_of_another_does_not_help() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    rig.down(A);
    rig.up(A);
    assert_eq!(rig.wait(1), "w1>A/2?");
    assert_eq!(rig.answer(A, "w1", refused(1, Some(A))), "");
    assert_eq!(rig.wait(2), "w1>A/3?");
}

#[test]
fn a_late_proof_makes_the_next_try_none() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.answer(A, "w2", refused(2, Some(B))), "want w1>B/2? w2>B/2");
    rig.answer(A, "w1", refused(2, Some(B)));
    assert_eq!(rig.answer(B, "w2", refused(3, Some(A))), "want w1>A/3? w2>A/3");
}

#[test]
fn the_end_at_the_deadline_says_what_is_known() {
    fn check(what: &str, settings: Settings, script: impl Fn(&mut Rig), expected: &str) {
        let mut rig = Rig::new(settings, &[A]);
        script(&mut rig);
        let before = rig.router.next_timeout();
        assert!(before.is_some(), "{what}: nothing would end it");
        assert_eq!(rig.wait(5_000), expected, "{what}");
        assert_eq!(rig.router.outstanding(), 0, "{what}");
    }
    let write = |rig: &mut Rig| drop(rig.write("w"));
    let sure = |rig: &mut Rig| {
        rig.write("w");
        rig.answer(A, "w", refused(1, Some(A)));
    };
    let given_up = |rig: &mut Rig| {
        rig.write("w");
        rig.answer(A, "w", moved(1, Some(A)));
    };
    let orphaned = |rig: &mut Rig| {
        rig.adopt(topology(2, &[(X, 1, None, &[])]));
        rig.write("w");
    };
    let lost = |rig: &mut Rig| drop((rig.write("w"), rig.down(A)));
    let unconnected = |rig: &mut Rig| drop((rig.down(A), rig.write("w")));
    check("a mutation was sent", settings(), write, "w=unknown");
    check("a mutation was given up", settings(), given_up, "w=unknown");
    check("a mutation was refused", settings(), sure, "w=deadline");
    check("its link was lost", settings(), lost, "w=unknown");
    check("there was no primary", settings(), orphaned, "w=no-copy");
    check("it was not connected", settings(), unconnected, "w=no-copy");
    check("a read was sent", settings(), |rig| drop(rig.read("r")), "r=deadline");
    check(
        "a read's link was lost",
        settings(),
        |rig| drop((rig.read("r"), rig.down(A))),
        "r=no-copy",
    );
    let any = |rig: &mut Rig| drop(rig.submit(Kind::ReadAnyCopy, X, "r"));
    check("a read of any copy was sent", settings(), any, "r=deadline");
    check("a node is silent", settings(), |rig| drop(rig.submit_to(A, "f")), "f=unknown");
}

#[test]
fn a_fate_that_is_forgotten_is_told_at_once_and_holds_up_nobody() {
    let mut rig = Rig::new(settings(), &[A]);
    rig.write("w1");
    rig.write("w2");
    rig.down(A);
    rig.up(A);
    assert_eq!(rig.wait(1), "w1>A/2? w2>A/2?");
    assert_eq!(rig.answer(A, "w1", Answer::Unknown), "w1=unknown");
    assert_eq!(rig.done(A, "w2"), "w2=ok");
}

#[test]
fn a_fate_that_is_forgotten_may_still_be_told_by_an_earlier_try() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.answer(A, "w2", moved(2, Some(B))), "want w1>B/2? w2>B/2?");
    assert_eq!(rig.answer(B, "w1", Answer::Unknown), "");
    assert_eq!(rig.done(A, "w1"), "w1=ok");
}

#[test]
fn a_fate_that_is_forgotten_is_not_tried_again_behind_others() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    rig.answer(A, "w2", moved(2, Some(B)));
    assert_eq!(rig.answer(B, "w1", Answer::Unknown), "");
    rig.down(B);
    rig.wait(1);
    assert_eq!(rig.up(B), "w2>B/3?");
    assert_eq!(rig.answer(A, "w1", moved(2, Some(B))), "want w1=unknown");
}

#[test]
fn a_lost_link_ends_the_hope_for_an_earlier_try() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    rig.answer(A, "w2", moved(2, Some(B)));
    rig.answer(B, "w1", Answer::Unknown);
    assert_eq!(rig.down(A), "w1=unknown");
}
