use std::ops::Range;

use super::buffers::Buffers;
use crate::limits::OUTPUT_BYTES_HIGH;

/// Replies that came before their turn.
#[derive(Debug, Default)]
pub struct Stash {
    bytes: Vec<u8>,
    /// Of them, still wanted.
    wanted: usize,
}

impl Stash {
    /// Keeps what `write` appends, and tells the place of it.
    pub fn put(&mut self, buffers: &mut Buffers, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        buffers.lend(&mut self.bytes);
        let start = self.bytes.len();
        write(&mut self.bytes);
        let end = self.bytes.len();
        self.wanted += end - start;
        // Nothing is at no place, since the bytes go when none is wanted.
        if end > start { start..end } else { 0..0 }
    }

    /// What is there.
    pub fn at(&self, place: &Range<usize>) -> &[u8] {
        &self.bytes[place.clone()]
    }

    /// So many bytes are not wanted any more.
    pub fn drop(&mut self, bytes: usize, buffers: &mut Buffers) {
        self.wanted -= bytes;
        if self.wanted == 0 {
            self.bytes.clear();
            buffers.give_back(&mut self.bytes);
        }
    }

    /// Bytes that are wanted.
    pub fn wanted_bytes(&self) -> usize {
        self.wanted
    }

    /// Bytes that it has, wanted or not.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether more than half of it is not wanted.
    pub fn is_wasteful(&self) -> bool {
        self.bytes.len() > 2 * self.wanted + OUTPUT_BYTES_HIGH
    }

    /// Gives room back; `places` are all that are wanted, and change.
    pub fn compact<'a>(&mut self, places: impl Iterator<Item = &'a mut Range<usize>>) {
        let mut bytes = Vec::with_capacity(self.wanted);
        for place in places {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[place.clone()]);
            *place = start..bytes.len();
        }
        self.bytes = bytes;
    }
}
