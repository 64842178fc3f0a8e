//! What happened to this process lately, for those who look at it from outside.
//!
//! ```text
//!  record --> ring of the newest --> GET /v1/events?after=SEQUENCE&process=PROCESS_SINCE_MS
//!      \----> a thread of its own --> the log in the data directory --> the ring of the next process
//! ```
//!
//! It is for what happens seldom and explains what a client sees: a drain, a new certificate,
//! evictions that begin, a node that joins. Never recorded for a request; that is what metrics are
//! for. Who records never waits for a disk.

mod keep;
mod kind;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use memtide_records::{Fault, LogError};
use serde::{Deserialize, Serialize};

use self::keep::Keeper;
pub use self::kind::EventKind;
use crate::limits::{EVENT_TEXT_BYTES_MAX, EVENTS_MAX};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// From 1 on, one more with every event of this log.
    pub sequence: u64,
    /// When, in milliseconds since 1970 by this host's clock.
    pub at_ms: u64,
    /// The part of memtide that tells it: `proxy`, `scaler` and so on.
    pub source: String,
    /// What kind of thing.
    pub kind: EventKind,
    /// What, in a few words for people.
    pub text: String,
}

/// The answer to `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventsPage {
    /// When this log was begun, in milliseconds since 1970: another one than in the last answer
    /// means another log, whose sequence begins anew.
    pub since_ms: u64,
    /// This host's clock now, to map times to one's own.
    pub now_ms: u64,
    /// The events asked for that are still known, the oldest first.
    pub events: Vec<Event>,
    /// How many of those asked for are forgotten.
    pub forgotten: u64,
    /// The last event's sequence: what to give as `after` the next time.
    pub next: u64,
    /// When the process that answers began, in milliseconds since 1970: another one than in the last
    /// answer means another process, before whose first event some of the last moment before a kill
    /// may be missing.
    pub process_since_ms: u64,
    /// The sequence of its first event. Where more was heard than up to there of the process before,
    /// the rest did not outlive it, and its sequences are given again.
    pub process_first: u64,
}

/// The recent events of this process; clones record into the same log.
#[derive(Clone, Debug)]
pub struct Events {
    source: &'static str,
    ring: Arc<Mutex<Ring>>,
    /// To who writes them down, where they are.
    keeper: Option<Arc<Keeper>>,
}

