use std::collections::VecDeque;
use std::io::BufRead;

use memtide_protocol::limits::RELATIVE_EXPTIME_SECS_MAX;
use memtide_protocol::{Arithmetic, Delete, Direction, Exptime, Store, StoreVerb, request};

use super::super::load::outcome_of_line;
use super::super::values::Values;
use super::error::TraceError;
use super::reader::TraceReader;
use super::schedule::{Recorded, Schedule, TraceTiming, hash_of};
use crate::drive::{Asked, Lane, Nanos, Progress, Traffic};
use crate::measure::{CommandKind, Outcome};
use crate::reply::Event;

/// A number of any length up to the 20 digits that 64 bits have.
const NUMBER: &[u8] = b"10000000000000000000";

/// How a trace is replayed: shared by the threads of a run.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    timing: TraceTiming,
    look_aside: bool,
    values: Values,
}

impl TraceSettings {
    /// With `look_aside`, a get that misses is followed by a set of that key, with the value size
    /// that the trace gives the get.
    #[must_use]
    pub fn new(timing: TraceTiming, look_aside: bool) -> Self {
        Self { timing, look_aside, values: Values::new() }
    }
}

/// Asks one thread's share of a trace, see [`super`] for what its lines mean and in which order they
/// go out. It ends with the trace, or before a line that makes no sense: see [`Self::failure`].
#[derive(Debug)]
pub struct TraceTraffic<R> {
    settings: TraceSettings,
    schedule: Schedule<R>,
    lanes: Vec<LaneState>,
    key: Vec<u8>,
}

/// What is remembered of a request to understand its reply; its key is the lane's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRequest {
    command: CommandKind,
    key_len: usize,
    value_size: usize,
    exptime: Exptime,
    was_there: bool,
    leads_to_cas: bool,
    cas: Option<u64>,
}

#[derive(Debug, Default)]
struct LaneState {
    /// The keys of its outstanding requests, one behind the other, the oldest first.
    keys: VecDeque<u8>,
    /// What its last whole reply leads to, and the key of that.
    follow_up: Option<(StoreVerb, TraceRequest)>,
    follow_up_key: Vec<u8>,
}

impl<R: BufRead> TraceTraffic<R> {
    /// The share of thread `thread` (from 0) of `threads`, over `lanes` connections: the lines whose
    /// key's hash is the thread's. Each thread reads the whole trace, through a `reader` of its own.
    ///
    /// It reads the first second of the trace at once, so that an error there is known before the
    /// run.
    ///
    /// # Panics
    /// When there is no such thread.
    #[must_use]
    pub fn new(
        settings: TraceSettings,
        reader: TraceReader<R>,
        (thread, threads): (u32, u32),
        lanes: u32,
    ) -> Self {
        let schedule = Schedule::new(reader, settings.timing, thread, threads);
        let lanes = (0..lanes).map(|_| LaneState::default()).collect();
        Self { settings, schedule, lanes, key: Vec::new() }
    }

    /// Why the trace ends before its end. It is known once the line is read, which may be two seconds
    /// of the trace before the last request that goes before it.
    #[must_use]
    pub fn failure(&self) -> Option<&TraceError> {
        self.schedule.failure()
    }

    fn state(&mut self, lane: Lane) -> &mut LaneState {
        &mut self.lanes[usize::try_from(lane).expect("32 bits fit")]
    }

    /// Writes a recorded request for [`Self::key`].
    fn write(&self, recorded: &Recorded, exptime: Exptime, out: &mut Vec<u8>) {
        let key = &*self.key;
        let value = self.value(recorded.value_size);
        let mut store = |verb| store(out, verb, key, exptime, value);
        match recorded.operation {
            CommandKind::Set => store(StoreVerb::Set),
            CommandKind::Add => store(StoreVerb::Add),
            CommandKind::Replace => store(StoreVerb::Replace),
            CommandKind::Append => store(StoreVerb::Append),
            CommandKind::Prepend => store(StoreVerb::Prepend),
            CommandKind::Delete => request::delete(out, &Delete { key, noreply: false }),
            CommandKind::Incr => arithmetic(out, Direction::Increment, key),
            CommandKind::Decr => arithmetic(out, Direction::Decrement, key),
            CommandKind::Gets | CommandKind::Cas => request::retrieve(out, [key], true, None),
            _ => request::retrieve(out, [key], false, None),
        }
    }

    /// The value of [`Self::key`] with this length.
    fn value(&self, len: usize) -> &[u8] {
        match NUMBER.get(..len) {
            Some(number) => number,
            None => self.settings.values.of(hash_of(&self.key), len),
        }
    }

