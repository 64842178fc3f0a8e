use crate::alloc;
use memtide_topology::KeyHash;

/// Fingerprints of a bucket: one row of 16 bytes.
const WAYS: usize = 8;

/// Keys that were lately evicted without a second access: fingerprints, oldest forgotten first.
///
/// A key that comes back while it is remembered goes to the main queue at once (S3-FIFO's ghost
/// queue). A false positive, about one in 8,000, does no harm. Two bytes a key.
#[derive(Debug, Default)]
pub(crate) struct Ghost {
    /// Buckets of [`WAYS`] fingerprints, newest first; 0 is none.
    fingerprints: Box<[u16]>,
}

impl Ghost {
    pub(crate) fn charge(&self) -> u64 {
        alloc::charge(size_of_val(&*self.fingerprints))
    }

    /// Keys that it remembers.
    pub(crate) fn capacity(&self) -> usize {
        self.fingerprints.len()
    }

    /// Bytes that a ghost of at least this many keys takes.
    pub(crate) fn charge_of(keys: usize) -> u64 {
        alloc::charge(keys.next_multiple_of(WAYS) * size_of::<u16>())
    }

    /// Forgets all, and remembers at least this many keys from now on.
    pub(crate) fn resize(&mut self, keys: usize) {
        self.fingerprints = vec![0; keys.next_multiple_of(WAYS)].into_boxed_slice();
    }

    pub(crate) fn insert(&mut self, hash: KeyHash) {
        if let Some((bucket, fingerprint)) = self.bucket(hash) {
            bucket.copy_within(..WAYS - 1, 1);
            bucket[0] = fingerprint;
        }
    }

    /// Whether the key is remembered.
    pub(crate) fn contains(&self, hash: KeyHash) -> bool {
        let place = self.place(hash);
        place
            .is_some_and(|(at, fingerprint)| self.fingerprints[at..][..WAYS].contains(&fingerprint))
    }

    /// Forgets a key, if it is remembered.
    pub(crate) fn remove(&mut self, hash: KeyHash) {
        if let Some((bucket, fingerprint)) = self.bucket(hash)
            && let Some(at) = bucket.iter().position(|known| *known == fingerprint)
        {
            bucket.copy_within(at + 1.., at);
            bucket[WAYS - 1] = 0;
        }
    }

    fn bucket(&mut self, hash: KeyHash) -> Option<(&mut [u16], u16)> {
        let (at, fingerprint) = self.place(hash)?;
        Some((&mut self.fingerprints[at..][..WAYS], fingerprint))
    }

    /// Where the key's bucket starts, and its fingerprint.
    fn place(&self, hash: KeyHash) -> Option<(usize, u16)> {
        let buckets = (self.fingerprints.len() / WAYS) as u64;
        if buckets == 0 {
            return None;
        }
        let bits = hash.bits();
        // High bits choose the bucket, bits above the slot's the fingerprint.
        let bucket = (((bits >> 32) * buckets) >> 32) as usize;
        let fingerprint = ((bits >> 14) & 0xffff) as u16;
        Some((bucket * WAYS, fingerprint.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_topology::HashSeed;

    fn hash(number: u32) -> KeyHash {
        HashSeed::new(1, 2).hash(&number.to_le_bytes())
    }

    #[test]
    fn it_remembers_the_newest_keys_once() {
        let mut ghost = Ghost::default();
        ghost.insert(hash(1));
        assert!(!ghost.contains(hash(1)), "without room it remembers nothing");
        ghost.resize(1000);
        (0..2000).for_each(|i| ghost.insert(hash(i)));
        let newest = (1900..2000).filter(|i| ghost.contains(hash(*i))).count();
        assert!(newest > 95, "{newest} of the newest 100");
        let oldest = (0..500).filter(|i| ghost.contains(hash(*i))).count();
        assert!(oldest < 25, "{oldest} of the oldest 500");
        ghost.remove(hash(1999));
        assert!(!ghost.contains(hash(1999)));
    }
}
