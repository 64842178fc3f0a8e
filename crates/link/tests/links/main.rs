//! Links over real TLS on the loopback interface.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod local;
mod rig;
mod versions;

use std::cell::RefCell;
use std::rc::Rc;

use memtide_link::{Bounds, Link, LinkEnd, LinkError, Outbox};
use memtide_wire::{PrefaceError, WireError, frame_len};
use tokio::io::AsyncWriteExt as _;

use rig::{BOUNDS, Rig, frame, node, proxy};

/// Takes whole frames and notes their bodies.
fn noting(
    notes: &Rc<RefCell<Vec<Vec<u8>>>>,
) -> impl FnMut(&[u8]) -> Result<usize, WireError> + use<> {
    let notes = Rc::clone(notes);
    move |bytes| {
        let mut at = 0;
        while let Some(len) = frame_len(&bytes[at..], BOUNDS.frame_bytes_max)?
            && at + len <= bytes.len()
        {
            notes.borrow_mut().push(bytes[at + 4..at + len].to_vec());
            at += len;
        }
        Ok(at)
    }
}

#[tokio::test]
async fn frames_go_both_ways() {
    for (near, far) in Rig::new().linked_either_way().await {
        let (node, proxy) = (node(7).preface.peer, proxy(3).preface.peer);
        assert_eq!((near.peer().peer, far.peer().peer), (node, proxy));
        assert_eq!((near.peer_certificates().len(), far.peer_certificates().len()), (1, 1));
        ask_and_answer(near, far).await;
    }
}

/// Both begin to speak as soon as there is a link.
async fn ask_and_answer(near: Link, far: Link) {
    let (asks, replies) = (Outbox::new(1 << 20), Outbox::new(1 << 20));
    let (heard, answered) = (Rc::default(), Rc::default());
    for body in [&b"one"[..], b"two", &[7; 200_000]] {
        asks.push(|out| frame(out, body));
    }
    replies.push(|out| frame(out, b"welcome"));
    let mut note = noting(&heard);
    let answer = |bytes: &[u8]| {
        let taken = note(bytes)?;
        heard.borrow_mut().drain(..).for_each(|body| replies.push(|out| frame(out, &body)));
        Ok(taken)
    };
    let mut note = noting(&answered);
    let finish = |bytes: &[u8]| {
        let taken = note(bytes)?;
        if answered.borrow().len() == 4 {
            asks.finish();
        }
        Ok(taken)
    };
    let (end, far_end) =
        tokio::join!(near.run(BOUNDS, &asks, finish), far.run(BOUNDS, &replies, answer));
    assert_eq!((end, far_end), (LinkEnd::Ours, LinkEnd::Closed));
    let expected = [b"welcome".to_vec(), b"one".to_vec(), b"two".to_vec(), vec![7; 200_000]];
    assert_eq!(*answered.borrow(), expected);
    assert!(asks.is_closed() && replies.is_closed(), "nobody pushes to a link that has ended");
}

#[tokio::test]
async fn what_is_pushed_to_an_idle_link_goes_out() {
    let (near, far) = Rig::new().linked().await;
    let (outbox, unused) = (Outbox::new(1 << 20), Outbox::new(1 << 20));
    let heard = Rc::default();
    let mut note = noting(&heard);
    let until_heard = |bytes: &[u8]| {
        let taken = note(bytes)?;
        unused.finish();
        Ok(taken)
    };
    let push_later = async {
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        outbox.push(|out| frame(out, b"late"));
    };
    let (.., end) = tokio::join!(
        push_later,
        near.run(BOUNDS, &outbox, |_| Ok(0)),
        far.run(BOUNDS, &unused, until_heard)
    );
    assert_eq!(end, LinkEnd::Ours);
    assert_eq!(*heard.borrow(), [b"late".to_vec()]);
}

#[tokio::test]
async fn a_foreign_peer_is_refused() {
    let rig = Rig::new();
    let (socket, accepted) = rig.sockets().await;
    let foreign = rig.say(socket, b"GET / HTTP/1.1\r\n\r\n".to_vec());
    let refused = rig.accept(accepted, &node(7)).await;
    assert_eq!(refused.unwrap_err(), LinkError::Preface(PrefaceError::Foreign));
    foreign.join().unwrap();
    let (mut socket, accepted) = rig.sockets().await;
    socket.write_all(b"get k\r\n").await.unwrap();
    let refused = rig.accept(accepted, &node(7)).await.unwrap_err();
    assert!(matches!(refused, LinkError::Tls(_)), "{refused:?}");
}