    fn heard_retrieval(
        &mut self,
        lane: Lane,
        request: &mut TraceRequest,
        event: &Event<'_>,
    ) -> Progress {
        match event {
            Event::Value { key, cas, .. } => {
                let asked = self.state(lane).keys.iter().take(request.key_len);
                if request.was_there || !asked.eq(key.iter()) {
                    return Progress::OutOfStep;
                }
                request.was_there = true;
                request.cas = *cas;
                Progress::More
            }
            Event::End => {
                let verb = match request.cas {
                    Some(cas) if request.leads_to_cas => Some(StoreVerb::Cas(cas)),
                    None if self.settings.look_aside && !request.was_there => Some(StoreVerb::Set),
                    _ => None,
                };
                self.state(lane).whole_reply(request, verb);
                match request.was_there {
                    true => Progress::Done { outcome: Outcome::Hit, hits: 1, misses: 0 },
                    false => Progress::Done { outcome: Outcome::Miss, hits: 0, misses: 1 },
                }
            }
            _ => Progress::OutOfStep,
        }
    }
}

impl LaneState {
    /// Forgets the oldest request's key, but for what follows with it.
    fn whole_reply(&mut self, request: &TraceRequest, follow_up: Option<StoreVerb>) {
        let key = self.keys.drain(..request.key_len);
        self.follow_up_key.clear();
        self.follow_up_key.extend(key);
        self.follow_up = follow_up.map(|verb| (verb, *request));
    }
}

impl<R: BufRead> Traffic for TraceTraffic<R> {
    type Request = TraceRequest;

    fn next(&mut self, lane: Lane, _now: Nanos, out: &mut Vec<u8>) -> Option<Asked<TraceRequest>> {
        let recorded = self.schedule.take(&mut self.key)?;
        let key_len = self.key.len().max(recorded.key_size);
        self.key.resize(key_len, b'-');
        let exptime = exptime_of(recorded.ttl);
        self.write(&recorded, exptime, out);
        let lane = usize::try_from(lane).expect("32 bits fit");
        self.lanes[lane].keys.extend(&self.key);
        let leads_to_cas = recorded.operation == CommandKind::Cas;
        let command = if leads_to_cas { CommandKind::Gets } else { recorded.operation };
        let request = TraceRequest {
            command,
            key_len,
            value_size: recorded.value_size,
            exptime,
            was_there: false,
            leads_to_cas,
            cas: None,
        };
        Some(Asked { command, request })
    }

    fn heard(
        &mut self,
        lane: Lane,
        request: &mut TraceRequest,
        event: &Event<'_>,
        _now: Nanos,
    ) -> Progress {
        let outcome = match (request.command, event) {
            (_, Event::Error(_)) => Outcome::Error,
            (CommandKind::Get | CommandKind::Gets, _) => {
                return self.heard_retrieval(lane, request, event);
            }
            (command, event) => match outcome_of_line(command, event) {
                Some(outcome) => outcome,
                None => return Progress::OutOfStep,
            },
        };
        self.state(lane).whole_reply(request, None);
        Progress::Done { outcome, hits: 0, misses: 0 }
    }

    fn lost(&mut self, lane: Lane, request: TraceRequest) {
        self.state(lane).whole_reply(&request, None);
    }

    fn follow_up(
        &mut self,
        lane: Lane,
        _now: Nanos,
        out: &mut Vec<u8>,
    ) -> Option<Asked<TraceRequest>> {
        let state = self.state(lane);
        let (verb, before) = state.follow_up.take()?;
        state.keys.extend(&state.follow_up_key);
        self.key.clear();
        let lane = usize::try_from(lane).expect("32 bits fit");
        self.key.extend_from_slice(&self.lanes[lane].follow_up_key);
        store(out, verb, &self.key, before.exptime, self.value(before.value_size));
        let command = if verb == StoreVerb::Set { CommandKind::Set } else { CommandKind::Cas };
        let request =
            TraceRequest { command, was_there: false, leads_to_cas: false, cas: None, ..before };
        Some(Asked { command, request })
    }

    /// After the last request it stays at that one's time: the driver asks on, and is told the end.
    fn due(&mut self) -> Option<Nanos> {
        self.schedule.due()
    }
}

fn exptime_of(ttl: u64) -> Exptime {
    let secs = i64::try_from(ttl).unwrap_or(i64::MAX).min(RELATIVE_EXPTIME_SECS_MAX);
    Exptime::from_wire(secs)
}

fn store(out: &mut Vec<u8>, verb: StoreVerb, key: &[u8], exptime: Exptime, value: &[u8]) {
    request::store(out, &Store { verb, key, client_flags: 0, exptime, value, noreply: false });
}

fn arithmetic(out: &mut Vec<u8>, direction: Direction, key: &[u8]) {
    request::arithmetic(out, &Arithmetic { direction, key, delta: 1, noreply: false });
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
