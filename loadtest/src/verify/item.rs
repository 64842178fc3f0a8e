use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::history::{COUNT_UNIT, COUNTER_BASE_SHIFT, Token};

/// A map keyed by small integers that nobody chooses to harm us.
pub type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// Multiplies and rotates; for keys of a few words.
#[derive(Clone, Copy, Debug, Default)]
pub struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(26) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A version of an item: versions are equal exactly if their values are, for every token is
/// written once, and a counter's number never recurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Value {
    /// The token that was stored; or the number of a counter.
    pub base: Token,
    /// What was prepended, innermost first.
    pub front: Chain,
    /// What was appended, innermost first.
    pub back: Chain,
}

impl Value {
    /// A value without additions.
    pub fn bare(base: Token) -> Self {
        Self { base, front: Chain::EMPTY, back: Chain::EMPTY }
    }

    /// The store that a counter's number began with.
    pub fn counter_base(self) -> u64 {
        self.base >> COUNTER_BASE_SHIFT
    }

    /// How much `incr` and `decr` must make of this number for it to become `target`; `None` where
    /// they cannot.
    pub fn counts_to(self, target: Self) -> Option<(u64, u64)> {
        if self.counter_base() != target.counter_base() {
            return None;
        }
        let down = self.base.wrapping_sub(target.base) % COUNT_UNIT;
        let up = (target.base + down).checked_sub(self.base)?;
        Some((up, down))
    }
}

/// A list of tokens in [`Chains`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chain(u32);

impl Chain {
    /// The empty list.
    pub const EMPTY: Self = Self(0);
}

/// Lists of tokens, each kept once, so that equal lists are equal [`Chain`]s.
#[derive(Debug)]
pub struct Chains {
    /// The list without its last token, and the last token.
    links: Vec<(Chain, Token)>,
    longer: FastMap<(u32, Token), Chain>,
}

impl Chains {
    pub fn new() -> Self {
        Self { links: vec![(Chain::EMPTY, 0)], longer: FastMap::default() }
    }

    /// The list with a token added to its end.
    pub fn push(&mut self, chain: Chain, token: Token) -> Chain {
        let next = u32::try_from(self.links.len()).expect("fewer than 2^32 additions to one key");
        let longer = *self.longer.entry((chain.0, token)).or_insert(Chain(next));
        if longer.0 == next {
            self.links.push((chain, token));
        }
        longer
    }

    /// Itself and all that it begins with, the longest first.
    pub fn beginnings(&self, chain: Chain) -> impl Iterator<Item = Chain> + '_ {
        let mut next = Some(chain);
        std::iter::from_fn(move || {
            let this = next?;
            next = (this != Chain::EMPTY).then(|| self.links[this.0 as usize].0);
            Some(this)
        })
    }

    /// The tokens of a list, the last first.
    pub fn tokens(&self, chain: Chain) -> Vec<Token> {
        let links = self.beginnings(chain).filter(|&link| link != Chain::EMPTY);
        links.map(|link| self.links[link.0 as usize].1).collect()
    }

    /// Whether additions make the second of the first.
    pub fn leads_to(&self, from: Value, to: Value) -> bool {
        from.base == to.base
            && self.beginnings(to.front).any(|front| front == from.front)
            && self.beginnings(to.back).any(|back| back == from.back)
    }
}

/// Why there is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    NeverStored,
    Deleted,
    Expired,
    Evicted,
}

/// What may be under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Absent(Why),
    Present(Value),
    /// An item of a value that no later reply tells of, nor of what could be made of it.
    Unseen,
}

impl Item {
    pub fn is_present(self) -> bool {
        !matches!(self, Self::Absent(_))
    }

    pub fn is(self, value: Value) -> bool {
        self == Self::Present(value)
    }
}
