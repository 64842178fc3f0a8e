//! Holds connections to the cache's limit of ECPUs per second.
//!
//! ```text
//!   batch --admit--> gate of its core --lease--> pool of the proxy
//!     | go: execute, and bill what it has cost beyond what was charged for going on
//!     | hold: the rest of the input stays; read no more until the gate lets it go on, or 200 ms are over
//!     ` refuse: one error line, and on with the next command
//! ```
//!
//! Where no limit is set, none of this happens.

mod toll;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use memtide_limits::limits::{HELD_NS_MAX, UNTOLD_NS_MAX};
use memtide_limits::{Demand, Gate, HeldId, Pool, Turn};
use memtide_topology::EcpuUnits;

pub use self::toll::{Admission, Toll};
use crate::alarm::Alarm;
use crate::counters::CoreCounters;
use crate::shared::Shared;

/// The limit, which all cores share.
#[derive(Debug)]
pub struct EcpuLimit {
    pool: Pool,
    is_set: AtomicBool,
    /// The cache's limit, in units per second over all proxies; 0 is none.
    cache_max: AtomicU64,
    /// What the pool's times count from.
    start: Instant,
}

impl EcpuLimit {
    /// In units per second, for so many cores.
    pub fn new(rate: Option<u64>, cores: usize) -> Self {
        Self {
            pool: Pool::new(rate, cores, 0),
            is_set: AtomicBool::new(rate.is_some()),
            cache_max: AtomicU64::new(rate.unwrap_or_default()),
            start: Instant::now(),
        }
    }

    /// From now on this proxy may use `rate` units per second, of `cache_max` of all; connections feel
    /// it within 50 ms.
    pub fn set(&self, rate: Option<u64>, cache_max: Option<u64>) {
        self.cache_max.store(cache_max.unwrap_or_default(), Ordering::Relaxed);
        if self.pool.rate() != rate {
            self.pool.set_rate(self.ns(Instant::now()), rate);
            self.is_set.store(rate.is_some(), Ordering::Relaxed);
        }
    }

    /// What this proxy may use, in units per second.
    pub fn rate(&self) -> Option<u64> {
        self.pool.rate()
    }

    /// What all proxies may, where there is a limit.
    pub fn cache_max(&self) -> Option<u64> {
        Some(self.cache_max.load(Ordering::Relaxed)).filter(|units| *units > 0)
    }

    /// What was wanted since this was asked last.
    pub fn demand(&self) -> Demand {
        self.pool.demand(self.ns(Instant::now()))
    }

    fn ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn at(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }
}

/// What holds the connections of one core.
pub struct Throttle {
    shared: Arc<Shared>,
    core: usize,
    gate: RefCell<Gate>,
    held: RefCell<Held>,
    next_id: Cell<u64>,
    alarm: Alarm,
    /// A command was admitted since the core's ticker looked.
    is_busy: Cell<bool>,
}

/// The connections that wait.
#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<HeldId, Waiting>,
    /// Until when they do at most.
    deadlines: BTreeSet<(u64, HeldId)>,
}

#[derive(Debug)]
struct Waiting {
    deadline: u64,
    waker: Option<Waker>,
    is_released: bool,
}

impl Throttle {
    /// Of the core with this number.
    pub fn new(shared: Arc<Shared>, core: usize) -> Self {
        Self {
            shared,
            core,
            gate: RefCell::new(Gate::new(core)),
            held: RefCell::default(),
            next_id: Cell::new(0),
            alarm: Alarm::default(),
            is_busy: Cell::new(false),
        }
    }

    /// A connection begins.
    pub fn standing(self: &Rc<Self>) -> Standing {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        Standing {
            throttle: Rc::clone(self),
            id: HeldId(id),
            turn: Turn::default(),
            wait: Wait::None,
            read_at: None,
            prepaid: 0,
        }
    }

    /// Lets connections go on when it is time, for good.
    pub async fn serve(&self) {
        self.alarm.serve(|now| self.look(now)).await;
    }

    /// The core's ticker: a core that has nothing to do holds no units, and no debt.
    pub fn tick(&self, now: Instant) {
        let is_over = !self.is_busy.take() && self.held.borrow().by_id.is_empty();
        if is_over && self.limit().is_set.load(Ordering::Relaxed) {
            self.gate.borrow_mut().close(&self.limit().pool, self.limit().ns(now));
        }
    }

    fn limit(&self) -> &EcpuLimit {
        &self.shared.ecpu_limit
    }

    fn counters(&self) -> &CoreCounters {
        &self.shared.counters[self.core]
    }

    /// Wakes who may go on, and who has waited long enough.
    fn look(&self, now: Instant) {
        let limit = self.limit();
        let (now, held) = (limit.ns(now), &mut *self.held.borrow_mut());
        let gate = &mut *self.gate.borrow_mut();
        while let Some(id) = gate.release(&limit.pool, now) {
            held.call(id, true);
        }
        while let Some(&(_, id)) = held.deadlines.first().filter(|(deadline, _)| *deadline <= now) {
            held.call(id, false);
        }
        let deadline = held.deadlines.first().map(|(deadline, _)| *deadline);
        let next = [gate.wake_at(now), deadline].into_iter().flatten().min();
        self.alarm.arm(next.map(|ns| limit.at(ns)));
    }
}

