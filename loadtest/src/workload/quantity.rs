//! Numbers as people write them: `200k` keys, `4k` bytes, `500ms`, `2.5M` a second.

use std::time::Duration;

use thiserror::Error;

/// What is no number of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    #[error("{0:?} is no whole number: give digits, or thousands as in 200k, 2.5M, 1G")]
    #[expect(missing_docs, reason = "says it")]
    NotACount(String),
    #[error("{0:?} is no size: give whole bytes, or units of 1024 as in 4k, 1m")]
    #[expect(missing_docs, reason = "says it")]
    NotASize(String),
    #[error("{0:?} is no time: give seconds, or a unit as in 500ms, 10s, 2m, 1h")]
    #[expect(missing_docs, reason = "says it")]
    NotATime(String),
    #[error("{0:?} is no rate: give requests per second, 500, 20k or 1.5M")]
    #[expect(missing_docs, reason = "says it")]
    NotARate(String),
    #[error("{0:?} is too much")]
    #[expect(missing_docs, reason = "says it")]
    TooLarge(String),
    /// A range whose begin is above its end.
    #[error("{0:?} runs backwards: the smaller end goes first")]
    Backwards(String),
}

/// A count: `100`, `10k`, `2.5M`, `1G`, in units of 1000, in either case.
///
/// # Errors
/// When it is no whole number, or above 64 bits.
pub fn count(text: &str) -> Result<u64, QuantityError> {
    let (digits, unit) =
        split_unit(text, 1000).ok_or_else(|| QuantityError::NotACount(text.to_owned()))?;
    match scaled(digits, unit) {
        Scaled::Whole(number) => Ok(number),
        Scaled::TooLarge => Err(QuantityError::TooLarge(text.to_owned())),
        Scaled::Not => Err(QuantityError::NotACount(text.to_owned())),
    }
}

/// Bytes: `100`, `4k`, `1.5m`, in units of 1024 (not 1000 as in counts and rates), in either case.
///
/// # Errors
/// When it is no whole number of bytes, or above 64 bits.
pub fn size(text: &str) -> Result<u64, QuantityError> {
    let (digits, unit) =
        split_unit(text, 1024).ok_or_else(|| QuantityError::NotASize(text.to_owned()))?;
    match scaled(digits, unit) {
        Scaled::Whole(number) => Ok(number),
        Scaled::TooLarge => Err(QuantityError::TooLarge(text.to_owned())),
        Scaled::Not => Err(QuantityError::NotASize(text.to_owned())),
    }
}

/// A time: `500ms`, `10s`, `2m`, `1h`, `1.5s`; seconds where there is no unit.
///
/// # Errors
/// When it is no time, is finer than a nanosecond, or is above 584 years.
pub fn time(text: &str) -> Result<Duration, QuantityError> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (digits, unit) = UNITS
        .iter()
        .find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, 1_000_000_000));
    match scaled(digits, unit) {
        Scaled::Whole(nanos) => Ok(Duration::from_nanos(nanos)),
        Scaled::TooLarge => Err(QuantityError::TooLarge(text.to_owned())),
        Scaled::Not => Err(QuantityError::NotATime(text.to_owned())),
    }
}

/// Requests per second: `500`, `0.5`, `20k`, `1.5M`, in units of 1000.
///
/// # Errors
/// When it is no number, is below 0, or is above a request per nanosecond.
pub fn rate(text: &str) -> Result<f64, QuantityError> {
    let not_a_rate = || QuantityError::NotARate(text.to_owned());
    let (digits, unit) = split_unit(text, 1000).ok_or_else(not_a_rate)?;
    if !is_decimal(digits) {
        return Err(not_a_rate());
    }
    let number: f64 = digits.parse().map_err(|_| not_a_rate())?;
    let rate = number * unit as f64;
    if rate > 1e9 { Err(QuantityError::TooLarge(text.to_owned())) } else { Ok(rate) }
}

/// A rate as [`rate`] reads it, rounded to three decimals of its unit: `200k`, `1.5M`, `0.5`.
#[must_use]
pub fn rate_text(rate: f64) -> String {
    let (number, unit) = match rate {
        1e6.. => (rate / 1e6, "M"),
        1e3.. => (rate / 1e3, "k"),
        _ => (rate, ""),
    };
    let decimals = format!("{number:.3}");
    format!("{}{unit}", decimals.trim_end_matches('0').trim_end_matches('.'))
}

/// A number, or all from one to another: `16`, `8-40`, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The smallest.
    pub min: u64,
    /// The largest, at least [`Self::min`].
    pub max: u64,
}

impl Span {
    /// One number.
    #[must_use]
    pub const fn one(number: u64) -> Self {
        Self { min: number, max: number }
    }

    /// Reads `A` or `A-B`, each with `read`: [`count`], [`size`], or another.
    ///
    /// # Errors
    /// Those of `read`, and when B is below A.
    pub fn parse(
        text: &str,
        read: impl Fn(&str) -> Result<u64, QuantityError>,
    ) -> Result<Self, QuantityError> {
        let Some((min, max)) = text.split_once('-') else { return Ok(Self::one(read(text)?)) };
        let span = Self { min: read(min)?, max: read(max)? };
        if span.min > span.max {
            return Err(QuantityError::Backwards(text.to_owned()));
        }
        Ok(span)
    }

