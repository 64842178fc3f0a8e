pub use crate::drive::Nanos;

/// The completion of an operation that got no reply.
pub const NO_REPLY: Nanos = Nanos::MAX;

/// The bits of a counter's number above these say which store it began with.
pub const COUNTER_BASE_SHIFT: u32 = 40;
/// Increments are multiples of this, and all decrements of a key sum up to less: so no number
/// comes twice after one store, and says which operations made it.
pub const COUNT_UNIT: u64 = 1 << 16;
/// What a counter's number has below its base when it is stored, so that decrements do not
/// reach the base.
pub const COUNTER_START: u64 = 1 << 20;

/// What is written by one store and by no other in a run: its writer in the upper 16 bits, the
/// writer's own count below. The first store has 1.
///
/// Under a counter key, the number that is stored: a base of its own in the bits from
/// [`COUNTER_BASE_SHIFT`] on, and [`COUNTER_START`].
pub type Token = u64;

/// What was asked of a key, and what was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The key's number.
    pub key: u32,
    /// Who asked; for the reader of an excerpt.
    pub worker: u32,
    /// Not after the first byte of the request went out.
    pub invoked: Nanos,
    /// Not before the last byte of the reply came in; [`NO_REPLY`].
    pub completed: Nanos,
    /// What was asked.
    pub action: Action,
    /// What was answered.
    pub outcome: Outcome,
}

const _: () = assert!(size_of::<Operation>() <= 80, "there are millions of them");

/// What is asked of a key.
///
/// A `ttl` is in seconds, 0 is never. Actions without one leave the item's as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "memcached's own names")]
pub enum Action {
    /// `get`, `gets`, `mg v`.
    Get,
    /// `gat`, `gats`, `mg v T`.
    GetAndTouch { ttl: u32 },
    /// `set`, `add`, `replace`, `append`, `prepend`.
    Store { verb: Verb, token: Token, ttl: u32 },
    /// `cas`, `ms C`: store where the item has this CAS unique.
    Cas { token: Token, ttl: u32, cas: u64 },
    /// `incr`, or `decr`.
    Count { is_up: bool, delta: u64 },
    /// `delete`, and with a CAS unique that is not 0 `md C`.
    Delete { cas: u64 },
    /// `touch`.
    Touch { ttl: u32 },
}

impl Action {
    /// Whether it asks for the value.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Get | Self::GetAndTouch { .. })
    }
}

/// How a token is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "memcached's own names")]
pub enum Verb {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
}

/// What is answered. A `cas` of 0 was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it may take effect at any moment after its invocation, or never.
    NoReply,
    /// An error line that says that nothing was stored; the item may be gone.
    Refused,
    /// The value of a retrieval.
    Hit {
        /// Of which tokens it is made.
        value: Seen,
        /// Its CAS unique.
        cas: u64,
    },
    /// The number of a counter, read or counted.
    Number {
        /// It.
        number: u64,
        /// Its CAS unique.
        cas: u64,
    },
    /// No item: `END` alone, `NOT_FOUND`, `NF`, `EN`.
    NotFound,
    /// `STORED`, with the CAS unique of the new version where it was told.
    Stored {
        /// It.
        cas: u64,
    },
    /// `NOT_STORED`, `NS`
    NotStored,
    /// `EXISTS`, `EX`
    Exists,
    /// `DELETED`, `TOUCHED`, `HD`.
    Done,
    /// A reply that is wrong by itself. What the operation did is unknown, as without a reply.
    Odd(Oddity),
}

/// A reply that is wrong by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// The value of this other key.
    WrongKey(u32),
    /// A value that nobody stored.
    Corrupt,
}

/// The value of a reply: a token, or several where it was added to, in the order of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The only token; or where the tokens begin in the history's list.
    pub(super) at: u64,
    /// How many they are; 1 is in `at` itself.
    pub(super) count: u32,
}

/// A reply that cannot be given to an operation, such as one to another request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddReply {
    /// The key that was asked for.
    pub key: u32,
    /// When the reply had arrived.
    pub at: Nanos,
    /// What was asked and what came, in a few words.
    pub what: String,
}

/// The operations that one thread saw.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(super) operations: Vec<Operation>,
    pub(super) tokens: Vec<Token>,
    pub(super) odd_replies: Vec<OddReply>,
    /// Whether operations went on that are not recorded.
    pub(super) is_cut_short: bool,
}

impl History {
    /// Odd replies that are kept; what comes after is counted by nobody, the run is lost anyway.
    const ODD_REPLIES_MAX: usize = 10_000;

    /// One with room for so many operations.
    #[must_use]
    pub fn with_capacity(operations: usize) -> Self {
        Self { operations: Vec::with_capacity(operations), ..Self::default() }
    }

    /// Adds an operation. The order is of no importance.
    pub fn push(&mut self, operation: Operation) {
        self.operations.push(operation);
    }

    /// Keeps the tokens of a value that was read; to be used in an operation of this history.
    pub fn seen(&mut self, tokens: &[Token]) -> Seen {
        if let [token] = tokens {
            return Seen { at: *token, count: 1 };
        }
        let at = self.tokens.len() as u64;
        self.tokens.extend_from_slice(tokens);
        Seen { at, count: u32::try_from(tokens.len()).unwrap_or(u32::MAX) }
    }

    /// Adds a reply that fits no operation.
    pub fn push_odd_reply(&mut self, reply: OddReply) {
        if self.odd_replies.len() < Self::ODD_REPLIES_MAX {
            self.odd_replies.push(reply);
        }
    }

    /// Notes that operations went on that are not recorded.
    pub fn cut_short(&mut self) {
        self.is_cut_short = true;
    }

    /// Operations recorded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The operations.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The operations, to be altered; for tests of the checker.
    pub fn operations_mut(&mut self) -> &mut Vec<Operation> {
        &mut self.operations
    }

    /// The tokens of a value that was read.
    #[must_use]
    pub fn tokens<'h>(&'h self, seen: &'h Seen) -> &'h [Token] {
        if seen.count == 1 {
            return std::slice::from_ref(&seen.at);
        }
        let from = usize::try_from(seen.at).expect("an index of a list in memory");
        &self.tokens[from..from + seen.count as usize]
    }
}
