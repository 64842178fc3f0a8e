//! A model of a node's store: a map for each slot, and the same commands and changes as the
//! engine's.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use memtide_engine_core::replication::{Change, Entry, Part};
use memtide_loadtest::verify::{Action, Token, Verb};
use memtide_topology::{KeyHash, NodeId, SlotId};

use crate::heap::{Nanos, SECOND};
use crate::item::{Item, Reply, decode_items, encode_item};

/// Items of a chunk: few, so that a slot takes several.
const CHUNK_ITEMS: usize = 2;

/// What a client asks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    pub key: u32,
    pub action: Action,
    pub asks: Asks,
}

/// What a get asks beside the value: of real nodes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Nothing,
    /// To be told whether it is the one to store anew what soon expires.
    Recache,
    /// To have an empty item made where there is none, of so many seconds.
    Vivify {
        ttl: u32,
    },
}

impl Command {
    pub const fn is_read(&self) -> bool {
        matches!((self.action, self.asks), (Action::Get, Asks::Nothing))
    }

    /// Whether it answers with a value, which is not short, of an item that it changes.
    pub const fn has_value_and_changes(&self) -> bool {
        let has_value = match self.asks {
            Asks::Recache => true,
            Asks::Vivify { .. } => false,
            Asks::Nothing => matches!(self.action, Action::GetAndTouch { .. }),
        };
        has_value && !is_counter(self.key)
    }
}

/// The keys of which a number is counted.
pub const fn is_counter(key: u32) -> bool {
    key % 4 == 3
}

/// A key's hash, in this slot.
pub fn hash_of(key: u32, slot: SlotId) -> KeyHash {
    KeyHash::from_bits(u64::from(key + 1) << 14 | u64::from(slot.number()))
}

/// The items of a node.
#[derive(Default)]
pub struct Store {
    slots: BTreeMap<SlotId, Slot>,
    /// How far the copies to learners are: the last key; `None` at the begin.
    cursors: BTreeMap<(SlotId, NodeId), Option<u32>>,
}

#[derive(Default)]
struct Slot {
    version: u64,
    is_primary: bool,
    items: BTreeMap<u32, Item>,
}

impl Store {
    /// Executes a command; what it changed is as the copies get it.
    pub fn execute(&mut self, slot: SlotId, command: Command, wall: Nanos) -> (Reply, Vec<Change>) {
        let Command { key, action, .. } = command;
        let mut work =
            Work { slot: self.slots.entry(slot).or_default(), id: slot, changes: vec![] };
        if work.item(key).is_some_and(|item| item.is_expired(wall)) {
            work.remove(key);
        }
        let reply = work.execute(key, action, wall);
        (reply, work.changes)
    }

    /// Removes what has expired, and one more item where the memory is short.
    pub fn maintain(&mut self, slot: SlotId, wall: Nanos, evicted: Option<u32>) -> Vec<Change> {
        let Some(of_slot) = self.slots.get_mut(&slot) else { return Vec::new() };
        let goes = |(key, item): (&u32, &Item)| {
            (item.is_expired(wall) || evicted == Some(*key)).then_some(*key)
        };
        let gone: Vec<u32> = of_slot.items.iter().filter_map(goes).collect();
        let mut work = Work { slot: of_slot, id: slot, changes: Vec::new() };
        for key in gone {
            work.remove(key);
        }
        work.changes
    }

    /// The keys of a slot.
    pub fn keys(&self, slot: SlotId) -> Vec<u32> {
        self.slots.get(&slot).map_or_else(Vec::new, |slot| slot.items.keys().copied().collect())
    }

    pub fn apply(&mut self, slot: SlotId, entry: &Entry) {
        let slot = self.slots.entry(slot).or_default();
        slot.version = entry.position.version;
        slot.put(&entry.change);
    }

    pub fn put_items(&mut self, slot: SlotId, items: &[u8]) {
        self.slots.entry(slot).or_default().put(items);
    }

    pub fn forget(&mut self, slot: SlotId) {
        self.slots.remove(&slot);
    }

    pub fn hold(&mut self, slot: SlotId, part: Part) {
        let slot = self.slots.entry(slot).or_default();
        slot.is_primary = matches!(part, Part::Primary { .. });
        if let Part::Primary { version } = part {
            slot.version = version;
        }
    }

    pub fn is_primary(&self, slot: SlotId) -> bool {
        self.slots.get(&slot).is_some_and(|slot| slot.is_primary)
    }

    /// A copy to a learner begins.
    pub fn begin_copy(&mut self, slot: SlotId, to: NodeId) {
        self.cursors.insert((slot, to), None);
    }

    /// A learner is not linked any more.
    pub fn end_copies(&mut self, to: NodeId) {
        self.cursors.retain(|(_, of), _| *of != to);
    }

    /// The next items for a learner, and whether they are the last; `None` behind the last ones.
    pub fn read_chunk(&mut self, slot: SlotId, to: NodeId) -> Option<(Arc<[u8]>, bool)> {
        let cursor = self.cursors.get_mut(&(slot, to))?;
        let items = &self.slots.entry(slot).or_default().items;
        let from = cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = items.range((from, Bound::Unbounded));
        let mut bytes = Vec::new();
        for (key, item) in left.by_ref().take(CHUNK_ITEMS) {
            encode_item(&mut bytes, *key, Some(item));
            *cursor = Some(*key);
        }
        let is_last = left.next().is_none();
        if is_last {
            self.cursors.remove(&(slot, to));
        }
        Some((bytes.into(), is_last))
    }

