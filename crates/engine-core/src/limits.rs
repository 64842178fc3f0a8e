/// Longest key in bytes; memcached's `KEY_MAX_LENGTH`.
pub const KEY_LEN_MAX: usize = 250;

/// Largest item in bytes as memcached counts it (its `-I` default): see
/// [`Store::item_fits`](crate::Store::item_fits).
pub const ITEM_SIZE_MAX_DEFAULT: u32 = 1024 * 1024;
