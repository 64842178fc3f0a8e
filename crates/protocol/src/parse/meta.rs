//! The meta commands.

use super::words::Words;
use super::{Parsed, Request, Stop, number};
use crate::limits::{
    KEY_BYTES_MAX, META_WORDS_MAX, OPAQUE_TOKEN_BYTES_MAX, VALUE_BYTES_MAX, item_bytes,
};
use crate::{
    Command, Direction, ErrorLine, Exptime, FlagTokens, Key, MetaArithmetic, MetaDelete, MetaGet,
    MetaSet, SetMode,
};

/// `mg <key> <flags>*`
pub(super) fn get<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let mut words = Words::new(args);
    let token = words.next().ok_or_else(|| request.refuse(ErrorLine::BadFormat))?;
    let flags = Flags::parse(token, &words, 2).map_err(|error| request.refuse(error))?;
    flags.check_opaque().map_err(|error| request.refuse(error))?;
    let command = MetaGet {
        key: flags.key,
        flags: FlagTokens { text: words.rest() },
        is_quiet: flags.has(b'q'),
        wants_value: flags.has(b'v'),
        is_unbumped: flags.has(b'u'),
        known_cas: flags.compare_cas,
        new_cas: flags.new_cas,
        touch: flags.exptime,
        vivify: flags.vivify,
        recache: flags.recache,
    };
    Ok((request.line_end, Command::MetaGet(command)))
}

/// `ms <key> <datalen> <flags>*`
pub(super) fn set<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let mut words = Words::new(args);
    let (Some(token), Some(len)) = (words.next(), words.next()) else {
        return Err(request.refuse(ErrorLine::BadFormat));
    };
    let len =
        number::length(len, VALUE_BYTES_MAX).ok_or_else(|| request.refuse(ErrorLine::BadFormat))?;
    let drop_block = |error| request.refuse(error).swallowing(len);
    let flags = Flags::parse(token, &words, 3).map_err(drop_block)?;
    let mode = set_mode(flags.mode).map_err(drop_block)?;
    check_size(request, &flags, len)?;
    flags.check_opaque().map_err(drop_block)?;
    let (value, consumed) = request.data_block(len)?;
    let command = MetaSet {
        key: flags.key,
        flags: FlagTokens { text: words.rest() },
        value,
        is_quiet: flags.has(b'q'),
        mode,
        client_flags: flags.client_flags,
        exptime: flags.exptime.unwrap_or_default(),
        vivify: flags.vivify,
        compare_cas: match mode {
            SetMode::Set | SetMode::Replace => flags.compare_cas,
            SetMode::Append | SetMode::Prepend => flags.compare_cas.filter(|&cas| cas != 0),
            SetMode::Add => None,
        },
        new_cas: flags.new_cas,
        invalidate: flags.has(b'I'),
    };
    Ok((consumed, Command::MetaSet(command)))
}

/// An item that is too large takes its predecessor with it, in every mode.
fn check_size<'a>(request: &Request<'a, '_>, flags: &Flags<'a>, len: u32) -> Result<(), Stop<'a>> {
    let key_len = flags.key.bytes().len();
    if item_bytes(key_len, flags.client_flags, len) <= u64::from(request.limits.item_bytes_max) {
        return Ok(());
    }
    Err(request.refuse(ErrorLine::ObjectTooLarge).swallowing(len).unlinking(flags.key))
}

/// `md <key> <flags>*`
pub(super) fn delete<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let mut words = Words::new(args);
    let token = words.next().ok_or_else(|| request.refuse(ErrorLine::BadFormat))?;
    let flags = Flags::parse(token, &words, 2).map_err(|error| request.refuse(error))?;
    flags.check_opaque().map_err(|error| request.refuse(error))?;
    let command = MetaDelete {
        key: flags.key,
        flags: FlagTokens { text: words.rest() },
        is_quiet: flags.has(b'q'),
        compare_cas: flags.compare_cas,
        new_cas: flags.new_cas,
        invalidate: flags.has(b'I'),
        removes_value: flags.has(b'x'),
        client_flags: flags.client_flags,
        exptime: flags.exptime,
    };
    Ok((request.line_end, Command::MetaDelete(command)))
}

/// `ma <key> <flags>*`
pub(super) fn arithmetic<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let mut words = Words::new(args);
    let token = words.next().ok_or_else(|| request.refuse(ErrorLine::BadFormat))?;
    // memcached answers every mistake in the flags of this command alike.
    let flags = Flags::parse(token, &words, 2)
        .map_err(|_| request.refuse(ErrorLine::InvalidOrDuplicateFlag))?;
    let direction = direction(flags.mode).map_err(|error| request.refuse(error))?;
    flags.check_opaque().map_err(|error| request.refuse(error))?;
    let command = MetaArithmetic {
        key: flags.key,
        flags: FlagTokens { text: words.rest() },
        is_quiet: flags.has(b'q'),
        wants_value: flags.has(b'v'),
        direction,
        delta: flags.delta,
        initial: flags.initial,
        vivify: flags.vivify,
        touch: flags.exptime,
        compare_cas: flags.compare_cas.filter(|&cas| cas != 0),
        new_cas: flags.new_cas,
    };
    Ok((request.line_end, Command::MetaArithmetic(command)))
}

