//! How much may be under way, and be held for clients that do not take it.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use memtide_routing::Settings;

use super::rig::{Rig, topology};
use crate::fleet::lane::Lane;
use crate::limits::{ASKED_MAX, OUTPUT_BYTES_HIGH};

/// Many clients wait in line; none is refused.
#[test]
fn a_crowd_waits_instead_of_being_refused() {
    let settings = Settings { outstanding_max: 16, ..Settings::default() };
    let mut rig = Rig::unfounded(settings);
    rig.switch.adopt(rig.now, topology(1, &[1], &[1]));
    rig.link(1);
    rig.node(1).is_prompt = false;
    let clients: Vec<usize> = (0..40).map(|_| rig.client()).collect();
    for &client in &clients {
        rig.send(client, b"incr n 1\r\nmn\r\n");
    }
    assert!(rig.switch.router.outstanding() <= 8, "{}", rig.switch.router.outstanding());
    assert!(rig.shared.totals().fleet.waits >= 30);
    rig.node(1).is_prompt = true;
    rig.settle();
    for client in clients {
        assert_eq!(rig.replies(client), "NOT_FOUND\r\nMN\r\n");
    }
    assert_eq!(rig.shared.totals().fleet.overloaded, 0);
}

#[test]
fn what_the_router_does_not_take_is_refused_in_step() {
    let settings = Settings { outstanding_max: 4, ..Settings::default() };
    let mut rig = Rig::unfounded(settings);
    rig.switch.adopt(rig.now, topology(1, &[1], &[1]));
    rig.link(1);
    let client = rig.client();
    // One read is parsed as far as a connection may ask.
    let got = rig.ask(client, &b"incr n 1\r\n".repeat(6));
    let lines: Vec<&str> = got.lines().collect();
    assert_eq!(lines[..4], ["NOT_FOUND"; 4]);
    assert_eq!(lines[4..], ["SERVER_ERROR overloaded: too many requests wait"; 2]);
}

#[test]
fn a_client_that_does_not_read_is_not_read_either() {
    let mut rig = Rig::new(1);
    let client = rig.client();
    let value = "v".repeat(1000);
    rig.ask(client, format!("set k 0 0 1000\r\n{value}\r\n").as_bytes());
    let lane = rig.clients[client].lane;
    rig.clients[client].carry = b"get k\r\n".repeat(10_000);
    let limits = memtide_protocol::Limits::default();
    let mut consumed = 0;
    loop {
        if !rig.switch.has_room(lane) {
            break;
        }
        let input = rig.clients[client].carry.clone();
        let (switch, now) = (&mut rig.switch, rig.now);
        let mut desk = crate::fleet::session::Desk {
            switch,
            lane,
            limits,
            is_read_optimized: false,
            toll: None,
            now,
            read_at: now,
        };
        let (done, _) = rig.clients[client].session.advance(&input, &mut desk);
        rig.clients[client].carry.drain(..done);
        consumed += done;
        rig.answer_all(1);
    }
    let held = rig.switch.lane(lane).held_bytes();
    assert!(held <= OUTPUT_BYTES_HIGH + ASKED_MAX * 1100, "{held} bytes held");
    assert!(consumed < 10_000, "{consumed} bytes taken in");
    rig.send(client, b"");
    assert_eq!(rig.replies(client).matches("END").count(), 10_000);
}

#[test]
fn few_large_values_are_under_way_at_a_time() {
    let mut rig = Rig::new(1);
    let client = rig.client();
    let value = "v".repeat(500_000);
    rig.ask(client, format!("set k 0 0 500000\r\n{value}\r\nget k\r\n").as_bytes());
    rig.node(1).is_prompt = false;
    rig.send(client, &b"get k\r\n".repeat(1000));
    rig.node(1).listen();
    assert!(rig.node(1).questions.len() <= 3, "{}", rig.node(1).questions.len());
    let before = rig.shared.totals().fleet.sent;
    rig.send(client, b"");
    assert_eq!(rig.shared.totals().fleet.sent, before);
}

#[test]
fn few_replies_of_unknown_size_are_under_way_at_a_time() {
    let mut rig = Rig::new(1);
    let client = rig.client();
    rig.node(1).is_prompt = false;
    rig.send(client, &b"get k\r\n".repeat(1000));
    rig.node(1).listen();
    assert_eq!(rig.node(1).questions.len(), 16);
    for _ in 0..100 {
        rig.answer(1);
        rig.settle();
    }
    assert_eq!(rig.node(1).questions.len(), ASKED_MAX, "they were small");
}

#[test]
fn what_a_core_holds_is_bounded_whatever_comes_for_clients_that_do_not_read() {
    let mut rig = Rig::new(1);
    let writer = rig.client();
    let value = "v".repeat(50_000);
    rig.ask(writer, format!("set k 0 0 50000\r\n{value}\r\n").as_bytes());
    rig.node(1).is_prompt = false;
    rig.switch.held_bytes_max = 200_000;
    let readers: Vec<usize> = (0..10).map(|_| rig.client()).collect();
    for &reader in &readers {
        rig.send(reader, &b"get k\r\nincr n 1\r\n".repeat(8));
    }
    rig.answer_all(1);
    let lanes = readers.iter().map(|&reader| rig.switch.lane(rig.clients[reader].lane));
    let held: usize = lanes.map(Lane::held_bytes).sum();
    assert!(held < 200_000 + 10 * 51_000, "a value for each reader at most: {held}");
    rig.node(1).is_prompt = true;
    rig.settle();
    let refused = "SERVER_ERROR overloaded: too many requests wait\r\n";
    for &reader in &readers {
        let replies = rig.replies(reader);
        let [values, errors, numbers] =
            ["VALUE k", refused, "NOT_FOUND"].map(|reply| replies.matches(reply).count());
        assert!(values > 0, "each has one");
        assert_eq!((values + errors, numbers), (8, 8), "in step");
    }
    assert_eq!(rig.ask(readers[9], b"get k\r\n").matches("VALUE").count(), 1, "over again");
}
