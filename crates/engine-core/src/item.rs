//! An item as bytes: a record of header, optional fields, key, value and padding.
//!
//! ```text
//! offset  0  u32  value length (low 30 bits), frequency (high 2 bits)
//!         4  u8   key length
//!         5  u8   marks
//!         6  u64  CAS unique
//!        14  u32  exptime in Unix seconds, 0 for never
//!        18  u32  last access in Unix seconds
//!        22  u32  client flags, only with the mark CLIENT_FLAGS
//!            u32  number of the first extent,
//!            u32  bytes in extents, both only with the mark EXTENTS
//! ```
//!
//! A value starts in the record, and its end may be in extents: see `segment`.

use crate::time::{Expiry, Now};

pub(crate) const HEADER_LEN: usize = 22;
/// Records start at multiples of this, so that a location needs fewer bits.
pub(crate) const ALIGN: usize = 4;
const CLIENT_FLAGS_LEN: usize = 4;
const EXTENTS_LEN: usize = 8;
const VALUE_LEN_BITS: u32 = 30;
const FREQUENCY_MAX: u8 = 3;

/// Marks of an item.
pub(crate) mod mark {
    /// Fetched since it was stored: memcached's `ITEM_FETCHED`.
    pub(crate) const FETCHED: u8 = 1;
    /// To be recached: `ITEM_STALE`.
    pub(crate) const STALE: u8 = 1 << 1;
    /// Somebody has won the right to recache: `ITEM_TOKEN_SENT`.
    pub(crate) const TOKEN_SENT: u8 = 1 << 2;
    /// The key came in base64: `ITEM_KEY_BINARY`.
    pub(crate) const KEY_BINARY: u8 = 1 << 3;
    /// Client flags follow the header.
    pub(crate) const CLIENT_FLAGS: u8 = 1 << 4;
    /// The end of the value is in extents.
    pub(crate) const EXTENTS: u8 = 1 << 5;
    /// No longer in the index; only its length is of use.
    pub(crate) const DEAD: u8 = 1 << 6;
}

/// The end of a long value: a chain of segments that it fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extents {
    /// Number of the first; 0 for none.
    pub(crate) first: u32,
    /// Bytes in all of them.
    pub(crate) bytes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) value_len: u32,
    /// Accesses since it was stored or last considered for eviction; saturates at 3.
    pub(crate) frequency: u8,
    pub(crate) key_len: u8,
    pub(crate) marks: u8,
    pub(crate) cas: u64,
    pub(crate) exptime: u32,
    pub(crate) last_access: u32,
    pub(crate) extents: Extents,
}

