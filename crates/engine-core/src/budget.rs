use core::sync::atomic::{AtomicU64, Ordering};

/// Growth by itself goes in steps of this part, or so many bytes: few enough that what is granted stays close to
/// what is used, and many enough that it is seldom.
const GROWTH_DIVISOR: u64 = 16;
const GROWTH_BYTES_MIN: u64 = 1 << 20;

/// The memory of a store: what its shards have taken, against the limit.
///
/// Invariant: `used <= max`, except after `max` was lowered: then it does not grow until that holds. Bytes are reserved before they are
/// allocated and released after they are freed. Where `max` is below `ceiling`, it is raised before a live item is evicted.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicU64,
    max: AtomicU64,
    ceiling: AtomicU64,
    /// Bytes that the store has whatever it holds.
    fixed: u64,
}

impl Budget {
    pub(crate) fn new(max: u64, fixed: u64) -> Self {
        let (used, max, ceiling) = (AtomicU64::new(fixed), AtomicU64::new(max), AtomicU64::new(0));
        Self { used, max, ceiling, fixed }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(crate) fn max(&self) -> u64 {
        self.max.load(Ordering::Relaxed)
    }

    pub(crate) fn set_max(&self, max: u64) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// From now on `max` may be raised up to here, and is no higher.
    pub(crate) fn set_ceiling(&self, ceiling: u64) {
        // In one order with what `keep_below` does: whoever raises has seen this, or is lowered by it.
        self.ceiling.store(ceiling, Ordering::SeqCst);
        self.max.fetch_min(ceiling, Ordering::SeqCst);
    }

    /// Raises `max` to this, up to the ceiling.
    pub(crate) fn raise_max(&self, max: u64) {
        self.max.fetch_max(max.min(self.ceiling.load(Ordering::SeqCst)), Ordering::SeqCst);
        self.keep_below();
    }

    /// After `max` was raised: the ceiling may have been lowered meanwhile.
    fn keep_below(&self) {
        let ceiling = self.ceiling.load(Ordering::SeqCst);
        if ceiling > 0 {
            self.max.fetch_min(ceiling, Ordering::SeqCst);
        }
    }

    /// Lowers `max` from the one to the other; `false` where it is another by now.
    pub(crate) fn lower_max(&self, from: u64, to: u64) -> bool {
        self.max.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Raises `max` by a step, if it is below the ceiling.
    pub(crate) fn grow(&self) -> bool {
        let ceiling = self.ceiling.load(Ordering::Relaxed);
        let step = |max: u64| (max / GROWTH_DIVISOR).max(GROWTH_BYTES_MIN);
        let grown = |max: u64| (max < ceiling).then(|| ceiling.min(max.saturating_add(step(max))));
        let is_grown = self.max.fetch_update(Ordering::SeqCst, Ordering::Relaxed, grown).is_ok();
        if is_grown {
            self.keep_below();
        }
        is_grown
    }

    /// Bytes that items can have now.
    pub(crate) fn capacity(&self) -> u64 {
        self.max().saturating_sub(self.fixed)
    }

    /// Bytes that items can ever have.
    pub(crate) fn capacity_most(&self) -> u64 {
        self.max().max(self.ceiling.load(Ordering::Relaxed)).saturating_sub(self.fixed)
    }

    pub(crate) fn try_reserve(&self, bytes: u64) -> bool {
        self.reserve_up_to(bytes, bytes) == bytes
    }

    /// Reserves what there is, between `least` and `most` bytes, or nothing.
    fn reserve_up_to(&self, least: u64, most: u64) -> u64 {
        let max = self.max();
        let mut reserved = 0;
        // Relaxed: the counter guards no other memory.
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            reserved = max.saturating_sub(used).min(most);
            if reserved < least {
                reserved = 0;
            }
            (reserved > 0).then(|| used + reserved)
        });
        reserved
    }

    /// Reserves bytes of those that were just released, where more is used than may be; otherwise
    /// nothing.
    fn reserve_back(&self, bytes: u64) -> u64 {
        let max = self.max();
        let reserve = |used| (used > max).then(|| used + bytes);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve) {
            Ok(_) => bytes,
            Err(_) => 0,
        }
    }

    pub(crate) fn release(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= self.fixed + bytes, "more released than reserved");
    }
}

