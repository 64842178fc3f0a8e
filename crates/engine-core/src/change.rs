//! A mutation as bytes: the state that it left behind, for those who hold copies of the slot.
//!
//! ```text
//! flushed   0
//! removed   1, key length u8, key
//! item      2, marks u8, key length u8, value length u32, CAS unique u64,
//!           client flags u32 with the mark CLIENT_FLAGS, exptime u32 with the mark EXPTIME,
//!           key, value
//! ```
//!
//! Integers are little-endian. Each state has one encoding, and each encoding says where it ends,
//! so changes may stand one after the other.

use crate::limits::KEY_LEN_MAX;
use crate::value::Value;

const FLUSHED: u8 = 0;
const REMOVED: u8 = 1;
const ITEM: u8 = 2;

/// Marks of an encoded item.
mod mark {
    pub(super) const STALE: u8 = 1;
    pub(super) const TOKEN_SENT: u8 = 1 << 1;
    pub(super) const KEY_BINARY: u8 = 1 << 2;
    pub(super) const CLIENT_FLAGS: u8 = 1 << 3;
    pub(super) const EXPTIME: u8 = 1 << 4;
    pub(super) const ALL: u8 = STALE | TOKEN_SENT | KEY_BINARY | CLIENT_FLAGS | EXPTIME;
}

/// What a mutation left behind.
///
/// A state and not an operation: to apply it twice is to apply it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The key has this item.
    Item(ItemState<'a>),
    /// The key has no item.
    Removed {
        /// The key, of 1 to [`KEY_LEN_MAX`] bytes.
        key: &'a [u8],
    },
    /// The slot has no item.
    Flushed,
}

/// All of an item that a client can see, or that decides what a command does to it.
///
/// Not last access, hit mark and recency: they are each node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemState<'a> {
    /// The key, of 1 to [`KEY_LEN_MAX`] bytes.
    pub key: &'a [u8],
    /// The value without line end.
    pub value: Value<'a>,
    /// Client flags.
    pub client_flags: u32,
    /// The CAS unique.
    pub cas: u64,
    /// Unix second of its end; 0 for never.
    pub exptime: u32,
    /// Marked stale.
    pub is_stale: bool,
    /// Somebody has won the right to recache it.
    pub is_token_sent: bool,
    /// The key was stored in base64.
    pub key_is_binary: bool,
}

/// Why bytes are no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// They end in the middle of it.
    #[error("change is cut off: {missing} more bytes expected")]
    CutOff {
        /// Bytes that are missing, at least.
        missing: usize,
    },
    /// No such kind is known to this version.
    #[error("change is of unknown kind {0}")]
    Kind(u8),
    /// Marks are set that this version does not know.
    #[error("item has unknown marks {0:#04x}")]
    Marks(u8),
    /// The key is empty or too long.
    #[error("key has {0} bytes, and 1 to 250 are allowed")]
    KeyLen(u8),
    /// A field is there that says the same as its absence.
    #[error("item encodes a field that is 0")]
    EmptyField,
}

impl<'a> Change<'a> {
    /// The key that it is about; `None` for the whole slot.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Item(item) => Some(item.key),
            Self::Removed { key } => Some(key),
            Self::Flushed => None,
        }
    }

    /// Bytes that [`encode`](Self::encode) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Item(item) => {
                let flags_len = if item.client_flags == 0 { 0 } else { 4 };
                let exptime_len = if item.exptime == 0 { 0 } else { 4 };
                15 + flags_len + exptime_len + item.key.len() + item.value.len()
            }
            Self::Removed { key } => 2 + key.len(),
            Self::Flushed => 1,
        }
    }

    /// Appends the change.
    ///
    /// # Panics
    /// Where the key is longer than [`KEY_LEN_MAX`] or the value than 4 GiB.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(self.encoded_len());
        match self {
            Self::Item(item) => item.encode(bytes),
            Self::Removed { key } => {
                bytes.extend_from_slice(&[REMOVED, key_len(key)]);
                bytes.extend_from_slice(key);
            }
            Self::Flushed => bytes.push(FLUSHED),
        }
    }

    /// Reads the change that starts these bytes, and says what follows it.
    ///
    /// # Errors
    /// Where they do not start with a whole change of a known kind.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ChangeError> {
        let mut input = Input(bytes);
        let change = match input.byte()? {
            FLUSHED => Self::Flushed,
            REMOVED => {
                let len = input.key_len()?;
                Self::Removed { key: input.take(len)? }
            }
            ITEM => Self::Item(ItemState::decode(&mut input)?),
            kind => return Err(ChangeError::Kind(kind)),
        };
        Ok((change, input.0))
    }
}

