//! The hash table of one slot: one 64-bit word per item, in tag order.
//!
//! Open addressing with linear probing after Robin Hood (Celis 1986): an entry's home position is
//! its tag scaled to the capacity, so any capacity works, a table grows without looking at its
//! items, and entries lie in tag order, which makes a listing by cursor exact while the table
//! changes. Invariant: walking right from an entry's home, no empty word comes before it, and
//! displacement never drops by more than the homes grow.

use crate::alloc;

/// Bits of a hash that an entry keeps.
const TAG_BITS: u32 = 28;
/// Bits of an entry that say where the item lies.
pub(crate) const LOC_BITS: u32 = 64 - TAG_BITS;
const LOC_MASK: u64 = (1 << LOC_BITS) - 1;
const CAPACITY_MIN: usize = 4;

/// The top bits of a key's hash; independent of its slot, which is the low bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tag(u64);

impl Tag {
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) const fn of(hash: u64) -> Self {
        Self(hash >> LOC_BITS)
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
    entries: Box<[u64]>,
    len: u32,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Bytes that the allocator gives for this table.
    pub(crate) fn charge(&self) -> u64 {
        alloc::charge(self.entries.len() * size_of::<u64>())
    }

    /// Bytes that the allocator gives for the table that one more insertion needs; `None` when
    /// this one has room.
    pub(crate) fn growth_charge(&self) -> Option<u64> {
        (self.len() + 1 > len_max(self.entries.len()))
            .then(|| alloc::charge(larger(self.entries.len()) * size_of::<u64>()))
    }

    /// Takes the next larger capacity.
    pub(crate) fn grow(&mut self) {
        self.rebuild(larger(self.entries.len()));
    }

    /// Takes a smaller capacity where less than half of this one is used.
    pub(crate) fn shrink(&mut self) {
        let mut capacity = self.entries.len();
        if self.len == 0 {
            capacity = 0;
        } else if self.len() * 2 < capacity {
            capacity = CAPACITY_MIN;
            while self.len() * 5 > capacity * 4 {
                capacity = larger(capacity);
            }
        }
        if capacity < self.entries.len() {
            self.rebuild(capacity);
        }
    }

    /// The first entry with this tag for which `is_it` is true.
    #[inline]
    pub(crate) fn find(&self, tag: Tag, mut is_it: impl FnMut(Loc) -> bool) -> Option<Position> {
        let capacity = self.entries.len();
        if self.len == 0 {
            return None;
        }
        let mut at = home(tag, capacity);
        for displacement in 0..capacity {
            let entry = self.entries[at];
            if entry == 0 || self.displacement(entry, at) < displacement {
                return None;
            }
            if tag_of(entry) == tag && is_it(Loc(entry & LOC_MASK)) {
                return Some(Position(at));
            }
            at = next(at, capacity);
        }
        None
    }

    /// The item of this entry has moved.
    pub(crate) fn relocate(&mut self, position: Position, loc: Loc) {
        let entry = &mut self.entries[position.0];
        *entry = (*entry & !LOC_MASK) | loc.bits();
    }

    /// Adds an entry; [`Table::growth_charge`] must be `None`.
    pub(crate) fn insert(&mut self, tag: Tag, loc: Loc) {
        let capacity = self.entries.len();
        debug_assert!(self.len() < len_max(capacity), "the caller grows the table first");
        let mut carried = tag.0 << LOC_BITS | loc.bits();
        let mut at = home(tag, capacity);
        let mut displacement = 0;
        while self.entries[at] != 0 {
            let entry = self.entries[at];
            let other = self.displacement(entry, at);
            if other < displacement || (other == displacement && entry > carried) {
                self.entries[at] = carried;
                carried = entry;
                displacement = other;
            }
            at = next(at, capacity);
            displacement += 1;
        }
        self.entries[at] = carried;
        self.len += 1;
    }

    /// Removes an entry, and moves those that it displaced back.
    pub(crate) fn remove(&mut self, position: Position) {
        let capacity = self.entries.len();
        let mut hole = position.0;
        loop {
            let at = next(hole, capacity);
            let entry = self.entries[at];
            if entry == 0 || self.displacement(entry, at) == 0 {
                break;
            }
            self.entries[hole] = entry;
            hole = at;
        }
        self.entries[hole] = 0;
        self.len -= 1;
    }

    /// All entries from `from` on, in tag order.
    pub(crate) fn iter_from(&self, from: Tag) -> impl Iterator<Item = (Tag, Loc)> {
        let capacity = self.entries.len();
        let start = if capacity == 0 { 0 } else { home(from, capacity) };
        let is_wrapped = move |&(at, &entry): &(usize, &u64)| home(tag_of(entry), capacity) > at;
        let direct = self.entries.iter().enumerate().skip(start);
        let direct = direct.filter(|(_, entry)| **entry != 0);
        let direct = direct.filter(move |found| !is_wrapped(found));
        let wrapped = self.entries.iter().enumerate().take_while(|(_, entry)| **entry != 0);
        direct
            .chain(wrapped.take_while(is_wrapped))
            .map(|(_, &entry)| (tag_of(entry), Loc(entry & LOC_MASK)))
            .filter(move |(tag, _)| *tag >= from)
    }

    fn displacement(&self, entry: u64, at: usize) -> usize {
        let capacity = self.entries.len();
        let home = home(tag_of(entry), capacity);
        if at >= home { at - home } else { at + capacity - home }
    }

    fn rebuild(&mut self, capacity: usize) {
        let entries = vec![0; capacity].into_boxed_slice();
        let old = core::mem::replace(self, Self { entries, len: 0 });
        for (tag, loc) in old.iter_from(Tag::FIRST) {
            self.insert(tag, loc);
        }
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

/// Entries that a capacity holds: 15 of 16, and one word stays empty.
fn len_max(capacity: usize) -> usize {
    capacity.saturating_sub(1.max(capacity / 16))
}

/// The next capacity whose bytes fill a size class of the allocator: four for each doubling.
fn larger(capacity: usize) -> usize {
    if capacity < CAPACITY_MIN {
        return CAPACITY_MIN;
    }
    if capacity < 8 {
        return 8;
    }
    let step = 1 << (capacity.ilog2() - 2);
    capacity + step
}

#[cfg(test)]
impl Table {
    /// Asserts that every entry is found, and that the listing is in order and complete.
    pub(crate) fn check(&self) {
        let all: Vec<_> = self.iter_from(Tag::FIRST).collect();
        assert_eq!(all.len(), self.len(), "entries listed");
        assert!(all.is_sorted_by_key(|(tag, _)| *tag), "in the order of tags");
        assert_eq!(self.entries.iter().filter(|entry| **entry != 0).count(), self.len());
        assert!(self.len() <= len_max(self.entries.len()));
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
            4 => tag.prop_map(Op::Insert),
            3 => any::<usize>().prop_map(Op::Remove),
            1 => Just(Op::Shrink),
        ]
    }

    proptest! {
        #[test]
        fn a_table_holds_what_was_put_in(ops in vec(op(), 0..300)) {
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
                table.check();
                let listed: BTreeSet<_> =
                    table.iter_from(Tag::FIRST).map(|(tag, loc)| (tag.0, loc.bits())).collect();
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

    #[test]
    fn a_capacity_fills_a_size_class() {
        let mut capacity = 0;
        let mut all = vec![];
        while capacity < 200 {
            capacity = larger(capacity);
            all.push(capacity);
            assert_eq!(alloc::charge(capacity * 8), capacity as u64 * 8);
        }
        assert_eq!(all[..12], [4, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48]);
    }
}