    /// The number of the span that these random bits choose, each with the same probability to
    /// within (max - min) / 2^64.
    #[must_use]
    pub fn at(self, bits: u64) -> u64 {
        if self.min == self.max {
            return self.min;
        }
        let numbers = u128::from(self.max - self.min) + 1;
        let offset = u64::try_from((u128::from(bits) * numbers) >> 64).expect("below numbers");
        self.min + offset
    }
}

/// The digits, and what a unit behind them stands for: `k`, `m` or `g`.
fn split_unit(text: &str, base: u64) -> Option<(&str, u64)> {
    let last = text.chars().next_back()?;
    let unit = match last.to_ascii_lowercase() {
        'k' => base,
        'm' => base * base,
        'g' => base * base * base,
        '0'..='9' => return Some((text, 1)),
        _ => return None,
    };
    Some((&text[..text.len() - 1], unit))
}

enum Scaled {
    Whole(u64),
    TooLarge,
    /// No decimal number, or not whole when scaled.
    Not,
}

/// Decimal digits times `unit`, exactly.
fn scaled(digits: &str, unit: u64) -> Scaled {
    if !is_decimal(digits) {
        return Scaled::Not;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let (Ok(whole), Ok(places)) = (whole.parse::<u64>(), u32::try_from(fraction.len())) else {
        return Scaled::TooLarge;
    };
    if places > 18 {
        return Scaled::Not;
    }
    let parts = if places == 0 { 0 } else { fraction.parse::<u128>().unwrap_or(0) };
    let divisor = 10_u128.pow(places);
    let parts = parts * u128::from(unit);
    if parts % divisor != 0 {
        return Scaled::Not;
    }
    let sum = u128::from(whole) * u128::from(unit) + parts / divisor;
    u64::try_from(sum).map_or(Scaled::TooLarge, Scaled::Whole)
}

/// Whether it is digits, with at most one point between digits.
fn is_decimal(text: &str) -> bool {
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, fraction)) => are_digits(whole) && are_digits(fraction),
        None => are_digits(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_in_thousands_and_sizes_in_1024() {
        for (text, counted, sized) in [
            ("0", 0, 0),
            ("100", 100, 100),
            ("10k", 10_000, 10_240),
            ("10K", 10_000, 10_240),
            ("2.5M", 2_500_000, 2_621_440),
            ("1g", 1_000_000_000, 1 << 30),
            ("1.50k", 1_500, 1_536),
        ] {
            assert_eq!(count(text), Ok(counted), "{text}");
            assert_eq!(size(text), Ok(sized), "{text}");
        }
    }

    #[test]
    fn times_are_in_seconds_unless_they_say_otherwise() {
        for (text, ms) in
            [("10", 10_000), ("500ms", 500), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(time("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(time("0.5ns"), Err(QuantityError::NotATime("0.5ns".to_owned())));
        assert_eq!(time("600000000h"), Err(QuantityError::TooLarge("600000000h".to_owned())));
    }

    #[test]
    fn rates_may_be_fractions_and_are_shown_as_they_are_written() {
        for (text, number) in [("0.5", 0.5), ("500", 500.0), ("20k", 2e4), ("1.5M", 1.5e6)] {
            assert_eq!(rate(text), Ok(number), "{text}");
            assert_eq!(rate_text(number), text);
        }
        assert_eq!(rate("2G"), Err(QuantityError::TooLarge("2G".to_owned())));
    }

    #[test]
    fn what_is_no_number_is_told_in_one_line_with_what_was_given() {
        for bad in ["", "k", "-1", "+1", "1.", ".5", "1e3", "10kb", "ten", "1.2.3", "1 k", "é"] {
            for error in [
                count(bad).map(|_| ()),
                size(bad).map(|_| ()),
                time(bad).map(|_| ()),
                rate(bad).map(|_| ()),
            ] {
                let line = error.expect_err(bad).to_string();
                assert!(line.contains(&format!("{bad:?}")), "{line}");
                assert!(!line.contains('\n'), "{line}");
            }
        }
        for part in ["1.5", "0.0001k"] {
            assert_eq!(count(part), Err(QuantityError::NotACount(part.to_owned())));
        }
        let huge = "99999999999999999999";
        assert_eq!(count(huge), Err(QuantityError::TooLarge(huge.to_owned())));
        assert_eq!(count("99999999999G"), Err(QuantityError::TooLarge("99999999999G".to_owned())));
    }

    #[test]
    fn a_span_is_one_number_or_two_and_reaches_both_ends() {
        assert_eq!(Span::parse("16", count), Ok(Span::one(16)));
        assert_eq!(Span::parse("10-4k", size), Ok(Span { min: 10, max: 4096 }));
        assert_eq!(Span::parse("9-8", size), Err(QuantityError::Backwards("9-8".to_owned())));
        assert_eq!(Span::parse("9-", size), Err(QuantityError::NotASize(String::new())));
        let span = Span { min: 3, max: 5 };
        assert_eq!([0, u64::MAX / 2, u64::MAX].map(|bits| span.at(bits)), [3, 4, 5]);
        let all = Span { min: 0, max: u64::MAX };
        assert_eq!([all.at(0), all.at(u64::MAX)], [0, u64::MAX]);
    }
}
