use core::fmt;
use std::sync::Arc;

use memtide_manager::Operation;
use memtide_planner::{Action, Note, StepId};
use memtide_topology::{NodeId, Zone};

use crate::instances::RETURN_TIME;
use crate::{Decision, Record};

/// A call's number; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What an executor wants done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// The record is to be on disk; [`Executor::stored`](crate::Executor::stored) answers.
    Store {
        /// Which state of it.
        version: u64,
        /// What to write.
        record: Arc<Record>,
    },
    /// Somebody is to do something; [`Executor::answered`](crate::Executor::answered) answers.
    Call(CallId, Call),
    /// Something is to be told.
    Event(Event),
}

/// What somebody is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// The manager.
    Operate(Operation),
    /// The provisioner: a node is to be started.
    Start {
        /// What it is to be called.
        instance: String,
        /// What the provisioner tells it from others of the zone by.
        kind: String,
        /// Where.
        zone: Zone,
        /// Bytes that it begins with.
        memory: u64,
        /// It is to wait until it is taken.
        is_spare: bool,
    },
    /// The provisioner: what holds a node to an amount of memory is to let it have this one.
    Resize {
        /// Which.
        instance: String,
        /// Bytes.
        memory: u64,
    },
    /// The provisioner: a node is not wanted any more.
    End {
        /// Which.
        instance: String,
    },
    /// The scaler: what was taken of the spares is not to become a node. It is for whoever started it.
    Release {
        /// Which.
        instance: String,
    },
    /// The scaler: a spare is to become a node.
    Take {
        /// Which.
        instance: String,
        /// Bytes that it is granted.
        memory: u64,
    },
}

impl Call {
    /// The instance that it is for.
    pub(crate) fn instance(&self) -> Option<&str> {
        match self {
            Self::Operate(_) => None,
            Self::Start { instance, .. }
            | Self::Resize { instance, .. }
            | Self::End { instance }
            | Self::Release { instance }
            | Self::Take { instance, .. } => Some(instance),
        }
    }
}

/// What is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something is to be done, and why.
    Decided(Box<Decision>),
    /// Something should be done, and cannot be; said once.
    Noted(Note),
    /// All steps of a decision have ended.
    Carried {
        /// Which.
        decision: u64,
        /// How many of its steps were done, and how many were not.
        steps: (usize, usize),
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// A step, or a node of it, has failed.
    Failed {
        /// Which.
        step: StepId,
        /// What it was to do.
        action: Action,
        /// Why.
        why: String,
    },
    /// A node has been down for long, holds nothing, and leaves the topology.
    Absent {
        /// What it is called.
        instance: String,
        /// Which.
        node: NodeId,
    },
    /// An instance that is not wanted could not be ended; it is tried again.
    EndFailed {
        /// Which.
        instance: String,
        /// Why.
        why: String,
    },
    /// A spare could not be started; it is tried again.
    SpareFailed {
        /// Where.
        zone: Zone,
        /// Why.
        why: String,
    },
    /// The record could not be stored: nothing new is begun until it is.
    StoreFailed(String),
}

impl Event {
    /// Whether somebody should look.
    #[must_use]
    pub const fn is_bad(&self) -> bool {
        !matches!(self, Self::Decided(_) | Self::Carried { .. })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(decision) => write!(f, "{decision}"),
            Self::Noted(note) => write!(f, "{note}"),
            Self::Carried { decision, steps: (done, 0), took_ms } => {
                write!(f, "decision {decision}: all {done} steps done after {took_ms} ms")
            }
            Self::Carried { decision, steps: (done, not), took_ms } => {
                write!(f, "decision {decision}: {done} steps done, {not} not, after {took_ms} ms")
            }
            Self::Failed { step, action, why } => write!(f, "{step} failed ({action}): {why}"),
            Self::Absent { instance, node } => write!(
                f,
                "{node} ({instance}) has been down for {} s and holds nothing: it leaves the topology",
                RETURN_TIME.as_secs()
            ),
            Self::EndFailed { instance, why } => {
                write!(f, "{instance} is not wanted any more and could not be ended: {why}")
            }
            Self::SpareFailed { zone, why } => {
                write!(f, "a spare could not be started in zone {zone}: {why}")
            }
            Self::StoreFailed(why) => {
                write!(f, "what the scaler intends cannot be stored, so it begins nothing: {why}")
            }
        }
    }
}
