//! Nodes that replicate to each other.

use std::time::Duration;

use memtide_engine::Ended;
use memtide_testkit::{PATIENCE, wait_until};
use memtide_topology::{Answer, Change, Previous, SlotId};
use memtide_wire::{Ask, Reach};

use crate::client::ask;
use crate::rig::{Fleet, SEED};

fn epoch_of(fleet: &Fleet, key: &str) -> memtide_topology::Epoch {
    fleet.topology.slot(SlotId::of(SEED.hash(key.as_bytes()))).epoch
}

fn hit(key: &str, value: &str) -> String {
    format!("VALUE {key} 0 {}\r\n{value}\r\nEND\r\n", value.len())
}

fn set(key: &str, value: &str) -> String {
    format!("set {key} 0 0 {}\r\n{value}\r\n", value.len())
}

/// Reads a copy, until it answers.
fn read_copy(fleet: &mut Fleet, index: usize, key: &str) -> String {
    let mut client = fleet.client(fleet.id(index));
    let (hash, epoch) = (SEED.hash(key.as_bytes()), epoch_of(fleet, key));
    let get = format!("get {key}\r\n");
    wait_until("a copy answers", PATIENCE, || {
        let number = client.number();
        let ask = ask(number, hash, epoch, get.as_bytes());
        client.send(&Ask { reach: Reach::Copy, ..ask });
        match client.answer(number) {
            Answer::Done { outcome, .. } => Some(String::from_utf8(outcome).unwrap()),
            _ => None,
        }
    })
}

#[test]
fn an_acknowledged_write_is_on_the_copy() {
    let mut fleet = Fleet::replicated();
    let mut proxy = fleet.proxy();
    read_copy(&mut fleet, 1, "k");
    for round in 0..20 {
        let value = format!("value {round}");
        assert_eq!(proxy.run(&mut fleet, "k", &set("k", &value)), "STORED\r\n");
        assert_eq!(read_copy(&mut fleet, 1, "k"), hit("k", &value));
    }
    assert_eq!(proxy.run(&mut fleet, "k", "delete k\r\n"), "DELETED\r\n");
    assert_eq!(read_copy(&mut fleet, 1, "k"), "END\r\n");
}

#[test]
fn a_copy_answers_plain_reads_only() {
    let mut fleet = Fleet::replicated();
    read_copy(&mut fleet, 1, "k");
    let mut client = fleet.client(fleet.id(1));
    let epoch = epoch_of(&fleet, "k");
    for command in ["set k 0 0 1\r\n1\r\n", "gat 10 k\r\n", "mg k v T10\r\n"] {
        // Unless it has not heard of its primary for a moment.
        let outcome = wait_until("it answers", PATIENCE, || {
            let number = client.number();
            let ask = ask(number, SEED.hash(b"k"), epoch, command.as_bytes());
            client.send(&Ask { reach: Reach::Copy, ..ask });
            match client.answer(number) {
                Answer::Done { outcome, .. } => Some(outcome),
                _ => None,
            }
        });
        assert_eq!(outcome, b"SERVER_ERROR a copy answers plain reads only\r\n", "{command}");
    }
}

#[test]
fn a_copy_that_has_lost_its_primary_answers_no_more() {
    let mut fleet = Fleet::replicated();
    read_copy(&mut fleet, 1, "k");
    let second = fleet.id(1);
    let first = fleet.id(0);
    let mut client = fleet.client(second);
    fleet.kill(first);
    wait_until("the copy is too old", PATIENCE, || {
        let number = client.number();
        let ask = ask(number, SEED.hash(b"k"), epoch_of(&fleet, "k"), b"get k\r\n");
        client.send(&Ask { reach: Reach::Copy, ..ask });
        matches!(client.answer(number), Answer::Moved { .. }).then_some(())
    });
}

#[test]
fn a_failover_keeps_every_acknowledged_write() {
    let mut fleet = Fleet::replicated();
    let mut proxy = fleet.proxy();
    let keys: Vec<String> = (0..200).map(|number| format!("key{number}")).collect();
    for key in &keys {
        assert_eq!(proxy.run(&mut fleet, key, &set(key, key)), "STORED\r\n");
    }
    let (first, second) = (fleet.id(0), fleet.id(1));
    fleet.kill(first);
    fleet.set_primary(second, Previous::Gone);
    for key in &keys {
        assert_eq!(proxy.run(&mut fleet, key, &format!("get {key}\r\n")), hit(key, key));
    }
    assert_eq!(proxy.run(&mut fleet, "key0", &set("key0", "new")), "STORED\r\n");
}

