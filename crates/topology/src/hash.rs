use core::hash::Hasher as _;
use siphasher::sip::SipHasher13;

/// The 64-bit hash of a key under its cache's [`HashSeed`].
///
/// The low 14 bits are the [slot](crate::SlotId); the engine indexes by the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// A hash that was computed before, such as one that came with a request.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The secret of a cache that keeps clients from choosing keys that collide.
///
/// Part of the topology: all proxies and nodes of a cache hash with the same seed, over all
/// versions, so the function is fixed: SipHash-1-3 with this 128-bit key over the key's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashSeed(u64, u64);

impl HashSeed {
    /// A seed from two random words.
    #[must_use]
    pub const fn new(first: u64, second: u64) -> Self {
        Self(first, second)
    }

    /// The two words, for those who keep or send the topology.
    pub(crate) const fn words(self) -> (u64, u64) {
        (self.0, self.1)
    }

    /// Hashes a key.
    #[must_use]
    pub fn hash(self, key: &[u8]) -> KeyHash {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(key);
        KeyHash(hasher.finish())
    }
}

impl core::fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashSeed(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proxies and nodes of different versions must agree, so these bits may never change.
    #[test]
    fn the_function_is_fixed() {
        let hash = |key: &[u8]| HashSeed::new(0x0706050403020100, 0x0f0e0d0c0b0a0908).hash(key);
        // SipHash-1-3 reference vectors: key 00..0f, inputs of 0 and 8 bytes 00..07.
        assert_eq!(hash(b"").bits(), 0xabac0158050fc4dc);
        assert_eq!(hash(&[0, 1, 2, 3, 4, 5, 6, 7]).bits(), 0x369095118d299a8e);
    }

    #[test]
    fn another_seed_gives_other_hashes() {
        assert_ne!(HashSeed::new(1, 2).hash(b"k"), HashSeed::new(1, 3).hash(b"k"));
    }

    #[test]
    fn the_seed_is_not_printed() {
        assert_eq!(format!("{:?}", HashSeed::new(7, 9)), "HashSeed(secret)");
    }
}
