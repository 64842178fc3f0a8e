//! The node protocol: what proxies say to nodes and nodes to each other, as bytes.
//!
//! A connection begins with a [`Preface`] in each direction, whose form never changes; then come
//! frames of the newest version that both speak, the first of which is a [`Greeting`] from version 2 on:
//!
//! ```text
//! u32  length of what follows, at most the receiver's maximum
//! u8   kind
//!      body
//! ```
//!
//! Numbers are little-endian. Pure: bytes in, values out; what a peer sends costs memory in
//! proportion to what came, and never panics.

mod error;
mod frame;
mod greeting;
mod peer;
mod preface;
mod proxy;
mod reader;
#[cfg(test)]
mod tests;
mod versions;

pub use error::{PrefaceError, WireError};
pub use frame::{FRAME_HEADER_LEN, Frame, frame_len};
pub use greeting::Greeting;
pub use peer::{
    NodeWords, decode_message, decode_words, encode_message, encode_words, topology_epoch,
};
pub use preface::{PREFACE_BYTES_MAX, Peer, Preface};
pub use proxy::{Ask, Reach, Reply, decode_ask, decode_reply, encode_ask, encode_reply};
pub use versions::{VERSION_MAX, VERSION_MIN, Versions};
