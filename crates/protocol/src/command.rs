//! The commands, parsed; everything borrows from the connection's buffer.

use crate::{Exptime, Key, MetaArithmetic, MetaDelete, MetaGet, MetaSet};

/// One complete command with its data block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `get`, `gets`, `gat`, `gats`.
    Retrieve(Retrieve<'a>),
    /// `set`, `add`, `replace`, `append`, `prepend`, `cas`.
    Store(Store<'a>),
    /// `delete`.
    Delete(Delete<'a>),
    /// `incr`, `decr`.
    Arithmetic(Arithmetic<'a>),
    /// `touch`.
    Touch(Touch<'a>),
    /// `mg`.
    MetaGet(MetaGet<'a>),
    /// `ms`.
    MetaSet(MetaSet<'a>),
    /// `md`.
    MetaDelete(MetaDelete<'a>),
    /// `ma`.
    MetaArithmetic(MetaArithmetic<'a>),
    /// `mn`.
    MetaNoOp,
    /// `flush_all` without a delay.
    FlushAll {
        /// No reply wanted.
        noreply: bool,
    },
    /// `stats`.
    Stats,
    /// `stats reset`.
    StatsReset,
    /// `version`.
    Version,
    /// `quit`.
    Quit,
    /// `config get cluster`.
    ConfigGetCluster,
}

impl<'a> Command<'a> {
    /// The key of a command on one key, and the first one of a retrieval; `None` where the command
    /// names no key.
    #[must_use]
    pub fn first_key(&self) -> Option<Key<'a>> {
        let plain = match self {
            Self::Retrieve(command) => command.keys().next()?,
            Self::Store(command) => command.key,
            Self::Delete(command) => command.key,
            Self::Arithmetic(command) => command.key,
            Self::Touch(command) => command.key,
            Self::MetaGet(command) => return Some(command.key),
            Self::MetaSet(command) => return Some(command.key),
            Self::MetaDelete(command) => return Some(command.key),
            Self::MetaArithmetic(command) => return Some(command.key),
            Self::MetaNoOp
            | Self::FlushAll { .. }
            | Self::Stats
            | Self::StatsReset
            | Self::Version
            | Self::Quit
            | Self::ConfigGetCluster => return None,
        };
        Some(Key::plain(plain))
    }

    /// Whether the client wants no reply line at all, an error line neither: a classic command with
    /// `noreply`. Meta commands always get their errors; what `q` hides is up to [`crate::encode`].
    #[must_use]
    pub const fn noreply(&self) -> bool {
        match self {
            Self::Store(command) => command.noreply,
            Self::Delete(command) => command.noreply,
            Self::Arithmetic(command) => command.noreply,
            Self::Touch(command) => command.noreply,
            Self::FlushAll { noreply } => *noreply,
            _ => false,
        }
    }
}

/// `get`, `gets`, `gat` and `gats`: one or more keys, each at most 250 bytes.
#[derive(Clone, Copy)]
pub struct Retrieve<'a> {
    /// Whether the reply carries the CAS unique (`gets`, `gats`).
    pub with_cas: bool,
    /// The new exptime of each item found (`gat`, `gats`).
    pub touch: Option<Exptime>,
    pub(crate) keys: &'a [u8],
}

impl<'a> Retrieve<'a> {
    /// The keys in the order of the line; at least one.
    #[must_use]
    pub const fn keys(&self) -> Keys<'a> {
        self.keys_from(0)
    }

    /// The keys that are left when a walk over [`Retrieve::keys`] stopped at [`Keys::offset`].
    ///
    /// The offset survives a second parse of the same bytes, so a session that must wait for its
    /// client in the middle of a multiget keeps this number and leaves the line in its buffer.
    #[must_use]
    pub const fn keys_from(&self, offset: usize) -> Keys<'a> {
        Keys { text: self.keys, offset }
    }
}

/// The same keys in the same order; spaces make no difference.
impl PartialEq for Retrieve<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.with_cas, self.touch) == (other.with_cas, other.touch) && self.keys().eq(other.keys())
    }
}

impl Eq for Retrieve<'_> {}

impl core::fmt::Debug for Retrieve<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Retrieve")
            .field("with_cas", &self.with_cas)
            .field("touch", &self.touch)
            .field("keys", &self.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Walks over the keys of a [`Retrieve`] without allocating.
#[derive(Clone, Debug)]
pub struct Keys<'a> {
    text: &'a [u8],
    offset: usize,
}

impl Keys<'_> {
    /// How far the walk has come, in bytes: an argument for [`Retrieve::keys_from`].
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.offset..)?;
        let start = rest.iter().position(|&byte| byte != b' ')?;
        let key = &rest[start..];
        let len = memchr::memchr(b' ', key).unwrap_or(key.len());
        self.offset += start + len;
        Some(&key[..len])
    }
}

