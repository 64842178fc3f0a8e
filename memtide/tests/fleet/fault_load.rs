//! The load beside which fleets are changed and hurt.

use memtide_testkit::{Fleet, Verifying, reply_within};

/// Few keys, so that each has a long history, and several requests in flight on each.
const LOAD: [&str; 8] = ["--keys", "300", "--connections", "8", "--pipeline", "4", "--rate", "500"];

/// Commands that are answered before, during and after each change or fault, at least.
pub const ANSWERED: u32 = 100;

/// Starts it, and waits until it is answered.
pub fn load(fleet: &Fleet) -> Verifying {
    let words = LOAD.map(str::to_owned).into_iter().chain(reply_within());
    let load = Verifying::start(env!("CARGO_BIN_EXE_memtide"), fleet.memtide(), words);
    load.wait_answered(ANSWERED);
    load
}
