//! The store of one node: items, index, expiry, eviction, slots and a hard memory limit.
//!
//! Pure: no clock, socket, thread, random source or environment. Time comes in as [`Now`], and
//! the caller runs [`Store::maintain`] from a timer of its own.
//!
//! Item semantics are those of memcached 1.6; where a behaviour is memcached's and not written in
//! its protocol.txt, the option or outcome concerned says so.

mod alloc;
mod budget;
mod change;
mod config;
mod geometry;
mod ghost;
mod index;
mod item;
mod journal;
mod key;
mod limits;
mod number;
mod ops;
mod outcome;
mod prefetch;
pub mod replication;
mod segment;
mod shard;
mod stats;
mod store;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub use change::{Change, ChangeError, ItemState};
pub use config::StoreConfig;
pub use key::Key;
pub use limits::{ITEM_SIZE_MAX_DEFAULT, KEY_LEN_MAX, PREFETCH_MAX};
pub use ops::{Arithmetic, Delete, Lookup, Put, PutMode, Recache, VivifyNumber};
pub use outcome::{ArithmeticOutcome, DeleteOutcome, Found, Hit, Item, Number, PutOutcome};
pub use stats::{Maintained, StoreStats};
pub use store::{ApplyError, SlotCursor, Store};
pub use time::{Expiry, Now};
pub use value::Value;