/// What a classic storage command does with the key's present item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreVerb {
    /// Store.
    Set,
    /// Store where there is none.
    Add,
    /// Store where there is one.
    Replace,
    /// Add to the end of the present value.
    Append,
    /// Add to the front of the present value.
    Prepend,
    /// Store where the present item's CAS unique is this one.
    Cas(u64),
}

/// `set`, `add`, `replace`, `append`, `prepend` and `cas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store<'a> {
    /// Which of them.
    pub verb: StoreVerb,
    /// At most 250 bytes.
    pub key: &'a [u8],
    /// The client's own 32 bits.
    pub client_flags: u32,
    /// The new item's; `append` and `prepend` ignore it.
    pub exptime: Exptime,
    /// The data block without its `\r\n`.
    pub value: &'a [u8],
    /// No reply wanted.
    pub noreply: bool,
}

/// `delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete<'a> {
    /// At most 250 bytes.
    pub key: &'a [u8],
    /// No reply wanted.
    pub noreply: bool,
}

/// Which way `incr`, `decr` and `ma` count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Up; wraps around at 64 bits.
    #[default]
    Increment,
    /// Down; stops at 0.
    Decrement,
}

/// `incr` and `decr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic<'a> {
    /// Which of them.
    pub direction: Direction,
    /// At most 250 bytes.
    pub key: &'a [u8],
    /// By how much.
    pub delta: u64,
    /// No reply wanted.
    pub noreply: bool,
}

/// `touch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch<'a> {
    /// At most 250 bytes.
    pub key: &'a [u8],
    /// The item's new one.
    pub exptime: Exptime,
    /// No reply wanted.
    pub noreply: bool,
}

#[cfg(test)]
mod tests {
    use crate::{Limits, Step, parse};

    #[test]
    fn every_command_on_items_tells_its_first_key() {
        let check = |line: &str, expected: Option<&str>| {
            let Step::Command { command, .. } = parse(line.as_bytes(), &Limits::default()) else {
                panic!("{line} is a command");
            };
            let key = command.first_key().map(|key| key.bytes().to_vec());
            assert_eq!(key.as_deref(), expected.map(str::as_bytes), "{line}");
        };
        for verb in ["get", "gets", "gat 0", "gats 0"] {
            check(&format!("{verb}  a b\r\n"), Some("a"));
        }
        for verb in ["set", "add", "replace", "append", "prepend"] {
            check(&format!("{verb} a 0 0 1\r\nx\r\n"), Some("a"));
        }
        check("cas a 0 0 1 7\r\nx\r\n", Some("a"));
        for line in ["delete a", "incr a 1", "decr a 1", "touch a 0", "mg a v", "md a", "ma a"] {
            check(&format!("{line}\r\n"), Some("a"));
        }
        check("ms a 1\r\nx\r\n", Some("a"));
        check("mg YWJj b\r\n", Some("abc"));
        for line in ["mn", "flush_all", "stats", "stats reset", "version", "quit"] {
            check(&format!("{line}\r\n"), None);
        }
        check("config get cluster\r\n", None);
    }
}
