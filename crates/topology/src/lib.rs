//! What every role agrees on: slots, key hashing and metered units.
//!
//! Pure: no clock, socket, thread, random source or environment.

mod ecpu;
mod hash;
mod slot;

pub use ecpu::EcpuUnits;
pub use hash::{HashSeed, KeyHash};
pub use slot::{SLOTS, SlotId};
