//! One explanation of a key's history so far: in which order its operations may have happened.

use super::history::Nanos;
use super::item::{Chains, Item, Value, Why};
use super::limits::EXPIRY_SLACK;
use super::step::{Effect, Need, Step};

/// Nanoseconds of a second.
const SECOND: Nanos = 1_000_000_000;

/// What an order of the operations so far comes to. Every explanation goes on as one cache could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub item: Item,
    /// Until when the item can be returned at the latest.
    pub lives_until: Nanos,
    /// From when on it can be gone without having been evicted.
    pub expires_from: Nanos,
    /// Of the operations that are being carried out, those that have taken effect; a bit for each.
    pub done: u64,
    /// Of the operations without reply, those that have taken effect; a bit for each.
    pub used: u128,
    /// Evictions that it takes. Below 0 where it stands in for another one, see [`add`].
    pub evictions: i32,
    /// Misses by their reason, as in [`Why`].
    pub misses: [u32; 4],
}

impl Explanation {
    /// That of no operation.
    pub fn empty() -> Self {
        Self {
            item: Item::Absent(Why::NeverStored),
            lives_until: Nanos::MAX,
            expires_from: Nanos::MAX,
            done: 0,
            used: 0,
            evictions: 0,
            misses: [0; 4],
        }
    }

    /// Whether there can be an item for an operation that began then.
    pub fn is_present_at(&self, invoked: Nanos) -> bool {
        self.item.is_present() && self.lives_until >= invoked
    }

    /// The item goes.
    pub fn vanish(mut self, why: Why) -> Self {
        self.evictions += i32::from(why == Why::Evicted);
        self.item = Item::Absent(why);
        self.lives_until = Nanos::MAX;
        self.expires_from = Nanos::MAX;
        self
    }

    /// The operation takes effect, at `now` at the latest. What it needs is given, but that counts
    /// need a number: `None` where there is none.
    pub fn apply(mut self, step: &Step, now: Nanos, chains: &mut Chains) -> Option<Self> {
        // What needs an item happened while there was one.
        let latest = match step.need {
            Need::Present | Need::Exactly(_) | Need::Other(_) => now.min(self.lives_until),
            Need::Nothing | Need::Absent => now,
        };
        match step.effect {
            Effect::Keep | Effect::MayRemove => {}
            Effect::Put { value, ttl } => {
                self.item = Item::Present(value);
                self.set_ttl(ttl, step.invoked, latest);
            }
            Effect::Become(value) => self.item = Item::Present(value),
            Effect::Add { token, is_front } => {
                if let Item::Present(value) = &mut self.item {
                    let chain = if is_front { &mut value.front } else { &mut value.back };
                    *chain = chains.push(*chain, token);
                }
            }
            Effect::Count { is_up, delta } => match &mut self.item {
                Item::Present(Value { base, .. }) => {
                    *base =
                        if is_up { base.wrapping_add(delta) } else { base.saturating_sub(delta) };
                }
                Item::Unseen => {}
                Item::Absent(_) => return None,
            },
            Effect::Remove => self = self.vanish(Why::Deleted),
            Effect::Touch { ttl } => self.set_ttl(ttl, step.invoked, latest),
        }
        if step.is_miss
            && let Item::Absent(why) = self.item
        {
            self.misses[why as usize] += 1;
        }
        Some(self)
    }

    /// Whether all that may follow from `other` may follow from this one too, with no more
    /// evictions; with `is_rough`, whatever the evictions.
    pub fn covers(&self, other: &Self, is_rough: bool) -> bool {
        if self.done != other.done || self.used & !other.used != 0 {
            return false;
        }
        let is_same = match (self.item, other.item) {
            (Item::Absent(_), Item::Absent(_)) => true,
            (mine, Item::Absent(_)) if mine.is_present() => {
                return is_rough || self.evictions < other.evictions;
            }
            (mine, theirs) => mine == theirs,
        };
        is_same
            && self.lives_until >= other.lives_until
            && (is_rough
                || (self.evictions <= other.evictions && self.expires_from <= other.expires_from))
    }

    /// Takes the place of another one that it covers roughly: no more evictions are counted than
    /// the other would have come to.
    fn stand_in_for(&mut self, other: &Self) {
        let has_yet_to_go = self.item.is_present() && !other.item.is_present();
        self.evictions = self.evictions.min(other.evictions - i32::from(has_yet_to_go));
        if other.item.is_present() {
            self.expires_from = self.expires_from.min(other.expires_from);
        }
    }

    fn set_ttl(&mut self, ttl: u32, from: Nanos, to: Nanos) {
        if ttl == 0 {
            self.lives_until = Nanos::MAX;
            self.expires_from = Nanos::MAX;
            return;
        }
        let ttl = Nanos::from(ttl) * SECOND;
        self.lives_until = to.saturating_add(ttl + EXPIRY_SLACK);
        self.expires_from = (from + ttl).saturating_sub(EXPIRY_SLACK);
    }
}

/// Adds an explanation to a list, unless one of the list covers it; those go that it covers. Says
/// whether it was added.
pub fn add(list: &mut Vec<Explanation>, mut new: Explanation, is_rough: bool) -> bool {
    let mut is_covered = false;
    for old in list.iter_mut().filter(|old| old.covers(&new, is_rough)) {
        is_covered = true;
        if !is_rough {
            break;
        }
        old.stand_in_for(&new);
    }
    if is_covered {
        return false;
    }
    list.retain(|old| {
        let goes = new.covers(old, is_rough);
        if goes && is_rough {
            new.stand_in_for(old);
        }
        !goes
    });
    list.push(new);
    true
}
