//! Replay of recorded requests: CSV lines of `timestamp,key,key_size,value_size,client,op,ttl`, the
//! format of the traces of github.com/twitter/cache-trace.
//!
//! - `timestamp`: whole seconds, not falling; the first line's is the begin.
//! - `key`: 1 to 250 bytes without blanks and control characters; commas are part of it. Where it is
//!   shorter than `key_size`, as anonymized keys may be, it is filled up.
//! - `value_size`: bytes of what is stored. Values of up to 20 bytes are decimal numbers, so that
//!   counters can be counted.
//! - `client`: not used.
//! - `op`: get, gets, set, add, replace, cas, append, prepend, delete, incr or decr. A `cas` becomes
//!   a `gets`, and with the token that comes back the `cas`.
//! - `ttl`: seconds, 0 is for ever; more than 30 days, which a cache would take for a date, count as
//!   30 days.
//!
//! A first line that begins with `timestamp,` is a header, and skipped.
//!
//! **Order.** All lines with the same key go to the same thread, which writes them in the order of
//! the trace. They may go out on different connections, though: two requests for one key that are in
//! flight at the same time may be carried out in either order, as those of two clients would be.

mod error;
mod reader;
mod schedule;
mod traffic;

pub use error::{TraceError, TraceProblem};
pub use reader::{TraceLine, TraceReader};
pub use schedule::{TraceSpeedError, TraceTiming};
pub use traffic::{TraceRequest, TraceSettings, TraceTraffic};
