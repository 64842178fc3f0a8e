//! Mutations of a shard's journaled slots that nobody has taken yet, in order.

use crate::change::Change;

/// Bytes that an empty journal keeps, so that a command need not allocate.
const KEPT_BYTES_MAX: usize = 16 * 1024;

/// Slot in its shard, version and length of the change, before each change.
const HEAD_LEN: usize = 4 + 8 + 4;

#[derive(Debug, Default)]
pub(crate) struct Journal {
    bytes: Vec<u8>,
}

impl Journal {
    /// Bytes that wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn push(&mut self, slot: usize, version: u64, change: &Change<'_>) {
        let len = change.encoded_len();
        let number = |number: usize| u32::try_from(number).expect("it is below 2^32");
        self.bytes.reserve(HEAD_LEN + len);
        self.bytes.extend_from_slice(&number(slot).to_le_bytes());
        self.bytes.extend_from_slice(&version.to_le_bytes());
        self.bytes.extend_from_slice(&number(len).to_le_bytes());
        change.encode(&mut self.bytes);
    }

    /// Shows every record, oldest first, and forgets them.
    pub(crate) fn take(&mut self, mut with: impl FnMut(usize, u64, &[u8])) {
        let mut rest = &self.bytes[..];
        while let Some((head, after)) = rest.split_first_chunk::<HEAD_LEN>() {
            let [s0, s1, s2, s3, v0, v1, v2, v3, v4, v5, v6, v7, l0, l1, l2, l3] = *head;
            let slot = u32::from_le_bytes([s0, s1, s2, s3]);
            let version = u64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
            let len = u32::from_le_bytes([l0, l1, l2, l3]);
            let (change, after) = after.split_at(len as usize);
            with(slot as usize, version, change);
            rest = after;
        }
        self.bytes.clear();
        if self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = vec![];
        }
    }
}