/// The proxy heard nothing of its first try, and asks the new primary.
#[test]
fn a_retry_across_a_failover_is_applied_once() {
    let mut fleet = Fleet::replicated();
    let mut proxy = fleet.proxy();
    proxy.run(&mut fleet, "n", &set("n", "5"));
    let (first, second) = (fleet.id(0), fleet.id(1));
    let hash = SEED.hash(b"n");
    let mut client = crate::client::Client::connect(&fleet.tls, fleet.members[&first].address, 99);
    let incr = ask(7, hash, epoch_of(&fleet, "n"), b"incr n 1\r\n");
    client.send(&incr);
    let Answer::Done { outcome, .. } = client.answer(7) else { panic!("it is the primary") };
    assert_eq!(outcome, b"6\r\n");
    fleet.kill(first);
    fleet.set_primary(second, Previous::Gone);
    let mut client = crate::client::Client::connect(&fleet.tls, fleet.members[&second].address, 99);
    let born = fleet.topology.slot(SlotId::of(hash)).born.version_base();
    let epoch = epoch_of(&fleet, "n");
    client.send(&Ask { epoch, is_retry: true, seen: born, ..incr });
    let Answer::Done { outcome, .. } = client.answer(7) else { panic!("it remembers") };
    assert_eq!(outcome, b"6\r\n");
    assert_eq!(proxy.run(&mut fleet, "n", "get n\r\n"), hit("n", "6"));
}

/// Its reply has a value that is longer than what is remembered of a reply.
#[test]
fn a_retry_of_what_changes_and_reads_gets_the_value_that_it_read() {
    let mut fleet = Fleet::replicated();
    let mut proxy = fleet.proxy();
    let (long, other) = ("v".repeat(100_000), "w".repeat(100_000));
    for key in ["same", "other"] {
        proxy.run(&mut fleet, key, &set(key, &long));
    }
    let (first, second) = (fleet.id(0), fleet.id(1));
    let commands = ["gat 100 same\r\n", "mg same t v T200\r\n", "gats 100 other\r\n"];
    let tries = |fleet: &Fleet, node, is_retry: bool| -> Vec<Option<Vec<u8>>> {
        let address = fleet.members[&node].address;
        let mut client = crate::client::Client::connect(&fleet.tls, address, 99);
        let one = |(number, command): (u64, &&str)| {
            let key = if command.contains("same") { "same" } else { "other" };
            let hash = SEED.hash(key.as_bytes());
            let seen = fleet.topology.slot(SlotId::of(hash)).born.version_base();
            let ask = ask(number, hash, epoch_of(fleet, key), command.as_bytes());
            client.send(&Ask { is_retry, seen, ..ask });
            match client.answer(number) {
                Answer::Done { outcome, .. } => Some(outcome),
                Answer::Unknown => None,
                Answer::Moved { .. } => panic!("it is the primary"),
            }
        };
        (7..).zip(&commands).map(one).collect()
    };
    let told = tries(&fleet, first, false);
    assert!(told.iter().flatten().all(|told| told.len() > long.len()), "all were executed");
    fleet.kill(first);
    fleet.set_primary(second, Previous::Gone);
    assert_eq!(proxy.run(&mut fleet, "other", &set("other", &other)), "STORED\r\n");
    let again = tries(&fleet, second, true);
    assert!(again[..2] == told[..2], "the same value, and the time to live before the first try");
    assert_eq!(again[2], None, "what it read is known no more, and nothing is made up");
}

#[test]
fn a_learner_gets_everything_while_writes_go_on() {
    let mut fleet = Fleet::of(2, 1);
    let (first, second) = (fleet.id(0), fleet.id(1));
    let mut client = fleet.client(first);
    let epoch = epoch_of(&fleet, "k");
    let value = "v".repeat(300);
    let numbers: Vec<u64> = (0..10_000)
        .map(|item| {
            let (key, number) = (format!("item{item}"), client.number());
            let command = set(&key, &value);
            client.send(&ask(number, SEED.hash(key.as_bytes()), epoch, command.as_bytes()));
            number
        })
        .collect();
    for number in numbers {
        assert!(matches!(client.answer(number), Answer::Done { .. }));
    }
    let slots = SlotId::all().collect();
    fleet.apply(vec![Change::AddLearner { slots, node: second }]);
    let mut proxy = fleet.proxy();
    for round in 0..200 {
        let key = format!("item{}", round * 50);
        assert_eq!(proxy.run(&mut fleet, &key, &set(&key, "changed")), "STORED\r\n");
    }
    fleet.wait_in_sync(second);
    let copied = fleet.members[&second].observer.usage().store;
    assert_eq!(copied.copy_items, 10_000);
    fleet.kill(first);
    fleet.set_primary(second, Previous::Gone);
    for item in (0..10_000).step_by(25) {
        let key = format!("item{item}");
        let expected = if item % 50 == 0 { "changed" } else { &value };
        assert_eq!(proxy.run(&mut fleet, &key, &format!("get {key}\r\n")), hit(&key, expected));
    }
}

