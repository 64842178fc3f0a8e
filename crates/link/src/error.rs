use std::io;

use memtide_wire::{PrefaceError, WireError};
use thiserror::Error;

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LinkError {
    /// The socket failed, or the peer closed it.
    #[error("the connection failed: {0}")]
    Io(String),
    /// The peer breaks TLS, or is not who it should be.
    #[error("the TLS handshake failed: {0}")]
    Tls(rustls::Error),
    /// The peer is none to speak with.
    #[error(transparent)]
    Preface(#[from] PrefaceError),
    /// The peer did not greet as its version has it.
    #[error("the peer sent {0}")]
    Wire(#[from] WireError),
    /// The peer has another topology, whose epochs mean something else, though its cache is called the same.
    #[error("the peer is of the fleet {theirs:016x}, this process of {ours:016x}")]
    Fleet {
        /// Whose the peer is.
        theirs: u64,
        /// Whose this side is.
        ours: u64,
    },
    /// The peer did not finish in time.
    #[error("the peer did not finish its handshake and preface within {} s", crate::HANDSHAKE_MAX.as_secs())]
    Slow,
}

/// Why a link has ended.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LinkEnd {
    /// The peer closed it.
    #[error("the peer closed the link")]
    Closed,
    /// The outbox was closed, or finished and empty.
    #[error("this side closed the link")]
    Ours,
    /// More than the outbox's maximum waited to be sent.
    #[error("the peer does not take what it is sent: {0} bytes wait")]
    Overflow(usize),
    /// The peer sent what is no frame.
    #[error("the peer sent {0}")]
    Wire(#[from] WireError),
    /// The peer breaks TLS.
    #[error("the peer breaks TLS: {0}")]
    Tls(rustls::Error),
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(String),
}

impl From<rustls::Error> for LinkEnd {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error)
    }
}

impl From<io::Error> for LinkEnd {
    fn from(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// What happened before there was a link.
impl From<LinkEnd> for LinkError {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Tls(error) => Self::Tls(error),
            LinkEnd::Io(error) => Self::Io(error),
            LinkEnd::Wire(error) => Self::Wire(error),
            other => Self::Io(other.to_string()),
        }
    }
}
