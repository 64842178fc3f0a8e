//! Every bound of the scaler.

use std::time::Duration;

/// Messages that are taken from the streams before the loop looks at anything else.
pub const INCOMING_AT_ONCE_MAX: usize = 1_024;

/// Between two pictures of the fleet for the admin API and metrics, at least, unless an operator's
/// request was answered.
pub const STATUS_INTERVAL: Duration = Duration::from_millis(100);

/// How long the manager may go without being told that time has passed, however much there is to
/// take in.
pub const TICK_LATENESS_MAX: Duration = Duration::from_millis(100);

/// Before the second try to store a topology; doubled with each further one.
pub const STORE_BACKOFF_MIN: Duration = Duration::from_millis(10);

/// Most that is waited between two tries.
pub const STORE_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A disk that takes longer for a topology is not well.
pub const STORE_TIME_MAX: Duration = Duration::from_secs(5);

/// Children that were said to have ended before they were known as nodes; the oldest is forgotten.
pub const ENDED_CHILDREN_MAX: usize = 1_024;

/// Proxies whose counts are known: all that there are connections for.
pub const COUNTED_PROXIES_MAX: usize = memtide_control::limits::CONNECTIONS_MAX;

/// Processes before them that have ended, whose counts are known and not said to be written down.
pub const COUNTED_EARLIER_MAX: usize = 1_024;

/// Both. The records tell more apart: so none of these is ever forgotten there.
pub const COUNTED_MAX: usize = COUNTED_PROXIES_MAX + COUNTED_EARLIER_MAX;

/// One that was not heard of for so long gives way to another.
pub const COUNTED_SILENT_MAX: Duration = Duration::from_secs(60);

/// How often it is looked what nodes hold of the cache's limit of data.
pub const DATA_LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The answer to an operator's request says that it takes longer.
pub const OPERATE_TIME_MAX: Duration = Duration::from_secs(5);

/// Lines of the log about peers that were turned away, in each [`REFUSAL_INTERVAL`].
pub const REFUSAL_LINES_MAX: u32 = 10;

/// Peers of other fleets of which each is told once.
pub const STRANGERS_TOLD_MAX: usize = 64;

/// See [`REFUSAL_LINES_MAX`].
pub const REFUSAL_INTERVAL: Duration = Duration::from_secs(10);

/// A leader's lease in etcd: when it is lost, another may lead after so long. etcd gives 2 s at least where its election
/// timeout is 1 s, and an election of its own takes as long as 2 s.
pub const LEASE_SECONDS: i64 = 4;

/// Between two times that it is kept alive.
pub const LEASE_KEPT_INTERVAL: Duration = Duration::from_secs(1);

const _: () = assert!(LEASE_KEPT_INTERVAL.as_secs() * 3 < LEASE_SECONDS as u64, "one may be late");

/// Longest call of etcd, in which it is tried with one member after the other.
pub const ETCD_CALL_TIME_MAX: Duration = Duration::from_secs(3);

/// A leader that ends waits this long for etcd to have heard so.
pub const ETCD_RESIGN_TIME_MAX: Duration = Duration::from_secs(1);

/// Before etcd is asked again that did not answer.
pub const ETCD_PAUSE: Duration = Duration::from_millis(200);

/// Watches that end before anything was heard by them, one after the other, before all is read anew: a member may have
/// been stopped, and another is without a leader for a moment.
pub const ETCD_WATCH_FAILURES_MAX: u32 = 3;

/// A scaler that cannot begin to lead, because of what is stored, tries again after this.
pub const LEAD_PAUSE: Duration = Duration::from_secs(1);

/// Before it is tried again to write down which number of replicas was followed.
pub const REPLICAS_PAUSE: Duration = Duration::from_secs(1);

/// How long session tickets are given out with one key; for as long again they are taken.
pub const TICKET_SECRET_INTERVAL: Duration = Duration::from_secs(6 * 60 * 60);
