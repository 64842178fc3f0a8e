use memtide_topology::DecodeError;
use thiserror::Error;

use crate::versions::Versions;

/// Why a frame is refused; the connection is to be closed, as nothing after it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// It is longer than the receiver allows.
    #[error("a frame of {len} bytes, of which {max} are allowed")]
    TooLong {
        /// The length that it says it has.
        len: u64,
        /// What is allowed.
        max: u64,
    },
    /// It has no kind.
    #[error("a frame without a kind")]
    Empty,
    /// This side knows no such kind.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// It ends in the middle.
    #[error("a frame that ends in the middle of {0}")]
    Cut(&'static str),
    /// It goes on behind its end.
    #[error("a frame with {0} bytes too many")]
    Rest(usize),
    /// A number that means nothing.
    #[error("a frame with {what} {number}")]
    Number {
        /// Of what.
        what: &'static str,
        /// Which.
        number: u64,
    },
    /// It brings a topology, and not of this fleet.
    #[error("a topology of another fleet")]
    Fleet,
    /// The topology in it cannot be read.
    #[error("a frame with a topology that cannot be read: {0}")]
    Topology(#[from] DecodeError),
}

/// Why a peer is refused when its connection begins.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrefaceError {
    /// It speaks something else.
    #[error("the peer does not speak memtide's node protocol")]
    Foreign,
    /// No version that both speak.
    #[error(
        "the peer speaks the node protocol in {theirs}, this process in {ours}: upgrade the older one, and then have none held to an old version (--wire-version-max)"
    )]
    Versions {
        /// What the peer speaks.
        theirs: Versions,
        /// What this side does.
        ours: Versions,
    },
    /// It is neither a proxy nor a node.
    #[error("the peer has the unknown role {0}")]
    Role(u8),
    /// No cache has such a name.
    #[error("the peer names no cache")]
    Cache,
}
