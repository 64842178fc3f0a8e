use serde::Serialize;

/// A command, by the name that memcached gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "memcached's own names")]
pub enum CommandKind {
    Get,
    Gets,
    Gat,
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas,
    Incr,
    Decr,
    Delete,
    Touch,
    Mg,
    Ms,
    Md,
    Ma,
}

impl CommandKind {
    /// All of them, in the order of the enumeration.
    pub const ALL: [Self; 17] = [
        Self::Get,
        Self::Gets,
        Self::Gat,
        Self::Set,
        Self::Add,
        Self::Replace,
        Self::Append,
        Self::Prepend,
        Self::Cas,
        Self::Incr,
        Self::Decr,
        Self::Delete,
        Self::Touch,
        Self::Mg,
        Self::Ms,
        Self::Md,
        Self::Ma,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Gets => "gets",
            Self::Gat => "gat",
            Self::Set => "set",
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Append => "append",
            Self::Prepend => "prepend",
            Self::Cas => "cas",
            Self::Incr => "incr",
            Self::Decr => "decr",
            Self::Delete => "delete",
            Self::Touch => "touch",
            Self::Mg => "mg",
            Self::Ms => "ms",
            Self::Md => "md",
            Self::Ma => "ma",
        }
    }
}

/// How a command ended that got its whole reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every key asked for was there.
    Hit,
    /// Some of the keys of a multiget were there.
    PartialHit,
    /// None of the keys asked for was there.
    Miss,
    /// `STORED`, and `HD` to a store.
    Stored,
    /// `NOT_STORED`, `NS`
    NotStored,
    /// `EXISTS`, `EX`
    Exists,
    /// `NOT_FOUND`, `NF`
    NotFound,
    /// `DELETED`, and `HD` to a deletion.
    Deleted,
    /// `TOUCHED`
    Touched,
    /// The new number of `incr` or `decr`.
    Number,
    /// `ERROR`, `CLIENT_ERROR` or `SERVER_ERROR`.
    Error,
}

impl Outcome {
    /// All of them, in the order of the enumeration.
    pub const ALL: [Self; 11] = [
        Self::Hit,
        Self::PartialHit,
        Self::Miss,
        Self::Stored,
        Self::NotStored,
        Self::Exists,
        Self::NotFound,
        Self::Deleted,
        Self::Touched,
        Self::Number,
        Self::Error,
    ];

    /// As it is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::PartialHit => "partial_hit",
            Self::Miss => "miss",
            Self::Stored => "stored",
            Self::NotStored => "not_stored",
            Self::Exists => "exists",
            Self::NotFound => "not_found",
            Self::Deleted => "deleted",
            Self::Touched => "touched",
            Self::Number => "number",
            Self::Error => "error",
        }
    }
}

/// What went wrong with a connection, and with the requests on it that got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The peer reset the connection (ECONNRESET, EPIPE).
    Reset,
    /// The stream ended without TLS's close_notify, or in the middle of a reply.
    Truncated,
    /// The peer closed in good order while requests waited for replies, or without being asked to.
    Closed,
    /// No reply within `--timeout`.
    Timeout,
    /// No connection: refused, unreachable, or not in time.
    Connect,
    /// The TLS handshake failed.
    Handshake,
    /// Bytes that are no reply, or not one to what was asked: the connection is given up.
    Garbled,
}

impl Trouble {
    /// All of them, in the order of the enumeration.
    pub const ALL: [Self; 7] = [
        Self::Reset,
        Self::Truncated,
        Self::Closed,
        Self::Timeout,
        Self::Connect,
        Self::Handshake,
        Self::Garbled,
    ];

    /// As it is told.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Truncated => "truncated",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Garbled => "garbled",
        }
    }
}
