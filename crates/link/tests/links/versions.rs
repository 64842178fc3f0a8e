//! Links between processes of several versions.

use std::time::Duration;

use memtide_link::{Link, LinkError};
use memtide_wire::{Frame, Greeting, PrefaceError, Versions, WireError};

use crate::rig::{Rig, node, proxy, speaking};

const RANGES: [(u16, u16); 3] = [(1, 1), (1, 2), (2, 2)];

/// Between hosts, and within one: there TLS is left behind what the version has.
#[tokio::test]
async fn each_two_that_share_a_version_speak_the_newest_of_them() {
    let rig = Rig::new();
    for (ours, theirs) in RANGES.iter().flat_map(|ours| RANGES.map(|theirs| (ours, theirs))) {
        let near = speaking(ours.0, ours.1, proxy(3));
        let far = speaking(theirs.0, theirs.1, node(7));
        let [over_tcp, locally] =
            [rig.handshake(&near, &far).await, rig.handshake_locally(&near, &far).await];
        for (near, far) in [over_tcp, locally] {
            if ours.1.min(theirs.1) < ours.0.max(theirs.0) {
                assert_refused(near.unwrap_err(), *ours, theirs);
                assert_refused(far.unwrap_err(), theirs, *ours);
                continue;
            }
            let (near, far): (Link, Link) = (near.unwrap(), far.unwrap());
            let newest = ours.1.min(theirs.1);
            assert_eq!((near.version(), far.version()), (newest, newest), "{ours:?}, {theirs:?}");
            crate::ask_and_answer(near, far).await;
        }
    }
}

fn assert_refused(error: LinkError, ours: (u16, u16), theirs: (u16, u16)) {
    let of = |(min, max)| Versions { min, max };
    let expected = PrefaceError::Versions { theirs: of(theirs), ours: of(ours) };
    assert_eq!(error, LinkError::Preface(expected));
}

/// Both see it, and say so, before anything else is said.
#[tokio::test]
async fn one_of_another_fleet_is_refused_by_both_where_both_can_know() {
    let rig = Rig::new();
    let mut stranger = node(7);
    stranger.greeting = Greeting { fleet: 6 };
    for (near, far) in [
        rig.handshake(&proxy(3), &stranger).await,
        rig.handshake_locally(&proxy(3), &stranger).await,
    ] {
        assert_eq!(near.unwrap_err(), LinkError::Fleet { theirs: 6, ours: 5 });
        let far = far.unwrap_err();
        assert_eq!(far, LinkError::Fleet { theirs: 5, ours: 6 });
        let expected =
            "the peer is of the fleet 0000000000000005, this process of 0000000000000006";
        assert_eq!(far.to_string(), expected);
    }
    let (near, far) = rig.handshake(&speaking(1, 1, proxy(3)), &stranger).await;
    assert_eq!((near.unwrap().version(), far.unwrap().version()), (1, 1));
    let mut new = proxy(3);
    new.greeting = Greeting { fleet: 0 };
    let (near, far) = rig.handshake(&new, &stranger).await;
    assert_eq!((near.unwrap().version(), far.unwrap().version()), (2, 2));
}

/// What it sends in the place of a greeting is none, or is none yet.
#[tokio::test]
async fn one_that_does_not_greet_as_its_version_has_it_is_refused() {
    let rig = Rig::new();
    let mut greeting = Vec::new();
    Greeting { fleet: 5 }.encode(&mut greeting);
    let (frame, _) = Frame::split(&greeting, 99).unwrap().unwrap();
    let ask = [&9_u32.to_le_bytes()[..], &[1], frame.body].concat();
    let long = 100_u32.to_le_bytes().to_vec();
    let too_long = WireError::TooLong { len: 104, max: Greeting::BYTES_MAX as u64 };
    for (words, expected) in
        [(ask, WireError::Kind(1)), (long, too_long), (vec![0; 4], WireError::Empty)]
    {
        let (socket, accepted) = rig.sockets().await;
        let mut said = Vec::new();
        proxy(3).preface.encode(&mut said);
        said.extend_from_slice(&words);
        let other = rig.say(socket, said);
        let me = node(7);
        let refused = tokio::time::timeout(Duration::from_secs(60), rig.accept(accepted, &me));
        assert_eq!(refused.await.unwrap().unwrap_err(), LinkError::Wire(expected));
        other.join().unwrap();
    }
}
