use super::history::Nanos;

/// How long after its time to live an item may still be returned, and how long before it may be
/// gone: memcached's clock ticks once a second, and servers' clocks may lag.
pub const EXPIRY_SLACK: Nanos = 2_000_000_000;
/// Operations on a key at the same time, that all get a reply; more and the key is undecided.
pub const CONCURRENT_MAX: usize = 64;
/// Operations on a key that got no reply and may still take effect; more and the key is undecided.
pub const WITHOUT_REPLY_MAX: usize = 128;
/// Explanations of a key's history that are kept; more and the key is undecided.
pub const EXPLANATIONS_MAX: usize = 16_384;
/// With more explanations than this, or where a reply comes to too many, those go that differ in evictions
/// only: the least number of evictions may then come out too low.
pub const EXACT_EVICTIONS_MAX: usize = 512;
/// Explanations that are looked at for one reply; more and the key is undecided.
pub const STEPS_PER_REPLY_MAX: usize = 200_000;
/// Violations that are told in full.
pub const EXAMPLES_MAX: usize = 20;
/// Operations that an excerpt shows.
pub const EXCERPT_MAX: usize = 14;
