use serde::Deserialize;

use crate::report::{Mark, MarkSource};

/// The answer to `GET /v1/events?after=SEQUENCE`; docs/operations/admin.md has what the fields mean.
#[derive(Debug, Deserialize)]
pub struct Page {
    since_ms: u64,
    now_ms: u64,
    events: Vec<Event>,
    forgotten: u64,
    next: u64,
}

#[derive(Debug, Deserialize)]
struct Event {
    at_ms: u64,
    kind: String,
    text: String,
}

/// Follows the events of an endpoint over its restarts.
#[derive(Debug)]
pub struct Follower {
    since_ms: u64,
    next: u64,
}

/// What came of an answer.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// Events, oldest first.
    Marks(Vec<Mark>),
    /// Another process answers than before: this mark says so. Its events are to be asked for from
    /// the begin, now.
    Restarted(Mark),
}

impl Follower {
    /// Begins where `page` ends: what is in it was before.
    pub fn new(page: &Page) -> Self {
        Self { since_ms: page.since_ms, next: page.next }
    }

    /// After which event to ask.
    pub fn after(&self) -> u64 {
        self.next
    }

    /// Takes in an answer that the endpoint gave at `at_s` of the run's time; times in it are mapped
    /// by that, whatever the endpoint's clock shows.
    pub fn hear(&mut self, page: Page, at_s: f64) -> Heard {
        let mark = |at_ms: u64, text: String| {
            #[expect(clippy::cast_precision_loss, reason = "an age, far below 2^53 ms")]
            let age_ms = page.now_ms.saturating_sub(at_ms) as f64;
            Mark { at_s: at_s - age_ms / 1000.0, source: MarkSource::Endpoint, text }
        };
        if page.since_ms != self.since_ms {
            *self = Self { since_ms: page.since_ms, next: 0 };
            return Heard::Restarted(mark(page.since_ms, "another process began".to_owned()));
        }
        self.next = page.next;
        let mut marks = Vec::with_capacity(page.events.len());
        if page.forgotten > 0 {
            let at_ms = page.events.first().map_or(page.now_ms, |event| event.at_ms);
            let text = format!("{} earlier events are forgotten", page.forgotten);
            marks.push(mark(at_ms, text));
        }
        marks.extend(page.events.iter().map(|event| {
            // Kinds are words for programs: drain_began.
            let kind = event.kind.replace('_', " ");
            mark(event.at_ms, format!("{kind}: {}", event.text))
        }));
        Heard::Marks(marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(since_ms: u64, now_ms: u64, sequences: std::ops::RangeInclusive<u64>) -> Page {
        let next = *sequences.end();
        let event = |sequence: u64| Event {
            at_ms: since_ms + 1000 * sequence,
            kind: "drain_began".to_owned(),
            text: sequence.to_string(),
        };
        Page { since_ms, now_ms, events: sequences.map(event).collect(), forgotten: 0, next }
    }

    fn told(heard: Heard) -> Vec<(f64, String)> {
        let Heard::Marks(marks) = heard else { panic!("{heard:?}") };
        marks.into_iter().map(|mark| (mark.at_s, mark.text)).collect()
    }

    #[test]
    fn events_since_the_last_answer_are_put_on_the_time_of_the_run() {
        // The endpoint's clock is years behind.
        let mut follower = Follower::new(&page(10_000, 13_000, 1..=3));
        assert_eq!(follower.after(), 3);
        let heard = told(follower.hear(page(10_000, 15_500, 4..=5), 2.0));
        let expected = [(0.5, "drain began: 4".to_owned()), (1.5, "drain began: 5".to_owned())];
        assert_eq!((heard, follower.after()), (expected.to_vec(), 5));
        let none = Page { events: Vec::new(), ..page(10_000, 16_500, 5..=5) };
        assert_eq!((told(follower.hear(none, 3.0)), follower.after()), (Vec::new(), 5));
    }

    #[test]
    fn what_was_forgotten_is_told() {
        let mut follower = Follower::new(&page(0, 1000, 1..=1));
        let heard = told(follower.hear(Page { forgotten: 7, ..page(0, 9000, 9..=9) }, 5.0));
        assert_eq!(heard[0], (5.0, "7 earlier events are forgotten".to_owned()));
        assert_eq!(heard.len(), 2);
    }

    #[test]
    fn a_restart_is_told_and_its_events_are_asked_for_from_the_begin() {
        let mut follower = Follower::new(&page(10_000, 13_000, 1..=3));
        // It began 2.5 s before it answered.
        let heard = follower.hear(page(50_000, 52_500, 4..=4), 6.0);
        let text = "another process began".to_owned();
        let mark = Mark { at_s: 3.5, source: MarkSource::Endpoint, text };
        assert_eq!((heard, follower.after()), (Heard::Restarted(mark), 0));
        let heard = told(follower.hear(page(50_000, 52_500, 1..=2), 6.0));
        assert_eq!((heard.len(), follower.after()), (2, 2));
    }
}
