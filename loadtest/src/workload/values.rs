use std::sync::LazyLock;

use rand::Rng;

use super::random::{below, mixed, rng};
use super::sizes::VALUE_BYTES_MAX;

/// Twice the longest value: even that has a million places to begin at.
const POOL_BYTES: usize = 2 * 1024 * 1024;

/// Bytes for values: all are slices of one pool that no compression makes smaller, so that none is
/// made for a request. The pool is the same in every run.
#[derive(Clone, Copy, Debug)]
pub struct Values {
    pool: &'static [u8],
}

static POOL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut pool = vec![0; POOL_BYTES];
    rng(0, 0).fill_bytes(&mut pool);
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
    fn values_differ_by_key_and_none_compresses() {
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
        assert!(counts.iter().all(|&count| count.abs_diff(4095) < 500), "{counts:?}");
    }
}