/// Bytes that one call has reserved for what it is about to allocate.
///
/// It collects them in steps while it evicts, so that no other call takes what it made free.
#[derive(Debug, Default)]
pub(crate) struct Room {
    bytes: u64,
}

impl Room {
    /// Reserves towards `need` bytes; `true` when they are there.
    pub(crate) fn fill(&mut self, budget: &Budget, need: u64) -> bool {
        if self.bytes < need {
            self.bytes += budget.reserve_up_to(1, need - self.bytes);
        }
        self.bytes >= need
    }

    /// Where the limit was lowered, towards `need` bytes out of those that this call has `freed`: it
    /// need not wait until all is evicted that is too much.
    pub(crate) fn exchange(&mut self, budget: &Budget, need: u64, freed: u64) {
        let wanted = need.saturating_sub(self.bytes).min(freed);
        if wanted > 0 {
            self.bytes += budget.reserve_back(wanted);
        }
    }

    /// Takes `bytes` out of the room, or else from the budget.
    pub(crate) fn take(&mut self, budget: &Budget, bytes: u64) -> Result<(), NoRoom> {
        if self.bytes >= bytes {
            self.bytes -= bytes;
            return Ok(());
        }
        if budget.try_reserve(bytes - self.bytes) {
            self.bytes = 0;
            return Ok(());
        }
        Err(NoRoom { bytes })
    }

    /// Gives back what was not used.
    pub(crate) fn release(self, budget: &Budget) {
        if self.bytes > 0 {
            budget.release(self.bytes);
        }
    }
}

/// These many bytes have to be reserved before the call can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_fills_in_steps_and_gives_the_rest_back() {
        let budget = Budget::new(100, 10);
        assert!(budget.try_reserve(60));
        assert!(!budget.try_reserve(31));
        let mut room = Room::default();
        assert!(!room.fill(&budget, 50), "30 are free");
        assert_eq!(budget.used(), 100);
        budget.release(25);
        assert!(room.fill(&budget, 50));
        assert_eq!(budget.used(), 95);
        assert_eq!(room.take(&budget, 45), Ok(()));
        assert_eq!(room.take(&budget, 20), Err(NoRoom { bytes: 20 }));
        room.release(&budget);
        assert_eq!(budget.used(), 90);
    }

    #[test]
    fn the_limit_grows_in_steps_up_to_the_ceiling_and_is_lowered_only_from_what_was_seen() {
        const MIB: u64 = 1 << 20;
        let budget = Budget::new(64 * MIB, 10);
        assert!(!budget.grow(), "there is no ceiling");
        assert_eq!(budget.capacity_most(), 64 * MIB - 10);
        budget.set_ceiling(70 * MIB);
        assert_eq!(budget.capacity_most(), 70 * MIB - 10);
        assert!(budget.grow());
        assert_eq!(budget.max(), 68 * MIB);
        assert!(budget.grow() && !budget.grow());
        assert_eq!(budget.max(), 70 * MIB);
        assert!(!budget.lower_max(68 * MIB, 30 * MIB), "it has grown since");
        assert!(budget.lower_max(70 * MIB, 8 * MIB));
        assert!(budget.grow());
        assert_eq!(budget.max(), 9 * MIB);
        budget.raise_max(80 * MIB);
        assert_eq!(budget.max(), 70 * MIB);
        budget.raise_max(40 * MIB);
        budget.set_ceiling(60 * MIB);
        assert_eq!(budget.max(), 60 * MIB);
    }

    #[test]
    fn what_a_call_has_freed_is_its_own_only_where_the_limit_was_lowered() {
        let budget = Budget::new(100, 10);
        assert!(budget.try_reserve(90));
        let mut room = Room::default();
        room.exchange(&budget, 5, 5);
        assert!(!room.fill(&budget, 5), "what was freed is free, or another's");
        budget.set_max(50);
        budget.release(20);
        room.exchange(&budget, 30, 20);
        assert_eq!(budget.used(), 100, "no more than before");
        assert_eq!(room.take(&budget, 20), Ok(()));
    }
}
