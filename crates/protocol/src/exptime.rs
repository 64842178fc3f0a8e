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
    /// Seconds since 1970, above [`RELATIVE_EXPTIME_SECS_MAX`]; may well be in the past.
    Absolute(u32),
    /// Negative: the item is expired from the start.
    Immediate,
}

impl Exptime {
    /// The meaning of the number on the wire.
    #[must_use]
    pub const fn from_wire(number: i32) -> Self {
        match number {
            0 => Self::Never,
            i32::MIN..0 => Self::Immediate,
            _ if number as i64 <= RELATIVE_EXPTIME_SECS_MAX => Self::Relative(number as u32),
            _ => Self::Absolute(number as u32),
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
