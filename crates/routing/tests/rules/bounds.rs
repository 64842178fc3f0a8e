//! How much waits, how often something is sent, and when.

use core::time::Duration;

use memtide_routing::{Kind, Settings};

use crate::rig::{A, B, Rig, X, Y, moved, settings, topology};

#[test]
fn too_many_requests_are_refused_at_once() {
    let mut rig = Rig::new(Settings { outstanding_max: 2, ..settings() }, &[A]);
    rig.write("w1");
    rig.submit(Kind::ReadAnyCopy, Y, "r2");
    assert_eq!(rig.write("w3"), "w3=overloaded");
    assert_eq!(rig.submit(Kind::ReadAnyCopy, Y, "r4"), "r4=overloaded");
    assert_eq!(rig.submit_to(A, "f5"), "f5=overloaded");
    rig.done(A, "w1");
    assert_eq!(rig.write("w6"), "w6>A/1");
}

#[test]
fn a_slot_without_a_primary_takes_only_its_share() {
    let mut rig = Rig::new(Settings { queued_per_slot_max: 2, ..settings() }, &[A, B]);
    rig.adopt(topology(2, &[(X, 1, None, &[]), (Y, 1, Some(A), &[])]));
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.write("w3"), "w3=overloaded");
    assert_eq!(rig.submit(Kind::Mutation, Y, "y"), "y>A/1");
    assert_eq!(rig.adopt(topology(3, &[(X, 3, Some(B), &[])])), "w1>B/1 w2>B/1");
    assert_eq!(rig.write("w4"), "w4>B/1");
}

/// Two nodes that each name the other, or the same that refuses for ever.
#[test]
fn who_learns_nothing_new_pauses_longer_each_time() {
    for hint in [moved(1, Some(A)), moved(0, Some(B)), moved(1, Some(B)), moved(1, None)] {
        let mut rig = Rig::new(settings(), &[A, B]);
        rig.read("r");
        let mut pauses = Vec::new();
        loop {
            rig.answer(A, "r", hint);
            let before = rig.now;
            rig.now = rig.router.next_timeout().unwrap();
            pauses.push((rig.now - before).as_millis());
            if rig.wait(0).starts_with("r=") {
                break;
            }
        }
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 64, 64], "{hint:?}");
        assert!(pauses.len() <= 2 + 6 + 5_000 / 64, "{} tries", pauses.len());
    }
}

#[test]
fn news_end_a_pause() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.read("r");
    for millis in [1, 2, 4, 8] {
        rig.answer(A, "r", moved(1, Some(A)));
        rig.wait(millis);
    }
    rig.answer(A, "r", moved(1, Some(A)));
    assert_eq!(rig.adopt(topology(2, &[(X, 2, Some(B), &[])])), "r>B/6");
    rig.answer(B, "r", moved(2, Some(B)));
    assert_eq!(rig.wait(1), "r>B/7", "and the pauses begin anew");
}

#[test]
fn a_topology_that_says_nothing_new_of_the_slot_does_not_end_its_pause() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.read("r");
    rig.answer(A, "r", moved(1, Some(A)));
    assert_eq!(rig.adopt(topology(2, &[(X, 1, Some(A), &[B])])), "");
    assert_eq!(rig.wait(1), "r>A/2");
}

#[test]
fn nothing_is_sent_whose_deadline_has_come() {
    let mut rig = Rig::new(settings(), &[]);
    rig.write("w1");
    rig.write("w2");
    rig.now += Duration::from_millis(4_000);
    rig.write("w3");
    rig.now += Duration::from_millis(1_000);
    assert_eq!(rig.up(A), "w1=no-copy w2=no-copy w3>A/1");
}

#[test]
fn the_next_timeout_is_the_earliest_deadline() {
    let mut rig = Rig::new(settings(), &[A]);
    assert_eq!(rig.router.next_timeout(), None);
    let first = rig.now + settings().patience;
    rig.write("w1");
    rig.now += Duration::from_millis(10);
    rig.write("w2");
    assert_eq!(rig.router.next_timeout(), Some(first));
    rig.done(A, "w1");
    assert_eq!(rig.router.next_timeout(), Some(first + Duration::from_millis(10)));
    rig.done(A, "w2");
    assert_eq!(rig.router.next_timeout(), None);
}

#[test]
fn time_that_runs_backwards_changes_nothing() {
    let mut rig = Rig::new(settings(), &[A]);
    let deadline = rig.now + settings().patience;
    rig.write("w1");
    rig.now -= Duration::from_secs(50);
    rig.write("w2");
    rig.done(A, "w1");
    assert_eq!(rig.router.next_timeout(), Some(deadline));
}

#[test]
fn the_end_of_one_request_lets_none_be_sent_that_ends_with_it() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.write("w1");
    rig.write("w2");
    assert_eq!(rig.answer(A, "w2", moved(2, Some(B))), "want w1>B/2? w2>B/2?");
    assert_eq!(rig.answer(B, "w1", moved(3, Some(A))), "want", "A owes an answer for w1");
    assert_eq!(rig.wait(5_000), "w1=unknown w2=unknown");
}

#[test]
fn what_has_ended_makes_room_in_its_slot() {
    let mut rig = Rig::new(Settings { queued_per_slot_max: 2, ..settings() }, &[]);
    rig.write("w1");
    rig.wait(1_000);
    rig.write("w2");
    assert_eq!(rig.write("w3"), "w3=overloaded");
    assert_eq!(rig.wait(4_000), "w1=no-copy");
    assert_eq!(rig.write("w4"), "");
    assert_eq!(rig.up(A), "w2>A/1 w4>A/1");
}
