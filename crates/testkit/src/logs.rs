use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The lines that a process has written, collected as they come.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    open_streams: usize,
}

impl Logs {
    /// Collects `stream` too, on a thread of its own that ends with the stream.
    pub fn follow(&self, stream: impl Read + Send + 'static) {
        self.state().open_streams += 1;
        let logs = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                logs.state().lines.push(text);
                logs.shared.changed.notify_all();
                line.clear();
            }
            logs.state().open_streams -= 1;
            logs.shared.changed.notify_all();
        });
    }

    /// Waits for a line for which `found` gives something; lines of the past count.
    ///
    /// `None` when the streams ended or `patience` ran out without one.
    pub fn find<T>(&self, patience: Duration, found: impl FnMut(&str) -> Option<T>) -> Option<T> {
        self.find_after(0, patience, found)
    }

    /// As [`Logs::find`], among the lines after the first `skipped` ones.
    pub fn find_after<T>(
        &self,
        skipped: usize,
        patience: Duration,
        mut found: impl FnMut(&str) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut state = self.state();
        let mut seen = skipped;
        loop {
            while let Some(line) = state.lines.get(seen) {
                if let Some(value) = found(line) {
                    return Some(value);
                }
                seen += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open_streams == 0 || left.is_zero() {
                return None;
            }
            let woken = self.shared.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the end of all streams, for so long at most: a child's child may have them too.
    pub fn wait_end(&self, patience: Duration) {
        self.find(patience, |_| None::<()>);
    }

    /// How many lines there are: a position for [`Logs::find_after`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().lines.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.state().lines.join("\n")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PATIENCE;

    #[test]
    fn finds_lines_of_the_past_and_gives_up_at_the_end_of_the_stream() {
        let logs = Logs::default();
        logs.follow(&b"one\ntwo 2\n"[..]);
        let number = |line: &str| line.strip_prefix("two ").map(str::to_owned);
        assert_eq!(logs.find(PATIENCE, number).as_deref(), Some("2"));
        assert_eq!(logs.find(PATIENCE, |line| (line == "three").then_some(())), None);
        assert_eq!(logs.find_after(2, PATIENCE, number), None);
        assert_eq!(logs.text(), "one\ntwo 2");
    }
}
