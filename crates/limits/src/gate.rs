use memtide_topology::EcpuUnits;

use crate::lease::{Lease, Wants};
use crate::limits::{ACTIVE_NS, TRIAL_NS_MAX};
use crate::pool::Pool;
use crate::queue::{Held, HeldId, Place, Queue};

/// Decides, for one core, which commands go on.
///
/// ```text
///            units in hand, nobody held back      ->  Admit
///  ask ----  less had than others, and lent units ->  Admit
///            waited HELD_NS_MAX since it was read  ->  Refuse
///            otherwise                             ->  DelayUntil(read + HELD_NS_MAX), held back
///
///  held back -- release, in the order of least use --> goes on, without asking again
///            -- ask at the time told               --> Refuse
///            -- cancel: the connection ended
/// ```
///
/// For each command: [`Self::ask`] with what it costs at the least, then, when its reply is known,
/// [`Self::charge`] with the rest. A connection has at most one command held back, and reads no more
/// meanwhile. After any of these, and at [`Self::wake_at`], call [`Self::release`] until it gives
/// none, and wake those whom it names. After a batch call [`Self::pay`]; a core that falls idle calls
/// [`Self::close`].
///
/// Where replies come later, from nodes, commands that are under way have paid no more than their
/// least cost: tell [`Self::ask`] what is known, such as the request's bytes, and the rest of all that
/// are under way is the debt by which the limit may be passed for a moment.
///
/// Commands of one batch share the time when they were read, so that a pipeline is held back for
/// [`HELD_NS_MAX`] in all, not for each of its commands; for [`UNTOLD_NS_MAX`] while the pool was told no rate.
///
/// **Fairness.** While units are short, each connection gets the same number of them, or as many as
/// it asks for where that is less. A connection that asks for less is not held back behind those that
/// ask for more: it goes first, and mostly at once, on units lent. Between cores the pool divides by
/// the number of connections that want something.
///
/// [`HELD_NS_MAX`]: crate::limits::HELD_NS_MAX
/// [`UNTOLD_NS_MAX`]: crate::limits::UNTOLD_NS_MAX
#[derive(Debug)]
pub struct Gate {
    lease: Lease,
    queue: Queue,
    active: Active,
    /// Until then nobody else goes on whose cost nothing is known of: one of them is under way.
    trying_until: u64,
}

/// How many connections want something: have asked in this round or the last.
#[derive(Debug)]
struct Active {
    round: u32,
    until: u64,
    now: u32,
    before: u32,
}

/// A connection's standing at its core's [`Gate`]. New ones have had nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// Where its use ends on the scale of the queue's virtual time.
    used: u64,
    place: Option<Place>,
    /// The last command competed with others: its cost counts as use. What is used while there is
    /// enough for all does not.
    is_contended: bool,
    /// The last command went on by what is lent.
    is_lent: bool,
    /// The round in which it asked last.
    round: u32,
    /// What the last ones have cost each beyond what was known before, in units; `None` before the first.
    rest: Option<u64>,
    /// How many have gone on since.
    gone_on: u32,
    /// What is charged in advance of the one that was held back last.
    ahead: Ahead,
}

/// Of those that go on after they were held back the rest is charged before it is known: else a core
/// would let as many go on at once as can pay for what they cost at the least.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    /// Units for those that were released and whose cost nobody has said yet.
    charged: u64,
    /// One of them is the one that [`Gate::trying_until`] is about.
    is_trial: bool,
    /// Units for the one that is held back, when it is released; `None` where nothing is known.
    next: Option<u64>,
}

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Execute it.
    Admit,
    /// Hold the connection back, until it is released or it is this late: then ask again.
    DelayUntil(u64),
    /// Answer that it is throttled. It is charged nothing.
    Refuse,
}

impl Gate {
    /// For the core with that number at the pool.
    #[must_use]
    pub fn new(core: usize) -> Self {
        let active = Active { round: 1, until: 0, now: 0, before: 0 };
        Self { lease: Lease::new(core), queue: Queue::default(), active, trying_until: 0 }
    }

