//! Frames between nodes.

mod slot;

use core::time::Duration;
use std::sync::Arc;

use memtide_engine_core::replication::Message;
use memtide_topology::{Epoch, Topology};

use crate::error::WireError;
use crate::frame::{Frame, put_frame};
use crate::reader::Reader;

const HELLO: u8 = 32;
const TOPOLOGY: u8 = 33;
const BEACON: u8 = 34;
const BEACON_ACK: u8 = 35;
const PRESSURE: u8 = 36;

/// All that a node says to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeWords {
    /// Of the replication.
    Message(Message),
    /// To the primary of slots that the sender has copies of: items of these are to be evicted, or
    /// it will have no room.
    Pressure {
        /// So many bytes.
        bytes: u64,
    },
}

/// Appends what a node says to another.
pub fn encode_words(out: &mut Vec<u8>, words: &NodeWords) {
    match words {
        NodeWords::Message(message) => encode_message(out, message),
        NodeWords::Pressure { bytes } => {
            put_frame(out, PRESSURE, |out| out.extend_from_slice(&bytes.to_le_bytes()));
        }
    }
}

/// Reads what a node says to another.
///
/// # Errors
/// As [`decode_message`].
pub fn decode_words(frame: &Frame<'_>) -> Result<NodeWords, WireError> {
    if frame.kind != PRESSURE {
        return decode_message(frame).map(NodeWords::Message);
    }
    let mut reader = Reader::new(frame.body);
    let bytes = reader.u64("bytes")?;
    reader.finish()?;
    Ok(NodeWords::Pressure { bytes })
}

/// Appends a message to another node.
pub fn encode_message(out: &mut Vec<u8>, message: &Message) {
    match message {
        Message::Hello { adopted } => {
            put_frame(out, HELLO, |out| out.extend_from_slice(&adopted.number().to_le_bytes()));
        }
        Message::Topology(topology) => {
            put_frame(out, TOPOLOGY, |out| out.extend_from_slice(&topology.encode()));
        }
        Message::Beacon { sent, adopted } => put_beacon(out, BEACON, (*sent, *adopted)),
        Message::BeaconAck { sent, adopted } => put_beacon(out, BEACON_ACK, (*sent, *adopted)),
        Message::Slot(slot, message) => slot::encode(out, *slot, message),
    }
}

/// Reads a message of another node.
///
/// # Errors
/// Where the frame is none, is cut, goes on, or says what cannot be.
pub fn decode_message(frame: &Frame<'_>) -> Result<Message, WireError> {
    let mut reader = Reader::new(frame.body);
    let message = match frame.kind {
        HELLO => Message::Hello { adopted: Epoch::new(reader.u64("an epoch")?) },
        TOPOLOGY => Message::Topology(Arc::new(Topology::decode(reader.rest())?)),
        BEACON | BEACON_ACK => {
            let sent = Duration::from_nanos(reader.u64("a time")?);
            let adopted = Epoch::new(reader.u64("an epoch")?);
            match frame.kind {
                BEACON => Message::Beacon { sent, adopted },
                _ => Message::BeaconAck { sent, adopted },
            }
        }
        kind => slot::decode(kind, &mut reader)?,
    };
    reader.finish()?;
    Ok(message)
}

fn put_beacon(out: &mut Vec<u8>, kind: u8, (sent, adopted): (Duration, Epoch)) {
    let nanos = u64::try_from(sent.as_nanos()).expect("no node runs for 500 years");
    put_frame(out, kind, |out| {
        out.extend_from_slice(&nanos.to_le_bytes());
        out.extend_from_slice(&adopted.number().to_le_bytes());
    });
}
