//! The control stream: how nodes and proxies hear from the scaler who holds what, and how it hears
//! from them.
//!
//! ```text
//! NodeControl  --registration, beats, reports, leaving-->  ControlServer --Incoming--> the scaler's loop
//! ProxyControl --demand, counts--> <--welcome, topologies, grants, refused--  a session each <--Session, watch<Topology>--
//! ```
//! gRPC (`proto/control.proto`) over mutual TLS; all that others see is plain types. Whoever connects keeps
//! trying, one endpoint after the other, and goes on meanwhile with the topology that it has. A
//! topology is sent whole first and then by its differences; whoever is slow gets the newest only.

pub mod limits;

mod codec;
#[cfg(test)]
mod golden;
mod grants;
mod hearing;
mod mailbox;
mod messages;
mod node;
mod proxy;
mod pushes;
mod reach;
mod server;
mod session;
mod talk;
mod tickets;
mod topologies;
mod transport;

pub use messages::{
    Adopted, Capacity, Counted, FromScaler, NodeUsage, Program, ProxyRegistration, Registration,
    Role, SessionId, SlotUse, ToScaler, fleet_of,
};
pub use node::NodeControl;
pub use proxy::ProxyControl;
pub use server::{ControlServer, ControlServerConfig, RoleOf};
pub use session::{Closed, Incoming, Session};
pub use tickets::TicketSecret;

/// The name in the certificate of a scaler.
pub const SCALER_NAME: &str = "scaler.memtide";

/// What is generated from the schema.
mod schema {
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::too_many_lines,
        clippy::allow_attributes_without_reason,
        reason = "generated; proto/control.proto has the comments"
    )]

    tonic::include_proto!("memtide.control.v1");
}
