use std::{io, path::PathBuf};

/// Why a configuration cannot be used. One line each: where, what, what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("--config {}: failed to read: {source}; give the path of a readable TOML file", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Not TOML.
    #[error("{}:{line}: not TOML: {reason}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The parser's words, on one line.
        reason: String,
    },
    /// A key that is no setting.
    #[error("{}:{line}: unknown key {key}{}", path.display(), suggestion(*nearest))]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// As it was written.
        key: String,
        /// The setting that it resembles.
        nearest: Option<&'static str>,
    },
    /// A table or a date in the place of a value.
    #[error("{}:{line}: {key} cannot be {found}; give a string, a number or an array of them", path.display())]
    NoValue {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// The setting.
        key: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A value that its setting cannot take.
    #[error("{place}: {reason}")]
    Bad {
        /// See [`super::Given::place`].
        place: String,
        /// What is wrong, and what to give.
        reason: String,
    },
}

fn suggestion(nearest: Option<&'static str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => "; memtide --help lists the settings".to_owned(),
    }
}
