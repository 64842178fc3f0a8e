//! What happened to this process lately, for those who look at it from outside.
//!
//! A bounded ring of events, served by [`crate::admin`] at `GET /v1/events?after=SEQUENCE`. It is
//! for what happens seldom and explains what a client sees: a drain, a new certificate, evictions
//! that begin, a node that joins. Never recorded for a request; that is what metrics are for.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::limits::{EVENT_TEXT_BYTES_MAX, EVENTS_MAX};

/// What kind of thing happened; a word for programs, the text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The process takes clients from now on.
    Listening,
    /// New TLS material is in force.
    TlsReloaded,
    /// New TLS files were refused; what was in force stays.
    TlsReloadFailed,
    /// Items are evicted because the memory limit is reached; told again after a while without.
    EvictionsBegan,
    /// A core gives no sign of life.
    CoreFailed,
    /// A core that gave none does again.
    CoreRecovered,
    /// A node process of ours was started.
    NodeStarted,
    /// A node process of ours has ended, and is replaced.
    NodeEnded,
    /// The process takes no clients any more, and answers what it has.
    DrainBegan,
    /// The drain took too long; connections were dropped.
    DrainOverdue,
    /// A node was added to the topology.
    NodeJoined,
    /// A node that was lost is heard again.
    NodeReturned,
    /// A node has closed its control stream.
    NodeGone,
    /// Nothing was heard of a node.
    NodeSilent,
    /// The process of a node is known to have ended.
    NodeDead,
    /// A node is to give up its slots.
    NodeDraining,
    /// A node is to stay after all.
    NodeUndrained,
    /// A node wants to give up its slots, and nobody could take them.
    NodeDrainRefused,
    /// A node has left the topology.
    NodeLeft,
    /// Another number of replicas is wanted.
    ReplicasSet,
    /// Slots have got their first owners.
    SlotsFounded,
    /// Copies took over from primaries that are down.
    SlotsFailedOver,
    /// Slots wait for a node that is down, or do not any more.
    SlotsUnserved,
    /// Slots start empty, because nobody had them any more.
    SlotsLost,
    /// Slots are to be copied or moved.
    MigrationBegan,
    /// All slots are where they belong.
    MigrationEnded,
    /// A primary and a copy of its slots cannot reach each other.
    CopyCutOff,
    /// A copy has another history than its primary, and is copied anew.
    CopyDiverged,
    /// A node is to take over a slot of which it has a part.
    CopyIncomplete,
    /// A part of a change of the topology did not fit, and is planned again.
    UpdateRefused,
    /// The topology could not be stored; it is tried again.
    StoreFailed,
    /// The topology can be stored again.
    StoreRecovered,
    /// What is stored is not the newest of the fleet: nothing is changed any more.
    StoreBehind,
    /// A node or proxy of another fleet has come, and was turned away.
    FleetStranger,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// From 1 on, one more with every event of this process.
    pub sequence: u64,
    /// When, in milliseconds since 1970 by this host's clock.
    pub at_ms: u64,
    /// What kind of thing.
    pub kind: EventKind,
    /// What, in a few words for people.
    pub text: String,
}

/// The answer to `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventsPage {
    /// When this process began to record, in milliseconds since 1970: another one than in the last
    /// answer means another process, whose sequence begins anew.
    pub since_ms: u64,
    /// This host's clock now, to map times to one's own.
    pub now_ms: u64,
    /// The events asked for that are still known, the oldest first.
    pub events: Vec<Event>,
    /// How many of those asked for are forgotten.
    pub forgotten: u64,
    /// The last event's sequence: what to give as `after` the next time.
    pub next: u64,
}

/// The recent events of this process; clones record into the same ring.
#[derive(Clone, Debug)]
pub struct Events(Arc<Mutex<Ring>>);

#[derive(Debug)]
struct Ring {
    since_ms: u64,
    last_sequence: u64,
    events: VecDeque<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        let ring = Ring { since_ms: now_ms(), last_sequence: 0, events: VecDeque::new() };
        Self(Arc::new(Mutex::new(ring)))
    }

    /// Something happened now. The oldest event gives way when [`EVENTS_MAX`] are there.
    pub fn record(&self, kind: EventKind, text: impl Into<String>) {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(EVENT_TEXT_BYTES_MAX));
        let mut ring = self.ring();
        ring.last_sequence += 1;
        if ring.events.len() == EVENTS_MAX {
            ring.events.pop_front();
        }
        let event = Event { sequence: ring.last_sequence, at_ms: now_ms(), kind, text };
        ring.events.push_back(event);
    }

    /// What happened after the event with this sequence; 0 is before all. One that is yet to come,
    /// as a client has it who spoke to an earlier process, counts as 0.
    #[must_use]
    pub fn after(&self, sequence: u64) -> EventsPage {
        let ring = self.ring();
        let after = if sequence > ring.last_sequence { 0 } else { sequence };
        let events: Vec<_> =
            ring.events.iter().filter(|event| event.sequence > after).cloned().collect();
        let asked_for = ring.last_sequence - after;
        EventsPage {
            since_ms: ring.since_ms,
            now_ms: now_ms(),
            forgotten: asked_for - events.len() as u64,
            events,
            next: ring.last_sequence,
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_long_text_is_cut_between_characters() {
        let events = Events::new();
        events.record(EventKind::Listening, "\u{e9}".repeat(EVENT_TEXT_BYTES_MAX));
        events.record(EventKind::Listening, format!("x{}", "\u{e9}".repeat(EVENT_TEXT_BYTES_MAX)));
        let lengths: Vec<_> = events.after(0).events.iter().map(|it| it.text.len()).collect();
        assert_eq!(lengths, [EVENT_TEXT_BYTES_MAX, EVENT_TEXT_BYTES_MAX - 1]);
    }

    #[test]
    fn kinds_are_words_of_one_case() {
        let word = serde_json::to_string(&EventKind::TlsReloadFailed).unwrap();
        assert_eq!(word, r#""tls_reload_failed""#);
    }
}