    /// A hash of all that a slot holds, with the order of keys.
    pub fn content(&self, slot: SlotId) -> u64 {
        let mut bytes = Vec::new();
        for (key, item) in self.slots.get(&slot).iter().flat_map(|slot| &slot.items) {
            encode_item(&mut bytes, *key, Some(item));
        }
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    /// What a slot holds, for a human.
    pub fn describe(&self, slot: SlotId) -> String {
        let items = self.slots.get(&slot).map(|slot| &slot.items);
        format!("{:?}", items.unwrap_or(&BTreeMap::new()))
    }
}

impl Slot {
    fn put(&mut self, bytes: &[u8]) {
        for (key, item) in decode_items(bytes) {
            match item {
                Some(item) => self.items.insert(key, item),
                None => self.items.remove(&key),
            };
        }
    }
}

/// A command that is being executed.
struct Work<'s> {
    slot: &'s mut Slot,
    id: SlotId,
    changes: Vec<Change>,
}

impl Work<'_> {
    fn execute(&mut self, key: u32, action: Action, wall: Nanos) -> Reply {
        match action {
            Action::Get => self.get(key),
            Action::GetAndTouch { ttl } => {
                self.touch(key, ttl, wall);
                self.get(key)
            }
            Action::Touch { ttl } => match self.touch(key, ttl, wall) {
                true => Reply::Done,
                false => Reply::NotFound,
            },
            Action::Store { verb, token, ttl } => {
                self.store(key, verb, token, gone_from(ttl, wall))
            }
            Action::Cas { token, ttl, cas } => match self.compared(key, cas) {
                Some(reply) => reply,
                None => self.put(key, vec![token], gone_from(ttl, wall)),
            },
            Action::Count { is_up, delta } => self.count(key, is_up, delta),
            Action::Delete { cas } => {
                if cas != 0
                    && let Some(reply) = self.compared(key, cas)
                {
                    return reply;
                }
                if self.remove(key) { Reply::Done } else { Reply::NotFound }
            }
        }
    }

    fn item(&self, key: u32) -> Option<&Item> {
        self.slot.items.get(&key)
    }

    fn get(&self, key: u32) -> Reply {
        match self.item(key) {
            None => Reply::NotFound,
            Some(Item { tokens, cas, .. }) if is_counter(key) => {
                Reply::Number { number: tokens[0], cas: *cas }
            }
            Some(Item { tokens, cas, .. }) => Reply::Hit { tokens: tokens.clone(), cas: *cas },
        }
    }

    fn touch(&mut self, key: u32, ttl: u32, wall: Nanos) -> bool {
        let Some(item) = self.slot.items.get_mut(&key) else { return false };
        item.gone_from = gone_from(ttl, wall);
        self.changed(key);
        true
    }

    fn store(&mut self, key: u32, verb: Verb, token: Token, gone_from: Nanos) -> Reply {
        let old = self.item(key);
        let is_met = match verb {
            Verb::Set => true,
            Verb::Add => old.is_none(),
            Verb::Replace | Verb::Append | Verb::Prepend => old.is_some(),
        };
        if !is_met {
            return Reply::NotStored;
        }
        match (verb, old) {
            (Verb::Append | Verb::Prepend, Some(Item { tokens, gone_from, .. })) => {
                let (mut tokens, gone_from) = (tokens.clone(), *gone_from);
                let at = if verb == Verb::Append { tokens.len() } else { 0 };
                tokens.insert(at, token);
                self.put(key, tokens, gone_from);
                Reply::Stored { cas: 0 }
            }
            _ => self.put(key, vec![token], gone_from),
        }
    }

    fn count(&mut self, key: u32, is_up: bool, delta: u64) -> Reply {
        let Some(Item { tokens, gone_from, .. }) = self.item(key) else { return Reply::NotFound };
        let (number, gone_from) = (tokens[0], *gone_from);
        let number = if is_up { number.wrapping_add(delta) } else { number.saturating_sub(delta) };
        self.put(key, vec![number], gone_from);
        Reply::Number { number, cas: 0 }
    }

    /// What is answered where the item does not have this CAS unique.
    fn compared(&self, key: u32, cas: u64) -> Option<Reply> {
        match self.item(key) {
            None => Some(Reply::NotFound),
            Some(item) => (item.cas != cas).then_some(Reply::Exists),
        }
    }

    fn put(&mut self, key: u32, tokens: Vec<Token>, gone_from: Nanos) -> Reply {
        let cas = self.slot.version + 1;
        self.slot.items.insert(key, Item { tokens, cas, gone_from });
        self.changed(key);
        Reply::Stored { cas }
    }

    fn remove(&mut self, key: u32) -> bool {
        let was_there = self.slot.items.remove(&key).is_some();
        if was_there {
            self.changed(key);
        }
        was_there
    }

    fn changed(&mut self, key: u32) {
        self.slot.version += 1;
        let mut bytes = Vec::new();
        encode_item(&mut bytes, key, self.slot.items.get(&key));
        self.changes.push(Change {
            version: self.slot.version,
            key: Some(hash_of(key, self.id)),
            bytes: bytes.into(),
        });
    }
}

fn gone_from(ttl: u32, wall: Nanos) -> Nanos {
    if ttl == 0 { Nanos::MAX } else { wall + Nanos::from(ttl) * SECOND }
}
