#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod cut_off;
mod pauses;
mod site;

use core::time::Duration;
use std::collections::VecDeque;

use memtide_topology::{
    CopyConfig, Epoch, NodeId, NodeInfo, RequestId, SlotConfig, Topology, Zone,
};

use super::*;
use site::{Ask, Heard, LEASE, Site, node, settings, slot};

/// The slot at a topology of this epoch: its epoch, its primary, and its copies with their
/// `since`, which are in sync where that is so marked.
fn topology(epoch: u64, of: u64, primary: u64, copies: &[(u64, u64, bool)]) -> Topology {
    topology_born((epoch, 1), of, primary, copies)
}

fn topology_born(
    (epoch, born): (u64, u64),
    of: u64,
    primary: u64,
    copies: &[(u64, u64, bool)],
) -> Topology {
    let copies = copies.iter().map(|&(number, since, is_in_sync)| CopyConfig {
        node: node(number),
        since: Epoch::new(since),
        is_in_sync,
    });
    let config = SlotConfig {
        epoch: Epoch::new(of),
        born: Epoch::new(born),
        primary: Some(node(primary)),
        copies: copies.collect(),
    };
    let mut parts = Topology::empty().into_parts();
    parts.epoch = Epoch::new(epoch);
    parts.nodes = (1..=3).map(|number| (node(number), info(number))).collect();
    parts.slots[usize::from(slot().number())] = config.into();
    Topology::from_parts(parts).unwrap()
}

fn info(number: u64) -> NodeInfo {
    NodeInfo {
        address: format!("node-{number}:11300"),
        zone: Zone::new("a").unwrap(),
        memory_max: 1 << 30,
        is_draining: false,
    }
}

fn name(epoch: u64, number: u64, since: u64) -> CopyName {
    CopyName { epoch: Epoch::new(epoch), node: node(number), since: Epoch::new(since) }
}

/// Node 1 is the primary, node 2 its copy, and both have said so to each other.
fn pair() -> Site {
    let mut site = Site::new(3);
    for number in [1, 2, 3] {
        site.adopt(number, &topology(1, 1, 1, &[(2, 1, true)]));
    }
    site.pass(settings().beacon_interval);
    site
}

/// What was heard of a request by now.
fn heard(site: &Site, ticket: Ticket) -> Option<Heard> {
    site.heard.get(&ticket).cloned()
}

fn number(value: u8) -> Option<Heard> {
    Some(Heard::Number(value))
}

fn moved(to: u64) -> Option<Heard> {
    Some(Heard::Moved(Some(node(to))))
}

#[test]
fn a_write_is_answered_when_the_copy_has_it() {
    let mut site = pair();
    let write = site.ask(1, 5, Ask::Incr);
    assert_eq!(heard(&site, write), None);
    site.deliver(1, 2);
    assert_eq!(site.nodes[&node(2)].items[&5], 1);
    assert_eq!(heard(&site, write), None, "the acknowledgement is under way");
    site.deliver(2, 1);
    assert_eq!(heard(&site, write), number(1));
}

#[test]
fn a_read_waits_for_the_write_that_it_saw_and_for_no_other() {
    let mut site = pair();
    let write = site.ask(1, 5, Ask::Incr);
    let (same, other) = (site.ask(1, 5, Ask::Get), site.ask(1, 6, Ask::Get));
    assert_eq!(heard(&site, other), number(0));
    assert_eq!(heard(&site, same), None);
    site.settle();
    assert_eq!((heard(&site, write), heard(&site, same)), (number(1), number(1)));
}

#[test]
fn a_read_waits_for_a_lease_that_reaches_beyond_it() {
    let mut site = pair();
    site.now += LEASE;
    let read = site.ask(1, 5, Ask::Get);
    assert_eq!(heard(&site, read), None, "the last beacon was a lease ago");
    site.tick(1);
    site.deliver(1, 2);
    assert_eq!(heard(&site, read), None);
    site.deliver(2, 1);
    assert_eq!(heard(&site, read), number(0));
}

