/// Longest decimal of 64 bits.
pub(crate) const DECIMAL_LEN_MAX: usize = 20;

/// Reads a value as memcached does for arithmetic: C's `strtoull` up to white space.
///
/// Leading white space and a sign are allowed, and what follows white space is ignored. A minus
/// sign is refused only where the negated number has the top bit set (`safe_strtoull`).
pub(crate) fn parse(value: &[u8]) -> Option<u64> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = value.iter().position(|byte| !is_space(byte))?;
    let (is_negative, digits) = match &value[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_ended = digits.get(len).is_none_or(|byte| is_space(byte) || *byte == 0);
    if len == 0 || !is_ended {
        return None;
    }
    let magnitude = digits[..len].iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    let number = if is_negative { magnitude.wrapping_neg() } else { magnitude };
    let has_top_bit = number >> 63 != 0;
    (!is_negative || !has_top_bit).then_some(number)
}

/// Writes a number to the end of `buffer`; returns its digits.
pub(crate) fn format(mut number: u64, buffer: &mut [u8; DECIMAL_LEN_MAX]) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            return &buffer[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers of memcached 1.6.18 to `incr` on these values, less one.
    #[test]
    fn a_number_reads_as_in_memcached() {
        let check = |value: &str, expected| {
            assert_eq!(parse(value.as_bytes()), expected, "value {value:?}");
        };
        check("12", Some(12));
        check("12 abc", Some(12));
        check("00012", Some(12));
        check("+7", Some(7));
        check(" 9", Some(9));
        check("5\t", Some(5));
        check("5\0x", Some(5));
        check("-0", Some(0));
        check("-5", None);
        check("18446744073709551615", Some(u64::MAX));
        check("18446744073709551616", None);
        check("-18446744073709551615", Some(1));
        check("-9223372036854775808", None);
        check("-9223372036854775809", Some(9_223_372_036_854_775_807));
        check("0x10", None);
        check("12a", None);
        check("abc", None);
        check("-", None);
        check(" ", None);
        check("", None);
    }

    #[test]
    fn a_number_is_written_in_decimal() {
        for number in [0, 9, 10, 12345, u64::MAX] {
            let mut buffer = [0; DECIMAL_LEN_MAX];
            assert_eq!(format(number, &mut buffer), number.to_string().as_bytes());
        }
    }
}
