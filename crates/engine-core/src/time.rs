/// Longest exptime, in seconds, that is an offset from now; a larger one is a Unix time.
/// protocol.txt, "Expiration times".
const RELATIVE_EXPTIME_MAX: i64 = 60 * 60 * 24 * 30;

/// The moment of a call in whole Unix seconds: memcached's granularity.
///
/// Calls of one store must not go back in time by more than clocks of one machine do; an item
/// whose last access lies in the future counts as accessed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(u32);

impl Now {
    /// This many seconds after 1970-01-01 UTC.
    #[must_use]
    pub const fn from_unix_secs(secs: u32) -> Self {
        Self(secs)
    }

    /// Seconds after 1970-01-01 UTC.
    #[must_use]
    pub const fn unix_secs(self) -> u32 {
        self.0
    }
}

/// When an item ceases to exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// Not by time.
    #[default]
    Never,
    /// From this Unix second on.
    At(u32),
    /// At once: the command succeeds and the item is gone.
    Immediately,
}

impl Expiry {
    /// What a client's exptime means: 0 never, negative at once, up to 30 days an offset from
    /// now, above that a Unix time. protocol.txt, "Expiration times".
    #[must_use]
    pub fn from_exptime(exptime: i64, now: Now) -> Self {
        let at = match exptime {
            0 => return Self::Never,
            i64::MIN..0 => return Self::Immediately,
            1..=RELATIVE_EXPTIME_MAX => exptime + i64::from(now.0),
            _ => exptime,
        };
        Self::At(u32::try_from(at).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exptime_is_relative_up_to_thirty_days() {
        let check = |exptime, expected| {
            let now = Now::from_unix_secs(1_000_000_000);
            assert_eq!(Expiry::from_exptime(exptime, now), expected, "exptime {exptime}");
        };
        check(0, Expiry::Never);
        check(-1, Expiry::Immediately);
        check(i64::MIN, Expiry::Immediately);
        check(1, Expiry::At(1_000_000_001));
        check(2_592_000, Expiry::At(1_002_592_000));
        check(2_592_001, Expiry::At(2_592_001));
        check(i64::MAX, Expiry::At(u32::MAX));
    }
}