#[test]
fn a_new_primary_waits_until_the_lease_of_the_old_one_is_over() {
    let mut site = pair();
    let lost = site.ask(1, 5, Ask::Incr);
    site.cut(1, 2);
    site.cut(1, 3);
    let failover = topology(2, 2, 2, &[(3, 2, false)]);
    site.adopt(2, &failover);
    let asked = site.ask(2, 5, Ask::Incr);
    site.pass(LEASE);
    assert_eq!(heard(&site, asked), None, "the margin is not over");
    site.epoch = Epoch::new(1);
    let read = site.ask(1, 6, Ask::Get);
    site.pass(settings().lease_margin);
    assert_eq!(heard(&site, asked), number(1));
    assert_eq!(heard(&site, read), None, "no read without a lease");
    site.link(1, 2);
    site.pass(settings().beacon_interval);
    assert_eq!(heard(&site, lost), moved(2));
    assert_eq!(heard(&site, read), moved(2), "who comes back hears it of its peer");
    assert!(site.nodes[&node(1)].items.is_empty(), "it holds the slot no more");
}

/// Its link was slow and not broken, so nobody tells it more than the topology and the answers.
#[test]
fn an_old_primary_that_knows_of_the_new_one_gets_no_lease_from_it() {
    let mut site = pair();
    site.now += LEASE;
    site.ask(1, 5, Ask::Incr);
    let read = site.ask(1, 6, Ask::Get);
    assert_eq!(heard(&site, read), None, "there is no lease");
    site.adopt(2, &topology(2, 2, 2, &[(3, 2, false)]));
    site.now += LEASE + settings().lease_margin;
    site.tick(2);
    let write = site.ask(2, 6, Ask::Incr);
    assert_eq!(heard(&site, write), number(1));
    site.tick(1);
    site.settle();
    assert_eq!(heard(&site, read), None, "it is too old now");
    site.pass(2 * (LEASE + settings().lease_margin));
    assert_eq!(heard(&site, read), moved(2));
}

#[test]
fn a_handover_waits_for_nothing_but_what_is_under_way() {
    let mut site = pair();
    let before = site.ask(1, 5, Ask::Incr);
    let handover = topology(2, 2, 2, &[(1, 2, true)]);
    site.adopt(2, &handover);
    let early = site.ask(2, 5, Ask::Incr);
    site.adopt(1, &handover);
    let late = site.ask(1, 5, Ask::Incr);
    assert_eq!(heard(&site, late), moved(2));
    assert_eq!((heard(&site, before), heard(&site, early)), (None, None));
    site.now += Duration::from_millis(3);
    site.settle();
    assert_eq!(site.pauses, [Duration::from_millis(3)]);
    assert_eq!((heard(&site, before), heard(&site, early)), (number(1), number(2)));
    assert_eq!(site.nodes[&node(1)].part, Some(Part::Copy));
    assert_eq!(site.nodes[&node(1)].items, site.nodes[&node(2)].items);
}

#[test]
fn an_old_primary_that_has_not_heard_goes_on_until_it_has() {
    let mut site = pair();
    site.adopt(2, &topology(2, 2, 2, &[(1, 2, true)]));
    site.epoch = Epoch::new(1);
    let write = site.ask(1, 5, Ask::Incr);
    site.deliver(1, 2);
    site.deliver(2, 1);
    let told = heard(&site, write);
    assert!(told == number(1) || told == moved(2), "{told:?}");
    site.pass(LEASE + settings().lease_margin);
    site.epoch = Epoch::new(2);
    let read = site.ask(2, 5, Ask::Get);
    site.settle();
    assert_eq!(heard(&site, read), number(1));
}

#[test]
fn a_learner_is_copied_under_way_and_then_counts() {
    let mut site = pair();
    for key in 0..20 {
        site.ask(1, key, Ask::Incr);
    }
    site.settle();
    let with_learner = topology(2, 1, 1, &[(2, 1, true), (3, 2, false)]);
    site.adopt(1, &with_learner);
    let write = site.ask(1, 5, Ask::Incr);
    site.settle();
    assert_eq!(heard(&site, write), number(2));
    assert_eq!(site.nodes[&node(3)].items, site.nodes[&node(1)].items);
    let report = Report::CaughtUp(slot(), name(1, 3, 2));
    assert_eq!(site.reports, [report], "without waiting for a beacon");
    site.pass(2 * settings().beacon_interval);
    assert!(site.reports.len() > 1, "until it was heard");
    assert!(site.reports.iter().all(|said| *said == report));
    // It is required before the manager knows of it.
    let write = site.ask(1, 5, Ask::Incr);
    site.deliver(1, 2);
    site.deliver(2, 1);
    assert_eq!(heard(&site, write), None);
    site.settle();
    assert_eq!(heard(&site, write), number(3));
}

