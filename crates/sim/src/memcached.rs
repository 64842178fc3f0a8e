//! Commands and replies as memcached's protocol has them, for nodes that execute it.

use std::sync::OnceLock;

use memtide_loadtest::verify::{Action, Token, Verb};
use memtide_topology::{HashSeed, KeyHash, SlotId};

use crate::item::Reply;
use crate::store::{Asks, Command, is_counter};

/// What the keys of these fleets are hashed with.
pub const SEED: HashSeed = HashSeed::new(0, 0);
/// Keys of a slot at most, and slots: see [`crate::plan`].
pub const KEYS: u32 = 64;
const SLOTS: usize = 4;

/// Longer than any item of these fleets lives, but for those that do not expire.
const RECACHE_SECS: u32 = 100;

/// The number of a slot among those of a run.
fn index(slot: SlotId) -> usize {
    usize::from(slot.number()) / 3
}

/// The text of a key that is in this slot.
pub fn key_text(key: u32, slot: SlotId) -> &'static str {
    static TEXTS: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let mut texts = vec![Vec::new(); SLOTS];
        for number in 0_u64.. {
            let text = format!("key:{number}");
            let slot = SlotId::of(SEED.hash(text.as_bytes()));
            if slot.number() % 3 == 1 && index(slot) < SLOTS {
                texts[index(slot)].push(text);
            }
            if texts.iter().all(|texts| texts.len() >= KEYS as usize) {
                break;
            }
        }
        texts
    });
    &texts[index(slot)][key as usize]
}

/// The key whose [`key_text`] this is.
pub fn key_of(text: &[u8], slot: SlotId) -> Option<u32> {
    (0..KEYS).find(|key| key_text(*key, slot).as_bytes() == text)
}

/// The hash of [`key_text`].
pub fn key_hash(key: u32, slot: SlotId) -> KeyHash {
    SEED.hash(key_text(key, slot).as_bytes())
}

/// A command, data block and all; a token takes so many bytes.
pub fn encode(command: Command, slot: SlotId, unit: usize) -> Vec<u8> {
    let Command { key, action, asks } = command;
    let text = key_text(key, slot);
    let value = |token| encode_value(key, token, unit);
    let line = match action {
        Action::Get => match asks {
            Asks::Nothing => format!("mg {text} v c"),
            Asks::Recache => format!("mg {text} v c R{RECACHE_SECS}"),
            Asks::Vivify { ttl } => format!("mg {text} v c N{ttl}"),
        },
        Action::GetAndTouch { ttl } => format!("mg {text} v c T{ttl}"),
        Action::Touch { ttl } => format!("touch {text} {ttl}"),
        Action::Store { verb, token, ttl } => {
            let mode = match verb {
                Verb::Set => 'S',
                Verb::Add => 'E',
                Verb::Replace => 'R',
                Verb::Append => 'A',
                Verb::Prepend => 'P',
            };
            let value = value(token);
            return with_value(format!("ms {text} {} c M{mode} T{ttl}", value.len()), &value);
        }
        Action::Cas { token, ttl, cas } => {
            let value = value(token);
            return with_value(format!("ms {text} {} c C{cas} T{ttl}", value.len()), &value);
        }
        Action::Count { is_up: true, delta } => format!("incr {text} {delta}"),
        Action::Count { is_up: false, delta } => format!("decr {text} {delta}"),
        Action::Delete { cas: 0 } => format!("md {text}"),
        Action::Delete { cas } => format!("md {text} C{cas}"),
    };
    with_value(line, &[])
}

fn with_value(line: String, value: &[u8]) -> Vec<u8> {
    let mut bytes = line.into_bytes();
    bytes.extend_from_slice(b"\r\n");
    if !value.is_empty() {
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn encode_value(key: u32, token: Token, unit: usize) -> Vec<u8> {
    if is_counter(key) {
        return token.to_string().into_bytes();
    }
    let mut value = token.to_le_bytes().to_vec();
    value.resize(unit, value[0]);
    value
}

/// The tokens that a value is made of; `None` of one that was never stored so.
pub fn tokens_of(value: &[u8], unit: usize) -> Option<Vec<Token>> {
    let token_of = |part: &[u8]| {
        let (token, rest) = part.split_first_chunk::<8>()?;
        let is_whole = part.len() == unit && rest.iter().all(|byte| *byte == token[0]);
        is_whole.then(|| u64::from_le_bytes(*token))
    };
    value.chunks(unit).map(token_of).collect()
}

/// What a reply says; `None` of one that no node should send.
pub fn decode(command: Command, bytes: &[u8], unit: usize) -> Option<Reply> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = core::str::from_utf8(&bytes[..end]).ok()?;
    let mut words = line.split(' ');
    let cas = |line: &str| {
        let word = line.split(' ').find_map(|word| word.strip_prefix('c'));
        word.and_then(|cas| cas.parse().ok()).unwrap_or(0)
    };
    let is_append =
        matches!(command.action, Action::Store { verb: Verb::Append | Verb::Prepend, .. });
    Some(match (words.next()?, command.action) {
        ("HD", Action::Delete { .. }) | ("TOUCHED", _) => Reply::Done,
        // As of a model: an append tells no unique.
        ("HD", _) => Reply::Stored { cas: if is_append { 0 } else { cas(line) } },
        // As memcached says of an item that would be too large, too.
        ("NS", _) if is_append && unit > 8 => Reply::Failed,
        ("NS", _) => Reply::NotStored,
        ("EX", _) => Reply::Exists,
        ("EN" | "NF" | "NOT_FOUND", _) => Reply::NotFound,
        ("VA", _) => {
            let len: usize = words.next()?.parse().ok()?;
            let value = bytes.get(end + 2..end + 2 + len)?;
            let is_won = line.ends_with(" W");
            match decode_value(command.key, value, (cas(line), unit))? {
                Reply::Hit { tokens, cas } if is_won => Reply::Won { tokens, cas },
                reply => reply,
            }
        }
        ("SERVER_ERROR", _) => Reply::Failed,
        (number, Action::Count { .. }) => Reply::Number { number: number.parse().ok()?, cas: 0 },
        _ => return None,
    })
}

fn decode_value(key: u32, value: &[u8], (cas, unit): (u64, usize)) -> Option<Reply> {
    if is_counter(key) {
        let number = core::str::from_utf8(value).ok()?.trim_end().parse().ok()?;
        return Some(Reply::Number { number, cas });
    }
    Some(Reply::Hit { tokens: tokens_of(value, unit)?, cas })
}
