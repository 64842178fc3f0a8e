//! Numbers as memcached reads them.
//!
//! All but lengths go through C's `strtol` family there: blanks before the number, a sign, and
//! anything after a blank behind it are accepted. A number that does not fit is refused, never
//! wrapped.

use crate::Exptime;

/// A `strtoull` number. A minus wraps around, and is refused where the result is 2^63 or more.
pub(super) fn unsigned(word: &[u8]) -> Option<u64> {
    let (is_negative, digits) = sign(word);
    let number = magnitude(digits)?;
    if !is_negative {
        return Some(number);
    }
    let wrapped = number.wrapping_neg();
    (wrapped <= i64::MAX as u64).then_some(wrapped)
}

/// Client flags: [`unsigned`], 32 bits.
pub(super) fn client_flags(word: &[u8]) -> Option<u32> {
    u32::try_from(unsigned(word)?).ok()
}

/// An exptime: a `strtoll` number.
pub(super) fn exptime(word: &[u8]) -> Option<Exptime> {
    let (is_negative, digits) = sign(word);
    let number = magnitude(digits)?;
    let number =
        if is_negative { 0i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() };
    number.map(Exptime::from_wire)
}

/// The length of a data block: digits only, at most 11 of them, at most `max`.
pub(super) fn length(word: &[u8], max: u32) -> Option<u32> {
    if word.len() > 11 || word.is_empty() {
        return None;
    }
    let mut length = 0u64;
    for byte in word {
        length = length * 10 + u64::from(digit(*byte)?);
    }
    u32::try_from(length).ok().filter(|&length| length <= max)
}

fn sign(word: &[u8]) -> (bool, &[u8]) {
    let blanks = word.iter().take_while(|&&byte| is_blank(byte)).count();
    match &word[blanks..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    }
}

fn magnitude(text: &[u8]) -> Option<u64> {
    let mut number = u64::from(digit(*text.first()?)?);
    for &byte in &text[1..] {
        let Some(digit) = digit(byte) else {
            return is_blank(byte).then_some(number);
        };
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

const fn digit(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    if digit < 10 { Some(digit) } else { None }
}

/// C's `isspace`.
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsigned_numbers() {
        for (word, number) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("+7", Some(7)),
            ("\t7\tx", Some(7)),
            ("7\r", Some(7)),
            ("007", Some(7)),
            ("-0", Some(0)),
            ("-1", None),
            ("-18446744073709551615", Some(1)),
            ("", None),
            ("+", None),
            ("-", None),
            ("+-1", None),
            ("x", None),
            ("7x", None),
        ] {
            assert_eq!(unsigned(word.as_bytes()), number, "{word:?}");
        }
    }

    #[test]
    fn client_flags_do_not_wrap() {
        assert_eq!(client_flags(b"4294967295"), Some(u32::MAX));
        assert_eq!(client_flags(b"4294967296"), None);
        assert_eq!(client_flags(b"-1"), None);
    }

    #[test]
    fn exptimes_do_not_wrap() {
        assert_eq!(exptime(b"-1"), Some(Exptime::Immediate));
        assert_eq!(exptime(b"-9223372036854775808"), Some(Exptime::Immediate));
        assert_eq!(exptime(b"-9223372036854775809"), None);
        assert_eq!(exptime(b"2147483648"), Some(Exptime::Absolute(1 << 31)));
        assert_eq!(exptime(b"9223372036854775807"), Some(Exptime::Absolute(u32::MAX)));
        assert_eq!(exptime(b"9223372036854775808"), None);
    }

    #[test]
    fn lengths_are_digits_only() {
        let length = |word: &str| length(word.as_bytes(), 2_147_483_645);
        assert_eq!(length("00000000005"), Some(5));
        assert_eq!(length("2147483645"), Some(2_147_483_645));
        for word in ["2147483646", "99999999999", "000000000005", "+5", "-1", "5x", "5\t", ""] {
            assert_eq!(length(word), None, "{word:?}");
        }
    }
}
