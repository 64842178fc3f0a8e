//! Carries out what the planner says: step by step, through crashes of the scaler and answers that come late or
//! never.
//!
//! ```text
//! Sight, once a second --> Executor --plan--> steps --poll--> Effect::Store
//!                             ^                               Effect::Call (manager, provisioner, spares)
//!                             |                               Effect::Event
//!   stored, answered ---------+-------------------------------------+
//! ```
//! [`Executor`] is a pure core. What it intends is in its [`Record`], which is on disk before anything of it is
//! begun: an executor that is started with the record of another goes on where that was. Every call may
//! therefore be made twice, and says what should be rather than what to change; nodes that are to come are named before
//! they are ordered, and known by that name when they join.
//!
//! It waits for nobody: a call without an answer holds up the step that it is of, which the planner gives up in
//! time, and the instance that it is for. Instances that are not wanted any more are ended, again and again until
//! their provisioner says so; until then they are on record, and may not join (see [`Executor::is_unwanted`]).
//!
//! Pure: no clock, socket, thread, random source or environment. docs/design/0017 says why it is as it is.

mod absent;
mod action;
mod adopt;
mod call;
mod executor;
mod explain;
mod fill;
mod instances;
mod record;
mod sight;
mod steps;

pub use call::{Call, CallId, Effect, Event};
pub use executor::{Executor, Settings};
pub use explain::{DecidedStep, Decision, Fate};
pub use fill::{Fill, Filled, Growth};
pub use record::{Instance, Kept, Record, Source};
pub use sight::{NodeSight, Sight, Supplied};
