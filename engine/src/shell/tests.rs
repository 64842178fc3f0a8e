#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use memtide_engine_core::replication::{Message, ReplicationSettings, SlotMessage};
use memtide_service::drain::Drain;
use memtide_service::tls::fleet::{FleetTls, Role};
use memtide_topology::{CacheId, CopyConfig, Epoch, HashSeed, NodeInfo, SlotConfig, SlotId, Zone};
use memtide_wire::Versions;

use super::*;
use crate::config::NodeConfig;
use crate::feed::feed;
use crate::host::HostConfig;

const ME: NodeId = NodeId::new(1);
const LEARNER: NodeId = NodeId::new(2);
const EPOCH: Epoch = Epoch::new(5);

/// A node that is the primary of a slot with a learner.
fn shell(slot: SlotId) -> Shell {
    let directory = tempfile::tempdir().unwrap();
    FleetTls::make(directory.path()).unwrap();
    let config = NodeConfig {
        cache: CacheId::default(),
        memory_max: 64 << 20,
        memory_capacity: 64 << 20,
        item_size_max: 1 << 20,
        replication: ReplicationSettings::default(),
        versions: Versions::KNOWN,
        tls: FleetTls::load(directory.path(), Role::Node).unwrap(),
    };
    let host = HostConfig {
        node: ME,
        memory_max: config.memory_max,
        memory_capacity: config.memory_capacity,
        item_size_max: config.item_size_max,
        replication: config.replication.clone(),
    };
    let topology = topology(slot);
    let shared = Arc::new(Shared::new(config, Drain::new().watch()));
    let host = Host::new(host, &topology, Arc::clone(&shared.counters));
    let (_, feed) = feed();
    let shell = Shell::new(ME, shared, host, feed.words);
    shell.adopt(Arc::new(topology));
    shell
}

fn topology(slot: SlotId) -> Topology {
    let seed = HashSeed::new(1, 2);
    let mut parts = Topology::new(CacheId::default(), seed, 1).unwrap().into_parts();
    parts.epoch = EPOCH;
    let info = |number| NodeInfo {
        address: format!("n{number}:1"),
        zone: Zone::new("a").unwrap(),
        memory_max: 64 << 20,
        is_draining: false,
    };
    parts.nodes = [(ME, info(1)), (LEARNER, info(2))].into();
    let copies = vec![CopyConfig { node: LEARNER, since: EPOCH, is_in_sync: false }];
    let config = SlotConfig { epoch: EPOCH, born: EPOCH, primary: Some(ME), copies };
    parts.slots[usize::from(slot.number())] = Arc::new(config);
    Topology::from_parts(parts).unwrap()
}

fn say(shell: &Shell, message: Message) {
    let mut bytes = Vec::new();
    encode_words(&mut bytes, &NodeWords::Message(message));
    assert_eq!(shell.take_words(LEARNER, &bytes), Ok(bytes.len()));
}

/// It is known by then: reading all of it again is most of what the change of an epoch costs.
#[test]
fn of_a_topology_that_is_known_only_the_epoch_is_read() {
    let slot = SlotId::new(7).unwrap();
    let shell = shell(slot);
    shell.node_up(LEARNER, &Outbox::new(usize::MAX));
    let known = Message::Topology(shell.topology());
    let mut bytes = Vec::new();
    encode_words(&mut bytes, &NodeWords::Message(known));
    let end = bytes.len() - 1;
    bytes[end] ^= 0xff;
    assert_eq!(shell.take_words(LEARNER, &bytes), Ok(bytes.len()));
    let mut parts = Topology::clone(&shell.topology()).into_parts();
    parts.epoch = EPOCH.next();
    let next = Arc::new(Topology::from_parts(parts).unwrap());
    let mut bytes = Vec::new();
    encode_words(&mut bytes, &NodeWords::Message(Message::Topology(Arc::clone(&next))));
    let end = bytes.len() - 1;
    bytes[end] ^= 0xff;
    assert!(shell.take_words(LEARNER, &bytes).is_err(), "what is new is read to its end");
    say(&shell, Message::Topology(next));
    assert_eq!(shell.topology().epoch(), EPOCH.next());
}

/// Its epochs mean something else, however high they are: with it, what this node holds would be gone.
#[test]
fn a_topology_of_another_fleet_is_not_adopted_from_who_has_an_old_address() {
    let slot = SlotId::new(7).unwrap();
    let shell = shell(slot);
    shell.node_up(LEARNER, &Outbox::new(usize::MAX));
    let mut parts = topology(slot).into_parts();
    (parts.epoch, parts.seed) = (EPOCH.next(), HashSeed::new(3, 4));
    let strange = Message::Topology(Arc::new(Topology::from_parts(parts).unwrap()));
    let mut bytes = Vec::new();
    encode_words(&mut bytes, &NodeWords::Message(strange));
    assert_eq!(shell.take_words(LEARNER, &bytes), Err(WireError::Fleet));
    assert_eq!(*shell.topology(), topology(slot));
    assert!(shell.holds_slots());
}

/// Whether the task that reads chunks has been woken.
fn is_woken(shell: &Shell) -> bool {
    let woken = pin!(shell.copying.notified());
    woken.poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// The task that reads would have no end, and the links that are to make room no turn.
#[test]
fn a_chunk_that_waits_for_room_does_not_wake_who_reads_it() {
    let slot = SlotId::new(7).unwrap();
    let shell = shell(slot);
    let outbox = Outbox::new(usize::MAX);
    shell.node_up(LEARNER, &outbox);
    outbox.push(|bytes| bytes.resize(limits::COPY_QUEUED_BYTES_MAX, 0));
    say(&shell, Message::Hello { adopted: EPOCH });
    let opened = SlotMessage::Opened { epoch: EPOCH, since: EPOCH, position: None };
    say(&shell, Message::Slot(slot, opened));
    assert!(is_woken(&shell), "there is a chunk to be read");
    for _ in 0..3 {
        assert!(!shell.copy_on(), "there is no room");
        assert!(!is_woken(&shell), "it would be asked again and again");
    }
    outbox.take(Vec::new());
    // An answer of the learner's, or the next tick.
    shell.with_host(|host, at, out| host.tick(at, out));
    assert!(is_woken(&shell));
    assert!(shell.copy_on());
    assert!(outbox.queued_bytes() > 0, "the chunk is on its way");
}
