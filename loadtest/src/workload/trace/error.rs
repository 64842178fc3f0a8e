use thiserror::Error;

use super::super::sizes::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use super::reader::LINE_BYTES_MAX;

/// Why a trace cannot be replayed, or not further.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceError {
    #[error("{file}: {problem}")]
    #[expect(missing_docs, reason = "says it")]
    Unreadable { file: String, problem: String },
    #[error("{file}: compressed; decompress it first: zstd -d {file}")]
    #[expect(missing_docs, reason = "says it")]
    Compressed { file: String },
    #[error("{file}: no requests in it")]
    #[expect(missing_docs, reason = "says it")]
    Empty { file: String },
    /// A line, counted from 1.
    #[error("{file}:{line}: {problem}")]
    #[expect(missing_docs, reason = "says it")]
    Line { file: String, line: u64, problem: TraceProblem },
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceProblem {
    #[error("{0} fields instead of timestamp,key,key_size,value_size,client,op,ttl")]
    #[expect(missing_docs, reason = "says it")]
    Fields(usize),
    #[error("{field} is {text:?}, not a whole number")]
    #[expect(missing_docs, reason = "says it")]
    NotANumber { field: &'static str, text: String },
    #[error("the key is empty")]
    #[expect(missing_docs, reason = "says it")]
    KeyEmpty,
    #[error("a key of {0} bytes is too long: at most {KEY_BYTES_MAX}")]
    #[expect(missing_docs, reason = "says it")]
    KeyTooLong(u64),
    #[error("the key {0:?} has a blank or control character in it")]
    #[expect(missing_docs, reason = "says it")]
    KeyByte(String),
    #[error(
        "{0:?} is no operation: it is one of get, gets, set, add, replace, cas, append, prepend, \
         delete, incr, decr"
    )]
    #[expect(missing_docs, reason = "says it")]
    Operation(String),
    #[error("a value of {0} bytes does not fit an item of 1 MB: at most {VALUE_BYTES_MAX}")]
    #[expect(missing_docs, reason = "says it")]
    ValueTooLarge(u64),
    #[error("timestamp {at} comes after {before}: time runs backwards")]
    #[expect(missing_docs, reason = "says it")]
    Backwards { before: u64, at: u64 },
    #[error("more than {LINE_BYTES_MAX} bytes")]
    #[expect(missing_docs, reason = "says it")]
    LineTooLong,
}
