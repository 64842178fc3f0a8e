//! What a cache used, hour by hour.
//!
//! ```text
//!  counts of each proxy since its start --- heard ---+
//!  what is stored, every 10 s ------------- sampled -+--> Meter --flush--> hours of a UsageLog
//! ```
//!
//! **Nothing is counted twice.** A source (one process of a proxy) tells what it has counted since it
//! began, not what is new, and the meter takes the difference to what that source said last. A report
//! that is repeated, late or lost changes nothing. What each source said last is written on the same
//! line as the hours that it was added to, so that both are there after a kill, or neither. A line has the
//! sources that said something new, and every now and then all.
//!
//! **Who was forgotten is not news.** The meter knows some thousand sources, those heard last, and when the
//! latest of those began that it has forgotten. One that it does not know, and that began no later, may be one
//! of these: what it says first is not counted, and what it says after that is. So too where a line is damaged.
//!
//! **An hour's line has all of the hour,** and replaces those before it (its `revision` is the
//! highest). A line that is lost or damaged costs no hour as long as one comes after it.
//!
//! **What a kill may cost** is what was heard since the last flush, and only where the source ended as
//! well: one that goes on tells its whole count again.

mod hour;
mod log;
mod meter;
mod table;

pub use crate::limits::SOURCES_MAX;
pub use hour::{Counts, Hour, HourUsage};
pub use log::{UsageLog, UsageQuery};
pub use meter::{Flush, Meter, Sample, SourceId};
pub use table::{csv, decimal, seconds, utc};