/// Whoever reads for it may come to the slot's end while more was asked for.
#[test]
fn a_copy_ends_with_its_last_chunk_whatever_was_asked_for_behind_it() {
    let mut site = pair();
    site.ask(1, 5, Ask::Incr);
    site.settle();
    site.unread = Some(VecDeque::new());
    site.adopt(1, &topology(2, 1, 1, &[(2, 1, true), (3, 2, false)]));
    site.settle();
    assert!(site.read_chunk(false));
    site.settle();
    assert_eq!(site.unread.as_ref().unwrap().len(), 2, "one for it, and one as it was taken");
    assert!(site.read_chunk(true));
    site.settle();
    assert_eq!(site.reports, [Report::CaughtUp(slot(), name(1, 3, 2))]);
}

#[test]
fn a_link_that_breaks_is_resumed_where_it_was() {
    let mut site = pair();
    site.ask(1, 5, Ask::Incr);
    site.settle();
    let lost = site.ask(1, 5, Ask::Incr);
    site.cut(1, 2);
    let late = site.ask(1, 5, Ask::Incr);
    site.link(1, 2);
    site.pass(settings().beacon_interval);
    assert_eq!((heard(&site, lost), heard(&site, late)), (number(2), number(3)));
    assert_eq!(site.nodes[&node(2)].items[&5], 3);
}

#[test]
fn a_copy_with_another_history_is_reported_and_keeps_the_slot_from_serving() {
    let mut site = pair();
    let lost = site.ask(1, 5, Ask::Incr);
    site.cut(1, 2);
    // A handover whose source never heard of it before its link broke.
    let handover = topology(2, 2, 2, &[(1, 2, true)]);
    site.adopt(2, &handover);
    site.pass(LEASE + settings().lease_margin);
    let asked = site.ask(2, 5, Ask::Incr);
    site.link(1, 2);
    site.pass(settings().beacon_interval);
    assert_eq!(heard(&site, lost), moved(2));
    assert_eq!(heard(&site, asked), None);
    assert_eq!(site.reports.last(), Some(&Report::Diverged(slot(), name(2, 1, 2))));
    let anew = topology(3, 2, 2, &[(1, 3, false)]);
    site.adopt(2, &anew);
    site.settle();
    assert_eq!(heard(&site, asked), number(1));
    assert_eq!(site.nodes[&node(1)].items, site.nodes[&node(2)].items);
}

#[test]
fn a_retry_after_a_failover_is_not_executed_twice() {
    let mut site = pair();
    let id = |number| RequestId { client: 9, number };
    let seen = Epoch::new(1).version_base();
    site.ask_as(1, 5, Ask::Incr, (id(1), 1, None));
    site.deliver(1, 2);
    for peer in [2, 3] {
        site.cut(1, peer);
    }
    site.adopt(2, &topology(2, 2, 2, &[]));
    site.pass(LEASE + settings().lease_margin);
    let retry = site.ask_as(2, 5, Ask::Incr, (id(1), 1, Some(seen)));
    assert_eq!(heard(&site, retry), number(1));
    let first = site.ask_as(2, 5, Ask::Incr, (id(2), 1, Some(seen)));
    assert_eq!(heard(&site, first), number(2), "it had never come");
    let unborn = site.ask_as(2, 5, Ask::Incr, (id(9), 1, Some(seen - 1)));
    assert_eq!(heard(&site, unborn), Some(Heard::Unknown), "it may be from before the slot");
    for number in 3..=6 {
        site.ask_as(2, 6, Ask::Incr, (id(number), 1, None));
    }
    let late = site.ask_as(2, 5, Ask::Incr, (id(1), 1, Some(seen)));
    assert_eq!(heard(&site, late), Some(Heard::Unknown), "too much was done since");
    let recent = site.core(2).position(slot()).unwrap().version;
    let late = site.ask_as(2, 5, Ask::Incr, (id(8), 1, Some(recent)));
    assert_eq!(heard(&site, late), number(3));
}

