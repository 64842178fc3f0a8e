//! What a cache may use, and how it is held to it.
//!
//! - [`Limits`] are what the owner set, [`LimitsPatch`] a change of them; [`units`] the way people
//!   write them.
//! - [`Bucket`] counts tokens exactly. A proxy has one [`Pool`], a bucket that its cores share; each
//!   core has a [`Gate`], which draws from the pool by leases and decides of every command whether it
//!   is admitted, held back or refused, fairly between connections.
//! - [`Allocator`] divides a cache's limit among its proxies by demand, in [`Grant`]s with a term;
//!   a proxy keeps its own in a [`Holding`].
//! - [`DataParts`] divides the limit of data among nodes by what they hold.
//!
//! Times are nanoseconds since any fixed moment. Rates are units (1/1024 ECPU) per second.
//!
//! Pure: no clock, socket, thread, random source or environment.

mod bucket;
mod configured;
mod data;
mod gate;
mod grants;
mod lease;
pub mod limits;
mod patch;
mod pool;
mod queue;
pub mod units;
mod water;

pub use bucket::Bucket;
pub use configured::{Limits, LimitsError, Range};
pub use data::{DataPart, DataParts, NodeData};
pub use gate::{Decision, Gate, Turn};
pub use grants::{Allocator, Grant, Holding, ProxyId, Report, Succession};
pub use patch::{LimitsPatch, RangePatch};
pub use pool::{Demand, Pool};
pub use queue::HeldId;