impl Header {
    /// Reads the header that starts `bytes`.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let h: &[u8; HEADER_LEN] = bytes.first_chunk().expect("an item is longer than its header");
        let word = u32::from_le_bytes([h[0], h[1], h[2], h[3]]);
        let mut header = Self {
            value_len: word & ((1 << VALUE_LEN_BITS) - 1),
            frequency: (word >> VALUE_LEN_BITS) as u8,
            key_len: h[4],
            marks: h[5],
            cas: u64::from_le_bytes([h[6], h[7], h[8], h[9], h[10], h[11], h[12], h[13]]),
            exptime: u32::from_le_bytes([h[14], h[15], h[16], h[17]]),
            last_access: u32::from_le_bytes([h[18], h[19], h[20], h[21]]),
            extents: Extents::default(),
        };
        if header.has(mark::EXTENTS) {
            let e: &[u8; EXTENTS_LEN] =
                bytes[header.extents_start()..].first_chunk().expect("the mark says so");
            header.extents.first = u32::from_le_bytes([e[0], e[1], e[2], e[3]]);
            header.extents.bytes = u32::from_le_bytes([e[4], e[5], e[6], e[7]]);
        }
        header
    }

    /// Writes the header to the start of `bytes`.
    #[inline]
    pub(crate) fn write(&self, bytes: &mut [u8]) {
        let h: &mut [u8; HEADER_LEN] =
            bytes.first_chunk_mut().expect("an item is longer than its header");
        let word = self.value_len | u32::from(self.frequency) << VALUE_LEN_BITS;
        h[0..4].copy_from_slice(&word.to_le_bytes());
        h[4] = self.key_len;
        h[5] = self.marks;
        h[6..14].copy_from_slice(&self.cas.to_le_bytes());
        h[14..18].copy_from_slice(&self.exptime.to_le_bytes());
        h[18..22].copy_from_slice(&self.last_access.to_le_bytes());
        if self.has(mark::EXTENTS) {
            let extents = &mut bytes[self.extents_start()..];
            extents[..4].copy_from_slice(&self.extents.first.to_le_bytes());
            extents[4..8].copy_from_slice(&self.extents.bytes.to_le_bytes());
        }
    }

    pub(crate) fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    pub(crate) fn set(&mut self, mark: u8) {
        self.marks |= mark;
    }

    pub(crate) fn clear(&mut self, mark: u8) {
        self.marks &= !mark;
    }

    #[inline]
    fn extents_start(&self) -> usize {
        HEADER_LEN + if self.has(mark::CLIENT_FLAGS) { CLIENT_FLAGS_LEN } else { 0 }
    }

    #[inline]
    pub(crate) fn key_start(&self) -> usize {
        self.extents_start() + if self.has(mark::EXTENTS) { EXTENTS_LEN } else { 0 }
    }

    #[inline]
    pub(crate) fn value_start(&self) -> usize {
        self.key_start() + usize::from(self.key_len)
    }

    /// Bytes of the value that are in the record.
    #[inline]
    pub(crate) fn inline_len(&self) -> usize {
        (self.value_len - self.extents.bytes) as usize
    }

    /// Bytes of the record, padding included.
    #[inline]
    pub(crate) fn record_len(&self) -> usize {
        (self.value_start() + self.inline_len()).next_multiple_of(ALIGN)
    }

    /// Bytes of the item, extents included.
    #[inline]
    pub(crate) fn item_len(&self) -> u64 {
        self.record_len() as u64 + u64::from(self.extents.bytes)
    }

    pub(crate) fn client_flags(&self, bytes: &[u8]) -> u32 {
        if !self.has(mark::CLIENT_FLAGS) {
            return 0;
        }
        let flags = bytes[HEADER_LEN..].first_chunk().expect("the mark says that they are there");
        u32::from_le_bytes(*flags)
    }

    pub(crate) fn write_client_flags(bytes: &mut [u8], client_flags: u32) {
        let end = HEADER_LEN + CLIENT_FLAGS_LEN;
        bytes[HEADER_LEN..end].copy_from_slice(&client_flags.to_le_bytes());
    }

    #[inline]
    pub(crate) fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.key_start()..self.value_start()]
    }

    #[inline]
    pub(crate) fn is_expired(&self, now: Now) -> bool {
        self.exptime != 0 && self.exptime <= now.unix_secs()
    }

    /// Seconds to live; an end in the past is 0.
    pub(crate) fn ttl(&self, now: Now) -> Option<u32> {
        (self.exptime != 0).then(|| self.exptime.saturating_sub(now.unix_secs()))
    }

    pub(crate) fn set_expiry(&mut self, expiry: Expiry) {
        self.exptime = expiry.exptime();
    }

    /// Counts an access.
    #[inline]
    pub(crate) fn bump(&mut self, now: Now) {
        self.last_access = now.unix_secs();
        self.frequency = FREQUENCY_MAX.min(self.frequency + 1);
    }
}

impl Expiry {
    /// As headers keep it: 0 for never, and never 0 otherwise.
    pub(crate) fn exptime(self) -> u32 {
        match self {
            Self::Never => 0,
            Self::At(at) => at.max(1),
            Self::Immediately => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_reads_as_written(
            value_len in 0u32..1 << VALUE_LEN_BITS,
            frequency in 0..=FREQUENCY_MAX,
            key_len: u8,
            marks: u8,
            cas: u64,
            exptime: u32,
            last_access: u32,
        ) {
            let bytes = if marks & mark::EXTENTS == 0 { 0 } else { value_len / 2 };
            let extents = Extents { first: bytes / 3, bytes };
            let header =
                Header { value_len, frequency, key_len, marks, cas, exptime, last_access, extents };
            let mut bytes = [0; HEADER_LEN + CLIENT_FLAGS_LEN + EXTENTS_LEN];
            header.write(&mut bytes);
            prop_assert_eq!(Header::read(&bytes), header);
        }
    }
}