#[derive(Debug)]
struct Ring {
    since_ms: u64,
    /// When this process began with it, and the sequence of its first event.
    process_since_ms: u64,
    first_sequence: u64,
    last_sequence: u64,
    events: VecDeque<Event>,
    /// Of the processes before this one: when each began, and the first event that outlived it.
    earlier: Vec<(u64, u64)>,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// None yet, and none outlives the process.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Ring::new(now_ms()), None)
    }

    /// Goes on with the log in this directory, or begins it; the directory is this process's alone.
    /// What of it could not be read is told, and left out.
    ///
    /// # Errors
    /// What the system says of the files, or of one more thread.
    pub fn open(directory: &Path) -> Result<(Self, Vec<Fault>), LogError> {
        let (ring, keeper, faults) = keep::open(directory)?;
        Ok((Self::with(ring, Some(Arc::new(keeper))), faults))
    }

    fn with(ring: Ring, keeper: Option<Arc<Keeper>>) -> Self {
        Self { source: "memtide", ring: Arc::new(Mutex::new(ring)), keeper }
    }

    /// The same log, for another part of memtide.
    #[must_use]
    pub fn of(&self, source: &'static str) -> Self {
        Self { source, ..self.clone() }
    }

    /// Something happened now. The oldest event gives way when [`EVENTS_MAX`] are there.
    pub fn record(&self, kind: EventKind, text: impl Into<String>) {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(EVENT_TEXT_BYTES_MAX));
        let mut ring = self.ring();
        ring.last_sequence += 1;
        let (sequence, source) = (ring.last_sequence, self.source.to_owned());
        let event = Event { sequence, at_ms: now_ms(), source, kind, text };
        if let Some(keeper) = &self.keeper {
            keeper.put((ring.since_ms, ring.process_since_ms), event.clone());
        }
        ring.push(event);
    }

    /// What happened after the event with this sequence; 0 is before all. For one that is yet to come,
    /// as a client has it who heard of events that did not outlive an earlier process, it is what
    /// happened to this one.
    #[must_use]
    pub fn after(&self, sequence: u64) -> EventsPage {
        self.after_heard_of(sequence, None)
    }

    /// As [`Self::after`], of a client that heard of that event from the process that began then
    /// ([`EventsPage::process_since_ms`]): what processes after that one have told, too, where that one was
    /// killed and not all that it had told outlived it.
    #[must_use]
    pub fn after_heard_of(&self, sequence: u64, process_since_ms: Option<u64>) -> EventsPage {
        let ring = self.ring();
        let sequence = process_since_ms.map_or(sequence, |it| ring.heard(sequence, it));
        let is_unknown = sequence > ring.last_sequence;
        let after = if is_unknown { ring.first_sequence - 1 } else { sequence };
        let events: Vec<_> =
            ring.events.iter().filter(|event| event.sequence > after).cloned().collect();
        let asked_for = ring.last_sequence - after;
        EventsPage {
            since_ms: ring.since_ms,
            now_ms: now_ms(),
            forgotten: asked_for - events.len() as u64,
            events,
            next: ring.last_sequence,
            process_since_ms: ring.process_since_ms,
            process_first: ring.first_sequence,
        }
    }

    /// Waits until all that was recorded is written and synced, for a second at most: the last thing
    /// that a process does with them.
    pub fn settle(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.settle();
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// A log that begins now.
    const fn new(now_ms: u64) -> Self {
        Self {
            since_ms: now_ms,
            process_since_ms: now_ms,
            first_sequence: 1,
            last_sequence: 0,
            events: VecDeque::new(),
            earlier: Vec::new(),
        }
    }

    /// A process has begun after those that told all of this.
    fn begin_process(&mut self, now_ms: u64) {
        let before = self.earlier.last().map_or(0, |(since_ms, _)| since_ms + 1);
        self.process_since_ms = before.max(now_ms);
        self.first_sequence = self.last_sequence + 1;
    }

    /// Up to which sequence there is nothing new for one that heard of this one from the process that
    /// began then. What did not outlive that process has its sequences given again by the next.
    fn heard(&self, sequence: u64, process_since_ms: u64) -> u64 {
        let this = (self.process_since_ms, self.first_sequence);
        let mut processes = self.earlier.iter().copied().chain([this]);
        let next = processes.find(|(since_ms, _)| *since_ms > process_since_ms);
        next.map_or(sequence, |(_, first)| sequence.min(first - 1))
    }

    fn push(&mut self, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(page: &EventsPage) -> Vec<&str> {
        page.events.iter().map(|event| event.text.as_str()).collect()
    }

    #[test]
    fn a_client_that_goes_on_after_the_last_misses_none_and_gets_none_twice() {
        let events = Events::new();
        let none = events.after(0);
        assert_eq!((none.events.len(), none.next, none.forgotten), (0, 0, 0));
        events.record(EventKind::Listening, "one");
        events.clone().record(EventKind::TlsReloaded, "two");
        let page = events.after(none.next);
        assert_eq!((texts(&page), page.next), (vec!["one", "two"], 2));
        events.record(EventKind::DrainBegan, "three");
        let page = events.after(page.next);
        assert_eq!((texts(&page), page.next, page.forgotten), (vec!["three"], 3, 0));
        assert_eq!(texts(&events.after(1)), ["two", "three"]);
        assert!(page.since_ms <= page.events[0].at_ms && page.events[0].at_ms <= page.now_ms);
    }

    #[test]
    fn the_oldest_are_forgotten_and_counted() {
        let events = Events::new();
        for number in 1..=EVENTS_MAX + 10 {
            events.record(EventKind::TlsReloaded, number.to_string());
        }
        let page = events.after(0);
        assert_eq!((page.events.len(), page.forgotten), (EVENTS_MAX, 10));
        assert_eq!((page.events[0].sequence, texts(&page)[0]), (11, "11"));
        let page = events.after(4);
        assert_eq!((page.events.len(), page.forgotten), (EVENTS_MAX, 6));
        assert_eq!(events.after(page.next).forgotten, 0);
    }

    #[test]
    fn a_sequence_of_another_process_is_as_none() {
        let events = Events::new();
        events.record(EventKind::Listening, "one");
        let page = events.after(99);
        assert_eq!((texts(&page), page.next, page.forgotten), (vec!["one"], 1, 0));
    }

    #[test]
    fn a_log_on_disk_goes_on_where_the_last_process_was() {
        let home = tempfile::tempdir().unwrap();
        let (events, _) = Events::open(home.path()).unwrap();
        let began = events.after(0).since_ms;
        events.of("proxy").record(EventKind::Listening, "one");
        for number in 2..=EVENTS_MAX + 5 {
            events.record(EventKind::TlsReloaded, number.to_string());
            // A disk that keeps up, as it does with what happens seldom.
            events.settle();
        }
        drop(events);
        let (events, faults) = Events::open(home.path()).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        let page = events.after(0);
        assert_eq!((page.since_ms, page.events.len(), page.forgotten), (began, EVENTS_MAX, 5));
        let last = EVENTS_MAX as u64 + 5;
        events.of("scaler").record(EventKind::NodeJoined, "n1");
        let page = events.after(last);
        assert_eq!((page.next, texts(&page)), (last + 1, vec!["n1"]));
        assert_eq!((page.events[0].source.as_str(), page.process_first), ("scaler", last + 1));
    }

    /// A kill took events that a client had heard of: it hears what came after them, and nothing again.
    #[test]
    fn who_heard_more_than_was_kept_hears_what_happened_since() {
        let home = tempfile::tempdir().unwrap();
        let (events, _) = Events::open(home.path()).unwrap();
        events.record(EventKind::Listening, "kept");
        events.settle();
        drop(events);
        let (events, _) = Events::open(home.path()).unwrap();
        events.record(EventKind::Listening, "new");
        let page = events.after(7);
        assert_eq!((texts(&page), page.next, page.forgotten), (vec!["new"], 2, 0));
        assert_eq!(page.process_first, 2);
        assert!(page.process_since_ms >= page.since_ms);
    }

    /// Between two looks of a client a process was killed, and another lived and died.
    #[test]
    fn who_says_which_process_told_hears_all_that_came_after_it() {
        let home = tempfile::tempdir().unwrap();
        let live = |texts: &[&str]| {
            let (events, _) = Events::open(home.path()).unwrap();
            texts.iter().for_each(|text| events.record(EventKind::Listening, *text));
            events.settle();
            events.after(0)
        };
        live(&["a"]);
        let first = live(&["b", "c"]);
        let second = live(&["d", "e", "f"]);
        let third = live(&["g"]);
        let since = [&first, &second, &third].map(|page| page.process_since_ms);
        assert!(since[0] < since[1] && since[1] < since[2], "{since:?}");
        let (events, _) = Events::open(home.path()).unwrap();
        let heard = |sequence, process| {
            let page = events.after_heard_of(sequence, Some(process));
            (texts(&page).concat(), page.next)
        };
        // What the first had told as 4 and 5 is on no disk.
        assert_eq!(heard(5, since[0]), ("defg".to_owned(), 7));
        assert_eq!(heard(2, since[0]), ("cdefg".to_owned(), 7), "what it had not heard of, too");
        assert_eq!(heard(9, since[1]), ("g".to_owned(), 7));
        assert_eq!(heard(7, since[2]), (String::new(), 7));
        assert_eq!(heard(99, 0), ("abcdefg".to_owned(), 7), "one of which nothing is left");
    }

    /// Also where the clock is set back: who is asked about goes by when they began.
    #[test]
    fn processes_begin_one_after_the_other() {
        let mut ring = Ring::new(7);
        ring.begin_process(7);
        assert_eq!(ring.process_since_ms, 7);
        ring.earlier.push((100, 1));
        for (now_ms, since_ms) in [(50, 101), (100, 101), (200, 200)] {
            ring.begin_process(now_ms);
            assert_eq!(ring.process_since_ms, since_ms, "at {now_ms}");
        }
    }

    #[test]
    fn all_that_was_recorded_is_there_when_it_has_settled_and_so_is_what_came_after() {
        let home = tempfile::tempdir().unwrap();
        let (events, _) = Events::open(home.path()).unwrap();
        let on_disk = || Events::open(home.path()).unwrap().0.after(0).next;
        for settled in [200, 400] {
            (0..200).for_each(|_| events.record(EventKind::TlsReloaded, "x"));
            events.settle();
            assert_eq!(on_disk(), settled);
        }
    }

    #[test]
    fn a_torn_line_costs_itself_and_is_told() {
        let home = tempfile::tempdir().unwrap();
        let (events, _) = Events::open(home.path()).unwrap();
        events.record(EventKind::Listening, "one");
        events.record(EventKind::DrainBegan, "two");
        events.settle();
        drop(events);
        let file = std::fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
        let (events, faults) = Events::open(home.path()).unwrap();
        assert_eq!(faults.len(), 1);
        events.record(EventKind::Listening, "three");
        let page = events.after(0);
        assert_eq!((texts(&page), page.next), (vec!["one", "three"], 2));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let events = Events::new();
        events.record(EventKind::Listening, "\u{e9}".repeat(EVENT_TEXT_BYTES_MAX));
        events.record(EventKind::Listening, format!("x{}", "\u{e9}".repeat(EVENT_TEXT_BYTES_MAX)));
        let lengths: Vec<_> = events.after(0).events.iter().map(|it| it.text.len()).collect();
        assert_eq!(lengths, [EVENT_TEXT_BYTES_MAX, EVENT_TEXT_BYTES_MAX - 1]);
    }
}
