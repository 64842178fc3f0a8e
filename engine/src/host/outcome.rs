//! What is remembered of replies, for retries.
//!
//! Of most mutations it is the reply, which is short. Commands that change an item and also answer
//! with its value, such as gat, have long ones: of these all but the value is remembered, and what
//! it was known by. A retry gets the value from the item, as long as that has it.

use std::sync::Arc;

use crc32c::crc32c;
use memtide_engine_core::Item;
use memtide_engine_core::replication::Outcome;

/// What the outcomes without value begin with, and no reply.
const WITHOUT_VALUE: u8 = 0;

/// Outcomes, of which most are the same few words.
#[derive(Debug)]
pub(super) struct Outcomes {
    last: Outcome,
    none: Outcome,
}

impl Default for Outcomes {
    fn default() -> Self {
        let none: Outcome = Arc::from([]);
        Self { last: Arc::clone(&none), none }
    }
}

impl Outcomes {
    /// Nothing.
    pub(super) fn none(&self) -> Outcome {
        Arc::clone(&self.none)
    }

    /// The whole reply.
    pub(super) fn of(&mut self, reply: &[u8]) -> Outcome {
        if *self.last != *reply {
            self.last = Arc::from(reply);
        }
        Arc::clone(&self.last)
    }
}

/// The reply but for the value that it has after its first line; `None` where that is not the
/// item's.
pub(super) fn without_value(reply: &[u8], item: &Item<'_>) -> Option<Outcome> {
    let value_at = reply.iter().position(|byte| *byte == b'\n')? + 1;
    let (head, rest) = reply.split_at(value_at);
    let (value, tail) = rest.split_at_checked(item.value.len())?;
    if !is_value(value, item) {
        return None;
    }
    let mut outcome = vec![WITHOUT_VALUE];
    outcome.extend_from_slice(&item.cas.to_le_bytes());
    outcome.extend_from_slice(&u64::from(crc32c(value)).to_le_bytes());
    outcome.extend_from_slice(&u64::try_from(item.value.len()).ok()?.to_le_bytes());
    outcome.extend_from_slice(&u64::try_from(head.len()).ok()?.to_le_bytes());
    outcome.extend_from_slice(head);
    outcome.extend_from_slice(tail);
    Some(outcome.into())
}

/// An outcome that is a reply without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shortened<'a> {
    cas: u64,
    /// Of the value: clients may give two the same CAS unique.
    checksum: u64,
    value_len: usize,
    head: &'a [u8],
    tail: &'a [u8],
}

impl<'a> Shortened<'a> {
    /// `None` where the outcome is a whole reply.
    pub(super) fn of(outcome: &'a [u8]) -> Option<Self> {
        let rest = outcome.strip_prefix(&[WITHOUT_VALUE])?;
        let (cas, rest) = number(rest)?;
        let (checksum, rest) = number(rest)?;
        let (value_len, rest) = number(rest)?;
        let (head_len, rest) = number(rest)?;
        let (head, tail) = rest.split_at_checked(usize::try_from(head_len).ok()?)?;
        Some(Self { cas, checksum, value_len: usize::try_from(value_len).ok()?, head, tail })
    }

    /// The reply, of the item as it is now; `None` where it is another.
    pub(super) fn with_value(self, item: &Item<'_>) -> Option<Outcome> {
        if (item.cas, item.value.len()) != (self.cas, self.value_len) {
            return None;
        }
        let mut reply = self.head.to_vec();
        item.value.chunks().for_each(|chunk| reply.extend_from_slice(chunk));
        if u64::from(crc32c(&reply[self.head.len()..])) != self.checksum {
            return None;
        }
        reply.extend_from_slice(self.tail);
        Some(reply.into())
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*number), rest))
}

fn is_value(mut bytes: &[u8], item: &Item<'_>) -> bool {
    item.value.chunks().all(|chunk| match bytes.strip_prefix(chunk) {
        Some(rest) => {
            bytes = rest;
            true
        }
        None => false,
    })
}
