use std::fmt;

use serde::Serialize;

/// What the checker found in the history of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// Operations in the history; a multiget is one for each key.
    pub operations: u64,
    /// Keys that they were on.
    pub keys: u64,
    /// Of the operations, those that asked for a value and got a reply.
    pub reads: u64,
    /// Operations without a reply: they may have taken effect at any later moment, or never.
    pub no_reply: u64,
    /// Operations that were refused with an error line.
    pub refused: u64,
    /// Replies that said that there is no item.
    pub misses: Misses,
    /// Keys whose history could not be decided within the checker's limits. They are not passed:
    /// nothing is known of them.
    pub undecided_keys: u64,
    /// Whether the history reached its limit and the rest of the run was not recorded.
    pub is_cut_short: bool,
    /// Keys with a violation, by kind; kinds that did not occur are left out. Only the first
    /// violation of a key is known.
    pub violation_counts: Vec<ViolationCount>,
    /// Some of the violations, the earliest first; at least one of every kind that occurred.
    pub examples: Vec<Violation>,
    /// The longest time from a request to its reply, in microseconds, warm-up included.
    pub longest_reply_us: u64,
    /// How long the check took.
    pub check_s: f64,
}

impl Verdict {
    /// Whether there is no violation. Undecided keys are none: ask [`Self::undecided_keys`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violation_counts.is_empty()
    }

    /// Violations in all.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.violation_counts.iter().map(|row| row.count).sum()
    }

    /// Violations of one kind.
    #[must_use]
    pub fn count(&self, kind: ViolationKind) -> u64 {
        self.violation_counts.iter().find(|row| row.kind == kind).map_or(0, |row| row.count)
    }
}

/// Replies that said that there is no item, and the reason of each in the explanation of the
/// history that takes the fewest evictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Misses {
    /// All of them. The others sum up to this one, but for keys that were not decided.
    pub total: u64,
    /// Nothing had been stored yet.
    pub never_stored: u64,
    /// After a deletion.
    pub deleted: u64,
    /// After the item's time to live.
    pub expired: u64,
    /// After the item went without being asked to: evicted, flushed, or lost with a node.
    pub evicted: u64,
    /// The least number of evictions that explains all misses; several misses may follow one. To
    /// be set beside what the endpoint says it evicted.
    pub evictions_needed: u64,
}

/// How many keys have a violation of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ViolationCount {
    #[expect(missing_docs, reason = "says it")]
    pub kind: ViolationKind,
    /// Keys.
    pub count: u64,
}

/// The first contradiction in the history of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    #[expect(missing_docs, reason = "says it")]
    pub kind: ViolationKind,
    /// The key.
    pub key: String,
    /// When the reply that cannot be was received, in nanoseconds since the run began.
    pub at_ns: u64,
    /// What contradicts what, in a sentence.
    pub what: String,
    /// The operations around it on that key, one a line, by the time of their replies; the one
    /// that cannot be begins with `>`.
    pub excerpt: Vec<String>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// A single reply told of an older state; later ones tell of the newer one again.
    StaleRead,
    /// An acknowledged write is gone, and what it replaced is back.
    LostWrite,
    /// A deleted item is back.
    ResurrectedDelete,
    /// An old value is back after a newer one had been read.
    ResurrectedValue,
    /// A number is higher (lower for `decr`) than all requests together make it.
    DuplicatedCount,
    /// A number misses an acknowledged `incr` or `decr`.
    LostCount,
    /// A value holds an addition twice.
    DuplicatedAppend,
    /// A value misses an acknowledged `append` or `prepend`, or holds it in the wrong order.
    LostAppend,
    /// A compare-and-swap went by another version than the present one, or a version has two CAS
    /// uniques, or two versions have one.
    CasViolation,
    /// An item outlived its time to live.
    ExpiredValue,
    /// A value that was stored under another key.
    WrongKey,
    /// A value that nobody stored: torn, altered, made up, or with another's client flags.
    CorruptValue,
    /// A reply to another request than the oldest one of its connection.
    ReplyOutOfOrder,
    /// A reply that came later than `--reply-within` allows.
    LateReply,
    /// A reply that fits no order of the operations, in none of the ways above.
    Other,
}

impl ViolationKind {
    /// All of them, in the order of the enumeration.
    pub const ALL: [Self; 15] = [
        Self::StaleRead,
        Self::LostWrite,
        Self::ResurrectedDelete,
        Self::ResurrectedValue,
        Self::DuplicatedCount,
        Self::LostCount,
        Self::DuplicatedAppend,
        Self::LostAppend,
        Self::CasViolation,
        Self::ExpiredValue,
        Self::WrongKey,
        Self::CorruptValue,
        Self::ReplyOutOfOrder,
        Self::LateReply,
        Self::Other,
    ];

    /// As it is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StaleRead => "stale read",
            Self::LostWrite => "lost acknowledged write",
            Self::ResurrectedDelete => "resurrected delete",
            Self::ResurrectedValue => "resurrected old value",
            Self::DuplicatedCount => "duplicated incr or decr",
            Self::LostCount => "lost incr or decr",
            Self::DuplicatedAppend => "duplicated append or prepend",
            Self::LostAppend => "lost append or prepend",
            Self::CasViolation => "CAS violation",
            Self::ExpiredValue => "expired value read",
            Self::WrongKey => "value of another key",
            Self::CorruptValue => "corrupt value",
            Self::ReplyOutOfOrder => "reply out of order",
            Self::LateReply => "late reply",
            Self::Other => "impossible reply",
        }
    }
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
