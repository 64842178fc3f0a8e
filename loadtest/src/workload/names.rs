use thiserror::Error;

use super::random::mixed;
use super::sizes::{KEY_BYTES_MAX, KeySizes};

/// The names of a run's keys: `key-000001f3------`, the id in hexadecimal digits of one width, filled
/// up to the key's size; counters are `num-...`. Where that is too long, `k000001f3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyNames {
    sizes: KeySizes,
    /// Hexadecimal digits of the largest id.
    digits: usize,
    keys: u64,
}

/// Why the keys cannot be named.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyNamesError {
    #[error("{keys} keys need names of at least {needed} bytes, not {given}")]
    #[expect(missing_docs, reason = "says it")]
    TooShort { keys: u64, needed: usize, given: usize },
    #[error("there must be at least one key")]
    #[expect(missing_docs, reason = "says it")]
    NoKeys,
}

const FILLING: u8 = b'-';
const FILL: [u8; KEY_BYTES_MAX] = [FILLING; KEY_BYTES_MAX];

impl KeyNames {
    /// Names for the ids 0 to `keys` - 1. A published shape's sizes are made long enough.
    ///
    /// # Errors
    /// When there are no keys, or names of the smallest size cannot tell so many apart.
    pub fn new(sizes: KeySizes, keys: u64) -> Result<Self, KeyNamesError> {
        let largest = keys.checked_sub(1).ok_or(KeyNamesError::NoKeys)?;
        let bits = u64::BITS - largest.leading_zeros();
        let digits = usize::try_from(bits.div_ceil(4)).expect("at most 16").max(1);
        let needed = digits + 1;
        match sizes.min() {
            Some(given) if given < needed => Err(KeyNamesError::TooShort { keys, needed, given }),
            _ => Ok(Self { sizes, digits, keys }),
        }
    }

    /// The longest name's bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.sizes.max().max(self.digits + 1)
    }

    /// Writes the name of the key of this id to the end of `out`.
    pub fn append(&self, id: u64, out: &mut Vec<u8>) {
        self.append_as(*b"key-", id, out);
    }

    /// Writes the name of the counter of this id to the end of `out`: a key of its own, whose item
    /// is a number.
    pub fn append_counter(&self, id: u64, out: &mut Vec<u8>) {
        self.append_as(*b"num-", id, out);
    }

    /// The id of a name that [`Self::append`] wrote; `None` of any other bytes.
    #[must_use]
    pub fn id_of(&self, name: &[u8]) -> Option<u64> {
        let from = if name.starts_with(b"key-") { 4 } else { 1 };
        if name.first() != Some(&b'k') {
            return None;
        }
        let (digits, filling) = name.get(from..)?.split_at_checked(self.digits)?;
        let id = digits.iter().try_fold(0_u64, |id, &byte| {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => return None,
            };
            Some((id << 4) | u64::from(digit))
        })?;
        let size = self.size_of(id);
        let is_whole = id < self.keys
            && name.len() == size
            && (from == 4) == (size >= self.digits + 4)
            && filling.iter().all(|&byte| byte == FILLING);
        is_whole.then_some(id)
    }

    fn append_as(&self, prefix: [u8; 4], id: u64, out: &mut Vec<u8>) {
        let size = self.size_of(id);
        let from = if size >= self.digits + 4 { 4 } else { 1 };
        out.extend_from_slice(&prefix[..from]);
        let mut hex = [0; 16];
        let mut left = id;
        for digit in hex[..self.digits].iter_mut().rev() {
            *digit = b"0123456789abcdef"[usize::try_from(left & 15).expect("0 to 15")];
            left >>= 4;
        }
        out.extend_from_slice(&hex[..self.digits]);
        out.extend_from_slice(&FILL[..size - self.digits - from]);
    }

    fn size_of(&self, id: u64) -> usize {
        self.sizes.of(mixed(id)).max(self.digits + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sizes: &str, keys: u64) -> Result<KeyNames, KeyNamesError> {
        KeyNames::new(sizes.parse().expect("sizes"), keys)
    }

    fn name(names: &KeyNames, id: u64) -> String {
        let mut name = Vec::new();
        names.append(id, &mut name);
        String::from_utf8(name).expect("ASCII")
    }

    #[test]
    fn names_are_readable_and_of_the_size_asked_for() {
        let long = names("16", 1_000_000).expect("names");
        assert_eq!(name(&long, 0x1f3), "key-001f3-------");
        let short = names("6", 1_000_000).expect("names");
        assert_eq!(name(&short, 999_999), "kf423f");
        let mut counter = Vec::new();
        long.append_counter(0x1f3, &mut counter);
        assert_eq!(counter, b"num-001f3-------");
        assert_eq!(name(&names("250", 1).expect("names"), 0).len(), 250);
    }

    #[test]
    fn every_key_has_one_name_and_is_known_by_it() {
        for (sizes, keys) in [("4", 4096), ("4-12", 4096), ("facebook", 5000), ("twitter", 5000)] {
            let names = names(sizes, keys).expect("names");
            let mut seen = std::collections::HashSet::new();
            for id in 0..keys {
                let name = name(&names, id);
                assert!(name.len() <= KEY_BYTES_MAX);
                assert_eq!(names.id_of(name.as_bytes()), Some(id), "{name}");
                assert!(seen.insert(name));
                let mut counter = Vec::new();
                names.append_counter(id, &mut counter);
                assert!(seen.insert(String::from_utf8(counter).expect("ASCII")));
            }
        }
    }

    #[test]
    fn other_names_are_no_keys_of_the_run() {
        let names = names("16", 1_000_000).expect("names");
        for other in [
            "",
            "k",
            "key-",
            "foo",
            "key-001f3",
            "key-001f3------x",
            "key-001f3--------",
            "num-001f3-------",
            "key-001F3-------",
            "key-fffff-------",
            "k001f3----------",
        ] {
            assert_eq!(names.id_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn names_too_short_for_so_many_keys_are_refused() {
        assert_eq!(
            names("5-30", 1_000_000).expect_err("too short").to_string(),
            "1000000 keys need names of at least 6 bytes, not 5"
        );
        assert_eq!(names("16", 0).expect_err("none").to_string(), "there must be at least one key");
        assert!(names("17", u64::MAX).is_ok());
    }

    #[test]
    fn a_published_shapes_names_are_long_enough_for_any_number_of_keys() {
        let names = names("twitter", u64::MAX).expect("names");
        let mut sizes = std::collections::HashSet::new();
        for id in (0..u64::MAX - 1).step_by(1 << 54) {
            let name = name(&names, id);
            assert_eq!(names.id_of(name.as_bytes()), Some(id), "{name}");
            sizes.insert(name.len());
        }
        assert!(sizes.contains(&17) && sizes.iter().all(|&size| size >= 17), "{sizes:?}");
    }
}
