use crate::Key;

/// Every error line that a client can get.
///
/// protocol.txt, "Error strings": `ERROR` for an unknown command, `CLIENT_ERROR` for the client's
/// mistake, `SERVER_ERROR` for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorLine {
    /// Unknown command.
    #[error("ERROR")]
    UnknownCommand,
    /// Words missing, a key too long, a number that is none.
    #[error("CLIENT_ERROR bad command line format")]
    BadFormat,
    /// The data block does not end in `\r\n`.
    #[error("CLIENT_ERROR bad data chunk")]
    BadDataChunk,
    /// touch, gat, gats, flush_all.
    #[error("CLIENT_ERROR invalid exptime argument")]
    InvalidExptime,
    /// incr, decr.
    #[error("CLIENT_ERROR invalid numeric delta argument")]
    InvalidDelta,
    /// incr, decr, ma on a value that is no number.
    #[error("CLIENT_ERROR cannot increment or decrement non-numeric value")]
    NonNumericValue,
    /// flush_all with a delay.
    #[error("CLIENT_ERROR flush_all with a delay is not supported")]
    DelayedFlush,
    /// A line longer than its limit.
    #[error("CLIENT_ERROR line too long")]
    LineTooLong,
    /// The binary protocol's first byte.
    #[error("CLIENT_ERROR the binary protocol is not supported")]
    BinaryProtocol,
    /// More words than a meta command may have.
    #[error("CLIENT_ERROR options flags are too long")]
    TooManyFlags,
    /// A meta flag twice.
    #[error("CLIENT_ERROR duplicate flag")]
    DuplicateFlag,
    /// A meta flag that there is not.
    #[error("CLIENT_ERROR invalid flag")]
    InvalidFlag,
    /// Any mistake in the flags of `ma`.
    #[error("CLIENT_ERROR invalid or duplicate flag")]
    InvalidOrDuplicateFlag,
    /// A meta flag's number.
    #[error("CLIENT_ERROR bad token in command line format")]
    BadToken,
    /// A `b` key.
    #[error("CLIENT_ERROR error decoding key")]
    UndecodableKey,
    /// An `O` flag.
    #[error("CLIENT_ERROR opaque token too long")]
    OpaqueTooLong,
    /// `ms M`.
    #[error("CLIENT_ERROR invalid mode for ms M token")]
    InvalidSetMode,
    /// `ma M`.
    #[error("CLIENT_ERROR invalid mode for ma M token")]
    InvalidArithmeticMode,
    /// An item over the limit.
    #[error("SERVER_ERROR object too large for cache")]
    ObjectTooLarge,
    /// No room for an item, not even by evicting.
    #[error("SERVER_ERROR out of memory storing object")]
    OutOfMemoryStoring,
    /// No room for a counter, not even by evicting.
    #[error("SERVER_ERROR out of memory")]
    OutOfMemory,
    /// Over the cache's ECPU limit.
    #[error("SERVER_ERROR throttled: ECPU limit exceeded")]
    Throttled,
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
