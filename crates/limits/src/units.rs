//! Quantities as people write them.
//!
//! Bytes are in powers of 1,024, as memcached has them, whether written `10g`, `10GB` or `10GiB`; a
//! GB of data storage is 2^30 bytes, as a metered GB-hour is of 2^30 bytes. Counts such as ECPUs per
//! second are in powers of 1,000.

/// Bytes: a number with `k`, `m`, `g` or `t` (powers of 1,024, as memcached has them), and `b` or
/// `ib` behind it as one likes.
///
/// # Errors
/// What would be right.
pub fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match lower[number.len()..].trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(SIZE.into()),
    };
    let number: u64 = number.trim().parse().map_err(|_| SIZE.to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| SIZE.into())
}

const SIZE: &str = "give bytes such as 67108864, 512m or 2GiB";

/// Bytes as people read them, at most a tenth of the unit below: `1.5 GiB`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => match bytes % unit * 10 / unit {
            0 => format!("{} {name}", bytes / unit),
            tenths => format!("{}.{tenths} {name}", bytes / unit),
        },
        None => format!("{bytes} bytes"),
    }
}

/// A count: a whole number, or one with `k`, `M` or `G` (powers of 1,000, in either case) and up to
/// as many decimals as leave it whole: `100k`, `1.5M`.
///
/// # Errors
/// What would be right.
pub fn count(text: &str) -> Result<u64, String> {
    let wrong = || "give a whole number such as 30000, 100k or 1.5M".to_owned();
    let text = text.trim();
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let decimals = match &text[number.len()..] {
        "" => 0_u32,
        "k" | "K" => 3,
        "m" | "M" => 6,
        "g" | "G" => 9,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || number.trim().ends_with('.') {
        return Err(wrong());
    }
    let missing = u32::try_from(part.len()).ok().and_then(|given| decimals.checked_sub(given));
    let missing = missing.ok_or_else(wrong)?;
    let digits: u64 = format!("{whole}{part}").parse().map_err(|_| wrong())?;
    10_u64.checked_pow(missing).and_then(|unit| digits.checked_mul(unit)).ok_or_else(wrong)
}

/// A count as [`count`] reads it, in the largest unit that leaves it whole: `100k`.
#[must_use]
pub fn show_count(count: u64) -> String {
    let units = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match units.into_iter().find(|(unit, _)| count >= *unit && count.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", count / unit),
        None => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_1024() {
        let check = |text, bytes: Option<u64>| assert_eq!(size(text).ok(), bytes, "{text}");
        check("0", Some(0));
        check("512m", Some(512 << 20));
        check("2GiB", Some(2 << 30));
        check("10GB", Some(10 << 30));
        check(" 3 kb ", Some(3072));
        check("1t", Some(1 << 40));
        check("", None);
        check("1.5g", None);
        check("-1", None);
        check("1x", None);
        check("99999999999999999999", None);
        check("99999999999g", None);
    }

    #[test]
    fn sizes_shown() {
        let bytes = [0, 1023, 1024, 1536, (1 << 30) - 1, 1 << 30, 15_032_385_536];
        let shown = bytes.map(show_size);
        let expected =
            ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "1023.9 MiB", "1 GiB", "14 GiB"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn counts_are_in_powers_of_1000() {
        let check = |text, number: Option<u64>| assert_eq!(count(text).ok(), number, "{text}");
        check("0", Some(0));
        check("30000", Some(30_000));
        check("100k", Some(100_000));
        check(" 15 M ", Some(15_000_000));
        check("1.5M", Some(1_500_000));
        check("0.5k", Some(500));
        check("1G", Some(1_000_000_000));
        check("", None);
        check("k", None);
        check("1.5", None);
        check("1.", None);
        check(".5k", None);
        check("1.0005k", None);
        check("-1", None);
        check("+1", None);
        check("1e3", None);
        check("1kb", None);
        check("99999999999999999999", None);
        check("99999999999999999G", None);
    }

    #[test]
    fn a_shown_count_reads_back() {
        for number in [0, 1, 999, 1_000, 1_500, 30_000, 15_000_000, 2_000_000_000, u64::MAX] {
            assert_eq!(count(&show_count(number)), Ok(number));
        }
        assert_eq!([1_500, 30_000, 15_000_000].map(show_count), ["1500", "30k", "15M"]);
    }
}
