//! One client's commands in a fleet, without its socket: bytes in, questions to nodes out.
//!
//! ```text
//!            command                  value too large, refused
//!  Ready ------------> Ready   Ready -------------------------> Swallowing(n)
//!  Ready -- no room in a multiget --> Paused(key) -- advance --> Ready
//!  Swallowing(n) -- n bytes --> Ready                any -- quit, framing lost --> Close
//! ```

use std::time::Duration;

use memtide_protocol::encode::{self, Status};
use memtide_protocol::{Command, ErrorLine, Key, Limits, Refusal, Retrieve, Step, parse, request};
use memtide_routing::Kind;
use memtide_topology::{EcpuUnits, KeyHash};
use memtide_wire::Reach;

use super::ask::route;
use super::gather::What;
use super::lane::{Asked, Bill, Said};
use super::lanes::LaneId;
use super::switch::Switch;
use super::tally::Tally;
use crate::limits::COMMANDS_PER_TURN_MAX;
use crate::throttle::{Admission, Toll};

/// Why [`Session::advance`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The rest of the input is no whole command.
    NeedsMore {
        /// How long that rest must be before another call can come further; at least 1.
        needed: usize,
    },
    /// Something is to be answered first.
    NoRoom,
    /// The cache's limit holds the next command back.
    Held,
    /// There may be more to do, after other connections of the core had their turn.
    TurnOver,
    /// The connection is over once all is answered and sent.
    Close,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ready,
    /// The rest of a refused command's data block, and how much of it has come.
    Swallowing { left: u64, bytes: u64 },
    /// In the middle of a multiget whose line is still at the start of the input.
    Paused { offset: usize, keys: u64, line_bytes: u64 },
}

/// Where a client's command stream stands.
#[derive(Debug, Default)]
pub struct Session {
    state: State,
    is_started: bool,
}

/// What a session works with in one call.
pub struct Desk<'a> {
    pub switch: &'a mut Switch,
    pub lane: LaneId,
    pub limits: Limits,
    /// The client came to port 11212.
    pub is_read_optimized: bool,
    /// Where the cache has a limit.
    pub toll: Option<Toll<'a>>,
    pub now: Duration,
    /// When what is asked was read.
    pub read_at: Duration,
}

enum Stepped {
    Done(usize),
    Stop(usize, Progress),
    /// No command can be told from what is left.
    Lost,
}

impl Session {
    /// Whether [`Session::advance`] was not called yet.
    pub fn is_fresh(&mut self) -> bool {
        !std::mem::replace(&mut self.is_started, true)
    }

    /// Whether a refused command's data block is not over.
    pub fn is_swallowing(&self) -> bool {
        matches!(self.state, State::Swallowing { .. })
    }

    /// Has the commands at the start of `input` asked or answered, as far as there is room; returns
    /// how many bytes of the input are done with.
    ///
    /// Must be called with the rest of the same input and more, in order.
    pub fn advance(&mut self, input: &[u8], desk: &mut Desk<'_>) -> (usize, Progress) {
        desk.switch.enter(desk.now);
        let done = self.run(input, desk);
        desk.switch.send(desk.now);
        done
    }

    /// The connection ends: its lane is closed, and what it has begun is metered; returns the units
    /// that were not billed.
    pub fn abandon(&mut self, switch: &mut Switch, lane: LaneId) -> u64 {
        let paused = match std::mem::take(&mut self.state) {
            State::Ready => None,
            State::Swallowing { bytes, .. } => {
                switch.with_lane(lane, |lane, around| lane.close_bill(bytes, around.counters));
                None
            }
            State::Paused { keys, line_bytes, .. } => Some((keys, line_bytes)),
        };
        switch.close_lane(lane, paused)
    }

    fn run(&mut self, input: &[u8], desk: &mut Desk<'_>) -> (usize, Progress) {
        let mut at = 0;
        let mut commands_left = COMMANDS_PER_TURN_MAX;
        loop {
            if let State::Swallowing { left, bytes } = &mut self.state {
                if at < input.len() && desk.go_on() == Admission::Hold {
                    return (at, Progress::Held);
                }
                let dropped = (*left).min((input.len() - at) as u64);
                (*left, *bytes) = (*left - dropped, *bytes + dropped);
                at += usize::try_from(dropped).expect("no more than the input holds");
                if *left > 0 {
                    desk.prepay_to(EcpuUnits::of_command(1, *bytes));
                    return (at, Progress::NeedsMore { needed: 1 });
                }
                let bytes = *bytes;
                let switch = &mut desk.switch;
                switch.with_lane(desk.lane, |lane, around| lane.close_bill(bytes, around.counters));
                self.state = State::Ready;
            }
            if at == input.len() {
                return (at, Progress::NeedsMore { needed: 1 });
            }
            if !desk.switch.has_room(desk.lane) {
                return (at, Progress::NoRoom);
            }
            if commands_left == 0 {
                return (at, Progress::TurnOver);
            }
            commands_left -= 1;
            match self.step(&input[at..], desk) {
                Stepped::Done(consumed) => at += consumed,
                Stepped::Stop(consumed, progress) => return (at + consumed, progress),
                Stepped::Lost => return (input.len(), Progress::Close),
            }
        }
    }

