use core::fmt;
use std::sync::Arc;

use crate::limits::CACHE_NAME_BYTES_MAX;

/// A cache by its name: what a tenant sees.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(Arc<str>);

impl CacheId {
    /// The cache of this name, of 1 to [`CACHE_NAME_BYTES_MAX`] ASCII letters, digits and hyphens;
    /// `None` of any other.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=CACHE_NAME_BYTES_MAX).contains(&name.len());
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (fits && name.bytes().all(is_word)).then(|| Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The cache that is meant where none is named.
impl Default for CacheId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for CacheId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_word() {
        assert_eq!(CacheId::new("sessions-2").map(|id| id.to_string()), Some("sessions-2".into()));
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(CACHE_NAME_BYTES_MAX + 1)] {
            assert_eq!(CacheId::new(bad), None, "{bad:?}");
        }
        assert_eq!(CacheId::new(CacheId::default().name()), Some(CacheId::default()));
    }
}
