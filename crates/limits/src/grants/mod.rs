//! How several proxies share one limit.
//!
//! ```text
//!  proxy                                        scaler
//!    Report { demand, newest grant in force } ->  Allocator::report
//!    Holding::take                            <-  Allocator::grant -> Grant { rate, fallback, term }
//! ```
//!
//! **Never too much.** A grant counts against the limit until its proxy has confirmed a newer one, or
//! its term is over; then its fallback still does. A grant is only as large as what is left, so at any
//! time `sum over proxies of the largest rate that may be in force <= limit + what was saved`, whatever
//! is lost, late or cut off. The term runs from when the proxy *sent* the report that the grant answers, by the
//! proxy's clock; the allocator counts from when it made the grant, and a little longer.
//!
//! **Not much too little.** A proxy that is cut off falls back to at most an equal part of the limit,
//! `limit / proxies`, which stays set aside for it: that much may be missing while it has no use for
//! it, and before, for [`GRANT_TERM_NS`], what it was granted last. Where the scaler itself is away,
//! all fall back, and their fallbacks add up to at most the limit.
//!
//! **What is granted and not used.** Who goes short by nothing is granted a little more than it used, as
//! commands come by chance. The scaler knows a beat later what was not used, and of that grants up to
//! [`SAVED_NS_MAX`] of the limit once more where somebody goes short, so that in force are at most
//! `limit * 33/32`; what was used beyond the limit it grants less:
//!
//! ```text
//! saved += what the limit gave a proxy since its last report - what that proxy used in this time
//! granted in all = limit + saved / SAVED_SPENT_NS, while more is wanted than the limit
//! ```
//!
//! So over any time all proxies use at most `limit * time + SAVED + their buckets' bursts`, also where
//! the scaler is away from a moment on in which much was saved.
//!
//! **Over restarts.** A scaler that is started anew is another one, by a random number, and numbers its
//! grants from 1; so a proxy tells grants apart by the reports that they answer, which it numbers
//! itself, and a confirmation counts for the scaler that it names alone. With a report comes what the
//! proxy holds of another one: that counts like a grant, and in its first term a new scaler gives its
//! holder no more.
//!
//! **After a kill.** Nothing tells the scaler a proxy that was killed from one that is cut off. So processes that
//! follow each other in one place, where the system lets no later one begin while an earlier one runs, say so: a
//! report of a [`Succession`]'s later generation frees what earlier ones had, and reports of these that
//! come late are passed over.
//!
//! **By demand.** What there is, is divided max-min fair by weight (how many connections want something): who
//! wants less than an equal part gets what it wants, the others share the rest. A proxy that goes
//! short half of the time, all of its connections or for longer most of them, is taken to want an equal part at least, and up to twice what it has: from
//! nothing to all of the limit with four proxies it takes less than two seconds.

mod allocator;
mod holding;
mod saved;

pub use allocator::{Allocator, ProxyId};
pub use holding::Holding;

/// Which process of a line of them a proxy is: each began when the one before it had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Succession {
    /// Random, the same for all of the line; not 0.
    pub line: u64,
    /// Counts up with each process.
    pub generation: u64,
}

#[expect(unused_imports, reason = "for the documentation")]
use crate::limits::{GRANT_TERM_NS, SAVED_NS_MAX};
use crate::pool::Demand;

/// What a proxy tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Counts up from 1 with each report of this proxy.
    pub number: u64,
    /// Whom it follows, where it can know that they have ended.
    pub succession: Option<Succession>,
    /// The newest grant that it has taken; 0 is none.
    pub confirmed: u64,
    /// Whose that is.
    pub scaler: u64,
    /// What that lets it use now; `None` is without a limit.
    pub rate: Option<u64>,
    /// What it lets it use once its term is over.
    pub fallback: Option<u64>,
    /// The time that the demand is of.
    pub elapsed_ns: u64,
    /// What it wanted in that time.
    pub demand: Demand,
}

/// What a proxy may use. `None` is without a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who gives it: random for each start of a scaler.
    pub scaler: u64,
    /// Counts up from 1 with each grant to this proxy.
    pub number: u64,
    /// The report that it answers.
    pub report: u64,
    /// Units per second until the term is over.
    pub rate: Option<u64>,
    /// Units per second from then on, until another grant comes.
    pub fallback: Option<u64>,
    /// From when the report was sent.
    pub term_ns: u64,
    /// The limit that it is a part of, in units per second.
    pub limit: Option<u64>,
}
