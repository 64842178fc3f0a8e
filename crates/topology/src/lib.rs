//! What every role agrees on: who holds which slots, key hashing and metered units.
//!
//! Pure: no clock, socket, thread, random source or environment.

mod ecpu;
mod hash;
mod ids;
mod request;
mod slot;
mod slot_config;
mod topology;

pub use ecpu::EcpuUnits;
pub use hash::{HashSeed, KeyHash};
pub use ids::{Epoch, NodeId, Zone};
pub use request::{Answer, Request, RequestId};
pub use slot::{SLOTS, SlotId};
pub use slot_config::{CopyConfig, SlotConfig};
pub use topology::{NodeInfo, Topology};