fn set_mode(mode: Option<u8>) -> Result<SetMode, ErrorLine> {
    match mode {
        None | Some(b'S') => Ok(SetMode::Set),
        Some(b'E') => Ok(SetMode::Add),
        Some(b'A') => Ok(SetMode::Append),
        Some(b'P') => Ok(SetMode::Prepend),
        Some(b'R') => Ok(SetMode::Replace),
        Some(_) => Err(ErrorLine::InvalidSetMode),
    }
}

fn direction(mode: Option<u8>) -> Result<Direction, ErrorLine> {
    match mode {
        None | Some(b'I' | b'+') => Ok(Direction::Increment),
        Some(b'D' | b'-') => Ok(Direction::Decrement),
        Some(_) => Err(ErrorLine::InvalidArithmeticMode),
    }
}

/// The flags of any meta command. All commands know all flags, and ignore what they have no use for.
struct Flags<'a> {
    key: Key<'a>,
    /// Bit n: the flag with byte n, below 127, was there.
    seen: u128,
    count: usize,
    is_opaque_too_long: bool,
    client_flags: u32,
    delta: u64,
    initial: u64,
    /// The first byte of the `M` token; a space where that is empty.
    mode: Option<u8>,
    exptime: Option<Exptime>,
    vivify: Option<Exptime>,
    recache: Option<Exptime>,
    compare_cas: Option<u64>,
    new_cas: Option<u64>,
}

impl<'a> Flags<'a> {
    /// `words` are those after the `before` words that are no flags.
    ///
    /// Precedence is memcached's: a key that is too long, too many words, a flag that is unknown or
    /// twice there; then the last of the arguments that could not be read.
    fn parse(token: &'a [u8], words: &Words<'a>, before: usize) -> Result<Self, ErrorLine> {
        if token.len() > KEY_BYTES_MAX {
            return Err(ErrorLine::BadFormat);
        }
        let mut flags = Self::none(Key::plain(token));
        let parsed = flags.add_all(words.clone().take(META_WORDS_MAX + 1 - before));
        let is_too_many = || words.clone().count() + before > META_WORDS_MAX;
        if flags.count + before > META_WORDS_MAX || parsed.is_err() && is_too_many() {
            return Err(ErrorLine::TooManyFlags);
        }
        parsed.map(|()| flags)
    }

    fn add_all(&mut self, words: impl Iterator<Item = &'a [u8]>) -> Result<(), ErrorLine> {
        let mut error = None;
        for word in words {
            match self.add(word) {
                Ok(()) => {}
                Err(fatal @ (ErrorLine::InvalidFlag | ErrorLine::DuplicateFlag)) => {
                    return Err(fatal);
                }
                // Client flags that cannot be read leave an earlier mistake's answer in place.
                Err(ErrorLine::BadFormat) => error = error.or(Some(ErrorLine::BadFormat)),
                Err(later) => error = Some(later),
            }
        }
        error.map_or(Ok(()), Err)
    }

    const fn none(key: Key<'a>) -> Self {
        Self {
            key,
            seen: 0,
            count: 0,
            is_opaque_too_long: false,
            client_flags: 0,
            delta: 1,
            initial: 0,
            mode: None,
            exptime: None,
            vivify: None,
            recache: None,
            compare_cas: None,
            new_cas: None,
        }
    }

    fn add(&mut self, word: &[u8]) -> Result<(), ErrorLine> {
        let [flag @ 0..127, token @ ..] = word else {
            return Err(ErrorLine::InvalidFlag);
        };
        if self.has(*flag) {
            return Err(ErrorLine::DuplicateFlag);
        }
        self.seen |= 1 << flag;
        self.count += 1;
        let bad_token = ErrorLine::BadToken;
        match flag {
            b'b' => self.key = Key::base64(self.key.token()).ok_or(ErrorLine::UndecodableKey)?,
            b'T' => self.exptime = Some(number::exptime(token).ok_or(bad_token)?),
            b'N' => self.vivify = Some(number::exptime(token).ok_or(bad_token)?),
            b'R' => self.recache = Some(number::exptime(token).ok_or(bad_token)?),
            b'C' => self.compare_cas = Some(number::unsigned(token).ok_or(bad_token)?),
            b'E' => self.new_cas = Some(number::unsigned(token).ok_or(bad_token)?),
            b'D' => self.delta = number::unsigned(token).ok_or(ErrorLine::InvalidMetaDelta)?,
            b'J' => self.initial = number::unsigned(token).ok_or(ErrorLine::InvalidInitial)?,
            b'F' => self.client_flags = number::client_flags(token).ok_or(ErrorLine::BadFormat)?,
            b'M' => self.mode = Some(token.first().copied().unwrap_or(b' ')),
            b'O' => self.is_opaque_too_long = word.len() > OPAQUE_TOKEN_BYTES_MAX,
            b'P' | b'L' | b'k' | b's' | b't' | b'c' | b'f' | b'v' | b'l' | b'h' | b'u' | b'q'
            | b'x' | b'I' => {}
            _ => return Err(ErrorLine::InvalidFlag),
        }
        Ok(())
    }

    const fn has(&self, flag: u8) -> bool {
        self.seen & (1 << flag) != 0
    }

    /// memcached looks at the opaque's length last, when it writes the reply.
    const fn check_opaque(&self) -> Result<(), ErrorLine> {
        if self.is_opaque_too_long { Err(ErrorLine::OpaqueTooLong) } else { Ok(()) }
    }
}