impl Held {
    fn call(&mut self, id: HeldId, is_released: bool) {
        let Some(waiting) = self.by_id.get_mut(&id) else { return };
        waiting.is_released |= is_released;
        self.deadlines.remove(&(waiting.deadline, id));
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    fn forget(&mut self, id: HeldId) {
        if let Some(waiting) = self.by_id.remove(&id) {
            self.deadlines.remove(&(waiting.deadline, id));
        }
    }
}

/// What a connection has used, and whether it is held back.
pub struct Standing {
    throttle: Rc<Throttle>,
    id: HeldId,
    turn: Turn,
    wait: Wait,
    /// When the input at hand was read.
    read_at: Option<u64>,
    /// Units that are charged, for what is not metered yet.
    prepaid: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    None,
    /// Since then.
    Held(Instant),
    /// The command at the front is charged and goes on.
    Released,
}

impl Standing {
    /// Whether there is a limit.
    pub fn is_limited(&self) -> bool {
        self.throttle.limit().is_set.load(Ordering::Relaxed)
    }

    /// What the client has sent is here, and not late by our doing.
    pub fn has_read(&mut self) {
        self.read_at = None;
    }

    /// Whether the command at the front waits still; the task is woken when it does not.
    pub fn is_held(&mut self, cx: &Context<'_>) -> bool {
        if !matches!(self.wait, Wait::Held(_)) {
            return false;
        }
        let Held { by_id, deadlines } = &mut *self.throttle.held.borrow_mut();
        let Some(waiting) = by_id.get_mut(&self.id) else { return false };
        let is_called = waiting.is_released || !deadlines.contains(&(waiting.deadline, self.id));
        if !is_called {
            waiting.waker = Some(cx.waker().clone());
        }
        !is_called
    }

    /// Whether the command at the front waits for longer than any does that can be refused: it has
    /// begun.
    pub fn is_held_for_long(&self, now: Instant) -> bool {
        let is_told = self.throttle.limit().pool.is_told();
        let wait_max = Duration::from_nanos(if is_told { HELD_NS_MAX } else { UNTOLD_NS_MAX });
        matches!(self.wait, Wait::Held(since) if now.saturating_duration_since(since) >= wait_max)
    }

    /// For the commands of one batch, which begins at `now`; `None` where there is no limit. Also
    /// since when the command at the front was held back, where it was.
    pub fn toll(&mut self, now: Instant) -> (Option<Toll<'_>>, Option<Instant>) {
        let limit = self.throttle.limit();
        let since = match self.wait {
            Wait::Held(since) => Some(since),
            _ => None,
        };
        if since.is_some() {
            let waiting = self.throttle.held.borrow_mut();
            if waiting.by_id.get(&self.id).is_some_and(|waiting| waiting.is_released) {
                Gate::released(&mut self.turn);
                self.wait = Wait::Released;
            }
        }
        if since.is_none() && !self.is_limited() {
            self.prepaid = 0;
            return (None, None);
        }
        let ns = limit.ns(now);
        self.read_at.get_or_insert(ns);
        self.throttle.is_busy.set(true);
        (Some(Toll { standing: self, at: now, now: ns }), since)
    }

    /// The commands of a batch, or replies to them, were metered for so many units.
    pub fn bill(&mut self, units: u64, now: Instant) {
        if units == 0 {
            return self.pay(now);
        }
        if self.is_limited() {
            let paid = units.min(self.prepaid);
            self.prepaid -= paid;
            let rest = EcpuUnits::from_units(units - paid);
            self.throttle.gate.borrow_mut().charge(&mut self.turn, rest);
        } else {
            Gate::lifted(&mut self.turn, EcpuUnits::from_units(units));
        }
        self.pay(now);
    }

    /// As [`Self::bill`], where there is no limit: what commands cost is known by when there is one.
    pub fn unlimited(&mut self, units: u64) {
        if units > 0 {
            Gate::lifted(&mut self.turn, EcpuUnits::from_units(units));
        }
    }

    /// A batch is over; of what has gone on more may be billed later.
    pub fn pay(&self, now: Instant) {
        if self.is_limited() {
            let limit = self.throttle.limit();
            self.throttle.gate.borrow_mut().pay(&limit.pool, limit.ns(now));
        }
        // Also those who were held back a moment before the limit was lifted have to be let go.
        if !self.throttle.held.borrow().by_id.is_empty() {
            self.throttle.look(now);
        }
    }

    fn stop_waiting(&mut self) {
        self.wait = Wait::None;
        self.throttle.held.borrow_mut().forget(self.id);
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.throttle.gate.borrow_mut().cancel(&mut self.turn);
        if self.wait != Wait::None {
            self.stop_waiting();
        }
        // Others may have waited for what its command would cost.
        if !self.throttle.held.borrow().by_id.is_empty() {
            self.pay(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
