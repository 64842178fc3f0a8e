//! A copy that gets what the primary's journal says, and chunks of its slots, is like the primary:
//! every item with all that a client can see of it, and every version.

use super::SEED;
use super::model::run;
use super::model::strategy::{Op, START, keys, transitions};
use crate::{Change, Expiry, Key, Now, Put, PutOutcome, SlotCursor, Store, StoreConfig};
use memtide_topology::SlotId;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const FILLERS: u16 = 600;

/// A key of the slot that is copied in chunks.
const LEARNED_KEY: &[u8] = b"first";

#[derive(Clone, Debug)]
enum Step {
    Command(Op),
    /// Stores one of many items that together exceed the memory: number, length, seconds to live.
    Fill(u16, usize, u32),
    /// Asks for this many bytes of the slots with even numbers in a shard to be evicted.
    EvictFor(usize, u64),
    /// Everything taken so far reaches the copy.
    Deliver,
    /// A chunk of the slot that is being copied, of about this many bytes.
    Chunk(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![4 => 0usize..500, 4 => 0usize..9_000, 1 => 0usize..90_000];
    let seconds = prop_oneof![3 => Just(0u32), 1 => 1u32..30];
    prop_oneof![
        30 => transitions().prop_map(Step::Command),
        30 => (0..FILLERS, len, seconds).prop_map(|(key, len, secs)| Step::Fill(key, len, secs)),
        1 => (0usize..2, 0u64..60_000).prop_map(|(shard, bytes)| Step::EvictFor(shard, bytes)),
        4 => Just(Step::Deliver),
        6 => prop_oneof![Just(0usize), 0usize..40_000].prop_map(Step::Chunk),
    ]
}

/// Some of the slot that is copied, the others of any.
static FILLER_KEYS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let name = |number: u32| format!("filler{number}").into_bytes();
    let learned = slot_of(LEARNED_KEY);
    let mut keys: Vec<_> = (0..).map(name).filter(|key| slot_of(key) == learned).take(40).collect();
    keys.extend((0..u32::from(FILLERS)).map(name));
    keys.truncate(usize::from(FILLERS));
    keys
});

fn filler(number: u16) -> Vec<u8> {
    FILLER_KEYS[usize::from(number)].clone()
}

fn slot_of(key: &[u8]) -> SlotId {
    SlotId::of(SEED.hash(key))
}

/// The slots of all keys that are used.
fn slots() -> BTreeSet<SlotId> {
    let fillers = (0..FILLERS).map(|number| slot_of(&filler(number)));
    keys().map(slot_of).chain(fillers).collect()
}

/// Version and items of a slot: key and encoded state.
fn content(store: &Store, slot: SlotId, now: Now) -> (u64, BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut bytes = vec![];
    let (next, version) = store.copy_slot(SlotCursor::start(slot), usize::MAX, now, &mut bytes);
    assert_eq!(next, None);
    let (mut rest, mut items) = (&bytes[..], BTreeMap::new());
    while !rest.is_empty() {
        let (change, after) = Change::decode(rest).unwrap();
        let key = change.key().unwrap().to_vec();
        let before = items.insert(key, rest[..rest.len() - after.len()].to_vec());
        assert_eq!(before, None, "an item is copied once");
        rest = after;
    }
    (version, items)
}

struct Pair {
    primary: Store,
    copy: Store,
    now: u32,
    slots: BTreeSet<SlotId>,
    /// What is under way to the copy: slot, version, changes.
    link: Vec<(SlotId, u64, Vec<u8>)>,
    /// Versions of the last record of each slot.
    taken: BTreeMap<SlotId, u64>,
    /// The slot that is copied in chunks, which the copy had not at first; and where to go on.
    learned: SlotId,
    cursor: Option<SlotCursor>,
}

impl Pair {
    fn new() -> Self {
        let small = StoreConfig { shards: Some(2), ..StoreConfig::new(3 << 20, SEED) };
        let large = StoreConfig { shards: Some(4), ..StoreConfig::new(64 << 20, SEED) };
        let (primary, copy) = (Store::new(small), Store::new(large));
        for slot in SlotId::all() {
            primary.set_journaled(slot, true);
            copy.set_copy(slot, true);
        }
        let learned = slot_of(LEARNED_KEY);
        Self {
            primary,
            copy,
            now: START,
            slots: slots(),
            link: vec![],
            taken: BTreeMap::new(),
            learned,
            cursor: Some(SlotCursor::start(learned)),
        }
    }

