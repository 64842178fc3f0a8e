//! Values that say where they belong: key, token and length are in them, and all other bytes follow
//! from these, so that a value that was torn, altered or mixed up is recognised when it is read.
//!
//! A value is a list of segments: one that was stored, those that were prepended before it and
//! those that were appended behind. A segment is [`HEAD_BYTES`] of text and then a filling of any
//! bytes at all.

use super::history::{COUNTER_BASE_SHIFT, COUNTER_START, Oddity, Token};

/// A kind, the run in 8 hex digits, the key in 8, the token in 16, the length in 8.
const HEAD_BYTES: usize = 1 + 8 + 8 + 16 + 8;
/// The shortest segment: with 16 bytes that follow from the rest.
pub const SEGMENT_BYTES_MIN: usize = HEAD_BYTES + 16;
const _: () = assert!(SEGMENT_BYTES_MIN == 57, "as the settings say");

/// The name of a key of a run.
#[must_use]
pub fn key_name(seed: u64, key: u32) -> String {
    format!("v{seed:016x}-{key}")
}

/// Writes a segment of `bytes` in all, at least [`SEGMENT_BYTES_MIN`].
pub fn write_segment(out: &mut Vec<u8>, seed: u64, key: u32, token: Token, bytes: usize) {
    let bytes = bytes.max(SEGMENT_BYTES_MIN);
    out.push(b'=');
    hex(out, seed >> 32 ^ seed & 0xffff_ffff, 8);
    hex(out, u64::from(key), 8);
    hex(out, token, 16);
    hex(out, bytes as u64, 8);
    let mut filling = Filling::new(seed, key, token, bytes);
    let mut left = bytes - HEAD_BYTES;
    while left > 0 {
        let word = filling.next_word();
        let some = left.min(word.len());
        out.extend_from_slice(&word[..some]);
        left -= some;
    }
}

/// Reads the tokens of a value, in the order of its bytes.
///
/// # Errors
/// When it is not a value of this key.
pub fn read_value(
    mut data: &[u8],
    seed: u64,
    key: u32,
    tokens: &mut Vec<Token>,
) -> Result<(), Oddity> {
    tokens.clear();
    while !data.is_empty() {
        let (head, _) = data.split_at_checked(HEAD_BYTES).ok_or(Oddity::Corrupt)?;
        let run = number_of(&head[1..9])?;
        if head[0] != b'=' || run != seed >> 32 ^ seed & 0xffff_ffff {
            return Err(Oddity::Corrupt);
        }
        let of_key = u32::try_from(number_of(&head[9..17])?).map_err(|_| Oddity::Corrupt)?;
        let token = number_of(&head[17..33])?;
        let bytes = usize::try_from(number_of(&head[33..])?).map_err(|_| Oddity::Corrupt)?;
        let (segment, rest) = data.split_at_checked(bytes).ok_or(Oddity::Corrupt)?;
        let filling = segment.get(HEAD_BYTES..).ok_or(Oddity::Corrupt)?;
        let mut expected = Filling::new(seed, of_key, token, bytes);
        if filling.chunks(8).any(|chunk| chunk != &expected.next_word()[..chunk.len()]) {
            return Err(Oddity::Corrupt);
        }
        if of_key != key {
            return Err(Oddity::WrongKey(of_key));
        }
        tokens.push(token);
        data = rest;
    }
    if tokens.is_empty() { Err(Oddity::Corrupt) } else { Ok(()) }
}

/// Reads the number of a counter; `decr` leaves blanks behind a number that got shorter.
///
/// # Errors
/// When it is none.
pub fn read_number(data: &[u8]) -> Result<u64, Oddity> {
    let digits = data.trim_ascii_end();
    let text = std::str::from_utf8(digits).map_err(|_| Oddity::Corrupt)?;
    text.parse().map_err(|_| Oddity::Corrupt)
}

/// The client flags of a store, that additions and counts leave alone.
pub fn client_flags(token: Token) -> u32 {
    u32::try_from(mix(token) >> 32).expect("32 bits are left")
}

/// The token of the store that a counter's number began with.
pub fn counter_token(number: u64) -> Token {
    (number >> COUNTER_BASE_SHIFT << COUNTER_BASE_SHIFT) + COUNTER_START
}

/// The bytes that fill a segment up: an xorshift generator over what the head says.
struct Filling(u64);

impl Filling {
    fn new(seed: u64, key: u32, token: Token, bytes: usize) -> Self {
        Self(mix(mix(mix(seed ^ u64::from(key)) ^ token) ^ bytes as u64) | 1)
    }

    fn next_word(&mut self) -> [u8; 8] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ number >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn hex(out: &mut Vec<u8>, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 15;
        out.push(b"0123456789abcdef"[usize::try_from(digit).expect("below 16")]);
    }
}

fn number_of(digits: &[u8]) -> Result<u64, Oddity> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(Oddity::Corrupt),
        };
        Ok(number << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(seed: u64, key: u32, token: Token, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        write_segment(&mut out, seed, key, token, bytes);
        out
    }

    #[test]
    fn values_are_read_as_written() {
        for bytes in [0, SEGMENT_BYTES_MIN, 100, 4_001] {
            let mut data = value(7, 3, 1 << 48 | 5, bytes);
            assert_eq!(data.len(), bytes.max(SEGMENT_BYTES_MIN));
            data.extend(value(7, 3, 9, 80));
            let mut tokens = Vec::new();
            assert_eq!(read_value(&data, 7, 3, &mut tokens), Ok(()));
            assert_eq!(tokens, [1 << 48 | 5, 9]);
        }
    }

    #[test]
    fn another_keys_value_is_recognised() {
        let data = value(7, 4, 5, 100);
        assert_eq!(read_value(&data, 7, 3, &mut Vec::new()), Err(Oddity::WrongKey(4)));
        assert_eq!(read_value(&data, 8, 4, &mut Vec::new()), Err(Oddity::Corrupt));
    }

    #[test]
    fn any_altered_or_missing_byte_is_recognised() {
        let data = value(7, 3, 5, 100);
        for at in 0..data.len() {
            let mut altered = data.clone();
            altered[at] ^= 1;
            assert!(read_value(&altered, 7, 3, &mut Vec::new()).is_err(), "byte {at}");
            assert!(read_value(&data[..at], 7, 3, &mut Vec::new()).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn a_value_torn_between_two_is_recognised() {
        let (one, other) = (value(7, 3, 5, 100), value(7, 3, 6, 100));
        for at in 1..99 {
            let torn = [&one[..at], &other[at..]].concat();
            let is_one_of_them = torn == one || torn == other;
            let is_read = read_value(&torn, 7, 3, &mut Vec::new()).is_ok();
            assert_eq!(is_read, is_one_of_them, "torn at {at}");
        }
    }

    #[test]
    fn numbers_may_have_blanks_behind() {
        assert_eq!(read_number(b"99 "), Ok(99));
        assert_eq!(read_number(b" 99"), Err(Oddity::Corrupt));
        assert_eq!(read_number(b""), Err(Oddity::Corrupt));
    }
}
