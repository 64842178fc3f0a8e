//! Tests that look inside; each file says what it checks.

mod check;
mod limits;
mod model;
mod pressure;
mod semantics;

use memtide_topology::HashSeed;

const SEED: HashSeed = HashSeed::new(1, 2);
