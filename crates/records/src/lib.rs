//! Records on disk that outlive the process: what was used, what happened.
//!
//! A [`Log`] is a directory of segments, and a segment is lines of JSON that `less`, `grep` and `jq`
//! read, each with its checksum:
//!
//! ```text
//! events-00000000000000000001.jsonl
//!   {"crc":"1d9d5a4c","sequence":1,"at_ms":1795246260001,"record":{"kind":"listening"}}
//! ```
//!
//! - **Bounded.** A full segment is followed by another; the oldest go when all take too much.
//! - **Killed at any moment,** it has all that [`Log::append`] has returned from. A line that was not
//!   written to its end is cut off at the next start, and reported.
//! - **Power lost,** it has all up to the last [`Log::sync`]; a segment is synced before the next one
//!   begins. Appending does not sync: that takes milliseconds, and is the caller's to decide.
//! - **Damaged,** it gives what is whole: a line that fails its checksum is left out, and reported. A
//!   fault is never an error; an error is what the system says of the files.
//! - One process writes. Any may read, at any time: [`Scan`] and [`Follow`] look at the files alone.
//!
//! It is for some records a second at most. Reading by time reads all; that is why it is bounded.
//!
//! [`usage`] keeps what a cache used in each hour.

mod follow;
mod limits;
mod line;
mod log;
mod scan;
mod segment;
pub mod usage;

pub use follow::Follow;
pub use limits::{BYTES_MAX_MIN, RECORD_BYTES_MAX};
pub use line::Entry;
pub use log::{Log, LogError, Policy};
pub use scan::{Fault, FaultKind, Scan};
