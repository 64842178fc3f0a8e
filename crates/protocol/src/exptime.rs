use crate::limits::RELATIVE_EXPTIME_SECS_MAX;

/// When an item expires, as the client wrote it; the engine resolves it against its clock.
///
/// protocol.txt, "Expiration times": up to 30 days count from now, more is a Unix time, negative is
/// at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Exptime {
    /// 0: the item does not expire.
    #[default]
    Never,
    /// Seconds from now, in `1..=`[`RELATIVE_EXPTIME_SECS_MAX`].
    Relative(u32),
    /// Seconds since 1970, above [`RELATIVE_EXPTIME_SECS_MAX`]; may well be in the past. Times
    /// after the year 2106 count as the last second of these 32 bits.
    Absolute(u32),
    /// Negative: the item is expired from the start.
    Immediate,
}

impl Exptime {
    /// The meaning of the number on the wire.
    #[must_use]
    pub fn from_wire(number: i64) -> Self {
        let secs = u32::try_from(number).unwrap_or(u32::MAX);
        match number {
            i64::MIN..0 => Self::Immediate,
            0 => Self::Never,
            1..=RELATIVE_EXPTIME_SECS_MAX => Self::Relative(secs),
            _ => Self::Absolute(secs),
        }
    }

    /// A number that [`Exptime::from_wire`] reads as this exptime.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        match self {
            Self::Never => 0,
            Self::Relative(secs) | Self::Absolute(secs) => secs as i64,
            Self::Immediate => -1,
        }
    }

    /// The Unix second at which the item is gone; `None` is never.
    ///
    /// An item is expired when this is at or before `now_unix_secs`.
    #[must_use]
    pub const fn resolve(self, now_unix_secs: u64) -> Option<u64> {
        match self {
            Self::Never => None,
            Self::Relative(secs) => Some(now_unix_secs.saturating_add(secs as u64)),
            Self::Absolute(secs) => Some(secs as u64),
            Self::Immediate => Some(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_and_thirty_days_decide() {
        let days_30 = RELATIVE_EXPTIME_SECS_MAX;
        for (wire, exptime, gone_at) in [
            (i64::MIN, Exptime::Immediate, Some(0)),
            (-1, Exptime::Immediate, Some(0)),
            (0, Exptime::Never, None),
            (1, Exptime::Relative(1), Some(1001)),
            (days_30, Exptime::Relative(2_592_000), Some(2_593_000)),
            (days_30 + 1, Exptime::Absolute(2_592_001), Some(2_592_001)),
            (1 << 31, Exptime::Absolute(1 << 31), Some(1 << 31)),
            (i64::MAX, Exptime::Absolute(u32::MAX), Some(u64::from(u32::MAX))),
        ] {
            assert_eq!(Exptime::from_wire(wire), exptime, "{wire}");
            assert_eq!(exptime.resolve(1000), gone_at, "{wire}");
            assert_eq!(Exptime::from_wire(exptime.to_wire()), exptime, "{wire}");
        }
    }
}
