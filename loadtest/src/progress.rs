//! What is seen of a run while it lasts: a line that changes on a terminal, lines that stay elsewhere.

use std::time::Duration;

use crate::report::Second;

/// The live display of one run, on standard error.
#[derive(Debug)]
pub struct Progress {
    total: Duration,
    is_terminal: bool,
}

impl Progress {
    /// Begins the display of a run whose measured part takes `total`.
    #[must_use]
    pub fn new(total: Duration, is_terminal: bool) -> Self {
        Self { total, is_terminal }
    }

    /// `done` of `keys` keys are stored by `--fill`, before the warm-up.
    pub fn filling(&mut self, _done: u64, _keys: u64) {}

    /// A second of the run is over.
    pub fn second(&mut self, _second: &Second) {}

    /// Something happened that the report will mark.
    pub fn note(&mut self, _text: &str) {}

    /// The run is over: what was not yet told is told, and the terminal's line is taken away.
    pub fn finish(self) {
        let _ = (self.total, self.is_terminal);
    }
}
