//! Topologies and differences as bytes.
//!
//! A topology is written as its difference from [`Topology::empty`]. After the format's number,
//! both have, with numbers in LEB128 unless said otherwise:
//!
//! ```text
//! from epoch, to epoch, length and cache, 16 bytes of seed (two little-endian words), replicas
//! count of nodes gone, their ids
//! count of zones, length and name of each
//! count of new nodes: id, length and address, zone's index, memory_max, 1 if draining
//! count of holders, their ids
//! count of runs: slots skipped, slots alike less one, index of their config in order of first use and,
//!   where it is new: to epoch - slot epoch, slot epoch - born, 1 + primary's index among the holders or 0,
//!   count of copies: 2 * holder's index + 1 if in sync, to epoch - since
//! ```
//! Ids ascend, and each is written as what it is above the one before. Where slot epochs and `since`
//! are within 2^21 of the topology's, 1,000 nodes with addresses of 41 bytes and 16,384 slots with
//! two replicas, none alike, take less than 450,000 bytes; ten nodes with one replica, 170,000.
//! Nothing takes more than [`ENCODED_BYTES_MAX`].
//!
//! Decoding allocates at most 32 bytes for each byte of the input and 1 MiB for the slots, takes
//! time in proportion, and panics on nothing.

mod bytes;
mod nodes;
mod slots;

use std::collections::BTreeSet;

use crate::limits::{CACHE_NAME_BYTES_MAX, ENCODED_BYTES_MAX, NODES_MAX};
use crate::{CacheId, Diff, Epoch, HashSeed, NodeId, PatchError, Topology};
use bytes::{Reader, put_count, put_number, put_text};

/// The first byte of a topology. Another way to write it gets another number.
const TOPOLOGY_FORMAT: u8 = 1;

/// The first byte of a difference.
const DIFF_FORMAT: u8 = 65;

/// Why bytes are no topology or difference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Somebody else's, or of a version that this one does not know.
    #[error("format {found}, but this version knows only {known}; upgrade it")]
    UnknownFormat {
        /// The first byte.
        found: u8,
        /// What it would have to be.
        known: u8,
    },
    /// Longer than any can be.
    #[error("{bytes} bytes; the most is {ENCODED_BYTES_MAX}")]
    BytesMax {
        /// How many there are.
        bytes: usize,
    },
    /// The input ends too early.
    #[error("it ends too early")]
    Truncated,
    /// A number does not fit 64 bits.
    #[error("it has a number above 2^64")]
    Number,
    /// Something is too large.
    #[error("{what} of {number}; the most is {max}")]
    AboveMax {
        /// What it would be.
        what: &'static str,
        /// What is there.
        number: u64,
        /// What may be.
        max: usize,
    },
    /// It goes on with slots after the last of all.
    #[error("it has more slots than there are")]
    SlotsMax,
    /// A name is none.
    #[error("{what} is not made of what it may be")]
    Text {
        /// What it would be.
        what: &'static str,
    },
    /// Something follows the end.
    #[error("{bytes} bytes follow its end")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// It can be read, but is no topology.
    #[error("it is no whole topology: {0}")]
    Invalid(#[from] PatchError),
}

impl Topology {
    /// As bytes, at most [`ENCODED_BYTES_MAX`] of them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(TOPOLOGY_FORMAT, &Self::diff(&Self::empty(), self))
    }

    /// From bytes, of any origin.
    ///
    /// # Errors
    /// Where they are not a whole and valid topology, or of a format that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self::empty().patched(&decode(TOPOLOGY_FORMAT, bytes)?)?)
    }

    /// The epoch of what [`Topology::decode`] would make of these bytes, of any origin, by their
    /// first few: whoever has that epoch need not read the rest.
    ///
    /// # Errors
    /// Where they do not begin as a topology does.
    pub fn decode_epoch(bytes: &[u8]) -> Result<Epoch, DecodeError> {
        let (_, to) = decode_epochs(TOPOLOGY_FORMAT, &mut Reader::new(bytes))?;
        Ok(to)
    }
}

impl Diff {
    /// As bytes, at most [`ENCODED_BYTES_MAX`] of them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(DIFF_FORMAT, self)
    }

    /// From bytes, of any origin. Whether it leads to a topology shows when it is applied.
    ///
    /// # Errors
    /// Where they are not a whole difference, or of a format that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(DIFF_FORMAT, bytes)
    }
}

fn encode(format: u8, diff: &Diff) -> Vec<u8> {
    let mut out = vec![format];
    put_number(&mut out, diff.from.number());
    put_number(&mut out, diff.to.number());
    put_text(&mut out, diff.cache.name());
    let (first, second) = diff.seed.words();
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&second.to_le_bytes());
    out.push(diff.replicas_wanted);
    put_ids(&mut out, &diff.nodes_gone);
    nodes::put(&mut out, &diff.nodes);
    slots::put(&mut out, &diff.slots, diff.to);
    out
}

fn decode(format: u8, bytes: &[u8]) -> Result<Diff, DecodeError> {
    if bytes.len() > ENCODED_BYTES_MAX {
        return Err(DecodeError::BytesMax { bytes: bytes.len() });
    }
    let mut reader = Reader::new(bytes);
    let (from, to) = decode_epochs(format, &mut reader)?;
    let cache = reader.text(CACHE_NAME_BYTES_MAX, "cache name")?;
    let cache = CacheId::new(cache).ok_or(DecodeError::Text { what: "cache name" })?;
    let seed = HashSeed::new(reader.word()?, reader.word()?);
    let replicas_wanted = reader.byte()?;
    let nodes_gone = take_ids(&mut reader)?.into_iter().collect();
    let nodes = nodes::take(&mut reader)?;
    let slots = slots::take(&mut reader, to)?;
    reader.finish()?;
    Ok(Diff { from, to, cache, seed, replicas_wanted, nodes_gone, nodes, slots })
}

/// The first of all: from which epoch, and to which.
fn decode_epochs(format: u8, reader: &mut Reader<'_>) -> Result<(Epoch, Epoch), DecodeError> {
    let found = reader.byte()?;
    if found != format {
        return Err(DecodeError::UnknownFormat { found, known: format });
    }
    Ok((Epoch::new(reader.number()?), Epoch::new(reader.number()?)))
}

/// Appends ids, at most [`NODES_MAX`].
fn put_ids(out: &mut Vec<u8>, ids: &BTreeSet<NodeId>) {
    put_count(out, ids.len());
    let mut gap = IdGap::default();
    for &id in ids {
        put_number(out, gap.of(id));
    }
}

fn take_ids(reader: &mut Reader<'_>) -> Result<Vec<NodeId>, DecodeError> {
    let count = reader.count(NODES_MAX, "number of nodes")?;
    let mut gap = IdGap::default();
    (0..count).map(|_| gap.take(reader)).collect()
}

/// The lowest id that may follow in an ascending list; `None` after the last of all.
struct IdGap(Option<u64>);

impl Default for IdGap {
    fn default() -> Self {
        Self(Some(0))
    }
}

impl IdGap {
    /// How far an id is above the lowest that may follow.
    fn of(&mut self, id: NodeId) -> u64 {
        let low = self.0.expect("ids ascend, so none follows the last of all");
        self.0 = id.number().checked_add(1);
        id.number().checked_sub(low).expect("ids ascend")
    }

    fn take(&mut self, reader: &mut Reader<'_>) -> Result<NodeId, DecodeError> {
        let gap = reader.number()?;
        let id = self.0.and_then(|low| low.checked_add(gap)).ok_or(DecodeError::Number)?;
        self.0 = id.checked_add(1);
        Ok(NodeId::new(id))
    }
}
