use crate::drive::Nanos;

use super::{CommandKind, Latencies, Outcome, Trouble};

/// Error lines that are told apart; the rest is summed up.
const ERROR_LINES_MAX: usize = 32;
/// As much of an error line as is told.
const ERROR_LINE_BYTES_MAX: usize = 160;

/// What one thread counted in some time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Plain sums.
    pub counts: Counts,
    /// From when a connection was begun to when it could be used.
    pub connecting: Option<Box<Latencies>>,
    /// How late requests were written although a connection was free.
    pub lag: Option<Box<Latencies>>,
    latencies: Vec<Option<Box<Latencies>>>,
    error_lines: Vec<(Vec<u8>, u64)>,
    error_lines_beyond: u64,
    troubles: [u64; Trouble::ALL.len()],
    examples: [Option<String>; Trouble::ALL.len()],
}

/// Plain sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that came due.
    pub scheduled: u64,
    /// Of these, those that found no connection with room until the end.
    pub unsent: u64,
    /// Requests written.
    pub requests: u64,
    /// Whole replies.
    pub replies: u64,
    /// Requests that will get no reply.
    pub lost: u64,
    /// Error replies.
    pub errors: u64,
    /// Keys asked for that were there.
    pub hits: u64,
    /// Keys asked for that were not.
    pub misses: u64,
    /// Bytes of requests, before TLS.
    pub bytes_sent: u64,
    /// Bytes of replies, after TLS.
    pub bytes_received: u64,
    /// Connections made.
    pub connections: u64,
    /// Of these, those that resumed a TLS session.
    pub resumed: u64,
    /// Time in which the thread did not wait, by the wall's clock.
    pub busy_ns: Nanos,
    /// Processor time of the thread.
    pub cpu_ns: Nanos,
    /// Time in which the thread could run and had no core.
    pub starved_ns: Nanos,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.unsent += other.unsent;
        self.requests += other.requests;
        self.replies += other.replies;
        self.lost += other.lost;
        self.errors += other.errors;
        self.hits += other.hits;
        self.misses += other.misses;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.connections += other.connections;
        self.resumed += other.resumed;
        self.busy_ns += other.busy_ns;
        self.cpu_ns += other.cpu_ns;
        self.starved_ns += other.starved_ns;
    }
}

impl Tally {
    /// A reply came. Allocates only for the first of its kind.
    #[inline]
    pub fn replied(&mut self, command: CommandKind, outcome: Outcome, latency: Nanos) {
        self.counts.replies += 1;
        if self.latencies.is_empty() {
            self.latencies.resize_with(CommandKind::ALL.len() * Outcome::ALL.len(), || None);
        }
        let place = command as usize * Outcome::ALL.len() + outcome as usize;
        self.latencies[place].get_or_insert_default().record(latency);
    }

    /// A reply was this error line.
    pub fn error_line(&mut self, line: &[u8]) {
        self.counts.errors += 1;
        self.add_error_line(&line[..line.len().min(ERROR_LINE_BYTES_MAX)], 1);
    }

    /// A connection broke; `text` says how, and is kept for the first.
    pub fn trouble(&mut self, trouble: Trouble, text: &str) {
        self.troubles[trouble as usize] += 1;
        self.examples[trouble as usize].get_or_insert_with(|| text.to_owned());
    }

    /// A connection could be used this long after it was begun.
    pub fn connected(&mut self, after: Nanos, is_resumed: bool) {
        self.counts.connections += 1;
        self.counts.resumed += u64::from(is_resumed);
        self.connecting.get_or_insert_default().record(after);
    }

    /// A request was written this late although a connection was free.
    #[inline]
    pub fn lagged(&mut self, lag: Nanos) {
        self.lag.get_or_insert_default().record(lag);
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        add_latencies(&mut self.connecting, other.connecting.as_deref());
        add_latencies(&mut self.lag, other.lag.as_deref());
        if self.latencies.len() < other.latencies.len() {
            self.latencies.resize_with(other.latencies.len(), || None);
        }
        for (into, from) in self.latencies.iter_mut().zip(&other.latencies) {
            add_latencies(into, from.as_deref());
        }
        for (line, count) in &other.error_lines {
            self.add_error_line(line, *count);
        }
        self.error_lines_beyond += other.error_lines_beyond;
        for trouble in Trouble::ALL {
            let at = trouble as usize;
            self.troubles[at] += other.troubles[at];
            if self.examples[at].is_none() {
                self.examples[at].clone_from(&other.examples[at]);
            }
        }
    }

