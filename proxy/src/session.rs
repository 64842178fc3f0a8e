//! One client's commands, without its socket: bytes in, replies out, in order.
//!
//! ```text
//!            command                    value too large, refused
//!  Ready ------------> Ready     Ready -------------------------> Swallowing(n)
//!  Ready -- output full in a multiget --> Paused(key) -- advance --> Ready
//!  Swallowing(n) -- n bytes --> Ready                any -- quit, framing lost --> Close
//! ```

use memtide_protocol::{Command, ErrorLine, Step};
use memtide_topology::EcpuUnits;

use ahead::{AHEAD_MAX, Ahead, Planned};

use crate::counters::CoreCounters;
use memtide_execute::Retrieved;

use crate::execute::Executor;
use crate::limits::{COMMANDS_PER_TURN_MAX, OUTPUT_BYTES_HIGH};
use crate::throttle::Admission;

mod ahead;

/// Why [`Session::advance`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The rest of the input is no whole command.
    NeedsMore {
        /// How long that rest must be before another call can come further; at least 1.
        needed: usize,
    },
    /// The replies are to be sent first.
    OutputFull,
    /// The cache's limit holds the next command back.
    Held,
    /// There may be more to execute, after other connections of the core had their turn.
    TurnOver,
    /// The connection is over once the replies are sent.
    Close,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ready,
    /// The rest of a refused command's data block, and what the command is metered for so far.
    Swallowing { left: u64, bytes: u64 },
    /// In the middle of a multiget whose line is still at the start of the input.
    Paused(Retrieved),
}

/// Where a client's command stream stands.
#[derive(Debug)]
pub struct Session {
    state: State,
    is_started: bool,
    /// Commands to look at before the first of them is executed: fewer where the replies are so
    /// long that the output is full before the last one's turn.
    ahead_max: usize,
}

impl Default for Session {
    fn default() -> Self {
        Self { state: State::default(), is_started: false, ahead_max: AHEAD_MAX }
    }
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

    /// Executes the commands at the start of `input` and appends their replies to `out`; returns
    /// how many bytes of the input are done with.
    ///
    /// Must be called with the rest of the same input and more, in order.
    pub fn advance(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        executor: &mut Executor<'_>,
    ) -> (usize, Progress) {
        let mut ahead = Ahead::new();
        let (consumed, progress) = self.run((input, &mut ahead), out, executor);
        self.ahead_max = match progress {
            Progress::OutputFull => ahead.reached().unwrap_or(AHEAD_MAX.min(2 * self.ahead_max)),
            _ => AHEAD_MAX,
        };
        (consumed, progress)
    }

    /// The connection ends: meters what was taken in of a data block that never came whole, or what
    /// was looked up and answered of a multiget that was not over.
    pub fn abandon(&mut self, counters: &CoreCounters) {
        match std::mem::take(&mut self.state) {
            State::Ready => {}
            State::Swallowing { bytes, .. } => counters.meter(EcpuUnits::of_command(1, bytes)),
            State::Paused(retrieved) => counters.meter(retrieved.cost()),
        }
    }

    fn run<'a>(
        &mut self,
        (input, ahead): (&'a [u8], &mut Ahead<'a>),
        out: &mut Vec<u8>,
        executor: &mut Executor<'_>,
    ) -> (usize, Progress) {
        let mut at = 0;
        let mut commands_left = COMMANDS_PER_TURN_MAX;
        loop {
            if let State::Swallowing { left, bytes } = &mut self.state {
                if *left > 0 && at < input.len() && executor.go_on() == Admission::Hold {
                    return (at, Progress::Held);
                }
                let dropped = (*left).min((input.len() - at) as u64);
                (*left, *bytes) = (*left - dropped, *bytes + dropped);
                at += usize::try_from(dropped).expect("no more than the input holds");
                if *left > 0 {
                    executor.prepay_to(EcpuUnits::of_command(1, *bytes));
                    return (at, Progress::NeedsMore { needed: 1 });
                }
                executor.meter(EcpuUnits::of_command(1, *bytes));
                self.state = State::Ready;
            }
            if at == input.len() {
                return (at, Progress::NeedsMore { needed: 1 });
            }
            if out.len() >= OUTPUT_BYTES_HIGH {
                return (at, Progress::OutputFull);
            }
            if commands_left == 0 {
                return (at, Progress::TurnOver);
            }
            commands_left -= 1;
            let planned = ahead.next(&input[at..], self.ahead_max, executor);
            match executor.admit(&planned.step, matches!(self.state, State::Paused(_)), out) {
                Admission::Go => {}
                Admission::Hold => return (at, Progress::Held),
                Admission::Refuse { consumed, .. } => {
                    at += consumed;
                    continue;
                }
            }
            match self.step(planned, out, executor) {
                Stepped::Done(consumed) => at += consumed,
                Stepped::Stop(consumed, progress) => return (at + consumed, progress),
                Stepped::Lost => return (input.len(), Progress::Close),
            }
        }
    }

    fn step(
        &mut self,
        Planned { step, hash }: Planned<'_>,
        out: &mut Vec<u8>,
        executor: &mut Executor<'_>,
    ) -> Stepped {
        let before = out.len();
        match step {
            Step::Incomplete { needed } => Stepped::Stop(0, Progress::NeedsMore { needed }),
            Step::Command { consumed, command: Command::Retrieve(retrieve) } => {
                let paused = match std::mem::take(&mut self.state) {
                    State::Paused(retrieved) => retrieved,
                    _ => Retrieved::default(),
                };
                let mut retrieved = executor.retrieve((&retrieve, hash), paused, out);
                retrieved.line_bytes = consumed as u64;
                retrieved.reply_bytes += (out.len() - before) as u64;
                if retrieved.is_done {
                    executor.meter(retrieved.cost());
                    Stepped::Done(consumed)
                } else {
                    executor.prepay_to(retrieved.cost());
                    self.state = State::Paused(retrieved);
                    Stepped::Stop(0, Progress::OutputFull)
                }
            }
            Step::Command { consumed, command } => {
                let closes = command == Command::Quit;
                executor.execute(&command, hash, out);
                let bytes = consumed + (out.len() - before);
                executor.meter(EcpuUnits::of_command(1, bytes as u64));
                if closes {
                    Stepped::Stop(consumed, Progress::Close)
                } else if walks_the_store(&command) {
                    Stepped::Stop(consumed, Progress::TurnOver)
                } else {
                    Stepped::Done(consumed)
                }
            }
            Step::Refused { consumed, swallow, refusal } => {
                executor.refuse(&refusal, out);
                let bytes = (consumed + (out.len() - before)) as u64;
                self.state = State::Swallowing { left: swallow, bytes };
                Stepped::Done(consumed)
            }
            Step::Close { error } => {
                close(error, out, executor);
                // No command can be told from what follows it, so only the reply is billed: what
                // lies in the buffer depends on how the bytes happened to arrive.
                executor.meter(EcpuUnits::of_command(1, (out.len() - before) as u64));
                Stepped::Lost
            }
        }
    }
}

enum Stepped {
    Done(usize),
    Stop(usize, Progress),
    /// No command can be told from what is left.
    Lost,
}

#[cfg(test)]
pub(crate) mod tests;

/// Whether a command costs as much as hundreds of others, since it visits every shard.
fn walks_the_store(command: &Command<'_>) -> bool {
    matches!(command, Command::FlushAll { .. } | Command::Stats | Command::StatsReset)
}

fn close(error: Option<ErrorLine>, out: &mut Vec<u8>, executor: &mut Executor<'_>) {
    if let Some(error) = error {
        executor.error(error, out);
    }
}