    /// Whether a command goes on that costs at least `cost` and was read at `read_at`. Where it does,
    /// that much is charged.
    #[inline]
    pub fn ask(
        &mut self,
        pool: &Pool,
        (id, turn): (HeldId, &mut Turn),
        (cost, read_at): (EcpuUnits, u64),
        now: u64,
    ) -> Decision {
        if turn.round != self.active.round {
            turn.round = self.active.round;
            self.active.now += 1;
        }
        if self.admits_at_once(turn, cost, now) {
            return Decision::Admit;
        }
        self.compete(pool, (id, turn), (cost, read_at), now)
    }

    /// What a command has cost beyond what [`Self::ask`] was told.
    #[inline]
    pub fn charge(&mut self, turn: &mut Turn, cost: EcpuUnits) {
        self.give_back(turn);
        turn.rest = Some(cost.units() / u64::from(turn.gone_on.max(1)));
        turn.gone_on = 0;
        if turn.is_lent {
            self.lease.charge_lent(cost);
        } else {
            self.lease.charge(cost);
        }
        if turn.is_contended {
            turn.used = turn.used.saturating_add(cost.units());
        }
    }

    /// The next one that goes on, if there is one; call [`Self::released`] with its turn. Its least
    /// cost is charged, and as much besides as its connection's last one has cost: until it is known.
    /// Of those whose connections have had none one goes on at a time.
    pub fn release(&mut self, pool: &Pool, now: u64) -> Option<HeldId> {
        if self.queue.is_empty() {
            return None;
        }
        self.renew(pool, now);
        if !self.lease.has_units(now) {
            return None;
        }
        let Held { id, cost, rest } = self.queue.pop(self.is_trying(now))?;
        self.lease.charge(cost);
        match rest {
            Some(rest) => self.lease.charge(rest),
            None => self.trying_until = now.saturating_add(TRIAL_NS_MAX),
        }
        Some(id)
    }

    /// This one was named by [`Self::release`].
    pub const fn released(turn: &mut Turn) {
        turn.place = None;
        turn.gone_on = turn.gone_on.saturating_add(1);
        match turn.ahead.next.take() {
            Some(units) => turn.ahead.charged = turn.ahead.charged.saturating_add(units),
            None => turn.ahead.is_trial = true,
        }
    }

    /// When to call [`Self::release`] again, where anybody is held back.
    #[must_use]
    pub fn wake_at(&self, now: u64) -> Option<u64> {
        match self.queue.is_empty() {
            true => None,
            false if self.is_trying(now) && self.queue.is_all_unknown() => Some(self.trying_until),
            false if self.lease.has_units(now) => Some(now),
            false => Some(self.lease.dry_until().max(now)),
        }
    }

