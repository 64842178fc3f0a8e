//! A phase of a run on one thread: the event loop.

use std::sync::atomic::{AtomicBool, Ordering};

use super::lanes::{InFlight, Lanes};
use super::link::{Broken, Stage};
use super::{Asked, Lane, Nanos, Pacing, Traffic, Worker};
use crate::measure::{Meter, Trouble};

/// How often timeouts and broken connections are looked after.
const TICK: Nanos = 10_000_000;

/// What a phase is.
#[derive(Debug)]
pub struct PhaseSettings<'s> {
    /// When requests are due.
    pub pacing: Pacing,
    /// From when on nothing more is asked.
    pub until: Nanos,
    /// Set when nothing more is to be asked, at once.
    pub stop: &'s AtomicBool,
}

/// How a phase ended on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseEnd {
    /// Its time was over.
    Time,
    /// The traffic had no more requests.
    Traffic,
    /// It was stopped.
    Stopped,
}

/// Runs a phase to its end: until all that was asked is answered, or was waited for in vain.
///
/// # Errors
/// When the system's event queue fails.
pub fn run<T: Traffic>(
    worker: &mut Worker,
    traffic: &mut T,
    meter: &mut Meter,
    settings: PhaseSettings<'_>,
) -> anyhow::Result<PhaseEnd> {
    let pipeline =
        if worker.settings.is_connect_per_request { 1 } else { worker.settings.pipeline };
    let lanes = Lanes::new(worker.settings.lanes, pipeline);
    let now = worker.settings.clock.now();
    let phase = Phase {
        worker,
        traffic,
        meter,
        settings,
        lanes,
        next_due: None,
        next_tick: now,
        end: None,
    };
    phase.run(now)
}

/// What is done on its connections when they are ready is in `hearing`.
pub(super) struct Phase<'p, T: Traffic> {
    pub(super) worker: &'p mut Worker,
    pub(super) traffic: &'p mut T,
    pub(super) meter: &'p mut Meter,
    pub(super) settings: PhaseSettings<'p>,
    pub(super) lanes: Lanes<T::Request>,
    /// Of [`Pacing::Open`]: what comes next.
    next_due: Option<Nanos>,
    next_tick: Nanos,
    /// Why nothing more is asked, once it is so.
    end: Option<PhaseEnd>,
}

