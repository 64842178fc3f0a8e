use crate::{Command, ErrorLine, Limits, Refusal};

/// One step over the unread bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// More bytes are needed.
    Incomplete {
        /// How many there must be, counted from the start of the input, before another call can
        /// come further: one more than there are while the line has no end, the whole command once
        /// its data block's length is known.
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
        /// The bytes of its line, and of its data block when that was read.
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
/// Keeps no state: the same bytes give the same step however they arrived. Never panics.
#[must_use]
pub fn parse<'a>(input: &'a [u8], limits: &Limits) -> Step<'a> {
    let _ = (input, limits);
    todo!()
}
