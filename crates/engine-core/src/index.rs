//! A hash table of some slots: one 64-bit word per item, in tag order.
//!
//! Open addressing with linear probing after Robin Hood (Celis 1986): an entry's home position is
//! its tag scaled to the capacity, so any capacity works, a table grows without looking at its
//! items, and entries lie in tag order, which makes a listing by cursor exact while the table
//! changes. Invariant: walking right from an entry's home, no empty word comes before it, and
//! displacement never drops by more than the homes grow.
//!
//! The words are in chunks of one length, and growing and shrinking happen in place: entries only
//! move right as the capacity grows, and left as it shrinks. So a table never exists twice, and
//! the allocator has nothing to fragment.

use crate::{alloc, prefetch};
use core::ops::Range;

/// Bits of a hash that an entry keeps.
pub(crate) const TAG_BITS: u32 = 28;
/// Bits of an entry that say where the item lies.
pub(crate) const LOC_BITS: u32 = 64 - TAG_BITS;
const LOC_MASK: u64 = (1 << LOC_BITS) - 1;
/// Words of a chunk.
const CHUNK: usize = 128;

/// The slot among those of its table, then bits of the key's hash: see `Geometry::tags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag(u64);

impl Tag {
    /// `number` is below 2^[`TAG_BITS`], or that for the end of all tags.
    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

/// Where an item lies in its shard; never 0. See `Geometry::loc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loc(u64);

impl Loc {
    /// `bits` is nonzero and below 2^[`LOC_BITS`].
    pub(crate) fn from_bits(bits: u64) -> Self {
        debug_assert!(bits != 0 && bits <= LOC_MASK, "a location is nonzero and has 36 bits");
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }
}

/// A position in a table, until the table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(usize);

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// `tag << LOC_BITS | loc`, or 0 for an empty word. At least one is empty, unless all are.
    #[expect(clippy::vec_box, reason = "a chunk stays where it is when the table grows")]
    chunks: Vec<Box<[u64; CHUNK]>>,
    len: u32,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Bytes that the allocator gives for this table.
    pub(crate) fn charge(&self) -> u64 {
        charge(self.chunks.len())
    }

    /// Bytes that the table needs more for one more insertion; `None` when it has room.
    pub(crate) fn growth_charge(&self) -> Option<u64> {
        let is_full = self.len() + 1 > len_max(self.capacity());
        is_full.then(|| charge(larger(self.chunks.len())) - self.charge())
    }

    /// Takes the next larger capacity.
    pub(crate) fn grow(&mut self) {
        let wrapped = self.take_wrapped();
        let old_capacity = self.capacity();
        let chunks = larger(self.chunks.len());
        self.chunks.reserve_exact(chunks - self.chunks.len());
        self.chunks.resize_with(chunks, || Box::new([0; CHUNK]));
        let capacity = self.capacity();
        // First all entries go to the right end, then each to the left to its place.
        let mut to = capacity;
        for from in (0..old_capacity).rev() {
            let entry = self.take(from);
            if entry != 0 {
                to -= 1;
                self.set(to, entry);
            }
        }
        self.spread(to, wrapped);
    }

    /// Takes a smaller capacity where less than half of this one is used.
    pub(crate) fn shrink(&mut self) {
        if self.len() * 2 >= self.capacity() && self.len > 0 {
            return;
        }
        let mut chunks = (self.len() * 5 / 4).div_ceil(CHUNK);
        if self.len() > len_max(chunks * CHUNK) {
            chunks += 1;
        }
        if chunks >= self.chunks.len() {
            return;
        }
        let wrapped = self.take_wrapped();
        // First all entries go to the left end, so that the rest can be given back.
        let mut to = 0;
        for from in 0..self.capacity() {
            let entry = self.take(from);
            if entry != 0 {
                self.set(to, entry);
                to += 1;
            }
        }
        self.chunks.truncate(chunks);
        self.chunks.shrink_to_fit();
        let mut right = self.capacity();
        for from in (0..to).rev() {
            let entry = self.take(from);
            right -= 1;
            self.set(right, entry);
        }
        self.spread(right, wrapped);
    }

    /// The entries from `from` to the end, which are in order without a gap, each go to their
    /// place; then those that had wrapped around.
    fn spread(&mut self, from: usize, wrapped: Vec<u64>) {
        let capacity = self.capacity();
        let mut at = 0;
        let mut late = wrapped;
        for from in from..capacity {
            let entry = self.take(from);
            at = at.max(home(tag_of(entry), capacity));
            if at > from {
                // Entries crowd at the end, and some of them wrap around.
                late.push(entry);
            } else {
                self.set(at, entry);
                at += 1;
            }
        }
        self.len -= u32::try_from(late.len()).expect("no more than there are");
        late.into_iter().for_each(|entry| self.insert_entry(entry));
    }

