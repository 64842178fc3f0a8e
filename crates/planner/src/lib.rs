//! What a fleet should become: nodes and memory, from what was observed, by a policy.
//!
//! [`plan`] is a pure function. It decides about nodes, memory and drains, and where single slots are too
//! hot; where slots belong otherwise is the manager's to decide (`memtide-manager`), by the memory that nodes are granted.
//!
//! ```text
//! Observation, Policy, Past --plan--> Plan, Past
//!     ^                                 |
//!     +---- executor, manager, nodes <--+ steps, in order
//! ```
//!
//! # What an executor does with a plan
//!
//! It calls [`plan`] about once a second, and at once when a node is lost or limits change, with the
//! [`Past`] of the call before. Of a plan it does the steps in their order; one that cannot be done ends the
//! plan, and is told by [`Observation::failed`]. While a step is neither done nor failed, it stands in
//! [`Observation::under_way`]: the planner takes it for done, and plans only what is missing beside it. So the executor
//! stores a step before it acts, and after a crash goes on from what is stored.
//!
//! | step | what to do | done when |
//! |---|---|---|
//! | [`Action::Grow`], [`Action::Shrink`] | the provisioner sets the node's memory, and the node registers with it | the topology's `memory_max` is `to` |
//! | [`Action::Add`] | the provisioner starts so many nodes of the offer, marked with the step's id | all have joined; each one that has is taken off [`UnderWay::nodes_missing`] |
//! | [`Action::Isolate`] | the same for one node, kept as [`Seen::reserved_for`] of it | it has joined; the next plan moves the slot |
//! | [`Action::Move`] | `Operation::MoveSlots` of the manager | the node is the primary of these slots |
//! | [`Action::Drain`] | `Operation::Drain`; the provisioner ends the process when the node has left | the topology says that it drains |
//! | [`Action::Stay`] | `Operation::Undrain` | the topology says that it does not |
//! | [`Action::GiveUp`] | the provisioner is told to cancel what it can | at once; the step that it names is [`UnderWay::is_given_up`] until nothing can come of it any more |
//!
//! Doing a step again does no harm: but for the two that add nodes they say what should be, and these are known by their
//! [`StepId`]. A plan is made of the topology [`Plan::parent`]; where that is not the newest any more, its steps are still
//! right one by one, as the manager refuses what does not fit, and then the step has failed.
//!
//! Where nobody says what each slot takes ([`SlotLoad`]) or what a node can do ([`Seen::capacity`]), the planner does
//! without: no slot counts as hot, and a resource whose capacity is 0 is not looked at. `memtide-executor` does what the
//! table says.
//!
//! Pure: no clock, socket, thread, random source or environment. docs/design/0016 says why it decides as it does.

mod amounts;
mod back;
mod decide;
mod draft;
mod fleet;
mod full;
mod hot;
mod need;
mod observation;
mod out;
mod past;
mod plan;
mod policy;

pub use amounts::{Amounts, Resource};
pub use decide::plan;
pub use need::{Figures, Need};
pub use observation::{Failed, Observation, Offer, Seen, SlotLoad, UnderWay};
pub use past::Past;
pub use plan::{Action, Note, Plan, Step, StepId, Why};
pub use policy::{Band, Policy};
