mod classic;
mod meta;
mod number;
mod words;

use crate::limits::{LINE_BYTES_MAX, RETRIEVE_LINE_BYTES_MAX};
use crate::{Command, Direction, ErrorLine, Key, Limits, Refusal, StoreVerb};
use words::Words;

/// One step over the unread bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// More bytes are needed.
    Incomplete {
        /// How many there must be, counted from the start of the input, before another call can
        /// come further: one more than there are while the line has no end, the whole command once
        /// its data block's length is known. At most the largest item and its line.
        needed: usize,
    },
    /// A command.
    Command {
        /// Its bytes, data block included.
        consumed: usize,
        /// What it says.
        command: Command<'a>,
    },
    /// A command to be refused. Drop `consumed` bytes of the input and the `swallow` bytes that
    /// follow them, or will.
    Refused {
        /// The bytes of its line, and of its data block where that was looked at.
        consumed: usize,
        /// The bytes of its data block that were not looked at; may be 2 GiB.
        swallow: u64,
        /// The answer.
        refusal: Refusal<'a>,
    },
    /// Nothing that follows can be understood: say this, if anything, and close.
    Close {
        /// `None` closes without a word, as memcached does on an HTTP request.
        error: Option<ErrorLine>,
    },
}

/// Reads the command at the start of `input`, the unread bytes of a connection.
///
/// Keeps no state: the same bytes give the same steps however they arrived. Never panics.
///
/// ```
/// use memtide_protocol::{Command, Limits, Step, parse};
///
/// let step = parse(b"get a b\r\nget c\r\n", &Limits::default());
/// let Step::Command { consumed: 9, command: Command::Retrieve(get) } = step else { panic!() };
/// assert!(get.keys().eq([b"a", b"b"]));
/// ```
#[must_use]
pub fn parse<'a>(input: &'a [u8], limits: &Limits) -> Step<'a> {
    if input.first() == Some(&0x80) {
        return Step::Close { error: Some(ErrorLine::BinaryProtocol) };
    }
    // One more than the longest line, so that a line of just that length is found to end.
    let head = &input[..input.len().min(RETRIEVE_LINE_BYTES_MAX + 1)];
    let line_feed = memchr::memchr(b'\n', head);
    let len = line_feed.unwrap_or(head.len());
    if len > LINE_BYTES_MAX && (len > RETRIEVE_LINE_BYTES_MAX || !is_retrieval(head)) {
        return Step::Close { error: Some(ErrorLine::LineTooLong) };
    }
    let Some(line_feed) = line_feed else {
        return Step::Incomplete { needed: input.len() + 1 };
    };
    let line = &input[..line_feed];
    let request = Request {
        line: line.strip_suffix(b"\r").unwrap_or(line),
        line_end: line_feed + 1,
        input,
        limits,
    };
    match dispatch(&request) {
        Ok((consumed, command)) => Step::Command { consumed, command },
        Err(stop) => stop.into_step(),
    }
}

fn is_retrieval(line: &[u8]) -> bool {
    [&b"get "[..], b"gets ", b"gat ", b"gats "].iter().any(|name| line.starts_with(name))
}

/// A complete line and what may follow it.
struct Request<'a, 'l> {
    /// Without `\n` or `\r\n`.
    line: &'a [u8],
    /// Where the data block starts.
    line_end: usize,
    input: &'a [u8],
    limits: &'l Limits,
}

/// The bytes that a command takes, and the command.
type Parsed<'a> = Result<(usize, Command<'a>), Stop<'a>>;

