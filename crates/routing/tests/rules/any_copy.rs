//! Reads of any copy, and requests to a node.

use memtide_routing::{Kind, Settings};
use memtide_topology::{NodeId, Zone};

use crate::rig::{A, B, C, Rig, X, moved, settings, topology};

/// A is in zone z1, B in z2, C in z3.
#[test]
fn the_nearest_connected_copy_is_asked() {
    fn check(zone: &str, connected: &[NodeId], primary: NodeId, copies: &[NodeId], to: &str) {
        let settings = Settings { zone: Zone::new(zone), ..settings() };
        let mut rig = Rig::new(settings, connected);
        rig.adopt(topology(2, &[(X, 2, Some(primary), copies)]));
        assert_eq!(rig.submit(Kind::ReadAnyCopy, X, "r"), to, "{zone} {connected:?} {copies:?}");
    }
    check("z1", &[A, B, C], B, &[A, C], "r>A/0");
    check("z1", &[A, B, C], A, &[B, C], "r>A/0");
    check("z1", &[B, C], B, &[A, C], "r>C/0");
    check("z1", &[B], B, &[A, C], "r>B/0");
    check("z9", &[A, B, C], A, &[C], "r>C/0");
    check("z9", &[A, B, C], A, &[], "r>A/0");
    check("z1", &[], A, &[], "");
}

#[test]
fn a_copy_that_refuses_is_followed_by_the_primary_at_once() {
    let mut rig = Rig::new(settings(), &[A, B]);
    rig.adopt(topology(2, &[(X, 2, Some(B), &[A])]));
    assert_eq!(rig.submit(Kind::ReadAnyCopy, X, "r"), "r>A/0");
    assert_eq!(rig.answer(A, "r", moved(1, Some(A))), "r>B/0");
    assert_eq!(rig.answer(B, "r", moved(2, Some(B))), "", "then with pauses");
    assert_eq!(rig.wait(1), "r>B/0");
    assert_eq!(rig.answer(B, "r", moved(3, Some(A))), "want r>A/0", "or at once with news");
    assert_eq!(rig.done(A, "r"), "r=ok");
}

#[test]
fn a_lost_copy_is_followed_by_the_next_nearest() {
    let mut rig = Rig::new(settings(), &[A, B, C]);
    rig.adopt(topology(2, &[(X, 2, Some(B), &[A, C])]));
    rig.submit(Kind::ReadAnyCopy, X, "r");
    assert_eq!((rig.down(A), rig.wait(1)), (String::new(), "r>C/0".to_owned()));
}

#[test]
fn it_waits_for_a_copy_that_is_connected() {
    let mut rig = Rig::new(settings(), &[]);
    assert_eq!(rig.submit(Kind::ReadAnyCopy, X, "r"), "");
    assert_eq!(rig.submit(Kind::ReadAnyCopy, X, "s"), "");
    assert_eq!(rig.up(A), "r>A/0 s>A/0");
    rig.down(A);
    rig.up(B);
    rig.wait(1);
    assert_eq!(rig.adopt(topology(2, &[(X, 2, Some(C), &[B])])), "r>B/0 s>B/0");
}

#[test]
fn a_request_to_a_node_goes_there_or_nowhere() {
    let mut rig = Rig::new(settings(), &[A, B]);
    assert_eq!(rig.submit_to(C, "f0"), "f0=unavailable");
    assert_eq!(rig.submit_to(B, "f1"), "f1>B/0");
    assert_eq!(rig.done(B, "f1"), "f1=ok");
    assert_eq!((rig.submit_to(B, "f2"), rig.down(B)), ("f2>B/0".into(), "f2=unknown".into()));
    rig.up(B);
    assert_eq!((rig.submit_to(B, "f3"), rig.wait(1)), ("f3>B/0".into(), String::new()));
    assert_eq!(rig.answer(B, "f3", moved(9, Some(A))), "f3=unavailable");
}
