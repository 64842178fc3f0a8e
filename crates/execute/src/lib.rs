//! memcached's commands on the items of a store: the parsed command in, the encoded reply out,
//! counted. What a node does, in a process of its own or inside a proxy.
//!
//! Pure: no clock, socket, thread, random source or environment.

mod classic;
mod counters;
mod executor;
mod meta;

pub use classic::Retrieved;
pub use counters::{CommandCounters, CommandTotals, Counter};
pub use executor::{Executed, ItemExecutor, OUTPUT_BYTES_HIGH};
