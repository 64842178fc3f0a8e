use crate::Key;

/// Every error line that a client can get.
///
/// protocol.txt, "Error strings": `ERROR` for an unknown command, `CLIENT_ERROR` for the client's
/// mistake, `SERVER_ERROR` for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorLine {
    /// Unknown command.
    UnknownCommand,
    /// Words missing, a key too long, a number that is none.
    BadFormat,
    /// The data block does not end in `\r\n`.
    BadDataChunk,
    /// touch, gat, gats, flush_all.
    InvalidExptime,
    /// incr, decr.
    InvalidDelta,
    /// incr, decr, ma on a value that is no number.
    NonNumericValue,
    /// flush_all with a delay.
    DelayedFlush,
    /// A line longer than its limit.
    LineTooLong,
    /// The binary protocol's first byte.
    BinaryProtocol,
    /// More words than a meta command may have.
    TooManyFlags,
    /// A meta flag twice.
    DuplicateFlag,
    /// A meta flag that there is not.
    InvalidFlag,
    /// Any mistake in the flags of `ma`.
    InvalidOrDuplicateFlag,
    /// A meta flag's number.
    BadToken,
    /// The `D` flag of a command other than `ma`.
    InvalidMetaDelta,
    /// The `J` flag of a command other than `ma`.
    InvalidInitial,
    /// A `b` key.
    UndecodableKey,
    /// An `O` flag.
    OpaqueTooLong,
    /// `ms M`.
    InvalidSetMode,
    /// `ma M`.
    InvalidArithmeticMode,
    /// An item over the limit.
    ObjectTooLarge,
    /// No room for an item, not even by evicting.
    OutOfMemoryStoring,
    /// No room for a counter, not even by evicting.
    OutOfMemory,
    /// Over the cache's ECPU limit.
    Throttled,
    /// Too many requests wait for their nodes; this one was not sent.
    Overloaded,
    /// No node that may answer was reached in time; nothing was done.
    NoLiveCopy,
    /// No node has answered in time; nothing was done.
    NoAnswer,
    /// Sent, and nobody can say whether it was done.
    OutcomeUnknown,
    /// A node that was to be asked is not connected.
    NodeUnavailable,
    /// The connection is one too many.
    TooManyConnections,
}

impl ErrorLine {
    /// Whether the server is to blame, not the client.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::ObjectTooLarge
                | Self::OutOfMemory
                | Self::OutOfMemoryStoring
                | Self::Throttled
                | Self::Overloaded
                | Self::NoLiveCopy
                | Self::NoAnswer
                | Self::OutcomeUnknown
                | Self::NodeUnavailable
        )
    }

    /// The line without its `\r\n`. The wording is memcached's wherever memcached has the error,
    /// since clients match on it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownCommand => "ERROR",
            Self::BadFormat => "CLIENT_ERROR bad command line format",
            Self::BadDataChunk => "CLIENT_ERROR bad data chunk",
            Self::InvalidExptime => "CLIENT_ERROR invalid exptime argument",
            Self::InvalidDelta => "CLIENT_ERROR invalid numeric delta argument",
            Self::NonNumericValue => "CLIENT_ERROR cannot increment or decrement non-numeric value",
            Self::DelayedFlush => "CLIENT_ERROR flush_all with a delay is not supported",
            Self::LineTooLong => "CLIENT_ERROR line too long",
            Self::BinaryProtocol => "CLIENT_ERROR the binary protocol is not supported",
            Self::TooManyFlags => "CLIENT_ERROR options flags are too long",
            Self::DuplicateFlag => "CLIENT_ERROR duplicate flag",
            Self::InvalidFlag => "CLIENT_ERROR invalid flag",
            Self::InvalidOrDuplicateFlag => "CLIENT_ERROR invalid or duplicate flag",
            Self::BadToken => "CLIENT_ERROR bad token in command line format",
            Self::InvalidMetaDelta => "CLIENT_ERROR invalid numeric delta value",
            Self::InvalidInitial => "CLIENT_ERROR invalid numeric initial value",
            Self::UndecodableKey => "CLIENT_ERROR error decoding key",
            Self::OpaqueTooLong => "CLIENT_ERROR opaque token too long",
            Self::InvalidSetMode => "CLIENT_ERROR invalid mode for ms M token",
            Self::InvalidArithmeticMode => "CLIENT_ERROR invalid mode for ma M token",
            Self::ObjectTooLarge => "SERVER_ERROR object too large for cache",
            Self::OutOfMemoryStoring => "SERVER_ERROR out of memory storing object",
            Self::OutOfMemory => "SERVER_ERROR out of memory",
            Self::Throttled => "SERVER_ERROR throttled: ECPU limit exceeded",
            Self::Overloaded => "SERVER_ERROR overloaded: too many requests wait",
            Self::NoLiveCopy => "SERVER_ERROR no live copy of the slot",
            Self::NoAnswer => "SERVER_ERROR no answer in time, nothing was done",
            Self::OutcomeUnknown => "SERVER_ERROR outcome unknown",
            Self::NodeUnavailable => "SERVER_ERROR a node is not available",
            Self::TooManyConnections => "ERROR Too many open connections",
        }
    }
}

impl core::fmt::Display for ErrorLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

/// A command that is answered with an error and not executed; the connection stays in step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// What to say.
    pub error: ErrorLine,
    /// The client asked for no reply by a `noreply` that could be read: say nothing.
    pub is_silent: bool,
    /// The item with this key must go: what was to be stored is too large, and its predecessor must
    /// not be taken for it.
    pub unlink: Option<Key<'a>>,
}
