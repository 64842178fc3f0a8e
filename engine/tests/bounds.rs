//! A slot whose copy never acknowledges fills up, and the others of its node are served.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use memtide_engine::{Host, HostConfig, Moment, NodeCounters, Outlets};
use memtide_engine_core::Now;
use memtide_engine_core::replication::{
    Message, Position, ProxyLink, ReplicationSettings, Report, SlotMessage,
};
use memtide_topology::{
    Answer, CacheId, CopyConfig, Epoch, HashSeed, NodeId, NodeInfo, SlotConfig, SlotId, Topology,
    Zone,
};
use memtide_wire::{Ask, Frame, NodeWords, Reach, Reply, encode_words};

const SEED: HashSeed = HashSeed::new(3, 4);
const EPOCH: Epoch = Epoch::new(5);
const ME: NodeId = NodeId::new(1);
const COPY: NodeId = NodeId::new(2);
const FRAME_BYTES_MAX: usize = 1 << 24;

/// What a node says.
#[derive(Default)]
struct Heard {
    answers: BTreeMap<u64, Answer<Vec<u8>>>,
    /// The last version that was sent to the copy.
    version: u64,
}

impl Outlets for Heard {
    fn now(&mut self) -> Duration {
        Duration::from_secs(1)
    }

    fn to_node(&mut self, _: NodeId, words: &NodeWords) {
        if let NodeWords::Message(Message::Slot(_, SlotMessage::Entries { entries, .. })) = words {
            self.version = entries.last().unwrap().position.version;
        }
    }

    fn queued_bytes(&self, _: NodeId) -> Option<usize> {
        Some(0)
    }

    fn to_proxy(&mut self, _: ProxyLink, reply: &Reply<'_>) {
        let answer = match reply.answer {
            Answer::Done { outcome, version } => Answer::Done { outcome: outcome.into(), version },
            Answer::Moved { epoch, primary, may_be_done } => {
                Answer::Moved { epoch, primary, may_be_done }
            }
            Answer::Unknown => Answer::Unknown,
        };
        self.answers.insert(reply.number, answer);
    }

    fn report(&mut self, _: Report) {}
}

/// A node with a slot that has a copy, which says nothing but where it is, and one that has none.
struct Rig {
    host: Host,
    heard: Heard,
    copied: SlotId,
    lone: SlotId,
    last: u64,
}

impl Rig {
    fn new() -> Self {
        let [copied, lone] = [b"one".as_slice(), b"other"].map(|key| SlotId::of(SEED.hash(key)));
        let topology = Arc::new(topology(copied, lone));
        let config = HostConfig {
            node: ME,
            memory_max: 256 << 20,
            memory_capacity: 256 << 20,
            item_size_max: 1 << 20,
            replication: ReplicationSettings::default(),
        };
        let host = Host::new(config, &topology, Arc::new(NodeCounters::default()));
        let mut rig = Self { host, heard: Heard::default(), copied, lone, last: 0 };
        rig.host.adopt(at(), topology, &mut rig.heard);
        rig.host.node_up(at(), COPY, &mut rig.heard);
        rig.say(Message::Hello { adopted: EPOCH });
        let position = Some(Position::EMPTY);
        let opened = SlotMessage::Opened { epoch: EPOCH, since: EPOCH, position };
        rig.say(Message::Slot(copied, opened));
        assert!(rig.host.replication().is_serving(copied));
        assert!(rig.host.replication().is_serving(lone));
        rig
    }

    /// The copy says something.
    fn say(&mut self, message: Message) {
        let mut bytes = Vec::new();
        encode_words(&mut bytes, &NodeWords::Message(message));
        let (frame, _) = Frame::split(&bytes, FRAME_BYTES_MAX).unwrap().unwrap();
        self.host.hear(at(), COPY, &frame, &mut self.heard).unwrap();
    }

