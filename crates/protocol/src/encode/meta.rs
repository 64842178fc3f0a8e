//! Replies to meta commands.

use super::{decimal, end_line};
use crate::{FlagTokens, Key, MetaArithmetic, MetaDelete, MetaGet, MetaSet, base64};

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

/// `mg`, found: `HD` or `VA <size>` and the flags asked for. Returns whether the value and `\r\n`
/// are to follow.
#[must_use]
pub fn meta_get_hit(out: &mut Vec<u8>, command: &MetaGet, item: &ItemMeta, marks: Marks) -> bool {
    let with_value = command.wants_value_of(item.cas);
    begin(out, with_value.then_some(item.value_len));
    reflect(out, command.key, command.flags, |out, flag| match flag {
        b's' => answer(out, b's', item.value_len),
        b't' => ttl(out, item.ttl),
        b'c' => answer(out, b'c', item.cas),
        b'f' => answer(out, b'f', item.client_flags),
        b'l' => answer(out, b'l', item.last_access_secs),
        b'h' => answer(out, b'h', u8::from(item.hit_before)),
        _ => {}
    });
    for (mark, text) in [(marks.win_sent, b" Z"), (marks.stale, b" X"), (marks.won, b" W")] {
        if mark {
            out.extend_from_slice(text);
        }
    }
    end_line(out);
    with_value
}

/// `mg`, not found: `EN`, or nothing when quiet.
pub fn meta_get_miss(out: &mut Vec<u8>, command: &MetaGet) {
    if !command.is_quiet {
        bare(out, b"EN", command.key, command.flags);
    }
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
    if command.is_quiet && status == MetaStatus::Done {
        return;
    }
    out.extend_from_slice(code(status));
    reflect(out, command.key, command.flags, |out, flag| match flag {
        b'c' => answer(out, b'c', cas),
        b's' => answer(out, b's', value_len),
        _ => {}
    });
    end_line(out);
}

/// `md`.
pub fn meta_delete(out: &mut Vec<u8>, command: &MetaDelete, status: MetaStatus) {
    if !(command.is_quiet && status == MetaStatus::Done) {
        bare(out, code(status), command.key, command.flags);
    }
}

/// `ma`, done: `HD`, or `VA` with the number and its `\r\n`; nothing when quiet, the number neither.
pub fn meta_arithmetic_done(
    out: &mut Vec<u8>,
    command: &MetaArithmetic,
    number: u64,
    cas: u64,
    left: Ttl,
) {
    if command.is_quiet {
        return;
    }
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(number);
    begin(out, command.wants_value.then_some(digits.len()));
    reflect(out, command.key, command.flags, |out, flag| match flag {
        b'c' => answer(out, b'c', cas),
        b't' => ttl(out, left),
        _ => {}
    });
    end_line(out);
    if command.wants_value {
        out.extend_from_slice(digits.as_bytes());
        end_line(out);
    }
}

/// `ma`, not done: `NF`, `NS` or `EX`; `q` hides none of them.
pub fn meta_arithmetic_failed(out: &mut Vec<u8>, command: &MetaArithmetic, status: MetaStatus) {
    bare(out, code(status), command.key, command.flags);
}

fn begin(out: &mut Vec<u8>, value_len: Option<usize>) {
    match value_len {
        None => out.extend_from_slice(b"HD"),
        Some(len) => {
            out.extend_from_slice(b"VA ");
            decimal(out, len);
        }
    }
}

const fn code(status: MetaStatus) -> &'static [u8] {
    match status {
        MetaStatus::Done => b"HD",
        MetaStatus::NotStored => b"NS",
        MetaStatus::Exists => b"EX",
        MetaStatus::NotFound => b"NF",
    }
}

/// A line of which nothing but the key and the opaque is known.
fn bare(out: &mut Vec<u8>, code: &[u8], key: Key, flags: FlagTokens) {
    out.extend_from_slice(code);
    reflect(out, key, flags, |_, _| {});
    end_line(out);
}

/// Answers flags in request order: `O` and `k` here, the others by `answer_flag`.
fn reflect(
    out: &mut Vec<u8>,
    key: Key,
    flags: FlagTokens,
    mut answer_flag: impl FnMut(&mut Vec<u8>, u8),
) {
    for token in flags.iter() {
        match token[0] {
            b'O' => {
                out.push(b' ');
                out.extend_from_slice(token);
            }
            b'k' => reflect_key(out, key),
            flag => answer_flag(out, flag),
        }
    }
}

/// protocol.txt, "Meta Get": a `b` after the key says that it is base64. The text is made anew from
/// the key, so it is canonical whatever the client wrote.
fn reflect_key(out: &mut Vec<u8>, key: Key) {
    out.extend_from_slice(b" k");
    if key.is_base64() {
        base64::encode(&key.bytes(), out);
        out.extend_from_slice(b" b");
    } else {
        out.extend_from_slice(key.token());
    }
}

fn answer(out: &mut Vec<u8>, flag: u8, number: impl itoa::Integer) {
    out.extend_from_slice(&[b' ', flag]);
    decimal(out, number);
}

fn ttl(out: &mut Vec<u8>, left: Ttl) {
    match left {
        Ttl::Never => out.extend_from_slice(b" t-1"),
        Ttl::Secs(secs) => answer(out, b't', secs),
    }
}
