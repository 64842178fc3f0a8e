//! What a node says of its work and of its memory.

use memtide_engine::Observer;
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{Answer, Change, EcpuUnits, Previous, SlotId};
use memtide_wire::{Ask, Reach};

use crate::client::ask;
use crate::rig::{Fleet, SEED};

fn slot_of(key: &str) -> SlotId {
    SlotId::of(SEED.hash(key.as_bytes()))
}

fn units_of(observer: &Observer, key: &str) -> u64 {
    observer.slot_units().nth(usize::from(slot_of(key).number())).unwrap()
}

#[test]
fn work_is_counted_by_slot_as_proxies_meter_it() {
    let mut fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(slot_of("small")).epoch;
    let mut client = fleet.client(fleet.id(0));
    let observer = fleet.members[&fleet.id(0)].observer.clone();
    let mut cost = |key: &str, command: &str| {
        let before = units_of(&observer, key);
        let reply = client.run(SEED, epoch, key, command);
        let bytes = (command.len() + reply.len()) as u64;
        let counted = units_of(&observer, key) - before;
        assert_eq!(counted, EcpuUnits::of_command(1, bytes).units(), "{command:.20}");
        counted
    };
    let one = EcpuUnits::ONE.units();
    let value = "x".repeat(10_000);
    let small = [
        cost("small", "set small 0 0 1\r\nx\r\n"),
        cost("small", "get small\r\n"),
        cost("small", "get small j\r\n"),
        cost("small", "delete small noreply\r\n"),
        cost("small", "mg small v q\r\n"),
    ];
    assert_eq!(small, [one; 5]);
    let large = [
        cost("large", &format!("set large 0 0 10000\r\n{value}\r\n")),
        cost("large", "get large\r\n"),
        cost("large", "get largf\r\n"),
    ];
    assert!(large[0] > 10_000 && large[1] > 10_000, "{large:?}");
    assert_eq!(large[2], one, "an error has no value");
    let all: u64 = observer.slot_units().sum();
    assert_eq!(all, small.iter().chain(&large).sum::<u64>(), "and nothing is counted elsewhere");
    assert_eq!(observer.usage().ecpu_units, all);
    assert_ne!(slot_of("small"), slot_of("large"));
    let bytes = observer.slot_bytes(slot_of("large"));
    assert_eq!((bytes, bytes > 10_000), (observer.usage().store.bytes, true));
    assert_eq!(observer.slot_bytes(slot_of("small")), 0, "it was deleted");
}

#[test]
fn what_is_read_from_a_copy_is_work_and_what_is_refused_is_none() {
    let mut fleet = Fleet::replicated();
    let epoch = fleet.topology.slot(slot_of("k")).epoch;
    let [first, second] = [0, 1].map(|index| fleet.id(index));
    fleet.client(first).run(SEED, epoch, "k", "set k 0 0 1\r\nx\r\n");
    let observer = fleet.members[&second].observer.clone();
    let mut client = fleet.client(second);
    let number = client.number();
    client.send(&ask(number, SEED.hash(b"k"), epoch, b"get k\r\n"));
    assert!(matches!(client.answer(number), Answer::Moved { .. }));
    assert_eq!(observer.usage().ecpu_units, 0);
    let answered = wait_until("the copy answers", PATIENCE, || {
        let number = client.number();
        let get = ask(number, SEED.hash(b"k"), epoch, b"get k\r\n");
        client.send(&Ask { reach: Reach::Copy, ..get });
        matches!(client.answer(number), Answer::Done { .. }).then(|| observer.usage().ecpu_units)
    });
    assert_eq!(answered, EcpuUnits::ONE.units());
    assert_eq!(units_of(&observer, "k"), answered);
}

/// From what it was started with to what its host has for it, and back, with its items.
#[test]
fn a_node_is_given_more_memory_in_place() {
    let mut fleet = Fleet::new(0);
    fleet.memory_max = 16 << 20;
    fleet.memory_capacity = Some(128 << 20);
    let node = fleet.add_node();
    let slots = SlotId::all().collect();
    fleet.apply(vec![Change::SetPrimary { slots, primary: node, previous: Previous::Gone }]);
    let epoch = fleet.topology.slot(slot_of("k")).epoch;
    let mut client = fleet.client(node);
    let observer = fleet.members[&node].observer.clone();
    let value = "x".repeat(100_000);
    let mut fill = |from: u32| {
        for number in from..from + 700 {
            let set = format!("set key-{number} 0 0 100000\r\n{value}\r\n");
            assert_eq!(client.run(SEED, epoch, &format!("key-{number}"), &set), "STORED\r\n");
        }
        observer.usage().store
    };
    let before = fill(0);
    assert!(before.bytes > 14 << 20 && before.memory_used <= 16 << 20, "{before:?}");
    fleet.apply(vec![Change::SetMemory { node, memory_max: 128 << 20 }]);
    let grown = || (observer.usage().store.memory_max == 128 << 20).then_some(());
    wait_until("the node has heard of it", PATIENCE, grown);
    let after = fill(700);
    assert_eq!(after.evicted, before.evicted, "all found room");
    assert!(after.bytes > 80 << 20, "{after:?}");
    fleet.apply(vec![Change::SetMemory { node, memory_max: 32 << 20 }]);
    let shrunk = || {
        let store = observer.usage().store;
        (store.memory_used <= 32 << 20).then_some(store.bytes)
    };
    let left = wait_until("the node has given memory back", PATIENCE, shrunk);
    assert!(left > 28 << 20, "{left}");
}