#[test]
fn who_refused_one_of_a_round_refuses_the_rest_of_it() {
    let mut site = pair();
    let id = |number| RequestId { client: 9, number };
    let refused = site.ask_as(2, 5, Ask::Incr, (id(1), 4, None));
    assert_eq!(heard(&site, refused), moved(1));
    let handover = topology(2, 2, 2, &[(1, 2, true)]);
    site.adopt(1, &handover);
    site.adopt(2, &handover);
    site.settle();
    let overtaking = site.ask_as(2, 5, Ask::Incr, (id(2), 4, None));
    assert_eq!(heard(&site, overtaking), moved(2));
    let again = site.ask_as(2, 5, Ask::Incr, (id(1), 5, None));
    site.settle();
    assert_eq!(heard(&site, again), number(1));
    site.core(2).proxy_gone(1);
    let anew = site.ask_as(2, 5, Ask::Incr, (id(3), 0, None));
    site.settle();
    assert_eq!(heard(&site, anew), number(2));
}

#[test]
fn versions_are_never_used_twice() {
    let mut site = pair();
    site.ask(1, 5, Ask::Incr);
    site.settle();
    let before = site.core(2).position(slot()).unwrap();
    assert_eq!(Some(before), site.core(1).position(slot()));
    site.adopt(2, &topology(2, 2, 2, &[(1, 2, true)]));
    site.settle();
    site.ask(2, 5, Ask::Incr);
    site.settle();
    let after = site.core(2).position(slot()).unwrap();
    assert_eq!((after.epoch, after.version), (Epoch::new(2), (2 << 32) + 1));
    assert!(after.version > before.version);
}

/// Every complete holder of it is known to be dead, but this node does not know what it lacks.
#[test]
fn a_slot_that_was_given_up_begins_empty_also_where_there_are_remains() {
    let mut site = pair();
    site.ask(1, 5, Ask::Incr);
    site.settle();
    let before = site.core(2).position(slot()).unwrap();
    site.adopt(2, &topology_born((9, 9), 9, 2, &[]));
    let asked = site.ask(2, 5, Ask::Incr);
    assert_eq!(heard(&site, asked), number(1));
    assert!(site.core(2).position(slot()).unwrap().version > before.version);
    site.epoch = Epoch::new(1);
    let waiting = site.ask(1, 5, Ask::Incr);
    site.adopt(1, &topology_born((9, 9), 9, 2, &[]));
    assert_eq!(heard(&site, waiting), moved(2));
    assert!(site.nodes[&node(1)].items.is_empty());
}

/// Only who holds a slot is heard.
#[test]
fn frames_of_others_change_nothing() {
    let mut site = pair();
    site.ask(1, 5, Ask::Incr);
    site.settle();
    let entry = Entry {
        position: Position { epoch: Epoch::new(1), version: (1 << 32) + 2 },
        change: [5, 0, 0, 0, 0, 0, 0, 0, 99].into(),
        request: None,
    };
    let after = site.core(2).position(slot()).unwrap();
    let entries = vec![std::sync::Arc::new(entry)];
    let forged = SlotMessage::Entries { epoch: Epoch::new(1), after, entries };
    let stranger: NodeId = node(3);
    let now = site.now;
    site.core(2).receive(now, stranger, Message::Slot(slot(), forged));
    assert_eq!(site.core(2).poll(), None);
    site.adopt(2, &topology(2, 2, 2, &[]));
    let consent = SlotMessage::Consent { epoch: Epoch::new(2), position: after };
    site.core(2).receive(now, stranger, Message::Slot(slot(), consent));
    assert!(!site.core(2).is_serving(slot()), "only the old primary can consent");
    site.epoch = Epoch::new(1);
    let old = SlotMessage::Ack { epoch: Epoch::new(1), version: u64::MAX };
    site.core(1).receive(now, node(2), Message::Slot(slot(), old));
    let write = site.ask(1, 5, Ask::Incr);
    assert_eq!(heard(&site, write), None, "nobody can have what was not sent");
    assert_eq!(Duration::ZERO, Duration::default());
}
