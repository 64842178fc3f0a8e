//! Replies, written to the end of a buffer. Nothing else is allocated.

use crate::{ErrorLine, MetaArithmetic, MetaDelete, MetaGet, MetaSet};

/// A reply line without arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
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
    /// `RESET`
    Reset,
    /// `END`
    End,
    /// `MN`
    MetaNoOp,
}

/// A [`Status`] line.
pub fn status(out: &mut Vec<u8>, status: Status) {
    let _ = (out, status);
    todo!()
}

/// An error line.
pub fn error(out: &mut Vec<u8>, error: ErrorLine) {
    let _ = (out, error);
    todo!()
}

/// `VALUE <key> <flags> <bytes> [<cas unique>]`; the value and `\r\n` follow it.
pub fn value_header(
    out: &mut Vec<u8>,
    key: &[u8],
    client_flags: u32,
    value_len: usize,
    cas: Option<u64>,
) {
    let _ = (out, key, client_flags, value_len, cas);
    todo!()
}

/// The new number, `incr` and `decr`.
pub fn number(out: &mut Vec<u8>, number: u64) {
    let _ = (out, number);
    todo!()
}

/// `STAT <name> <value>`; the list ends with [`Status::End`].
pub fn stat(out: &mut Vec<u8>, name: &str, value: &str) {
    let _ = (out, name, value);
    todo!()
}

/// `STAT <name> <number>`.
pub fn stat_number(out: &mut Vec<u8>, name: &str, number: u64) {
    let _ = (out, name, number);
    todo!()
}

/// `VERSION <version>`.
pub fn version(out: &mut Vec<u8>, version: &str) {
    let _ = (out, version);
    todo!()
}

/// The whole reply to `config get cluster`: one endpoint, `END` included.
///
/// `config_version` grows with each change of the endpoint. `ip` may be empty.
pub fn config_cluster(out: &mut Vec<u8>, config_version: u64, host: &str, ip: &str, port: u16) {
    let _ = (out, config_version, host, ip, port);
    todo!()
}

/// What is left of an item's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// It does not expire.
    Never,
    /// Seconds.
    Secs(u32),
}

/// What a meta reply can say of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemMeta {
    /// `f`
    pub client_flags: u32,
    /// `c`
    pub cas: u64,
    /// `t`
    pub ttl: Ttl,
    /// `l`: seconds since the access before this one.
    pub last_access_secs: u32,
    /// `h`: whether it was fetched before this access.
    pub hit_before: bool,
    /// `s`: bytes of the value.
    pub value_len: usize,
}

/// The marks at the end of an `mg` reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `W`: this client is to recache the item.
    pub won: bool,
    /// `X`: the item is stale.
    pub stale: bool,
    /// `Z`: another client has won.
    pub win_sent: bool,
}

/// `mg`, found: `HD` or `VA <size>` and the flags asked for. Returns whether the value and `\r\n`
/// are to follow.
#[must_use]
pub fn meta_get_hit(out: &mut Vec<u8>, command: &MetaGet, item: &ItemMeta, marks: Marks) -> bool {
    let _ = (out, command, item, marks);
    todo!()
}

/// `mg`, not found: `EN`, or nothing when quiet.
pub fn meta_get_miss(out: &mut Vec<u8>, command: &MetaGet) {
    let _ = (out, command);
    todo!()
}

/// How a meta command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaStatus {
    /// `HD`: done.
    Done,
    /// `NS`
    NotStored,
    /// `EX`
    Exists,
    /// `NF`
    NotFound,
}

/// `ms`. `cas` is the stored item's, 0 where nothing was stored; `value_len` its value's, after
/// append and prepend.
pub fn meta_set(
    out: &mut Vec<u8>,
    command: &MetaSet,
    status: MetaStatus,
    cas: u64,
    value_len: usize,
) {
    let _ = (out, command, status, cas, value_len);
    todo!()
}

/// `md`.
pub fn meta_delete(out: &mut Vec<u8>, command: &MetaDelete, status: MetaStatus) {
    let _ = (out, command, status);
    todo!()
}

/// `ma`, done: `HD`, or `VA` with the number and its `\r\n`.
pub fn meta_arithmetic_done(
    out: &mut Vec<u8>,
    command: &MetaArithmetic,
    number: u64,
    cas: u64,
    ttl: Ttl,
) {
    let _ = (out, command, number, cas, ttl);
    todo!()
}

/// `ma`, not done: `NF`, `NS` or `EX`.
pub fn meta_arithmetic_failed(out: &mut Vec<u8>, command: &MetaArithmetic, status: MetaStatus) {
    let _ = (out, command, status);
    todo!()
}
