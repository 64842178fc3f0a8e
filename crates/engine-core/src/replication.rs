//! Synchronous replication, failover and migration of slots, after PacificA.
//!
//! [`Replication`] is one node's part; see `docs/design/0007-replication-failover-and-migration.md`
//! for the protocol and why it holds.

mod clients;
mod copy;
mod effect;
mod fences;
mod follower;
mod links;
mod log;
mod message;
mod node;
mod primary;
mod reach;
mod records;
mod slot;

#[cfg(test)]
mod tests;

pub use effect::{
    Asked, Canary, Change, Effect, Executed, Moved, Part, ProxyLink, ReplicationSettings, Ticket,
    Verdict,
};
pub use message::{
    CopyName, Entry, Message, Outcome, Position, Receipt, Record, Report, SlotMessage,
};
pub use node::Replication;
pub use records::OUTCOME_BYTES_MAX;
