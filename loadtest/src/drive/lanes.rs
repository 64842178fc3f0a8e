use std::collections::VecDeque;

use super::{Lane, Nanos};
use crate::measure::CommandKind;

/// The lanes of a phase: what each waits for, and which have room for a request.
#[derive(Debug)]
pub(super) struct Lanes<R> {
    lanes: Vec<LaneState<R>>,
    with_room: VecDeque<Lane>,
    in_flight: usize,
    pipeline: usize,
}

/// A request whose reply is awaited.
#[derive(Debug)]
pub(super) struct InFlight<R> {
    pub command: CommandKind,
    /// Where its latency starts.
    pub due: Nanos,
    /// When it was written: where its timeout starts.
    pub written: Nanos,
    pub request: R,
}

#[derive(Debug)]
struct LaneState<R> {
    in_flight: VecDeque<InFlight<R>>,
    is_queued: bool,
    room_since: Nanos,
    redial_at: Nanos,
    backoff: Nanos,
}

/// The first wait between two attempts to connect, and the longest.
const BACKOFF: std::ops::RangeInclusive<Nanos> = 10_000_000..=1_000_000_000;

impl<R> Lanes<R> {
    pub fn new(lanes: u32, pipeline: u32) -> Self {
        let state = || LaneState {
            in_flight: VecDeque::with_capacity(pipeline as usize),
            is_queued: false,
            room_since: 0,
            redial_at: 0,
            backoff: 0,
        };
        Self {
            lanes: (0..lanes).map(|_| state()).collect(),
            with_room: VecDeque::with_capacity(lanes as usize),
            in_flight: 0,
            pipeline: pipeline as usize,
        }
    }

    pub fn all(&self) -> std::ops::Range<Lane> {
        0..Lane::try_from(self.lanes.len()).expect("lanes are counted in u32")
    }

    /// Requests in flight on all lanes.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub fn in_flight_on(&self, lane: Lane) -> usize {
        self.lanes[lane as usize].in_flight.len()
    }

    /// The lane's connection can take requests as far as its pipeline has room.
    pub fn offer(&mut self, lane: Lane, now: Nanos) {
        let state = &mut self.lanes[lane as usize];
        if !state.is_queued && state.in_flight.len() < self.pipeline {
            state.is_queued = true;
            state.room_since = now;
            self.with_room.push_back(lane);
        }
    }

    /// A lane with room, the one that has had it longest, and since when.
    pub fn take(&mut self) -> Option<(Lane, Nanos)> {
        let lane = self.with_room.pop_front()?;
        let state = &mut self.lanes[lane as usize];
        state.is_queued = false;
        Some((lane, state.room_since))
    }

    pub fn has_room(&self) -> bool {
        !self.with_room.is_empty()
    }

    pub fn push(&mut self, lane: Lane, in_flight: InFlight<R>) {
        self.in_flight += 1;
        self.lanes[lane as usize].in_flight.push_back(in_flight);
    }

    /// The oldest request in flight.
    pub fn front(&mut self, lane: Lane) -> Option<&mut InFlight<R>> {
        self.lanes[lane as usize].in_flight.front_mut()
    }

    pub fn pop(&mut self, lane: Lane) -> Option<InFlight<R>> {
        let popped = self.lanes[lane as usize].in_flight.pop_front();
        self.in_flight -= usize::from(popped.is_some());
        popped
    }

    /// When the lane's connection may be made anew, after one that broke just now.
    pub fn broke(&mut self, lane: Lane, now: Nanos) -> Nanos {
        let state = &mut self.lanes[lane as usize];
        if state.is_queued {
            state.is_queued = false;
            self.with_room.retain(|&it| it != lane);
        }
        let state = &mut self.lanes[lane as usize];
        state.redial_at = now + state.backoff;
        state.backoff = (state.backoff * 2).clamp(*BACKOFF.start(), *BACKOFF.end());
        state.redial_at
    }

    pub fn redial_at(&self, lane: Lane) -> Nanos {
        self.lanes[lane as usize].redial_at
    }

    /// The lane's connection works: one that opens and is closed again does not.
    pub fn answered(&mut self, lane: Lane) {
        self.lanes[lane as usize].backoff = 0;
    }
}
