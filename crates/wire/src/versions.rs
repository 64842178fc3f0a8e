use core::fmt;

use crate::error::PrefaceError;

/// The oldest version of the node protocol that this program speaks.
pub const VERSION_MIN: u16 = 1;

/// The newest one.
///
/// ```text
/// 1  the frames
/// 2  a greeting in each direction before the first frame: see Greeting
/// ```
/// What a version is, never changes: another frame, or another form of one, is another version.
pub const VERSION_MAX: u16 = 2;

/// The versions of the node protocol that a side speaks: these two and all between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub min: u16,
    /// The newest.
    pub max: u16,
}

impl Versions {
    /// All that this program knows.
    pub const KNOWN: Self = Self { min: VERSION_MIN, max: VERSION_MAX };

    /// Those of them that are not above `max`; `None` where there are none, or `max` is not known.
    #[must_use]
    pub fn up_to(max: u16) -> Option<Self> {
        let is_known = (VERSION_MIN..=VERSION_MAX).contains(&max);
        is_known.then_some(Self { min: VERSION_MIN, max })
    }

    /// The version that both sides speak: the newest.
    ///
    /// # Errors
    /// Where there is none.
    pub fn agree(self, theirs: Self) -> Result<u16, PrefaceError> {
        let newest = self.max.min(theirs.max);
        if newest < self.min.max(theirs.min) {
            return Err(PrefaceError::Versions { theirs, ours: self });
        }
        Ok(newest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { min, max } if min == max => write!(f, "version {min}"),
            Self { min, max } => write!(f, "versions {min} to {max}"),
        }
    }
}