impl<T: Traffic> Phase<'_, T> {
    fn run(mut self, mut now: Nanos) -> anyhow::Result<PhaseEnd> {
        self.advance_due();
        self.lanes.all().for_each(|lane| self.offer(lane, now));
        let mut woke = now;
        loop {
            self.issue(now);
            if let Some(end) = self.is_over(now) {
                return Ok(end);
            }
            self.meter.turn(now);
            let asleep = self.worker.settings.clock.now();
            self.meter.tally.counts.busy_ns += asleep.saturating_sub(woke);
            let at_most = self.wake_at().saturating_sub(asleep);
            self.worker.wait(at_most)?;
            woke = self.worker.settings.clock.now();
            now = woke;
            let events = std::mem::take(&mut self.worker.events);
            for event in &events {
                let index = usize::try_from(event.data.u64()).expect("it was a lane");
                self.ready(index, event.flags);
            }
            if !events.is_empty() {
                // What came due meanwhile is late by what the events took.
                now = self.worker.settings.clock.now();
            }
            self.worker.events = events;
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.tick(now);
            }
        }
    }

    /// Why it is over, if it is.
    fn is_over(&mut self, now: Nanos) -> Option<PhaseEnd> {
        if self.end.is_none() {
            if now >= self.settings.until {
                self.ask_no_more(PhaseEnd::Time, self.settings.until);
            } else if self.settings.stop.load(Ordering::Relaxed) {
                self.ask_no_more(PhaseEnd::Stopped, now);
            }
        }
        let end = self.end?;
        let waited = now.saturating_sub(self.settings.until);
        if self.lanes.in_flight() > 0 && waited < self.worker.settings.timeout {
            return None;
        }
        for lane in self.lanes.all() {
            if self.lanes.in_flight_on(lane) > 0 {
                self.broke(lane, &Broken::new(Trouble::Timeout, "no reply by the end"), now);
            }
        }
        Some(end)
    }

    /// Nothing is asked from this time on. What was due until then and found no connection with
    /// room counts as scheduled all the same.
    fn ask_no_more(&mut self, end: PhaseEnd, from: Nanos) {
        self.end = Some(end);
        self.settings.until = from;
        while let Some(due) = self.next_due
            && due < self.settings.until
        {
            self.meter.tally.counts.scheduled += 1;
            self.meter.tally.counts.unsent += 1;
            self.advance_due();
        }
        if let Pacing::Traffic(begin) = self.settings.pacing {
            let until = self.settings.until.saturating_sub(begin);
            let mut out = Vec::new();
            while self.traffic.due().is_some_and(|due| due < until)
                && self.traffic.next(0, from, &mut out).is_some()
            {
                out.clear();
                self.meter.tally.counts.scheduled += 1;
                self.meter.tally.counts.unsent += 1;
            }
        }
    }

    fn wake_at(&mut self) -> Nanos {
        let mut at = self.next_tick;
        if let Some(boundary) = self.meter.boundary() {
            at = at.min(boundary);
        }
        if self.end.is_none() && self.lanes.has_room() {
            let due = match self.settings.pacing {
                Pacing::Closed => None,
                Pacing::Open(_) => self.next_due,
                Pacing::Traffic(from) => self.traffic.due().map(|due| from + due),
            };
            at = at.min(due.unwrap_or(at));
        }
        at
    }

    fn advance_due(&mut self) {
        if let Pacing::Open(due) = &mut self.settings.pacing {
            self.next_due = due.next();
        }
    }

    /// Writes what is due, as far as there are connections with room.
    pub(super) fn issue(&mut self, now: Nanos) {
        while self.end.is_none()
            && self.lanes.has_room()
            && let Some(due) = self.due(now)
        {
            let (lane, room_since) = self.lanes.take().expect("there is one with room");
            match self.settings.pacing {
                // The whole pipeline at once: one write.
                Pacing::Closed => while self.write(lane, now, now) {},
                Pacing::Open(_) | Pacing::Traffic(_) => {
                    let lag = now.saturating_sub(due.max(room_since));
                    if self.write(lane, due, now) {
                        self.lanes.offer(lane, room_since);
                    }
                    if self.end == Some(PhaseEnd::Traffic) {
                        return;
                    }
                    self.meter.tally.counts.scheduled += 1;
                    self.meter.tally.lagged(lag);
                    self.advance_due();
                }
            }
            self.flush(lane, now);
        }
    }

    /// When the next request was due; `None` when it is not yet.
    fn due(&mut self, now: Nanos) -> Option<Nanos> {
        let due = match self.settings.pacing {
            Pacing::Closed => Some(now),
            Pacing::Open(_) => self.next_due,
            Pacing::Traffic(from) => match self.traffic.due() {
                Some(due) => Some(from + due),
                None => {
                    self.ask_no_more(PhaseEnd::Traffic, now);
                    None
                }
            },
        };
        due.filter(|&due| due <= now && due < self.settings.until)
    }

    /// Writes one request, and says whether the lane has room for another.
    fn write(&mut self, lane: Lane, due: Nanos, now: Nanos) -> bool {
        if self.worker.links[lane as usize].is_none()
            && let Err(broken) = self.worker.dial(lane)
        {
            self.meter.tally.counts.requests += 1;
            self.meter.tally.counts.lost += 1;
            self.broke(lane, &broken, now);
            return false;
        }
        let Some(link) = &mut self.worker.links[lane as usize] else { return false };
        let before = link.out.len();
        let Some(asked) = self.traffic.next(lane, now, &mut link.out) else {
            self.ask_no_more(PhaseEnd::Traffic, now);
            return false;
        };
        self.meter.tally.counts.bytes_sent += (link.out.len() - before) as u64;
        self.asked(lane, asked, due, now);
        self.lanes.in_flight_on(lane) < self.worker.settings.pipeline as usize
            && !self.worker.settings.is_connect_per_request
    }

    pub(super) fn asked(
        &mut self,
        lane: Lane,
        asked: Asked<T::Request>,
        due: Nanos,
        written: Nanos,
    ) {
        let Asked { command, request } = asked;
        self.meter.tally.counts.requests += 1;
        self.lanes.push(lane, InFlight { command, due, written, request });
    }

    pub(super) fn flush(&mut self, lane: Lane, now: Nanos) {
        let Some(link) = &mut self.worker.links[lane as usize] else { return };
        if link.stage() == Stage::Open
            && let Err(broken) = link.flush()
        {
            self.broke(lane, &broken, now);
        }
    }

    /// The lane may take requests, if its connection stands.
    pub(super) fn offer(&mut self, lane: Lane, now: Nanos) {
        let is_open = match &self.worker.links[lane as usize] {
            Some(link) => link.stage() == Stage::Open,
            None => false,
        };
        let is_connect_per_request = self.worker.settings.is_connect_per_request;
        let is_vacant = self.worker.links[lane as usize].is_none();
        if is_open && !is_connect_per_request
            || is_vacant && is_connect_per_request && now >= self.lanes.redial_at(lane)
        {
            self.lanes.offer(lane, now);
        }
    }

    /// A lane's connection is of no use any more.
    pub(super) fn broke(&mut self, lane: Lane, broken: &Broken, now: Nanos) {
        self.meter.tally.trouble(broken.trouble, &broken.text);
        self.worker.links[lane as usize] = None;
        while let Some(in_flight) = self.lanes.pop(lane) {
            self.meter.tally.counts.lost += 1;
            self.traffic.lost(lane, in_flight.request);
        }
        self.lanes.broke(lane, now);
    }

    /// Looks after what takes too long, and makes broken connections anew.
    fn tick(&mut self, now: Nanos) {
        let timeout = self.worker.settings.timeout;
        for lane in self.lanes.all() {
            let oldest = self.lanes.front(lane).map(|it| it.written);
            match &self.worker.links[lane as usize] {
                Some(link) if link.stage() != Stage::Open && now > link.began() + timeout => {
                    self.broke(lane, &Broken::new(Trouble::Connect, "timed out"), now);
                }
                Some(_) if oldest.is_some_and(|oldest| now > oldest + timeout) => {
                    self.broke(lane, &Broken::new(Trouble::Timeout, "no reply in time"), now);
                }
                Some(_) => {}
                None if self.worker.settings.is_connect_per_request => self.offer(lane, now),
                None if self.end.is_none() && now >= self.lanes.redial_at(lane) => {
                    if let Err(broken) = self.worker.dial(lane) {
                        self.broke(lane, &broken, now);
                    }
                }
                None => {}
            }
        }
    }
}