    /// Takes out the entries at the start whose homes are at the end.
    fn take_wrapped(&mut self) -> Vec<u64> {
        let capacity = self.capacity();
        let mut wrapped = vec![];
        for at in 0..capacity {
            let entry = self.entry(at);
            if entry == 0 || home(tag_of(entry), capacity) <= at {
                break;
            }
            wrapped.push(self.take(at));
        }
        wrapped
    }

    /// The first entry with this tag for which `is_it` is true.
    #[inline]
    pub(crate) fn find(&self, tag: Tag, mut is_it: impl FnMut(Loc) -> bool) -> Option<Position> {
        if self.len == 0 {
            return None;
        }
        let capacity = self.capacity();
        let start = home(tag, capacity);
        let mut at = start;
        for _ in 0..capacity {
            let entry = self.entry(at);
            let other = tag_of(entry);
            if other == tag && entry != 0 {
                if is_it(Loc(entry & LOC_MASK)) {
                    return Some(Position(at));
                }
            } else if entry == 0 {
                return None;
            } else {
                // Behind the tag's place in the order; what wrapped around is before all others.
                let is_wrapped = at < start;
                let is_behind = match is_wrapped {
                    false => other > tag && home(other, capacity) <= at,
                    true => other > tag || home(other, capacity) <= at,
                };
                if is_behind {
                    return None;
                }
            }
            at = next(at, capacity);
        }
        None
    }

    /// Asks for the words where the search for a tag starts.
    #[inline]
    pub(crate) fn prefetch(&self, tag: Tag) {
        if self.len > 0 {
            let at = home(tag, self.capacity());
            let chunk = &self.chunks[at / CHUNK];
            prefetch::prefetch(&chunk[at % CHUNK..]);
            prefetch::prefetch(&chunk[(at % CHUNK + 4).min(CHUNK - 1)..]);
        }
    }

    /// The item of this entry has moved.
    pub(crate) fn relocate(&mut self, position: Position, loc: Loc) {
        let entry = self.entry(position.0);
        self.set(position.0, (entry & !LOC_MASK) | loc.bits());
    }

    /// Adds an entry; [`Table::growth_charge`] must be `None`.
    pub(crate) fn insert(&mut self, tag: Tag, loc: Loc) {
        debug_assert!(self.growth_charge().is_none(), "the caller grows the table first");
        self.insert_entry(tag.0 << LOC_BITS | loc.bits());
    }

    /// Removes an entry, and moves those that it displaced back.
    pub(crate) fn remove(&mut self, position: Position) {
        let capacity = self.capacity();
        let mut hole = position.0;
        loop {
            let at = next(hole, capacity);
            let entry = self.entry(at);
            if entry == 0 || self.displacement(entry, at) == 0 {
                break;
            }
            self.set(hole, entry);
            hole = at;
        }
        self.set(hole, 0);
        self.len -= 1;
    }

    /// Removes the first entry whose tag is in this range.
    pub(crate) fn remove_first(&mut self, tags: &Range<Tag>) -> Option<Loc> {
        let (tag, loc) = self.iter_from(tags.start).next()?;
        if tag >= tags.end {
            return None;
        }
        let position = self.find(tag, |other| other == loc)?;
        self.remove(position);
        Some(loc)
    }

    /// All entries from `from` on, in tag order.
    pub(crate) fn iter_from(&self, from: Tag) -> impl Iterator<Item = (Tag, Loc)> {
        let capacity = self.capacity();
        let is_wrapped = move |at: usize, entry: u64| home(tag_of(entry), capacity) > at;
        let direct = (home(from, capacity)..capacity).map(|at| (at, self.entry(at)));
        let direct = direct.filter(move |&(at, entry)| entry != 0 && !is_wrapped(at, entry));
        let wrapped = (0..capacity).map(|at| (at, self.entry(at)));
        let wrapped = wrapped.take_while(move |&(at, entry)| entry != 0 && is_wrapped(at, entry));
        direct
            .chain(wrapped)
            .map(|(_, entry)| (tag_of(entry), Loc(entry & LOC_MASK)))
            .filter(move |(tag, _)| *tag >= from)
    }

