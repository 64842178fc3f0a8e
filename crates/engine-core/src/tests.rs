//! Tests that look inside; each file says what it checks.
#![allow(clippy::cast_possible_truncation, reason = "test data may be cut")]

mod check;
mod copies;
mod limits;
mod model;
mod pressure;
mod replica;
mod semantics;

use memtide_topology::HashSeed;

const SEED: HashSeed = HashSeed::new(1, 2);
