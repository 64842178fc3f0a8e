//! The history of a run, and the checker of its consistency.
//!
//! - [`history`](self::History): what was asked, when, and what was answered.
//! - [`check()`]: whether one cache, doing one thing at a time, could have answered so; the
//!   [`Verdict`] says where not.

mod check;
mod diagnose;
mod excerpt;
mod explanation;
mod frontier;
mod history;
mod item;
mod limits;
mod prepare;
mod reach;
mod search;
pub mod simulate;
mod step;
mod traffic;
mod value;
mod verdict;
mod versions;

pub use check::{check, check_within};
pub use history::{
    Action, COUNT_UNIT, COUNTER_BASE_SHIFT, COUNTER_START, History, NO_REPLY, Nanos, OddReply,
    Oddity, Operation, Outcome, Seen, Token, Verb,
};
pub use traffic::{OPERATIONS_MAX, VerifyRequest, VerifySettings, VerifyTraffic};
pub use verdict::{Misses, Verdict, Violation, ViolationCount, ViolationKind};

#[cfg(test)]
mod tests;
