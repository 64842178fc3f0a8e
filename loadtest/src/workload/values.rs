use std::sync::LazyLock;

use rand::Rng;

use super::random::{below, mixed, rng};
use super::sizes::VALUE_BYTES_MAX;

/// Twice the longest value: even that has a million places to begin at.
const POOL_BYTES: usize = 2 * 1024 * 1024;

const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes for values: all are slices of one pool, so that none is made for a request. They are the
/// 64 characters of base64, at random: no compression gets below three quarters, and who looks at
/// the traffic, or reads it by lines, is not led astray. The pool is the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    pool: &'static [u8],
}

static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut pool = vec![0; POOL_BYTES];
    rng(0, 0).fill_bytes(&mut pool);
    pool.iter_mut().for_each(|byte| *byte = CHARACTERS[usize::from(*byte % 64)]);
    pool
});

impl Values {
    pub(super) fn new() -> Self {
        Self { pool: &POOL }
    }

    /// A value of this length; which one, the hash says.
    ///
    /// # Panics
    /// When it is longer than [`VALUE_BYTES_MAX`].
    pub(super) fn of(&self, hash: u64, len: usize) -> &[u8] {
        assert!(len <= VALUE_BYTES_MAX, "checked where the size came from");
        let places = u64::try_from(POOL_BYTES - VALUE_BYTES_MAX).expect("a usize fits");
        let from = usize::try_from(below(mixed(hash), places)).expect("an index of the pool");
        &self.pool[from..from + len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_by_key_and_use_all_characters_alike() {
        let values = Values::new();
        assert_eq!(values.of(7, 100), values.of(7, 100));
        assert_ne!(values.of(7, 100), values.of(8, 100));
        for hash in 0..1000 {
            assert_eq!(values.of(hash, VALUE_BYTES_MAX).len(), VALUE_BYTES_MAX);
        }
        let mut counts = [0_u32; 256];
        for &byte in values.of(1, VALUE_BYTES_MAX) {
            counts[usize::from(byte)] += 1;
        }
        for (byte, count) in (0..=255).zip(counts) {
            let expected = if CHARACTERS.contains(&byte) { 16_379 } else { 0 };
            assert!(count.abs_diff(expected) < 1000, "{byte}: {count}");
        }
    }
}
