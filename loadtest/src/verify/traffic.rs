//! The traffic of `--verify`: all commands on few keys, and a record of every reply.

mod answer;
mod ask;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::history::{Action, History, NO_REPLY, Operation, Outcome, Token};
use super::value;
use crate::drive::{Asked, Lane, Nanos, Progress, Traffic};
use crate::measure::CommandKind;
use crate::reply::Event;

/// Keys of a multiget.
pub(super) const MULTIGET_MAX: usize = 4;
/// Requests for a key that are under way at a time, of all threads together: so that there are
/// few orders to look at.
const CONCURRENT_ON_KEY_MAX: u32 = 6;
/// Operations that a run records, at 80 bytes each.
pub const OPERATIONS_MAX: usize = 32_000_000;

/// What the traffic of `--verify` is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifySettings {
    /// Seed of all that is random; also in the keys, so that no run sees another's items.
    pub seed: u64,
    /// Keys in all, shared by all threads; every fourth is a counter. At least one.
    pub keys: u32,
    /// Bytes of a value, at least and at most, before additions; what identifies a value takes
    /// 57 bytes, and values are never shorter.
    pub value_bytes: (u32, u32),
    /// Generating threads, 128 at most: memcached refuses to count from 2^63 on.
    pub threads: u32,
    /// This thread, from 0.
    pub thread: u32,
    /// Lanes of this thread.
    pub lanes: u32,
    /// Operations that this thread records at most; then it asks nothing any more. See
    /// [`OPERATIONS_MAX`].
    pub operations_max: usize,
}

/// The traffic of `--verify`, of one thread.
#[derive(Debug)]
pub struct VerifyTraffic {
    settings: VerifySettings,
    rng: Xoshiro256PlusPlus,
    history: History,
    keys: Vec<KeyState>,
    /// Requests that wait for their replies; a [`VerifyRequest`] is a place in it.
    out: Vec<Pending>,
    free: Vec<u32>,
    /// Tokens that were written.
    written: u64,
    /// Requests of meta commands, for their opaques.
    opaque: u32,
    /// A value being written, or the tokens being read.
    value: Vec<u8>,
    tokens: Vec<Token>,
}

/// A request of [`VerifyTraffic`].
#[derive(Debug)]
pub struct VerifyRequest(u32);

/// What this thread knows of a key.
#[derive(Clone, Debug)]
struct KeyState {
    name: String,
    /// Requests under way.
    concurrent: u32,
    /// The CAS uniques that were told last, the newest first; 0 is none.
    uniques: [u64; 2],
    /// Additions since the last store, as far as this thread knows.
    additions: u32,
    /// Stores to a counter.
    bases: u64,
    /// The store that the counter was last seen to have begun with, and counts since.
    base: Token,
    counts: u32,
}

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
struct Pending {
    lane: Lane,
    invoked: Nanos,
    command: CommandKind,
    action: Action,
    /// The keys asked for.
    keys: [u32; MULTIGET_MAX],
    count: usize,
    /// Of these, those that the reply has passed.
    passed: usize,
    hits: u32,
    /// The opaque of a meta command.
    opaque: u32,
    /// Whether it still waits.
    is_out: bool,
}

impl Pending {
    fn left(&self) -> &[u32] {
        &self.keys[self.passed..self.count]
    }
}

impl VerifyTraffic {
    /// Traffic of one thread.
    #[must_use]
    pub fn new(settings: VerifySettings) -> Self {
        let state = |key| KeyState {
            name: value::key_name(settings.seed, key),
            concurrent: 0,
            uniques: [0; 2],
            additions: 0,
            bases: 0,
            base: 0,
            counts: 0,
        };
        Self {
            settings,
            rng: Xoshiro256PlusPlus::seed_from_u64(
                settings.seed.wrapping_add(u64::from(settings.thread) << 32),
            ),
            history: History::default(),
            keys: (0..settings.keys).map(state).collect(),
            out: Vec::new(),
            free: Vec::new(),
            written: 0,
            opaque: 0,
            value: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// What was recorded, for [`super::check()`]. Requests that are still out count as such
    /// without a reply.
    #[must_use]
    pub fn into_history(mut self) -> History {
        for place in 0..self.out.len() {
            if self.out[place].is_out {
                self.give_up(place);
            }
        }
        self.history
    }

    /// Where a request waits.
    fn place(request: &VerifyRequest) -> usize {
        request.0 as usize
    }

    fn wait(&mut self, pending: Pending) -> VerifyRequest {
        for &key in &pending.keys[..pending.count] {
            self.keys[key as usize].concurrent += 1;
        }
        if let Some(place) = self.free.pop() {
            self.out[place as usize] = pending;
            return VerifyRequest(place);
        }
        let place = u32::try_from(self.out.len()).expect("fewer than 2^32 requests are out");
        self.out.push(pending);
        VerifyRequest(place)
    }

    /// A request waits no longer.
    fn release(&mut self, place: usize) {
        let pending = &mut self.out[place];
        pending.is_out = false;
        for &key in &pending.keys[..pending.count] {
            self.keys[key as usize].concurrent -= 1;
        }
        self.free.push(u32::try_from(place).expect("it came from one"));
    }

    /// A request will get no reply: it may have been carried out, for the keys that are left.
    fn give_up(&mut self, place: usize) {
        let pending = self.out[place];
        if pending.action != Action::Get {
            for &key in pending.left() {
                self.record(&pending, key, Outcome::NoReply, NO_REPLY);
            }
        }
        self.release(place);
    }

    fn record(&mut self, pending: &Pending, key: u32, outcome: Outcome, completed: Nanos) {
        self.history.push(Operation {
            key,
            worker: self.settings.thread * self.settings.lanes + pending.lane,
            invoked: pending.invoked,
            completed,
            action: pending.action,
            outcome,
        });
    }

    fn is_counter(key: u32) -> bool {
        key % 4 == 3
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }
}

impl Traffic for VerifyTraffic {
    type Request = VerifyRequest;

    fn next(&mut self, lane: Lane, now: Nanos, out: &mut Vec<u8>) -> Option<Asked<VerifyRequest>> {
        if self.history.len() >= self.settings.operations_max {
            self.history.cut_short();
            return None;
        }
        let pending = self.ask(lane, now, out);
        let command = pending.command;
        Some(Asked { command, request: self.wait(pending) })
    }

    fn heard(
        &mut self,
        _: Lane,
        request: &mut VerifyRequest,
        event: &Event<'_>,
        now: Nanos,
    ) -> Progress {
        let place = Self::place(request);
        let progress = self.answer(place, event, now);
        if matches!(progress, Progress::Done { .. }) {
            self.release(place);
        }
        progress
    }

    fn lost(&mut self, _: Lane, request: VerifyRequest) {
        self.give_up(Self::place(&request));
    }
}

#[cfg(test)]
mod tests;