    fn capacity(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    #[inline]
    fn entry(&self, at: usize) -> u64 {
        self.chunks[at / CHUNK][at % CHUNK]
    }

    #[inline]
    fn set(&mut self, at: usize, entry: u64) {
        self.chunks[at / CHUNK][at % CHUNK] = entry;
    }

    /// Leaves the word empty.
    fn take(&mut self, at: usize) -> u64 {
        core::mem::take(&mut self.chunks[at / CHUNK][at % CHUNK])
    }

    fn insert_entry(&mut self, mut carried: u64) {
        let capacity = self.capacity();
        let mut at = home(tag_of(carried), capacity);
        let mut displacement = 0;
        loop {
            let entry = self.entry(at);
            if entry == 0 {
                break;
            }
            let other = self.displacement(entry, at);
            if other < displacement || (other == displacement && entry > carried) {
                self.set(at, carried);
                carried = entry;
                displacement = other;
            }
            at = next(at, capacity);
            displacement += 1;
        }
        self.set(at, carried);
        self.len += 1;
    }

    #[inline]
    fn displacement(&self, entry: u64, at: usize) -> usize {
        let home = home(tag_of(entry), self.capacity());
        if at >= home { at - home } else { at + self.capacity() - home }
    }
}

fn home(tag: Tag, capacity: usize) -> usize {
    // Below `capacity`, as a tag is below 2^TAG_BITS.
    ((tag.0 * capacity as u64) >> TAG_BITS) as usize
}

fn tag_of(entry: u64) -> Tag {
    Tag(entry >> LOC_BITS)
}

fn next(at: usize, capacity: usize) -> usize {
    if at + 1 == capacity { 0 } else { at + 1 }
}

/// Entries that a capacity holds: 7 of 8. More would cost an insertion and a removal too many
/// moves: about 32 at 7 of 8 and 128 at 15 of 16 (Knuth, volume 3, 6.4).
fn len_max(capacity: usize) -> usize {
    capacity / 8 * 7
}

/// The next number of chunks: an eighth more.
fn larger(chunks: usize) -> usize {
    chunks + (chunks / 8).max(1)
}

/// Bytes that a table of so many chunks takes.
fn charge(chunks: usize) -> u64 {
    let chunk = alloc::charge(size_of::<[u64; CHUNK]>());
    chunks as u64 * chunk + alloc::charge(chunks * size_of::<Box<[u64; CHUNK]>>())
}

#[cfg(test)]
impl Table {
    /// Asserts that every entry is found, and that the listing is in order and complete.
    pub(crate) fn check(&self) {
        let all: Vec<_> = self.iter_from(Tag(0)).collect();
        assert_eq!(all.len(), self.len(), "entries listed");
        assert!(all.is_sorted_by_key(|(tag, _)| *tag), "in the order of tags");
        let words = self.chunks.iter().flat_map(|chunk| chunk.iter());
        assert_eq!(words.filter(|entry| **entry != 0).count(), self.len());
        assert!(self.len() <= len_max(self.capacity()));
        for (tag, loc) in all {
            assert!(self.find(tag, |other| other == loc).is_some(), "{tag:?} is found");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Remove(usize),
        Shrink,
    }

    fn op() -> impl Strategy<Value = Op> {
        // Tags from the ends of the range wrap around; few of them collide.
        let tag = prop_oneof![0u64..8, (1u64 << TAG_BITS) - 8..1 << TAG_BITS, 0..1u64 << TAG_BITS];
        prop_oneof![
            40 => tag.prop_map(Op::Insert),
            20 => any::<usize>().prop_map(Op::Remove),
            1 => Just(Op::Shrink),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_table_holds_what_was_put_in(ops in vec(op(), 0..1200)) {
            let mut table = Table::default();
            let mut model = BTreeSet::new();
            for (number, op) in (1u64..).zip(ops) {
                match op {
                    Op::Insert(tag) => {
                        if table.growth_charge().is_some() {
                            table.grow();
                        }
                        table.insert(Tag(tag), Loc::from_bits(number));
                        model.insert((tag, number));
                    }
                    Op::Remove(which) => {
                        let which = which.checked_rem(model.len()).unwrap_or(0);
                        if let Some(&(tag, number)) = model.iter().nth(which) {
                            let at = table.find(Tag(tag), |loc| loc.bits() == number).unwrap();
                            table.remove(at);
                            model.remove(&(tag, number));
                        }
                    }
                    Op::Shrink => table.shrink(),
                }
                if !number.is_multiple_of(16) {
                    continue;
                }
                table.check();
                let listed: BTreeSet<_> =
                    table.iter_from(Tag(0)).map(|(tag, loc)| (tag.0, loc.bits())).collect();
                prop_assert_eq!(&listed, &model);
            }
        }

        #[test]
        fn a_listing_goes_on_at_a_tag(tags in vec(0..1u64 << TAG_BITS, 0..200), from: u64) {
            let from = from % (1 << TAG_BITS);
            let mut table = Table::default();
            for (number, tag) in (1u64..).zip(&tags) {
                if table.growth_charge().is_some() {
                    table.grow();
                }
                table.insert(Tag(*tag), Loc::from_bits(number));
            }
            let expected = tags.iter().filter(|tag| **tag >= from).count();
            prop_assert_eq!(table.iter_from(Tag(from)).count(), expected);
        }
    }
}
