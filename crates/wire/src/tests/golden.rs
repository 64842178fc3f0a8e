//! What versions 1 and 2 are, byte for byte: a program that writes or reads something else does not speak them.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;

/// A line for each: its name, and its bytes.
fn check(frames: &[(&str, Vec<u8>)], expected: Expect) {
    let mut text = String::new();
    for (name, bytes) in frames {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{name} {hex}").unwrap();
    }
    expected.assert_eq(&text);
}

fn words(words: &NodeWords) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_words(&mut bytes, words);
    assert_eq!(decode_words(&only(&bytes)).as_ref(), Ok(words));
    bytes
}

fn message(message: Message) -> Vec<u8> {
    words(&NodeWords::Message(message))
}

fn slot(message_of_slot: SlotMessage) -> Vec<u8> {
    message(Message::Slot(SlotId::new(0x1234).unwrap(), message_of_slot))
}

const EPOCH: Epoch = Epoch::new(0x0a0b);
const AT: Position = Position { epoch: Epoch::new(9), version: 0x0c0d };
const ID: RequestId = RequestId { client: 0x1111_2222, number: 0x33 };

#[test]
fn prefaces_and_greetings() {
    let encoded = |preface: Preface| {
        let mut bytes = Vec::new();
        preface.encode(&mut bytes);
        bytes
    };
    let proxy = Peer::Proxy(0x0102_0304);
    let proxy = Preface::new(proxy, CacheId::default(), Versions { min: 1, max: 1 });
    let mut greeting = Vec::new();
    Greeting { fleet: 0x0123_4567_89ab_cdef }.encode(&mut greeting);
    check(
        &[("node", encoded(preface())), ("proxy", encoded(proxy)), ("greeting", greeting)],
        expect![[r#"
            node 6d656d746964650a01000200020700000000000000010873657373696f6e73
            proxy 6d656d746964650a01000100010403020100000000000764656661756c74
            greeting 0900000010efcdab8967452301
        "#]],
    );
}

#[test]
fn asks_and_replies() {
    let ask = |reach, is_retry| {
        let (hash, command) = (KeyHash::from_bits(0xfeed), b"get k\r\n".as_slice());
        let (number, epoch, round, seen, answered) = (5, EPOCH, 6, 7, 4);
        let ask = Ask { number, reach, hash, epoch, round, seen, answered, is_retry, command };
        let mut bytes = Vec::new();
        encode_ask(&mut bytes, &ask);
        assert_eq!(decode_ask(&only(&bytes)), Ok(ask));
        bytes
    };
    let reply = |answer| {
        let (reply, mut bytes) = (Reply { number: 5, answer }, Vec::new());
        encode_reply(&mut bytes, &reply);
        assert_eq!(decode_reply(&only(&bytes)), Ok(reply));
        bytes
    };
    let moved = |primary, may_be_done| reply(Answer::Moved { epoch: EPOCH, primary, may_be_done });
    check(
        &[
            ("primary", ask(Reach::Primary, false)),
            ("retry", ask(Reach::Primary, true)),
            ("copy", ask(Reach::Copy, false)),
            ("node", ask(Reach::Node, false)),
            ("done", reply(Answer::Done { outcome: b"END\r\n", version: 8 })),
            ("moved", moved(Some(NodeId::new(3)), false)),
            ("moved_nowhere", moved(None, true)),
            ("unknown", reply(Answer::Unknown)),
        ],
        expect![[r#"
            primary 3500000001000500000000000000edfe0000000000000b0a0000000000000600000007000000000000000400000000000000676574206b0d0a
            retry 3500000001010500000000000000edfe0000000000000b0a0000000000000600000007000000000000000400000000000000676574206b0d0a
            copy 3500000001020500000000000000edfe0000000000000b0a0000000000000600000007000000000000000400000000000000676574206b0d0a
            node 3500000001040500000000000000edfe0000000000000b0a0000000000000600000007000000000000000400000000000000676574206b0d0a
            done 160000000205000000000000000800000000000000454e440d0a
            moved 1b0000000305000000000000000b0a00000000000000010300000000000000
            moved_nowhere 130000000305000000000000000b0a0000000000000100
            unknown 09000000040500000000000000
        "#]],
    );
}

#[test]
fn words_of_nodes() {
    let (sent, reads) = (Duration::from_nanos(0x0102), Duration::from_nanos(0x0304));
    let topology = Arc::new(Topology::empty());
    check(
        &[
            ("hello", message(Message::Hello { adopted: EPOCH })),
            ("topology", message(Message::Topology(topology))),
            ("beacon", message(Message::Beacon { sent, adopted: EPOCH })),
            ("beacon_ack", message(Message::BeaconAck { sent, adopted: EPOCH, reads })),
            ("pressure", words(&NodeWords::Pressure { bytes: 0x0506 })),
        ],
        expect![[r#"
            hello 09000000200b0a000000000000
            topology 22000000210100000764656661756c7400000000000000000000000000000000000000000000
            beacon 110000002202010000000000000b0a000000000000
            beacon_ack 190000002302010000000000000b0a0000000000000403000000000000
            pressure 09000000240605000000000000
        "#]],
    );
}

#[test]
fn words_of_nodes_about_a_slot() {
    let (epoch, version) = (EPOCH, 0x0e0f);
    let receipt = Receipt { id: ID, answered: 2, outcome: Some(b"OK".as_slice().into()) };
    let entry =
        |change: &[u8], request| Arc::new(Entry { position: AT, change: change.into(), request });
    let entries = vec![entry(b"xy", Some(receipt)), entry(b"", None)];
    let record =
        |outcome: Option<&[u8]>| Record { id: ID, version, outcome: outcome.map(Into::into) };
    let records = vec![record(Some(b"OK".as_slice())), record(None)];
    let opened = |position| SlotMessage::Opened { epoch, since: Epoch::new(3), position };
    check(
        &[
            ("open", slot(SlotMessage::Open { epoch })),
            ("opened", slot(opened(Some(AT)))),
            ("opened_partly", slot(opened(None))),
            ("deposed", slot(SlotMessage::Deposed { epoch })),
            ("entries", slot(SlotMessage::Entries { epoch, after: AT, entries })),
            ("ack", slot(SlotMessage::Ack { epoch, version })),
            ("copy_begins", slot(SlotMessage::CopyBegins { epoch, at: AT })),
            ("copy_items", slot(SlotMessage::CopyItems { epoch, items: b"it".as_slice().into() })),
            ("copy_taken", slot(SlotMessage::CopyTaken { epoch, version })),
            ("copy_ends", slot(SlotMessage::CopyEnds { epoch, records, forgotten: 1 })),
            ("consent", slot(SlotMessage::Consent { epoch, position: AT })),
        ],
        expect![[r#"
            open 0b0000004034120b0a000000000000
            opened 240000004134120b0a00000000000003000000000000000109000000000000000d0c000000000000
            opened_partly 140000004134120b0a000000000000030000000000000000
            deposed 0b0000004234120b0a000000000000
            entries 6a0000004334120b0a00000000000009000000000000000d0c0000000000000200000009000000000000000d0c0000000000000200000078790122221111000000003300000000000000020000000000000001020000004f4b09000000000000000d0c0000000000000000000000
            ack 130000004434120b0a0000000000000f0e000000000000
            copy_begins 1b0000004534120b0a00000000000009000000000000000d0c000000000000
            copy_items 0d0000004634120b0a0000000000006974
            copy_taken 130000004734120b0a0000000000000f0e000000000000
            copy_ends 4f0000004834120b0a000000000000010000000000000002000000222211110000000033000000000000000f0e00000000000001020000004f4b222211110000000033000000000000000f0e00000000000000
            consent 1b0000004934120b0a00000000000009000000000000000d0c000000000000
        "#]],
    );
}
