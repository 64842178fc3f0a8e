//! One connection of the node protocol: between a core of a proxy and a node, or between nodes.
//!
//! ```text
//!  connect --+                                              +-- take(bytes) -> whole frames consumed
//!            +--> TLS --> prefaces, greetings --> Link --> run
//!  accept ---+                                              +-- Outbox: what anybody has pushed goes out
//! ```
//!
//! Within a host a link leaves TLS behind the prefaces: see [`dial`].
//!
//! A [`Link`] lives on one thread. [`Link::run`] is one future for both directions: it reads what
//! has come, shows all of it at once, and sends all that gathered in the [`Outbox`] meanwhile in one
//! write, so that a batch of requests costs two system calls.
//!
//! What a peer does is bounded: the handshake and the preface by a deadline, a frame by its maximum,
//! what is not sent yet by the outbox's maximum. Where a peer takes nothing, its link ends, and what
//! was lost with it is for the protocols above to send again.

mod error;
mod handshake;
mod limits;
mod local;
mod outbox;
mod run;
pub mod socket;
mod stream;
mod transport;

pub use error::{LinkEnd, LinkError};
pub use handshake::{Introduction, Link, accept, connect};
pub use limits::{HANDSHAKE_MAX, READ_BYTES_MAX};
pub use local::{Listener, Origin, dial};
pub use outbox::Outbox;
pub use run::Bounds;
pub use stream::Stream;
