//! One node and its proxies.

use memtide_topology::{Answer, Epoch, KeyHash, SlotId};
use memtide_wire::{Ask, Reach};

use crate::client::ask;
use crate::rig::{Fleet, SEED};

#[test]
fn commands_are_done_and_answered_as_memcached_does() {
    let mut fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let mut client = fleet.client(fleet.id(0));
    let mut check = |key: &str, command: &str, reply: &str| {
        assert_eq!(client.run(SEED, epoch, key, command), reply, "{command}");
    };
    check("k", "get k\r\n", "END\r\n");
    check("k", "set k 5 0 3\r\nabc\r\n", "STORED\r\n");
    check("k", "get k\r\n", "VALUE k 5 3\r\nabc\r\nEND\r\n");
    check("k", "append k 0 0 1\r\nd\r\n", "STORED\r\n");
    check("k", "mg k v f\r\n", "VA 4 f5\r\nabcd\r\n");
    check("k", "set k 0 0 1 noreply\r\n7\r\n", "");
    check("k", "incr k 5\r\n", "12\r\n");
    check("k", "delete k\r\n", "DELETED\r\n");
    check("k", "touch k 0\r\n", "NOT_FOUND\r\n");
    check("k", "mn\r\n", "SERVER_ERROR a node takes one whole command on one key\r\n");
    check("k", "get k j\r\n", "SERVER_ERROR a node takes one whole command on one key\r\n");
    check("k", "get k", "SERVER_ERROR a node takes one whole command on one key\r\n");
    check("k", "get j\r\n", "SERVER_ERROR the request's hash is not its key's\r\n");
    check("k", "incr k x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n");
}

#[test]
fn a_flush_is_of_one_slot() {
    let mut fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let mut client = fleet.client(fleet.id(0));
    for key in ["a", "b"] {
        client.run(SEED, epoch, key, &format!("set {key} 0 0 1\r\n1\r\n"));
    }
    let hash = KeyHash::from_bits(SlotId::of(SEED.hash(b"a")).number().into());
    let number = client.number();
    client.send(&ask(number, hash, epoch, b"flush_all\r\n"));
    let Answer::Done { outcome, .. } = client.answer(number) else { panic!("it is the primary") };
    assert_eq!(outcome, b"OK\r\n");
    assert_eq!(client.run(SEED, epoch, "a", "get a\r\n"), "END\r\n");
    assert_eq!(client.run(SEED, epoch, "b", "get b\r\n"), "VALUE b 0 1\r\n1\r\nEND\r\n");
}

#[test]
fn a_node_tells_its_statistics() {
    let mut fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let mut client = fleet.client(fleet.id(0));
    client.run(SEED, epoch, "k", "set k 0 0 1\r\n1\r\n");
    let number = client.number();
    let ask = ask(number, KeyHash::from_bits(0), Epoch::ZERO, b"stats\r\n");
    client.send(&Ask { reach: Reach::Node, ..ask });
    let Answer::Done { outcome, .. } = client.answer(number) else { panic!("any node answers") };
    let stats = String::from_utf8(outcome).unwrap();
    assert!(stats.contains("STAT cmd_set 1\r\n"), "{stats}");
    assert!(stats.contains("STAT curr_items 1\r\n") && stats.ends_with("END\r\n"), "{stats}");
}

#[test]
fn a_node_says_who_has_the_slot() {
    let mut fleet = Fleet::of(2, 0);
    let mut client = fleet.client(fleet.id(1));
    let (first, slot) = (fleet.id(0), fleet.topology.slot(SlotId::of(SEED.hash(b"k"))));
    let epoch = slot.epoch;
    let moved = Answer::Moved { epoch, primary: Some(first), may_be_done: false };
    for reach in [Reach::Primary, Reach::Copy] {
        let number = client.number();
        client.send(&Ask { reach, ..ask(number, SEED.hash(b"k"), epoch, b"get k\r\n") });
        assert_eq!(client.answer(number), moved, "{reach:?}");
    }
}

#[test]
fn bytes_that_are_no_frame_end_that_link_only() {
    let mut fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let mut good = fleet.client(fleet.id(0));
    good.run(SEED, epoch, "k", "set k 0 0 1\r\n1\r\n");
    let unknown_kind = vec![1, 0, 0, 0, 99];
    let too_long = u32::MAX.to_le_bytes().to_vec();
    let cut = vec![3, 0, 0, 0, 1, 0, 0];
    for bytes in [unknown_kind, too_long, cut] {
        let bad = fleet.client(fleet.id(0));
        bad.send_bytes(bytes);
        assert!(bad.has_ended());
    }
    assert_eq!(good.run(SEED, epoch, "k", "get k\r\n"), "VALUE k 0 1\r\n1\r\nEND\r\n");
}

/// A first try that is still on its way over the old link must never come after its retry.
#[test]
fn a_new_link_of_a_proxy_core_ends_its_old_one() {
    let fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let address = fleet.members[&fleet.id(0)].address;
    let mut old = crate::client::Client::connect(&fleet.tls, address, 77);
    old.run(SEED, epoch, "k", "set k 0 0 1\r\n1\r\n");
    let mut new = crate::client::Client::connect(&fleet.tls, address, 77);
    assert_eq!(new.run(SEED, epoch, "k", "get k\r\n"), "VALUE k 0 1\r\n1\r\nEND\r\n");
    assert!(old.has_ended());
}

/// Answers of a megabyte for asks of a few bytes, all at once: what waits is bounded, and all come.
#[test]
fn large_answers_come_all() {
    let mut fleet = Fleet::of(1, 0);
    let epoch = fleet.topology.slot(SlotId::new(0).unwrap()).epoch;
    let mut client = fleet.client(fleet.id(0));
    let set = format!("set k 0 0 1000000\r\n{}\r\n", "x".repeat(1_000_000));
    assert_eq!(client.run(SEED, epoch, "k", &set), "STORED\r\n");
    let numbers: Vec<u64> = (0..500).map(|_| client.number()).collect();
    for number in &numbers {
        client.send(&ask(*number, SEED.hash(b"k"), epoch, b"get k\r\n"));
    }
    for number in numbers {
        let Answer::Done { outcome, .. } = client.answer(number) else { panic!("it is there") };
        assert!(outcome.len() > 1_000_000);
    }
}
