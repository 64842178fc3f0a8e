//! The configuration manager: who is alive, who holds which slots, and what is changed next.
//!
//! [`Manager`] is a pure core. The scaler runs it over control streams and a topology store, the
//! simulator over virtual ones.
//!
//! ```text
//! register, beat, report, gone, dead, leaving, operate --+
//! tick (at `next_timeout` and on whatever occasion) -----+--> Manager --poll--> Effect
//! committed, conflict <-- the store <-- Effect::Commit <-+
//! ```
//! Every call takes the time, of a clock that never goes back and counts suspension. After each call,
//! take effects with [`Manager::poll`] until there is none.
//!
//! It keeps nothing but the topology that it stores: one that is started with it goes on. What it changes
//! keeps the rules of docs/design/0007; docs/design/0010 says how it decides.
//!
//! Pure: no clock, socket, thread, random source or environment.

mod checks;
mod crowds;
mod draft;
mod effect;
mod joins;
mod manager;
mod members;
mod operation;
mod placement;
mod registration;
mod settings;
mod think;
mod view;
mod wake;
mod watch;
mod wishes;

pub use effect::{Effect, Event, Loss, Moved};
pub use manager::Manager;
pub use operation::{Operation, Outcome, Refused};
pub use registration::{Registration, Session, Unwelcome};
pub use settings::Settings;
pub use view::{Migration, NodeState, NodeView};
