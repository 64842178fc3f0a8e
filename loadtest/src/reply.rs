//! The harness's own reader of replies.
//!
//! [`read`] finds the next event at the start of the bytes that a connection has received and not
//! yet consumed. It keeps no state and knows nothing of what was asked: a multiget's reply is
//! one [`Event::Value`] after the other and an [`Event::End`], so that a long reply is never read
//! twice, and whether an event fits the request is for the one who asked to say.

mod parse;

pub use parse::{Found, MetaCode, ReplyError, read};

/// A part of a reply: a line, or a line with its data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// `VALUE <key> <flags> <bytes> [<cas unique>]` and the data block.
    Value {
        /// The item's key.
        key: &'b [u8],
        /// The item's client flags.
        client_flags: u32,
        /// The CAS unique, where it was asked for.
        cas: Option<u64>,
        /// The value, without the end of line behind it.
        data: &'b [u8],
    },
    /// `END`
    End,
    /// `STORED`
    Stored,
    /// `NOT_STORED`
    NotStored,
    /// `EXISTS`
    Exists,
    /// `NOT_FOUND`
    NotFound,
    /// `DELETED`
    Deleted,
    /// `TOUCHED`
    Touched,
    /// `OK`
    Ok,
    /// A line that is a decimal number: the result of `incr` or `decr`.
    Number(u64),
    /// `HD`, `EN`, `NF`, `NS`, `EX`, `MN`, or `VA` with its data block.
    Meta {
        /// The reply's code.
        code: MetaCode,
        /// The return flags, as they stand: `c12 kfoo`; without the blank before.
        flags: &'b [u8],
        /// The value of `VA`, without the end of line behind it; else empty.
        data: &'b [u8],
    },
    /// `VERSION <version>`: the version.
    Version(&'b [u8]),
    /// `ERROR`, `CLIENT_ERROR` or `SERVER_ERROR`, with or without a text: the whole line without its
    /// end.
    Error(&'b [u8]),
}