/// All slots go back and forth while a counter is counted up and read in between.
#[test]
fn a_handover_under_load_loses_nothing() {
    let mut fleet = Fleet::replicated();
    let (first, second) = (fleet.id(0), fleet.id(1));
    let mut proxy = fleet.proxy();
    let keys: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    for key in &keys {
        proxy.run(&mut fleet, key, &set(key, "0"));
    }
    let mut count = 0;
    for round in 0..6 {
        let to = if round % 2 == 0 { second } else { first };
        fleet.set_primary(to, Previous::InSync);
        for _ in 0..5 {
            count += 1;
            for key in &keys {
                let counted = proxy.run(&mut fleet, key, &format!("incr {key} 1\r\n"));
                assert_eq!(counted, format!("{count}\r\n"));
            }
        }
    }
    for key in &keys {
        let expected = hit(key, &count.to_string());
        assert_eq!(proxy.run(&mut fleet, key, &format!("get {key}\r\n")), expected);
    }
}

#[test]
fn a_node_that_is_told_to_stop_first_gives_up_its_slots() {
    let mut fleet = Fleet::replicated();
    let (first, second) = (fleet.id(0), fleet.id(1));
    let mut proxy = fleet.proxy();
    proxy.run(&mut fleet, "k", &set("k", "kept"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    fleet.members[&first].drain.begin(deadline);
    wait_until("it says so", PATIENCE, || {
        fleet.heed_reports();
        fleet.members[&first].is_leaving.then_some(())
    });
    assert_eq!(proxy.run(&mut fleet, "k", "get k\r\n"), hit("k", "kept"));
    fleet.set_primary(second, Previous::InSync);
    assert_eq!(proxy.run(&mut fleet, "k", "get k\r\n"), hit("k", "kept"));
    let slots = SlotId::all().collect();
    fleet.apply(vec![Change::DropCopy { slots, node: first }]);
    assert_eq!(fleet.join(first), Ended::Drained);
    assert_eq!(proxy.run(&mut fleet, "k", "get k\r\n"), hit("k", "kept"));
}

#[test]
fn a_node_that_was_taken_out_ends() {
    let mut fleet = Fleet::of(2, 0);
    let second = fleet.id(1);
    fleet.apply(vec![Change::RemoveNode { node: second }]);
    assert_eq!(fleet.join(second), Ended::Removed);
}

/// The replica's items are all copies, and it has less room than its primary.
#[test]
fn a_full_replica_has_its_primary_evict() {
    let mut fleet = Fleet::new(1);
    fleet.memory_max = 48 << 20;
    let first = fleet.add_node();
    fleet.memory_max = 16 << 20;
    let second = fleet.add_node();
    fleet.apply(vec![Change::SetPrimary {
        slots: SlotId::all().collect(),
        primary: first,
        previous: Previous::Gone,
    }]);
    fleet.learn(second);
    let mut client = fleet.client(first);
    let epoch = epoch_of(&fleet, "k");
    let value = "v".repeat(4000);
    for item in 0..10_000 {
        let (key, number) = (format!("item{item}"), client.number());
        let command = set(&key, &value);
        client.send(&ask(number, SEED.hash(key.as_bytes()), epoch, command.as_bytes()));
        let answer = client.answer_within(number, Duration::from_secs(30));
        let Some(Answer::Done { outcome, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(outcome, b"STORED\r\n");
    }
    wait_until("both have the same items", PATIENCE, || {
        let usage = |node| fleet.members[&node].observer.usage().store;
        let (primary, replica) = (usage(first), usage(second));
        let has_room = replica.bytes < (16 << 20) - (16 << 20) / 16;
        (primary.items == replica.copy_items && primary.evicted > 0 && has_room).then_some(())
    });
}
