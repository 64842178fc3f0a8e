use memtide_topology::EcpuUnits;

use crate::lease::{Lease, Wants};
use crate::limits::ACTIVE_NS;
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
    /// What the last one has cost beyond what was known before, in units.
    rest: u64,
    /// What is charged in advance of the one that was held back last.
    ahead: Ahead,
}

/// Of those that go on after they were held back the rest is charged before it is known: else a core
/// would let as many go on at once as can pay for what they cost at the least.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    units: u64,
    /// It was released.
    is_charged: bool,
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
        Self { lease: Lease::new(core), queue: Queue::default(), active }
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
        let was_ahead = self.give_back(turn);
        if was_ahead || cost.units() > 0 {
            turn.rest = cost.units();
        }
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
    pub fn release(&mut self, pool: &Pool, now: u64) -> Option<HeldId> {
        if self.queue.is_empty() {
            return None;
        }
        self.renew(pool, now);
        if !self.lease.has_units(now) {
            return None;
        }
        let Held { id, cost, rest } = self.queue.pop()?;
        self.lease.charge(cost);
        self.lease.charge(rest);
        Some(id)
    }

    /// This one was named by [`Self::release`].
    pub const fn released(turn: &mut Turn) {
        turn.place = None;
        turn.ahead.is_charged = true;
    }

    /// When to call [`Self::release`] again, where anybody is held back.
    #[must_use]
    pub fn wake_at(&self, now: u64) -> Option<u64> {
        match self.queue.is_empty() {
            true => None,
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
        turn.ahead.is_charged |= !self.leave_queue(turn) && was_held;
        self.give_back(turn);
    }

    /// Whether it was there.
    fn leave_queue(&mut self, turn: &mut Turn) -> bool {
        let cost = turn.place.take().and_then(|place| self.queue.remove(place));
        turn.used = turn.used.saturating_sub(cost.map_or(0, EcpuUnits::units));
        cost.is_some()
    }

    /// Takes back what was charged in advance; whether it was.
    const fn give_back(&mut self, turn: &mut Turn) -> bool {
        let was_charged = turn.ahead.is_charged;
        if was_charged {
            self.lease.give_back(turn.ahead.units);
            turn.ahead.is_charged = false;
        }
        was_charged
    }

    /// The limit was lifted: what was charged in advance is of no account.
    pub const fn lifted(turn: &mut Turn) {
        turn.ahead.is_charged = false;
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
        if self.lease.is_in_debt() {
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
        let deadline = pool.held_until(read_at, now);
        if turn.place.is_some() && now < deadline {
            return Decision::DelayUntil(deadline);
        }
        self.leave_queue(turn);
        let start = self.queue.start(turn.used);
        turn.is_lent = turn.used <= self.queue.virtual_time() && self.lease.lends();
        if turn.is_lent {
            self.lease.charge_lent(cost);
        } else if now < deadline {
            self.give_back(turn);
            turn.ahead.units = turn.rest;
            let rest = EcpuUnits::from_units(turn.rest);
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
mod tests {
    use super::*;
    use crate::limits::{HELD_NS_MAX, UNTOLD_NS_MAX};

    const ECPU: EcpuUnits = EcpuUnits::ONE;

    /// It is not known before what a reply costs, but what the connection's last one did.
    #[test]
    fn no_more_go_on_at_once_than_can_pay_for_what_their_last_ones_cost() {
        let pool = Pool::new(Some(5_000 * 1_024), 1, 0);
        let mut gate = Gate::new(0);
        let mut turns = [Turn::default(); 8];
        let large = EcpuUnits::from_units(97 * 1_024);
        for turn in &mut turns {
            turn.used = 1;
            gate.charge(turn, large);
        }
        gate.pay(&pool, 0);
        for (id, turn) in (0..).zip(&mut turns) {
            let decision = gate.ask(&pool, (HeldId(id), turn), (ECPU, 1), 1);
            assert_eq!(decision, Decision::DelayUntil(1 + HELD_NS_MAX));
        }
        // The debt is paid, and little more.
        let now = 110_000_000;
        assert_eq!(gate.release(&pool, now), Some(HeldId(0)));
        assert_eq!(gate.release(&pool, now), None, "the first may cost as much again");
        Gate::released(&mut turns[0]);
        gate.charge(&mut turns[0], EcpuUnits::from_units(0));
        gate.close(&pool, now);
        let now = gate.wake_at(now).unwrap().min(now + 1_000_000);
        assert!(gate.release(&pool, now).is_some(), "it did not");
        assert!(gate.release(&pool, now).is_none());
        gate.cancel(&mut turns[1]);
        gate.close(&pool, now);
        assert_eq!(pool.demand(now).used_units, (8 * 97 + 2) * 1_024);
    }

    /// A gate of a pool with nothing to spend or lend, which gets an ECPU each millisecond.
    fn dry() -> (Pool, Gate) {
        let pool = Pool::new(Some(1_000 * 1_024), 1, 0);
        let mut gate = Gate::new(0);
        let mut debtor = Turn::default();
        assert_eq!(gate.ask(&pool, (HeldId(0), &mut debtor), (ECPU, 0), 0), Decision::Admit);
        gate.charge(&mut debtor, EcpuUnits::from_units(100 * 1_024));
        gate.close(&pool, 0);
        (pool, gate)
    }

    fn hold(gate: &mut Gate, pool: &Pool, id: u64) -> Turn {
        // It had its part, so that nothing is lent to it.
        let mut turn = Turn { used: 1, ..Turn::default() };
        let decision = gate.ask(pool, (HeldId(id), &mut turn), (ECPU, 0), 1);
        assert_eq!(decision, Decision::DelayUntil(HELD_NS_MAX));
        turn
    }

    #[test]
    fn a_connection_that_ends_while_it_is_held_back_is_forgotten() {
        let (pool, mut gate) = dry();
        let mut first = hold(&mut gate, &pool, 1);
        let mut second = hold(&mut gate, &pool, 2);
        gate.cancel(&mut first);
        gate.cancel(&mut first);
        assert_eq!((gate.held(), first.used), (1, 1), "and pays nothing");
        assert_eq!(gate.release(&pool, 150_000_000), Some(HeldId(2)));
        Gate::released(&mut second);
        assert_eq!((gate.release(&pool, 150_000_000), gate.wake_at(150_000_000)), (None, None));
    }

    #[test]
    fn who_is_held_back_waits_until_its_time_and_is_refused_then() {
        let (pool, mut gate) = dry();
        let mut turn = hold(&mut gate, &pool, 1);
        let mut ask = |now| gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), now);
        // The debt is not paid by then.
        pool.set_rate(2, Some(1));
        assert_eq!(ask(HELD_NS_MAX - 1), Decision::DelayUntil(HELD_NS_MAX));
        assert_eq!(ask(HELD_NS_MAX), Decision::Refuse);
        assert_eq!(ask(HELD_NS_MAX + 1), Decision::Refuse, "the rest of its pipeline too");
        assert_eq!(gate.held(), 0);
        gate.close(&pool, HELD_NS_MAX + 1);
        assert_eq!(pool.demand(HELD_NS_MAX + 1).refused_units, 2 * 1_024);
    }

    /// A gate of a proxy that was begun a moment ago, whose scaler has not answered yet; a command that it holds back.
    fn untold() -> (Pool, Gate, Turn) {
        let (pool, mut gate, mut turn) =
            (Pool::new(Some(0), 1, 0), Gate::new(0), Turn { used: 1, ..Turn::default() });
        let mut at = 0;
        while at < 1_000_000_000 {
            let decision = gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), at);
            assert_eq!(decision, Decision::DelayUntil(at + HELD_NS_MAX));
            at += HELD_NS_MAX;
        }
        assert_eq!(gate.release(&pool, at), None);
        (pool, gate, turn)
    }

    #[test]
    fn a_proxy_that_was_told_nothing_yet_holds_commands_back_and_refuses_none() {
        const AT: u64 = 1_000_000_000;
        for rate in [None, Some(1_000 * 1_024)] {
            let (pool, mut gate, _) = untold();
            pool.set_rate(AT, rate);
            let soon = AT + 10_000_000;
            assert_eq!(gate.release(&pool, soon), Some(HeldId(1)), "{rate:?}");
        }
        // There is a limit, and too little: what waited goes by the rule from now on.
        let (pool, mut gate, mut turn) = untold();
        pool.set_rate(AT, Some(1));
        let mut ask = |now| gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), now);
        assert_eq!(ask(AT + 1), Decision::DelayUntil(AT + HELD_NS_MAX));
        assert_eq!(ask(AT + HELD_NS_MAX), Decision::Refuse);
        // Nor is it waited for ever.
        let (pool, mut gate, mut turn) = untold();
        let mut ask = |now| gate.ask(&pool, (HeldId(1), &mut turn), (ECPU, 0), now);
        assert_eq!(ask(UNTOLD_NS_MAX - 1), Decision::DelayUntil(UNTOLD_NS_MAX));
        assert_eq!(ask(UNTOLD_NS_MAX), Decision::Refuse);
    }

    #[test]
    fn a_connection_takes_its_standing_along_to_another_core() {
        let (pool, mut gate) = dry();
        let mut turn = hold(&mut gate, &pool, 1);
        assert_eq!(gate.release(&pool, 150_000_000), Some(HeldId(1)));
        Gate::released(&mut turn);
        let ahead = turn.used - gate.queue.virtual_time();
        assert_eq!(ahead, 1_024, "one command ahead of those that wait");
        gate.depart(&mut turn);
        let other = Gate::new(1);
        other.arrive(&mut turn);
        assert_eq!(turn.used, ahead);
    }
}