impl<'a> ItemState<'a> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        let value_len = u32::try_from(self.value.len()).expect("a value is shorter than 4 GiB");
        bytes.extend_from_slice(&[ITEM, self.marks(), key_len(self.key)]);
        bytes.extend_from_slice(&value_len.to_le_bytes());
        bytes.extend_from_slice(&self.cas.to_le_bytes());
        for field in [self.client_flags, self.exptime] {
            if field != 0 {
                bytes.extend_from_slice(&field.to_le_bytes());
            }
        }
        bytes.extend_from_slice(self.key);
        self.value.chunks().for_each(|chunk| bytes.extend_from_slice(chunk));
    }

    fn marks(&self) -> u8 {
        let mark = |is_set: bool, mark: u8| if is_set { mark } else { 0 };
        mark(self.is_stale, mark::STALE)
            | mark(self.is_token_sent, mark::TOKEN_SENT)
            | mark(self.key_is_binary, mark::KEY_BINARY)
            | mark(self.client_flags != 0, mark::CLIENT_FLAGS)
            | mark(self.exptime != 0, mark::EXPTIME)
    }

    fn decode(input: &mut Input<'a>) -> Result<Self, ChangeError> {
        let marks = input.byte()?;
        if marks & !mark::ALL != 0 {
            return Err(ChangeError::Marks(marks));
        }
        let has = |mark: u8| marks & mark != 0;
        let key_len = input.key_len()?;
        let value_len = input.number()?;
        let cas = u64::from_le_bytes(input.array()?);
        let client_flags = input.field(has(mark::CLIENT_FLAGS))?;
        let exptime = input.field(has(mark::EXPTIME))?;
        let key = input.take(key_len)?;
        let value = input.take(usize::try_from(value_len).unwrap_or(usize::MAX))?;
        Ok(Self {
            key,
            value: Value::from(value),
            client_flags,
            cas,
            exptime,
            is_stale: has(mark::STALE),
            is_token_sent: has(mark::TOKEN_SENT),
            key_is_binary: has(mark::KEY_BINARY),
        })
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], ChangeError> {
        let missing = len.saturating_sub(self.0.len());
        let (taken, rest) = self.0.split_at_checked(len).ok_or(ChangeError::CutOff { missing })?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], ChangeError> {
        Ok(self.take(LEN)?.try_into().expect("so many bytes were taken"))
    }

    fn byte(&mut self) -> Result<u8, ChangeError> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u32, ChangeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A field that is there only where it is not 0.
    fn field(&mut self, is_there: bool) -> Result<u32, ChangeError> {
        if !is_there {
            return Ok(0);
        }
        match self.number()? {
            0 => Err(ChangeError::EmptyField),
            number => Ok(number),
        }
    }

    fn key_len(&mut self) -> Result<usize, ChangeError> {
        let len = self.byte()?;
        match usize::from(len) {
            1..=KEY_LEN_MAX => Ok(usize::from(len)),
            _ => Err(ChangeError::KeyLen(len)),
        }
    }
}