    fn step(&mut self, input: &[u8], desk: &mut Desk<'_>) -> Stepped {
        let step = parse(input, &desk.limits);
        match desk.admit(&step, matches!(self.state, State::Paused { .. })) {
            Admission::Go => {}
            Admission::Hold => return Stepped::Stop(0, Progress::Held),
            Admission::Refuse { consumed, .. } => return Stepped::Done(consumed),
        }
        match step {
            Step::Incomplete { needed } => Stepped::Stop(0, Progress::NeedsMore { needed }),
            Step::Command { consumed, command } => self.command(&input[..consumed], &command, desk),
            Step::Refused { consumed, swallow, refusal } => {
                desk.refuse(consumed, swallow > 0, &refusal);
                if swallow > 0 {
                    self.state = State::Swallowing { left: swallow, bytes: 0 };
                }
                Stepped::Done(consumed)
            }
            Step::Close { error } => {
                // No command can be told from what follows it, so only the reply is billed: what
                // lies in the buffer depends on how the bytes happened to arrive.
                desk.say(0, |out| {
                    if let Some(error) = error {
                        encode::error(out, error);
                    }
                });
                Stepped::Lost
            }
        }
    }

    fn command(&mut self, bytes: &[u8], command: &Command<'_>, desk: &mut Desk<'_>) -> Stepped {
        match command {
            Command::Retrieve(get) => self.retrieve(bytes, get, desk),
            other => desk.execute(bytes, other),
        }
    }

    /// Asks for each key from where it paused, while there is room.
    fn retrieve(&mut self, line: &[u8], get: &Retrieve<'_>, desk: &mut Desk<'_>) -> Stepped {
        let (offset, mut count) = match std::mem::take(&mut self.state) {
            State::Paused { offset, keys, .. } => (offset, keys),
            _ => (0, 0),
        };
        let Some(seed) = desk.switch.seed() else {
            desk.say(line.len(), |out| encode::error(out, ErrorLine::NoLiveCopy));
            return Stepped::Done(line.len());
        };
        let command = Command::Retrieve(*get);
        // A copy may not have yet what this client has asked for and not heard of: the primary has.
        let is_any_copy = desk.is_read_optimized && !desk.switch.lane(desk.lane).is_changing();
        let (kind, reach) = route(&command, is_any_copy);
        let tally = Tally::of(&command);
        let mut keys = get.keys_from(offset);
        let mut next = keys.next();
        let mut offset_of_next = offset;
        while let Some(key) = next {
            if count > 0 && !desk.switch.has_room(desk.lane) {
                let line_bytes = line.len() as u64;
                self.state = State::Paused { offset: offset_of_next, keys: count, line_bytes };
                return Stepped::Stop(0, Progress::NoRoom);
            }
            count += 1;
            offset_of_next = keys.offset();
            next = keys.next();
            let is_last = next.is_none();
            let bill =
                is_last.then_some(Bill { items: count, bytes: line.len() as u64, is_open: false });
            let said = Said { tally, is_silent: false, instead: None };
            let is_alone = is_last && count == 1;
            desk.ask(said, bill, (seed.hash(key), kind, reach), |out| {
                if is_alone {
                    out.extend_from_slice(line);
                } else {
                    request::retrieve(out, [key], get.with_cas, get.touch);
                }
            });
        }
        Stepped::Done(line.len())
    }
}

