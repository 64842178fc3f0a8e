//! The scaler: it owns the topology of a cache, and tells nodes and proxies of it.
//!
//! ```text
//! nodes, proxies <--control streams--> Loop --> Manager (pure) --> TopologyStore --> topologies to all
//! parent process --ScalerHandle------>  |
//! operators ------admin HTTP--------->  +--> Status: what the admin API and metrics show
//! ```
//! [`Scaler::start`] runs it all on a thread of its own. What it decides is `memtide-manager`'s; here is
//! what makes it last: a topology is stored, synced, before anybody hears of it. [`Scaler::start_shared`] runs
//! one of several, who lead in turn.

pub mod limits;

mod admin;
mod behind;
mod clock;
mod commit;
mod counts;
mod data;
mod documents;
mod ends;
mod etcd;
mod grant;
mod handle;
mod health;
mod hear;
mod metrics;
mod orders;
mod provision;
mod replicas;
mod run;
mod scaling;
mod sessions;
mod start;
mod status;
mod store;
mod tell;
mod tenure;
mod tickets;
mod turns;

pub use clock::now;
pub use counts::ProxyCounts;
pub use documents::{Document, Documents};
pub use etcd::{EtcdSettings, LimitsSet, LimitsThere, SharedLimits};
pub use handle::{OperateError, Operated, ScalerHandle};
pub use metrics::of_scaling;
pub use provision::command::{CommandProvisioner, CommandSettings};
pub use provision::{Order, ProvisionError, Provisioned, Provisioner, Scaling, Supply};
pub use scaling::{Alone, Explained, Granted, tell as tell_scaling};
pub use start::{Scaler, ScalerConfig, ScalerError};
pub use status::{Counters, Held, NodeStatus, ProxyStatus, SlotCounts, Status};
pub use store::{Damage, LocalStore, StoreError, StoreFuture, Stored, TopologyStore, write_copy};