fn key_len(key: &[u8]) -> u8 {
    u8::try_from(key.len()).expect("a key has at most 250 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn encoded(change: Change<'_>) -> Vec<u8> {
        let mut bytes = vec![];
        change.encode(&mut bytes);
        assert_eq!(bytes.len(), change.encoded_len());
        bytes
    }

    fn item<'a>(key: &'a [u8], value: &'a [u8]) -> ItemState<'a> {
        ItemState {
            key,
            value: Value::from(value),
            client_flags: 0,
            cas: 7,
            exptime: 0,
            is_stale: false,
            is_token_sent: false,
            key_is_binary: false,
        }
    }

    proptest! {
        #[test]
        fn a_change_reads_as_written(
            key in vec(any::<u8>(), 1..=KEY_LEN_MAX),
            value in vec(any::<u8>(), 0..300),
            fields: (u32, u64, u32),
            marks: (bool, bool, bool),
            rest in vec(any::<u8>(), 0..20),
            kind in 0..3,
        ) {
            let (client_flags, cas, exptime) = fields;
            let (is_stale, is_token_sent, key_is_binary) = marks;
            let value = Value::from(&value[..]);
            let key = &key[..];
            let change = match kind {
                0 => Change::Flushed,
                1 => Change::Removed { key },
                _ => Change::Item(ItemState {
                    key, value, client_flags, cas, exptime, is_stale, is_token_sent, key_is_binary,
                }),
            };
            let mut bytes = encoded(change);
            for len in 0..bytes.len() {
                let cut = Change::decode(&bytes[..len]);
                prop_assert!(matches!(cut, Err(ChangeError::CutOff { .. })), "{len}: {cut:?}");
            }
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(Change::decode(&bytes), Ok((change, &rest[..])));
        }

        /// Whatever a peer sends is refused, or is just what encoding gives.
        #[test]
        fn bytes_are_a_change_in_one_way_or_refused(
            kind in 0u8..4,
            marks in prop_oneof![0u8..32, any::<u8>()],
            len in prop_oneof![0u8..9, any::<u8>()],
            rest in vec(prop_oneof![Just(0u8), any::<u8>()], 0..300),
            raw in vec(any::<u8>(), 0..64),
        ) {
            let mut likely = vec![kind, marks, len];
            likely.extend_from_slice(&rest);
            for bytes in [&likely[..], &likely[1..], &raw] {
                if let Ok((change, rest)) = Change::decode(bytes) {
                    prop_assert_eq!(&encoded(change)[..], &bytes[..bytes.len() - rest.len()]);
                }
            }
        }
    }

    #[test]
    fn malformed_bytes_are_refused_with_a_reason() {
        let check = |bytes: &[u8], expected: ChangeError, message: &str| {
            assert_eq!(Change::decode(bytes), Err(expected), "{bytes:?}");
            assert_eq!(expected.to_string(), message);
        };
        let cut_off = |missing| ChangeError::CutOff { missing };
        check(&[], cut_off(1), "change is cut off: 1 more bytes expected");
        check(&[9], ChangeError::Kind(9), "change is of unknown kind 9");
        let message = "key has 0 bytes, and 1 to 250 are allowed";
        check(&[REMOVED, 0], ChangeError::KeyLen(0), message);
        let message = "key has 251 bytes, and 1 to 250 are allowed";
        check(&[REMOVED, 251], ChangeError::KeyLen(251), message);
        check(&[ITEM, 0x20], ChangeError::Marks(0x20), "item has unknown marks 0x20");
        let mut bytes = encoded(Change::Item(ItemState { exptime: 5, ..item(b"k", b"v") }));
        bytes[15] = 0;
        check(&bytes, ChangeError::EmptyField, "item encodes a field that is 0");
        // A length that no memory has is a length that the bytes do not have.
        let mut bytes = encoded(Change::Item(item(b"k", b"v")));
        bytes[3..7].copy_from_slice(&u32::MAX.to_le_bytes());
        let missing = u32::MAX as usize - 1;
        let message = "change is cut off: 4294967294 more bytes expected";
        check(&bytes, cut_off(missing), message);
    }
}
