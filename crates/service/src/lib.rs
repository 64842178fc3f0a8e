//! Placeholder replaced by the crate's table of contents.
