//! What every role agrees on: who holds which slots, key hashing and metered units.
//!
//! A [`Topology`] says who holds what. The configuration manager changes it by [`Update`]s; others
//! follow by [`Diff`]s; stores and links carry both as bytes. [`Target`] says where everything
//! belongs and what to do next to get there, [`Failover`] who takes over from the dead.
//!
//! Pure: no clock, socket, thread, random source or environment.

mod apply;
mod cache;
mod codec;
mod diff;
mod ecpu;
mod failover;
mod hash;
mod ids;
mod invalid;
mod limits;
mod placement;
mod request;
mod slot;
mod slot_config;
mod topology;
mod update;

pub use cache::CacheId;
pub use codec::DecodeError;
pub use diff::{Diff, PatchError};
pub use ecpu::EcpuUnits;
pub use failover::Failover;
pub use hash::{HashSeed, KeyHash};
pub use ids::{Epoch, NodeId, Zone};
pub use invalid::{InvalidTopology, SlotFault};
pub use limits::{
    ADDRESS_BYTES_MAX, CACHE_NAME_BYTES_MAX, COPIES_MAX, ENCODED_BYTES_MAX, NODES_MAX, REPLICAS_MAX,
};
pub use placement::{Pace, Target, Wanted};
pub use request::{Answer, Request, RequestId};
pub use slot::{SLOTS, SlotId};
pub use slot_config::{CopyConfig, SlotConfig};
pub use topology::{NodeInfo, Topology, TopologyParts};
pub use update::{ApplyError, CaughtUp, Change, Previous, Refusal, Update};
