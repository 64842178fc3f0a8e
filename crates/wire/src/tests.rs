#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use core::time::Duration;
use std::sync::Arc;

use memtide_engine_core::replication::{Entry, Message, Position, Receipt, Record, SlotMessage};
use memtide_topology::{
    Answer, CacheId, Epoch, KeyHash, NodeId, RequestId, SLOTS, SlotId, Topology,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

mod golden;
mod versions;

const MAX: usize = 1 << 20;

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch::new)
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), any::<u64>()).prop_map(|(epoch, version)| Position { epoch, version })
}

fn bytes() -> impl Strategy<Value = Arc<[u8]>> {
    vec(any::<u8>(), 0..40).prop_map(Into::into)
}

fn id() -> impl Strategy<Value = RequestId> {
    any::<(u64, u64)>().prop_map(|(client, number)| RequestId { client, number })
}

fn entry() -> impl Strategy<Value = Arc<Entry>> {
    let receipt = (id(), any::<u64>(), proptest::option::of(bytes()));
    let receipt = receipt.prop_map(|(id, answered, outcome)| Receipt { id, answered, outcome });
    (position(), bytes(), proptest::option::of(receipt))
        .prop_map(|(position, change, request)| Arc::new(Entry { position, change, request }))
}

fn record() -> impl Strategy<Value = Record> {
    (id(), any::<u64>(), proptest::option::of(bytes())).prop_map(|(id, version, outcome)| Record {
        id,
        version,
        outcome,
    })
}

