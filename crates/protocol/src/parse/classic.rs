//! The classic commands.

use super::words::{Words, is_noreply};
use super::{Parsed, Request, number};
use crate::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX, item_bytes};
use crate::{
    Arithmetic, Command, Delete, Direction, ErrorLine, Exptime, Key, Retrieve, Store, StoreVerb,
    Touch,
};

/// `get <key>*`, `gets <key>*`
pub(super) fn get<'a>(request: &Request<'a, '_>, args: &'a [u8], with_cas: bool) -> Parsed<'a> {
    retrieve(request, args, with_cas, None)
}

/// `gat <exptime> <key>*`, `gats <exptime> <key>*`
pub(super) fn get_and_touch<'a>(
    request: &Request<'a, '_>,
    args: &'a [u8],
    with_cas: bool,
) -> Parsed<'a> {
    let mut words = Words::new(args);
    let (Some(exptime), Some(_)) = (words.next(), words.clone().next()) else {
        return Err(request.refuse(ErrorLine::BadFormat));
    };
    let exptime =
        number::exptime(exptime).ok_or_else(|| request.refuse(ErrorLine::InvalidExptime))?;
    retrieve(request, words.rest(), with_cas, Some(exptime))
}

fn retrieve<'a>(
    request: &Request<'a, '_>,
    keys: &'a [u8],
    with_cas: bool,
    touch: Option<Exptime>,
) -> Parsed<'a> {
    // `keys` starts with a space where it is not empty. A text that is no longer than a key holds
    // no key that is too long.
    let has_key = keys.iter().any(|&byte| byte != b' ');
    let is_long = keys.len() > KEY_BYTES_MAX + 1;
    if !has_key || is_long && Words::new(keys).any(|key| key.len() > KEY_BYTES_MAX) {
        return Err(request.refuse(ErrorLine::BadFormat));
    }
    Ok((request.line_end, Command::Retrieve(Retrieve { with_cas, touch, keys })))
}

/// `set <key> <flags> <exptime> <bytes> [noreply]`, `cas <key> <flags> <exptime> <bytes> <cas
/// unique> [noreply]`
///
/// Mistakes before the length is known cost the data block its meaning; after it, the data block is
/// dropped and the connection stays in step.
pub(super) fn store<'a>(request: &Request<'a, '_>, args: &'a [u8], verb: StoreVerb) -> Parsed<'a> {
    let mut words = Words::new(args);
    let bad_format = || request.refuse(ErrorLine::BadFormat);
    let [Some(key), Some(flags), Some(exptime), Some(len)] = core::array::from_fn(|_| words.next())
    else {
        return Err(bad_format());
    };
    let len = number::length(len, VALUE_BYTES_MAX).ok_or_else(bad_format)?;
    let noreply = is_noreply(words.rest());
    let drop_block = |error| request.refuse(error).silent(noreply).swallowing(len);
    let (Some(client_flags), Some(exptime), Some(verb), true) = (
        number::client_flags(flags),
        number::exptime(exptime),
        complete(verb, &mut words),
        key.len() <= KEY_BYTES_MAX,
    ) else {
        return Err(drop_block(ErrorLine::BadFormat));
    };
    if item_bytes(key.len(), client_flags, len) > u64::from(request.limits.item_bytes_max) {
        let refused = drop_block(ErrorLine::ObjectTooLarge);
        return Err(match verb {
            StoreVerb::Set => refused.unlinking(Key::plain(key)),
            _ => refused,
        });
    }
    let (value, consumed) = request.data_block(len).map_err(|stop| stop.silent(noreply))?;
    let store = Store { verb, key, client_flags, exptime, value, noreply };
    Ok((consumed, Command::Store(store)))
}

/// The verb with its CAS unique; `None` where that is missing or no number.
fn complete(verb: StoreVerb, words: &mut Words) -> Option<StoreVerb> {
    match verb {
        StoreVerb::Cas(_) => words.next().and_then(number::unsigned).map(StoreVerb::Cas),
        _ => Some(verb),
    }
}

/// `delete <key> [noreply]`
pub(super) fn delete<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let mut words = Words::new(args);
    let key = words.next().ok_or_else(|| request.refuse(ErrorLine::BadFormat))?;
    let noreply = is_noreply(words.rest());
    if key.len() > KEY_BYTES_MAX {
        return Err(request.refuse(ErrorLine::BadFormat).silent(noreply));
    }
    Ok((request.line_end, Command::Delete(Delete { key, noreply })))
}

/// `incr <key> <value> [noreply]`, `decr <key> <value> [noreply]`
pub(super) fn arithmetic<'a>(
    request: &Request<'a, '_>,
    args: &'a [u8],
    direction: Direction,
) -> Parsed<'a> {
    let (key, delta, noreply) = key_and_number(request, args)?;
    let delta = number::unsigned(delta)
        .ok_or_else(|| request.refuse(ErrorLine::InvalidDelta).silent(noreply))?;
    let arithmetic = Arithmetic { direction, key, delta, noreply };
    Ok((request.line_end, Command::Arithmetic(arithmetic)))
}

/// `touch <key> <exptime> [noreply]`
pub(super) fn touch<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let (key, exptime, noreply) = key_and_number(request, args)?;
    let exptime = number::exptime(exptime)
        .ok_or_else(|| request.refuse(ErrorLine::InvalidExptime).silent(noreply))?;
    Ok((request.line_end, Command::Touch(Touch { key, exptime, noreply })))
}

/// The two words that must be there, the second one as text, and whether the line's last word is
/// `noreply`; the second one counts for that, as in memcached.
fn key_and_number<'a>(
    request: &Request<'a, '_>,
    args: &'a [u8],
) -> Result<(&'a [u8], &'a [u8], bool), super::Stop<'a>> {
    let mut words = Words::new(args);
    let bad_format = || request.refuse(ErrorLine::BadFormat);
    let key = words.next().ok_or_else(bad_format)?;
    let after_key = words.rest();
    let number = words.next().ok_or_else(bad_format)?;
    let noreply = is_noreply(after_key);
    if key.len() > KEY_BYTES_MAX {
        return Err(bad_format().silent(noreply));
    }
    Ok((key, number, noreply))
}

/// `flush_all [delay] [noreply]`
///
/// A delay of 0 or less is none, as in memcached; some clients always send one.
pub(super) fn flush_all<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let noreply = is_noreply(args);
    let words = Words::new(args);
    let delay = words.clone().next().filter(|_| words.count() > usize::from(noreply));
    let refuse = |error| request.refuse(error).silent(noreply);
    match delay.map(number::exptime) {
        None | Some(Some(Exptime::Never | Exptime::Immediate)) => {
            Ok((request.line_end, Command::FlushAll { noreply }))
        }
        Some(Some(_)) => Err(refuse(ErrorLine::DelayedFlush)),
        Some(None) => Err(refuse(ErrorLine::InvalidExptime)),
    }
}

/// `stats`, `stats reset`
pub(super) fn stats<'a>(request: &Request<'a, '_>, args: &'a [u8]) -> Parsed<'a> {
    let command = match Words::new(args).next() {
        None => Command::Stats,
        Some(b"reset") => Command::StatsReset,
        Some(_) => return Err(request.refuse(ErrorLine::UnknownCommand)),
    };
    Ok((request.line_end, command))
}