    fn now(&self) -> Now {
        Now::from_unix_secs(self.now)
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Command(Op::Wait(seconds)) => self.now += seconds,
            Step::Command(Op::DropSlot(key)) => self.drop_slot(slot_of(key)),
            // Of these the records stay in the journal until the next command.
            Step::Command(op @ (Op::Maintain | Op::Move(_))) => {
                run(&self.primary, self.now(), op);
            }
            Step::Command(op) => {
                run(&self.primary, self.now(), op);
                (0..self.primary.shards()).for_each(|shard| self.take(shard));
            }
            Step::Fill(number, len, seconds) => self.fill(*number, *len, *seconds),
            Step::EvictFor(shard, bytes) => {
                let is_even = |slot: SlotId| slot.number().is_multiple_of(2);
                self.primary.evict_for(*shard, *bytes, self.now(), is_even);
            }
            Step::Deliver => {
                (0..self.primary.shards()).for_each(|shard| self.take(shard));
                self.deliver();
                self.check();
            }
            Step::Chunk(bytes_max) => self.chunk(*bytes_max),
        }
    }

    fn fill(&mut self, number: u16, len: usize, seconds: u32) {
        let bytes = filler(number);
        let key = Key::new(&bytes, SEED.hash(&bytes)).unwrap();
        let value = vec![number as u8; len];
        let expiry = if seconds == 0 { Expiry::Never } else { Expiry::At(self.now + seconds) };
        let op = Put { value: &value, expiry, failure_removes: true, ..Put::default() };
        let outcome = self.primary.put(key, &op, self.now());
        assert!(matches!(outcome, PutOutcome::Stored { .. }), "{outcome:?}");
        // What was evicted for it in another shard stays in the journal there.
        self.take(self.primary.shard_of(key.slot()));
    }

    fn drop_slot(&mut self, slot: SlotId) {
        self.take(self.primary.shard_of(slot));
        self.deliver();
        self.primary.drop_slot(slot);
        self.copy.drop_slot(slot);
        self.taken.remove(&slot);
    }

    fn take(&mut self, shard: usize) {
        let Self { primary, link, taken, .. } = self;
        primary.take_journal(shard, |slot, version, change| {
            if let Some(before) = taken.insert(slot, version) {
                assert_eq!(version, before + 1, "one record for each mutation");
            }
            assert_eq!(primary.shard_of(slot), shard);
            link.push((slot, version, change.to_vec()));
        });
        assert_eq!(primary.journal_bytes(shard), 0);
    }

    fn chunk(&mut self, bytes_max: usize) {
        if let Some(cursor) = self.cursor {
            let (now, mut bytes) = (self.now(), vec![]);
            let (next, version) = self.primary.copy_slot(cursor, bytes_max, now, &mut bytes);
            self.link.push((self.learned, version, bytes));
            self.cursor = next;
        }
    }

    fn deliver(&mut self) {
        let now = self.now();
        for (slot, version, changes) in self.link.drain(..) {
            assert_eq!(self.copy.apply(slot, version, &changes, now), Ok(()));
        }
    }

    fn check(&self) {
        for &slot in &self.slots {
            if slot != self.learned || self.cursor.is_none() {
                let copied = content(&self.copy, slot, self.now());
                assert_eq!(copied, content(&self.primary, slot, self.now()), "{slot:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 16))]
    #[test]
    fn a_copy_is_like_its_primary(
        before in vec(step(), 0..200),
        steps in vec(step(), 100..800),
    ) {
        let mut pair = Pair::new();
        // The slot that is copied later has items and a past that the copy knows nothing of.
        for step in before.iter().filter(|step| !matches!(step, Step::Chunk(_))) {
            pair.run(step);
        }
        (0..pair.primary.shards()).for_each(|shard| pair.take(shard));
        pair.deliver();
        pair.copy.drop_slot(pair.learned);
        for (number, step) in steps.iter().enumerate() {
            pair.run(step);
            let stats = pair.primary.stats();
            prop_assert!(stats.memory_used <= stats.memory_max, "{:?}", stats);
            if number % 64 == 0 {
                pair.primary.check();
                pair.copy.check();
            }
        }
        while pair.cursor.is_some() {
            pair.run(&Step::Chunk(1000));
        }
        pair.run(&Step::Deliver);
        pair.primary.check();
        pair.copy.check();
        let stats = pair.copy.stats();
        prop_assert_eq!((stats.copy_items, stats.copy_bytes), (stats.items, stats.bytes));
        prop_assert_eq!((stats.evicted, stats.expired), (0, 0));
    }
}
