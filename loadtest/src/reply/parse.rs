use memchr::memchr;
use thiserror::Error;

use super::Event;

/// The longest line that is waited for: a key, flags and numbers fit many times.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// The largest data block that is waited for; memcached's own upper limit of an item.
const DATA_BYTES_MAX: usize = 1 << 30;

/// The code of a meta command's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaCode {
    /// Done.
    Hd,
    /// Done, and here is a value.
    Va,
    /// A miss of `mg`.
    En,
    /// Not found.
    Nf,
    /// Not stored.
    Ns,
    /// Exists: another CAS unique.
    Ex,
    /// The reply of `mn`.
    Mn,
}

/// What is no reply of a memcached.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// A line that means nothing.
    #[error("a reply that is none: {0:?}")]
    Unknown(String),
    /// No end of line in sight.
    #[error("a reply line of more than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// A data block that does not end where it says.
    #[error("a data block without its end of line")]
    BadBlock,
}

/// What was found at the start of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'b> {
    /// An event, and the bytes that it took.
    Event(usize, Event<'b>),
    /// Not before there are this many bytes in all, at least one more than there were.
    Incomplete(usize),
}

/// Reads the event at the start of `bytes`.
///
/// # Errors
/// When the bytes are no reply of a memcached; the connection is of no use any more.
pub fn read(bytes: &[u8]) -> Result<Found<'_>, ReplyError> {
    let Some(newline) = memchr(b'\n', &bytes[..bytes.len().min(LINE_BYTES_MAX)]) else {
        if bytes.len() >= LINE_BYTES_MAX {
            return Err(ReplyError::LineTooLong);
        }
        return Ok(Found::Incomplete(bytes.len() + 1));
    };
    let Some(line) = bytes[..newline].strip_suffix(b"\r") else {
        return Err(unknown(&bytes[..newline]));
    };
    let after = newline + 1;
    if let Some(words) = line.strip_prefix(b"VALUE ") {
        return value(bytes, after, words).unwrap_or_else(|| Err(unknown(line)));
    }
    if let Some(words) = line.strip_prefix(b"VA ") {
        return meta_value(bytes, after, words).unwrap_or_else(|| Err(unknown(line)));
    }
    let event = match line {
        b"END" => Event::End,
        b"STORED" => Event::Stored,
        b"NOT_STORED" => Event::NotStored,
        b"EXISTS" => Event::Exists,
        b"NOT_FOUND" => Event::NotFound,
        b"DELETED" => Event::Deleted,
        b"TOUCHED" => Event::Touched,
        b"OK" => Event::Ok,
        [b'0'..=b'9', ..] => Event::Number(number(line).ok_or_else(|| unknown(line))?),
        _ => other(line).ok_or_else(|| unknown(line))?,
    };
    Ok(Found::Event(after, event))
}

fn other(line: &[u8]) -> Option<Event<'_>> {
    let is_error = |word: &[u8]| {
        line.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
    };
    if is_error(b"ERROR") || is_error(b"CLIENT_ERROR") || is_error(b"SERVER_ERROR") {
        return Some(Event::Error(line));
    }
    if let Some(version) = line.strip_prefix(b"VERSION ") {
        return Some(Event::Version(version));
    }
    let code = match line.get(..2)? {
        b"HD" => MetaCode::Hd,
        b"EN" => MetaCode::En,
        b"NF" => MetaCode::Nf,
        b"NS" => MetaCode::Ns,
        b"EX" => MetaCode::Ex,
        b"MN" => MetaCode::Mn,
        _ => return None,
    };
    let flags = match &line[2..] {
        [] => &[],
        [b' ', flags @ ..] => flags,
        _ => return None,
    };
    Some(Event::Meta { code, flags, data: &[] })
}

type Read<'b> = Result<Found<'b>, ReplyError>;

/// `<key> <flags> <bytes> [<cas unique>]`
fn value<'b>(bytes: &'b [u8], after: usize, words: &'b [u8]) -> Option<Read<'b>> {
    let mut words = words.split(|&byte| byte == b' ');
    let key = words.next()?;
    let client_flags = u32::try_from(number(words.next()?)?).ok()?;
    let len = data_len(words.next()?)?;
    let cas = match words.next() {
        Some(word) => Some(number(word)?),
        None => None,
    };
    if words.next().is_some() {
        return None;
    }
    Some(block(bytes, after, len, |data| Event::Value { key, client_flags, cas, data }))
}

/// `<bytes> <flags>*`
fn meta_value<'b>(bytes: &'b [u8], after: usize, words: &'b [u8]) -> Option<Read<'b>> {
    let end = memchr(b' ', words).unwrap_or(words.len());
    let len = data_len(&words[..end])?;
    let flags = words.get(end + 1..).unwrap_or_default();
    Some(block(bytes, after, len, |data| Event::Meta { code: MetaCode::Va, flags, data }))
}

fn block<'b>(
    bytes: &'b [u8],
    from: usize,
    len: usize,
    event: impl FnOnce(&'b [u8]) -> Event<'b>,
) -> Read<'b> {
    let whole = from + len + 2;
    let Some(block) = bytes.get(from..whole) else { return Ok(Found::Incomplete(whole)) };
    match block.strip_suffix(b"\r\n") {
        Some(data) => Ok(Found::Event(whole, event(data))),
        None => Err(ReplyError::BadBlock),
    }
}

fn data_len(word: &[u8]) -> Option<usize> {
    number(word).and_then(|len| usize::try_from(len).ok()).filter(|&len| len <= DATA_BYTES_MAX)
}

/// A decimal number without a sign; memcached pads the result of `decr` with blanks in the value,
/// not in the reply.
fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 20 {
        return None;
    }
    word.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

fn unknown(line: &[u8]) -> ReplyError {
    let shown = &line[..line.len().min(120)];
    ReplyError::Unknown(String::from_utf8_lossy(shown).into_owned())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
