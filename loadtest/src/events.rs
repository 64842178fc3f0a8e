//! `--admin URL`: what memtide says happened to it during a run, asked for once a second.

use std::time::Instant;

use thiserror::Error;

use crate::report::Mark;

/// Why an admin HTTP cannot be asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EventsError {
    #[error("--admin {0}: give it as http://HOST:PORT, as in http://127.0.0.1:9150")]
    Url(String),
    #[error("--admin {0}: memtide's admin port speaks plain HTTP; give http://, not https://")]
    Https(String),
    #[error("--admin {url}: failed to ask: {reason}; is it the --admin address of a memtide?")]
    Unreachable { url: String, reason: String },
}

/// Asks for events on a thread of its own.
#[derive(Debug)]
pub struct Poller {}

impl Poller {
    /// Asks a first time, and then about once a second until [`Self::finish`]; events from now on
    /// become marks. `origin` is the begin of the measured part, and may be to come.
    ///
    /// `note` gets lines for people, such as that this memtide is too old to have events.
    ///
    /// # Errors
    /// When the URL is none, or nothing answers there.
    pub fn start(
        _url: &str,
        _origin: Instant,
        _note: impl FnMut(&str) + Send + 'static,
    ) -> Result<Self, EventsError> {
        Ok(Self {})
    }

    /// Asks a last time, and gives the marks in the order of their time.
    pub fn finish(self) -> Vec<Mark> {
        Vec::new()
    }
}
