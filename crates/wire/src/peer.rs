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
        Message::Beacon { sent, adopted } => {
            put_frame(out, BEACON, |out| put_beacon(out, (*sent, *adopted)));
        }
        Message::BeaconAck { sent, adopted, reads } => put_frame(out, BEACON_ACK, |out| {
            put_beacon(out, (*sent, *adopted));
            out.extend_from_slice(&nanos(*reads).to_le_bytes());
        }),
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
                _ => {
                    let reads = Duration::from_nanos(reader.u64("a lease")?);
                    Message::BeaconAck { sent, adopted, reads }
                }
            }
        }
        kind => slot::decode(kind, &mut reader)?,
    };
    reader.finish()?;
    Ok(message)
}

/// The epoch of the topology that a frame brings, read from its first bytes; `None` of other frames.
///
/// # Errors
/// Where what it brings does not begin as a topology.
pub fn topology_epoch(frame: &Frame<'_>) -> Result<Option<Epoch>, WireError> {
    if frame.kind != TOPOLOGY {
        return Ok(None);
    }
    Ok(Some(Topology::decode_epoch(frame.body)?))
}

fn put_beacon(out: &mut Vec<u8>, (sent, adopted): (Duration, Epoch)) {
    out.extend_from_slice(&nanos(sent).to_le_bytes());
    out.extend_from_slice(&adopted.number().to_le_bytes());
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("no node runs for 500 years")
}
