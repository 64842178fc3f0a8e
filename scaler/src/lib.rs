//! The control stream.
