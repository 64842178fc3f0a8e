mod published;

use std::str::FromStr;

use memtide_protocol::limits::{self, ITEM_BYTES_MAX_DEFAULT};
use thiserror::Error;

use super::quantity::{self, QuantityError, Span};

/// Longest key in bytes.
pub const KEY_BYTES_MAX: usize = limits::KEY_BYTES_MAX;

/// Longest value in bytes: with the longest key it is still an item of memcached's default limit of
/// 1 MB, as memcached counts it.
pub const VALUE_BYTES_MAX: usize =
    ITEM_BYTES_MAX_DEFAULT as usize - ITEM_OVERHEAD_BYTES_MAX as usize;

#[expect(clippy::cast_possible_truncation, reason = "a key of 250 bytes and a header")]
const ITEM_OVERHEAD_BYTES_MAX: u32 = limits::item_bytes(KEY_BYTES_MAX, 0, 0) as u32;

/// What are no sizes of keys or values.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SizesError {
    #[error("{0:?} is not a published shape here: it is one of {1}; or give bytes, 100 or 10-4k")]
    #[expect(missing_docs, reason = "says it")]
    UnknownShape(String, &'static str),
    #[error("a key has at most {KEY_BYTES_MAX} bytes, not {0}")]
    #[expect(missing_docs, reason = "says it")]
    KeyTooLong(u64),
    #[error("a key has at least 1 byte")]
    #[expect(missing_docs, reason = "says it")]
    KeyEmpty,
    #[error("a value of {0} bytes does not fit an item of 1 MB: at most {VALUE_BYTES_MAX}")]
    #[expect(missing_docs, reason = "says it")]
    ValueTooLarge(u64),
    #[error(transparent)]
    #[expect(missing_docs, reason = "says it")]
    Quantity(#[from] QuantityError),
}

/// The sizes of keys: `16`, `8-40` (uniform), `twitter`, `facebook`; 1 to [`KEY_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySizes(Sizes);

/// The sizes of values: `100`, `10-4k` (uniform), `twitter`, `facebook`; 0 to
/// [`VALUE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueSizes(Sizes);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sizes {
    Uniform(Span),
    Twitter,
    Facebook,
}

impl KeySizes {
    /// The size of the key with this hash, in bytes: the same whenever it is asked.
    #[must_use]
    pub fn of(self, hash: u64) -> usize {
        let size = match self.0 {
            Sizes::Uniform(span) => return bytes(span.at(hash)),
            Sizes::Twitter => published::twitter_key(hash),
            Sizes::Facebook => published::facebook_key(hash),
        };
        size.clamp(1, KEY_BYTES_MAX)
    }

    /// The largest size that there may be.
    #[must_use]
    pub fn max(self) -> usize {
        match self.0 {
            Sizes::Uniform(span) => bytes(span.max),
            Sizes::Twitter | Sizes::Facebook => KEY_BYTES_MAX,
        }
    }

    /// The smallest size that was asked for in so many words; `None` of a published shape.
    #[must_use]
    pub fn min(self) -> Option<usize> {
        match self.0 {
            Sizes::Uniform(span) => Some(bytes(span.min)),
            Sizes::Twitter | Sizes::Facebook => None,
        }
    }
}

impl ValueSizes {
    /// The size of the value of the key with this hash, in bytes: the same whenever it is asked.
    #[must_use]
    pub fn of(self, hash: u64) -> usize {
        let size = match self.0 {
            Sizes::Uniform(span) => return bytes(span.at(hash)),
            Sizes::Twitter => published::twitter_value(hash),
            Sizes::Facebook => published::facebook_value(hash),
        };
        size.min(VALUE_BYTES_MAX)
    }
}

impl FromStr for KeySizes {
    type Err = SizesError;

    fn from_str(text: &str) -> Result<Self, SizesError> {
        let sizes = parse(text)?;
        match sizes {
            Sizes::Uniform(span) if span.min == 0 => Err(SizesError::KeyEmpty),
            Sizes::Uniform(span) if span.max > KEY_BYTES_MAX as u64 => {
                Err(SizesError::KeyTooLong(span.max))
            }
            _ => Ok(Self(sizes)),
        }
    }
}

impl FromStr for ValueSizes {
    type Err = SizesError;

    fn from_str(text: &str) -> Result<Self, SizesError> {
        let sizes = parse(text)?;
        match sizes {
            Sizes::Uniform(span) if span.max > VALUE_BYTES_MAX as u64 => {
                Err(SizesError::ValueTooLarge(span.max))
            }
            _ => Ok(Self(sizes)),
        }
    }
}

fn parse(text: &str) -> Result<Sizes, SizesError> {
    match text {
        "twitter" => Ok(Sizes::Twitter),
        "facebook" => Ok(Sizes::Facebook),
        name if name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            Err(SizesError::UnknownShape(name.to_owned(), "twitter, facebook"))
        }
        _ => Ok(Sizes::Uniform(Span::parse(text, quantity::size)?)),
    }
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).expect("checked against a limit when it was read")
}

#[cfg(test)]
mod tests {
    use super::super::random::mixed;
    use super::*;

    #[test]
    fn explicit_sizes_are_kept_to() {
        let fixed: ValueSizes = "100".parse().expect("a size");
        let spread: ValueSizes = "10-4k".parse().expect("sizes");
        let (mut min, mut max, mut sum) = (usize::MAX, 0, 0);
        for id in 0..100_000 {
            assert_eq!(fixed.of(mixed(id)), 100);
            let size = spread.of(mixed(id));
            assert_eq!(size, spread.of(mixed(id)), "the same again");
            (min, max, sum) = (min.min(size), max.max(size), sum + size);
        }
        assert_eq!((min, max), (10, 4096));
        let mean = sum as f64 / 100_000.0;
        assert!((mean - 2053.0).abs() < 15.0, "{mean}");
    }

    #[test]
    fn sizes_that_no_cache_takes_are_refused() {
        let key = |text: &str| text.parse::<KeySizes>().map(|_| ()).map_err(|e| e.to_string());
        let value = |text: &str| text.parse::<ValueSizes>().map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(key("250"), Ok(()));
        assert_eq!(key("251"), Err("a key has at most 250 bytes, not 251".to_owned()));
        assert_eq!(key("0-8"), Err("a key has at least 1 byte".to_owned()));
        assert_eq!(value("0"), Ok(()));
        assert_eq!(value("1048267"), Ok(()));
        assert_eq!(
            value("1m"),
            Err("a value of 1048576 bytes does not fit an item of 1 MB: at most 1048267".to_owned())
        );
        assert_eq!(
            value("google"),
            Err("\"google\" is not a published shape here: it is one of twitter, facebook; or give \
                 bytes, 100 or 10-4k"
                .to_owned())
        );
        assert!(value("-5").is_err() && value("").is_err());
    }

    #[test]
    fn every_published_size_fits_an_item() {
        for name in ["twitter", "facebook"] {
            let keys: KeySizes = name.parse().expect("a shape");
            let values: ValueSizes = name.parse().expect("a shape");
            for bits in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
                assert!((1..=KEY_BYTES_MAX).contains(&keys.of(bits)), "{name} {bits}");
                assert!(values.of(bits) <= VALUE_BYTES_MAX, "{name} {bits}");
            }
        }
    }
}
