use std::time::Instant;

use memtide_limits::Decision;
use memtide_protocol::{Command, Step};
use memtide_topology::EcpuUnits;

use super::{Standing, Wait, Waiting};

/// What a batch asks whether its commands go on.
pub struct Toll<'a> {
    pub(super) standing: &'a mut Standing,
    pub(super) at: Instant,
    pub(super) now: u64,
}

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is executed.
    Go,
    /// It and all behind it wait.
    Hold,
    /// It is passed over, and answered that it is throttled unless it wants no answer. It is counted.
    Refuse {
        /// How long it is.
        consumed: usize,
        /// Nothing is said.
        is_silent: bool,
    },
}

impl Toll<'_> {
    /// Whether the command at the front goes on, or the line that is none; `is_begun` where a part of
    /// its reply is told or asked for. What has begun, and what has data that is to be dropped, may
    /// have to wait and is never refused.
    #[inline]
    pub fn admit(&mut self, step: &Step<'_>, is_begun: bool) -> Admission {
        let (consumed, is_silent) = match step {
            // There is nothing to answer, or nothing comes after it.
            Step::Incomplete { .. }
            | Step::Close { .. }
            | Step::Command { command: Command::Quit, .. } => return Admission::Go,
            Step::Command { .. } if is_begun => return self.go_on(),
            Step::Refused { swallow: 1.., .. } => return self.go_on(),
            Step::Command { consumed, command } => (*consumed, command.noreply()),
            Step::Refused { consumed, refusal, .. } => (*consumed, refusal.is_silent),
        };
        let read_at = self.standing.read_at.unwrap_or(self.now);
        match self.ask(EcpuUnits::of_command(1, consumed as u64), read_at) {
            Decision::Admit => Admission::Go,
            Decision::DelayUntil(_) => Admission::Hold,
            Decision::Refuse if is_never_refused(step) => Admission::Go,
            Decision::Refuse => {
                self.standing.throttle.counters().throttle(is_silent);
                Admission::Refuse { consumed, is_silent }
            }
        }
    }

    /// Whether more is done of what has begun.
    pub fn go_on(&mut self) -> Admission {
        match self.ask(EcpuUnits::from_units(0), self.now) {
            // It was read now.
            Decision::Admit | Decision::Refuse => Admission::Go,
            Decision::DelayUntil(_) => Admission::Hold,
        }
    }

    /// What is not over is charged for so much so far.
    pub fn prepay_to(&mut self, cost: EcpuUnits) {
        let standing = &mut *self.standing;
        let rest = cost.units().saturating_sub(standing.prepaid);
        standing.prepaid += rest;
        let rest = EcpuUnits::from_units(rest);
        standing.throttle.gate.borrow_mut().charge(&mut standing.turn, rest);
    }

    #[inline]
    fn ask(&mut self, cost: EcpuUnits, read_at: u64) -> Decision {
        let standing = &mut *self.standing;
        if standing.wait == Wait::Released {
            standing.stop_waiting();
            standing.prepaid += cost.units();
            return Decision::Admit;
        }
        let decision = {
            let pool = &standing.throttle.shared.ecpu_limit.pool;
            let of = (standing.id, &mut standing.turn);
            standing.throttle.gate.borrow_mut().ask(pool, of, (cost, read_at), self.now)
        };
        if let Decision::DelayUntil(deadline) = decision {
            self.hold(deadline);
            return decision;
        }
        if standing.wait != Wait::None {
            standing.stop_waiting();
        }
        if decision == Decision::Admit {
            standing.prepaid += cost.units();
        }
        decision
    }

    #[cold]
    fn hold(&mut self, deadline: u64) {
        let standing = &mut *self.standing;
        let since = match standing.wait {
            Wait::Held(since) => since,
            _ => {
                standing.throttle.counters().traffic.delayed_commands.add(1);
                self.at
            }
        };
        standing.stop_waiting();
        standing.wait = Wait::Held(since);
        let held = &mut *standing.throttle.held.borrow_mut();
        held.by_id.insert(standing.id, Waiting { deadline, waker: None, is_released: false });
        held.deadlines.insert((deadline, standing.id));
    }
}

/// What ends a pipeline is never left out, but waits with it.
const fn is_never_refused(step: &Step<'_>) -> bool {
    matches!(step, Step::Command { command: Command::MetaNoOp | Command::Version, .. })
}
