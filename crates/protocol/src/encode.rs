//! Replies, written to the end of a buffer. Nothing else is allocated.
//!
//! The functions for meta commands apply the `q` flag: they write nothing where it hides the
//! reply. Those for classic commands always write; see [`Command::noreply`](crate::Command::noreply).

mod meta;

pub use meta::{
    ItemMeta, Marks, MetaStatus, Ttl, meta_arithmetic_done, meta_arithmetic_failed, meta_delete,
    meta_get_hit, meta_get_miss, meta_set,
};

use crate::ErrorLine;

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

impl Status {
    /// The line without its `\r\n`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Stored => "STORED",
            Self::NotStored => "NOT_STORED",
            Self::Exists => "EXISTS",
            Self::NotFound => "NOT_FOUND",
            Self::Deleted => "DELETED",
            Self::Touched => "TOUCHED",
            Self::Ok => "OK",
            Self::Reset => "RESET",
            Self::End => "END",
            Self::MetaNoOp => "MN",
        }
    }
}

/// A [`Status`] line.
pub fn status(out: &mut Vec<u8>, status: Status) {
    line(out, status.text());
}

/// An error line.
pub fn error(out: &mut Vec<u8>, error: ErrorLine) {
    line(out, error.text());
}

/// `VALUE <key> <flags> <bytes> [<cas unique>]`; the value and `\r\n` follow it.
pub fn value_header(
    out: &mut Vec<u8>,
    key: &[u8],
    client_flags: u32,
    value_len: usize,
    cas: Option<u64>,
) {
    out.extend_from_slice(b"VALUE ");
    out.extend_from_slice(key);
    out.push(b' ');
    decimal(out, client_flags);
    out.push(b' ');
    decimal(out, value_len);
    if let Some(cas) = cas {
        out.push(b' ');
        decimal(out, cas);
    }
    end_line(out);
}

/// The new number, `incr` and `decr`.
pub fn number(out: &mut Vec<u8>, number: u64) {
    decimal(out, number);
    end_line(out);
}

/// `STAT <name> <value>`; the list ends with [`Status::End`].
pub fn stat(out: &mut Vec<u8>, name: &str, value: &str) {
    stat_name(out, name);
    line(out, value);
}

/// `STAT <name> <number>`.
pub fn stat_number(out: &mut Vec<u8>, name: &str, value: u64) {
    stat_name(out, name);
    number(out, value);
}

fn stat_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"STAT ");
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
}

/// `VERSION <version>`.
pub fn version(out: &mut Vec<u8>, version: &str) {
    out.extend_from_slice(b"VERSION ");
    line(out, version);
}

/// The whole reply to `config get cluster`: one endpoint, `END` included.
///
/// `config_version` grows with each change of the endpoint. `ip` may be empty.
pub fn config_cluster(out: &mut Vec<u8>, config_version: u64, host: &str, ip: &str, port: u16) {
    let digits = |number: u64| itoa::Buffer::new().format(number).len();
    // The version's line, then `host|ip|port` and its line feed.
    let len = digits(config_version) + 1 + host.len() + ip.len() + digits(port.into()) + 3;
    out.extend_from_slice(b"CONFIG cluster 0 ");
    decimal(out, len);
    end_line(out);
    decimal(out, config_version);
    out.push(b'\n');
    out.extend_from_slice(host.as_bytes());
    out.push(b'|');
    out.extend_from_slice(ip.as_bytes());
    out.push(b'|');
    decimal(out, port);
    out.push(b'\n');
    end_line(out);
    status(out, Status::End);
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    end_line(out);
}

pub(crate) fn end_line(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn decimal(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(expected: &Expect, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        encode(&mut out);
        expected.assert_eq(&out.escape_ascii().to_string());
    }

    #[test]
    fn lines() {
        check(&expect![[r"STORED\r\n"]], |out| status(out, Status::Stored));
        check(&expect![[r"MN\r\n"]], |out| status(out, Status::MetaNoOp));
        check(&expect![[r"ERROR\r\n"]], |out| error(out, ErrorLine::UnknownCommand));
        check(&expect![[r"18446744073709551615\r\n"]], |out| number(out, u64::MAX));
        check(&expect![[r"VERSION 1.6.45\r\n"]], |out| version(out, "1.6.45"));
        check(&expect![[r"STAT threads 2\r\n"]], |out| stat_number(out, "threads", 2));
        check(&expect![[r"STAT rusage_user 0.5\r\n"]], |out| stat(out, "rusage_user", "0.5"));
    }

    #[test]
    fn values() {
        check(&expect![[r"VALUE k 0 5\r\n"]], |out| value_header(out, b"k", 0, 5, None));
        check(&expect![[r"VALUE k 4294967295 0 18446744073709551615\r\n"]], |out| {
            value_header(out, b"k", u32::MAX, 0, Some(u64::MAX));
        });
    }

    /// The reference's example of a cluster of one has a block of this shape; its length counts the
    /// block without the `\r\n` that ends it.
    #[test]
    fn config_get_cluster() {
        check(
            &expect![[r#"CONFIG cluster 0 33\r\n12\ncache.example|127.0.0.1|11211\n\r\nEND\r\n"#]],
            |out| config_cluster(out, 12, "cache.example", "127.0.0.1", 11211),
        );
        assert_eq!("12\ncache.example|127.0.0.1|11211\n".len(), 33);
    }
}
