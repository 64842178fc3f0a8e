//! Every limit of the protocol, in one place.

/// Longest key in bytes (memcached's `KEY_MAX_LENGTH`); for a base64 key, of its base64 text.
pub const KEY_BYTES_MAX: usize = 250;

/// Longest key in bytes once a base64 text of [`KEY_BYTES_MAX`] bytes is decoded.
pub const DECODED_KEY_BYTES_MAX: usize = KEY_BYTES_MAX / 4 * 3;

/// Longest `get`, `gets`, `gat` or `gats` line in bytes, its `\r` included and its `\n` not.
pub const RETRIEVE_LINE_BYTES_MAX: usize = 16 * 1024;

/// Longest line of any other command in bytes, its `\r` included and its `\n` not.
pub const LINE_BYTES_MAX: usize = 2048;

/// Longest opaque token in bytes, its `O` included (memcached's `MFLAG_MAX_OPAQUE_LENGTH`).
pub const OPAQUE_TOKEN_BYTES_MAX: usize = 32;

/// Most words of a meta command line, name, key and length included (memcached's
/// `MFLAG_MAX_OPT_LENGTH`).
pub const META_WORDS_MAX: usize = 20;

/// Largest exptime in seconds that counts from now; anything above is a Unix time.
pub const RELATIVE_EXPTIME_SECS_MAX: i64 = 60 * 60 * 24 * 30;

/// memcached's default item size limit in bytes (`-I 1m`).
pub const ITEM_BYTES_MAX_DEFAULT: u32 = 1024 * 1024;

/// Largest value length in bytes that a command may name, stored or swallowed: memcached counts the
/// value and its `\r\n` in an `int`.
pub const VALUE_BYTES_MAX: u32 = i32::MAX as u32 - 2;

/// What the owner of a cache may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest item in bytes as memcached counts it, see [`item_bytes`].
    pub item_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { item_bytes_max: ITEM_BYTES_MAX_DEFAULT }
    }
}

/// The size of an item as memcached counts it against its `-I` limit: 48 bytes of header, 8 of CAS,
/// the key and its terminator, 4 for client flags other than 0, the value and its `\r\n`.
#[must_use]
pub const fn item_bytes(key_len: usize, client_flags: u32, value_len: u32) -> u64 {
    let flags = if client_flags == 0 { 0 } else { 4 };
    48 + 8 + key_len as u64 + 1 + flags + value_len as u64 + 2
}

const _: () = assert!(LINE_BYTES_MAX > KEY_BYTES_MAX, "a line holds a key");
const _: () = assert!(DECODED_KEY_BYTES_MAX <= u8::MAX as usize, "a key length is one byte");
