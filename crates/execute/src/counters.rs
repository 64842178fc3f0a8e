//! What is counted of commands: per core, written by that core alone, summed when somebody reads.

use core::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer; any thread may read it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; to be called from the owning core only.
    ///
    /// A plain load and store instead of a locked add: with one writer nothing is lost.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Declares counters of one core, and their sums over all cores.
#[macro_export]
macro_rules! counters {
    (
        $(#[$one:meta])* pub struct $counters:ident;
        $(#[$all:meta])* pub struct $totals:ident;
        $($(#[$doc:meta])* $name:ident,)*
    ) => {
        $(#[$one])*
        #[derive(Debug, Default)]
        pub struct $counters {
            $($(#[$doc])* pub $name: $crate::Counter,)*
        }

        $(#[$all])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $totals {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl $totals {
            /// Adds what one core has counted.
            pub fn add(&mut self, core: &$counters) {
                $(self.$name += core.$name.load();)*
            }

            /// What came since `earlier`.
            #[must_use]
            pub fn since(mut self, earlier: &Self) -> Self {
                $(self.$name = self.$name.saturating_sub(earlier.$name);)*
                self
            }
        }
    };
}

counters! {
    /// Commands on items, of one core.
    pub struct CommandCounters;
    /// [`CommandCounters`] of all cores.
    pub struct CommandTotals;
    /// Keys asked for by get, gets and mg (memcached's `cmd_get`).
    cmd_get,
    /// Storage commands that were executed.
    cmd_set,
    /// touch, and keys of gat and gats.
    cmd_touch,
    /// flush_all.
    cmd_flush,
    /// Meta commands.
    cmd_meta,
    /// Keys found by get, gets and mg.
    get_hits,
    /// Keys not found.
    get_misses,
    /// Items touched.
    touch_hits,
    /// Items to touch that were not there.
    touch_misses,
    /// Items deleted.
    delete_hits,
    /// Items to delete that were not there.
    delete_misses,
    /// Counters incremented.
    incr_hits,
    /// Counters to increment that were not there.
    incr_misses,
    /// Counters decremented.
    decr_hits,
    /// Counters to decrement that were not there.
    decr_misses,
    /// Compare-and-swaps that stored.
    cas_hits,
    /// Compare-and-swaps on a key that was not there.
    cas_misses,
    /// Compare-and-swaps that met another CAS unique.
    cas_badval,
    /// Values refused as too large.
    store_too_large,
    /// Values refused for want of memory.
    store_no_memory,
    /// Replies of `ERROR` or `CLIENT_ERROR`.
    client_errors,
    /// Replies of `SERVER_ERROR`.
    server_errors,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_sum_the_cores_and_subtract_a_baseline() {
        let (a, b) = (CommandCounters::default(), CommandCounters::default());
        let total = || {
            let mut total = CommandTotals::default();
            [&a, &b].into_iter().for_each(|core| total.add(core));
            total
        };
        a.cmd_get.add(2);
        b.cmd_get.add(3);
        let before = total();
        assert_eq!(before.cmd_get, 5);
        b.cmd_get.add(4);
        assert_eq!(total().since(&before).cmd_get, 4);
    }
}