#[tokio::test]
async fn a_peer_with_the_wrong_name_or_no_certificate_is_refused() {
    let rig = Rig::new();
    let (near, _) = rig.handshake_as("scaler.memtide").await;
    assert!(matches!(near.unwrap_err(), LinkError::Tls(_)));
    let anonymous = Rig { client: rig.anonymous(), ..rig };
    for (_, far) in [
        anonymous.handshake(&proxy(3), &node(7)).await,
        anonymous.handshake_locally(&proxy(3), &node(7)).await,
    ] {
        assert!(matches!(far.unwrap_err(), LinkError::Tls(_)));
    }
}

#[tokio::test]
async fn a_peer_that_never_finishes_its_preface_is_given_up() {
    let rig = Rig::new();
    let (socket, accepted) = rig.sockets().await;
    let (_silent, silently_accepted) = rig.sockets().await;
    let mut preface = Vec::new();
    proxy(3).preface.encode(&mut preface);
    preface.pop();
    let slow = rig.say(socket, preface);
    let me = node(7);
    let (slowly, silently) =
        tokio::join!(rig.accept(accepted, &me), rig.accept(silently_accepted, &me));
    assert_eq!(slowly.unwrap_err(), LinkError::Slow);
    assert_eq!(silently.unwrap_err(), LinkError::Slow);
    slow.join().unwrap();
}

#[tokio::test]
async fn a_frame_beyond_the_maximum_ends_the_link() {
    let (near, far) = Rig::new().linked().await;
    let (outbox, unused) = (Outbox::new(1 << 30), Outbox::new(1 << 20));
    let too_long = BOUNDS.frame_bytes_max + 1;
    outbox.push(|out| frame(out, &vec![0; too_long - 4]));
    let notes = Rc::default();
    let (_, end) = tokio::join!(
        near.run(BOUNDS, &outbox, |_| Ok(0)),
        far.run(BOUNDS, &unused, noting(&notes))
    );
    let (len, max) = (too_long as u64, BOUNDS.frame_bytes_max as u64);
    assert_eq!(end, LinkEnd::Wire(WireError::TooLong { len, max }));
}

/// A peer that reads nothing: what waits for it is bounded.
#[tokio::test]
async fn an_outbox_over_its_maximum_ends_the_link() {
    for (near, far) in Rig::new().linked_either_way().await {
        let outbox = Outbox::new(8 << 20);
        let fill = async {
            while !outbox.is_closed() {
                assert!(outbox.queued_bytes() <= 8 << 20);
                outbox.push(|out| frame(out, &[0; 100_000]));
                tokio::task::yield_now().await;
            }
        };
        let ((), end) = tokio::join!(fill, near.run(BOUNDS, &outbox, |_| Ok(0)));
        assert!(matches!(end, LinkEnd::Overflow(bytes) if bytes > 8 << 20), "{end:?}");
        drop(far);
    }
}

/// A peer that asks and does not read the answers is not listened to; once it reads, it gets all.
#[tokio::test]
async fn who_does_not_take_answers_is_not_listened_to() {
    let (near, far) = Rig::new().linked().await;
    let bounds = Bounds { unsent_bytes_max: 1 << 20, ..BOUNDS };
    let (asks, replies) = (Outbox::new(1 << 30), Outbox::new(2 << 20));
    for _ in 0..200 {
        asks.push(|out| frame(out, b"100 KB please"));
    }
    let answer = |bytes: &[u8]| {
        let mut at = 0;
        while let Some(len) = frame_len(&bytes[at..], BOUNDS.frame_bytes_max)?
            && at + len <= bytes.len()
            && replies.queued_bytes() < bounds.unsent_bytes_max
        {
            replies.push(|out| frame(out, &[0; 100_000]));
            at += len;
        }
        Ok(at)
    };
    let notes = Rc::default();
    let mut note = noting(&notes);
    let read_all = |bytes: &[u8]| {
        let taken = note(bytes)?;
        if notes.borrow().len() == 200 {
            asks.finish();
        }
        Ok(taken)
    };
    let (_, end) =
        tokio::join!(near.run(BOUNDS, &asks, read_all), far.run(bounds, &replies, answer));
    assert_eq!(end, LinkEnd::Closed);
    assert_eq!(notes.borrow().len(), 200);
}

#[tokio::test]
async fn a_link_that_is_closed_takes_nothing_more() {
    let (near, far) = Rig::new().linked().await;
    let (outbox, closed) = (Outbox::new(1 << 20), Outbox::new(1 << 20));
    outbox.push(|out| frame(out, b"too late"));
    closed.close();
    let never = |_: &[u8]| -> Result<usize, WireError> { panic!("the link was closed before") };
    let (end, far_end) =
        tokio::join!(near.run(BOUNDS, &outbox, |_| Ok(0)), far.run(BOUNDS, &closed, never));
    assert_eq!((end, far_end), (LinkEnd::Closed, LinkEnd::Ours));
}
