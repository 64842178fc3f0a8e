//! Which node a request goes to, and how it is tried again while its client just waits.
//!
//! Pure: no clock, socket, thread, random source or environment. [`Router`] is the machine, and its
//! documentation the way in.

mod answers;
mod effect;
mod links;
mod lone;
mod ordered;
mod owners;
mod path;
mod requests;
mod router;
mod settings;
mod wakes;

pub use effect::{Effect, Kind, Refused, Submission};
pub use router::Router;
pub use settings::{INDEX_BITS, Settings};
