//! Each rule of the router, one by one.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod any_copy;
mod bounds;
mod moves;
mod order;
mod retries;
mod rig;
