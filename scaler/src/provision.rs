//! Where nodes come from.
//!
//! The scaler decides that there are to be more nodes or fewer; a [`Provisioner`] starts and ends their
//! processes. Calls are made one after the other for an instance, and side by side for several. Each is
//! bounded in time by the caller, tried again with backoff, and never waited for by what keeps the fleet alive.

pub mod command;
mod limits;
mod offered;
mod said;
mod script;

use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use memtide_control::Capacity;
use memtide_planner::Policy;
use memtide_topology::Zone;

/// How the scaler changes the fleet by itself.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// When there is too little, too much, and how much there may be.
    pub policy: Policy,
    /// Who starts nodes; `None` where there are only spares that others have started.
    pub provisioner: Option<Arc<dyn Provisioner>>,
    /// Spares that the provisioner is asked to have ready in each zone.
    pub spares_per_zone: u32,
}

/// Starts and ends nodes. Each call may be made again, and then does only what is still to be done.
pub trait Provisioner: Send + Sync + fmt::Debug + 'static {
    /// Its name, for events and metrics: one word.
    fn name(&self) -> &'static str;

    /// What nodes can be had now, as far as it knows. Called every second: it answers at once, by what it
    /// found out before.
    fn supplies(&self) -> Vec<Supply>;

    /// Whether its nodes go on when the process of the scaler ends.
    fn outlives_scaler(&self) -> bool;

    /// Instances that it starts by itself with the scaler; none of most.
    fn running(&self) -> Vec<Order> {
        Vec::new()
    }

    /// A call that takes longer has failed.
    fn call_time_max(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// Starts a node; done when that has been accepted. The node joins the scaler by itself, under the name
    /// of [`Order::instance`].
    fn start(&self, order: Order) -> Provisioned;

    /// Before a node is granted more memory, and after it was granted less: its surroundings may hold it to
    /// that. Where they do not, there is nothing to do.
    fn resize(&self, instance: String, memory: u64) -> Provisioned;

    /// A node is not wanted any more: it has left the topology, or never joined. What it has started is ended; of
    /// an instance that is unknown nothing is to be done.
    fn end(&self, instance: String) -> Provisioned;
}

/// What comes of a call.
pub type Provisioned = Pin<Box<dyn Future<Output = Result<(), ProvisionError>> + Send>>;

/// Why a call failed, in one line for an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProvisionError(pub String);

/// Nodes that can be had, all alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    /// What the provisioner tells these nodes from others of the zone by; mostly empty.
    pub kind: String,
    /// Where they would be.
    pub zone: Zone,
    /// What each of them could do at most.
    pub capacity: Capacity,
    /// The least memory that one of them can be granted, in bytes.
    pub memory_min: u64,
    /// How many more.
    pub nodes: u32,
    /// How long it takes until one has joined.
    pub ready_in: Duration,
    /// What they are called where that is not for who orders them to say, the next one first. It may be so of nodes that are
    /// there and that nobody has ordered. Each joins as a spare, also one that was not ordered as such, and is taken.
    pub names: Vec<String>,
    /// What those are called that there are, where they can be ended in an order only: who goes first is first. All of
    /// them are the scaler's.
    pub there: Vec<String>,
}

/// A node that is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it is to be called; used for no other node.
    pub instance: String,
    /// [`Supply::kind`].
    pub kind: String,
    /// Where.
    pub zone: Zone,
    /// Bytes that it begins with; of a spare what it is granted is said later.
    pub memory: u64,
    /// It is to wait until it is taken.
    pub is_spare: bool,
}