    /// Asks, in a round of its own; gives what is answered at once.
    fn ask(&mut self, key: &str, command: &[u8]) -> Option<Answer<Vec<u8>>> {
        self.last += 1;
        let number = self.last;
        let ask = Ask {
            number,
            reach: Reach::Primary,
            hash: SEED.hash(key.as_bytes()),
            epoch: EPOCH,
            round: u32::try_from(number).unwrap(),
            seen: 0,
            answered: 0,
            is_retry: false,
            command,
        };
        self.host.asked(at(), (1, 9), &ask, &mut self.heard);
        self.heard.answers.get(&number).cloned()
    }

    fn set(&mut self, key: &str, bytes: usize) -> Option<Answer<Vec<u8>>> {
        let value = "v".repeat(bytes);
        self.ask(key, format!("set {key} 0 0 {bytes}\r\n{value}\r\n").as_bytes())
    }
}

fn at() -> Moment {
    Moment { now: Duration::from_secs(1), wall: Now::from_unix_secs(1_700_000_000) }
}

fn topology(copied: SlotId, lone: SlotId) -> Topology {
    let mut parts = Topology::new(CacheId::default(), SEED, 1).unwrap().into_parts();
    parts.epoch = EPOCH;
    let info = |number| NodeInfo {
        address: format!("n{number}:1"),
        zone: Zone::new("a").unwrap(),
        memory_max: 256 << 20,
        is_draining: false,
    };
    parts.nodes = [(ME, info(1)), (COPY, info(2))].into();
    let copies = [vec![CopyConfig { node: COPY, since: EPOCH, is_in_sync: true }], vec![]];
    for (slot, copies) in [copied, lone].into_iter().zip(copies) {
        let config = SlotConfig { epoch: EPOCH, born: EPOCH, primary: Some(ME), copies };
        parts.slots[usize::from(slot.number())] = Arc::new(config);
    }
    Topology::from_parts(parts).unwrap()
}

#[test]
fn a_slot_whose_copy_never_acknowledges_fills_up_alone() {
    let settings = ReplicationSettings::default();
    for (value_bytes, requests_max) in [(1, settings.waiting_per_slot_max), (100_000, 200)] {
        let mut rig = Rig::new();
        let mut waiting = 0;
        let refused = loop {
            match rig.set("one", value_bytes) {
                None => waiting += 1,
                Some(refused) => break refused,
            }
            assert!(waiting <= requests_max, "it takes more and more of {value_bytes} bytes");
        };
        let again = Answer::Moved { epoch: EPOCH, primary: Some(ME), may_be_done: false };
        assert_eq!(refused, again, "it is to be tried again");
        assert!(waiting > 100, "{waiting}");
        let stored = rig.set("other", value_bytes);
        assert!(matches!(stored, Some(Answer::Done { .. })), "{stored:?}");

        let version = rig.heard.version;
        rig.say(Message::Slot(rig.copied, SlotMessage::Ack { epoch: EPOCH, version }));
        let told =
            rig.heard.answers.values().filter(|answer| matches!(answer, Answer::Done { .. }));
        assert_eq!(told.count(), waiting + 1, "what waited is answered");
        assert_eq!(rig.set("one", value_bytes), None, "there is room again");
        assert!(rig.host.replication().is_serving(rig.lone));
    }
}

/// Reads wait for the write that they saw, and their replies take more than any write did.
#[test]
fn replies_that_wait_are_bounded_by_slot() {
    let mut rig = Rig::new();
    assert_eq!(rig.set("one", 1_000_000), None);
    let mut waiting = 0;
    while rig.ask("one", b"get one\r\n").is_none() {
        waiting += 1;
        assert!(waiting < 32, "it takes more and more");
    }
    assert!(waiting > 8, "{waiting}");
    assert!(matches!(rig.set("other", 1), Some(Answer::Done { .. })));
    let other = rig.ask("other", b"get other\r\n");
    assert!(matches!(other, Some(Answer::Done { .. })), "{other:?}");
}
