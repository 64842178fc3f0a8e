//! A node of a cache: the store of its slots, served over links and replicated.
//!
//! ```text
//!  proxies --links--+                +--links-- other nodes
//!                   v                v
//!       data thread: Shell -> Host -> Store, Replication
//!                   ^                |
//!          News     |                v Word          Observer: usage, metrics (any thread)
//!       whatever carries them to and from the configuration manager
//! ```
//!
//! A node is one data thread: a runtime of its own that owns the store, the replication and all
//! links, so nothing waits for a lock and no order is left to chance. A machine runs about as many
//! nodes as it has cores.
//!
//! [`Host`] is all that a node does, without sockets and clocks; the rest of the crate carries bytes
//! to it and from it. `docs/design/0007` is the protocol, `0009` says how nodes and links are made.

mod batch;
mod clock;
mod commands;
mod config;
mod counters;
mod data;
mod dial;
mod exposition;
mod feed;
mod host;
pub mod limits;
mod links;
mod observer;
mod shared;
mod shell;
mod start;
mod stats;
mod topology_frame;

pub use config::NodeConfig;
pub use counters::{NodeCounters, SlotCounters};
pub use feed::{DataPart, Feed, News, Source, Word, feed};
pub use host::{Host, HostConfig, Moment, Outlets};
pub use observer::{Observer, Usage};
pub use start::{Ended, Node};
