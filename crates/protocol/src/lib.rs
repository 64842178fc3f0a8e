//! memcached 1.6's text and meta protocol: parse and encode.
//!
//! Pure: no clock, socket, thread, random source or environment. [`parse`] reads the command at the
//! start of a connection's unread bytes without copying or allocating; [`encode`] writes the
//! replies and [`request`] the commands. `docs/protocol.md` lists what is supported and every
//! deviation from memcached.
#![forbid(unsafe_code)]

mod base64;
mod command;
pub mod encode;
mod exptime;
pub mod fuzzing;
mod key;
pub mod limits;
mod meta;
mod parse;
mod refusal;
pub mod request;

pub use command::{
    Arithmetic, Command, Delete, Direction, Keys, Retrieve, Store, StoreVerb, Touch,
};
pub use exptime::Exptime;
pub use key::{Key, KeyBytes};
pub use limits::Limits;
pub use meta::{FlagTokens, MetaArithmetic, MetaDelete, MetaGet, MetaSet, SetMode};
pub use parse::{Step, parse};
pub use refusal::{ErrorLine, Refusal};
