//! Events in words, short enough to be read by the thousand.

use memtide_engine_core::replication::{Entry, Message, Outcome, SlotMessage};
use memtide_routing::Refused;
use memtide_topology::{Answer, Request, SlotId, Topology};
use memtide_wire::{Frame, NodeWords, decode_words};

use crate::event::{Arrival, Event, Payload, Place};
use crate::item::{Reply, decode_items};

/// An event that a process handles.
pub fn event(event: &Event) -> String {
    match event {
        Event::Arrive(Arrival { from, to, payload: what, .. }) => {
            format!("{to} <- {from}: {}", payload(what))
        }
        Event::Datagram { from, to, payload: what } => {
            format!("{to} <- {from} (datagram): {}", payload(what))
        }
        Event::LinkUp { at, peer, incarnation } => format!("{at}: link {incarnation} to {peer}"),
        Event::LinkDown { at, peer, incarnation } => {
            format!("{at}: link {incarnation} to {peer} is gone")
        }
        other => format!("{other:?}"),
    }
}

/// What a process sends.
pub fn sent(from: Place, to: Place, what: &Payload) -> String {
    format!("    {from} -> {to}: {}", payload(what))
}

/// What a proxy answers a client.
pub fn done(ticket: u64, result: &Result<Outcome, Refused>) -> String {
    match result {
        Ok(outcome) => format!("    #{ticket} is answered: {:?}", Reply::decode(outcome)),
        Err(refused) => format!("    #{ticket} fails: {refused}"),
    }
}

/// A topology.
pub fn topology(topology: &Topology, slots: &[SlotId]) -> String {
    let mut text = format!("topology {}, nodes:", topology.epoch());
    for (node, info) in topology.nodes() {
        let draining = if info.is_draining { " (draining)" } else { "" };
        text += &format!(" {node}@{}{draining}", info.zone);
    }
    for slot in slots {
        let config = topology.slot(*slot);
        text += &format!("; {}@{}: {:?}", slot.number(), config.epoch, config.primary);
        for copy in &config.copies {
            let kind = if copy.is_in_sync { "in sync" } else { "learner" };
            text += &format!(", {} {kind} since {}", copy.node, copy.since);
        }
    }
    text
}

fn payload(payload: &Payload) -> String {
    match payload {
        Payload::Peer(message) => peer(message),
        Payload::Words(bytes) => words(bytes),
        Payload::Ask(Request { id, slot, epoch, round, seen, is_retry, command, .. }) => format!(
            "ask {}.{} slot {}@{epoch} round {round} seen {seen} retry {is_retry}: {command:?}",
            id.client,
            id.number,
            slot.number()
        ),
        Payload::Answer(id, Answer::Done { outcome, version }) => {
            let reply = Reply::decode(outcome);
            format!("answer {}.{} at {version}: {reply:?}", id.client, id.number)
        }
        Payload::Answer(id, other) => format!("answer {}.{}: {other:?}", id.client, id.number),
        Payload::Adopted(epoch) => format!("adopted {epoch}"),
        Payload::Report(report) => format!("{report:?}"),
        Payload::Topology(topology) => format!("topology {}", topology.epoch()),
        Payload::Register(registration) => format!("{registration:?}"),
        Payload::Welcome(node) => format!("welcome, {node}"),
        Payload::Refused(why) => format!("refused: {why}"),
    }
}

/// A frame of a real node, whose items are not those of the models.
fn words(bytes: &[u8]) -> String {
    let frame = Frame::split(bytes, usize::MAX).ok().flatten();
    let words = frame.and_then(|(frame, _)| decode_words(&frame).ok());
    match words {
        Some(NodeWords::Message(Message::Topology(topology))) => {
            format!("topology {}", topology.epoch())
        }
        words => format!("{words:?}"),
    }
}

fn peer(message: &Message) -> String {
    match message {
        Message::Topology(topology) => format!("topology {}", topology.epoch()),
        Message::Slot(slot, SlotMessage::Entries { epoch, after, entries }) => {
            let entries: Vec<String> = entries.iter().map(|of| entry(of)).collect();
            format!("{}@{epoch} entries after {}: {entries:?}", slot.number(), after.version)
        }
        Message::Slot(slot, SlotMessage::CopyItems { epoch, items }) => {
            format!("{}@{epoch} items {:?}", slot.number(), decode_items(items))
        }
        Message::Slot(slot, other) => format!("{} {other:?}", slot.number()),
        other => format!("{other:?}"),
    }
}

fn entry(entry: &Entry) -> String {
    let request = entry.request.as_ref().map(|of| (of.id.client, of.id.number));
    format!("{} {:?} of {request:?}", entry.position.version, decode_items(&entry.change))
}
