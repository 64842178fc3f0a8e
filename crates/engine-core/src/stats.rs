/// Counters and gauges of a store; names in quotes are those of memcached's `stats`.
///
/// `items == total_items - replaced - deleted - evicted - expired - flushed - removed_by_primary` at any moment when
/// no call is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Items now, expired ones that were not reclaimed yet included: "curr_items".
    pub items: u64,
    /// Items ever linked, replacements included: "total_items".
    pub total_items: u64,
    /// Bytes of the items now, headers included, index and free room not: "bytes".
    pub bytes: u64,
    /// Bytes taken from the allocator now; what `memory_max` limits.
    pub memory_used: u64,
    /// The limit of `memory_used`: "limit_maxbytes".
    pub memory_max: u64,
    /// Bytes of `memory_used` in index tables: "hash_bytes".
    pub index_bytes: u64,
    /// Items that another took the place of.
    pub replaced: u64,
    /// Items that a client deleted, or that a failed store removed.
    pub deleted: u64,
    /// Live items dropped for room: "evictions".
    pub evicted: u64,
    /// Those of `evicted` that were never fetched: "evicted_unfetched".
    pub evicted_unfetched: u64,
    /// Those of `evicted` that were fetched at least twice lately: "evicted_active".
    pub evicted_active: u64,
    /// Expired items removed, however noticed: "reclaimed".
    pub expired: u64,
    /// Those of `expired` that were never fetched: "expired_unfetched".
    pub expired_unfetched: u64,
    /// Those of `expired` found by a lookup: "get_expired".
    pub expired_on_lookup: u64,
    /// Those of `expired` found in the background: "crawler_reclaimed".
    pub expired_in_background: u64,
    /// Items removed by flush_all, a flushed or a dropped slot.
    pub flushed: u64,
    /// Items of copies that their primary removed, for whatever reason.
    pub removed_by_primary: u64,
    /// Those of `items` that are in slots held as copies.
    pub copy_items: u64,
    /// Those of `bytes` that are in slots held as copies.
    pub copy_bytes: u64,
    /// Bytes in journals that nobody has taken yet. Not part of `memory_used`.
    pub journal_bytes: u64,
    /// Commands refused for want of memory: "store_no_memory".
    pub out_of_memory: u64,
}

/// What the shards count; the fields are those of [`StoreStats`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) items: u64,
    pub(crate) total_items: u64,
    pub(crate) bytes: u64,
    pub(crate) index_bytes: u64,
    pub(crate) replaced: u64,
    pub(crate) deleted: u64,
    pub(crate) evicted: u64,
    pub(crate) evicted_unfetched: u64,
    pub(crate) evicted_active: u64,
    pub(crate) expired: u64,
    pub(crate) expired_unfetched: u64,
    pub(crate) expired_on_lookup: u64,
    pub(crate) expired_in_background: u64,
    pub(crate) flushed: u64,
    pub(crate) removed_by_primary: u64,
    pub(crate) copy_items: u64,
    pub(crate) copy_bytes: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) out_of_memory: u64,
}

impl StoreStats {
    pub(crate) fn add(&mut self, counts: &Counts) {
        self.items += counts.items;
        self.total_items += counts.total_items;
        self.bytes += counts.bytes;
        self.index_bytes += counts.index_bytes;
        self.replaced += counts.replaced;
        self.deleted += counts.deleted;
        self.evicted += counts.evicted;
        self.evicted_unfetched += counts.evicted_unfetched;
        self.evicted_active += counts.evicted_active;
        self.expired += counts.expired;
        self.expired_unfetched += counts.expired_unfetched;
        self.expired_on_lookup += counts.expired_on_lookup;
        self.expired_in_background += counts.expired_in_background;
        self.flushed += counts.flushed;
        self.removed_by_primary += counts.removed_by_primary;
        self.copy_items += counts.copy_items;
        self.copy_bytes += counts.copy_bytes;
        self.journal_bytes += counts.journal_bytes;
        self.out_of_memory += counts.out_of_memory;
    }
}

/// What one [`Store::maintain`](crate::Store::maintain) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Expired items removed.
    pub expired: u64,
    /// Live items dropped because `memory_max` was lowered.
    pub evicted: u64,
    /// Bytes of segments looked through: the cost of the call.
    pub scanned_bytes: u64,
    /// More was due than the budget allowed: call again soon.
    pub is_behind: bool,
}

impl Maintained {
    pub(crate) fn add(&mut self, step: Self, budget_bytes: u64) {
        self.expired += step.expired;
        self.evicted += step.evicted;
        self.scanned_bytes += step.scanned_bytes;
        self.is_behind |= self.scanned_bytes >= budget_bytes;
    }
}
