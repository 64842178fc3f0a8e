//! Frames between a proxy and a node.

use memtide_topology::{Answer, Epoch, KeyHash, NodeId};

use crate::error::WireError;
use crate::frame::{Frame, put_frame};
use crate::reader::Reader;

const ASK: u8 = 1;
const DONE: u8 = 2;
const MOVED: u8 = 3;
const UNKNOWN: u8 = 4;

const IS_RETRY: u8 = 1;
const REACH_COPY: u8 = 1 << 1;
const REACH_NODE: u8 = 1 << 2;

/// What a proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The request's number; its client is the connection's.
    pub number: u64,
    /// Who is to answer.
    pub reach: Reach,
    /// Of the command's key, which says the slot; 0 for a whole node.
    pub hash: KeyHash,
    /// See [`Request`](memtide_topology::Request).
    pub epoch: Epoch,
    /// See [`Request`](memtide_topology::Request).
    pub round: u32,
    /// See [`Request`](memtide_topology::Request).
    pub seen: u64,
    /// See [`Request`](memtide_topology::Request).
    pub answered: u64,
    /// See [`Request`](memtide_topology::Request).
    pub is_retry: bool,
    /// A command on one key as memcached's protocol has it, data block and all.
    pub command: &'a [u8],
}

/// Who is to answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The slot's primary.
    Primary,
    /// Any complete copy of the slot: the read-optimized port.
    Copy,
    /// The node, for all that it holds: `flush_all` and `stats`.
    Node,
}

/// What a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The request's number.
    pub number: u64,
    /// With the reply lines as memcached's protocol has them; empty where the client wants none.
    pub answer: Answer<&'a [u8]>,
}

/// Appends a request.
pub fn encode_ask(out: &mut Vec<u8>, ask: &Ask<'_>) {
    let reach = match ask.reach {
        Reach::Primary => 0,
        Reach::Copy => REACH_COPY,
        Reach::Node => REACH_NODE,
    };
    let flags = reach | if ask.is_retry { IS_RETRY } else { 0 };
    put_frame(out, ASK, |out| {
        out.push(flags);
        out.extend_from_slice(&ask.number.to_le_bytes());
        out.extend_from_slice(&ask.hash.bits().to_le_bytes());
        out.extend_from_slice(&ask.epoch.number().to_le_bytes());
        out.extend_from_slice(&ask.round.to_le_bytes());
        out.extend_from_slice(&ask.seen.to_le_bytes());
        out.extend_from_slice(&ask.answered.to_le_bytes());
        out.extend_from_slice(ask.command);
    });
}

/// Reads a request.
///
/// # Errors
/// Where the frame is none, or is cut.
pub fn decode_ask<'a>(frame: &Frame<'a>) -> Result<Ask<'a>, WireError> {
    if frame.kind != ASK {
        return Err(WireError::Kind(frame.kind));
    }
    let mut reader = Reader::new(frame.body);
    let flags = reader.u8("flags")?;
    let reach = match flags & !IS_RETRY {
        0 => Reach::Primary,
        REACH_COPY => Reach::Copy,
        REACH_NODE => Reach::Node,
        _ => return Err(WireError::Number { what: "flags", number: flags.into() }),
    };
    Ok(Ask {
        number: reader.u64("a request's number")?,
        reach,
        hash: KeyHash::from_bits(reader.u64("a hash")?),
        epoch: Epoch::new(reader.u64("an epoch")?),
        round: reader.u32("a round")?,
        seen: reader.u64("a version")?,
        answered: reader.u64("a request's number")?,
        is_retry: flags & IS_RETRY != 0,
        command: reader.rest(),
    })
}

/// Appends an answer.
pub fn encode_reply(out: &mut Vec<u8>, reply: &Reply<'_>) {
    let number = reply.number.to_le_bytes();
    match reply.answer {
        Answer::Done { outcome, version } => put_frame(out, DONE, |out| {
            out.extend_from_slice(&number);
            out.extend_from_slice(&version.to_le_bytes());
            out.extend_from_slice(outcome);
        }),
        Answer::Moved { epoch, primary, may_be_done } => put_frame(out, MOVED, |out| {
            out.extend_from_slice(&number);
            out.extend_from_slice(&epoch.number().to_le_bytes());
            out.push(u8::from(may_be_done));
            out.push(u8::from(primary.is_some()));
            if let Some(primary) = primary {
                out.extend_from_slice(&primary.number().to_le_bytes());
            }
        }),
        Answer::Unknown => put_frame(out, UNKNOWN, |out| out.extend_from_slice(&number)),
    }
}

/// Reads an answer.
///
/// # Errors
/// Where the frame is none, is cut, or goes on.
pub fn decode_reply<'a>(frame: &Frame<'a>) -> Result<Reply<'a>, WireError> {
    let mut reader = Reader::new(frame.body);
    let kind = frame.kind;
    if !matches!(kind, DONE | MOVED | UNKNOWN) {
        return Err(WireError::Kind(kind));
    }
    let number = reader.u64("a request's number")?;
    let answer = match kind {
        DONE => {
            let version = reader.u64("a version")?;
            Answer::Done { outcome: reader.rest(), version }
        }
        MOVED => {
            let epoch = Epoch::new(reader.u64("an epoch")?);
            let may_be_done = reader.flag("whether it may be done")?;
            let is_known = reader.flag("whether there is a primary")?;
            let primary = if is_known { Some(NodeId::new(reader.u64("a node")?)) } else { None };
            Answer::Moved { epoch, primary, may_be_done }
        }
        _ => Answer::Unknown,
    };
    reader.finish()?;
    Ok(Reply { number, answer })
}
