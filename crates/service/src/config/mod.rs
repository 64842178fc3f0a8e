//! One table of settings, read from flags, environment and file, with the blame kept.
//!
//! A program lists the [`Setting`]s of all its roles once; a [`Schema`] is what one of them sees. [`Given::gather`] collects what was given for each, the
//! flag before the environment before the file before the default, and every later complaint names
//! the place where the user wrote the value.

mod given;
mod schema;
mod values;

pub use given::{ConfigError, Environment, Given, Origin};
pub use schema::{Schema, Setting};
pub use values::{addresses, duration, host, memory, one_of, show_size, size};