    /// The latencies of every command and outcome that occurred.
    pub fn by_command(&self) -> impl Iterator<Item = (CommandKind, Outcome, &Latencies)> {
        let places = CommandKind::ALL
            .iter()
            .flat_map(|&command| Outcome::ALL.iter().map(move |&outcome| (command, outcome)));
        places
            .zip(&self.latencies)
            .filter_map(|((command, outcome), it)| Some((command, outcome, it.as_deref()?)))
    }

    /// The latencies of all replies.
    #[must_use]
    pub fn all_latencies(&self) -> Latencies {
        let mut all = Latencies::new();
        self.by_command().for_each(|(_, _, latencies)| all.add(latencies));
        all
    }

    /// Error lines and how often they came, the most frequent first; a last one sums up the rest.
    #[must_use]
    pub fn error_lines(&self) -> Vec<(String, u64)> {
        let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        let mut lines: Vec<_> =
            self.error_lines.iter().map(|(line, count)| (text(line), *count)).collect();
        lines.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        if self.error_lines_beyond > 0 {
            lines.push(("(others)".to_owned(), self.error_lines_beyond));
        }
        lines
    }

    /// Kinds of trouble that occurred, how often, and what the first of each said.
    pub fn troubles(&self) -> impl Iterator<Item = (Trouble, u64, &str)> {
        Trouble::ALL.into_iter().filter_map(|trouble| {
            let at = trouble as usize;
            let example = self.examples[at].as_deref()?;
            Some((trouble, self.troubles[at], example))
        })
    }

    fn add_error_line(&mut self, line: &[u8], count: u64) {
        if let Some((_, known)) = self.error_lines.iter_mut().find(|(known, _)| known == line) {
            *known += count;
        } else if self.error_lines.len() < ERROR_LINES_MAX {
            self.error_lines.push((line.to_owned(), count));
        } else {
            self.error_lines_beyond += count;
        }
    }
}

fn add_latencies(into: &mut Option<Box<Latencies>>, from: Option<&Latencies>) {
    match (into, from) {
        (Some(into), Some(from)) => into.add(from),
        (into @ None, Some(from)) => *into = Some(Box::new(from.clone())),
        (_, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::default();
        one.replied(CommandKind::Get, Outcome::Hit, 1_000);
        one.error_line(b"ERROR");
        let mut other = Tally::default();
        other.replied(CommandKind::Get, Outcome::Hit, 3_000);
        other.replied(CommandKind::Set, Outcome::Stored, 5_000);
        other.error_line(b"SERVER_ERROR x");
        other.error_line(b"SERVER_ERROR x");
        other.trouble(Trouble::Reset, "first");
        other.trouble(Trouble::Reset, "second");
        one.add(&other);
        let seen: Vec<_> = one.by_command().map(|(c, o, it)| (c, o, it.count())).collect();
        let get = (CommandKind::Get, Outcome::Hit, 2);
        assert_eq!(seen, [get, (CommandKind::Set, Outcome::Stored, 1)]);
        assert_eq!(one.all_latencies().count(), 3);
        let lines = [("SERVER_ERROR x".to_owned(), 2), ("ERROR".to_owned(), 1)];
        assert_eq!(one.error_lines(), lines);
        assert_eq!(one.troubles().collect::<Vec<_>>(), [(Trouble::Reset, 2, "first")]);
        assert_eq!((one.counts.replies, one.counts.errors), (3, 3));
    }

    #[test]
    fn error_lines_are_bounded() {
        let mut tally = Tally::default();
        (0..100).for_each(|n| tally.error_line(format!("SERVER_ERROR {n}").as_bytes()));
        let lines = tally.error_lines();
        assert_eq!(lines.len(), ERROR_LINES_MAX + 1);
        assert_eq!(lines.last().unwrap(), &("(others)".to_owned(), 68));
    }
}
