//! What happened, for a human to read, and a hash of it for two runs to be compared.

use std::collections::VecDeque;

use crate::heap::Nanos;

/// How much of a run is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Nothing but the hash of what happened when to whom.
    Off,
    /// The last lines.
    Tail(usize),
    /// Every line.
    All,
}

/// The trace of a run.
pub struct Trace {
    recording: Recording,
    lines: VecDeque<String>,
    hash: u64,
}

impl Trace {
    pub const fn new(recording: Recording) -> Self {
        Self { recording, lines: VecDeque::new(), hash: 0xcbf2_9ce4_8422_2325 }
    }

    /// Notes numbers that say what happened.
    pub fn mark(&mut self, numbers: [u64; 3]) {
        for number in numbers {
            self.hash = (self.hash.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    /// Notes a line, which is made only where lines are kept.
    pub fn line(&mut self, now: Nanos, line: impl FnOnce() -> String) {
        let lines_max = match self.recording {
            Recording::Off => return,
            Recording::Tail(lines_max) => lines_max,
            Recording::All => usize::MAX,
        };
        if self.lines.len() >= lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>12.6} {}", seconds(now), line()));
    }

    pub const fn hash(&self) -> u64 {
        self.hash
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a human to read")]
fn seconds(now: Nanos) -> f64 {
    now as f64 / 1e9
}
