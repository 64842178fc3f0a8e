use crate::value::Value;

/// What a [`Lookup`](crate::Lookup) found; borrowed under the lock of the key's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// No such item, or no memory to vivify one.
    Miss,
    /// The item, there before or created by `vivify`.
    Hit(Hit<'a>),
}

/// An item that was found, with what mg may report of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The item after the command.
    pub item: Item<'a>,
    /// Seconds to live before the command; `None` without expiry (mg t before T).
    pub ttl_before: Option<u32>,
    /// Seconds since the last access before this one: mg l.
    pub last_access_age: u32,
    /// Whether it was fetched before this command: mg h.
    pub was_fetched: bool,
    /// This command created it: mg N.
    pub is_vivified: bool,
    /// This command won the right to recache: reply flag W.
    pub is_won: bool,
    /// Another command won it before: reply flag Z.
    pub is_already_won: bool,
}

/// An item as its slot holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value without line end.
    pub value: Value<'a>,
    /// Client flags.
    pub client_flags: u32,
    /// The CAS unique.
    pub cas: u64,
    /// Seconds to live; `None` without expiry.
    pub ttl: Option<u32>,
    /// Unix second of its end; `None` without expiry.
    pub expires_at: Option<u32>,
    /// The key was stored in base64: reply flag k encodes it, with flag b.
    pub key_is_binary: bool,
    /// Marked stale: reply flag X.
    pub is_stale: bool,
}

/// How a [`Put`](crate::Put) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// STORED, HD.
    Stored {
        /// The item's CAS unique.
        cas: u64,
        /// Bytes of the whole value, after append or prepend too.
        value_len: u32,
    },
    /// NOT_STORED, NS: the condition of the mode was not met, or an append or prepend would
    /// exceed the item size or the memory (memcached answers so).
    NotStored,
    /// EXISTS, EX: the CAS unique is another.
    Exists,
    /// NOT_FOUND, NF: nothing to compare the CAS unique with.
    NotFound,
    /// `SERVER_ERROR object too large for cache`.
    TooLarge,
    /// `SERVER_ERROR out of memory storing object`.
    OutOfMemory,
}

/// The number that arithmetic left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The new value; for a created item the initial one.
    pub value: u64,
    /// The item's CAS unique.
    pub cas: u64,
    /// Seconds to live before the command; `None` without expiry or when it was created.
    pub ttl_before: Option<u32>,
    /// Seconds to live now; `None` without expiry.
    pub ttl: Option<u32>,
    /// The command created the item.
    pub is_vivified: bool,
}

/// How an [`Arithmetic`](crate::Arithmetic) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOutcome {
    /// The number, HD, VA.
    Done(Number),
    /// NOT_FOUND, NF.
    NotFound,
    /// EX: the CAS unique is another.
    Exists,
    /// `CLIENT_ERROR cannot increment or decrement non-numeric value`.
    NonNumeric,
    /// `SERVER_ERROR out of memory`.
    OutOfMemory,
    /// `SERVER_ERROR Out of memory allocating new item`: there was none, and none could be made.
    OutOfMemoryVivifying,
}

/// How a [`Delete`](crate::Delete) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// DELETED, HD: removed, or left stale or empty as asked.
    Deleted,
    /// NOT_FOUND, NF.
    NotFound,
    /// EX: the CAS unique is another.
    Exists,
    /// `SERVER_ERROR out of memory`: there was no room for the empty item of md x.
    OutOfMemory,
}