    /// How many connections are held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queue.len()
    }

    /// The connection ended, or its command is not to be executed any more.
    pub fn cancel(&mut self, turn: &mut Turn) {
        let was_held = turn.place.is_some();
        // One that is not in the queue any more was released, and does not know it yet.
        if !self.leave_queue(turn) && was_held {
            Self::released(turn);
        }
        self.give_back(turn);
    }

    /// Whether it was there.
    fn leave_queue(&mut self, turn: &mut Turn) -> bool {
        let cost = turn.place.take().and_then(|place| self.queue.remove(place));
        turn.used = turn.used.saturating_sub(cost.map_or(0, EcpuUnits::units));
        cost.is_some()
    }

    /// One is under way of whose cost nothing is known: others of that kind wait.
    const fn is_trying(&self, now: u64) -> bool {
        now < self.trying_until && self.lease.is_limited()
    }

    /// Takes back what was charged in advance.
    const fn give_back(&mut self, turn: &mut Turn) {
        if turn.ahead.is_trial {
            self.trying_until = 0;
        }
        self.lease.give_back(turn.ahead.charged);
        (turn.ahead.charged, turn.ahead.is_trial) = (0, false);
    }

    /// There is no limit: what was charged in advance is of no account. What commands cost now is what
    /// they are taken to cost once there is one: else as many would go on at once, when it is set, as can
    /// pay for what they cost at the least.
    pub const fn lifted(turn: &mut Turn, cost: EcpuUnits) {
        turn.ahead = Ahead { charged: 0, is_trial: false, next: None };
        turn.rest = Some(cost.units().saturating_sub(EcpuUnits::ONE.units()));
    }

    /// The connection goes on with another core; it must not be held back.
    pub fn depart(&self, turn: &mut Turn) {
        turn.used = turn.used.saturating_sub(self.queue.virtual_time());
    }

    /// The connection comes from another core.
    pub fn arrive(&self, turn: &mut Turn) {
        turn.used = turn.used.saturating_add(self.queue.virtual_time());
    }

    /// A batch is over: pays what it owes, so that refills pay for it from now on, however late the
    /// core's next command comes.
    #[inline]
    pub fn pay(&mut self, pool: &Pool, now: u64) {
        if self.lease.is_due(now) {
            let wants = self.wants(now);
            self.lease.close(pool, now, wants);
        }
    }

    /// The core falls idle: gives back what it has, or pays what it owes.
    pub fn close(&mut self, pool: &Pool, now: u64) {
        self.lease.close(pool, now, Wants::default());
    }

    fn wants(&mut self, now: u64) -> Wants {
        let held = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        Wants { active: self.active.count(now).max(held), held }
    }

    fn renew(&mut self, pool: &Pool, now: u64) {
        let had_units = self.lease.has_units(now);
        let wants = self.wants(now);
        self.lease.renew(pool, now, wants);
        if !had_units && self.lease.has_units(now) {
            self.queue.mark();
        }
    }

    /// There is enough for all: nobody waits, and the cost does not count as use.
    #[inline]
    fn admits_at_once(&mut self, turn: &mut Turn, cost: EcpuUnits, now: u64) -> bool {
        let is_admitted = self.lease.has_units(now) && self.queue.is_empty();
        if is_admitted {
            self.lease.charge(cost);
            (turn.is_contended, turn.is_lent) = (false, false);
            turn.gone_on = turn.gone_on.saturating_add(1);
        }
        is_admitted
    }

    #[cold]
    fn compete(
        &mut self,
        pool: &Pool,
        (id, turn): (HeldId, &mut Turn),
        (cost, read_at): (EcpuUnits, u64),
        now: u64,
    ) -> Decision {
        self.renew(pool, now);
        if self.admits_at_once(turn, cost, now) {
            return Decision::Admit;
        }
        if !self.lease.is_limited() {
            // There is no limit any more, and others are yet to be let go.
            self.leave_queue(turn);
            (turn.is_contended, turn.is_lent) = (false, false);
            return Decision::Admit;
        }
        let deadline = pool.held_until(read_at, now);
        if turn.place.is_some() && now < deadline {
            return Decision::DelayUntil(deadline);
        }
        self.leave_queue(turn);
        let start = self.queue.start(turn.used);
        turn.is_lent = turn.used <= self.queue.virtual_time() && self.lease.lends();
        if turn.is_lent {
            self.lease.charge_lent(cost);
            turn.gone_on = turn.gone_on.saturating_add(1);
        } else if now < deadline {
            turn.ahead.next = turn.rest;
            let rest = turn.rest.map(EcpuUnits::from_units);
            turn.place = Some(self.queue.push(start, Held { id, cost, rest }));
        } else {
            self.lease.refuse(cost);
            return Decision::Refuse;
        }
        turn.is_contended = true;
        turn.used = start.saturating_add(cost.units());
        turn.place.map_or(Decision::Admit, |_| Decision::DelayUntil(deadline))
    }
}

impl Active {
    fn count(&mut self, now: u64) -> u32 {
        if now >= self.until {
            self.until = now.saturating_add(ACTIVE_NS);
            self.round = self.round.wrapping_add(1);
            (self.before, self.now) = (self.now, 0);
        }
        self.now.max(self.before)
    }
}

#[cfg(test)]
mod tests;
