use crate::limits::KEY_LEN_MAX;
use memtide_topology::{KeyHash, SlotId};

/// A key with its hash under the seed of its cache.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    bytes: &'a [u8],
    hash: KeyHash,
    is_binary: bool,
}

impl<'a> Key<'a> {
    /// A key of 1 to [`KEY_LEN_MAX`] bytes; `None` of any other length.
    ///
    /// `hash` must be the hash of `bytes` under the seed that the store was made with, as the
    /// store hashes again when it moves items.
    #[must_use]
    pub fn new(bytes: &'a [u8], hash: KeyHash) -> Option<Self> {
        let fits = !bytes.is_empty() && bytes.len() <= KEY_LEN_MAX;
        fits.then_some(Self { bytes, hash, is_binary: false })
    }

    /// The same key, marked as one that the client sent in base64 (meta flag b).
    ///
    /// memcached keeps that mark with the item that the command stores, and replies with flag k
    /// encode the key in base64 when the *item* has it, whatever the request's form.
    #[must_use]
    pub fn binary(self) -> Self {
        Self { is_binary: true, ..self }
    }

    /// The bytes, decoded from base64 where the client sent it so.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The hash of the bytes.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        self.hash
    }

    /// Whether the client sent it in base64.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.is_binary
    }

    /// The slot that owns the key.
    #[must_use]
    pub fn slot(&self) -> SlotId {
        SlotId::of(self.hash)
    }
}