fn dispatch<'a>(request: &Request<'a, '_>) -> Parsed<'a> {
    let line = request.line;
    let name_len = memchr::memchr(b' ', line).unwrap_or(line.len());
    let (name, args) = line.split_at(name_len);
    let alone = |command| Ok((request.line_end, command));
    match name {
        b"get" => classic::get(request, args, false),
        b"gets" => classic::get(request, args, true),
        b"set" => classic::store(request, args, StoreVerb::Set),
        b"mg" => meta::get(request, args),
        b"ms" => meta::set(request, args),
        b"md" => meta::delete(request, args),
        b"ma" => meta::arithmetic(request, args),
        b"mn" => alone(Command::MetaNoOp),
        b"gat" => classic::get_and_touch(request, args, false),
        b"gats" => classic::get_and_touch(request, args, true),
        b"add" => classic::store(request, args, StoreVerb::Add),
        b"replace" => classic::store(request, args, StoreVerb::Replace),
        b"append" => classic::store(request, args, StoreVerb::Append),
        b"prepend" => classic::store(request, args, StoreVerb::Prepend),
        b"cas" => classic::store(request, args, StoreVerb::Cas(0)),
        b"delete" => classic::delete(request, args),
        b"incr" => classic::arithmetic(request, args, Direction::Increment),
        b"decr" => classic::arithmetic(request, args, Direction::Decrement),
        b"touch" => classic::touch(request, args),
        b"flush_all" => classic::flush_all(request, args),
        b"stats" => classic::stats(request, args),
        b"version" => alone(Command::Version),
        b"quit" => alone(Command::Quit),
        b"config" if Words::new(args).eq([&b"get"[..], b"cluster"]) => {
            alone(Command::ConfigGetCluster)
        }
        _ => Err(unknown(request, args)),
    }
}

fn unknown<'a>(request: &Request<'a, '_>, args: &[u8]) -> Stop<'a> {
    if request.line.len() < 2 {
        return request.refuse(ErrorLine::BadFormat);
    }
    // protocol.txt does not say so, but memcached hangs up on what ends like an HTTP request line.
    if words::last(args).starts_with(b"HTTP/") {
        return Stop::Hangup;
    }
    request.refuse(ErrorLine::UnknownCommand).silent(words::is_noreply(args))
}

impl<'a> Request<'a, '_> {
    /// Refuses a command that has no data block, or one whose length is not known.
    const fn refuse(&self, error: ErrorLine) -> Stop<'a> {
        Stop::Refused {
            consumed: self.line_end,
            swallow: 0,
            refusal: Refusal { error, is_silent: false, unlink: None },
        }
    }

    /// The data block of `len` bytes, and the command's bytes in all.
    ///
    /// protocol.txt, "Storage commands": the block ends in `\r\n`, which its length leaves out.
    fn data_block(&self, len: u32) -> Result<(&'a [u8], usize), Stop<'a>> {
        let value_end = self.line_end + len as usize;
        let needed = value_end + 2;
        let Some(block) = self.input.get(self.line_end..needed) else {
            return Err(Stop::Incomplete { needed });
        };
        let Some(value) = block.strip_suffix(b"\r\n") else {
            let refusal =
                Refusal { error: ErrorLine::BadDataChunk, is_silent: false, unlink: None };
            return Err(Stop::Refused { consumed: needed, swallow: 0, refusal });
        };
        Ok((value, needed))
    }
}

/// Why there is no command.
enum Stop<'a> {
    Incomplete { needed: usize },
    Refused { consumed: usize, swallow: u64, refusal: Refusal<'a> },
    Hangup,
}

impl<'a> Stop<'a> {
    fn silent(mut self, is_silent: bool) -> Self {
        if let Self::Refused { refusal, .. } = &mut self {
            refusal.is_silent = is_silent;
        }
        self
    }

    /// Drops the command's data block of `len` bytes unread.
    fn swallowing(mut self, len: u32) -> Self {
        if let Self::Refused { swallow, .. } = &mut self {
            *swallow = u64::from(len) + 2;
        }
        self
    }

    fn unlinking(mut self, key: Key<'a>) -> Self {
        if let Self::Refused { refusal, .. } = &mut self {
            refusal.unlink = Some(key);
        }
        self
    }

    fn into_step(self) -> Step<'a> {
        match self {
            Self::Incomplete { needed } => Step::Incomplete { needed },
            Self::Refused { consumed, swallow, refusal } => {
                Step::Refused { consumed, swallow, refusal }
            }
            Self::Hangup => Step::Close { error: None },
        }
    }
}
