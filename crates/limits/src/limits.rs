//! Every bound of this crate.

/// Most data that a cache may be allowed, or promised: the reference's 5,000 GB.
pub const DATA_STORAGE_BYTES_MAX: u64 = 5_000 << 30;

/// The least maximum of data: as for a node's memory, less is too little for a cache.
pub const DATA_STORAGE_MAX_BYTES_MIN: u64 = 16 << 20;

/// Fewest ECPUs per second that a limit may say, other than 0; the reference's.
pub const ECPU_PER_SECOND_MIN: u64 = 1_000;

/// Most ECPUs per second that a limit may say; the reference's.
pub const ECPU_PER_SECOND_MAX: u64 = 15_000_000;

/// A bucket holds at most what its rate gives in this time: the burst. With what cores hold and what
/// is lent less than 1% of ten seconds.
pub const BURST_NS_MAX: u64 = 50_000_000;

/// The leases of all cores together hold at most what the rate gives in this time, or one ECPU a
/// core where that is more.
pub const LEASES_NS_MAX: u64 = 4_000_000;

/// While units are short, as much as the rate gives in this time is lent to connections that have had
/// less than others, and then as much as it gives.
pub const LENT_NS_MAX: u64 = 8_000_000;

/// A core that got nothing waits until there is this part of a lease.
pub const LEASE_WAIT_PART: u64 = 4;

/// A core looks at its pool at least this often, so that a change of the rate acts on it.
pub const LEASE_TERM_NS_MAX: u64 = 50_000_000;

/// A core that got nothing asks again after this time at the earliest.
pub const DRY_NS_MIN: u64 = 200_000;

/// A core that got nothing asks again after this time at the latest.
pub const DRY_NS_MAX: u64 = 20_000_000;

/// A core counts among those that share for so long after it has asked.
pub const SEAT_NS_MAX: u64 = 2 * LEASE_TERM_NS_MAX;

/// A connection counts among those that share for so long, and at most twice that, after it has asked.
pub const ACTIVE_NS: u64 = 100_000_000;

/// A connection is held back for at most this long, counted from when its commands were read. Below
/// the timeouts of popular clients; gomemcache's is 500 ms.
pub const HELD_NS_MAX: u64 = 200_000_000;

/// The same of a proxy that was not told yet what it may use, nor whether there is a limit at all: as long as a request
/// waits for a slot to have a primary.
pub const UNTOLD_NS_MAX: u64 = 5_000_000_000;

/// Of the connections whose first command is held back one goes on at a time on a core, until what that costs is
/// known, or for so long: its node may have stopped.
pub const TRIAL_NS_MAX: u64 = 20_000_000;

/// How often a proxy reports its demand, and is granted anew.
pub const REPORT_INTERVAL_NS: u64 = 200_000_000;

/// A grant is good for this long from when the report was sent that it answers.
pub const GRANT_TERM_NS: u64 = 1_000_000_000;

/// By how much the granting side waits longer than the term: more than clocks drift apart in it.
pub const GRANT_SLACK_NS: u64 = GRANT_TERM_NS / 100;

/// Above what they want, all proxies together are granted this part of the limit where others go
/// short: what keeps them from going short themselves when they use a little more than before.
pub const HEADROOM_PART: u64 = 192;

/// Of what the limit gave and no proxy used at most what it gives in this time is granted once more.
/// In a term without the scaler as much. With what a proxy's bucket holds, its cores and what is lent less than 1% of ten seconds.
pub const SAVED_NS_MAX: u64 = 31_250_000;

/// It is granted so that it would be used up in this time: in all at most a 32nd above the limit.
pub const SAVED_SPENT_NS: u64 = 1_000_000_000;

/// Of what was used beyond the limit, as bursts are, at most what it gives in this time is granted less.
pub const SAVED_OWED_NS_MAX: u64 = 2 * SAVED_NS_MAX;

/// A proxy wants what it wanted in so many reports: a third of the most, and two of the mean.
pub const REPORTS_KEPT: usize = 4;

/// Most grants of one proxy that are remembered as unconfirmed, and most of its reports that it
/// remembers as unanswered.
pub const UNCONFIRMED_MAX: usize = 16;

/// A node is told of another part of the limit of data where it differs by more than this part of it.
pub const DATA_STEP_PART: u64 = 256;

/// A proxy that was not heard of for so long is taken for one that has ended: its part is free. One that
/// is cut off for longer goes on with its fallback all the same, by which the limit may then be passed.
pub const PROXY_SILENT_NS_MAX: u64 = 60_000_000_000;

/// Most proxies that share a limit.
pub const PROXIES_MAX: usize = 1_024;

/// Longest text of a quantity: `"5000GiB"`.
pub const QUANTITY_BYTES_MAX: usize = 32;

const _: () = assert!(BURST_NS_MAX + LEASES_NS_MAX + LENT_NS_MAX < 10_000_000_000 / 100);
const _: () = assert!(
    BURST_NS_MAX + LEASES_NS_MAX + LENT_NS_MAX + SAVED_NS_MAX < 10_000_000_000 / 100,
    "also where the scaler is away for a term"
);
const _: () = assert!(REPORT_INTERVAL_NS * 4 <= GRANT_TERM_NS);
