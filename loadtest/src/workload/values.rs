use std::sync::Arc;

use rand::Rng;

use super::random::{below, mixed, rng};
use super::sizes::VALUE_BYTES_MAX;

/// Twice the longest value: even that has a million places to begin at.
const POOL_BYTES: usize = 2 * 1024 * 1024;

/// Bytes for values: all are slices of one pool that no compression makes smaller, so that none is
/// made for a request. The pool is the same in every run; clones share it.
#[derive(Clone, Debug)]
pub struct Values {
    pool: Arc<[u8]>,
}

impl Values {
    pub(super) fn new() -> Self {
        let mut pool = vec![0; POOL_BYTES];
        rng(0, 0).fill_bytes(&mut pool);
        Self { pool: pool.into() }
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
    fn values_differ_by_key_and_not_by_run() {
        let (one, other) = (Values::new(), Values::new());
        assert_eq!(one.of(7, 100), other.of(7, 100));
        assert_ne!(one.of(7, 100), one.of(8, 100));
        for hash in 0..1000 {
            assert_eq!(one.of(hash, VALUE_BYTES_MAX).len(), VALUE_BYTES_MAX);
        }
    }
}
