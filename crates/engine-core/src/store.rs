mod prefetch;
mod replicate;
mod slots;

pub use replicate::ApplyError;
pub use slots::SlotCursor;

use crate::budget::{Budget, NoRoom, Room};
use crate::geometry::Geometry;
use crate::limits::JOURNAL_BYTES_MAX;
use crate::shard::{Call, Env, Pressure, Shard};
use crate::{
    Arithmetic, ArithmeticOutcome, Delete, DeleteOutcome, Expiry, Found, Key, Lookup, Maintained,
    Now, Put, PutOutcome, StoreConfig, StoreStats,
};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use memtide_topology::SlotId;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All items of one node. `Send + Sync`: every core calls it.
///
/// A call takes the lock of one shard at a time; nothing locks the whole store. A call that needs
/// memory lets go of its shard, evicts in the shard that has most, and tries again.
#[derive(Debug)]
pub struct Store {
    env: Env,
    cells: Box<[Cell]>,
    /// The shard that background work goes on with.
    next_maintained: AtomicUsize,
}

/// A shard on cache lines of its own, and what others may read of it without its lock.
#[derive(Debug)]
#[repr(align(128))]
struct Cell {
    shard: Mutex<Shard>,
    /// Bytes of the budget that the shard has, but for those of copies.
    evictable: AtomicU64,
    /// Bytes in the shard's journal.
    journal_bytes: AtomicUsize,
    /// Second from which on there may be expired items to find.
    next_scan: AtomicU32,
    /// Collecting dead items would give much memory back.
    is_sparse: AtomicBool,
}

/// A locked shard, which updates the figures of its cell when it is let go.
struct Locked<'a> {
    env: &'a Env,
    cell: &'a Cell,
    shard: MutexGuard<'a, Shard>,
}

/// Eviction steps for one call, until it gives up with out of memory: this many, and more for
/// an item of many segments and for many shards.
const EVICTION_STEPS_MIN: usize = 64;