impl Desk<'_> {
    /// See [`Toll::admit`]; what is refused is answered, and not metered.
    fn admit(&mut self, step: &Step<'_>, is_begun: bool) -> Admission {
        let Some(toll) = &mut self.toll else { return Admission::Go };
        let admission = toll.admit(step, is_begun);
        if let Admission::Refuse { is_silent: false, .. } = admission {
            self.switch.with_lane(self.lane, |lane, around| lane.refuse(around));
        }
        admission
    }

    /// See [`Toll::go_on`].
    fn go_on(&mut self) -> Admission {
        self.toll.as_mut().map_or(Admission::Go, Toll::go_on)
    }

    /// What is not over has cost so much so far.
    fn prepay_to(&mut self, cost: EcpuUnits) {
        if let Some(toll) = &mut self.toll {
            toll.prepay_to(cost);
        }
    }

    fn execute(&mut self, bytes: &[u8], command: &Command<'_>) -> Stepped {
        let consumed = bytes.len();
        match command {
            Command::MetaNoOp => self.say(consumed, |out| encode::status(out, Status::MetaNoOp)),
            Command::Version => {
                self.say(consumed, |out| encode::version(out, crate::PROTOCOL_VERSION));
            }
            Command::ConfigGetCluster => {
                let shared = self.switch.shared();
                self.say(consumed, |out| shared.write_cluster_config(out));
            }
            Command::Quit => {
                self.say(consumed, |_| {});
                return Stepped::Stop(consumed, Progress::Close);
            }
            Command::FlushAll { noreply } => self.gather(consumed, *noreply, What::Flush),
            Command::Stats => self.gather(consumed, false, What::Stats),
            Command::StatsReset => self.gather(consumed, false, What::Reset),
            of_items => self.ask_as_it_is(bytes, of_items),
        }
        Stepped::Done(consumed)
    }

    fn ask_as_it_is(&mut self, bytes: &[u8], command: &Command<'_>) {
        let Some(key) = command.first_key() else { return };
        let Some(hash) = self.hash(key) else {
            let is_silent = command.noreply();
            return self.say(bytes.len(), |out| {
                if !is_silent {
                    encode::error(out, ErrorLine::NoLiveCopy);
                }
            });
        };
        let (kind, reach) = route(command, false);
        let said = Said { tally: Tally::of(command), is_silent: command.noreply(), instead: None };
        let bill = Bill { items: 1, bytes: bytes.len() as u64, is_open: false };
        self.ask(said, Some(bill), (hash, kind, reach), |out| out.extend_from_slice(bytes));
    }

    /// Answers a command that cannot be executed; what was to be replaced by a value that is too
    /// large is removed first.
    fn refuse(&mut self, consumed: usize, is_open: bool, refusal: &Refusal<'_>) {
        let Refusal { error, is_silent, unlink } = *refusal;
        let counters = self.switch.counters();
        if error == ErrorLine::ObjectTooLarge {
            counters.items.store_too_large.add(1);
        }
        let bill = Bill { items: 1, bytes: consumed as u64, is_open };
        let unlink = unlink.and_then(|key| Some((key, self.hash(key)?)));
        let Some((key, hash)) = unlink else {
            if is_silent {
                let counter = if error.is_ours() {
                    &counters.items.server_errors
                } else {
                    &counters.items.client_errors
                };
                counter.add(1);
            }
            return self.say_billed(bill, |out| {
                if !is_silent {
                    encode::error(out, error);
                }
            });
        };
        let said = Said { tally: Tally::Nothing, is_silent, instead: Some(error) };
        self.ask(said, Some(bill), (hash, Kind::Mutation, Reach::Primary), |out| {
            let flags: &[u8] = if key.is_base64() { b"b q" } else { b"q" };
            request::meta_delete(out, key.token(), flags);
        });
    }

    fn gather(&mut self, consumed: usize, is_silent: bool, what: What) {
        let started = self.read_at;
        let tally = match what {
            What::Flush => {
                self.switch.counters().items.cmd_flush.add(1);
                Tally::Flush
            }
            What::Stats | What::Reset => Tally::Nothing,
        };
        let bill = Bill { items: 1, bytes: consumed as u64, is_open: false };
        let said = Said { tally, is_silent, instead: None };
        // All that came before it is to be under way before it is.
        self.switch.send(self.now);
        let bill = Some(bill);
        let asked = Asked { said, bytes: 0, started, bill, is_mutation: false, bars: true };
        let ticket = self.switch.take_place(self.lane, asked);
        self.switch.gather(ticket, what);
    }

    fn hash(&self, key: Key<'_>) -> Option<KeyHash> {
        Some(self.switch.seed()?.hash(&key.bytes()))
    }

    fn ask(
        &mut self,
        said: Said,
        bill: Option<Bill>,
        to: (KeyHash, Kind, Reach),
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let is_mutation = to.1 == Kind::Mutation;
        let started = self.read_at;
        let asked = Asked { said, bytes: 0, started, bill, is_mutation, bars: false };
        self.switch.ask(self.lane, asked, to, write);
    }

    fn say(&mut self, consumed: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.say_billed(Bill { items: 1, bytes: consumed as u64, is_open: false }, write);
    }

    fn say_billed(&mut self, bill: Bill, write: impl FnOnce(&mut Vec<u8>)) {
        self.switch.with_lane(self.lane, |lane, around| lane.say(bill, write, around));
    }
}