fn slot_message() -> impl Strategy<Value = SlotMessage> {
    let known = (epoch(), epoch(), proptest::option::of(position()));
    prop_oneof![
        epoch().prop_map(|epoch| SlotMessage::Open { epoch }),
        epoch().prop_map(|epoch| SlotMessage::Deposed { epoch }),
        known.prop_map(|(epoch, since, position)| SlotMessage::Opened { epoch, since, position }),
        (epoch(), position(), vec(entry(), 0..5))
            .prop_map(|(epoch, after, entries)| SlotMessage::Entries { epoch, after, entries }),
        (epoch(), any::<u64>()).prop_map(|(epoch, version)| SlotMessage::Ack { epoch, version }),
        (epoch(), any::<u64>())
            .prop_map(|(epoch, version)| SlotMessage::CopyTaken { epoch, version }),
        (epoch(), position()).prop_map(|(epoch, at)| SlotMessage::CopyBegins { epoch, at }),
        (epoch(), position())
            .prop_map(|(epoch, position)| SlotMessage::Consent { epoch, position }),
        (epoch(), bytes()).prop_map(|(epoch, items)| SlotMessage::CopyItems { epoch, items }),
        (epoch(), vec(record(), 0..5), any::<u64>()).prop_map(|(epoch, records, forgotten)| {
            SlotMessage::CopyEnds { epoch, records, forgotten }
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let beacon = || (any::<u64>().prop_map(Duration::from_nanos), epoch());
    let slot = (0..SLOTS).prop_map(|number| SlotId::new(number).unwrap());
    prop_oneof![
        epoch().prop_map(|adopted| Message::Hello { adopted }),
        Just(Message::Topology(Arc::new(Topology::empty()))),
        beacon().prop_map(|(sent, adopted)| Message::Beacon { sent, adopted }),
        (beacon(), any::<u64>()).prop_map(|((sent, adopted), reads)| {
            let reads = Duration::from_nanos(reads);
            Message::BeaconAck { sent, adopted, reads }
        }),
        (slot, slot_message()).prop_map(|(slot, message)| Message::Slot(slot, message)),
    ]
}

fn answer(outcome: &[u8]) -> impl Strategy<Value = Answer<&[u8]>> {
    let primary = proptest::option::of(any::<u64>().prop_map(NodeId::new));
    let moved = (epoch(), primary, any::<bool>())
        .prop_map(|(epoch, primary, may_be_done)| Answer::Moved { epoch, primary, may_be_done });
    prop_oneof![
        any::<u64>().prop_map(move |version| Answer::Done { outcome, version }),
        moved,
        Just(Answer::Unknown),
    ]
}

/// The only frame of these bytes.
fn only(bytes: &[u8]) -> Frame<'_> {
    let (frame, rest) = Frame::split(bytes, MAX).unwrap().unwrap();
    assert!(rest.is_empty());
    frame
}

proptest! {
    #[test]
    fn a_message_arrives_as_it_was_sent(message in message()) {
        let mut bytes = Vec::new();
        encode_message(&mut bytes, &message);
        prop_assert_eq!(decode_message(&only(&bytes)), Ok(message));
    }

    #[test]
    fn pressure_arrives_as_it_was_sent(bytes in any::<u64>()) {
        let words = NodeWords::Pressure { bytes };
        let mut sent = Vec::new();
        encode_words(&mut sent, &words);
        let frame = only(&sent);
        prop_assert_eq!(decode_words(&frame), Ok(words));
        let body = &frame.body[1..];
        prop_assert_eq!(decode_words(&Frame { body, ..frame }), Err(WireError::Cut("bytes")));
    }

    #[test]
    fn a_message_that_is_cut_or_goes_on_is_refused(message in message(), cut in any::<u16>()) {
        let mut bytes = Vec::new();
        encode_message(&mut bytes, &message);
        let Frame { kind, body } = only(&bytes);
        let is_open_ended = matches!(message, Message::Slot(_, SlotMessage::CopyItems { .. }));
        if !is_open_ended {
            let short = &body[..usize::from(cut) % body.len()];
            let long = [body, b"x"].concat();
            for body in [short, &long] {
                let read = decode_message(&Frame { kind, body });
                prop_assert!(read.is_err(), "{:?}", read);
            }
        }
    }

    #[test]
    fn no_bytes_of_a_peer_panic(bytes in vec(any::<u8>(), 0..200), kind in any::<u8>()) {
        let frame = Frame { kind, body: &bytes };
        let _ = (decode_message(&frame), decode_ask(&frame), decode_reply(&frame));
        let _ = Greeting::decode(&frame);
        let _ = (Frame::split(&bytes, MAX), Preface::decode(&bytes));
    }

    #[test]
    fn a_request_and_its_answer_arrive_as_they_were_sent(
        (number, seen, answered, hash) in any::<(u64, u64, u64, u64)>(),
        (epoch, round, is_retry) in (epoch(), any::<u32>(), any::<bool>()),
        reach in prop_oneof![Just(Reach::Primary), Just(Reach::Copy), Just(Reach::Node)],
        answer in answer(b"STORED\r\n"),
    ) {
        let hash = KeyHash::from_bits(hash);
        let command = b"set k 0 0 1\r\nv\r\n".as_slice();
        let ask = Ask { number, reach, hash, epoch, round, seen, answered, is_retry, command };
        let mut bytes = Vec::new();
        encode_ask(&mut bytes, &ask);
        prop_assert_eq!(decode_ask(&only(&bytes)), Ok(ask));
        bytes.clear();
        let reply = Reply { number, answer };
        encode_reply(&mut bytes, &reply);
        prop_assert_eq!(decode_reply(&only(&bytes)), Ok(reply));
    }

    /// However the bytes happen to come.
    #[test]
    fn frames_follow_each_other(messages in vec(message(), 1..6), part in 1_usize..50) {
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| encode_message(&mut bytes, message));
        let (mut come, mut got) = (Vec::new(), Vec::new());
        for part in bytes.chunks(part) {
            come.extend_from_slice(part);
            let mut rest = come.as_slice();
            while let Some((frame, behind)) = Frame::split(rest, MAX).unwrap() {
                got.push(decode_message(&frame).unwrap());
                rest = behind;
            }
            come = rest.to_vec();
        }
        prop_assert!(come.is_empty());
        prop_assert_eq!(got, messages);
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_by_its_header() {
    let header = 1_000_u32.to_le_bytes();
    assert_eq!(frame_len(&header, 1_004), Ok(Some(1_004)));
    assert_eq!(frame_len(&header[..3], 1_003), Ok(None));
    assert_eq!(frame_len(&header, 1_003), Err(WireError::TooLong { len: 1_004, max: 1_003 }));
    assert_eq!(frame_len(&[0; 4], 1_003), Err(WireError::Empty));
}

/// What a count announces costs nothing before it has come.
#[test]
fn a_count_beyond_the_frame_is_refused() {
    let mut bytes = Vec::new();
    let slot = SlotId::new(3).unwrap();
    let records = SlotMessage::CopyEnds { epoch: Epoch::ZERO, records: vec![], forgotten: 0 };
    encode_message(&mut bytes, &Message::Slot(slot, records));
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(decode_message(&only(&bytes)), Err(WireError::Cut("records")));
}

fn preface() -> Preface {
    let cache = CacheId::new("sessions").unwrap();
    let preface = Preface::new(Peer::Node(NodeId::new(7)), cache, Versions { min: 1, max: 2 });
    Preface { leaves_tls: true, ..preface }
}

#[test]
fn a_preface_is_understood_however_it_comes() {
    let mut bytes = Vec::new();
    preface().encode(&mut bytes);
    assert!(bytes.len() <= PREFACE_BYTES_MAX);
    for len in 0..bytes.len() {
        assert_eq!(Preface::decode(&bytes[..len]), Ok(None), "{len} bytes");
    }
    bytes.push(b'x');
    assert_eq!(Preface::decode(&bytes), Ok(Some((preface(), bytes.len() - 1))));
}

#[test]
fn who_speaks_something_else_is_refused_at_once() {
    for bytes in [b"get k\r\n".as_slice(), b"\x16\x03\x01", b"memtidal wave"] {
        assert_eq!(Preface::decode(bytes), Err(PrefaceError::Foreign));
    }
    let mut bytes = Vec::new();
    preface().encode(&mut bytes);
    bytes[12] = 9;
    assert_eq!(Preface::decode(&bytes), Err(PrefaceError::Role(9)));
}