impl Store {
    /// An empty store.
    ///
    /// It takes about half a MiB before the first item; a `memory_max` below
    /// [`Store::memory_min`] leaves it unable to hold any.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        let geometry = Geometry::of(&config);
        let cells = (0..geometry.shards).map(|_| Cell::new(&geometry)).collect();
        let budget = Budget::new(config.memory_max, geometry.fixed_bytes(size_of::<Cell>()));
        let env = Env { geometry, budget, seed: config.seed };
        Self { env, cells, next_maintained: AtomicUsize::new(0) }
    }

    /// The least `memory_max` that is of any use with this configuration, in bytes: the fixed
    /// part, and room for one item of the largest size.
    #[must_use]
    pub fn memory_min(config: &StoreConfig) -> u64 {
        let geometry = Geometry::of(config);
        let item = u64::from(geometry.item_size_max).max(geometry.segment_len as u64);
        geometry.fixed_bytes(size_of::<Cell>()) + 2 * item
    }

    /// Whether an item of this size is allowed, to the byte as memcached decides it:
    /// 48 + 8 + key + 1 + (4 with client flags) + value + 2 <= `item_size_max`.
    ///
    /// A caller asks when it has read the command line, before it reads the value. Where this is
    /// false, a classic set and every ms also remove the item that is there: memcached does.
    #[must_use]
    pub fn item_fits(&self, key_len: usize, client_flags: u32, value_len: usize) -> bool {
        self.env.geometry.item_fits(key_len, client_flags, value_len)
    }

    /// Looks up a key; `with` sees the item borrowed under the lock of its shard, so it encodes
    /// into the caller's buffer and does nothing slow.
    #[inline]
    pub fn lookup<R>(
        &self,
        key: Key<'_>,
        op: &Lookup,
        now: Now,
        with: impl FnOnce(Found<'_>) -> R,
    ) -> R {
        let mut locked = self.lock(&key);
        match (locked.shard.lookup(&self.env, &key, op, now), op.vivify) {
            (Some(hit), _) => with(Found::Hit(hit)),
            (None, None) => with(Found::Miss),
            (None, Some(expiry)) => {
                drop(locked);
                self.lookup_or_vivify((key, op, expiry), now, with)
            }
        }
    }

    /// Stores a value under the condition of `op`.
    pub fn put(&self, key: Key<'_>, op: &Put<'_>, now: Now) -> PutOutcome {
        let fits = self.item_fits(key.bytes().len(), op.client_flags, op.value.len());
        let done = match fits {
            true => self.with_room(key, now, |shard, call| shard.put(call, op)),
            false => Ok(PutOutcome::TooLarge),
        };
        let outcome = match done {
            Ok(outcome) => outcome,
            // memcached gives up an append that it has no memory for without saying why.
            Err(NoRoom { .. }) if op.extends() => PutOutcome::NotStored,
            Err(NoRoom { .. }) => PutOutcome::OutOfMemory,
        };
        let has_failed = matches!(outcome, PutOutcome::TooLarge | PutOutcome::OutOfMemory);
        if has_failed && op.failure_removes {
            self.lock(&key).shard.remove_after_failure(&self.env, &key, now);
        }
        outcome
    }

    /// Adds to or subtracts from a decimal number.
    pub fn arithmetic(&self, key: Key<'_>, op: &Arithmetic, now: Now) -> ArithmeticOutcome {
        let done = self.with_room(key, now, |shard, call| shard.arithmetic(call, op));
        done.unwrap_or_else(|_| {
            let is_there = self.lock(&key).shard.has(&self.env, &key, now);
            match is_there {
                true => ArithmeticOutcome::OutOfMemory,
                false => ArithmeticOutcome::OutOfMemoryVivifying,
            }
        })
    }

    /// Deletes an item, or leaves it stale or empty.
    pub fn delete(&self, key: Key<'_>, op: &Delete, now: Now) -> DeleteOutcome {
        let done = self.with_room(key, now, |shard, call| shard.delete(call, op));
        done.unwrap_or(DeleteOutcome::OutOfMemory)
    }

    /// Gives an item another expiry and counts as a fetch; `false` where there is none.
    pub fn touch(&self, key: Key<'_>, expiry: Expiry, now: Now) -> bool {
        self.lock(&key).shard.touch(&self.env, &key, expiry, now)
    }

    /// Removes all items; one mutation of every slot. Slots held as copies are left alone.
    pub fn flush_all(&self) {
        for cell in &self.cells {
            let flushed = cell.lock(&self.env).shard.flush(&self.env);
            if let Some(flushed) = flushed {
                flushed.release(&self.env);
            }
        }
    }

    /// A step of background work: reclaims expired items, collects dead ones where more than half
    /// of the memory is theirs, and evicts after the limit was lowered. Call it about every 100 ms, and again at once while
    /// [`is_behind`](Maintained::is_behind).
    ///
    /// Looks through at most `budget_bytes` of segments, rounded up to one; a MiB takes about
    /// 0.1 ms. Each lock is held for one segment at a time, and with nothing due none is taken.
    pub fn maintain(&self, now: Now, budget_bytes: u64) -> Maintained {
        let mut done = Maintained::default();
        for _ in 0..self.cells.len() {
            let next = self.next_maintained.load(Ordering::Relaxed);
            self.maintain_shard(&self.cells[next], (now, budget_bytes), &mut done);
            if done.is_behind {
                break;
            }
            self.next_maintained.store((next + 1) % self.cells.len(), Ordering::Relaxed);
        }
        while !done.is_behind && self.env.budget.used() > self.env.budget.max() {
            let Some(cell) = self.most_evictable() else { break };
            let evicted = cell.lock(&self.env).shard.shed(&self.env, now);
            done.add(evicted, budget_bytes);
            if evicted.scanned_bytes == 0 {
                break;
            }
        }
        done
    }

    /// Changes the limit. Lowering it acts on the next puts and in [`Store::maintain`]. Above
    /// [`StoreConfig::memory_capacity`] the index may become slow.
    pub fn set_memory_max(&self, bytes: u64) {
        self.env.budget.set_max(bytes);
    }

    /// From now on the store raises its limit by itself, up to so many bytes, rather than evict a live item;
    /// a higher limit is lowered to that. It is to be within [`StoreConfig::memory_capacity`]. 0 by default: the limit
    /// is as it was set.
    pub fn set_memory_ceiling(&self, bytes: u64) {
        self.env.budget.set_ceiling(bytes);
    }

    /// Changes the limit of a store that raises it by itself, from what it was seen to be: never above the ceiling, and
    /// lower only where it is still that. Says whether it is as wanted, or higher.
    #[must_use]
    pub fn grant_memory(&self, from: u64, to: u64) -> bool {
        if to < from {
            return self.env.budget.lower_max(from, to);
        }
        self.env.budget.raise_max(to);
        self.env.budget.max() >= to
    }

    /// A snapshot of the counters, summed over the shards one after the other.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let (memory_used, memory_max) = (self.env.budget.used(), self.env.budget.max());
        let mut stats = StoreStats { memory_used, memory_max, ..StoreStats::default() };
        self.cells.iter().for_each(|cell| stats.add(&cell.lock(&self.env).shard.counts()));
        stats
    }

    fn lookup_or_vivify<R>(
        &self,
        (key, op, expiry): (Key<'_>, &Lookup, Expiry),
        now: Now,
        with: impl FnOnce(Found<'_>) -> R,
    ) -> R {
        let mut with = Some(with);
        let mut show = |found: Found<'_>| with.take().map(|with| with(found));
        let done = self.with_room(key, now, |shard, call| {
            if shard.is_copy(call.env, &key) {
                return Ok(show(Found::Miss));
            }
            // Another core may have stored it since the miss.
            if let Some(hit) = shard.lookup(call.env, &key, op, now) {
                return Ok(show(Found::Hit(hit)));
            }
            shard.vivify(call, expiry, op)?;
            let hit = shard.vivified(call.env, &key, now).expect("it was made just now");
            Ok(show(Found::Hit(hit)))
        });
        let done = done.unwrap_or_else(|_| show(Found::Miss));
        done.expect("only a call that succeeds takes `with`")
    }

    /// Runs a command that may need memory; evicts until there is enough or no hope.
    fn with_room<T>(
        &self,
        key: Key<'_>,
        now: Now,
        mut run: impl FnMut(&mut Shard, &mut Call<'_>) -> Result<T, NoRoom>,
    ) -> Result<T, NoRoom> {
        let done = self.try_with_room(key, now, &mut run);
        if done.is_err() {
            self.lock(&key).shard.count_out_of_memory();
        }
        done
    }

    /// As [`Store::with_room`], for what is no client's command.
    fn try_with_room<T>(
        &self,
        key: Key<'_>,
        now: Now,
        run: &mut impl FnMut(&mut Shard, &mut Call<'_>) -> Result<T, NoRoom>,
    ) -> Result<T, NoRoom> {
        let mut call = Call { env: &self.env, key, now, room: Room::default() };
        let mut step = 0;
        loop {
            let done = run(&mut self.lock(&key).shard, &mut call);
            let failed = match done {
                Ok(done) => {
                    call.room.release(&self.env.budget);
                    return Ok(done);
                }
                Err(failed) => failed,
            };
            let steps_max = self.eviction_steps_max(failed);
            if failed.bytes > self.env.budget.capacity_most() || step >= steps_max {
                call.room.release(&self.env.budget);
                return Err(failed);
            }
            if !call.room.fill(&self.env.budget, failed.bytes) {
                let pressure = if step < steps_max / 2 { Pressure::Normal } else { Pressure::Hard };
                let freed = self.evict(&key, now, pressure);
                call.room.fill(&self.env.budget, failed.bytes);
                call.room.exchange(&self.env.budget, failed.bytes, freed);
            }
            step += 1;
        }
    }

    /// Evicts in the key's shard where that has its share of the memory, and otherwise in the
    /// one that has most; the bytes that it has given back.
    fn evict(&self, key: &Key<'_>, now: Now, pressure: Pressure) -> u64 {
        let own = self.cell(key.slot());
        let share = self.env.budget.capacity() / self.cells.len() as u64;
        let slack = self.env.segment_len() as u64;
        let has_share = own.evictable.load(Ordering::Relaxed) + slack >= share;
        let most = if has_share { None } else { self.most_evictable() };
        let victim = most.unwrap_or(own);
        victim.lock(&self.env).shard.evict_for_room(&self.env, now, pressure)
    }

    fn eviction_steps_max(&self, need: NoRoom) -> usize {
        let segments = need.bytes / self.env.segment_len() as u64;
        let segments = usize::try_from(segments).unwrap_or(usize::MAX);
        EVICTION_STEPS_MIN
            .saturating_add(self.cells.len())
            .saturating_add(segments.saturating_mul(8))
    }

    fn maintain_shard(&self, cell: &Cell, (now, budget): (Now, u64), done: &mut Maintained) {
        while !done.is_behind && cell.is_due(now) && !cell.is_backlogged() {
            let step = cell.lock(&self.env).shard.maintain(&self.env, now);
            done.add(step, budget);
            if step.scanned_bytes == 0 {
                break;
            }
        }
    }

    /// The shard to evict from, among those whose journal has room for what goes.
    fn most_evictable(&self) -> Option<&Cell> {
        let ready = self.cells.iter().filter(|cell| !cell.is_backlogged());
        ready.max_by_key(|cell| cell.evictable.load(Ordering::Relaxed))
    }

    #[inline]
    fn lock(&self, key: &Key<'_>) -> Locked<'_> {
        self.lock_slot(key.slot())
    }

    #[inline]
    fn lock_slot(&self, slot: SlotId) -> Locked<'_> {
        self.cell(slot).lock(&self.env)
    }

    #[inline]
    fn cell(&self, slot: SlotId) -> &Cell {
        &self.cells[self.env.geometry.shard(slot)]
    }
}

impl Cell {
    fn new(geometry: &Geometry) -> Self {
        Self {
            shard: Mutex::new(Shard::new(geometry)),
            evictable: AtomicU64::new(0),
            journal_bytes: AtomicUsize::new(0),
            next_scan: AtomicU32::new(u32::MAX),
            is_sparse: AtomicBool::new(false),
        }
    }

    /// Whether so much of its journal waits to be taken that no other work may add to it.
    fn is_backlogged(&self) -> bool {
        self.journal_bytes.load(Ordering::Relaxed) >= JOURNAL_BYTES_MAX
    }

    /// Whether there is background work.
    fn is_due(&self, now: Now) -> bool {
        self.next_scan.load(Ordering::Relaxed) <= now.unix_secs()
            || self.is_sparse.load(Ordering::Relaxed)
    }

    #[inline]
    fn lock<'a>(&'a self, env: &'a Env) -> Locked<'a> {
        // A caller's closure that panicked did so after the shard had changed as a whole.
        let shard = self.shard.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { env, cell: self, shard }
    }
}

impl Locked<'_> {
    /// What is of interest only where slots are journaled or copies.
    #[inline(never)]
    fn publish_replicated(&self) {
        self.cell.evictable.store(self.shard.evictable(), Ordering::Relaxed);
        self.cell.journal_bytes.store(self.shard.journal.len(), Ordering::Relaxed);
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        self.cell.evictable.store(self.shard.charged, Ordering::Relaxed);
        if self.shard.roles.is_used() {
            self.publish_replicated();
        }
        self.cell.next_scan.store(self.shard.next_scan(), Ordering::Relaxed);
        self.cell.is_sparse.store(self.shard.is_sparse(self.env), Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Store {
    pub(crate) fn each_shard(&self, mut with: impl FnMut(&Env, &Shard)) {
        self.cells.iter().for_each(|cell| with(&self.env, &cell.lock(&self.env).shard));
    }

    pub(crate) fn each_shard_mut(&self, mut with: impl FnMut(&Env, &mut Shard)) {
        self.cells.iter().for_each(|cell| with(&self.env, &mut cell.lock(&self.env).shard));
    }

    pub(crate) fn fixed_bytes(&self) -> u64 {
        self.env.geometry.fixed_bytes(size_of::<Cell>())
    }
}
