//! `--at TIME 'command'`: shell commands at moments of a run, and the marks that they leave.

use std::time::{Duration, Instant};

use thiserror::Error;

use crate::report::Mark;

/// A command and its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// When it begins, since the measured part did.
    pub at: Duration,
    /// For `sh -c`.
    pub command: String,
}

/// Why `--at` is not to be understood.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum HookError {
    #[error("--at {0}: a time is 500ms, 10s, 1.5m or 1h")]
    Time(String),
    #[error("--at {0}: which command? give: --at {0} 'command'")]
    NoCommand(String),
}

/// Reads the words of all `--at`: TIME, COMMAND, TIME, COMMAND, ...; sorted by time.
///
/// # Errors
/// The first that is not to be understood.
pub fn plan(_words: &[String]) -> Result<Vec<Hook>, HookError> {
    Ok(Vec::new())
}

/// Hooks that run at their times, each on a thread of its own.
#[derive(Debug)]
pub struct Hooks {}

impl Hooks {
    /// Runs `plan` from now on; `origin` is the begin of the measured part, and may be to come.
    ///
    /// `note` gets lines for people: what a hook writes, and how it ends. It is called from several
    /// threads, one at a time.
    pub fn start(
        _plan: Vec<Hook>,
        _origin: Instant,
        _note: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        Self {}
    }

    /// Ends with the run: what has not begun never will, what still runs is waited for up to
    /// `patience` and then killed with all its children. The marks are in the order of their time.
    pub fn finish(self, _patience: Duration) -> Vec<Mark> {
        Vec::new()
    }
}
